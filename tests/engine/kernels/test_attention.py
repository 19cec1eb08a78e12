"""The compiled attention of prompts against the plain formula in double precision."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.kernels.attention import Reads, read
from axiograph.engine.kernels.hidden import HIDDEN


def plain(q, keys, values, reads, scale):
    """One query and one head after the other; who sees no key has 0 and HIDDEN."""
    tokens, heads, size = q.shape
    groups = heads // keys.shape[1]
    out, lse = np.zeros((tokens, heads, size)), np.full((tokens, heads), HIDDEN)
    for r, slot in enumerate(reads.slot):
        for i in range(reads.start[r], reads.end[r]):
            seen = slice(reads.first[r] + reads.lo[i], reads.first[r] + reads.hi[i])
            if seen.start >= seen.stop:
                continue
            for head in range(heads):
                own, read_values = (t[slot, head // groups, seen].double().numpy() for t in (keys, values))
                scores = scale * own @ q[reads.tokens[i], head].double().numpy()
                lse[reads.tokens[i], head] = scores.max() + np.log(np.exp(scores - scores.max()).sum())
                weights = np.exp(scores - lse[reads.tokens[i], head])
                out[reads.tokens[i], head] = weights @ read_values
    return out, lse


def agree(q, keys, values, reads, scale):
    expected, expected_lse = plain(q, keys, values, reads, scale)
    out, lse = read(q, keys, values, reads, scale)
    # What rounding can do to a score, and so to a weight and to a sum of values with these weights.
    longest = float(q.norm(dim=-1).max() * keys.norm(dim=-1).max())
    rounding = 8 * np.finfo(np.float32).eps * (1 + scale * longest)
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=rounding * float(values.abs().max()))
    seen = expected_lse != HIDDEN
    np.testing.assert_allclose(lse.numpy()[seen], expected_lse[seen], rtol=0, atol=rounding)
    assert (lse.numpy()[~seen] == np.float32(HIDDEN)).all()


def drawn(shape, seed, spread=1.0):
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def reads_of(draw, tokens, slots, width):
    """Some of the tokens, in any order, split among reads of any parts of any slots."""
    chosen = draw(st.permutations(range(tokens)))[: draw(st.integers(1, tokens))]
    cuts = sorted([*draw(st.lists(st.integers(1, len(chosen)), max_size=4)), 0, len(chosen)])
    parts = [(a, b) for a, b in pairwise(cuts) if a < b]
    columns = {name: [] for name in ("slot", "first", "n", "start", "end")}
    lo, hi = [], []
    for a, b in parts:
        first = draw(st.integers(0, width - 1))
        n = draw(st.integers(1, width - first))
        for name, value in zip(columns, (draw(st.integers(0, slots - 1)), first, n, a, b), strict=True):
            columns[name].append(value)
        for _ in range(a, b):
            sees = draw(st.integers(0, n))
            lo.append(sees)
            hi.append(draw(st.integers(sees, n)))
    columns |= {"tokens": chosen, "lo": lo, "hi": hi}
    return Reads(**{name: np.array(column, dtype=np.int64) for name, column in columns.items()})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_is_the_plain_formula(data):
    kv, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    size, width = data.draw(st.sampled_from([16, 32, 48, 80])), data.draw(st.integers(1, 70))
    tokens, slots, seed = (
        data.draw(st.integers(1, 30)),
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(0, 99)),
    )
    q = drawn((tokens, kv * groups, size), seed, data.draw(st.sampled_from([0.1, 1.0, 10.0])))
    keys, values = (drawn((slots, kv, width, size), seed + i) for i in (1, 2))
    agree(q, keys, values, reads_of(data.draw, tokens, slots, width), size**-0.5)


def causal(sizes):
    """Stretches of these sizes, one after the other in one slot, each over itself."""
    sizes = np.array(sizes)
    ends = np.cumsum(sizes)
    starts, tokens = ends - sizes, np.arange(ends[-1])
    offsets = tokens - np.repeat(starts, sizes)
    return Reads(
        np.zeros_like(sizes), starts, sizes, starts, ends, tokens, np.zeros_like(tokens), offsets + 1
    )


@pytest.mark.parametrize("sizes", [[9, 1, 30, 7, 64, 33], [8] * 18])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_reads(torch_threads, threads, sizes):
    reads = causal(sizes)
    q, keys, values = drawn((144, 4, 16), 0), drawn((1, 2, 144, 16), 1), drawn((1, 2, 144, 16), 2)
    torch_threads(threads)
    agree(q, keys, values, reads, 0.25)


def test_tensors_that_do_not_lie_side_by_side():
    """As a model's layers make them: heads before tokens, or tokens before heads; caches cut short."""
    reads = causal([5, 20, 11])
    q = drawn((2, 36, 32), 0).transpose(0, 1)
    keys = drawn((1, 36, 2, 32), 1).transpose(1, 2)
    values = drawn((1, 2, 50, 32), 2)[:, :, 7:43]
    agree(q, keys, values, reads, 0.2)


def test_scores_far_apart_give_the_largest_all_the_weight():
    q = drawn((9, 1, 16), 0)
    keys, values = drawn((1, 1, 40, 16), 1), drawn((1, 1, 40, 16), 2)
    keys[0, 0, 17] = 1000 * q[4, 0]
    places = np.zeros(1, dtype=np.int64)
    reads = Reads(
        places, places, places + 40, places, places + 9, np.arange(9), np.zeros(9, int), np.full(9, 40)
    )
    out, lse = read(q, keys, values, reads, 1.0)
    assert torch.allclose(out[4, 0], values[0, 0, 17], atol=1e-6)
    assert float(lse[4, 0]) == pytest.approx(1000 * float((q[4] ** 2).sum()), rel=1e-6)


@pytest.mark.parametrize("queries", [3, 12])
@pytest.mark.parametrize("sign", [-1, 1])
def test_scores_beyond_measure_do_not_open_what_is_hidden(sign, queries):
    """Every score that is seen is −1e31, or +1e31; what is not seen stays so."""
    q, keys = torch.ones(queries, 1, 16), torch.full((1, 1, 20, 16), sign * 1e31 / 16)
    values = drawn((1, 1, 20, 16), 2)
    zero, hi = np.zeros(1, dtype=np.int64), np.full(queries, 4)
    reads = Reads(zero, zero, zero + 20, zero, zero + queries, np.arange(queries), np.zeros(queries, int), hi)
    out, _ = read(q, keys, values, reads, 1.0)
    assert torch.allclose(out[:, 0], values[0, 0, :4].mean(0).expand(queries, 16), atol=1e-6)
    out, _ = read(q, sign * torch.inf * torch.ones_like(keys), values, reads, 1.0)
    assert out.isnan().all()


@pytest.mark.parametrize("queries", [3, 12])
@pytest.mark.parametrize("place", ["query", "key", "value"])
def test_what_is_no_number_stays_none(place, queries):
    q = drawn((queries, 1, 16), 0)
    keys, values = drawn((1, 1, 20, 16), 1), drawn((1, 1, 20, 16), 2)
    {"query": q[1], "key": keys[:, :, 5], "value": values[:, :, 5]}[place][0, 0] = float("nan")
    zero = np.zeros(1, dtype=np.int64)
    hi = np.full(queries, 20)
    hi[0] = 5  # who does not see the spoilt key is not spoilt
    reads = Reads(zero, zero, zero + 20, zero, zero + queries, np.arange(queries), np.zeros(queries, int), hi)
    out, _ = read(q, keys, values, reads, 0.25)
    assert out[1, 0].isnan().any()
    if place == "key":
        assert out[0].isfinite().all()
    if place == "query":
        assert out[2:].isfinite().all()
