"""CSV item files with options, statements and other keys; unknown columns and JSON are refused."""

from __future__ import annotations

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.questionnaire import load_questionnaires

OWN = "item_id,questionnaire,value,agreement,question"


def _load(tmp_path, *lines, name="q.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_questionnaires([path]).items


def test_options_in_columns_of_their_own(tmp_path):
    items = _load(
        tmp_path,
        f"{OWN},option_1,option_2,option_3",
        "a,Q,V,1,How?,Badly,So so,Well",
        "b,Q,V,-1,Which?,This,That,",
        "c,Q,V,1,Do you?,,,",
    )
    assert [item.scale and item.scale.labels for item in items] == [
        ("Badly", "So so", "Well"),
        ("This", "That"),
        None,
    ]
    assert [item.scale and item.scale.name for item in items] == ["a", "b", None]


def test_rows_that_name_a_scale_share_its_options(tmp_path):
    items = _load(
        tmp_path,
        "item_id,questionnaire,value,agreement,statement,facet,scale,options",
        "a,Q,V,1,Is early.,Time,s,",
        "b,Q,V,-1,Is late.,Time,s,Never | At times | Often",
        "c,Q,V,1,Is here.,,s,Never|At times|Often",
        "d,Q,V,1,Is there.,,,",
    )
    assert [item.scale and item.scale.name for item in items] == ["s", "s", "s", None]
    assert items[0].scale.labels == ("Never", "At times", "Often")
    assert [item.facet for item in items] == ["Time", "Time", "", ""]
    assert all(item.is_statement for item in items)


def test_questions_and_statements_in_one_file(tmp_path):
    items = _load(tmp_path, f"{OWN},statement", "a,Q,V,1,Do you?,", "b,Q,V,1,,You do.")
    assert [(item.question, item.is_statement) for item in items] == [("Do you?", False), ("You do.", True)]


@pytest.mark.parametrize(
    ("cell", "agreement"),
    [("1", 1), ("+1", 1), ("1.0", 1), ("+", 1), ("-1", -1), ("−1", -1), ("-1.0", -1), ("-", -1), ("R", -1)],
)
def test_keys(tmp_path, cell, agreement):
    assert _load(tmp_path, OWN, f"a,Q,V,{cell},Do you?")[0].agreement == agreement


@pytest.mark.parametrize("column", ["reverse", "reversed"])
@pytest.mark.parametrize(
    ("cell", "agreement"), [("TRUE", -1), ("False", 1), ("R", -1), ("", 1), ("1", -1), ("0", 1), ("yes", -1)]
)
def test_true_is_a_key_where_the_column_says_what_it_means(tmp_path, column, cell, agreement):
    item = _load(tmp_path, OWN.replace("agreement", column), f"a,Q,V,{cell},Do you?")[0]
    assert item.agreement == agreement


def test_the_form_of_valuebench_takes_the_same_columns(tmp_path):
    header = "questionnaire,item,value,agreement,question,option_1,option_2"
    items = _load(tmp_path, header, "Q,He does.,V,1,Do you?,Never,Always")
    assert (items[0].item_id, items[0].scale.labels) == ("Q:1", ("Never", "Always"))


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([f"{OWN},fascet", "a,Q,V,1,Do you?,x"], r"line 1: .*the column 'fascet' \(did you mean 'facet'"),
        ([f"{OWN},Option_1", "a,Q,V,1,Do you?,x"], r"'Option_1' \(did you mean 'option_1'"),
        ([f"{OWN},answers", "a,Q,V,1,Do you?,x"], "the column 'answers'"),
        ([f"{OWN},option_1,option_3", "a,Q,V,1,Do you?,x,y"], "line 1: expected option_1 to option_2"),
        ([f"{OWN},options,option_1", "a,Q,V,1,Do you?,x,y"], "line 1: expected option_1"),
        ([f"{OWN},reverse", "a,Q,V,1,Do you?,TRUE"], "one column for the key, found agreement and reverse"),
        ([OWN, "a,Q,V,TRUE,Do you?"], "line 2: expected an agreement of 1 or -1, found 'TRUE'"),
        ([OWN.replace("agreement", "reverse"), "a,Q,V,-1,Do you?"], "line 2: expected TRUE or FALSE"),
        (
            [f"{OWN},option_1,option_2,option_3", "a,Q,V,1,Do you?,x,,y"],
            "line 2: expected a text for option 2",
        ),
        ([f"{OWN},options", "a,Q,V,1,Do you?,Never"], "line 2: expected 2 to 20 options, not 1"),
        ([f"{OWN},options", "a,Q,V,1,Do you?,Yes|yes"], "line 2: expected options that differ"),
        ([f"{OWN},scale", "a,Q,V,1,Do you?,s"], "line 2: expected options of the scale 's' in some row"),
        (
            [f"{OWN},scale,options", "a,Q,V,1,Do you?,s,x|y", "b,Q,V,1,Do you?,s,y|x"],
            "line 3: expected the options of 's' in .*line 2",
        ),
        ([f"{OWN},statement", "a,Q,V,1,Do you?,You do."], "line 2: expected a question or a statement"),
        ([f"{OWN},statement", "a,Q,V,1,,"], "line 2: expected a text for question"),
    ],
)
def test_faults_are_named(tmp_path, lines, named):
    with pytest.raises(InputError, match=named) as caught:
        _load(tmp_path, *lines)
    assert str(tmp_path / "q.csv") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("q.json", '[{"name": "Q"}]'), ("q.csv", ' {"a": 1,\n"b": 2}'), ("q.csv", '["a", "b"]')],
)
def test_json_is_not_read_as_csv(tmp_path, name, text):
    with pytest.raises(InputError, match=r"expected CSV or YAML, found JSON\. .*axiograph import"):
        _load(tmp_path, text, name=name)
