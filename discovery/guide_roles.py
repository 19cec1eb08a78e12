"""Roles as a way of steering: which role's profile lies nearest to what is wanted.

The best of many noisy profiles looks better than it is. So every score is drawn towards the mean over roles
by the reliability of its value's items (Kelley 1927, Interpretation of Educational Measurements, p. 178), and
the interval is that of the score on other items of the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from discovery.draws import percentile_range
from discovery.guide_levers import LeverKind
from discovery.guide_model import Prediction
from discovery.guide_proposal import Proposal, Reliability
from discovery.guide_search import Search
from discovery.pc import FloatArray

ANY = "any may differ"


@dataclass(frozen=True, eq=False)
class RoleScores:
    """`scores` and `errors` (squared standard errors over items) [n_roles, n_values], NaN where a role has
    fewer than two items; `reference`: the row that roles are compared with, None for the mean over roles."""

    roles: tuple[str, ...]
    names: tuple[str, ...]
    scores: FloatArray
    errors: FloatArray
    reference: int | None

    @classmethod
    def of(cls, parts: pl.DataFrame, names: Sequence[str], reference: str | None) -> RoleScores:
        """From engine.scores.part_scores of the baseline's items: role, value, part, score."""
        cells = parts.group_by("role", pl.col("value").cast(pl.String)).agg(
            score=pl.col("score").mean(), error=pl.col("score").var() / pl.len()
        )
        roles = tuple(cells["role"].unique().sort().to_list())
        frame = pl.DataFrame({"role": roles})
        tables = []
        for column in ("score", "error"):
            wide = cells.pivot(on="value", on_columns=list(names), index="role", values=column)
            joined = frame.join(wide, on="role", how="left", maintain_order="left")
            tables.append(joined.select(pl.col(names).fill_null(np.nan)).to_numpy())
        place = roles.index(reference) if reference in roles else None
        return cls(roles, tuple(names), tables[0], tables[1], place)

    def reliability(self) -> FloatArray:
        """[n_values]: the share of the variance over roles that is not the items' noise."""
        whole = np.nanvar(self.scores, axis=0, ddof=1)
        noise = np.nanmean(self.errors, axis=0)
        return np.clip(1 - np.divide(noise, whole, out=np.ones_like(whole), where=whole > 0), 0.0, 1.0)


def role_proposals(
    scores: RoleScores, search: Search, count: int, *, ratio: float, draws: int = 1000
) -> list[Proposal]:
    """The `count` roles of least cost. `ratio`: items of a value the roles were asked, for one that they will
    be judged by. Roles without a score on some wished value are left out."""
    rng = np.random.default_rng(np.random.SeedSequence(search.model.seed, spawn_key=(9,)))
    rho, mean = scores.reliability(), np.nanmean(scores.scores, axis=0)
    shrunk = mean + rho * (scores.scores - mean)
    spread = np.sqrt(scores.errors * (rho + ratio))
    base, base_spread = mean, np.zeros_like(mean)
    if scores.reference is not None:
        base, base_spread = shrunk[scores.reference], spread[scores.reference]
    found = []
    for r, role in enumerate(scores.roles):
        if r == scores.reference or np.isnan(shrunk[r]).any() or np.isnan(spread[r]).any():
            continue
        noise = rng.standard_normal((2, draws, len(scores.names)))
        drawn = shrunk[r] - base + noise[0] * spread[r] + noise[1] * np.nan_to_num(base_spread)
        low, high = percentile_range(drawn.T, search.model.level)
        prediction = Prediction(drawn, shrunk[r] - base, low, high)
        found.append(_proposal(role, prediction, search, len(scores.roles)))
    towards = [proposal for proposal in found if _towards(proposal, search)]
    return sorted(towards, key=lambda proposal: proposal.cost)[:count]


def _towards(proposal: Proposal, search: Search) -> bool:
    places = [(search.model.names.index(t.value), t.sign) for t in search.wishes.targets]
    return all(sign * proposal.prediction.mean[k] > 0 for k, sign in places)


def _proposal(role: str, prediction: Prediction, search: Search, roles: int) -> Proposal:
    names, deviation = search.model.names, search.model.measured.deviation
    reached: dict[str, float | None] = {}
    for target in search.wishes.targets:
        k = names.index(target.value)
        wanted = target.change(float(deviation[k]))
        reached[target.value] = None if wanted is None else float(prediction.mean[k]) / wanted
    return Proposal(
        kind=LeverKind.ROLE,
        settings={role: 1.0},
        prediction=prediction,
        cost=search.cost_of(prediction.draws),
        reached=reached,
        says=(ANY,) * len(names),
        share=np.full(len(names), np.nan),
        reliability=Reliability(roles, 1, (), ()),
    )
