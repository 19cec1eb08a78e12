"""Response style: how much a role says yes whatever is asked, apart from the values (DESIGN 14, 21).

The raw answer of role r under a condition to item i of value v, keyed a_i = ±1, is taken to be

    x = a_i θ(r, v) + τ(r) + a_i δ_i + error,

the acquiescence model of balanced scales (Mirowsky and Ross 1991, Social Psychology Quarterly 54, p. 127; as
a random intercept Maydeu-Olivares and Coffman 2006, Psychological Methods 11, p. 344), so that the score a_i
x is θ + a_i τ + δ_i + error. In half the difference of a role's mean scores on the positively and on the
negatively keyed items of a value θ cancels and τ stays: the value's *half-difference*. What half-differences
of several values have in common over roles is style; what only one of them shows is that value's own (its
reverse-keyed items are worded more strongly, say) and is not.

So style needs two values with items of both keys, and counts as there only where it is told from chance
(LEVEL):

- of roles: its variance, the mean covariance of half-differences of two values, by the F test of Cronbach's
  alpha = 0 over them (Feldt 1965); a role's style is then the best linear prediction, shrunk by its error;
- of a condition: the mean difference to the baseline over roles (t test, Holm over conditions) which must
  also be a difference over values (t test); it is then taken out role by role, unshrunk, so that a test over
  roles sees its error.

Styles are relative to the mean baseline role that trains, so that the level of no value moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.engine.scoring.reliability import pairwise_covariance
from axiograph.engine.scoring.scores import mean, total
from axiograph.engine.scoring.tally import Tally
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.split import TRAIN

LEVEL = 0.05
_ROLE = ("role", "condition", "split")
_SHIFTS = {
    "condition": pl.String,
    "roles": pl.Int64,
    "shift": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
    "p_values": pl.Float64,
    "subtracted": pl.Boolean,
}


@dataclass(frozen=True)
class StyleVariance:
    """The variance of style over baseline roles: `variance` (null where it cannot be known, with the
    `reason`), its 95 % interval `low`, `high`, `p` of the test that it is 0, `reliability` of the mean role's
    style in [0, 1], `values` with items of both keys, `roles`. `error`: variance of one answer to an item."""

    variance: float | None
    low: float | None
    high: float | None
    p: float | None
    reliability: float | None
    error: float | None
    values: int
    roles: int
    reason: str | None

    @classmethod
    def unknown(cls, values: int, roles: int, reason: str) -> StyleVariance:
        """Where it cannot be known."""
        return cls(None, None, None, None, None, None, values, roles, reason)

    @property
    def is_there(self) -> bool:
        """Whether it is told from 0."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class Style:
    """`roles`: role, condition, split, style (of the mean training role 0; null where no value has answers to
    both keys), values (that it is over), subtracted (what is taken out of the role's scores, times the
    balance of their keys; 0 where nothing is). `shifts`: a row per condition other than the baseline, see
    `style_shifts`. `variance`: over the baseline roles."""

    roles: pl.DataFrame
    shifts: pl.DataFrame
    variance: StyleVariance


def calibrating(roles: pl.DataFrame) -> pl.DataFrame:
    """Of rows role, split: the roles by which others are measured, those that train, all where none does."""
    train = roles.filter(pl.col("split") == TRAIN)
    return (roles if train.is_empty() else train).select("role").unique().sort("role")


def find_style(tally: Tally, *, drop_shared: bool = False) -> Style:
    """The style of every role and condition; cells as in engine.scoring.tally, with item means taken out
    where they have them. drop_shared as in engine.scoring.profiles."""
    halves = _half_differences(tally.cells, drop_shared)
    baseline = halves.filter(pl.col("condition") == BASELINE)
    measuring = calibrating(tally.cells.filter(pl.col("condition") == BASELINE).select("role", "split"))
    halves = _centred(halves, baseline.join(measuring, on="role", how="semi"), baseline)
    variance = style_variance(
        halves.filter(pl.col("condition") == BASELINE).join(measuring, on="role", how="semi")
    )
    weight = 1 / pl.col("error")
    styles = halves.group_by(_ROLE).agg(
        weighted=total(pl.col("half") * weight), weight=total(weight), values=pl.len().cast(pl.Int64)
    )
    styles = styles.with_columns(
        style=pl.col("weighted") / pl.col("weight"), information=mean(pl.col("weight"), pl.lit(1))
    )
    everyone = tally.cells.select(_ROLE).unique()
    styles = everyone.join(styles.select(*_ROLE, "style", "values", "information"), on=_ROLE, how="left")
    styles = styles.with_columns(pl.col("values").fill_null(0)).sort("condition", "role", "split")
    shifts = style_shifts(styles, halves)
    return Style(_subtracted(styles, shifts, variance), shifts, variance)


def _half_differences(cells: pl.DataFrame, drop_shared: bool) -> pl.DataFrame:
    """role, condition, split, value, half, error: per value with answers to both keys, half the difference of
    its mean scores, and its variance as a multiple of that of one answer."""
    chosen = cells.filter(~pl.col("shared")) if drop_shared else cells
    off = pl.col("total") - (pl.col("expected") if "expected" in cells.columns else 0)
    sums = {}
    for name, key in (("agree", pl.col("agreement") > 0), ("oppose", pl.col("agreement") < 0)):
        sums[f"{name}_n"] = pl.col("scored").filter(key).sum()
        sums[f"{name}_mean"] = mean(off.filter(key).sum(), pl.col("scored").filter(key).sum())
    both = chosen.group_by(*_ROLE, "value").agg(**sums)
    both = both.filter((pl.col("agree_n") > 0) & (pl.col("oppose_n") > 0))
    return both.select(
        *_ROLE,
        pl.col("value").cast(pl.String),
        half=(pl.col("agree_mean") - pl.col("oppose_mean")) / 2,
        error=(1 / pl.col("agree_n") + 1 / pl.col("oppose_n")) / 4,
    ).sort(*_ROLE, "value")


def _centred(halves: pl.DataFrame, measuring: pl.DataFrame, baseline: pl.DataFrame) -> pl.DataFrame:
    """Half-differences from the mean measuring role's, per value; from that of the role's own split where no
    measuring role was asked the value."""
    centre = mean(total(pl.col("half")), pl.len())
    ours = measuring.group_by("value").agg(centre=centre)
    theirs = baseline.group_by("value").agg(other=centre)
    table = halves.join(ours, on="value", how="left").join(theirs, on="value", how="left")
    half = pl.col("half") - pl.coalesce("centre", "other").fill_null(0.0)
    return table.with_columns(half=half).drop("centre", "other")


def style_variance(halves: pl.DataFrame) -> StyleVariance:
    """From half-differences of baseline roles: role, value, half, error."""
    values, roles = halves["value"].n_unique(), halves["role"].n_unique()
    if values < 2:
        which = "no value has" if values == 0 else "only one value has"
        return StyleVariance.unknown(values, roles, f"{which} items of both keys")
    if roles < 3:
        return StyleVariance.unknown(values, roles, "fewer than 3 roles")
    table = halves.pivot(on="value", index="role", values="half", sort_columns=True).sort("role")
    covariance = pairwise_covariance(table.drop("role").to_numpy().astype(np.float64))
    variances, pairs = np.diag(covariance), covariance[~np.eye(values, dtype=bool)]
    if not np.isfinite(pairs).any():
        return StyleVariance.unknown(values, roles, "no two values with 2 roles in common")
    common, whole = float(np.nanmean(pairs)), float(np.nanmean(variances))
    unique = max(whole - common, 0.0)
    if whole <= 1e-12:
        return StyleVariance(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, values, roles, None)
    error = unique / float(halves["error"].mean())  # type: ignore[arg-type]
    return _tested(common, unique, error, values, roles)


def _tested(common: float, unique: float, error: float, values: int, roles: int) -> StyleVariance:
    """With Feldt's test and interval: (1 − α) / (1 − α̂) follows F with n − 1 and (n − 1)(k − 1) degrees."""
    from scipy.stats import f

    degrees = roles - 1, (roles - 1) * (values - 1)
    ratio = (unique + values * max(common, -unique / values)) / max(unique, 1e-300)
    p = float(f.sf(ratio, *degrees))
    ends = [unique * (ratio / float(f.ppf(q, *degrees)) - 1) / values for q in (0.975, 0.025)]
    variance = max(common, 0.0)
    reliability = values * variance / (values * variance + unique)
    low, high = (max(end, 0.0) for end in ends)
    return StyleVariance(variance, low, high, p, reliability, error, values, roles, None)


def style_shifts(styles: pl.DataFrame, halves: pl.DataFrame) -> pl.DataFrame:
    """How much more the roles say yes under a condition than under the baseline: condition, roles (with
    both), shift, low, high (95 %, t over roles), p and p_adjusted (t over roles; Holm over conditions),
    p_values (t over values with items of both keys), subtracted: whether both tell it from 0."""
    before = styles.filter(pl.col("condition") == BASELINE).select("role", before="style")
    pairs = styles.filter(pl.col("condition") != BASELINE).join(before, on="role", how="inner")
    pairs = pairs.with_columns(moved=pl.col("style") - pl.col("before")).drop_nulls("moved")
    by_value = _value_shifts(halves)
    rows = []
    for (condition,), group in pairs.sort("condition", "role").group_by("condition", maintain_order=True):
        of_values = by_value.filter(pl.col("condition") == condition)["moved"].to_numpy()
        shift, low, high, p = _t_interval(group["moved"].to_numpy())
        rows.append([condition, group.height, shift, low, high, p, None, _t_interval(of_values)[3], False])
    table = pl.DataFrame(rows, schema=_SHIFTS, orient="row")
    tested = table.filter(pl.col("p").is_not_null())
    if tested.is_empty():
        return table
    from statsmodels.stats.multitest import multipletests

    adjusted = multipletests(tested["p"].to_numpy(), method="holm")[1]
    found = tested.select("condition", p_adjusted=pl.Series(adjusted, dtype=pl.Float64))
    table = table.drop("p_adjusted").join(found, on="condition", how="left", maintain_order="left")
    there = (pl.col("p_adjusted") < LEVEL) & (pl.col("p_values") < LEVEL)
    return table.with_columns(subtracted=there.fill_null(False)).select(list(_SHIFTS))


def _value_shifts(halves: pl.DataFrame) -> pl.DataFrame:
    """condition, value, moved: the mean difference of the value's half-difference to the baseline."""
    before = halves.filter(pl.col("condition") == BASELINE).select("role", "value", before="half")
    pairs = halves.filter(pl.col("condition") != BASELINE).join(before, on=["role", "value"], how="inner")
    moved = mean(total(pl.col("half") - pl.col("before")), pl.len())
    return pairs.group_by("condition", "value").agg(moved=moved).sort("condition", "value")


def _t_interval(
    sample: NDArray[np.float64],
) -> tuple[float | None, float | None, float | None, float | None]:
    """(mean, low, high, p) of Student's t test against 0; no interval from one, p 1 where all are 0."""
    if len(sample) < 2:
        return (float(sample[0]) if len(sample) else None), None, None, None
    from scipy.stats import t

    centre, error = float(sample.mean()), float(sample.std(ddof=1)) / np.sqrt(len(sample))
    if error <= 1e-12:
        return centre, centre, centre, 1.0 if abs(centre) <= 1e-12 else 0.0
    wide = float(t.ppf(0.975, len(sample) - 1)) * error
    return centre, centre - wide, centre + wide, float(2 * t.sf(abs(centre / error), len(sample) - 1))


def _subtracted(styles: pl.DataFrame, shifts: pl.DataFrame, variance: StyleVariance) -> pl.DataFrame:
    """Style.roles: the shrunk style of the role under the baseline, and what a condition added to it."""
    shrink = pl.lit(0.0)
    if variance.is_there and variance.variance is not None and variance.error is not None:
        of_roles, error = variance.variance, max(variance.error, 1e-12)
        shrink = of_roles / (of_roles + error / pl.col("information"))
    before = styles.filter(pl.col("condition") == BASELINE).select(
        "role", before="style", base=(shrink * pl.col("style"))
    )
    moved = shifts.filter("subtracted")["condition"].implode()
    change = pl.when(pl.col("condition").is_in(moved)).then(pl.col("style") - pl.col("before"))
    table = styles.join(before, on="role", how="left", maintain_order="left").with_columns(
        subtracted=pl.col("base").fill_null(0.0) + change.fill_null(0.0)
    )
    return table.select(*_ROLE, "style", "values", "subtracted")


_SHARES = {
    "value": pl.String,
    "roles": pl.Int64,
    "key_balance": pl.Float64,
    "variance": pl.Float64,
    "style_variance": pl.Float64,
    "draw_variance": pl.Float64,
    "style_share": pl.Float64,
    "style_share_low": pl.Float64,
    "style_share_high": pl.Float64,
    "draw_share": pl.Float64,
}


def style_shares(cells: pl.DataFrame, values: Sequence[str], variance: StyleVariance) -> pl.DataFrame:
    """How much of the variance of the roles' plain baseline scores is style: a row per value, and first one
    whose value is null, of all values together.

    Columns: value, roles, key_balance (mean key of the answered items, in [−1, 1]; 0: saying yes cancels),
    variance (of the plain scores over roles), style_variance (key_balance² × the variance of style),
    draw_variance (of which items a role has answers to), and as shares of the variance, at most 1:
    style_share with its 95 % interval and draw_share. Null where it is not known. `cells`:
    engine.scoring.content's value_cells; those of the calibrating baseline roles count."""
    cells = cells.filter(pl.col("condition") == BASELINE)
    cells = cells.join(calibrating(cells.select("role", "split")), on="role", how="semi")
    rows: list[tuple[str | int | float | None, ...]] = []
    for value in values:
        group = cells.filter(pl.col("value") == value)
        plain, off, balance = (group[name].to_numpy() for name in ("plain", "off", "balance"))
        if len(plain) < 2:
            rows.append((value, len(plain), *[None] * 4))
            continue
        keyed = None if variance.variance is None else float((balance**2).mean()) * variance.variance
        rows.append((value, len(plain), float(balance.mean()), _spread(plain), keyed, _spread(off)))
    table = pl.DataFrame(rows, schema=dict(list(_SHARES.items())[:6]), orient="row")
    known = table.filter(pl.col("variance").is_not_null())
    sums = {name: known[name].sum() for name in ("variance", "style_variance", "draw_variance")}
    everything = {"value": None, "roles": cells["role"].n_unique(), "key_balance": None, **sums}
    if variance.variance is None:
        everything["style_variance"] = None
    table = pl.concat([pl.DataFrame([everything], schema=table.schema), table])
    whole = pl.when(pl.col("variance") > 1e-12).then(pl.col("variance"))
    ratios = {"low": variance.low, "high": variance.high}
    base = variance.variance or None
    ends = {
        f"style_share_{end}": _at_most_1(pl.col("style_variance") / whole * (bound / base))
        if base and bound is not None
        else pl.lit(None, pl.Float64)
        for end, bound in ratios.items()
    }
    shares = {f"{name}_share": _at_most_1(pl.col(f"{name}_variance") / whole) for name in ("style", "draw")}
    return table.with_columns(**shares, **ends).select(list(_SHARES))


def _spread(column: NDArray[np.float64]) -> float:
    return float(column.var(ddof=1))


def _at_most_1(share: pl.Expr) -> pl.Expr:
    return pl.when(share > 1).then(1.0).otherwise(share)  # min_horizontal would take 1 where there is none
