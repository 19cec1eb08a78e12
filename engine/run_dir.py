"""The directory of a run: its manifest, its copy of the inputs, its plan, its responses and what follows."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import InputError, RunError
from engine.files import write_json
from engine.inputs import Inputs
from engine.snapshot import load_inputs_snapshot
from engine.store import ResponseStore

FORMAT = "axiograph-run"
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class RunDir:
    """Paths of one run. `open_run` and `create_run` check that it is one."""

    path: Path

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.json"

    @property
    def inputs_file(self) -> Path:
        return self.path / "inputs.json"

    @property
    def plan_file(self) -> Path:
        return self.path / "plan.parquet"

    @property
    def scales_file(self) -> Path:
        return self.path / "scales.json"

    @property
    def features_file(self) -> Path:
        return self.path / "features.parquet"

    @property
    def scores(self) -> Path:
        return self.path / "scores"

    @property
    def graph(self) -> Path:
        return self.path / "graph"

    @property
    def effects(self) -> Path:
        return self.path / "effects"

    def store(self) -> ResponseStore:
        return ResponseStore(self.path / "responses")

    def inputs(self) -> Inputs:
        return load_inputs_snapshot(self.inputs_file)

    def plan(self) -> pl.LazyFrame:
        """The rows of the plan (engine.plan.PLAN_SCHEMA); RunError when the file cannot be read."""
        try:
            pq.read_schema(self.plan_file)
        except (OSError, pa.ArrowInvalid) as error:
            raise RunError(
                str(self.plan_file),
                "the plan of the run",
                f"'{str(error).splitlines()[0]}'",
                "The responses beside it are intact: give the run command again, it writes the plan anew.",
            ) from error
        return pl.scan_parquet(self.plan_file)

    def manifest(self) -> dict[str, Any]:
        """The manifest; RunError when it cannot be read."""
        try:
            data = json.loads(self.manifest_file.read_text(encoding="utf-8"))
            if data["format"] != FORMAT or data["version"] != MANIFEST_VERSION:
                raise ValueError(f"format {data['format']} version {data['version']}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                str(self.manifest_file),
                f"an {FORMAT} manifest of version {MANIFEST_VERSION}",
                f"'{error}'",
                "The responses beside it are intact: give the run command with the study again.",
            ) from error
        return dict(data)

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        write_json(self.manifest_file, {"format": FORMAT, "version": MANIFEST_VERSION} | manifest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process writes to a run at a time; the lock goes when the process ends, however."""
        lock = self.path / ".lock"
        try:
            stream = lock.open("w")
        except OSError as error:
            raise InputError(
                f"output {self.path}",
                "a directory that may be written",
                str(error.strerror),
                "Choose another 'out' or --out.",
            ) from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(
                    f"run directory {self.path}",
                    "no other process writing to it",
                    "one that holds its lock",
                    "Wait for it (axiograph status shows how far it is), or use another --out.",
                ) from error
            yield


# What stands in a run before its manifest does: it may be stopped at any moment, also in its first second.
_BEFORE_MANIFEST = {
    ".lock",
    ".plan.new.parquet",
    "calibration",  # made before the run: whether it is worth its hours
    "features.parquet",
    "features.json",
    "inputs.json",
    "plan.parquet",
    "responses",
    "scales.json",
    "study.yaml",  # a study may lie in the directory of its run ('out: .'), as that of the demonstration does
}


def _is_own(name: str) -> bool:
    return name in _BEFORE_MANIFEST or (name.startswith(".") and name.endswith(".tmp"))


def open_run(path: Path) -> RunDir:
    """An existing run; InputError when `path` is none."""
    run = RunDir(path)
    if not run.manifest_file.is_file():
        raise InputError(
            f"run directory {path}",
            "a directory that `axiograph run` has written",
            "no manifest.json" if path.is_dir() else "no such directory",
            "Give the directory that the run command named ('out' in the study).",
        )
    run.manifest()
    return run


def create_run(path: Path) -> RunDir:
    """The run at `path`, new or existing; InputError when something else is there."""
    run = RunDir(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"output {path}", "a directory", "a file", "Choose another 'out' or --out.")
    foreign = [] if not path.is_dir() else [p.name for p in path.iterdir() if not _is_own(p.name)]
    if not run.manifest_file.is_file() and foreign:
        raise InputError(
            f"output {path}",
            "an empty directory or a run of axiograph",
            f"other files ({', '.join(sorted(foreign)[:3])})",
            "Choose another 'out' or --out: nothing there was touched.",
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"output {path}", "a directory that can be made", str(error.strerror), "Choose another 'out'."
        ) from error
    return run
