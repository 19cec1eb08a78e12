"""Traits in texts of roles."""

import pytest

from axiograph.discovery.guide.traits import Trait, traits_of, with_trait

PAPER = "Gender: male; Job: Engineer, maintenance (IT), MBTI: ENFJ"


def test_generated_and_published_texts_are_lists_of_traits():
    assert traits_of("Age: young; Work: nurse") == (Trait("Age", "young"), Trait("Work", "nurse"))
    found = {trait.field: trait.option for trait in traits_of(PAPER)}
    assert found == {"Gender": "male", "Job": "Engineer, maintenance (IT)", "MBTI": "ENFJ"}
    assert traits_of("Age: young\nHeight in cm: 180") == (Trait("Age", "young"), Trait("Height in cm", "180"))


@pytest.mark.parametrize(
    "text", ["", "You are a male engineer.", "Age: ; Work: cook", "Age: 5; Age: 6", "12:30"]
)
def test_what_is_no_list_has_no_traits(text):
    assert traits_of(text) == () and with_trait(text, Trait("Age", "old")) is None


def test_a_trait_takes_the_place_of_the_option_alone():
    assert with_trait(PAPER, Trait("Job", "Cook")) == "Gender: male; Job: Cook, MBTI: ENFJ"
    assert with_trait(PAPER, Trait("MBTI", "INTP")).endswith("(IT), MBTI: INTP")
    assert with_trait(PAPER, Trait("Gender", "male")) == PAPER
    assert with_trait("Age: young", Trait("Work", "nurse")) == "Age: young; Work: nurse"
    # What was put in is read back.
    assert Trait("Work", "nurse") in traits_of(with_trait("Age: young", Trait("Work", "nurse")))
