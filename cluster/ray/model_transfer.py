"""The model on its way to workers that do not share the driver's file system."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import ModelSpec
from axiograph.engine.workers.models import ModelSource, resolve_model

PIECE = 64 * 2**20  # bytes of a file that travel at once
CACHE = f"axiograph-models-{os.getuid() if hasattr(os, 'getuid') else 0}"


class ModelFiles:
    """The files of a model where the driver has them; an actor beside the driver."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> dict[str, int]:
        """Sizes in bytes, by path inside the folder."""
        paths = [path for path in sorted(self._folder.rglob("*")) if path.is_file()]
        return {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in paths}

    def read(self, name: str, offset: int) -> bytes:
        """At most PIECE bytes of a file."""
        with (self._folder / name).open("rb") as stream:
            stream.seek(offset)
            return stream.read(PIECE)


@dataclass(frozen=True)
class TransferableModel:
    """A model that any node can get: its own copy, the hub's, or the driver's, from `driver_files` (an
    actor handle of ModelFiles). `digest`: of the driver's files."""

    source: ModelSource
    digest: bytes
    driver_files: Any

    def local(self) -> ModelSource:
        """The model as this node has it, the same to the byte. RunError when it cannot be had."""
        source = self._available()
        return source if source is not None else replace(self.source, folder=self._cached_copy())

    def _available(self) -> ModelSource | None:
        if self.source.folder.is_dir() and self.source.digest() == self.digest:
            return self.source
        if self.source.revision is None:
            return None
        spec = ModelSpec(hub=self.source.name, revision=self.source.revision, dtype=_dtype(self.source))
        try:
            resolved = resolve_model(spec)
        except InputError:  # no network here: the driver has it
            return None
        return replace(self.source, folder=resolved.folder)

    def _cached_copy(self) -> Path:
        folder = Path(tempfile.gettempdir()) / CACHE / self.digest.hex()
        with _exclusive(folder):
            if not folder.is_dir():
                unfinished = folder.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                self._copy(unfinished)
                unfinished.rename(folder)
        return folder

    def _copy(self, folder: Path) -> None:
        import ray

        for name, size in ray.get(self.driver_files.files.remote()).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                while stream.tell() < size:
                    stream.write(ray.get(self.driver_files.read.remote(name, stream.tell())))
        if replace(self.source, folder=folder).digest() != self.digest:
            raise RunError(
                f"model {self.source.name}",
                "a copy like the driver's",
                "another one: its files changed during the run",
                "Leave the model alone and give the run command again.",
            )


def _dtype(source: ModelSource) -> Any:
    return source.dtype


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One worker of a node copies, the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
