"""Preparation: a study with its model, turned into a plan and into what workers need; asks nothing yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from discovery.pc import MIN_ROWS
from discovery.resample import parse_resample, rows_in_replicate
from engine.errors import InputError
from engine.identity import digest
from engine.inputs import Inputs, load_inputs
from engine.models import (
    ModelSource,
    load_config,
    load_model,
    load_tokenizer,
    release_memory,
    resolve_device,
    resolve_model,
)
from engine.plan import Plan, PlanIdentity
from engine.prompts import Prompt, PromptBuilder, PromptFields
from engine.run_dir import RunDir
from engine.spellings import spelling_ids
from engine.split import TRAIN
from engine.study import Study
from engine.vllm_worker import VllmWorker
from engine.worker import REQUEST_SCHEMA, Worker, WorkerConfig, answer_room
from steering.hook_worker import HookWorker, check_spans
from steering.measure import load_scales, measure_residual_norms, save_norms
from steering.operations import Directions, Operation, Scales, resolve_conditions, steering_digests
from steering.vllm_choice import HF, Choice, choose_backend
from steering.vllm_worker import SteeredVllmWorker

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
    backend: Choice = HF

    @property
    def measured_on(self) -> str:
        """What scales are measured on: they hold for this model, dtype, template and tokenizer only."""
        identity = self.plan.identity
        return digest(identity.model, identity.dtype.encode(), identity.prompt).hex()

    def make_worker(self) -> Worker:
        known = frozenset(condition.name for condition in self.inputs.conditions)
        if self.backend.name == "hf":
            return HookWorker(self.worker_config(), self.operations, known)
        engine_args = self.study.model.engine_args
        if not self.operations:
            return VllmWorker(self.worker_config(), engine_args)
        return SteeredVllmWorker(self.worker_config(), engine_args, self.operations, known)

    def notes(self) -> list[str]:
        """Why the study does not run on vLLM, where it would have been taken."""
        reason = self.backend.why_not
        return [] if reason is None else [f"backend hf (transformers), since vLLM was passed over: {reason}."]

    def worker_config(self) -> WorkerConfig:
        yes, no = spelling_ids(self.builder)
        return WorkerConfig(
            source=self.source,
            device=self.device,
            sampling=self.study.sampling,
            scoring=self.study.scoring,
            yes_ids=yes,
            no_ids=no,
            canary=self.canary(),
            steered=frozenset(self.operations),
        )

    def build(self, fields: Sequence[PromptFields]) -> list[Prompt]:
        """Prompts of the study's scoring mode: with the answer cue behind them where it is scored."""
        cue = self.study.prompt.answer_cue if self.study.scoring.mode == "logprob" else None
        return self.builder.build(fields, cue)

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


def prepare(study: Study, run: RunDir, measure: bool = True) -> Prepared:
    """Check everything that can be checked before the model is loaded, and make the plan.

    `run` is where recorded scales (features run, residual norms) are read, and measured norms kept unless
    `measure` is off; then norms that are not recorded count as 1, which is enough for counting requests.
    """
    prepared = prepare_unsteered(study, run)
    scales = _scales(prepared, run, measure)
    operations = resolve_conditions(prepared.inputs.conditions, prepared.directions, scales)
    check_spans(operations, study.scoring.mode, prepared.directions.n_layers)
    backend = choose_backend(study.model, prepared.source, prepared.device, operations)
    if backend.max_length is not None:
        _check_lengths(prepared, backend.max_length)
    identity = replace(prepared.plan.identity, steering=steering_digests(operations))
    plan = Plan(prepared.inputs, identity)
    return replace(prepared, operations=operations, plan=plan, backend=backend)


def study_notes(inputs: Inputs) -> list[str]:
    """What a study cannot lead to, said before the night and not after it."""
    study, notes = inputs.study, []
    train = sum(part == TRAIN for part in inputs.role_split.values())
    if not _enough_rows(train, study) or len(inputs.values) < 2:
        notes.append(
            f"{train} training roles and {len(inputs.values)} values are too few for a graph (at least "
            f"{MIN_ROWS} roles in a replicate, 2 values): answers are stored, then discovery stops."
        )
    steered = any(condition.is_steered for condition in inputs.conditions)
    if steered and study.effects.roles != "all" and study.steer_roles not in ("all", study.effects.roles):
        notes.append(
            f"steered conditions are asked of the {study.steer_roles} roles and effects are tested on the "
            f"{study.effects.roles} roles: no effect of steering will be tested."
        )
    return notes


def _enough_rows(train: int, study: Study) -> bool:
    """Whether a replicate of `train` roles is large enough, by the rule that the bootstrap itself has."""
    try:
        rows_in_replicate(train, parse_resample(study.discovery.resample))
    except InputError:
        return False
    return True


def prepare_unsteered(study: Study, run: RunDir) -> Prepared:
    """As `prepare`, without resolving the steering: its plan holds the baseline only."""
    born = run.inputs().born if run.inputs_file.is_file() else None
    inputs = load_inputs(study, born)
    _check_items(inputs)
    source = resolve_model(study.model)
    builder = PromptBuilder(inputs.template, load_tokenizer(source))
    builder.check_plain(inputs.texts())
    config = load_config(source)
    identity = PlanIdentity(source.digest(), source.dtype, builder.digest, {})
    prepared = Prepared(
        study=study,
        inputs=inputs,
        source=source,
        builder=builder,
        directions=Directions(config.hidden_size, config.num_hidden_layers),
        operations={},
        plan=Plan(replace(inputs, conditions=inputs.conditions[:1]), identity),
        device=resolve_device(study.model.device),
    )
    _check_lengths(prepared, getattr(config, "max_position_embeddings", None))
    return prepared


def _check_items(inputs: Inputs) -> None:
    for role in inputs.roles:
        if not inputs.items_for(role):
            raise InputError(
                "study, field split.items",
                f"items for the {inputs.role_split[role.name]} roles",
                "none: every item fell into the other part",
                "Use values with more items, or another share.",
            )


def _check_lengths(prepared: Prepared, limit: int | None) -> None:
    """InputError when the longest prompts leave no room for an answer: now, not in hour six."""
    fields = _longest(prepared)
    prompts = prepared.build(fields)
    longest = max(range(len(prompts)), key=lambda i: len(prompts[i].ids))
    length = len(prompts[longest].ids)
    room = answer_room(prepared.worker_config(), length, len(prompts[longest].cued))
    if limit is not None and length + room > limit:
        raise InputError(
            f"study, prompt of role '{fields[longest].role_name}', question '{fields[longest].question}'",
            f"at most {limit} tokens, the model's length",
            f"{length} of the prompt and up to {room} of the answer",
            "Shorten the role texts, the hints or sampling.max_tokens.",
        )


def _longest(prepared: Prepared) -> list[PromptFields]:
    """Of every unsteered condition, the fields with the longest texts by their tokens."""
    inputs = prepared.inputs

    def longest(texts: Sequence[str]) -> list[int]:
        tokens = prepared.builder.tokenizer(texts, add_special_tokens=False)["input_ids"]
        lengths = [len(ids) for ids in tokens]
        return sorted(range(len(texts)), key=lengths.__getitem__)[-3:]

    roles = [inputs.roles[i] for i in longest([f"{role.text} {role.name}" for role in inputs.roles])]
    fields = []
    for condition in (c for c in inputs.conditions if not c.is_steered):
        texts = [f"{inputs.hint_text(condition, i)} {i.question} {i.value}" for i in inputs.items]
        items = [inputs.items[i] for i in longest(texts)]
        fields += [inputs.fields(role, condition, item) for role in roles for item in items]
    return fields


def _scales(prepared: Prepared, run: RunDir, measure: bool) -> Scales:
    """Recorded scales, with the residual norms that the study needs and the run does not hold yet."""
    operations = [point for condition in prepared.inputs.conditions for point in condition.operations]
    # Finding the hook points loads the SAEs, whose digests are needed as well.
    hook_points = {point: prepared.directions.hook_point(point) for point in operations}
    points = {place for point, place in hook_points.items() if point.unit == "residual_norm"}
    source = prepared.measured_on
    known = load_scales(run.features_file, run.scales_file, source, prepared.directions.digests)
    missing = sorted((p for p in points if str(p) not in known.residual_norm), key=str)
    if not missing:
        return known
    if not measure:
        return replace(known, residual_norm={**known.residual_norm, **{str(p): 1.0 for p in missing}})
    model = load_model(prepared.source, prepared.device)
    prompts = prepared.sample_prompts(RESIDUAL_NORM_PROMPTS)
    batch_size = prepared.study.sampling.batch_size
    measured = measure_residual_norms(model, prompts, missing, batch_size)
    # The worker comes next, and vLLM takes the memory that it finds free.
    del model
    release_memory(prepared.device)
    # Norms recorded before stay as they are: stored answers were steered with them.
    save_norms({**known.residual_norm, **measured}, run.scales_file, source)
    return replace(known, residual_norm={**known.residual_norm, **measured})


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
            fields = [
                prepared.inputs.fields(
                    roles[row["role"]], conditions[row["condition"]], items[row["item_id"]]
                )
                for row in rows
            ]
            prompts = prepared.build(fields)
            yield _request_table(rows, prompts)


def _request_table(rows: Sequence[dict[str, Any]], prompts: Sequence[Prompt]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in REQUEST_SCHEMA.names[:5]}
    columns["prompt_ids"] = [prompt.ids for prompt in prompts]
    columns["span"] = [prompt.span for prompt in prompts]
    columns["span_text"] = [prompt.span_text for prompt in prompts]
    columns["cued_ids"] = [prompt.cued for prompt in prompts]
    return pa.Table.from_pydict(columns, schema=REQUEST_SCHEMA)
