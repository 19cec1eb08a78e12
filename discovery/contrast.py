"""The paper's contrast: any difference of a row is a change. Between roles, and shares of rows that moved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.draws import ROUNDING, RoleDraws, mean_of_known, percentile_range
from discovery.graph import BoolArray, CausalGraph
from discovery.matrix import value_columns
from discovery.pairing import BASELINE, check_graph, check_level, select_roles
from discovery.pc import FloatArray
from discovery.relations import REASON, Relation, Source, relations
from engine.errors import InputError


def between_roles(
    profiles: pl.DataFrame,
    graph: CausalGraph,
    *,
    reference: str,
    condition: str = BASELINE,
    split: str | None = "test",
    level: float = 0.05,
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """The paper's contrast between roles: any difference of a role to the reference role is a change.

    For every value of the graph and relation: `roles` (roles in which the value differs from the
    reference role), `n` (other values with the relation), `share` (the share of those roles in which the
    other value differs too, averaged over these others), `low` and `high` (its interval at 1 − level over the
    other roles, the graph and the reference role fixed: `resamples` draws with replacement, their spread
    placed around the share) and `reason` where share is null. There is no
    test here: a difference of one answer counts. Raises InputError as `effects` does."""
    check_graph(graph, value_columns(profiles))
    check_level(level)
    selected = select_roles(profiles, split, condition).filter(pl.col("condition") == condition)
    scores = selected.sort("role").select(graph.names).cast(pl.Float64).to_numpy()
    roles = selected["role"].sort().to_list()
    if reference not in roles:
        raise InputError(
            "reference role", f"a role of the {split} split", f"{reference!r}", "Name one of them."
        )
    place = roles.index(reference)
    differences = np.delete(scores - scores[place], place, axis=0)
    members = relations(graph)
    drawn = _drawn_shares(differences, members, RoleDraws.of(len(differences), resamples, seed))
    counts = moved(differences).sum(axis=0)
    rows = []
    for relation, mask in members.items():
        shares = response_shares(differences, mask)
        for k, value in enumerate(graph.names):
            others, share = int(mask[k].sum()), shares[k]
            ends = (None, None) if share is None else _around(share, drawn[relation][k], level)
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
    changed, known = moved(differences), ~np.isnan(differences)
    n = differences.shape[1]
    found = {relation: np.full((n, len(draws)), np.nan) for relation in members}
    for j in range(n):
        rows = draws.of_roles(changed[:, j])
        both = rows.sums(changed[changed[:, j]].astype(np.float64))
        of = rows.sums(known[changed[:, j]].astype(np.float64))
        shares = np.where(of > 0, both / np.maximum(of, 1), np.nan)
        for relation, mask in members.items():
            found[relation][j] = mean_of_known(shares[:, mask[j]])
    return found


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
