"""A run with made-up answers of a planted graph, put through the real stages: every section of a report has
something to show, without a model, at any number of values."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from axiograph.cluster.sampling.loop import library_versions, seeds, write_plan
from axiograph.cluster.stages.discover import discover_graph
from axiograph.cluster.stages.effects import compare_roles, find_effects, run_graph
from axiograph.cluster.stages.reference import set_reference
from axiograph.cluster.stages.score import score
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.plan.rows import Plan, PlanIdentity
from axiograph.engine.plan.snapshot import save_inputs, study_as_json
from axiograph.engine.runs.rereading import OF_SCALES
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.loading import load_study

HOSTILE = "</script><img src=x onerror=\"document.title='pwned'\">"


@dataclass(frozen=True)
class Made:
    """Sizes of a made-up run. `names`: of the values; `hostile`: put HOSTILE into names and questions."""

    names: tuple[str, ...]
    items: int = 4
    train: int = 60
    test: int = 8
    features: int = 2
    strengths: tuple[float, ...] = (-2.0, 2.0)
    replicates: int = 40
    hostile: bool = False


def value_names(n: int) -> tuple[str, ...]:
    """Names of the length that real values have."""
    heads = ("Openness", "Security", "Warmth", "Order", "Need for Closure", "Empathy", "Self-Direction")
    return tuple(f"{heads[k % len(heads)]} {k + 1}" for k in range(n))


def make(folder: Path, made: Made) -> RunDir:
    """A scored, discovered and tested run in `folder`/run, with the planted graph as its reference graph."""
    folder.mkdir(parents=True, exist_ok=True)
    study = load_study(_write_study(folder, made))
    inputs, run = load_inputs(study), RunDir(folder / "run")
    run.path.mkdir()
    steered = {c.name: c.name.encode().ljust(16, b"_") for c in inputs.conditions if c.is_steered}
    plan = Plan(inputs, PlanIdentity(b"model", "float32", b"prompt", steered))
    save_inputs(inputs, run.inputs_file)
    write_plan(plan, run.plan_file)
    run.write_manifest(_manifest(study, steered, len(plan)))
    run.store().append(_answers(plan, inputs, made))
    score(run)
    discover_graph(run, study.discovery)
    graph, source = run_graph(run, None)
    find_effects(run, study.effects, graph, source)
    compare_roles(run, graph)
    set_reference(run, planted(made), "planted")
    return run


def planted(made: Made) -> CausalGraph:
    """Value k acts on value k + 1, but for every fourth."""
    names = made.names
    return CausalGraph.from_edges(
        names, [(names[k], names[k + 1]) for k in range(len(names) - 1) if k % 4 != 3]
    )


def _write_study(folder: Path, made: Made) -> Path:
    mark = f" {HOSTILE}" if made.hostile else ""
    with (folder / "items.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["item_id", "questionnaire", "value", "agreement", "question"])
        for k, name in enumerate(made.names):
            for i in range(made.items):
                sign = 1 if i % 2 == 0 or k % 5 == 0 else -1
                rows.writerow([f"v{k}i{i}", "Own", name, sign, f"Is item {i} of value {k} like you?{mark}"])
    fields = {"Age": [f"{a} years" for a in range(20, 60)], "Work": [f"job {j}{mark}" for j in range(10)]}
    (folder / "fields.yaml").write_text(yaml.safe_dump(fields))
    operation = {"direction": {"path": "joy.safetensors"}, "strengths": list(made.strengths)}
    operations = [operation | {"direction": {"path": f"d{k}.safetensors"}} for k in range(made.features)]
    point = {"hook_point": {"layer": 1, "place": "resid_post"}}
    study: dict[str, Any] = {
        "schema": 1,
        "name": f"made{mark}",
        "model": {"path": "model", "dtype": "float32", "device": "cpu", "backend": "hf"},
        "questionnaires": ["items.csv"],
        "roles": {"generate": [{"fields": "fields.yaml", "n": made.train + made.test, "seed": 1}]},
        "split": {"roles": made.train / (made.train + made.test)},
        "hints": [{"value": made.names[0], "inclination": "inclined"}],
        "steering": [{"operations": [each | point]} for each in operations],
        "discovery": {"replicates": made.replicates},
        "effects": {"resamples": 100, "control_graphs": 100},
        "out": "run",
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def _manifest(study: Any, steered: dict[str, bytes], requests: int) -> dict[str, Any]:
    at = "2026-01-02T03:04:05Z"
    return {
        "created": at,
        "updated": at,
        "starts": [{"at": at, "requests": requests, "host": "somewhere"}],
        "study": study_as_json(study),
        "requests": requests,
        "versions": library_versions(),
        "identity": {"model": "00", "prompt": "00", "steering": {k: v.hex() for k, v in steered.items()}},
        "model": {"name": "made up", "revision": None, "dtype": "float32"},
        "seeds": seeds(study),
    }


def _answers(plan: Plan, inputs: Any, made: Made) -> pa.Table:
    """Yes where the value, moved by hint and steering, is above chance; a high strength is refused now and
    then."""
    rng = np.random.default_rng(0)
    rows = pa.Table.from_batches(list(plan.batches()))
    names = {
        column: rows[column].cast(pa.string()).to_pylist() for column in ("role", "condition", "item_id")
    }
    index = {name: k for k, name in enumerate(made.names)}
    items = {item.item_id: (index[item.value], item.agreement) for item in inputs.items}
    conditions = {c.name: k for k, c in enumerate(inputs.conditions)}
    shifts = np.stack([_shift(c, made) for c in inputs.conditions])
    levels = dict(zip(sorted(set(names["role"])), _levels(rng, len(set(names["role"])), made), strict=True))
    place = np.array([items[item][0] for item in names["item_id"]])
    sign = np.array([items[item][1] for item in names["item_id"]])
    condition = np.array([conditions[name] for name in names["condition"]])
    level = np.array([levels[role][k] for role, k in zip(names["role"], place, strict=True)])
    odds = sign * 2.5 * (level + shifts[condition, place])
    states = np.where(rng.random(len(odds)) < 1 / (1 + np.exp(-odds)), "yes", "no").astype(object)
    states[rng.random(len(odds)) < 0.01 + 0.02 * np.abs(shifts[condition]).max(axis=1)] = "refused"
    return _responses(rows, names, states, rng)


def _levels(rng: np.random.Generator, roles: int, made: Made) -> np.ndarray:
    levels = rng.normal(size=(roles, len(made.names)))
    index = {name: k for k, name in enumerate(made.names)}
    graph = planted(made)
    for i, j in sorted(graph.directed_edges(), key=lambda edge: edge[1]):
        levels[:, index[graph.names[j]]] += 0.8 * levels[:, index[graph.names[i]]]
    return levels


def _shift(condition: Any, made: Made) -> np.ndarray:
    """What a condition adds to every value: direction dk moves value k and, less, the next one."""
    shift = np.zeros(len(made.names) + 1)
    if condition.hint is not None:
        shift[0] = 1.0
    for operation in condition.operations:
        k = int(operation.spec.direction.path.stem.removeprefix("d"))
        shift[k] += 0.7 * operation.strength
        shift[k + 1] += 0.4 * operation.strength
    return shift[:-1]


def _responses(
    rows: pa.Table, names: dict[str, list[str]], states: np.ndarray, rng: np.random.Generator
) -> pa.Table:
    n = rows.num_rows
    steered = np.array([name != "baseline" and not name.startswith("hint") for name in names["condition"]])
    always = {
        "mode": "generate",
        "reason": "made up",
        "text": "Answer: yes",
        "finish": "eos",
        "backend": "hf",
    }
    always |= {"device": "cpu", "dtype": "float32", "versions": "none"}
    columns: dict[str, Any] = {
        "request_id": rows["request_id"],
        **names,
        "repeat": rows["repeat"],
        **{name: [text] * n for name, text in always.items()},
        "state": list(states),
        "answer_ids": [[1, 2]] * n,
        "log_odds": [None] * n,
        "mass": [None] * n,
        "fallback": [False] * n,
        "prompt_tokens": [50] * n,
        "new_tokens": rng.integers(8, 14, n),
        "steered_tokens": np.where(steered, 2, 0),
        "proof_error": pa.array(np.where(steered, 1e-6, np.nan), from_pandas=True),
        "seconds": [0.01] * n,
    }
    columns |= dict.fromkeys(OF_SCALES, [None] * n)
    return pa.table([columns[field.name] for field in RESPONSE_SCHEMA], names=RESPONSE_SCHEMA.names).cast(
        RESPONSE_SCHEMA
    )
