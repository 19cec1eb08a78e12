"""Levers: what a run has tried on the model and a proposal may use again: features and hints.

Roles and traits are proposed too, but are no levers: nothing is joined with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class LeverKind(StrEnum):
    SAE = "sae"
    HINT = "hint"
    ROLE = "role"
    TRAIT = "trait"


@dataclass(frozen=True)
class Lever:
    """One way of steering, with the conditions under which it was measured.

    `points`: (strength, condition) by rising strength, without strength 0, which is the baseline. `switch`:
    it can only be used as measured (a hint, a clamp, several operations at once: its strengths are no scale),
    never between two points. `solo`: it cannot be joined with others in one condition. `low`, `high`: the
    strengths between which no sweep broke the model; `settled`: whether the sweep could tell on both sides.
    `breaks`: the smallest strengths that broke it, below and above 0. `unit`: what a strength is a multiple
    of. `about`: in words for a person."""

    name: str
    kind: LeverKind
    points: tuple[tuple[float, str], ...]
    unit: str = ""
    switch: bool = False
    solo: bool = False
    low: float = 0.0
    high: float = 0.0
    breaks: tuple[float | None, float | None] = (None, None)
    settled: bool = True
    about: str = ""

    @property
    def usable(self) -> tuple[tuple[float, str], ...]:
        """The measured points within the bounds."""
        return tuple(p for p in self.points if self.low <= p[0] <= self.high)

    def span(self) -> float:
        """The largest |strength| that may be used; 0 where there is none."""
        return max((abs(strength) for strength, _ in self.usable), default=0.0)


def bounded(
    points: Sequence[tuple[float, str]],
    holds_to: tuple[float | None, float | None],
    breaks_from: tuple[float | None, float | None],
    most: float | None = None,
) -> tuple[float, float, bool]:
    """(low, high, settled) of a lever: on either side, the strengths up to which the model holds.

    `holds_to`, `breaks_from`: below and above 0, as discovery.breaking.limits has them. Where neither is
    known (too few roles to tell) all measured strengths stay, and the lever is not settled; where the model
    breaks and not even the smallest strength holds, none. `most`: a bound of the user's own."""
    ends, settled = [], True
    for side, (holds, breaks) in enumerate(zip(holds_to, breaks_from, strict=True)):
        own = [s for s, _ in points if (s < 0) == (side == 0)]
        if not own:
            ends.append(0.0)
            continue
        end = 0.0
        if holds is not None:
            end = holds
        elif breaks is None:
            end, settled = (min(own) if side == 0 else max(own)), False
        if most is not None:
            end = max(end, -most) if side == 0 else min(end, most)
        ends.append(end)
    return ends[0], ends[1], settled
