"""Linear algebra on rows of numbers, in floats or in mpmath's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any

import mpmath
from mpmath import fp, mp

Row = Sequence[Any]
Rows = Sequence[Row]

CLEAR = 1e-6
"""Rows farther than this fraction of the largest from the span of the others are independent,
beyond doubt even in floats."""

REFINEMENTS = 40


def dot(first: Row, second: Row, arithmetic: Any) -> Any:
    """Σ a_i b_i."""
    return sum(map(mul, first, second)) if arithmetic is fp else arithmetic.fdot(first, second)


def norm(row: Row, arithmetic: Any) -> Any:
    """Euclidean length."""
    return arithmetic.sqrt(dot(row, row, arithmetic))


def gram(rows: Rows) -> list[list[float]]:
    """A Aᵀ for the matrix A of rows of floats."""
    product = [[dot(a, b, fp) for b in rows[: i + 1]] for i, a in enumerate(rows)]
    size = range(len(rows))
    return [[product[max(i, j)][min(i, j)] for j in size] for i in size]


def combine(rows: Rows, factors: Row, arithmetic: Any) -> list[Any]:
    """Aᵀ y."""
    return [dot(column, factors, arithmetic) for column in zip(*rows, strict=True)]


def solve(matrix: Rows, right: Row) -> list[float]:
    """Solution x of M x = y in floats, by elimination with row pivoting.

    Raises
    ------
    ZeroDivisionError
        If the matrix is singular.
    """
    rows = [[*row, y] for row, y in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        _eliminate(rows, i)
    solution = [0.0] * size
    for i in reversed(range(size)):
        known = dot(rows[i][i + 1 : size], solution[i + 1 :], fp)
        solution[i] = (rows[i][size] - known) / rows[i][i]
    return solution


def _eliminate(rows: list[list[float]], i: int) -> None:
    top = rows[i][i:]
    for row in rows[i + 1 :]:
        factor = row[i] / top[0]
        if factor:
            row[i:] = [x - factor * t for x, t in zip(row[i:], top, strict=True)]


def are_clearly_independent(rows: Rows) -> bool:
    """Whether rows of floats are clearly independent, by the pivots of their Gram matrix."""
    if len(rows) > len(rows[0]):
        return False
    left = gram(rows)
    least = CLEAR**2 * max(left[i][i] for i in range(len(rows)))
    for i in range(len(rows)):
        if not left[i][i] > least:
            return False
        _eliminate(left, i)
    return True


def independent_rows(rows: Rows, tolerance: Any, arithmetic: Any = mp) -> list[int]:
    """Indices of a maximal set of independent rows (Gram-Schmidt, the largest first).

    Parameters
    ----------
    rows : sequence of rows
        The matrix.
    tolerance : number
        Remainders of at most this fraction of the largest row count as zero.
    arithmetic : mpmath.mp or mpmath.fp
        Numbers to compute in.
    """
    rest = [list(row) for row in rows]
    if are_clearly_independent([[float(x) for x in row] for row in rest]):
        return list(range(len(rest)))
    scale = max(norm(row, arithmetic) for row in rest)
    chosen: list[int] = []
    while scale and len(chosen) < min(len(rest), len(rest[0])):
        norms = [norm(row, arithmetic) for row in rest]
        best = max(range(len(rest)), key=norms.__getitem__)
        if norms[best] <= tolerance * scale:
            break
        chosen.append(best)
        unit = [x / norms[best] for x in rest[best]]
        rest = [_without(row, unit, arithmetic) for row in rest]
    return sorted(chosen)


def orthonormal_basis(rows: Rows) -> list[list[Any]]:
    """Orthonormal basis of the span of independent rows."""
    basis: list[list[Any]] = []
    for given in rows:
        row = list(given)
        for unit in basis:
            row = _without(row, unit, mp)
        size = mpmath.norm(row)
        basis.append([x / size for x in row])
    return basis


def perpendicular(rows: Rows, vector: Row) -> list[Any]:
    """The part of a vector that is perpendicular to clearly independent rows.

    To mpmath's precision, from floats: each pass removes all but a small fraction of the rest.
    """
    floats = [[float(x) for x in row] for row in rows]
    matrix = gram(floats)
    small = mp.eps * 2**16 * norm(vector, mp) * max((norm(row, mp) for row in rows), default=0)
    left = list(vector)
    for _ in range(REFINEMENTS):
        rest = [dot(row, left, mp) for row in rows]
        if max(map(abs, rest), default=0) <= small:
            break
        size = max(map(abs, rest))
        factors = [size * x for x in solve(matrix, [float(x / size) for x in rest])]
        left = [x - y for x, y in zip(left, combine(rows, factors, mp), strict=True)]
    return left


def _without(row: Row, unit: Row, arithmetic: Any) -> list[Any]:
    part = dot(row, unit, arithmetic)
    return [x - part * u for x, u in zip(row, unit, strict=True)]
