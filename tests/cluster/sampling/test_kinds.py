"""Kinds of workers: every role is asked by one kind, with its baseline, and the study decides which."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from axiograph.cluster.ray.wave import waves
from axiograph.cluster.sampling.executors import Kind
from axiograph.cluster.sampling.preparation import in_process, prepare
from axiograph.cluster.stages.effects import _answered_alike
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.engine_args import parallel_size
from axiograph.engine.study.loading import load_study
from axiograph.steering.backend import HF, Choice, choose_backend
from tests import studies

VLLM = Choice("vllm", None, 100_000)


def near(function, *args):
    """A cluster on which vLLM runs, but cannot steer."""
    return (HF if args[3] else VLLM) if function is choose_backend else in_process(function, *args)


def prepared(study_assets, tmp_path, near=near, mixed=True, backend="auto", **changes):
    data = studies.study(study_assets)["model"] | {"backend": backend}
    study = load_study(studies.write(tmp_path, study_assets, model=data, **changes))
    return prepare(study, RunDir(tmp_path / "run"), near=near, mixed=mixed)


def test_roles_that_are_never_steered_may_have_a_backend_of_their_own(study_assets, tmp_path):
    made = prepared(study_assets, tmp_path)
    plain, steered = made.kinds()
    assert (plain.recipe.backend, steered.recipe.backend) == ("vllm", "hf")
    parts = made.inputs.role_split
    assert plain.roles == {role for role, part in parts.items() if part == "train"}
    assert steered.roles == {role for role, part in parts.items() if part == "test"}
    # A plain worker knows which conditions it must refuse.
    assert not plain.recipe.operations and plain.recipe.config.steered == frozenset(steered.recipe.operations)
    reason = replace(made, backend=Choice("hf", "it cannot steer")).notes()
    assert reason == [
        "transformers answers (backend hf) for the roles that are steered, and not vLLM: it cannot steer."
    ]


@pytest.mark.parametrize(
    "options",
    [{"mixed": False}, {"backend": "hf"}, {"steer_roles": "all"}, {"near": lambda f, *a: _only_hf(f, *a)}],
)
def test_otherwise_all_roles_share_one_kind(study_assets, tmp_path, options):
    (kind,) = prepared(study_assets, tmp_path, **options).kinds()
    assert kind.recipe.backend == "hf" and kind.roles is None and kind.recipe.operations


def _only_hf(function, *args):
    return HF if function is choose_backend else in_process(function, *args)


def test_no_steering_no_choice(study_assets, tmp_path):
    (kind,) = prepared(study_assets, tmp_path, steering=[]).kinds()
    assert (kind.name, kind.recipe.backend, kind.roles) == ("plain", "vllm", None)


def test_a_wave_gives_every_row_of_a_role_to_its_kind_baseline_included(study_assets, tmp_path):
    made = prepared(study_assets, tmp_path)
    rows, seen = 0, set()
    for wave in waves(made.plan.batches(100), made.kinds(), rows=300):
        places = []
        for chunk in wave.chunks:
            table = pl.DataFrame(pl.from_arrow(chunk.rows))
            assert set(table["role"]) <= chunk.kind.roles
            # Rows of one condition and role stand together.
            runs = table.select(pl.struct("condition", "role").rle_id().max() + 1).item()
            assert runs == table.select(pl.struct("condition", "role").n_unique()).item()
            places += table["position"].to_list()
            seen |= set(table["request_id"])
            rows += table.height
        assert sorted(places) == list(range(len(wave)))
    assert rows == len(made.plan) and len(seen) == rows


def test_a_wave_knows_what_is_missing_and_takes_nothing_twice(study_assets, tmp_path):
    made = prepared(study_assets, tmp_path)
    (wave,) = waves(made.plan.batches(), made.kinds())
    some = np.arange(0, len(wave), 2, dtype=np.uint32)
    assert wave.take(some).all() and not wave.take(some[:5]).any()
    left = wave.missing()
    assert sum(len(chunk.rows) for chunk in left) == len(wave) - len(some) and not wave.is_done
    assert {int(p) for chunk in left for p in chunk.rows["position"].to_pylist()} == set(
        range(1, len(wave), 2)
    )
    wave.take(np.arange(len(wave), dtype=np.uint32))
    assert wave.is_done and not wave.missing()


def test_engines_of_several_gpus_are_counted_from_the_arguments():
    assert parallel_size({}) == 1
    assert parallel_size({"tensor_parallel_size": 4, "pipeline_parallel_size": 2}) == 8
    assert Kind("k", None).answers("anyone") and not Kind("k", None, frozenset({"a"})).answers("b")


def test_roles_are_compared_with_those_that_the_same_worker_answered(tmp_path):
    run = RunDir(tmp_path)
    rows = [("a", "hf"), ("b", "vllm"), ("c", "hf"), ("d", "hf")]
    table = pl.DataFrame(
        [
            {"role": role, "condition": "baseline", "backend": backend, "dtype": "float32", "device": "cpu"}
            for role, backend in rows
        ]
    )
    run.scores.mkdir()
    table.write_parquet(run.scores / "provenance.parquet")
    assert sorted(_answered_alike(run, "a")) == ["a", "c", "d"]
    assert sorted(_answered_alike(run, "b")) == ["b"]


def test_an_engine_that_spans_nodes_is_told_so_and_asks_for_the_same(study_assets, tmp_path):
    made = prepared(study_assets, tmp_path, steering=[])
    recipe = made.kinds()[0].recipe
    wide = replace(recipe, engine_args={"tensor_parallel_size": 4}).across_nodes()
    assert wide.gpus == 4 and wide.engine_args["distributed_executor_backend"] == "ray"
