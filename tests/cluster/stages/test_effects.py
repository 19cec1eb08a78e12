"""Stages on a run's artefacts: like is compared with like."""

from __future__ import annotations

from typing import get_args

import polars as pl
import pytest

from axiograph.cluster.stages import effects as stages
from axiograph.discovery.algorithms.registry import ALGORITHMS
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.plan.snapshot import save_inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.tally import WORKER
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.schema import Algorithm, AlgorithmSpec
from tests import studies


@pytest.mark.parametrize(("share", "compared"), [(1.0, {"train", "test"}), (0.5, {"train"})])
def test_roles_are_compared_on_the_same_items(study_assets, tmp_path, monkeypatch, share, compared):
    inputs = load_inputs(load_study(studies.write(tmp_path, study_assets, split={"items": share})))
    run = RunDir(tmp_path / "run")
    save_inputs(inputs, run.inputs_file)
    run.scores.mkdir()
    roles = inputs.roles_frame().drop("text").with_columns(condition=pl.lit("baseline"), Joy=0.5, Order=0.25)
    roles.write_parquet(run.scores / "profiles.parquet")
    worker = {name: pl.lit("one") for name in WORKER}
    roles.select("role", "condition").with_columns(**worker).write_parquet(run.scores / "provenance.parquet")
    asked = []

    def between(profiles, graph, reference, spec, *, split):
        kept = profiles if split is None else profiles.filter(pl.col("split") == split)
        assert reference in kept["role"].to_list()
        asked.append(set(kept["split"]))
        return kept

    monkeypatch.setattr(stages, "between_roles", between)
    reference, _ = stages.compare_roles(run, CausalGraph)
    assert reference == "" and asked == [compared]


def test_a_study_can_name_every_algorithm_and_every_setting_of_one():
    # engine imports nothing of discovery, so the study lists them itself.
    assert get_args(Algorithm) == tuple(ALGORITHMS)
    named = {name for algorithm in ALGORITHMS.values() for name in algorithm.settings}
    assert named == set(AlgorithmSpec.model_fields)
