"""The three forms of a questionnaire, every bad row named, grouping, and ValueBench's published numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.questionnaire import (
    Item,
    load_questionnaires,
    one_way_keyed,
    repeated_texts,
    shared_texts,
)

VALUEBENCH = """questionnaire,item,value,agreement,question
PVQ,He likes rule.,Power,1,Do you like to rule?
PVQ,She shares.,Care,-1,"Do you keep things, all of them?"
SVS,Rule.,Power,+1,Do you like to rule?
PVQ,More.,Care,1.0,Do you share?
"""
OWN_CSV = """item_id,questionnaire,value,agreement,question
x1,Mine,Order,1,Do you plan?
x2,Mine,Order,-1,Do you drift?
"""
OWN_YAML = """
questionnaire: Ours
definitions:
  Order: Things in their place.
items:
  - {id: y1, value: Order, agreement: 1, question: "Do you tidy up?"}
  - id: y2
    value: Play
    agreement: -1
    question: Do you work all day?
"""


def _write(folder: Path, text: str | bytes, name: str = "q.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_valuebench_form(tmp_path):
    loaded = load_questionnaires([_write(tmp_path, VALUEBENCH)])
    assert [item.item_id for item in loaded.items] == ["PVQ:1", "PVQ:2", "SVS:1", "PVQ:3"]
    assert loaded.items[1] == Item("PVQ:2", "PVQ", "Care", -1, "Do you keep things, all of them?")
    assert [item.agreement for item in loaded.items] == [1, -1, 1, 1]
    assert loaded.values == ("Power", "Care")


def test_ids_stay_when_other_questionnaires_are_added(tmp_path):
    before = load_questionnaires([_write(tmp_path, VALUEBENCH)]).items
    header, *rows = VALUEBENCH.splitlines(keepends=True)
    more = header + "NEW,a,Fun,1,Fun?\n" + rows[0] + "NEW,b,Fun,1,More fun?\n" + "".join(rows[1:])
    paths = [_write(tmp_path, more, "more.csv"), _write(tmp_path, OWN_CSV, "own.csv")]
    assert set(before) < set(load_questionnaires(paths).items)


def test_own_forms_are_told_apart_and_joined(tmp_path):
    paths = [_write(tmp_path, OWN_CSV), _write(tmp_path, OWN_YAML, "q.yaml")]
    loaded = load_questionnaires(paths)
    assert loaded.items[1] == Item("x2", "Mine", "Order", -1, "Do you drift?")
    assert loaded.items[3] == Item("y2", "Ours", "Play", -1, "Do you work all day?")
    assert loaded.definitions == {"Order": "Things in their place."}
    assert loaded.sources == tuple(map(str, paths))


def test_a_byte_order_mark_crlf_and_blank_lines_are_read(tmp_path):
    text = "\ufeff" + OWN_CSV.replace("\n", "\r\n") + "\r\n\r\n"
    assert len(load_questionnaires([_write(tmp_path, text)]).items) == 2


def test_every_bad_row_is_named_by_its_line(tmp_path):
    rows = [
        "questionnaire,item,value,agreement,question",
        'PVQ,i,Power,1,"A question\nover two lines?"',  # lines 2 and 3
        "PVQ,i,Power,2,Fine?",
        "PVQ,i,,1,Fine?",
        "PVQ,i,Power,1,  ",
        "PVQ,i,Power,1",
        "PVQ,i,Power,yes,Fine?",
        "PVQ,i,Power,-1,Fine?",
    ]
    path = _write(tmp_path, "\n".join(rows))
    with pytest.raises(InputError) as caught:
        load_questionnaires([path])
    message = str(caught.value)
    assert [f"line {line}:" in message for line in range(1, 11)] == [*[False] * 3, *[True] * 5, *[False] * 2]
    assert "a text for value" in message
    assert "a text for question" in message
    assert "expected 5 cells, found 4" in message
    assert "'2'" in message
    assert str(path) in message


def test_twenty_problems_are_shown_and_the_rest_counted(tmp_path):
    bad = "".join(f"b{number},Mine,Order,0,Why?\n" for number in range(33))
    with pytest.raises(InputError, match="and 13 more") as caught:
        load_questionnaires([_write(tmp_path, OWN_CSV + bad)])
    assert str(caught.value).count(" line ") == 20


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("q.csv", "", "an empty file"),
        ("q.csv", "item_id,questionnaire,value,agreement,question\n", "no items"),
        ("q.csv", "questionnaire,value,agreement,question\nA,B,1,C\n", "no column item"),
        ("q.csv", "item_id,value,agreement,question\nA,B,1,C\n", "no column questionnaire"),
        ("q.csv", OWN_CSV.replace("question\n", "value\n", 1), "line 1: expected the columns"),
        ("q.csv", OWN_CSV + "x1,Mine,Order,1,Again?\n", "line 4: expected an id of its own"),
        ("q.csv", OWN_CSV + 'x3,Mine,Order,1,"open\n', "line 4: expected a CSV record"),
        ("q.csv", OWN_CSV.encode() + b"x3,Mine,Order,1,caf\xe9\n", "line 4: expected UTF-8"),
        ("q.csv", OWN_CSV + "x3,Mine,Order,1,\ue000mark\n", r"U\+E000"),
        ("q.yaml", OWN_YAML.replace("agreement: 1", "agreement: true"), "line 6: expected an agreement"),
        ("q.yaml", OWN_YAML.replace("agreement: -1", "agreement: 3"), "line 7: expected an agreement"),
        ("q.yaml", OWN_YAML.replace("id: y2", "id: y1"), "line 7: expected an id of its own"),
        ("q.yaml", OWN_YAML.replace("value: Play", "value: no"), "line 7: expected a text for value"),
        ("q.yaml", OWN_YAML.replace("value: Play", "valu: Play"), "line 7: expected the keys"),
        ("q.yaml", OWN_YAML.replace("  Order: T", "  Ordr: T"), "did you mean 'Order'"),
        ("q.yaml", OWN_YAML + "items: []\n", "line 11: expected valid YAML"),
        ("q.yaml", "questionnaire: Ours\nitems: []\n", "no items"),
        ("q.yaml", "questionnaire: Ours\n", "a list under items"),
        ("q.yaml", "questionnaire: [\n", "valid YAML"),
        ("q.yaml", "- a\n", "a mapping"),
        ("q.yaml", OWN_YAML.replace("questionnaire: Ours\n", ""), "a text for questionnaire"),
    ],
)
def test_bad_files(tmp_path, name, text, named):
    path = _write(tmp_path, text, name)
    with pytest.raises(InputError, match=named) as caught:
        load_questionnaires([path])
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_absent_files_and_no_files(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv"):
        load_questionnaires([tmp_path / "absent.csv"])
    with pytest.raises(InputError, match="a readable file"):
        load_questionnaires([tmp_path])
    with pytest.raises(InputError, match="at least one file"):
        load_questionnaires([])


def test_the_same_file_twice_doubles_every_id(tmp_path):
    path = _write(tmp_path, OWN_CSV)
    with pytest.raises(InputError, match=r"'x1' of .*line 2.*'x2' of .*line 3"):
        load_questionnaires([path, path])


def test_conflicting_definitions(tmp_path):
    other = OWN_YAML.replace("y1", "z1").replace("y2", "z2").replace("Things in", "All in")
    with pytest.raises(InputError, match="definition of 'Order'"):
        load_questionnaires([_write(tmp_path, OWN_YAML, "a.yaml"), _write(tmp_path, other, "b.yaml")])


def test_select_by_name_and_by_scale(tmp_path):
    paths = [_write(tmp_path, VALUEBENCH), _write(tmp_path, OWN_YAML, "q.yaml")]
    loaded = load_questionnaires(paths)
    assert loaded.select(None, "name").items == loaded.items
    named = loaded.select(["Care", "Power"], "name")
    assert [item.item_id for item in named.items] == ["PVQ:2", "PVQ:3", "PVQ:1", "SVS:1"]
    assert named.values == ("Care", "Power")
    scales = loaded.select(None, "scale")
    assert scales.values == ("PVQ: Power", "PVQ: Care", "SVS: Power", "Ours: Order", "Ours: Play")
    assert scales.definitions == {"Ours: Order": "Things in their place."}
    assert [item.item_id for item in loaded.select(["SVS: Power"], "scale").items] == ["SVS:1"]
    assert named.definitions == {}


def test_select_refuses_unknown_doubled_and_nothing(tmp_path):
    loaded = load_questionnaires([_write(tmp_path, VALUEBENCH)])
    with pytest.raises(InputError, match=r"'Powr' \(did you mean 'Power'\?\)"):
        loaded.select(["Powr", "Care"], "name")
    with pytest.raises(InputError, match="'Power'"):
        loaded.select(["Power"], "scale")
    with pytest.raises(InputError, match="more than once"):
        loaded.select(["Care", "Care"], "name")
    with pytest.raises(InputError, match="at least one selected item"):
        loaded.select([], "name")


def test_texts_and_keys(tmp_path):
    loaded = load_questionnaires([_write(tmp_path, VALUEBENCH)])
    [(text, group)] = repeated_texts(loaded.items)
    assert (text, [item.item_id for item in group]) == ("Do you like to rule?", ["PVQ:1", "SVS:1"])
    assert shared_texts(loaded.items) == []  # by name both serve Power
    assert [text for text, _ in shared_texts(loaded.select(None, "scale").items)] == [text]
    assert one_way_keyed(loaded.items) == ("Power",)


def test_valuebench_as_published(paper_data):
    loaded = load_questionnaires([paper_data / "value_orientation.csv"])
    scales = loaded.select(None, "scale")
    assert len(loaded.items) == 1988
    assert len(loaded.values) == 224
    assert len(scales.values) == 263
    assert len({item.questionnaire for item in loaded.items}) == 36
    assert sum(item.agreement == -1 for item in loaded.items) == 630
    assert len(one_way_keyed(scales.items)) == 92
    assert len(repeated_texts(loaded.items)) == 231
    assert len(shared_texts(scales.items)) == 230
    sizes = [sum(item.value == value for item in scales.items) for value in scales.values]
    assert sizes.count(1) == 5
    with (paper_data / "value_orientation.csv").open(encoding="utf-8", newline="") as file:
        questions = [row["question"] for row in csv.DictReader(file)]
    assert [item.question for item in loaded.items] == questions


def test_the_papers_17_values(paper_data):
    with (paper_data / "gemma" / "answers_train.csv").open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    loaded = load_questionnaires([paper_data / "value_orientation.csv"])
    values = [name for name in columns if name in loaded.values]
    chosen = loaded.select(values, "name")
    assert len(values) == 17
    assert chosen.values == tuple(values)
    no_reverse = [v for v in values if all(i.agreement == 1 for i in chosen.items if i.value == v)]
    assert len(no_reverse) == 8
