"""Linear systems and eigenvalues of small matrices.

Of expressions (sympy), of numbers (mpmath), or of floats at many points at once (`Stack`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import mpmath
import sympy as sp
from sympy.polys.matrices import DomainMatrix

from ..effort import ELIMINATED, TooLong, degree, operations
from .stacks import Stack

Matrix = Any
"""A `sympy.Matrix`, an `mpmath.matrix` or a `Stack`."""

Operator = Callable[[Matrix], Matrix]
"""A linear map of matrices."""


def like(matrix: Matrix, rows: Sequence[Sequence[Any]]) -> Matrix:
    """A matrix of the same kind with other entries."""
    return type(matrix)([list(row) for row in rows])


def zeros(matrix: Matrix, rows: int, columns: int) -> Matrix:
    """The zero matrix, of the kind of another one."""
    return like(matrix, [[0] * columns for _ in range(rows)])


def identity(matrix: Matrix, size: int) -> Matrix:
    """The identity, of the kind of another matrix."""
    return like(matrix, [[int(i == j) for j in range(size)] for i in range(size)])


def blocks(matrix: Matrix, rows: Sequence[Sequence[Matrix]]) -> Matrix:
    """A matrix put together from blocks."""
    return like(
        matrix,
        [
            [block[i, j] for block in row for j in range(block.cols)]
            for row in rows
            for i in range(row[0].rows)
        ],
    )


def solve(matrix: Matrix, right: Matrix) -> Matrix:
    """The solution of M X = B, exact for expressions.

    Raises
    ------
    ZeroDivisionError
        If M is singular.
    """
    if isinstance(matrix, sp.MatrixBase):
        return _solve_expressions(matrix, right)
    if isinstance(matrix, Stack):
        return matrix.solved(right)
    rows = [
        [*(matrix[i, j] for j in range(matrix.cols)), *(right[i, j] for j in range(right.cols))]
        for i in range(matrix.rows)
    ]
    return like(right, _gauss_jordan(rows))


def solve_symmetric(operator: Operator, right: Matrix) -> Matrix:
    """Symmetric Y with F(Y) = C for a linear F, as a linear system of its K(K + 1)/2 entries.

    Raises
    ------
    ZeroDivisionError
        If F is singular.
    """
    size = right.rows
    places = [(i, j) for i in range(size) for j in range(i + 1)]
    if not places:
        return right
    columns = []
    for i, j in places:
        rows = [[int((a, b) in ((i, j), (j, i))) for b in range(size)] for a in range(size)]
        image = operator(like(right, rows))
        columns.append([image[a, b] for a, b in places])
    entries = solve(like(right, columns).T, like(right, [[right[a, b]] for a, b in places]))
    found = {place: entries[k, 0] for k, place in enumerate(places)}
    rows = [[found[max(i, j), min(i, j)] for j in range(size)] for i in range(size)]
    return like(right, rows)


def _gauss_jordan(rows: list[list[Any]]) -> list[list[Any]]:
    """Elimination with row pivoting; what is left of the columns beyond the square part."""
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        head = rows[i][i]
        if head == 0:
            raise ZeroDivisionError("the matrix of a linear system is singular")
        top = rows[i] = [x / head for x in rows[i]]
        for k, row in enumerate(rows):
            factor = row[i]
            if k != i and factor != 0:
                rows[k] = [x - factor * t for x, t in zip(row, top, strict=True)]
    return [row[size:] for row in rows]


def _solve_expressions(matrix: sp.Matrix, right: sp.Matrix) -> sp.Matrix:
    """Elimination over the field of rational functions of the symbols and of whatever else occurs.

    Functions and roots are taken as unknowns, so that no zero test has to simplify them.

    Raises
    ------
    TooLong
        If the common divisors of the entries are not worth finding.
    """
    if sum(operations(x) * degree(x) for x in (*matrix, *right)) > ELIMINATED:
        raise TooLong
    names = _names_of_irrational_parts([*matrix, *right])
    m, b = matrix.xreplace(names), right.xreplace(names)
    left, given = DomainMatrix.from_Matrix(m).unify(DomainMatrix.from_Matrix(b))
    left, given = left.to_field().to_dense(), given.to_field().to_dense()
    try:
        solution = left.lu_solve(given)
    except (sp.polys.matrices.exceptions.DMNonInvertibleMatrixError, ValueError) as singular:
        raise ZeroDivisionError("the matrix of a linear system is singular") from singular
    back = {name: part for part, name in names.items()}
    return type(right)(solution.to_Matrix()).xreplace(back)


def _names_of_irrational_parts(expressions: Iterable[sp.Expr]) -> dict[sp.Expr, sp.Dummy]:
    """A name for each part that is no rational operation on symbols and numbers."""
    names: dict[sp.Expr, sp.Dummy] = {}
    seen: set[sp.Basic] = set()
    open_parts = list(expressions)
    while open_parts:
        part = open_parts.pop()
        if part in seen:
            continue
        seen.add(part)
        rational_power = isinstance(part, sp.Pow) and part.exp.is_Integer
        if part.is_Add or part.is_Mul or rational_power:
            open_parts.extend(part.args[:1] if rational_power else part.args)
        elif not (part.is_Symbol or part.is_Rational):
            names[part] = sp.Dummy()
    return names


def spectral_radius(matrix: Matrix) -> Any:
    """Largest modulus of the eigenvalues of a matrix of numbers."""
    if matrix.rows < 2:
        return max((abs(x) for x in matrix), default=mpmath.mpf(0))
    return max(abs(x) for x in mpmath.eig(matrix, left=False, right=False))
