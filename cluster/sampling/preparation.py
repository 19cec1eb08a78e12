"""Preparation: a study with its model, turned into a plan and into what workers need.

Nothing is asked yet. What would end the run in its sixth hour, such as a prompt that leaves no room for its
answer, is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from axiograph.cluster.sampling.executors import Kind, WorkerRecipe
from axiograph.cluster.sampling.model_side import Near, model_side, refuse_served
from axiograph.cluster.sampling.prompt_checks import check_prompts, prompt_notes
from axiograph.cluster.sampling.requests import RequestBuilder
from axiograph.discovery.pc.inputs import MIN_ROWS
from axiograph.discovery.resampling.rows import parse_resample, rows_in_replicate
from axiograph.engine.answers.parsing import Lead, lead_of
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest
from axiograph.engine.openai.model import ServedModel
from axiograph.engine.plan.inputs import Inputs, load_inputs
from axiograph.engine.plan.rows import Plan, PlanIdentity
from axiograph.engine.prompting.prompts import Prompt, PromptBuilder, PromptFields, TextBuilder
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.conditions import keep_negative_controls
from axiograph.engine.study.schema import Study
from axiograph.engine.study.split import TRAIN
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.models import ModelSource, load_model, release_memory
from axiograph.engine.workers.spelled_scales import SpelledScale, spelled_scale
from axiograph.engine.workers.spellings import spelling_ids
from axiograph.engine.workers.worker import Worker, WorkerConfig, answer_room
from axiograph.steering.backend import HF, Choice, choose_backend
from axiograph.steering.directions.operations import (
    Directions,
    Operation,
    Scales,
    resolve_conditions,
    steering_digests,
)
from axiograph.steering.directions.provenance import direction_notes
from axiograph.steering.hf.measurement import load_scales, measure_residual_norms, save_norms
from axiograph.steering.hf.worker import check_spans

RESIDUAL_NORM_PROMPTS = 256


def in_process(function: Callable[..., Any], *args: Any) -> Any:
    """The Near of a run whose workers are in this process."""
    return function(*args)


@dataclass(frozen=True)
class Prepared:
    """Everything between a study and its first answer.

    `device_name`: the hardware behind `device`, as stored rows name it. `unsteered`: the backend of roles
    that are never steered, where it is another than that of the rest.
    """

    study: Study
    inputs: Inputs
    source: ModelSource
    builder: TextBuilder
    directions: Directions
    operations: dict[str, tuple[Operation, ...]]
    plan: Plan
    device: str
    backend: Choice = HF
    device_name: str = ""
    unsteered: Choice | None = None

    @property
    def tokens(self) -> PromptBuilder:
        """The builder of a model on this machine; InputError where a server has the tokenizer."""
        refuse_served(self.study, "what reads tokens")
        assert isinstance(self.builder, PromptBuilder)
        return self.builder

    @property
    def request_builder(self) -> RequestBuilder:
        return RequestBuilder(self.inputs, self.builder)

    @property
    def measured_on(self) -> str:
        """What scales are measured on: they hold for this model, dtype, template and tokenizer only."""
        identity = self.plan.identity
        return digest(identity.model, identity.dtype.encode(), identity.prompt).hex()

    def make_worker(self) -> Worker:
        """The one worker of a run in this process."""
        return self._recipe(self.backend, self.operations).make()

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of workers that the roles are divided among; which one a role has, the study decides."""
        steered = self._recipe(self.backend, self.operations)
        if self.unsteered is None:
            return (Kind("steered" if self.operations else "plain", steered),)
        roles = _steered_roles(self.inputs)
        others = frozenset(role.name for role in self.inputs.roles) - roles
        plain = self._recipe(self.unsteered, {})
        return Kind("plain", plain, others), Kind("steered", steered, roles)

    def _recipe(self, choice: Choice, operations: dict[str, tuple[Operation, ...]]) -> WorkerRecipe:
        conditions = frozenset(condition.name for condition in self.inputs.conditions)
        return WorkerRecipe(
            choice.name, self.worker_config(), self.study.model.engine_args, operations, conditions
        )

    def notes(self) -> list[str]:
        """What a person should know of the prompts and of what is steered: directions that were made on
        another model or elsewhere in this one among it; and why the study does not run on vLLM, where it
        would have been taken."""
        identity = self.plan.identity
        notes = [*prompt_notes(self.inputs, self.builder), *self.directions.notes]
        if isinstance(self.source, ServedModel):
            notes += self.source.notes
        notes += direction_notes(self.inputs.conditions, self.source.name, identity.model, identity.prompt)
        if (reason := self.backend.why_not) is not None:
            who = "" if self.unsteered is None else " for the roles that are steered"
            notes.append(f"transformers answers (backend hf){who}, and not vLLM: {reason}.")
        return notes

    def worker_config(self) -> WorkerConfig:
        yes, no = ((), ()) if self.study.model.served else spelling_ids(self.tokens)
        return WorkerConfig(
            source=self.source,
            device=self.device,
            sampling=self.study.sampling,
            scoring=self.study.scoring,
            yes_ids=yes,
            no_ids=no,
            canary=self.canary(),
            steered=frozenset(self.operations),
            scales=self._scales(),
            cue_ids=self._cue_ids(),
            thinking=self.thinking,
        )

    def _scales(self) -> dict[str, SpelledScale]:
        """The answer scales of the items; how a server's model spells them, nobody knows."""
        scales = self.inputs.scales
        if self.study.model.served:
            return {name: SpelledScale(shown, {}, {}) for name, shown in scales.items()}
        return {name: spelled_scale(shown, self.tokens.continuation) for name, shown in scales.items()}

    def _cue_ids(self) -> tuple[int, ...]:
        """The answer cue as it follows a thought, behind which options are read."""
        mode, thinks = self.study.scoring.mode, self.study.prompt.thinks
        if mode == "generate" or (mode == "logprob" and not thinks):
            return ()
        return tuple(self.tokens.continuation(self.study.prompt.answer_cue))

    def build(self, fields: Sequence[PromptFields]) -> list[Prompt]:
        """Prompts of the study's scoring mode (cluster.sampling.requests)."""
        return self.request_builder.build(fields)

    @property
    def lead(self) -> Lead:
        """What the prompts lead to: their ends are the template's; behind a thought, a turn of its own."""
        return lead_of(self.canary().text) if self.thinking is None else "open"

    @property
    def thinking(self) -> Thinking | None:
        """The tags of thoughts, where the study says that the model thinks."""
        spec = self.study.prompt
        return Thinking.of(spec.tags, self.canary().text) if spec.thinks else None

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


def prepare(
    study: Study, run: RunDir, measure: bool = True, near: Near = in_process, mixed: bool = False
) -> Prepared:
    """Check everything that can be checked before the model is loaded, and make the plan.

    `run` is where recorded scales (features run, residual norms) are read, and measured norms kept unless
    `measure` is off; then norms that are not recorded count as 1, which is enough for counting requests.
    `near` calls what needs the workers' machine. `mixed`: roles that are never steered may have a backend of
    their own, where `backend: auto` finds a faster one for them.
    """
    prepared = prepare_unsteered(study, run, near)
    scales = _scales(prepared, run, measure, near)
    operations = resolve_conditions(prepared.inputs.conditions, prepared.directions, scales)
    check_spans(operations, study.scoring.mode, prepared.directions.n_layers)
    backend = near(choose_backend, study.model, prepared.source, prepared.device, operations)
    unsteered = _unsteered_backend(prepared, backend, near) if mixed and operations else None
    for choice in (backend, unsteered):
        if choice is not None and choice.max_length is not None:
            check_lengths(prepared, choice.max_length)
    identity = replace(prepared.plan.identity, steering=steering_digests(operations))
    plan = Plan(prepared.inputs, identity)
    return replace(prepared, operations=operations, plan=plan, backend=backend, unsteered=unsteered)


def _unsteered_backend(prepared: Prepared, steered: Choice, near: Near) -> Choice | None:
    """vLLM for the roles that are never steered, where only the steering stood against it."""
    spec = prepared.study.model
    roles = _steered_roles(prepared.inputs)
    if spec.backend != "auto" or steered.name != "hf" or len(roles) == len(prepared.inputs.roles):
        return None
    choice: Choice = near(choose_backend, spec, prepared.source, prepared.device, {})
    return None if choice.name == "hf" else choice


def _steered_roles(inputs: Inputs) -> frozenset[str]:
    """The roles that are asked under some steering."""
    steered = [condition for condition in inputs.conditions if condition.is_steered]
    return frozenset(role.name for role in inputs.roles if any(inputs.asks(role, c) for c in steered))


def study_notes(inputs: Inputs) -> list[str]:
    """What a study cannot lead to, said before the night and not after it."""
    study, notes = inputs.study, []
    train = _training_roles(inputs)
    if not enough_for_a_graph(inputs):
        notes.append(
            f"{train} training roles and {len(inputs.values)} values are too few for a graph (at least "
            f"{MIN_ROWS} roles in a replicate, 2 values): answers are stored, and effects of conditions are "
            "tested without one."
        )
    steered = any(condition.is_steered for condition in inputs.conditions)
    if steered and study.effects.roles != "all" and study.steer_roles not in ("all", study.effects.roles):
        notes.append(
            f"steered conditions are asked of the {study.steer_roles} roles and effects are tested on the "
            f"{study.effects.roles} roles: no effect of steering will be tested."
        )
    return notes


def enough_for_a_graph(inputs: Inputs) -> bool:
    """Whether there are roles and values enough for a graph, whatever they answer."""
    return len(inputs.values) >= 2 and _enough_rows(_training_roles(inputs), inputs.study)


def _training_roles(inputs: Inputs) -> int:
    return sum(part == TRAIN for part in inputs.role_split.values())


def _enough_rows(train: int, study: Study) -> bool:
    """Whether a replicate of `train` roles is large enough, by the rule that the bootstrap itself has."""
    try:
        rows_in_replicate(train, parse_resample(study.discovery.resample))
    except InputError:
        return False
    return True


def prepare_unsteered(study: Study, run: RunDir, near: Near = in_process) -> Prepared:
    """As `prepare`, without resolving the steering: its plan holds the baseline only."""
    previous = run.inputs() if run.inputs_file.is_file() else None
    if previous is not None:
        study = keep_negative_controls(study, previous.conditions)
    inputs = load_inputs(study, None if previous is None else previous.generations)
    _check_items(inputs)
    side = model_side(inputs, run, near)
    side.builder.check_plain(inputs.texts())
    check_prompts(inputs, side.builder)
    identity = PlanIdentity(side.source.digest(), study.model.dtype, side.builder.digest, {})
    prepared = Prepared(
        study=study,
        inputs=inputs,
        source=side.source,
        builder=side.builder,
        directions=side.directions,
        operations={},
        plan=Plan(replace(inputs, conditions=inputs.conditions[:1]), identity),
        device=side.device,
        device_name=side.device_name,
    )
    check_lengths(prepared, side.max_length)
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


def _scales(prepared: Prepared, run: RunDir, measure: bool, near: Near) -> Scales:
    """Recorded scales, with the residual norms that the study needs and the run does not hold yet."""
    operations = [op for condition in prepared.inputs.conditions for op in condition.operations]
    # Finding the hook points loads the SAEs, whose digests are needed as well.
    hook_points = {op: prepared.directions.hook_point(op) for op in operations}
    points = {point for op, point in hook_points.items() if op.unit == "residual_norm"}
    source = prepared.measured_on
    recorded = load_scales(run.features_file, run.scales_file, source, prepared.directions.digests)
    missing = sorted((p for p in points if str(p) not in recorded.residual_norm), key=str)
    if not missing:
        return recorded
    if not measure:
        return replace(recorded, residual_norm={**recorded.residual_norm, **{str(p): 1.0 for p in missing}})
    prompts = prepared.sample_prompts(RESIDUAL_NORM_PROMPTS)
    batch_size = prepared.study.sampling.batch_size
    measured = near(_measure_norms, prepared.source, prepared.device, prompts, missing, batch_size)
    # Norms recorded before stay as they are: stored answers were steered with them.
    save_norms({**recorded.residual_norm, **measured}, run.scales_file, source)
    return replace(recorded, residual_norm={**recorded.residual_norm, **measured})


def _measure_norms(
    source: ModelSource,
    device: str,
    prompts: Sequence[Prompt],
    points: Sequence[HookPointSpec],
    batch_size: int,
) -> dict[str, float]:
    model = load_model(source, device)
    try:
        return dict(measure_residual_norms(model, prompts, points, batch_size))
    finally:
        # The worker comes next, and vLLM takes the memory that it finds free.
        del model
        release_memory(device)


def check_lengths(prepared: Prepared, limit: int | None) -> None:
    """InputError when the longest prompts leave no room for an answer: now, not in hour six. (Of a server's
    model, whose tokens nobody counts here, requests that are too long become failed rows.)"""
    if prepared.study.model.served:
        return
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
        tokens = prepared.tokens.tokenizer(texts, add_special_tokens=False)["input_ids"]
        lengths = [len(ids) for ids in tokens]
        return sorted(range(len(texts)), key=lengths.__getitem__)[-3:]

    roles = [inputs.roles[i] for i in longest([f"{role.text} {role.name}" for role in inputs.roles])]
    fields = []
    for condition in (c for c in inputs.conditions if not c.is_steered):
        texts = [f"{inputs.hint_text(condition, i)} {i.question} {i.value}" for i in inputs.items]
        items = [inputs.items[i] for i in longest(texts)]
        fields += [inputs.fields(role, condition, item) for role in roles for item in items]
    return fields
