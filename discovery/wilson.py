"""Frequencies over replicates and the interval of their Monte-Carlo error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discovery.pc import FloatArray

CountArray = NDArray[np.int64]


def share(counts: CountArray, totals: CountArray) -> FloatArray:
    """counts / totals; NaN where the total is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts / totals


def wilson(counts: CountArray, totals: CountArray, z: float = 1.959964) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of counts / totals (95 % by default); NaN where the total is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = counts / totals
        centre = (frequency + z * z / (2 * totals)) / (1 + z * z / totals)
        half = frequency * (1 - frequency) / totals + z * z / (4 * totals**2)
        half = z / (1 + z * z / totals) * np.sqrt(half)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
