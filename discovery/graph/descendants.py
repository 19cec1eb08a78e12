"""Definite and possible descendants over many graphs, compiled.

Marks are those of discovery.graph.marks.Endpoint as numbers: 1 a tail, 2 an arrowhead, 3 a circle.
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, IndexArray, WordArray
from axiograph.discovery.numerics.compiled import jit


@jit
def count_descendants(marks: ByteArray, definite: IndexArray, possible: IndexArray) -> None:
    """Add to definite[i, j] and possible[i, j] [n, n] the graphs of marks [R, n, n] in which j is a definite
    or a possible descendant of i, as CausalGraph.definite_descendants and possible_descendants say."""
    n = marks.shape[1]
    words = (n + 63) // 64
    directed = np.empty((n, words), np.uint64)
    partly = np.empty((n, words), np.uint64)
    for r in range(len(marks)):
        _edges(marks[r], directed, partly)
        _close(directed)
        _close(partly)
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                certain = _has(directed, i, j) and not _has(directed, j, i)
                definite[i, j] += certain
                possible[i, j] += _has(partly, i, j) and not certain


@jit
def find_descendants(marks: ByteArray, definite: ByteArray, possible: ByteArray) -> None:
    """Set definite[r, i, j] and possible[r, i, j] to 1 where j is one of i in graph r of marks [R, n, n]."""
    n = marks.shape[1]
    words = (n + 63) // 64
    directed = np.empty((n, words), np.uint64)
    partly = np.empty((n, words), np.uint64)
    for r in range(len(marks)):
        _edges(marks[r], directed, partly)
        _close(directed)
        _close(partly)
        for i in range(n):
            for j in range(n):
                certain = i != j and _has(directed, i, j) and not _has(directed, j, i)
                definite[r, i, j] = certain
                possible[r, i, j] = i != j and _has(partly, i, j) and not certain


@jit
def _edges(marks: ByteArray, directed: WordArray, partly: WordArray) -> None:
    """Bit j of row i: i → j; any edge without an arrowhead at i (a tail, 1, or a circle, 3, is there)."""
    directed[:] = 0
    partly[:] = 0
    for i in range(len(marks)):
        for j in range(len(marks)):
            at_i = marks[j, i]
            if at_i == 1 or at_i == 3:
                bit = np.uint64(1) << np.uint64(j & 63)
                partly[i, j >> 6] |= bit
                if at_i == 1 and marks[i, j] == 2:
                    directed[i, j >> 6] |= bit


@jit
def _close(reach: WordArray) -> None:
    """Transitive closure in place, Warshall's algorithm on rows of bits."""
    n, words = reach.shape
    for k in range(n):
        for i in range(n):
            if _has(reach, i, k):
                for word in range(words):
                    reach[i, word] |= reach[k, word]


@jit
def _has(reach: WordArray, i: int, j: int) -> bool:
    return (reach[i, j >> 6] >> np.uint64(j & 63)) & np.uint64(1) == np.uint64(1)
