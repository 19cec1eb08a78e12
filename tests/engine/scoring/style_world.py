"""Answers of roles whose content and style are known."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.engine.scoring import content
from axiograph.engine.scoring.style import Style, find_style
from axiograph.engine.scoring.tally import Tally, tally_frames


def items_of(keys: list[str], split: str = "train") -> pl.DataFrame:
    """A value for each text of keys, such as "++-"."""
    rows = [
        (f"v{v}-{i}", f"v{v}", 1 if key == "+" else -1, False, split, f"{v} {i}?")
        for v, text in enumerate(keys)
        for i, key in enumerate(text)
    ]
    names = ["item_id", "value", "agreement", "shared", "split", "question"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("agreement").cast(pl.Int8))


def tallied(
    raw: np.ndarray, items: pl.DataFrame, split: list[str] | None = None, asked: np.ndarray | None = None
) -> Tally:
    """Of raw answers [conditions, roles, items] in (−1, 1), NaN refused; `asked` [roles, items]: True where
    asked."""
    conditions, roles, _ = raw.shape
    c, r, i = (index.ravel() for index in np.indices(raw.shape))
    answers = raw.ravel()
    frame = pl.DataFrame(
        {
            "request_id": [number.to_bytes(16, "big") for number in range(raw.size)],
            "role": np.array([f"r{k:03d}" for k in range(roles)])[r],
            "condition": np.array(["baseline", *(f"c{k}" for k in range(1, conditions))])[c],
            "item_id": items["item_id"].to_numpy()[i],
            "split": np.array(split or ["train"] * roles)[r],
            "mode": ["logprob"] * raw.size,
            "state": np.where(np.isnan(answers), "refused", np.where(answers > 0, "yes", "no")),
            "log_odds": 2 * np.arctanh(np.nan_to_num(answers)),
            "fallback": np.zeros(raw.size, bool),
        }
    )
    if asked is not None:
        frame = frame.filter(pl.Series(np.broadcast_to(asked, raw.shape).ravel()))
    return tally_frames(frame.select("request_id", "role", "condition", "item_id", "split"), frame, items)


def contents(
    raw: np.ndarray, items: pl.DataFrame, split: list[str] | None = None, asked: np.ndarray | None = None
) -> tuple[pl.DataFrame, Style]:
    """content_profiles and the style, as the stage `score` makes them."""
    tally = tallied(raw, items, split, asked)
    measured, used = content.with_item_means(tally, items), None
    if content.needs_item_means(tally, measured, 1, by_split=False):
        tally = tallied(raw, measured, split, asked)
        used = content.item_deviations(measured, by_split=False, drop_shared=False)
    style = find_style(tally)
    return content.content_profiles(tally, style, used, by_split=False), style


def raw_answers(
    rng: np.random.Generator,
    items: pl.DataFrame,
    values: np.ndarray,
    style: np.ndarray,
    difficulty: float = 0.2,
    noise: float = 0.2,
) -> np.ndarray:
    """[conditions, roles, items]: key × (value + difficulty + error) + style, for values [conditions, roles,
    n_values] and style [conditions, roles]."""
    key = items["agreement"].to_numpy().astype(float)
    value = items["value"].rank("dense").to_numpy() - 1
    shape = (*values.shape[:2], len(key))
    own = (
        values[:, :, value] + difficulty * rng.standard_normal(len(key)) + noise * rng.standard_normal(shape)
    )
    return np.asarray(key * own + style[:, :, None])
