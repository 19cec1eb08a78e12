"""The effects model of a run: what its choosing roles answered, item by item, and its graph's paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from axiograph.cluster.guide.evidence import Evidence, asked_alike
from axiograph.cluster.guide.judges import Judges
from axiograph.cluster.guide.run_levers import conditions_of
from axiograph.cluster.stages.score import read_scores, scored_items
from axiograph.discovery.guide.link import position
from axiograph.discovery.guide.model import EffectsModel, ItemMeans, Measured, effects_model
from axiograph.discovery.guide.paths import Paths
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.scores import mean, total
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE
from axiograph.engine.study.split import TRAIN

DRAWS = 500  # of the roles, the items and the graph, from which the intervals are made


def run_model(run: RunDir, evidence: Evidence, judges: Judges, seed: int) -> EffectsModel:
    """The effects model of the choosing roles; with the items' part in its intervals where the judges are
    asked other ones."""
    level = evidence.inputs.study.effects.level
    names = value_columns(evidence.profiles)
    used = conditions_of(evidence.levers.levers)
    profiles = evidence.profiles.filter(pl.col("condition").is_in([BASELINE, *used]))
    alike = [name for name in asked_alike(run, evidence, judges) if name != NO_ROLE.name]
    everyone = _scores(read_scores(run, "profiles").filter(pl.col("role").is_in(alike)), names)
    if not used:  # roles only: nothing but the baseline is needed
        measured = Measured(tuple(names), _scores(profiles, names), {}, {}, everyone=everyone)
        return effects_model(measured, (), None, level=level, seed=seed)
    items = _item_means(run, evidence, judges, names) if judges.new_items else None
    measured = Measured.of(profiles, baseline=BASELINE, level=level, items=items, everyone=everyone)
    levers = [lever for lever in evidence.levers.levers if lever.usable]
    plain = effects_model(measured, levers, None, draws=2, level=level, seed=seed)
    paths = _paths(run, evidence, plain.link.width, names, seed)
    return effects_model(measured, levers, paths, draws=DRAWS, level=level, seed=seed)


def _paths(run: RunDir, evidence: Evidence, width: float, names: Sequence[str], seed: int) -> Paths | None:
    if evidence.graph is None:
        return None
    scores = _scores(read_scores(run, "profiles").filter(pl.col("split") == TRAIN), names)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
    positions = position(scores, width)
    if evidence.coefficients is not None and len(evidence.coefficients[1]):
        nodes, weights = evidence.coefficients
        return Paths.of_weights(weights, nodes, positions, names, DRAWS, rng)
    return Paths.of(positions, names, evidence.graph, evidence.replicates, DRAWS, rng)


def _scores(profiles: pl.DataFrame, names: Sequence[str]) -> FloatArray:
    """[n_roles, n_values] of the baseline, NaN where there is no score."""
    rows = profiles.filter(pl.col("condition") == BASELINE)
    return rows.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def _item_means(run: RunDir, evidence: Evidence, judges: Judges, names: Sequence[str]) -> ItemMeans:
    """Mean differences by item over the choosing roles."""
    scored = scored_items(run).filter(pl.col("split").cast(pl.String) == evidence.part)
    if evidence.inputs.study.scoring.drop_shared_items:
        scored = scored.filter(~pl.col("shared"))
    texts = pl.col("condition", "value", "item_id").cast(pl.String)
    score = pl.col("score")
    means = (
        scored.with_columns(texts)
        .group_by("condition", "value", "item_id")
        # Exact sums: the same proposals whatever the order in which threads add.
        .agg(score=mean(total(score), score.count()))
        .collect(engine="streaming")
    )
    before = means.filter(pl.col("condition") == BASELINE).sort("value", "item_id")
    value = np.array([names.index(name) for name in before["value"]], np.int64)
    keys = before.select("item_id", base="score")
    differences = {}
    for (condition,), after in means.group_by("condition"):
        joined = keys.join(after.select("item_id", "score"), on="item_id", how="left", maintain_order="left")
        difference = (joined["score"] - joined["base"]).fill_null(np.nan).to_numpy()
        differences[str(condition)] = np.where(np.abs(difference) <= ROUNDING, 0.0, difference)
    return ItemMeans(value, differences, judges.ratio)
