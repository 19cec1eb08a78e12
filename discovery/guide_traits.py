"""Traits as a way of steering: what roles that share a trait have in common, and what giving it to others
would do.

Every value is taken as the sum of what the traits of a role contribute and of what is particular about it:
y = μ + Z u + e, with u ~ N(0, τ²) over all traits and e ~ N(0, σ²), both variances by restricted maximum
likelihood (Patterson & Thompson 1971, Biometrika 58). So the traits of a role are told apart, and those that
few roles share are drawn towards 0: the best of many small groups looks better than it is. The effect of a
trait is what it contributes less what the options in its place contribute to the roles that lack it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.draws import percentile_range
from discovery.graph import BoolArray
from discovery.guide_levers import LeverKind
from discovery.guide_model import Prediction
from discovery.guide_proposal import Proposal, Reliability
from discovery.guide_roles import RoleScores, proposal_of, towards
from discovery.guide_search import Search
from discovery.guide_trait_texts import Trait, traits_of, with_trait
from discovery.pc import FloatArray

MIN_SHARING = 5  # roles that must share a trait to have it proposed
_RATIOS = (-12.0, 8.0)  # natural logarithms of τ²/σ² between which it is sought


@dataclass(frozen=True, eq=False)
class TraitEffects:
    """Of giving a trait to roles that lack it, in points of the mean score. `sharing` [t]: the roles that
    have it, of `roles` in all; `effect`, `error` [t, n_values]: mean and standard deviation given what was
    measured; `own` [t, n_values]: the standard deviation of the effect from role to role; `item` [n_values]:
    the variance of the effect from item to item, and `asked` [n_values] how many items a role was asked."""

    traits: tuple[Trait, ...]
    roles: int
    sharing: FloatArray
    effect: FloatArray
    error: FloatArray
    own: FloatArray
    item: FloatArray
    asked: FloatArray

    @classmethod
    def of(cls, scores: RoleScores, texts: Mapping[str, str]) -> TraitEffects:
        """From the roles of `scores` whose texts are lists of traits (discovery.guide_trait_texts)."""
        rows, traits, has = _membership(scores.roles, texts)
        contrasts = _contrasts(traits, has)
        shape = (len(traits), len(scores.names))
        effect, error, own = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for k in range(len(scores.names)):
            fit = _Fit.of(scores.scores[rows, k], has)
            effect[:, k] = contrasts @ fit.mean
            error[:, k] = np.sqrt(np.maximum(np.sum((contrasts @ fit.covariance) * contrasts, axis=1), 0.0))
            # A role given the trait loses what stood in its place, and is another role in what is particular.
            replaced = np.minimum(contrasts, 0) @ -(fit.mean**2) - (np.minimum(contrasts, 0) @ fit.mean) ** 2
            own[:, k] = np.sqrt(np.maximum(replaced, 0.0) + 2 * fit.noise)
        sharing = has.sum(axis=0)
        item = _item_variance(scores.cells[rows], scores.value, has[:, sharing >= MIN_SHARING], shape[1])
        asked = scores.counts[rows].mean(axis=0) if rows else np.ones(shape[1])
        return cls(traits, len(rows), sharing, effect, error, own, item, asked)


def _membership(
    roles: Sequence[str], texts: Mapping[str, str]
) -> tuple[list[int], tuple[Trait, ...], BoolArray]:
    """(rows of the roles whose texts are lists, their traits, [rows, traits] who has which). What only one
    role has, or all but one, tells nothing apart and is left out."""
    lists = {r: found for r, role in enumerate(roles) if (found := traits_of(texts.get(role, "")))}
    counts = Counter(trait for found in lists.values() for trait in found)
    traits = tuple(sorted(trait for trait, n in counts.items() if 2 <= n <= len(lists) - 2))
    place = {trait: t for t, trait in enumerate(traits)}
    has = np.zeros((len(lists), len(traits)), bool)
    for row, found in zip(has, lists.values(), strict=True):
        row[[place[trait] for trait in found if trait in place]] = True
    return list(lists), traits, has


@dataclass(frozen=True, eq=False)
class _Fit:
    """Of one value: `mean` [t] and `covariance` [t, t] of what the traits contribute, `noise` σ²."""

    mean: FloatArray
    covariance: FloatArray
    noise: float

    @classmethod
    def of(cls, y: FloatArray, has: BoolArray) -> _Fit:
        from scipy.optimize import minimize_scalar

        known = np.isfinite(y)
        rest = int(known.sum()) - 1
        traits = has.shape[1]
        if rest < 2 or not traits or float(np.ptp(y[known])) == 0:
            return cls(np.zeros(traits), np.zeros((traits, traits)), 0.0)
        # The mean over roles is taken out of both; what traits cannot say of the scores is noise.
        off, z = y[known] - y[known].mean(), has[known] - has[known].mean(axis=0)
        left, size, right = np.linalg.svd(z, full_matrices=False)
        w = left.T @ off
        outside = max(float(off @ off - w @ w), 0.0)

        def noise_at(ratio: float) -> float:
            return float((np.sum(w**2 / (ratio * size**2 + 1)) + outside) / rest)

        def deviance(log_ratio: float) -> float:
            ratio = float(np.exp(log_ratio))
            return float(rest * np.log(noise_at(ratio)) + np.log(ratio * size**2 + 1).sum())

        found = minimize_scalar(deviance, bounds=_RATIOS, method="bounded", options={"xatol": 1e-6})
        ratio = float(np.exp(found.x)) if found.fun < deviance(-np.inf) else 0.0
        noise, spread = noise_at(ratio), ratio * size**2 + 1
        turned = ratio * size[:, None] * right  # [min(roles, traits), traits]
        mean = turned.T @ (w / spread)
        covariance = noise * (ratio * np.eye(traits) - turned.T @ (turned / spread[:, None]))
        return cls(np.asarray(mean), covariance, noise)


def _contrasts(traits: Sequence[Trait], has: BoolArray) -> FloatArray:
    """[t, t]: 1 for the trait itself, less the shares of the other options of its field among the roles that
    lack it."""
    found = np.eye(len(traits))
    for t, trait in enumerate(traits):
        lacking = ~has[:, t]
        for other, option in enumerate(traits):
            if other != t and option.field == trait.field:
                found[t, other] = -has[lacking, other].mean()
    return found


def _item_variance(cells: FloatArray, value: NDArray[np.int64], has: BoolArray, values: int) -> FloatArray:
    """[n_values]: how far a trait's effect differs from item to item, beyond what the few roles explain (by
    moments, over all traits)."""
    found = np.zeros(values)
    for k in range(values):
        own = cells[:, value == k]
        excess = [part for t in has.T if (part := _excess(own, t)) is not None]
        found[k] = max(0.0, float(np.mean(excess))) if excess else 0.0
    return found


def _excess(own: FloatArray, has: BoolArray) -> float | None:
    """The variance over items of the difference between roles with and without a trait, less its errors."""
    difference, error = np.zeros(own.shape[1]), np.zeros(own.shape[1])
    known = np.isfinite(own)
    enough = np.ones(own.shape[1], bool)
    for part, sign in ((has, 1), (~has, -1)):
        count = known[part].sum(axis=0)
        enough &= count >= 2
        total = np.where(known[part], own[part], 0.0)
        mean = total.sum(axis=0) / np.maximum(count, 1)
        inside = np.where(known[part], own[part] - mean, 0.0)
        difference += sign * mean
        error += (inside**2).sum(axis=0) / np.maximum(count - 1, 1) / np.maximum(count, 1)
    if enough.sum() < 2:
        return None
    return float(difference[enough].var(ddof=1) - error[enough].mean())


def trait_proposals(
    scores: RoleScores,
    texts: Mapping[str, str],
    judges: Sequence[str],
    search: Search,
    count: int,
    *,
    ratio: float | None,
    draws: int = 1000,
) -> list[Proposal]:
    """The `count` traits of least cost, of those that MIN_SHARING roles or more share and whose intervals say
    that every target moves the wanted way.

    `texts` of the roles of `scores`, by name, and of the `judges`, who will be given the trait (those that
    have it already apart). `ratio`: items of a value asked of the roles, for one asked of the judges, None
    where the judges are asked the same items."""
    rng = np.random.default_rng(np.random.SeedSequence(search.model.seed, spawn_key=(10,)))
    known = TraitEffects.of(scores, texts)
    item = np.zeros_like(known.item) if ratio is None else known.item * (1 + ratio) / known.asked
    found = []
    for t, trait in enumerate(known.traits):
        given = sum(text not in (None, own) for own in judges for text in [with_trait(own, trait)])
        if known.sharing[t] < MIN_SHARING or given < 2:
            continue
        spread = np.sqrt(known.error[t] ** 2 + known.own[t] ** 2 / given + item)
        drawn = known.effect[t] + spread * rng.standard_normal((draws, len(scores.names)))
        low, high = percentile_range(drawn.T, search.model.level)
        prediction = Prediction(drawn, known.effect[t], low, high)
        reliability = Reliability(known.roles, given, sharing=int(known.sharing[t]))
        found.append(proposal_of(LeverKind.TRAIT, trait.name, prediction, search, reliability))
    clear = [proposal for proposal in found if towards(proposal, search, clearly=True)]
    return sorted(clear, key=lambda proposal: proposal.cost)[:count]
