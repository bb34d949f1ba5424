"""Derivatives and small matrix algebra; no ideas of the domain.

Derivatives skip every entry that the free symbols show to be zero, so that the cost follows the
sparsity of the model and not the square or cube of the number of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import sympy as sp


class WithoutCaches:
    """Makes a dataclass travel between processes without its cached properties.

    They may hold compiled functions, which do not, and are computed anew when asked for.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


def gradient(expression: sp.Expr, variables: Sequence[sp.Symbol]) -> list[sp.Expr]:
    """Partial derivatives; of a sum only the terms that hold the variable are touched."""
    terms = [(term, term.free_symbols) for term in sp.Add.make_args(expression)]
    by_variable: dict[sp.Symbol, list[sp.Expr]] = {v: [] for v in variables}
    for term, symbols in terms:
        for v in symbols & by_variable.keys():
            by_variable[v].append(term)
    return [sp.Add(*(t.diff(v) for t in by_variable[v])) for v in variables]


def jacobian(expressions: Iterable[sp.Expr], variables: Sequence[sp.Symbol]) -> list[list[sp.Expr]]:
    """Rows of first derivatives, one row an expression."""
    return [gradient(e, variables) for e in expressions]


def symmetric_derivatives(
    first: Sequence[sp.Expr], variables: Sequence[sp.Symbol]
) -> Iterator[tuple[int, int, sp.Expr]]:
    """Non-zero second derivatives (i, j, value) with i ≤ j, from the first derivatives."""
    for i, entry in enumerate(first):
        for j, value in enumerate(gradient(entry, variables[i:]), start=i):
            if value != 0:
                yield i, j, value


def semidefinite_factor(matrix: sp.MatrixBase) -> sp.Matrix | None:
    """Factor F with F Fᵀ = `matrix`, or None when it is not symmetric positive semi-definite.

    Outer-product Cholesky, which needs no pivoting for a semi-definite matrix and allows singular
    ones. A symbolic pivot of unknown sign is taken to be positive (a generic verdict).
    """
    rest = sp.Matrix(matrix)
    size = rest.rows
    if not all(is_zero(rest[i, j] - rest[j, i]) for i in range(size) for j in range(i)):
        return None
    columns = []
    for i in range(size):
        pivot = rest[i, i]
        if pivot.is_negative:
            return None
        column = rest[:, i]
        if is_zero(pivot):
            if not all(is_zero(entry) for entry in column):
                return None
            continue
        column = column / sp.sqrt(pivot)
        columns.append(column)
        rest = (rest - column * column.T).applyfunc(sp.cancel)
    return sp.Matrix.hstack(*columns) if columns else sp.zeros(size, 0)


def inverse(matrix: sp.Matrix) -> sp.Matrix:
    """Inverse by cofactors, without the zero tests that sympy would simplify for ever in."""
    return matrix.adjugate(method="berkowitz") / matrix.det(method="berkowitz")


def is_zero(expression: sp.Expr) -> bool:
    """Whether an expression without constraints is recognised as zero (cheap, may miss)."""
    return expression == 0 or bool(expression.is_zero) or sp.cancel(expression) == 0
