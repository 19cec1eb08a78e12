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
from axiograph.cluster.stages.effects import compare_roles, find_effects, run_graph, training_rows
from axiograph.cluster.stages.reference import set_reference
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.calibration.respondent import ASSETS, Planted, planted_effects, planted_totals
from axiograph.discovery.discover import Discovery, discover
from axiograph.discovery.effects.testing import Effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.interventions.experiments import MIN_ROLES as MIN_STEERED
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
    """What a demonstration measured, beside what is planted in the respondent. `discovery`: of roles and
    steering together; `roles_alone`: of the roles alone. `effects_truth`: measured effects beside the planted
    ones (discovery.calibration.respondent.planted_effects); `totals_truth`: total effects by the graph beside
    them (`planted_totals` there; None where too few roles were steered)."""

    run: RunDir
    study_file: Path
    planted: Planted
    sampled: Sampled
    discovery: Discovery
    roles_alone: Discovery
    effects: Effects
    effects_truth: pl.DataFrame
    totals_truth: pl.DataFrame | None

    @property
    def truth(self) -> CausalGraph:
        """What the graph can be at best: steering tells all directions, roles alone those of the class."""
        return self.planted.graph if self.discovery.interventional is None else self.planted.dag


def demo_study(settings: DemoSettings, planted: Planted) -> dict[str, Any]:
    """The study as data, for a file in the directory of its run."""
    values = planted.names if settings.steered is None else settings.steered
    roles = settings.roles or ROLES
    fields = str(ASSETS / "role_fields.yaml")
    rows = "interventional" if settings.steered_roles >= MIN_STEERED else "baseline"
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
        "discovery": {"replicates": settings.replicates, "rows": rows},
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
        alone = _roles_alone(directory, study, jobs)
        graph, source = run_graph(directory, None)
        effects = find_effects(directory, study.effects, graph, source)
        compare_roles(directory, graph)
        told = planted.graph if discovery.interventional is None else planted.dag
        set_reference(directory, told, "planted graph")
        truth = _effects_truth(directory, planted, effects)
        write_atomic(directory.effects / "planted.parquet", truth.write_parquet)
        totals = _totals_truth(directory, planted, discovery)
    return Demo(directory, study_file, planted, sampled, discovery, alone, effects, truth, totals)


def _roles_alone(run: RunDir, study: Study, jobs: int) -> Discovery:
    """What observation without steering gives."""
    train = training_rows(read_scores(run, "profiles"), pooled=False)
    spec = study.discovery.model_copy(update={"rows": "baseline"})
    return discover(train, spec, jobs=jobs, null_replicates=0)


def _totals_truth(run: RunDir, planted: Planted, discovery: Discovery) -> pl.DataFrame | None:
    path = run.graph / "planted_total_effects.parquet"
    if discovery.interventional is None:
        path.unlink(missing_ok=True)
        return None
    texts = {role.name: role.text for role in run.inputs().roles}
    train = training_rows(read_scores(run, "profiles"), pooled=False)
    values = planted.values([texts[name] for name in train["role"]])
    table = planted_totals(planted, discovery.interventional.totals, values.std(axis=0))
    write_atomic(path, table.write_parquet)
    return table


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
