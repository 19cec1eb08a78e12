"""Whether roles answer differently at all, from a few answers of each: without that there is no graph.

Answers are held item by item against the mean of all roles, and role by role against the mean of all items,
so that neither hard items nor a role's tendency to say yes counts. What is left is keyed, and a value's mean
over its items is compared between roles:

- by permutation: what is left is shuffled among the roles, item by item, and the sum of squared means of
  roles compared with that of the shuffled ones (one-sided; the add-one p-value of Phipson & Smyth 2010);
- by one-way analysis of variance within values, pooled over them: F = MS between / MS within, from which
  come the intraclass correlation of one item, (F − 1) / (F − 1 + k) for k items a role and value (Shrout &
  Fleiss 1979, ICC(1)), with its interval by the quantiles of F, and what it foretells of the reliability of
  a mean over more items (Spearman 1910, Brown 1910).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 999
CONFIDENCE = 0.95
_NONE = 1e-9  # a sum of squares that is rounding


@dataclass(frozen=True)
class RoleDifferences:
    """`p`: how likely means of roles as different as these are if roles answer alike; `icc`: the share of an
    item's variance that is the role's value, with its interval; `items`: of a value, that a role answered, on
    average."""

    p: float
    icc: float
    icc_low: float
    icc_high: float
    roles: int
    values: int
    items: float

    def reliability(self, items: float, icc: float | None = None) -> float:
        """Of a mean over so many items (Spearman–Brown), by `icc` (the estimate by default); 0 at least."""
        share = max(0.0, self.icc if icc is None else icc)
        return items * share / (1 + (items - 1) * share)


def role_differences(
    answers: np.ndarray, owner: np.ndarray, agreement: np.ndarray, seed: int = 0
) -> RoleDifferences | None:
    """`answers` [roles, items] between −1 (no) and 1 (yes), NaN for none; `owner` [items]: the number of the
    item's value; `agreement` [items]: 1 or −1.

    None where there is too little to compare: fewer than three roles, no value of which two roles have
    answered two items, or no item to which two roles gave another answer."""
    from scipy import stats

    usable = ~np.isnan(answers)
    items = usable.sum(axis=0) >= 2
    answers, owner, agreement = answers[:, items], owner[items], agreement[items]
    roles = usable.sum(axis=1) >= 2
    answers = answers[roles]
    if answers.shape[0] < 3 or answers.shape[1] < 2:
        return None
    values = np.unique(owner, return_inverse=True)[1]
    rest = _without_style(answers)
    table = _Means(values, agreement)
    between, within, df_between, df_within = table.squares(rest)
    if df_between <= 0 or df_within <= 0 or between + within < _NONE:
        return None
    observed = table.spread(rest[None])[0]
    # The mean of a role's answers was taken out, and with it this share of their variance.
    counts = (~np.isnan(rest)).sum(axis=1, keepdims=True)
    unshrunk = rest * np.sqrt(counts / (counts - 1))
    shuffled = table.spread(_shuffled(unshrunk, PERMUTATIONS, np.random.default_rng(seed)))
    p = (1 + int((shuffled >= observed - 1e-12).sum())) / (PERMUTATIONS + 1)
    per_value = table.answered(rest)
    k = float(per_value[per_value > 0].mean())
    f = (between / df_between) / (within / df_within) if within > 0 else (np.inf if between > 0 else 1.0)
    tail = (1 - CONFIDENCE) / 2
    low, high = (f / stats.f.ppf(q, df_between, df_within) for q in (1 - tail, tail))

    def icc(ratio: float) -> float:
        return 1.0 if np.isinf(ratio) else float((ratio - 1) / (ratio - 1 + k))

    counts = len(np.unique(values))
    return RoleDifferences(p, icc(f), icc(low), icc(high), answers.shape[0], counts, k)


@dataclass(frozen=True)
class _Means:
    """Means of roles within values: `values`, `agreement` [items]."""

    values: np.ndarray
    agreement: np.ndarray

    @property
    def _indicator(self) -> np.ndarray:
        """[items, values]"""
        return np.eye(self.values.max() + 1)[self.values]

    def _keyed(self, rest: np.ndarray) -> np.ndarray:
        """[…, roles, items], keyed; NaN as 0."""
        return np.nan_to_num(rest * self.agreement)

    def answered(self, rest: np.ndarray) -> np.ndarray:
        """[…, roles, values]: how many items each role answered."""
        return (~np.isnan(rest)).astype(float) @ self._indicator

    def spread(self, rest: np.ndarray) -> np.ndarray:
        """[n] of [n, roles, items]: Σ of n · mean² over roles and values."""
        sums, counts = self._keyed(rest) @ self._indicator, self.answered(rest)
        return (sums**2 / np.maximum(counts, 1)).sum(axis=(1, 2))

    def squares(self, rest: np.ndarray) -> tuple[float, float, int, int]:
        """Sums of squares between roles and within, and their degrees of freedom, of values of which at least
        two roles have answered two items."""
        keyed, counts = self._keyed(rest), self.answered(rest)
        several = (counts >= 2).sum(axis=0) >= 2
        if not several.any():
            return 0.0, 0.0, 0, 0
        sums = keyed @ self._indicator
        between = (sums**2 / np.maximum(counts, 1))[:, several].sum()
        within = ((keyed**2) @ self._indicator)[:, several].sum() - between
        answered, items = counts[:, several], several[self.values]
        df_between = int(((answered > 0).sum(axis=0) - 1).sum())
        # Means of items and of roles were taken out before.
        df_left = int(answered.sum() - items.sum() - (answered.sum(axis=1) > 0).sum() + 1)
        return float(between), float(max(0.0, within)), df_between, df_left - df_between


def _without_style(answers: np.ndarray) -> np.ndarray:
    """[roles, items] without the means of items and of roles, taken out in turn until neither is left (which
    is at once where no answer is missing)."""
    rest = answers
    for _ in range(20):
        rest = rest - np.nanmean(rest, axis=0)
        rest = rest - np.nanmean(rest, axis=1, keepdims=True)
    return rest


def _shuffled(answers: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """[count, roles, items]: answers shuffled among the roles that gave one, item by item."""
    missing = np.isnan(answers)
    places = np.argsort(missing, axis=0, kind="stable")  # the roles that answered come first
    keys = generator.random((count, *answers.shape))
    keys[:, missing] = np.inf
    drawn = np.argsort(keys, axis=1)
    result = np.empty_like(keys)
    values = np.take_along_axis(np.broadcast_to(answers, keys.shape), drawn, axis=1)
    np.put_along_axis(result, np.broadcast_to(places, keys.shape), values, axis=1)
    return result
