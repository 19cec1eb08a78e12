"""The prefix cache: what is found, what is given away, what is copied with its evidence."""

from __future__ import annotations

import numpy as np
import torch

from axiograph.engine.hf.prefixes import Evidence, PrefixCache
from axiograph.engine.hf.sharing import token_keys


def key(*ids, mark=0):
    return token_keys(ids, np.full(len(ids), mark, dtype=np.int64))


def proven(*claims):
    return Evidence(np.array(claims, dtype=np.int64), np.array(claims, dtype=np.float32) / 8)


def test_the_longest_beginning_is_found():
    cache = PrefixCache(3, 8)
    a, b = cache.reserve(), cache.reserve()
    cache.extend(a, key(1, 2, 3), proven(0, 0, 4))
    cache.extend(b, key(1, 2), proven(0, 0))
    cache.extend(b, key(5, 6), proven(1, 2))
    assert cache.longest(key(1, 2, 5, 9)) == (b, 3)
    assert cache.find(key(1, 2, 3)) == a and cache.find(key(1, 2, 5)) == b
    assert cache.find(key(1, 2, 3, 4)) is None
    assert cache.find(key(1, 2, 3, mark=1)) is None
    assert cache.longest(key(9))[1] == 0
    assert cache.ids(b, 3).tolist() == [1, 2, 5]
    assert cache.evidence(b, 4).claims.tolist() == [0, 0, 1, 2]
    assert cache.evidence(a, 3).errors.tolist() == [0, 0, 0.5]


def test_slots_in_use_are_never_given_away_and_the_oldest_goes_first():
    cache = PrefixCache(3, 4)
    slots = [cache.reserve() for _ in range(3)]
    for i, slot in enumerate(slots):
        cache.extend(slot, key(i), proven(0))
    assert cache.free_slots() == 0
    cache.release(slots[0])
    cache.release(slots[2])
    cache.use(slots[0])
    cache.release(slots[0])  # used last
    assert cache.reserve() == slots[2]
    assert cache.find(key(2)) is None and cache.find(key(1)) == slots[1]
    assert cache.reserve() == slots[0]


def test_a_copy_takes_tokens_keys_values_and_evidence_along():
    cache = PrefixCache(2, 4)
    a, b = cache.reserve(), cache.reserve()
    k, v = torch.randn(3, 2, 5), torch.randn(3, 2, 5)
    for layer in (0, 1):
        cache.write(layer, torch.full((3,), a), torch.arange(3), k + layer, v - layer)
    cache.extend(a, key(7, 8, 9), proven(0, 5, 6))
    cache.begin_with([b], [a], 2)
    cache.extend(b, key(4), proven(1))
    assert cache.longest(key(7, 8, 4)) == (b, 3)
    assert cache.evidence(b, 3).claims.tolist() == [0, 5, 1]
    for layer in (0, 1):
        assert torch.equal(cache.keys[layer][b, :, :2], (k + layer)[:2].transpose(0, 1))
        assert torch.equal(cache.values[layer][b, :, :2], (v - layer)[:2].transpose(0, 1))
        assert not cache.keys[layer][b, :, 2:].any()
    assert cache.evidence(a, 3).claims.tolist() == [0, 5, 6]


def test_a_larger_cache_holds_what_the_smaller_one_did():
    cache = PrefixCache(2, 3)
    a, b = cache.reserve(), cache.reserve()
    k, v = torch.randn(3, 2, 5), torch.randn(3, 2, 5)
    cache.write(0, torch.full((3,), b), torch.arange(3), k, v)
    cache.extend(b, key(7, 8, 9), proven(0, 5, 6))
    cache.release(a)
    made = cache.larger(4, 6)
    assert made.find(key(7, 8)) == b and made.evidence(b, 3).claims.tolist() == [0, 5, 6]
    assert torch.equal(made.keys[0][b, :, :3], k.transpose(0, 1))
    assert torch.equal(made.values[0][b, :, :3], v.transpose(0, 1))
    assert made.keys[0].shape == (4, 2, 6, 5) and not made.keys[0][b, :, 3:].any()
    assert made.free_slots() == 3 and made.reserve() != b
    made.extend(b, key(1, 2, 3), proven(0, 0, 0))
    assert made.find(key(7, 8, 9, 1, 2, 3)) == b
