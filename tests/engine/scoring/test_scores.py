"""Scores by hand on small tables, and properties: order of rows, gaps, missing answers."""

from __future__ import annotations

from math import tanh

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from axiograph.engine.errors import RunError
from axiograph.engine.scoring.profiles import (
    acquiescence,
    answer_rates,
    constant_items,
    profiles,
    reliability,
)
from axiograph.engine.scoring.reliability import cronbach_alpha, pairwise_covariance
from axiograph.engine.scoring.scores import item_scores
from axiograph.engine.scoring.tally import Tally, tally_frames

ITEMS = pl.DataFrame(
    {
        "item_id": ["b:1", "b:2", "a:1", "a:2", "c:1"],
        "value": ["Zeal", "Zeal", "Awe", "Awe", "Unasked"],
        "agreement": [1, -1, 1, 1, 1],
        "question": ["b1?", "b2?", "a1?", "a2?", "c1?"],
        "shared": [False, False, False, True, False],
    }
)
Row = tuple[str, str, str, str | None]  # role, condition, item, state (None: not answered)


def _frames(rows: list[Row], mode: str = "generate", **response) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """A plan of these rows, and the responses to those that have a state, with further columns."""
    ids = [number.to_bytes(16, "big") for number in range(len(rows))]
    plan = pl.LazyFrame(
        {
            "request_id": ids,
            "role": [row[0] for row in rows],
            "condition": [row[1] for row in rows],
            "item_id": [row[2] for row in rows],
            "repeat": list(range(len(rows))),
            "split": ["test" if row[0] == "eve" else "train" for row in rows],
        },
        schema_overrides={"role": pl.Categorical, "item_id": pl.Categorical},
    )
    answered = [row[3] is not None for row in rows]
    responses = pl.LazyFrame(
        {
            "request_id": ids,
            "mode": [mode] * len(rows),
            "state": [row[3] for row in rows],
            "log_odds": response.get("log_odds", [None] * len(rows)),
            "fallback": response.get("fallback", [False] * len(rows)),
        },
        schema_overrides={"log_odds": pl.Float64},
    )
    return plan, responses.filter(pl.Series(answered)).reverse()


def _scores(rows: list[Row], **response) -> pl.LazyFrame:
    return item_scores(*_frames(rows, **response), ITEMS)


def _tally(rows: list[Row], **response) -> Tally:
    plan, responses = _frames(rows, **response)
    return tally_frames(plan.collect(), responses.collect(), ITEMS)


def _score_column(scores: pl.LazyFrame) -> list[float | None]:
    return scores.sort("repeat").collect()["score"].to_list()


def test_generate_scores():
    states = ["yes", "no", "unsure", "refused", "unparsed"]
    rows: list[Row] = [("ann", "baseline", item, state) for item in ("b:1", "b:2") for state in states]
    assert _score_column(_scores(rows)) == [1, -1, 0, None, None, -1, 1, 0, None, None]


def test_logprob_scores_and_fallback():
    rows: list[Row] = [
        *(("ann", "baseline", "b:1", "yes"), ("ann", "baseline", "b:2", "yes")),
        *(("ann", "baseline", "b:1", "unparsed"), ("ann", "baseline", "b:2", "yes")),
        *(("ann", "baseline", "b:1", "no"), ("ann", "baseline", "b:1", "yes")),
        ("ann", "baseline", "b:1", "yes"),
    ]
    odds = [1.0, 1.0, 3.0, 4.0, -0.5, float("inf"), None]
    fallback = [False, False, False, True, True, False, False]
    scores = _scores(rows, mode="logprob", log_odds=odds, fallback=fallback)
    expected = [tanh(0.5), -tanh(0.5), None, -1.0, -1.0, 1.0, None]
    assert _score_column(scores) == [pytest.approx(x) if x is not None else None for x in expected]
    assert scores.sort("repeat").collect()["fallback"].to_list() == fallback


def test_nan_log_odds_are_missing_and_not_a_number():
    scores = _scores([("ann", "baseline", "b:1", "yes")], mode="logprob", log_odds=[float("nan")])
    assert _score_column(scores) == [None]


def test_profiles_by_hand():
    rows: list[Row] = [
        ("ann", "baseline", "b:1", "yes"),  # +1
        ("ann", "baseline", "b:1", "no"),  # −1, a repeat
        ("ann", "baseline", "b:2", "no"),  # +1
        ("ann", "baseline", "b:2", "refused"),
        ("ann", "baseline", "a:1", "unsure"),  # 0
        ("ann", "baseline", "a:2", "yes"),  # +1, shared
        ("ann", "hot", "b:1", "unparsed"),
        ("ann", "hot", "a:2", "no"),  # −1, shared
        ("", "baseline", "b:1", "no"),
        ("eve", "baseline", "b:1", None),
        ("eve", "baseline", "a:1", "yes"),
    ]
    scores = _tally(rows)
    expected = pl.DataFrame(
        {
            "role": ["", "ann", "eve", "ann"],
            "condition": ["baseline", "baseline", "baseline", "hot"],
            "split": ["train", "train", "test", "train"],
            "Zeal": [-1.0, 1 / 3, None, None],
            "Awe": [None, 0.5, 1.0, -1.0],
            "Unasked": [None] * 4,
        },
        schema_overrides={"Unasked": pl.Float64},
    )
    assert_frame_equal(profiles(scores), expected)
    without_shared = expected.with_columns(Awe=pl.Series([None, 0.0, 1.0, None]))
    assert_frame_equal(profiles(scores, drop_shared=True), without_shared)


def test_profiles_refuse_mixed_modes_and_splits():
    rows: list[Row] = [("ann", "baseline", "b:1", "yes"), ("ann", "baseline", "b:2", "yes")]
    plan, responses = _frames(rows)
    mixed = pl.concat([responses.head(1), responses.tail(1).with_columns(mode=pl.lit("logprob"))])
    for use in (profiles, reliability, acquiescence):
        with pytest.raises(RunError, match="generate and logprob"):
            use(tally_frames(plan.collect(), mixed.collect(), ITEMS))
    torn = plan.with_columns(split=pl.Series(["train", "test"]))
    with pytest.raises(RunError, match="'ann'"):
        profiles(tally_frames(torn.collect(), responses.collect(), ITEMS))


def test_unknown_items_and_states_are_refused():
    plan, responses = _frames([("ann", "baseline", "b:1", "yes")])
    with pytest.raises(RunError, match="b:1"):
        item_scores(plan, responses, ITEMS.filter(pl.col("item_id") != "b:1"))
    with pytest.raises(RunError, match="perhaps"):
        item_scores(plan, responses.with_columns(state=pl.lit("perhaps")), ITEMS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-9, 9)), min_size=1, max_size=60), st.randoms())
def test_profiles_do_not_depend_on_the_order_of_rows(cells, random):
    rows: list[Row] = [(f"r{role}", "baseline", "b:1", "yes") for role, _ in cells]
    plan, responses = _frames(rows, mode="logprob", log_odds=[odds for _, odds in cells])
    order = list(range(len(cells)))
    random.shuffle(order)
    frames = [frame.collect() for frame in (plan, responses)]
    one = profiles(tally_frames(*frames, ITEMS))
    two = profiles(tally_frames(*(frame[order] for frame in frames), ITEMS))
    assert one.equals(two)  # to the last bit
    by_role = {role: np.mean([tanh(odds / 2) for r, odds in cells if r == role]) for role, _ in cells}
    assert one["Zeal"].to_list() == pytest.approx([by_role[role] for role in sorted(by_role)], abs=1e-11)


def test_answer_rates_by_hand():
    rows: list[Row] = [
        *(("ann", "hot", "b:1", state) for state in ("yes", "yes", "no", "unsure", None)),
        *(("ann", "hot", "b:2", state) for state in ("refused", "unparsed", "unparsed", None, None)),
        ("ann", "baseline", "b:1", None),
    ]
    rates = answer_rates(_tally(rows, fallback=[True] + [False] * 10))
    expected = pl.DataFrame(
        {
            "condition": ["baseline", "hot"],
            "planned": [1, 10],
            "answered": [0, 7],
            "yes": [0, 2],
            "no": [0, 1],
            "chosen": [0, 0],
            "unsure": [0, 1],
            "refused": [0, 1],
            "unparsed": [0, 2],
            "unfinished": [0, 0],
            "answered_rate": [0.0, 0.7],
            "yes_rate": [None, 2 / 7],
            "no_rate": [None, 1 / 7],
            "chosen_rate": [None, 0.0],
            "unsure_rate": [None, 1 / 7],
            "refused_rate": [None, 1 / 7],
            "unparsed_rate": [None, 2 / 7],
            "unfinished_rate": [None, 0.0],
            "fallback": [0, 1],
        }
    )
    assert_frame_equal(rates, expected, check_dtypes=False)


def test_acquiescence_by_hand():
    rows: list[Row] = [
        ("ann", "baseline", "b:1", "yes"),  # positive key: raw mean 1
        ("ann", "baseline", "b:1", "yes"),
        ("ann", "baseline", "b:1", "refused"),
        ("ann", "baseline", "b:2", "yes"),  # negative key: raw mean 0
        ("ann", "baseline", "b:2", "no"),
        ("ann", "baseline", "a:1", "no"),  # keyed one way: not counted
        ("eve", "baseline", "b:1", "yes"),  # says yes and no as the value would have it
        ("eve", "baseline", "b:2", "no"),
        ("", "baseline", "a:1", "yes"),
        ("", "baseline", "b:2", "unparsed"),
    ]
    table = acquiescence(_tally(rows))
    assert table.columns == ["role", "condition", "split", "acquiescence", "values"]
    found = {role: (mean, values) for role, _, _, mean, values in table.iter_rows()}
    assert found == {"": (None, 0), "ann": (0.5, 1), "eve": (0.0, 1)}


def test_constant_items():
    rows: list[Row] = [
        *(("ann", "baseline", "b:1", "yes"), ("eve", "baseline", "b:1", "yes")),
        *(("ann", "baseline", "b:2", "yes"), ("eve", "baseline", "b:2", "no")),
        *(("ann", "baseline", "a:1", "refused"), ("eve", "baseline", "a:1", "unparsed")),
        ("ann", "hot", "b:1", "no"),
    ]
    assert constant_items(_tally(rows)).rows() == [("b:1", "Zeal", 2, 1.0), ("a:1", "Awe", 0, None)]


def test_reliability_by_hand():
    """Scores of b:1 (1, 1, −1, −1) and b:2 (1, 0, −1, 0): variances 4/3 and 2/3, covariance 2/3.

    alpha = 2 × (1 − 2 / (2 + 4/3)) = 0.8.
    """
    first, second = ["yes", "yes", "no", "no"], ["no", "unsure", "yes", "unsure"]
    rows: list[Row] = [(f"r{i}", "baseline", "b:1", state) for i, state in enumerate(first)]
    rows += [(f"r{i}", "baseline", "b:2", state) for i, state in enumerate(second)]
    rows += [(f"r{i}", "hot", "b:2", "yes") for i in range(4)]  # not baseline: not counted
    rows += [("r0", "baseline", "a:1", "yes"), ("r1", "baseline", "a:2", "yes")]
    table = reliability(_tally(rows))
    first = ["value", "alpha", "items", "roles", "reason"]
    assert table.columns[:5] == first
    zeal, awe, unasked = table.select(first).rows()
    assert zeal == ("Zeal", pytest.approx(0.8), 2, 4, None)
    assert awe == ("Awe", None, 2, 2, "no two items with 2 roles in common")
    assert unasked == ("Unasked", None, 0, 0, "no scored answer")


def test_reliability_means_repeats_first():
    """b:1 twice per role, (yes, no) → 0 and (yes, yes) → 1; b:2 −1 and 0: the same deviations, alpha = 1."""
    states = {"r0": ("yes", "no", "yes"), "r1": ("yes", "yes", "unsure")}
    rows: list[Row] = []
    for role, (one, two, other) in states.items():
        rows += [(role, "baseline", "b:1", one), (role, "baseline", "b:1", two)]
        rows.append((role, "baseline", "b:2", other))
    assert reliability(_tally(rows)).row(0)[:5] == ("Zeal", pytest.approx(1.0), 2, 2, None)


TABLES = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(12, 5)).round(2))


@settings(max_examples=50, deadline=None)
@given(TABLES)
def test_alpha_is_the_closed_formula_on_complete_data(table):
    items = table.shape[1]
    closed = items / (items - 1) * (1 - table.var(axis=0, ddof=1).sum() / table.sum(axis=1).var(ddof=1))
    alpha, reason = cronbach_alpha(table)
    assert reason is None
    assert alpha == pytest.approx(closed, rel=1e-9, abs=1e-9)
    assert cronbach_alpha(3.0 + table)[0] == pytest.approx(alpha, rel=1e-6, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(TABLES, st.integers(0, 2**32 - 1))
def test_pairwise_covariance_is_numpys_on_each_pair(table, seed):
    table = np.where(np.random.default_rng(seed).random(table.shape) < 0.5, np.nan, table)
    table[0] = 1.0  # no column without any score
    covariance = pairwise_covariance(table)
    for i in range(table.shape[1]):
        for j in range(table.shape[1]):
            both = ~np.isnan(table[:, i]) & ~np.isnan(table[:, j])
            if both.sum() < 2:
                assert np.isnan(covariance[i, j])
            else:
                expected = np.cov(table[both, i], table[both, j])[0, 1]
                assert covariance[i, j] == pytest.approx(expected, abs=1e-12)


def test_alpha_leaves_out_pairs_without_common_roles():
    """Items 1 and 2 over roles 1–4 as above (variances 4/3 and 2/3, covariance 2/3); item 3 over roles 4–6,
    one role in common with each, variance 1: v̄ = 1, c̄ = 2/3, alpha = 3 × 2/3 / (1 + 2 × 2/3) = 6/7."""
    none = np.nan
    table = np.array(
        [[1, 1, none], [1, 0, none], [-1, -1, none], [-1, 0, 1], [none, none, 0], [none, none, -1]], float
    )
    assert cronbach_alpha(table) == (pytest.approx(6 / 7), None)


def test_alpha_is_undefined_with_a_reason():
    assert cronbach_alpha(np.ones((5, 1))) == (None, "fewer than 2 items")
    assert cronbach_alpha(np.ones((1, 3))) == (None, "fewer than 2 roles")
    assert cronbach_alpha(np.full((5, 3), 0.1)) == (None, "no variance")
    opposite = np.array([[1.0, -1.0], [-1.0, 1.0], [0.5, -0.5]])
    assert cronbach_alpha(opposite) == (None, "no variance of the sum")
