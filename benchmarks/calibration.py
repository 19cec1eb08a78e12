"""What studies of 8 and 17 values can find at 100 to 2,000 training roles, by simulated studies.

Random planted graphs with 9/8 edges a value; answers with the noise measured on the built-in respondent; 12
items a value; the functions discover() and effects() as a study runs them. A section per number of values and
way of answering; the same planted graphs in every row of a number of values.

    python benchmarks/calibration.py [--graphs 100] [--jobs 2]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from axiograph.discovery.calibration.noise import load_noise
from axiograph.discovery.calibration.planted_studies import Calibration, calibrate
from axiograph.discovery.calibration.respondent import Planted
from axiograph.discovery.calibration.simulation import (
    Analysis,
    Design,
    PlantedModel,
    Questioning,
    profile_frame,
)
from axiograph.discovery.calibration.trial import SimulatedStudy
from axiograph.discovery.graph.causal_graph import shd
from axiograph.discovery.pc.search import pc
from axiograph.engine.study.schema import DiscoverySpec
from axiograph.texts.calibration import share_text, with_error
from axiograph.texts.plain import number

OUT = Path(__file__).parent / "results" / "calibration.md"
SIZES = (8, 17)
ITEMS = 12
ROLES = (100, 250, 500, 1000, 2000)
TEST_ROLES = (6, 12, 30, 100)
ANSWERS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "one sample an item": {"temperature": 1.0},
    "three samples an item": {"temperature": 1.0, "repeats": 3},
    "log-odds": {"mode": "logprob"},
}
OWN_GRAPHS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    started = time.perf_counter()
    sections = [_graphs_section(n, answers, arguments) for n in SIZES for answers in ANSWERS]
    sections += [_effects_section(n, arguments) for n in SIZES]
    sections.append(_own_section())
    OUT.write_text(_header(arguments, time.perf_counter() - started) + "\n".join(sections), encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


def _run(
    values: int, roles: int, arguments: argparse.Namespace, alpha: float = 0.05, **more: Any
) -> Calibration:
    design = Design.of(values, ITEMS, roles, **more)
    study = SimulatedStudy(design, load_noise(), Analysis(DiscoverySpec(alpha=alpha)), sweep=())
    return calibrate(study, arguments.graphs, jobs=arguments.jobs)


def _graphs_section(values: int, answers: str, arguments: argparse.Namespace) -> str:
    lines = [
        f"## {values} values, {answers}",
        "",
        "| roles | alpha | SHD, consensus | SHD, all roles | edges | skeleton F1 | arrowhead F1 | "
        "true of edges ≥ 0.9 | true of a → b ≥ 0.9 | true of ancestors ≥ 0.9 | true of edges 0.5–0.9 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for alpha in (0.05, 0.01):
        for roles in ROLES:
            lines.append(_graph_row(_run(values, roles, arguments, alpha, **ANSWERS[answers])))
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _graph_row(found: Calibration) -> str:
    expected = {row["which"]: row for row in found.summary["expected"]}
    graph = expected["graph"]
    middle = found.frequencies.filter(
        (found.frequencies["kind"] == "adjacent") & found.frequencies["bin"].is_between(5, 8)
    )
    pairs, true = int(middle["pairs"].sum()), int(middle["true"].sum())
    cells = [
        f"{found.study.design.train_roles}",
        f"{found.study.analysis.discovery.alpha:g}",
        with_error(graph["shd"], graph["shd_error"]),
        with_error(expected["all_roles"]["shd"], expected["all_roles"]["shd_error"]),
        number(graph["planted_edges"], ".1f"),
        number(graph["skeleton_f1"]),
        number(graph["arrowhead_f1"]),
        *(f"{share_text(row, 'true')} of {row['pairs']}" for row in found.summary["high"]),
        f"{100 * true / pairs:.0f} % of {pairs}" if pairs else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _effects_section(values: int, arguments: argparse.Namespace) -> str:
    rates = {
        "power_steered": "steered value",
        "power_strong": "descendant, 0.25 or more",
        "power_slight": "descendant, less",
        "false_alarm": "no descendant",
        "descendants_expected": "descendants expected",
        "descendants_unexpected": "descendants unexpected",
    }
    lines = [
        f"## Effects, {values} values, greedy, graph of 500 roles, 16 conditions of ±1 standard deviation",
        "",
        f"| test roles | {' | '.join(rates.values())} | expected above shuffled |",
        "|---|" + "---|" * (len(rates) + 1),
    ]
    for roles in TEST_ROLES:
        found = _run(values, 500, arguments, test_roles=roles, conditions=16)
        shares = [share_text(found.summary["effects"][name]) for name in rates]
        lines.append(f"| {roles} | {' | '.join(shares)} | {share_text(found.summary['contrast'])} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _own_section() -> str:
    """SHD on the respondent's own planted graph, to be held against benchmarks/results/respondent.md."""
    planted = Planted.load()
    weights = np.eye(len(planted.names)) - np.linalg.inv(planted.total)  # [effect, cause]
    model = PlantedModel(weights.T, planted.noise_sd, planted.graph)
    lines = [
        "## The respondent's own planted graph, simulated",
        "",
        f"| roles | alpha | {' | '.join(ANSWERS)} | values themselves |",
        "|---|---|" + "---|" * (len(ANSWERS) + 1),
    ]
    for alpha in (0.05, 0.01):
        for roles in ROLES:
            cells = [_own(model, planted.names, roles, alpha, more) for more in (*ANSWERS.values(), None)]
            lines.append(f"| {roles} | {alpha:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _own(
    model: PlantedModel, names: tuple[str, ...], roles: int, alpha: float, more: dict[str, Any] | None
) -> str:
    distances = []
    for seed in range(OWN_GRAPHS):
        values = model.draw(np.random.default_rng(seed), roles)
        if more is not None:
            design = Design.of(len(names), ITEMS, roles, **more)
            scores = Questioning(design, load_noise(), seed, (0,), 0).ask(values, design.asked_train).scores
            values = profile_frame(scores, names).drop("role").drop_nulls().to_numpy()
        distances.append(shd(pc(values, names, alpha).graph, model.graph))
    spread = np.std(distances, ddof=1) / np.sqrt(len(distances))
    return f"{np.mean(distances):.2f} ± {spread:.2f} ({np.mean(np.array(distances) == 0):.0%} exact)"


def _header(arguments: argparse.Namespace, seconds: float) -> str:
    return f"""# Calibration: what studies can find, by their number of roles

`python benchmarks/calibration.py --graphs {arguments.graphs} --jobs {arguments.jobs}`, {seconds / 60:.0f} min
on {arguments.jobs} cores that others used too; Python {platform.python_version()}, numpy {np.__version__}.

{_DESCRIPTION}
"""


_DESCRIPTION = (
    "\n".join(__doc__.splitlines()[2:5])
    + """

SHD: structural Hamming distance to the planted CPDAG, mean over planted graphs ± standard error; the
consensus is that of pairs adjacent in half of 1,000 replicates of half of the roles. "True of edges ≥ 0.9":
of the pairs that are adjacent in 0.9 of the replicates or more, how many are adjacent in truth, with a 95 %
interval, and of how many pairs; in the same way a → b against direct causes, and ancestors against paths.
Descendants "expected" and "unexpected": by the found graph. "Expected above shuffled": in how many planted
graphs expected values changed more often than under the graph with its names shuffled, p ≤ 0.05.
"""
)


if __name__ == "__main__":
    main()
