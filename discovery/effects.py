"""What changed under each condition and between roles, against what a graph expects (DESIGN 3, 13).

The only place that computes changes. A change is a paired difference: the same role under the condition
and under the baseline, from the same backend, dtype and device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.draws import ROUNDING, Draws, resampled_means
from discovery.graph import BoolArray, CausalGraph
from discovery.matrix import value_columns
from discovery.pc import FloatArray
from discovery.provenance import check_provenance
from engine.errors import InputError

BASELINE = "baseline"
MIN_PAIRS = 6  # with fewer, not even the exact sign test can reach 0.05
_MAX_REPLICATES = 20_000


class Relation(StrEnum):
    """What the graph says of another value when a value changed."""

    EXPECTED = "expected"
    POSSIBLE = "possible"
    UNEXPECTED = "unexpected"


_REASON = {
    Relation.EXPECTED: "no descendants",
    Relation.POSSIBLE: "no possible descendants",
    Relation.UNEXPECTED: "every other value is a descendant or a possible one",
}


@dataclass(frozen=True)
class Effects:
    """`changes`: a row per condition and value; `responses`: a row per condition, changed value and
    relation; `pairs`: a row per condition, changed value and other value. See `effects` for the columns."""

    changes: pl.DataFrame
    responses: pl.DataFrame
    pairs: pl.DataFrame
    baseline: str
    split: str | None
    level: float
    replicates: int
    smallest_p: float
    not_in_graph: tuple[str, ...]
    cycles: list[tuple[str, ...]]


def effects(
    profiles: pl.DataFrame,
    provenance: pl.DataFrame,
    graph: CausalGraph,
    *,
    split: str | None = "test",
    baseline: str = BASELINE,
    level: float = 0.05,
    replicates: int | None = None,
    seed: int = 0,
) -> Effects:
    """Which values every condition changed, and which of those changes the graph expects.

    `profiles`: role, condition, split and a column per value, null where missing. `provenance`: role,
    condition, backend, dtype, device, one row or more per profile. `split`: the roles to test on, None
    for all. `graph`: over some or all of the value columns; changes of the others are tested too, but
    have no relation (`not_in_graph`).

    `changes`: condition, value, pairs (roles with both scores), mean_difference (condition − baseline),
    low and high (percentile bootstrap over roles at 1 − level, pointwise), p, p_adjusted (Benjamini &
    Hochberg 1995 over all conditions × values), changed, adjusted_low and adjusted_high (for the changed
    ones, the FCR-adjusted interval of Benjamini & Yekutieli 2005, JASA 100: level × R / m, with R changed
    of m tests), direction (up, down; null if not changed), few_pairs (fewer than 6: the interval is not
    to be trusted). With fewer than two pairs p and changed are null.

    p inverts the percentile interval: 2 (1 + min(k₋, k₊)) / (B + 1), where k₋ of the B resampled means are
    ≤ 0 and k₊ ≥ 0. The interval at 1 − a has as its ends the order statistics floor(a (B + 1) / 2) from
    below and above, so it excludes 0 exactly where p ≤ a: changed ⇔ the adjusted interval excludes 0.

    `responses`: condition, value (a changed one), relation, n (others with this relation and a test),
    changed (how many of them), share (null where n is 0) and reason (why it is null).

    Raises InputError for a missing column, condition or split, unknown names in the graph, two rows of a
    role in a condition; RunError where a contrast would join rows of different provenance.
    """
    names = value_columns(profiles)
    _check_graph(graph, names)
    if not 0 < level < 1:
        raise InputError("level", "a level between 0 and 1", f"{level}", "0.05 is usual.")
    selected = _selected(profiles, split, baseline)
    check_provenance(selected, provenance, baseline)
    conditions = [c for c in selected["condition"].unique(maintain_order=True) if c != baseline]
    if not conditions:
        raise InputError(
            "profiles", f"a condition besides {baseline!r}", "none", "Add steering or a hint to the study."
        )
    differences = {c: _paired(selected, c, baseline, names) for c in conditions}
    draws = _draw_count(replicates, len(conditions) * len(names), level)
    drawn = {c: Draws.of(resampled_means(d, draws, seed), level) for c, d in differences.items()}
    tested = [_tested(c, names, differences[c], drawn[c], level) for c in conditions]
    changes = _adjusted(pl.concat(tested), drawn, names, level)
    pairs = _pairs(changes, graph)
    return Effects(
        changes=changes,
        responses=_responses(pairs),
        pairs=pairs,
        baseline=baseline,
        split=split,
        level=level,
        replicates=draws,
        smallest_p=2 / (draws + 1),
        not_in_graph=tuple(name for name in names if name not in graph.names),
        cycles=graph.cycles(),
    )


def between_roles(
    profiles: pl.DataFrame,
    graph: CausalGraph,
    *,
    reference: str,
    condition: str = BASELINE,
    split: str | None = "test",
) -> pl.DataFrame:
    """The paper's contrast between roles: any difference of a role to the reference role is a change.

    For every value of the graph and relation: `roles` (roles in which the value differs from the
    reference role), `n` (other values with the relation), `share` (the share of those roles in which the
    other value differs too, averaged over these others) and `reason` where share is null. There is no
    test here: a difference of one answer counts. Raises InputError as `effects` does."""
    _check_graph(graph, value_columns(profiles))
    selected = _selected(profiles, split, condition).filter(pl.col("condition") == condition)
    scores = selected.select(graph.names).cast(pl.Float64).to_numpy()
    roles = selected["role"].to_list()
    if reference not in roles:
        raise InputError(
            "reference role", f"a role of the {split} split", f"{reference!r}", "Name one of them."
        )
    differences = scores - scores[roles.index(reference)]
    rows = []
    for relation, members in relations(graph).items():
        shares = response_shares(differences, members)
        for k, value in enumerate(graph.names):
            others, count = int(members[k].sum()), int(moved(differences[:, k]).sum())
            reason = (
                _REASON[relation] if others == 0 else "the value differs in no role" if count == 0 else None
            )
            rows.append((value, str(relation), count, others, shares[k], reason))
    schema = {"value": pl.String, "relation": pl.String, "roles": pl.Int64, "n": pl.Int64}
    schema |= {"share": pl.Float64, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def relations(graph: CausalGraph) -> dict[Relation, BoolArray]:
    """[n, n] per relation: entry [j, k] is true where k has it when j changed. They share no pair, and
    together hold every pair j ≠ k."""
    definite, possible = graph.definite_descendants(), graph.possible_descendants()
    # Members of a directed cycle are in neither order for sure: mutually possible.
    rest = ~definite & ~possible & ~np.eye(len(graph.names), dtype=bool)
    return {Relation.EXPECTED: definite, Relation.POSSIBLE: possible, Relation.UNEXPECTED: rest}


def moved(differences: FloatArray, tolerance: float = ROUNDING) -> BoolArray:
    """True where a difference is known and not 0, up to `tolerance`."""
    with np.errstate(invalid="ignore"):
        return np.abs(differences) > tolerance


def sign_counts(
    differences: FloatArray, tolerance: float = ROUNDING
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Per column of [n_rows, n_values]: how many rows went up, went down, stayed. NaN is in none."""
    changed = moved(differences, tolerance)
    up, down = changed & (differences > 0), changed & (differences < 0)
    same = ~changed & ~np.isnan(differences)
    return up.sum(axis=0), down.sum(axis=0), same.sum(axis=0)


def response_shares(
    differences: FloatArray, members: BoolArray, tolerance: float = ROUNDING
) -> list[float | None]:
    """Per value j: the share of the rows where j moved in which k moved too, averaged over the k of
    members[j]; None where j never moved or no k has such a row.

    `differences` [n_rows, n_values], NaN where unknown; `members` [n_values, n_values]."""
    changed, known = moved(differences, tolerance), ~np.isnan(differences)
    shares: list[float | None] = []
    for j in range(changed.shape[1]):
        rows = changed[:, j]
        of = known[rows].sum(axis=0)
        chosen = np.flatnonzero(members[j] & (of > 0))
        shares.append(float(np.mean(changed[rows].sum(axis=0)[chosen] / of[chosen])) if chosen.size else None)
    return shares


def _draw_count(replicates: int | None, tests: int, level: float) -> int:
    """Enough draws that the smallest p can pass Benjamini–Hochberg alone, within reason."""
    if replicates is None:
        return int(np.clip(np.ceil(4 * tests / level), 2000, _MAX_REPLICATES))
    if replicates < 1:
        raise InputError("replicates", "at least 1", f"{replicates}", "2000 or more are usual.")
    return replicates


def _check_graph(graph: CausalGraph, names: Sequence[str]) -> None:
    unknown = [name for name in graph.names if name not in names]
    if unknown:
        raise InputError(
            "graph",
            "values that the profiles have",
            f"{', '.join(map(repr, unknown[:5]))}",
            "Use equal names.",
        )


def _selected(profiles: pl.DataFrame, split: str | None, baseline: str) -> pl.DataFrame:
    for name in ("condition", *(() if split is None else ("split",))):
        if name not in profiles.columns:
            raise InputError("profiles", f"a column {name!r}", "none", "Pass the profiles table.")
    selected = profiles if split is None else profiles.filter(pl.col("split") == split)
    if not (selected["condition"] == baseline).any():
        raise InputError(
            "profiles",
            f"rows of condition {baseline!r}" + ("" if split is None else f" in split {split!r}"),
            "none",
            "Run the baseline on these roles, or test on all roles.",
        )
    repeated = selected.filter(pl.struct("role", "condition").is_duplicated())
    if repeated.height:
        role, condition = repeated.select("role", "condition").row(0)
        raise InputError(
            "profiles",
            "one row per role and condition",
            f"several of {role!r}, {condition!r}",
            "Score again.",
        )
    return selected


def _paired(profiles: pl.DataFrame, condition: str, baseline: str, names: Sequence[str]) -> FloatArray:
    """[n_roles, n_values] condition − baseline, a row per role of the baseline, NaN without a pair."""
    columns = [pl.col(name).cast(pl.Float64) for name in names]
    before = profiles.filter(pl.col("condition") == baseline).select("role", *columns).sort("role")
    after = profiles.filter(pl.col("condition") == condition).select("role", *columns)
    joined = before.select("role").join(after, on="role", how="left", maintain_order="left")
    difference = joined.select(names).to_numpy() - before.select(names).to_numpy()
    return np.where(np.abs(difference) <= ROUNDING, 0.0, difference)


def _tested(
    condition: str, names: Sequence[str], differences: FloatArray, drawn: Draws, level: float
) -> pl.DataFrame:
    pairs = (~np.isnan(differences)).sum(axis=0)
    rows = []
    for k, name in enumerate(names):
        count = int(pairs[k])
        mean = float(np.nanmean(differences[:, k])) if count else None
        low, high = drawn.interval(k, level) if count >= 2 else (None, None)
        p = drawn.p(k) if count >= 2 else None
        rows.append((condition, name, count, mean, low, high, p, count < MIN_PAIRS))
    schema = {"condition": pl.String, "value": pl.String, "pairs": pl.Int64, "mean_difference": pl.Float64}
    schema |= {"low": pl.Float64, "high": pl.Float64, "p": pl.Float64, "few_pairs": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _adjusted(
    tested: pl.DataFrame, drawn: dict[str, Draws], names: Sequence[str], level: float
) -> pl.DataFrame:
    """Benjamini–Hochberg over all tests, and the FCR-adjusted intervals of the changed ones."""
    from statsmodels.stats.multitest import multipletests

    p = tested["p"].to_list()
    places = [i for i, value in enumerate(p) if value is not None]
    adjusted: list[float | None] = [None] * len(p)
    changed: list[bool | None] = [None] * len(p)
    if places:
        reject, corrected, *_ = multipletests([p[i] for i in places], alpha=level, method="fdr_bh")
        for i, rejected, value in zip(places, reject, corrected, strict=True):
            changed[i], adjusted[i] = bool(rejected), float(value)
    share = level * sum(flag is True for flag in changed) / max(1, len(places))
    ends: list[tuple[float | None, float | None]] = [
        drawn[condition].interval(names.index(value), share) if flag else (None, None)
        for flag, condition, value in zip(changed, tested["condition"], tested["value"], strict=True)
    ]
    direction = pl.when(pl.col("changed")).then(
        pl.when(pl.col("mean_difference") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
    )
    return tested.with_columns(
        pl.Series("p_adjusted", adjusted, pl.Float64),
        pl.Series("changed", changed, pl.Boolean),
        pl.Series("adjusted_low", [low for low, _ in ends], pl.Float64),
        pl.Series("adjusted_high", [high for _, high in ends], pl.Float64),
    ).with_columns(direction=direction)


def _pairs(changes: pl.DataFrame, graph: CausalGraph) -> pl.DataFrame:
    """A row per condition, changed value and other value of the graph, with its relation."""
    index = {name: i for i, name in enumerate(graph.names)}
    members = relations(graph)
    rows = []
    for (condition,), part in changes.group_by("condition", maintain_order=True):
        flags = dict(part.select("value", "changed").iter_rows())
        for value in (name for name in graph.names if flags[name]):
            for other in (name for name in graph.names if name != value):
                j, k = index[value], index[other]
                relation = next(r for r, mask in members.items() if mask[j, k])
                rows.append((condition, value, other, str(relation), flags[other]))
    columns = ("condition", "value", "other", "relation")
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(columns, pl.String)
    return pl.DataFrame(rows, schema=schema | {"changed": pl.Boolean}, orient="row")


def _responses(pairs: pl.DataFrame) -> pl.DataFrame:
    """Per condition, changed value and relation: how many of the others changed, or why none could."""
    rows = []
    for (condition, value), part in pairs.group_by("condition", "value", maintain_order=True):
        for relation in Relation:
            of = part.filter(pl.col("relation") == relation)
            tested = of["changed"].drop_nulls()
            n, changed = len(tested), int(tested.sum())
            reason = None
            if n == 0:
                reason = "too few pairs in all of them" if of.height else _REASON[relation]
            rows.append((condition, value, str(relation), n, changed, changed / n if n else None, reason))
    schema = {"condition": pl.String, "value": pl.String, "relation": pl.String, "n": pl.Int64}
    schema |= {"changed": pl.Int64, "share": pl.Float64, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
