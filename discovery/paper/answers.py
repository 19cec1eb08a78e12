"""The published answers of the paper: a table of scores by steered feature and role, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.errors import InputError

_KEYS = ("steer_dim", "player_name")
_IGNORED = (*_KEYS, "stds", "scstds")


@dataclass(frozen=True)
class PublishedAnswers:
    """Published answers: `feature[k]` (None: unsteered) and `role[k]` (None: no role) of row k of `scores`
    [n_rows, n_values]; at most one row per feature and role."""

    path: Path
    feature: tuple[int | None, ...]
    role: tuple[str | None, ...]
    values: tuple[str, ...]
    scores: FloatArray

    def rows(self, feature: int | None) -> dict[str | None, FloatArray]:
        """Role → scores [n_values] under a feature, in file order."""
        return {r: s for f, r, s in zip(self.feature, self.role, self.scores, strict=True) if f == feature}

    def features(self) -> list[int]:
        """The steered features, in file order."""
        return [f for f in dict.fromkeys(self.feature) if f is not None]

    def reordered(self, values: tuple[str, ...]) -> PublishedAnswers:
        """The same answers with the value columns in the order of `values`; InputError if they differ."""
        if sorted(values) != sorted(self.values):
            differing = ", ".join(sorted(set(values) ^ set(self.values)))
            raise InputError(str(self.path), "the same values in every file", f"{differing}", "Check DIR.")
        order = [self.values.index(value) for value in values]
        return replace(self, values=values, scores=self.scores[:, order])

    def pooled(self, features: Sequence[int]) -> FloatArray:
        """[n_rows, n_values]: the unsteered rows and those of `features`, pooled in file order."""
        rows = [k for k, f in enumerate(self.feature) if f is None or f in features]
        return self.scores[rows]


def read_answers(path: Path) -> PublishedAnswers:
    """Read a CSV of `steer_dim, player_name`, a column per value; `:scstd` and `stds` columns are ignored.

    Raises InputError for a missing or unreadable file, missing columns, a score that is not a finite
    number, a feature that is not an integer, and two rows of one feature and role."""
    try:
        table = pl.read_csv(path, infer_schema=False)
    except OSError as error:
        raise InputError(
            str(path), "a file of published answers", f"{error.strerror or 'no such file'}", "Check DIR."
        ) from error
    except pl.exceptions.PolarsError as error:
        raise InputError(str(path), "a CSV table", str(error).splitlines()[0], "Check the file.") from error
    missing = [name for name in _KEYS if name not in table.columns]
    values = [name for name in table.columns if name not in _IGNORED and not name.endswith(":scstd")]
    if missing or not values:
        actual = f"no {' and no '.join(missing)}" if missing else "no value column"
        raise InputError(str(path), "columns steer_dim, player_name and values", actual, "Check the file.")
    feature = tuple(_feature(path, k, text) for k, text in enumerate(table["steer_dim"]))
    role = tuple(table["player_name"])
    _check_unique(path, feature, role)
    return PublishedAnswers(path, feature, role, tuple(values), _scores(path, table, values))


def _feature(path: Path, k: int, text: str | None) -> int | None:
    if text is None or text == "":
        return None
    try:
        number = float(text)
        if number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(
            f"{path}, line {k + 2}", "steer_dim empty or an integer", f"{text!r}", "Check the file."
        ) from None
    return int(number)


def _check_unique(path: Path, feature: Sequence[int | None], role: Sequence[str | None]) -> None:
    seen: set[tuple[int | None, str | None]] = set()
    for k, key in enumerate(zip(feature, role, strict=True)):
        if key in seen:
            raise InputError(
                f"{path}, line {k + 2}",
                "one row per steer_dim and player_name",
                f"{key} again",
                "Remove one.",
            )
        seen.add(key)


def _scores(path: Path, table: pl.DataFrame, values: Sequence[str]) -> FloatArray:
    numbers = table.select(values).cast(pl.Float64, strict=False)
    for name in values:
        bad = numbers.select(~pl.col(name).is_finite().fill_null(False)).to_series().arg_true()
        if len(bad):
            line, text = bad[0] + 2, table[name][bad[0]]
            raise InputError(
                f"{path}, line {line}, column {name!r}", "a score", f"{text!r}", "Remove or complete the row."
            )
    return np.ascontiguousarray(numbers.to_numpy())
