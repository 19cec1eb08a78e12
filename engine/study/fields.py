"""What the sections of a study file have in common: unknown keys are refused, numbers are finite."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def finite(value: float) -> float:
    """`value`; ValueError, of which pydantic makes its own, for NaN and infinity."""
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


Finite = Annotated[float, AfterValidator(finite)]
Share = Annotated[float, Field(gt=0.0, le=1.0), AfterValidator(finite)]


class Spec(BaseModel):
    """A section of a study file: nothing but its fields may stand in it, and it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
