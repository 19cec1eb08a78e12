"""A register of numbers at a time against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from axiograph.engine.kernels import vectors
from axiograph.engine.kernels.vectors import LANES, load, store

floats = st.floats(-80, 80, width=32)
registers = st.lists(floats, min_size=LANES, max_size=LANES).map(lambda given: np.array(given, np.float32))


@njit
def pairs(a, b, c, out):
    x, y, z = load(a, 0), load(b, 0), load(c, 0)
    store(out, 0, vectors.multiplied_added(x, y, z))
    store(out, LANES, vectors.added(x, y))
    store(out, 2 * LANES, vectors.larger(x, y))
    store(out, 3 * LANES, vectors.spread(a, 3))
    store(out, 4 * LANES, vectors.repeated(b[5]))
    store(out, 5 * LANES, vectors.zeros())
    store(out, 6 * LANES, vectors.smaller(x, y))
    store(out, 7 * LANES, vectors.divided(x, vectors.added(y, vectors.repeated(np.float32(200)))))
    store(out, 8 * LANES, vectors.subtracted(x, y))
    store(out, 9 * LANES, vectors.multiplied(x, y))
    return vectors.summed(x), vectors.largest(x)


@njit
def powers(a, out):
    for i in range(0, len(a), LANES):
        store(out, i, vectors.exponential(load(a, i)))


@njit
def kept(a, at, lo, hi, out):
    store(out, 0, vectors.within(load(a, 0), at, lo, hi, np.float32(-7)))


@settings(deadline=None)
@given(registers, registers, registers)
def test_they_are_what_numpy_makes_of_each(a, b, c):
    out = np.full(10 * LANES, np.nan, np.float32)
    total, top = pairs(a, b, c, out)
    found = out.reshape(10, LANES)
    assert np.array_equal(found[6], np.minimum(a, b))
    assert np.array_equal(found[7], a / (b + np.float32(200)))
    assert np.array_equal(found[8], a - b)
    assert np.array_equal(found[9], a * b)
    wide = a.astype(float) * b + c
    # Product and sum may be rounded once or twice.
    assert np.all(np.abs(found[0] - wide) <= 1e-6 * (np.abs(a * b) + np.abs(c) + 1))
    assert np.array_equal(found[1], a + b)
    assert np.array_equal(found[2], np.maximum(a, b))
    assert (found[3] == a[3]).all() and (found[4] == b[5]).all() and (found[5] == 0).all()
    assert abs(total - a.astype(float).sum()) <= 1e-5 * (np.abs(a).sum() + 1)
    assert top == a.max()


def test_powers_of_e():
    x = np.linspace(-87, 88, 16_000, dtype=np.float32)
    out = np.empty_like(x)
    powers(x, out)
    wanted = np.exp(x.astype(float))
    assert np.abs(out / wanted - 1).max() < 2e-7
    edges = np.zeros(16, np.float32)
    edges[:6] = [0, -88, -1e30, -np.inf, np.nan, 1]
    out = np.empty_like(edges)
    powers(edges, out)
    assert out[0] == 1 and (out[1:4] == 0).all() and np.isnan(out[4]) and out[5] == pytest.approx(np.e)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 60), st.integers(0, 60))
def test_what_lies_outside_is_replaced(at, lo, hi):
    a, out = np.arange(LANES, dtype=np.float32), np.empty(LANES, np.float32)
    kept(a, at, lo, hi, out)
    places = at + np.arange(LANES)
    assert np.array_equal(out, np.where((places >= lo) & (places < hi), a, -7))


def test_no_number_is_not_the_larger_one():
    a, b = np.zeros(LANES, np.float32), np.full(LANES, np.nan, np.float32)
    out = np.empty(10 * LANES, np.float32)
    pairs(a, b, a, out)
    assert (out[2 * LANES : 3 * LANES] == 0).all()
