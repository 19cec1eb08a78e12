"""A reference graph beside the run's own: the same changes tested against it, and both graphs compared.

Also what a replication of the paper leaves beside its tables for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from axiograph.cluster.stages.comparison import Compared, compare_paths, labels
from axiograph.cluster.stages.effects import has_contrasts
from axiograph.cluster.stages.score import read_scores
from axiograph.cluster.stages.stored_effects import TABLES
from axiograph.discovery.effects.contrast import Triples, between_roles, counted_table, sign_similarity
from axiograph.discovery.effects.relations import among
from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import to_json, write_graph
from axiograph.discovery.graph.reading import read_graph
from axiograph.discovery.paper.replication import ReplicationResult
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import write_atomic, write_json, write_text
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE
from axiograph.engine.study.split import TEST, TRAIN

COMPARISON = "comparison-"
"""How folders with comparisons begin; they lie in the directory itself, beside graph and effects."""
REFERENCE = "reference"


def add_reference(run: RunDir, file: Path) -> None:
    """As `set_reference`, with the graph in a file (discovery.graph.reading.read_graph)."""
    set_reference(run, read_graph(file).graph, file.stem)


def set_reference(run: RunDir, graph: CausalGraph, name: str) -> None:
    """Test the run's changes against `graph`, in effects-reference, and compare it with the run's own graph,
    in comparison-reference. Values that only one of the two has are left out and named.

    Raises InputError for a graph with fewer than two of the run's values."""
    shared = among(graph, read_scores(run, "profiles").columns)
    if len(shared.names) < 2:
        raise InputError(
            f"reference graph {name}",
            "two values of the run or more",
            f"{len(shared.names)} of {len(graph.names)}",
            "Name them as the run does.",
        )
    write_tested_against(run, shared, name)
    file = run.path / f"effects-{REFERENCE}" / "reference_graph.json"
    write_text(file, to_json(graph))
    compared = compare_paths(str(run.path), str(file), names=(_unlike(run.inputs().study.name, name), name))
    _as_shown(compared, run).save(run.path / f"{COMPARISON}{REFERENCE}")


def _unlike(name: str | None, other: str) -> str:
    return name if name and name != other else "this run"


def write_tested_against(run: RunDir, graph: CausalGraph, name: str) -> None:
    """Write the tables of the stage `effects` against `graph` into effects-reference."""
    folder = run.path / f"effects-{REFERENCE}"
    profiles, study = read_scores(run, "profiles"), run.inputs().study
    write_graph(graph, folder, "graph")
    _between_roles(run, graph, folder)
    if not has_contrasts(run, study):
        return
    spec = study.effects
    tested = effects(profiles, read_scores(run, "provenance"), graph, spec)
    for table in TABLES:
        write_atomic(folder / f"{table}.parquet", getattr(tested, table).write_parquet)
    about = {"graph": name, "baseline": BASELINE, "roles": spec.roles, "level": spec.level}
    about |= {"graph_replicates": 0, "control": spec.control, "control_graphs": spec.control_graphs}
    about |= {"not_in_graph": list(tested.not_in_graph), "cycles": [list(cycle) for cycle in tested.cycles]}
    write_json(folder / "effects.json", about)


def _between_roles(run: RunDir, graph: CausalGraph, folder: Path) -> None:
    inputs = run.inputs()
    roles = [role.name for role in inputs.roles]
    reference = NO_ROLE.name if NO_ROLE.name in roles else roles[0]
    split = inputs.role_split[reference] if inputs.study.split.items < 1 else None
    table = between_roles(read_scores(run, "profiles"), graph, reference, inputs.study.effects, split=split)
    write_atomic(folder / "between_roles.parquet", table.write_parquet)


def add_comparison(run: RunDir, other: str) -> None:
    """Compare the graph of the directory with that of another run or file, in comparison-with-NAME."""
    compared = compare_paths(str(run.path), other, names=labels(run.where, other))
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in compared.b.name).strip(".-") or "other"
    _as_shown(compared, run).save(run.path / f"{COMPARISON}with-{safe}")


def _as_shown(compared: Compared, run: RunDir) -> Compared:
    """With the address of the run in an object store instead of its local copy."""
    sides = (
        replace(side, what=side.what.replace(str(run.path), run.where)) for side in (compared.a, compared.b)
    )
    a, b = sides
    return replace(compared, a=a, b=b)


def compare_replication(result: ReplicationResult, out: Path) -> None:
    """What a replication leaves in `out` besides its own tables: the counts of Table 1 as numbers with the
    similarity of training and test roles (sign_counts.parquet, sign_similarity.parquet) and, where there is a
    reference graph, the reduced graph beside it (comparison-reference)."""
    counts = replicated_counts(result.table1, result.graph.names)
    write_atomic(out / "sign_counts.parquet", counts.write_parquet)
    write_atomic(out / "sign_similarity.parquet", sign_similarity(counts).write_parquet)
    if result.reference_edges is None:
        return
    names = ("reduced_graph", "reference_graph")
    for name, edges in zip(names, (result.reduced_edges, result.reference_edges), strict=True):
        write_text(out / f"{name}.json", to_json(both_ways_undirected(result.graph.names, edges)))
    files = (str(out / f"{name}.json") for name in names)
    compared = compare_paths(*files, names=("the model's graph, reduced", "the reference graph"))
    compared.save(out / f"{COMPARISON}{REFERENCE}")


def both_ways_undirected(values: Sequence[str], edges: Sequence[Sequence[str]]) -> CausalGraph:
    """The paper's directed edges as a graph: an edge in both directions is undirected, as it was before."""
    pairs = {(a, b) for a, b in edges}
    both = sorted((a, b) for a, b in pairs if (b, a) in pairs and a < b)
    return CausalGraph.from_edges(list(values), sorted(p for p in pairs if (p[1], p[0]) not in pairs), both)


def replicated_counts(table1: Mapping[str, Mapping[str, object]], values: Sequence[str]) -> pl.DataFrame:
    """discovery.effects.contrast.sign_table of the cells of Table 1: by feature and value raised/lowered/
    unchanged training roles, then test roles. A cell whose three counts are 0 was not asked."""
    counts: dict[str, Triples] = {TRAIN: {}, TEST: {}}
    for feature, row in table1.items():
        for value in values:
            numbers = [int(n) for n in str(row[value]).split("/")]
            for part, (up, down, same) in ((TRAIN, numbers[:3]), (TEST, numbers[3:])):
                if up + down + same:
                    counts[part][f"feature {feature}", value] = (up, down, same)
    return counted_table([f"feature {feature}" for feature in table1], list(values), counts)
