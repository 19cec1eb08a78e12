"""GGUF files by hand, for the reader to read: ggml's docs/gguf.md in a few lines."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = {"float32": 0, "float16": 1, "float64": 28}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(given: Any) -> bytes:
    """A metadata value with its type."""
    if isinstance(given, str):
        return struct.pack("<I", 8) + text(given)
    if isinstance(given, list):
        kind = 8 if given and isinstance(given[0], str) else 9 if given and isinstance(given[0], list) else 4
        packed = {
            8: lambda: b"".join(map(text, given)),
            9: lambda: b"".join(value(inner)[4:] for inner in given),
            4: lambda: struct.pack(f"<{len(given)}I", *given),
        }[kind]()
        return struct.pack("<IIQ", 9, kind, len(given)) + packed
    return struct.pack("<Id", 12, given) if isinstance(given, float) else struct.pack("<II", 4, given)


def gguf(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any] | None = None, version: int = 3
) -> bytes:
    """The file with these tensors, as repeng writes control vectors."""
    metadata = {"general.architecture": "controlvector", **(metadata or {})}
    alignment = metadata.get("general.alignment") or 32
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    head += b"".join(text(key) + value(given) for key, given in metadata.items())
    body = b""
    for name, tensor in tensors.items():
        bfloat = tensor.dtype == np.uint16
        head += text(name) + struct.pack("<I", tensor.ndim)
        head += struct.pack(f"<{tensor.ndim}Q", *tensor.shape[::-1])
        head += struct.pack("<IQ", 30 if bfloat else KINDS[str(tensor.dtype)], len(body))
        body += tensor.tobytes() + b"\0" * (-tensor.nbytes % alignment)
    return head + b"\0" * (-len(head) % alignment) + body
