"""Which experiments would settle most directions for how many requests: designs tried on studies simulated
from a pilot.

The pilot says how values hang together (its graph), what every lever does to which value
(pushes), and how far answers scatter. From these a study of any size can be drawn, searched, and held against
the graph that it was drawn from. Designs are tried from cheap to dear. What a pilot does not know, a design
cannot plan for: its graph stands in for the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import polars as pl

from axiograph.discovery.interventions.experiments import MIN_ROLES, Experiments
from axiograph.discovery.interventions.search import InterventionalSearch, total_effects
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.engine.errors import InputError

TRAINING, STEERED = (12, 15, 20, 25, 35, 50, 75, 100, 150, 200), (4, 6, 8, 12, 16, 24)
# Of the items. Fewer would be cheaper, but with other items an effect is another one, for all roles alike,
# which a pilot that asked all of them does not show: on half, 8 of 11 advised studies were off.
SHARES = (1.0,)
SETTLED, WRONG = 0.98, 0.02  # of the edges: found with their direction; others, per edge, at most
_STUDIES, _MORE = 12, 48  # simulated of a design, and of one that will do
_TOLD = 2.0  # standard errors from which on a lever pushes a value itself
_LEAST_VARIANCE = 0.05  # of a value given its causes, as a share


@dataclass(frozen=True, eq=False)
class LeverPush:
    """What a lever does itself: `pushes` [k, p] at its k conditions, in standard deviations."""

    name: str
    conditions: tuple[str, ...]
    pushes: FloatArray

    @property
    def own(self) -> int:
        """Number of the value that it pushes most."""
        return int(np.abs(self.pushes).sum(axis=0).argmax())

    def strongest(self, count: int) -> LeverPush:
        """With one condition, the strongest, or two, the strongest of either direction."""
        along = self.pushes[:, self.own]
        chosen = {int(np.abs(along).argmax())}
        if count > 1:
            chosen |= {int(along.argmin()), int(along.argmax())}
        kept = sorted(chosen)
        return LeverPush(self.name, tuple(self.conditions[c] for c in kept), self.pushes[kept])


@dataclass(frozen=True, eq=False)
class Pilot:
    """`names`: p values; `weights` [p, p]: coefficients of its DAG, entry [x, y] of x → y; `levers`;
    variances in squared standard deviations, [p] each: `own` and `shared` of a role's difference (of the
    condition's answers, of the baseline's), `items` of a score by which items were asked."""

    names: tuple[str, ...]
    weights: FloatArray
    levers: tuple[LeverPush, ...]
    own: FloatArray
    shared: FloatArray
    items: FloatArray

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        weights: FloatArray,
        experiments: Experiments,
        scale: FloatArray,
        alpha: FloatArray,
    ) -> Pilot:
        """From the coefficients `weights` [p, p] of a pilot's graph, what was done in it, the values'
        standard deviations `scale` [p] and reliabilities `alpha` [p], NaN where unknown."""
        columns = [experiments.names.index(name) for name in names]
        errors, counts = experiments.errors, experiments.n_roles
        own = np.nanmean(errors.own, axis=0)[columns] * counts / scale**2
        shared = errors.shared[columns] * counts / scale**2
        return cls(
            names,
            weights,
            tuple(_pushes(weights, experiments, columns, scale)),
            np.nan_to_num(own),
            np.nan_to_num(shared),
            np.clip(1 - np.where(np.isnan(alpha), 0.0, alpha), 0.0, 1.0),
        )

    def best_levers(self) -> list[LeverPush]:
        """Of every value that some lever pushes most the one that pushes it farthest for what it does to
        others, those first whose values have most edges."""
        best: dict[int, LeverPush] = {}
        for lever in self.levers:
            if not lever.pushes.any():
                continue
            held = best.get(lever.own)
            if held is None or _aim(lever) > _aim(held):
                best[lever.own] = lever
        edges = self.weights != 0
        degree = edges.sum(axis=0) + edges.sum(axis=1)
        return sorted(best.values(), key=lambda lever: -degree[lever.own])


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """`training` roles that answer the baseline, `steered` ones that answer it and every condition of the
    `levers`; `share` of the items."""

    training: int
    steered: int
    levers: tuple[LeverPush, ...]
    share: float

    @property
    def conditions(self) -> int:
        """Besides the baseline."""
        return sum(len(lever.conditions) for lever in self.levers)

    def requests(self, items: float) -> int:
        """Of which a role and condition takes `items` with all items."""
        asked = self.training + self.steered * (1 + self.conditions)
        return round(items * self.share * asked)


@dataclass(frozen=True, eq=False)
class TriedDesign:
    """On simulated `studies`: `settled`: share of the edges found with their direction; `wrong`: others that
    were found, per edge; `distance`: mean structural Hamming distance to the DAG."""

    design: StudyDesign
    settled: float
    wrong: float
    distance: float
    studies: int

    @property
    def will_do(self) -> bool:
        """Whether it settles enough."""
        return self.settled >= SETTLED and self.wrong <= WRONG


@dataclass(frozen=True, eq=False)
class Advice:
    """`pilot`, what of it a role and condition takes (`items`, requests), and `tried`, by rising requests:
    the last is the first that will do, where one does."""

    pilot: Pilot
    items: float
    tried: tuple[TriedDesign, ...]

    @property
    def advised(self) -> TriedDesign | None:
        """The cheapest that settles enough; None where none does."""
        return self.tried[-1] if self.tried and self.tried[-1].will_do else None

    @property
    def nearest(self) -> TriedDesign:
        """The one with the least distance, the cheapest of these."""
        return min(self.tried, key=lambda one: (one.distance, one.design.requests(self.items)))

    @property
    def without_lever(self) -> tuple[str, ...]:
        """Values that no lever was seen to push most."""
        pushed = {lever.own for lever in self.pilot.best_levers()}
        return tuple(name for k, name in enumerate(self.pilot.names) if k not in pushed)

    def table(self) -> pl.DataFrame:
        """A row per tried design, see the data dictionary; frontier: nothing cheaper was as near."""
        rows, least = [], np.inf
        for one in self.tried:
            design = one.design
            rows.append(
                {
                    "requests": design.requests(self.items),
                    "training": design.training,
                    "steered": design.steered,
                    "levers": len(design.levers),
                    "conditions": design.conditions,
                    "share_of_items": design.share,
                    "settled": one.settled,
                    "wrong": one.wrong,
                    "distance": one.distance,
                    "studies": one.studies,
                    "frontier": one.distance < least,
                }
            )
            least = min(least, one.distance)
        return pl.DataFrame(rows)


def advise(
    pilot: Pilot,
    items: float,
    most: float = np.inf,
    seed: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> Advice:
    """The cheapest design that settles enough. `items`: requests of a role and condition; `most`: requests in
    all. `report` is told (designs tried, of how many). InputError where the pilot moves no value, or no
    design is affordable."""
    candidates = designs(pilot, items, most)
    if not pilot.best_levers():
        raise InputError(
            "pilot",
            "a lever that moves a value",
            "none that is told from 0",
            "Try other features or strengths.",
        )
    if not candidates:
        raise InputError("--budget", "room for a design", f"{most:g} requests", "Allow more.")
    tell = None if report is None else partial(_tell, report, len(candidates))
    return Advice(pilot, items, tuple(try_designs(pilot, candidates, seed, tell)))


def _tell(report: Callable[[int, int], None], total: int, done: int) -> None:
    report(done, total)


def designs(pilot: Pilot, items: float, most: float = np.inf) -> list[StudyDesign]:
    """All that are tried, by rising requests; of `most` requests at most."""
    best = pilot.best_levers()
    sets = sorted({len(best), -(-3 * len(best) // 4), -(-len(best) // 2)})
    chosen = [
        StudyDesign(training, steered, tuple(lever.strongest(count) for lever in best[:size]), share)
        for training, steered, size, count, share in product(TRAINING, STEERED, sets, (1, 2), SHARES)
        if size and steered >= MIN_ROLES
    ]
    affordable = [design for design in chosen if design.requests(items) <= most]
    return sorted(affordable, key=lambda design: design.requests(items))


def try_designs(
    pilot: Pilot,
    tried: Sequence[StudyDesign],
    seed: int = 0,
    report: Callable[[int], None] | None = None,
) -> Iterator[TriedDesign]:
    """Each on a few studies, and on more where it will do; until one does on more, which is the last."""
    for number, design in enumerate(tried):
        rng = np.random.default_rng([seed, number])
        first = _try(pilot, design, _STUDIES, rng)
        if report is not None:
            report(number + 1)
        if first.will_do:
            first = _try(pilot, design, _MORE, rng)
        yield first
        if first.will_do:
            return


def _try(pilot: Pilot, design: StudyDesign, studies: int, rng: np.random.Generator) -> TriedDesign:
    edges = right = found = off = 0
    dag = pilot.weights != 0
    for _ in range(studies):
        arrows, lines = _searched(pilot, design, rng)
        edges += int(dag.sum())
        right += int((arrows & dag).sum())
        found += int(arrows.sum()) + int(np.triu(lines, 1).sum())
        off += int(np.triu((arrows != dag) | (arrows != dag).T | lines, 1).sum())
    whole = max(edges, 1)
    return TriedDesign(design, right / whole, (found - right) / whole, off / studies, studies)


def _searched(pilot: Pilot, design: StudyDesign, rng: np.random.Generator) -> tuple[BoolArray, BoolArray]:
    """Arrows and lines [p, p] that a search finds in a study drawn from the pilot."""
    p, total = len(pilot.names), total_effects(pilot.weights)
    more = (1 / design.share - 1) * pilot.items
    spread = np.sqrt(_own_variances(pilot.weights, total))
    data = (rng.normal(size=(design.training, p)) * spread) @ total
    data += rng.normal(size=data.shape) * np.sqrt(more)
    pushes = np.concatenate([lever.pushes for lever in design.levers])
    size = (len(pushes), design.steered, p)
    before = rng.normal(size=size[1:]) * np.sqrt(pilot.shared / design.share)
    after = rng.normal(size=size) * np.sqrt(pilot.own / design.share)
    number = np.repeat(np.arange(len(design.levers)), [len(lever.conditions) for lever in design.levers])
    conditions = tuple(name for lever in design.levers for name in lever.conditions)
    levers = tuple(design.levers[k].name for k in number)
    differences = (pushes @ total)[:, None, :] + after - before
    tried = Experiments(pilot.names, conditions, number.astype(np.int64), levers, differences, {})
    search = InterventionalSearch.beside(BestOrder(), tried, pilot.names, data)
    inputs = SearchInput(data, np.corrcoef(data.T), pilot.names, len(data), 0.0, None, True)
    graph = search.find(inputs).graph
    return graph.directed_mask(), graph.undirected_mask()


def _own_variances(weights: FloatArray, total: FloatArray) -> FloatArray:
    """[p]: what a value has of its own, so that every value has variance 1 over roles. Values in the order of
    their causes: 1 less what the causes, whose own variances are known by then, explain."""
    own = np.zeros(len(weights))
    for y in _causes_first(weights):
        through = total[:, y].copy()
        through[y] = 0.0
        own[y] = max(1.0 - float(through**2 @ own), _LEAST_VARIANCE)
    return own


def _causes_first(weights: FloatArray) -> IndexArray:
    """Numbers of the values of a DAG: fewer ancestors first."""
    return np.argsort((np.abs(total_effects(np.abs(weights))) > 0).sum(axis=0), kind="stable")


def _pushes(
    weights: FloatArray, experiments: Experiments, columns: Sequence[int], scale: FloatArray
) -> Iterator[LeverPush]:
    """Direct parts of the levers' effects, E − E B, as far as they are told from 0."""
    effects = experiments.effects()[:, columns] / scale
    errors = np.sqrt((experiments.errors.own + experiments.errors.shared)[:, columns]) / scale
    known = np.nan_to_num(effects)
    direct = known - known @ weights
    error = np.sqrt(np.nan_to_num(errors) ** 2 + np.nan_to_num(errors) ** 2 @ weights**2)
    direct = np.where(np.abs(direct) > _TOLD * error, direct, 0.0)
    for lever in dict.fromkeys(experiments.levers):
        ours = np.flatnonzero(experiments.of(lever))
        yield LeverPush(lever, tuple(experiments.conditions[c] for c in ours), direct[ours])


def _aim(lever: LeverPush) -> float:
    """How far a lever pushes its value, less what it does to others."""
    sizes = np.abs(lever.pushes).max(axis=0)
    return float(2 * sizes[lever.own] - sizes.sum())
