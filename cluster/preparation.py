"""Preparation: a study with its model, turned into a plan and into what workers need; asks nothing yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import InputError
from engine.inputs import Inputs, load_inputs
from engine.models import ModelSource, load_config, load_model, load_tokenizer, resolve_device, resolve_model
from engine.plan import Plan, PlanIdentity
from engine.prompts import Prompt, PromptBuilder
from engine.run_dir import RunDir
from engine.spellings import spelling_ids
from engine.study import Study
from engine.worker import REQUEST_SCHEMA, Worker, WorkerConfig
from steering.hook_worker import HookWorker, check_spans
from steering.measure import load_scales, measure_residual_norms
from steering.operations import Directions, Operation, resolve_conditions, steering_digests

RESIDUAL_NORM_PROMPTS = 256


@dataclass(frozen=True)
class Prepared:
    """Everything between a study and its first answer."""

    study: Study
    inputs: Inputs
    source: ModelSource
    builder: PromptBuilder
    directions: Directions
    operations: dict[str, tuple[Operation, ...]]
    plan: Plan
    device: str

    def make_worker(self) -> Worker:
        known = frozenset(condition.name for condition in self.inputs.conditions)
        return HookWorker(self.worker_config(), self.operations, known)

    def worker_config(self) -> WorkerConfig:
        yes, no = spelling_ids(self.builder)
        return WorkerConfig(
            source=self.source,
            device=self.device,
            sampling=self.study.sampling,
            scoring=self.study.scoring,
            cue_ids=tuple(self.builder.continuation(self.study.prompt.answer_cue)),
            yes_ids=yes,
            no_ids=no,
            canary=self.canary(),
            steered=frozenset(self.operations),
        )

    def canary(self) -> Prompt:
        """The first role's first item, unsteered and unhinted."""
        role, condition = self.inputs.roles[0], self.inputs.conditions[0]
        item = self.inputs.items_for(role)[0]
        return self.builder.build([self.inputs.fields(role, condition, item)])[0]

    def sample_prompts(self, count: int) -> list[Prompt]:
        """Baseline prompts spread evenly over roles and items, the same ones every time."""
        baseline = self.inputs.conditions[0]
        generator = np.random.default_rng(0)
        fields = []
        for _ in range(count):
            role = self.inputs.roles[int(generator.integers(len(self.inputs.roles)))]
            items = self.inputs.items_for(role)
            fields.append(self.inputs.fields(role, baseline, items[int(generator.integers(len(items)))]))
        return self.builder.build(fields)


def prepare(study: Study, run: RunDir | None = None) -> Prepared:
    """Check everything that can be checked before the model is loaded, and make the plan.

    `run` is where recorded scales (features run, residual norms) are read, and measured norms kept. Without
    it units that need such a record cannot be resolved.
    """
    born = run.inputs().born if run is not None and run.inputs_file.is_file() else None
    inputs = load_inputs(study, born)
    _check_items(inputs)
    source = resolve_model(study.model)
    builder = PromptBuilder(inputs.template, load_tokenizer(source))
    config = load_config(source)
    directions = Directions(config.hidden_size, config.num_hidden_layers)
    device = resolve_device(study.model.device)
    # Spans are checked here, before hours of loading and planning.
    first = inputs.roles[0]
    builder.build([inputs.fields(first, inputs.conditions[0], inputs.items_for(first)[0])])
    identity = PlanIdentity(source.digest(), source.dtype, builder.digest, {})
    prepared = Prepared(
        study, inputs, source, builder, directions, {}, _unsteered_plan(inputs, identity), device
    )
    scales = load_scales(run.features_file, _measured(prepared, run)) if run else load_scales(Path(), Path())
    operations = resolve_conditions(inputs.conditions, directions, scales)
    check_spans(operations, study.scoring.mode)
    identity = replace(identity, steering=steering_digests(operations))
    return replace(prepared, operations=operations, plan=Plan(inputs, identity))


def _unsteered_plan(inputs: Inputs, identity: PlanIdentity) -> Plan:
    return Plan(replace(inputs, conditions=inputs.conditions[:1]), identity)


def _check_items(inputs: Inputs) -> None:
    for role in inputs.roles:
        if not inputs.items_for(role):
            raise InputError(
                "study, field split.items",
                f"items for the {inputs.role_split[role.name]} roles",
                "none: every item fell into the other part",
                "Use values with more items, or another share.",
            )


def _measured(prepared: Prepared, run: RunDir) -> Path:
    """The file with residual norms, measured now if the study needs some that it does not hold."""
    points = {
        prepared.directions.hook_point(point)
        for condition in prepared.inputs.conditions
        for point in condition.operations
        if point.unit == "residual_norm"
    }
    known = load_scales(run.features_file, run.scales_file).residual_norm
    if any(str(point) not in known for point in points):
        model = load_model(prepared.source, prepared.device)
        ordered = sorted(points, key=str)
        prompts = prepared.sample_prompts(RESIDUAL_NORM_PROMPTS)
        batch_size = prepared.study.sampling.batch_size
        measure_residual_norms(model, prompts, ordered, batch_size, run.scales_file)
    return run.scales_file


def request_tables(
    prepared: Prepared, batches: Iterator[pa.RecordBatch], rows_per_table: int
) -> Iterator[pa.Table]:
    """Tables of REQUEST_SCHEMA for plan rows: the only place where they get their tokens."""
    roles = {role.name: role for role in prepared.inputs.roles}
    conditions = {condition.name: condition for condition in prepared.inputs.conditions}
    items = {item.item_id: item for item in prepared.inputs.items}
    for batch in batches:
        for start in range(0, batch.num_rows, rows_per_table):
            rows = batch.slice(start, rows_per_table).to_pylist()
            prompts = prepared.builder.build(
                [
                    prepared.inputs.fields(
                        roles[row["role"]], conditions[row["condition"]], items[row["item_id"]]
                    )
                    for row in rows
                ]
            )
            yield _request_table(rows, prompts)


def _request_table(rows: Sequence[dict[str, Any]], prompts: Sequence[Prompt]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in REQUEST_SCHEMA.names[:5]}
    columns["prompt_ids"] = [prompt.ids for prompt in prompts]
    columns["span"] = [prompt.span for prompt in prompts]
    return pa.Table.from_pydict(columns, schema=REQUEST_SCHEMA)
