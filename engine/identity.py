"""Identity: a versioned hash of everything that changes an answer, and of nothing else (DESIGN 2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

IDENTITY_VERSION = b"axiograph-request-1"
DIGEST_SIZE = 16


def digest(*parts: bytes) -> bytes:
    """16 bytes over `parts`, each with its length, so that no two lists of parts run together."""
    state = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def digest_text(*texts: str) -> bytes:
    """Over texts, as UTF-8."""
    return digest(*(text.encode() for text in texts))


def digest_json(value: Any) -> bytes:
    """Over canonical JSON: sorted keys, no spaces, floats by their shortest exact form, no NaN."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def digest_files(paths: Iterable[Path]) -> bytes:
    """Over the names and the contents of `paths`, in the order of their names."""
    parts: list[bytes] = []
    for path in sorted(paths, key=lambda path: path.name):
        with path.open("rb") as stream:
            parts += [path.name.encode(), hashlib.file_digest(stream, "blake2b").digest()]
    return digest(*parts)


class RequestIds:
    """Makes request ids; `base` stands for what all requests of a run share (model, sampling, …)."""

    def __init__(self, base: bytes) -> None:
        self._base = hashlib.blake2b(IDENTITY_VERSION + base, digest_size=DIGEST_SIZE)

    def __call__(self, role: bytes, condition: bytes, item: bytes, repeat: int) -> bytes:
        """All three digests have 16 bytes, so that plain concatenation is unambiguous."""
        return self.cell(role, condition)(item, repeat)

    def cell(self, role: bytes, condition: bytes) -> Callable[[bytes, int], bytes]:
        """(item, repeat) → id, for the requests of one role and condition: what they share is hashed once."""
        shared = self._base.copy()
        shared.update(role + condition)
        copy = shared.copy

        def request_id(item: bytes, repeat: int) -> bytes:
            state = copy()
            state.update(item + repeat.to_bytes(4, "little"))
            return state.digest()

        return request_id
