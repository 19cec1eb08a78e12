"""Loading SAEs through sae-lens: from a directory or by release, with the decoder as it was released."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest, digest_files

if TYPE_CHECKING:
    import torch

# sae-lens' loader for a layer of a cross-layer transcoder, whose rows it sums over the layers they write to.
_SUMMED = "mntss_clt_layer_transcoder"


@dataclass(frozen=True)
class LoadedSae:
    """What sae-lens loads: `encoder`, its SAE; `w_dec` [d_sae, d_out], as released (nothing folded into it),
    float32; `is_summed`: whether its rows are sums over several layers."""

    encoder: Any
    w_dec: torch.Tensor
    digest: bytes
    is_summed: bool = False


def load_folder(path: Path, name: str) -> LoadedSae:
    """An SAE of a directory in sae-lens' format; InputError for any other, and for training checkpoints that
    sae-lens itself does not use as they are."""
    config_file, weights = path / "cfg.json", path / "sae_weights.safetensors"
    for file in (config_file, weights):
        if not file.is_file():
            raise InputError(name, f"{file.name} in {path}", "none", "Point it at an SAE saved by sae-lens.")
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import sae_lens_disk_loader

    _refuse_checkpoint(config_file, name)
    encoder, w_dec = _load(name, SAE.load_from_disk, sae_lens_disk_loader, str(path))
    return LoadedSae(encoder, w_dec, digest_files([config_file, weights]))


def load_release(release: str, sae_id: str, name: str) -> LoadedSae:
    """An SAE that sae-lens knows by name."""
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import (
        NAMED_PRETRAINED_SAE_LOADERS,
        get_conversion_loader_name,
    )

    kind = get_conversion_loader_name(release)
    encoder, w_dec = _load(name, SAE.from_pretrained, NAMED_PRETRAINED_SAE_LOADERS[kind], release, sae_id)
    identity = digest(release.encode(), sae_id.encode(), w_dec.numpy().tobytes())
    return LoadedSae(encoder, w_dec, identity, kind == _SUMMED)


def _refuse_checkpoint(config_file: Path, name: str) -> None:
    """InputError for a checkpoint of a kind that exists in training only."""
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    try:
        kind = json.loads(config_file.read_text(encoding="utf-8"))["architecture"]
        if kind in SAE_CLASS_REGISTRY or kind not in SAE_TRAINING_CLASS_REGISTRY:
            return
    except (OSError, ValueError, KeyError, TypeError):
        return  # sae-lens says what is wrong with it
    trained, _ = SAE_TRAINING_CLASS_REGISTRY[kind]
    raise InputError(
        name,
        "an SAE saved for inference",
        f"a training checkpoint ({kind}), which chooses its features by the whole batch",
        f'Save it for inference: sae_lens.{trained.__name__}.load_from_disk("{config_file.parent}")'
        '.save_inference_model("FOLDER"), and name that folder.',
    )


def _load(name: str, load: Any, loader: Any, *source: str) -> tuple[Any, torch.Tensor]:
    """Load through sae-lens, keeping W_dec as it was before sae-lens folded any scale into it."""
    released: list[torch.Tensor] = []

    def keep_released(*args: Any, **kwargs: Any) -> Any:
        loaded = loader(*args, **kwargs)
        released.append(loaded[1]["W_dec"].detach().float().cpu().clone())
        return loaded

    try:
        encoder = load(*source, device="cpu", dtype="float32", converter=keep_released)
    except Exception as error:
        # sae-lens, safetensors and the hub raise many kinds of errors for one cause: it cannot be loaded.
        raise InputError(
            name,
            "an SAE that sae-lens loads",
            " ".join(str(error).split())[:300] or type(error).__name__,
            "Check the names (login and network for a release) or the files (for a directory).",
        ) from error
    return encoder, released[0]
