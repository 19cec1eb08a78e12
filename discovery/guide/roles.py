"""Roles as a way of steering: which role's profile lies nearest to what is wanted.

The best of many noisy profiles looks better than it is. So every score is drawn towards the mean over roles
by the reliability of its value's items (Kelley 1927, Interpretation of Educational Measurements, p. 178), and
the interval is that of the score on other items of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import Prediction
from axiograph.discovery.guide.proposal import Proposal, Reliability
from axiograph.discovery.guide.search import Search
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import percentile_range

ANY = "any may differ"  # what the graph says of a value when a role or a trait is proposed
DRAWS = 1000  # from what a role or a trait is predicted to do


@dataclass(frozen=True, eq=False)
class RoleScores:
    """Baseline scores of roles, item by item: `cells` [n_roles, n_items], NaN where a role was not asked an
    item or has no score on it; `value` [n_items]: its index among the `names` of the values; `reference`: the
    row that roles are compared with, None for the mean over roles."""

    roles: tuple[str, ...]
    names: tuple[str, ...]
    cells: FloatArray
    value: NDArray[np.int64]
    reference: int | None

    @classmethod
    def of(cls, parts: pl.DataFrame, names: Sequence[str], reference: str | None) -> RoleScores:
        """From engine.scoring.scores.part_scores of the baseline's items: role, value, part, score."""
        parts = parts.with_columns(pl.col("value").cast(pl.String)).filter(pl.col("value").is_in(list(names)))
        roles = tuple(parts["role"].unique().sort().to_list())
        items = parts.select("value", "part").unique().sort("value", "part")
        scored = parts.join(items.with_row_index("item"), on=["value", "part"])
        row = {role: r for r, role in enumerate(roles)}
        cells = np.full((len(roles), len(items)), np.nan)
        cells[[row[role] for role in scored["role"]], scored["item"].to_numpy()] = scored["score"].to_numpy()
        value = np.array([list(names).index(name) for name in items["value"]], np.int64)
        return cls(roles, tuple(names), cells, value, row.get(reference) if reference is not None else None)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """[n_roles, n_values]: items with a score."""
        scored = np.isfinite(self.cells)
        return np.stack([scored[:, self.value == k].sum(axis=1) for k in range(len(self.names))], axis=1)

    @cached_property
    def scores(self) -> FloatArray:
        """[n_roles, n_values]: means over items, NaN without any."""
        return self._over_items(lambda cells, count: np.nansum(cells, axis=1) / count, least=1)

    @cached_property
    def errors(self) -> FloatArray:
        """[n_roles, n_values]: squared standard errors over items, NaN for fewer than two."""

        def error(cells: FloatArray, count: FloatArray) -> FloatArray:
            off = cells - (np.nansum(cells, axis=1) / count)[:, None]
            return np.asarray(np.nansum(off**2, axis=1) / np.maximum(count - 1, 1) / count)

        return self._over_items(error, least=2)

    def _over_items(
        self, statistic: Callable[[FloatArray, FloatArray], FloatArray], least: int
    ) -> FloatArray:
        table = np.full((len(self.roles), len(self.names)), np.nan)
        for k in range(len(self.names)):
            count = self.counts[:, k]
            column = statistic(self.cells[:, self.value == k], np.maximum(count, 1).astype(np.float64))
            table[:, k] = np.where(count >= least, column, np.nan)
        return table

    def reliability(self) -> FloatArray:
        """[n_values]: the share of the variance over roles that is not the items' noise."""
        whole = np.nanvar(self.scores, axis=0, ddof=1)
        noise = np.nanmean(self.errors, axis=0)
        return np.clip(1 - np.divide(noise, whole, out=np.ones_like(whole), where=whole > 0), 0.0, 1.0)


def role_proposals(scores: RoleScores, search: Search, count: int, *, ratio: float) -> list[Proposal]:
    """The `count` roles of least cost. `ratio`: items of a value the roles were asked, for one that they will
    be judged by. Roles without a score on some wished value are left out."""
    rng = np.random.default_rng(np.random.SeedSequence(search.model.seed, spawn_key=(9,)))
    rho, mean = scores.reliability(), np.nanmean(scores.scores, axis=0)
    shrunk = mean + rho * (scores.scores - mean)
    # Items differ as much for every role: one that answers all of them alike is no surer than another.
    per_item = np.nanmean(scores.errors * scores.counts, axis=0)
    spread = np.sqrt(per_item / np.maximum(scores.counts, 1) * (rho + ratio))
    base, base_spread = mean, np.zeros_like(mean)
    if scores.reference is not None:
        base, base_spread = shrunk[scores.reference], spread[scores.reference]
    proposals = []
    for r, role in enumerate(scores.roles):
        if r == scores.reference or np.isnan(scores.errors[r]).any():
            continue
        noise = rng.standard_normal((2, DRAWS, len(scores.names)))
        before = np.clip(base + noise[1] * base_spread, -1.0, 1.0)
        drawn = np.clip(shrunk[r] + noise[0] * spread[r], -1.0, 1.0) - before
        low, high = percentile_range(drawn.T, search.model.level)
        prediction = Prediction(drawn, shrunk[r] - base, low, high)
        reliability = Reliability(len(scores.roles), 1)
        proposals.append(proposal_of(LeverKind.ROLE, role, prediction, search, reliability))
    wanted = [proposal for proposal in proposals if moves_towards(proposal, search)]
    return sorted(wanted, key=lambda proposal: proposal.cost)[:count]


def moves_towards(proposal: Proposal, search: Search, clearly: bool = False) -> bool:
    """Whether every target moves the wanted way; `clearly`: with its whole interval."""
    for target in search.wishes.targets:
        k = search.model.names.index(target.value)
        change = proposal.prediction
        least = change.mean[k] if not clearly else change.low[k] if target.sign > 0 else change.high[k]
        if target.sign * least <= 0:
            return False
    return True


def proposal_of(
    kind: LeverKind, name: str, prediction: Prediction, search: Search, reliability: Reliability
) -> Proposal:
    """A role or a trait as a proposal: the graph says nothing of what it may move."""
    return Proposal(
        kind=kind,
        settings={name: 1.0},
        prediction=prediction,
        cost=search.objective.cost_of(prediction.draws),
        reached=search.objective.reached(prediction),
        says=(ANY,) * len(prediction.mean),
        share=np.full(len(prediction.mean), np.nan),
        reliability=reliability,
    )
