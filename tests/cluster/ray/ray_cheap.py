"""Workers that cost nothing and misbehave on request, for what Ray does with them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from axiograph.cluster.ray.executor import RayExecutor
from axiograph.cluster.sampling.executors import Kind
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.errors import RunError
from axiograph.engine.plan.rows import PLAN_SCHEMA
from axiograph.engine.runs.store import RESPONSE_SCHEMA

ASKED = ("request_id", "role", "condition", "item_id", "repeat")


@dataclass(frozen=True)
class CheapRecipe:
    """`name` is written into the answers. What happens to an item is said by its id: see `_misbehave`."""

    name: str
    marks: Path
    seconds: float = 0.0
    backend: str = "hf"
    gpus: int = 1
    config: Any = field(default_factory=lambda: SimpleNamespace(source=SimpleNamespace(folder=Path("none"))))

    def make(self) -> CheapWorker:
        return CheapWorker(self)


class CheapWorker:
    def __init__(self, recipe: CheapRecipe) -> None:
        self._recipe = recipe

    def __call__(self, requests: pa.Table) -> pa.Table:
        time.sleep(self._recipe.seconds)
        for item in requests["item_id"].to_pylist():
            self._misbehave(item)
        rows = requests.select(ASKED).to_pylist()
        recipe = self._recipe
        about = {"state": "yes", "finish": "complete", "backend": recipe.backend, "device": recipe.name}
        numbers = {"prompt_tokens": 3, "new_tokens": 2, "steered_tokens": 0}
        return pa.Table.from_pylist(
            [row | about | numbers | {"text": f"about {row['item_id']}"} for row in rows],
            schema=RESPONSE_SCHEMA,
        )

    def _misbehave(self, item: str) -> None:
        if item.startswith("kills"):
            os.kill(os.getpid(), signal.SIGKILL)
        if item.startswith("raises"):
            raise ValueError(f"no answer to {item}")
        if item.startswith("ends"):
            raise RunError("proof of steering", "a proof", "none", "Report it.")
        if item.startswith("hangs") and self._first(item):
            signal.pause()
        if item.startswith("stops") and self._first(item):
            os.kill(os.getpid(), signal.SIGSTOP)

    def _first(self, item: str) -> bool:
        mark = self._recipe.marks / item
        if mark.exists():
            return False
        mark.touch()
        return True


@dataclass(frozen=True)
class CheapJob:
    recipe: CheapRecipe
    ledger: Any
    stall_s: float
    shared: bool = False

    def open(self) -> tuple[Any, CheapWorker]:
        return (lambda rows: rows), self.recipe.make()


class CheapExecutor(RayExecutor):
    def _job(self, kind: Kind) -> Any:
        return CheapJob(kind.recipe, self._ledger, self.options.stall_s)


def plan(items: list[str], roles: list[str], condition: str = "baseline") -> list[pa.RecordBatch]:
    """Every role is asked every item; the id says which."""
    rows = [
        {"request_id": f"{r:06d}{i:010d}".encode(), "role": role, "condition": condition, "item_id": item,
         "repeat": 0, "split": "train"}
        for r, role in enumerate(roles) for i, item in enumerate(items)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PLAN_SCHEMA).combine_chunks().to_batches()


def failing_builder(rows: pa.Table) -> pa.Table:
    """What the driver asks for rows that failed: only the length of the prompt is of interest."""
    return rows.append_column("prompt_ids", pa.array([[1, 2]] * rows.num_rows))


def ask(
    executor: RayExecutor, batches: list[pa.RecordBatch], rows_per_table: int = 32
) -> list[dict[str, Any]]:
    tables = executor.run(Requests(failing_builder, batches, rows_per_table))
    return [row for table in tables for row in table.to_pylist()]
