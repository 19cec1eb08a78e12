"""Sharing: which prompts begin alike, and how many of their tokens are therefore computed once.

A token of a prompt is computed alike in two requests when everything up to it is alike: the token ids, and
what is done to the stream at each of them (its mark). So prompts are compared as sequences of (id, mark):
what lies before the span is shared by all conditions, what lies behind it by the rows of one condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np

# What a token costs that is held in a prefix of its own, as a share of computing it: it is copied once and
# read again at every step of the rows behind it.
HOLDING = 0.25
# A row with that many more tokens of its own than is usual gets a prefix to itself: row caches are as wide
# as their widest row.
OUTLIER = 64


@dataclass(frozen=True)
class Group:
    """Rows whose first `length` tokens are computed once. Every row has tokens of its own behind them."""

    rows: tuple[int, ...]
    length: int


@dataclass
class _Node:
    """The rows lo … hi − 1 of the sorted prompts, which share `depth` tokens and no more."""

    lo: int
    hi: int
    depth: int
    children: list[int] = field(default_factory=list)
    direct: list[int] = field(default_factory=list)
    together: bool = True
    cost: float = 0.0


def flat(parts: Iterable[Sequence[int]]) -> np.ndarray:
    """The numbers of all `parts`, one after the other, int64."""
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64)


def token_keys(ids: Sequence[int] | np.ndarray, marks: np.ndarray) -> np.ndarray:
    """One number per token [n], uint64: equal for equal ids with equal marks."""
    return (marks.astype(np.uint64) << np.uint64(32)) | np.asarray(ids, dtype=np.uint64)


def shared_length(one: np.ndarray, other: np.ndarray) -> int:
    """How many leading keys are equal."""
    n = min(len(one), len(other))
    differ = one[:n] != other[:n]
    return int(differ.argmax()) if differ.any() else n


def shared_lengths(keys: Sequence[np.ndarray]) -> np.ndarray:
    """How many leading keys every two sequences share, [n, n]."""
    width = max((len(row_keys) for row_keys in keys), default=0)
    table = np.zeros((len(keys), width + 1), dtype=np.uint64)
    for row, row_keys in enumerate(keys):
        table[row, : len(row_keys)] = row_keys
        # Unequal to everything, also to the ends of the others.
        table[row, len(row_keys) :] = np.uint64(2**64 - 1 - row)
    shared = np.zeros((len(keys), len(keys)), dtype=np.int64)
    for row in range(len(keys)):
        shared[row] = (table != table[row]).argmax(1)
        shared[row, row] = len(keys[row])
    return shared


def shared_prefixes(keys: Sequence[np.ndarray], unshared: int = 1) -> list[Group]:
    """Groups of prompts, like ones beside each other, of the least total cost; no row shares its last
    `unshared` keys.

    Rows of one group share one stored prefix. Splitting a group lets its parts share longer prefixes (fewer
    tokens are computed), of which more then have to be held.
    """
    if not keys:
        return []
    order = sorted(range(len(keys)), key=lambda row: keys[row].astype(">u8").tobytes())
    lengths = np.array([len(keys[row]) for row in order])
    nodes = _tree([shared_length(keys[a], keys[b]) for a, b in pairwise(order)], lengths)
    for node in reversed(nodes):
        _choose(node, nodes, lengths)
    groups: list[Group] = []
    stack = [0]
    while stack:
        node = nodes[stack.pop()]
        members = list(range(node.lo, node.hi)) if node.together else node.direct
        if members:
            length = max(0, min(node.depth, int(lengths[members].min()) - unshared))
            groups.append(Group(tuple(order[member] for member in members), length))
        if not node.together:
            stack += reversed(node.children)
    return _outliers_apart(groups, [len(sequence) for sequence in keys], unshared)


def _tree(shared: list[int], lengths: np.ndarray) -> list[_Node]:
    """The tree of common beginnings, parents before children; `shared[i]` is that of rows i and i + 1."""
    common = np.array(shared, dtype=np.int64)
    n = len(lengths)
    nodes = [_Node(0, n, int(common.min()) if n > 1 else 0)]
    for node in nodes:  # grows while it is walked through
        inside = common[node.lo : node.hi - 1]
        cuts = [node.lo, *(node.lo + 1 + np.flatnonzero(inside == node.depth)).tolist(), node.hi]
        for lo, hi in pairwise(cuts):
            if hi - lo == 1:
                node.direct.append(lo)
            else:
                node.children.append(len(nodes))
                nodes.append(_Node(lo, hi, int(common[lo : hi - 1].min())))
    return nodes


def _choose(node: _Node, nodes: list[_Node], lengths: np.ndarray) -> None:
    """Whether the rows of `node` share one prefix, once its children are decided; costs in tokens."""

    def one_prefix(lengths: np.ndarray) -> float:
        return HOLDING * node.depth + float((lengths - node.depth).sum())

    together = one_prefix(lengths[node.lo : node.hi])
    children = [nodes[i] for i in node.children]
    apart = sum(child.depth - node.depth + child.cost for child in children)
    if node.direct:
        apart += one_prefix(lengths[node.direct])
    node.together = not children or together <= apart
    node.cost = min(together, apart) if children else together


def _outliers_apart(groups: list[Group], lengths: list[int], unshared: int) -> list[Group]:
    """`groups`, with rows of uncommonly long rests given a prefix of all but their last `unshared` tokens."""
    rests = [lengths[row] - group.length for group in groups for row in group.rows]
    longest = 2 * int(np.median(rests)) + OUTLIER
    apart: list[Group] = []
    for group in groups:
        rows = tuple(row for row in group.rows if lengths[row] - group.length <= longest)
        if rows:
            apart.append(Group(rows, group.length))
        apart += [Group((row,), lengths[row] - unshared) for row in group.rows if row not in rows]
    return apart
