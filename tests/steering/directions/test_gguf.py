"""GGUF: what is written by hand is read; damage is named and goes nowhere."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.steering.directions.gguf import GgufError, read_gguf
from tests.gguf import gguf, text

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4) / 7


def read(folder, content, *names):
    path = folder / "made.gguf"
    path.write_bytes(content)
    with read_gguf(path) as file:
        return {name: file.tensor(name) for name in names or file.tensors}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [8, 32, 64])
def test_tensors_of_every_float_and_shape(version, alignment, tmp_path):
    bfloat16 = (ROWS[0].view(np.uint32) >> 16).astype(np.uint16)
    tensors = {
        "direction.1": ROWS[0],
        "half": ROWS[1].astype(np.float16),
        "double": ROWS[2].astype(np.float64),
        "brain": bfloat16,
        "rows": ROWS,
    }
    metadata = {
        "controlvector.model_hint": "llama",
        "controlvector.layer_count": 3,
        "scale": 0.5,
        "words": ["a", "bc"],
        "numbers": [1, 2, 3],
        "nested": [[1, 2], [3]],
        "empty": [],
        "general.alignment": alignment,
    }
    found = read(tmp_path, gguf(tensors, metadata, version))
    assert list(found) == list(tensors)
    assert np.array_equal(found["direction.1"], ROWS[0]) and np.array_equal(found["rows"], ROWS)
    assert np.array_equal(found["half"], ROWS[1].astype(np.float16).astype(np.float32))
    assert np.array_equal(found["double"], ROWS[2].astype(np.float64))
    assert np.array_equal(found["brain"], (bfloat16.astype(np.uint32) << 16).view(np.float32))
    assert np.abs(found["brain"] - ROWS[0]).max() < 0.01


def replaced(content, old, new):
    assert content.count(old) == 1
    return content.replace(old, new)


def damaged():
    whole = gguf({"direction.1": ROWS[0], "direction.2": ROWS[1]})
    infos = text("direction.2") + struct.pack("<IQIQ", 1, 4, 0, 32)
    two = text("direction.2")

    def info(dimensions=1, size=4, kind=0, offset=32):
        return replaced(whole, infos, two + struct.pack("<IQIQ", dimensions, size, kind, offset))

    yield b"", "an empty file"
    yield b"GGML" + whole[4:], "does not begin with GGUF"
    yield b"GG", "within its header"
    yield whole[:4] + struct.pack("<I", 1) + whole[8:], "version 1"
    yield whole[:4] + struct.pack(">I", 3) + whole[8:], "another order of bytes"
    yield whole[:40], "within its header"
    yield whole[:-30], "of 16 bytes, of which the file holds 2"
    yield replaced(whole, two, text("direction.1")), "'direction.1' twice"
    yield replaced(whole, two, struct.pack("<Q", 11) + b"\xff" * 11), "not UTF-8"
    yield replaced(whole, two, struct.pack("<Q", 2**63) + b"direction.2"), "within its header"
    yield info(kind=2), "number type 2, which is not float"
    yield info(kind=10**6), "number type 1000000"
    yield info(size=2**62), "of which the file holds"
    yield info(offset=2**62), "of which the file holds"
    yield info(offset=33), "no multiple of 32"
    yield info(dimensions=0), "of 0 dimensions"
    yield info(dimensions=2**31), "dimensions"
    yield whole[:8] + struct.pack("<Q", 2**63) + whole[16:], "of 0 dimensions"  # the padding, read as one
    yield whole[:16] + struct.pack("<Q", 2**63) + whole[24:], "within its header"
    yield gguf({}, {"general.alignment": 0}), "an alignment of 0 bytes"
    yield gguf({}, {"general.alignment": 12}), "an alignment of 12 bytes"
    kinds = replaced(gguf({}, {"x": 7}), text("x") + struct.pack("<I", 4), text("x") + struct.pack("<I", 99))
    yield kinds, "metadata of type 99"
    nested = [[[[[[[[[[[1]]]]]]]]]]]
    yield gguf({}, {"deep": nested}), "metadata of type 9"
    endless = replaced(
        gguf({}, {"x": [5]}), struct.pack("<IIQ", 9, 4, 1), struct.pack("<IIQ", 9, 8, 2**64 - 1)
    )
    yield endless, "within its header"


@pytest.mark.parametrize(("content", "says"), damaged())
def test_damage(content, says, tmp_path):
    with pytest.raises(GgufError, match=says):
        read(tmp_path, content)


def test_a_tensor_that_is_not_asked_for_may_be_of_any_kind(tmp_path):
    """A model's file holds quantised weights beside the floats."""
    whole = gguf({"direction.1": ROWS[0], "direction.2": ROWS[1]})
    infos = text("direction.2") + struct.pack("<IQIQ", 1, 4, 0, 32)
    content = replaced(whole, infos, text("direction.2") + struct.pack("<IQIQ", 1, 4, 12, 32))
    assert np.array_equal(read(tmp_path, content, "direction.1")["direction.1"], ROWS[0])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(data, tmp_path_factory):
    """Never an error of another kind, whatever stands in the file."""
    content = bytearray(gguf({"direction.1": ROWS[0], "rows": ROWS}, {"words": ["a", "bc"], "scale": 0.5}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    folder = tmp_path_factory.getbasetemp()
    for attempt in (bytes(content), bytes(content[:cut])):
        try:
            read(folder, attempt)
        except GgufError as error:
            assert str(error)
