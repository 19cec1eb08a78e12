"""The side of the model in a preparation: a model on this machine, or one that a server answers for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from axiograph.engine.errors import InputError
from axiograph.engine.openai.model import ServedModel, served_model
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.messages import MessageBuilder
from axiograph.engine.prompting.prompts import PromptBuilder, TextBuilder
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import Study
from axiograph.engine.workers.machine import device_name
from axiograph.engine.workers.models import (
    ModelSource,
    load_config,
    load_tokenizer,
    resolve_device,
    resolve_model,
)
from axiograph.steering.directions.operations import Directions
from axiograph.steering.directions.steered_model import steered_model

# Calls a function on a machine that has what the workers have: its device, its libraries.
Near = Callable[..., Any]


@dataclass(frozen=True)
class ModelSide:
    """`device`: where it is loaded, and `device_name` as stored rows name it (of a server: the model that
    answered before, "" where none has); `max_length`: in tokens, None where it is not known."""

    source: ModelSource
    builder: TextBuilder
    directions: Directions
    device: str
    device_name: str
    max_length: int | None


def refuse_served(study: Study, what: str) -> None:
    """InputError where a server answers, and `what` needs a model whose tokens and stream can be reached."""
    if study.model.served:
        raise InputError(
            "study, field model.backend",
            f"a model on this machine (hub or path) for {what}",
            "openai: a server answers",
            "Leave it out, or ask a model of your own.",
        )


def model_side(inputs: Inputs, run: RunDir, near: Near) -> ModelSide:
    """Of the study of `inputs`, without loading any weights. InputError where it cannot be had."""
    spec = inputs.study.model
    if spec.served:
        return _served(inputs, run)
    source = resolve_model(spec)
    builder = PromptBuilder(inputs.template, load_tokenizer(source))
    config = load_config(source)
    device, hardware = near(_device, spec.device)
    directions = Directions(config.hidden_size, config.num_hidden_layers, steered_model(source, config))
    limit = getattr(config, "max_position_embeddings", None)
    return ModelSide(source, builder, directions, device, hardware, limit)


def text_builder(inputs: Inputs) -> TextBuilder:
    """What makes the prompts of a study."""
    spec = inputs.study.model
    if spec.served:
        return MessageBuilder(inputs.template, spec.arguments.get("continue_final_message") is True)
    return PromptBuilder(inputs.template, load_tokenizer(resolve_model(spec)))


def _served(inputs: Inputs, run: RunDir) -> ModelSide:
    builder = text_builder(inputs)  # first: it may refuse the template, and asks nobody
    source: ServedModel = served_model(inputs.study.model, inputs.template.chat)
    answering = _answered_before(run)
    return ModelSide(source, builder, Directions(0, 0), answering, answering, source.max_length)


def _answered_before(run: RunDir) -> str:
    """The model that the stored answers of a run are of, as the server named it; "" without any."""
    if not run.manifest_file.is_file():
        return ""
    for batch in run.store().batches(["device"]):
        if batch.num_rows:
            return str(batch["device"][0].as_py())
    return ""


def _device(wanted: str) -> tuple[str, str]:
    """(device, its name) of this machine for a study's `model.device`."""
    device = resolve_device(wanted)
    return device, device_name(device)
