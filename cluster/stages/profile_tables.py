"""Tables of profiles from outside: files and frames with one row per role and one column per value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from axiograph.engine.errors import InputError

LABELS = ("role", "condition", "split")


def read_profiles(source: pl.DataFrame | Path | str | Any) -> pl.DataFrame:
    """A table of profiles: a CSV or Parquet file, or a frame (Polars or pandas).

    The columns role, condition and split are optional; rows get numbers for role names otherwise. Raises
    InputError for a file that cannot be read, a value named twice, and columns that hold no numbers."""
    if not isinstance(source, Path | str):
        return _checked(source if isinstance(source, pl.DataFrame) else pl.DataFrame(source), "profiles")
    path = Path(source)
    where = f"profile table {path}"
    try:
        table = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, infer_schema_length=None)
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            where, "a CSV or Parquet table", str(error).splitlines()[0], "Check the file."
        ) from error
    if path.suffix != ".parquet":
        _check_header(path, where)
    return _checked(table, where)


def _checked(table: pl.DataFrame, where: str) -> pl.DataFrame:
    """With role names and numbers. InputError for columns that hold none."""
    names = [name for name in table.columns if name not in LABELS]
    texts = [name for name in names if not table[name].dtype.is_numeric()]
    if texts or not names:
        raise InputError(
            where,
            "one column of numbers per value",
            ", ".join(texts[:3]) or "no column",
            "Remove the others.",
        )
    if "role" not in table.columns:
        table = table.with_columns(role=pl.int_range(1, pl.len() + 1).cast(pl.String))
    return table.with_columns(pl.col(names).cast(pl.Float64))


def _check_header(path: Path, where: str) -> None:
    """Polars renames the second of two columns of one name, which would become a value of its own."""
    names = pl.read_csv(path, has_header=False, n_rows=1, infer_schema=False).row(0)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            where, "every value named once", f"{twice[0]!r} twice", "Rename or remove one column."
        )
