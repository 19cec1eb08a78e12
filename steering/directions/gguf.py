"""GGUF files, as far as control vectors need them: the header, and tensors of floats.

Written against ggml's docs/gguf.md, versions 2 and 3, little-endian. Every length is held against the size of
the file before anything is read by it: a file is data from elsewhere.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32  # of tensors, where the file names none
# Bytes of a metadata value by its type; strings (8) and arrays (9) are read by their own lengths.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9
_DEEPEST = 8  # arrays in arrays
_MOST_DIMENSIONS = 4
# ggml's number types, by the bytes of an element; all others are of blocks or of integers.
_FLOATS = {0: 4, 1: 2, 28: 8, 30: 2}


class GgufError(ValueError):
    """Not a GGUF file that can be read, and why."""


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in the file: `shape` as NumPy counts (the last dimension runs fastest), `kind` of ggml's
    numbers, `offset` in bytes from the start of the tensors."""

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Gguf:
    """An open file: `tensors` by their names, in the order of the file; `start`: byte at which they begin."""

    data: mmap.mmap
    tensors: Mapping[str, TensorEntry]
    start: int

    def tensor(self, name: str) -> np.ndarray:
        """A copy of one tensor in float32 (float64 where the file has it). GgufError for other numbers than
        floats, and where it lies outside of the file."""
        entry = self.tensors[name]
        size = _FLOATS.get(entry.kind)
        if size is None:
            raise GgufError(f"'{name}' in ggml's number type {entry.kind}, which is not float")
        first, length = self.start + entry.offset, prod(entry.shape) * size
        if first + length > len(self.data):
            raise GgufError(
                f"'{name}' of {length} bytes, of which the file holds {max(0, len(self.data) - first)}"
            )
        return _numbers(self.data[first : first + length], entry.kind).reshape(entry.shape)


def _numbers(raw: bytes, kind: int) -> np.ndarray:
    if kind == 30:  # bfloat16: the upper half of a float32
        return (np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    given = np.frombuffer(raw, dtype={0: "<f4", 1: "<f2", 28: "<f8"}[kind])
    return given.astype(np.float64 if kind == 28 else np.float32)


@contextmanager
def read_gguf(path: Path) -> Iterator[Gguf]:
    """The file at `path`, open within. OSError where it cannot be opened, GgufError where it is no GGUF."""
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise GgufError("an empty file") from error
        with data:
            yield _parse(data)


def _parse(data: mmap.mmap) -> Gguf:
    reader = _Reader(data)
    if reader.take(4) != _MAGIC:
        raise GgufError("a file that does not begin with GGUF")
    version = reader.number("<I")
    if version not in _VERSIONS:
        raise GgufError(f"GGUF version {version}, or another order of bytes")
    n_tensors, n_values = reader.number("<Q"), reader.number("<Q")
    alignment = _ALIGNMENT
    for _ in range(n_values):
        key, kind = reader.text(), reader.number("<I")
        if key == "general.alignment" and kind == _UINT32:
            alignment = reader.number("<I")
        else:
            reader.skip_value(kind)
    if alignment <= 0 or alignment % 8:
        raise GgufError(f"an alignment of {alignment} bytes")
    tensors: dict[str, TensorEntry] = {}
    for _ in range(n_tensors):
        name = reader.text()
        if name in tensors:
            raise GgufError(f"the tensor '{name}' twice")
        tensors[name] = reader.entry(name, alignment)
    return Gguf(data, tensors, -(-reader.at // alignment) * alignment)


class _Reader:
    """Reads forward, and never beyond the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def take(self, length: int) -> bytes:
        self.skip(length)
        return self.data[self.at - length : self.at]

    def skip(self, length: int) -> None:
        if length > len(self.data) - self.at:
            raise GgufError(f"an end of the file at byte {len(self.data)}, within its header")
        self.at += length

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def text(self) -> str:
        try:
            return self.take(self.number("<Q")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise GgufError("a name that is not UTF-8") from error

    def skip_value(self, kind: int, depth: int = 0) -> None:
        """Over a metadata value of this type."""
        if kind in _SIZES:
            self.skip(_SIZES[kind])
        elif kind == _STRING:
            self.skip(self.number("<Q"))
        elif kind == _ARRAY and depth < _DEEPEST:
            inner, count = self.number("<I"), self.number("<Q")
            if inner in _SIZES:
                self.skip(_SIZES[inner] * count)
                return
            for _ in range(count):  # each has a length of eight bytes at least, so that the end is reached
                self.skip_value(inner, depth + 1)
        else:
            raise GgufError(f"metadata of type {kind}")

    def entry(self, name: str, alignment: int) -> TensorEntry:
        n_dimensions = self.number("<I")
        if not 0 < n_dimensions <= _MOST_DIMENSIONS:
            raise GgufError(f"'{name}' of {n_dimensions} dimensions")
        shape = tuple(self.number("<Q") for _ in range(n_dimensions))[::-1]
        entry = TensorEntry(shape, self.number("<I"), self.number("<Q"))
        if entry.offset % alignment:
            raise GgufError(f"'{name}' at byte {entry.offset}, which is no multiple of {alignment}")
        return entry
