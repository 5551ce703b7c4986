"""Vectors of four float64 in compiled code: one lane for each of four directions.

Knows numba and LLVM, nothing of radiomics. Written out because a compiler cannot see that two arrays never overlap,
and so leaves loops over four lanes scalar. Any processor runs them: LLVM splits a vector where registers are narrower.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic as _intrinsic
from numba.extending import lower_builtin, models, register_model

WIDTH = 4
SHORTS = 16  # uint16 side by side
DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)
COUNTS = ir.VectorType(ir.IntType(16), WIDTH)
CONTRACT = ("contract",)  # a * b + c may be rounded once


# Typed as Any, like `compiled`: mypy does not follow compiled code.
intrinsic: Any = _intrinsic


class Lanes(types.Type):
    """The type of four float64 side by side."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind) -> None:
        super().__init__(manager, kind, DOUBLES)


def _address(vector, context, builder, kind, array, k):
    """Pointer to elements 4 k .. 4 k + 3 of a one-dimensional array."""
    data = context.make_array(kind)(context, builder, array).data
    first = builder.gep(data, [builder.mul(k, ir.Constant(k.type, WIDTH))])
    return builder.bitcast(first, vector.as_pointer())


@intrinsic
def load(context, array, k):
    """Lanes k of a float64 array: its elements 4 k .. 4 k + 3."""

    def build(context, builder, signature, arguments):
        address = _address(DOUBLES, context, builder, signature.args[0], *arguments)
        return builder.load(address, align=8)

    return lanes(array, types.intp), build


@intrinsic
def store(context, array, k, value):
    """Write lanes k of a float64 array."""

    def build(context, builder, signature, arguments):
        array, k, value = arguments
        builder.store(value, _address(DOUBLES, context, builder, signature.args[0], array, k), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), build


@intrinsic
def load_counts(context, array, k):
    """Lanes k of a uint16 array, as float64."""

    def build(context, builder, signature, arguments):
        address = _address(COUNTS, context, builder, signature.args[0], *arguments)
        return builder.uitofp(builder.load(address, align=2), DOUBLES)

    return lanes(array, types.intp), build


@intrinsic
def clear_counts(context, array, k):
    """Set lanes k of a uint16 array to 0."""

    def build(context, builder, signature, arguments):
        address = _address(COUNTS, context, builder, signature.args[0], *arguments)
        builder.store(ir.Constant(COUNTS, [0] * WIDTH), address, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp), build


@intrinsic
def at(context, vector, lane):
    """One lane as a number."""

    def build(context, builder, signature, arguments):
        return builder.extract_element(*arguments)

    return types.float64(lanes, types.intp), build


@intrinsic
def count_on(context, keys, k, lag, counts, to, source):
    """counts[to] = 1 + (counts[source] if keys[k] == keys[k - lag] != 0 else 0), for the next 16 of each index at once.

    keys, counts: uint16 arrays; k, lag, to, source: uint64; what is read is read before any of it is written
    """

    def build(context, builder, signature, arguments):
        keys, k, lag, counts, to, source = arguments
        kind = ir.VectorType(ir.IntType(16), SHORTS)

        def address(array, where, position):
            data = context.make_array(signature.args[where])(context, builder, array).data
            return builder.bitcast(builder.gep(data, [position]), kind.as_pointer())

        here = builder.load(address(keys, 0, k), align=2)
        before = builder.load(address(keys, 0, builder.sub(k, lag)), align=2)
        last = builder.load(address(counts, 3, source), align=2)
        none = ir.Constant(kind, [0] * SHORTS)
        same = builder.and_(builder.icmp_unsigned("==", here, before), builder.icmp_unsigned("!=", here, none))
        counted = builder.select(same, last, none)
        builder.store(builder.add(counted, ir.Constant(kind, [1] * SHORTS)), address(counts, 3, to), align=2)
        return context.get_dummy_value()

    return types.void(keys, types.uint64, types.uint64, counts, types.uint64, types.uint64), build


@intrinsic
def splat(context, value):
    """The same number in every lane."""

    def build(context, builder, signature, arguments):
        vector = ir.Constant(DOUBLES, ir.Undefined)
        for lane in range(WIDTH):
            vector = builder.insert_element(vector, arguments[0], ir.Constant(ir.IntType(32), lane))
        return vector

    return lanes(types.float64), build


@intrinsic
def pack(context, a, b, c, d):
    """Four numbers as lanes."""

    def build(context, builder, signature, arguments):
        vector = ir.Constant(DOUBLES, ir.Undefined)
        for lane, value in enumerate(arguments):
            vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
        return vector

    return lanes(*[types.float64] * WIDTH), build


@intrinsic
def lane_sum(context, vector):
    """Sum over the lanes, in a fixed order."""

    def build(context, builder, signature, arguments):
        parts = [builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), lane)) for lane in range(WIDTH)]
        return builder.fadd(builder.fadd(parts[0], parts[1]), builder.fadd(parts[2], parts[3]))

    return types.float64(lanes), build


@intrinsic
def root(context, vector):
    """Square root."""

    def build(context, builder, signature, arguments):
        kind = ir.FunctionType(DOUBLES, [DOUBLES])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.sqrt.v4f64"), arguments)

    return lanes(lanes), build


@intrinsic
def where_positive(context, condition, yes, no):
    """`yes` in the lanes where the condition is above 0, else `no`; NaN counts as not above."""

    def build(context, builder, signature, arguments):
        condition, yes, no = arguments
        return builder.select(builder.fcmp_ordered(">", condition, ir.Constant(DOUBLES, [0.0] * WIDTH)), yes, no)

    return lanes(lanes, lanes, lanes), build


def _choice(order):
    @intrinsic
    def choose(context, left, right):
        """`left` where it compares so with `right`, else `right`, lane by lane."""

        def build(context, builder, signature, arguments):
            left, right = arguments
            return builder.select(builder.fcmp_ordered(order, left, right), left, right)

        return lanes(lanes, lanes), build

    return choose


maximum = _choice(">")
minimum = _choice("<")


def _arithmetic(operation, name):
    """Let compiled code write `operation` between two Lanes."""

    @infer_global(operation)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            return lanes(lanes, lanes) if args == (lanes, lanes) else None

    @lower_builtin(operation, Lanes, Lanes)
    def _(context, builder, signature, arguments):
        return getattr(builder, name)(*arguments, flags=CONTRACT)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")
