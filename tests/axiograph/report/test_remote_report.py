"""The report of a run in an object store: the same page, written there, and no word of the local copy."""

import json
import re

import pytest

from axiograph.engine.storage.remote import RemoteFolder
from axiograph.report.build import write_report
from tests.axiograph.report.test_build import text_of


@pytest.fixture
def address(run, bucket):
    """The made-up run in a bucket, with effects and comparison of the reference graph left out."""
    folder = RemoteFolder(f"{bucket}/runs/made")
    files = [path for path in run.path.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns):
        name = path.relative_to(run.path).as_posix()
        if not name.startswith(("effects-reference/", "comparison-reference/", "report/")):
            (folder / name).put(path)
    return str(folder)


def data_of(page):
    return json.loads(re.search(r'id="report-data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def test_a_run_in_an_object_store_has_its_report_there(axiograph, run, written, address, tmp_path):
    names = run.inputs().values
    (tmp_path / "human.csv").write_text(f"source,target,kind\n{names[0]},{names[1]},-->\n")
    code, said, error = axiograph(
        "report", address, "--reference", tmp_path / "human.csv", "--compare", run.path, "--no-figures"
    )
    assert code == 0, error
    assert f"The report is {address}/report/report.html" in said
    there = {file.name: file for file in RemoteFolder(address).files()}
    for name in ("report/report.html", "report/tables/edges.tex", "effects-reference/pooled.parquet"):
        assert name in there
    there["report/report.html"].fetch(tmp_path / "report.html")
    words = text_of(tmp_path / "report.html")
    assert "Comparison with human" in words and "Comparison with run structural" in words
    assert "out of date" not in words and "newer than the effects" not in words
    # The local copy is nobody's business, on the page and in what is stored.
    stored = [file.read_bytes() for name, file in there.items() if name.endswith((".json", ".html"))]
    assert stored and not any(b"axiograph-run-" in content for content in stored)
    assert "axiograph-run-" not in said + error
    ours, theirs = (
        {table["key"]: table for table in data_of(page)["tables"]}
        for page in (written.page, tmp_path / "report.html")
    )
    for key in ("edges", "changes", "table1", "reliability", "rates", "workers"):
        assert theirs[key] == ours[key]


def test_what_is_missing_or_damaged_there_is_said_with_its_address(axiograph, address, tmp_path):
    code, _, error = axiograph("report", address, "--no-figures", "--out", f"{address}/elsewhere")
    assert code == 2 and "--out" in error and f"{address}/elsewhere" in error
    folder = RemoteFolder(address)
    for name in ("effects/changes.parquet", "effects/sign_counts.parquet"):
        (folder / name).unlink()
    page = write_report(address, tmp_path / "page", figures=False).page
    assert f"axiograph effects {address}" in text_of(page)
    (folder / "scores/reliability.parquet").put(b"PAR1 but no more")
    code, _, error = axiograph("report", address, "--no-figures", "--out", tmp_path / "page")
    assert code == 1 and f"{address}/scores/reliability.parquet" in error
    code, _, error = axiograph("report", f"{address}-not", "--no-figures")
    assert code == 2 and f"{address}-not" in error and "axiograph-run-" not in error
