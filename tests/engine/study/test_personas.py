"""Roles out of tables of people: templates, rows of one text, empty cells, draws that keep their shares."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.errors import InputError
from axiograph.engine.study.personas import Person, draw, load_role_file
from axiograph.engine.study.roles import Role, load_roles, persona_name
from axiograph.engine.study.schema import RoleFile

TABLE = "id,age,party,w\n7,30,Green,1\n8,41,,2.5\n9,30,Green,0.5\n"
TEXT = "Aged {{ age }}{% if party %}, votes {{ party }}{% endif %}."


def _load(folder: Path, content: str = TABLE, ending: str = "csv", **fields):
    path = folder / f"people.{ending}"
    path.write_text(content, encoding="utf-8")
    return load_role_file(RoleFile(path=path, **fields))


def test_a_text_and_a_name_over_columns_and_rows_of_one_text(tmp_path):
    expected = [Role("p7", "Aged 30, votes Green."), Role("p8", "Aged 41.")]
    assert _load(tmp_path, text=TEXT, name="p{{ id }}") == expected
    assert [role.name for role in _load(tmp_path, text=TEXT, name="row")] == ["row-1", "row-2"]
    assert [role.name for role in _load(tmp_path, text=TEXT)] == [
        persona_name(role.text) for role in expected
    ]


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("jsonl", '{"name": "A", "the age": 30}\n{"name": "B", "the age": 41}\n'),
        ("json", '[{"name": "A", "the age": 30}, {"name": "B", "the age": 41}]'),
        ("yaml", "- {name: A, the age: 30}\n- {name: B, the age: 41}\n"),
    ],
)
def test_other_tables_and_columns_with_spaces(tmp_path, ending, content):
    roles = _load(tmp_path, content, ending, text="Aged {{ row['the age'] }}.")
    assert roles == [Role("A", "Aged 30."), Role("B", "Aged 41.")]


def test_files_without_these_keys_load_as_ever(tmp_path):
    content = "name,text,w\nA,x,1\nB,y,0\nC,z,1\n"
    assert _load(tmp_path, content) == load_roles(tmp_path / "people.csv", None)
    assert {r.name for r in _load(tmp_path, content, n=2, weight="w")} == {"A", "C"}
    assert len(_load(tmp_path, content, n=2)) == 2


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (
            {"text": "{{ age }} {{ party }}"},
            "line 3: expected cells for the template, found the cell of 'party' is",
        ),
        ({"text": "{{ agee }}"}, r"text: expected columns of the file .*'agee' \(did you mean 'age'"),
        ({"text": "{{ age "}, "text: expected valid Jinja2"),
        ({"text": "{{ ''.__class__.__mro__ }}{{ age }}"}, "line 2: expected cells for the template"),
        ({"text": "{{ id }}", "name": "{{ age }}"}, "line 4: expected a name of its own, found '30'"),
        ({"text": TEXT, "weight": "W", "n": 1}, r"weight: expected columns .*'W' \(did you mean 'w'"),
        ({"text": TEXT, "weight": "party", "n": 1}, "line 2: expected a weight of 0 or more in 'party'"),
        ({"text": TEXT, "strata": ["regio"], "n": 1}, "strata: expected columns"),
        ({"text": TEXT, "n": 3}, "n: expected at most 2, the rows with different texts"),
    ],
)
def test_faults_are_named(tmp_path, fields, named):
    with pytest.raises(InputError, match=named) as caught:
        _load(tmp_path, **fields)
    assert str(tmp_path / "people.csv") in str(caught.value)


def test_weights_without_a_draw_and_two_texts_are_refused():
    for fields in ({"weight": "w"}, {"strata": ("a",)}, {"text": "x", "text_field": "y"}):
        with pytest.raises(pydantic.ValidationError):
            RoleFile(path=Path("a.csv"), **fields)


def _people(weights, strata=None):
    strata = strata or ["" for _ in weights]
    rows = enumerate(zip(weights, strata, strict=True))
    return [Person(Role(f"p{i}", f"t{i}"), Fraction(str(w)), (s,)) for i, (w, s) in rows]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abc")), min_size=1, max_size=30),
    st.integers(0, 2**40),
    st.data(),
)
def test_a_draw_has_n_different_people_in_their_order_and_strata_have_their_shares(rows, seed, data):
    people = _people(*map(list, zip(*rows, strict=True)))
    present = [person for person in people if person.weight > 0]
    n = data.draw(st.integers(0, len(present)))
    drawn = draw(people, n, seed)
    assert drawn == [person for person in present if person in drawn]
    assert len(drawn) == n
    total = sum(person.weight for person in present)
    for stratum in "abc":
        members = [person for person in present if person.stratum == (stratum,)]
        share = n * sum(person.weight for person in members) / total if total else 0
        places = sum(person.stratum == (stratum,) for person in drawn)
        assert places >= min(int(share), len(members))  # rounded, or more where another stratum has too few
    with pytest.raises(ValueError, match="at most"):
        draw(people, len(present) + 1, seed)


def test_people_are_drawn_as_often_as_they_weigh():
    weights = [1, 1, 1, 1, 2, 2, 4, 40]  # of 3 places one is certain, 2 go to 12 points of weight
    counts = Counter(p.role.name for seed in range(600) for p in draw(_people(weights), 3, seed))
    assert counts["p7"] == 600
    for i, weight in enumerate(weights[:-1]):
        expected = 600 * 2 * weight / 12
        assert abs(counts[f"p{i}"] - expected) < 5 * (expected * (1 - expected / 600)) ** 0.5


def test_the_draw_is_pinned():
    """Another draw for the same seed would orphan stored answers."""
    people = _people([1, 2, 3, 4, 5, 6], ["a", "a", "b", "b", "b", "a"])
    assert [p.role.name for p in draw(people, 3, seed=0)] == ["p3", "p4", "p5"]
