"""Items against the rest of their value, by hand and where one is keyed the wrong way."""

from __future__ import annotations

import numpy as np
import pytest

from axiograph.engine.scoring.item_rest import correlations_with_rest, item_rest, item_scores
from axiograph.engine.scoring.style import find_style
from tests.engine.scoring.style_world import items_of, raw_answers, tallied


def test_by_numpy_on_complete_data():
    table = np.random.default_rng(0).standard_normal((20, 4))
    for k, (roles, found) in enumerate(correlations_with_rest(table)):
        assert roles == 20
        rest = np.delete(table, k, axis=1).mean(axis=1)
        assert found == pytest.approx(np.corrcoef(table[:, k], rest)[0, 1])


def test_gaps_and_constant_items():
    """Item 1 is constant; item 2 is 10 higher than item 0, which must not tell the roles that lack it
    apart."""
    own = np.array([1.0, 2, 3, 4, 5, 6])
    table = np.c_[own, np.ones(6), own + 10, own]
    table[3:, 2] = np.nan
    first, constant, third, _ = correlations_with_rest(table)
    assert constant == (6, pytest.approx(np.nan, nan_ok=True))
    assert first[1] > 0.7
    assert third == (3, pytest.approx(np.nan, nan_ok=True))  # fewer than 5 roles


def found_of(keys, truth, seed, **more):
    """item_rest of answers of items truly keyed as `truth` but scored as `keys`."""
    rng = np.random.default_rng(seed)
    items = items_of(truth)
    values = 0.3 * rng.standard_normal((1, 60, len(keys)))
    raw = np.clip(raw_answers(rng, items, values, more.get("style", np.zeros((1, 60)))), -0.99, 0.99)
    scored = items_of(keys)
    tally = tallied(raw, scored)
    return item_rest(item_scores(tally, scored, find_style(tally)), scored)


def test_a_miskeyed_item_is_named_and_no_other():
    found = found_of(["+++-----", "++++----"], ["++++----", "++++----"], seed=1)
    assert found.filter("against")["item_id"].to_list() == ["v0-3"]
    assert found["high"][3] < 0 < found["low"][0]


def test_style_does_not_make_a_good_item_speak_against():
    """Roles differ in saying yes far more than in values: of plain scores the two reversed items of six seem
    to speak against the others."""
    style = 0.5 * np.random.default_rng(2).standard_normal((1, 60))
    keys = ["++++--"] * 4
    found = found_of(keys, keys, seed=2, style=style)
    assert not found["against"].any()
    rng = np.random.default_rng(2)
    items = items_of(keys)
    raw = raw_answers(rng, items, 0.05 * rng.standard_normal((1, 60, 4)), style)
    tally = tallied(np.clip(raw, -0.99, 0.99), items)
    assert item_rest(item_scores(tally, items, None), items)["against"].any()
