"""The forms of a roles file, faults by entry, the generator and the split."""

from __future__ import annotations

import json
from itertools import product
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.errors import InputError
from axiograph.engine.study.roles import Role, generate_roles, load_role_fields, load_roles, persona_name

ANN, BOB = Role("Ann", "Job: cook"), Role("Bob", "Job: pilot")
FORMS = {
    "roles.json": '{"Ann": {"mini_trait": "Job: cook", "bio2": "A"}, "Bob": {"mini_trait": "Job: pilot"}}',
    "plain.json": '{"Ann": "Job: cook", "Bob": " Job: pilot "}',
    "roles.jsonl": '{"name": "Ann", "text": "Job: cook"}\n\n{"name": "Bob", "text": "Job: pilot"}\n',
    "roles.csv": "name,age,text\nAnn,33,Job: cook\nBob,41,Job: pilot\n",
    "map.yaml": "Ann: 'Job: cook'\nBob: 'Job: pilot'\n",
    "nested.yml": "Ann: {text: 'Job: cook'}\nBob: {text: 'Job: pilot'}\n",
    "list.yaml": "- {name: Ann, text: 'Job: cook'}\n- name: Bob\n  text: 'Job: pilot'\n",
}


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMS)
def test_forms(tmp_path, name):
    assert load_roles(_write(tmp_path, name, FORMS[name]), None) == [ANN, BOB]


def test_another_text_field(tmp_path):
    path = _write(tmp_path, "a.json", '{"Ann": {"bio": "A cook."}}')
    assert load_roles(path, "bio") == [Role("Ann", "A cook.")]
    path = _write(tmp_path, "a.csv", "name,bio\nAnn,A cook.\n")
    assert load_roles(path, "bio") == [Role("Ann", "A cook.")]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.json", '{"Ann": "x", "Bob": "y", "Ann": "z"}', "entry 3: .*name of .*entry 1"),
        ("a.json", '{"Ann": "x", "Bob": "y", " Ann": "z"}', "entry 3: .*a name of its own"),
        ("a.json", '{"Ann": "x", "Bob": "x "}', r"entry 2: .*text of 'Ann', .*entry 1"),
        ("a.json", '{"Ann": {"bio2": "x"}}', "entry 1: .*a field 'mini_trait', found bio2"),
        ("a.json", '{"Ann": " "}', "entry 1: .*a text for 'Ann'"),
        ("a.json", '{"Ann": 3}', "entry 1: .*a text for 'Ann', found 3"),
        ("a.json", '{"": "x"}', "entry 1: .*a name"),
        ("a.json", '{"(no role)": "x"}', "entry 1: .*a name"),
        ("a.json", '{"Ann": "a \\ue0ff b"}', r"U\+E0FF"),
        ("a.json", '{"Ann": "a \\u0007 b"}', r"U\+0007"),
        ("a.json", '{"Ann": "a \\ud800 b"}', r"U\+D800"),
        ("a.json", '{"A\\nnn": "a b"}', r"U\+000A"),
        ("a.json", '"Ann"', "an object of names"),
        ("a.json", "{}", "at least one role"),
        ("a.json", '{\n"Ann": \n}', "line 3: expected valid JSON"),
        ("a.jsonl", '{"name": "Ann", "text": "x"}\n{"name": "Bob"}\n', "line 2: .*field 'text', found name"),
        ("a.jsonl", '{"name": "Ann", "text": "x"}\nBob\n', "line 2: .*a JSON object"),
        ("a.jsonl", "[1]\n", "line 1: .*a field 'name'"),
        ("a.csv", "name,text\nAnn,x\nBob\n", "line 3: .*2 cells"),
        ("a.csv", "name,text\nAnn,x\nAnn,y\n", "line 3: .*a name of its own"),
        ("a.csv", "name,txt\nAnn,x\n", "no column text"),
        ("a.yaml", "Ann: x\nAnn: y\n", "line 2: expected valid YAML"),
        ("a.yaml", "- {name: Ann, text: x}\n- {name: Ann, text: y}\n", "line 2: .*name of its own"),
        ("a.yaml", "yes: x\n", "entry 1: .*a name, found True"),
        ("a.yaml", "Ann\n", "a mapping of names"),
        ("a.md", "Ann\n", r"found \.md"),
        ("a.txt", "Ann\n\nAnn\n", "line 3: .*a name of its own"),
    ],
)
def test_bad_files_are_named(tmp_path, name, text, named):
    path = _write(tmp_path, name, text)
    with pytest.raises(InputError, match=named) as caught:
        load_roles(path, None)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hub.jsonl", '{"persona": "A cook."}\n{"persona": "A pilot. "}\n'),
        ("hub.json", '[{"persona": "A cook."}, {"persona": "A pilot."}]'),
        ("list.json", '["A cook.", " A pilot."]'),
        ("list.jsonl", '"A cook."\n"A pilot."\n'),
        ("list.yaml", "- A cook.\n- A pilot.\n"),
        ("list.txt", "A cook.\n\nA pilot.\n"),
    ],
)
def test_personas_without_names_are_called_by_their_texts(tmp_path, name, text):
    cook, pilot = load_roles(_write(tmp_path, name, text), None)
    assert (cook.text, pilot.text) == ("A cook.", "A pilot.")
    # Another name for the same text would orphan every stored answer of that persona.
    assert (cook.name, pilot.name) == (persona_name("A cook."), persona_name("A pilot."))
    assert persona_name("A cook.") == "persona-b34eaebd1bfa90bf"


def test_all_faults_come_in_one_error(tmp_path):
    path = _write(tmp_path, "a.csv", "name,text\nAnn,\n,x\nBob,y\nBob,z\n")
    with pytest.raises(InputError) as caught:
        load_roles(path, None)
    assert [f"line {line}:" in str(caught.value) for line in range(1, 6)] == [False, True, True, False, True]


def test_the_papers_roles(paper_data):
    train = load_roles(paper_data / "players100.json", None)
    test = load_roles(paper_data / "players25.json", "bio3")
    assert test[0].text.startswith("Erika Jones is a female research scientist")
    raw = json.loads((paper_data / "players100.json").read_text(encoding="utf-8"))
    assert (len(train), len(test)) == (100, 25)
    assert {role.name: role.text for role in train} == {name: e["mini_trait"] for name, e in raw.items()}


FIELDS = {"Gender": ["female", "male"], "Job": ["cook", "pilot", "judge"], "MBTI": ["ESFJ", "INTP"]}
FIELD_MAPS = st.dictionaries(
    st.sampled_from(["A", "B", "C", "D"]),
    st.lists(st.sampled_from(["k", "l", "m", "n", "o"]), min_size=1, max_size=5, unique=True),
    min_size=1,
)


def test_generated_roles_read_as_said():
    roles = generate_roles(FIELDS, 12, seed=3)
    assert [role.name for role in roles[:2]] == ["role-0001", "role-0002"]
    every = product(*FIELDS.values())
    assert {role.text for role in roles} == {f"Gender: {g}; Job: {j}; MBTI: {m}" for g, j, m in every}
    assert [role.text for role in roles] != sorted(role.text for role in roles)
    assert generate_roles(FIELDS, 0, seed=3) == []


@settings(max_examples=60, deadline=None)
@given(FIELD_MAPS, st.integers(-5, 2**40), st.data())
def test_generated_roles_differ_and_a_longer_list_begins_with_the_shorter(fields, seed, data):
    total = prod(map(len, fields.values()))
    n = data.draw(st.integers(0, total))
    every = generate_roles(fields, total, seed)
    assert len({role.text for role in every}) == total
    assert generate_roles(fields, n, seed) == every[:n]


def test_the_seed_matters_and_options_come_about_equally_often():
    fields = {f"F{i}": [str(option) for option in range(10)] for i in range(20)}  # 10²⁰ combinations
    roles = generate_roles(fields, 2000, seed=1)
    assert len({role.text for role in roles}) == 2000
    assert not {role.text for role in roles} & {role.text for role in generate_roles(fields, 2000, seed=2)}
    counts = [sum(f"F7: {option};" in role.text for role in roles) for option in range(10)]
    assert min(counts) > 140  # 200 expected, standard deviation 13
    assert max(counts) < 260


def test_the_generator_is_pinned():
    """Other roles for the same seed would orphan every stored answer of a study that generates its roles."""
    assert [role.text for role in generate_roles(FIELDS, 3, seed=0)] == [
        "Gender: male; Job: cook; MBTI: INTP",
        "Gender: male; Job: pilot; MBTI: INTP",
        "Gender: female; Job: pilot; MBTI: ESFJ",
    ]


def test_too_many_or_bad_fields():
    with pytest.raises(InputError, match="0 to 12 roles"):
        generate_roles(FIELDS, 13, seed=0)
    for fields in ({}, {"A": []}, {"A": ["x", "x"]}, {"A": ["x; B: y"]}, {"A": [" "]}, {"A": ["\ue000"]}):
        with pytest.raises(InputError):
            generate_roles(fields, 1, seed=0)


def test_role_fields_file(tmp_path):
    path = _write(tmp_path, "fields.yaml", "Gender: [female, male]\nBorn: [1970, 1980]\n")
    assert load_role_fields(path) == {"Gender": ("female", "male"), "Born": ("1970", "1980")}
    for text in ("- a\n", "Gender: female\n", "Gender: []\n", "Likes: [yes, no]\n", "A: [x, ' x']\n", "{}\n"):
        with pytest.raises(InputError, match=r"fields\.yaml"):
            load_role_fields(_write(tmp_path, "fields.yaml", text))
