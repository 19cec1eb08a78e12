"""Replicates from weights: the products of all columns once, then correlations and PC, many replicates a
call.

What a unit (a role, discovery.resampling.rows) adds to the sums of products of two columns is the same in
every replicate. So a replicate's sums are those of the units that it drew, whatever the number of their rows,
and all is one compiled call that does not hold the interpreter's lock. (A matrix product of weights and
products takes twice as long: half of its weights are 0, and the library's threads would compete with those
that make replicates.)

A replicate that is not beyond doubt is left to the caller, who copies its rows and runs `pc`: where a column
barely varies, columns may be collinear, or a test is too near the threshold or ill-conditioned. What is
done here therefore equals `pc` on the copied rows, although the correlations differ in the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axiograph.discovery.graph.knowledge import no_knowledge
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, FloatArray, IndexArray, NodeArray
from axiograph.discovery.numerics.compiled import aligned, jit, jit_inner
from axiograph.discovery.numerics.lanes import LANES, add_rows
from axiograph.discovery.orders.climb import make_walk
from axiograph.discovery.orders.constraints import Constraints
from axiograph.discovery.orders.equivalence import fill_class
from axiograph.discovery.orders.exhaustive import MOST_VALUES, make_sets
from axiograph.discovery.orders.kernel import best_order
from axiograph.discovery.orders.search import BestOrder, parents_bound
from axiograph.discovery.orders.trees import make_room, make_trees
from axiograph.discovery.pc.inputs import rounding
from axiograph.discovery.pc.kernel import bounds
from axiograph.discovery.pc.orientation import orient
from axiograph.discovery.pc.skeleton import ABSENT, ADJACENT, DONE, search, set_apart
from axiograph.discovery.resampling.rows import Units

MAX_COLUMNS = 64  # above it, the time of a replicate is that of PC, and copying rows costs nothing
_MAX_CELLS = 8_000_000  # of products, 64 MB
_PART = 4096  # doubles: what stays in the first-level cache beside a row of sums
_MIN_VARIANCE = 1e-2  # of a column in a replicate, as a share of that in all rows
_MAX_ROUNDING = 4e-5  # of scores, in standard deviations of their column
_MAX_OFFSET = 1e4  # largest |score| in standard deviations of its column
_MAX_CORRELATION = (
    1 - 1e-7
)  # rounding makes less of one, in any replicate: (_MAX_ROUNDING)² / (2 _MIN_VARIANCE)
_MAX_TRACE = 1e10  # of the inverse correlations: 1 / it bounds the smallest eigenvalue from below


@dataclass(frozen=True, eq=False)
class Products:
    """`sums` [n_units + 1, padded] over the rows of each unit, z being the columns in standard deviations
    from their means: z_i z_j for i ≤ j in row order, then z_i, then 1, `cells` in all; then zeros, as is
    the last row. Rows begin with a cache line. `n_columns`."""

    sums: FloatArray
    cells: int
    n_columns: int


def products(data: FloatArray, units: Units) -> Products | None:
    """Of data [n_rows, n_columns]. None where replicates should copy rows: many columns, or one that is
    constant, far from 0 or hardly more than rounding, or more products than memory should hold."""
    columns = data.shape[1]
    cells = columns * (columns + 1) // 2 + columns + 1
    deviation = data.std(axis=0)
    if columns > MAX_COLUMNS or len(units) * cells > _MAX_CELLS:
        return None
    if np.any(np.abs(data).max(axis=0) > _MAX_OFFSET * deviation):
        return None
    if np.any(rounding(data) > _MAX_ROUNDING * deviation):
        return None
    z = np.ones((len(data), columns + 1))
    z[:, :columns] = ((data - data.mean(axis=0)) / deviation)[units.rows]
    sums = aligned((len(units) + 1) * _padded(cells)).reshape((len(units) + 1, -1))
    sums[:] = 0.0
    cell = 0
    for i in range(columns):
        end = cell + columns - i
        sums[:-1, cell:end] = _by_unit(z[:, i, None] * z[:, i:columns], units)
        cell = end
    sums[:-1, cell:cells] = _by_unit(z, units)
    return Products(sums, cells, columns)


def _by_unit(values: FloatArray, units: Units) -> FloatArray:
    return values if units.single else np.add.reduceat(values, units.start[:-1])


def _padded(size: int) -> int:
    return (size + LANES - 1) // LANES * LANES


def graphs(
    products: Products,
    drawn: IndexArray,
    n_independent: int,
    alpha: float,
    marks: ByteArray,
    knowledge: tuple[ByteArray, ByteArray, ByteArray] | None = None,
) -> BoolArray:
    """PC on the units drawn[r] for each r: fills marks[r] [n, n] for n columns; true where that is settled.

    Tests count `n_independent` rows. `knowledge`: the matrices of discovery.graph.knowledge, where there is
    background knowledge."""
    n = products.n_columns
    apart, banned, drawn_edges = no_knowledge(n) if knowledge is None else knowledge
    start = np.full((n, n), ADJACENT, np.uint8)
    np.fill_diagonal(start, ABSENT)
    done = np.zeros(len(drawn), dtype=bool)
    lower, upper = bounds(alpha, n_independent, n)
    sums = weighted_sums(products.sums, drawn)
    _graphs(sums, products.cells - 1, lower, upper, start, apart, banned, drawn_edges, marks, done)
    return done


def orders(
    products: Products,
    drawn: IndexArray,
    n_independent: int,
    search: BestOrder,
    marks: ByteArray,
    told: Constraints,
) -> BoolArray:
    """Best-order search on the units drawn[r] for each r: as `graphs`."""
    n = products.n_columns
    bound = parents_bound(n_independent, n, told)
    done = np.zeros(len(drawn), dtype=bool)
    sums = weighted_sums(products.sums, drawn)
    _orders(
        sums, products.cells - 1, told.allowed, told.required, told.before, told.known, bound,
        float(n_independent), search.cost(n_independent), search.starts, marks, done,
    )  # fmt: skip
    return done


@jit
def weighted_sums(products: FloatArray, drawn: IndexArray) -> FloatArray:
    """[R, padded]: for each r the sum of the rows drawn[r] of `products`, a row again each time it was drawn.

    The rows are gone through in parts that stay in the processor's cache while all r take theirs."""
    units, padded = len(products) - 1, products.shape[1]
    sums = aligned(len(drawn) * padded).reshape((len(drawn), padded))
    sums[:] = 0.0
    chosen = np.empty((len(drawn), units + 5), np.uint32)
    weights = np.empty((len(drawn), units + 5))
    _count(drawn, units, chosen, weights)
    position = np.zeros(len(drawn), np.int64)
    part = max(16, _PART // padded)
    for end in range(part, units + part, part):
        for r in range(len(drawn)):
            k = position[r]
            # Where fewer than four are left in this part, the next ones are in the part after it: no harm.
            while chosen[r, k] < min(end, units):
                add_rows(
                    sums, r * padded, products,
                    chosen[r, k] * padded, chosen[r, k + 1] * padded,
                    chosen[r, k + 2] * padded, chosen[r, k + 3] * padded, padded // LANES,
                    weights[r, k], weights[r, k + 1], weights[r, k + 2], weights[r, k + 3],
                )  # fmt: skip
                k += 4
            position[r] = k
    return sums


@jit_inner
def _count(drawn: IndexArray, units: int, chosen: NodeArray, weights: FloatArray) -> None:
    """Of each r the units that it drew, ascending, and how often; then the empty row `units`, to the end."""
    for r in range(len(drawn)):
        for unit in range(units):
            weights[r, unit] = 0.0
        for unit in drawn[r]:
            weights[r, unit] += 1.0
        count = 0
        for unit in range(units):
            weight = weights[r, unit]
            chosen[r, count] = unit
            weights[r, count] = weight
            count += weight > 0
        for k in range(count, count + 5):
            chosen[r, k] = units
            weights[r, k] = 0.0


@jit
def _graphs(
    sums: FloatArray,
    last: int,
    lower: FloatArray,
    upper: FloatArray,
    start: ByteArray,
    apart: ByteArray,
    banned: ByteArray,
    drawn_edges: ByteArray,
    marks: ByteArray,
    done: BoolArray,
) -> None:
    n = marks.shape[1]
    corr, root = np.empty((n, n)), np.empty((n, n))
    adjacent, unsettled = np.empty((n, n), np.uint8), np.empty((n, n), np.uint8)
    sepset = np.empty((n, n, (n + 63) // 64), np.uint64)
    no_room = np.empty((0, n), np.int32)
    position = np.empty(4, np.int64)
    for r in range(len(sums)):
        if not _correlate(sums, r, last, corr, root) or not _of_full_rank(corr, sums[r, last], root):
            continue
        adjacent[:] = start
        sepset[:] = 0
        position[:] = 0
        if search(corr, lower, upper, adjacent, sepset, no_room, position) == DONE:
            set_apart(adjacent, apart, unsettled)
            orient(adjacent, sepset, unsettled, banned, drawn_edges, marks[r])
            done[r] = True


@jit
def _orders(
    sums: FloatArray,
    last: int,
    allowed: ByteArray,
    required: ByteArray,
    before: ByteArray,
    known: ByteArray,
    bound: int,
    rows: float,
    cost: float,
    starts: int,
    marks: ByteArray,
    done: BoolArray,
) -> None:
    n = marks.shape[1]
    corr, root = np.empty((n, n)), np.empty((n, n))
    dag = np.empty((n, n), np.uint8)
    trees, room, walk = make_trees(n, 32 * n, 256 * n), make_room(n, bound), make_walk(n)
    sets = make_sets(n, MOST_VALUES)
    for r in range(len(sums)):
        if _correlate(sums, r, last, corr, root) and _of_full_rank(corr, sums[r, last], root):
            _, trees = best_order(
                corr, allowed, required, before, bound, rows, cost, starts, trees, room, walk, sets, dag
            )
            fill_class(dag, known, marks[r])
            done[r] = True


@jit_inner
def _correlate(sums: FloatArray, r: int, last: int, corr: FloatArray, room: FloatArray) -> bool:
    """Correlations from sums[r], those of `Products` with `last` being that of 1; false where they are not
    safe."""
    n = len(corr)
    share = 1 / sums[r, last]
    cell = 0
    for i in range(n):
        mean = sums[r, last - n + i] * share
        variance = sums[r, cell] * share - mean * mean
        if not variance > _MIN_VARIANCE:
            return False
        room[0, i], room[1, i] = mean, 1 / np.sqrt(variance)
        cell += n - i
    cell, largest = 0, 0.0
    for i in range(n):
        mean, scale = room[0, i], room[1, i]
        corr[i, i] = 1.0
        for j in range(i + 1, n):
            value = (sums[r, cell + j - i] * share - mean * room[0, j]) * (scale * room[1, j])
            largest = max(largest, abs(value))
            corr[i, j] = value
            corr[j, i] = value
        cell += n - i
    return largest < _MAX_CORRELATION


@jit_inner
def _of_full_rank(corr: FloatArray, rows: float, root: FloatArray) -> bool:
    """Whether corr is clearly not singular, which is asked only where rows outnumber columns (pc.py).

    The smallest eigenvalue is at least determinant / e (Euler's e), since the others are at most n / (n −
    1) in the mean: so the trace of the inverse is below n · e / determinant, and need seldom be found.
    `root` is room."""
    n = len(corr)
    if rows <= n:
        return True
    for i in range(n):
        for j in range(i, n):
            root[i, j] = corr[i, j]
    determinant = 1.0
    for k in range(n):
        pivot = root[k, k]
        if not pivot > 1 / _MAX_TRACE:
            return False
        determinant *= pivot
        for i in range(k + 1, n):
            factor = root[k, i] / pivot
            for j in range(i, n):
                root[i, j] -= factor * root[k, j]
    return determinant * _MAX_TRACE > n * np.e or _trace_of_inverse(root) < _MAX_TRACE


@jit_inner
def _trace_of_inverse(root: FloatArray) -> float:
    """trace((Uᵀ D⁻¹ U)⁻¹), U being the upper triangle of `root` and D its diagonal: the sum of squares of
    U⁻¹ D^½, column by column in the lower triangle."""
    n, total = len(root), 0.0
    for j in range(n):
        # U v = e_j, solved from below: v is 0 after place j; before, it is kept in row j, below the diagonal.
        last = 1 / root[j, j]
        total += root[j, j] * last * last
        for i in range(j - 1, -1, -1):
            value = root[i, j] * last
            for k in range(i + 1, j):
                value += root[i, k] * root[j, k]
            root[j, i] = -value / root[i, i]
            total += root[j, j] * root[j, i] * root[j, i]
    return total
