"""The small files of a run in an object store: a local copy that is fetched first and written back.

Graphs, tables, figures, plan and manifest are made by code that writes files; the responses, which are large
and must survive every crash, go to the object store part by part and never through here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from axiograph.engine.storage.remote import RemoteFolder

RESPONSES = "responses"
_open: list[Mirror] = []


class Mirror:
    """A temporary folder with the files of `remote`, but for its responses; it goes with the process."""

    def __init__(self, remote: RemoteFolder) -> None:
        self.remote = remote
        self._temporary = tempfile.TemporaryDirectory(prefix="axiograph-run-", ignore_cleanup_errors=True)
        self.path = Path(self._temporary.name)
        self._known: dict[str, tuple[int, int]] = {}
        _open.append(self)

    def fetch(self) -> None:
        """Copy what the run holds, once."""
        folders, objects = self.remote.entries()
        names = [name for name in objects if not name.startswith(".")]
        for folder in folders:
            if folder != RESPONSES:
                names += [f"{folder}/{file.name}" for file in self.remote.folder(folder).files()]
        for name in names:
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (self.remote / name).fetch(path)
            self._known[name] = _version(path)

    def publish(self) -> None:
        """Upload what was written since, in the order in which it was written, and delete what was deleted: a
        crash in between leaves what a crash between the same writes on a disk would leave."""
        changed = []
        for path in self.path.rglob("*"):
            name = path.relative_to(self.path).as_posix()
            if path.is_file() and not path.name.startswith(".") and self._known.get(name) != _version(path):
                changed.append((path.stat().st_mtime_ns, name, path))
        for _, name, path in sorted(changed):
            version = _version(path)
            (self.remote / name).put(path)
            self._known[name] = version
        for name in [name for name in self._known if not (self.path / name).exists()]:
            (self.remote / name).unlink()
            del self._known[name]


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def publish_open() -> None:
    """Upload what any run of this process has written and not yet published."""
    for mirror in _open:
        mirror.publish()
