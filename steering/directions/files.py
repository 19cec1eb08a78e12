"""Direction files: one vector out of a safetensors file, a PyTorch file or a GGUF control vector.

Files are data and nothing else: PyTorch's are read without running what is pickled in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest
from axiograph.engine.study.steering import DirectionFile
from axiograph.steering.directions.gguf import GgufError, read_gguf

if TYPE_CHECKING:
    import torch

_SHOWN = 12  # keys named in a message
_CONTROL = re.compile(r"direction\.([0-9]+)")
_LLAMA_CPP = "N of direction.N is the layer to whose output llama.cpp adds it, counted from 0"


def file_name(source: DirectionFile) -> str:
    """What a direction file is called in the manifest and in messages."""
    key = "" if source.key == "direction" else f", key {source.key}"
    row = "" if source.row is None else f", row {source.row}"
    return f"direction {source.path}{key}{row}"


def control_vector_layer(source: DirectionFile) -> int | None:
    """The layer (from 0) to whose output llama.cpp adds this vector; None where the file is no GGUF.

    The count is that of llama.cpp, whose layer 0 never has a vector, and of repeng, which takes direction N
    from the output of decoder layer N and adds it there. llama.cpp's own cvector-generator names what it
    takes from layer N − 1 direction.N; it is applied at layer N all the same."""
    match = _CONTROL.fullmatch(source.key) if _suffix(source.path) == ".gguf" else None
    return None if match is None else int(match[1])


def read_direction(source: DirectionFile, d_model: int) -> tuple[torch.Tensor, bytes]:
    """(the vector [d_model], float32, on the CPU; digest of its numbers). InputError for a file that cannot
    be read, a key or row that is not there, or a tensor of another shape."""
    where = f"direction file {source.path}"
    read = {".gguf": _from_gguf, ".pt": _from_torch, ".pth": _from_torch}.get(
        _suffix(source.path), _from_safetensors
    )
    tensor = read(source, where)
    if tensor.is_complex() or tensor.is_quantized or tensor.is_sparse or tensor.device.type != "cpu":
        found = f"{str(tensor.dtype).removeprefix('torch.')}, {tensor.layout}, {tensor.device.type}"
        raise InputError(where, "a tensor of plain real numbers", found, "Save it as float32.")
    vector = _row(tensor, source, d_model, where).float().contiguous()
    return vector, digest(vector.numpy().tobytes())


def _row(tensor: torch.Tensor, source: DirectionFile, d_model: int, where: str) -> torch.Tensor:
    shape, of_rows = tuple(tensor.shape), tensor.dim() == 2 and tensor.shape[1] == d_model
    if source.row is None and of_rows:
        raise InputError(
            where,
            f"a vector of the model's width {d_model}",
            f"shape {shape}",
            f"Choose a row: direction.row, from 0 to {shape[0] - 1}. Of one row per hidden state of "
            "transformers (layers + 1), row L + 1 is the output of layer L; of one per layer, row L mostly.",
        )
    if source.row is None and shape != (d_model,):
        raise InputError(
            where, f"a vector of the model's width {d_model}", f"shape {shape}", "Check the key."
        )
    if source.row is None:
        return tensor
    if not of_rows:
        remedy = "Leave direction.row out, or check the key."
        raise InputError(where, f"rows of the model's width {d_model}", f"shape {shape}", remedy)
    if source.row >= shape[0]:
        remedy = "Choose one of them with direction.row."
        raise InputError(where, f"a row from 0 to {shape[0] - 1}", f"row {source.row}", remedy)
    return tensor[source.row]


def _from_safetensors(source: DirectionFile, where: str) -> torch.Tensor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source.path, framework="pt") as file:
            _check_key(source.key, list(file.keys()), where, "Set direction.key.")
            tensor: torch.Tensor = file.get_tensor(source.key)
            return tensor
    except (OSError, SafetensorError) as error:
        raise InputError(where, "a readable safetensors file", str(error), "Check the path.") from error


def _from_torch(source: DirectionFile, where: str) -> torch.Tensor:
    """A tensor, or one of a dictionary of tensors, whose keys may be numbers too."""
    import torch

    try:
        loaded = torch.load(source.path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        # PyTorch's own message advises to run what is in the file.
        raise InputError(
            where,
            "a PyTorch file of tensors only",
            "other objects, which are code and are not run, or no PyTorch file at all",
            "Save the tensor alone: torch.save(tensor.detach().float(), FILE), or as safetensors.",
        ) from error
    except Exception as error:
        # Damaged archives raise whatever the damage meets.
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(where, "a readable PyTorch file", text, "Check the path.") from error
    if isinstance(loaded, Mapping):
        tensors = {str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)}
        _check_key(source.key, tensors, where, "Set direction.key.")
        loaded = tensors[source.key]
    elif source.key != "direction":
        remedy = "Leave direction.key out."
        raise InputError(where, f"a dictionary with the key '{source.key}'", "one tensor", remedy)
    if not isinstance(loaded, torch.Tensor):
        found = type(loaded).__name__
        raise InputError(where, "a tensor, or a dictionary of tensors", found, "Save the tensor itself.")
    return loaded.detach()


def _from_gguf(source: DirectionFile, where: str) -> torch.Tensor:
    import torch

    try:
        with read_gguf(source.path) as file:
            remedy = f"Set direction.key: {_LLAMA_CPP}."
            _check_key(source.key, file.tensors, where, remedy)
            return torch.from_numpy(file.tensor(source.key))
    except (OSError, GgufError) as error:
        raise InputError(
            where,
            "a GGUF control vector of float tensors",
            str(error),
            "Check the path, or export it as float32.",
        ) from error


def _check_key(key: str, keys: Iterable[str], where: str, remedy: str) -> None:
    names = list(keys)
    if key not in names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        found = ", ".join(names[:_SHOWN]) + more
        raise InputError(where, f"the key '{key}'", found or "nothing", remedy)


def _suffix(path: Path) -> str:
    return path.suffix.lower()
