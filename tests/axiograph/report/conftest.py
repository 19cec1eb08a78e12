"""A browser, and runs with made-up answers, each made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from axiograph.engine.runs.run_dir import RunDir
from axiograph.report.build import Report, write_report
from tests.axiograph.report import made_run
from tests.browser import browser as started


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Six values, two steered directions, a hint, the planted graph as reference."""
    made = made_run.Made(made_run.value_names(6), strengths=(-2.0, -1.0, 1.0, 2.0))
    return made_run.make(tmp_path_factory.mktemp("made"), made)


@pytest.fixture(scope="session")
def written(run: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of `run`, with its figures."""
    return write_report(run, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def page_file(written: Report) -> Path:
    return written.page


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose names, questions and roles try to be script."""
    mark = made_run.HOSTILE
    names = (f"A {mark}", "B'\"&<b>", "</table>${1}{{x}}", "D\\u003c/script>")
    made = made_run.Made(names, train=40, features=1, replicates=10, hostile=True)
    found = made_run.make(tmp_path_factory.mktemp("hostile"), made)
    return write_report(found, tmp_path_factory.mktemp("page"), figures=False).page
