"""Unaligned loads from a buffer, one machine instruction each.

numba turns ``buffer[at]`` with a signed index into a compare, a choice and a load, which keeps LLVM from joining the loads of
a field: a packet's headers then cost twice the time. These say what is meant. Like the rest of the kernel they check nothing:
the caller has checked that the octets are there.

Where bounds are checked (``NUMBA_BOUNDSCHECK``), where nothing is compiled (``NUMBA_DISABLE_JIT``) and on big-endian machines,
:mod:`.octets` has the portable form; tests hold the two against each other.
"""

import sys
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from bastide.network.traffic.kernel.compiled import Buffer, Integers, inlined

PORTABLE = bool(getattr(config, "DISABLE_JIT", 0) or getattr(config, "BOUNDSCHECK", 0) or sys.byteorder != "little")

Load = Callable[[Buffer, int], int]


def _load(bits: int, *, swapped: bool) -> Load:
    def typed(typing: Any, buffer: Any, at: Any) -> Any:
        if not isinstance(buffer, types.Array) or not isinstance(at, types.Integer):
            return None

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            index = context.cast(builder, arguments[1], signature.args[1], types.int64)
            pointer = builder.bitcast(builder.gep(array.data, [index]), ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=1)
            if swapped:
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.int64(buffer, at), emit

    return cast(Load, intrinsic(typed))


def _prefetch(typing: Any, table: Any, at: Any) -> Any:
    if not isinstance(table, types.Array) or not isinstance(at, types.Integer):
        return None

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.int64)
        number = ir.IntType(32)
        pointer = builder.bitcast(builder.gep(array.data, [index]), ir.IntType(8).as_pointer())
        wanted = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, wanted, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        # For writing, near, data.
        builder.call(function, [pointer, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(table, at), emit


def _nothing(table: Integers, at: int) -> None:
    """Prefetching changes no value, so the portable form leaves it out."""


Prefetch = Callable[[Integers, int], None]
prefetch: Prefetch = inlined(_nothing) if PORTABLE else cast(Prefetch, intrinsic(_prefetch))
"""Asks for the line of an element (counted over the whole table), which is needed soon."""

load8 = _load(8, swapped=False)
load16be, load16le = _load(16, swapped=True), _load(16, swapped=False)
load32be, load32le = _load(32, swapped=True), _load(32, swapped=False)
load64be = _load(64, swapped=True)
