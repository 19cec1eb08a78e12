"""What `axiograph demo` prints: the graph and the effects that were measured, beside those planted."""

from __future__ import annotations

import textwrap

import numpy as np
import polars as pl

from axiograph.cluster.demonstration import Demo
from axiograph.cluster.stages.verdict import answering_of
from axiograph.discovery.calibration.respondent import Planted, agreement, over_names, total_effects
from axiograph.discovery.comparison.graphs import Comparison, compare
from axiograph.discovery.effects.relations import Relation, relations
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import strength_of
from axiograph.discovery.numerics.arrays import BoolArray
from axiograph.discovery.verdict.judgement import judge
from axiograph.texts.plain import WIDTH, number, table
from axiograph.texts.run import sampled_text
from axiograph.texts.verdict import verdict_text


def demo_intro(planted: Planted) -> str:
    """Who is asked, and which SAE feature steers which value."""
    features = ", ".join(f"{name} {feature}" for name, feature in planted.features.items())
    return (
        "The built-in respondent is a small language model whose values follow a planted causal graph: what "
        f"is found can be held against what is true.\nSAE feature of each value: {features}."
    )


def demo_text(demo: Demo) -> str:
    """The graph and the effects beside the planted ones, and where the files are."""
    parts = [sampled_text(demo.sampled), graph_text(demo), effects_text(demo), _files(demo)]
    return "\n\n".join(parts)


def graph_text(demo: Demo) -> str:
    """Every pair that an edge joins in the planted graph or in those found, verdict and prediction."""
    discovery, truth = demo.discovery, demo.truth
    found = (discovery.graph, demo.roles_alone.graph, discovery.all_roles)
    graphs = [truth, *(over_names(graph, truth.names) for graph in found)]
    strengths = {
        frozenset((row["source"], row["target"])): strength_of(row)
        for row in discovery.strengths(discovery.graph).iter_rows(named=True)
    }
    rows = [
        row
        for a in range(len(truth.names))
        for b in range(a)
        if (row := _pair(demo, graphs[:3], strengths, b, a))
    ]
    header = ["pair a · b", "planted", "found", "alone", "strength", "a→b", "a←b", "a—b", ""]
    agreed, alone, of_all = (compare(graph, truth) for graph in graphs[1:])
    lines = [
        *textwrap.wrap(
            f"The graph of {discovery.profiles.n_roles} roles, {discovery.method}: pairs in "
            f"{discovery.spec.threshold:.0%} of {discovery.bootstrap.replicates.used:,} replicates of half "
            "of the roles (alone: what the roles without steering give)",
            WIDTH,
        ),
        "",
        table(header, rows),
        "",
        *textwrap.wrap(f"Found: {_held_against(agreed)}", WIDTH, subsequent_indent="  "),
        *textwrap.wrap(f"By the roles alone: {_held_against(alone)}", WIDTH, subsequent_indent="  "),
        *textwrap.wrap(f"One search on all roles: {_held_against(of_all)}", WIDTH, subsequent_indent="  "),
        "",
        verdict_text(judge(discovery.evidence, discovery.simulated_as, answering_of(demo.run))),
    ]
    return "\n".join([*lines, *_left_out(demo), *_prediction(demo)])


def _prediction(demo: Demo) -> list[str]:
    """How well steering is predicted, and total effects beside the planted ones."""
    found = demo.discovery.interventional
    if found is None or demo.totals_truth is None:
        return []
    totals = demo.totals_truth
    off = (totals["total"] - totals["planted"]).to_numpy()
    within = totals.filter(pl.col("planted").is_between(pl.col("total_low"), pl.col("total_high"))).height
    away = totals.filter(pl.col("planted").abs() > 1e-9)
    text = (
        f"Total effects by the graph, {totals.height} of one value on another in standard deviations: "
        f"{float(np.sqrt(np.mean(off**2))):.3f} off the planted ones (root mean square), "
        f"{within} with the planted one in the 95 % interval; {away.height} of them are planted "
        f"({float(away['planted'].abs().mean()):.2f} on average)."  # type: ignore[arg-type]
    )
    said = f"Prediction: {found.prediction.in_words()}"
    wrapped = (textwrap.wrap(line, WIDTH, subsequent_indent="  ") for line in (said, text))
    return ["", *(line for lines in wrapped for line in lines)]


def _left_out(demo: Demo) -> list[str]:
    out = [f"{name} ({why})" for name, why in demo.discovery.profiles.excluded.items()]
    return [f"Not in the graph, its edges count as missing: {', '.join(out)}."] if out else []


def _pair(
    demo: Demo, graphs: list[CausalGraph], strengths: dict[frozenset[str], float | None], a: int, b: int
) -> list[str]:
    names = graphs[0].names
    kinds = [graph.edge_kind(a, b).symbol for graph in graphs]
    if not any(kinds):
        return []
    rows = demo.discovery.bootstrap.edges.table().filter(
        pl.col("a").is_in([names[a], names[b]]) & pl.col("b").is_in([names[a], names[b]])
    )
    masses = ["-"] * 3
    if rows.height:
        row = rows.row(0, named=True)
        order = ("forward", "backward") if row["a"] == names[a] else ("backward", "forward")
        masses = [number(row[name]) for name in (*order, "undirected")]
    strength = number(strengths.get(frozenset((names[a], names[b]))), "+.2f")
    return [f"{names[a]} · {names[b]}", *kinds, strength, *masses, _remark(*kinds[:2])]


def _remark(planted: str, discovered: str) -> str:
    if planted == discovered:
        return ""
    if not discovered:
        return "missing"
    return "other mark" if planted else "not planted"


def _held_against(comparison: Comparison) -> str:
    distance = comparison.distance
    if comparison.shd == 0:
        return f"the planted graph, all {comparison.counts['shared_edges']} edges with their marks (SHD 0)."
    return (
        f"SHD {comparison.shd} to the planted graph: {distance['reference_only']} of its "
        f"{comparison.counts['reference_edges']} edges missing, {distance['graph_only']} that it has not, "
        f"{distance['differing_marks']} with another mark."
    )


def effects_text(demo: Demo) -> str:
    """The matrix of total effects, measured / planted, and how well the two agree."""
    planted, effects = demo.planted, demo.effects
    total = total_effects(demo.effects_truth)
    rows = []
    for key, group in total.group_by("steered", "feature", maintain_order=True):
        steered, feature = (str(part) for part in key)
        cells = {row["value"]: row for row in group.iter_rows(named=True)}
        rows.append([f"{steered} (f{feature})", *(_cell(cells[name]) for name in planted.names)])
    strengths = sorted(demo.effects_truth["strength"].unique())
    roles, few = max(effects.changes["pairs"].to_list()), effects.changes["few_pairs"].any()
    lines = [
        f"Effects of steering on {roles} other roles, strengths {', '.join(f'{s:+g}' for s in strengths)}: "
        "measured / planted,",
        "in units of the value per unit added to the steered one (* changed at every strength but 0)",
        "",
        table(["steered", *planted.names], rows),
        "",
        *_agreement(demo),
        *(["Fewer than 6 roles: changes are not tested."] if few else []),
    ]
    return "\n".join(lines)


def _cell(row: dict[str, float | None]) -> str:
    star = "*" if row["changed"] == row["strengths"] else " "
    planted = number(row["planted"], "+.2f") if row["planted"] else "0"
    return f"{number(row['measured'], '+.2f')}/{planted}{star}"


def _agreement(demo: Demo) -> list[str]:
    cells = agreement(demo.effects_truth)
    lines = [
        f"Over {cells.cells} contrasts (condition × value): correlation {number(cells.correlation)}, size "
        f"{number(cells.ratio)} of the planted; where nothing is planted "
        f"{number(cells.still_mean)} on average, {number(cells.still_largest)} at most.",
        f"Changed by the test: {cells.hits} of {cells.moved} with a planted effect, {cells.alarms} of "
        f"{cells.still} without.",
    ]
    return [*lines, _by_graph(demo)]


def _by_graph(demo: Demo) -> str:
    """What graphs that have not seen a steering say of the values beside the steered one: those made without
    its lever, or the one of the roles alone."""
    names, found = demo.planted.names, demo.discovery.interventional
    said: dict[str, dict[Relation, BoolArray]] = {}
    for value, feature in demo.planted.features.items():
        graph = demo.discovery.graph
        if found is not None and f"f{feature}" in found.left_out.graphs:
            graph = found.left_out.consensus(f"f{feature}", demo.discovery.spec.threshold)
        said[value] = relations(over_names(graph, names))
    rows = [
        (said[row["steered"]], names.index(row["steered"]), names.index(row["value"]), row["changed"])
        for row in demo.effects_truth.filter(pl.col("strength") != 0).iter_rows(named=True)
        if row["steered"] != row["value"] and row["changed"] is not None
    ]
    parts = []
    for relation in Relation:
        changed = [c for related, i, j, c in rows if related[relation][i, j]]
        if changed:
            parts.append(f"{sum(changed)} of {len(changed)} {relation}")
    by = "graphs made without the lever" if found is not None else "the graph found without steering"
    return f"By {by}, other values that changed: {', '.join(parts)}."


def _files(demo: Demo) -> str:
    run = demo.run.path
    return "\n".join(
        [
            f"Everything is in {run}:",
            f"  {demo.study_file}  the study: `axiograph run` on it asks only what is missing",
            f"  {run / 'graph'}  graph, figures, edge frequencies; effects/planted.parquet: the "
            "measured effects beside the planted",
            f"  axiograph effects {run}  all contrasts; axiograph show {run}  single answers",
        ]
    )
