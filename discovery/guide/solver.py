"""Which few levers at which strengths: a mixed-integer linear programme, solved exactly (HiGHS).

On the scale of discovery.guide.link the shifts of levers add up, and a lever's own shifts along its strengths
are a curve, taken here as straight between close grid points. With λ the weights of a lever's grid points
(two neighbours at most), x = Σ λ a is the shift of every value. Minimised is the sum over values of what
a value misses, in standard deviations times its weight, plus a little for every lever and for its strength:

    min Σ_v c_v |x_v − x*_v| + COUNT Σ z + STRENGTH Σ λ |s| / s_max

Values to be moved as far as possible have no x*: their gain is subtracted, and held values have a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.numerics.arrays import BoolArray, FloatArray

COUNT = 0.02
STRENGTH = 0.005
_NODES = 100_000  # a limit in seconds would make proposals depend on the machine
_GAP = 1e-3


@dataclass(frozen=True, eq=False)
class LeverGrid:
    """A lever's grid: `strengths` [g] with 0 among them, `shifts` [g, n]. `switch`: only the grid points
    themselves; `solo`: with no other lever."""

    name: str
    strengths: FloatArray
    shifts: FloatArray
    switch: bool = False
    solo: bool = False


@dataclass(frozen=True, eq=False)
class Problem:
    """`wanted` [n] shifts x*, NaN for a value to be moved as far as possible; `cost` [n] per unit of shift
    missed; `gain` [n] per unit of shift, signed, of those; `bound` [n] the largest |shift| allowed, inf for
    none; `budget`: the most levers; `banned`: sets of levers that may not be used together."""

    grids: tuple[LeverGrid, ...]
    wanted: FloatArray
    cost: FloatArray
    gain: FloatArray
    bound: FloatArray
    budget: int
    banned: Sequence[frozenset[str]] = ()


def solve(problem: Problem) -> dict[str, float] | None:
    """Lever → strength of the best set, empty where it is best to do nothing; None where nothing is
    allowed."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    layout = _Layout.of(problem)
    rows = _Rows(layout.size)
    _weights(rows, layout, problem)
    _counts(rows, layout, problem)
    _misses(rows, layout, problem)
    solution = milp(
        _objective(layout, problem),
        integrality=layout.integer,
        bounds=Bounds(np.zeros(layout.size), layout.upper),
        constraints=LinearConstraint(rows.matrix(), rows.low, rows.high),
        # HiGHS 1.12, which SciPy has, prints "… tmpSolver.run();" where it repairs a solution, whatever its
        # options (github.com/ERGO-Code/HiGHS/issues/2783). What it returns is right.
        options={"node_limit": _NODES, "mip_rel_gap": _GAP},
    )
    if solution.x is None:
        return None
    settings = {}
    for grid, weights in zip(problem.grids, layout.lambdas, strict=True):
        strength = float(solution.x[weights] @ grid.strengths)
        if abs(strength) > 1e-6 * np.abs(grid.strengths).max():
            settings[grid.name] = strength
    return settings


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the variables stand: weights and segments of every lever, whether it is used, the misses."""

    lambdas: list[slice]
    segments: list[slice]
    used: slice
    miss: slice
    size: int
    integer: BoolArray
    upper: FloatArray

    @classmethod
    def of(cls, problem: Problem) -> _Layout:
        lambdas: list[slice] = []
        segments: list[slice] = []
        end = 0
        for grid in problem.grids:
            points = len(grid.strengths)
            inner = 0 if grid.switch else points - 1
            lambdas.append(slice(end, end + points))
            segments.append(slice(end + points, end + points + inner))
            end += points + inner
        used = slice(end, end + len(problem.grids))
        size = end + len(problem.grids) + len(problem.wanted)
        miss = slice(size - len(problem.wanted), size)
        integer, upper = np.zeros(size, bool), np.ones(size)
        integer[used] = True
        upper[miss] = np.inf
        for grid, weights, between in zip(problem.grids, lambdas, segments, strict=True):
            integer[between] = True
            integer[weights] = grid.switch
        return cls(lambdas, segments, used, miss, size, integer, upper)


class _Rows:
    """Constraints low ≤ A x ≤ high, row by row."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: list[FloatArray] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, row: FloatArray, low: float, high: float) -> None:
        self.rows.append(row)
        self.low.append(low)
        self.high.append(high)

    def blank(self) -> FloatArray:
        return np.zeros(self.size)

    def matrix(self) -> FloatArray:
        return np.stack(self.rows)


def _weights(rows: _Rows, layout: _Layout, problem: Problem) -> None:
    """The weights of a lever sum to 1 and lie on one segment; away from strength 0 it is used."""
    for c, (grid, weights, inner) in enumerate(
        zip(problem.grids, layout.lambdas, layout.segments, strict=True)
    ):
        row = rows.blank()
        row[weights] = 1
        rows.add(row, 1, 1)
        row = rows.blank()
        row[weights] = grid.strengths != 0
        row[layout.used.start + c] = -1
        rows.add(row, -np.inf, 0)
        if grid.switch:
            continue
        row = rows.blank()
        row[inner] = 1
        rows.add(row, 1, 1)
        for g in range(len(grid.strengths)):
            row = rows.blank()
            row[weights.start + g] = 1
            for segment in (g - 1, g):
                if 0 <= segment < len(grid.strengths) - 1:
                    row[inner.start + segment] = -1
            rows.add(row, -np.inf, 0)


def _counts(rows: _Rows, layout: _Layout, problem: Problem) -> None:
    """At most `budget` levers, a solo one alone, and no banned set whole."""
    row = rows.blank()
    row[layout.used] = 1
    rows.add(row, 0, problem.budget)
    for c, grid in enumerate(problem.grids):
        if grid.solo and len(problem.grids) > 1:
            row = rows.blank()
            row[layout.used] = 1
            row[layout.used.start + c] = problem.budget
            rows.add(row, -np.inf, problem.budget)
    column = {grid.name: layout.used.start + c for c, grid in enumerate(problem.grids)}
    for names in problem.banned:
        row = rows.blank()
        row[[column[name] for name in names]] = 1
        rows.add(row, -np.inf, len(names) - 1)


def _misses(rows: _Rows, layout: _Layout, problem: Problem) -> None:
    """miss_v ≥ |x_v − x*_v|, and the bounds of held values."""
    for v, wanted in enumerate(problem.wanted):
        shift = rows.blank()
        for grid, weights in zip(problem.grids, layout.lambdas, strict=True):
            shift[weights] = grid.shifts[:, v]
        if np.isfinite(problem.bound[v]):
            rows.add(shift, -problem.bound[v], problem.bound[v])
        if np.isnan(wanted) or problem.cost[v] == 0:
            continue
        for sign in (1.0, -1.0):
            row = sign * shift
            row[layout.miss.start + v] = -1
            rows.add(row, -np.inf, sign * wanted)


def _objective(layout: _Layout, problem: Problem) -> FloatArray:
    c = np.zeros(layout.size)
    c[layout.miss] = problem.cost
    c[layout.used] = COUNT
    for grid, weights in zip(problem.grids, layout.lambdas, strict=True):
        c[weights] += STRENGTH * np.abs(grid.strengths) / np.abs(grid.strengths).max()
        c[weights] -= grid.shifts @ problem.gain
    return c
