"""Linear algebra on small matrices inside compiled code.

Loops of scalars: they compile faster than array expressions and round the same on every machine
thread, whatever runs beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float64, typeof, types, void
from numba.extending import intrinsic
from numpy.typing import NDArray

from ..codegen.deferred_sigint import compiling_to_the_end
from ..codegen.kernels import compiled

Array = NDArray[np.float64]

BATCH = types.FunctionType(void(float64[:, ::1], float64[:, ::1]))
"""A generated function (points, values), passed by address."""

SWEEPS = 60
"""Bound on the sweeps of Jacobi's method, which needs fewer than ten."""

ROUND_OFF = 4e-16

INDEPENDENT = 1e-8
"""Squared sine of the angle between a row and the span of those before it that is enough."""


def _apart(typing_context: Any) -> Any:
    """Mark the calling function `noinline`: its callers then compile much faster."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), code


apart: Any = intrinsic(_apart)


@compiling_to_the_end()
def bound(kernel: Any, *arguments: Any) -> Callable[..., None]:
    """Code of a kernel for arguments of these types, generated functions taken by address.

    So the kernel is compiled once for all models, and not once for each generated function.
    """
    kinds = tuple(BATCH if hasattr(a, "py_func") else typeof(a) for a in arguments)
    code: Callable[..., None] = kernel.compile(kinds)
    return code


@compiled
def dot(x: Array, y: Array) -> float:
    """Inner product."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@compiled
def add(out: Array, scale: float, x: Array) -> None:
    """Add a multiple of x to `out`."""
    for i in range(len(x)):
        out[i] += scale * x[i]


@compiled
def largest(x: Array) -> float:
    """Largest absolute value; NaN if any entry is NaN."""
    size = 0.0
    for i in range(len(x)):
        if np.isnan(x[i]):
            return np.nan
        size = max(size, abs(x[i]))
    return size


@compiled
def put(out: Array, x: Array) -> None:
    """Copy x to `out`; an assignment to a slice does the same and compiles slowly."""
    for i in range(len(x)):
        out[i] = x[i]


@compiled
def rotate_rows(rows: Array, carried: Array) -> Array:
    """Make rows orthogonal to each other by plane rotations (one-sided Jacobi), in place.

    They end up as σ_a v_aᵀ, with singular values σ_a and right singular vectors v_a, to high
    relative accuracy. `carried`, one number per row, is rotated with them. Returns σ².
    """
    apart()
    count = len(rows)
    squares = np.empty(count)
    for _ in range(SWEEPS):
        for p in range(count):
            squares[p] = dot(rows[p], rows[p])
        negligible = ROUND_OFF**2 * np.max(squares)
        settled = True
        for p in range(count - 1):
            for q in range(p + 1, count):
                inner = dot(rows[p], rows[q])
                if (
                    abs(inner) <= ROUND_OFF * np.sqrt(squares[p] * squares[q])
                    or min(squares[p], squares[q]) <= negligible
                ):
                    continue
                settled = False
                zeta = (squares[q] - squares[p]) / (2 * inner)
                tangent = np.copysign(1 / (abs(zeta) + np.sqrt(1 + zeta * zeta)), zeta)
                cosine = 1 / np.sqrt(1 + tangent * tangent)
                sine = cosine * tangent
                for i in range(rows.shape[1]):
                    x, y = rows[p, i], rows[q, i]
                    rows[p, i] = cosine * x - sine * y
                    rows[q, i] = sine * x + cosine * y
                x, y = carried[p], carried[q]
                carried[p], carried[q] = cosine * x - sine * y, sine * x + cosine * y
                squares[p] -= tangent * inner
                squares[q] += tangent * inner
        if settled:
            break
    return squares


@compiled
def triangle(rows: Array, carried: Array) -> Array:
    """No more rows than columns with the same singular values, by reflections (Householder).

    `carried`, one number per row, is reflected with them, in place. Rows that are few already are
    copied.
    """
    apart()
    count, n = rows.shape
    turned = rows.copy()
    if count <= n:
        return turned
    mirror, image = np.empty(count), np.empty(n)
    for j in range(n):
        length = 0.0
        for i in range(j, count):
            mirror[i] = turned[i, j]
            length += mirror[i] * mirror[i]
        if length == 0:
            continue
        mirror[j] += np.copysign(np.sqrt(length), mirror[j])
        half = 0.0
        along = 0.0
        image[:] = 0.0
        for i in range(j, count):
            half += 0.5 * mirror[i] * mirror[i]
            along += mirror[i] * carried[i]
            add(image, mirror[i], turned[i])
        for i in range(j, count):
            carried[i] -= along / half * mirror[i]
            add(turned[i], -mirror[i] / half, image)
    return turned[:n].copy()


@compiled
def singular_rows(rows: Array, rank: int) -> tuple[Array, Array]:
    """Largest singular values, descending, and their right singular vectors as rows."""
    apart()
    turned = triangle(rows, np.zeros(len(rows)))
    squares = rotate_rows(turned, np.zeros(len(turned)))
    values, basis = np.empty(rank), np.empty((rank, rows.shape[1]))
    for a in range(rank):
        first = np.argmax(squares)
        values[a] = np.sqrt(squares[first])
        for i in range(rows.shape[1]):
            basis[a, i] = turned[first, i] / values[a] if values[a] > 0 else 0.0
        squares[first] = -1.0
    return values, basis


@compiled
def least_norm_solution(rows: Array, right: Array, rank: int) -> Array:
    """J⁺ f for the rows J of known rank."""
    apart()
    carried = right.copy()
    turned = triangle(rows, carried)
    squares = rotate_rows(turned, carried)
    solution = np.zeros(rows.shape[1])
    for _ in range(rank):
        first = np.argmax(squares)
        if squares[first] > 0:
            add(solution, carried[first] / squares[first], turned[first])
        squares[first] = -1.0
    return solution


@compiled
def solve_by_gram(rows: Array, right: Array, work: Array, solution: Array) -> bool:
    """J⁺ f for independent rows J, from Cholesky's factors of J Jᵀ, in `solution`.

    Many times faster than by singular values, and with a relative error up to 10⁻⁸: for iterations
    that correct themselves. False where the rows depend on each other too much for that.

    Parameters
    ----------
    rows : ndarray, shape (K, N)
    right : ndarray, shape (K,)
    work : ndarray, shape (K + 1, K)
        Scratch memory.
    solution : ndarray, shape (N,)
    """
    apart()
    count = len(rows)
    lower, z = work, work[count]
    for a in range(count):
        z[a] = right[a]
        for b in range(a + 1):
            entry = square = dot(rows[a], rows[b])
            for c in range(b):
                entry -= lower[a, c] * lower[b, c]
            if b < a:
                lower[a, b] = entry / lower[b, b]
                z[a] -= lower[a, b] * z[b]
            elif entry > INDEPENDENT * square:
                lower[a, a] = np.sqrt(entry)
                z[a] /= lower[a, a]
            else:
                return False
    solution[:] = 0.0
    for a in range(count - 1, -1, -1):
        for b in range(a + 1, count):
            z[a] -= lower[b, a] * z[b]
        z[a] /= lower[a, a]
        add(solution, z[a], rows[a])
    return True
