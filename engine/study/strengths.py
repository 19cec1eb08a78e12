"""Strength grids of a study: lists of strengths written as a rule. What comes out is the list itself."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_EXACT_DIGITS = 12  # as many as a condition's name shows


class StrengthGrid(BaseModel):
    """`steps` strengths from `from` to `to`, both included, at equal distances (linear) or in equal ratios
    (log); `symmetric`: each with both signs. Strengths of a log grid between its ends are rounded to `digits`
    significant digits, those of a linear grid to 12: what the name of a condition says is what is done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: Literal["linear", "log"] = "linear"
    start: float = Field(alias="from")
    stop: float = Field(alias="to")
    steps: int = Field(ge=2, le=10_000)
    symmetric: bool = False
    digits: int = Field(default=4, ge=1, le=_EXACT_DIGITS)

    @model_validator(mode="after")
    def _coherent(self) -> StrengthGrid:
        if not (math.isfinite(self.start) and math.isfinite(self.stop)) or self.start == self.stop:
            raise ValueError("'from' and 'to' finite and different")
        if self.scale == "log" and self.start * self.stop <= 0:
            raise ValueError("'from' and 'to' both above 0 (or both below) where 'scale' is log")
        if self.symmetric and min(self.start, self.stop) < 0:
            raise ValueError("'from' and 'to' of 0 or more where the grid is 'symmetric'")
        if self.scale == "linear" and "digits" in self.model_fields_set:
            raise ValueError("'digits' where 'scale' is log only")
        return self

    def strengths(self) -> tuple[float, ...]:
        """From `from` to `to`; a symmetric grid by rising strength. ValueError where rounding makes two of
        them equal."""
        inner = [self._between(i) for i in range(1, self.steps - 1)]
        strengths = [self.start, *inner, self.stop]
        if len(set(strengths)) < len(strengths):
            raise ValueError(f"fewer 'steps' or more 'digits': with {self.digits} digits some are equal")
        if self.symmetric:
            return tuple(sorted({sign * strength + 0.0 for strength in strengths for sign in (-1, 1)}))
        return tuple(strengths)

    def _between(self, i: int) -> float:
        first, last = Decimal(str(self.start)), Decimal(str(self.stop))
        if self.scale == "linear":
            return _rounded(first + (last - first) * i / (self.steps - 1), _EXACT_DIGITS)
        # Decimal's own logarithm: the same digits on every machine.
        return _rounded(first * ((last / first).ln() * i / (self.steps - 1)).exp(), self.digits)


def _rounded(number: Decimal, digits: int) -> float:
    return float(f"{number:.{digits}g}") + 0.0


def _expanded(value: Any) -> Any:
    """A grid as its strengths; anything else as it is."""
    if not isinstance(value, dict):
        return value
    try:
        return StrengthGrid.model_validate(value).strengths()
    except pydantic.ValidationError as error:
        raise ValueError("; ".join(_clause(each) for each in error.errors(include_url=False))) from None


def _clause(error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"a grid without '{key}' (its keys: from, to, steps, scale, symmetric, digits)"
    if error["type"] == "missing":
        return f"'{key}' in the grid"
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"'{key}': {text}" if key else text


# Of a field that is a tuple of strengths: a grid becomes one.
GRID = BeforeValidator(_expanded)
