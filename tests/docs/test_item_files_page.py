"""docs/item_files.md: its example loads, and its tables name what the readers read."""

import re
from pathlib import Path

from axiograph.engine.study.item_files import csv_forms, yaml_form
from axiograph.engine.study.questionnaire import load_questionnaires

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "item_files.md").read_text(encoding="utf-8")
EXAMPLE = TEXT.partition("```yaml\n")[2].partition("```")[0]


def test_the_example_loads(tmp_path):
    path = tmp_path / "items.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    loaded = load_questionnaires([path])
    assert [item.scale and len(item.scale.labels) for item in loaded.items] == [5, 5, None, 2, 3]
    assert set(re.findall(r"^(\w+):", EXAMPLE, re.MULTILINE)) == set(yaml_form.TOP_KEYS)


def test_every_key_of_an_item_and_every_column_has_a_row():
    rows = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(yaml_form.ITEM_KEYS) | set(csv_forms.OPTIONAL_COLUMNS) <= named
