"""A direction from contrasted prompts, and how far it tells apart those that it was not made from.

With h the mean of the stream over the tokens that are read of a prompt, the direction is the mean of h over
the positive prompts less its mean over the negative ones (activation additions, Turner et al. 2023; CAA,
Rimsky et al. 2024; persona vectors, Chen et al. 2025). How it separates is asked of prompts whose texts and
questions are new to it: by their projections on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from axiograph.engine.study.split import rank

Array = NDArray[np.float64]
LEVEL = 0.95
FEWEST = 6  # independent texts or questions a side, below which a separation is not known
FEWEST_HALVED = 4
HALVINGS, SHUFFLES = 200, 200
SPLITTABLE = 2 * FEWEST  # that many are split: at least FEWEST to make the direction, and FEWEST held out


@dataclass(frozen=True)
class Prompts:
    """What is known of the prompts, row by row: their side, text, question (None: its own) and part."""

    positive: NDArray[np.bool_]
    text: tuple[str, ...]
    question: tuple[str | None, ...]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True)
class Separation:
    """How held-out prompts lie along a direction. `auc`: the chance that a positive one lies higher than a
    negative one; `d`: Cohen's, in pooled standard deviations; with 95 % intervals. All are of `positive` and
    `negative` means over the prompts of one text, or, where texts are too few to hold any out, of one
    question (`over`): these are independent of each other, prompts are not.

    All null, with the `reason`, where it is not known."""

    over: str | None
    positive: int
    negative: int
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    d: float | None = None
    d_low: float | None = None
    d_high: float | None = None
    reason: str | None = None

    @property
    def told_apart(self) -> bool | None:
        """Whether the sides are told apart beyond chance; None: not known."""
        return None if self.auc_low is None else self.auc_low > 0.5


def held_out(names: Sequence[str], *key: object) -> set[str]:
    """A third of `names`, at least FEWEST, by a hash of `key` and the name; none of fewer than SPLITTABLE."""
    if len(names) < SPLITTABLE:
        return set()
    count = max(FEWEST, len(names) // 3)
    return set(sorted(names, key=lambda name: (rank("held out", *key, name), name))[:count])


def mean_difference(means: Array, positive: NDArray[np.bool_]) -> Array:
    """[d_model]: the mean of the rows of `means` [n, d_model] that are positive less that of the others."""
    difference: Array = means[positive].mean(axis=0) - means[~positive].mean(axis=0)
    return difference


@dataclass(frozen=True)
class Stability:
    """How alike the directions of two halves are: their cosine, the mean over HALVINGS; `chance`: what 95 %
    of shuffled sides stay below, which in a stream with a few strong axes is far from 0. `over`: whether
    texts were halved, or, where there are too few, questions. All null: too few of both."""

    cosine: float | None = None
    chance: float | None = None
    over: str | None = None


def stability(means: Array, prompts: Prompts) -> Stability:
    """Of the fitting part: rows of `means` [n, d_model]."""
    rows = np.flatnonzero(~prompts.held_out)
    side, values = prompts.positive[rows], means[rows]
    texts = [prompts.text[row] for row in rows]
    high, low = (_grouped(values[s], _of(texts, s)) for s in (side, ~side))
    generator = np.random.Generator(np.random.PCG64(0))
    if min(len(high), len(low)) >= FEWEST_HALVED:
        joint = np.concatenate([high, low])

        def shuffled() -> float:
            order = generator.permutation(len(joint))
            return _halved(joint[order[: len(high)]], joint[order[len(high) :]], generator, 10)

        cosine, over = _halved(high, low, generator, HALVINGS), "texts"
    else:
        questions = [prompts.question[row] for row in rows]
        high, low = (_grouped(values[s], _of(questions, s)) for s in (side, ~side))
        if len(high) < FEWEST_HALVED or None in questions:
            return Stability()
        differences, nothing = high - low, np.zeros((2, high.shape[1]))

        def shuffled() -> float:
            signs = generator.choice([-1.0, 1.0], size=(len(differences), 1))
            return _halved(differences * signs, nothing, generator, 10)

        cosine, over = _halved(differences, nothing, generator, HALVINGS), "questions"
    chance = float(np.quantile([shuffled() for _ in range(SHUFFLES)], 0.95))
    return Stability(cosine, chance, over)


def _halved(high: Array, low: Array, generator: np.random.Generator, count: int) -> float:
    """Mean cosine of the mean differences of two halves of each of `high` and `low` [n, d_model]."""
    cosines = []
    for _ in range(count):
        orders = [generator.permutation(len(rows)) for rows in (high, low)]
        a, b = (high[orders[0][i::2]].mean(axis=0) - low[orders[1][i::2]].mean(axis=0) for i in (0, 1))
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        cosines.append(float(a @ b) / norm if norm > 0 else 0.0)
    return float(np.mean(cosines))


def _of(names: Sequence[str | None], rows: NDArray[np.bool_]) -> list[str | None]:
    return [name for name, wanted in zip(names, rows, strict=True) if wanted]


def _grouped(values: Array, names: Sequence[str | None]) -> Array:
    """Mean rows of `values` [n, …] for each name, in the order of the names."""
    by_name: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        by_name.setdefault(name or "", []).append(row)
    return np.array([values[by_name[name]].mean(axis=0) for name in sorted(by_name)])


def separation(means: Array, direction: Array, prompts: Prompts) -> Separation:
    """How the held-out rows of `means` [n, d_model] lie along `direction` [d_model]."""
    rows = np.flatnonzero(prompts.held_out)
    if not len(rows):
        return Separation(None, 0, 0, reason=_nothing_held_out(prompts))
    along = means[rows] @ direction / np.linalg.norm(direction)
    side = prompts.positive[rows]
    fitted = {prompts.text[row] for row in np.flatnonzero(~prompts.held_out)}
    new_texts = not fitted & {prompts.text[row] for row in rows}
    over, names = ("texts", prompts.text) if new_texts else ("questions", prompts.question)
    units = [names[row] for row in rows]
    high, low = (_grouped(along[s], _of(units, s)) for s in (side, ~side))
    if min(len(high), len(low)) < FEWEST:
        reason = f"{len(high)} and {len(low)} {over} held out, fewer than {FEWEST} of a side"
        return Separation(over, len(high), len(low), reason=reason)
    area = auc(high, low)
    d = cohens_d(high, low)
    limits = (None, None) if d is None else d_interval(d, len(high), len(low))
    return Separation(over, len(high), len(low), area, *auc_interval(area, len(high), len(low)), d, *limits)


def _nothing_held_out(prompts: Prompts) -> str:
    texts = {side: len(set(_of(prompts.text, prompts.positive == side))) for side in (True, False)}
    questions = len({question for question in prompts.question if question is not None})
    return (
        f"nothing is held out, for which {SPLITTABLE} texts a side or {SPLITTABLE} questions are needed; "
        f"there are {texts[True]} and {texts[False]} texts and {questions} questions"
    )


def auc(high: Array, low: Array) -> float:
    """The chance that one of `high` exceeds one of `low`, ties counting half (Mann and Whitney)."""
    above = (high[:, None] > low).sum() + 0.5 * (high[:, None] == low).sum()
    return float(above) / (len(high) * len(low))


def auc_interval(area: float, m: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Newcombe's (2006, Statistics in Medicine 25:559, method 5) for `m` against `n` independent values: the
    areas whose Hanley–McNeil variance is compatible with `area`. Not empty at 0 and 1 either."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, star = norm.ppf((1 + level) / 2), (m + n) / 2 - 1

    def gap(theta: float) -> float:
        variance = theta * (1 - theta) / (m * n)
        variance *= 1 + star * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return float((area - theta) ** 2 - z**2 * variance)

    # Positive at 0 and 1 unless the area is there itself, negative at the area.
    low = 0.0 if area <= 0 else brentq(gap, 0.0, area if area < 1 else 1 - 1e-12)
    high = 1.0 if area >= 1 else brentq(gap, area if area > 0 else 1e-12, 1.0)
    return float(low), float(high)


def cohens_d(high: Array, low: Array) -> float | None:
    """The difference of the means in pooled standard deviations; None where nothing varies."""
    m, n = len(high), len(low)
    pooled = sqrt(((m - 1) * high.var(ddof=1) + (n - 1) * low.var(ddof=1)) / (m + n - 2))
    return float(high.mean() - low.mean()) / pooled if pooled > 0 else None


def d_interval(d: float, m: int, n: int, level: float = LEVEL) -> tuple[float | None, float | None]:
    """Exact for normal values: the d under which t is at the edge of what a noncentral t gives."""
    from scipy.special import nctdtrinc

    scale = sqrt(1 / m + 1 / n)
    limits = [float(nctdtrinc(m + n - 2, q, d / scale)) * scale for q in ((1 + level) / 2, (1 - level) / 2)]
    low, high = (limit if np.isfinite(limit) else None for limit in limits)
    return low, high
