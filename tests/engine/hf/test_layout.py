"""Packed attention against attention written out, one token at a time, in float64."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.hf.attention import Heads, UnsupportedModelError, packed_attention
from axiograph.engine.hf.layout import PromptLayout, StepLayout, Stretch
from axiograph.engine.hf.prefixes import LayerCache, PrefixCache, Reading, _together

# Heads of sixteen are read by the compiled kernels, others by PyTorch.
SIZES = (4, 16)


def by_hand(q, k, v, scale, window, softcap):
    """What the last token reads: q [heads, size], k and v [tokens, key-value heads, size]."""
    groups = q.shape[0] // k.shape[1]
    out = torch.empty(q.shape, dtype=torch.float64)
    for head in range(q.shape[0]):
        scores = (k[:, head // groups].double() @ q[head].double()) * scale
        if softcap:
            scores = softcap * torch.tanh(scores / softcap)
        if window:
            scores[: max(0, len(scores) - window)] = -torch.inf
        out[head] = scores.softmax(0) @ v[:, head // groups].double()
    return out


class World:
    """Prefixes and rows of random keys and values, and a cache that holds the prefixes."""

    def __init__(self, seed, size, kv, groups, prefixes, rows):
        """`size`: of a head; `prefixes`: their lengths; `rows`: (prefix or None, own tokens) each."""
        self.size = size
        self.random = torch.Generator().manual_seed(seed)
        self.kv, self.heads = kv, kv * groups
        self.cache = PrefixCache(len(prefixes) + 1, max([*prefixes, 1]))
        self.stored = [self.pair(n) for n in prefixes]
        for slot, (k, v) in enumerate(self.stored):
            n = len(k)
            if n:
                self.cache.write(0, torch.full((n,), slot), torch.arange(n), k, v)
        self.rows = [(p, *self.pair(n)) for p, n in rows]
        self.lengths = prefixes

    def pair(self, n):
        shape = n, self.kv, self.size
        return tuple(torch.randn(shape, generator=self.random) for _ in "kv")

    def queries(self, n):
        return 2 * torch.randn(n, self.heads, self.size, generator=self.random)

    def prefix(self, row):
        p = self.rows[row][0]
        return (0, -1) if p is None else (self.lengths[p], p)

    def whole(self, row, own):
        """All keys and values before and with the row's token number `own`."""
        p, k, v = self.rows[row]
        pk, pv = self.stored[p] if p is not None else self.pair(0)
        return torch.cat([pk, k[: own + 1]]), torch.cat([pv, v[: own + 1]])


worlds = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**31),
        "size": st.sampled_from(SIZES),
        "kv": st.sampled_from([1, 2]),
        "groups": st.sampled_from([1, 2, 4]),
        "prefixes": st.lists(st.integers(1, 9), min_size=1, max_size=5),
        "rows": st.lists(st.tuples(st.integers(-1, 4), st.integers(1, 6)), min_size=1, max_size=9),
    }
)
kinds = st.tuples(st.sampled_from([None, 1, 3, 7]), st.sampled_from([None, 2.0]))


def world(drawn):
    n = len(drawn["prefixes"])
    rows = [(None if p < 0 else p % n, own) for p, own in drawn["rows"]]
    return World(**(drawn | {"rows": rows}))


@settings(max_examples=120, deadline=None)
@given(drawn=worlds, kind=kinds)
def test_prompt_passes(drawn, kind):
    made, (window, softcap) = world(drawn), kind
    sizes = [len(k) for _, k, _ in made.rows]
    stretches = [Stretch(n, made.prefix(r)[1], made.prefix(r)[0]) for r, n in enumerate(sizes)]
    into = LayerCache(len(sizes), max(sizes))
    slots = np.repeat(np.arange(len(sizes)), sizes)
    places = np.concatenate([np.arange(n) for n in sizes])
    layout = PromptLayout(stretches, made.cache, into, slots, places)
    q = made.queries(sum(sizes))
    k, v = (torch.cat([row[i] for row in made.rows]) for i in (1, 2))
    out = layout.attend(Heads(0, q, k, v, 0.7, window, softcap))
    token = 0
    for row, n in enumerate(sizes):
        for own in range(n):
            wanted = by_hand(q[token], *made.whole(row, own), 0.7, window, softcap)
            assert torch.allclose(out[token].double(), wanted, atol=1e-5)
            assert layout.positions[token] == made.prefix(row)[0] + own
            assert torch.equal(into.keys[0][row, :, own], k[token])
            token += 1
    # Some of the tokens, in any order and twice, read what they read among all.
    keep = np.random.default_rng(drawn["seed"]).integers(0, token, 5)
    some = layout.attend_from(keep, Heads(0, q[keep], k, v, 0.7, window, softcap))
    assert torch.allclose(some, out[keep], atol=1e-5)


@settings(max_examples=120, deadline=None)
@given(drawn=worlds, kind=kinds)
def test_steps(drawn, kind):
    """Each row's last token comes as a step behind the others, which its place holds already."""
    made, (window, softcap) = world(drawn), kind
    n = len(made.rows)
    held = np.array([len(k) - 1 for _, k, _ in made.rows])
    rows = LayerCache(n, int(held.max()) + 1)
    rows.write(0, torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long), *made.pair(1))
    for place, (_, k, v) in enumerate(made.rows):
        at = torch.arange(held[place])
        rows.write(0, torch.full_like(at, place), at, k[:-1], v[:-1])
    lengths = np.array([made.prefix(row)[0] for row in range(n)])
    slots = np.array([made.prefix(row)[1] for row in range(n)])
    reading = Reading(made.cache, slots, lengths, lengths + held - 1)
    reading.move(lengths + held)
    q = made.queries(n)
    k, v = (torch.stack([row[i][-1] for row in made.rows]) for i in (1, 2))
    out = StepLayout(reading, rows, held).attend(Heads(0, q, k, v, 0.7, window, softcap))
    for row in range(n):
        wanted = by_hand(q[row], *made.whole(row, held[row]), 0.7, window, softcap)
        assert torch.allclose(out[row].double(), wanted, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 300)), min_size=1, max_size=20, unique=True),
    seed=st.integers(0, 99),
)
def test_runs_cover_consecutive_slots_once(kinds, seed):
    pairs = np.array(sorted(kinds))
    counts = np.random.default_rng(seed).integers(1, 40, len(pairs)).tolist()
    runs = _together(pairs, counts)
    assert [i for lo, hi in runs for i in range(lo, hi)] == list(range(len(pairs)))
    for lo, hi in runs:
        assert (np.diff(pairs[lo:hi, 0]) == 1).all()


def test_few_rows_behind_many_prefixes_are_read_together():
    assert _together(np.array([[s, 100] for s in range(8)]), [1] * 8) == [(0, 8)]
    assert len(_together(np.array([[0, 500], [1, 500]]), [1, 90])) == 2


def module(**config):
    return types.SimpleNamespace(layer_idx=0, config=types.SimpleNamespace(**config))


@pytest.mark.parametrize(
    ("config", "kwargs", "says"),
    [
        ({}, {"s_aux": torch.zeros(1)}, "s_aux"),
        ({"layer_types": ["chunked_attention"]}, {}, "chunked_attention"),
        ({"layer_types": ["sliding_attention"]}, {}, "window"),
    ],
)
def test_attention_that_is_not_known_is_refused(config, kwargs, says):
    q = torch.zeros(1, 1, 1, 4)
    with pytest.raises(UnsupportedModelError, match=says):
        packed_attention(module(**config), q, q, q, None, **kwargs)


def test_a_mask_is_refused():
    q = torch.zeros(1, 1, 1, 4)
    with pytest.raises(UnsupportedModelError, match="mask"):
        packed_attention(module(), q, q, q, torch.zeros(1))
