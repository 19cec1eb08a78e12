"""Tables: IPIP, MPI, dictionaries of psych, QSTN, ValueBench, and the own CSV."""

from __future__ import annotations

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.importing import read_inventories
from axiograph.engine.study.inventories.inventory import Request
from axiograph.engine.study.inventories.tables import IPIP_ANSWERS, read_keys
from axiograph.engine.study.scales import Scale
from tests.engine.study.inventories.reading import read, round_trip, written

THREE = Scale.of("options", ["No", "Partly", "Yes"])
IPIP = """# a comment in front
instrument,alpha,key,text,label
GARD,0.7,1,Water my plants.,Care
GARD,0.7,-1,Forget my plants.,Care
GARD,0.7,0,Have plants.,Care
TREE,0.8,1,Climb trees.,Play
"""


def _keys(items):
    return [(item.item_id, item.value, item.agreement, item.facet) for item in items]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_ipip_by_instrument(tmp_path, delimiter):
    imported = read(tmp_path, IPIP.replace(",", delimiter), "table.txt")
    assert imported.form == "ipip"
    assert [inventory.name for inventory in imported.inventories] == ["GARD", "TREE"]
    loaded = round_trip(tmp_path, imported)
    assert _keys(loaded.items) == [("GARD:1", "Care", 1, ""), ("GARD:2", "Care", -1, "")]
    assert loaded.items[0].scale == IPIP_ANSWERS
    assert loaded.origins[0].licence == "public domain"
    assert any("are left out: 5" in note for note in loaded.origins[0].notes)


def test_other_answers_can_be_named(tmp_path):
    inventory = read(tmp_path, IPIP, "table.csv", options=THREE).inventories[0]
    assert inventory.scales == {"options": THREE}
    assert not any("customary" in note for note in inventory.notes)


def test_mpi(tmp_path):
    table = "label_raw,text,label_ocean,key\nCalm,Fret,N,1\nTrust,Suspect others,A,-1\n"
    imported = read(tmp_path, table, "m.csv")
    loaded = round_trip(tmp_path, imported)
    assert _keys(loaded.items) == [
        ("MPI-2:1", "Neuroticism", 1, "Calm"),
        ("MPI-2:2", "Agreeableness", -1, "Trust"),
    ]
    with pytest.raises(
        InputError, match=r"line 2, column label_ocean: expected one of O, C, E, A, N, found 'X'"
    ):
        read(tmp_path, table.replace("N,1", "X,1"), "m.csv")
    with pytest.raises(InputError, match=r"line 2, column key: expected 1, -1, .*found '2'"):
        read(tmp_path, table.replace("N,1", "N,2"), "m.csv")


PSYCH = """"","ItemLabel","Item","Giant3","Big6","Little12","Keying"
"A1","q_1","Am cold.","Cohesion","Warmth","Heart","-1"
"A2","q_2","Am kind.","Cohesion","Warmth","Heart","1"
"age","age","age in years",NA,NA,NA,NA
"""


def test_a_dictionary_of_psych(tmp_path):
    imported = read(tmp_path, PSYCH, "two.dictionary.csv", options=THREE)
    loaded = round_trip(tmp_path, imported)
    assert imported.form == "psych"
    assert _keys(loaded.items) == [("two:A1", "Warmth", -1, "Heart"), ("two:A2", "Warmth", 1, "Heart")]
    assert loaded.items[0].scale == THREE
    with pytest.raises(InputError, match=r"expected answer options, .*--options"):
        read(tmp_path, PSYCH, "two.dictionary.csv")
    with pytest.raises(InputError, match=r"what items measure.*--keys"):
        read(tmp_path, PSYCH.replace("Keying", "K"), "two.csv", options=THREE)
    keys = {"A1": ("Cold", 1, "")}
    inventory = read(tmp_path, PSYCH, "two.csv", options=THREE, keys=keys).inventories[0]
    assert [(entry.item_id, entry.value, entry.agreement) for entry in inventory.entries] == [
        ("two:A1", "Cold", 1)
    ]


def test_qstn_with_keys(tmp_path):
    table = (
        "questionnaire_item_id,question_stem,question_content,answer_texts,answer_codes\n"
        "1,Does it fit?,Is early,\"['never', 'often']\",\"['0', '5']\"\n"
        "2,Is {{QUESTION_CONTENT_PLACEHOLDER}} you?,late,,\n"
        "3,,Is odd,,\n"
    )
    with pytest.raises(InputError, match=r"found no keys.*--keys FILE"):
        read(tmp_path, table, "q.csv", options=THREE)
    keys = read_keys(written(tmp_path, "item_id,value,agreement\n1,Time,1\n2,Time,R\n", "keys.csv"))
    imported = read(tmp_path, table, "q.csv", options=THREE, keys=keys)
    loaded = round_trip(tmp_path, imported)
    assert [(item.question, item.agreement) for item in loaded.items] == [
        ("Does it fit? Is early", 1),
        ("Is late you?", -1),
    ]
    assert (loaded.items[0].scale.labels, loaded.items[0].scale.codes) == (("never", "often"), ("0", "5"))
    assert loaded.items[1].scale == THREE
    assert any("Item 3 is left out" in note for note in imported.inventories[0].notes)
    with pytest.raises(InputError, match="line 2, column answer_texts: expected a list"):
        read(tmp_path, table.replace("'often']", "'often'"), "q.csv", options=THREE, keys=keys)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("item_id,value\n1,Time\n", "agreement"),
        ("item_id,value,agreement\n1,Time,0\n", "line 2: expected one row for each item"),
        ("item_id,value,agreement\n1,Time,1\n1,Time,1\n", "line 3: expected one row for each item"),
    ],
)
def test_faults_of_keys(tmp_path, text, named):
    with pytest.raises(InputError, match=named):
        read_keys(written(tmp_path, text, "keys.csv"))


def test_valuebench_as_questions_and_as_statements(tmp_path):
    table = (
        "questionnaire,item,value,agreement,question\n"
        "PVQ40,I tidy.,Order,1,Do you tidy\nX,I play.,Play,-1,Do you play?\n"
    )
    imported = read(tmp_path, table, "v.csv")
    item = round_trip(tmp_path, imported).items[0]
    assert (item.item_id, item.question, item.is_statement, item.scale) == (
        "PVQ40:1",
        "Do you tidy",
        False,
        None,
    )
    assert any("centred" in note for note in imported.inventories[0].notes)
    assert not imported.inventories[1].notes
    statements = "\n".join(line.rpartition(",")[0] for line in table.splitlines())
    item = round_trip(tmp_path, read(tmp_path, statements, "v.csv", options=THREE)).items[0]
    assert (item.question, item.is_statement, item.scale) == ("I tidy.", True, THREE)


def test_the_own_csv(tmp_path):
    table = (
        "item_id,questionnaire,value,agreement,question,facet,options\n"
        "a,Q,V,R,Which,F,x|y\nb,Q,V,1,Do you?,,\n"
    )
    imported = read(tmp_path, table, "own.csv")
    before = imported.form, [entry.scale for entry in imported.inventories[0].entries]
    loaded = round_trip(tmp_path, imported)
    assert before == ("csv", ["a", None])
    assert _keys(loaded.items) == [("a", "V", -1, "F"), ("b", "V", 1, "")]
    assert not loaded.items[0].is_statement
    assert loaded.items[0].scale.labels == ("x", "y")


@pytest.mark.parametrize(
    ("name", "text", "form", "named"),
    [
        ("q.csv", "a,b\n1,2\n", "auto", "line 1: expected the columns of a known form .*found a, b"),
        ("q.csv", "a,b\n1,2\n", "ipip", "line 1: expected the columns instrument, key, text, label of ipip"),
        ("q.csv", "a,b\n1,2\n", "psyborgs", "expected JSON, as psyborgs has"),
        ("q.json", "{}", "ipip", "found ipip, which is a table"),
        ("q.csv", IPIP + "TREE,0.8,1\n", "auto", "line 7: expected 5 cells, found 3"),
        ("q.csv", IPIP + 'TREE,0.8,1,"Climb\n', "auto", "line 7: expected a record of a table"),
        ("q.csv", "instrument,alpha,key,text,label\n", "auto", "rows of items, found none"),
        ("q.yaml", "a: 1\n", "auto", "expected JSON or a table, found YAML"),
        ("q.csv", IPIP.replace("Water", "Wat\ue000er"), "auto", "never"),
    ],
)
def test_files_of_no_known_form(tmp_path, name, text, form, named):
    request = Request(written(tmp_path, text, name))
    if named == "never":
        imported = read_inventories(request, form)
        with pytest.raises(InputError, match=r"'GARD', line \d+ of what would be written: .*U\+E000"):
            round_trip(tmp_path, imported)
        assert sorted(path.name for path in tmp_path.iterdir()) == [name]
        return
    with pytest.raises(InputError, match=named):
        read_inventories(request, form)
