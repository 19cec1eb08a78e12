"""How many roles are enough, by a rule that may also say that it is not known.

A number of roles of the sweep is enough where both hold with 95 % over planted graphs: the mean skeleton F1
of the graph is GOOD or more, and more roles mend at most FLAT of the planted edges (mean SHD, of the same
planted graphs). It is too few where one of them fails as surely; between, it is open. The last number of the
sweep has none above it and cannot be called enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.comparison.agreement import shd
from axiograph.discovery.numerics.arrays import CountArray, FloatArray

GOOD = 0.8
FLAT = 0.05  # of the planted edges
FEWEST_GRAPHS = 20
RULE = (
    f"enough: the fewest roles of the sweep at which the skeleton F1 of the graph is {GOOD:g} or more and\n"
    f"more roles mend at most {FLAT:.0%} of the planted edges, both surely (95 %) over the planted graphs"
)
ENOUGH, TOO_FEW, OPEN = "enough", "too few", "open"
_COUNTS = ("graph_edges", "reference_edges", "shared_edges", "differing_marks")
_Z = 2.0  # standard errors: 95 % with 20 graphs or more
Row = dict[str, Any]


def recommend(graphs: pl.DataFrame) -> Row:
    """By RULE, from the table of graphs (discovery.calibration.planted_studies).

    `verdict`: enough (`roles` of them), too few (all numbers of the sweep), open. `surely_too_few`: the
    largest number that is known not to suffice. `roles`: None where it is not "enough". `most`: the end of
    the sweep, None where no recommendation can be made: fewer than two numbers of roles. `graphs`: planted
    graphs behind it; with fewer than FEWEST_GRAPHS it is open. `rising`: with more roles than the best number
    SHD grows, which it does not on the values themselves: measurement error is then taken for edges."""
    scores, values = (_by_roles(graphs, which) for which in ("scores", "values"))
    sizes = sorted(scores)
    count = min((rows.height for rows in scores.values()), default=0)
    result: Row = {"rule": RULE, "graphs": count, "roles": None, "most": None, "surely_too_few": None}
    result |= {"verdict": OPEN, "rising": False}
    if len(sizes) < 2:
        return result
    result |= {"most": sizes[-1], "rising": _rises(scores) and not _rises(values)}
    if count < FEWEST_GRAPHS:
        return result
    states = {roles: _state(scores, roles) for roles in sizes}
    enough = [roles for roles in sizes if states[roles] == ENOUGH]
    short = [roles for roles in sizes if states[roles] == TOO_FEW and (not enough or roles < enough[0])]
    result["surely_too_few"] = short[-1] if short else None
    if enough:
        result |= {"verdict": ENOUGH, "roles": enough[0]}
    elif len(short) >= len(sizes) - 1:
        result |= {"verdict": TOO_FEW}
    return result


def _by_roles(graphs: pl.DataFrame, which: str) -> dict[int, pl.DataFrame]:
    done = graphs.filter((pl.col("which") == which) & pl.col("failed").is_null())
    return {int(key[0]): rows.sort("graph") for key, rows in done.group_by("roles")}


def _state(scores: dict[int, pl.DataFrame], roles: int) -> str:
    f1 = _f1(scores[roles])
    low, high = _bounds(f1)
    larger = [other for other in scores if other > roles]
    if high < GOOD:
        return TOO_FEW
    if not larger:
        return OPEN
    best = min(larger, key=lambda other: float(_distances(scores[other]).mean()))
    both = scores[roles].join(scores[best], on="graph", suffix="_best")
    mended = _distances(both) - _distances(both, "_best")
    allowed = FLAT * float(both["reference_edges"].to_numpy().mean())
    least, most = _bounds(mended)
    if least > allowed:
        return TOO_FEW
    return ENOUGH if low >= GOOD and most <= allowed else OPEN


def _rises(graphs: dict[int, pl.DataFrame]) -> bool:
    """Whether the mean SHD at the end of the sweep is above the least one by more than FLAT of the edges."""
    sizes = sorted(graphs)
    if len(sizes) < 2:
        return False
    means = [float(_distances(graphs[roles]).mean()) for roles in sizes]
    edges = float(graphs[sizes[-1]]["reference_edges"].to_numpy().mean())
    return means[-1] - min(means) > FLAT * edges


def _distances(rows: pl.DataFrame, suffix: str = "") -> FloatArray:
    counts: dict[str, CountArray] = {name: rows[f"{name}{suffix}"].to_numpy() for name in _COUNTS}
    return np.asarray(shd(counts), dtype=np.float64)


def _f1(rows: pl.DataFrame) -> FloatArray:
    """Of the skeleton, 1 where neither graph has an edge."""
    found, planted, shared = (rows[name].to_numpy().astype(np.float64) for name in _COUNTS[:3])
    return np.where(found + planted > 0, 2 * shared / np.maximum(found + planted, 1), 1.0)


def _bounds(numbers: FloatArray) -> tuple[float, float]:
    mean, error = float(numbers.mean()), float(numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return mean - _Z * error, mean + _Z * error
