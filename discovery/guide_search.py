"""The search for proposals: the best sets of levers for the wishes, the single lever one would take without
a graph, and the reason where there is nothing to propose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from discovery.graph import BoolArray
from discovery.guide_levers import Lever, LeverKind
from discovery.guide_model import EffectsModel
from discovery.guide_proposal import Proposal, graph_says, reliability, steered_values
from discovery.guide_solver import Course, Problem, solve
from discovery.guide_targets import Wishes
from discovery.pc import FloatArray
from discovery.relations import Relation, Weights
from engine.errors import InputError

# What a standard deviation missed counts: of a target, a held value, another that the graph does not expect.
TARGET, HELD, OTHER = 5.0, 1.0, 0.1
_STEPS = 16  # of the fine grid, between two measured strengths
_COURSES = 40
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

    @property
    def held(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.wishes.hold, *self.keep_still)))

    def levers(self) -> list[Lever]:
        return [lever for lever in self.model.levers if lever.kind in self.kinds]

    def proposals(self, count: int) -> list[Proposal]:
        """At most `count` of each kind, by rising cost. Raises InputError where no lever moves a target the
        wanted way, or where the held values keep the targets from moving."""
        self._check_movable()
        found = []
        for kind in sorted(self.kinds & {LeverKind.SAE, LeverKind.HINT}):
            own = [lever for lever in self.levers() if lever.kind is kind]
            found += list(self._sets(own, count))
        kept = [proposal for proposal in found if self._moves(proposal)]
        if not kept:
            self._refuse_contradiction()
        return sorted(kept, key=lambda proposal: proposal.cost)

    def single(self, lever: Lever, strength: float) -> Proposal:
        """One lever at one strength as a proposal."""
        return self._proposal({lever.name: strength})

    def rival(self, proposal: Proposal) -> tuple[Lever, float]:
        """What one would take without looking at anything else: the single lever with the largest effect on
        the (first) target, and the strength at which it is predicted to change it as wanted; where the wish
        is as far as possible, as the proposal does."""
        target = self.wishes.targets[0]
        k = self.model.names.index(target.value)
        lever, strength, _ = max(self._pushing(k, target.sign), key=lambda push: push[2])
        if lever.switch:
            return lever, strength
        change = np.zeros(len(self.model.names))
        wanted = target.change(float(self.model.measured.deviation[k]))
        change[k] = float(proposal.prediction.mean[k]) if wanted is None else wanted
        end = lever.low if strength < 0 else lever.high
        return lever, self._strength_for(lever, end, k, float(self.model.link.shift(change)[k]))

    def _strength_for(self, lever: Lever, extreme: float, k: int, wanted: float) -> float:
        grid = np.linspace(0, extreme, 201)
        shifts = self.model.curves[lever.name].means(grid)[:, k]
        enough = np.flatnonzero(np.abs(shifts) >= abs(wanted))
        return rounded(extreme if not enough.size else float(grid[max(enough[0], 1)]), lever)

    def _wanted(self) -> FloatArray:
        """[n]: the wanted shifts, 0 for values without a wish, NaN for as far as possible."""
        change, far = np.zeros(len(self.model.names)), np.zeros(len(self.model.names), bool)
        for target in self.wishes.targets:
            k = self.model.names.index(target.value)
            wanted = target.change(float(self.model.measured.deviation[k]))
            far[k] = wanted is None
            change[k] = 0.0 if wanted is None else wanted
        return np.where(far, np.nan, self.model.link.shift(change))

    def _pushing(self, k: int, sign: int) -> list[tuple[Lever, float, float]]:
        """Levers with a strength at which value k was found to change the wanted way, with the largest such
        change in points."""
        found = []
        for lever in self.levers():
            own = [
                (sign * float(np.nanmean(self.model.measured.differences[c][:, k])), s)
                for s, c in lever.usable
                if self.model.measured.changed[c][k]
            ]
            if own and max(own)[0] > 0:
                found.append((lever, max(own)[1], max(own)[0]))
        return found

    def _check_movable(self) -> None:
        for target in self.wishes.targets:
            k = self.model.names.index(target.value)
            if not self._pushing(k, target.sign):
                raise InputError(
                    target.words(),
                    f"a feature or hint of the run ({_tried(self.levers())}) that changes {target.value} so, "
                    "by the test over roles",
                    "none",
                    f"Measure next: {self._next(target.value)}.",
                )

    def _next(self, value: str) -> str:
        """What could be measured where no lever moves `value`."""
        parts = ["other features of the SAE (`axiograph features STUDY` lists the active ones)"]
        above = self._ancestors(value)
        if above:
            parts.append(f"features or hints for its likely causes ({', '.join(above)})")
        parts.append(
            f"a hint for {value}, larger strengths, or more roles than {len(self.model.measured.baseline)}"
        )
        return "; ".join(parts)

    def _ancestors(self, value: str) -> list[str]:
        if self.weights is None or value not in self.weights.names:
            return []
        share = self.weights.table[-1][:2, :, self.weights.names.index(value)].sum(axis=0)
        order = [int(i) for i in np.argsort(-share, kind="stable") if share[i] >= 0.3]
        return [f"{self.weights.names[i]}, in {share[i]:.0%} of the replicates" for i in order[:3]]

    def _sets(self, levers: Sequence[Lever], count: int) -> Iterable[Proposal]:
        banned: list[frozenset[str]] = []
        courses = self._courses(levers, steps=1)
        while len(banned) < count:
            chosen = solve(self._problem(courses, banned, self._bounds())) if courses else None
            if not chosen:
                return
            banned.append(frozenset(chosen))
            # Which levers: by the measured strengths. How much of each: on a fine grid of these alone.
            own = self._courses([self.model.lever(name) for name in chosen], steps=_STEPS)
            settings = solve(self._problem(own, (), self._bounds())) or chosen
            yield self._proposal(
                {name: rounded(strength, self.model.lever(name)) for name, strength in settings.items()}
            )

    def _courses(self, levers: Sequence[Lever], steps: int) -> tuple[Course, ...]:
        """The levers with most to give to the wishes, as grids of `steps` between two measured strengths."""
        found = []
        cost = self._cost()
        for lever in levers:
            curve = self.model.curves[lever.name]
            points = curve.strengths if lever.switch else _between(curve.strengths, steps)
            course = Course(lever.name, points, curve.means(points), lever.switch, lever.solo)
            found.append((float((np.abs(course.shifts).max(axis=0) * cost).sum()), course))
        found.sort(key=lambda pair: -pair[0])
        return tuple(course for _, course in found[:_COURSES])

    def _problem(
        self, courses: tuple[Course, ...], banned: Sequence[frozenset[str]], bounds: FloatArray
    ) -> Problem:
        wanted, gain = self._wanted(), np.zeros(len(self.model.names))
        for target in self.wishes.targets:
            if target.amount is None:
                k = self.model.names.index(target.value)
                gain[k] = target.sign * self._unit()[k]
        return Problem(courses, wanted, self._cost(), gain, bounds, self.budget, banned)

    def _unit(self) -> FloatArray:
        """[n]: standard deviations over roles per unit of shift, 0 for a value that is the same in all."""
        deviation = self.model.measured.deviation
        slope = self.model.link.slope()
        return np.divide(slope, deviation, out=np.zeros_like(slope), where=deviation > 0)

    def _cost(self) -> FloatArray:
        return np.asarray(self._weight() * self._unit())

    def _weight(self) -> FloatArray:
        weight = np.where(self._expected(), 0.0, OTHER)
        for name in self.held:
            weight[self.model.names.index(name)] = HELD
        for target in self.wishes.targets:
            weight[self.model.names.index(target.value)] = TARGET
        return weight

    def _expected(self) -> BoolArray:
        """[n]: values that the graph expects to follow the targets in at least half of its replicates."""
        found = np.zeros(len(self.model.names), bool)
        if self.weights is None:
            return found
        place = {name: k for k, name in enumerate(self.weights.names)}
        for target in self.wishes.targets:
            if target.value in place:
                own = self.weights.table[-1][list(Relation).index(Relation.EXPECTED), place[target.value]]
                found |= [name in place and own[place[name]] >= 0.5 for name in self.model.names]
        return found

    def _bounds(self) -> FloatArray:
        bounds = np.full(len(self.model.names), np.inf)
        for name in self.held:
            k = self.model.names.index(name)
            bounds[k] = self.wishes.tolerance / self._unit()[k]
        return bounds

    def _proposal(self, settings: dict[str, float]) -> Proposal:
        model = self.model
        prediction = model.predict(settings, self.judges)
        steered = sorted({k for own in steered_values(model, settings).values() for k in own})
        says, share = graph_says(model.names, steered, self.weights)
        reached: dict[str, float | None] = {}
        for target in self.wishes.targets:
            k = model.names.index(target.value)
            wanted = target.change(float(model.measured.deviation[k]))
            reached[target.value] = None if wanted is None else float(prediction.mean[k]) / wanted
        return Proposal(
            kind=model.lever(next(iter(settings))).kind,
            settings=settings,
            prediction=prediction,
            cost=self.cost_of(prediction.draws),
            reached=reached,
            says=says,
            share=share,
            reliability=reliability(model, settings, self.wishes, self.weights, self.judges),
        )

    def cost_of(self, draws: FloatArray) -> float:
        """The mean over draws [B, n] of what is missed: Σ weight × |change − wanted| / standard deviation;
        what is gained of a target to be moved as far as possible is subtracted."""
        deviation = self.model.measured.deviation
        weight = np.divide(self._weight(), deviation, out=np.zeros_like(deviation), where=deviation > 0)
        change = np.zeros(len(self.model.names))
        gained = np.zeros(len(draws))
        for target in self.wishes.targets:
            k = self.model.names.index(target.value)
            wanted = target.change(float(deviation[k]))
            if wanted is None:
                weight[k] = 0.0
                gained += target.sign * draws[:, k] / deviation[k]
            else:
                change[k] = wanted
        return float(((np.abs(draws - change) * weight).sum(axis=1) - gained).mean())

    def _moves(self, proposal: Proposal) -> bool:
        """Whether the targets move the wanted way, and by enough of what is possible without holding."""
        for target in self.wishes.targets:
            k = self.model.names.index(target.value)
            pushes = self._pushing(k, target.sign)
            possible = max(size for *_, size in pushes)
            wanted = target.change(float(self.model.measured.deviation[k]))
            aim = possible if wanted is None else min(possible, abs(wanted))
            if target.sign * proposal.prediction.mean[k] < _ENOUGH * aim:
                return False
        return True

    def _refuse_contradiction(self) -> None:
        levers = [lever for lever in self.levers() if lever.kind in (LeverKind.SAE, LeverKind.HINT)]
        free = self._problem(self._courses(levers, steps=1), [], np.full(len(self.model.names), np.inf))
        settings = solve(replace(free, cost=np.where(self._weight() == HELD, 0.0, free.cost))) or {}
        moved = "other values"
        if settings:
            found = self.model.predict(settings, self.judges).mean / self.model.measured.deviation
            beyond = [
                f"{name} by {found[self.model.names.index(name)]:+.2f} standard deviations"
                for name in self.held
                if abs(found[self.model.names.index(name)]) > self.wishes.tolerance
            ]
            moved = " and ".join(beyond) or "the other targets"
        names = ", ".join(self.held)
        if not names:
            raise InputError(
                self.wishes.words(),
                "features or hints that move every target at least half as far as one alone can be moved",
                f"none among {_tried(levers)}",
                "Measure next: features that move one target and not the others; or ask for less.",
            )
        raise InputError(
            self.wishes.words(),
            f"features that can move {', '.join(t.value for t in self.wishes.targets)} while {names} stay "
            f"within {self.wishes.tolerance:g} standard deviations",
            f"none among {_tried(levers)}: what moves the targets also moves {moved}",
            f"Measure next: a feature or hint that moves {names} and not the targets, to oppose it; or hold "
            "less, or give a larger --tolerance or --budget.",
        )


def rounded(strength: float, lever: Lever) -> float:
    """To three digits, as the study file will have it, within the lever's bounds."""
    if lever.switch:
        return min((s for s, _ in lever.usable), key=lambda s: abs(s - strength))
    return float(np.clip(float(f"{strength:.3g}"), lever.low, lever.high))


def _between(strengths: FloatArray, steps: int) -> FloatArray:
    parts = [np.linspace(a, b, steps, endpoint=False) for a, b in pairwise(strengths)]
    return np.append(np.concatenate(parts), strengths[-1])


def _tried(levers: Sequence[Lever]) -> str:
    names = [lever.name for lever in levers]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "none at all") + more
