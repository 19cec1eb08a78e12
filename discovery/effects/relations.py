"""What graphs say of another value when a value changed: expected, possible or unexpected (DESIGN 13), by
one graph, by how many replicates, and by a replicate drawn at random for every draw of the roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import polars as pl

from axiograph.discovery.graph.ancestors import ancestor_counts
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, CountArray, FloatArray, IndexArray
from axiograph.engine.errors import InputError

UNTESTED = "too few pairs in all of them"
UNCOUNTED = "in no replicate together with another value"


class Relation(StrEnum):
    """What a graph says of another value when a value changed."""

    EXPECTED = "expected"
    POSSIBLE = "possible"
    UNEXPECTED = "unexpected"


class Source(StrEnum):
    """Where the weight of a relation comes from: 0 or 1 from the one graph, or its frequency in the
    replicates."""

    GRAPH = "graph"
    REPLICATES = "replicates"


# Why no other value has a relation.
REASON = {
    (Source.GRAPH, Relation.EXPECTED): "no descendants",
    (Source.GRAPH, Relation.POSSIBLE): "no possible descendants",
    (Source.GRAPH, Relation.UNEXPECTED): "every other value is a descendant or a possible one",
    (Source.REPLICATES, Relation.EXPECTED): "no descendants in any replicate",
    (Source.REPLICATES, Relation.POSSIBLE): "no possible descendants in any replicate",
    (
        Source.REPLICATES,
        Relation.UNEXPECTED,
    ): "every other value is a descendant or a possible one in every replicate",
}


@dataclass(frozen=True, eq=False)
class Weights:
    """`table` [sources, 3, n, n]: entry [s, r, j, k] is how much k counts as having relation r when j
    changed, in the order of `Relation`. Over the three relations they sum to 1, and to 0 where j is k or
    where `counted` is 0. `counted` [n, n]: replicates that hold both values (None without replicates)."""

    names: tuple[str, ...]
    sources: tuple[Source, ...]
    table: FloatArray
    counted: CountArray | None

    @classmethod
    def of(cls, graph: CausalGraph, replicates: PackedGraphs | None) -> Weights:
        """Those of `graph` and, where there are any, of its replicates. InputError where the replicates
        lack a value; they may have more, such as indicators of steering."""
        single = np.stack([mask.astype(np.float64) for mask in relations(graph).values()])
        if replicates is None:
            return cls(graph.names, (Source.GRAPH,), single[None], None)
        order = order_in(replicates.names, graph.names)
        definite, possible, together = (
            counts[np.ix_(order, order)] for counts in ancestor_counts(replicates)
        )
        neither = together - definite - possible
        counted = np.maximum(together, 1)
        frequencies = [np.where(together > 0, c / counted, 0.0) for c in (definite, possible, neither)]
        return cls(graph.names, tuple(Source), np.stack([single, np.stack(frequencies)]), together)

    def frame(self) -> pl.DataFrame:
        """A row per ordered pair: value, other, relation (by the graph) and, of the replicates, how many
        hold both (replicates) and the shares expected, possible, unexpected (null where none does)."""
        j, k = np.nonzero(~np.eye(len(self.names), dtype=bool))
        names, kinds = np.array(self.names, object), np.array([str(r) for r in Relation], object)
        columns = {
            "value": pl.Series(names[j], dtype=pl.String),
            "other": pl.Series(names[k], dtype=pl.String),
            "relation": pl.Series(kinds[self.table[0].argmax(axis=0)[j, k]], dtype=pl.String),
        }
        none = pl.Series([None] * len(j), dtype=pl.Float64)
        counted = None if self.counted is None else self.counted[j, k]
        columns["replicates"] = pl.Series(np.zeros(len(j), np.int64) if counted is None else counted)
        for r, relation in enumerate(Relation):
            frequency = none if counted is None else pl.Series(self.table[1, r][j, k])
            columns[str(relation)] = (
                frequency if counted is None else frequency.set(pl.Series(counted == 0), None)
            )
        return pl.DataFrame(columns)


@dataclass(frozen=True, eq=False)
class Judge:
    """A graph that conditions are held against, and its replicates where there are any."""

    graph: CausalGraph
    replicates: PackedGraphs | None = None


@dataclass(frozen=True, eq=False)
class Judges:
    """Who judges a condition: one of `others` by its name in `of` (condition → name), else `first`. All are
    over the same values, and all have replicates or none has."""

    first: Judge
    others: Mapping[str, Judge] = field(default_factory=dict)
    of: Mapping[str, str] = field(default_factory=dict)

    def name(self, condition: str) -> str | None:
        """Of the judge of a condition; None for the first."""
        return self.of.get(condition)

    def judge(self, name: str | None) -> Judge:
        """Of that name."""
        return self.first if name is None else self.others[name]


def judges_note(judges: Mapping[str, str], name: str = "graph") -> list[str]:
    """By which graphs conditions were judged, where not by one of all: `judges`: condition → the lever that
    its graph was made without; `name`: what a reader calls the graph of all."""
    levers = len(set(judges.values()))
    if not levers:
        return []
    return [
        f"The {name} was made with these effects, so that each of {levers} levers is held against a graph "
        "made without it, of the roles and of the other levers."
    ]


def relations(graph: CausalGraph) -> dict[Relation, BoolArray]:
    """[n, n] per relation: entry [j, k] is true where k has it when j changed. They share no pair, and
    together hold every pair j ≠ k."""
    definite, possible = graph.definite_descendants(), graph.possible_descendants()
    # Members of a directed cycle are in neither order for sure: mutually possible.
    rest = ~definite & ~possible & ~np.eye(len(graph.names), dtype=bool)
    return {Relation.EXPECTED: definite, Relation.POSSIBLE: possible, Relation.UNEXPECTED: rest}


def order_in(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each of `wanted` stands in `names`, which may hold more. InputError where one is missing."""
    index = {name: i for i, name in enumerate(names)}
    missing = [name for name in wanted if name not in index]
    if missing:
        raise InputError(
            "replicates",
            "graphs over the values of the graph",
            f"none with {', '.join(map(repr, missing[:5]))}",
            "Use the replicates of this graph, or none.",
        )
    return [index[name] for name in wanted]


def among(graph: CausalGraph, names: Sequence[str]) -> CausalGraph:
    """The part of `graph` between its nodes in `names`. What descends from what among them stays if nothing
    leads into the others, as into the indicators of steering."""
    nodes = [i for i, name in enumerate(graph.names) if name in set(names)]
    return CausalGraph(tuple(graph.names[i] for i in nodes), graph.marks[np.ix_(nodes, nodes)], graph.kind)


@dataclass(frozen=True, eq=False)
class DrawnGraphs:
    """`codes` [B, n, n]: what the graph of draw b says of k when j changed, 1 + its place in `Relation`; 0
    where j is k, or where one of the two did not vary in that replicate."""

    codes: ByteArray

    @classmethod
    def of(
        cls, replicates: PackedGraphs, names: Sequence[str], draws: int, rng: np.random.Generator
    ) -> DrawnGraphs | None:
        """`draws` of the graphs that PC could find, with replacement; None where there are none.

        The draw does not depend on the roles that effects are tested on: these had no part in the graph."""
        usable = np.flatnonzero(replicates.used)
        if usable.size == 0:
            return None
        order = np.array(order_in(replicates.names, names))
        codes = np.zeros((draws, len(names), len(names)), np.uint8)
        drawn = rng.choice(usable, size=draws)
        for number in np.unique(drawn):
            codes[drawn == number] = _codes(replicates, int(number))[np.ix_(order, order)]
        return cls(codes)

    def sums(self, targets: IndexArray, outcomes: FloatArray) -> FloatArray:
        """[B, targets, 3, M]: per draw, changed value and relation the sums of `outcomes` [B, n, M] over the
        others with that relation in the draw's graph."""
        from axiograph.discovery.effects.relation_sums import tally

        sums = np.empty((len(self.codes), len(targets), 3, outcomes.shape[2]))
        tally(self.codes, targets.astype(np.int64), np.ascontiguousarray(outcomes), sums)
        return sums


def _codes(replicates: PackedGraphs, number: int) -> ByteArray:
    from axiograph.discovery.graph.descendants import find_descendants

    marks = replicates.marks(number, number + 1)
    definite, possible = np.zeros_like(marks), np.zeros_like(marks)
    find_descendants(marks, definite, possible)
    present = replicates.presence(number, number + 1)[0]
    counted = np.outer(present, present) & ~np.eye(len(present), dtype=bool)
    relation = np.where(definite[0] > 0, 1, np.where(possible[0] > 0, 2, 3))
    return np.where(counted, relation, 0).astype(np.uint8)
