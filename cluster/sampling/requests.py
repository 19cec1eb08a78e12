"""Requests: plan rows with tokens. Only here does one become the other, in whichever process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.options import Order
from axiograph.engine.prompting.prompts import Prompt, PromptFields, TextBuilder
from axiograph.engine.study.conditions import Condition
from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.roles import Role
from axiograph.engine.workers.worker import REQUEST_SCHEMA


@dataclass(frozen=True)
class RequestBuilder:
    """Turns plan rows (the first five columns of REQUEST_SCHEMA) into requests."""

    inputs: Inputs
    builder: TextBuilder

    @cached_property
    def _named(self) -> tuple[dict[str, Role], dict[str, Condition], dict[str, Item]]:
        inputs = self.inputs
        return (
            {role.name: role for role in inputs.roles},
            {condition.name: condition for condition in inputs.conditions},
            {item.item_id: item for item in inputs.items},
        )

    def __call__(self, plan: pa.Table | pa.RecordBatch) -> pa.Table:
        """One request (REQUEST_SCHEMA) for each row, in order; InputError when a span cannot be found."""
        roles, conditions, items = self._named
        rows = plan.select(REQUEST_SCHEMA.names[:5]).to_pylist()
        asked = [
            (roles[row["role"]], conditions[row["condition"]], items[row["item_id"]], row["repeat"])
            for row in rows
        ]
        prompts = self.build([self.inputs.fields(*request) for request in asked])
        return _request_table(rows, prompts, [self._options(*request) for request in asked])

    def _options(self, role: Role, condition: Condition, item: Item, repeat: int) -> tuple[str, Order]:
        """The scale of a request and the order in which its options are shown; ("", ()) without one."""
        return ("" if item.scale is None else item.scale.name), self.inputs.order(role, item, repeat)

    def build(self, fields: Sequence[PromptFields]) -> list[Prompt]:
        """Prompts of the study's scoring mode: with the answer cue behind them where it is scored."""
        study = self.inputs.study
        cue = study.prompt.answer_cue if study.scoring.reads_options else None
        return self.builder.build(fields, cue)


@dataclass(frozen=True)
class _OfRoles:
    plan: Iterable[pa.RecordBatch]
    wanted: Callable[[str], bool]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.plan:
            names = batch["role"].dictionary.to_pylist()
            mask = np.array([self.wanted(name) for name in names], bool)[batch["role"].indices.to_numpy()]
            if mask.any():
                yield batch.filter(pa.array(mask))


def _request_table(
    rows: Sequence[dict[str, Any]], prompts: Sequence[Prompt], options: Sequence[tuple[str, Order]]
) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in REQUEST_SCHEMA.names[:5]}
    columns["prompt_ids"] = [prompt.ids for prompt in prompts]
    columns["span"] = [prompt.span for prompt in prompts]
    columns["span_text"] = [prompt.span_text for prompt in prompts]
    columns["cued_ids"] = [prompt.cued for prompt in prompts]
    columns["scale"] = [scale for scale, _ in options]
    columns["order"] = [order for _, order in options]
    columns["messages"] = [
        [{"role": role, "content": content} for role, content in prompt.messages] for prompt in prompts
    ]
    return pa.Table.from_pydict(columns, schema=REQUEST_SCHEMA)


# Tables that took less are doubled, those that took more are halved again.
QUICK_S, SLOW_S = 20.0, 60.0
MOST_ROWS = 8192


@dataclass(frozen=True)
class Requests:
    """What is to be asked; `plan` can be gone through again. As an iterable: tables of REQUEST_SCHEMA,
    `rows_per_table` rows each, tokenised here; an executor whose workers run elsewhere takes the `plan` rows
    instead and lets them do that. `growing`: tables become larger as long as they are answered quickly, so
    that the last rows of a table seldom have a device to themselves, and a crash still costs little."""

    request_builder: RequestBuilder
    plan: Iterable[pa.RecordBatch]
    rows_per_table: int
    growing: bool = False

    def of_roles(self, wanted: Callable[[str], bool]) -> Requests:
        """Those of the roles that are `wanted`; their tables are the smaller for it."""
        return replace(self, plan=_OfRoles(self.plan, wanted))

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """The plan rows of each table."""
        size = self.rows_per_table
        for batch in self.plan:
            start = 0
            while start < batch.num_rows:
                block = batch.slice(start, size)
                began = time.monotonic()
                yield block
                start += block.num_rows
                if self.growing:
                    size = self._resized(size, time.monotonic() - began)

    def __iter__(self) -> Iterator[pa.Table]:
        return map(self.request_builder, self.blocks())

    def _resized(self, size: int, seconds: float) -> int:
        """The size of the next table, after one of `size` was answered (or queued) in so many seconds."""
        if seconds < QUICK_S:
            return max(size, min(2 * size, MOST_ROWS))
        return max(size // 2, self.rows_per_table) if seconds > SLOW_S else size
