"""Content apart from style (DESIGN 21): profiles and parts of scores with item means and saying yes taken
out.

With the model of engine.scoring.style, the content of role r on value v is the mean of its scores, each less
its item's deviation from the value's mean item, less the balance of their keys × the role's style. The level
of a value stays: where every item is answered and no style is told from chance, content *is* the plain mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from axiograph.engine.scoring.difficulty import item_means
from axiograph.engine.scoring.profiles import as_profiles, check_one_mode
from axiograph.engine.scoring.scores import mean
from axiograph.engine.scoring.style import Style, calibrating
from axiograph.engine.scoring.tally import Tally
from axiograph.engine.study.conditions import BASELINE

_ROUNDING = 1e-9  # sums of item means in fixed point over all items of a value


def with_item_means(tally: Tally, items: pl.DataFrame) -> pl.DataFrame:
    """The items with item_mean, of the roles that calibrate (engine.scoring.style.calibrating). Items that
    none of these was asked, since items are split too, are measured by the roles of the other split; an item
    without any score has its value's mean, so that it moves nothing."""
    cells = tally.cells.filter(pl.col("condition") == BASELINE).select("role", "split").unique()
    ours = item_means(tally, calibrating(cells), items)
    lacking = items.join(ours, on="item_id", how="anti")
    theirs = item_means(tally, cells, lacking).rename({"item_mean": "other"})
    table = items.join(ours, on="item_id", how="left", maintain_order="left")
    table = table.join(theirs, on="item_id", how="left", maintain_order="left")
    measured = pl.coalesce("item_mean", "other")
    return table.with_columns(
        item_mean=measured.fill_null(measured.mean().over("value")).fill_null(0.0)
    ).drop("other")


def item_deviations(items: pl.DataFrame, *, by_split: bool, drop_shared: bool) -> pl.DataFrame:
    """item_id, value, split, centre, deviation: how far an item's mean lies from `centre`, the mean of those
    that count in its value; `by_split`: of the same split, where roles are asked the items of theirs only."""
    over = ["value", "split"] if by_split else ["value"]
    counts = ~pl.col("shared") if drop_shared else pl.lit(True)
    centre = pl.col("item_mean").filter(counts).mean().over(over).fill_null(pl.col("item_mean"))
    table = items.with_columns(centre=centre)
    return table.select(
        "item_id", "value", "split", "centre", deviation=pl.col("item_mean") - pl.col("centre")
    )


def needs_item_means(tally: Tally, items: pl.DataFrame, repeats: int, *, by_split: bool) -> bool:
    """Whether some role has scores on some of a value's items only: drawn items, refused answers."""
    asked = items.group_by("value", *(["split"] if by_split else [])).agg(whole=pl.len() * repeats)
    scored = tally.cells.group_by("role", "condition", "split", "value").agg(pl.col("scored").sum())
    scored = scored.with_columns(pl.col("value").cast(pl.String))
    on = ["value", "split"] if by_split else ["value"]
    found = scored.join(asked, on=on, how="left")
    return found.select((pl.col("scored") != pl.col("whole")).any()).item() or False


def content_profiles(
    tally: Tally, style: Style, deviations: pl.DataFrame | None, *, by_split: bool, drop_shared: bool = False
) -> pl.DataFrame:
    """As engine.scoring.profiles.profiles, of content. `deviations`: as in `item_deviations`, for a tally
    whose cells have `expected`; None where every role has scores on all items. Contents may leave [−1, 1] by
    what style took out."""
    check_one_mode(tally)
    cells = value_cells(tally, style, deviations, by_split=by_split, drop_shared=drop_shared)
    taken = pl.col("balance") * pl.col("subtracted")
    return as_profiles(tally, cells.with_columns(score=pl.col("plain") - pl.col("off") - taken))


def value_cells(
    tally: Tally, style: Style, deviations: pl.DataFrame | None, *, by_split: bool, drop_shared: bool
) -> pl.DataFrame:
    """Of what contents are made, a row per role, condition, split and value with a score: plain (the mean
    score), off (how far the items of these scores lie from the value's mean item), balance (the mean key, in
    [−1, 1]), subtracted (style)."""
    cells = tally.cells.filter(~pl.col("shared")) if drop_shared else tally.cells
    n = pl.col("scored")
    sums = cells.group_by("role", "condition", "split", "value").agg(
        total=pl.col("total").sum(),
        scored=n.sum(),
        agreed=(n * pl.col("agreement")).sum(),
        **({"expected": pl.col("expected").sum()} if deviations is not None else {}),
    )
    sums = sums.filter(n > 0).with_columns(pl.col("value").cast(pl.String))
    off = pl.lit(0.0)
    if deviations is not None:
        over = ["value", "split"] if by_split else ["value"]
        sums = sums.join(deviations.select(*over, "centre").unique(over), on=over, how="left")
        off = mean(pl.col("expected"), n) - pl.col("centre")
    styles = style.roles.select("role", "condition", "subtracted")
    sums = sums.join(styles, on=["role", "condition"], how="left")
    return sums.select(
        *("role", "condition", "split", "value"),
        plain=mean(pl.col("total"), n),
        off=pl.when(off.abs() > _ROUNDING).then(off).otherwise(0.0),
        balance=pl.col("agreed") / n,
        subtracted=pl.col("subtracted").fill_null(0.0),
    ).sort("condition", "role", "value")


def content_scores(
    scores: pl.LazyFrame, deviations: pl.DataFrame, styles: pl.DataFrame, constant: Sequence[str] = ()
) -> pl.LazyFrame:
    """engine.scoring.scores.item_scores with `score` less the item's deviation and agreement × style, so that
    the means over items are content_profiles. `styles`: as Style.roles."""
    text = pl.col("role", "condition", "item_id").cast(pl.String)
    taken = styles.lazy().select("role", "condition", "subtracted")
    off = deviations.lazy().select("item_id", "deviation")
    joined = scores.with_columns(text).join(taken, on=["role", "condition"], how="left")
    joined = joined.join(off, on="item_id", how="left")
    varies = ~pl.col("item_id").is_in(list(constant))
    style = pl.col("agreement") * pl.when(varies).then(pl.col("subtracted")).fill_null(0.0)
    score = pl.col("score") - pl.col("deviation").fill_null(0.0) - style
    return joined.with_columns(score=score).drop("subtracted", "deviation")
