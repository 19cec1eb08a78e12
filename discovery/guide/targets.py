"""What is wanted of steering: values to raise, lower and hold; in points of score or standard deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.errors import InputError
from axiograph.engine.study.textfiles import close_matches

REST = "rest"
TOLERANCE = 0.2  # standard deviations over roles by which a held value may be expected to move


@dataclass(frozen=True)
class Target:
    """A value with the wanted change: `sign` +1 or −1, `amount` in points of the mean score or, if `in_sd`,
    in standard deviations of the baseline over roles; None: as much as possible."""

    value: str
    sign: int
    amount: float | None = None
    in_sd: bool = False

    def change(self, deviation: float) -> float | None:
        """The wanted change in points, signed; None for as much as possible."""
        if self.amount is None:
            return None
        return self.sign * self.amount * (deviation if self.in_sd else 1.0)

    def verb(self) -> str:
        """raise or lower."""
        return "raise" if self.sign > 0 else "lower"

    def words(self) -> str:
        """For a sentence: raise Power by 0.5 points of score."""
        if self.amount is None:
            return f"{self.verb()} {self.value} as far as possible"
        one = "" if self.amount == 1 else "s"
        unit = f"standard deviation{one} over roles" if self.in_sd else f"point{one} of score"
        return f"{self.verb()} {self.value} by {self.amount:g} {unit}"


@dataclass(frozen=True)
class Wishes:
    """`targets` and the values to `hold`: none of them may be expected to move by more than `tolerance`
    standard deviations over roles."""

    targets: tuple[Target, ...]
    hold: tuple[str, ...] = ()
    tolerance: float = TOLERANCE

    def words(self) -> str:
        """All targets and held values, for a sentence."""
        held = f", hold {', '.join(self.hold)}" if self.hold else ""
        return "; ".join(target.words() for target in self.targets) + held

    def slug(self) -> str:
        """A name for a folder."""
        parts = []
        for target in self.targets:
            size = "" if target.amount is None else f"{target.amount:g}{'sd' if target.in_sd else ''}"
            parts.append(f"{'raise' if target.sign > 0 else 'lower'}-{target.value}{size}")
        parts += [f"hold-{value}" for value in self.hold]
        whole = "_".join(parts)
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in whole)[:120]


def parse_wishes(
    raised: Sequence[str],
    lowered: Sequence[str],
    held: Sequence[str],
    names: Sequence[str],
    tolerance: float = TOLERANCE,
) -> Wishes:
    """Wishes from the texts of the command line: `Power`, `Power=0.5`, `Power=+0.5`, `Power=1.5sd`, several
    in one text with commas; among the held ones `rest` for every value that is not named.

    Raises InputError for a value that the run did not measure, an amount that is none, no target at all, and
    wishes that contradict each other in themselves."""
    targets = [_target(text, +1, "--raise", names) for text in _split(raised, names)]
    targets += [_target(text, -1, "--lower", names) for text in _split(lowered, names)]
    if not targets:
        raise InputError(
            "--raise, --lower", "a value to raise or to lower", "none", "Name one, such as --raise Power."
        )
    wanted = [target.value for target in targets]
    hold = [_measured(text, "--hold", names) for text in _split(held, names) if text != REST or REST in names]
    if REST in _split(held, names) and REST not in names:
        hold += [name for name in names if name not in wanted]
    hold = list(dict.fromkeys(hold))
    _refuse_contradictions(wanted, hold)
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise InputError("--tolerance", "a number above 0", f"{tolerance}", f"{TOLERANCE} is usual.")
    return Wishes(tuple(targets), tuple(hold), tolerance)


def _split(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """The parts between commas; a text that is a value's name as it stands is one part."""
    wishes: list[str] = []
    for text in texts:
        parts = [text] if text.strip() in names else text.split(",")
        wishes += [part.strip() for part in parts if part.strip()]
    return wishes


def _target(text: str, sign: int, option: str, names: Sequence[str]) -> Target:
    if text in names:
        return Target(text, sign)
    name, equals, amount = text.rpartition("=")
    if not equals:
        return Target(_measured(text, option, names), sign)
    value = _measured(name.strip(), option, names)
    plain = amount.strip().lower()
    in_sd = plain.endswith("sd")
    try:
        number = float(plain.removesuffix("sd"))
    except ValueError:
        number = math.nan
    # '--lower Power=-0.5' says the same twice; '--raise Power=-0.5' says two things.
    if not math.isfinite(number) or number == 0 or (number < 0 and sign > 0):
        raise InputError(
            f"{option} {text}",
            "an amount above 0, in points of score (0.5) or in standard deviations over roles (1sd)",
            f"'{amount}'",
            "Correct it, or leave it out for as much as possible.",
        )
    if not in_sd and abs(number) > 2:
        raise InputError(
            f"{option} {text}",
            "at most 2 points, since scores lie between −1 and 1",
            f"{number:g}",
            "Give fewer points, or standard deviations (1sd).",
        )
    return Target(value, sign, abs(number), in_sd)


def _measured(name: str, option: str, names: Sequence[str]) -> str:
    """`name`, or InputError where the run did not measure it."""
    if name in names:
        return name
    raise InputError(
        f"{option} {name}",
        "a value that the run measured",
        close_matches(name, list(names)),
        "Correct the name, or add the value's items to the study and run it again.",
    )


def _refuse_contradictions(wanted: Sequence[str], hold: Sequence[str]) -> None:
    for value in wanted:
        if wanted.count(value) > 1 or value in hold:
            twice = "to be moved and held" if value in hold else "named more than once"
            raise InputError(
                "--raise, --lower, --hold",
                "one wish for a value",
                f"{value} {twice}",
                "Leave one of them out.",
            )


def check_measured(wishes: Wishes, names: Sequence[str], baseline: FloatArray) -> None:
    """InputError for a wished value without a score or without any difference between roles."""
    for value in (*(target.value for target in wishes.targets), *wishes.hold):
        column = baseline[:, names.index(value)]
        scores = column[np.isfinite(column)]
        if scores.size < 2 or float(np.ptp(scores)) == 0:
            alike = (
                "fewer than two scores" if scores.size < 2 else f"the same score {scores[0]:g} for every role"
            )
            raise InputError(
                f"value {value}",
                "baseline scores that differ between the roles",
                alike,
                "Look at its items and answers (`axiograph show`), or ask more roles.",
            )
