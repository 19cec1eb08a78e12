"""The search for proposals: the best sets of levers for the wishes, and the single lever one would take
without a graph; or a refusal, which says why there is nothing to propose and what to measure next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from axiograph.discovery.effects.relations import Weights
from axiograph.discovery.guide.levers import Lever, LeverKind
from axiograph.discovery.guide.model import EffectsModel, Prediction
from axiograph.discovery.guide.objective import HELD, Objective
from axiograph.discovery.guide.proposal import Proposal, graph_says, reliability, steered_values
from axiograph.discovery.guide.solver import LeverGrid, Problem, solve
from axiograph.discovery.guide.targets import Target, Wishes
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.errors import InputError

_STEPS = 16  # of the fine grid, between two measured strengths
_MOST_LEVERS = 40  # that the programme chooses from
_ENOUGH = 0.5  # of what could be reached without holding: less is a contradiction


@dataclass(frozen=True, eq=False)
class Search:
    """`budget`: the most levers in a set; `judges`: the new roles that the predictions are for; `kinds`:
    which kinds of levers may be proposed; `weights`: what the graph and its replicates say, None without a
    graph; `keep_still`: values that a reference graph forbids to move, held besides those of the wishes."""

    model: EffectsModel
    wishes: Wishes
    budget: int
    judges: int
    kinds: frozenset[LeverKind]
    weights: Weights | None = None
    keep_still: tuple[str, ...] = ()

    @cached_property
    def objective(self) -> Objective:
        return Objective(self.model, self.wishes, self.weights, self.keep_still)

    def levers(self) -> list[Lever]:
        """Those of the kinds that may be proposed."""
        return [lever for lever in self.model.levers if lever.kind in self.kinds]

    def proposals(self, count: int) -> list[Proposal]:
        """At most `count` of each kind, by rising cost. Raises InputError where no lever moves a target the
        wanted way, or where the held values keep the targets from moving."""
        for target in self.wishes.targets:
            if not self._pushing(target):
                raise _nothing_moves(self.objective, target, self.levers())
        proposals: list[Proposal] = []
        for kind in sorted(self.kinds & {LeverKind.SAE, LeverKind.HINT}):
            levers = [lever for lever in self.levers() if lever.kind is kind]
            proposals += self._sets(levers, count)
        moving = [proposal for proposal in proposals if self._moves(proposal)]
        if not moving:
            unsure = next((p for p in proposals if self._moves_enough(p)), None)
            if unsure is not None:
                raise _uncertain(self.objective, unsure)
            settings = self._without_holding()
            free = self.model.predict(settings, self.judges) if settings else None
            raise _contradiction(self.objective, self.levers(), free)
        return sorted(moving, key=lambda proposal: proposal.cost)

    def rival(self, proposal: Proposal) -> tuple[Lever, float]:
        """What one would take without looking at anything else: the single lever with the largest effect on
        the (first) target, and the strength at which it is predicted to change it as wanted; where the wish
        is as far as possible, as the proposal does."""
        target = self.wishes.targets[0]
        k = self.objective.index(target.value)
        lever, strength, _ = max(self._pushing(target), key=lambda push: push[2])
        if lever.switch:
            return lever, strength
        change = np.zeros(len(self.model.names))
        wanted = self.objective.change(target)
        change[k] = float(proposal.prediction.mean[k]) if wanted is None else wanted
        end = lever.low if strength < 0 else lever.high
        return lever, self._strength_for(lever, end, k, float(self.model.link.shift(change)[k]))

    def _strength_for(self, lever: Lever, extreme: float, k: int, wanted: float) -> float:
        grid = np.linspace(0, extreme, 201)
        shifts = self.model.curves[lever.name].means(grid)[:, k]
        enough = np.flatnonzero(np.abs(shifts) >= abs(wanted))
        return round_strength(extreme if not enough.size else float(grid[max(enough[0], 1)]), lever)

    def _pushing(self, target: Target) -> list[tuple[Lever, float, float]]:
        """Levers with a strength at which the target was found to change the wanted way, or at which its
        causes do, so that its prediction's interval lies on that side of 0; with the largest such change in
        points."""
        pushing = []
        for lever in self.levers():
            changes = [
                change
                for s, c in lever.usable
                for change in (self._measured(c, target, s), self._predicted(lever.name, target, s))
                if change is not None
            ]
            if changes and max(changes)[0] > 0:
                largest, strength = max(changes)
                pushing.append((lever, strength, largest))
        return pushing

    def _measured(self, condition: str, target: Target, strength: float) -> tuple[float, float] | None:
        """(change the wanted way, strength), where the test finds that the target changed."""
        k = self.objective.index(target.value)
        if not self.model.measured.changed[condition][k]:
            return None
        return target.sign * float(np.nanmean(self.model.measured.differences[condition][:, k])), strength

    def _predicted(self, lever: str, target: Target, strength: float) -> tuple[float, float] | None:
        """The same by the model, where the interval of its prediction does not hold 0."""
        prediction = self._singles[lever, strength]
        if not self.objective.is_certain(prediction, target):
            return None
        return target.sign * float(prediction.mean[self.objective.index(target.value)]), strength

    @cached_property
    def _singles(self) -> dict[tuple[str, float], Prediction]:
        """What each lever is predicted to do alone, at every strength that was measured."""
        return {
            (lever.name, s): self.model.predict({lever.name: s}, self.judges)
            for lever in self.levers()
            for s, _ in lever.usable
        }

    def _sets(self, levers: Sequence[Lever], count: int) -> Iterable[Proposal]:
        """The best set, then the best of those that do not contain it, and so on."""
        banned: list[frozenset[str]] = []
        grids = self._grids(levers, steps=1)
        bounds = self.objective.bounds()
        while len(banned) < count:
            chosen = solve(self._problem(grids, tuple(banned), bounds)) if grids else None
            if not chosen:
                return
            banned.append(frozenset(chosen))
            # Which levers: by the measured strengths. How much of each: on a fine grid of these alone.
            fine = self._grids([self.model.lever(name) for name in chosen], steps=_STEPS)
            settings = solve(self._problem(fine, (), bounds)) or chosen
            yield self._proposal(
                {
                    name: round_strength(strength, self.model.lever(name))
                    for name, strength in settings.items()
                }
            )

    def _grids(self, levers: Sequence[Lever], steps: int) -> tuple[LeverGrid, ...]:
        """The levers with most to give to the wishes, as grids of `steps` between two measured strengths."""
        grids = []
        cost = self.objective.cost()
        for lever in levers:
            curve = self.model.curves[lever.name]
            points = curve.strengths if lever.switch else _between(curve.strengths, steps)
            grid = LeverGrid(lever.name, points, curve.means(points), lever.switch, lever.solo)
            grids.append((float((np.abs(grid.shifts).max(axis=0) * cost).sum()), grid))
        grids.sort(key=lambda pair: -pair[0])
        return tuple(grid for _, grid in grids[:_MOST_LEVERS])

    def _problem(
        self, grids: tuple[LeverGrid, ...], banned: Sequence[frozenset[str]], bounds: FloatArray
    ) -> Problem:
        aim = self.objective
        return Problem(grids, aim.wanted(), aim.cost(), aim.gain(), bounds, self.budget, banned)

    def _without_holding(self) -> dict[str, float]:
        """What one would use if nothing were held."""
        levers = [lever for lever in self.levers() if lever.kind in (LeverKind.SAE, LeverKind.HINT)]
        nothing = np.full(len(self.model.names), np.inf)
        free = self._problem(self._grids(levers, steps=1), (), nothing)
        return solve(replace(free, cost=np.where(self.objective.weight() == HELD, 0.0, free.cost))) or {}

    def _proposal(self, settings: dict[str, float]) -> Proposal:
        model = self.model
        prediction = model.predict(settings, self.judges)
        steered = sorted({k for values in steered_values(model, settings).values() for k in values})
        says, share = graph_says(model.names, steered, self.weights)
        return Proposal(
            kind=model.lever(next(iter(settings))).kind,
            settings=settings,
            prediction=prediction,
            cost=self.objective.cost_of(prediction.draws),
            reached=self.objective.reached(prediction),
            says=says,
            share=share,
            reliability=reliability(model, settings, self.wishes, self.weights, self.judges),
        )

    def _moves(self, proposal: Proposal) -> bool:
        """Whether the targets move the wanted way for certain, and by enough."""
        return self._moves_enough(proposal) and self.objective.moves_targets(proposal.prediction)

    def _moves_enough(self, proposal: Proposal) -> bool:
        """Whether the targets move the wanted way by enough of what is possible without holding."""
        for target in self.wishes.targets:
            k = self.objective.index(target.value)
            possible = max(size for *_, size in self._pushing(target))
            wanted = self.objective.change(target)
            aim = possible if wanted is None else min(possible, abs(wanted))
            if target.sign * proposal.prediction.mean[k] < _ENOUGH * aim:
                return False
        return True


def round_strength(strength: float, lever: Lever) -> float:
    """To three digits, as the study file will have it, within the lever's bounds."""
    if lever.switch:
        return min((s for s, _ in lever.usable), key=lambda s: abs(s - strength))
    return float(np.clip(float(f"{strength:.3g}"), lever.low, lever.high))


def _between(strengths: FloatArray, steps: int) -> FloatArray:
    parts = [np.linspace(a, b, steps, endpoint=False) for a, b in pairwise(strengths)]
    return np.append(np.concatenate(parts), strengths[-1])


def _nothing_moves(objective: Objective, target: Target, levers: Sequence[Lever]) -> InputError:
    """No lever was found to move `target` the wanted way."""
    return InputError(
        target.words(),
        f"a feature or hint of the run ({_names(levers)}) that clearly {target.verb()}s {target.value} "
        "(by the test over roles)",
        "none",
        f"Measure next: {_next(objective, target.value)}.",
    )


def _uncertain(objective: Objective, proposal: Proposal) -> InputError:
    """The best set of levers may as well not move a target."""
    prediction = proposal.prediction
    target = next(t for t in objective.wishes.targets if not objective.is_certain(prediction, t))
    k, level = objective.index(target.value), objective.model.level
    return InputError(
        objective.wishes.words(),
        f"levers whose {1 - level:.0%} interval for {target.value} does not hold 0",
        f"{prediction.mean[k]:+.2f} [{prediction.low[k]:+.2f}, {prediction.high[k]:+.2f}] of the best, "
        f"{proposal.name}",
        f"Measure next: more items of {target.value}, or more steered roles than "
        f"{len(objective.model.measured.baseline)}; or ask for more.",
    )


def _contradiction(objective: Objective, levers: Sequence[Lever], free: Prediction | None) -> InputError:
    """No set of levers meets all wishes; `free`: what would move the targets if nothing were held, None
    where nothing would."""
    names = ", ".join(objective.held)
    if not names:
        return InputError(
            objective.wishes.words(),
            "features or hints that move every target at least half as far as one alone can be moved",
            f"none among {_names(levers)}",
            "Measure next: features that move one target and not the others; or ask for less.",
        )
    return InputError(
        objective.wishes.words(),
        f"features that can move {', '.join(t.value for t in objective.wishes.targets)} and leave {names} "
        f"within {objective.wishes.tolerance:g} standard deviations",
        f"none among {_names(levers)}: what moves the targets also moves {_moved(objective, free)}",
        f"Measure next: a feature or hint that moves {names} and not the targets, to oppose it; or hold "
        "less, or give a larger --tolerance or --budget.",
    )


def _names(levers: Sequence[Lever]) -> str:
    """Names of levers, at most six."""
    names = [lever.name for lever in levers]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "none at all") + more


def _moved(objective: Objective, free: Prediction | None) -> str:
    """The held values that go beyond the tolerance."""
    if free is None:
        return "other values"
    deviation = objective.model.measured.deviation
    moves = np.divide(free.mean, deviation, out=np.zeros_like(free.mean), where=deviation > 0)
    held = [(name, float(moves[objective.index(name)])) for name in objective.held]
    beyond = [
        f"{name} by {size:+.2f} standard deviations"
        for name, size in held
        if abs(size) > objective.wishes.tolerance
    ]
    return " and ".join(beyond) or "the other targets"


def _next(objective: Objective, value: str) -> str:
    """What could be measured where no lever moves `value`."""
    parts = ["other features of the SAE (`axiograph features STUDY` lists the active ones)"]
    above = _ancestors(objective, value)
    if above:
        parts.append(f"features or hints for its likely causes ({', '.join(above)})")
    roles = len(objective.model.measured.baseline)
    parts.append(f"a hint for {value}, larger strengths, or more roles than {roles}")
    return "; ".join(parts)


def _ancestors(objective: Objective, value: str) -> list[str]:
    weights = objective.weights
    if weights is None or value not in weights.names:
        return []
    share = weights.table[-1][:2, :, weights.names.index(value)].sum(axis=0)
    order = [int(i) for i in np.argsort(-share, kind="stable") if share[i] >= 0.3]
    return [f"{weights.names[i]}, in {share[i]:.0%} of the replicates" for i in order[:3]]
