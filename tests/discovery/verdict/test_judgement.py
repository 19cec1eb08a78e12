"""The words of the verdict: which sentence stands when."""

from dataclasses import replace

import pytest

from axiograph.discovery.verdict.evidence import GraphEvidence
from axiograph.discovery.verdict.judgement import Answering, Level, judge

SOUND = GraphEvidence(
    roles=100,
    values=8,
    edges=9,
    arrows=7,
    frequent_arrows=5,
    edges_all_roles=10,
    null_edges=0.2,
    p_permuted=0.005,
    flipped_edges=0.3,
    p_flipped=0.005,
    co_kurtosis=0.0,
)
CLEAR = Answering(None, True, {}, 8, "yes", 0.5, 0.0)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, Level.GRAPH),
        ({"arrows": 0}, Level.LINES),
        ({"edges": 0, "arrows": 0}, Level.UNSETTLED),
        ({"p_permuted": 0.2}, Level.NOTHING),
        ({"p_flipped": 0.2}, Level.NOTHING),
        ({"p_permuted": None, "p_flipped": None}, Level.UNKNOWN),
        ({"p_flipped": None}, Level.GRAPH),
    ],
)
def test_levels(changes, level):
    assert judge(replace(SOUND, **changes), "boss").level is level


def cautions(**changes: object) -> str:
    return " ".join(judge(SOUND, "boss", replace(CLEAR, **changes)).cautions)


def test_cautions_of_the_answers():
    assert "of the answers are “no”" in cautions(word="no", word_share=0.99)
    assert "have no score" in cautions(unscored=0.55)
    assert "it is still in the scores" in cautions(style_share=0.6, style_taken_out=False)
    assert "it is taken out of the scores" in cautions(style_share=0.6)
    weak = cautions(weak={"Power": None, "Security": -0.2})
    assert "2 of 8 values" in weak and "Power (undefined), Security (-0.20)" in weak
    silent = cautions(style_share=0.01)
    assert "saying yes" not in silent


def test_an_algorithm_that_was_not_simulated_is_said_so():
    assert any("was not simulated" in sentence for sentence in judge(SOUND, "fci").needs)
    assert not any("planted graphs" in sentence for sentence in judge(SOUND, "fci").because)
