"""Tables of profiles: the matrix that discovery works on, one row a role (or role and condition), and what it
leaves out; that like is compared with like (DESIGN 3); and the digest that names a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.identity import digest, digest_json

KEY_COLUMNS = ("role", "condition", "split")
PROVENANCE = ("backend", "dtype", "device")
MAX_NULL_SHARE = 0.2
MUCH_DROPPED = 0.1
"""Share of the roles that listwise deletion may cost without a warning."""


@dataclass(frozen=True)
class ProfileMatrix:
    """`data` [n_rows, n_columns] without gaps, the role of each row, and what was excluded for nulls.

    The columns are `values`, then `indicators` (pooled rows only). `groups` [n_rows]: the number of the role
    of each row, in the order in which roles appear; None where every row is a role of its own. `observed`
    [n_rows, n_columns]: false where a null was filled with the column's mean, which only pairwise and EM
    handling do; None where nothing was filled."""

    data: FloatArray
    roles: tuple[str, ...]
    values: tuple[str, ...]
    null_values: dict[str, float]
    """Value → share of rows without a score, for the values excluded for it."""
    dropped_roles: tuple[str, ...]
    """Roles with a row that was dropped: for a null (listwise), or for holding no score (pairwise, em)."""
    indicators: tuple[str, ...] = ()
    groups: IndexArray | None = None
    observed: BoolArray | None = None
    conditions: tuple[str, ...] = field(default=())
    """The condition of each row, pooled rows only."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return self.values + self.indicators

    @property
    def n_roles(self) -> int:
        """How many roles there are, whatever their rows."""
        return len(set(self.roles))


def profile_matrix(
    profiles: pl.DataFrame,
    max_null_share: float = MAX_NULL_SHARE,
    *,
    keep_gaps: bool = False,
    indicators: pl.DataFrame | None = None,
) -> ProfileMatrix:
    """Profiles as a complete matrix: one row per role, or per role and condition with `indicators`.

    The rule: a value that is null in more than `max_null_share` of the rows is excluded first; then every
    row with a null left is dropped (listwise deletion), or, if `keep_gaps`, every row without a score, and
    the gaps are filled and marked in `observed`. What is excluded is named in the result.
    `indicators`: column `condition`, one row a condition, and a numeric column per indicator, which is joined
    to the rows of that condition.

    Raises InputError for a missing `role` column, two rows of a role (and condition), no value column, a
    value column that is not numeric, an infinite or NaN score, an indicator with the name of a value, a
    condition without indicators, and where no row is left.
    """
    names = value_columns(profiles)
    _check_rows(profiles, ("role",) if indicators is None else ("role", "condition"))
    shares = {name: profiles[name].null_count() / max(1, profiles.height) for name in names}
    null_values = {name: share for name, share in shares.items() if share > max_null_share}
    values = [name for name in names if name not in null_values]
    enough = pl.any_horizontal if keep_gaps else pl.all_horizontal
    complete = profiles.filter(enough(pl.col(values).is_not_null())) if values else profiles.clear()
    if complete.is_empty():
        raise InputError(
            "profiles",
            "roles with a score on every value",
            f"none of {profiles.height} (values left out as mostly null: {len(null_values)} of {len(names)})",
            "Look at the refusal and unparsed rates of the run.",
        )
    scores = complete.select(values).cast(pl.Float64)
    design = None if indicators is None else _design(complete, indicators, names)
    filled = scores.select(pl.all().fill_null(pl.all().mean()))
    columns = filled if design is None else pl.concat([filled, design], how="horizontal")
    return ProfileMatrix(
        data=np.ascontiguousarray(columns.to_numpy(), dtype=np.float64),
        roles=tuple(complete["role"]),
        values=tuple(values),
        null_values=null_values,
        dropped_roles=_dropped(profiles, complete),
        indicators=() if design is None else tuple(design.columns),
        groups=None if design is None else _numbers(complete["role"]),
        observed=_observed(scores, 0 if design is None else design.width) if keep_gaps else None,
        conditions=() if design is None else tuple(complete["condition"].cast(pl.String)),
    )


def value_columns(profiles: pl.DataFrame) -> list[str]:
    """The value columns of a profiles table, in order. Raises InputError for those that hold no scores."""
    if "role" not in profiles.columns:
        raise InputError("profiles", "a column 'role'", f"{profiles.columns[:5]}", "Pass the profiles table.")
    names = [name for name in profiles.columns if name not in KEY_COLUMNS]
    if not names:
        raise InputError("profiles", "a column per value", "none", "Score the run first.")
    for name in names:
        dtype = profiles.schema[name]
        if not (dtype.is_numeric() or dtype == pl.Null):
            raise InputError(f"profiles, column {name!r}", "numbers", f"{dtype}", "Pass scores only.")
        if dtype.is_float() and profiles[name].is_finite().not_().any():
            raise InputError(
                f"profiles, column {name!r}",
                "finite scores or null",
                "NaN or infinity",
                "Missing scores are null.",
            )
    return names


def _check_rows(profiles: pl.DataFrame, key: tuple[str, ...]) -> None:
    missing = [name for name in key if name not in profiles.columns]
    if missing:
        raise InputError("profiles", f"a column {missing[0]!r}", "none", "Pass the profiles table of a run.")
    repeated = profiles.group_by(key).len().filter(pl.col("len") > 1).sort(key)
    if repeated.height:
        raise InputError(
            "profiles",
            f"one row per {' and '.join(key)}",
            f"{repeated.height} with several, for example {', '.join(map(repr, repeated.row(0)[:-1]))}",
            "Pass the rows of one condition only." if key == ("role",) else "Score the run again.",
        )


def _design(rows: pl.DataFrame, indicators: pl.DataFrame, values: list[str]) -> pl.DataFrame:
    """The indicator columns of each row."""
    names = [name for name in indicators.columns if name != "condition"]
    twice = sorted(set(names) & set(values))
    if twice:
        raise InputError(
            "indicators of the conditions",
            "names that no value has",
            f"{twice[0]!r}",
            "Name the steering or the hint differently.",
        )
    conditions = rows.select(pl.col("condition").cast(pl.String))
    joined = conditions.join(indicators, on="condition", how="left", maintain_order="left").select(names)
    unknown = conditions.filter(joined.select(pl.any_horizontal(pl.all().is_null())).to_series())
    if unknown.height:
        raise InputError(
            "indicators of the conditions",
            "every condition of the profiles",
            f"none for {unknown.item(0, 0)!r}",
            "Pass the profiles and the conditions of one study.",
        )
    return joined.cast(pl.Float64)


def _observed(scores: pl.DataFrame, indicators: int) -> BoolArray | None:
    """Where a score was given; None where all were."""
    observed = scores.select(pl.all().is_not_null()).to_numpy()
    if observed.all():
        return None
    return np.hstack([observed, np.ones((len(observed), indicators), dtype=bool)])


def _numbers(roles: pl.Series) -> IndexArray:
    order = {role: k for k, role in enumerate(roles.unique(maintain_order=True))}
    return np.array([order[role] for role in roles], dtype=np.int64)


def _dropped(profiles: pl.DataFrame, complete: pl.DataFrame) -> tuple[str, ...]:
    key = [name for name in ("role", "condition") if name in profiles.columns]
    dropped = profiles.join(complete, on=key, how="anti", maintain_order="left")
    return tuple(dropped["role"].unique(maintain_order=True))


def check_provenance(profiles: pl.DataFrame, provenance: pl.DataFrame, baseline: str) -> None:
    """Raise RunError unless every role's rows under a condition and under the baseline come from one and
    the same backend, dtype and device; InputError where a profile has no provenance."""
    missing = [name for name in ("role", "condition", *PROVENANCE) if name not in provenance.columns]
    if missing:
        raise InputError(
            "provenance", f"columns {missing}", "none of them", "Take it from the response store."
        )
    keys = profiles.select("role", "condition")
    worker = pl.concat_str(PROVENANCE, separator="/", ignore_nulls=False).fill_null("(unknown)")
    used = keys.join(provenance.with_columns(worker=worker), on=["role", "condition"], how="left")
    unknown = used.filter(pl.col("worker").is_null())
    if unknown.height:
        role, condition = unknown.select("role", "condition").row(0)
        raise InputError(
            f"provenance of role {role!r} under {condition!r}",
            "backend, dtype and device of its rows",
            "none",
            "Pass the provenance of every profile.",
        )
    base = used.filter(pl.col("condition") == baseline).select("role", base="worker")
    mixed = used.join(base, on="role").filter(pl.col("worker") != pl.col("base"))
    if mixed.height:
        row = mixed.sort("condition", "role").row(0, named=True)
        raise RunError(
            f"contrast of {row['condition']!r} with {baseline!r}, role {row['role']!r}",
            "answers of one backend, dtype and device",
            f"{row['worker']} and {row['base']}",
            "Sample the baseline through the same worker as the condition.",
        )


def profiles_digest(profiles: pl.DataFrame) -> str:
    """A digest of what a table of profiles says: its roles, conditions, values and scores, whatever the order
    of its rows. It names the table that a graph was made from. Raises InputError as `value_columns` does."""
    keys = [name for name in ("role", "condition") if name in profiles.columns]
    names = value_columns(profiles)
    ordered = profiles.sort(keys)
    scores = ordered.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    head = {"values": names, "keys": keys, "rows": ordered.select(keys).rows()}
    return digest(digest_json(head), np.ascontiguousarray(scores).tobytes()).hex()
