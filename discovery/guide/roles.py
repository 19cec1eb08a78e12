"""Traits as a way of steering: what roles that share a trait have in common, and what giving it to others
would do.

Every value is taken as the sum of what the traits of a role contribute and of what is particular about it:
y = μ + Z u + e, with u ~ N(0, τ²) over all traits and e ~ N(0, σ²), both variances by restricted maximum
likelihood (Patterson & Thompson 1971, Biometrika 58). So the traits of a role are told apart, and those that
few roles share are drawn towards 0: the best of many small groups looks better than it is. The effect of a
trait is what it contributes less what the options in its place contribute to the roles that lack it.

Roles as a way of steering: which role's profile lies nearest to what is wanted.

The best of many noisy profiles looks better than it is. So every score is drawn towards the mean over roles
by the reliability of its value's items (Kelley 1927, Interpretation of Educational Measurements, p. 178), and
the interval is that of the score on other items of the same kind.

Traits in the texts of roles: `Gender: male; Job: Engineer, MBTI: ENFJ` is a list of three.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import Prediction
from axiograph.discovery.guide.proposal import Proposal, Reliability
from axiograph.discovery.guide.search import Search
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.numerics.intervals import percentile_range

ANY = "any may differ"


@dataclass(frozen=True, eq=False)
class RoleScores:
    """Baseline scores of roles, item by item: `cells` [n_roles, n_items], NaN where a role was not asked an
    item or has no score on it; `value` [n_items]: its place among the `names` of the values; `reference`: the
    row that roles are compared with, None for the mean over roles."""

    roles: tuple[str, ...]
    names: tuple[str, ...]
    cells: FloatArray
    value: NDArray[np.int64]
    reference: int | None

    @classmethod
    def of(cls, parts: pl.DataFrame, names: Sequence[str], reference: str | None) -> RoleScores:
        """From engine.scoring.scores.part_scores of the baseline's items: role, value, part, score."""
        known = parts.with_columns(pl.col("value").cast(pl.String)).filter(pl.col("value").is_in(list(names)))
        roles = tuple(known["role"].unique().sort().to_list())
        items = known.select("value", "part").unique().sort("value", "part")
        rows = known.join(items.with_row_index("item"), on=["value", "part"])
        place = {role: r for r, role in enumerate(roles)}
        cells = np.full((len(roles), len(items)), np.nan)
        cells[[place[role] for role in rows["role"]], rows["item"].to_numpy()] = rows["score"].to_numpy()
        value = np.array([list(names).index(name) for name in items["value"]], np.int64)
        return cls(roles, tuple(names), cells, value, place.get(reference) if reference is not None else None)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """[n_roles, n_values]: items with a score."""
        known = np.isfinite(self.cells)
        return np.stack([known[:, self.value == k].sum(axis=1) for k in range(len(self.names))], axis=1)

    @cached_property
    def scores(self) -> FloatArray:
        """[n_roles, n_values]: means over items, NaN without any."""
        return self._over_items(lambda own, count: np.nansum(own, axis=1) / count, least=1)

    @cached_property
    def errors(self) -> FloatArray:
        """[n_roles, n_values]: squared standard errors over items, NaN for fewer than two."""

        def error(own: FloatArray, count: FloatArray) -> FloatArray:
            off = own - (np.nansum(own, axis=1) / count)[:, None]
            return np.asarray(np.nansum(off**2, axis=1) / np.maximum(count - 1, 1) / count)

        return self._over_items(error, least=2)

    def _over_items(
        self, statistic: Callable[[FloatArray, FloatArray], FloatArray], least: int
    ) -> FloatArray:
        found = np.full((len(self.roles), len(self.names)), np.nan)
        for k in range(len(self.names)):
            count = self.counts[:, k]
            own = statistic(self.cells[:, self.value == k], np.maximum(count, 1).astype(np.float64))
            found[:, k] = np.where(count >= least, own, np.nan)
        return found

    def reliability(self) -> FloatArray:
        """[n_values]: the share of the variance over roles that is not the items' noise."""
        whole = np.nanvar(self.scores, axis=0, ddof=1)
        noise = np.nanmean(self.errors, axis=0)
        return np.clip(1 - np.divide(noise, whole, out=np.ones_like(whole), where=whole > 0), 0.0, 1.0)


def role_proposals(
    scores: RoleScores, search: Search, count: int, *, ratio: float, draws: int = 1000
) -> list[Proposal]:
    """The `count` roles of least cost. `ratio`: items of a value the roles were asked, for one that they will
    be judged by. Roles without a score on some wished value are left out."""
    rng = np.random.default_rng(np.random.SeedSequence(search.model.seed, spawn_key=(9,)))
    rho, mean = scores.reliability(), np.nanmean(scores.scores, axis=0)
    shrunk = mean + rho * (scores.scores - mean)
    # Items differ as much for every role: one that answers all of them alike is no surer than another.
    per_item = np.nanmean(scores.errors * scores.counts, axis=0)
    spread = np.sqrt(per_item / np.maximum(scores.counts, 1) * (rho + ratio))
    base, base_spread = mean, np.zeros_like(mean)
    if scores.reference is not None:
        base, base_spread = shrunk[scores.reference], spread[scores.reference]
    found = []
    for r, role in enumerate(scores.roles):
        if r == scores.reference or np.isnan(scores.errors[r]).any():
            continue
        noise = rng.standard_normal((2, draws, len(scores.names)))
        before = np.clip(base + noise[1] * base_spread, -1.0, 1.0)
        drawn = np.clip(shrunk[r] + noise[0] * spread[r], -1.0, 1.0) - before
        low, high = percentile_range(drawn.T, search.model.level)
        prediction = Prediction(drawn, shrunk[r] - base, low, high)
        reliability = Reliability(len(scores.roles), 1)
        found.append(proposal_of(LeverKind.ROLE, role, prediction, search, reliability))
    wanted = [proposal for proposal in found if towards(proposal, search)]
    return sorted(wanted, key=lambda proposal: proposal.cost)[:count]


def towards(proposal: Proposal, search: Search, clearly: bool = False) -> bool:
    """Whether every target moves the wanted way; `clearly`: with its whole interval."""
    for target in search.wishes.targets:
        k = search.model.names.index(target.value)
        own = proposal.prediction
        least = own.mean[k] if not clearly else own.low[k] if target.sign > 0 else own.high[k]
        if target.sign * least <= 0:
            return False
    return True


def proposal_of(
    kind: LeverKind, name: str, prediction: Prediction, search: Search, reliability: Reliability
) -> Proposal:
    """A role or a trait as a proposal: the graph says nothing of what it may move."""
    return Proposal(
        kind=kind,
        settings={name: 1.0},
        prediction=prediction,
        cost=search.objective.cost_of(prediction.draws),
        reached=search.objective.reached(prediction),
        says=(ANY,) * len(prediction.mean),
        share=np.full(len(prediction.mean), np.nan),
        reliability=reliability,
    )


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
    return tuple(Trait(field, text[start:end]) for field, (start, end) in _options(text).items())


def with_trait(text: str, trait: Trait) -> str | None:
    """`text` with the option of the trait's field in place of its own, or behind the others where it has no
    such field; None where it is no list of traits."""
    places = _options(text)
    if not places:
        return None
    if trait.field not in places:
        return f"{text}; {trait.name}"
    start, end = places[trait.field]
    return text[:start] + trait.option + text[end:]


def _options(text: str) -> dict[str, tuple[int, int]]:
    """Field → where its option stands in the text."""
    found = list(_FIELD.finditer(text))
    if not found or found[0].start() != 0:
        return {}
    places = {}
    for match, following in zip(found, [*found[1:], None], strict=True):
        stop = len(text) if following is None else following.start()
        option = text[match.end() : stop]
        start = match.end() + len(option) - len(option.lstrip())
        end = match.end() + len(option.rstrip())
        if start >= end or match["field"] in places:
            return {}
        places[match["field"]] = (start, end)
    return places


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
        """From the roles of `scores` whose texts are lists of traits (discovery.guide.roles)."""
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
