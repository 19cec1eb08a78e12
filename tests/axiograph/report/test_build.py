"""What is written, from which artefacts, and what is said where there are none."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import polars as pl
import pytest

from axiograph.cluster.stages.discover import discover_profiles
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import DiscoverySpec
from axiograph.report.artefacts import Artefacts
from axiograph.report.build import write_report
from tests.axiograph.report import made_run


def text_of(page):
    """The words of a page, without its data, styles and scripts."""
    body = page.read_text(encoding="utf-8").split("<main", 1)[1].split("<script", 1)[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_figures_and_tables_are_complete_files(written):
    kinds = {path.suffix for path in written.figures}
    assert kinds == {".svg", ".png", ".pdf"} and len(written.figures) >= 24
    for path in written.figures:
        head = path.read_bytes()[:8]
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        else:
            assert head.startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
    names = {path.stem for path in written.tables}
    assert {
        "edges",
        "changes",
        "table1",
        "table2",
        "contrasts",
        "reliability",
        "safe-range",
        "trends",
        "steering-comparison",
    } <= names
    assert {"comparison-reduced", "steering-against-prompt"} <= {path.stem for path in written.figures}
    assert all(path.with_suffix(".csv").is_file() for path in written.tables)


def test_numbers_are_those_of_the_artefacts(written, run):
    data = json.loads(re.search(r'id="report-data">(.*?)</script>', written.page.read_text(), re.DOTALL)[1])
    tables = {table["key"]: table for table in data["tables"]}
    changes = pl.read_parquet(run.effects / "changes.parquet")
    shown = {(row[0], row[1]): row for row in tables["changes"]["rows"]}
    for row in changes.iter_rows(named=True):
        cell = shown[row["condition"], row["value"]]
        assert cell[2] == pytest.approx([row["mean_difference"], row["low"], row["high"]], abs=1e-5)
        assert cell[6] == row["pairs"]
    counts = pl.read_parquet(run.effects / "sign_counts.parquet")
    first = counts.row(0, named=True)
    cells = {(row[0], row[1]): row[2:] for row in tables["table1"]["rows"]}
    place = tables["table1"]["columns"][2:].index(
        next(c for c in tables["table1"]["columns"] if c["name"] == first["value"])
    )
    assert cells[first["condition"], "test roles"][place] == "/".join(
        str(first[f"test_{s}"]) for s in ("raised", "lowered", "unchanged")
    )
    pooled = pl.read_parquet(run.path / "effects-reference" / "pooled.parquet")
    whole = pooled.filter((pl.col("scope") == "all conditions") & (pl.col("relation") == "expected")).row(
        0, named=True
    )
    side = {(row[0], row[1]): row for row in tables["side-effects"]["rows"]}
    assert side["reference graph, by the graph", "expected"][5][0] == pytest.approx(whole["share"], abs=1e-4)


def test_the_page_is_the_same_for_the_same_artefacts(run, written, tmp_path):
    again = write_report(run, tmp_path, figures=False).page.read_text()
    one = json.loads(re.search(r'id="report-data">(.*?)</script>', written.page.read_text(), re.DOTALL)[1])
    other = json.loads(re.search(r'id="report-data">(.*?)</script>', again, re.DOTALL)[1])
    assert one == other


def test_only_scripts_of_the_page_may_run_and_nothing_may_be_fetched(hostile_page):
    text = hostile_page.read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1].replace(
        "&#39;", "'"
    )
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    scripts = re.search(r"script-src ([^;]+)", policy)[1].split()
    assert all(source.startswith("'sha256-") for source in scripts)
    # Every script element is one of ours or the data; a name that closes one early would make more.
    assert len(re.findall(r"^<script", text, re.MULTILINE)) == len(scripts) + 1
    assert made_run.HOSTILE not in text


def test_a_table_of_profiles_has_its_graph_and_says_what_is_missing(run, tmp_path):
    profiles = pl.read_parquet(run.scores / "profiles.parquet").filter(pl.col("condition") == "baseline")
    discover_profiles(profiles, DiscoverySpec(replicates=20), tmp_path / "graph-only")
    made = write_report(tmp_path / "graph-only", figures=False)
    words = text_of(made.page)
    assert made.page == tmp_path / "graph-only" / "report" / "report.html"
    assert "20 of 20 used, 0 failed" in words
    assert "No steered or hinted answers here" in words and "No items here" in words
    assert not (tmp_path / "graph-only" / "responses").exists()


def test_failed_replicates_are_counted(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    path = copy / "graph" / "discovery.json"
    about = json.loads(path.read_text())
    about["replicates"] = {"asked": 40, "used": 37, "failed": {"collinear values": 3}}
    path.write_text(json.dumps(about))
    words = text_of(write_report(copy, figures=False).page)
    assert "37 of 40 used, 3 failed" in words and "3 replicates failed: collinear values" in words


def test_missing_stages_are_named_with_what_fills_them(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    for folder in ("effects", "effects-reference", "comparison-reference"):
        shutil.rmtree(copy / folder)
    words = text_of(write_report(copy, figures=False).page)
    for command in ("effects", "report"):
        assert f"axiograph {command} {copy}" in words
    assert "Nothing to compare with yet" in words


def test_stages_that_no_longer_fit_are_pointed_out(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    profiles = pl.read_parquet(copy / "scores" / "profiles.parquet")
    name = profiles.columns[-1]
    profiles.with_columns(pl.col(name) * 0.5).write_parquet(copy / "scores" / "profiles.parquet")
    assert "The graph is out of date" in text_of(write_report(copy, figures=False).page)


def test_an_empty_directory_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of it"):
        Artefacts.find(tmp_path)
    with pytest.raises(InputError, match="no such directory"):
        Artefacts.find(tmp_path / "nothing")


def test_a_damaged_table_is_named(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    (copy / "scores" / "reliability.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(RunError, match=r"reliability\.parquet"):
        write_report(copy, figures=False)
