"""SAEs: their decoder rows as released, with the place where these act, and what their encoders may read.

Whatever sae-lens 6 loads is used where its vectors live in the residual stream, or refused with the reason.
The row is used as it was saved (unit `raw`); docs/steering.md says what that means for each kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import InputError
from axiograph.engine.study.steering import HookPointSpec, SaeSource
from axiograph.steering.directions.hook_names import HookSite, hook_site
from axiograph.steering.directions.loading import LoadedSae, load_folder, load_release
from axiograph.steering.directions.steered_model import SteeredModel

if TYPE_CHECKING:
    import torch

# Model weights that TransformerLens changes on loading; vectors found there do not live in the stream
# of the model as released.
_PROCESSING = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
_OTHERWISE = "Use kind: add and another unit than max_activation, or another SAE."
_RESCALED = ("layer_norm", "constant_norm_rescale", "constant_scalar_rescale")


@dataclass(frozen=True)
class Sae:
    """A loaded SAE. `w_dec` [d_sae, d_model] in float32, as released: nothing folded into it.

    writes: where its decoder rows act; reads: what its encoder reads, None: the same place.
    unread: why its activations cannot be read, if so, with what to do. `notes`: what a person should know of
    it at the start of a run; `unit_notes`: what, where it is steered in such a unit.
    """

    name: str
    writes: HookSite
    w_dec: torch.Tensor
    encoder: Any
    digest: bytes
    reads: HookSite | None = None
    unread: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()
    unit_notes: tuple[tuple[str, str], ...] = ()

    @property
    def n_features(self) -> int:
        return int(self.w_dec.shape[0])

    @property
    def hook_point(self) -> HookPointSpec:
        """Where its rows act by its metadata; InputError where these name no such place."""
        if self.writes.point is None:
            raise _misplaced(self)
        return self.writes.point

    @property
    def reading_point(self) -> HookPointSpec:
        """Where its encoder reads; InputError where it reads nothing that axiograph can give it."""
        site = self.reads or self.writes
        if self.unread is not None:
            raise InputError(f"{self.name}, activations", "an encoder that reads the stream", *self.unread)
        if site.point is None or not site.is_stream:
            said = "" if site.name else " The metadata of cfg.json (hook_name) may say what it reads."
            raise InputError(
                f"{self.name}, activations",
                "an encoder that reads resid_pre or resid_post",
                f"one that reads '{site.name}', {site.reason or 'what is added to the stream there'}",
                f"{_OTHERWISE}{said}",
            )
        return site.point

    def is_of(self, source: SaeSource) -> bool:
        """Whether it was loaded from `source`."""
        return self.name == source_name(source)

    def check_told(self) -> None:
        """InputError where not even a study's hook_point can say where its rows act."""
        if self.writes.point is None and not self.writes.may_be_told:
            raise _misplaced(self)

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
        """Feature activations [..., d_sae] of residual stream rows [..., d_model] at `reading_point`, in
        float32, as sae-lens' own encoder gives them (rescaling of its input included)."""
        import torch

        with torch.inference_mode():
            activations: torch.Tensor = self.encoder.encode(stream.float().to(self.encoder.W_dec.device))
            return activations


def source_name(source: SaeSource) -> str:
    """What an SAE is called in tables and messages."""
    return f"SAE {source.path}" if source.path is not None else f"SAE {source.release}/{source.id}"


def load_sae(source: SaeSource, d_model: int, n_layers: int, model: SteeredModel = SteeredModel()) -> Sae:  # noqa: B008
    """Load and check an SAE for a model of width `d_model` with `n_layers` decoder layers.

    InputError for one that cannot be loaded or is of another width, layer or basis. Where its hook is no
    hook point, the error comes when that is asked for: the study may name another."""
    name = source_name(source)
    if source.path is not None:
        loaded = load_folder(source.path, name)
    else:
        assert source.release is not None and source.id is not None
        loaded = load_release(source.release, source.id, name)
    _check_basis(loaded, name)
    if loaded.w_dec.shape[1] != d_model:
        raise InputError(
            name,
            f"the model's width {d_model}",
            f"width {loaded.w_dec.shape[1]}",
            "Use an SAE of this model.",
        )
    writes, reads = _sites(loaded, model)
    for site in (writes, reads):
        if site.point is not None:
            check_layer(site.point, n_layers, name)
    sae = Sae(name, writes, loaded.w_dec, loaded.encoder, loaded.digest, reads, _unread(loaded, d_model))
    return replace(sae, notes=tuple(_notes(sae, model)), unit_notes=tuple(_unit_notes(sae)))


def check_layer(hook_point: HookPointSpec, n_layers: int, where: str) -> None:
    if hook_point.layer >= n_layers:
        raise InputError(
            where,
            f"a layer from 0 to {n_layers - 1}",
            f"layer {hook_point.layer}",
            "Count decoder layers from 0; this model has no such layer.",
        )


def _check_basis(loaded: LoadedSae, name: str) -> None:
    """InputError where decoder rows are in no coordinates of the released model's stream."""
    cfg = loaded.encoder.cfg
    if loaded.w_dec.dim() != 2:
        shape = tuple(loaded.w_dec.shape)
        raise InputError(
            name, "a decoder with one row per feature", f"shape {shape}", "Choose an SAE or a transcoder."
        )
    kwargs = cfg.metadata.get("model_from_pretrained_kwargs") or {}
    if needed := [key for key in _PROCESSING if kwargs.get(key)]:
        raise InputError(
            name,
            "an SAE of the model as released",
            f"one that needs processed weights ({', '.join(needed)})",
            "Its vectors do not live in the stream of the released model; choose another SAE.",
        )
    if cfg.normalize_activations == "covariance_whitening":
        raise InputError(
            name,
            "an SAE in the coordinates of the stream",
            "one of whitened activations (covariance_whitening, as in a checkpoint of a training run)",
            "Use the SAE that sae-lens saves at the end of training, into which it folds the whitening.",
        )


def _sites(loaded: LoadedSae, model: SteeredModel) -> tuple[HookSite, HookSite]:
    """(where the decoder writes, where the encoder reads): two hooks of a transcoder, else one."""
    cfg = loaded.encoder.cfg
    names = cfg.metadata
    reads = hook_site(str(names.get("hook_name") or names.get("hf_hook_name") or ""), model.mlp)
    if not hasattr(cfg, "d_out"):
        return reads, reads
    writes = hook_site(str(names.get("hook_name_out") or names.get("hf_hook_name_out") or ""), model.mlp)
    if loaded.is_summed:
        reason = "a layer of a cross-layer transcoder, whose rows are sums over all layers to which it writes"
        writes = HookSite(writes.name, None, reason, may_be_told=False)
    return writes, reads


def _unread(loaded: LoadedSae, d_model: int) -> tuple[str, str] | None:
    """(what stands against reading activations, what to do), if anything does."""
    cfg = loaded.encoder.cfg
    if cfg.architecture() == "temporal":
        return (
            "a TemporalSAE, whose activations depend on all tokens before",
            _OTHERWISE,
        )
    if cfg.normalize_activations == "expected_average_only_in":
        return (
            "one saved before the scale of its training activations was folded into its weights "
            "(expected_average_only_in), which would read the stream at a wrong scale",
            "Fold it: sae.fold_activation_norm_scaling_factor(FACTOR) with the factor of its training run "
            "(activation_scaler.json), then sae.save_model; sae-lens does so itself at the end of training.",
        )
    if cfg.d_in != d_model:
        return f"one that reads vectors of width {cfg.d_in}", _OTHERWISE
    return None


def _misplaced(sae: Sae) -> InputError:
    """Of an SAE whose rows act at no hook point that axiograph knows."""
    site = sae.writes
    field = "hook_name_out" if hasattr(sae.encoder.cfg, "d_out") else "hook_name"
    remedy = (
        "axiograph steers the residual stream only: say with 'hook_point' in the study where these vectors "
        f"act (or {field} in the metadata of cfg.json), or choose an SAE that was trained on the stream."
        if site.may_be_told
        else "axiograph steers the residual stream only; choose an SAE that was trained on it."
    )
    return InputError(
        f"{sae.name}, {field}",
        "the input or output of a decoder layer (blocks.L.hook_resid_pre, blocks.L.hook_resid_post, "
        "blocks.L.hook_in, blocks.L.hook_out, model.layers.L) or what its MLP adds (blocks.L.hook_mlp_out)",
        f"'{site.name}', {site.reason}",
        remedy,
    )


def _notes(sae: Sae, model: SteeredModel) -> list[str]:
    label = str(sae.encoder.cfg.metadata.get("model_name") or "")
    if model.is_meant_by(label):
        return []
    return [
        f"{sae.name} is labelled as one of {label}, and the study's model is {model.names[0]}: vectors of "
        "another model steer all the same, and mean nothing."
    ]


def _unit_notes(sae: Sae) -> list[tuple[str, str]]:
    """(unit, what to know of it) for SAEs whose rows or activations are not in units of the stream."""
    cfg, rescaling = sae.encoder.cfg, sae.encoder.cfg.normalize_activations
    notes = []
    if rescaling in _RESCALED or rescaling == "expected_average_only_in":
        text = (
            f"{sae.name} was trained on rescaled activations ({rescaling}), and its rows are as long as "
            "saved: strengths in raw or max_activation are in those units; unit_norm and residual_norm are "
            "lengths in the stream."
        )
        notes += [(unit, text) for unit in ("raw", "max_activation")]
    norms = sae.w_dec.norm(dim=-1)
    own = sae.encoder.W_dec.detach().float().cpu().norm(dim=-1)
    folded = float(norms.max() / own.max()) if float(own.max()) else 1.0
    if abs(folded - 1) > 1e-3:
        text = (
            f"{sae.name}: max_activation multiplies the row as released, {folded:.4g} times what the SAE "
            "itself adds per activation (sae-lens folds the scale of its training into the weights)."
        )
        notes.append(("max_activation", text))
    if getattr(cfg, "rescale_acts_by_decoder_norm", False) and float((norms - 1).abs().max()) > 1e-3:
        text = (
            f"{sae.name}: max_activation multiplies the row as saved, and the SAE itself the row at length 1 "
            "(rescale_acts_by_decoder_norm)."
        )
        notes.append(("max_activation", text))
    return notes
