"""From roles and experiments to a graph, compiled: causes that are worth a look, the best of their sets,
orders.

Each value has candidates, those of the others that explain something of it, few enough for the scores of all
their sets (discovery.interventions.local) to be kept. What an order of the values is worth is then a sum of
entries of these tables, and an order is made better by moving one value at a time to its best place, from
several orders.

An edge x → y of the best graph is directed where every graph in which y comes before x is worse by more
than `margin`; where it is not, roles and experiments do not tell the direction. Without experiments that is
nearly the class of the graph: members of a class have one score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from axiograph.discovery.interventions.local import Bench, Evidence, local_score
from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner
from axiograph.discovery.orders.climb import BETTER
from axiograph.discovery.orders.kernel import FIRST_OF_STREAM, own_order, preferred, respecting
from axiograph.discovery.pc.orientation import ARROW, NONE, TAIL

MOST_CANDIDATES = 8
_WORTH_A_LOOK = 1.0  # a candidate raises the score by as much, before it is charged for


class Sets(NamedTuple):
    """`candidates` [p, K] of each value, `sizes` [p]; `slot` [p, p]: [y, x] is the place of x among the
    candidates of y, −1 where it is none. `best` [p, 2^K]: the best score with causes among those of a mask;
    `chosen` [p, 2^K]: the mask of these causes."""

    candidates: IndexArray
    sizes: IndexArray
    slot: IndexArray
    best: FloatArray
    chosen: IndexArray


class Rules(NamedTuple):
    """Each [p, p] of 0 and 1: `allowed` [x, y], x may cause y; `required`; `before` [x, y], x comes first.
    `bound`: most causes of a value; `cost` of each."""

    allowed: ByteArray
    required: ByteArray
    before: ByteArray
    bound: int
    cost: float


class Walk(NamedTuple):
    """`order`, `others` [p]; `mask` [p]: of each value, its candidates that come before it; `with_v`,
    `without_v` [p]: scores of the others for one value that is moved."""

    order: IndexArray
    others: IndexArray
    mask: IndexArray
    with_v: FloatArray
    without_v: FloatArray


@jit
def make_sets(p: int, most: int) -> Sets:
    """For p values with up to `most` candidates each."""
    return Sets(
        np.empty((p, most), np.int64),
        np.empty(p, np.int64),
        np.empty((p, p), np.int64),
        np.empty((p, 1 << most)),
        np.empty((p, 1 << most), np.int64),
    )


@jit
def make_walk(p: int) -> Walk:
    """For p values."""
    return Walk(np.empty(p, np.int64), np.empty(p, np.int64), np.empty(p, np.int64), np.empty(p), np.empty(p))


@jit
def joint_graph(
    evidence: Evidence,
    rules: Rules,
    starts: int,
    margin: float,
    bench: Bench,
    sets: Sets,
    walk: Walk,
    weights: FloatArray,
    marks: ByteArray,
) -> float:
    """Fill weights [p, p], entry [x, y] the coefficient of x → y in the best graph found, and its marks [p,
    p] (discovery.graph.marks); its score."""
    p = len(evidence.corr)
    for y in range(p):
        _choose_candidates(evidence, rules, bench, sets, y)
        _score_sets(evidence, rules, bench, sets, y)
    best = np.empty(p, np.int64)
    highest = _best_order(evidence, rules, sets, walk, starts, best)
    _read_weights(evidence, bench, sets, walk, best, weights)
    before = rules.before.copy()
    for x in range(p):
        for y in range(p):
            marks[x, y] = TAIL if weights[x, y] != 0.0 or weights[y, x] != 0.0 else NONE
    for x in range(p):
        for y in range(p):
            if weights[x, y] != 0.0 and (
                rules.before[x, y] or highest - _turned(sets, walk, before, best, x, y) > margin
            ):
                marks[x, y] = ARROW
    return highest


@jit_inner
def _choose_candidates(evidence: Evidence, rules: Rules, bench: Bench, sets: Sets, y: int) -> None:
    """All others where there is room for them. Else half of the room goes to those that explain most alone:
    causes can be hidden behind effects of y, which together explain it as well. The rest goes to those that
    explain most beside what is chosen."""
    p, most = sets.slot.shape[0], sets.candidates.shape[1]
    allowed = 0
    for x in range(p):
        sets.slot[y, x] = -1
        allowed += rules.allowed[x, y]
    sets.sizes[y] = 0
    for x in range(p):
        if rules.required[x, y]:
            _add_candidate(sets, y, x)
    if sets.sizes[y] + allowed <= most:
        for x in range(p):
            if rules.allowed[x, y]:
                _add_candidate(sets, y, x)
        return
    given = sets.sizes[y]
    room = given + (most - given + 1) // 2
    for alone in (True, False):
        while sets.sizes[y] < room:
            x = _most_telling(evidence, rules, bench, sets, y, given if alone else sets.sizes[y])
            if x < 0:
                break
            _add_candidate(sets, y, x)
        room = most


@inlined
def _add_candidate(sets: Sets, y: int, x: int) -> None:
    size = sets.sizes[y]
    sets.slot[y, x] = size
    sets.candidates[y, size] = x
    sets.sizes[y] = size + 1


@jit_inner
def _most_telling(evidence: Evidence, rules: Rules, bench: Bench, sets: Sets, y: int, beside: int) -> int:
    """The value, no candidate of y yet, that explains most of it beside the first `beside` candidates; −1
    where none is worth a look."""
    for k in range(beside):
        bench.causes[k] = sets.candidates[y, k]
    highest, found = local_score(evidence, bench, y, beside) + _WORTH_A_LOOK, -1
    for x in range(len(rules.allowed)):
        if sets.slot[y, x] < 0 and rules.allowed[x, y]:
            bench.causes[beside] = x
            score = local_score(evidence, bench, y, beside + 1)
            if score > highest:
                highest, found = score, x
    return found


@jit_inner
def _score_sets(evidence: Evidence, rules: Rules, bench: Bench, sets: Sets, y: int) -> None:
    count = sets.sizes[y]
    required = 0
    for k in range(count):
        if rules.required[sets.candidates[y, k], y]:
            required |= 1 << k
    for mask in range(1 << count):
        size = 0
        for k in range(count):
            if mask >> k & 1:
                bench.causes[size] = sets.candidates[y, k]
                size += 1
        sets.chosen[y, mask] = mask
        if size > rules.bound or required & ~mask:
            sets.best[y, mask] = -np.inf
        else:
            sets.best[y, mask] = local_score(evidence, bench, y, size) - rules.cost * size
    for k in range(count):
        for mask in range(1 << count):
            less = mask & ~(1 << k)
            if less < mask and sets.best[y, less] >= sets.best[y, mask] - BETTER:
                sets.best[y, mask] = sets.best[y, less]
                sets.chosen[y, mask] = sets.chosen[y, less]


@jit
def _best_order(
    evidence: Evidence, rules: Rules, sets: Sets, walk: Walk, starts: int, best: IndexArray
) -> float:
    """Fill `best` with the best order that is climbed to; its score."""
    p = len(best)
    own = own_order(evidence.corr)
    wanted, order = np.empty(p, np.int64), np.empty(p, np.int64)
    stream = np.array([FIRST_OF_STREAM], np.uint64)
    highest = -np.inf
    for start in range(starts):
        preferred(start, stream, wanted)
        for i in range(p):
            order[i] = own[wanted[i]]
        respecting(rules.before, order, walk.order)
        score = _climb(sets, walk, rules.before)
        if score > highest + BETTER:
            highest = score
            for i in range(p):
                best[i] = walk.order[i]
    return highest


@jit_inner
def _climb(sets: Sets, walk: Walk, before: ByteArray) -> float:
    """Move values of `walk.order` until no move makes it better; its score."""
    p = len(walk.order)
    for i in range(p):
        y = walk.order[i]
        walk.mask[y] = 0
        for j in range(i):
            walk.mask[y] |= _bit(sets, y, walk.order[j])
    unmoved, turn = 0, 0
    while unmoved < p:
        moved = _place_best(sets, walk, before, turn)
        unmoved = 0 if moved else unmoved + 1
        turn = (turn + 1) % p
    score = 0.0
    for y in range(p):
        score += sets.best[y, walk.mask[y]]
    return score


@inlined
def _bit(sets: Sets, y: int, x: int) -> int:
    """The bit of x in masks of y; 0 where it is no candidate."""
    slot = sets.slot[y, x]
    return 0 if slot < 0 else 1 << slot


@jit_inner
def _place_best(sets: Sets, walk: Walk, before: ByteArray, v: int) -> bool:
    """Put v where the score is highest; whether that is another place."""
    p = len(walk.order)
    current = m = 0
    for i in range(p):
        if walk.order[i] == v:
            current = i
        else:
            walk.others[m] = walk.order[i]
            m += 1
    low, high = 0, p - 1
    behind = 0.0
    for i in range(p - 1):
        w = walk.others[i]
        if before[w, v]:
            low = i + 1
        if before[v, w] and i < high:
            high = i
        bit = _bit(sets, w, v)
        walk.with_v[i] = sets.best[w, walk.mask[w] | bit]
        walk.without_v[i] = sets.best[w, walk.mask[w] & ~bit]
        behind += walk.with_v[i]
    mask = 0
    ahead, now, highest, place = 0.0, 0.0, -np.inf, current
    for i in range(p):
        total = ahead + sets.best[v, mask] + behind
        if i == current:
            now = total
        if low <= i <= high and total > highest:
            highest, place = total, i
        if i < p - 1:
            ahead += walk.without_v[i]
            behind -= walk.with_v[i]
            mask |= _bit(sets, v, walk.others[i])
    if place == current or highest <= now + BETTER:
        return False
    walk.mask[v] = 0
    for i in range(p - 1):
        w = walk.others[i]
        if i < place:
            walk.order[i] = w
            walk.mask[v] |= _bit(sets, v, w)
            walk.mask[w] &= ~_bit(sets, w, v)
        else:
            walk.order[i + 1] = w
            walk.mask[w] |= _bit(sets, w, v)
    walk.order[place] = v
    return True


@jit
def _turned(sets: Sets, walk: Walk, before: ByteArray, best: IndexArray, x: int, y: int) -> float:
    """The score of the best order that is found with y before x, which knowledge allows."""
    p = len(best)
    before[y, x] = 1
    order = np.empty(p, np.int64)
    for i in range(p):
        order[i] = best[i]
    respecting(before, order, walk.order)
    score = _climb(sets, walk, before)
    before[y, x] = 0
    return score


@jit_inner
def _read_weights(
    evidence: Evidence, bench: Bench, sets: Sets, walk: Walk, order: IndexArray, weights: FloatArray
) -> None:
    """The coefficients of the graph that `order` gives."""
    p = len(order)
    for x in range(p):
        for y in range(p):
            weights[x, y] = 0.0
    for i in range(p):
        y = order[i]
        mask = 0
        for j in range(i):
            mask |= _bit(sets, y, order[j])
        chosen = sets.chosen[y, mask]
        size = 0
        for k in range(sets.sizes[y]):
            if chosen >> k & 1:
                bench.causes[size] = sets.candidates[y, k]
                size += 1
        local_score(evidence, bench, y, size)
        for k in range(size):
            weights[bench.causes[k], y] = bench.b[k]
