"""Looking into a run: how far it is, and the exact prompt, tokens, steering and raw answer of one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from axiograph.cluster.sampling.model_side import text_builder
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.plan.rows import Plan, PlanIdentity
from axiograph.engine.prompting.prompts import Prompt, PromptBuilder, TextBuilder
from axiograph.engine.runs.pending import pending
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.questionnaire import Item


@dataclass(frozen=True)
class Status:
    """Planned and stored requests, all and by condition (condition, planned, stored)."""

    planned: int
    stored: int
    duplicates: int
    parts: int
    conditions: pl.DataFrame
    updated: str


def status(run: RunDir) -> Status:
    """Progress from the files alone, also while another process writes them."""
    store, todo = run.store(), pending(run)
    rows = [(name, planned, planned - left) for name, (planned, left) in todo.conditions.items()]
    table = pl.DataFrame(rows, schema=["condition", "planned", "stored"], orient="row")
    order = {condition.name: i for i, condition in enumerate(run.inputs().conditions)}
    # A condition that is in the plan alone: another process is just installing a new one.
    table = table.sort(pl.col("condition").replace_strict(order, default=len(order), return_dtype=pl.Int64))
    return Status(
        planned=todo.planned,
        stored=todo.already,
        duplicates=max(0, store.rows() - len(todo.stored)),
        parts=len(store.parts()),
        conditions=table,
        updated=str(run.manifest().get("updated", "")),
    )


def find_responses(
    run: RunDir, state: str | None, condition: str | None, role: str | None, limit: int
) -> pl.DataFrame:
    """The first `limit` responses that fit: id (hex), role, condition, item_id, state, text."""
    frame = labelled_responses(run)
    for column, wanted in (("state", state), ("condition", condition), ("role", role)):
        if wanted is not None:
            frame = frame.filter(pl.col(column).cast(pl.String) == wanted)
    strings = pl.col("role", "condition", "item_id", "state").cast(pl.String)
    identifier = pl.col("request_id").cast(pl.Binary).bin.encode("hex").alias("id")
    return frame.select(identifier, strings, "text").head(limit).collect()


def labelled_responses(run: RunDir) -> pl.LazyFrame:
    """All responses with the role, condition, item and repeat of the plan: a study may have renamed them
    since they were stored. Of the plan rows that share a request the first counts."""
    names = ("role", "condition", "item_id")
    plan = run.plan().select("request_id", pl.col(names).cast(pl.String), "repeat")
    first = plan.unique("request_id", keep="first", maintain_order=True)
    stored = run.store().scan().drop(*names, "repeat")
    return stored.join(first, on="request_id", how="inner", maintain_order="left")


@dataclass(frozen=True)
class ResponseDetail:
    """One response in full. `row`: as it is stored; `text`, `ids`, `span`: what the model read, with the
    positions of the span; `tokens`: the ids decoded one by one; `thinks`: whether the model does before it
    answers."""

    row: dict[str, Any]
    item: Item
    text: str
    ids: tuple[int, ...]
    span: tuple[int, ...]
    tokens: tuple[str, ...]
    thinks: bool = False

    @property
    def is_scored(self) -> bool:
        """Whether its log-odds are the answer: then the prompt ends with the answer cue and nothing was
        generated."""
        return behind_cue(self.row, self.thinks)


def behind_cue(row: Mapping[str, Any], thinks: bool) -> bool:
    """Whether what a response says was read behind the answer cue and an empty thought."""
    return row["mode"] == "logprob" and not row["fallback"] and not thinks


def find_response(run: RunDir, identifier: str) -> ResponseDetail:
    """The response with this id (hex, or the beginning of it). The prompt is built again from the run's own
    inputs, and proven to be the one that was asked: its id, which covers every text and setting, must come
    out equal.

    InputError where not exactly one response fits, RunError where the prompt is another one."""
    row = _find(run, identifier)
    inputs = run.inputs()
    builder = text_builder(inputs)
    prompt = _prompt(run, inputs, builder, row)
    item = next(item for item in inputs.items if item.item_id == row["item_id"])
    text, ids = prompt.text, prompt.ids
    thinks = inputs.study.prompt.thinks
    if behind_cue(row, thinks):
        # Behind an empty thought: the cue was part of what the model read.
        text, ids = text + inputs.study.prompt.answer_cue, prompt.cued
    tokens: tuple[str, ...] = ()  # a server's are not known
    if isinstance(builder, PromptBuilder):
        tokens = tuple(builder.tokenizer.decode([i]) for i in ids)
    return ResponseDetail(row, item, text, tuple(ids), tuple(prompt.span), tokens, thinks)


def _find(run: RunDir, identifier: str) -> dict[str, Any]:
    try:
        prefix = bytes.fromhex(identifier if len(identifier) % 2 == 0 else identifier[:-1])
    except ValueError:
        prefix = b""
    text = identifier.lower()
    frame = labelled_responses(run).with_columns(hex=pl.col("request_id").cast(pl.Binary).bin.encode("hex"))
    rows = frame.filter(pl.col("hex").str.starts_with(text)).head(2).collect() if prefix else pl.DataFrame()
    if rows.height != 1:
        raise InputError(
            f"response id '{identifier}'",
            f"(the beginning of) the id of one response in {run.where}",
            "several" if rows.height else "none",
            "Give more digits; `axiograph show DIR` lists responses with their ids.",
        )
    return rows.drop("hex").row(0, named=True)


def _prompt(run: RunDir, inputs: Inputs, builder: TextBuilder, row: dict[str, Any]) -> Prompt:
    identity = run.manifest()["identity"]
    plan = Plan(
        inputs,
        PlanIdentity(
            bytes.fromhex(identity["model"]),
            inputs.study.model.dtype,
            builder.digest,
            {name: bytes.fromhex(value) for name, value in identity["steering"].items()},
        ),
    )
    role = next(role for role in inputs.roles if role.name == row["role"])
    condition = next(c for c in inputs.conditions if c.name == row["condition"])
    item = next(item for item in inputs.items if item.item_id == row["item_id"])
    if plan.request_id(role, condition, item, row["repeat"]) != row["request_id"]:
        raise RunError(
            f"response {row['request_id'].hex()}",
            "a prompt with the id of the stored answer",
            "another one",
            "The tokenizer or the inputs of the run have changed since; run the study again to see where.",
        )
    cue = inputs.study.prompt.answer_cue if behind_cue(row, inputs.study.prompt.thinks) else None
    return builder.build([inputs.fields(role, condition, item, row["repeat"])], cue)[0]
