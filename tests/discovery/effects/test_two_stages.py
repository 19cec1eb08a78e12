"""The family of tests: no contrast is called changed above the level of its own interval."""

import numpy as np

from axiograph.discovery.effects.changes import two_stages


def test_a_family_that_mostly_moved_rejects_nothing_above_the_level():
    # 20 of 32 moved for sure: the second stage alone would reject up to 0.05 · 21 / (1.05 · 12) = 0.083.
    p = np.concatenate([np.full(20, 1e-9), [0.04, 0.06], np.linspace(0.2, 1, 10)])
    adjusted, rejected, cut = two_stages(p, 0.05)
    assert rejected.sum() == 21 and rejected[20] and not rejected[21]
    assert cut == 0.05
    assert np.all(adjusted >= p)
    assert np.array_equal(rejected, p <= cut)
