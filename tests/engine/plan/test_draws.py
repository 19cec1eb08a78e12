"""Draws of a share of the items: keys in proportion, items equally often, and nobody moves when others
join."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.plan.draws import keyed_counts, stratified_draws
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.plan.snapshot import load_inputs_snapshot, save_inputs
from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.split import draw
from tests.engine import made

ROLES = [f"role {k}" for k in range(60)]


def items_of(keys: str, start: int = 0) -> list[Item]:
    return [
        Item(f"i{start + k}", "q", "Joy", 1 if key == "+" else -1, f"Question {start + k}?")
        for k, key in enumerate(keys)
    ]


def drawn(keys: str, share: float, roles=ROLES, seed: int = 0) -> dict[str, set[str]]:
    items = items_of(keys)
    return stratified_draws(roles, items, dict.fromkeys((i.item_id for i in items), 0), share, seed)


@settings(max_examples=60, deadline=None)
@given(st.text("+-", min_size=1, max_size=14), st.floats(0.05, 0.99), st.integers(1, 40), st.integers(0, 99))
def test_every_draw_has_the_same_keys_and_every_item_comes_equally_often(keys, share, roles, seed):
    found = drawn(keys, share, ROLES[:roles], seed)
    wanted = max(1, round(share * len(keys)))
    positive = {item.item_id for item in items_of(keys) if item.agreement > 0}
    hands = {(len(hand), len(hand & positive)) for hand in found.values()}
    assert len(hands) == 1
    ((size, agreeing),) = hands
    assert size == wanted
    assert abs(agreeing - wanted * keys.count("+") / len(keys)) <= 0.5 + 1e-9
    for key in "+-":
        counts = Counter(item for hand in found.values() for item in hand)
        of_key = [counts[i.item_id] for i, k in zip(items_of(keys), keys, strict=True) if k == key]
        assert not of_key or max(of_key) - min(of_key) <= 1


def test_roles_draw_for_themselves_and_seeds_differ():
    found = drawn("++++----", 0.5)
    assert len({frozenset(hand) for hand in found.values()}) > 20
    assert found != drawn("++++----", 0.5, seed=1)


def test_a_half_goes_to_either_key():
    keys = [keyed_counts({1: 4, -1: 4}, 3, {1: 0, -1: 0}, value)[1] for value in range(200)]
    assert set(keys) == {1, 2}
    assert 70 < keys.count(1) < 130


def test_roles_that_join_later_move_nobody():
    assert drawn("+++---", 0.5).items() >= drawn("+++---", 0.5, ROLES[:20]).items()


@pytest.mark.parametrize("more", ["+", "--", "------", "+-+-+-+-"])
def test_items_that_join_later_leave_every_draw_as_it_was(more):
    old, new = items_of("+++---"), items_of(more, start=6)
    born = dict.fromkeys((i.item_id for i in old), 0)
    before = stratified_draws(ROLES, old, born, 0.5, 0)
    born |= dict.fromkeys((i.item_id for i in new), 1)
    after = stratified_draws(ROLES, [*old, *new], born, 0.5, 0)
    for role in ROLES:
        assert before[role] <= after[role]
        assert len(after[role]) == round(0.5 * (6 + len(more)))


def test_the_order_of_files_does_not_matter(tmp_path):
    made.write_items(tmp_path, per_value=6)
    before = made.inputs(tmp_path, sampling={"share": 0.5})
    made.write_roles(tmp_path, dict(reversed(made.ROLES.items())))
    after = made.inputs(tmp_path, sampling={"share": 0.5})
    for role in before.roles:
        assert before.items_for(role) == after.items_for(role)


def test_a_run_of_an_earlier_version_keeps_its_draws(tmp_path):
    """Its inputs know of no draw; what they ask of whom is what that version asked: hashes of seed, role and
    value."""
    made.write_items(tmp_path, per_value=10)
    first = made.inputs(tmp_path, sampling={"share": 0.4})
    assert first.generations.draw == "stratified"
    save_inputs(first, tmp_path / "inputs.json")
    document = json.loads((tmp_path / "inputs.json").read_text())
    del document["born"]["draw"]
    (tmp_path / "inputs.json").write_text(json.dumps(document))
    earlier = load_inputs_snapshot(tmp_path / "inputs.json")
    resumed = load_inputs(first.study, earlier.generations)
    for role in resumed.roles:
        asked = {item.item_id for item in resumed.items_for(role)}
        for value in made.VALUES:
            names = [item.item_id for item in resumed.items if item.value == value]
            assert asked & set(names) == draw([names], 0.4, "draw", 0, role.name, value)
    save_inputs(resumed, tmp_path / "inputs.json")
    assert load_inputs_snapshot(tmp_path / "inputs.json").generations.draw == "hashed"
    assert any(first.items_for(role) != resumed.items_for(role) for role in first.roles)
