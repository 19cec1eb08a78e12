"""Answers with a known content and a known response style, for benchmarks/style.py and its tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.engine.scoring import content
from axiograph.engine.scoring.profiles import profiles
from axiograph.engine.scoring.style import Style, find_style
from axiograph.engine.scoring.tally import tally_frames

KEYS = {"+8": (8, 0), "4+4": (4, 4), "5+3": (5, 3)}


@dataclass(frozen=True)
class World:
    """`keys`: of every value, how many items are keyed positively and negatively. Log-odds of yes:
    `slope` × key × value + `tilt` + style of role and condition + key × difficulty of the item + noise."""

    keys: tuple[tuple[int, int], ...]
    slope: float = 1.5
    spread: float = 1.0  # sd of the difficulties
    noise: float = 0.7
    tilt: float = 0.0
    uneven: float = 0.0  # sd over items of how steeply they follow their value, as a share of the slope

    @property
    def names(self) -> list[str]:
        return [f"v{k:02d}" for k in range(len(self.keys))]

    def items(self) -> pl.DataFrame:
        """As engine.plan.inputs.Inputs.items_frame."""
        rows = [
            (f"{name}-{i}", name, 1 if i < plus else -1)
            for name, (plus, minus) in zip(self.names, self.keys, strict=True)
            for i in range(plus + minus)
        ]
        frame = pl.DataFrame(rows, schema=["item_id", "value", "agreement"], orient="row")
        return frame.with_columns(
            pl.col("agreement").cast(pl.Int8), shared=pl.lit(False), split=pl.lit("train"), question="item_id"
        )

    def log_odds(
        self, rng: np.random.Generator, values: np.ndarray, style: np.ndarray, of: Items
    ) -> np.ndarray:
        """[conditions, roles, items] of values [conditions, roles, n] and style [conditions, roles]."""
        own = of.key * self.slope * of.steepness * values[:, :, of.value] + of.key * of.difficulty
        noise = self.noise * rng.standard_normal((*values.shape[1:2], len(of.key)))
        return np.asarray(own + self.tilt + style[:, :, None] + noise)

    def draw_items(self, rng: np.random.Generator) -> Items:
        frame = self.items()
        value = np.array([self.names.index(v) for v in frame["value"]])
        key = frame["agreement"].to_numpy().astype(float)
        steep = np.exp(self.uneven * rng.standard_normal(len(key)))
        return Items(frame, value, key, self.spread * rng.standard_normal(len(key)), steep)


@dataclass(frozen=True)
class Items:
    frame: pl.DataFrame
    value: np.ndarray
    key: np.ndarray
    difficulty: np.ndarray
    steepness: np.ndarray


@dataclass(frozen=True)
class Scored:
    """Profiles [conditions, roles, values] by name, and the style behind them."""

    mean: np.ndarray
    content: np.ndarray
    style: Style


def scored(
    world: World,
    raw: np.ndarray,
    items: pl.DataFrame,
    asked: np.ndarray | None = None,
    split: str | list[str] = "train",
) -> Scored:
    """What axiograph makes of raw answers [conditions, roles, items] in [−1, 1] (NaN: refused). `asked`
    [roles, items]: which were asked; `split`: of the roles."""
    conditions, roles, _ = raw.shape
    c, r, i = (index.ravel() for index in np.indices(raw.shape))
    names = ["baseline", *(f"c{k:02d}" for k in range(1, conditions))]
    splits = np.array([split] * roles if isinstance(split, str) else split)
    ids = [number.to_bytes(16, "big") for number in range(raw.size)]
    answers = raw.ravel()
    frame = pl.DataFrame(
        {
            "request_id": ids,
            "role": np.array([f"r{k:04d}" for k in range(roles)])[r],
            "condition": np.array(names)[c],
            "item_id": items["item_id"].to_numpy()[i],
            "split": splits[r],
            "mode": ["logprob"] * raw.size,
            "state": np.where(np.isnan(answers), "refused", np.where(answers > 0, "yes", "no")),
            "log_odds": 2 * np.arctanh(np.clip(np.nan_to_num(answers), -1 + 1e-15, 1 - 1e-15)),
            "fallback": np.zeros(raw.size, bool),
        }
    )
    if asked is not None:
        frame = frame.filter(pl.Series(np.broadcast_to(asked, raw.shape).ravel()))
    frames = frame.select("request_id", "role", "condition", "item_id", "split"), frame
    tallied = tally_frames(*frames, items)
    used = None
    measured = content.with_item_means(tallied, items)
    if content.needs_item_means(tallied, measured, 1, by_split=False):
        tallied = tally_frames(*frames, measured)
        used = content.item_deviations(measured, by_split=False, drop_shared=False)
    style = find_style(tallied)
    tables = profiles(tallied), content.content_profiles(tallied, style, used, by_split=False)
    arrays = [t.select(world.names).to_numpy().reshape(conditions, roles, -1) for t in tables]
    return Scored(arrays[0], arrays[1], style)
