"""How often edges and arrows were right in planted graphs, by the number of values and of roles: a table
that is shipped, made once by benchmarks/arrow_accuracy.py with the default settings of each algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

from axiograph.discovery.verdict.evidence import FREQUENT

ANSWERS = "answers"  # yes and no to items, as the built-in respondent gives them: what users have
LEAST = 20  # frequent arrows that shares of them are given for
_FARTHEST = 1.6  # a cell serves numbers of values up to this factor from its own


@dataclass(frozen=True)
class Accuracy:
    """Of one cell of the table, `values` × `roles`: of arrows in FREQUENT of the replicates or more, the
    shares that pointed the `right` way, were `reversed`, or joined what nothing joins (`none`), each None
    where fewer than LEAST were that frequent; `recall`: the share of true edges that were found."""

    values: int
    roles: int
    right: float | None
    reversed: float | None
    none: float | None
    recall: float


def expected_accuracy(algorithm: str, values: int, roles: int) -> Accuracy | None:
    """Of the cell with the nearest number of values and the largest number of roles that is no more than
    `roles`; None where none was simulated."""
    cells = [cell for cell in _cells(algorithm, values) if cell.roles <= roles]
    return max(cells, key=lambda cell: cell.roles) if cells else None


def roles_needed(algorithm: str, values: int, recall: float, right: float) -> int | None:
    """The smallest number of roles of the table at which so many true edges were found and so many arrows
    right; None where no cell reaches it."""
    enough = [
        cell.roles
        for cell in _cells(algorithm, values)
        if round(cell.recall, 2) >= recall and round(cell.right or 0.0, 2) >= right  # as they are printed
    ]
    return min(enough, default=None)


def accuracy_table() -> pl.DataFrame:
    """The table: algorithm, noise, values, roles, kind (arrow, adjacency: what was found, in bins of
    frequency from `low` to `high`; edges, arrows: what was planted), n, and how many of these were right,
    reversed, none (found), or right (planted and found)."""
    return pl.read_csv(files("axiograph.discovery.verdict").joinpath("accuracy.csv").read_bytes())


@cache
def _cells(algorithm: str, values: int) -> tuple[Accuracy, ...]:
    table = accuracy_table().filter((pl.col("algorithm") == algorithm) & (pl.col("noise") == ANSWERS))
    if table.is_empty():
        return ()
    sizes = table["values"].unique().to_numpy()
    nearest = int(sizes[np.argmin(np.abs(np.log(sizes / values)))])
    if max(nearest / values, values / nearest) > _FARTHEST:
        return ()
    chosen = table.filter(pl.col("values") == nearest)
    return tuple(_cell(nearest, int(roles), part) for (roles,), part in chosen.group_by("roles"))


def _cell(values: int, roles: int, part: pl.DataFrame) -> Accuracy:
    frequent = part.filter((pl.col("kind") == "arrow") & (pl.col("low") >= FREQUENT - 1e-9))
    planted = part.filter(pl.col("kind") == "edges")
    arrows = int(frequent["n"].sum())
    right, turned, none = (
        int(frequent[name].sum()) / arrows if arrows >= LEAST else None
        for name in ("right", "reversed", "none")
    )
    return Accuracy(values, roles, right, turned, none, int(planted["right"].sum()) / int(planted["n"].sum()))
