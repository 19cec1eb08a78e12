"""The directory of a run: its manifest, its copy of the inputs, its plan, its responses and what follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.plan.snapshot import load_inputs_snapshot
from axiograph.engine.runs.store import ResponseStore
from axiograph.engine.storage.files import write_json
from axiograph.engine.storage.lock import file_lock, object_lock
from axiograph.engine.storage.mirror import RESPONSES, Mirror
from axiograph.engine.storage.remote import RemoteFolder, is_remote

FORMAT = "axiograph-run"
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class RunDir:
    """Paths of one run. `open_run` and `create_run` check that it is one.

    Of a run in an object store `path` is a local copy of everything but the responses
    (engine.storage.mirror), which `publish` writes back; `where` is what a person is told."""

    path: Path
    mirror: Mirror | None = field(default=None, compare=False, repr=False)

    @property
    def where(self) -> str:
        """The directory or the address of the run."""
        return str(self.path if self.mirror is None else self.mirror.remote)

    def shown(self, path: Path) -> str:
        """Where the file `path` of the run is for a person: its address in an object store, or itself."""
        if self.mirror is None or not path.is_relative_to(self.path):
            return str(path)
        return f"{self.where}/{path.relative_to(self.path).as_posix()}"

    def publish(self) -> None:
        """Write what has changed to the object store; nothing to do where the run is on a disk."""
        if self.mirror is not None:
            self.mirror.publish()

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
        """The responses, on the disk or in the object store."""
        if self.mirror is not None:
            return ResponseStore(self.mirror.remote.folder(RESPONSES))
        return ResponseStore(self.path / RESPONSES)

    def inputs(self) -> Inputs:
        """The run's own copy of its inputs; RunError when it is damaged."""
        return load_inputs_snapshot(self.inputs_file)

    def plan(self) -> pl.LazyFrame:
        """The rows of the plan (engine.plan.rows.PLAN_SCHEMA); RunError when the file cannot be read."""
        try:
            pq.read_schema(self.plan_file)
        except (OSError, pa.ArrowInvalid) as error:
            raise RunError(
                self.shown(self.plan_file),
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
                self.shown(self.manifest_file),
                f"an {FORMAT} manifest of version {MANIFEST_VERSION}",
                f"'{error}'",
                "The responses beside it are intact: give the run command with the study again.",
            ) from error
        return dict(data)

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, at once or not at all; RunError when the disk is full."""
        write_json(self.manifest_file, {"format": FORMAT, "version": MANIFEST_VERSION} | manifest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process writes to a run at a time; engine.storage.lock says what holds it."""
        with file_lock(self.path) if self.mirror is None else object_lock(self.mirror.remote):
            yield


# What stands in a run before its manifest does: it may be stopped at any moment, also in its first second.
_BEFORE_MANIFEST = {
    ".clock",
    ".lock",
    ".plan.new.parquet",
    "calibration",  # made before the run: whether it is worth its hours
    "directions",  # made to be steered along
    "features.parquet",
    "features.json",
    "inputs.json",
    "pilot",  # which features to steer is looked for before the run
    "plan.parquet",
    "responses",
    "scales.json",
    "study.yaml",  # a study may lie in the directory of its run ('out: .'), as that of the demonstration does
}


def _is_own(name: str) -> bool:
    return name in _BEFORE_MANIFEST or (name.startswith(".") and name.endswith(".tmp"))


def run_at(location: Path | str) -> RunDir:
    """The run at `location`, a directory or an address, whether or not there is one. Nothing is written."""
    if not is_remote(location):
        return RunDir(Path(location))
    mirror = Mirror(RemoteFolder(str(location)))
    _refuse_foreign(str(location), [name for names in mirror.remote.entries() for name in names])
    mirror.fetch()
    return RunDir(mirror.path, mirror)


def open_run(location: Path | str) -> RunDir:
    """An existing run; InputError when `location` is none."""
    run = run_at(location)
    if not run.manifest_file.is_file():
        is_folder = run.mirror is None and run.path.is_dir()
        raise InputError(
            f"run directory {run.where}",
            "a directory that `axiograph run` has written",
            "no manifest.json" if is_folder or run.mirror else "no such directory",
            "Give the directory that the run command named ('out' in the study).",
        )
    run.manifest()
    return run


def create_run(location: Path | str) -> RunDir:
    """The run at `location`, new or existing; InputError when something else is there."""
    run = run_at(location)
    if run.mirror is not None:
        return run
    path = run.path
    if path.exists() and not path.is_dir():
        raise InputError(f"output {path}", "a directory", "a file", "Choose another 'out' or --out.")
    _refuse_foreign(str(path), [p.name for p in path.iterdir()] if path.is_dir() else [])
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"output {path}", "a directory that can be made", str(error.strerror), "Choose another 'out'."
        ) from error
    return run


def _refuse_foreign(where: str, names: list[str]) -> None:
    """InputError where there is something that is neither a run nor the beginning of one."""
    foreign = [] if "manifest.json" in names else sorted(name for name in names if not _is_own(name))
    if foreign:
        raise InputError(
            f"output {where}",
            "an empty directory or a run of axiograph",
            f"other files ({', '.join(foreign[:3])})",
            "Choose another 'out' or --out: nothing there was touched.",
        )
