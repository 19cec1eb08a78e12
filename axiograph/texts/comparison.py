"""What `axiograph compare` prints: plain text."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from axiograph.cluster.stages.comparison import Compared, Side
from axiograph.discovery.comparison.agreement import RELATIONS, SHARES
from axiograph.discovery.comparison.edges import EdgeState
from axiograph.discovery.comparison.spread import Pairing, Spread
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.texts.plain import SHOWN_ROWS, number, table

_LABELS = {
    "skeleton": "skeleton",
    "arrowhead": "arrowheads",
    "joined_arrowhead": "arrowheads on shared edges",
    "definite_ancestor": "definite ancestors",
    "possible_ancestor": "possible ancestors",
}
_MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1", "jaccard": "Jaccard index"}
_ORDER = (EdgeState.DIFFERS, EdgeState.GRAPH, EdgeState.REFERENCE, EdgeState.SAME)
_COLUMNS = {
    Pairing.SAME: "A–B same r",
    Pairing.OTHER: "A–B r, r+1",
    Pairing.GRAPH: "A–A r, r+1",
    Pairing.REFERENCE: "B–B r, r+1",
    Pairing.FIXED: "each replicate",
}


def comparison_text(compared: Compared) -> str:
    """The two graphs, the numbers with their spread over replicates, ancestors, and the pairs that differ."""
    parts = [_head(compared), _numbers(compared)]
    if compared.spread:
        parts.append(_about_replicates(compared))
    parts += [_ancestors(compared), _pairs(compared)]
    return "\n\n".join(parts)


def _head(compared: Compared) -> str:
    c = compared.comparison
    lines = [
        f"A  {_about(compared.a)}",
        f"B  {_about(compared.b)}",
        "   B is the reference: precision is of A's edges, recall of B's; "
        "exchanging A and B exchanges the two.",
    ]
    lines.append(f"{len(c.values)} values in both.")
    for letter, names in (("A", c.graph_only), ("B", c.reference_only)):
        if names:
            lines.append(f"Only in {letter}, left out ({len(names)}): {', '.join(names)}")
    return "\n".join([*lines, *(f"Note: {note}" for note in compared.notes)])


def _about(side: Side) -> str:
    graph = side.graph
    kind = f"{graph.kind.upper()}, " if side.stored or graph.kind is GraphKind.PAG else ""
    edges = f"{graph.n_edges} edge{'' if graph.n_edges == 1 else 's'}"
    text = f"{side.name} ({side.what}): {kind}{len(graph.names)} values, {edges}"
    return text + (f", {len(side.replicates):,} replicates" if side.replicates is not None else "")


def _numbers(compared: Compared) -> str:
    c = compared.comparison
    n = len(c.values)
    edges = {
        "in A only": "graph_only",
        "in B only": "reference_only",
        "in both, other marks": "differing_marks",
    }
    pairs = n * (n - 1) // 2
    rows = [["SHD", f"{c.shd} of {pairs}", *_spreads(compared, "shd", lambda value: f"{value:.0f}")]]
    rows += [[f"  {label}", str(c.distance[key])] for label, key in edges.items()]
    rows.append(["    of these reversed", str(c.counts["reversed"])])
    reasons = []
    for share in SHARES:
        name, measure = share.name.rsplit("_", 1)
        one = c.shares[share.name]
        label = f"{_LABELS[name]}, {_MEASURES[measure]}"
        cell = "-" if one.value is None else f"{one.value:.2f}"
        if one.value is not None and measure != "f1":
            cell += f" ({one.count}/{one.of})"
        reasons += [f"{label}: {one.reason}"] if one.reason else []
        rows.append([label, cell, *_spreads(compared, share.name, lambda value: f"{value:.2f}")])
    contradictions = str(c.counts["contradictions"])
    spreads = _spreads(compared, "contradictions", lambda value: f"{value:.0f}")
    rows.append(["ancestor in A, descendant in B", contradictions, *spreads])
    header = ["", "A, B", *(_COLUMNS[pairing] for pairing in compared.spread)]
    width = len(header)
    text = table(header, [row + [""] * (width - len(row)) for row in rows])
    if reasons:
        text += "\n- " + "\n- ".join(
            reason.replace("the graph", "A").replace("the reference", "B") for reason in reasons
        )
    return text


def _spreads(compared: Compared, name: str, form: Callable[[float], str]) -> list[str]:
    cells = []
    for spread in compared.spread.values():
        cut = spread.summary(name)
        if cut["median"] is None:
            cells.append("-")
        else:
            cells.append(f"{form(cut['median'])} [{form(cut['low'])}, {form(cut['high'])}]")
    return cells


def _about_replicates(compared: Compared) -> str:
    lines = ["Over replicates: median [5 %, 95 %]; they differ more than graphs of all roles."]
    if Pairing.SAME in compared.spread:
        lines.append(
            "same r: replicate r of both, alike in roles if the seed is; r, r+1: each with the next."
        )
    for pairing, spread in compared.spread.items():
        lines += _left_out(pairing, spread)
    beyond = compared.exceeding()
    if beyond:
        a, b = (f"{100 * share:.0f} %" if share is not None else "-" for share in beyond.values())
        lines.append(
            f"Replicates of A and of B are further apart (SHD) than two of A in {a}, than two of B in {b} of "
            "comparisons; 50 %: no further than a run from itself."
        )
    return "\n".join(lines)


def _left_out(pairing: Pairing, spread: Spread) -> list[str]:
    reasons = ((spread.failed, "a replicate failed"), (spread.incomplete, "a shared value was constant"))
    gone = "; ".join(f"{count:,} left out: {why}" for count, why in reasons if count)
    undefined = {share.name: spread.summary(share.name)["undefined"] for share in SHARES}
    most = max(undefined.values())
    if most:
        gone += f"{'; ' if gone else ''}up to {most:,} without a value (0/0)"
    return [f"{_COLUMNS[pairing]}: {spread.pairs:,} pairs; {gone}"] if gone else []


def _ancestors(compared: Compared) -> str:
    c = compared.comparison
    names = {"definite": "an ancestor", "possible": "possibly", "none": "none"}
    rows = [
        [f"A: {names[ours]}", *(str(c.ancestors(ours, theirs)) for theirs in RELATIONS)] for ours in RELATIONS
    ]
    return table(["ordered pairs", *(f"B: {names[theirs]}" for theirs in RELATIONS)], rows)


def _pairs(compared: Compared) -> str:
    """The pairs that either graph joins, those that differ first, with the largest difference on top."""
    joined = compared.edges.filter(pl.col("state") != EdgeState.NEITHER)
    if joined.is_empty():
        return "Neither graph has an edge."
    order = {str(state): k for k, state in enumerate(_ORDER)}
    state = pl.col("state").replace_strict(order, return_dtype=pl.Int64)
    size = pl.col("difference").abs().fill_null(0)
    rows = [
        [f"{row['a']} · {row['b']}", *_cells(row)]
        for row in joined.sort(state, -size, maintain_order=True).head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["pair a · b", "A", "B", "", "adjacent A", "adjacent B", "A − B", "95 % Monte-Carlo"]
    used = [k for k in range(len(header)) if k < 4 or any(row[k] for row in rows)]
    text = table([header[k] for k in used], [[row[k] for k in used] for row in rows])
    more = joined.height - SHOWN_ROWS
    return text + (f"\n… and {more} more pairs (edges.csv)" if more > 0 else "")


def _cells(row: dict[str, object]) -> list[str]:
    states = {EdgeState.GRAPH: "A only", EdgeState.REFERENCE: "B only"}
    state = EdgeState(str(row["state"]))
    kinds = [EdgeKind(str(row[name])).symbol for name in ("graph_edge", "reference_edge")]
    shares = [_share(row[name], ".2f") for name in ("graph_adjacent", "reference_adjacent")]
    gap, low, high = (_share(row[f"difference{end}"], "+.2f") for end in ("", "_mc_low", "_mc_high"))
    return [*kinds, states.get(state, str(state)), *shares, gap, f"{low} to {high}" if gap else ""]


def _share(value: object, form: str) -> str:
    return number(value, form) if isinstance(value, float) else ""
