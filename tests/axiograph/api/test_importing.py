"""`ax.import_items` and `axiograph import`: where files go, and what is said."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import axiograph as ax
from axiograph.cli import app
from axiograph.engine.errors import InputError
from axiograph.engine.study.questionnaire import load_questionnaires

TABLE = """instrument,alpha,key,text,label
GARD/EN,0.7,1,Water.,Care
GARD/EN,0.7,-1,Forget.,Care
TREE,0.8,1,Climb.,Play
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_several_questionnaires_go_into_a_folder_and_one_into_a_file(table, tmp_path):
    result = ax.import_items(table, tmp_path / "out")
    assert [path.name for path, _ in result.files] == ["GARD_EN.yaml", "TREE.yaml"]
    assert "GARD_EN.yaml: 2 items, 1 reverse-keyed, 1 values, 5 options" in str(result)
    ax.import_items(table, tmp_path / "tree.yaml", names=["TREE"], options=["No", "Yes"])
    assert load_questionnaires([tmp_path / "tree.yaml"]).items[0].scale.labels == ("No", "Yes")


def test_a_place_of_the_wrong_kind_is_refused_before_anything_is_written(table, tmp_path):
    with pytest.raises(InputError, match="one questionnaire for one file, found GARD/EN, TREE"):
        ax.import_items(table, tmp_path / "both.yaml")
    with pytest.raises(InputError, match="the other one"):
        ax.import_items(table, table)
    with pytest.raises(InputError, match="2 to 20 options"):
        ax.import_items(table, tmp_path / "out", options=["No"])
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_the_command(table, tmp_path):
    keys = tmp_path / "keys.csv"
    keys.write_text("item_id,value,agreement\n1,Time,1\n", encoding="utf-8")
    qstn = tmp_path / "q.csv"
    qstn.write_text("questionnaire_item_id,question_content\n1,Is late\n", encoding="utf-8")
    arguments = [
        "import",
        str(qstn),
        "--as",
        "qstn",
        "--output",
        str(tmp_path / "q.yaml"),
        "--keys",
        str(keys),
    ]
    result = CliRunner().invoke(app, [*arguments, "--options", "No|Partly|Yes"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Read as qstn.\n")
    assert "1 items, 0 reverse-keyed, 1 values, 3 options, 1 values keyed one way only" in result.output
