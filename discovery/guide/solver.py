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
class Course:
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

    courses: tuple[Course, ...]
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
    found = milp(
        _objective(layout, problem),
        integrality=layout.integer,
        bounds=Bounds(np.zeros(layout.size), layout.upper),
        constraints=LinearConstraint(rows.matrix(), rows.low, rows.high),
        # HiGHS 1.12, which SciPy has, prints "… tmpSolver.run();" where it repairs a solution, whatever its
        # options (github.com/ERGO-Code/HiGHS/issues/2783). What it returns is right.
        options={"node_limit": _NODES, "mip_rel_gap": _GAP},
    )
    if found.x is None:
        return None
    settings = {}
    for course, own in zip(problem.courses, layout.lambdas, strict=True):
        strength = float(found.x[own] @ course.strengths)
        if abs(strength) > 1e-6 * np.abs(course.strengths).max():
            settings[course.name] = strength
    return settings


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the variables stand: weights and segments of every course, whether it is used, the misses."""

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
        place = 0
        for course in problem.courses:
            points = len(course.strengths)
            inner = 0 if course.switch else points - 1
            lambdas.append(slice(place, place + points))
            segments.append(slice(place + points, place + points + inner))
            place += points + inner
        used = slice(place, place + len(problem.courses))
        size = place + len(problem.courses) + len(problem.wanted)
        miss = slice(size - len(problem.wanted), size)
        integer, upper = np.zeros(size, bool), np.ones(size)
        integer[used] = True
        upper[miss] = np.inf
        for course, own, between in zip(problem.courses, lambdas, segments, strict=True):
            integer[between] = True
            integer[own] = course.switch
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
    """The weights of a course sum to 1 and lie on one segment; away from strength 0 it is used."""
    for c, (course, own, inner) in enumerate(
        zip(problem.courses, layout.lambdas, layout.segments, strict=True)
    ):
        row = rows.blank()
        row[own] = 1
        rows.add(row, 1, 1)
        row = rows.blank()
        row[own] = course.strengths != 0
        row[layout.used.start + c] = -1
        rows.add(row, -np.inf, 0)
        if course.switch:
            continue
        row = rows.blank()
        row[inner] = 1
        rows.add(row, 1, 1)
        for g in range(len(course.strengths)):
            row = rows.blank()
            row[own.start + g] = 1
            for segment in (g - 1, g):
                if 0 <= segment < len(course.strengths) - 1:
                    row[inner.start + segment] = -1
            rows.add(row, -np.inf, 0)


def _counts(rows: _Rows, layout: _Layout, problem: Problem) -> None:
    row = rows.blank()
    row[layout.used] = 1
    rows.add(row, 0, problem.budget)
    for c, course in enumerate(problem.courses):
        if course.solo and len(problem.courses) > 1:
            row = rows.blank()
            row[layout.used] = 1
            row[layout.used.start + c] = problem.budget
            rows.add(row, -np.inf, problem.budget)
    place = {course.name: layout.used.start + c for c, course in enumerate(problem.courses)}
    for names in problem.banned:
        row = rows.blank()
        row[[place[name] for name in names]] = 1
        rows.add(row, -np.inf, len(names) - 1)


def _misses(rows: _Rows, layout: _Layout, problem: Problem) -> None:
    """miss_v ≥ |x_v − x*_v|, and the bounds of held values."""
    for v, wanted in enumerate(problem.wanted):
        shift = rows.blank()
        for course, own in zip(problem.courses, layout.lambdas, strict=True):
            shift[own] = course.shifts[:, v]
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
    for course, own in zip(problem.courses, layout.lambdas, strict=True):
        c[own] += STRENGTH * np.abs(course.strengths) / np.abs(course.strengths).max()
        c[own] -= course.shifts @ problem.gain
    return c
