import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.numerics.philox import draw_any, draw_distinct, fill, key_of


def raw(seed: int, stream: int) -> np.random.Philox:
    return np.random.Philox(key=key_of(seed), counter=[0, stream, 0, 0])


@settings(deadline=None)
@given(st.integers(0, 2**64), st.integers(0, 2**63 - 1), st.integers(1, 40), st.integers(1, 2**62))
def test_words_are_numpys(seed, stream, blocks, first):
    words = np.empty(4 * blocks, np.uint64)
    fill(key_of(seed), stream, first, words)
    theirs = np.random.Philox(key=key_of(seed), counter=[first - 1, stream, 0, 0])
    assert np.array_equal(words, theirs.random_raw(4 * blocks))


def test_key_is_numpys():
    theirs = np.random.Philox(np.random.SeedSequence(9)).state["state"]["key"]
    assert np.array_equal(key_of(9), theirs)


class Plain:
    """The same draws in plain Python, from NumPy's generator."""

    def __init__(self, seed: int, stream: int) -> None:
        self.generator, self.halves = raw(seed, stream), []

    def below(self, bound: int) -> int:
        while True:
            if not self.halves:
                word = int(self.generator.random_raw())
                self.halves = [word & 0xFFFFFFFF, word >> 32]
            product = self.halves.pop(0) * bound
            if product % 2**32 >= 2**32 % bound:
                return product // 2**32


# A third of the numbers is refused where units is near two thirds of 2³².
@settings(deadline=None)
@given(st.sampled_from([1, 2, 7, 1000, 2**31 + 1, 2863311531, 2**32]), st.integers(0, 5), st.integers(0, 99))
def test_any_units_are_drawn_as_in_plain_python(units, seed, stream):
    drawn = np.empty((2, 600), np.int64)
    draw_any(key_of(seed), np.array([stream, stream + 1]), units, drawn)
    for row, number in zip(drawn, (stream, stream + 1), strict=True):
        plain = Plain(seed, number)
        assert row.tolist() == [plain.below(units) for _ in range(600)]


@settings(deadline=None)
@given(st.integers(1, 700), st.integers(0, 5), st.integers(0, 99))
def test_distinct_units_are_drawn_as_in_plain_python(units, seed, stream):
    drawn = np.empty((1, (units + 1) // 2), np.int64)
    draw_distinct(key_of(seed), np.array([stream]), units, drawn)
    plain, order = Plain(seed, stream), list(range(units))
    for i in range(drawn.shape[1]):
        j = i + plain.below(units - i)
        order[i], order[j] = order[j], order[i]
    assert drawn[0].tolist() == order[: drawn.shape[1]]


@pytest.mark.parametrize("draw", [draw_any, draw_distinct])
def test_every_unit_is_as_likely(draw):
    drawn = np.empty((40_000, 3), np.int64)
    draw(key_of(1), np.arange(40_000), 6, drawn)
    counts = np.bincount(drawn.ravel(), minlength=6)
    spread = np.sqrt(120_000 * 1 / 6 * 5 / 6)
    assert np.all(np.abs(counts - 20_000) < 4 * spread)
    # Of two places, every pair as often: 1 / 36 with replacement, 1 / 30 for different ones without.
    pairs = np.zeros((6, 6))
    np.add.at(pairs, (drawn[:, 0], drawn[:, 1]), 1)
    expected = 40_000 / 36 if draw is draw_any else 40_000 / 30 * (1 - np.eye(6))
    assert np.all(np.abs(pairs - expected) < 5 * np.sqrt(40_000 / 30))
    assert draw is draw_any or not np.diag(pairs).any()
