"""What steering and hints did, as experiments: mean differences to the baseline, their errors, and who was
moved together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import Pairing, select_roles
from axiograph.discovery.matrix.profiles import profiles_digest
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.engine.errors import InputError

if TYPE_CHECKING:
    from axiograph.discovery.interventions.local import Evidence

MIN_ROLES = 3  # of a condition; fewer say nothing of its own error
TOGETHER = " & "  # joins the parts of a lever's name: features or a hint that were used at the same time
LEAST_ERROR = 0.05  # standard deviations: effects are additive and linear only so far
_MOST_SHARED = 0.9  # of the variance of a difference can be the baseline's


@dataclass(frozen=True, eq=False)
class Experiments:
    """`names`: p values. `conditions`: m of them, those of one experiment side by side; `experiment` [m]:
    their numbers, ascending from 0; `levers` [m]: what is left out together. `differences` [m, roles, p]:
    of roles, condition − baseline in units of the scores, NaN without a pair. `left_out`: condition →
    why. `digest`: of the scores that they are made of; `lever_of`: condition → lever, those that were left
    out among them."""

    names: tuple[str, ...]
    conditions: tuple[str, ...]
    experiment: IndexArray
    levers: tuple[str, ...]
    differences: FloatArray
    left_out: dict[str, str]
    digest: str = ""
    lever_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_roles(self) -> int:
        """On which they were made."""
        return self.differences.shape[1]

    def only(self, conditions: BoolArray) -> Experiments:
        """These conditions [m] of them."""
        kept = np.flatnonzero(conditions)
        return replace(
            self,
            conditions=tuple(self.conditions[c] for c in kept),
            experiment=np.unique(self.experiment[kept], return_inverse=True)[1].reshape(-1).astype(np.int64),
            levers=tuple(self.levers[c] for c in kept),
            differences=self.differences[kept],
        )

    def without(self, lever: str) -> Experiments:
        """Those without a part of this lever: what a feature does beside another tells of both."""
        parts = set(lever.split(TOGETHER))
        return self.only(np.array([parts.isdisjoint(n.split(TOGETHER)) for n in self.levers], dtype=bool))

    def of(self, lever: str) -> BoolArray:
        """[m]: which conditions are of this lever."""
        return np.array([name == lever for name in self.levers], dtype=bool)

    def shuffled(self, rng: np.random.Generator) -> Experiments:
        """The same effects on every value, of other experiments: no value's effects go with another's."""
        sizes = np.bincount(self.experiment)
        starts = np.cumsum(sizes) - sizes
        differences = np.full_like(self.differences, np.nan)
        for value in range(len(self.names)):
            order = rng.permutation(len(sizes))
            for into, out_of in enumerate(order):
                for k in range(sizes[into]):
                    source = starts[out_of] + k % sizes[out_of]
                    differences[starts[into] + k, :, value] = self.differences[source, :, value]
        return replace(self, differences=differences)

    def flipped(self, rng: np.random.Generator) -> Experiments:
        """Every effect of an experiment on a value with a sign drawn by chance."""
        signs = rng.choice([-1.0, 1.0], (int(self.experiment.max(initial=-1)) + 1, len(self.names)))
        return replace(self, differences=self.differences * signs[self.experiment][:, None, :])

    @cached_property
    def _known(self) -> tuple[FloatArray, FloatArray]:
        """[m, roles, p] each: 1 where there is a difference, else 0; the difference there, else 0."""
        present = ~np.isnan(self.differences)
        return present.astype(np.float64), np.where(present, self.differences, 0.0)

    @cached_property
    def errors(self) -> Errors:
        """Of the mean effects."""
        return Errors.of(self)

    def effects(self, roles: IndexArray | None = None) -> FloatArray:
        """[m, p] mean differences, over the roles of these numbers, one as often as it is named; all where
        None.

        NaN where there is none."""
        if roles is None:
            weights = np.ones(self.n_roles)
        else:
            weights = np.bincount(roles, minlength=self.n_roles).astype(np.float64)
        present, known = self._known
        count = np.einsum("r,mrp->mp", weights, present)
        total = np.einsum("r,mrp->mp", weights, known)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / count)

    def evidence(
        self,
        names: Sequence[str],
        covariance: FloatArray,
        scale: FloatArray,
        rows: float,
        limit: float,
        roles: IndexArray | None = None,
    ) -> Evidence:
        """With the roles' covariance [k, k] of the values `names` in units of `scale` [k], their standard
        deviations, among `rows`; effects over `roles` as in `effects`;
        `limit`: what one that no cause explains costs, in units of −2 log likelihood."""
        from axiograph.discovery.interventions.local import Evidence

        columns = [self.names.index(name) for name in names]
        mean = self.effects(roles)[:, columns] / scale
        # Means over roles that were drawn anew are off by the drawing as much as those of the roles are.
        times = 1.0 if roles is None else 2.0
        own, shared = (
            times * table[..., columns] / scale**2 for table in (self.errors.own, self.errors.shared)
        )
        # An effect that is not known costs nothing, whatever is said of it.
        unknown = np.isnan(mean) | np.isnan(own)
        own = own + LEAST_ERROR**2
        shared = np.nan_to_num(shared) + LEAST_ERROR**2 / 4
        ends = np.cumsum(np.bincount(self.experiment))
        sizes = np.diff(np.r_[0, ends])
        return Evidence(
            np.ascontiguousarray(covariance),
            float(rows),
            np.ascontiguousarray(np.where(unknown, 0.0, mean).T),
            np.ascontiguousarray(np.where(unknown, 1e9, own).T),
            np.ascontiguousarray(shared),
            ends.astype(np.int64),
            limit + (sizes - 1.0),
        )


@dataclass(frozen=True, eq=False)
class Errors:
    """Variances of mean effects, in squared units of the scores: `own` [m, p] of the condition's answers,
    `shared` [p] of the baseline's, which all conditions have in common."""

    own: FloatArray
    shared: FloatArray

    @classmethod
    def of(cls, experiments: Experiments) -> Errors:
        """A role's difference varies by its own errors in both conditions and by how differently roles
        respond: variances of differences, pooled over conditions. Conditions of different experiments have
        the baseline's error in common and nothing else: it is what their differences share over roles."""
        d = experiments.differences
        count = (~np.isnan(d)).sum(axis=1)  # [m, p]
        centred = np.where(np.isnan(d), 0.0, d - experiments.effects()[:, None, :])
        freedom = np.maximum(count - 1, 0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            pooled = (centred**2).sum(axis=(0, 1)) / freedom
            common = cls._common(centred, experiments.experiment, count)
            shared = np.clip(np.nan_to_num(common), 0.0, _MOST_SHARED * np.nan_to_num(pooled))
            own = np.where(count > 0, (pooled - shared) / count, np.nan)
            return cls(own, shared / np.maximum(count.sum(axis=0) / max(len(count), 1), 1.0))

    @staticmethod
    def _common(centred: FloatArray, experiment: IndexArray, count: IndexArray) -> FloatArray:
        """[p]: the covariance over roles of differences of two experiments, averaged over their pairs."""
        numbers = int(experiment.max(initial=-1)) + 1
        sums = np.zeros((numbers, *centred.shape[1:]))
        np.add.at(sums, experiment, centred)
        # Σ over pairs of different experiments = ((Σ all)² − Σ (Σ of one experiment)²) / 2
        products = (sums.sum(axis=0) ** 2 - (sums**2).sum(axis=0)).sum(axis=0) / 2
        sizes = np.bincount(experiment, minlength=numbers)
        pairs = (sizes.sum() ** 2 - (sizes**2).sum()) / 2
        freedom = max(float(np.median(count)) - 1.0, 1.0) if len(count) else 1.0
        return np.asarray(products / (pairs * freedom)) if pairs else np.zeros(centred.shape[2])


def experiments(
    profiles: pl.DataFrame,
    baseline: str,
    names: Sequence[str],
    groups: Mapping[str, tuple[str, str]],
    split: str | None = None,
    broken: Sequence[str] = (),
) -> Experiments:
    """From profiles, a row per role and condition. `groups`: condition → its experiment and its lever, in the
    order in which they shall come; others take no part. `split`: on which part of the roles. `broken`:
    conditions that break the model, which are left out.

    A condition in which fewer than MIN_ROLES, or fewer than half of the roles have a pair is left out: where
    most answers cannot be read, the rest says what answers are readable. InputError where none is left."""
    chosen = select_roles(profiles, split, baseline)
    pairing = Pairing(chosen, baseline, names)
    order = [name for name in groups if name in set(pairing.conditions)]
    tables, kept, left_out = [], [], {}
    for condition in order:
        if condition in broken:
            left_out[condition] = "it breaks the model"
            continue
        differences = pairing.differences(condition)
        pairs = int((~np.isnan(differences)).any(axis=1).sum())
        if pairs < max(MIN_ROLES, pairing.roles / 2):
            left_out[condition] = f"{pairs} of {pairing.roles} roles have scores in it"
            continue
        tables.append(differences)
        kept.append(condition)
    if not kept:
        raise InputError(
            "profiles",
            f"a condition that {MIN_ROLES} roles, and half of them, have answered beside the baseline",
            "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "none",
            "Steer more roles, or take `rows: baseline`.",
        )
    labels = list(dict.fromkeys(groups[name][0] for name in kept))
    number = np.array([labels.index(groups[name][0]) for name in kept], dtype=np.int64)
    by_number = np.argsort(number, kind="stable")
    return Experiments(
        names=tuple(names),
        conditions=tuple(kept[c] for c in by_number),
        experiment=number[by_number],
        levers=tuple(groups[kept[c]][1] for c in by_number),
        differences=np.stack([tables[c] for c in by_number]),
        left_out=left_out,
        lever_of={name: groups[name][1] for name in order},
        digest=profiles_digest(chosen.filter(pl.col("condition").is_in([baseline, *kept]))),
    )
