"""Clamping a feature's activation through the SAE's encoder, with the reconstruction error kept.

With a the activation that the encoder reads at a stream row h, and t the one it is set to, the row becomes
h + decode(activations with t in place of a) − decode(activations) = h + (t − a) · w, with w the feature's
decoder row as sae-lens applies it. Whatever the SAE does not reconstruct stays in h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest, digest_json

if TYPE_CHECKING:
    import torch

    from axiograph.steering.directions.saes import Sae

_TRIED = 64  # random rows on which the formula is held against sae-lens
_AGREES = 1e-4  # largest difference, as a share of the largest number compared


@dataclass(frozen=True)
class FeatureClamp:
    """Sets an activation to `target`: what is read is z = h · reader + bias, as z where it is above
    `threshold` and 0 elsewhere; `writer` is the decoder row. reader, writer [d_model], float32, CPU.

    A gated encoder is of the same form. With p = h · w its gate is open where p > −b_gate, and its magnitude
    z = e^r · p + b_mag counts where it is above 0: together where z > max(0, b_mag − e^r · b_gate)."""

    reader: torch.Tensor
    writer: torch.Tensor
    bias: float
    threshold: float
    target: float

    @property
    def digest(self) -> bytes:
        numbers = [self.bias, self.threshold, self.target]
        return digest(digest_json(numbers), self.reader.numpy().tobytes(), self.writer.numpy().tobytes())

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Stream rows [n, d_model] in float32, clamped."""
        import torch

        # In float64: the threshold is a jump, on the same side of which every way of summing must come out.
        z = rows.double() @ self.reader.to(rows.device).double() + self.bias
        activation = torch.where(z > self.threshold, z, torch.zeros_like(z))
        change = (self.target - activation).unsqueeze(-1) * self.writer.to(rows.device).double()
        return (rows.double() + change).float()


def feature_clamp(sae: Sae, feature: int, target: float) -> FeatureClamp:
    """The clamp of one feature; InputError for an SAE whose features cannot be read one at a time (top-k and
    others, where an activation depends on the other features), that rescales what it is given, or that reads
    another place than it writes to."""
    sae.direction(feature)  # refuses a feature that is not there
    rescaling = getattr(sae.encoder.cfg, "normalize_activations", "none")
    if rescaling != "none":
        raise _refusal(sae, f"inputs rescaled by {rescaling}")
    if sae.reads is not None and sae.reads != sae.writes:
        raise _refusal(
            sae, f"one that reads {sae.reads.name} and writes to {sae.writes.name or 'an unnamed hook'}"
        )
    _ = sae.reading_point  # refuses one that reads no hook point
    clamp = _read(sae.encoder, feature, target)
    _check(clamp, sae, feature)
    return clamp


def _read(encoder: Any, feature: int, target: float) -> FeatureClamp:
    """The clamp by the weights of sae-lens' encoder."""
    import torch

    with torch.inference_mode():
        reader = encoder.W_enc[:, feature].detach().float().cpu().clone()
        writer = encoder.W_dec[feature].detach().float().cpu().clone()
        scale, lowest = 1.0, 0.0
        if getattr(encoder, "r_mag", None) is not None:  # gated
            grown = encoder.r_mag[feature].exp()
            reader, scale = reader * grown.float().cpu(), float(grown)
            bias = float(encoder.b_mag[feature])
            lowest = bias - scale * float(encoder.b_gate[feature])
        else:
            bias = float(encoder.b_enc[feature]) if getattr(encoder, "b_enc", None) is not None else 0.0
        # The bias that all of h brings with it shifts the gate and the magnitude alike.
        shift = 0.0
        if getattr(encoder.cfg, "apply_b_dec_to_input", False):
            shift = float(encoder.b_dec.detach().double().cpu() @ reader.double())
        threshold = float(encoder.threshold[feature]) if hasattr(encoder, "threshold") else lowest
    return FeatureClamp(reader, writer, bias - shift, max(0.0, threshold), target)


def _check(clamp: FeatureClamp, sae: Sae, feature: int) -> None:
    """Against sae-lens' own encode and decode on random rows of several lengths."""
    import torch

    generator = torch.Generator().manual_seed(feature)
    rows = torch.randn(_TRIED, clamp.reader.shape[0], generator=generator)
    # Short and long ones; along the reader, so that the feature is active in some.
    rows *= torch.logspace(-1, 2, _TRIED).unsqueeze(-1)
    rows += clamp.reader * torch.linspace(0, 20, _TRIED).unsqueeze(-1)
    with torch.inference_mode():
        before = sae.encoder.encode(rows)
        after = before.clone()
        after[:, feature] = clamp.target
        expected = sae.encoder.decode(after) - sae.encoder.decode(before)
    change = clamp.apply(rows) - rows
    largest = max(float(rows.abs().max()), float(expected.abs().max()))
    off = float((change - expected).abs().max()) / largest
    if not off <= _AGREES:
        raise _refusal(sae, f"{type(sae.encoder).__name__}, whose own encode and decode differ by {off:.2g}")


def _refusal(sae: Sae, obstacle: str) -> InputError:
    return InputError(
        f"study, steering with {sae.name}, kind clamp_feature",
        "an SAE whose features are read one at a time (standard, JumpReLU or gated, without rescaled inputs)",
        obstacle,
        "Use kind: clamp or add, or another SAE.",
    )
