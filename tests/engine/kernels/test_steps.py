"""The compiled attention of a step against the plain formula in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.kernels.steps import FEW_ROWS, read_own


def made(rows, heads, kv, size, width, seed, spread=1.0):
    """Queries, new keys and values, and a cache of two slots more than there are rows."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [(rows, heads, size), *[(rows, kv, size)] * 2, *[(rows + 2, kv, width, size)] * 2]
    return [spread * torch.randn(shape, generator=draw) for shape in shapes]


def plain(q, new, held, own, first, scale):
    """One row and one head after the other."""
    n, heads, size = q.shape
    groups = heads // new[0].shape[1]
    out, lse = np.zeros((n, heads, size)), np.zeros((n, heads))
    for i in range(n):
        for head in range(heads):
            keys, values = (
                np.concatenate(
                    [t[i, head // groups, first[i] : own[i]].double(), fresh[i, head // groups][None]]
                )
                for t, fresh in zip(held, new, strict=True)
            )
            scores = scale * keys @ q[i, head].double().numpy()
            lse[i, head] = scores.max() + np.log(np.exp(scores - scores.max()).sum())
            out[i, head] = np.exp(scores - lse[i, head]) @ values
    return out, lse


def agree(q, new, held, own, first, scale):
    expected, expected_lse = plain(q, new, held, own, first, scale)
    before = [t.clone() for t in held]
    out, lse = read_own(q, new, held, own, first, scale)
    # What rounding can do to a score, and so to a weight and to a sum of values with these weights.
    longest = q.norm(dim=-1).max() * max(float(t.norm(dim=-1).max()) for t in (held[0], new[0]))
    rounding = 8 * np.finfo(np.float32).eps * (1 + scale * float(longest))
    largest = max(float(t.abs().max()) for t in (held[1], new[1]))
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=rounding * largest)
    np.testing.assert_allclose(lse.numpy(), expected_lse, rtol=0, atol=rounding)
    for after, old, fresh in zip(held, before, new, strict=True):
        old[np.arange(len(own)), :, own] = fresh
        assert torch.equal(after, old), "only the new tokens are written"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_the_plain_formula(data):
    rows, kv, groups = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)))
    # Few sizes: each is compiled.
    size, width = data.draw(st.sampled_from([3, 16])), data.draw(st.integers(1, 21))
    own = np.array(data.draw(st.lists(st.integers(0, width - 1), min_size=rows, max_size=rows)))
    window = data.draw(st.integers(1, width))
    first = np.maximum(0, own + 1 - window)
    spread = data.draw(st.sampled_from([0.1, 1.0, 10.0]))
    q, *rest = made(rows, kv * groups, kv, size, width, data.draw(st.integers(0, 99)), spread)
    agree(q, tuple(rest[:2]), tuple(rest[2:]), own, first, size**-0.5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_rows(torch_threads, threads):
    rows = 3 * FEW_ROWS + 1
    q, *rest = made(rows, 4, 2, 16, 12, 0)
    torch_threads(threads)
    agree(q, tuple(rest[:2]), tuple(rest[2:]), np.arange(rows) % 12, np.zeros(rows, dtype=np.int64), 0.25)


def test_queries_that_do_not_lie_side_by_side():
    q, *rest = made(4, 2, 2, 16, 8, 1)
    turned = q.transpose(0, 1).contiguous().transpose(0, 1)
    agree(turned, tuple(rest[:2]), tuple(rest[2:]), np.full(4, 5), np.zeros(4, dtype=np.int64), 0.25)


def test_scores_far_apart_give_the_largest_all_the_weight():
    q, keys, values, *held = made(1, 1, 1, 16, 4, 2)
    for token, factor in enumerate([-50.0, 90.0, 0.0]):
        held[0][0, 0, token] = factor * q[0, 0]
    out, lse = read_own(q, (-keys, values), tuple(held), np.array([3]), np.array([0]), 1.0)
    assert torch.allclose(out[0, 0], held[1][0, 0, 1], atol=1e-6)
    assert torch.allclose(lse[0, 0], 90.0 * (q[0, 0] ** 2).sum(), rtol=1e-6)


@pytest.mark.parametrize("place", ["query", "key", "value"])
def test_what_is_no_number_stays_none(place):
    q, *rest = made(2, 2, 2, 16, 8, 3)
    spoilt = {"query": q, "key": rest[2], "value": rest[3]}[place]
    spoilt[0, 0, 2] = float("nan")
    own, first = np.array([6, 6]), np.zeros(2, dtype=np.int64)
    out, _ = read_own(q, tuple(rest[:2]), tuple(rest[2:]), own, first, 0.25)
    assert out[0, 0].isnan().any()
    assert out[1].isfinite().all() and out[0, 1].isfinite().all()
