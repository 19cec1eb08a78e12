"""The search for proposals: the best sets of levers for the wishes, and the single lever one would take
without a graph.

Refusals: why there is nothing to propose, and what to measure next.
"""

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
from axiograph.discovery.guide.solver import Course, Problem, solve
from axiograph.discovery.guide.targets import Target, Wishes
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.errors import InputError


def nothing_moves(objective: Objective, target: Target, levers: Sequence[Lever]) -> InputError:
    """No lever was found to move `target` the wanted way."""
    return InputError(
        target.words(),
        f"a feature or hint of the run ({tried(levers)}) that clearly {target.verb()}s {target.value} "
        "(by the test over roles)",
        "none",
        f"Measure next: {_next(objective, target.value)}.",
    )


def contradiction(objective: Objective, levers: Sequence[Lever], free: Prediction | None) -> InputError:
    """No set of levers meets all wishes; `free`: what would move the targets if nothing were held, None
    where nothing would."""
    names = ", ".join(objective.held)
    if not names:
        return InputError(
            objective.wishes.words(),
            "features or hints that move every target at least half as far as one alone can be moved",
            f"none among {tried(levers)}",
            "Measure next: features that move one target and not the others; or ask for less.",
        )
    return InputError(
        objective.wishes.words(),
        f"features that can move {', '.join(t.value for t in objective.wishes.targets)} and leave {names} "
        f"within {objective.wishes.tolerance:g} standard deviations",
        f"none among {tried(levers)}: what moves the targets also moves {_moved(objective, free)}",
        f"Measure next: a feature or hint that moves {names} and not the targets, to oppose it; or hold "
        "less, or give a larger --tolerance or --budget.",
    )


def tried(levers: Sequence[Lever]) -> str:
    """Names of levers, at most six."""
    names = [lever.name for lever in levers]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "none at all") + more


def _moved(objective: Objective, free: Prediction | None) -> str:
    """The held values that go beyond the tolerance."""
    if free is None:
        return "other values"
    found = free.mean / objective.model.measured.deviation
    places = [(name, float(found[objective.place(name)])) for name in objective.held]
    beyond = [
        f"{name} by {size:+.2f} standard deviations"
        for name, size in places
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

    @cached_property
    def objective(self) -> Objective:
        return Objective(self.model, self.wishes, self.weights, self.keep_still)

    def levers(self) -> list[Lever]:
        return [lever for lever in self.model.levers if lever.kind in self.kinds]

    def proposals(self, count: int) -> list[Proposal]:
        """At most `count` of each kind, by rising cost. Raises InputError where no lever moves a target the
        wanted way, or where the held values keep the targets from moving."""
        for target in self.wishes.targets:
            if not self._pushing(self.objective.place(target.value), target.sign):
                raise nothing_moves(self.objective, target, self.levers())
        found = []
        for kind in sorted(self.kinds & {LeverKind.SAE, LeverKind.HINT}):
            own = [lever for lever in self.levers() if lever.kind is kind]
            found += list(self._sets(own, count))
        kept = [proposal for proposal in found if self._moves(proposal)]
        if not kept:
            settings = self._without_holding()
            free = self.model.predict(settings, self.judges) if settings else None
            raise contradiction(self.objective, self.levers(), free)
        return sorted(kept, key=lambda proposal: proposal.cost)

    def single(self, lever: Lever, strength: float) -> Proposal:
        """One lever at one strength as a proposal."""
        return self._proposal({lever.name: strength})

    def rival(self, proposal: Proposal) -> tuple[Lever, float]:
        """What one would take without looking at anything else: the single lever with the largest effect on
        the (first) target, and the strength at which it is predicted to change it as wanted; where the wish
        is as far as possible, as the proposal does."""
        target = self.wishes.targets[0]
        k = self.objective.place(target.value)
        lever, strength, _ = max(self._pushing(k, target.sign), key=lambda push: push[2])
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
        return rounded(extreme if not enough.size else float(grid[max(enough[0], 1)]), lever)

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

    def _sets(self, levers: Sequence[Lever], count: int) -> Iterable[Proposal]:
        banned: list[frozenset[str]] = []
        courses = self._courses(levers, steps=1)
        bounds = self.objective.bounds()
        while len(banned) < count:
            chosen = solve(self._problem(courses, tuple(banned), bounds)) if courses else None
            if not chosen:
                return
            banned.append(frozenset(chosen))
            # Which levers: by the measured strengths. How much of each: on a fine grid of these alone.
            own = self._courses([self.model.lever(name) for name in chosen], steps=_STEPS)
            settings = solve(self._problem(own, (), bounds)) or chosen
            yield self._proposal(
                {name: rounded(strength, self.model.lever(name)) for name, strength in settings.items()}
            )

    def _courses(self, levers: Sequence[Lever], steps: int) -> tuple[Course, ...]:
        """The levers with most to give to the wishes, as grids of `steps` between two measured strengths."""
        found = []
        cost = self.objective.cost()
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
        own = self.objective
        return Problem(courses, own.wanted(), own.cost(), own.gain(), bounds, self.budget, banned)

    def _without_holding(self) -> dict[str, float]:
        """What one would use if nothing were held."""
        levers = [lever for lever in self.levers() if lever.kind in (LeverKind.SAE, LeverKind.HINT)]
        nothing = np.full(len(self.model.names), np.inf)
        free = self._problem(self._courses(levers, steps=1), (), nothing)
        return solve(replace(free, cost=np.where(self.objective.weight() == HELD, 0.0, free.cost))) or {}

    def _proposal(self, settings: dict[str, float]) -> Proposal:
        model = self.model
        prediction = model.predict(settings, self.judges)
        steered = sorted({k for own in steered_values(model, settings).values() for k in own})
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
        """Whether the targets move the wanted way, and by enough of what is possible without holding."""
        for target in self.wishes.targets:
            k = self.objective.place(target.value)
            possible = max(size for *_, size in self._pushing(k, target.sign))
            wanted = self.objective.change(target)
            aim = possible if wanted is None else min(possible, abs(wanted))
            if target.sign * proposal.prediction.mean[k] < _ENOUGH * aim:
                return False
        return True


def rounded(strength: float, lever: Lever) -> float:
    """To three digits, as the study file will have it, within the lever's bounds."""
    if lever.switch:
        return min((s for s, _ in lever.usable), key=lambda s: abs(s - strength))
    return float(np.clip(float(f"{strength:.3g}"), lever.low, lever.high))


def _between(strengths: FloatArray, steps: int) -> FloatArray:
    parts = [np.linspace(a, b, steps, endpoint=False) for a, b in pairwise(strengths)]
    return np.append(np.concatenate(parts), strengths[-1])
