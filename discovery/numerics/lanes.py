"""The innermost loops of PC as vector instructions: eight doubles at a time, whatever the processor has for
them.

numba can be left to find vectors in a loop, but then it checks at every start whether arrays overlap, and a
remainder that is no multiple of its own width is done one by one: for the short rows of PC that costs more
than the tests. So these loops are written as LLVM vectors. Rows begin at multiples of `LANES` and may be
read up to the next one. Products and sums may be fused, as everywhere in the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic

LANES = 8  # doubles in a register of AVX-512; narrower ones take several for them
WORD = 64  # outcomes in a word: bit y of a word is lane y
_DOUBLE, _BYTE, _LONG = ir.DoubleType(), ir.IntType(8), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_FUSE = ("contract",)
_OUTCOMES = types.UniTuple(types.uint64, 2)
INT = types.int64


class _Lanes:
    """Vector code in the function that is being compiled."""

    def __init__(
        self, context: Any, builder: Any, array_types: dict[str, Any], arrays: dict[str, Any]
    ) -> None:
        self.builder = builder
        self._data = {
            name: context.make_array(array_types[name])(context, builder, arrays[name]).data
            for name in arrays
        }

    def all(self, number: Any) -> Any:
        """The number in every lane."""
        first = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, _LONG(0))
        return self.builder.shuffle_vector(
            first,
            ir.Constant(_VECTOR, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES),
        )

    def _address(self, name: str, start: Any, block: Any) -> Any:
        at = self.builder.add(start, self.builder.mul(block, _LONG(LANES)))
        pointer = self.builder.gep(self._data[name], [at])
        return self.builder.bitcast(pointer, _VECTOR.as_pointer())

    def load(self, name: str, start: Any, block: Any) -> Any:
        """The vector of this block of an array, counted from the position `start` of the flat array."""
        return self.builder.load(self._address(name, start, block), align=8)

    def store(self, vector: Any, name: str, start: Any, block: Any) -> None:
        self.builder.store(vector, self._address(name, start, block), align=8)

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b, flags=_FUSE)

    def minus(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b, flags=_FUSE)

    def bits(self, mask: Any) -> Any:
        """The truth of every lane as the low bits of a word."""
        return self.builder.zext(self.builder.bitcast(mask, _BYTE), _LONG)


def _arguments(names: str, signature: Any, arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Types and values by name."""
    split = names.split()
    return dict(zip(split, signature.args, strict=True)), dict(zip(split, arguments, strict=True))


def _arrays(kinds: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(kinds[name], types.Array)}


_TEST = "cov row base moments with_x variance blocks factor slope inverse e least low high"


@intrinsic
def test_lanes(
    typing: Any,
    cov: Any,
    row: Any,
    base: Any,
    moments: Any,
    with_x: Any,
    variance: Any,
    blocks: Any,
    factor: Any,
    slope: Any,
    inverse: Any,
    e: Any,
    least: Any,
    low: Any,
    high: Any,
) -> tuple[Any, Callable[..., Any]]:
    """(independent, clear), a bit for each of up to `WORD` lanes y: the tests of x against y given s and a
    prefix.

    With u = cov[row + y] − factor · cov[base + y], the covariance of s and y given the prefix,
    a = moments[with_x + y] − slope · u and d = moments[variance + y] − inverse · u²: independent where
    a² < low · d, clear where that or a² > high · d, both only where e · d − a² > least. Positions are of the
    flat arrays."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, values = _arguments(_TEST, signature, arguments)
        lanes = _Lanes(context, builder, kinds, _arrays(kinds, values))
        factor, slope, inverse, e, least, low, high = (
            lanes.all(values[name]) for name in ("factor", "slope", "inverse", "e", "least", "low", "high")
        )
        outcomes = [cgutils.alloca_once_value(builder, _LONG(0)) for _ in range(2)]
        with cgutils.for_range(builder, values["blocks"], intp=_LONG) as loop:
            at = loop.index
            base = lanes.times(factor, lanes.load("cov", values["base"], at))
            u = lanes.minus(lanes.load("cov", values["row"], at), base)
            a = lanes.minus(lanes.load("moments", values["with_x"], at), lanes.times(slope, u))
            d = lanes.minus(
                lanes.load("moments", values["variance"], at), lanes.times(lanes.times(inverse, u), u)
            )
            square = lanes.times(a, a)
            sound = builder.fcmp_ordered(">", lanes.minus(lanes.times(e, d), square), least)
            hit = builder.and_(sound, builder.fcmp_ordered("<", square, lanes.times(low, d)))
            far = builder.and_(sound, builder.fcmp_ordered(">", square, lanes.times(high, d)))
            shift = builder.mul(at, _LONG(LANES))
            for outcome, mask in zip(outcomes, (hit, builder.or_(hit, far)), strict=True):
                bits = builder.shl(lanes.bits(mask), shift)
                builder.store(builder.or_(builder.load(outcome), bits), outcome)
        return context.make_tuple(builder, _OUTCOMES, [builder.load(outcome) for outcome in outcomes])

    return _OUTCOMES(cov, INT, INT, moments, INT, INT, INT, *[types.float64] * 7), code


_SUBTRACT = "cov to row base blocks factor"


@intrinsic
def subtract_lanes(
    typing: Any, cov: Any, to: Any, row: Any, base: Any, blocks: Any, factor: Any
) -> tuple[Any, Callable[..., Any]]:
    """cov[to + y] = cov[row + y] − factor · cov[base + y] for all y of these blocks; flat positions."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, values = _arguments(_SUBTRACT, signature, arguments)
        lanes = _Lanes(context, builder, kinds, _arrays(kinds, values))
        factor = lanes.all(values["factor"])
        with cgutils.for_range(builder, values["blocks"], intp=_LONG) as loop:
            base = lanes.times(factor, lanes.load("cov", values["base"], loop.index))
            rest = lanes.minus(lanes.load("cov", values["row"], loop.index), base)
            lanes.store(rest, "cov", values["to"], loop.index)
        return context.get_dummy_value()

    return types.void(cov, INT, INT, INT, INT, types.float64), code


_CONDITION = "moments with_x variance to_x to_variance cov row blocks slope inverse"


@intrinsic
def condition_lanes(
    typing: Any,
    moments: Any,
    with_x: Any,
    variance: Any,
    to_x: Any,
    to_variance: Any,
    cov: Any,
    row: Any,
    blocks: Any,
    slope: Any,
    inverse: Any,
) -> tuple[Any, Callable[..., Any]]:
    """With u = cov[row + y]: moments[to_x + y] = moments[with_x + y] − slope · u, and
    moments[to_variance + y] = moments[variance + y] − inverse · u²; flat positions."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, values = _arguments(_CONDITION, signature, arguments)
        lanes = _Lanes(context, builder, kinds, _arrays(kinds, values))
        slope, inverse = lanes.all(values["slope"]), lanes.all(values["inverse"])
        with cgutils.for_range(builder, values["blocks"], intp=_LONG) as loop:
            at = loop.index
            u = lanes.load("cov", values["row"], at)
            a = lanes.minus(lanes.load("moments", values["with_x"], at), lanes.times(slope, u))
            d = lanes.minus(
                lanes.load("moments", values["variance"], at), lanes.times(lanes.times(inverse, u), u)
            )
            lanes.store(a, "moments", values["to_x"], at)
            lanes.store(d, "moments", values["to_variance"], at)
        return context.get_dummy_value()

    return types.void(moments, INT, INT, INT, INT, cov, INT, INT, types.float64, types.float64), code


_ADD = "sums to products a b c d blocks times_a times_b times_c times_d"


@intrinsic
def add_rows(
    typing: Any,
    sums: Any,
    to: Any,
    products: Any,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
    blocks: Any,
    times_a: Any,
    times_b: Any,
    times_c: Any,
    times_d: Any,
) -> tuple[Any, Callable[..., Any]]:
    """sums[to + y] += times_a · products[a + y] + … for all y of these blocks; flat positions.

    Four rows at once, since a sum that is read and written costs as much as three of them."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, values = _arguments(_ADD, signature, arguments)
        lanes = _Lanes(context, builder, kinds, _arrays(kinds, values))
        weights = {row: lanes.all(values[f"times_{row}"]) for row in "abcd"}
        with cgutils.for_range(builder, values["blocks"], intp=_LONG) as loop:
            total = lanes.load("sums", values["to"], loop.index)
            for row in "abcd":
                product = lanes.times(weights[row], lanes.load("products", values[row], loop.index))
                total = builder.fadd(total, product, flags=_FUSE)
            lanes.store(total, "sums", values["to"], loop.index)
        return context.get_dummy_value()

    return types.void(sums, INT, products, *[INT] * 5, *[types.float64] * 4), code


@intrinsic
def lowest_bit(typing: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    """The number of the lowest bit that is set in a word, which is not 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return INT(types.uint64), code


@intrinsic
def high_product(typing: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
    """The upper 64 bits of the product of two words."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        a, b = (builder.zext(argument, wide) for argument in arguments)
        return builder.trunc(builder.lshr(builder.mul(a, b), wide(64)), _LONG)

    return types.uint64(types.uint64, types.uint64), code
