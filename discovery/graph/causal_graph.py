"""Causal graphs between values: the one adjacency convention, edges, and paths.

The convention, defined here and nowhere else: `marks[i, j]` is the mark at node j's end of the edge
between i and j. So i → j is `marks[i, j] == ARROW, marks[j, i] == TAIL`; i — j has TAIL at both ends,
i ↔ j ARROW at both, i o→ j ARROW in `marks[i, j]` and CIRCLE in `marks[j, i]`, and no edge is NONE at both.
(causal-learn's `G.graph[i, j]` is the mark at i: the transpose.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.graph.marks import READ_FORWARD, EdgeKind, Endpoint, GraphKind
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, IndexArray, IntegerArray
from axiograph.engine.errors import InputError

_CAUSAL_LEARN = {0: Endpoint.NONE, -1: Endpoint.TAIL, 1: Endpoint.ARROW, 2: Endpoint.CIRCLE}


@dataclass(frozen=True, eq=False)
class CausalGraph:
    """A graph over named values, at most one edge a pair.

    `names`: n distinct names. `marks`: [n, n] uint8 of `Endpoint`, see the module's convention; made
    read-only. `kind`: what the marks say; only a PAG has circles, and nothing turns one kind into the other.
    Raises InputError where names repeat or the marks are not a graph.
    """

    names: tuple[str, ...]
    marks: ByteArray
    kind: GraphKind = GraphKind.CPDAG

    def __post_init__(self) -> None:
        marks = np.array(self.marks, dtype=np.uint8)
        object.__setattr__(self, "names", tuple(self.names))
        n = len(self.names)
        _check_names(self.names)
        if marks.shape != (n, n):
            raise _not_a_graph(f"marks of shape ({n}, {n})", f"{marks.shape}")
        if marks.max(initial=0) > max(Endpoint) or np.any(np.diag(marks)):
            raise _not_a_graph("marks of Endpoint and none on the diagonal", "others")
        if self.kind is not GraphKind.PAG and np.any(marks == Endpoint.CIRCLE):
            raise _not_a_graph("tails and arrowheads in a CPDAG", "circles, which only a PAG has")
        if np.any((marks == Endpoint.NONE) != (marks.T == Endpoint.NONE)):
            raise _not_a_graph("a mark at both ends of every edge", "an edge with one end")
        marks.setflags(write=False)
        object.__setattr__(self, "marks", marks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CausalGraph):
            return NotImplemented
        same = self.kind is other.kind and self.names == other.names
        return same and bool(np.array_equal(self.marks, other.marks))

    def __hash__(self) -> int:
        return hash((self.kind, self.names, self.marks.tobytes()))

    @classmethod
    def empty(cls, names: Sequence[str], kind: GraphKind = GraphKind.CPDAG) -> CausalGraph:
        """A graph without edges."""
        return cls(tuple(names), np.zeros((len(names), len(names)), np.uint8), kind)

    @classmethod
    def from_edges(
        cls,
        names: Sequence[str],
        directed: Iterable[tuple[str, str]],
        undirected: Iterable[tuple[str, str]] = (),
        bidirected: Iterable[tuple[str, str]] = (),
    ) -> CausalGraph:
        """A graph from lists of name pairs, for example a reference graph of human values.

        A pair listed as directed both ways becomes undirected: its direction is not settled. Raises
        InputError for a name not in `names`, a self-loop, or a pair with two different kinds of edge.
        """
        index = {name: i for i, name in enumerate(names)}
        marks = np.zeros((len(names), len(names)), np.uint8)
        arrows = {_pair(index, a, b) for a, b in directed}
        both_ways = {(i, j) for i, j in arrows if (j, i) in arrows}
        lines = {_pair(index, a, b) for a, b in undirected}
        _draw(marks, arrows - both_ways, Endpoint.TAIL, Endpoint.ARROW, names)
        _draw(marks, both_ways | lines, Endpoint.TAIL, Endpoint.TAIL, names)
        _draw(marks, {_pair(index, a, b) for a, b in bidirected}, Endpoint.ARROW, Endpoint.ARROW, names)
        return cls(tuple(names), marks)

    @classmethod
    def from_kinds(
        cls,
        names: Sequence[str],
        edges: Iterable[tuple[str, EdgeKind | str, str]],
        kind: GraphKind = GraphKind.CPDAG,
    ) -> CausalGraph:
        """A graph from triples such as ("a", "o->", "b"). Raises InputError for a name not in `names`, a
        self-loop, a pair with two kinds of edge; ValueError for a kind that is none."""
        index = {name: i for i, name in enumerate(names)}
        marks = np.zeros((len(names), len(names)), np.uint8)
        for a, edge, b in edges:
            _draw(marks, [_pair(index, a, b)], *EdgeKind(edge).ends, names)
        return cls(tuple(names), marks, kind)

    @classmethod
    def from_causal_learn(
        cls, names: Sequence[str], matrix: IntegerArray, kind: GraphKind = GraphKind.CPDAG
    ) -> CausalGraph:
        """From causal-learn's `G.graph` [n, n]: −1 tail, 1 arrow, 2 circle, 0 none, where [i, j] is the mark
        at i. Raises InputError for other marks (double edges), and for circles in a CPDAG."""
        marks = np.zeros(np.shape(matrix), np.uint8)
        unknown = set(np.unique(matrix).tolist()) - set(_CAUSAL_LEARN)
        if unknown:
            raise _not_a_graph("causal-learn marks −1, 0, 1 and 2", f"{sorted(unknown)}")
        for code, mark in _CAUSAL_LEARN.items():
            marks[code == np.asarray(matrix).T] = mark
        return cls(tuple(names), marks, kind)

    def to_causal_learn(self) -> IndexArray:
        """The matrix [n, n] in causal-learn's convention, see `from_causal_learn`."""
        matrix = np.zeros(self.marks.shape, np.int64)
        for code, mark in _CAUSAL_LEARN.items():
            matrix[mark == self.marks.T] = code
        return matrix

    def edge_kind(self, i: int, j: int) -> EdgeKind:
        """The edge between nodes i and j, read from i to j."""
        return EdgeKind.of(self.marks[j, i], self.marks[i, j])

    def edges(self) -> list[tuple[int, EdgeKind, int]]:
        """(i, kind, j) for every edge once: as →, —, ↔, o→, o–o, o– in this order; i < j where it reads the
        same from both ends."""
        edges = []
        for kind in READ_FORWARD:
            mask = self.mask(kind)
            symmetric = kind.ends[0] is kind.ends[1]
            edges += [(i, kind, j) for i, j in _pairs(np.triu(mask) if symmetric else mask)]
        return edges

    def mask(self, kind: EdgeKind) -> BoolArray:
        """[n, n]: entry [i, j] is true where an edge of this kind joins i and j, read from i to j."""
        at_i, at_j = kind.ends
        arrives, leaves = self.marks == at_j, self.marks == at_i
        return arrives & leaves.T

    def directed_mask(self) -> BoolArray:
        """[n, n]: entry [i, j] is true where i → j."""
        return self.mask(EdgeKind.FORWARD)

    def undirected_mask(self) -> BoolArray:
        """[n, n], symmetric: true where i — j."""
        return self.mask(EdgeKind.UNDIRECTED)

    def bidirected_mask(self) -> BoolArray:
        """[n, n], symmetric: true where i ↔ j."""
        return self.mask(EdgeKind.BIDIRECTED)

    def directed_edges(self) -> list[tuple[int, int]]:
        """(i, j) for every i → j, in row order."""
        return _pairs(self.directed_mask())

    def undirected_edges(self) -> list[tuple[int, int]]:
        """(i, j) with i < j for every i — j."""
        return _pairs(np.triu(self.undirected_mask()))

    def bidirected_edges(self) -> list[tuple[int, int]]:
        """(i, j) with i < j for every i ↔ j."""
        return _pairs(np.triu(self.bidirected_mask()))

    def adjacency(self) -> BoolArray:
        """[n, n], symmetric: true where any edge joins i and j."""
        return self.marks != Endpoint.NONE

    @property
    def n_edges(self) -> int:
        """The number of adjacent pairs."""
        return int(self.adjacency().sum()) // 2

    def cycles(self) -> list[tuple[str, ...]]:
        """The sets of values that lie on directed cycles together, each in column order.

        PC can return them (conflicting colliders); a causal graph has none, so they are reported."""
        mutual = self._mutual()
        seen: set[int] = set()
        cycles = []
        for i in range(len(self.names)):
            members = np.flatnonzero(mutual[i])
            if i not in seen and members.size > 1:
                seen.update(members.tolist())
                cycles.append(tuple(self.names[k] for k in members))
        return cycles

    def definite_descendants(self) -> BoolArray:
        """[n, n]: entry [i, j] is true where a directed path leads from i to j.

        Two members of one directed cycle are not definite descendants of each other (DESIGN 13)."""
        return reachability(self.directed_mask()) & ~self._mutual() & ~np.eye(len(self.names), dtype=bool)

    def possible_descendants(self) -> BoolArray:
        """[n, n]: entry [i, j] is true where only a possibly directed path leads from i to j.

        Possibly directed: no edge of the path has an arrowhead towards i (Zhang 2008, JMLR 9, p. 1440);
        a bidirected edge has one at both ends and is on no such path. Definite descendants are left out."""
        at_start = self.marks.T
        reach = reachability((at_start == Endpoint.TAIL) | (at_start == Endpoint.CIRCLE))
        np.fill_diagonal(reach, False)
        return reach & ~self.definite_descendants()

    def _mutual(self) -> BoolArray:
        reach = reachability(self.directed_mask())
        return reach & reach.T

    def reordered(self, names: Sequence[str]) -> CausalGraph:
        """The same graph with its values in the order of `names`, which must be the same names."""
        if sorted(names) != sorted(self.names):
            differing = sorted(set(names) ^ set(self.names))
            raise InputError(
                "graph",
                "the same values in both graphs",
                f"{differing} in one only",
                "Compare graphs of the same values.",
            )
        order = [self.names.index(name) for name in names]
        return CausalGraph(tuple(names), self.marks[np.ix_(order, order)], self.kind)


def shd(a: CausalGraph, b: CausalGraph) -> int:
    """Structural Hamming distance: the number of pairs whose edge differs in presence or in a mark.

    Each pair counts once (Tsamardinos et al. 2006, Machine Learning 65). The graphs must be of one kind and
    name the same values, in any order; otherwise InputError."""
    if a.kind is not b.kind:
        raise InputError(
            "graphs",
            "two of the same kind",
            f"a {a.kind} and a {b.kind}",
            "Their marks mean different things: compare graphs of one algorithm.",
        )
    differs = a.marks != b.reordered(a.names).marks
    return int(np.triu(differs | differs.T).sum())


def reachability(edges: BoolArray) -> BoolArray:
    """[n, n] transitive closure of `edges`: [i, j] is true where a path of one edge or more leads i to j.

    Warshall's algorithm, one vectorised step per node. The diagonal is true only on a cycle."""
    reach = edges.copy()
    for k in range(len(reach)):
        reach |= np.outer(reach[:, k], reach[k])
    return reach


def transitively_reduced(graph: CausalGraph, name: str = "the graph") -> CausalGraph:
    """The graph without each directed edge i → j beside which another directed path leads from i to j
    (networkx.transitive_reduction); undirected and other edges stay, and lie on no such path.

    Not the paper's reduction (discovery.paper.procedures), which takes an undirected edge as both directions.
    InputError for a directed cycle: with one, what is left is not unique."""
    import networkx as nx

    cycles = graph.cycles()
    if cycles:
        raise InputError(
            f"transitive reduction of {name}",
            "no directed cycle",
            f"one of {', '.join(cycles[0])}",
            "Draw the whole graph.",
        )
    whole = nx.DiGraph(graph.directed_edges())
    marks = graph.marks.copy()
    for i, j in set(whole.edges) - set(nx.transitive_reduction(whole).edges):
        marks[i, j] = marks[j, i] = Endpoint.NONE
    return CausalGraph(graph.names, marks, graph.kind)


def _pairs(mask: BoolArray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(mask)]


def _pair(index: dict[str, int], a: str, b: str) -> tuple[int, int]:
    for name in (a, b):
        if name not in index:
            raise InputError(
                f"edge {a} → {b}",
                "names of values of the graph",
                f"{name!r}",
                "Correct the name or add the value.",
            )
    if a == b:
        raise InputError(f"edge {a} → {b}", "two different values", "a self-loop", "Remove the edge.")
    return index[a], index[b]


def _draw(
    marks: ByteArray,
    pairs: Iterable[tuple[int, int]],
    at_start: Endpoint,
    at_end: Endpoint,
    names: Sequence[str],
) -> None:
    for i, j in pairs:
        if marks[i, j] not in (Endpoint.NONE, at_end) or marks[j, i] not in (Endpoint.NONE, at_start):
            raise InputError(
                f"edge {names[i]}, {names[j]}", "one kind of edge", "two kinds", "List each pair once."
            )
        marks[i, j], marks[j, i] = at_end, at_start


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise InputError("graph", "distinct value names", f"{repeated} more than once", "Rename the values.")


def _not_a_graph(expected: str, actual: str) -> InputError:
    return InputError("graph marks", expected, actual, "Make the graph with CausalGraph.from_edges.")
