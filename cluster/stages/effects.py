"""The stage `effects`: what every condition changed, held against a graph, and the contrast between roles;
and the graph to test against: whether it still belongs to the run, and its replicates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from axiograph.cluster.stages.discover import run_experiments
from axiograph.cluster.stages.doses import write_doses
from axiograph.cluster.stages.score import read_scores, scored_items
from axiograph.cluster.stages.stored_effects import GRAPH_TABLES
from axiograph.discovery.effects.contrast import between_roles
from axiograph.discovery.effects.relations import Judge, Judges, among
from axiograph.discovery.effects.style import split_effects
from axiograph.discovery.effects.testing import Effects, effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.matrix.profiles import profiles_digest
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.tally import WORKER
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE
from axiograph.engine.study.schema import EffectsSpec, Study


def stored_with(path: Path) -> StoredDiscovery | None:
    """The discovery that wrote the graph file `path`; None for a graph from elsewhere."""
    stored = StoredDiscovery(path.parent)
    is_saved = path in {stored.file(choice) for choice in GraphChoice}
    return stored if is_saved and stored.settings else None


def value_graph(path: Path) -> CausalGraph:
    """The graph in `path` without the nodes that stand for steering and hints."""
    graph, stored = load_graph(path), stored_with(path)
    indicators = [] if stored is None else stored.settings.get("indicators", [])
    return among(graph, [name for name in graph.names if name not in indicators])


def replicates_of(path: Path) -> PackedGraphs | None:
    """The graphs of the resamples behind the graph file `path`; None where there are none."""
    stored = stored_with(path)
    return None if stored is None else stored.replicates


def training_rows(profiles: pl.DataFrame, pooled: bool) -> pl.DataFrame:
    """What the graph of a run is made from: training roles, under the baseline or under all conditions."""
    train = profiles.filter(pl.col("split") == "train")
    return train if pooled else train.filter(pl.col("condition") == BASELINE)


def check_fresh(run: RunDir, path: Path, profiles: pl.DataFrame) -> None:
    """InputError where the run's own graph was made from other training profiles than `profiles` has now:
    another split may have put roles on which the graph was learned among those on which it is tested."""
    stored = stored_with(path)
    if stored is None or path.parent.resolve() != run.graph.resolve():
        return
    rows = training_rows(profiles, pooled=bool(stored.settings.get("indicators")))
    tried = stored.settings.get("experiments")
    if tried is not None and tried.get("digest") != run_experiments(run).digest:
        raise InputError(
            f"graph {run.shown(path)}",
            "a graph made with the steered and hinted answers that the run has now",
            "one made with others (conditions, answers or scoring have changed since)",
            f"Run `axiograph discover {run.where}` again.",
        )
    if stored.settings.get("profiles") != profiles_digest(rows):
        raise InputError(
            f"graph {run.shown(path)}",
            "a graph made from the training profiles that the run has now",
            "one made from others (roles, split, answers or scoring have changed since)",
            f"Run `axiograph discover {run.where}` again.",
        )


def run_graph(run: RunDir, graph_file: Path | None) -> tuple[CausalGraph, Path]:
    """The graph of `graph_file` (graph.json), or the run's own, and where it is. InputError where the run's
    own was made from other profiles than it has now."""
    path = graph_file or StoredDiscovery(run.graph).file()
    if not path.is_file():
        remedy = f"Run `axiograph discover {run.where}` first, or give --graph."
        raise InputError(f"graph {run.shown(path)}", "a graph written by axiograph", "none", remedy)
    check_fresh(run, path, read_scores(run, "profiles"))
    return value_graph(path), path


def compare_roles(run: RunDir, graph: CausalGraph | None) -> tuple[str, pl.DataFrame]:
    """The paper's contrast between roles on baseline profiles: (reference role, table of between_roles, which
    has no column where there is no graph).

    Every role is compared with "no role", or with the first role where that has no answers: the roles that
    the same kind of worker answered (DESIGN 3) and, where items are split too, only those of its part, since
    the others were asked other items.
    """
    table, inputs = read_scores(run, "profiles"), run.inputs()
    reference = reference_role(run)
    if graph is None:
        (run.effects / "between_roles.parquet").unlink(missing_ok=True)
        return reference, pl.DataFrame()
    table = table.filter(pl.col("role").is_in(_answered_alike(run, reference)))
    split = inputs.role_split[reference] if inputs.study.split.items < 1 else None
    contrast = between_roles(table, graph, reference, inputs.study.effects, split=split)
    write_atomic(run.effects / "between_roles.parquet", contrast.write_parquet)
    return reference, contrast


def reference_role(run: RunDir) -> str:
    """The role that others are compared with: "no role", or the first role where that has no answers."""
    profiles, inputs = read_scores(run, "profiles"), run.inputs()
    answered = set(profiles.filter(pl.col("condition") == BASELINE)["role"])
    roles = [role.name for role in inputs.roles if role.name in answered] or [inputs.roles[0].name]
    return NO_ROLE.name if NO_ROLE.name in roles else roles[0]


def _answered_alike(run: RunDir, reference: str) -> pl.Series:
    """The roles whose baseline came from the worker that answered the `reference` role."""
    used = read_scores(run, "provenance").filter(pl.col("condition") == BASELINE)
    used = used.with_columns(pl.col("role").cast(pl.String))
    workers = used.filter(pl.col("role") == reference).select(WORKER)
    return used.join(workers, on=list(WORKER), how="semi")["role"]


def find_effects(run: RunDir, spec: EffectsSpec, graph: CausalGraph | None, path: Path | None) -> Effects:
    """What every condition changed against `graph`, which came from `path`; saved in the run, with what
    sweeps of strengths did. Without a graph the tables that need one are not there."""
    profiles = read_scores(run, "profiles")
    judges = None if graph is None or path is None else graph_judges(path, graph)
    replicates = None if judges is None else judges.first.replicates
    tested = replace(
        effects(profiles, read_scores(run, "provenance"), graph, spec, replicates=replicates, judges=judges),
        negative_controls=negative_controls(run),
    )
    write_atomic(run.effects / "changes.parquet", tested.changes.write_parquet)
    for name in GRAPH_TABLES:
        if tested.has_graph:
            write_atomic(run.effects / f"{name}.parquet", getattr(tested, name).write_parquet)
        else:
            (run.effects / f"{name}.parquet").unlink(missing_ok=True)
    write_json(
        run.effects / "effects.json",
        {
            "graph": None if path is None else run.shown(path),
            "baseline": BASELINE,
            "roles": spec.roles,
            "level": spec.level,
            "test": "moderated t",
            "prior": None if tested.prior is None else tested.prior.document(),
            "interval_resamples": spec.resamples,
            "graph_replicates": tested.graph_replicates,
            "control": spec.control,
            "control_graphs": spec.control_graphs,
            "seed": spec.seed,
            "negative_controls": list(tested.negative_controls),
            "judges": dict(tested.judges),
            "not_in_graph": list(tested.not_in_graph),
            "cycles": [list(cycle) for cycle in tested.cycles],
        },
    )
    write_split_effects(run, spec)
    write_doses(run, spec, profiles, tested.changes, scored_items(run))
    return tested


def graph_judges(path: Path, graph: CausalGraph) -> Judges:
    """Of a graph file: the `graph` in it, with its replicates; for a condition with which it was made, the
    graph that was made without its lever. InputError where that is missing."""
    first, stored = Judge(graph, replicates_of(path)), stored_with(path)
    left_out = None if stored is None else stored.left_out
    if stored is None or left_out is None:
        return Judges(first)
    threshold = float(stored.settings["threshold"])
    others = {
        lever: Judge(among(left_out.consensus(lever, threshold), graph.names), replicates)
        for lever, replicates in left_out.graphs.items()
    }
    return Judges(first, others, left_out.lever_of)


def negative_controls(run: RunDir) -> tuple[str, ...]:
    """The conditions of the run that are the baseline, asked once more through the steering."""
    return tuple(condition.name for condition in run.inputs().conditions if condition.is_negative_control)


def write_split_effects(run: RunDir, spec: EffectsSpec) -> pl.DataFrame | None:
    """discovery.effects.style.split_effects of the run, saved; None where an earlier version has scored it,
    or where no value has a key balance."""
    (run.effects / "style.parquet").unlink(missing_ok=True)
    if not (run.scores / "style.parquet").is_file():
        return None
    shares = read_scores(run, "style").filter(pl.col("value").is_not_null())
    balance = dict(shares.drop_nulls("key_balance").select("value", "key_balance").iter_rows())
    if not balance:
        return None
    table = split_effects(
        read_scores(run, "profiles_mean"),
        read_scores(run, "profiles_content"),
        read_scores(run, "style_roles"),
        balance,
        None if spec.roles == "all" else spec.roles,
        spec.level,
    )
    write_atomic(run.effects / "style.parquet", table.write_parquet)
    return table


def has_contrasts(run: RunDir, study: Study) -> bool:
    """Whether the run holds a condition besides the baseline on the roles that effects are tested on."""
    table = read_scores(run, "profiles").filter(pl.col("condition") != BASELINE)
    if study.effects.roles != "all":
        table = table.filter(pl.col("split") == study.effects.roles)
    return not table.is_empty()
