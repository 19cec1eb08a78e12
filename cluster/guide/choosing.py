"""What of a run proposals are chosen by: a part of its roles, their profiles, the levers and the graph.

The effects model of a run: what its choosing roles answered, item by item, and its graph's paths.

Roles and traits of a run as proposals: whose baseline scores they are chosen by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.cluster.guide.judges import Judges
from axiograph.cluster.guide.levers import RunLevers, conditions_of, kinds_of, run_levers
from axiograph.cluster.guide.request import GuideRequest
from axiograph.cluster.stages.doses import answers_by_role
from axiograph.cluster.stages.effects import replicates_of, run_graph
from axiograph.cluster.stages.score import read_scores, scored_items
from axiograph.discovery.effects.relations import Weights
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.guide.link import position
from axiograph.discovery.guide.model import EffectsModel, ItemMeans, Measured, effects_model
from axiograph.discovery.guide.paths import Paths
from axiograph.discovery.guide.proposal import Proposal
from axiograph.discovery.guide.roles import RoleScores, role_proposals, trait_proposals
from axiograph.discovery.guide.search import Search
from axiograph.discovery.matrix.profiles import PROVENANCE, check_provenance, value_columns
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.scores import mean, part_scores, total
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE
from axiograph.engine.study.split import TEST, TRAIN


@dataclass(frozen=True, eq=False)
class Chosen:
    """`part` of the roles, their `profiles`, what the run is made of, its levers, and its graph with what
    that and its replicates say (None without one)."""

    part: str
    profiles: pl.DataFrame
    inputs: Inputs
    levers: RunLevers
    graph: CausalGraph | None
    weights: Weights | None
    replicates: PackedGraphs | None


def choosing(run: RunDir, profiles: pl.DataFrame, request: GuideRequest) -> Chosen:
    """The training roles choose where they were steered or hinted, otherwise the test roles. Raises
    InputError where nothing but the baseline was asked and features or hints are wanted."""
    inputs = run.inputs()
    part = _part(run, profiles, inputs, request)
    own = profiles.filter(pl.col("split") == part)
    answers = answers_by_role(scored_items(run).filter(pl.col("split").cast(pl.String) == part))
    asked = set(own["condition"])
    answers = answers.filter(pl.col("condition").is_in(list(asked)))
    levers = run_levers(inputs.conditions, answers, inputs.study.effects, request.most)
    _check_levers(levers, request)
    levers = levers.without([name.strip() for text in request.without for name in text.split(",")])
    check_provenance(own, read_scores(run, "provenance"), BASELINE)
    return Chosen(part, own, inputs, levers, *_graph(run, request))


def _part(run: RunDir, profiles: pl.DataFrame, inputs: Inputs, request: GuideRequest) -> str:
    tried = profiles.filter(pl.col("condition") != BASELINE)
    steered = {condition.name for condition in inputs.conditions if condition.is_steered}
    # Hints are asked of all roles, so that they do not tell which part was steered.
    sought = tried.filter(pl.col("condition").is_in(list(steered))) if steered else tried
    parts = sought["split"].unique().to_list() or tried["split"].unique().to_list()
    if not parts and request.method != "role":
        raise InputError(
            f"run {run.where}",
            "answers under features or hints, to choose from",
            "the baseline only",
            "Add steering or hints to the study and run it again, or choose roles with --method role.",
        )
    return TRAIN if TRAIN in parts or not parts else TEST


def _check_levers(levers: RunLevers, request: GuideRequest) -> None:
    """InputError where --method or --max-strength leaves nothing of what was measured."""
    asked = [lever for lever in levers.levers if lever.kind in kinds_of(request.method)]
    if request.method in ("sae", "hint") and not asked:
        kind, section = {"sae": ("a feature", "steering"), "hint": ("a hint", "hints")}[request.method]
        raise InputError(
            f"--method {request.method}",
            f"{kind} among the conditions of the run",
            ", ".join(lever.name for lever in levers.levers[:6]) or "none that the model holds under",
            f"Add `{section}` to the study and run it again, or choose another --method.",
        )
    sizes = [abs(strength) for lever in asked if not lever.switch for strength, _ in lever.points]
    if request.most is not None and sizes and min(sizes) > request.most:
        raise InputError(
            f"--max-strength {request.most:g}",
            "room for at least one measured strength",
            f"{min(sizes):g} as the smallest",
            "Allow more, or add smaller strengths to the study and run it again.",
        )


def _graph(
    run: RunDir, request: GuideRequest
) -> tuple[CausalGraph | None, Weights | None, PackedGraphs | None]:
    if request.graph_file is None and not (run.graph / "graph.json").is_file():
        return None, None, None
    graph, path = run_graph(run, request.graph_file)
    replicates = replicates_of(path)
    return graph, Weights.of(graph, replicates), replicates


def asked_alike(run: RunDir, chosen: Chosen, judges: Judges) -> list[str]:
    """The roles, "no role" among them, that are no judges and whose baseline has the items that the choosing
    roles were asked, answered by the worker that answered most of these."""
    inputs = chosen.inputs
    judging = {role.name for role in judges.roles}
    same = inputs.study.split.items == 1
    used = read_scores(run, "provenance").filter(pl.col("condition") == BASELINE)
    used = used.with_columns(pl.col("role").cast(pl.String))
    own = used.filter(pl.col("role").is_in(chosen.profiles["role"].cast(pl.String).unique().to_list()))
    counts = own.group_by(*PROVENANCE).len().sort(pl.col("len"), *PROVENANCE, descending=True)
    alike = set(used.join(counts.head(1), on=list(PROVENANCE), how="semi", nulls_equal=True)["role"])
    return [
        role.name
        for role in inputs.roles
        if role.name in alike
        and role.name not in judging
        and (same or inputs.role_split[role.name] == chosen.part)
    ]


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


def proposals_by_roles(
    run: RunDir, chosen: Chosen, judges: Judges, search: Search, top: int
) -> list[Proposal]:
    """At most `top` roles, and `top` traits, by rising cost of each."""
    scores = _role_scores(run, chosen, judges, search)
    texts = {role.name: role.text for role in chosen.inputs.roles}
    given = [role.text for role in judges.roles]
    roles = role_proposals(scores, search, top, ratio=judges.ratio if judges.new_items else 1.0)
    ratio = judges.ratio if judges.new_items else None
    return roles + trait_proposals(scores, texts, given, search, top, ratio=ratio)


def _role_scores(run: RunDir, chosen: Chosen, judges: Judges, search: Search) -> RoleScores:
    """Of all roles that were asked alike. They are compared with "no role", where that is among them."""
    scored = scored_items(run).filter(
        pl.col("role").cast(pl.String).is_in(asked_alike(run, chosen, judges))
        & (pl.col("condition").cast(pl.String) == BASELINE)
    )
    parts = part_scores(scored, "item", drop_shared=chosen.inputs.study.scoring.drop_shared_items)
    asked = NO_ROLE.name in parts["role"].unique().to_list()
    return RoleScores.of(parts, search.model.names, NO_ROLE.name if asked else None)
