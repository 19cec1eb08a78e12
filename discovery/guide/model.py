"""The effects model: what every lever did to every value, and what levers used together would do.

Measured before modelled: it is made of what the choosing roles answered under every lever. On a scale without
ends (discovery.guide.link) every lever has a shift of every value at every strength that was measured, and a
curve between them (discovery.guide.levers). What levers do together is the sum of their shifts, which is what
the paths of a linear graph say, too: the direct part of a lever's shifts, d = (1 − B) a, goes through the
graph as T d with T = (1 − B)⁻¹.

The graph says which of a lever's shifts are carried by others. A direct part that is not told from 0 (its
size over its standard error below 1; half of it at 2; kept whole from 3 on) is taken as 0, so that values
which nothing leads to stay still and descendants move as their causes do. Only the centre is moved so: the
spread of the measurement stays whole.

All of it is done in draws: the roles are drawn anew, the items too where `items` is given, and every draw has
the graph of a replicate. What the draws do not hold is added: how far a curve may lie off between two
strengths (by leaving measured strengths out), how far a sum may lie off (COMBINING), and the new roles' own
differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.discovery.effects.changes import BASELINE, Pairing, find_changes, select_roles
from axiograph.discovery.guide.levers import Curve, Lever, curve_error
from axiograph.discovery.guide.link import Link
from axiograph.discovery.guide.paths import Paths
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.numerics.intervals import RoleDraws, percentile_range

COMBINING = 0.05  # of the shifts that are added to the largest one
_ROOM = 0.97  # of the change of the score that is left on either side


@dataclass(frozen=True, eq=False)
class ItemMeans:
    """Mean differences by item: `value` [n_items] the index of its value, `differences` condition →
    [n_items], NaN where an item has none. `ratio`: items of a value asked of the choosing roles, for one that
    will be asked of the judges."""

    value: NDArray[np.int64]
    differences: Mapping[str, FloatArray]
    ratio: float = 1.0


@dataclass(frozen=True, eq=False)
class Measured:
    """What the choosing roles answered: `baseline` [n_roles, n_values], `differences` condition →
    [n_roles, n_values] (condition − baseline), NaN where a score is missing; `changed` condition → [n_values]
    whether the test of discovery.effects.changes finds a change. `items`: only where the judges will be asked
    other items. `everyone` [m, n_values]: the baseline of all roles that were asked the same, the choosing
    ones among them; None where there are no others."""

    names: tuple[str, ...]
    baseline: FloatArray
    differences: Mapping[str, FloatArray]
    changed: Mapping[str, BoolArray]
    items: ItemMeans | None = None
    everyone: FloatArray | None = None

    @classmethod
    def of(
        cls,
        profiles: pl.DataFrame,
        *,
        baseline: str = BASELINE,
        level: float = 0.05,
        items: ItemMeans | None = None,
        everyone: FloatArray | None = None,
    ) -> Measured:
        """From the profiles of the choosing roles: role, condition and a column per value. Raises InputError
        as discovery.effects.testing does."""
        selected = select_roles(profiles, None, baseline)
        pairing = Pairing(selected, baseline, value_columns(profiles))
        changes = find_changes(pairing, level)
        before = selected.filter(pl.col("condition") == baseline).sort("role")
        scores = before.select(pl.col(pairing.names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
        differences = {condition: pairing.differences(condition) for condition in pairing.conditions}
        changed = dict(zip(pairing.conditions, changes.changed, strict=True))
        return cls(pairing.names, scores, differences, changed, items, everyone)

    @property
    def population(self) -> FloatArray:
        """[m, n_values]: the baseline of as many roles as are known."""
        return self.baseline if self.everyone is None else self.everyone

    @property
    def deviation(self) -> FloatArray:
        """[n_values]: standard deviation of the baseline over roles."""
        return np.asarray(np.nanstd(self.population, axis=0, ddof=1))


@dataclass(frozen=True, eq=False)
class Prediction:
    """`draws` [B, n_values] of the change of the mean score over the judges; `mean`, `low`, `high`."""

    draws: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class EffectsModel:
    """Made by `effects_model`. `link`: of all roles that are known. `curves`: lever's name → its curve;
    `direct`: lever's name → [n] the direct part of its shifts at a strongest point. `curve_error`: of a curve
    between measured strengths, as a share of its step."""

    measured: Measured
    levers: tuple[Lever, ...]
    link: Link
    curves: Mapping[str, Curve]
    direct: Mapping[str, FloatArray]
    curve_error: float
    level: float
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        return self.measured.names

    def lever(self, name: str) -> Lever:
        """The lever of that name."""
        return next(lever for lever in self.levers if lever.name == name)

    def predict(self, settings: Mapping[str, float], judges: int) -> Prediction:
        """The change of the mean score over `judges` new roles with these levers at these strengths."""
        parts = [self.curves[name].at(strength) for name, strength in settings.items()]
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(7,)))
        shift = np.sum([drawn for drawn, _, _ in parts], axis=0)
        centres = np.array([self.curves[n].means(np.array([s]))[0] for n, s in settings.items()])
        sizes = np.abs(centres)
        off = COMBINING * (sizes.sum(axis=0) - sizes.max(axis=0))
        steps = self.curve_error * np.sqrt(np.sum([step**2 for _, _, step in parts], axis=0))
        shift = shift + np.hypot(off, steps) * rng.standard_normal(shift.shape)
        change = self.link.change(shift)
        of_judges = np.sqrt(np.sum([spread**2 for _, spread, _ in parts], axis=0) / max(judges, 1))
        drawn = change + of_judges * rng.standard_normal(change.shape)
        low, high = percentile_range(drawn.T, self.level)
        return Prediction(drawn, self.link.change(centres.sum(axis=0)), low, high)


def effects_model(
    measured: Measured,
    levers: Sequence[Lever],
    paths: Paths | None,
    *,
    draws: int = 500,
    level: float = 0.05,
    seed: int = 0,
) -> EffectsModel:
    """The model of `levers` from what was measured; `paths`: of as many draws, None without a graph."""
    usable = tuple(lever for lever in levers if lever.usable)
    # A shift is what the choosing roles' own scores make of their changes; what it does to others depends on
    # where roles lie, and more roles say that better.
    link = Link.fitted(measured.baseline, {c: measured.differences[c] for x in usable for _, c in x.usable})
    roles = RoleDraws.of(len(measured.baseline), draws, seed)
    offsets = item_offsets(measured, usable, draws, seed)
    curves, direct = {}, {}
    for lever in usable:
        curve, direct[lever.name] = _curve(lever, measured, link, roles, offsets, paths)
        curves[lever.name] = curve
    error = curve_error(list(curves.values()))
    others = link if measured.everyone is None else Link.of(measured.everyone, link.width)
    return EffectsModel(measured, usable, others, curves, direct, error, level, seed)


def item_offsets(measured: Measured, levers: Sequence[Lever], draws: int, seed: int) -> dict[str, FloatArray]:
    """Condition → [B, n]: how the mean change would differ with other items of the same kind, for judges who
    are asked other ones. One draw of the items counts for all conditions, since what is particular about an
    item is so under each. Few items: their spread is itself uncertain, as in Student's t."""
    items = measured.items
    if items is None:
        return {}
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(8,)))
    conditions = [condition for lever in levers for _, condition in lever.usable]
    table = np.stack([items.differences[condition] for condition in conditions])  # [c, items]
    offsets = np.zeros((len(conditions), draws, len(measured.names)))
    for k in range(len(measured.names)):
        of_value = table[:, items.value == k]
        of_value = of_value[:, np.isfinite(of_value).all(axis=0)]
        count = of_value.shape[1]
        if count < 2:
            continue
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count  # [B, items]
        wide = np.sqrt((1 + items.ratio) * count / rng.chisquare(count - 1, size=draws))
        offsets[:, :, k] = (of_value @ drawn.T - of_value.mean(axis=1, keepdims=True)) * wide
    return dict(zip(conditions, offsets, strict=True))


def _curve(
    lever: Lever,
    measured: Measured,
    link: Link,
    roles: RoleDraws,
    offsets: Mapping[str, FloatArray],
    paths: Paths | None,
) -> tuple[Curve, FloatArray]:
    """(the lever's curve, the direct part of its shifts at a strongest point)."""
    n, b = len(measured.names), len(roles)
    strengths, shifts, spreads, direct = [0.0], [np.zeros((b, n))], [np.zeros(n)], np.zeros(n)
    centres = [np.zeros(n)]
    for strength, condition in lever.usable:
        changes = measured.differences[condition]
        # A value without a score under the condition: only the graph can say what it does.
        blank: BoolArray = np.asarray(~np.isfinite(changes).any(axis=0))
        mean = _means(np.where(blank, 0.0, changes))
        drawn = roles.means(np.where(blank, 0.0, changes))
        change = drawn + offsets.get(condition, 0.0)
        # A draw may lie beyond every score there is: it counts as lying close to the last.
        lowest, highest = _ROOM * link.room()
        ends = np.minimum(lowest, mean), np.maximum(highest, mean)
        shift = link.shift(np.clip(change, *ends))
        # Whether a part is there at all, the roles tell; that other items would show more or less of it is
        # another matter.
        noise = np.atleast_2d(np.cov(link.shift(np.clip(drawn, *ends)), rowvar=False))
        centre, shift, direct_part = through_paths(link.shift(mean), shift, noise, paths, blank)
        if abs(strength) == max(abs(s) for s, _ in lever.usable):
            direct = direct_part
        strengths.append(strength)
        centres.append(centre)
        shifts.append(shift)
        spreads.append(np.nan_to_num(np.nanstd(np.where(blank, 0.0, changes), axis=0)))
    order = np.argsort(strengths)
    arrays = (np.array(part)[order] for part in (strengths, centres, shifts, spreads))
    return Curve(*arrays), direct


def _means(differences: FloatArray) -> FloatArray:
    """[n]: means over the roles that have the difference, 0 where none has."""
    count = np.isfinite(differences).sum(axis=0)
    return np.asarray(np.nansum(differences, axis=0) / np.maximum(count, 1))


def through_paths(
    centre: FloatArray,
    draws: FloatArray,
    noise: FloatArray,
    paths: Paths | None,
    blank: BoolArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(centre [n], draws [B, n], kept direct parts [n]) of shifts whose direct parts were taken out of the
    centre as far as they are not told from 0, by the covariance `noise` [n, n] of the shifts. `blank` [n]:
    values that were not measured: they have no direct part, and move as their causes do. Without paths the
    shifts stay as they are."""
    if paths is None:
        return centre, draws, centre
    centres = np.broadcast_to(centre, draws.shape)
    if blank is not None and blank.any():
        centres, draws = (_completed(part, paths.coefficients, blank) for part in (centres, draws))
    # By the error of the measurement under every draw's own graph: what graphs make of the same shifts
    # differs, and would otherwise count as noise that hides a part which is plain in each of them.
    step = np.eye(len(centre)) - paths.coefficients
    direct = np.einsum("dij,dj->di", step, centres)
    error = np.sqrt(np.maximum(((step @ noise) * step).sum(axis=2), 0.0))
    ratio = np.divide(np.abs(direct), error, out=np.zeros_like(direct), where=error > 1e-12)
    keep = np.clip((ratio - 1) / 2, 0.0, 1.0)
    taken = np.einsum("dij,dj->di", paths.total, (1 - keep) * direct)
    return (centres - taken).mean(axis=0), draws - taken, (keep * direct).mean(axis=0)


def _completed(shift: FloatArray, b: FloatArray, blank: BoolArray) -> FloatArray:
    """`shift` with what its causes give to the blank values: a_K = (1 − B_KK)⁻¹ B_KM a_M."""
    filled = shift.copy()
    inner = np.eye(int(blank.sum())) - b[:, blank][:, :, blank]
    outer = b[:, blank][:, :, ~blank] @ shift[:, ~blank, None]
    filled[:, blank] = np.linalg.solve(inner, outer)[..., 0]
    return filled
