"""Polynomials in matrix symbols: sums of words such as A U Uᵀ, and the derivatives of their traces.

sympy 1.14 silently returns 0 for the derivative of a squared trace in a matrix symbol, so the
rules needed here are our own. There are two: tr is cyclic and blind to transposition, and

    ∂/∂V tr(V R) = Rᵀ,   ∂/∂V tr(Vᵀ R) = R,   one term for every occurrence of V.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import sympy as sp

from ..errors import ProblemError

Factor = tuple[sp.MatrixExpr, bool]
"""A letter, and whether it is transposed. Letters are matrix symbols, and products of them entry by
entry, which are left as they stand."""
Word = tuple[Factor, ...]
"""A product of factors; the empty word is an identity matrix."""
Polynomial = dict[Word, sp.Expr]
"""Coefficients of words; as a trace polynomial, each word stands for its trace."""


def matrix_polynomial(expression: sp.MatrixExpr) -> Polynomial:
    """Write a matrix expression as a sum of words.

    Raises
    ------
    ProblemError
        If it holds anything but matrix symbols, sums, products, products of entries, transposes
        and whole powers.
    """
    return _collected(_words(expression))


def trace_polynomial(expression: sp.Expr) -> Polynomial:
    """Write a sum of traces (or a 1 × 1 matrix, which is its own trace) as cyclic words.

    Raises
    ------
    ProblemError
        If it is anything else.
    """
    if expression.is_Matrix:
        if expression.shape != (1, 1):
            raise ProblemError(
                f"value: expected a scalar, got a matrix of shape {expression.shape}; "
                "take its Trace"
            )
        expression = sp.Trace(expression)
    return _collected((cyclic(word), c) for word, c in _traced_words(expression))


def cyclic(word: Word) -> Word:
    """The first in order of all words that have the same trace."""
    rotations = [w[i:] + w[:i] for w in (word, transposed(word)) for i in range(len(word))]
    return min(rotations, key=_order, default=word)


def transposed(word: Word) -> Word:
    """The word of the transposed product."""
    return tuple((symbol, not flag) for symbol, flag in reversed(word))


def trace_gradient(traces: Polynomial, variable: sp.MatrixSymbol) -> Polynomial:
    """∂/∂V of a trace polynomial, a matrix polynomial of V's shape."""
    return _collected(
        (rest if flag else transposed(rest), c)
        for word, c in traces.items()
        for flag, rest in _occurrences(word, variable)
    )


def directional(
    polynomial: Polynomial, directions: Mapping[sp.MatrixSymbol, sp.MatrixSymbol]
) -> Polynomial:
    """Derivative of a matrix polynomial when each symbol V moves along directions[V]."""
    return _collected(
        ((*word[:i], (directions[symbol], flag), *word[i + 1 :]), c)
        for word, c in polynomial.items()
        for i, (symbol, flag) in enumerate(word)
        if symbol in directions
    )


def squared_norm(polynomial: Polynomial) -> Polynomial:
    """‖M‖_F² = tr(MᵀM) as a trace polynomial."""
    pairs = product(polynomial.items(), repeat=2)
    return _collected((cyclic(transposed(u) + v), a * b) for (u, a), (v, b) in pairs)


def total(polynomials: Iterable[Polynomial]) -> Polynomial:
    """Sum of polynomials."""
    return _collected(term for polynomial in polynomials for term in polynomial.items())


def product_of(word: Word) -> sp.MatrixExpr:
    """A non-empty word as a sympy product."""
    return sp.MatMul(*(symbol.T if flag else symbol for symbol, flag in word)).doit()


def as_matrix(polynomial: Polynomial, shape: tuple[sp.Expr, sp.Expr]) -> sp.MatrixExpr:
    """A matrix polynomial as a sympy expression of the given shape."""
    terms = [
        sp.MatMul(c, product_of(word) if word else sp.Identity(shape[0])).doit()
        for word, c in polynomial.items()
    ]
    return sp.MatAdd(*terms).doit() if terms else sp.ZeroMatrix(*shape)


def _occurrences(word: Word, variable: sp.MatrixSymbol) -> Iterator[tuple[bool, Word]]:
    """For every occurrence: whether it is transposed, and R, the rest of the cycle."""
    for i, (symbol, flag) in enumerate(word):
        if symbol == variable:
            yield flag, word[i + 1 :] + word[:i]


def _words(expression: sp.MatrixExpr) -> Iterator[tuple[Word, sp.Expr]]:
    match expression:
        case sp.HadamardProduct():
            # sympy transposes the factors instead of the product.
            turned = all(isinstance(factor, sp.Transpose) for factor in expression.args)
            yield ((expression.T if turned else expression, turned),), sp.Integer(1)
        case sp.MatrixSymbol():
            yield ((expression, False),), sp.Integer(1)
        case sp.Identity():
            yield (), sp.Integer(1)
        case sp.ZeroMatrix():
            return
        case sp.Transpose():
            yield from ((transposed(word), c) for word, c in _words(expression.arg))
        case sp.MatAdd():
            for argument in expression.args:
                yield from _words(argument)
        case sp.MatMul():
            scalar, factors = expression.as_coeff_matrices()
            yield from _products(scalar, factors)
        case sp.MatPow() if expression.exp.is_Integer and expression.exp.is_positive:
            yield from _products(sp.Integer(1), [expression.base] * int(expression.exp))
        case _:
            raise ProblemError(
                f"value: {expression} is no polynomial in matrix symbols; build it from "
                "MatrixSymbol by sums, products, HadamardProduct, .T and whole powers, inside Trace"
            )


def _products(scalar: sp.Expr, factors: Iterable[sp.MatrixExpr]) -> Iterator[tuple[Word, sp.Expr]]:
    for terms in product(*(list(_words(factor)) for factor in factors)):
        word = tuple(factor for part, _ in terms for factor in part)
        yield word, sp.Mul(scalar, *(c for _, c in terms))


def _traced_words(expression: sp.Expr) -> Iterator[tuple[Word, sp.Expr]]:
    scalar, rest = expression.as_independent(sp.MatrixSymbol, as_Add=False)
    if isinstance(rest, sp.Trace):
        yield from ((word, scalar * c) for word, c in _words(rest.arg))
    elif isinstance(rest, sp.Add):
        for argument in rest.args:
            yield from _traced_words(scalar * argument)
    else:
        raise ProblemError(
            f"value: {expression} is not a sum of traces; write the model as Trace(…), linear in "
            "its data"
        )


def _collected(terms: Iterable[tuple[Word, sp.Expr]]) -> Polynomial:
    sums: defaultdict[Word, sp.Expr] = defaultdict(lambda: sp.Integer(0))
    for word, coefficient in terms:
        sums[word] += coefficient
    return {word: sums[word] for word in sorted(sums, key=_order) if sums[word] != 0}


def _order(word: Word) -> tuple[int, tuple[tuple[str, bool], ...]]:
    return len(word), tuple((str(letter), flag) for letter, flag in word)
