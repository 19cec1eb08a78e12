"""When a value changed: what the others did, by their relation in the graph and in its replicates.

Three measures of the other values with a relation, each a weighted mean, so that a value that is a descendant
in 80 % of the replicates counts 0.8 among the expected ones:

- share: of those that changed, by the test of discovery.effects.changes;
- size: their mean |difference|, freed of what noise alone adds (`net_size`);
- roles_share: the paper's, of the pairs (role in which the value moved, other value) those in which the
  other moved too, without a test. Equal to discovery.effects.contrast.response_shares where no score is
  missing.

In every draw of the roles all of it is evaluated again but two things. Which values changed, the targets,
stays as tested on all roles: the question is what the others do when these move. And the others' decision
rule stays: the distance from 0 that their mean needed on all roles. A rule of the draw's own would be a
bootstrap in every bootstrap; with the distance held, the draw of all roles as they are gives back the tested
outcome exactly. Size and roles_share need no rule.

The interval over roles says what other roles of the same kind could give; the graph is held fixed. That over
roles and graphs takes with every draw of the roles the graph of a replicate drawn at random. A replicate of
half of the roles differs from the graph of all about as much as that graph would with other roles: halves
spread as samples of the whole number do (the delete-half jackknife: Shao & Wu 1989, Ann. Stat. 17, 1176).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from axiograph.discovery.effects.changes import Movement
from axiograph.discovery.effects.contrast import moved
from axiograph.discovery.effects.relations import DrawnGraphs, Weights
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.numerics.intervals import (
    RoleDraws,
    mean_of_known,
    percentile_range,
    standard_errors,
)

_EQUAL = 1e-12  # means of the same differences in another order
Ends = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Ratio:
    """top / bottom [sources, 3 relations, targets], again in every draw of the roles (`drawn_*`
    [sources, 3, targets, B], or 1 for B where a draw changes nothing), and in every draw of the roles
    together with a graph (`graphs_*` [3, targets, B], None without replicates)."""

    top: FloatArray
    bottom: FloatArray
    drawn_top: FloatArray
    drawn_bottom: FloatArray
    graphs_top: FloatArray | None
    graphs_bottom: FloatArray | None

    @classmethod
    def zero(cls, sources: int) -> Ratio:
        """Over nothing: one target, no draws."""
        whole, drawn, graphs = np.zeros((sources, 3, 1)), np.zeros((sources, 3, 1, 1)), np.zeros((3, 1, 1))
        return cls(whole, whole, drawn, drawn, graphs, graphs)

    def __add__(self, other: Ratio) -> Ratio:
        """Both over all their values: draw b of the one goes with draw b of the other, the same roles."""
        graphs = [
            None if a is None or b is None else a + b
            for a, b in (
                (self.graphs_top, other.graphs_top),
                (self.graphs_bottom, other.graphs_bottom),
            )
        ]
        return Ratio(
            self.top + other.top,
            self.bottom + other.bottom,
            self.drawn_top + other.drawn_top,
            self.drawn_bottom + other.drawn_bottom,
            *graphs,
        )

    def pooled(self) -> Ratio:
        """Over all targets together: one target is left."""
        graphs = [
            None if a is None else a.sum(axis=1, keepdims=True) for a in (self.graphs_top, self.graphs_bottom)
        ]
        drawn = [a.sum(axis=2, keepdims=True) for a in (self.drawn_top, self.drawn_bottom)]
        return Ratio(
            self.top.sum(axis=2, keepdims=True), self.bottom.sum(axis=2, keepdims=True), *drawn, *graphs
        )

    def numbers(self) -> Numbers:
        graphs = None
        if self.graphs_top is not None and self.graphs_bottom is not None:
            graphs = _quotient(self.graphs_top, self.graphs_bottom)
        return Numbers(_quotient(self.top, self.bottom), _quotient(self.drawn_top, self.drawn_bottom), graphs)


@dataclass(frozen=True, eq=False)
class Numbers:
    """`estimate` [sources, …], NaN where there is none, and what the draws gave: `drawn` [sources, …, B] and,
    for the last source, `graphs` […, B]."""

    estimate: FloatArray
    drawn: FloatArray
    graphs: FloatArray | None

    def contrast(self) -> Numbers:
        """Expected − unexpected; the relations are the second axis."""
        graphs = None if self.graphs is None else self.graphs[0] - self.graphs[2]
        return Numbers(self.estimate[:, 0] - self.estimate[:, 2], self.drawn[:, 0] - self.drawn[:, 2], graphs)

    def intervals(self, level: float, bounds: tuple[float, float]) -> tuple[Ends, Ends]:
        """Low and high over roles, and over roles and graphs (NaN for every source but the last), each in the
        shape of `estimate`.

        The draws lie off the estimate: a draw adds its own noise to that of the sample, so that values which
        stay seem to move. Their spread is that of the estimate, their place is not. So an interval is the
        percentile range of the draws moved by their mean's distance from the estimate (Efron & Tibshirani
        1993, ch. 10, the bootstrap's estimate of bias), cut at `bounds`. The draws with graphs are moved by
        the same distance: what the graphs add, place and spread, stays. NaN where fewer than half of the
        draws are defined."""
        bias = mean_of_known(self.drawn) - self.estimate
        roles = _cut(percentile_range(self.drawn - bias[..., None], level), bounds)
        missing = np.full(self.estimate.shape, np.nan)
        if self.graphs is None:
            return roles, (missing, missing)
        ends = _cut(percentile_range(self.graphs - bias[-1][..., None], level), bounds)
        both = [np.concatenate([missing[:-1], end[None]]) for end in ends]
        return roles, (both[0], both[1])


def _quotient(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def _cut(ends: Ends, bounds: tuple[float, float]) -> Ends:
    return np.clip(ends[0], *bounds), np.clip(ends[1], *bounds)


class Measure(StrEnum):
    SHARE = "share"
    SIZE = "size"
    ROLES_SHARE = "roles_share"


BOUNDS = {Measure.SHARE: (0.0, 1.0), Measure.SIZE: (-np.inf, np.inf), Measure.ROLES_SHARE: (0.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What n values did under one condition, on all roles and in every draw.

    `tested`, `changed`, `size` [n]; `drawn_changed`, `drawn_size` [B, n], 0 for untested values; `moved`
    [n_roles, n] as in discovery.effects.contrast and `scored`, false for untested values."""

    condition: str
    tested: BoolArray
    changed: BoolArray
    size: FloatArray
    drawn_changed: FloatArray
    drawn_size: FloatArray
    moved: BoolArray
    scored: BoolArray

    @property
    def targets(self) -> IndexArray:
        return np.flatnonzero(self.changed)

    @classmethod
    def of(cls, movement: Movement, draws: RoleDraws) -> Outcomes:
        tested, differences = movement.tested, movement.differences
        means, errors = draws.means_and_errors(differences)
        with np.errstate(invalid="ignore"):
            again = np.abs(means) > movement.needed + _EQUAL
        scored = ~np.isnan(differences)
        values, count = np.nan_to_num(differences), scored.sum(axis=0)
        total = values.sum(axis=0)
        error = standard_errors(total, (values**2).sum(axis=0), count.astype(np.float64))
        return cls(
            condition=movement.condition,
            tested=tested,
            changed=movement.changed,
            size=np.where(tested, net_size(total / np.maximum(count, 1), error), 0.0),
            drawn_changed=(again & tested).astype(np.float64),
            drawn_size=np.where(tested, net_size(means, errors), 0.0),
            moved=moved(differences) & tested,
            scored=scored & tested,
        )


def net_size(mean: FloatArray, error: FloatArray) -> FloatArray:
    """|mean| freed of what noise alone adds, so that it is 0 on average where nothing moves.

    The mean of one half of the roles, counted in the direction that the other half shows, averaged over all
    splits in halves, the means being normal with standard error e: |m| (2 Φ(|m| / e) − 1) − 2 e φ(m / e).
    It is |m| where m is many errors from 0 and below 0 where m is less than 0.88 errors; on average it is
    never more than the true |difference|, since halves that disagree about the direction count against each
    other. |m| itself averages 0.8 e where nothing moves, and resampled once more so."""
    from scipy.special import ndtr

    size = np.abs(mean)
    ratio = np.divide(size, error, out=np.full(size.shape, np.inf), where=error > 0)
    density = np.exp(-0.5 * ratio**2) / np.sqrt(2 * np.pi)
    return size * (2 * ndtr(ratio) - 1) - 2 * error * density


@dataclass(frozen=True, eq=False)
class Response:
    """The measures of one condition: a Ratio over its targets each. `outcomes` without its draws."""

    outcomes: Outcomes
    ratios: dict[Measure, Ratio]

    def pooled(self) -> dict[Measure, Ratio]:
        return {measure: ratio.pooled() for measure, ratio in self.ratios.items()}


def respond(outcomes: Outcomes, weights: Weights, draws: RoleDraws, graphs: DrawnGraphs | None) -> Response:
    """All measures of a condition for each of its changed values."""
    targets = outcomes.targets
    chosen = weights.table[:, :, targets]  # [sources, 3, targets, n]
    tested = outcomes.tested.astype(np.float64)
    bottom = chosen @ tested
    drawn = {Measure.SHARE: outcomes.drawn_changed, Measure.SIZE: outcomes.drawn_size}
    whole = {Measure.SHARE: outcomes.changed.astype(np.float64), Measure.SIZE: outcomes.size}
    sums = None if graphs is None else _graph_sums(outcomes, targets, graphs)
    ratios = {}
    for column, measure in enumerate((Measure.SHARE, Measure.SIZE), start=1):
        ratios[measure] = Ratio(
            top=chosen @ (tested * whole[measure]),
            bottom=bottom,
            drawn_top=chosen @ drawn[measure].T,
            drawn_bottom=bottom[..., None],
            graphs_top=None if sums is None else sums[..., column],
            graphs_bottom=None if sums is None else sums[..., 0],
        )
    ratios[Measure.ROLES_SHARE] = _roles_ratio(outcomes, chosen, draws)
    nothing = np.zeros((0, len(tested)))
    return Response(replace(outcomes, drawn_changed=nothing, drawn_size=nothing), ratios)


def _graph_sums(outcomes: Outcomes, targets: IndexArray, graphs: DrawnGraphs) -> FloatArray:
    """[3, targets, B, (tested, changed, size)]."""
    tested = np.broadcast_to(outcomes.tested.astype(np.float64), outcomes.drawn_changed.shape)
    stacked = np.stack([tested, outcomes.drawn_changed, outcomes.drawn_size], axis=-1)
    return graphs.sums(targets, stacked).transpose(2, 1, 0, 3)


def _roles_ratio(outcomes: Outcomes, chosen: FloatArray, draws: RoleDraws) -> Ratio:
    """Of the pairs (role in which the target moved, other with the relation): those in which both moved.

    No interval over graphs: every draw would need all pairs of values again."""
    at_target = outcomes.moved[:, outcomes.targets].astype(np.float64)  # [roles, targets]
    parts = []
    for others in (outcomes.moved, outcomes.scored):
        by_role = at_target * (chosen @ others.T.astype(np.float64)).transpose(0, 1, 3, 2)
        flat = by_role.transpose(2, 0, 1, 3).reshape(len(at_target), -1)
        drawn = draws.sums(flat).T.reshape(*chosen.shape[:3], len(draws))
        parts.append((by_role.sum(axis=2), drawn))
    (top, drawn_top), (bottom, drawn_bottom) = parts
    return Ratio(top, bottom, drawn_top, drawn_bottom, None, None)
