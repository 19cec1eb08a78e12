"""The data dictionary against real runs: no file, column or key without an entry, no entry of nothing."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from axiograph.cluster.demonstration import DemoSettings, demo
from axiograph.discovery.effects.doses import DOSE_SCHEMA
from axiograph.engine.plan.rows import PLAN_SCHEMA
from axiograph.engine.runs.run_dir import open_run
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from tests import studies

DOCS = Path(__file__).resolve().parents[2] / "docs"
TYPES = {"String": "text", "Categorical": "category", "Binary": "16 bytes", "Boolean": "bool"}
TYPES |= {"List(Int32)": "list of int32"}
JSON_TYPES = {bool: "bool", int: "int", float: "number", str: "text", dict: "object", list: "list"}


def make_data_dictionary():
    path = DOCS / "make_data_dictionary.py"
    spec = importlib.util.spec_from_file_location("make_data_dictionary", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DICTIONARY = make_data_dictionary()
SECTIONS = {section["id"]: section for section in DICTIONARY.sections()}


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is of the form `pattern`, where <…> stands for a name and <file> for a path."""
    parts = re.split(r"(<[^>]+>)", pattern)
    inside = {"<file>": ".+"}
    regex = "".join(inside.get(p, "[^/]+") if p.startswith("<") else re.escape(p) for p in parts)
    return re.fullmatch(regex, name) is not None


class Check:
    """Files of some directories, held against the entries of some sections."""

    def __init__(self, *ids: str) -> None:
        self.tables = [table for i in ids for table in SECTIONS[i]["tables"]]
        self.others = [pattern for i in ids for pattern in SECTIONS[i].get("other", {})]
        self.seen: set[tuple[str, str]] = set()
        self.faults: list[str] = []

    def look(self, folder: Path) -> None:
        """Everything in `folder` must have an entry; what has been seen counts until the end."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            table = next((t for t in self.tables if any(matches(f, name) for f in t["files"])), None)
            if table is not None:
                self._columns(table, name, dict(fields(path, table)))
                continue
            other = next((pattern for pattern in self.others if matches(pattern, name)), None)
            if other is None:
                self.faults.append(f"{name}: no entry")
            self.seen.add((other or "", ""))

    def _columns(self, table: dict, name: str, found: dict[str, str | None]) -> None:
        entries = [(column, kind) for names, kind, _ in DICTIONARY.columns(table) for column in names]
        exact = {column: kind for column, kind in entries if "<" not in column}
        for column, kind in found.items():
            entry = column if column in exact else next((c for c, _ in entries if "<" in c), None)
            if entry is None:
                self.faults.append(f"{name}: no entry for {column!r}")
                continue
            wanted = dict(entries)[entry]
            allowed = [] if wanted is None else wanted.split(" or ")
            if kind is not None and allowed and kind not in allowed and (kind, wanted) != ("int", "number"):
                self.faults.append(f"{name}: {column!r} is {kind}, the dictionary says {wanted}")
            self.seen.add((table["files"][0], entry))

    def unseen(self) -> list[str]:
        """Entries that nothing had."""
        entries = [
            (table["files"][0], column)
            for table in self.tables
            for names, _, _ in DICTIONARY.columns(table)
            for column in names
        ]
        entries += [(pattern, "") for pattern in self.others]
        return [f"{file}: {column}" for file, column in entries if (file, column) not in self.seen]


def fields(path: Path, table: dict) -> Iterator[tuple[str, str | None]]:
    """Columns of a table, or keys of a JSON document as deep as the dictionary explains them."""
    if path.suffix == ".parquet":
        for name, kind in pl.read_parquet_schema(path).items():
            yield name, TYPES.get(str(kind), str(kind).lower())
    elif path.suffix == ".csv":
        yield from ((name or "", None) for name in pl.read_csv(path, has_header=False, n_rows=1).row(0))
    else:
        known = [column for names, _, _ in DICTIONARY.columns(table) for column in names]
        yield from keys(json.loads(path.read_text()), known)


def keys(document: dict, known: list[str], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        path = before + key
        yield path, "null" if value is None else JSON_TYPES[type(value)]
        if isinstance(value, dict) and any(name.startswith(f"{path}.") for name in known):
            yield from keys(value, known, f"{path}.")
        if isinstance(value, list) and any(name.startswith(f"{path}[].") for name in known):
            for entry in value:
                yield from keys(entry, known, f"{path}[].")


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
    stored = pa.concat_tables(pa.parquet.read_table(part) for part in store.parts())
    for part in store.parts():
        part.unlink()
    store.append(stored.slice(0, stored.num_rows - 12))


def test_everything_that_commands_leave_in_a_run_has_an_entry_and_no_entry_is_of_nothing(
    axiograph, study_assets, tmp_path
):
    sae = {"path": str(study_assets / "sae")}
    operation = {"sae": sae, "features": [3], "strengths": [-40, 0, 40], "controls": {"directions": 1}}
    by_norm = {"sae": sae, "features": [5], "strengths": [1], "unit": "residual_norm"}
    study = studies.write(
        tmp_path,
        study_assets,
        steering=[{"operations": [operation]}, {"operations": [by_norm]}],
        effects={"resamples": 20, "control_graphs": 10},
        discovery={"replicates": 5},
    )
    run, reference = tmp_path / "run", tmp_path / "human.csv"
    reference.write_text("source,target,kind\nJoy,Order,-->\nOrder,Power,---\n")
    check = Check(
        "run", "scores", "graph", "effects", "comparison", "features", "guide", "calibration", "report"
    )
    features = ("--rank-by", "effect", "--roles", 2, "--items", 2, "--candidates", 2)
    commands = [
        ("calibrate", study, "--graphs", 2, "--jobs", 1),
        ("features", study, *features),
        ("run", study, "--jobs", 1),
        ("report", run, "--reference", reference, "--no-figures"),
        ("guide", run, "--raise", "Power", "--hold", "Joy", "--validate", "--roles", 4),
    ]
    for command in commands:
        code, _, err = axiograph(*command)
        assert code == 0, err
    (run / "study.yaml").write_text(study.read_text())
    check.look(run)
    assert axiograph("discover", run, "--algorithm", "fci", "--jobs", 1)[0] == 0
    forget_some_answers(run)
    assert axiograph("score", run)[0] == 0
    check.look(run)
    assert not check.faults and not check.unseen()


def test_the_table_of_the_demonstration_has_its_entry(tmp_path):
    settings = DemoSettings(
        mode="logprob", roles=20, strengths=(2.0,), steered_roles=2, steered=("Power",), replicates=5
    )
    demo(settings, tmp_path / "run", jobs=1)
    check = Check("demo", "run", "scores", "graph", "effects", "comparison")
    check.look(tmp_path / "run")
    assert not check.faults
    assert not [entry for entry in check.unseen() if entry.startswith("effects/planted")]


def test_the_replication_has_its_entries(axiograph, paper_data, tmp_path):
    code, _, err = axiograph("replicate", paper_data / "gemma", "--out", tmp_path / "out")
    assert code in (0, 1), err
    check = Check("replicate")
    check.look(tmp_path / "out")
    assert not check.faults and not check.unseen()
