"""The stage `compare`: two runs, or a run and a reference graph, read, compared and written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.comparison.edges import edge_table
from axiograph.discovery.comparison.figure import draw_comparison
from axiograph.discovery.comparison.graphs import Comparison, compare, near_misses
from axiograph.discovery.comparison.spread import Pairing, Spread, exceeds, spread_of_runs, spread_to_graph
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.graph.reading import Reading, of_kind, read_graph, with_values
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import open_run
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.storage.remote import is_remote

SETTINGS = ("alpha", "n_roles", "rows_per_replicate", "resample")
FIGURES = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Side:
    """One of the two graphs: `what` it is in words, `stored` where it comes from a run, `reading` where it
    comes from a file."""

    name: str
    what: str
    graph: CausalGraph
    stored: StoredDiscovery | None = None
    reading: Reading | None = None

    @property
    def replicates(self) -> PackedGraphs | None:
        """Those of a run; None where there are none."""
        return None if self.stored is None else self.stored.replicates

    @property
    def counts(self) -> EdgeCounts | None:
        """Of the replicates."""
        return None if self.stored is None else self.stored.counts

    def document(self) -> dict[str, Any]:
        """As JSON types."""
        settings = {} if self.stored is None else {k: self.stored.settings.get(k) for k in SETTINGS}
        number = None if self.replicates is None else len(self.replicates)
        about = {"name": self.name, "what": self.what, "kind": str(self.graph.kind), "replicates": number}
        return about | {"values": len(self.graph.names), "edges": self.graph.n_edges, **settings}


@dataclass(frozen=True)
class Compared:
    """The comparison of `a` with `b`, the reference. `spread`: over pairs of replicates, empty without any;
    `edges`: discovery.comparison.edges.edge_table."""

    a: Side
    b: Side
    comparison: Comparison
    spread: dict[Pairing, Spread]
    edges: pl.DataFrame
    notes: tuple[str, ...]

    def exceeding(self) -> dict[str, float | None]:
        """How often replicates of a and b are further apart than two of a, and than two of b."""
        if Pairing.OTHER not in self.spread:
            return {}
        between = self.spread[Pairing.OTHER]
        within = {"a": self.spread[Pairing.GRAPH], "b": self.spread[Pairing.REFERENCE]}
        return {name: exceeds(between, spread) for name, spread in within.items()}

    def save(self, directory: Path, *, reduced: bool = False) -> None:
        """Write comparison.json, edges.csv, edges.parquet and comparison.png, .svg and .pdf. RunError where
        the disk is full; InputError for `reduced` where a graph has a directed cycle."""
        names = (self.a.name, self.b.name)
        for suffix in FIGURES:
            draw_comparison(self.comparison, directory / f"comparison.{suffix}", names, reduced=reduced)
        write_atomic(directory / "edges.parquet", self.edges.write_parquet)
        write_atomic(directory / "edges.csv", self.edges.write_csv)
        write_json(directory / "comparison.json", self.document())

    def document(self) -> dict[str, Any]:
        """As JSON types."""
        document = self.comparison.document()
        document |= {
            "graph": self.a.document(),
            "reference_graph": self.b.document(),
            "notes": list(self.notes),
        }
        pairings = {str(pairing): spread.document() for pairing, spread in self.spread.items()}
        return document | {"replicate_pairs": pairings, "further_apart_than_within": self.exceeding()}


def compare_paths(
    a: str,
    b: str,
    *,
    choice: GraphChoice | None = None,
    threshold: float | None = None,
    names: tuple[str, str] | None = None,
    complete: bool = False,
) -> Compared:
    """Compare what two arguments of the command line name: runs, folders with graph.json, files of graphs.

    `choice` or `threshold`: which graph of a run. `complete`: a list of edges speaks of all values of the
    other graph, so that those it does not name have no edge. Raises InputError for what cannot be read or
    compared."""
    if choice is not None and threshold is not None:
        raise InputError("--graph and --threshold", "one of them", "both", "A threshold is of the consensus.")
    shown = names or labels(a, b)
    first, second = (_side(path, name, choice, threshold) for path, name in zip((a, b), shown, strict=True))
    if (choice or threshold) and first.stored is None and second.stored is None:
        raise InputError("--graph, --threshold", "a run", "two files of graphs", "Leave them out.")
    first, second = _of_one_kind(first, second), _of_one_kind(second, first)
    if complete:
        first, second = _completed(first, second), _completed(second, first)
    compared = compare(first.graph, second.graph)
    return Compared(
        a=first,
        b=second,
        comparison=compared,
        spread=_spread(first, second, compared.values),
        edges=edge_table(compared, first.counts, second.counts),
        notes=tuple(_notes(first, second, compared)),
    )


def labels(a: str, b: str) -> tuple[str, str]:
    """The last part of each path, or the whole where these are the same."""
    short = tuple(Path(text).stem if Path(text).is_file() else Path(text).name for text in (a, b))
    return (a, b) if short[0] == short[1] or not all(short) else (short[0], short[1])


def _side(argument: str, name: str, choice: GraphChoice | None, threshold: float | None) -> Side:
    path, key = _path_and_key(argument)
    if not path.is_dir():
        reading = read_graph(path, key)
        return Side(name, f"graph in {argument}", reading.graph, reading=reading)
    stored = StoredDiscovery.find(path)
    if threshold is not None:
        what = f"pairs in {threshold:.0%} of replicates or more, {argument}"
        return Side(name, what, stored.consensus(threshold), stored)
    chosen = choice or GraphChoice.GRAPH
    words = {
        GraphChoice.GRAPH: "consensus of the replicates",
        GraphChoice.ALL_ROLES: "one search on all roles",
        GraphChoice.AVERAGED: "replicates averaged by a data-driven threshold",
    }
    return Side(name, f"{words[chosen]}, {argument}", stored.graph(chosen), stored)


def _path_and_key(argument: str) -> tuple[Path, str | None]:
    """`FILE.json#name` is one graph of a file that holds several."""
    if is_remote(argument):
        return open_run(argument).path, None
    whole = Path(argument)
    if whole.exists() or "#" not in argument:
        return whole, None
    file, key = argument.rsplit("#", 1)
    return Path(file), key


def _of_one_kind(side: Side, other: Side) -> Side:
    if side.reading is None or side.graph.kind is other.graph.kind:
        return side
    return replace(side, graph=of_kind(side.reading, other.graph.kind))


def _completed(side: Side, other: Side) -> Side:
    if side.reading is None or side.reading.complete:
        return side
    return replace(side, graph=with_values(side.graph, other.graph.names))


def _spread(a: Side, b: Side, values: tuple[str, ...]) -> dict[Pairing, Spread]:
    if a.replicates is not None and b.replicates is not None:
        return spread_of_runs(a.replicates, b.replicates, values)
    if a.replicates is not None or b.replicates is not None:
        ours, theirs = a.replicates or a.graph, b.replicates or b.graph
        return {Pairing.FIXED: spread_to_graph(ours, theirs, values)}
    return {}


def _notes(a: Side, b: Side, compared: Comparison) -> list[str]:
    notes = [note for side in (a, b) if side.reading for note in side.reading.notes]
    for name, meant in near_misses(a.graph.names, b.graph.names):
        notes.append(f"{name!r} of A and {meant!r} of B are compared with nothing: are they meant to be one?")
    for side, lacking in ((a, compared.reference_only), (b, compared.graph_only)):
        named = () if side.reading is None else side.reading.graph.names
        added = [name for name in side.graph.names if side.reading and name not in named]
        if added:
            notes.append(
                f"{side.name} does not name {', '.join(added)}: taken as without edges (--complete)."
            )
        if lacking and side.reading and not side.reading.complete:
            notes.append(
                f"{side.name} is a list of edges, which may know of the {len(lacking)} values that it does "
                "not name: if they have no edge in it, use --complete."
            )
    if compared.graph_only or compared.reference_only:
        notes.append(
            "Edges do not carry over between graphs of different values: a graph that was learned with other "
            "values at hand is not the one that would be learned without them."
        )
    for side in (a, b):
        notes += [f"{side.name} has a directed cycle: {', '.join(cycle)}." for cycle in side.graph.cycles()]
        if side.stored is not None and side.replicates is None:
            notes.append(f"{side.name} has no replicates.npz: how far its replicates differ is not known.")
    return notes + _differing_settings(a, b)


def _differing_settings(a: Side, b: Side) -> list[str]:
    if a.stored is None or b.stored is None:
        return []
    pairs = [(key, a.stored.settings.get(key), b.stored.settings.get(key)) for key in SETTINGS]
    differing = [f"{key} ({ours} and {theirs})" for key, ours, theirs in pairs if ours != theirs]
    notes = []
    if differing:
        notes.append(
            f"The runs differ in {', '.join(differing)}: a part of the difference may come from that."
        )
    if a.replicates is not None and b.replicates is not None and len(a.replicates) != len(b.replicates):
        fewer = min(len(a.replicates), len(b.replicates))
        notes.append(f"Of the run with more replicates, the first {fewer:,} are compared.")
    return notes
