"""The parts of every score of a matrix, items or repeats, aligned with its rows: for `disattenuation`."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from discovery.disattenuation import Disattenuation
from discovery.matrix import ProfileMatrix
from engine.errors import InputError

Part = Literal["item", "repeat"]


def disattenuation(matrix: ProfileMatrix, parts: pl.DataFrame, what: Part) -> Disattenuation:
    """The correction of this matrix by the `parts` of its scores: role, condition, value, part, score.

    `what` the parts are, for messages. Parts of rows that the matrix does not have are not
    used. Raises InputError where a value has fewer than two parts, or several conditions have parts of a role
    although the matrix has one row a role."""
    rows = pl.DataFrame({"role": matrix.roles, "row": range(len(matrix.roles))})
    key = ["role"]
    if matrix.conditions:
        rows, key = rows.with_columns(condition=pl.Series(matrix.conditions)), ["role", "condition"]
    used = parts.with_columns(pl.col("value").cast(pl.String)).filter(pl.col("value").is_in(matrix.values))
    used = used.join(rows, on=key, how="inner")
    if used.select(pl.struct("row", "value", "part").is_duplicated().any()).item():
        raise InputError(
            f"{what}s of the scores",
            "those of one condition",
            "several scores of one role, value and part",
            f"Pass the {what}s of the baseline only.",
        )
    order = {name: k for k, name in enumerate(matrix.values)}
    columns = used.select("value", "part").unique().sort("part")
    columns = columns.with_columns(owner=pl.col("value").replace_strict(order, return_dtype=pl.Int64))
    columns = columns.sort("owner", "part", maintain_order=True).with_row_index("column")
    _check_counts(matrix, columns, what)
    cells = used.join(columns, on=["value", "part"])
    table = np.full((len(matrix.roles), columns.height), np.nan)
    table[cells["row"].to_numpy(), cells["column"].to_numpy()] = cells["score"].to_numpy()
    return Disattenuation(matrix.data, table, columns["owner"].to_numpy(), len(matrix.values))


def _check_counts(matrix: ProfileMatrix, columns: pl.DataFrame, what: Part) -> None:
    counts = dict(columns.group_by("value").len().iter_rows())
    few = [name for name in matrix.values if counts.get(name, 0) < 2]
    if few:
        remedy = "Give them more items." if what == "item" else "Set sampling.repeats to 2 or more."
        raise InputError(
            "correction for measurement error",
            f"at least two {what}s for every value",
            f"{counts.get(few[0], 0)} for {few[0]!r}" + (f" and {len(few) - 1} more" if few[1:] else ""),
            f"{remedy} Or leave the correction off.",
        )
