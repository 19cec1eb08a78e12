"""How options are shown: marks, orders, and the way back from a place to the option."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.engine.prompting.options import ShownScale, asking_of, option_scores, order_of
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.schema import AnswersSpec

AGREE = Scale.of("agree", ["Disagree", "Neither", "Agree"])


def test_scores_are_equally_far_apart_or_as_their_weights():
    assert AGREE.scores == (-1.0, 0.0, 1.0) and AGREE.codes == ("1", "2", "3")
    assert Scale.of("w", ["a", "b", "c"], weights=[0, 1, 4]).scores == (-1.0, -0.5, 1.0)
    assert Scale.of("w", ["a", "b"], weights=[3, 1]).scores == (1.0, -1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["one"],), "2 to 20 options"),
        ((["a", "A "],), "options that differ"),
        ((["a", ""],), "a text for every option"),
        ((["a", "b"], [1.0, 1.0]), "weights that differ"),
        ((["a", "b"], [1.0]), "a weight for each"),
        ((["a", "b"], None, [1, 1]), "a code of its own"),
    ],
)
def test_scales_that_are_none(arguments, words):
    with pytest.raises(ValueError, match=words):
        Scale.of("s", *arguments)


@pytest.mark.parametrize(
    ("show", "given_lines", "reversed_lines"),
    [
        ("labels", "- Disagree\n- Neither\n- Agree", "- Agree\n- Neither\n- Disagree"),
        # Numbers stay with the options, letters with the places.
        ("numbers", "1. Disagree\n2. Neither\n3. Agree", "3. Agree\n2. Neither\n1. Disagree"),
        ("letters", "A. Disagree\nB. Neither\nC. Agree", "A. Agree\nB. Neither\nC. Disagree"),
    ],
)
def test_options_as_lines(show, given_lines, reversed_lines):
    shown = ShownScale(AGREE, show)
    assert shown.lines((0, 1, 2)) == given_lines
    assert shown.lines((2, 1, 0)) == reversed_lines


@given(st.permutations(range(3)), st.sampled_from(["labels", "numbers", "letters"]))
def test_every_answer_leads_back_to_its_option(order, show):
    order, shown = tuple(order), ShownScale(AGREE, show)
    options, answers = shown.options(order), shown.answers(order)
    for option, answer in enumerate(answers):
        place = (options.marks or options.labels).index(answer)
        assert order[place] == option
        assert options.labels[place] == AGREE.labels[option]


def test_both_orders_are_two_askings_of_one_repeat():
    both = AnswersSpec(order="both")
    assert [asking_of(both, repeat) for repeat in range(4)] == [
        ("given", 0), ("reversed", 0), ("given", 1), ("reversed", 1),
    ]  # fmt: skip
    assert order_of(AGREE, both, 0) == (0, 1, 2) and order_of(AGREE, both, 1) == (2, 1, 0)
    assert asking_of(AnswersSpec(), 3) == ("given", 3)


def test_shuffled_orders_belong_to_the_request_and_are_all_equally_frequent():
    spec = AnswersSpec(order="shuffled", seed=3)
    orders = [order_of(AGREE, spec, 0, f"role {n}", "item") for n in range(600)]
    assert orders == [order_of(AGREE, spec, 0, f"role {n}", "item") for n in range(600)]
    counts = Counter(orders)
    assert len(counts) == 6 and min(counts.values()) > 60
    assert orders != [order_of(AGREE, spec, 1, f"role {n}", "item") for n in range(600)]
    assert orders != [
        order_of(AGREE, AnswersSpec(order="shuffled"), 0, f"role {n}", "item") for n in range(600)
    ]


def test_a_middle_that_is_no_score():
    assert option_scores(AGREE, AnswersSpec(midpoint="missing")) == [-1.0, None, 1.0]
    assert option_scores(AGREE, AnswersSpec()) == [-1.0, 0.0, 1.0]
    even = Scale.of("even", ["a", "b", "c", "d"])
    assert option_scores(even, AnswersSpec(midpoint="missing")) == list(even.scores)
    assert option_scores(None, AnswersSpec()) is None
