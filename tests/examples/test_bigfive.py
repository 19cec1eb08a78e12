"""The example inventory with a scale: whole, keyed as published, and a study that can be planned."""

from __future__ import annotations

from pathlib import Path

from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.questionnaire import load_questionnaires
from axiograph.engine.study.roles import NO_ROLE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Of Goldberg's 50 markers: how many are keyed + and −.
KEYS = {
    "Extraversion": (5, 5),
    "Agreeableness": (6, 4),
    "Conscientiousness": (6, 4),
    "Emotional stability": (2, 8),
    "Intellect": (7, 3),
}


def test_the_inventory_is_whole():
    items = load_questionnaires([EXAMPLES / "inventories" / "ipip50.yaml"]).items
    assert sorted(int(item.item_id) for item in items) == list(range(1, 51))
    assert len({item.question for item in items}) == 50
    for value, counts in KEYS.items():
        keys = [item.agreement for item in items if item.value == value]
        assert (keys.count(1), keys.count(-1)) == counts
    assert all(item.is_statement and item.scale.codes == ("1", "2", "3", "4", "5") for item in items)


def test_the_study_asks_every_statement_in_both_orders():
    inputs = load_inputs(load_study(EXAMPLES / "bigfive.yaml"))
    assert inputs.study.askings == 2 and inputs.template.name == "scale"
    first, second = (inputs.fields(NO_ROLE, inputs.conditions[0], inputs.items[0], n) for n in range(2))
    assert first.options.splitlines()[0] == "1. Very inaccurate"
    assert second.options.splitlines()[0] == "5. Very accurate"
    assert first.question == second.question
