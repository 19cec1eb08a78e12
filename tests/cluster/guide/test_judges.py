"""Judges who are given a trait."""

import polars as pl

from axiograph.cluster.guide.judges import TraitCopies
from axiograph.discovery.guide.traits import Trait
from axiograph.engine.study.roles import Role

OLD, COOK = Trait("Age", "old"), Trait("Work", "cook")
ANN, BEN, PROSE = Role("Ann", "Age: young"), Role("Ben", "Age: old"), Role("Cid", "A man of few words.")


def test_a_judge_is_asked_again_with_the_trait_in_place_of_his_own():
    found = TraitCopies.of([ANN, BEN, PROSE], [OLD, COOK])
    # Ann grown old is Ben, who is asked anyway; Ben is old already; a text that lists nothing takes nothing.
    assert found.by_trait == {
        "Age: old": {"Ann": "Ben"},
        "Work: cook": {"Ann": "Ann, Work: cook", "Ben": "Ben, Work: cook"},
    }
    assert [role.text for role in found.roles] == ["Age: young; Work: cook", "Age: old; Work: cook"]


def test_a_proposed_role_with_that_text_is_not_asked_twice():
    found = TraitCopies.of([ANN], [COOK], [Role("Dora", "Age: young; Work: cook")])
    assert found.roles == () and found.by_trait["Work: cook"] == {"Ann": "Dora"}


def test_the_copy_stands_in_the_judges_row_under_the_trait():
    found = TraitCopies.of([ANN, BEN], [OLD, COOK])
    table = pl.DataFrame(
        {
            "role": ["Ann", "Ben", "Ann, Work: cook", "Ben, Work: cook", "Ann"],
            "condition": ["baseline"] * 4 + ["hint p1"],
            "Power": [0.1, 0.2, 0.3, 0.4, 0.9],
        }
    )
    rows = found.as_conditions(table, ["Ann", "Ben"]).rows()
    assert set(rows) == {
        ("Ann", "baseline", 0.1),
        ("Ben", "baseline", 0.2),
        ("Ann", "Age: old", 0.2),
        ("Ann", "Work: cook", 0.3),
        ("Ben", "Work: cook", 0.4),
    }
