"""Answers to scales as scores, order effects and distributions, by hand."""

from __future__ import annotations

import polars as pl
import pytest

from axiograph.engine.scoring.profiles import order_effects, profiles, response_distributions, shown_states
from axiograph.engine.scoring.tally import tally_frames

SCORES = [-1.0, 0.0, 1.0]
ITEMS = pl.DataFrame(
    {
        "item_id": ["up", "down", "plain"],
        "value": ["Zeal", "Zeal", "Awe"],
        "agreement": [1, -1, 1],
        "question": ["q1", "q2", "q3"],
        "shared": [False, False, False],
        "option_scores": [SCORES, SCORES, None],
    }
)
# item, chosen option, order in which the options were shown
ANSWERS = [
    ("up", 2, [0, 1, 2]),
    ("up", 1, [2, 1, 0]),
    ("down", 0, [0, 1, 2]),
    ("down", 2, [2, 1, 0]),
]


def tallied(mode="generate", probabilities=(None,) * 4):
    rows = [
        {
            "request_id": bytes([n]) * 16,
            "role": "ann",
            "condition": "baseline",
            "split": "train",
            "item_id": item,
            "repeat": n % 2,
            "mode": mode,
            "state": "chosen",
            "log_odds": None,
            "fallback": False,
            "chosen": chosen,
            "probabilities": shares,
            "order": order,
        }
        for n, ((item, chosen, order), shares) in enumerate(zip(ANSWERS, probabilities, strict=True))
    ]
    lists = {"probabilities": pl.List(pl.Float64), "log_odds": pl.Float64}
    frame = pl.DataFrame(rows, schema_overrides=lists)
    plan = frame.select("request_id", "role", "condition", "split", "item_id", "repeat")
    answers = ["request_id", "mode", "state", "log_odds", "fallback", "chosen", "probabilities", "order"]
    return tally_frames(plan, frame.select(answers), ITEMS)


def test_chosen_options_score_by_place_and_key():
    """up: (1 + 0) / 2, down: (1 − 1) / 2."""
    assert profiles(tallied())["Zeal"].to_list() == [pytest.approx(0.25)]


def test_probabilities_score_by_their_mean():
    """−.1 + .5 of a mass of .8, keyed the other way for `down`; fallback rows would count the chosen
    option."""
    shares = [0.1, 0.2, 0.5]
    one = (0.5 - 0.1) / 0.8
    table = profiles(tallied("logprob", [shares, shares, shares[::-1], shares[::-1]]))
    assert table["Zeal"].to_list() == [pytest.approx(one)]


def test_answers_move_towards_what_is_shown_first():
    """Ascending: heights 1 and −1; descending: 0 and 1, so half of (.5 − 0)."""
    assert order_effects(tallied())["order_effect"].to_list() == [pytest.approx(0.25)]


def test_distributions_and_the_states_worth_showing():
    table = response_distributions(tallied())
    assert table.rows() == [
        ("down", "chosen", 0, 1, 0.5),
        ("down", "chosen", 2, 1, 0.5),
        ("up", "chosen", 1, 1, 0.5),
        ("up", "chosen", 2, 1, 0.5),
    ]
    rates = pl.DataFrame({"yes": [0, 0], "no": [0, 0], "chosen": [4, 4]})
    assert shown_states(rates) == ["chosen", "unsure", "refused", "unparsed"]
    assert shown_states(rates.with_columns(unfinished=pl.lit(1)))[-1] == "unfinished"
    assert shown_states(rates.drop("chosen")) == ["yes", "no", "unsure", "refused", "unparsed"]
    assert "yes" in shown_states(rates.with_columns(yes=pl.lit(1)))
