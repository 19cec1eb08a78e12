"""Direction files: rows, PyTorch files and control vectors, and those that are refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import Condition, OperationPoint
from axiograph.engine.study.steering import DirectionFile, HookPointSpec, OperationSpec
from axiograph.steering.directions.files import control_vector_layer, file_name, read_direction
from axiograph.steering.directions.operations import Directions, Scales, resolve_conditions
from tests import tiny
from tests.gguf import gguf

WIDTH = 8
ROWS = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0))


def read(path, **source):
    return read_direction(DirectionFile(path=path, **source), WIDTH)


@pytest.fixture
def safetensors(tmp_path):
    save_file({"direction": ROWS[2].clone(), "rows": ROWS}, tmp_path / "joy.safetensors")
    return tmp_path / "joy.safetensors"


def test_a_row_is_the_vector_that_it_is(safetensors):
    """The same numbers have the same digest, wherever they were kept."""
    alone, identity = read(safetensors)
    row, same = read(safetensors, key="rows", row=2)
    assert torch.equal(alone, ROWS[2]) and torch.equal(row, alone) and same == identity
    assert all(torch.equal(read(safetensors, key="rows", row=i)[0], ROWS[i]) for i in range(5))


def test_rows_that_are_not_chosen_or_not_there(safetensors):
    with pytest.raises(InputError, match=r"found shape \(5, 8\). Choose a row: direction.row, from 0 to 4"):
        read(safetensors, key="rows")
    with pytest.raises(InputError, match="a row from 0 to 4, found row 5"):
        read(safetensors, key="rows", row=5)
    with pytest.raises(
        InputError, match=r"rows of the model's width 8, found shape \(8,\). Leave direction.row"
    ):
        read(safetensors, row=0)
    with pytest.raises(ValidationError):
        DirectionFile(path=safetensors, row=-1)


@pytest.mark.parametrize("suffix", ["pt", "pth", "PT"])
def test_pytorch_files(suffix, tmp_path):
    path = tmp_path / f"joy.{suffix}"
    torch.save(ROWS, path)
    assert torch.equal(read(path, row=3)[0], ROWS[3])
    torch.save(torch.nn.Parameter(ROWS[1]), path)
    found, _ = read(path)
    assert torch.equal(found, ROWS[1]) and not found.requires_grad
    torch.save({"joy": ROWS[0], 15: ROWS[4], "name": "joy"}, path)
    assert torch.equal(read(path, key="joy")[0], ROWS[0])
    assert torch.equal(read(path, key="15")[0], ROWS[4])
    with pytest.raises(InputError, match="the key 'direction', found joy, 15"):
        read(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_other_numbers_become_float32(dtype, tmp_path):
    given = (ROWS[0] * 100).to(dtype)
    torch.save(given, tmp_path / "joy.pt")
    save_file({"direction": given}, tmp_path / "joy.safetensors")
    (a, first), (b, second) = read(tmp_path / "joy.pt"), read(tmp_path / "joy.safetensors")
    assert a.dtype == torch.float32 and torch.equal(a, given.float()) and torch.equal(a, b)
    assert first == second


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pytorch_files_that_are_refused(tmp_path):
    path = tmp_path / "joy.pt"
    torch.save({"direction": ROWS[0], "rest": Bomb(tmp_path / "exploded")}, path)
    with pytest.raises(InputError, match="other objects, which are code and are not run") as refused:
        read(path)
    assert not (tmp_path / "exploded").exists() and "weights_only" not in str(refused.value)
    whole = path.read_bytes()
    for content, expected in ((whole[: len(whole) // 2], "PyTorch file"), (b"", "PyTorch file")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=expected):
            read(path)
    for saved, found in (
        ([ROWS[0]], "found list"),
        ({"direction": "joy"}, "found nothing"),
        (torch.complex(ROWS[0], ROWS[1]), "complex64"),
        (ROWS[0].to_sparse(), "sparse"),
        (ROWS[0].to("meta"), "meta"),
        (torch.ones(9), r"found shape \(9,\)"),
    ):
        torch.save(saved, path)
        with pytest.raises(InputError, match=found):
            read(path)
    torch.save(ROWS[0], path)
    with pytest.raises(InputError, match="a dictionary with the key 'joy', found one tensor"):
        read(path, key="joy")
    with pytest.raises(InputError, match="a readable PyTorch file"):
        read(tmp_path / "none.pt")
    path.write_text("direction = 1, 2, 3")
    with pytest.raises(InputError, match="no PyTorch file at all"):
        read(path)
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(InputError, match="a readable PyTorch file"):
        read(tmp_path / "folder.pt")


@pytest.fixture
def control_vector(tmp_path):
    """As repeng writes it: one vector per layer, none for layer 0."""
    path = tmp_path / "honest.gguf"
    path.write_bytes(gguf({f"direction.{i}": ROWS[i].numpy() for i in (4, 3, 2, 1)}))
    return path


def test_control_vectors(control_vector, tmp_path):
    for layer in (1, 2, 3, 4):
        assert torch.equal(read(control_vector, key=f"direction.{layer}")[0], ROWS[layer])
    halves = tmp_path / "half.gguf"
    halves.write_bytes(gguf({"direction.1": ROWS[1].numpy().astype(np.float16)}))
    assert torch.equal(read(halves, key="direction.1")[0], ROWS[1].half().float())


def test_control_vectors_that_are_refused(control_vector, tmp_path):
    with pytest.raises(
        InputError, match=r"the key 'direction', found direction.4, direction.3.*counted from 0"
    ):
        read(control_vector)
    with pytest.raises(InputError, match=r"the key 'direction.0'"):  # llama.cpp has none for layer 0
        read(control_vector, key="direction.0")
    with pytest.raises(InputError, match=r"Leave direction\.row out"):
        read(control_vector, key="direction.1", row=1)
    many = tmp_path / "many.gguf"
    many.write_bytes(gguf({f"direction.{i}": ROWS[0].numpy() for i in range(1, 41)}))
    with pytest.raises(InputError, match=r"direction\.12 and 28 more"):
        read(many)
    for content in (b"", b"GGUF", control_vector.read_bytes()[:-40]):
        many.write_bytes(content)
        with pytest.raises(InputError, match="a GGUF control vector"):
            read(many, key="direction.1")
    with pytest.raises(InputError, match="a GGUF control vector"):
        read(tmp_path / "none.gguf")


def test_a_control_vectors_layer_is_the_output_of_that_layer_counted_from_0(control_vector):
    """llama.cpp adds direction.N behind the N-th layer from 0, as resid_post.N is (docs/steering.md)."""
    source = DirectionFile(path=control_vector, key="direction.2")
    assert control_vector_layer(source) == 2
    assert control_vector_layer(DirectionFile(path=Path("a.pt"), key="direction.2")) is None
    notes = {}
    for point in (HookPointSpec(layer=2), HookPointSpec(layer=1), HookPointSpec(layer=2, place="resid_pre")):
        spec = OperationSpec(direction=source, hook_point=point, strengths=(2.0,))
        made = Directions(WIDTH, 5)
        (operation,) = resolve_conditions(
            [Condition("c", (OperationPoint(spec, None, 2.0),))], made, Scales()
        )["c"]
        assert operation.hook_point == point and torch.equal(operation.vector, 2 * ROWS[2])
        notes[str(point)] = made.notes
        assert list(made.digests) == [f"direction {control_vector}, key direction.2"]
    assert notes["resid_post.2"] == []
    assert "output of layer 2 by llama.cpp's count, and steers at resid_post.1" in notes["resid_post.1"][0]
    assert len(notes["resid_pre.2"]) == 1


def test_names_tell_keys_and_rows_apart(tmp_path):
    path = tmp_path / "joy.pt"
    assert file_name(DirectionFile(path=path)) == f"direction {path}"
    assert file_name(DirectionFile(path=path, key="a", row=3)) == f"direction {path}, key a, row 3"
    point = HookPointSpec(layer=0)

    def label(**source):
        direction = DirectionFile(path=path, **source)
        return OperationPoint(
            OperationSpec(direction=direction, hook_point=point, strengths=(1.0,)), None, 1.0
        ).label

    assert label() == "joy:+1"
    assert label(row=15) == "joy[15]:+1" and label(key="a", row=15) == "joy.a[15]:+1"


def test_the_width_of_the_models_counts(tmp_path):
    torch.save(ROWS, tmp_path / "joy.pt")
    with pytest.raises(InputError, match=rf"rows of the model's width {tiny.WIDTH}"):
        read_direction(DirectionFile(path=tmp_path / "joy.pt", row=1), tiny.WIDTH)
