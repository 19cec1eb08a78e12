"""The demonstration: the built-in respondent asked, steered and analysed, the planted truth beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import Sampled, sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.stages.discover import discover_graph
from axiograph.cluster.stages.effects import compare_roles, find_effects, run_graph
from axiograph.cluster.stages.reference import set_reference
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.calibration.respondent import ASSETS, Planted, planted_effects
from axiograph.discovery.discover import Discovery
from axiograph.discovery.effects.testing import Effects
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.storage.files import write_atomic
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.schema import Study

Mode = Literal["generate", "logprob"]
MIN_ROLES = 20
ROLES = 200  # training roles: what two slow cores ask in three minutes
STEERED_ROLES = 8
STRENGTHS = (-2.0, 2.0)


@dataclass(frozen=True)
class DemoSettings:
    """`roles`: training roles, None for ROLES; `steered_roles`: test roles, which are
    asked under every steering; `steered`: the values to steer, None for all."""

    mode: Mode = "generate"
    roles: int | None = None
    strengths: tuple[float, ...] = STRENGTHS
    steered_roles: int = STEERED_ROLES
    steered: tuple[str, ...] | None = None
    replicates: int = 1000

    def check(self) -> None:
        """InputError for what cannot lead to a graph and effects."""
        if self.roles is not None and self.roles < MIN_ROLES:
            raise InputError("--roles", f"{MIN_ROLES} or more", f"{self.roles}", "A graph needs more roles.")
        strengths = self.strengths
        different = len(set(strengths)) == len(strengths)
        if not different or not all(map(math.isfinite, strengths)) or not any(strengths):
            raise InputError(
                "--strengths",
                "different numbers, not all 0, such as -2,2",
                ",".join(f"{s:g}" for s in strengths) or "nothing",
                "The respondent was trained on strengths from -4 to 4.",
            )


@dataclass(frozen=True)
class Demo:
    """What a demonstration measured, beside what is planted in the respondent. `effects_truth`: measured
    effects beside the planted ones (discovery.calibration.respondent.planted_effects)."""

    run: RunDir
    study_file: Path
    planted: Planted
    sampled: Sampled
    discovery: Discovery
    effects: Effects
    effects_truth: pl.DataFrame


def demo_study(settings: DemoSettings, planted: Planted) -> dict[str, Any]:
    """The study as data, for a file in the directory of its run."""
    values = planted.names if settings.steered is None else settings.steered
    roles = settings.roles or ROLES
    fields = str(ASSETS / "role_fields.yaml")
    operation = {
        "kind": "add",
        "sae": {"path": str(ASSETS / "sae")},
        "features": [planted.features[value] for value in values],
        "strengths": list(settings.strengths),
        "unit": "raw",
        "span": "prompt_span",
    }
    return {
        "schema": 1,
        "name": "demo",
        # vLLM would take longer to start than this model to answer.
        "model": {"path": str(ASSETS / "model"), "dtype": "float32", "device": "cpu", "backend": "hf"},
        "questionnaires": [str(ASSETS / "questionnaire.csv")],
        "roles": {
            "generate": [
                {"fields": fields, "n": roles, "seed": 1, "split": "train"},
                {"fields": fields, "n": settings.steered_roles, "seed": 2, "split": "test"},
            ],
            "no_role": False,
        },
        "steering": [{"operations": [operation]}],
        "steer_roles": "test",
        "sampling": {"method": "greedy", "max_tokens": 40, "batch_size": 192},
        "scoring": {"mode": settings.mode},
        "discovery": {"replicates": settings.replicates},
        "effects": {"roles": "test"},
        "out": ".",
    }


def demo(settings: DemoSettings, out: Path, jobs: int) -> Demo:
    """Sample (continues where it stopped), score, discover, test effects, compare with the planted truth.

    Raises InputError for settings that are of no use or that do not fit what `out` holds, RunError when it is
    stopped from the keyboard."""
    settings.check()
    planted = Planted.load()
    directory = create_run(out)
    with directory.locked():
        study_file = directory.path / "study.yaml"
        study, sampled = _sample(directory, study_file, demo_study(settings, planted))
        score(directory)
        discovery = discover_graph(directory, study.discovery, jobs=jobs)
        graph, source = run_graph(directory, None)
        effects = find_effects(directory, study.effects, graph, source)
        compare_roles(directory, graph)
        set_reference(directory, planted.graph, "planted graph")
        truth = _effects_truth(directory, planted, effects)
        write_atomic(directory.effects / "planted.parquet", truth.write_parquet)
    return Demo(directory, study_file, planted, sampled, discovery, effects, truth)


def _sample(run: RunDir, study_file: Path, data: dict[str, Any]) -> tuple[Study, Sampled]:
    """Ask what is missing. The study file is there from the start, so that a stopped demonstration can go on
    by it; one that is refused leaves the file as it was."""
    study = parse_study(data, "the study of the demonstration", run.path.resolve())
    before = study_file.read_bytes() if study_file.is_file() else None
    write_atomic(study_file, lambda path: path.write_text(_as_yaml(data), encoding="utf-8"))
    try:
        prepared = prepare(study, run)
        return study, sample(prepared, run, InProcessExecutor(prepared.make_worker))
    except InputError:
        if before is None:
            study_file.unlink()
        else:
            content = before
            write_atomic(study_file, lambda path: path.write_bytes(content))
        raise
    except KeyboardInterrupt:
        raise RunError(
            "axiograph demo",
            "to finish sampling",
            "a stop from the keyboard",
            f"What was answered is stored in {run.path}: the same command continues.",
        ) from None


def _as_yaml(data: dict[str, Any]) -> str:
    import yaml

    head = (
        "# Written by `axiograph demo`; `axiograph run` on this file asks only what is missing beside it.\n"
    )
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _effects_truth(run: RunDir, planted: Planted, effects: Effects) -> pl.DataFrame:
    inputs = run.inputs()
    steered = {feature: value for value, feature in planted.features.items()}
    conditions = {
        condition.name: (steered[operation.feature], operation.strength)
        for condition in inputs.conditions
        for operation in condition.operations
        if operation.feature is not None and operation.strength is not None
    }
    texts = {role.name: role.text for role in inputs.roles}
    baseline = read_scores(run, "profiles").filter(pl.col("condition") == BASELINE)
    values = planted.values([texts[name] for name in baseline["role"]])
    return planted_effects(planted, effects.changes, conditions, baseline, values)
