"""Matrix models written out in entries: for oracles, and for questions that need numbers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul
from typing import Any

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from .polynomials import Polynomial, trace_polynomial

Sizes = Mapping[sp.Expr, sp.Expr]
"""What stands for each dimension."""

SMALL = 2
"""Dimension of the matrices on which questions about all dimensions are tried out."""


def entries_of(matrix: sp.MatrixSymbol, sizes: Sizes) -> sp.ImmutableMatrix:
    """Real symbols for the entries of a matrix, named from 1."""
    rows, columns = shape_of(matrix, sizes)
    return sp.ImmutableMatrix(
        rows, columns, lambda i, j: sp.Symbol(f"{matrix.name}{i + 1}_{j + 1}", real=True)
    )


def shape_of(matrix: sp.MatrixSymbol, sizes: Sizes) -> tuple[int, int]:
    """Shape of a matrix as numbers.

    Raises
    ------
    NotCoveredError
        If a dimension has no value.
    """
    rows, columns = (sp.sympify(size).subs(dict(sizes)) for size in matrix.shape)
    if not (rows.is_Integer and columns.is_Integer):
        raise NotCoveredError(
            f"weights: {matrix.name} has the shape {matrix.shape}, which the data do not fix; "
            "declare it with numbers"
        )
    return int(rows), int(columns)


def sizes_of(matrix: sp.MatrixSymbol, shape: tuple[int, ...]) -> dict[sp.Expr, sp.Expr]:
    """Values of the dimensions of a data matrix whose arrays have that shape.

    Raises
    ------
    ProblemError
        If it does not fit.
    """
    pairs = list(zip(map(sp.sympify, matrix.shape), map(sp.Integer, shape), strict=True))
    found = {size: value for size, value in pairs if size.is_Symbol}
    if any(size.subs(found) != value for size, value in pairs):
        raise ProblemError(
            f"data: {matrix.name} has the shape {matrix.shape}, which does not fit arrays of "
            f"shape {shape}"
        )
    return found


def exact_entries(values: Any) -> sp.Expr | sp.ImmutableMatrix:
    """A number, or a matrix of numbers, as the decimals that they are."""
    if values.ndim == 0:
        return sp.Rational(repr(float(values)))
    return sp.ImmutableMatrix([[sp.Rational(repr(x)) for x in row] for row in values.tolist()])


def small_sizes(matrices: Sequence[sp.MatrixSymbol]) -> dict[sp.Expr, sp.Expr]:
    """A small number for every dimension."""
    sizes = {sp.sympify(size) for matrix in matrices for size in matrix.shape}
    return {size: sp.Integer(SMALL) for size in sizes if size != 1}


def in_entries(expression: sp.Expr, matrices: Mapping[Any, sp.MatrixBase]) -> sp.Expr:
    """An expression whose traces are written in the entries of the matrices."""
    values = {
        trace: _value(trace_polynomial(trace), matrices) for trace in expression.atoms(sp.Trace)
    }
    return expression.xreplace(values)


def mean_in_entries(
    summand: sp.Expr,
    matrices: Mapping[Any, sp.MatrixBase],
    samples: Sequence[Mapping[Any, Any]],
) -> sp.Expr:
    """The mean over samples of an expression in traces, in entries; a sample gives its data."""
    terms = []
    for sample in samples:
        place = {s: x for s, x in sample.items() if not isinstance(s, sp.MatrixSymbol)}
        terms.append(in_entries(summand, {**matrices, **sample}).xreplace(place))
    return sp.expand_mul(sp.Add(*terms) / len(samples))


def _value(polynomial: Polynomial, matrices: Mapping[Any, sp.MatrixBase]) -> sp.Expr:
    total = sp.Integer(0)
    for word, c in polynomial.items():
        factors = [_letter(letter, matrices) for letter, _ in word]
        flags = (flag for _, flag in word)
        turned = (m.T if flag else m for m, flag in zip(factors, flags, strict=True))
        total += c * reduce(mul, turned).trace()
    return total


def _letter(letter: sp.MatrixExpr, matrices: Mapping[Any, sp.MatrixBase]) -> sp.MatrixBase:
    if letter in matrices:
        return matrices[letter]
    if isinstance(letter, sp.Transpose):
        return _letter(letter.arg, matrices).T
    if not isinstance(letter, sp.HadamardProduct):
        raise ProblemError(f"value: {letter} has no entries; use matrix symbols of the model")
    factors = (_letter(factor, matrices) for factor in letter.args)
    return reduce(sp.matrix_multiply_elementwise, factors)


def random_matrix(shape: tuple[int, int], rng: random.Random) -> sp.ImmutableMatrix:
    """A matrix of small fractions that no formula is likely to single out."""
    entries = (sp.Rational(rng.randint(-30, 30), 17) for _ in itertools.count())
    return sp.ImmutableMatrix(*shape, list(itertools.islice(entries, shape[0] * shape[1])))
