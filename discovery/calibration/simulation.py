"""A simulated study: random planted models, what is asked of whom, and the scores of roles whose values are
known.

A planted model is a random linear-Gaussian graph over standardised values; its CPDAG is the truth. Roles
answer with the noise measured on the built-in respondent (discovery.calibration.noise)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from axiograph.discovery.calibration.noise import ItemNoise
from axiograph.discovery.discover import PARTS
from axiograph.discovery.graph.causal_graph import CausalGraph, reachability
from axiograph.discovery.graph.knowledge import no_knowledge
from axiograph.discovery.matrix.corrections import Part
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.numerics.streams import child_rng
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import DiscoverySpec

EDGES_PER_VALUE = 9 / 8  # as the built-in respondent's graph: 9 edges among 8 values
WEIGHTS = (0.35, 0.7)  # their sizes; either sign
MAX_EXPLAINED = 0.75  # of a value's variance, by its causes
HALF_RANGE = 2 * 12 / 11  # middles of 12 equal parts of it are the respondent's own thresholds, over ±2
_OFFSETS, _YES, _VALUE, _FATE, _STEERING, _SAMPLING = range(6)  # child streams of a group
Roles = Literal["train", "test", "all"]


@dataclass(frozen=True, eq=False)
class PlantedModel:
    """`weights` [n, n]: the effect of cause i on j at [i, j]; values have variance 1; `noise_sd` [n]."""

    weights: FloatArray
    noise_sd: FloatArray
    graph: CausalGraph

    @property
    def total(self) -> FloatArray:
        """[n, n]: what one unit added to the equation of value i does to value j, at [i, j]."""
        return np.asarray(np.linalg.inv(np.eye(len(self.weights)) - self.weights))

    @property
    def dag(self) -> BoolArray:
        """[n, n]: true at [i, j] where i causes j directly."""
        return self.weights != 0

    @property
    def descendants(self) -> BoolArray:
        """[n, n]: true at [i, j] where a path leads from i to j."""
        return reachability(self.dag)

    def draw(self, rng: np.random.Generator, roles: int) -> FloatArray:
        """[roles, n]: values; the first k roles are the same however many follow."""
        noise = rng.standard_normal((roles, len(self.weights)))
        return np.asarray(noise * self.noise_sd @ self.total)


def random_model(
    rng: np.random.Generator, values: int, edges_per_value: float = EDGES_PER_VALUE
) -> PlantedModel:
    """A model with `edges_per_value` × `values` edges on average, in a random causal order of the columns."""
    chance = min(1.0, 2 * edges_per_value / max(1, values - 1))
    weights, correlation, noise_sd = np.zeros((values, values)), np.eye(values), np.ones(values)
    for j in range(1, values):
        effects = rng.uniform(*WEIGHTS, j) * rng.choice([-1.0, 1.0], j) * (rng.random(j) < chance)
        explained = effects @ correlation[:j, :j] @ effects
        if explained > MAX_EXPLAINED:
            effects *= np.sqrt(MAX_EXPLAINED / explained)
            explained = MAX_EXPLAINED
        weights[:j, j] = effects
        correlation[:j, j] = correlation[j, :j] = correlation[:j, :j] @ effects
        noise_sd[j] = np.sqrt(1 - explained)
    order = rng.permutation(values)
    weights = weights[np.ix_(order, order)]
    names = tuple(f"v{k}" for k in range(values))
    return PlantedModel(weights, noise_sd[order], cpdag_of(weights != 0, names))


def cpdag_of(dag: BoolArray, names: tuple[str, ...]) -> CausalGraph:
    """The CPDAG of a DAG [n, n]: what PC finds when every test is right.

    Of two values that no edge joins, the parents of the one that does not come first separate them."""
    from axiograph.discovery.pc.orientation import orient

    n = len(dag)
    before = reachability(dag)
    sepset = np.zeros((n, n, (n + 63) // 64), np.uint64)
    for i, j in zip(*np.nonzero(np.triu(~(dag | dag.T), 1)), strict=True):
        later = i if before[j, i] else j
        for node in np.flatnonzero(dag[:, later]):
            sepset[i, j, node >> 6] |= np.uint64(1) << np.uint64(node & 63)
    nothing, banned, drawn = no_knowledge(n)
    marks = np.empty((n, n), np.uint8)
    orient((dag | dag.T).astype(np.uint8), sepset, nothing, banned, drawn, marks)
    return CausalGraph(names, marks)


@dataclass(frozen=True)
class Design:
    """Items: `agreement` ±1 and `owner`, the number of the value, one of each per item; `asked_train`,
    `asked_test`: whether training and test roles are asked it. `share`: of these, drawn for every role and
    value. Roles: of either part, and those that are `steered` and `tested`.

    `temperature` None is greedy; with one, every item is asked `repeats` times. `conditions`: steered or
    hinted conditions beside the baseline, each of which moves one value by `shift` in units of the value."""

    agreement: tuple[int, ...]
    owner: tuple[int, ...]
    asked_train: tuple[bool, ...]
    asked_test: tuple[bool, ...]
    train_roles: int
    test_roles: int
    share: float = 1.0
    mode: Literal["generate", "logprob"] = "generate"
    temperature: float | None = None
    top_p: float = 1.0
    repeats: int = 1
    steered: Roles = "all"
    tested: Roles = "test"
    conditions: int = 0
    shift: float = 1.0

    def __post_init__(self) -> None:
        for part, asked in (("training", self.asked_train), ("test", self.asked_test)):
            missing = set(range(self.values)) - {v for v, yes in zip(self.owner, asked, strict=True) if yes}
            if missing:
                raise InputError(
                    "calibration",
                    f"an item of every value for the {part} roles",
                    f"none for {len(missing)} of {self.values} values",
                    "Give these values more items, or leave them out.",
                )

    @classmethod
    def of(cls, values: int, items: int, train_roles: int, test_roles: int = 0, **more: Any) -> Design:
        """`values` with `items` each, keyed in turn, all asked of everybody."""
        everybody = (True,) * (values * items)
        keys = tuple(1 if i % 2 == 0 else -1 for _ in range(values) for i in range(items))
        owner = tuple(v for v in range(values) for _ in range(items))
        return cls(keys, owner, everybody, everybody, train_roles, test_roles, **more)

    @property
    def values(self) -> int:
        """How many."""
        return max(self.owner) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Of the simulated values."""
        return tuple(f"v{k}" for k in range(self.values))

    @property
    def effect_roles(self) -> dict[str, int]:
        """Part → how many of its roles are both steered and tested."""
        sizes = {"train": self.train_roles, "test": self.test_roles}
        limits = (self.steered, self.tested)
        return {part: n if all(k in ("all", part) for k in limits) else 0 for part, n in sizes.items()}

    def items_of(self, value: int) -> np.ndarray:
        """The numbers of its items."""
        return np.flatnonzero(np.array(self.owner) == value)


@dataclass(frozen=True)
class Analysis:
    """How the study is analysed: its `discovery`, and the `level` at which effects are tested."""

    discovery: DiscoverySpec = DiscoverySpec()
    level: float = 0.05

    @property
    def parts(self) -> Part | None:
        """What a correction for measurement error needs of the answers; None without one."""
        return PARTS.get(self.discovery.correction)

    def document(self) -> dict[str, Any]:
        """As JSON types."""
        spec = self.discovery
        return {
            "alpha": spec.alpha,
            "replicates": spec.replicates,
            "resample": spec.resample,
            "threshold": spec.threshold,
            "missing": spec.missing,
            "correction": self.parts,
            "level": self.level,
            "more": {"algorithm": spec.algorithm, "settings": spec.settings.model_dump()},
        }


@dataclass(frozen=True, eq=False)
class Answers:
    """`scores` [roles, n]: NaN where no item was answered; `parts` [roles, parts], with the value (`owner`)
    and the number of each: the items, or the repeats, whose mean a score is."""

    scores: FloatArray
    parts: FloatArray
    owner: IndexArray


@dataclass(frozen=True, eq=False)
class Questioning:
    """One group of roles and the items of the study: role r has the same errors of its own under every
    condition, and the first k roles are the same however many follow. All groups of one `key`, which is a
    child of `seed`, meet the same thresholds."""

    design: Design
    noise: ItemNoise
    seed: int
    key: tuple[int, ...]
    group: int

    def ask(
        self,
        values: FloatArray,
        asked: tuple[bool, ...],
        part: str | None = None,
        condition: int | None = None,
    ) -> Answers:
        """The roles with `values` [roles, n] on the items `asked`; `part`: "item" or "repeat" to keep them.

        `condition`: the number of a steered one, which has noise of its own; None for the baseline."""
        roles, n = values.shape
        scores, parts_by_value, owner = np.empty((roles, n)), [], []
        yes: FloatArray = self.noise.acquiescence_sd * self._rng(_YES, self.group).standard_normal((roles,))
        for value in range(n):
            items = [i for i in self.design.items_of(value) if asked[i]]
            by_repeat = self._value(values[:, value], value, items, yes, condition)
            by_item = _mean(by_repeat, axis=0)
            scores[:, value] = _mean(by_item, axis=1)
            if part is not None:
                parts_by_value.append(by_item if part == "item" else _mean(by_repeat, axis=2).T)
                owner += [value] * parts_by_value[-1].shape[1]
        table = np.hstack(parts_by_value) if parts_by_value else np.empty((roles, 0))
        return Answers(scores, table, np.array(owner, dtype=np.int64))

    def _value(
        self, values: FloatArray, value: int, items: list[int], yes: FloatArray, condition: int | None
    ) -> FloatArray:
        """[repeats, roles, items of this value]: scores; NaN for missing ones and those not drawn."""
        noise, roles = self.noise, len(values)
        thresholds = self._thresholds(value)[items]
        # A stream for each table: the first roles must not depend on how many follow.
        width = len(self.design.items_of(value))
        columns = np.searchsorted(self.design.items_of(value), items)
        drawn = self._rng(_VALUE, self.group, value).standard_normal((roles, 1 + width))
        fate = self._rng(_FATE, self.group, value).random((roles, 2 * width))
        shared, rest = drawn[:, 0] * noise.value_sd, drawn[:, 1 + columns] * noise.residual_sd
        if condition is not None:
            steering = self._rng(_STEERING, self.group, value, condition)
            more = steering.standard_normal((roles, 1 + width))
            shared = shared + more[:, 0] * noise.steering_value_sd
            rest = rest + more[:, 1 + columns] * noise.steering_residual_sd
        agreement = np.array(self.design.agreement)[items]
        log_odds = agreement * noise.slope * ((values + shared)[:, None] - thresholds) + yes[:, None] + rest
        scores = agreement * self._answered(log_odds, value, condition)
        luck, order = fate[:, columns], fate[:, width + columns]
        scores = np.where(luck < noise.unsure_rate, 0.0, scores)
        scores = np.where(luck > 1 - noise.missing_rate, np.nan, scores)
        if self.design.share < 1:
            wanted = max(1, round(self.design.share * len(items)))
            scores = np.where(np.argsort(np.argsort(order, axis=1), axis=1) < wanted, scores, np.nan)
        return np.asarray(scores)

    def _thresholds(self, value: int) -> FloatArray:
        """[all items]: those of this value spread evenly, in random order, each off by the noise of items."""
        items = self.design.items_of(value)
        rng = self._rng(_OFFSETS, value)
        even = HALF_RANGE * ((2 * rng.permutation(len(items)) + 1) / len(items) - 1)
        thresholds = np.full(len(self.design.owner), np.nan)
        thresholds[items] = even + rng.standard_normal(len(items)) * self.noise.item_sd
        return thresholds

    def _answered(self, log_odds: FloatArray, value: int, condition: int | None) -> FloatArray:
        """[repeats, roles, items] in [−1, 1]: yes is above 0."""
        design = self.design
        if design.mode == "logprob":
            return np.asarray(np.tanh(log_odds / 2)[None])
        if design.temperature is None:
            return np.asarray(np.where(log_odds > 0, 1.0, -1.0)[None])
        chance = 1 / (1 + np.exp(-np.clip(log_odds / design.temperature, -500, 500)))
        # Nucleus sampling of two answers: the likelier one alone where it fills the nucleus.
        sure = np.maximum(chance, 1 - chance) >= design.top_p
        chance = np.where(sure & (design.top_p < 1), (chance > 0.5).astype(float), chance)
        key = (_SAMPLING, self.group, value, 0 if condition is None else 1 + condition)
        luck = np.stack([self._rng(*key, r).random(log_odds.shape) for r in range(design.repeats)])
        return np.asarray(np.where(luck < chance, 1.0, -1.0))

    def _rng(self, *key: int) -> np.random.Generator:
        return child_rng(self.seed, *self.key, *key)


def _mean(table: FloatArray, axis: int) -> FloatArray:
    """The mean over what is not NaN; NaN without any."""
    present = ~np.isnan(table)
    count = present.sum(axis=axis)
    total = np.where(present, table, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def profile_frame(scores: FloatArray, names: tuple[str, ...], prefix: str = "r", **more: str) -> pl.DataFrame:
    """Profiles as the stage score makes them: role, then `more` columns, then a column per value, null where
    a score is missing."""
    columns: dict[str, pl.Series] = {"role": pl.Series([f"{prefix}{r}" for r in range(len(scores))])}
    columns |= {name: pl.Series([entry] * len(scores), dtype=pl.String) for name, entry in more.items()}
    columns |= {name: pl.Series(scores[:, k], nan_to_null=True) for k, name in enumerate(names)}
    return pl.DataFrame(columns)


def part_frame(answers: Answers, names: tuple[str, ...], prefix: str = "r") -> pl.DataFrame:
    """The parts as engine.scoring.scores.part_scores gives them: role, value, part, score."""
    roles, parts = np.nonzero(~np.isnan(answers.parts))
    values = np.array(names, object)[answers.owner[parts]]
    return pl.DataFrame(
        {
            "role": [f"{prefix}{r}" for r in roles],
            "value": pl.Series(values.tolist(), dtype=pl.String),
            "part": [f"{p:06d}" for p in parts],
            "score": answers.parts[roles, parts],
        }
    )
