"""What a value does to every other: directly, and over all ways, with how far that would differ with other
roles."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.discovery.interventions.draws import JointDraws
from axiograph.discovery.interventions.search import JointGraph
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import percentile_range

LEVEL = 0.05


def totals_table(joint: JointGraph, draws: JointDraws) -> pl.DataFrame:
    """A row per ordered pair: source, target, direct (coefficient of the best DAG; 0 without an edge), total
    (of all ways), in standard deviations of the target per standard deviation of the source, each with *_low
    and *_high, the range of 95 % of the replicates; leads (share of the replicates in whose best DAG a way
    leads there).

    Replicates are halves of the roles, without replacement, which spread about the whole as samples of the
    whole number do (Shao & Wu 1989, Ann. Stat. 17, 1176). Where the data do not tell a direction, replicates
    draw it now this way, now that: the range then holds what both say, 0 among it."""
    names = draws.names
    source, target = np.nonzero(~np.eye(len(names), dtype=bool))
    columns: dict[str, pl.Series] = {
        "source": pl.Series([names[k] for k in source], dtype=pl.String),
        "target": pl.Series([names[k] for k in target], dtype=pl.String),
    }
    drawn = {"direct": draws.weights[draws.graphs.used], "total": draws.totals}
    whole = {"direct": joint.weights, "total": joint.total_effects}
    for name, tables in drawn.items():
        cells = tables[:, source, target].T
        low, high = percentile_range(cells, LEVEL)
        columns[name] = pl.Series(whole[name][source, target])
        columns[f"{name}_low"] = pl.Series(low, nan_to_null=True)
        columns[f"{name}_high"] = pl.Series(high, nan_to_null=True)
    columns["leads"] = pl.Series(_share(draws.totals[:, source, target]), nan_to_null=True)
    return pl.DataFrame(columns)


def _share(totals: FloatArray) -> FloatArray:
    """Of the replicates [U, pairs] in which there is a way."""
    return (np.abs(totals) > 1e-12).mean(axis=0) if len(totals) else np.full(totals.shape[1], np.nan)
