"""Mean differences, and what they tell apart: by hand, against SciPy, and on labels that mean nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from axiograph.steering.directions.contrast import (
    Prompts,
    Stability,
    auc,
    auc_interval,
    cohens_d,
    d_interval,
    held_out,
    mean_difference,
    separation,
    stability,
)


def prompts(positive, texts, questions=None, later=None):
    n = len(texts)
    return Prompts(
        np.array(positive, dtype=bool),
        tuple(texts),
        tuple(questions or [None] * n),
        np.array(later if later is not None else [False] * n, dtype=bool),
    )


def crossed(n_texts, questions, later_texts, later_questions):
    """Every text of both sides with every question of its part; texts 0 … and questions 0 …"""
    rows = [
        (side, f"{side}{t}", f"q{q}", t < later_texts if later_texts else q < later_questions)
        for side in (True, False)
        for t in range(n_texts)
        for q in range(questions)
        if not (later_texts and later_questions) or (t < later_texts) == (q < later_questions)
    ]
    return prompts(*map(list, zip(*rows, strict=True)))


def test_mean_difference_by_hand():
    means = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 0.0]])
    assert mean_difference(means, np.array([True, True, False])).tolist() == [1.0, 3.0]


def test_area_and_d_by_hand():
    high, low = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])
    # Above: 1 > 0, 2 > 0, 3 > 0, 3 > 2; 2 = 2 counts half.
    assert auc(high, low) == 4.5 / 6
    # Variances 1 and 2, pooled (2 · 1 + 1 · 2) / 3.
    assert cohens_d(high, low) == pytest.approx(1 / (4 / 3) ** 0.5)
    assert cohens_d(np.ones(2), np.zeros(2)) is None


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=9), st.lists(st.integers(-5, 5), min_size=2, max_size=9)
)
def test_area_is_that_of_scipy(a, b):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    assert auc(a, b) == pytest.approx(stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    assert auc(a, b) == pytest.approx(1 - auc(b, a))


@given(st.integers(0, 48), st.integers(6, 20), st.integers(6, 20))
def test_limits_of_an_area(wins, m, n):
    area = wins / 48
    low, high = auc_interval(area, m, n)
    assert 0 <= low <= area <= high <= 1 and low < high
    # As the variance of Hanley and McNeil has it, and the other way round for the other side.
    for limit in (low, high):
        if 0 < limit < 1:
            star = (m + n) / 2 - 1
            parts = 1 + star * (1 - limit) / (2 - limit) + star * limit / (1 + limit)
            variance = limit * (1 - limit) * parts / (m * n)
            assert (area - limit) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-4, abs=1e-9)
    assert auc_interval(1 - area, m, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_limits_of_d_are_those_of_the_noncentral_t():
    for d, m, n in ((0.0, 6, 6), (1.0, 7, 9), (-4.0, 12, 6)):
        low, high = d_interval(d, m, n)
        scale = (1 / m + 1 / n) ** 0.5
        for limit, share in ((low, 0.975), (high, 0.025)):
            assert stats.nct.cdf(d / scale, m + n - 2, limit / scale) == pytest.approx(share, abs=1e-5)


def test_intervals_hold_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.5):
        area, hits = stats.norm.cdf(shift / 2**0.5), []
        for _ in range(400):
            a, b = rng.normal(shift, 1, 8), rng.normal(0, 1, 8)
            low, high = auc_interval(auc(a, b), 8, 8)
            d_low, d_high = d_interval(cohens_d(a, b), 8, 8)
            hits.append((low <= area <= high, d_low <= shift <= d_high))
        assert (np.mean(hits, axis=0) > 0.92).all()


def test_a_third_is_held_out_but_never_less_than_can_be_judged():
    names = [f"text {i}" for i in range(40)]
    assert [len(held_out(names[:n], "x")) for n in (11, 12, 18, 30, 40)] == [0, 6, 6, 10, 13]
    assert held_out(names, "x") == held_out(names[::-1], "x") != held_out(names, "y")


def test_texts_are_the_unit_where_they_are_held_out():
    rows = crossed(12, 12, 6, 6)
    rng = np.random.default_rng(1)
    means = rng.normal(size=(len(rows.text), 5)) + np.where(rows.positive, 3.0, 0.0)[:, None]
    found = separation(means, np.ones(5), rows)
    assert (found.over, found.positive, found.negative) == ("texts", 6, 6)
    # By hand: mean projection of every held-out text over its questions.
    along = means.sum(axis=1) / 5**0.5
    texts = np.array(rows.text)

    def by_text(side):
        return np.array([along[rows.held_out & (texts == f"{side}{i}")].mean() for i in range(6)])

    assert found.auc == pytest.approx(auc(by_text(True), by_text(False)))
    assert found.d == pytest.approx(cohens_d(by_text(True), by_text(False)))
    assert found.told_apart


def test_questions_are_the_unit_where_every_text_made_the_direction():
    found = separation(np.random.default_rng(0).normal(size=(48, 3)), np.ones(3), crossed(2, 12, 0, 6))
    assert (found.over, found.positive, found.negative) == ("questions", 6, 6)
    assert found.auc is not None


def test_what_cannot_be_judged_is_not_known():
    rng = np.random.default_rng(0)
    few = crossed(11, 3, 0, 0)
    found = separation(rng.normal(size=(len(few.text), 3)), np.ones(3), few)
    assert (
        found.auc is None and found.told_apart is None and "11 and 11 texts and 3 questions" in found.reason
    )
    five = crossed(12, 1, 5, 0)
    found = separation(rng.normal(size=(len(five.text), 3)), np.ones(3), five)
    assert found.auc is None and found.d is None and "5 and 5 texts held out, fewer than 6" in found.reason


def test_sides_that_mean_nothing_are_seldom_told_apart():
    rng = np.random.default_rng(2)
    told, stable = [], []
    for _ in range(150):
        rows = crossed(12, 2, 6, 0)
        # Every text has a place of its own in the stream, mostly along two axes; questions move it, too.
        own = {text: rng.normal(size=20) * np.array([8, 4] + [1] * 18) for text in set(rows.text)}
        asked = {q: rng.normal(size=20) for q in set(rows.question)}
        means = np.array([own[t] + asked[q] for t, q in zip(rows.text, rows.question, strict=True)])
        fitted = ~rows.held_out
        direction = mean_difference(means[fitted], rows.positive[fitted])
        told.append(separation(means, direction, rows).told_apart)
        if len(stable) < 20:
            stable.append(stability(means, rows))
    assert np.mean(told) <= 0.06
    assert max(each.cosine for each in stable) > 0.4, "a cosine that looks like something"
    assert np.mean([each.cosine > each.chance for each in stable]) <= 0.2


def test_halves_of_what_is_the_same_everywhere_agree():
    rows = crossed(8, 3, 0, 0)
    noise = np.random.default_rng(0).normal(size=(len(rows.text), 10))
    means = noise + np.where(rows.positive, 5.0, 0.0)[:, None]
    found = stability(means, rows)
    assert found.over == "texts" and found.cosine > 0.98 > 0.9 > found.chance
    assert stability(means, prompts([True, False], ["a", "b"])) == Stability()


def test_questions_are_halved_where_texts_are_few():
    rows = crossed(1, 6, 0, 0)
    shift = np.where(rows.positive, 1.0, 0.0)[:, None] * np.arange(4.0)
    found = stability(shift, rows)
    assert found.over == "questions" and found.cosine == pytest.approx(1.0)
    # A single difference whose sign is that of the question has no half like the other.
    signs = np.array([1.0 if int(q[1:]) % 2 else -1.0 for q in rows.question])[:, None]
    assert stability(shift * signs, rows).cosine < found.chance
