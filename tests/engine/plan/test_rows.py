"""The plan: ids that change with everything that changes an answer, and with nothing else (DESIGN 2)."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.errors import InputError
from axiograph.engine.plan.rows import PLAN_SCHEMA, Plan
from tests.engine import made

HINTS = [{"value": "asked", "inclination": "inclined"}]
STEERING = [made.steering(made.operation())]


def ids(plan):
    return {request_id for request_id, *_ in plan.rows()}


def cell_ids(plan):
    """(role, condition, item, repeat) → id."""
    return {(r.name, c.name, i.item_id, n): request_id for request_id, r, c, i, n in plan.rows()}


def table(plan, size=65_536):
    return pa.Table.from_batches(plan.batches(size), PLAN_SCHEMA)


def sampled(**changes):
    return {"method": "sample", "temperature": 0.7, "repeats": 2} | changes


# Every one of these changes what the model is asked or how it answers.
CHANGES = {
    "temperature": {"sampling": sampled(temperature=0.8)},
    "top_p": {"sampling": sampled(top_p=0.9)},
    "max_tokens": {"sampling": sampled(max_tokens=99)},
    "seed": {"sampling": sampled(seed=1)},
    "method": {"sampling": {}},
    "mode": {"sampling": {}, "scoring": {"mode": "logprob"}},
    "mass threshold in logprob mode": {"sampling": {}, "scoring": {"mode": "logprob", "mass_threshold": 0.4}},
    "answer cue in logprob mode": {
        "sampling": {},
        "scoring": {"mode": "logprob"},
        "prompt": {"answer_cue": "\nSo:"},
    },
    "thinking": {"prompt": {"thinking": True}, "sampling": sampled(max_thought_tokens=40)},
    "room of thoughts": {"prompt": {"thinking": True}, "sampling": sampled(max_thought_tokens=41)},
    "tags": {
        "prompt": {"thinking": True, "tags": ["<a>", "</a>"]},
        "sampling": sampled(max_thought_tokens=40),
    },
}
# These change who is asked what in which order, how it is worked on, or what is made of the answers.
NO_CHANGES = {
    "name": {"name": "other"},
    "out": {"out": "elsewhere"},
    "batch size": {"sampling": sampled(batch_size=3)},
    "device": {"model": {"path": "model", "device": "cuda"}},
    "discovery": {"discovery": {"alpha": 0.2, "replicates": 3, "seed": 8, "threshold": 0.9}},
    "effects": {"effects": {"level": 0.2, "roles": "all", "seed": 8}},
    "split": {"split": {"roles": 0.5, "seed": 8}},
    "scoring that asks nothing": {"scoring": {"drop_shared_items": False, "mass_threshold": 0.3}},
    "answer cue in generate mode": {"prompt": {"answer_cue": "\nSo:"}},
    "hint's name": {"hints": [HINTS[0] | {"name": "hard"}]},
}


def planned(folder, **changes):
    return made.plan(folder, **({"sampling": sampled(), "hints": HINTS, "steering": STEERING} | changes))


def test_each_change_changes_every_id(tmp_path):
    plans = {"base": planned(tmp_path)} | {name: planned(tmp_path, **c) for name, c in CHANGES.items()}
    every = [request_id for plan in plans.values() for request_id in ids(plan)]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_does_not_change_an_answer_changes_no_id(tmp_path, change):
    assert ids(planned(tmp_path, **NO_CHANGES[change])) == ids(planned(tmp_path))


def test_greedy_draws_nothing_so_that_its_seed_does_not_count(tmp_path):
    greedy = [ids(planned(tmp_path, sampling={"seed": seed})) for seed in (0, 1)]
    assert greedy[0] == greedy[1]


def test_model_dtype_and_prompt_count(tmp_path):
    inputs = made.inputs(tmp_path)
    base = made.identity(inputs)
    others = [
        replace(base, model=b"n" * 16),
        replace(base, dtype="bfloat16"),
        replace(base, prompt=b"q" * 16),
    ]
    every = [ids(Plan(inputs, identity)) for identity in (base, *others)]
    assert len(set.union(*every)) == sum(map(len, every))


def test_role_item_condition_and_repeat_count(tmp_path):
    plan = planned(tmp_path)
    cells = cell_ids(plan)
    assert len(cells) == len(set(cells.values())) == len(plan) == 11 * 6 * 12 * 2


def test_role_text_and_item_text_and_keying_count_and_names_do_not(tmp_path):
    before = cell_ids(planned(tmp_path))
    made.write_roles(tmp_path, {f"called {i}": text for i, text in enumerate(made.ROLES.values())})
    items = tmp_path / "items.csv"
    rows = items.read_text().splitlines()
    changed = [rows[0], *(f"id{i},{row.split(',', 1)[1]}" for i, row in enumerate(rows[1:]))]
    items.write_text("\n".join(changed) + "\n")
    renamed = cell_ids(planned(tmp_path))
    assert set(renamed.values()) == set(before.values())

    rows = list(changed)
    rows[1] = rows[1].replace(",1,", ",-1,")
    rows[2] = rows[2].replace("good?", "bad?")
    items.write_text("\n".join(rows) + "\n")
    differ = {key for key, value in cell_ids(planned(tmp_path)).items() if value != renamed[key]}
    assert {item for _, _, item, _ in differ} == {"id0", "id1"}

    made.write_roles(tmp_path, {"called 0": "Job: anew"})
    one = cell_ids(planned(tmp_path))
    assert not {one[key] for key in one if key[0] == "called 0"} & set(renamed.values())


def test_the_name_of_a_role_counts_where_the_prompt_says_it(tmp_path):
    (tmp_path / "p.j2").write_text("{{ role_name }}{{ role }}{{ question }}")
    before = ids(made.plan(tmp_path, prompt={"path": "p.j2"}))
    made.write_roles(tmp_path, {f"called {i}": text for i, text in enumerate(made.ROLES.values())})
    assert len(before & ids(made.plan(tmp_path, prompt={"path": "p.j2"}))) == 12  # those of "no role"


def test_equal_texts_of_equal_keying_share_an_id(tmp_path):
    (tmp_path / "items.csv").write_text(
        "item_id,questionnaire,value,agreement,question\n"
        "a,Own,Joy,1,Is it good?\nb,Own,Order,1,Is it good?\nc,Own,Power,-1,Is it good?\n"
    )
    cells = cell_ids(made.plan(tmp_path, hints=[*HINTS, {"value": "Joy", "inclination": "inclined"}]))
    for role in ("", "person 1"):

        def found(condition, item, role=role):
            return cells[role, condition, item, 0]

        assert found("baseline", "a") == found("baseline", "b") != found("baseline", "c")
        # "asked" names the value of the item: the prompts differ. A hint at one value is the same for all.
        assert found("hint inclined:asked", "a") != found("hint inclined:asked", "b")
        assert found("hint inclined:Joy", "a") == found("hint inclined:Joy", "b")


def test_items_of_one_text_differ_where_the_prompt_says_the_value(tmp_path):
    (tmp_path / "items.csv").write_text(
        "item_id,questionnaire,value,agreement,question\na,Own,Joy,1,Good?\nb,Own,Order,1,Good?\n"
    )
    (tmp_path / "p.j2").write_text("{{ role }}{{ value }}{{ question }}")
    cells = cell_ids(made.plan(tmp_path, prompt={"path": "p.j2"}))
    assert len(set(cells.values())) == len(cells)


def test_a_definition_counts_where_it_stands_in_a_hint(tmp_path):
    before = cell_ids(made.plan(tmp_path, hints=HINTS))
    (tmp_path / "d.yaml").write_text("Joy: being glad\n")
    after = cell_ids(made.plan(tmp_path, hints=HINTS, definitions="d.yaml"))
    differ = {key for key in before if before[key] != after[key]}
    assert {(condition, item[:3]) for _, condition, item, _ in differ} == {("hint inclined:asked", "Joy")}


def test_a_vector_counts_for_its_condition_only(tmp_path):
    inputs = made.inputs(tmp_path, steering=STEERING)
    identity = made.identity(inputs)
    other = replace(identity, steering={**identity.steering, "f3:+40": b"another vector.."})
    before, after = cell_ids(Plan(inputs, identity)), cell_ids(Plan(inputs, other))
    assert {key[1] for key in before if before[key] != after[key]} == {"f3:+40"}


def test_strength_zero_is_not_the_baseline_but_minus_zero_is_zero(tmp_path):
    def conditions(strength):
        steering = [made.steering(made.operation(features=[3], strengths=[strength]))]
        return ids(made.plan(tmp_path, steering=steering))

    assert conditions(-0.0) == conditions(0.0) == conditions(0)
    assert len(conditions(0)) == 2 * 11 * 12


def test_conditions_that_do_the_same_are_refused(tmp_path):
    two = [HINTS[0] | {"name": "one"}, HINTS[0] | {"name": "two"}]
    with pytest.raises(InputError, match=r"'hint one' and 'hint two' alike"):
        made.plan(tmp_path, hints=two)
    twice = [made.steering(made.operation(), name=name) for name in ("one", "two")]
    inputs = made.inputs(tmp_path, steering=twice)
    same = {c.name: c.name.split()[1].encode().ljust(16) for c in inputs.conditions if c.is_steered}
    with pytest.raises(InputError, match=r"'one f3:\+0' and 'two f3:\+0' alike"):
        Plan(inputs, made.identity(inputs, steering=same))


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(list(made.ROLES)))
def test_the_order_of_roles_in_the_file_is_irrelevant(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("study")
    changes = {
        "sampling": {"share": 0.5},
        "split": {"items": 0.5},
        "steering": STEERING,
        "steer_roles": "test",
    }
    before = made.plan(folder, **changes)
    made.write_roles(folder, {name: made.ROLES[name] for name in order})
    assert cell_ids(made.plan(folder, **changes)) == cell_ids(before)


@pytest.mark.parametrize("size", [1, 7, 12, 100, 1583, 1584, 1585])
def test_batches_of_any_size_are_the_same_plan(tmp_path, size):
    plan = planned(tmp_path)
    batches = list(plan.batches(size))
    assert all(batch.num_rows == size for batch in batches[:-1])
    assert 0 < batches[-1].num_rows <= size
    assert pa.Table.from_batches(batches).to_pylist() == table(plan).to_pylist()


def test_rows_say_what_was_planned(tmp_path):
    plan = planned(tmp_path, steer_roles="test")
    rows = table(plan).to_pylist()
    assert len(rows) == len(plan)
    wanted = list(plan.rows())
    names = [(r["request_id"], r["role"], r["condition"], r["item_id"], r["repeat"]) for r in rows]
    assert names == [(i, r.name, c.name, item.item_id, n) for i, r, c, item, n in wanted]
    assert all(row["split"] == plan.inputs.role_split[row["role"]] for row in rows)
    steered = {row["split"] for row in rows if row["condition"].startswith("f")}
    assert steered == {"test"}
    # Requests of one role and condition stand together: they share their prompt up to the question.
    cells = [(row["role"], row["condition"]) for row in rows]
    changes = sum(a != b for a, b in itertools.pairwise(cells))
    assert changes + 1 == len(set(cells)) == len(list(plan.cells()))


def test_request_id_is_that_of_the_row(tmp_path):
    plan = planned(tmp_path)
    for request_id, *request in plan.rows():
        assert plan.request_id(*request) == request_id


def test_a_share_is_drawn_alike_in_every_condition(tmp_path):
    made.write_items(tmp_path, per_value=10)
    cells = cell_ids(planned(tmp_path, sampling=sampled(share=0.3)))
    by_cell: dict[tuple[str, str], set[str]] = {}
    for role, condition, item, _ in cells:
        by_cell.setdefault((role, condition), set()).add(item)
    for (role, _), items in by_cell.items():
        assert items == by_cell[role, "baseline"]
        assert len(items) == 9
    assert len({frozenset(items) for items in by_cell.values()}) > 5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_a_million_requests_take_seconds_and_little_memory(tmp_path):
    made.write_items(tmp_path, per_value=50)
    made.write_roles(tmp_path, {f"person {i}": f"Job: trade {i}" for i in range(1333)})
    plan = made.plan(tmp_path, steering=STEERING)
    assert len(plan) == 1334 * 5 * 150
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, started = memory("VmRSS"), time.monotonic()
    assert sum(batch.num_rows for batch in plan.batches()) == len(plan) > 1_000_000
    assert time.monotonic() - started < 30
    assert memory("VmHWM") - before < 80  # 60 measured; all batches at once take 100


def memory(field):
    """MiB of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024
