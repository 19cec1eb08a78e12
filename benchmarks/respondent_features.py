"""How easily the planted features are found among all features of the shipped SAE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from respondent_shipped import Array, Model, Truth, role_text
from respondent_steering import Steered, decoder
from safetensors.numpy import load_file

PILOT_ROLES, PILOT_ITEMS, PILOT_STRENGTH = 4, 4, 4.0  # items: per value


def features(model: Model, truth: Truth, assets: Path) -> list[str]:
    """Ranks of the planted features by measured effect and by activation."""
    planted = [truth.data["features"][name] for name in truth.names]
    effect = pilot(model, truth, assets)
    span, role = activations(model, truth, assets)
    strongest = np.abs(effect).max(1)
    others = np.delete(strongest, planted)
    lines = [
        "## Finding the planted features", "",
        f"Rank of the eight planted features among all {len(strongest)} (1 is first). By effect: a pilot"
        f" sweep, {PILOT_ROLES} roles x {PILOT_ITEMS} items per value, every feature once at"
        f" +{PILOT_STRENGTH:g} (raw), ranked by the largest mean change of a value. By activation on the"
        " span: the paper's heuristic;"
        " the span precedes the role, so this cannot depend on the role. By activation"
        " on the role: the largest one on a token of the text of 50 roles.", "",
        "| value | feature | rank by effect | its effect | value moved most | rank by activation on the span"
        " | activation there | rank by activation on the role |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, f in zip(truth.names, planted, strict=True):
        moved = truth.names[int(np.abs(effect[f]).argmax())]
        cells = (
            f"{_rank(strongest, f)}", f"{strongest[f]:.2f}", moved, f"{_rank(span, f)}", f"{span[f]:.3f}",
            f"{_rank(role, f)}",
        )  # fmt: skip
        lines.append(f"| {name} | {f} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"The other {len(others)} features: largest effect {others.max():.3f},"
        f" median {np.median(others):.3f};"
        f" {int((span > 0).sum())} features are active on the span at all.",
    ]
    return lines


def pilot(model: Model, truth: Truth, assets: Path) -> Array:
    """Effect (features, 8) of every feature."""
    rng = np.random.default_rng(4)
    items = [rng.choice(np.flatnonzero(truth.asked == k), PILOT_ITEMS, replace=False) for k in range(8)]
    roles = [role_text(role) for role in truth.roles(PILOT_ROLES, seed=17)]
    steered = Steered(model, truth, roles, np.sort(np.concatenate(items)))
    return np.stack([steered.effect(PILOT_STRENGTH * row) for row in decoder(assets)])


def activations(model: Model, truth: Truth, assets: Path) -> tuple[Array, Array]:
    """Largest activation (features,) on the span, and on the tokens after it that hold 50 roles."""
    sae = {k: v.astype(np.float64) for k, v in load_file(assets / "sae" / "sae_weights.safetensors").items()}
    question = truth.items[0]["question"]
    bare, places = model.streams("", question)
    head = len(bare) - 1

    def encode(stream: Array) -> Array:
        return np.maximum((stream - sae["b_dec"]) @ sae["W_enc"] + sae["b_enc"], 0.0)

    on_roles = [
        encode(model.streams(role_text(role), question)[0][head:]).max(0) for role in truth.roles(50, seed=23)
    ]
    return encode(bare[places]).max(0), np.max(on_roles, axis=0)


def _rank(scores: NDArray[np.float64], feature: int) -> int:
    return int((scores > scores[feature]).sum()) + 1
