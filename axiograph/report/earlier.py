"""Tables that a stage writes today and earlier versions did not: for a directory that such a version left,
the functions of the stages make them here. Nothing is written; running the stage again stores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from axiograph.cluster.stages.doses import role_spread
from axiograph.cluster.stages.quality import means_over_roles, reliability_intervals
from axiograph.cluster.stages.reference import replicated_counts
from axiograph.cluster.stages.score import read_answering, read_scores
from axiograph.discovery.effects.contrast import sign_similarity
from axiograph.discovery.effects.hints import steering_against_hints
from axiograph.engine.runs.run_dir import RunDir


def score_table(run: RunDir, name: str) -> pl.DataFrame:
    """A table of cluster.stages.quality, by the name of its file: answering, acquiescence_means,
    reliability_intervals."""
    if name == "answering":
        return read_answering(run)
    if name == "reliability_intervals":
        return reliability_intervals(read_scores(run, "reliability"))
    conditions = [condition.name for condition in run.inputs().conditions]
    return means_over_roles(read_scores(run, "acquiescence"), "acquiescence", conditions)


def spread_table(run: RunDir, doses: pl.DataFrame, roles: str) -> pl.DataFrame:
    """cluster.stages.doses.role_spread."""
    return role_spread(read_scores(run, "profiles"), doses["condition"].to_list(), roles)


def hint_table(run: RunDir, counts: pl.DataFrame) -> pl.DataFrame:
    """discovery.effects.hints.steering_against_hints."""
    return steering_against_hints(run.inputs().conditions, counts)


def replicated_signs(
    table1: Mapping[str, Mapping[str, object]], values: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sign counts of a replication and the similarity of training and test roles
    (cluster.stages.reference.compare_replication)."""
    counts = replicated_counts(table1, values)
    return counts, sign_similarity(counts)
