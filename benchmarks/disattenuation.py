"""When correcting for measurement error helps discovery, and when it hurts: simulated items and answers.

Random linear-Gaussian value graphs; items answered yes with probability σ(3 (V − b)), thresholds b over ±1.5,
as those of the built-in respondent; scores as axiograph makes them. For every setting the mean structural
Hamming distance (SHD) to the true CPDAG, with its standard error over the graphs, at alpha 0.05 and 0.01.

    python benchmarks/disattenuation.py [--graphs 100]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph, shd
from axiograph.discovery.matrix.corrections import Disattenuation
from axiograph.discovery.pc.kernel import cpdag
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import AxiographError

OUT = Path(__file__).parent / "results" / "disattenuation.md"
SIZES = ((8, 12), (8, 4), (17, 8))
ROLES = (100, 250, 500, 1000, 2000)
ALPHAS = (0.05, 0.01)
ANSWERS = ("one sample an item", "three samples an item", "greedy", "log-odds")
COLUMNS = (
    "true values",
    "scores",
    "corrected by items",
    "by items, all roles counted",
    "corrected by repeats",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=100)
    graphs = parser.parse_args().graphs
    started = time.perf_counter()
    sections = [_section(answers, values, items, graphs) for answers in ANSWERS for values, items in SIZES]
    OUT.write_text(_header(graphs, time.perf_counter() - started) + "\n".join(sections))
    print(OUT.read_text())


def random_graph(rng: np.random.Generator, values: int) -> tuple[np.ndarray, CausalGraph]:
    """(correlations, CPDAG) of a standardised linear model with two edges a value on average."""
    correlation = np.eye(values)
    for i in range(1, values):
        weights = rng.uniform(0.35, 0.7, i) * rng.choice([-1, 1], i) * (rng.random(i) < 4 / (values - 1) / 2)
        explained = weights @ correlation[:i, :i] @ weights
        if explained > 0.75:
            weights *= np.sqrt(0.75 / explained)
        correlation[i, :i] = correlation[:i, i] = correlation[:i, :i] @ weights
    # PC on the exact correlations of very many rows gives the CPDAG of the graph.
    return correlation, CausalGraph(_names(values), cpdag(correlation, 10**9, 1e-6).marks)


def answered(rng: np.random.Generator, scores: np.ndarray, items: int, answers: str) -> np.ndarray:
    """[repeats, roles, values, items] item scores of the values `scores` [roles, values]."""
    log_odds = 3 * (scores[:, :, None] - np.linspace(-1.5, 1.5, items))
    if answers == "greedy":
        return np.sign(log_odds)[None]
    if answers == "log-odds":
        return np.tanh(log_odds / 2)[None]
    repeats = 3 if answers.startswith("three") else 1
    yes = rng.random((repeats, *log_odds.shape)) < 1 / (1 + np.exp(-log_odds))
    return np.where(yes, 1.0, -1.0)


def distances(seed: int, values: int, items: int, roles: int, alpha: float, answers: str) -> dict[str, float]:
    """SHD of each way to the truth; `reliability` and `projected` of the correction by items."""
    rng = np.random.default_rng(seed)
    correlation, truth = random_graph(rng, values)
    true = rng.multivariate_normal(np.zeros(values), correlation, size=roles, method="cholesky")
    given = answered(rng, true, items, answers)
    names, everyone = _names(values), np.arange(roles)
    data = given.mean(axis=(0, 3))
    by_item = Disattenuation(
        data, given.mean(axis=0).reshape(roles, -1), np.repeat(np.arange(values), items), values
    )
    corrected = by_item.correlation(everyone)
    found = {
        "true values": pc(true, names, alpha),
        "scores": pc(data, names, alpha),
        "corrected by items": pc(data, names, alpha, correlation=corrected.matrix, n=corrected.rows(roles)),
        "by items, all roles counted": pc(data, names, alpha, correlation=corrected.matrix),
    }
    if len(given) > 1:
        repeats = given.mean(axis=3).transpose(1, 2, 0).reshape(roles, -1)
        of_repeats = Disattenuation(data, repeats, np.repeat(np.arange(values), len(given)), values)
        other = of_repeats.correlation(everyone)
        found["corrected by repeats"] = pc(data, names, alpha, correlation=other.matrix, n=other.rows(roles))
    result = {name: float(shd(one.graph, truth)) for name, one in found.items() if one.graph.names == names}
    return result | {
        "reliability": float(np.nanmean(by_item.reliability(everyone))),
        "projected": float(corrected.projected),
    }


def _section(answers: str, values: int, items: int, graphs: int) -> str:
    lines = [
        f"## {answers[0].upper()}{answers[1:]}: {values} values, {items} items each",
        "",
        f"| roles | alpha | reliability | {' | '.join(COLUMNS)} | projected | failed |",
        "|---|---|---|" + "---|" * (len(COLUMNS) + 2),
    ]
    for roles in ROLES:
        for alpha in ALPHAS:
            lines.append(_row(answers, values, items, roles, alpha, graphs))
    return "\n".join(lines) + "\n"


def _row(answers: str, values: int, items: int, roles: int, alpha: float, graphs: int) -> str:
    runs, failed = [], 0
    for seed in range(graphs):
        try:
            runs.append(distances(seed, values, items, roles, alpha, answers))
        except AxiographError:
            failed += 1
    cells = []
    for name in COLUMNS:
        found = np.array([run[name] for run in runs if name in run])
        cells.append(f"{found.mean():.2f} ± {found.std() / len(found) ** 0.5:.2f}" if len(found) else "–")
    reliability = np.mean([run["reliability"] for run in runs])
    projected = int(sum(run["projected"] for run in runs))
    return f"| {roles} | {alpha:g} | {reliability:.2f} | {' | '.join(cells)} | {projected} | {failed} |"


def _names(values: int) -> tuple[str, ...]:
    return tuple(f"v{k}" for k in range(values))


def _header(graphs: int, seconds: float) -> str:
    return f"""# Correction for measurement error: when it helps, when it hurts

`python benchmarks/disattenuation.py --graphs {graphs}`, {seconds:.0f} s on one core; Python \
{platform.python_version()}, numpy {np.__version__}.

{_DESCRIPTION}
"""


_DESCRIPTION = (
    "\n".join(__doc__.splitlines()[2:5])
    + """
"True values" is PC on the values themselves: what sampling roles costs. "Scores" is axiograph's default.
"Corrected by items" and "by repeats" are `discovery.correction: items` and `repeats`; tests count
n × mean ρ_i ρ_j roles. "All roles counted" is the same with n roles, as a naive use of corrected correlations
would have it. Projected: graphs in which the corrected matrix had to be made positive definite. The same
graphs in every row.
"""
)


if __name__ == "__main__":
    main()
