"""Rounding is no change: what arithmetic makes of the same answers is counted nowhere."""

from __future__ import annotations

import numpy as np
import pytest

from axiograph.discovery.effects.changes import BASELINE, Pairing, find_changes
from axiograph.discovery.effects.contrast import moved, sign_table
from axiograph.discovery.effects.doses import kendall
from axiograph.discovery.effects.rounding import score_rounding
from axiograph.discovery.numerics.intervals import ROUNDING
from tests.discovery.made_profiles import profiles

SIZES = {"float16": 4 / 2**10, "bfloat16": 4 / 2**7}


def test_what_counts_as_rounding():
    assert score_rounding("generate", ["bfloat16"]) == score_rounding("logprob", ["float32"]) == ROUNDING
    for dtype, size in SIZES.items():
        assert score_rounding("logprob", ["float32", dtype]) == size
    assert score_rounding("logprob", []) == score_rounding("logprob", ["unknown"]) == ROUNDING


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_it_is_more_than_the_dtype_makes_of_log_odds(dtype):
    """Logits of up to 16, each off by half of what lies between two numbers of the dtype."""
    rng = np.random.default_rng(0)
    bits = {"float32": 23, "float16": 10, "bfloat16": 7}[dtype]
    step = 2.0 ** (np.floor(np.log2(15.9)) - bits)
    yes, no = rng.uniform(8, 16, (2, 10_000))
    there = np.tanh((yes - no) / 2)
    again = np.tanh(
        (yes + rng.uniform(-0.5, 0.5, 10_000) * step - no - rng.uniform(-0.5, 0.5, 10_000) * step) / 2
    )
    assert np.abs(there - again).max() <= score_rounding("logprob", [dtype])


def test_noise_of_float32_is_no_change_raised_or_lowered_nor_a_trend():
    rng = np.random.default_rng(1)
    base = {v: rng.uniform(-1, 1, 12).tolist() for v in "ab"}
    # All roles shifted by the same rounding error: nothing else would keep this from being "changed".
    again = {v: (np.array(base[v]) + 3e-6).tolist() for v in "ab"}
    table = profiles({"baseline": base, "f1:+0": again})
    changes = find_changes(Pairing(table, BASELINE, ("a", "b")), 0.05)
    assert changes.p.tolist() == [[1.0, 1.0]] and not changes.changed.any()
    counts = sign_table(table, ["a", "b"], BASELINE)
    assert counts["test_unchanged"].to_list() == [12, 12]
    assert not moved(np.array([ROUNDING, -ROUNDING / 2])).any() and moved(np.array([2 * ROUNDING])).all()
    steps = np.array([[0.0, 3e-6, 6e-6]])[:, :, None]
    assert kendall(steps).item() == 0.0


def test_noise_of_bfloat16_is_counted_as_unchanged_where_it_is_named():
    rng = np.random.default_rng(1)
    base = {"a": rng.uniform(-1, 1, 12).tolist()}
    noisy = {"a": (np.array(base["a"]) + rng.choice([-0.02, 0.02], 12)).tolist()}
    table = profiles({"baseline": base, "f1:+0": noisy})
    named = score_rounding("logprob", ["bfloat16"])
    assert sign_table(table, ["a"], BASELINE, named)["test_unchanged"].to_list() == [12]
    assert sign_table(table, ["a"], BASELINE)["test_unchanged"].to_list() == [0]
