"""Norms: how people of some group answered, in the inventory's own units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import LINE

_KEYS = {"group", "mean", "sd", "n", "of"}


@dataclass(frozen=True)
class Norm:
    """`mean` and `sd` of a group's answers to the items of one value, reverse-keyed ones turned, in the codes
    of the scale: of their mean over the items, or of their sum (`of`). `n`: people in the group."""

    group: str
    mean: float
    sd: float | None = None
    n: int | None = None
    of: Literal["mean", "sum"] = "mean"

    def as_score(self, scales: Sequence[Scale | None]) -> tuple[float, float | None]:
        """(mean, SD) on axiograph's scale from −1 to 1, for items with these scales, one for each item of the
        value; yes or no counts 1 and 0.

        ValueError where codes are not evenly spaced, where weights are not, or, of a mean, where the scales
        differ: then the norm's unit is no linear function of the score."""
        if not scales:
            raise ValueError("no items")
        ends = [(0, 1) if scale is None else _ends(scale) for scale in scales]
        if self.of == "mean" and len(set(ends)) > 1:
            raise ValueError("items of different scales")
        if len({high - low for low, high in ends}) > 1:
            raise ValueError("items of scales of different lengths")
        low, high = (sum(column) / len(ends) for column in zip(*ends, strict=True))
        k = len(ends) if self.of == "sum" else 1
        width = (high - low) / 2
        sd = None if self.sd is None else self.sd / k / width
        return (self.mean / k - low) / width - 1, sd


def _ends(scale: Scale) -> tuple[int, int]:
    codes = [int(code) for code in scale.codes]
    low, high = min(codes), max(codes)
    if high == low or not all(
        math.isclose((code - low) / (high - low), (score + 1) / 2, abs_tol=1e-9)
        for code, score in zip(codes, scale.scores, strict=True)
    ):
        raise ValueError(f"codes of the scale {scale.name!r} that are no measure of its scores")
    return low, high


def read_norms(entries: Any) -> tuple[Norm, ...]:
    """The norms of one value, a list of {group, mean, sd, n, of}; ValueError says what is wrong."""
    if not isinstance(entries, list) or not entries:
        raise ValueError("a list of {group, mean, sd, n}")
    return tuple(_read_norm(entry) for entry in entries)


def _read_norm(entry: Any) -> Norm:
    if not isinstance(entry, dict) or not set(entry) - {LINE} <= _KEYS:
        raise ValueError("groups with the keys group, mean and perhaps sd, n, of")
    group, n, of = entry.get("group"), entry.get("n"), entry.get("of", "mean")
    if not isinstance(group, str) or not group.strip():
        raise ValueError("a text for group")
    mean, sd = _number(entry.get("mean"), "mean"), entry.get("sd")
    if sd is not None and (sd := _number(sd, "sd")) <= 0:
        raise ValueError("an sd above 0")
    if not (n is None or (isinstance(n, int) and not isinstance(n, bool) and n > 0)):
        raise ValueError("a whole number above 0 for n")
    if of not in ("mean", "sum"):
        raise ValueError("'of: mean' or 'of: sum'")
    return Norm(group.strip(), mean, sd, n, of)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"a number for {name}")
    return float(value)
