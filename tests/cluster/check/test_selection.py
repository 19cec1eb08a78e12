"""Which requests make a pilot."""

from collections import Counter

import pytest

from axiograph.cluster.check.selection import PilotFirst, choose_pilot, pilot_only
from axiograph.cluster.sampling.preparation import prepare
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.loading import load_study
from tests import studies


@pytest.fixture
def prepared(study_assets, tmp_path):
    return prepare(load_study(studies.write(tmp_path, study_assets)), RunDir(tmp_path / "run"))


def test_training_roles_and_items_of_every_value_and_both_keys(prepared):
    inputs = prepared.inputs
    pilot = choose_pilot(inputs, roles=5, requests=60)
    assert len(pilot.items) == 5 and pilot.condition == "baseline"
    assert {inputs.role_split[role] for role in pilot.items} == {"train"}
    items = {item.item_id: item for item in inputs.items}
    for chosen in pilot.items.values():
        counts = Counter(items[name].value for name in chosen)
        assert set(counts) == set(inputs.values) and max(counts.values()) <= 4
        keys = Counter((items[name].value, items[name].agreement) for name in chosen)
        for value in inputs.values:
            askable = {item.agreement for item in inputs.items if item.value == value}
            assert {key for name, key in keys if name == value} == askable
    assert choose_pilot(inputs, roles=5, requests=60) == pilot


def test_its_rows_come_first_and_none_is_lost(prepared):
    pilot = choose_pilot(prepared.inputs, roles=5, requests=60)
    plan = list(prepared.plan.batches())
    ordered = PilotFirst(plan, pilot)
    for _ in range(2):  # it can be gone through again
        ids = [i for batch in ordered for i in batch["request_id"].to_pylist()]
        assert sorted(ids) == sorted(i for batch in plan for i in batch["request_id"].to_pylist())
        first = [i for batch in pilot_only(plan, pilot) for i in batch["request_id"].to_pylist()]
        assert ids[: pilot.count] == first and len(first) == pilot.count
