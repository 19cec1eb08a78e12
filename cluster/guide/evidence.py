"""What a run gives to choose proposals by: the choosing roles, their profiles, the levers and the graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from axiograph.cluster.guide.judges import Judges
from axiograph.cluster.guide.request import Limits
from axiograph.cluster.guide.run_levers import RunLevers, kinds_of, run_levers
from axiograph.cluster.stages.doses import answers_by_role
from axiograph.cluster.stages.effects import replicates_of, run_graph, stored_with
from axiograph.cluster.stages.score import read_scores, scored_items
from axiograph.discovery.effects.relations import Weights
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.matrix.profiles import PROVENANCE, check_provenance
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.split import TEST, TRAIN


@dataclass(frozen=True, eq=False)
class Evidence:
    """`part` of the roles that choose (train, test), their `profiles`, what the run is made of, its `levers`,
    and its `graph` with what that and its replicates say (None without one); `coefficients` of replicates
    where the graph was made with experiments."""

    part: str
    profiles: pl.DataFrame
    inputs: Inputs
    levers: RunLevers
    graph: CausalGraph | None
    weights: Weights | None
    replicates: PackedGraphs | None
    coefficients: tuple[tuple[str, ...], FloatArray] | None = None


def gather_evidence(
    run: RunDir, profiles: pl.DataFrame, limits: Limits, graph_file: Path | None = None
) -> Evidence:
    """From the `profiles` of all roles; `graph_file`: another graph than the run's.

    The training roles choose where they were steered or hinted, otherwise the test roles. Raises
    InputError where nothing but the baseline was asked and features or hints are wanted."""
    inputs = run.inputs()
    part = _part(run, profiles, inputs, limits.method)
    choosing = profiles.filter(pl.col("split") == part)
    answers = answers_by_role(scored_items(run).filter(pl.col("split").cast(pl.String) == part))
    answers = answers.filter(pl.col("condition").is_in(choosing["condition"].unique().to_list()))
    levers = run_levers(inputs.conditions, answers, inputs.study.effects, limits.most)
    _check_levers(levers, limits)
    levers = levers.without([name.strip() for text in limits.without for name in text.split(",")])
    check_provenance(choosing, read_scores(run, "provenance"), BASELINE)
    return Evidence(part, choosing, inputs, levers, *_graph(run, graph_file))


def _part(run: RunDir, profiles: pl.DataFrame, inputs: Inputs, method: str) -> str:
    tried = profiles.filter(pl.col("condition") != BASELINE)
    steered = {condition.name for condition in inputs.conditions if condition.is_steered}
    # Hints are asked of all roles, so that they do not tell which part was steered.
    sought = tried.filter(pl.col("condition").is_in(list(steered))) if steered else tried
    parts = sought["split"].unique().to_list() or tried["split"].unique().to_list()
    if not parts and method != "role":
        raise InputError(
            f"run {run.where}",
            "answers under features or hints, to choose from",
            "the baseline only",
            "Add steering or hints to the study and run it again, or choose roles with --method role.",
        )
    return TRAIN if TRAIN in parts or not parts else TEST


def _check_levers(levers: RunLevers, limits: Limits) -> None:
    """InputError where --method or --max-strength leaves nothing of what was measured."""
    asked = [lever for lever in levers.levers if lever.kind in kinds_of(limits.method)]
    if limits.method in ("sae", "hint") and not asked:
        kind, section = {"sae": ("a feature", "steering"), "hint": ("a hint", "hints")}[limits.method]
        raise InputError(
            f"--method {limits.method}",
            f"{kind} among the conditions of the run",
            ", ".join(lever.name for lever in levers.levers[:6]) or "none that the model holds under",
            f"Add `{section}` to the study and run it again, or choose another --method.",
        )
    sizes = [abs(strength) for lever in asked if not lever.switch for strength, _ in lever.points]
    if limits.most is not None and sizes and min(sizes) > limits.most:
        raise InputError(
            f"--max-strength {limits.most:g}",
            "room for at least one measured strength",
            f"{min(sizes):g} as the smallest",
            "Allow more, or add smaller strengths to the study and run it again.",
        )


def _graph(
    run: RunDir, file: Path | None
) -> tuple[
    CausalGraph | None, Weights | None, PackedGraphs | None, tuple[tuple[str, ...], FloatArray] | None
]:
    if file is None and not StoredDiscovery(run.graph).has(GraphChoice.GRAPH):
        return None, None, None, None
    graph, path = run_graph(run, file)
    replicates, stored = replicates_of(path), stored_with(path)
    coefficients = None if stored is None else stored.coefficients
    return graph, Weights.of(graph, replicates), replicates, coefficients


def asked_alike(run: RunDir, evidence: Evidence, judges: Judges) -> list[str]:
    """The roles, "no role" among them, that are no judges and whose baseline has the items that the choosing
    roles were asked, answered by the worker that answered most of these."""
    inputs = evidence.inputs
    judging = {role.name for role in judges.roles}
    same = inputs.study.split.items == 1
    used = read_scores(run, "provenance").filter(pl.col("condition") == BASELINE)
    used = used.with_columns(pl.col("role").cast(pl.String))
    choosing = evidence.profiles["role"].cast(pl.String).unique().to_list()
    counts = (
        used.filter(pl.col("role").is_in(choosing))
        .group_by(*PROVENANCE)
        .len()
        .sort(pl.col("len"), *PROVENANCE, descending=True)
    )
    alike = set(used.join(counts.head(1), on=list(PROVENANCE), how="semi", nulls_equal=True)["role"])
    return [
        role.name
        for role in inputs.roles
        if role.name in alike
        and role.name not in judging
        and (same or inputs.role_split[role.name] == evidence.part)
    ]
