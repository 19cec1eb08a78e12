"""What to do with missing scores: graphs by listwise deletion, pairwise and EM covariances, and what tests
under EM may count.

Random planted graphs of 17 values (discovery.calibration); the same tables, without gaps, are the line
"complete". At random: every score is missing with the same chance. By another value: the chance rises with
one other value of the role, four times as high in the upper half as in the lower, which listwise deletion
takes for a fact about the values.

    python benchmarks/missing.py [--algorithms boss pc] [--graphs 20] [--replicates 200]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from axiograph.discovery.calibration.respondent import over_names
from axiograph.discovery.calibration.simulation import PlantedModel, profile_frame, random_model
from axiograph.discovery.discover import discover
from axiograph.discovery.graph.causal_graph import shd
from axiograph.discovery.matrix.em import EmCorrelations
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.engine.errors import AxiographError
from axiograph.engine.study.schema import DiscoverySpec

OUT = Path(__file__).parent / "results" / "missing.md"
VALUES = 17
CELLS = (
    (200, 0.02, "at random"),
    (200, 0.08, "at random"),
    (200, 0.08, "by another value"),
    (200, 0.15, "at random"),
    (100, 0.08, "at random"),
    (50, 0.08, "at random"),
)
HANDLINGS = ("complete", "listwise", "pairwise", "em")
NEVER = ((50, 0.08), (100, 0.08), (100, 0.15), (400, 0.08))
TABLES = 6  # for each planted graph


def gaps(rng: np.random.Generator, values: FloatArray, share: float, mechanism: str) -> BoolArray:
    """[roles, values]: true where a score is there."""
    chance = np.full(values.shape, share)
    if mechanism == "by another value":
        upper = np.roll(values, 1, axis=1) > 0
        chance = np.where(upper, 1.6, 0.4) * share
    return np.asarray(rng.random(values.shape) >= chance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=20)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--algorithms", nargs="+", default=["boss", "pc"])
    arguments = parser.parse_args()
    started = time.perf_counter()
    tables = [_graphs_table(name, arguments.graphs, arguments.replicates) for name in arguments.algorithms]
    tests = _tests_table(arguments.graphs)
    minutes = (time.perf_counter() - started) / 60
    head = (
        "# Missing scores\n\n"
        f"`python benchmarks/missing.py --algorithms {' '.join(arguments.algorithms)} --graphs "
        f"{arguments.graphs} --replicates {arguments.replicates}`, "
        f"{minutes:.0f} min of one core that others used too; Python {platform.python_version()}, "
        f"numpy {np.__version__}, {platform.processor() or platform.machine()}.\n\n"
        f"{_TEXT}"
    )
    OUT.write_text("\n".join([head, *tables, tests]), encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


def _graphs_table(algorithm: str, graphs: int, replicates: int) -> str:
    lines = [
        f"## Graphs, {algorithm}",
        "",
        "| roles | missing | | roles used | tests count | SHD, all roles | SHD, consensus | false edges | "
        "true edges found | s a graph |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for roles, share, mechanism in CELLS:
        for handling in HANDLINGS:
            if handling == "complete" and share != 0.08:
                continue
            lines.append(_row(algorithm, graphs, replicates, roles, share, mechanism, handling))
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _row(
    algorithm: str, graphs: int, replicates: int, roles: int, share: float, mechanism: str, handling: str
) -> str:
    spec = DiscoverySpec.model_validate(
        {
            "algorithm": algorithm,
            "replicates": replicates,
            "missing": "listwise" if handling == "complete" else handling,
        }
    )
    found, failed = [], 0
    for g in range(graphs):
        model = random_model(np.random.default_rng([1, g]), VALUES)
        rng = np.random.default_rng([2, g])
        values = model.draw(rng, roles)
        present = gaps(rng, values, share, mechanism)
        scores = values if handling == "complete" else np.where(present, values, np.nan)
        try:
            found.append(_measured(model, scores, spec))
        except AxiographError:
            failed += 1
    what = f"{handling}{f' ({failed} without a graph)' if failed else ''}"
    if not found:
        return f"| {roles} | {share:.0%}, {mechanism} | {what} | | | | | | | |"
    table = np.array(found)
    mean = table.mean(axis=0)
    error = table[:, 2:4].std(axis=0, ddof=1) / np.sqrt(len(table))
    cells = [
        f"{mean[0]:.0f}",
        f"{mean[1]:.0f}",
        f"{mean[2]:.1f} ± {error[0]:.1f}",
        f"{mean[3]:.1f} ± {error[1]:.1f}",
        f"{mean[4]:.2f}",
        f"{mean[5]:.2f}",
        f"{mean[6]:.1f}",
    ]
    return f"| {roles} | {share:.0%}, {mechanism} | {what} | {' | '.join(cells)} |"


def _measured(model: PlantedModel, scores: FloatArray, spec: DiscoverySpec) -> list[float]:
    """Roles used, roles that tests count, SHD of all roles and of the consensus, false edges in the
    consensus, share of the true ones in it, seconds."""
    started = time.perf_counter()
    found = discover(profile_frame(scores, model.graph.names), spec, null_replicates=0)
    seconds = time.perf_counter() - started
    names = model.graph.names  # a value with too many gaps is in no graph: it counts as one without edges
    everyone = over_names(found.all_roles, names)
    consensus = over_names(found.graph, names)
    true, adjacent = model.graph.adjacency(), consensus.adjacency()
    roles = found.profiles.n_roles
    return [
        roles,
        roles if found.correction is None else found.correction.tested_roles,
        shd(everyone, model.graph),
        shd(consensus, model.graph),
        float((adjacent & ~true).sum() / 2),
        float((adjacent & true).sum() / max(1, true.sum())),
        seconds,
    ]


def _tests_table(graphs: int) -> str:
    """How many roles without gaps would give partial correlations that scatter as much about 0, where they
    are 0: of two values that no edge joins, given the parents of the later one."""
    lines = [
        "## What a test may count",
        "",
        "| roles | missing | complete roles | poorest pair | **mean of the pairs (counted)** | order 0 | 1 | "
        "2 | 3 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for roles, share in NEVER:
        squares: dict[int, list[float]] = defaultdict(list)
        counts = []
        for g in range(graphs):
            model = random_model(np.random.default_rng([1, g]), VALUES)
            for number in range(TABLES):
                rng = np.random.default_rng([3, g, number])
                values = model.draw(rng, roles)
                present = rng.random(values.shape) >= share
                found = EmCorrelations.of(values, present).correlation(np.arange(roles))
                shared = present.T.astype(float) @ present
                counts.append((present.all(axis=1).sum(), shared.min(), found.share * roles))
                for order, partial in _absent(model, found.matrix):
                    squares[order].append(np.arctanh(partial) ** 2)
        effective = [f"{1 / np.mean(squares[k]) + k + 3:.0f}" for k in range(4)]
        complete, poorest, counted = np.mean(counts, axis=0)
        lines.append(
            f"| {roles} | {share:.0%} | {complete:.0f} | {poorest:.0f} | **{counted:.0f}** | "
            f"{' | '.join(effective)} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _absent(model: PlantedModel, correlation: FloatArray) -> list[tuple[int, float]]:
    """(how many parents are given, partial correlation) of the pairs that no edge joins."""
    dag, descendants = model.dag, model.descendants
    found = []
    for i, j in zip(*np.nonzero(np.triu(~(dag | dag.T), 1)), strict=True):
        given = np.flatnonzero(dag[:, i if descendants[j, i] else j])
        if len(given) > 3:
            continue
        chosen = [i, j, *given]
        inverse = np.linalg.inv(correlation[np.ix_(chosen, chosen)])
        found.append((len(given), -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])))
    return found


_TEXT = (
    "\n".join(__doc__.splitlines()[3:8])
    + """

SHD: to the planted CPDAG, mean ± standard error; false edges: pairs joined in the consensus that are not in
truth; true edges found: share of the planted ones in the consensus.

"What a test may count": by EM, with how many complete roles partial correlations that are 0 would scatter as
much about 0 as they do (1 / mean z² + order + 3). A number above the one that is counted: such tests reject
less often than alpha says; below: more often.
"""
)


if __name__ == "__main__":
    main()
