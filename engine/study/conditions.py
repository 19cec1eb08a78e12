"""Conditions: what is done to the model besides the role; here as data, before any vector is loaded.

A condition is a steering (none, or a list of operations) with a hint (or none): a sentence in the prompt that
says to what the respondent is inclined or disinclined. The grids of a study (features × strengths) are
expanded here; `steering.directions.operations` turns their points into vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import Study
from axiograph.engine.study.steering import HookPointSpec, OperationSpec, SaeSource, SteeringSpec, Unit
from axiograph.engine.study.textfiles import close_matches

BASELINE = "baseline"
ASKED = "asked"
INCLINATIONS = ("inclined", "disinclined")


@dataclass(frozen=True)
class Hint:
    """A named hint; `value` is a value's name, or "asked" for the value that the item at hand measures.

    "asked" is the hard prompt of Kang et al. (2025).
    """

    name: str
    inclination: Literal["inclined", "disinclined"]
    value: str


@dataclass(frozen=True)
class Control:
    """The `number`-th (from 1) random feature or random direction in place of a steered one."""

    kind: Literal["feature", "direction"]
    number: int


@dataclass(frozen=True)
class OperationPoint:
    """One operation with one feature and one strength: a point of a study's grid. `control`: what stands in
    for the direction of the feature, if anything."""

    spec: OperationSpec
    feature: int | None
    strength: float | None
    control: Control | None = None

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def unit(self) -> Unit:
        return self.spec.unit

    @property
    def span(self) -> str:
        return self.spec.span

    @property
    def sae(self) -> SaeSource | None:
        return self.spec.sae

    @property
    def hook_point(self) -> HookPointSpec | None:
        return self.spec.hook_point

    @property
    def does_nothing(self) -> bool:
        """An addition of strength 0; a clamp to 0 does something."""
        return self.kind == "add" and self.strength == 0

    @property
    def label(self) -> str:
        """Short and unique within its specification, e.g. `f14351:+100`, `joy:=2`, `f7:out`, `f7:a=3` (an
        activation), `f7~direction1:+100` (a control)."""
        if self.spec.direction is not None:
            name = self.spec.direction.path.stem
            if self.spec.direction.key != "direction":
                name += f".{self.spec.direction.key}"
            if self.spec.direction.row is not None:
                name += f"[{self.spec.direction.row}]"
        else:
            name = f"f{self.feature}"
        if self.control is not None:
            name += f"~{self.control.kind}{self.control.number}"
        if self.strength is None:
            return f"{name}:out"
        if self.kind == "clamp_feature":
            return f"{name}:a={self.strength:.12g}"
        sign = "=" if self.kind == "clamp" else "+" if self.strength >= 0 else "-"
        return f"{name}:{sign}{abs(self.strength) if sign != '=' else self.strength:.12g}"


@dataclass(frozen=True)
class Condition:
    """Steering × hint under the study's prompt template; `name` labels it in every table."""

    name: str
    operations: tuple[OperationPoint, ...] = ()
    hint: Hint | None = None

    @property
    def is_steered(self) -> bool:
        """Whether anything is done to the stream; a hint alone does nothing to it."""
        return bool(self.operations)

    @property
    def is_negative_control(self) -> bool:
        """Whether it is steered by nothing but additions of strength 0: the baseline, asked once more."""
        return self.is_steered and all(point.does_nothing for point in self.operations)


def expand_conditions(study: Study) -> tuple[Condition, ...]:
    """Baseline, then every hint, then every point of every steering grid, in the order of the study. Points
    at which nothing is steered are the baseline, and no condition but where they are asked for."""
    hints = [Hint(hint.label, hint.inclination, hint.value) for hint in study.hints]
    conditions = [Condition(BASELINE), *(Condition(f"hint {hint.name}", hint=hint) for hint in hints)]
    for spec in study.steering:
        steered = (Condition(name, points) for name, points in _steering_points(spec))
        conditions.extend(c for c in steered if spec.negative_control or not c.is_negative_control)
    _refuse_equal_names(conditions)
    return tuple(conditions)


def _steering_points(spec: SteeringSpec) -> Iterator[tuple[str, tuple[OperationPoint, ...]]]:
    axes = [list(_operation_points(operation)) for operation in spec.operations]
    for points in itertools.product(*axes):
        label = " & ".join(point.label for point in points)
        yield (f"{spec.name} {label}" if spec.name else label), points


def check_steered(study: Study) -> None:
    """InputError where an entry of `steering` steers nothing."""
    for number, spec in enumerate(study.steering):
        points = (Condition(name, points) for name, points in _steering_points(spec))
        if not spec.negative_control and all(condition.is_negative_control for condition in points):
            raise InputError(
                f"study, field steering.{number}",
                "a strength other than 0, or 'negative_control: true'",
                "strength 0 only, which is the baseline",
                "Add a strength, or ask for the negative control.",
            )


def keep_negative_controls(study: Study, asked: Sequence[Condition]) -> Study:
    """`study` with the negative controls among `asked`, the conditions of an earlier start of its run: their
    answers are stored. Entries that say themselves whether they want one stay as they are."""
    names = {condition.name for condition in asked if condition.is_negative_control}

    def kept(spec: SteeringSpec) -> SteeringSpec:
        if spec.negative_control is not None or not any(name in names for name, _ in _steering_points(spec)):
            return spec
        return spec.model_copy(update={"negative_control": True})

    steering = tuple(kept(spec) for spec in study.steering)
    return study if steering == study.steering else study.model_copy(update={"steering": steering})


def _operation_points(spec: OperationSpec) -> Iterator[OperationPoint]:
    # + 0.0 turns -0.0 into 0.0, which would otherwise be a second condition that does the same.
    strengths: list[float | None] = [strength + 0.0 for strength in spec.strengths] or [None]
    for feature in spec.features or (None,):
        for control in (None, *_controls(spec)):
            for strength in strengths:
                yield OperationPoint(spec, feature, strength, control)


def _controls(spec: OperationSpec) -> Iterator[Control]:
    if spec.controls is None:
        return
    for number in range(1, spec.controls.features + 1):
        yield Control("feature", number)
    for number in range(1, spec.controls.directions + 1):
        yield Control("direction", number)


def _refuse_equal_names(conditions: list[Condition]) -> None:
    seen: set[str] = set()
    for condition in conditions:
        if condition.name in seen:
            raise InputError(
                "study, field steering",
                "conditions with different names",
                f"'{condition.name}' twice",
                "Give the entries under 'steering' a 'name' each.",
            )
        seen.add(condition.name)


def hinted_value(hint: Hint, asked_value: str) -> str:
    """The value that the hint names when an item of `asked_value` is asked; its definition belongs to it."""
    return asked_value if hint.value == ASKED else hint.value


def hint_text(hint: Hint, asked_value: str, definition: str | None) -> str:
    """The sentence put into the prompt; `definition` is that of hinted_value(hint, asked_value), if any."""
    value = hinted_value(hint, asked_value)
    sentence = f"As a person you are strongly {hint.inclination} to {value}."
    if definition is None or not definition.strip():
        return sentence
    return f"{sentence} {value} means: {definition.strip()}"


def check_hints(hints: Sequence[Hint], values: Sequence[str]) -> None:
    """Raise InputError for an empty or doubled name, an unknown inclination or an unknown value."""
    names = [hint.name for hint in hints]
    for position, hint in enumerate(hints, start=1):
        where = f"hints, entry {position} ({hint.name!r})"
        if not hint.name.strip():
            raise InputError(where, "a name", "none", "Give the hint a name.")
        if hint.name in names[: position - 1]:
            raise InputError(where, "a name of its own", "a name used before", "Rename one of the two.")
        if hint.inclination not in INCLINATIONS:
            expected = " or ".join(INCLINATIONS)
            raise InputError(where, expected, repr(hint.inclination), "Correct the inclination.")
        if hint.value == ASKED and ASKED in values:
            expected, clash = (
                f"{ASKED!r} to mean the value asked about",
                "a value of that name among those measured",
            )
            raise InputError(where, expected, clash, "Rename the value.")
        if hint.value != ASKED and hint.value not in values:
            expected = f"{ASKED!r} or a value of the study"
            remedy = "Correct the name, or add the value to the study."
            raise InputError(where, expected, close_matches(hint.value, values), remedy)
