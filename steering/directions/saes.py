"""SAEs: loading them as released, and refusing those that axiograph would apply in the wrong place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest, digest_files
from axiograph.engine.study.steering import HookPointSpec, SaeSource

if TYPE_CHECKING:
    import torch

_HOOK_NAME = re.compile(r"^blocks\.(\d+)\.hook_(resid_pre|resid_post)$")
# Model weights that TransformerLens changes on loading; vectors found there do not live in the stream
# of the model as released.
_PROCESSING = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")


@dataclass(frozen=True)
class Sae:
    """A loaded SAE. `w_dec` [d_sae, d_model] in float32, as released: nothing folded into it."""

    name: str
    hook_point: HookPointSpec
    w_dec: torch.Tensor
    encoder: Any
    digest: bytes

    @property
    def n_features(self) -> int:
        return int(self.w_dec.shape[0])

    def is_of(self, source: SaeSource) -> bool:
        """Whether it was loaded from `source`."""
        return self.name == source_name(source)

    def direction(self, feature: int) -> torch.Tensor:
        """The decoder row of `feature`, [d_model]; InputError when there is no such feature."""
        if not 0 <= feature < self.n_features:
            raise InputError(
                f"study, steering with {self.name}, field features",
                f"feature numbers from 0 to {self.n_features - 1}",
                str(feature),
                "Choose features that this SAE has; `axiograph features STUDY` lists the active ones.",
            )
        return self.w_dec[feature].clone()

    def link(self, feature: int) -> str | None:
        """The page of `feature` on Neuronpedia, where sae-lens knows which one that is."""
        page = self.encoder.cfg.metadata.get("neuronpedia_id")
        return f"https://neuronpedia.org/{page}/{feature}" if page else None

    def activations(self, stream: torch.Tensor) -> torch.Tensor:
        """Feature activations [..., d_sae] of residual stream rows [..., d_model] in float32."""
        import torch

        with torch.inference_mode():
            return self.encoder.encode(stream.float().to(self.encoder.W_enc.device))


def source_name(source: SaeSource) -> str:
    """What an SAE is called in tables and messages."""
    return f"SAE {source.path}" if source.path is not None else f"SAE {source.release}/{source.id}"


def load_sae(source: SaeSource, d_model: int, n_layers: int) -> Sae:
    """Load and check an SAE for a model of width `d_model` with `n_layers` decoder layers."""
    name = source_name(source)
    if source.path is not None:
        encoder, w_dec, identity = _from_folder(source.path, name)
    else:
        assert source.release is not None and source.id is not None
        encoder, w_dec, identity = _from_release(source.release, source.id, name)
    hook_point = _hook_point(encoder.cfg.metadata, name)
    if w_dec.shape[1] != d_model:
        raise InputError(
            name, f"the model's width {d_model}", f"width {w_dec.shape[1]}", "Use an SAE of this model."
        )
    check_layer(hook_point, n_layers, name)
    return Sae(name, hook_point, w_dec, encoder, identity)


def check_layer(hook_point: HookPointSpec, n_layers: int, where: str) -> None:
    if hook_point.layer >= n_layers:
        raise InputError(
            where,
            f"a layer from 0 to {n_layers - 1}",
            f"layer {hook_point.layer}",
            "Count decoder layers from 0; this model has no such layer.",
        )


def _from_folder(path: Path, name: str) -> tuple[Any, torch.Tensor, bytes]:
    """(encoder, released W_dec, digest) of a directory in sae-lens' format."""
    config_file, weights = path / "cfg.json", path / "sae_weights.safetensors"
    for file in (config_file, weights):
        if not file.is_file():
            raise InputError(name, f"{file.name} in {path}", "none", "Point it at an SAE saved by sae-lens.")
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import sae_lens_disk_loader

    encoder, w_dec = _load(name, SAE.load_from_disk, sae_lens_disk_loader, str(path))
    return encoder, w_dec, digest_files([config_file, weights])


def _from_release(release: str, sae_id: str, name: str) -> tuple[Any, torch.Tensor, bytes]:
    """(encoder, released W_dec, digest) of an SAE that sae-lens knows by name."""
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import (
        NAMED_PRETRAINED_SAE_LOADERS,
        get_conversion_loader_name,
    )

    loader = NAMED_PRETRAINED_SAE_LOADERS[get_conversion_loader_name(release)]
    encoder, w_dec = _load(name, SAE.from_pretrained, loader, release, sae_id)
    return encoder, w_dec, digest(release.encode(), sae_id.encode(), w_dec.numpy().tobytes())


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


def _hook_point(metadata: Any, name: str) -> HookPointSpec:
    hook_name = str(metadata.get("hook_name") or "")
    match = _HOOK_NAME.match(hook_name)
    if match is None:
        raise InputError(
            f"{name}, hook_name",
            "blocks.L.hook_resid_pre or blocks.L.hook_resid_post",
            f"'{hook_name}'",
            "axiograph steers the residual stream only; choose an SAE that was trained on it.",
        )
    kwargs = metadata.get("model_from_pretrained_kwargs") or {}
    if needed := [key for key in _PROCESSING if kwargs.get(key)]:
        raise InputError(
            name,
            "an SAE of the model as released",
            f"one that needs processed weights ({', '.join(needed)})",
            "Its vectors do not live in the stream of the released model; choose another SAE.",
        )
    return HookPointSpec(layer=int(match[1]), place=match[2])  # type: ignore[arg-type]
