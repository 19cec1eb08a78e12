"""What the tables of a calibration come to: errors, calibration of frequencies, power, enough roles.

Frequencies are held against the truth in bins. Pairs come in graphs, and those of one graph are not
independent: shares over them have intervals that know it (`clustered`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.calibration.recommendation import recommend
from axiograph.discovery.comparison.agreement import SHARES, shd
from axiograph.discovery.numerics.arrays import BoolArray, CountArray, FloatArray, IndexArray
from axiograph.discovery.numerics.intervals import wilson

BINS = 10
SHOWN = (
    "skeleton_precision",
    "skeleton_recall",
    "skeleton_f1",
    "arrowhead_precision",
    "arrowhead_recall",
    "arrowhead_f1",
)
_SHD = ("graph_edges", "reference_edges", "shared_edges", "differing_marks")
HIGH = 0.9  # an edge of this frequency or more is what a reader takes for sure
HIGH_ARROW = 0.7  # an arrow of this frequency or more is what a reader takes for sure
GRAPHS = ("graph", "all_roles", "averaged")
"""graph: the consensus of the replicates, which is what effects are tested against; all_roles: the search on
all training roles; averaged: of the replicates, with a threshold from their frequencies."""
Row = dict[str, Any]


def summarise(
    graphs: pl.DataFrame,
    frequencies: pl.DataFrame,
    arrows: pl.DataFrame,
    effects: pl.DataFrame,
    contrast_p: list[float | None],
    level: float,
) -> dict[str, Any]:
    """All of it, as JSON types; tables as in discovery.calibration.planted_studies."""
    return {
        "expected": [_errors(graphs, which) for which in GRAPHS],
        "frequencies": [
            row for kind in ("adjacent", "directed", "ancestor") for row in bin_rows(frequencies, kind)
        ],
        "high": [high_row(frequencies, kind) for kind in ("adjacent", "directed", "ancestor")],
        "arrows": arrow_row(arrows),
        "effects": effect_rates(effects) | false_discoveries(effects),
        "contrast": _contrast(contrast_p, level),
        "sweep": sweep_rows(graphs),
        "recommendation": recommend(graphs) | {"graph": best_graph(graphs)},
    }


def _errors(graphs: pl.DataFrame, which: str, roles: int | None = None) -> Row:
    """Means over planted graphs, with their standard errors: SHD and its parts, precision, recall and F1."""
    rows = graphs.filter(pl.col("which") == which)
    rows = rows if roles is None else rows.filter(pl.col("roles") == roles)
    done = rows.filter(pl.col("failed").is_null())
    result: Row = {"which": which, "graphs": done.height, "failed": rows.height - done.height}
    if not done.height:
        return result
    counts = {name: done[name].to_numpy() for name in done.columns if done[name].dtype.is_integer()}
    distance = np.asarray(shd(counts), float)
    result["roles"] = int(done["roles"][0])
    result["planted_edges"] = float(counts["reference_edges"].mean())
    result["shd"], result["shd_error"] = mean_and_error(distance)
    result["exact"] = float((distance == 0).mean())
    wanted = {share.name: share for share in SHARES}
    for name in SHOWN:
        result[name], result[f"{name}_error"] = mean_and_error(wanted[name].values(counts))
    return result


def sweep_rows(graphs: pl.DataFrame) -> list[Row]:
    """A row per number of roles: errors of the graph of the scores, and SHD of that of the values
    themselves."""
    rows = []
    for roles in sorted(graphs.filter(pl.col("which") == "scores")["roles"].unique()):
        row = _errors(graphs, "scores", roles)
        perfect = _errors(graphs, "values", roles)
        row |= {
            "roles": roles,
            "shd_of_values": perfect.get("shd"),
            "shd_of_values_error": perfect.get("shd_error"),
        }
        rows.append(row)
    return rows


def best_graph(graphs: pl.DataFrame) -> str:
    """Which of GRAPHS comes nearest to the planted one: "graph", unless the mean SHD of another is less by
    more than two standard errors of the difference; of several such, the one of the least."""
    done = graphs.filter(pl.col("failed").is_null() & pl.col("which").is_in(GRAPHS))
    distance = {
        which: np.asarray(shd({name: rows[name].to_numpy() for name in _SHD}), float)
        for (which,), rows in done.sort("graph").group_by("which", maintain_order=True)
    }
    best, least = "graph", 0.0
    for which in GRAPHS[1:]:
        gain, error = mean_and_error(distance["graph"] - distance[which])
        if gain is not None and error is not None and gain > 2 * error and gain > least:
            best, least = which, gain
    return best


def bin_rows(frequencies: pl.DataFrame, kind: str) -> list[Row]:
    """A row per bin: low and high end, pairs, mean_frequency, true (share of the pairs) with its interval,
    both None in an empty bin."""
    table = frequencies.filter(pl.col("kind") == kind)
    return [_bin(table.filter(pl.col("bin") == k), kind, k / BINS, (k + 1) / BINS) for k in range(BINS)]


def high_row(frequencies: pl.DataFrame, kind: str) -> Row:
    """The same of all pairs of frequency HIGH or more."""
    first = round(HIGH * BINS)
    return _bin(frequencies.filter((pl.col("kind") == kind) & (pl.col("bin") >= first)), kind, HIGH, 1.0)


def arrow_row(arrows: pl.DataFrame) -> Row:
    """Of the arrows of the graph that HIGH_ARROW or more of the replicates have: n, and the shares right (the
    cause is one), reversed (the effect causes the cause) and none (no edge joins them), with intervals."""
    by_graph = arrows.filter(pl.col("bin") >= round(HIGH_ARROW * BINS)).group_by("graph")
    rows = by_graph.agg(pl.col("arrows", "right", "reversed", "none").sum()).sort("graph")
    result: Row = {"from": HIGH_ARROW, "n": int(rows["arrows"].sum())}
    for name in ("right", "reversed", "none"):
        share, low, high = clustered(rows[name].to_numpy(), rows["arrows"].to_numpy())
        result[name] = {"share": share, "low": low, "high": high}
    return result


def _bin(rows: pl.DataFrame, kind: str, low: float, high: float) -> Row:
    by_graph = rows.group_by("graph").agg(pl.col("true", "pairs", "sum").sum()).sort("graph")
    share, share_low, share_high = clustered(by_graph["true"].to_numpy(), by_graph["pairs"].to_numpy())
    pairs = int(by_graph["pairs"].sum())
    return {
        "kind": kind,
        "from": low,
        "to": high,
        "pairs": pairs,
        "mean_frequency": float(by_graph["sum"].sum()) / pairs if pairs else None,
        "true": share,
        "true_low": share_low,
        "true_high": share_high,
    }


# name → (which rows count, which of them are meant, whether they must have changed too)
_MOVED, _ANY = pl.col("truth").is_in(["moved", "slightly"]), pl.lit(True)
RATES: dict[str, tuple[pl.Expr, pl.Expr, str]] = {
    "power": (pl.col("truth") != "still", _ANY, "changed"),
    "power_steered": (pl.col("truth") == "steered", _ANY, "changed"),
    "power_strong": (pl.col("truth") == "moved", _ANY, "changed"),
    "power_slight": (pl.col("truth") == "slightly", _ANY, "changed"),
    "false_alarm": (pl.col("truth") == "still", _ANY, "changed"),
    "changed_of_expected": (pl.col("relation") == "expected", _ANY, "changed"),
    "changed_of_possible": (pl.col("relation") == "possible", _ANY, "changed"),
    "changed_of_unexpected": (pl.col("relation") == "unexpected", _ANY, "changed"),
    "descendants_expected": (_MOVED, pl.col("relation") == "expected", "n"),
    "descendants_possible": (_MOVED, pl.col("relation") == "possible", "n"),
    "descendants_unexpected": (_MOVED, pl.col("relation") == "unexpected", "n"),
    "unexpected_changes_wrong": (pl.col("relation") == "unexpected", _MOVED, "changed of changed"),
}
"""Shares of pairs (steered value, value). power: of the values that moved, those found changed; power_*: the
test found the steered value, a strong or a slight true effect. false_alarm: it found a change of a value that
is no descendant. changed_of_*: by the relation in the found graph. descendants_*: true descendants that the
found graph expects, or does not. unexpected_changes_wrong: of the changes that the found graph calls
unexpected, those that the planted graph expects."""


def effect_rates(effects: pl.DataFrame) -> dict[str, Row]:
    """RATES, each with of (how many), share, low and high; None where there is nothing."""
    return {name: _rate(effects, *chosen) for name, chosen in RATES.items()}


def false_discoveries(effects: pl.DataFrame) -> dict[str, Row]:
    """What "changed" promises, over planted graphs, each of which is a study. false_discovery_rate: the mean
    of the share of its "changed" that did not move, 0 where nothing is (Benjamini & Hochberg 1995);
    any_false: the share of the studies with at least one of them."""
    false = pl.when(pl.col("truth") == "still").then(pl.col("changed")).otherwise(0)
    rows = effects.with_columns(false=false).group_by("graph").agg(pl.col("false", "changed").sum())
    rows = rows.sort("graph")
    wrong, found = rows["false"].to_numpy(), rows["changed"].to_numpy()
    share, low, high = mean_share(wrong / np.maximum(found, 1))
    some, some_low, some_high = clustered((wrong > 0).astype(np.int64), np.ones(len(wrong), np.int64))
    return {
        "false_discovery_rate": {"of": len(wrong), "share": share, "low": low, "high": high},
        "any_false": {"of": len(wrong), "share": some, "low": some_low, "high": some_high},
    }


def mean_share(shares: FloatArray) -> tuple[float | None, float | None, float | None]:
    """(mean, low, high) of shares in [0, 1], one a graph, with a 95 % interval by Student's t; where all are
    equal, Wilson's of as many graphs, since no spread says nothing of its error. None without graphs; the
    ends None with one."""
    count = len(shares)
    if count < 2:
        return (float(shares[0]), None, None) if count else (None, None, None)
    mean, error = float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(count))
    if error == 0:
        low, high = wilson(np.array(mean * count), np.array(float(count)))
        return mean, float(low), float(high)
    from scipy.stats import t

    reach = float(t.ppf(0.975, count - 1)) * error
    return mean, max(0.0, mean - reach), min(1.0, mean + reach)


def _rate(effects: pl.DataFrame, among: pl.Expr, meant: pl.Expr, what: str) -> Row:
    whole = pl.col("changed") if what == "changed of changed" else pl.col("n")
    part = pl.col("n") if what == "n" else pl.col("changed")
    rows = effects.filter(among).with_columns(whole=whole, part=pl.when(meant).then(part).otherwise(0))
    by_graph = rows.group_by("graph").agg(pl.col("part", "whole").sum()).sort("graph")
    share, low, high = clustered(by_graph["part"].to_numpy(), by_graph["whole"].to_numpy())
    return {"of": int(by_graph["whole"].sum()), "share": share, "low": low, "high": high}


def _contrast(contrast_p: list[float | None], level: float) -> Row:
    """In how many planted graphs the changed values were expected more often than with shuffled names, p ≤
    level."""
    defined = [p for p in contrast_p if p is not None]
    hits = np.array([p <= level for p in defined], dtype=np.int64)
    share, low, high = clustered(hits, np.ones(len(defined), np.int64))
    return {"level": level, "of": len(defined), "share": share, "low": low, "high": high}


def bin_of(frequencies: FloatArray, bins: int = BINS) -> IndexArray:
    """The bin of each frequency in [0, 1]: bin k holds [k / bins, (k + 1) / bins), the last one 1 as well."""
    return np.minimum(np.floor(frequencies * bins).astype(np.int64), bins - 1)


def binned(frequencies: FloatArray, true: BoolArray, bins: int = BINS) -> pl.DataFrame:
    """A row per bin that is not empty: bin, pairs, true (how many of them), sum (of their frequencies).

    NaN: the pair was never counted and is in no bin."""
    counted = ~np.isnan(frequencies)
    bin_numbers = bin_of(frequencies[counted], bins)
    counts = {
        "pairs": np.bincount(bin_numbers, minlength=bins),
        "true": np.bincount(bin_numbers, weights=true[counted], minlength=bins).astype(np.int64),
        "sum": np.bincount(bin_numbers, weights=frequencies[counted], minlength=bins),
    }
    table = pl.DataFrame({"bin": np.arange(bins), **counts})
    return table.filter(pl.col("pairs") > 0)


def clustered(counts: CountArray, totals: CountArray) -> tuple[float | None, float | None, float | None]:
    """(share, low, high) of sum(counts) / sum(totals), where entry g is graph g: pairs of one graph are not
    independent.

    Wilson's 95 % interval of as many pairs as there are, divided by the design effect (Kish 1965, Survey
    sampling, p. 258): the variance of the ratio between graphs over that of independent pairs, at least 1.
    All None without pairs; with a single graph the pairs count as independent."""
    counts, totals = np.asarray(counts, float), np.asarray(totals, float)
    total = totals.sum()
    if total == 0:
        return None, None, None
    p = counts.sum() / total
    graphs = int((totals > 0).sum())
    effect = 1.0
    if graphs > 1 and 0 < p < 1:
        between = graphs / (graphs - 1) * float(((counts - p * totals) ** 2).sum()) / total**2
        effect = max(1.0, between / (p * (1 - p) / total))
    low, high = wilson(np.array(p * total / effect), np.array(total / effect))
    return float(p), float(low), float(high)


def mean_and_error(numbers: FloatArray) -> tuple[float | None, float | None]:
    """(mean, its standard error over graphs); NaN left out, None where there is too little."""
    defined = np.asarray(numbers, float)
    defined = defined[~np.isnan(defined)]
    if defined.size == 0:
        return None, None
    return float(defined.mean()), float(
        defined.std(ddof=1) / np.sqrt(defined.size)
    ) if defined.size > 1 else None
