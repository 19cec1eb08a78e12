"""SAEs of every kind that sae-lens 6 has, written by sae-lens itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import tiny

FEATURES = 64
TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
# Kinds whose training checkpoints sae-lens saves as an SAE of the same kind, and those of another.
TRAINED = ("standard", "topk", "jumprelu", "gated")
BATCH_TOPK = ("batchtopk", "matryoshka_batchtopk")


def save(folder: Path, kind: str, hook: str | None = "blocks.1.hook_resid_post", **changes: Any) -> Path:
    """An SAE for inference with random weights. `changes`: of its configuration, those of its metadata by the
    prefix meta_."""
    from sae_lens.registry import SAE_CLASS_REGISTRY

    made = _made(*SAE_CLASS_REGISTRY[kind], kind, hook, changes)
    made.save_model(folder)
    return folder


def save_checkpoint(folder: Path, kind: str, **changes: Any) -> Path:
    """One as a training run saves it between two steps."""
    trained(kind, **changes).save_model(folder)
    return folder


def trained(kind: str, **changes: Any) -> Any:
    """sae-lens' SAE in training, with random weights."""
    from sae_lens.registry import SAE_TRAINING_CLASS_REGISTRY

    if kind == "matryoshka_batchtopk":
        changes = {"matryoshka_widths": [FEATURES // 4, FEATURES], **changes}
    return _made(*SAE_TRAINING_CLASS_REGISTRY[kind], kind, "blocks.1.hook_resid_post", changes)


def _made(sae_class: Any, config_class: Any, kind: str, hook: str | None, changes: dict[str, Any]) -> Any:
    import torch
    from sae_lens.saes.sae import SAEMetadata

    metadata = {key.removeprefix("meta_"): value for key, value in changes.items() if key.startswith("meta_")}
    settings = {key: value for key, value in changes.items() if not key.startswith("meta_")}
    if hook is not None:
        metadata["hook_name"] = hook
    if "topk" in kind:
        settings.setdefault("k", 5)
    if kind in TRANSCODERS:
        settings = {"d_out": tiny.WIDTH, "apply_b_dec_to_input": False, **settings}
    if kind == "temporal":
        settings = {"n_heads": 1, "kval_topk": 5, **settings}
    given = {"d_in": tiny.WIDTH, "d_sae": FEATURES, "dtype": "float32", "device": "cpu", **settings}
    made = sae_class(config_class(**given, metadata=SAEMetadata(**metadata)))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            # Thresholds of 0 to 1, small biases; rows of several lengths.
            size = 0.3 if weight.dim() > 1 else 0.1
            weight.copy_(drawn.abs() / 3 if name == "threshold" else drawn * size)
        if hasattr(made, "topk_threshold"):
            made.topk_threshold.fill_(0.2)
    return made
