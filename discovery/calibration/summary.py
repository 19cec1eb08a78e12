"""What the tables of a calibration come to: errors, calibration of frequencies, power, enough roles.

Frequencies are held against the truth in bins. Pairs come in graphs, and those of one graph are not
independent: shares over them have intervals that know it (`clustered`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

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
FLAT = 0.05  # of the planted edges: what more roles may still mend where the sweep counts as flat
RULE = (
    f"enough: the fewest roles of the sweep from which more roles mend at most {FLAT:.0%} of the planted "
    "edges, by mean SHD"
)
Row = dict[str, Any]


def summarise(
    graphs: pl.DataFrame,
    frequencies: pl.DataFrame,
    effects: pl.DataFrame,
    contrast_p: list[float | None],
    level: float,
) -> dict[str, Any]:
    """All of it, as JSON types; tables as in discovery.calibration.planted_studies."""
    sweep = sweep_rows(graphs)
    return {
        "expected": [_errors(graphs, which) for which in ("graph", "all_roles", "averaged")],
        "frequencies": [
            row for kind in ("adjacent", "directed", "ancestor") for row in bin_rows(frequencies, kind)
        ],
        "high": [high_row(frequencies, kind) for kind in ("adjacent", "directed", "ancestor")],
        "effects": effect_rates(effects),
        "contrast": _contrast(contrast_p, level),
        "sweep": sweep,
        "recommendation": recommend(sweep) | {"graph": best_graph(graphs)},
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


def recommend(sweep: list[Row]) -> Row:
    """How many roles are enough, by RULE: `roles` None where SHD still falls at the end of the sweep. `most`:
    the end of the sweep; `rising`: with more roles than the best number SHD grows, which it would not on the
    values themselves: tests then take measurement error for edges."""
    measured = [row for row in sweep if row.get("shd") is not None]
    if len(measured) < 2:
        return {"rule": RULE, "roles": None, "most": None, "rising": False}
    distance = np.array([row["shd"] for row in measured])
    best = np.minimum.accumulate(distance[::-1])[::-1]
    allowed = FLAT * np.array([row["planted_edges"] for row in measured])
    flat = np.flatnonzero(distance - best <= allowed)
    enough = measured[int(flat[0])]["roles"]
    most = measured[-1]["roles"]
    values = [row["shd_of_values"] for row in measured if row.get("shd_of_values") is not None]
    rising = distance[-1] - distance.min() > allowed[-1]
    perfect = len(values) == len(measured) and values[-1] - min(values) > allowed[-1]
    return {
        "rule": RULE,
        "roles": None if enough == most else enough,
        "most": most,
        "rising": bool(rising and not perfect),
    }


def best_graph(graphs: pl.DataFrame) -> str:
    """Which graph comes nearest to the planted one: "graph", unless the mean SHD of another is less by more
    than two standard errors of the difference; of several such, the one of the least."""
    done = graphs.filter(
        pl.col("failed").is_null() & pl.col("which").is_in(["graph", "all_roles", "averaged"])
    )
    distance = {
        which: np.asarray(shd({name: rows[name].to_numpy() for name in _SHD}), float)
        for (which,), rows in done.sort("graph").group_by("which", maintain_order=True)
    }
    best, least = "graph", 0.0
    for which in ("all_roles", "averaged"):
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
"""Shares of pairs (steered value, other value). power_*: the test found the steered value, a strong or a
slight true effect. false_alarm: it found a change of a value that is no descendant. changed_of_*: by the
relation in the found graph. descendants_*: true descendants that the found graph expects, or does not.
unexpected_changes_wrong: of the changes that the found graph calls unexpected, those that the planted graph
expects."""


def effect_rates(effects: pl.DataFrame) -> dict[str, Row]:
    """RATES, each with of (how many), share, low and high; None where there is nothing."""
    return {name: _rate(effects, *chosen) for name, chosen in RATES.items()}


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
