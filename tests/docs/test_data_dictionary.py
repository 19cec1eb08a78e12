"""The data dictionary against real runs: no file, column or key without an entry, no entry of nothing.

The table of the demonstration is checked in tests/cluster/test_demonstration.py, which has one."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from axiograph.discovery.effects.doses import DOSE_SCHEMA
from axiograph.engine.plan.rows import PLAN_SCHEMA
from axiograph.engine.runs.run_dir import open_run
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from tests import studies
from tests.docs.dictionary import DICTIONARY, DOCS, SECTIONS, Check


def test_page_is_the_one_that_the_yaml_file_gives():
    assert (DOCS / "data_dictionary.md").read_text() == DICTIONARY.page(), "run docs/make_data_dictionary.py"


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("plan.parquet", PLAN_SCHEMA.names),
        ("responses/part-<hash>.parquet", RESPONSE_SCHEMA.names),
        ("effects/doses.parquet", list(DOSE_SCHEMA)),
    ],
)
def test_entries_are_the_columns_of_the_schemas_in_the_code_in_their_order(file, names):
    table = next(t for s in SECTIONS.values() for t in s["tables"] if file in t["files"])
    assert [column for columns, _, _ in DICTIONARY.columns(table) for column in columns] == names


def forget_some_answers(run: Path) -> None:
    """Leave the run as one that is still sampling: the answers of its last role and condition are gone."""
    store = open_run(run).store()
    stored = pa.concat_tables(pq.read_table(part) for part in store.parts())
    for part in store.parts():
        part.unlink()
    store.append(stored.slice(0, stored.num_rows - 12))


def with_norms(folder: Path) -> Path:
    """Eight items, for which the roles of the study are enough to look for factors, with a norm."""
    items = [
        {"id": f"{value}{i}", "value": value, "agreement": 1 - 2 * (i % 2)}
        | {"question": f"Do you {('like', 'avoid')[i % 2]} {value.lower()} number {i}?"}
        for value, n in zip(studies.VALUES, (3, 3, 2), strict=True)
        for i in range(n)
    ]
    norms = {"Order": [{"group": "Clerks", "mean": 0.6, "sd": 0.3, "n": 90}]}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"questionnaire": "Own", "source": "x", "norms": norms, "items": items}))
    return path


def test_everything_that_commands_leave_in_a_run_has_an_entry_and_no_entry_is_of_nothing(
    axiograph, study_assets, tmp_path
):
    sae = {"path": str(study_assets / "sae")}
    operation = {"sae": sae, "features": [3], "strengths": [-40, 0, 40], "controls": {"directions": 1}}
    by_norm = {"sae": sae, "features": [5], "strengths": [1], "unit": "residual_norm"}
    study = studies.write(
        tmp_path,
        study_assets,
        questionnaires=[str(with_norms(tmp_path))],
        steering=[{"operations": [operation]}, {"operations": [by_norm]}],
        hints=[{"value": name, "inclination": "inclined"} for name in ("asked", "Order")],  # two levers
        split={"roles": 0.6},  # the guide chooses on six roles or more
        effects={"resamples": 20, "control_graphs": 10},
        discovery={"replicates": 5},
    )
    run, reference = tmp_path / "run", tmp_path / "human.csv"
    reference.write_text("source,target,kind\nJoy,Order,-->\nOrder,Power,---\n")
    contrast = tmp_path / "calm.yaml"
    contrast.write_text("{name: calm, layers: [1], span: last, positive: [calm], negative: [wild]}")
    check = Check(
        "run", "scores", "graph", "effects", "comparison", "directions", "features", "guide", "calibration",
        "report",
    )  # fmt: skip
    features = ("--rank-by", "effect", "--roles", 2, "--items", 2, "--candidates", 2)
    commands = [
        ("calibrate", study, "--graphs", 2, "--jobs", 1),
        ("features", study, *features),
        ("direction", study, "--from", contrast),
        ("run", study, "--jobs", 1),
        ("report", run, "--reference", reference, "--no-figures"),
        ("guide", run, "--raise", "Power", "--hold", "Joy", "--validate", "--roles", 4),
    ]
    for command in commands:
        code, _, err = axiograph(*command)
        assert code == 0, err
    (run / "study.yaml").write_text(study.read_text())
    check.look(run)
    joint = ("--rows", "interventional", "--algorithm", "boss")
    assert axiograph("discover", run, *joint, "--jobs", 1)[0] == 0
    assert axiograph("report", run, "--no-figures")[0] == 0
    check.look(run)
    assert axiograph("discover", run, "--algorithm", "fci", "--jobs", 1)[0] == 0
    forget_some_answers(run)
    assert axiograph("score", run)[0] == 0
    check.look(run)
    # Log-odds have no words, and their report no such table.
    unseen = [name for name in check.unseen() if not name.startswith("report/tables/one-word.csv: ")]
    assert not check.faults and not unseen


def test_the_replication_has_its_entries(axiograph, paper_data, tmp_path):
    code, _, err = axiograph("replicate", paper_data / "gemma", "--out", tmp_path / "out")
    assert code in (0, 1), err
    check = Check("replicate")
    check.look(tmp_path / "out")
    assert not check.faults and not check.unseen()
