"""Which prompts share a prefix: by hand, and what must hold for any prompts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.hf.sharing import (
    HOLDING,
    Group,
    shared_length,
    shared_lengths,
    shared_prefixes,
    token_keys,
)


def keys(*prompts):
    return [token_keys(ids, np.zeros(len(ids), dtype=np.int64)) for ids in prompts]


def test_token_keys_tell_ids_and_marks_apart():
    found = token_keys([5, 5, 6, 2**20], np.array([0, 1, 0, 7]))
    assert len(set(found.tolist())) == 4
    assert found[0] == 5 and found[1] == 2**32 + 5


def test_shared_length():
    a, b, c = keys([1, 2, 3], [1, 2, 4, 5], [1, 2])
    assert (shared_length(a, b), shared_length(a, c), shared_length(a, a)) == (2, 2, 3)
    assert shared_length(a, keys([9])[0]) == 0


def test_roles_get_a_prefix_each_and_their_questions_do_not():
    """Two roles of 40 tokens behind a root of 10, four questions each: two groups of 50 tokens."""
    root = list(range(10))
    people = [[100 + r] * 40 for r in (0, 1)]
    prompts = [[*root, *person, 200 + q, 300] for q in range(4) for person in people]
    groups = shared_prefixes(keys(*prompts))
    assert groups == [Group((0, 2, 4, 6), 50), Group((1, 3, 5, 7), 50)]


def test_a_mark_parts_what_the_ids_share():
    ids = list(range(60))
    marks = np.zeros(60, dtype=np.int64)
    steered = marks.copy()
    steered[20:22] = 1
    rows = [token_keys(ids, m) for m in (marks, steered, marks, steered)]
    assert shared_prefixes(rows) == [Group((0, 2), 59), Group((1, 3), 59)]


def test_short_common_beginnings_are_not_worth_a_prefix():
    """Holding 40 tokens twice costs 20; sharing two more tokens between two rows saves two."""
    prompts = [[*range(40), 50 + pair, 60, 70 + i, 80] for pair in (0, 1) for i in (0, 1)]
    assert HOLDING * 40 > 2
    assert shared_prefixes(keys(*prompts)) == [Group((0, 1, 2, 3), 40)]


def test_equal_prompts_keep_a_token_of_their_own():
    assert shared_prefixes(keys([1, 2, 3, 4], [1, 2, 3, 4])) == [Group((0, 1), 3)]
    assert shared_prefixes(keys([1, 2, 3, 4], [1, 2, 3, 4]), unshared=3) == [Group((0, 1), 1)]
    assert shared_prefixes(keys([1], [1])) == [Group((0, 1), 0)]
    assert shared_prefixes(keys([1, 2], [1, 2, 3, 4, 5]), unshared=3) == [Group((0, 1), 0)]


def test_a_prompt_alone_shares_nothing_and_no_prompts_make_no_groups():
    assert shared_prefixes(keys([1, 2, 3])) == [Group((0,), 0)]
    assert shared_prefixes([]) == []


def test_a_much_longer_rest_gets_a_prefix_to_itself():
    prompts = [[1, 2, 3, *[10 + i] * 4] for i in range(8)]
    prompts.append([1, 2, 3, *range(100, 400)])
    groups = shared_prefixes(keys(*prompts))
    assert Group((8,), 302) in groups
    assert sorted(row for group in groups for row in group.rows) == list(range(9))


@settings(max_examples=150, deadline=None)
@given(
    prompts=st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=30), min_size=1, max_size=30),
    own=st.integers(1, 3),
)
def test_every_row_once_and_only_what_it_shares(prompts, own):
    made = keys(*prompts)
    groups = shared_prefixes(made, own)
    assert sorted(row for group in groups for row in group.rows) == list(range(len(prompts)))
    for group in groups:
        first = made[group.rows[0]][: group.length]
        for row in group.rows:
            assert len(made[row]) - group.length >= own
            assert np.array_equal(made[row][: group.length], first)


@settings(max_examples=80, deadline=None)
@given(prompts=st.lists(st.lists(st.integers(0, 1), max_size=6), max_size=8))
def test_all_shared_lengths_at_once(prompts):
    made = keys(*prompts)
    assert shared_lengths(made).tolist() == [[shared_length(a, b) for b in made] for a in made]


def test_deeply_nested_prompts():
    """Each prompt continues the one before: a tree as deep as there are prompts."""
    made = keys(*[[7] * n for n in range(1, 1500)])
    assert sum(len(group.rows) for group in shared_prefixes(made)) == 1499
