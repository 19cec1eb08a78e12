"""What of a run proposals are chosen by: a part of its roles, their profiles, the levers and the graph."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cluster.dose_run import answers_by_role
from cluster.guide_judges import Judges
from cluster.guide_levers import RunLevers, kinds_of, run_levers
from cluster.guide_request import GuideRequest
from cluster.stages import read_scores, run_graph, scored_items
from cluster.tested_graph import replicates_of
from discovery.graph import CausalGraph
from discovery.packed import PackedGraphs
from discovery.provenance import PROVENANCE, check_provenance
from discovery.relations import Weights
from engine.conditions import BASELINE
from engine.errors import InputError
from engine.inputs import Inputs
from engine.run_dir import RunDir
from engine.split import TEST, TRAIN


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
