"""PsyBORGS' sessions and R.U.Psycho's experiments."""

from __future__ import annotations

import copy

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.scales import Scale
from tests.engine.study.inventories.reading import read, round_trip

SESSION = {
    "measures": {
        "ICE": {
            "user_readable_name": "Ice Cream Survey",
            "items": {
                "i1": "I like ice cream",
                "i2": "I leave ice cream",
                "i3": "Is it cold?",
                "i4": "Unused",
            },
            "scales": {
                "ICE-L": {
                    "user_readable_name": "ICE Liking",
                    "item_ids": ["i1", "i2"],
                    "reverse_keyed_item_ids": ["i2"],
                    "item_postamble_ids": ["p1"],
                    "response_scale_ids": ["numbers"],
                },
                "ICE-C": {
                    "user_readable_name": "Ice Cream Survey Cold",
                    "item_ids": ["i3", "i1"],
                    "reverse_keyed_item_ids": [],
                    "item_postamble_ids": [],
                    "response_scale_ids": ["words", "numbers"],
                },
            },
        },
        "PVQ": {"user_readable_name": "Values", "items": {"v": "[REDACTED]"}, "scales": {}},
    },
    "item_postambles": {"p1": '", answer from 1 to 3 (where 1 = "no", 2 = "so so", and 3 = "yes").'},
    "response_scales": {
        "numbers": {"response_choices": {"1": "1", "2": "2", "3": "3"}},
        "words": {"response_choices": {"5": "hot", "1": "cold"}},
    },
}
EXPERIMENT = {
    "name": "Trial",
    "questionnaire": {
        "name": "Weather",
        "general_instruction": "Say how you feel.",
        "attributes": {"dimension": {"1": "Sun", "2": "Rain"}},
        "default_answer_options": {
            "1": {"text": "1. Always", "weight": 3},
            "2": {"text": "2. At times", "weight": 2},
            "3": {"text": "3. Never", "weight": 1},
            "4": {"text": "4. Don't know", "weight": 0, "ignored_for_scale": True},
        },
        "instruction_items": [
            {"question": "I like sun.", "reversed": False, "attributes": {"dimension": "1"}},
            {"question": "I hide from rain.", "reversed": True, "attributes": {"dimension": "2"}},
            {
                "question": "Where do you go?",
                "attributes": {"dimension": "2"},
                "answer_options": {"a": {"text": "In", "weight": 0}, "b": {"text": "Out", "weight": 4},
                                   "c": {"text": "Half out", "weight": 1}},
            },
        ],
    },
}  # fmt: skip


def test_a_measure_of_psyborgs(tmp_path):
    imported = read(tmp_path, SESSION, "session.json")
    loaded = round_trip(tmp_path, imported)
    assert imported.form == "psyborgs"
    assert [(i.item_id, i.value, i.agreement, i.scale and i.scale.labels) for i in loaded.items] == [
        ("i1", "Liking", 1, ("no", "so so", "yes")),
        ("i2", "Liking", -1, ("no", "so so", "yes")),
        ("i3", "Cold", 1, ("cold", "hot")),
        ("i1@Cold", "Cold", 1, ("cold", "hot")),
    ]
    assert loaded.items[2].scale.codes == ("1", "5")
    notes = imported.inventories[0].notes
    assert any("words is taken" in note for note in notes)
    assert any("left out: i4" in note for note in notes)
    assert [name for name, _ in imported.refused] == ["PVQ"]
    assert "blanked out" in str(imported.refused[0][1])


def test_inventories_with_centred_scores_are_marked(tmp_path):
    session = copy.deepcopy(SESSION)
    session["measures"]["PVQ"] = session["measures"].pop("ICE")
    imported = read(tmp_path, session, "session.json", names=("PVQ",))
    assert any("no input of graphs" in note for note in imported.inventories[0].notes)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("item_ids",), ["i9"], "ids of the measure's items, found 'i9'"),
        (("reverse_keyed_item_ids",), ["i3"], "ids of the measure's items, found 'i3'"),
        (("response_scale_ids",), [], "a response scale, found none"),
        (("response_scale_ids",), ["often"], "often: expected an object, found nothing"),
        (("user_readable_name",), 3, "user_readable_name: expected a text, found 3"),
    ],
)
def test_faults_of_a_session(tmp_path, path, value, named):
    session = copy.deepcopy(SESSION)
    session["measures"]["ICE"]["scales"]["ICE-L"][path[0]] = value
    with pytest.raises(InputError, match=named):
        read(tmp_path, session, "session.json", names=("ICE",))


def test_an_experiment_of_rupsycho(tmp_path):
    imported = read(tmp_path, EXPERIMENT, "trial.json")
    loaded = round_trip(tmp_path, imported)
    assert imported.form == "rupsycho"
    assert [(i.item_id, i.value, i.agreement, i.is_statement) for i in loaded.items] == [
        ("Weather:1", "Sun", 1, True),
        ("Weather:2", "Rain", -1, True),
        ("Weather:3", "Rain", 1, False),
    ]
    low_to_high = Scale("options", ("Never", "At times", "Always"), (-1.0, 0.0, 1.0), ("3", "2", "1"))
    assert loaded.items[0].scale == loaded.items[1].scale == low_to_high
    assert loaded.items[2].scale.labels == ("In", "Out", "Half out")
    assert loaded.items[2].scale.scores == pytest.approx((-1.0, 1.0, -0.5))
    assert any("Don't know" in note for note in imported.inventories[0].notes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"default_answer_options": None},
            "item 1: expected answer options, found none for 'I like sun.'.*open",
        ),
        ({"default_answer_options": {"1": {"text": "Yes"}}}, "2 to 20 options, not 1"),
        ({"attributes": {"dimension": {"2": "Rain"}}}, "item 1, dimension: expected one of 2, found '1'"),
        ({"instruction_items": [{"reversed": True}]}, "item 1, question: expected a text, found nothing"),
        ({"instruction_items": [{"question": "x", "reversed": "R"}]}, "reversed: expected true or false"),
        ({"instruction_items": []}, "expected at least one item"),
    ],
)
def test_faults_of_an_experiment(tmp_path, change, named):
    experiment = {"questionnaire": EXPERIMENT["questionnaire"] | change}
    with pytest.raises(InputError, match=named):
        read(tmp_path, experiment, "trial.json")


def test_without_dimensions_everything_is_one_value_and_that_is_said(tmp_path):
    items = [{"question": "I like sun."}]
    imported = read(tmp_path, EXPERIMENT["questionnaire"] | {"instruction_items": items}, "q.json")
    assert imported.inventories[0].entries[0].value == "Weather"
    assert any("without a dimension" in note for note in imported.inventories[0].notes)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"a": 1,\n "b": }', "line 2, column 7: expected valid JSON"),
        ('{"a": 1, "a": 2}', "each key once in an object, found 'a' more than once"),
        ('{"a": 1}', r"JSON of one of the forms .*found another one \(a\)"),
        ("[1, 2]", r"found another one \(list\)"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_json_of_no_known_form(tmp_path, text, named):
    with pytest.raises(InputError, match=named):
        read(tmp_path, text, "q.json")
