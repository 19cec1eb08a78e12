"""What `axiograph demo` prints: what was found, beside what was planted."""

from __future__ import annotations

import polars as pl

from axiograph.demo import Demo
from axiograph.discovery.calibration.respondent import Planted, agreement, over_names, total_effects
from axiograph.discovery.comparison.distances import Comparison, compare
from axiograph.discovery.effects.relations import relations
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.texts.plain import number, table
from axiograph.texts.run import sampled_text


def demo_intro(planted: Planted) -> str:
    """Who is asked, and which SAE feature steers which value."""
    features = ", ".join(f"{name} {feature}" for name, feature in planted.features.items())
    return (
        "The built-in respondent is a small language model whose values follow a planted causal graph: what "
        f"is found can be held against what is true.\nSAE feature of each value: {features}."
    )


def demo_text(shown: Demo) -> str:
    """The graph and the effects beside the planted ones, and where the files are."""
    parts = [sampled_text(shown.sampled), graph_text(shown), effects_text(shown), _files(shown)]
    return "\n\n".join(parts)


def graph_text(shown: Demo) -> str:
    """Every pair that an edge joins in the planted graph, in that of all roles, or in the consensus."""
    found, truth = shown.found, shown.planted.graph
    graphs = [truth, *(over_names(graph, truth.names) for graph in (found.graph, found.consensus))]
    rows = [row for a in range(len(truth.names)) for b in range(a) if (row := _pair(shown, graphs, b, a))]
    header = ["pair a · b", "planted", "found", "agreed", "adjacent", "a→b", "a←b", "a—b", ""]
    of_all, agreed = (compare(graph, truth) for graph in graphs[1:])
    lines = [
        f"The graph of {found.n_roles} roles, alpha {found.alpha:g}; frequencies over "
        f"{found.bootstrap.used:,} replicates of half of the roles",
        "",
        table(header, rows),
        "",
        f"All roles: {_verdict(of_all)}",
        f"Agreed by {found.threshold:.0%} of the replicates: {_verdict(agreed)}",
    ]
    return "\n".join(lines + _left_out(shown))


def _left_out(shown: Demo) -> list[str]:
    out = [f"{name} ({why})" for name, why in shown.found.excluded.items()]
    return [f"Not in the graph, its edges count as missing: {', '.join(out)}."] if out else []


def _pair(shown: Demo, graphs: list[CausalGraph], a: int, b: int) -> list[str]:
    names = graphs[0].names
    kinds = [graph.edge_kind(a, b).symbol for graph in graphs]
    if not any(kinds):
        return []
    rows = shown.found.bootstrap.edge_table().filter(
        pl.col("a").is_in([names[a], names[b]]) & pl.col("b").is_in([names[a], names[b]])
    )
    masses = ["-"] * 4
    if rows.height:
        row = rows.row(0, named=True)
        order = ("forward", "backward") if row["a"] == names[a] else ("backward", "forward")
        masses = [number(row[name]) for name in ("adjacent", *order, "undirected")]
    planted, found = kinds[:2]
    remark = (
        "" if planted == found else "missing" if not found else "not planted" if not planted else "other mark"
    )
    return [f"{names[a]} · {names[b]}", *kinds, *masses, remark]


def _verdict(found: Comparison) -> str:
    distance = found.distance
    if found.shd == 0:
        return f"the planted graph, all {found.counts['shared_edges']} edges with their marks (SHD 0)."
    return (
        f"SHD {found.shd} to the planted graph: {distance['reference_only']} of its "
        f"{found.counts['reference_edges']} edges missing, {distance['graph_only']} that it has not, "
        f"{distance['differing_marks']} with another mark."
    )


def effects_text(shown: Demo) -> str:
    """The matrix of total effects, measured / planted, and how well the two agree."""
    planted, effects = shown.planted, shown.effects
    found = total_effects(shown.effects_truth)
    rows = []
    for key, group in found.group_by("steered", "feature", maintain_order=True):
        steered, feature = (str(part) for part in key)
        cells = {row["value"]: row for row in group.iter_rows(named=True)}
        rows.append([f"{steered} (f{feature})", *(_cell(cells[name]) for name in planted.names)])
    strengths = sorted(shown.effects_truth["strength"].unique())
    roles, few = max(effects.changes["pairs"].to_list()), effects.changes["few_pairs"].any()
    lines = [
        f"Effects of steering on {roles} other roles, strengths {', '.join(f'{s:+g}' for s in strengths)}: "
        "measured / planted,",
        "in units of the value per unit added to the steered one (* changed at every strength but 0)",
        "",
        table(["steered", *planted.names], rows),
        "",
        *_agreement(shown),
        *(["Fewer than 6 roles: the test of changes is not to be trusted."] if few else []),
    ]
    return "\n".join(lines)


def _cell(row: dict[str, float | None]) -> str:
    star = "*" if row["changed"] == row["strengths"] else " "
    planted = number(row["planted"], "+.2f") if row["planted"] else "0"
    return f"{number(row['measured'], '+.2f')}/{planted}{star}"


def _agreement(shown: Demo) -> list[str]:
    found = agreement(shown.effects_truth)
    lines = [
        f"Over {found.cells} contrasts (condition × value): correlation {number(found.correlation)}, size "
        f"{number(found.ratio)} of the planted; where nothing is planted "
        f"{number(found.still_mean)} on average, {number(found.still_largest)} at most.",
        f"Changed by the test: {found.hits} of {found.moved} with a planted effect, {found.alarms} of "
        f"{found.still} without.",
    ]
    return [*lines, _by_graph(shown)]


def _by_graph(shown: Demo) -> str:
    """What the found graph, which was learned without steering, says of the values beside the steered one."""
    names = shown.planted.names
    known = relations(over_names(shown.found.graph, names))
    others = [
        (names.index(row["steered"]), names.index(row["value"]), row["changed"])
        for row in shown.effects_truth.filter(pl.col("strength") != 0).iter_rows(named=True)
        if row["steered"] != row["value"] and row["changed"] is not None
    ]
    parts = []
    for relation, pairs in known.items():
        changed = [c for i, j, c in others if pairs[i, j]]
        if changed:
            parts.append(f"{sum(changed)} of {len(changed)} {relation}")
    return f"By the graph found without steering, other values that changed: {', '.join(parts)}."


def _files(shown: Demo) -> str:
    run = shown.run.path
    return "\n".join(
        [
            f"Everything is in {run}:",
            f"  {shown.study_file}  the study: `axiograph run` on it asks only what is missing",
            f"  {run / 'graph'}  graph, consensus, figures, edge frequencies; effects/planted.parquet: the "
            "measured effects beside the planted",
            f"  axiograph effects {run}  all contrasts; axiograph show {run}  single answers",
        ]
    )
