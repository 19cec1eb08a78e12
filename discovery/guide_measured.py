"""What the choosing roles answered under every lever, from which the effects model is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.changes import find_changes
from discovery.graph import BoolArray
from discovery.guide_levers import Lever
from discovery.matrix import value_columns
from discovery.pairing import BASELINE, Pairing, select_roles
from discovery.pc import FloatArray


@dataclass(frozen=True, eq=False)
class ItemMeans:
    """Mean differences by item: `value` [n_items] its place among the values, `differences` condition →
    [n_items], NaN where an item has none. `ratio`: items of a value asked of the choosing roles, for one that
    will be asked of the judges."""

    value: NDArray[np.int64]
    differences: Mapping[str, FloatArray]
    ratio: float = 1.0


@dataclass(frozen=True, eq=False)
class Measured:
    """What the choosing roles answered: `baseline` [n_roles, n_values], `differences` condition →
    [n_roles, n_values] (condition − baseline), NaN where a score is missing; `changed` condition → [n_values]
    whether the test of discovery.changes finds a change. `items`: only where the judges will be asked other
    items. `everyone` [m, n_values]: the baseline of all roles that were asked the same, the choosing ones
    among them; None where there are no others."""

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
        seed: int = 0,
        items: ItemMeans | None = None,
        everyone: FloatArray | None = None,
    ) -> Measured:
        """From the profiles of the choosing roles: role, condition and a column per value. Raises InputError
        as discovery.effects does."""
        selected = select_roles(profiles, None, baseline)
        pairing = Pairing(selected, baseline, value_columns(profiles))
        changes = find_changes(pairing, level, None, seed)
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
    found = np.zeros((len(conditions), draws, len(measured.names)))
    for k in range(len(measured.names)):
        own = table[:, items.value == k]
        own = own[:, np.isfinite(own).all(axis=0)]
        count = own.shape[1]
        if count < 2:
            continue
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count  # [B, items]
        wide = np.sqrt((1 + items.ratio) * count / rng.chisquare(count - 1, size=draws))
        found[:, :, k] = (own @ drawn.T - own.mean(axis=1, keepdims=True)) * wide
    return dict(zip(conditions, found, strict=True))
