"""`axiograph report` on the command line, and the replication that ends with it."""

import csv
import shutil

import pytest


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    for folder in ("effects-reference", "comparison-reference"):
        shutil.rmtree(tmp_path / "run" / folder)
    return tmp_path / "run"


def test_reference_and_comparison_are_kept_for_the_next_report(axiograph, copy, run, tmp_path):
    names = run.inputs().values
    (tmp_path / "human.csv").write_text(
        f"source,target,kind\n{names[0]},{names[1]},-->\n{names[2]},unknown,-->\n"
    )
    code, out, err = axiograph(
        "report", copy, "--reference", tmp_path / "human.csv", "--compare", run.path, "--no-figures"
    )
    assert code == 0, err
    assert str(copy / "report" / "report.html") in out and "0 figures" in out
    text = (copy / "report" / "report.html").read_text()
    assert "Side effects, reference graph" in text and "Not in the reference graph" in text
    assert "Comparison with human" in text and f"Comparison with {run.path}" in text
    code, _, err = axiograph("report", copy, "--no-figures", "--out", tmp_path / "again")
    assert code == 0, err
    assert "Side effects, reference graph" in (tmp_path / "again" / "report.html").read_text()


def test_a_reference_needs_a_run(axiograph, run, tmp_path):
    code, _, err = axiograph("report", run.graph, "--reference", tmp_path / "human.csv")
    assert code == 2 and "--reference" in err


def test_what_is_no_directory_of_ours_is_refused(axiograph, tmp_path):
    code, _, err = axiograph("report", tmp_path)
    assert code == 2 and "Traceback" not in err and str(tmp_path) in err


def test_a_replication_ends_with_its_report(axiograph, paper_data, tmp_path):
    code, out, err = axiograph(
        "replicate", paper_data / "gemma", "--out", tmp_path / "out", "--features", "14351,1025"
    )
    assert code == 1, err  # two features are not the paper's ten: its cells differ, and the report says so
    assert "report.html" in out
    text = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "Steering against the hard prompt" in text and "human" not in text.split("<main")[0]
    with (tmp_path / "out" / "table1.csv").open() as stream:
        cells = {row[""]: row for row in csv.DictReader(stream)}
    with (tmp_path / "out" / "report" / "tables" / "table1.csv").open() as stream:
        shown = list(csv.DictReader(stream))
    assert [(row["condition"], row["roles"]) for row in shown] == [
        (f"feature {feature}", roles) for feature in cells for roles in ("training roles", "test roles")
    ]
    for row in shown:
        half = slice(0, 3) if row["roles"] == "training roles" else slice(3, 6)
        cell = cells[row["condition"].removeprefix("feature ")]["Empathy"].split("/")
        assert row["Empathy"].split("/") == cell[half]
    figures = {path.name for path in (tmp_path / "out" / "report" / "figures").iterdir()}
    assert {
        "comparison.pdf",
        "expected-unexpected.pdf",
        "steering-against-prompt.pdf",
        "reduced-graph.svg",
    } <= figures
