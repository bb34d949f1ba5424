"""Blocks of paths in the lanes of vector registers: how wide they are, how they lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import impl_ret_borrowed, make_array

LANES = 32
"""Paths in a block."""

CACHE_LINE = 64
"""Bytes that memory is read and written in, on all processors with vectors of this length."""


@intrinsic
def wide_vectors(typing_context: Any) -> Any:
    """Let the function it is called in use 512-bit vectors where the processor has them.

    LLVM prefers 256 bits on most such processors, a guess meant for code that mixes little vector
    work into much else; the loops here are nothing but vector work, and a quarter faster so.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # llvmlite admits a list of known attributes only; this is an LLVM attribute all the same.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), code


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


@njit(forceinline=True)
def rows(count: int) -> Any:
    """Uninitialised rows of doubles, one a lane, shape (count, LANES).

    A vector of 512 bits that lies across two cache lines costs two accesses on processors that
    move it in one piece, so the rows start on a line.
    """
    return on_a_cache_line(np.empty((count + 1, LANES)))[:count]
