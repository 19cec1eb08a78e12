"""How a respondent's answers scatter about its values: the noise of the built-in respondent, measured.

Log-odds of yes against no of role r on item i of value v, with agreement a = ±1 and threshold b:

    a · slope · (V_rv + u_rv − b_i − d_i) + q_r + e_ri

u: the role's own error on the value, shared by its items; d: the item's threshold is not where it was
planted; q: the role says yes whatever is asked; e: the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from axiograph.discovery.calibration.respondent import ASSETS
from axiograph.discovery.numerics.arrays import FloatArray, IndexArray
from axiograph.engine.errors import InputError

NOISE_FILE = ASSETS / "item_noise.json"


@dataclass(frozen=True)
class ItemNoise:
    """Standard deviations of the parts: `value_sd` of u and `item_sd` of d in units of the value,
    `acquiescence_sd` of q and `residual_sd` of e in log-odds. `unsure_rate`, `missing_rate`: shares of the
    answers that are unsure, or refused or unreadable. `steering_value_sd` and `steering_residual_sd`: what
    steering adds to u and e, per role."""

    slope: float
    value_sd: float = 0.0
    item_sd: float = 0.0
    acquiescence_sd: float = 0.0
    residual_sd: float = 0.0
    unsure_rate: float = 0.0
    missing_rate: float = 0.0
    steering_value_sd: float = 0.0
    steering_residual_sd: float = 0.0

    def __post_init__(self) -> None:
        sizes = [getattr(self, field.name) for field in fields(self)]
        rates = self.unsure_rate + self.missing_rate
        if not all(np.isfinite(sizes)) or min(sizes) < 0 or self.slope == 0 or rates > 1:
            raise InputError(
                "item noise",
                "a slope above 0, sizes of 0 or more, rates that sum to 1 at most",
                f"{self}",
                "Measure it again.",
            )


def load_noise(path: Path = NOISE_FILE) -> ItemNoise:
    """The noise measured on the built-in respondent (examples/respondent/item_noise.py). InputError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["noise"]
        return ItemNoise(**{name: float(number) for name, number in data.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            str(path), "the item noise of the built-in respondent", f"'{error}'", "Install axiograph again."
        ) from error


@dataclass(frozen=True, eq=False)
class Items:
    """Of I items: `agreement` ±1, `owner` (number of the value) and planted `threshold`, arrays [I]."""

    agreement: IndexArray
    owner: IndexArray
    threshold: FloatArray

    def mean_per_value(self, table: FloatArray) -> FloatArray:
        """[..., n] from [..., I]: means over the items of each value."""
        owns = (self.owner[:, None] == np.arange(self.owner.max() + 1)).astype(np.float64)
        return np.asarray(table @ owns / owns.sum(axis=0))


def fit_noise(log_odds: FloatArray, values: FloatArray, items: Items) -> ItemNoise:
    """The parts of the noise in `log_odds` [roles, I] of roles with `values` [roles, n], by analysis of
    variance.

    Keying must be balanced within values: q then cancels in means over a value's items, and u in the mean
    over all. Variances that come out below 0 are 0; rates and the parts of steering are left at 0."""
    scaled = values[:, items.owner] - items.threshold
    signed = items.agreement * log_odds
    slope = float((signed * scaled).sum() / (scaled**2).sum())
    rest = signed - slope * scaled
    offset = rest.mean(axis=0)
    rest = rest - offset
    by_value = items.mean_per_value(rest)
    yes = (items.agreement * rest).mean(axis=1)
    residual = rest - by_value[:, items.owner] - items.agreement * yes[:, None]
    roles, count = log_odds.shape
    freedom = (roles - 1) * (count - values.shape[1] - 1)
    variance = float((residual**2).sum() / freedom)
    each = count / values.shape[1]
    return ItemNoise(
        slope=slope,
        value_sd=_root(by_value.var(ddof=1) - variance / each) / slope,
        item_sd=_root(offset.var(ddof=1) - variance / roles - by_value.var(ddof=1) / roles) / slope,
        acquiescence_sd=_root(yes.var(ddof=1) - variance / count),
        residual_sd=_root(variance),
    )


@dataclass(frozen=True)
class SteeringNoise:
    """What steering did besides what was planted. `gain`: the size of the effects against the planted ones;
    `value_sd`, `residual_sd` as in ItemNoise; `bias_sd`: effects on a value that all roles share, in units of
    the value, which no number of roles averages away: the model itself was moved."""

    gain: float
    value_sd: float
    residual_sd: float
    bias_sd: float


def fit_steering_noise(
    difference: FloatArray, planted: FloatArray, items: Items, slope: float
) -> SteeringNoise:
    """From `difference` [conditions, roles, I], log-odds steered − baseline, and the `planted` shift of every
    value, [conditions, n]."""
    signed = items.agreement * difference / slope
    by_value = items.mean_per_value(signed)
    mean = by_value.mean(axis=1)
    gain = float((mean * planted).sum() / (planted**2).sum())
    spread = by_value - mean[:, None]
    residual = signed - signed.mean(axis=1, keepdims=True) - spread[:, :, items.owner]
    roles, each = difference.shape[1], len(items.owner) / planted.shape[1]
    variance = float(residual.var() * roles / (roles - 1) * each / (each - 1))
    shared = float((spread**2).mean() * roles / (roles - 1))
    return SteeringNoise(
        gain=gain,
        value_sd=_root(shared - variance / each),
        residual_sd=_root(variance) * slope,
        bias_sd=_root(float((mean - gain * planted).var()) - shared / roles),
    )


def _root(variance: float) -> float:
    return float(np.sqrt(max(0.0, variance)))
