"""What a study names is read, split and checked before any model is loaded."""

from __future__ import annotations

import re

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.study.roles import NO_ROLE
from tests.engine import made


def refusal(folder, **changes):
    with pytest.raises(InputError) as caught:
        made.inputs(folder, **changes)
    return str(caught.value)


def template(folder, text, name="prompt.j2"):
    (folder / name).write_text(text, encoding="utf-8")
    return {"path": name}


@pytest.mark.parametrize("seed", range(4))
def test_no_role_comes_first_and_trains(tmp_path, seed):
    found = made.inputs(tmp_path, split={"roles": 0.8, "seed": seed})
    assert found.roles[0] == NO_ROLE
    assert found.role_split[""] == "train"
    assert [role.name for role in found.roles[1:]] == list(made.ROLES)
    assert sum(found.role_split[name] == "train" for name in made.ROLES) == 8  # 0.8 of the ten with a text
    without = made.inputs(tmp_path, roles={"files": [{"path": "roles.csv"}], "no_role": False})
    assert NO_ROLE not in without.roles
    few = made.inputs(tmp_path, split={"roles": 0.1, "seed": seed})
    assert few.role_split[""] == "train"
    assert sum(few.role_split[name] == "train" for name in made.ROLES) == 1


def test_files_and_generators_may_name_their_split(tmp_path):
    made.write_roles(tmp_path, {"Zoe": "Job: pilot", "Yan": "Job: judge"}, "more.csv")
    (tmp_path / "fields.yaml").write_text("Age: [young, old]\nMood: [calm, bold]\n")
    roles = {
        "files": [{"path": "roles.csv"}, {"path": "more.csv", "split": "test"}],
        "generate": [{"fields": "fields.yaml", "n": 3, "split": "train"}],
    }
    found = made.inputs(tmp_path, roles=roles, split={"roles": 0.5})
    assert {found.role_split[name] for name in ("Zoe", "Yan")} == {"test"}
    assert {found.role_split[f"role-000{i}"] for i in (1, 2, 3)} == {"train"}
    assert sum(found.role_split[name] == "train" for name in made.ROLES) == 5


def test_generators_number_their_roles_apart(tmp_path):
    (tmp_path / "fields.yaml").write_text("Age: [young, old]\nMood: [calm, bold]\n")
    (tmp_path / "jobs.yaml").write_text("Work: [baker, judge]\n")
    one = {"fields": "fields.yaml", "n": 3, "split": "train"}
    both = {"generate": [one, {"fields": "jobs.yaml", "n": 2, "split": "test"}]}
    before = made.inputs(tmp_path, roles={"generate": [one]})
    found = made.inputs(tmp_path, roles=both)
    assert found.roles[: len(before.roles)] == before.roles  # the first keeps its names
    assert [role.name for role in found.roles[-2:]] == ["2-role-0001", "2-role-0002"]
    assert {found.role_split[role.name] for role in found.roles[-2:]} == {"test"}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"person 3": "Job: other"}, "same name, found 'person 3' and 'person 3'"),
        ({"Zoe": "Job: trade 3"}, "same text, found 'person 3' and 'Zoe' with the text 'Job: trade 3'"),
    ],
)
def test_roles_may_not_repeat_across_files(tmp_path, more, named):
    made.write_roles(tmp_path, more, "more.csv")
    text = refusal(tmp_path, roles={"files": [{"path": "roles.csv"}, {"path": "more.csv"}]})
    assert "study, field roles: expected roles of which no two have the" in text
    assert named in text


def test_two_generators_of_the_same_roles_are_refused(tmp_path):
    (tmp_path / "fields.yaml").write_text("Age: [young, old]\nMood: [calm, bold]\n")
    generators = [{"fields": "fields.yaml", "n": 3, "seed": seed} for seed in (0, 1)]
    assert "same text" in refusal(tmp_path, roles={"generate": generators})


def test_values_are_selected_and_unknown_ones_answered_with_the_right_name(tmp_path):
    assert made.inputs(tmp_path, values=["Power", "Joy"]).values == ("Power", "Joy")
    assert "'Ordr' (did you mean 'Order'?)" in refusal(tmp_path, values=["Joy", "Ordr"])
    assert "at least one selected item" in refusal(tmp_path, values=[])
    hint = {"value": "Powr", "inclination": "inclined"}
    assert "'Powr' (did you mean 'Power'?)" in refusal(tmp_path, hints=[hint])
    known = made.inputs(tmp_path, group_by="scale", values=["Own: Joy"])
    assert known.values == ("Own: Joy",)


def test_steering_at_the_span_needs_a_marked_span(tmp_path):
    plain = template(tmp_path, "{{ role }} {{ question }}")
    steered = [made.steering(made.operation())]
    text = refusal(tmp_path, prompt=plain, steering=steered)
    assert re.search(r"prompt template .*prompt\.j2: expected a span marked", text)
    everywhere = [made.steering(made.operation(span="prompt"))]
    assert len(made.inputs(tmp_path, prompt=plain, steering=everywhere).conditions) == 5
    assert made.inputs(tmp_path, prompt=plain).conditions[0].name == "baseline"


def test_roles_and_hints_need_their_place_in_the_template(tmp_path):
    hints = [{"value": "Joy", "inclination": "inclined"}]
    no_hint = template(tmp_path, "{{ role }} {{ question }}")
    assert "the variable 'hint', since the study has hints" in refusal(tmp_path, prompt=no_hint, hints=hints)
    no_role = template(tmp_path, "{{ question }}")
    assert "the variable 'role', since the study has roles" in refusal(tmp_path, prompt=no_role)
    assert made.inputs(tmp_path, prompt=no_role, roles={}).roles == (NO_ROLE,)


def test_definitions_reach_the_hints_by_name_and_by_scale(tmp_path):
    (tmp_path / "definitions.yaml").write_text("Joy: being glad\n'Own: Order': tidiness\n")
    hints = [{"value": "asked", "inclination": "inclined"}]

    def texts(**changes):
        found = made.inputs(tmp_path, hints=hints, definitions="definitions.yaml", **changes)
        condition = found.conditions[1]
        return {item.value: found.hint_text(condition, item) for item in found.items}

    by_name = texts()
    assert by_name["Joy"].endswith("Joy means: being glad")
    assert "means" not in by_name["Power"]
    by_scale = texts(group_by="scale")
    assert by_scale["Own: Joy"].endswith("Own: Joy means: being glad")
    assert by_scale["Own: Order"].endswith("Own: Order means: tidiness")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- Joy\n", "a mapping of value name to text, found list"),
        ("Jooy: glad\n", "'Jooy' (did you mean 'Joy'?)"),
        ("Joy: 3\n", "'Joy': expected a text"),
        ("Joy: ''\n", "'Joy': expected a text"),
        ('Joy: "a \\ue000mark\\ue001"\n', "'Joy': expected a text without control and private-use"),
        ("Joy: a\nJoy: b\n", "line 2: expected valid YAML"),
    ],
)
def test_bad_definitions(tmp_path, text, named):
    (tmp_path / "definitions.yaml").write_text(text)
    found = refusal(tmp_path, definitions="definitions.yaml")
    assert "definitions.yaml" in found
    assert named in found


def test_definitions_of_values_that_are_not_kept_do_no_harm(tmp_path):
    (tmp_path / "definitions.yaml").write_text("Joy: being glad\n")
    assert made.inputs(tmp_path, definitions="definitions.yaml", values=["Order"]).definitions == {}


def test_share_draws_the_same_items_in_every_condition_and_at_least_one(tmp_path):
    made.write_items(tmp_path, per_value=10)
    found = made.inputs(
        tmp_path, sampling={"share": 0.4}, hints=[{"value": "Joy", "inclination": "inclined"}]
    )
    asked = {role.name: [item.item_id for item in found.items_for(role)] for role in found.roles}
    for ids in asked.values():
        assert [sum(i.startswith(value) for i in ids) for value in made.VALUES] == [4, 4, 4]
    assert len({tuple(ids) for ids in asked.values()}) > 5  # roles draw for themselves
    few = made.inputs(tmp_path, sampling={"share": 0.001})
    assert all(len(few.items_for(role)) == 3 for role in few.roles)
    other = made.inputs(tmp_path, sampling={"share": 0.4, "seed": 1})
    assert [i.item_id for i in other.items_for(other.roles[1])] != asked[other.roles[1].name]


def test_items_are_split_within_each_value_and_follow_the_split_of_the_role(tmp_path):
    made.write_items(tmp_path, per_value=10)
    found = made.inputs(tmp_path, split={"items": 0.7})
    for value in made.VALUES:
        assert sum(found.item_split[f"{value}{i}"] == "train" for i in range(10)) == 7
    for role in found.roles:
        items = found.items_for(role)
        assert {found.item_split[item.item_id] for item in items} == {found.role_split[role.name]}
        assert len(items) == {"train": 21, "test": 9}[found.role_split[role.name]]
    everybody = made.inputs(tmp_path)
    assert all(len(everybody.items_for(role)) == 30 for role in everybody.roles)


@pytest.mark.parametrize("seed", range(4))
def test_adding_roles_and_items_moves_nobody(tmp_path, seed):
    settings = {"split": {"items": 0.7, "seed": seed}, "sampling": {"share": 0.5}}
    made.write_items(tmp_path, per_value=6)
    before = made.inputs(tmp_path, **settings)
    more = dict(reversed({f"a new {i}": f"Hobby: {i}" for i in range(15)}.items())) | made.ROLES
    made.write_roles(tmp_path, more)
    made.write_items(tmp_path, per_value=11, values=("Extra", *made.VALUES))
    after = load_inputs(made.study(tmp_path, **settings), before.generations)
    assert before.role_split.items() <= after.role_split.items()
    assert before.item_split.items() <= after.item_split.items()
    for role in before.roles:
        assert set(before.items_for(role)) <= set(after.items_for(role))
    names = [name for name in after.role_split if name]
    assert sum(after.role_split[name] == "train" for name in names) == 20  # 0.8 of 25


def test_texts_names_everything_that_enters_a_prompt(tmp_path):
    hints = [{"value": "asked", "inclination": "inclined"}, {"value": "Joy", "inclination": "disinclined"}]
    found = made.inputs(tmp_path, hints=hints)
    texts = list(found.texts())
    assert ("role 'person 1'", "Job: trade 1") in texts
    assert ("item Joy0", "Is Joy 0 good?") in texts
    assert sum(where == "condition 'hint inclined:asked'" for where, _ in texts) == 3
    assert sum(where == "condition 'hint disinclined:Joy'" for where, _ in texts) == 1
    assert len(texts) == 11 + 12 + 4
    named = made.inputs(
        tmp_path, prompt=template(tmp_path, "{{ role_name }} {{ value }}{{ role }} {{ question }}")
    )
    assert {("name of role 'person 1'", "person 1"), ("value of item Joy0", "Joy")} <= set(named.texts())


def test_frames(tmp_path):
    path = made.write_items(tmp_path, per_value=2)
    path.write_text(path.read_text() + "Joy9,Own,Joy,1,Is Order 1 good?\n")
    found = made.inputs(tmp_path)
    frame = found.items_frame()
    assert frame.filter("shared")["item_id"].to_list() == ["Order1", "Joy9"]
    assert frame["agreement"].to_list() == [1, -1, 1, -1, 1, -1, 1]
    assert set(found.roles_frame().columns) == {"role", "text", "split"}
    assert found.roles_frame().height == 11


def test_steering_may_be_kept_to_one_part_of_the_roles(tmp_path):
    found = made.inputs(tmp_path, steering=[made.steering(made.operation())], steer_roles="test")
    baseline, steered = found.conditions[0], found.conditions[1]
    for role in found.roles:
        assert found.asks(role, baseline)
        assert found.asks(role, steered) == (found.role_split[role.name] == "test")
