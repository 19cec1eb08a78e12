"""The paper's contrast, in which any difference of a score is a change, without a test.

Between roles, on baseline profiles; and its Table 1: how many roles a condition raised, lowered or left
unchanged, and whether training and test roles agree in that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import BASELINE, Pairing, check_graph, select_roles
from axiograph.discovery.effects.relations import REASON, Relation, Source, relations
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.numerics.intervals import ROUNDING, RoleDraws, mean_of_known, percentile_range
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import EffectsSpec
from axiograph.engine.study.split import TEST, TRAIN


def between_roles(
    profiles: pl.DataFrame,
    graph: CausalGraph,
    reference: str,
    spec: EffectsSpec = EffectsSpec(),
    *,
    split: str | None = "test",
) -> pl.DataFrame:
    """The paper's contrast between roles on baseline profiles: any difference of a role to the `reference`
    role is a change. `split`: the part of the roles that is compared, None for all; of `spec` count level,
    resamples and seed.

    For every value of the graph and relation: `roles` (roles in which the value differs from the
    reference role), `n` (other values with the relation), `share` (the share of those roles in which the
    other value differs too, averaged over these others), `low` and `high` (its interval at 1 − level over the
    other roles, the graph and the reference role fixed: `resamples` draws with replacement, their spread
    placed around the share) and `reason` where share is null. There is no
    test here: a difference of one answer counts. Raises InputError as `effects` does."""
    check_graph(graph, value_columns(profiles))
    selected = select_roles(profiles, split, BASELINE).filter(pl.col("condition") == BASELINE)
    scores = selected.sort("role").select(graph.names).cast(pl.Float64).to_numpy()
    roles = selected["role"].sort().to_list()
    if reference not in roles:
        raise InputError(
            "reference role", f"a role of the {split} split", f"{reference!r}", "Name one of them."
        )
    row = roles.index(reference)
    differences = np.delete(scores - scores[row], row, axis=0)
    members = relations(graph)
    drawn = _drawn_shares(differences, members, RoleDraws.of(len(differences), spec.resamples, spec.seed))
    counts = moved(differences).sum(axis=0)
    rows = []
    for relation, mask in members.items():
        shares = response_shares(differences, mask)
        for k, value in enumerate(graph.names):
            others, share = int(mask[k].sum()), shares[k]
            ends = (None, None) if share is None else _around(share, drawn[relation][k], spec.level)
            reason = None if share is not None else _why(relation, others, int(counts[k]))
            rows.append((value, str(relation), int(counts[k]), others, share, *ends, reason))
    schema = {"value": pl.String, "relation": pl.String, "roles": pl.Int64, "n": pl.Int64}
    schema |= dict.fromkeys(("share", "low", "high"), pl.Float64) | {"reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _why(relation: Relation, others: int, moved_roles: int) -> str:
    if others == 0:
        return REASON[Source.GRAPH, relation]
    return "the value differs in no role" if moved_roles == 0 else "no other is known in these roles"


def _around(share: float, draws: FloatArray, level: float) -> tuple[float | None, float | None]:
    low, high = percentile_range(draws - mean_of_known(draws) + share, level)
    return (None, None) if np.isnan(low) else (max(0.0, float(low)), min(1.0, float(high)))


def _drawn_shares(
    differences: FloatArray, members: Mapping[Relation, BoolArray], draws: RoleDraws
) -> dict[Relation, FloatArray]:
    """Per relation [n_values, draws]: `response_shares` of every draw of the rows; NaN where it is None."""
    changed, scored = moved(differences), ~np.isnan(differences)
    n = differences.shape[1]
    drawn = {relation: np.full((n, len(draws)), np.nan) for relation in members}
    for j in range(n):
        rows = draws.of_roles(changed[:, j])
        both = rows.sums(changed[changed[:, j]].astype(np.float64))
        of = rows.sums(scored[changed[:, j]].astype(np.float64))
        shares = np.where(of > 0, both / np.maximum(of, 1), np.nan)
        for relation, mask in members.items():
            drawn[relation][j] = mean_of_known(shares[:, mask[j]])
    return drawn


def moved(differences: FloatArray, tolerance: float = ROUNDING) -> BoolArray:
    """True where a difference is known and not 0, up to `tolerance`."""
    with np.errstate(invalid="ignore"):
        return np.abs(differences) > tolerance


def sign_counts(
    differences: FloatArray, tolerance: float = ROUNDING
) -> tuple[IndexArray, IndexArray, IndexArray]:
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
    changed, scored = moved(differences, tolerance), ~np.isnan(differences)
    shares: list[float | None] = []
    for j in range(changed.shape[1]):
        rows = changed[:, j]
        of = scored[rows].sum(axis=0)
        chosen = np.flatnonzero(members[j] & (of > 0))
        shares.append(float(np.mean(changed[rows].sum(axis=0)[chosen] / of[chosen])) if chosen.size else None)
    return shares


Triples = dict[tuple[str, str], tuple[int, int, int]]
"""By condition and value: roles raised, lowered, unchanged."""
_STATES = ("raised", "lowered", "unchanged")
_COLUMNS = {part: [f"{part}_{state}" for state in _STATES] for part in (TRAIN, TEST)}


def sign_table(
    profiles: pl.DataFrame, names: list[str], baseline: str, tolerance: float = ROUNDING
) -> pl.DataFrame:
    """A row per condition and value: condition, value, train_raised, train_lowered, train_unchanged, test_…
    (roles whose score is above, below or, up to `tolerance`, equal to their own baseline score; null where
    none has both), similarity (cosine of the two triples, as in the published Table 1; null without both)."""
    triples = {part: _counts(profiles, part, names, baseline, tolerance) for part in _COLUMNS}
    asked = profiles["condition"].unique(maintain_order=True)
    return counted_table([condition for condition in asked if condition != baseline], names, triples)


def counted_table(conditions: list[str], names: list[str], triples: dict[str, Triples]) -> pl.DataFrame:
    """`sign_table` of counts that are known already, by part of the roles; null where a part has none."""
    rows = []
    for condition, name in [(condition, name) for condition in conditions for name in names]:
        by_part = {part: triples[part].get((condition, name)) for part in _COLUMNS}
        train, test = by_part[TRAIN], by_part[TEST]
        both = train is not None and test is not None
        cells = [n for part in _COLUMNS for n in (by_part[part] or (None, None, None))]
        alike = _cosine(np.array(train, float), np.array(test, float)) if both else None
        rows.append((condition, name, *cells, alike))
    schema: dict[str, type[pl.DataType]] = {"condition": pl.String, "value": pl.String}
    schema |= {column: pl.Int64 for columns in _COLUMNS.values() for column in columns}
    return pl.DataFrame(rows, schema=schema | {"similarity": pl.Float64}, orient="row")


def sign_similarity(counts: pl.DataFrame) -> pl.DataFrame:
    """A row per condition of `sign_table`: condition, values (with a similarity), mean_similarity (the
    published "Mean Similarity"), similarity (cosine over the triples of all these values joined)."""
    rows: list[tuple[object, ...]] = []
    for (condition,), group in counts.group_by("condition", maintain_order=True):
        compared = group.drop_nulls("similarity")
        if compared.is_empty():
            rows.append((condition, 0, None, None))
            continue
        train, test = (
            compared.select(columns).to_numpy().astype(float).ravel() for columns in _COLUMNS.values()
        )
        rows.append(
            (
                condition,
                compared.height,
                float(compared["similarity"].to_numpy().mean()),
                _cosine(train, test),
            )
        )
    schema = {"condition": pl.String, "values": pl.Int64, "mean_similarity": pl.Float64}
    return pl.DataFrame(rows, schema=schema | {"similarity": pl.Float64}, orient="row")


def _counts(profiles: pl.DataFrame, part: str, names: list[str], baseline: str, tolerance: float) -> Triples:
    """Counts by condition and value, of the conditions and values that roles of the part have."""
    selected = profiles.filter(pl.col("split") == part)
    if selected.is_empty() or not (selected["condition"] != baseline).any():
        return {}
    pairing = Pairing(selected, baseline, names)
    triples = {}
    for condition in pairing.conditions:
        up, down, same = sign_counts(pairing.differences(condition), tolerance)
        for k, name in enumerate(names):
            if up[k] + down[k] + same[k]:
                triples[condition, name] = (int(up[k]), int(down[k]), int(same[k]))
    return triples


def _cosine(one: FloatArray, other: FloatArray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))
