"""Folders and files in an object store: s3:// and gs:// addresses, read and written whole (DESIGN 4).

An object appears at once or not at all: there is nothing to rename, and an upload in pieces is invisible
until its last step, which a process that dies never takes. Credentials and endpoints come from the
environment, as the cloud's own tools have them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, …), and are kept nowhere.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from axiograph.engine.errors import InputError, RunError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

SCHEMES = ("s3", "gs")
PIECE = 16 * 2**20  # larger objects are uploaded in pieces of this many bytes


def is_remote(location: str | Path) -> bool:
    """Whether `location` is an address in an object store; every other text is a path."""
    return isinstance(location, str) and location.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


class ConflictError(Exception):
    """An object is there already, or is not the one that was to be replaced."""


@dataclass(frozen=True)
class RemoteFolder:
    """All objects whose address begins with `url`/; it need not be made, and is gone with its last object."""

    url: str

    def __post_init__(self) -> None:
        bucket = self.url.partition("://")[2].strip("/")
        if not is_remote(self.url) or not bucket:
            raise InputError(f"place {self.url}", "s3://BUCKET/… or gs://BUCKET/…", "neither", "Mend it.")
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemoteFile:
        return RemoteFile(self, name)

    def folder(self, name: str) -> RemoteFolder:
        """The folder `name` below."""
        return RemoteFolder(f"{self.url}/{name}")

    def files(self) -> list[RemoteFile]:
        """Every object below, at any depth, sorted by name."""
        import obstore

        with _explained(self.url):
            objects = obstore.list(_store(self.url)).collect()
        return sorted((RemoteFile(self, item["path"]) for item in objects), key=lambda file: file.name)

    def entries(self) -> tuple[list[str], list[str]]:
        """(names of the folders, names of the objects) directly below."""
        import obstore

        with _explained(self.url):
            listing = obstore.list_with_delimiter(_store(self.url))
        return sorted(listing["common_prefixes"]), sorted(item["path"] for item in listing["objects"])


@dataclass(frozen=True)
class RemoteFile:
    """One object: `name` is its path below `folder`."""

    folder: RemoteFolder
    name: str

    def __str__(self) -> str:
        return f"{self.folder.url}/{self.name}"

    def __lt__(self, other: RemoteFile) -> bool:
        return str(self) < str(other)

    def read_bytes(self) -> bytes:
        """The whole object; FileNotFoundError where there is none."""
        return self.read_tagged()[0]

    def read_tagged(self) -> tuple[bytes, str]:
        """The whole object and the tag of this version of it."""
        import obstore

        with _explained(str(self)):
            answer = obstore.get(self._store, self.name)
            return bytes(answer.bytes()), str(answer.meta["e_tag"])

    def fetch(self, path: Path) -> None:
        """Copy the object to the local file `path`, a piece at a time, and the time of its last change with
        it: what is newer than what is the same there and here."""
        import obstore

        with _explained(str(self)):
            answer = obstore.get(self._store, self.name)
            with path.open("wb") as stream:
                for piece in answer.stream():
                    stream.write(piece)
        changed = answer.meta["last_modified"].timestamp()
        os.utime(path, (changed, changed))

    def open(self) -> BinaryIO:
        """The object as a file to be read from any position; FileNotFoundError where there is none."""
        size = self.size()
        if size is None:
            raise FileNotFoundError(str(self))
        return cast(BinaryIO, _Ranges(self, size))

    def read_range(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on; FileNotFoundError where there is no such object."""
        import obstore

        with _explained(str(self)):
            return bytes(obstore.get_range(self._store, self.name, start=start, length=count))

    def put(self, data: bytes | Path) -> None:
        """Write the whole object, over one that is there; a failed upload in pieces is taken back."""
        import obstore

        with _explained(str(self)):
            obstore.put(self._store, self.name, data, chunk_size=PIECE)

    def create(self, data: bytes) -> str:
        """Write the object where there is none and return its tag; ConflictError where there is one."""
        import obstore

        with _explained(str(self)):
            return str(obstore.put(self._store, self.name, data, mode="create")["e_tag"])

    def replace(self, data: bytes, tag: str) -> str:
        """Write over the version that has `tag`, return the new tag; ConflictError where it is another."""
        import obstore

        with _explained(str(self)):
            return str(obstore.put(self._store, self.name, data, mode={"e_tag": tag})["e_tag"])

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object. An object store does not say whether there was one."""
        import obstore

        with _explained(str(self)):
            obstore.delete(self._store, self.name)

    def exists(self) -> bool:
        """Whether there is such an object."""
        return self.size() is not None

    def size(self) -> int | None:
        """In bytes; None where there is no such object."""
        head = self._head()
        return None if head is None else head[0]

    def written_at(self) -> float | None:
        """Seconds since 1970 by the clock of the object store; None where there is no such object."""
        head = self._head()
        return None if head is None else head[1]

    def _head(self) -> tuple[int, float] | None:
        """(bytes, seconds since 1970)"""
        import obstore

        try:
            with _explained(str(self)):
                meta = obstore.head(self._store, self.name)
        except FileNotFoundError:
            return None
        return meta["size"], meta["last_modified"].timestamp()

    @property
    def _store(self) -> ObjectStore:
        return _store(self.folder.url)


class _Ranges(io.RawIOBase):
    """An object as a file for reading: every read is one request for exactly its bytes."""

    def __init__(self, file: RemoteFile, size: int) -> None:
        self._file, self._size, self._position = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._position))
        if count:
            buffer[:count] = self._file.read_range(self._position, count)
            self._position += count
        return count


@lru_cache(maxsize=64)
def _store(url: str) -> ObjectStore:
    """The connection; kept here and not in the folder, which travels between processes without it."""
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise InputError(
            f"place {url}", "the package obstore", "none", "Install it: pip install obstore."
        ) from error
    # Options that are given replace those of the environment, of which this one matters to us.
    plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    options: ClientConfig = {"timeout": "300s", "connect_timeout": "10s", "allow_http": plain}
    with _explained(url):
        store: ObjectStore = from_url(url, config=None, client_options=options)
    return store


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Errors of the object store in a paragraph; its messages name addresses and states, no credentials."""
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError) as error:
        raise ConflictError(url) from error
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise InputError(f"place {url}", "a bucket", "none of this name", "Make it first.") from error
        raise
    except (BaseError, ValueError) as error:
        raise RunError(
            f"place {url}",
            "an object store that answers",
            f"'{_short(error)}'",
            "Check the address, the credentials in the environment and the network, then give the same "
            "command again: what is stored is intact.",
        ) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split("Debug source")[0].split())
    return text if len(text) <= 300 else f"{text[:300]} …"
