"""Splits and draws: exact, independent of order, and growing without moving anybody."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.study.split import TRAIN, assign_generations, by_generation, draw, rank, split

NAMES = st.lists(st.text(max_size=4), unique=True, max_size=30)
SHARES = st.floats(0.001, 1)
SEEDS = st.integers(-5, 2**40)


@st.composite
def growing(draw_from):
    """Names in one to four generations, none empty."""
    names = draw_from(st.lists(st.text(max_size=4), unique=True, min_size=4, max_size=40))
    cuts = sorted(draw_from(st.sets(st.integers(1, len(names) - 1), max_size=3)))
    return [names[a:b] for a, b in zip([0, *cuts], [*cuts, len(names)], strict=True)]


def trained(parts):
    return {name for name, part in parts.items() if part == TRAIN}


@given(NAMES, SHARES, SEEDS, st.randoms())
def test_one_generation_is_split_exactly_whatever_the_order(names, share, seed, random):
    parts = split([names], share, seed)
    assert set(parts) == set(names)
    assert set(parts.values()) <= {"train", "test"}
    assert len(trained(parts)) == round(share * len(names))
    assert split([random.sample(names, len(names))], share, seed) == parts


@settings(max_examples=200)
@given(growing(), SHARES, SEEDS)
def test_growing_never_moves_a_name_and_is_exact_where_the_old_ones_allow(groups, share, seed):
    before: dict[str, str] = {}
    for count in range(1, len(groups) + 1):
        parts = split(groups[:count], share, seed)
        assert before.items() <= parts.items()
        wanted, had = round(share * len(parts)), len(trained(before))
        newcomers = len(parts) - len(before)
        assert len(trained(parts)) == min(max(wanted, had), had + newcomers)
        before = parts


@settings(max_examples=200)
@given(growing(), SHARES, SEEDS)
def test_draws_only_grow_and_are_exact(groups, share, seed):
    before: set[str] = set()
    for count in range(1, len(groups) + 1):
        drawn = draw(groups[:count], share, "draw", seed, "role", "value")
        names = {name for group in groups[:count] for name in group}
        assert before <= drawn <= names
        assert len(drawn) == max(1, round(share * len(names)))
        before = drawn


@given(NAMES.filter(bool), SHARES, SEEDS, st.randoms())
def test_a_draw_does_not_depend_on_the_order(names, share, seed, random):
    assert draw([names], share, seed) == draw([random.sample(names, len(names))], share, seed)


def test_seeds_and_keys_draw_differently():
    names = [f"n{i}" for i in range(40)]
    assert split([names], 0.5, 1) != split([names], 0.5, 2)
    assert draw([names], 0.5, "draw", 1, "a", "v") != draw([names], 0.5, "draw", 1, "b", "v")
    assert trained(split([names], 0.3, 1)) < trained(split([names], 0.6, 1))
    assert rank("a", "b") != rank("ab")


def test_every_name_is_drawn_about_equally_often():
    names = [f"n{i}" for i in range(10)]
    counts = dict.fromkeys(names, 0)
    for role in range(1000):
        for name in draw([names], 0.4, "draw", 0, role, "v"):
            counts[name] += 1
    assert all(330 < count < 470 for count in counts.values())  # 400 expected, standard deviation 15


def test_the_split_is_pinned():
    """Another split for the same seed would test effects on roles that the graph has seen."""
    assert sorted(trained(split([[f"n{i}" for i in range(10)]], 0.3, 0))) == ["n0", "n5", "n8"]


@given(NAMES, NAMES)
def test_newcomers_join_in_a_generation_of_their_own(old, new):
    first = assign_generations(old, {})
    assert set(first.values()) <= {0}
    second = assign_generations([*old, *(name for name in new if name not in first)], first)
    assert first.items() <= second.items()
    groups = by_generation(list(second), second)
    assert [set(group) for group in groups] == [group for group in (set(old), set(new) - set(old)) if group]


def test_who_left_and_came_back_joins_again_last():
    """A name that was taken out holds no place: its old generation is forgotten with it."""
    first = assign_generations(["a", "b"], {})
    without = assign_generations(["a"], first)
    assert assign_generations(["b", "a"], without) == {"a": 0, "b": 1}
