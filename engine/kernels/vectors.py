"""As many float32 numbers at a time as a register holds, for loops that a compiler would not make so itself.

numba's own vectorisation keeps sums in memory; products of small matrices, as attention is made of, then
reach a third of what the processor can do. With sums that are kept in registers they reach nearly all of it.

Not for functions that are compiled with `fastmath`, which would let sums be taken in another order here too.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, register_model

# Eight where registers are shorter than those of AVX-512: sums of sixteen would not all stay in them.
_FEATURES = numba.config.CPU_FEATURES or get_host_cpu_features().flatten()
LANES = 16 if "+avx512f" in _FEATURES else 8
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FIRST = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
_UNDEFINED = ir.Constant(_VECTOR, ir.Undefined)
_LOG2_E = 1.4426950408889634
# ln 2 in two parts, of which the first is exact in few bits (Cody and Waite).
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_CEPHES = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
)  # fmt: skip
_ROUNDER = 1.5 * 2.0**23
_LEAST = -87.0
# Product and sum may be rounded once, together.
_FUSED = ("contract",)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


_vector = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _is_float32(array: Any) -> bool:
    """What is asked when a loop is compiled: arrays of other numbers are refused then."""
    return isinstance(array, types.Array) and array.dtype == types.float32 and array.layout == "C"


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """array[index : index + LANES] of a contiguous array; nobody checks that it is so long."""
    if not _is_float32(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        vector = builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()))
        vector.align = 4
        return vector

    return _vector(array, types.int64), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index : index + LANES] = value"""
    if not _is_float32(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], builder.bitcast(pointer, _VECTOR.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.none(array, types.int64, _vector), generate


@intrinsic
def zeros(typing: Any) -> Any:
    """0 in every lane"""
    return _vector(), lambda *_: ir.Constant(_VECTOR, [0.0] * LANES)


@intrinsic
def repeated(typing: Any, number: Any) -> Any:
    """`number`, as often as there are lanes"""
    return _vector(types.float32), lambda _, builder, __, arguments: _repeated(builder, arguments[0])


def _repeated(builder: Any, number: Any) -> Any:
    first = builder.insert_element(_UNDEFINED, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, _UNDEFINED, _FIRST)


@intrinsic
def spread(typing: Any, array: Any, index: Any) -> Any:
    """array[index], as often as there are lanes"""
    if not _is_float32(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _repeated(builder, builder.load(_pointer(context, builder, signature.args[0], *arguments)))

    return _vector(array, types.int64), generate


@intrinsic
def multiplied_added(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        product = builder.fmul(arguments[0], arguments[1], flags=_FUSED)
        return builder.fadd(product, arguments[2], flags=_FUSED)

    return _vector(_vector, _vector, _vector), generate


@intrinsic
def summed(typing: Any, a: Any) -> Any:
    """The sum of all numbers of `a`, in any order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _VECTOR])
        reduce = get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        start = ir.Constant(ir.FloatType(), 0.0)
        return builder.call(reduce, [start, arguments[0]], fastmath=("reassoc",))

    return types.float32(_vector), generate


@intrinsic
def largest(typing: Any, a: Any) -> Any:
    """The largest of all numbers of `a`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.FloatType(), [_VECTOR])
        reduce = get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fmax.v{LANES}f32")
        return builder.call(reduce, arguments)

    return types.float32(_vector), generate


@intrinsic
def within(typing: Any, a: Any, at: Any, lo: Any, hi: Any, other: Any) -> Any:
    """Number i of `a` where lo ≤ at + i < hi, and else `other`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integers = ir.VectorType(ir.IntType(32), LANES)

        def spread_out(number: Any) -> Any:
            short = builder.trunc(number, ir.IntType(32))
            first = builder.insert_element(ir.Constant(integers, ir.Undefined), short, ir.IntType(32)(0))
            return builder.shuffle_vector(first, ir.Constant(integers, ir.Undefined), _FIRST)

        a, at, lo, hi, other = arguments
        lanes = builder.add(spread_out(at), ir.Constant(integers, list(range(LANES))))
        inside = builder.and_(
            builder.icmp_signed(">=", lanes, spread_out(lo)), builder.icmp_signed("<", lanes, spread_out(hi))
        )
        return builder.select(inside, a, _repeated(builder, other))

    return _vector(_vector, types.int64, types.int64, types.int64, types.float32), generate


@intrinsic
def added(typing: Any, a: Any, b: Any) -> Any:
    """a + b"""
    return _vector(_vector, _vector), lambda _, builder, __, arguments: builder.fadd(*arguments)


@intrinsic
def subtracted(typing: Any, a: Any, b: Any) -> Any:
    """a − b"""
    return _vector(_vector, _vector), lambda _, builder, __, arguments: builder.fsub(*arguments)


@intrinsic
def multiplied(typing: Any, a: Any, b: Any) -> Any:
    """a · b"""
    return _vector(_vector, _vector), lambda _, builder, __, arguments: builder.fmul(*arguments)


@intrinsic
def divided(typing: Any, a: Any, b: Any) -> Any:
    """a / b"""
    return _vector(_vector, _vector), lambda _, builder, __, arguments: builder.fdiv(*arguments)


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger one of every two; `a` where one is not a number."""
    return _vector(_vector, _vector), lambda _, builder, __, arguments: _chosen(builder, "<", *arguments)


@intrinsic
def smaller(typing: Any, a: Any, b: Any) -> Any:
    """The smaller one of every two; `a` where one is not a number."""
    return _vector(_vector, _vector), lambda _, builder, __, arguments: _chosen(builder, ">", *arguments)


def _chosen(builder: Any, order: str, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(order, a, b), b, a)


@intrinsic
def exponential(typing: Any, a: Any) -> Any:
    """e to the power of each, to 1e-7; 0 below −87, where normal float32 ends. Not for more than 88.

    e ** x = 2 ** k · e ** r with |r| ≤ ln 2 / 2, by the polynomial of Cephes' expf.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def times(x: Any, y: Any, z: float | Any) -> Any:
            """x · y + z"""
            return builder.fadd(builder.fmul(x, y, flags=_FUSED), _all(z), flags=_FUSED)

        x = arguments[0]
        # Adding it rounds to whole numbers, which are then the last bits of the sum.
        shifted = times(x, _all(_LOG2_E), _ROUNDER)
        k = builder.fsub(shifted, _all(_ROUNDER))
        r = times(k, _all(-_LN2_LOW), times(k, _all(-_LN2_HIGH), x))
        p = _all(_CEPHES[0])
        for coefficient in _CEPHES[1:]:
            p = times(p, r, coefficient)
        y = times(builder.fmul(r, r), p, builder.fadd(r, _all(1.0)))
        integers = ir.VectorType(ir.IntType(32), LANES)
        bits = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * LANES))
        power = builder.add(bits, ir.Constant(integers, [127 << 23] * LANES))
        result = builder.fmul(y, builder.bitcast(power, _VECTOR))
        return builder.select(builder.fcmp_ordered("<", x, _all(_LEAST)), _all(0.0), result)

    return _vector(_vector), generate


def _all(number: float | Any) -> Any:
    return ir.Constant(_VECTOR, [number] * LANES) if isinstance(number, float) else number
