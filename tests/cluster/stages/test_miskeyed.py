"""A questionnaire whose key column has three errors: `score` names these items, and says that the value is
not told from noise."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import yaml

RESPONDENT = Path(__file__).parents[3] / "engine" / "assets" / "respondent"
MISKEYED = ["security-02", "security-05", "security-09"]


def test_miskeyed_items_are_named(axiograph, tmp_path):
    with (RESPONDENT / "questionnaire.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["value"] in ("Security", "Power")]
    for row in rows:
        if row["item_id"] in MISKEYED:
            row["agreement"] = str(-int(row["agreement"]))
    with (tmp_path / "items.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    study = {
        "schema": 1,
        "name": "case",
        "model": {"path": str(RESPONDENT / "model"), "dtype": "float32", "device": "cpu", "backend": "hf"},
        "questionnaires": ["items.csv"],
        "roles": {
            "generate": [{"fields": str(RESPONDENT / "role_fields.yaml"), "n": 24, "seed": 1}],
            "no_role": False,
        },
        "sampling": {"max_tokens": 40, "batch_size": 192},
        "discovery": {"replicates": 5},
        "out": "out",
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    code, out, error = axiograph("run", tmp_path / "study.yaml", "--jobs", 1)
    assert code == 0, error
    table = pl.read_parquet(tmp_path / "out" / "scores" / "item_rest.parquet")
    assert table.filter("against")["item_id"].to_list() == MISKEYED
    assert "Warning: 3 items speak against the rest of the value" in out
    assert all(item in out for item in MISKEYED)
    assert "Not told from noise" in out
    alphas = pl.read_parquet(tmp_path / "out" / "scores" / "reliability.parquet")
    assert dict(alphas.select("value", "varying").iter_rows()) == {"Security": 11, "Power": 12}
    page = (tmp_path / "out" / "report" / "report.html").read_text(encoding="utf-8")
    assert "3 items speak against" in page
