"""Blocks of paths in the lanes of vector registers: how wide they are, how they lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import impl_ret_borrowed, make_array

LANES = 32
"""Paths in a block."""

CACHE_LINE = 64
"""Bytes that memory is read and written in, on all processors with vectors of this length."""


def _wide_vectors(typing_context: Any) -> Any:
    """Let the function it is called in use 512-bit vectors where the processor has them.

    LLVM prefers 256 bits on most such processors, a guess meant for code that mixes little vector
    work into much else; the loops here are nothing but vector work, and a quarter faster so.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # llvmlite admits a list of known attributes only; this is an LLVM attribute all the same.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), code


wide_vectors: Any = intrinsic(_wide_vectors)


def _on_a_cache_line(typing_context: Any, array: Any) -> Any:
    """The array, its first entry moved up to the next multiple of 64 bytes.

    It has to lie in memory that is `CACHE_LINE` bytes longer. A view of the right part would do as
    well, but compilers lose sight of what does not overlap.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (kind,) = signature.args
        moved = make_array(kind)(context, builder, arguments[0])
        address = builder.ptrtoint(moved.data, cgutils.intp_t)
        gap = builder.and_(builder.neg(address), cgutils.intp_t(CACHE_LINE - 1))
        first = builder.gep(builder.bitcast(moved.data, cgutils.voidptr_t), [gap])
        moved.data = builder.bitcast(first, moved.data.type)
        return impl_ret_borrowed(context, builder, kind, moved._getvalue())

    return array(array), code


on_a_cache_line: Any = intrinsic(_on_a_cache_line)


def _multiply_add(  # noqa: PLR0917 (rows are arrays with an index)
    typing_context: Any, out: Any, i: Any, x: Any, j: Any, y: Any, k: Any
) -> Any:
    """Add the product of row j of x and row k of y to row i of `out`, lane by lane.

    The rows of arrays of shape (…, LANES) in C order are numbered through, and not checked. Of a
    loop over lanes with so little in it LLVM makes scalar code, for fear that the rows overlap.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), LANES)

        def row(position: int) -> Any:
            array = make_array(signature.args[position])(context, builder, arguments[position])
            first = builder.bitcast(array.data, vector.as_pointer())
            return builder.gep(first, [arguments[position + 1]])

        def load(place: Any) -> Any:
            loaded = builder.load(place)
            loaded.align = 8
            return loaded

        product = builder.fmul(load(row(2)), load(row(4)), flags=("contract",))
        total = builder.fadd(load(row(0)), product, flags=("contract",))
        builder.store(total, row(0)).align = 8
        return context.get_dummy_value()

    return types.void(out, types.intp, x, types.intp, y, types.intp), code


multiply_add: Any = intrinsic(_multiply_add)


@njit(forceinline=True)
def rows(count: int) -> Any:
    """Uninitialised rows of doubles, one per lane, shape (count, LANES).

    A vector of 512 bits that lies across two cache lines costs two accesses on processors that
    move it in one piece, so the rows start on a line.
    """
    return on_a_cache_line(np.empty((count + 1, LANES)))[:count]
