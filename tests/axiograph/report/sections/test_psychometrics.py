"""Answers by item, correlations, factors and norms on the page, from tables that stand in a run."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from axiograph.engine.plan.snapshot import save_inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.correlations import correlation_table
from axiograph.engine.scoring.norms import norm_table
from axiograph.engine.storage.files import write_json
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import Chart
from axiograph.report.blocks.section import Heading, Note
from axiograph.report.blocks.table import Table
from axiograph.report.sections.psychometrics import (
    correlation_blocks,
    distribution_blocks,
    factor_blocks,
    norm_blocks,
)
from tests.engine.scoring import test_correlations, test_factors, test_norms


@pytest.fixture
def artefacts(tmp_path):
    run = RunDir(tmp_path / "run")
    run.scores.mkdir(parents=True)
    save_inputs(test_norms.inputs_of(tmp_path), run.inputs_file)
    return Artefacts(run.path, "run", run, None, None, ())


def of_kind(blocks, kind):
    return [block for block in blocks if isinstance(block, kind)]


def test_nothing_of_a_run_that_an_earlier_version_scored(artefacts):
    for blocks in (distribution_blocks, correlation_blocks, factor_blocks, norm_blocks):
        assert blocks(artefacts) == []


def test_a_bar_has_every_answer_in_the_order_of_its_worth(artefacts):
    rows = [("o1", "chosen", 4, 3, 0.75), ("o1", "refused", None, 1, 0.25), ("j1", "chosen", 1, 2, 1.0)]
    names = ["item_id", "state", "chosen", "answers", "share"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(
        artefacts.run.scores / "response_distributions.parquet"
    )
    (chart,) = of_kind(distribution_blocks(artefacts), Chart)
    (data,) = chart.spec["datasets"].values()
    assert [(r["item"], r["answer"], r["scored"], r["worth"]) for r in data] == [
        ("Order: o1", "Completely", True, 1.0),
        ("Order: o1", "refused", False, 2.0),
        ("Joy: j1", "b", True, -0.5),  # the weight 1 of 0 to 4
    ]


def test_correlations_are_mirrored_and_listed_once(artefacts):
    table = correlation_table(
        *test_correlations.frames(np.random.default_rng(1).normal(size=(9, 3)), [0.8, 0.8, None])
    )
    table.write_parquet(artefacts.run.scores / "correlations.parquet")
    blocks = correlation_blocks(artefacts)
    (chart,), (listed,) = of_kind(blocks, Chart), of_kind(blocks, Table)
    (data,) = chart.spec["datasets"].values()
    assert len(data) == 6 and len(listed.rows) == 3
    assert {r["r"] for r in data if {r["a"], r["b"]} == {"A", "B"}} == {float(f"{table['r'][0]:.5g}")}
    assert listed.rows[1][5] == "not told from noise: C"


def test_factors_or_why_there_are_none(artefacts):
    def write(factors):
        scores = artefacts.run.scores
        names = ("roles", "items", "kept", "reason")
        write_json(scores / "factors.json", {name: getattr(factors, name) for name in names})
        factors.values.write_parquet(scores / "factor_values.parquet")
        factors.loadings.write_parquet(scores / "factor_loadings.parquet")
        return factor_blocks(artefacts)

    table = test_factors.answers(np.random.default_rng(0))
    find = test_factors.find_factors
    blocks = write(find(test_factors.rows(table), test_factors.VALUES))
    of_values, of_items = of_kind(blocks, Table)
    assert [row[2] for row in of_values.rows] == [1.0] * 3 and len(of_items.rows) == 12
    (note,) = of_kind(write(find(test_factors.rows(table[:20]), test_factors.VALUES)), Note)
    assert note.text == "Not known: too few roles: 20 with 90 % of answers, 36 needed for 12 items."
    noise = np.random.default_rng(3).normal(size=(60, 12))
    (note,) = of_kind(write(find(test_factors.rows(noise), test_factors.VALUES)), Note)
    assert note.kind == "warning"


def test_norms_stand_beside_the_roles(artefacts):
    plain = test_norms.plain("Order", [0.25, 0.5, 0.75])
    norm_table(artefacts.run.inputs(), plain).write_parquet(artefacts.run.scores / "norms.parquet")
    blocks = norm_blocks(artefacts)
    assert isinstance(blocks[0], Heading)
    (table,) = of_kind(blocks, Table)
    assert table.rows[0][:6] == ["Own", "Order", "Students", 0.25, 0.25, 200]
    assert table.rows[0][8][0] == pytest.approx(1)
