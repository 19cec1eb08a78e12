"""What steering the shipped respondent does to its values, against the planted total effects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from respondent_shipped import Array, Model, Truth, role_text
from safetensors.numpy import load_file

STRENGTHS = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
RANDOM = 20


def decoder(assets: Path) -> Array:
    """Rows (features, width) of the shipped SAE's decoder."""
    rows: NDArray[np.float32] = load_file(assets / "sae" / "sae_weights.safetensors")["W_dec"]
    return rows.astype(np.float64)


def planted_directions(truth: Truth, assets: Path) -> Array:
    """The eight planted directions (8, width), in the order of the values."""
    return decoder(assets)[[truth.data["features"][name] for name in truth.names]]


class Steered:
    """Values estimated from the log-odds of fixed roles and items under a steering vector."""

    def __init__(self, model: Model, truth: Truth, roles: list[str], items: NDArray[np.int64]) -> None:
        self.model, self.truth, self.roles, self.items = model, truth, roles, items
        self.questions = [truth.items[i]["question"] for i in items]
        self.base = self._values(None)

    def _values(self, vector: Array | None) -> Array:
        """Up to a constant per item: (roles, 8)."""
        self.model.steer(vector)
        odds = np.stack([self.model.log_odds(role, self.questions) for role in self.roles])
        self.model.steer(None)
        signed = odds * self.truth.agreement[self.items] / self.truth.data["slope"]
        asked = self.truth.asked[self.items]
        return np.stack([signed[:, asked == k].mean(1) for k in range(8)], axis=1)

    def effect(self, vector: Array) -> Array:
        """Mean change (8,) of the values over roles."""
        return np.asarray((self._values(vector) - self.base).mean(0))


def steering(model: Model, truth: Truth, assets: Path, count: int) -> list[str]:
    """Effect matrices at every strength."""
    roles = [role_text(role) for role in truth.roles(count, seed=7)]
    steered = Steered(model, truth, roles, np.arange(len(truth.items)))
    directions = planted_directions(truth, assets)
    effects = {s: np.stack([steered.effect(s * d) for d in directions], axis=1) for s in STRENGTHS}
    lines = [
        "## Steering along the planted directions", "",
        f"{count} unseen roles, all items. Effect: mean change over roles of the value estimated from"
        " log-odds (mean of agreement * log-odds / slope), against 0.5 s T. Size ratio: least-squares slope"
        " over the cells with a planted effect.", "",
        "| strength | correlation, 64 cells | size ratio | of the steered value alone | mean \\|effect\\|"
        " where none is planted | largest |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for strength, found in effects.items():
        planted = truth.data["shift_per_strength"] * strength * truth.total
        moved = np.abs(planted) > 1e-9
        ratio = float((found[moved] * planted[moved]).sum() / (planted[moved] ** 2).sum())
        own = float(np.mean(np.diag(found) / np.diag(planted)))
        r = np.corrcoef(found.ravel(), planted.ravel())[0, 1]
        none = np.abs(found[~moved])
        lines.append(
            f"| {strength:+g} | {r:.4f} | {ratio:.3f} | {own:.3f} | {none.mean():.3f} | {none.max():.3f} |"
        )
    for strength, found in effects.items():
        lines += ["", f"Strength {strength:+g}, planted in brackets; a column per steered value:", ""]
        lines += ["| | " + " | ".join(truth.names) + " |", "|---|" + "---|" * 8]
        planted = truth.data["shift_per_strength"] * strength * truth.total + 0.0
        for name, row, wanted in zip(truth.names, found, planted, strict=True):
            cells = (f"{f:+.2f} ({p:+.2f})" for f, p in zip(row, wanted, strict=True))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def random_directions(model: Model, truth: Truth, assets: Path, count: int) -> list[str]:
    """Effects of random directions orthogonal to the planted ones."""
    roles = [role_text(role) for role in truth.roles(count, seed=7)]
    steered = Steered(model, truth, roles, np.arange(len(truth.items)))
    directions, rng = planted_directions(truth, assets), np.random.default_rng(3)
    vectors = rng.standard_normal((RANDOM, directions.shape[1]))
    vectors -= vectors @ directions.T @ directions
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lines = [
        "## Random directions",
        "",
        f"{RANDOM} random directions orthogonal to the planted ones, {count} roles:",
    ]
    lines += ["", "| strength | mean \\|effect\\| over values | largest |", "|---|---|---|"]
    for strength in (2.0, 4.0):
        found = np.abs([steered.effect(strength * vector) for vector in vectors])
        lines.append(f"| {strength:+g} | {found.mean():.3f} | {found.max():.3f} |")
    return lines
