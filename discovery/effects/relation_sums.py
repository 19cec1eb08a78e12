"""Sums of what the other values did, by their relation in each of many graphs, compiled."""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import jit


@jit
def tally(codes: ByteArray, targets: IndexArray, outcomes: FloatArray, sums: FloatArray) -> None:
    """Set sums[b, t, r, m] to the sum over k of outcomes[b, k, m] where codes[b, targets[t], k] is r + 1.

    codes [B, n, n], 0 where nothing is counted; targets [T]; outcomes [B, n, M]; sums [B, T, 3, M]."""
    measures = outcomes.shape[2]
    by_code = np.zeros((4, measures))
    for b in range(len(codes)):
        for t in range(len(targets)):
            by_code[:] = 0.0
            for k in range(codes.shape[2]):
                code = codes[b, targets[t], k]
                for m in range(measures):
                    by_code[code, m] += outcomes[b, k, m]
            for r in range(3):
                for m in range(measures):
                    sums[b, t, r, m] = by_code[r + 1, m]
