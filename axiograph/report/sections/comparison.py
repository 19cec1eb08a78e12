"""Two graphs side by side: distance, edges gained and lost, agreement of edges, arrowheads and ancestors."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.comparison.edges import EdgeState
from axiograph.discovery.comparison.figure import draw_comparison
from axiograph.discovery.comparison.graphs import compare
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.report.artefacts import Artefacts, StoredComparison
from axiograph.report.blocks.graph_view import GraphView, Pair, marks, view_of
from axiograph.report.blocks.numbers import count
from axiograph.report.blocks.section import Facts, Heading, Note, Picture, Section, Text
from axiograph.report.blocks.table import Column, Table

_LABELS = {
    "skeleton": "edges, whatever their marks",
    "arrowhead": "arrowheads",
    "joined_arrowhead": "arrowheads on shared edges",
    "definite_ancestor": "definite ancestors",
    "possible_ancestor": "possible ancestors",
}
_SPREADS = {
    "same": "same replicates",
    "other": "next replicates",
    "fixed": "replicates against the graph",
    "graph": "within the first",
    "reference": "within the second",
}


def comparison_section(artefacts: Artefacts) -> Section:
    """Every stored comparison of this directory."""
    section = Section("comparison", "Comparison")
    if not artefacts.comparisons:
        section.add(
            Note(
                f"Nothing to compare with yet: `axiograph report {artefacts.where} --compare OTHER` "
                "(another run, or the file of a graph) fills this part."
            )
        )
    for k, compared in enumerate(artefacts.comparisons):
        if k:
            section.add(Heading(" and ".join(compared.names)))
        _add(section, compared, "" if k == 0 else f"-{k + 1}")
        if artefacts.replication is None:  # whose graphs are reduced already
            section.add(_reduced(compared, "" if k == 0 else f"-{k + 1}"))
    return section


def _add(section: Section, compared: StoredComparison, suffix: str) -> None:
    document, (a, b) = compared.document, compared.names
    section.add(
        Text(
            "Black or white: in both; blue and dashed: in both with other marks; orange and "
            "dotted: in one of the two only. Places are the same on both sides; a value chosen in "
            "one is chosen in both."
        )
    )
    section.add(_pair(compared, suffix), Facts(_facts(document, a, b)))
    section.add(*(Note(text, "warning") for text in document.get("notes", [])))
    section.add(_edges(compared, suffix), _shares(document, a, b, suffix))


def _pair(compared: StoredComparison, suffix: str) -> Pair:
    views = []
    for k, (name, graph) in enumerate(zip(compared.names, compared.graphs(), strict=True)):
        key = f"comparison{suffix}" if k == 0 else f"comparison{suffix}-other"
        payload = view_of(graph) | {"pairs": _pairs(compared, graph, "graph" if k == 0 else "reference")}
        draw = partial(_copy_figure, compared.path) if k == 0 else None
        views.append(
            GraphView(
                key,
                f"{name}: {graph.n_edges} edges between {len(graph.names)} shared values.",
                f"Graph of {name}.",
                payload,
                draw,
            )
        )
    return Pair((views[0], views[1]))


def _reduced(compared: StoredComparison, suffix: str) -> Picture | Text:
    graph, reference = compared.graphs()
    for name, each in zip(compared.names, (graph, reference), strict=True):
        if each.cycles():
            return Text(f"No figure after transitive reduction: {name} has a directed cycle.")
    return Picture(
        f"comparison{suffix}-reduced",
        "For papers: both graphs after transitive reduction. An edge that longer directed paths imply is not "
        "drawn; which edges are shared is by the whole graphs.",
        f"{compared.names[0]} beside {compared.names[1]}, both after transitive reduction.",
        partial(_draw_reduced, graph, reference, compared.names),
    )


def _draw_reduced(graph: CausalGraph, reference: CausalGraph, names: tuple[str, str], path: Path) -> None:
    draw_comparison(compare(graph, reference), path, names, reduced=True)


def _copy_figure(folder: Path, path: Path) -> None:
    shutil.copyfile(folder / f"comparison{path.suffix}", path)


def _pairs(compared: StoredComparison, graph: CausalGraph, side: str) -> list[dict[str, Any]]:
    index = {name: k for k, name in enumerate(graph.names)}
    rows = compared.edges.filter(pl.col(f"{side}_edge") != str(EdgeKind.NONE))
    return [
        {
            "a": index[r["a"]],
            "b": index[r["b"]],
            "graph": marks(EdgeKind(r[f"{side}_edge"])),
            "state": r["state"],
        }
        for r in rows.iter_rows(named=True)
    ]


def _facts(document: dict[str, Any], a: str, b: str) -> list[tuple[str, str]]:
    whole = document["shd"]
    marks = whole["differing_marks"]
    rows = [
        ("Structural Hamming distance", f"{whole['value']} of {count(document['pairs'])} pairs of values"),
        (f"Only in {a}", f"{whole['graph_only']} edges"),
        (f"Only in {b}", f"{whole['reference_only']} edges"),
        (
            "In both, with other marks",
            f"{marks} edges, {whole['reversed']} of them reversed",
        ),
        ("In both, alike", f"{document['edges']['shared'] - marks} edges"),
        (
            "Ancestor in one, descendant in the other",
            f"{document['ancestors']['contradictions']} ordered pairs",
        ),
    ]
    for name, spread in (document.get("replicate_pairs") or {}).items():
        shd = spread["shd"]
        text = (
            f"{count(shd['median'])} [{count(shd['low'])}, {count(shd['high'])}] in "
            f"{count(spread['pairs'])} pairs"
        )
        rows.append(
            (f"Distance between replicates, {_SPREADS.get(name, name)}", f"{text} (median, 5 % to 95 %)")
        )
    left = document["left_out"]
    for name, values in ((a, left["graph_only"]), (b, left["reference_only"])):
        if values:
            rows.append((f"Values of {name} only, left out", ", ".join(values)))
    further = document.get("further_apart_than_within") or {}
    if further:
        shares = " and ".join(
            "–" if further[side] is None else f"{further[side] * 100:.0f} %" for side in ("a", "b")
        )
        rows.append(
            (
                "Further apart than within one run",
                f"in {shares} of comparisons of replicates (50 %: no further than a run from itself)",
            )
        )
    return rows


def _edges(compared: StoredComparison, suffix: str) -> Table:
    a, b = compared.names
    names = {
        EdgeState.SAME: "same",
        EdgeState.DIFFERS: "other marks",
        EdgeState.GRAPH: f"only in {a}",
        EdgeState.REFERENCE: f"only in {b}",
    }
    rows = [
        [
            r["a"],
            r["b"],
            EdgeKind(r["graph_edge"]).symbol,
            EdgeKind(r["reference_edge"]).symbol,
            names[EdgeState(r["state"])],
            r["graph_adjacent"],
            r["reference_adjacent"],
            (r["difference"], r["difference_mc_low"], r["difference_mc_high"]),
        ]
        for r in compared.edges.filter(pl.col("state") != str(EdgeState.NEITHER)).iter_rows(named=True)
    ]
    columns = (
        Column("value a"),
        Column("value b"),
        Column(a),
        Column(b),
        Column("state"),
        Column(f"joined, {a}", "number", 2),
        Column(f"joined, {b}", "number", 2),
        Column("difference", "estimate", 2, signed=True, note="95 % interval of its Monte-Carlo error"),
    )
    return Table(
        f"compared-edges{suffix}",
        f"Edges of {a} and {b}: shared, gained and lost. Frequencies are those of replicates, "
        "where a graph has them.",
        columns,
        rows,
        keys=2,
    )


def _shares(document: dict[str, Any], a: str, b: str, suffix: str) -> Table:
    spreads = document.get("replicate_pairs") or {}
    rows = []
    for name, share in document["shares"].items():
        what, measure = name.rsplit("_", 1)
        cells = [(s[name]["median"], s[name]["low"], s[name]["high"]) for s in spreads.values()]
        measure = {"f1": "F1", "jaccard": "Jaccard index"}.get(measure, measure)
        rows.append(
            [
                f"{_LABELS[what]}, {measure}",
                share["value"],
                "" if measure == "F1" else f"{share['count']}/{share['of']}",
                *cells,
                share["reason"],
            ]
        )
    columns = (
        Column("measure"),
        Column("the two graphs", "number", 2),
        Column("counts"),
        *(Column(_SPREADS.get(name, name), "estimate", 2) for name in spreads),
        Column("why none"),
    )
    caption = (
        f"Agreement, {b} being the reference: precision is of the edges of {a}, recall of those of "
        f"{b}. Over pairs of replicates: median and the range from 5 % to 95 %; "
        "it describes resamples of these roles."
    )
    return Table(f"agreement{suffix}", caption, columns, rows)
