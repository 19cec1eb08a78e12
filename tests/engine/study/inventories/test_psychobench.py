"""PsychoBench's form: options out of prompts, reverse keys, categories, norms; what is refused."""

from __future__ import annotations

import copy

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.anchors import anchors, without_options
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.scales import Scale
from tests.engine.study.inventories.reading import read, round_trip

TIDY = {
    "name": "TIDY",
    "questions": {"1": "I sort my socks.", "2": "I lose my keys.", "3": "Do you plan?", "4": "I read."},
    "inner_setting": "You are a helpful assistant who can only reply numbers from 1 to 3.",
    "prompt": "You can only reply numbers from 1 to 3 in the following statements. Think of last week. "
    "1 denotes 'never', 2 denotes 'at times', 3 denotes 'often'."
    " Here are the statements, score them one by one:",
    "scale": 4,
    "compute_mode": "AVG",
    "reverse": [2],
    "categories": [
        {
            "cat_name": "Order",
            "cat_questions": [1, 2],
            "crowd": [{"crowd_name": "A", "mean": 2.1, "std": 0.4, "n": 9}],
        },
        {"cat_name": "Plans", "cat_questions": [3]},
    ],
}
YES_NO = {
    "name": "YN",
    "questions": {"1": "Do you sort?", "2": "Do you lose things?"},
    "inner_setting": "Reply numbers from 0 to 1.",
    "prompt": "Use the number '1' to indicate 'YES' and '0' to indicate 'NO'. Do not think too long.",
    "scale": 1,
    "compute_mode": "SUM",
    "reverse": [2],
    "categories": [
        {
            "cat_name": "Overall",
            "cat_questions": [1, 2],
            "crowd": [{"crowd_name": "All", "mean": 1.5, "std": 0, "n": 4}],
        }
    ],
}


def test_items_keys_options_and_norms(tmp_path):
    imported = read(tmp_path, [TIDY], "q.json")
    loaded = round_trip(tmp_path, imported)
    assert imported.form == "psychobench"
    assert [(i.item_id, i.value, i.agreement, i.question, i.is_statement) for i in loaded.items] == [
        ("TIDY:1", "Order", 1, "I sort my socks.", True),
        ("TIDY:2", "Order", -1, "I lose my keys.", True),
        ("TIDY:3", "Plans", 1, "Do you plan?", False),
    ]
    scale = Scale("answers3", ("never", "at times", "often"), (-1.0, 0.0, 1.0), ("1", "2", "3"))
    assert {item.scale for item in loaded.items} == {scale}
    assert {item.instruction for item in loaded.items} == {"Think of last week."}
    assert loaded.norms == {("TIDY", "Order"): (Norm("A", 2.1, 0.4, 9),)}
    assert loaded.origins[0].notes == ("1 items in no category are left out: 4.",)


def test_zero_and_one_are_no_and_yes_and_overall_is_called_like_the_inventory(tmp_path):
    loaded = round_trip(tmp_path, read(tmp_path, [YES_NO], "q.json"))
    assert [(item.value, item.scale, item.agreement) for item in loaded.items] == [
        ("YN", None, 1),
        ("YN", None, -1),
    ]
    assert loaded.norms == {("YN", "YN"): (Norm("All", 1.5, None, 4, "sum"),)}
    assert loaded.norms["YN", "YN"][0].as_score([None, None])[0] == pytest.approx(0.5)


def test_ends_that_have_a_text_name_the_ends(tmp_path):
    tidy = TIDY | {"prompt": "Rate from 1 (not at all) to 3 (very much). Here are the statements:"}
    imported = read(tmp_path, [tidy], "q.json")
    assert imported.inventories[0].scales["answers3"].labels == ("not at all", "2", "very much")
    assert any("no text" in note and note.endswith("number: 2.") for note in imported.inventories[0].notes)
    named = Scale.of("own", ["a", "b", "c"])
    assert read(tmp_path, [tidy], "q.json", options=named).inventories[0].scales == {"own": named}


def test_a_category_of_all_others_is_left_out_and_a_shared_item_is_one_for_each(tmp_path):
    tidy = copy.deepcopy(TIDY)
    tidy["categories"] = [
        {"cat_name": "Total", "cat_questions": [1, 2, 3]},
        {"cat_name": "A", "cat_questions": [1, 2]},
        {"cat_name": "B", "cat_questions": [2, 3]},
    ]
    inventory = read(tmp_path, [tidy], "q.json").inventories[0]
    assert [entry.item_id for entry in inventory.entries] == ["TIDY:1", "TIDY:2", "TIDY:2@B", "TIDY:3"]
    assert [entry.value for entry in inventory.entries] == ["A", "A", "B", "B"]
    assert any("'Total'" in note for note in inventory.notes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"categories": []}, "'TIDY': expected categories, which say what items measure, found none"),
        ({"scale": 6}, "'TIDY', scale: expected a scale of 4"),
        ({"inner_setting": "Reply.", "prompt": "Tell us about you."}, "expected the numbers of the options"),
        ({"reverse": None}, "'TIDY', reverse: expected a list, found nothing"),
        (
            {"prompt": TIDY["prompt"] + " For item 3, 1 denotes 'good' and 3 denotes 'bad'."},
            "'never' and 'good'",
        ),
        (
            {"categories": [{"cat_name": "Order", "cat_questions": [9]}]},
            "'Order': expected numbers of questions",
        ),
        ({"categories": [{"cat_name": "Order", "cat_questions": [1], "crowd": [{"mean": 3}]}]}, "crowd_name"),
        ({"questions": {"one": "I sort."}}, "form psychobench, found something else .ValueError"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_reason(tmp_path, change, named):
    with pytest.raises(InputError, match=named) as caught:
        read(tmp_path, [TIDY | change], "q.json")
    assert str(tmp_path / "q.json") in str(caught.value)


def test_one_that_is_refused_does_not_stand_in_the_way_of_others_unless_it_is_asked_for(tmp_path):
    bad = TIDY | {"name": "BAD", "categories": []}
    imported = read(tmp_path, [bad, TIDY], "q.json")
    assert [inventory.name for inventory in imported.inventories] == ["TIDY"]
    assert [name for name, _ in imported.refused] == ["BAD"]
    with pytest.raises(InputError, match="'BAD'"):
        read(tmp_path, [bad, TIDY], "q.json", names=("BAD",))
    with pytest.raises(InputError, match=r"'TIDI' \(did you mean 'TIDY'"):
        read(tmp_path, [bad, TIDY], "q.json", names=("TIDI",))


@pytest.mark.parametrize(
    "text",
    [
        "1 denotes 'no way', 2 denotes 'well', 3 denotes 'of course'",
        '(where 1 = "no way", 2 = "well", and 3 = "of course").',
        "1: 'No way', 2: 'Well', 3: 'Of course'",
        "1 (no way), 2 (well), 3 (of course)",
        "1 means no way, 2 means well, 3 means of course.",
        "scores 1 = no way; 2 = well; 3 = of course",
    ],
)
def test_spellings_of_options(text):
    found = anchors(f"Answer numbers from 1 to 3. {text}", range(1, 4))
    assert {code: label.lower() for code, label in found.items()} == {1: "no way", 2: "well", 3: "of course"}


def test_no_options_are_made_of_other_numbers():
    assert anchors("Rate 12 (twelve) things in 2 (two) minutes, 1 being low.", range(1, 4)) == {}


def test_an_instruction_keeps_what_is_no_list_of_options():
    prompt = (
        "You can only reply numbers. Be honest. Rate how well it fits using the scale: 1 = 'bad', 2 = 'good'."
    )
    assert without_options(prompt, range(1, 3)) == "Be honest. Rate how well it fits."
