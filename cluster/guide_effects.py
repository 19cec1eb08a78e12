"""The effects model of a run: what its choosing roles answered, item by item, and its graph's paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from cluster.guide_choosing import Chosen, asked_alike
from cluster.guide_judges import Judges
from cluster.guide_levers import conditions_of
from cluster.stages import read_scores, scored_items
from discovery.draws import ROUNDING
from discovery.guide_link import position
from discovery.guide_measured import ItemMeans, Measured
from discovery.guide_model import EffectsModel, effects_model
from discovery.guide_paths import Paths
from discovery.matrix import value_columns
from discovery.pc import FloatArray
from engine.conditions import BASELINE
from engine.roles import NO_ROLE
from engine.run_dir import RunDir
from engine.scores import mean, total
from engine.split import TRAIN

DRAWS = 500


def run_model(run: RunDir, chosen: Chosen, judges: Judges, seed: int) -> EffectsModel:
    """The effects model of the choosing roles; with the items' part in its intervals where the judges are
    asked other ones."""
    level = chosen.inputs.study.effects.level
    names = value_columns(chosen.profiles)
    used = conditions_of(chosen.levers.levers)
    profiles = chosen.profiles.filter(pl.col("condition").is_in([BASELINE, *used]))
    alike = [name for name in asked_alike(run, chosen, judges) if name != NO_ROLE.name]
    everyone = _scores(read_scores(run, "profiles").filter(pl.col("role").is_in(alike)), names)
    if not used:  # roles only: nothing but the baseline is needed
        measured = Measured(tuple(names), _scores(profiles, names), {}, {}, everyone=everyone)
        return effects_model(measured, (), None, level=level, seed=seed)
    items = _item_means(run, chosen, judges, names) if judges.new_items else None
    measured = Measured.of(
        profiles, baseline=BASELINE, level=level, seed=seed, items=items, everyone=everyone
    )
    levers = [lever for lever in chosen.levers.levers if lever.usable]
    plain = effects_model(measured, levers, None, draws=2, level=level, seed=seed)
    paths = _paths(run, chosen, plain.link.width, names, seed)
    return effects_model(measured, levers, paths, draws=DRAWS, level=level, seed=seed)


def _paths(run: RunDir, chosen: Chosen, width: float, names: Sequence[str], seed: int) -> Paths | None:
    if chosen.graph is None:
        return None
    scores = _scores(read_scores(run, "profiles").filter(pl.col("split") == TRAIN), names)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
    return Paths.of(position(scores, width), names, chosen.graph, chosen.replicates, DRAWS, rng)


def _scores(profiles: pl.DataFrame, names: Sequence[str]) -> FloatArray:
    """[n_roles, n_values] of the baseline, NaN where there is no score."""
    rows = profiles.filter(pl.col("condition") == BASELINE)
    return rows.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def _item_means(run: RunDir, chosen: Chosen, judges: Judges, names: Sequence[str]) -> ItemMeans:
    """Mean differences by item over the choosing roles."""
    scored = scored_items(run).filter(pl.col("split").cast(pl.String) == chosen.part)
    if chosen.inputs.study.scoring.drop_shared_items:
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
    for (condition,), own in means.group_by("condition"):
        joined = keys.join(own.select("item_id", "score"), on="item_id", how="left", maintain_order="left")
        found = (joined["score"] - joined["base"]).fill_null(np.nan).to_numpy()
        differences[str(condition)] = np.where(np.abs(found) <= ROUNDING, 0.0, found)
    return ItemMeans(value, differences, judges.ratio)
