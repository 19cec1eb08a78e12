"""Monotone trends: does a value rise or fall with the strength of a sweep, beyond chance over roles?

Within every role: Kendall's tau-a between strength and score (Mann 1945: pairs of strengths at which the
score rises, less those at which it falls, over all pairs; ties count 0, a missing score shortens the row).
Then over roles: the mean tau, tested by flipping the signs of the roles' taus (Fisher's randomisation test).

Page's L and Jonckheere's test were not taken: they shuffle the strengths within a role, as if the answers at
neighbouring strengths were unrelated. Steered answers are not: a role that drifts, drifts through all
strengths. Then these tests find trends in noise (tests/discovery/test_trends.py has the rates), while signs
of roles only need that a role would as soon fall as rise. They also need complete rows without ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.changes import benjamini_hochberg, draw_count
from discovery.draws import ROUNDING, RoleDraws, percentile_range
from discovery.pc import FloatArray

MIN_STRENGTHS = 3
_CHUNK_CELLS = 4_000_000
_EXACT_ROLES = 14  # 2¹⁴ sign patterns are all tried
_STREAM = (3, 0)  # child seed of the sign flips


@dataclass(frozen=True, eq=False)
class Sweep:
    """`points`: rows of DOSE_SCHEMA by rising strength; `scores` [n_roles, n_points, n_values], NaN where
    missing."""

    name: str
    points: pl.DataFrame
    scores: FloatArray


def trend_table(
    sweeps: list[Sweep], names: list[str], level: float, resamples: int, seed: int
) -> pl.DataFrame:
    """A row per sweep and value: sweep, feature, unit, value, strengths (how many), roles (with two scores or
    more), tau (mean over them, in [−1, 1]), low and high (percentile interval at 1 − level over `resamples`
    draws of the roles), p (two-sided), p_adjusted (Benjamini–Hochberg over all rows), trend: rising or
    falling where p_adjusted ≤ level, else none (not shown), null where not tested, and reason says why."""
    taus = [kendall(sweep.scores) for sweep in sweeps]
    flat = np.concatenate(taus, axis=1) if taus else np.zeros((0, 0))
    roles = (~np.isnan(flat)).sum(axis=0)
    strengths = np.repeat([len(sweep.points) for sweep in sweeps], len(names)).astype(np.int64)
    tested = (strengths >= MIN_STRENGTHS) & (roles >= 2)
    tau = np.where(roles > 0, np.nansum(flat, axis=0) / np.maximum(roles, 1), np.nan)
    draws = RoleDraws.of(len(flat), resamples, seed)
    low, high = percentile_range(draws.means(flat).T, level) if flat.size else (tau, tau)
    p = np.where(tested, sign_flip_p(flat, draw_count(None, int(tested.sum()), level), seed), np.nan)
    p_adjusted, shown = benjamini_hochberg(p, level)
    label = np.where(shown, np.where(tau > 0, "rising", "falling"), "none")
    reason = np.where(
        strengths < MIN_STRENGTHS, f"fewer than {MIN_STRENGTHS} strengths", "fewer than 2 roles"
    )
    keys = [(s.name, s.points["feature"][0], s.points["unit"][0], name) for s in sweeps for name in names]
    head = {"sweep": pl.String, "feature": pl.Int64, "unit": pl.String, "value": pl.String}
    return pl.DataFrame(keys, schema=head, orient="row").with_columns(
        pl.Series("strengths", strengths, dtype=pl.Int64),
        pl.Series("roles", roles, dtype=pl.Int64),
        *(
            pl.Series(name, np.where(tested, column, np.nan), dtype=pl.Float64).fill_nan(None)
            for name, column in (
                ("tau", tau),
                ("low", low),
                ("high", high),
                ("p", p),
                ("p_adjusted", p_adjusted),
            )
        ),
        pl.Series("trend", [a if t else None for a, t in zip(label, tested, strict=True)], dtype=pl.String),
        pl.Series("reason", [None if t else r for r, t in zip(reason, tested, strict=True)], dtype=pl.String),
    )


def kendall(scores: FloatArray) -> FloatArray:
    """[n_roles, n_values]: Kendall's tau-a of each role's scores [n_roles, n_points, n_values] with the order
    of the points; NaN where fewer than two are known."""
    roles, points, values = scores.shape
    total, pairs = np.zeros((roles, values)), np.zeros((roles, values))
    for a, b in combinations(range(points), 2):
        step = scores[:, b] - scores[:, a]
        known = ~np.isnan(step)
        total += np.where(known & (np.abs(step) > ROUNDING), np.sign(np.where(known, step, 0.0)), 0.0)
        pairs += known
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def sign_flip_p(taus: FloatArray, draws: int, seed: int) -> FloatArray:
    """[m]: two-sided p of the sums of the columns of [n_roles, m] under random signs of the rows, NaN left
    out. Over all patterns of signs where there are few, else (1 + as extreme) / (1 + draws)."""
    values = np.nan_to_num(taus, nan=0.0)
    observed = np.abs(values.sum(axis=0)) - 1e-9  # sums of the same numbers in another order are equal
    exact = len(values) <= _EXACT_ROLES
    total = 2 ** len(values) if exact else draws
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_STREAM))
    extreme = np.zeros(values.shape[1], np.int64)
    step = max(1, _CHUNK_CELLS // max(1, max(values.shape)))
    for start in range(0, total, step):
        count = min(step, total - start)
        signs = _patterns(start, count, len(values)) if exact else rng.integers(0, 2, (count, len(values)))
        extreme += (np.abs((2.0 * signs - 1.0) @ values) >= observed).sum(axis=0)
    return extreme / total if exact else (1 + extreme) / (1 + total)


def _patterns(start: int, count: int, roles: int) -> NDArray[np.int64]:
    """[count, roles]: the bits of the numbers from `start`."""
    return (np.arange(start, start + count)[:, None] >> np.arange(roles)) & 1
