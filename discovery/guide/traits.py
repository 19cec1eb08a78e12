"""Traits as a way of steering: what roles that share a trait have in common, and what giving it to others
would do.

Traits are what the text of a role lists: `Gender: male; Job: Engineer, MBTI: ENFJ` has three.

Every value is taken as the sum of what the traits of a role contribute and of what is particular about it:
y = μ + Z u + e, with u ~ N(0, τ²) over all traits and e ~ N(0, σ²), both variances by restricted maximum
likelihood (Patterson & Thompson 1971, Biometrika 58). So the traits of a role are told apart, and those that
few roles share are drawn towards 0: the best of many small groups looks better than it is. The effect of a
trait is what it contributes less what the options in its place contribute to the roles that lack it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import Prediction
from axiograph.discovery.guide.proposal import Proposal, Reliability
from axiograph.discovery.guide.roles import DRAWS, RoleScores, moves_towards, proposal_of
from axiograph.discovery.guide.search import Search
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.numerics.intervals import percentile_range

MIN_SHARING = 5  # roles that must share a trait to have it proposed
_RATIOS = (-12.0, 8.0)  # natural logarithms of τ²/σ² between which it is sought
# A field begins the text or follows a semicolon, comma or line end; its option goes on to the next field.
_FIELD = re.compile(r"(?:^|[;,\n])\s*(?P<field>[^:;,\n]*[^:;,\s])\s*:(?=\s)")


@dataclass(frozen=True, order=True)
class Trait:
    """What roles may share: an option of a field."""

    field: str
    option: str

    @property
    def name(self) -> str:
        return f"{self.field}: {self.option}"


def traits_of(text: str) -> tuple[Trait, ...]:
    """The traits of a role's text; none where it is not from its beginning a list of them (prose), where an
    option is empty or a field comes twice."""
    return tuple(Trait(field, text[start:end]) for field, (start, end) in _option_spans(text).items())


def with_trait(text: str, trait: Trait) -> str | None:
    """`text` with the option of the trait's field in place of its own, or behind the others where it has no
    such field; None where it is no list of traits."""
    spans = _option_spans(text)
    if not spans:
        return None
    if trait.field not in spans:
        return f"{text}; {trait.name}"
    start, end = spans[trait.field]
    return text[:start] + trait.option + text[end:]


def _option_spans(text: str) -> dict[str, tuple[int, int]]:
    """Field → where its option starts and ends in the text; empty where that is no list of traits."""
    fields = list(_FIELD.finditer(text))
    if not fields or fields[0].start() != 0:
        return {}
    spans: dict[str, tuple[int, int]] = {}
    for match, following in zip(fields, [*fields[1:], None], strict=True):
        stop = len(text) if following is None else following.start()
        option = text[match.end() : stop]
        start = match.end() + len(option) - len(option.lstrip())
        end = match.end() + len(option.rstrip())
        if start >= end or match["field"] in spans:
            return {}
        spans[match["field"]] = (start, end)
    return spans


@dataclass(frozen=True, eq=False)
class TraitEffects:
    """Of giving a trait to roles that lack it, in points of the mean score. `sharing` [t]: the roles that
    have it, of `roles` in all; `effect`, `error` [t, n_values]: mean and standard deviation given what was
    measured; `spread` [t, n_values]: the standard deviation of the effect from role to role; `item`
    [n_values]: the variance of the effect from item to item, and `asked` [n_values] how many items a role was
    asked."""

    traits: tuple[Trait, ...]
    roles: int
    sharing: FloatArray
    effect: FloatArray
    error: FloatArray
    spread: FloatArray
    item: FloatArray
    asked: FloatArray

    @classmethod
    def of(cls, scores: RoleScores, texts: Mapping[str, str]) -> TraitEffects:
        """From the roles of `scores` whose texts (by name) are lists of traits."""
        rows, traits, has = _membership(scores.roles, texts)
        contrasts = _contrasts(traits, has)
        shape = (len(traits), len(scores.names))
        effect, error, spread = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for k in range(len(scores.names)):
            fit = _Fit.of(scores.scores[rows, k], has)
            effect[:, k] = contrasts @ fit.mean
            error[:, k] = np.sqrt(np.maximum(np.sum((contrasts @ fit.covariance) * contrasts, axis=1), 0.0))
            # A role given the trait loses what stood in its place, and is another role in what is particular.
            replaced = np.minimum(contrasts, 0) @ -(fit.mean**2) - (np.minimum(contrasts, 0) @ fit.mean) ** 2
            spread[:, k] = np.sqrt(np.maximum(replaced, 0.0) + 2 * fit.noise)
        sharing = has.sum(axis=0)
        item = _item_variance(scores.cells[rows], scores.value, has[:, sharing >= MIN_SHARING], shape[1])
        asked = scores.counts[rows].mean(axis=0) if rows else np.ones(shape[1])
        return cls(traits, len(rows), sharing, effect, error, spread, item, asked)


def trait_proposals(
    scores: RoleScores,
    texts: Mapping[str, str],
    judges: Sequence[str],
    search: Search,
    count: int,
    *,
    ratio: float | None,
) -> list[Proposal]:
    """The `count` traits of least cost, of those that MIN_SHARING roles or more share and whose intervals say
    that every target moves the wanted way.

    `texts` of the roles of `scores`, by name, and of the `judges`, who will be given the trait (those that
    have it already apart). `ratio`: items of a value asked of the roles, for one asked of the judges, None
    where the judges are asked the same items."""
    rng = np.random.default_rng(np.random.SeedSequence(search.model.seed, spawn_key=(10,)))
    effects = TraitEffects.of(scores, texts)
    item = np.zeros_like(effects.item) if ratio is None else effects.item * (1 + ratio) / effects.asked
    proposals = []
    for t, trait in enumerate(effects.traits):
        lacking = sum(with_trait(text, trait) not in (None, text) for text in judges)
        if effects.sharing[t] < MIN_SHARING or lacking < 2:
            continue
        spread = np.sqrt(effects.error[t] ** 2 + effects.spread[t] ** 2 / lacking + item)
        drawn = effects.effect[t] + spread * rng.standard_normal((DRAWS, len(scores.names)))
        low, high = percentile_range(drawn.T, search.model.level)
        prediction = Prediction(drawn, effects.effect[t], low, high)
        reliability = Reliability(effects.roles, lacking, sharing=int(effects.sharing[t]))
        proposals.append(proposal_of(LeverKind.TRAIT, trait.name, prediction, search, reliability))
    clear = [proposal for proposal in proposals if moves_towards(proposal, search, clearly=True)]
    return sorted(clear, key=lambda proposal: proposal.cost)[:count]


def _membership(
    roles: Sequence[str], texts: Mapping[str, str]
) -> tuple[list[int], tuple[Trait, ...], BoolArray]:
    """(rows of the roles whose texts are lists, their traits, [rows, traits] who has which). What only one
    role has, or all but one, tells nothing apart and is left out."""
    lists = {r: listed for r, role in enumerate(roles) if (listed := traits_of(texts.get(role, "")))}
    counts = Counter(trait for listed in lists.values() for trait in listed)
    traits = tuple(sorted(trait for trait, n in counts.items() if 2 <= n <= len(lists) - 2))
    column = {trait: t for t, trait in enumerate(traits)}
    has = np.zeros((len(lists), len(traits)), bool)
    for row, listed in zip(has, lists.values(), strict=True):
        row[[column[trait] for trait in listed if trait in column]] = True
    return list(lists), traits, has


@dataclass(frozen=True, eq=False)
class _Fit:
    """Of one value: `mean` [t] and `covariance` [t, t] of what the traits contribute, `noise` σ²."""

    mean: FloatArray
    covariance: FloatArray
    noise: float

    @classmethod
    def of(cls, y: FloatArray, has: BoolArray) -> _Fit:
        """`y` [rows] the scores of the roles, NaN without one; `has` [rows, t] their traits."""
        from scipy.optimize import minimize_scalar

        scored = np.isfinite(y)
        rest = int(scored.sum()) - 1
        traits = has.shape[1]
        if rest < 2 or not traits or float(np.ptp(y[scored])) == 0:
            return cls(np.zeros(traits), np.zeros((traits, traits)), 0.0)
        # The mean over roles is taken out of both; what traits cannot say of the scores is noise.
        off, z = y[scored] - y[scored].mean(), has[scored] - has[scored].mean(axis=0)
        left, size, right = np.linalg.svd(z, full_matrices=False)
        w = left.T @ off
        outside = max(float(off @ off - w @ w), 0.0)

        def noise_at(ratio: float) -> float:
            return float((np.sum(w**2 / (ratio * size**2 + 1)) + outside) / rest)

        def deviance(log_ratio: float) -> float:
            ratio = float(np.exp(log_ratio))
            return float(rest * np.log(noise_at(ratio)) + np.log(ratio * size**2 + 1).sum())

        best = minimize_scalar(deviance, bounds=_RATIOS, method="bounded", options={"xatol": 1e-6})
        ratio = float(np.exp(best.x)) if best.fun < deviance(-np.inf) else 0.0
        noise, spread = noise_at(ratio), ratio * size**2 + 1
        turned = ratio * size[:, None] * right  # [min(roles, traits), traits]
        mean = turned.T @ (w / spread)
        covariance = noise * (ratio * np.eye(traits) - turned.T @ (turned / spread[:, None]))
        return cls(np.asarray(mean), covariance, noise)


def _contrasts(traits: Sequence[Trait], has: BoolArray) -> FloatArray:
    """[t, t]: 1 for the trait itself, less the shares of the other options of its field among the roles that
    lack it."""
    contrasts = np.eye(len(traits))
    for t, trait in enumerate(traits):
        lacking = ~has[:, t]
        for other, option in enumerate(traits):
            if other != t and option.field == trait.field:
                contrasts[t, other] = -has[lacking, other].mean()
    return contrasts


def _item_variance(cells: FloatArray, value: NDArray[np.int64], has: BoolArray, values: int) -> FloatArray:
    """[n_values]: how far a trait's effect differs from item to item, beyond what the few roles explain (by
    moments, over all traits)."""
    variance = np.zeros(values)
    for k in range(values):
        of_value = cells[:, value == k]
        excess = [part for t in has.T if (part := _excess(of_value, t)) is not None]
        variance[k] = max(0.0, float(np.mean(excess))) if excess else 0.0
    return variance


def _excess(cells: FloatArray, has: BoolArray) -> float | None:
    """The variance over items of the difference between roles with and without a trait, less its errors;
    None with fewer than two items."""
    difference, error = np.zeros(cells.shape[1]), np.zeros(cells.shape[1])
    scored = np.isfinite(cells)
    enough = np.ones(cells.shape[1], bool)
    for part, sign in ((has, 1), (~has, -1)):
        count = scored[part].sum(axis=0)
        enough &= count >= 2
        total = np.where(scored[part], cells[part], 0.0)
        mean = total.sum(axis=0) / np.maximum(count, 1)
        inside = np.where(scored[part], cells[part] - mean, 0.0)
        difference += sign * mean
        error += (inside**2).sum(axis=0) / np.maximum(count - 1, 1) / np.maximum(count, 1)
    if enough.sum() < 2:
        return None
    return float(difference[enough].var(ddof=1) - error[enough].mean())
