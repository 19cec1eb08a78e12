"""Responses as a frame for people: hex ids, and the texts of items and roles beside their names."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.sampling.inspection import labelled_responses
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.run_dir import RunDir

TEXTS = ("id", "role", "role_text", "condition", "item_id", "value", "question", "agreement", "repeat")


def scan_responses(run: RunDir) -> pl.LazyFrame:
    """All responses, lazily: `id` (hex), role and its text, condition, item with value, question and keying,
    then the columns of the store (state, reason, text, log_odds, …: see the data dictionary)."""
    inputs = run.inputs()
    names = pl.col("role", "condition", "item_id").cast(pl.String)
    frame = labelled_responses(run).with_columns(
        names, id=pl.col("request_id").cast(pl.Binary).bin.encode("hex")
    )
    frame = frame.join(_roles(inputs).lazy(), on="role", how="left", maintain_order="left")
    frame = frame.join(_items(inputs).lazy(), on="item_id", how="left", maintain_order="left")
    return frame.select(*TEXTS, pl.exclude(*TEXTS, "request_id"))


def _roles(inputs: Inputs) -> pl.DataFrame:
    rows = [(role.name, role.text) for role in inputs.roles]
    return pl.DataFrame(rows, schema={"role": pl.String, "role_text": pl.String}, orient="row")


def _items(inputs: Inputs) -> pl.DataFrame:
    frame = inputs.items_frame().select("item_id", "value", "agreement")
    questions = {item.item_id: item.question for item in inputs.items}
    return frame.with_columns(
        pl.col("item_id", "value").cast(pl.String),
        question=pl.col("item_id").cast(pl.String).replace_strict(questions, return_dtype=pl.String),
    )
