"""A study on vLLM through the pipeline: chosen, sampled, stored, and never mixed with another backend."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest
import yaml

from axiograph import engine
from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.sampling.site import LocalSite
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.pending import pending
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.loading import load_study
from tests import studies, vllm_models  # noqa: F401 - sets vLLM's environment

ASSETS = Path(engine.__file__).parent / "assets" / "respondent"

needs_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: pip install -e '.[cpu]'"
)


def study(folder, backend, roles=3, strengths=(0, 2), operation=(), steer_roles="all", **model):
    steered = {"sae": {"path": str(ASSETS / "sae")}, "features": [396], "strengths": list(strengths)}
    data = {
        "schema": 1,
        "name": "respondent",
        "model": {"path": str(ASSETS / "model"), "dtype": "float32", "device": "cpu", "backend": backend}
        | model,
        "questionnaires": [str(ASSETS / "questionnaire.csv")],
        "values": ["Security"],
        "roles": {"generate": [{"fields": str(ASSETS / "role_fields.yaml"), "n": roles}]},
        "steering": [{"operations": [steered | dict(operation)]}],
        "steer_roles": steer_roles,
        "sampling": {"max_tokens": 40, "batch_size": 16},
        "out": "run",
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(data))
    return load_study(path)


def sampled(loaded):
    run = create_run(loaded.out)
    prepared = prepare(loaded, run)
    sample(prepared, run, InProcessExecutor(prepared.make_worker))
    return run, run.store().scan().with_columns(pl.col("backend", "condition").cast(pl.String)).collect()


@needs_vllm
def test_a_steered_study_on_vllm_gives_the_hook_workers_answers(tmp_path):
    for name in ("vllm", "hf"):
        (tmp_path / name).mkdir()
    run, rows = sampled(study(tmp_path / "vllm", "auto"))
    assert set(rows["backend"]) == {"vllm"} and rows.height == 4 * 12 * 2  # strength 0 is the baseline
    assert not list(pending(run).batches())
    by_condition = rows.group_by("condition").agg(
        pl.col("steered_tokens").min(), pl.col("proof_error").count()
    )
    found = {name: rest for name, *rest in by_condition.iter_rows()}
    assert found.pop("baseline") == [0, 0]
    assert len(found) == 1 and all(tokens > 0 and proofs == 48 for tokens, proofs in found.values())
    _, others = sampled(study(tmp_path / "hf", "hf"))
    both = rows.join(others, on="request_id", validate="1:1")
    assert both.height == rows.height
    assert both.filter(pl.col("text") != pl.col("text_right")).is_empty()
    # More of the same roles on another backend would mix the two in one contrast.
    with pytest.raises(RunError, match=r"answers of hf on cpu only, .* found answers of vllm on cpu"):
        sampled(study(tmp_path / "vllm", "hf", strengths=(0, 2, 4)))


@needs_vllm
@pytest.mark.slow
def test_vllm_first_and_the_hook_worker_behind_it_in_one_process(tmp_path):
    """Roles that are never steered go to vLLM where only the steering stands against it."""
    clamped = {"kind": "clamp_feature", "unit": "raw"}
    loaded = study(tmp_path, "auto", roles=8, operation=clamped, steer_roles="test")
    run, site = create_run(loaded.out), LocalSite()
    prepared = site.prepare(loaded, run)
    sample(prepared, run, site.executor(prepared, Meter()))
    assert not pending(run).left
    rows = run.store().scan().with_columns(pl.col("backend", "condition", "role").cast(pl.String)).collect()
    kinds = {kind.recipe.backend: kind.roles for kind in prepared.kinds()}
    assert set(kinds) == set(rows["backend"]) == {"vllm", "hf"}
    for (backend,), own in rows.group_by("backend"):
        assert set(own["role"]) == kinds[backend]
        assert (own["condition"].n_unique() > 1) == (backend == "hf")


@needs_vllm
def test_a_model_that_vllm_cannot_run_goes_to_transformers_with_a_reason(study_assets, tmp_path):
    data = studies.study(study_assets)
    data["model"]["backend"] = "auto"
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(data))
    loaded = load_study(tmp_path / "study.yaml")
    prepared = prepare(loaded, create_run(loaded.out))
    (note,) = prepared.notes()
    assert "backend hf" in note and "not 8" in note


@needs_vllm
def test_prompts_longer_than_the_engine_takes_are_refused_before_it_starts(tmp_path):
    loaded = study(tmp_path, "vllm", engine_args={"max_model_len": 100})
    with pytest.raises(InputError, match="at most 100 tokens"):
        prepare(loaded, create_run(loaded.out))
