"""Simulated answers: what roles with known values score on a study's items, with measured noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.calibration_design import Design
from discovery.calibration_noise import ItemNoise
from discovery.pc import FloatArray
from discovery.resample import child_rng

HALF_RANGE = 2 * 12 / 11  # middles of 12 equal parts of it are the respondent's own thresholds, over ±2
_OFFSETS, _YES, _VALUE, _FATE, _STEERING, _SAMPLING = range(6)


@dataclass(frozen=True, eq=False)
class Answers:
    """`scores` [roles, n]: NaN where no item was answered; `parts` [roles, parts], with the value (`owner`)
    and the number of each: the items, or the repeats, whose mean a score is."""

    scores: FloatArray
    parts: FloatArray
    owner: NDArray[np.int64]


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
        own, kept, owner = np.empty((roles, n)), [], []
        yes: FloatArray = self.noise.acquiescence_sd * self._rng(_YES, self.group).standard_normal((roles,))
        for value in range(n):
            items = [i for i in self.design.items_of(value) if asked[i]]
            given = self._value(values[:, value], value, items, yes, condition)
            by_item = _mean(given, axis=0)
            own[:, value] = _mean(by_item, axis=1)
            if part is not None:
                kept.append(by_item if part == "item" else _mean(given, axis=2).T)
                owner += [value] * kept[-1].shape[1]
        parts = np.hstack(kept) if kept else np.empty((roles, 0))
        return Answers(own, parts, np.array(owner, dtype=np.int64))

    def _value(
        self, values: FloatArray, value: int, items: list[int], yes: FloatArray, condition: int | None
    ) -> FloatArray:
        """[repeats, roles, items of this value]: scores; NaN for missing ones and those not drawn."""
        noise, roles = self.noise, len(values)
        thresholds = self._thresholds(value)[items]
        # A stream for each table: the first roles must not depend on how many follow.
        width = len(self.design.items_of(value))
        places = np.searchsorted(self.design.items_of(value), items)
        drawn = self._rng(_VALUE, self.group, value).standard_normal((roles, 1 + width))
        fate = self._rng(_FATE, self.group, value).random((roles, 2 * width))
        shared, rest = drawn[:, 0] * noise.value_sd, drawn[:, 1 + places] * noise.residual_sd
        if condition is not None:
            steering = self._rng(_STEERING, self.group, value, condition)
            more = steering.standard_normal((roles, 1 + width))
            shared = shared + more[:, 0] * noise.steering_value_sd
            rest = rest + more[:, 1 + places] * noise.steering_residual_sd
        agreement = np.array(self.design.agreement)[items]
        log_odds = agreement * noise.slope * ((values + shared)[:, None] - thresholds) + yes[:, None] + rest
        scores = agreement * self._answered(log_odds, value, condition)
        luck, order = fate[:, places], fate[:, width + places]
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
        found = np.full(len(self.design.owner), np.nan)
        found[items] = even + rng.standard_normal(len(items)) * self.noise.item_sd
        return found

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
    """The mean over what is known; NaN without any."""
    known = ~np.isnan(table)
    count = known.sum(axis=axis)
    total = np.where(known, table, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def profile_frame(scores: FloatArray, names: tuple[str, ...], prefix: str = "r", **more: str) -> pl.DataFrame:
    """Profiles as the stage score makes them: role, then `more` columns, then a column per value, null where
    a score is missing."""
    columns: dict[str, pl.Series] = {"role": pl.Series([f"{prefix}{r}" for r in range(len(scores))])}
    columns |= {name: pl.Series([entry] * len(scores), dtype=pl.String) for name, entry in more.items()}
    columns |= {name: pl.Series(scores[:, k], nan_to_null=True) for k, name in enumerate(names)}
    return pl.DataFrame(columns)


def part_frame(answers: Answers, names: tuple[str, ...], prefix: str = "r") -> pl.DataFrame:
    """The parts as engine.scores.part_scores gives them: role, value, part, score."""
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
