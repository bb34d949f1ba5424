"""How much work symbolic algebra may be: every bound of it, and how work is counted.

Cancelling, factoring, Gröbner bases and inverses of symbolic matrices have no bound of their own:
an expression of a hundred operations may take a minute, and its result fill a book. Work is
therefore counted before it is done, in operations of the expressions that go in, never in seconds,
so that the answer is the same on every machine. What passes takes some tenths of a second; what
does not is left as it stands: a verdict rests on 50-digit values at points of Γ, a limit has no
closed form (None) and is evaluated point by point.

Expressions are directed graphs whose parts recur. Building them costs what their distinct parts
cost, all else (counting, replacing, expanding) what the tree costs, which may be exponentially
larger; all counts here are of the tree, found in one pass over the distinct parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import sympy as sp

DEGREE = 40
"""Degree up to which polynomials are divided and factored: a short power may have thousands of
terms."""

TERMS = 15_000
"""Terms, multiplied out, up to which a polynomial is expanded to be divided or factored."""

DIVISION = 100_000
"""Terms that a division by the constraints may go through, some tenths of a second of it."""

EXPANDED = 20_000
"""Terms up to which an expression is multiplied out to see that it is zero, the cheapest proof."""

REDUCED = 1500
"""Operations up to which membership in the ideal of the constraints is tried."""

SHORTENED = 2500
"""Operations times the square of the number of unknowns up to which a shorter form is sought by
cancelling and factoring, and a fraction is cancelled: nobody would read what is longer."""

SHORTENED_IN_ALL = 70_000
"""Operations times the square of the degree, in the entries of one matrix together, up to which
shorter forms of them are sought, from the shortest on: about five seconds at most."""

BASIS = 3
"""Number of constraints up to which their Gröbner basis is computed."""

BASIS_DEGREE = 16
"""Product of their degrees (the number of their common zeros, by Bézout) up to which it is."""

BASIS_TERMS = 40
"""Terms of them together up to which it is: with generic coefficients the basis is dense."""

WRITTEN_OUT = 1000
"""Samples times weights up to which a mean, or a model in matrices, is written out for a question
that needs all its residuals at 50 digits: some seconds."""

FACTORED = 400
"""Operations up to which factoring an expanded loss is tried, to read one square off it."""

FRAME_CONSTRAINTS = 3
"""Number of independent constraints up to which the projector is written in closed form: its
denominator is the determinant of their Gram matrix."""

FRAME = 150
"""Operations in their gradients up to which it is."""

PROVED = 3000
"""Distinct operations up to which a proof is attempted of what is zero at all points."""

SIMPLIFIED = 60
"""Operations up to which sympy's `simplify`, which tries everything, is asked."""

WEIGHTS = 6
"""Number of weights up to which the drift of Theorem B is written by its general formula."""

READABLE = 600
"""Operations up to which a closed form is worth reading."""

BUILT = 20 * READABLE
"""Operations up to which a matrix is built on the way to a closed form: a factor of twenty is the
most that cancelling and reduction on Γ were seen to take away again."""

ELIMINATED = 70_000
"""Operations times the degree, in the entries of a linear system together, up to which it is solved
over the rational functions: common divisors in several unknowns are what takes the time."""

SOLVED = 300
"""Operations in a field up to which the parameters at which it stops are solved for."""


class TooLong(Exception):
    """A closed form is not worth the work; raised and caught inside the package."""


def operations(*items: sp.Basic | sp.MatrixBase) -> int:
    """Number of operations of expressions and matrices together, about what sympy counts."""
    known: dict[sp.Basic, int] = {}

    def count(e: sp.Basic) -> int:
        if not e.args:
            return 0
        found = known.get(e)
        if found is None:
            found = known[e] = _own_operations(e) + sum(map(count, e.args))
        return found

    return sum(count(e) for item in items for e in _entries(item))


def _own_operations(e: sp.Basic) -> int:
    """Operations between the parts of an expression; signs and reciprocals are part of others."""
    if isinstance(e, sp.Add):
        return len(e.args) - 1
    if isinstance(e, sp.Mul):
        return len(e.args) - (2 if e.args[0] is sp.S.NegativeOne else 1)
    return 0 if isinstance(e, sp.Pow) and e.exp is sp.S.NegativeOne else 1


def _entries(item: sp.Basic | sp.MatrixBase) -> Iterable[sp.Basic]:
    return item.flat() if isinstance(item, sp.MatrixBase) else (item,)


def within(limit: int, *items: sp.Basic | sp.MatrixBase) -> bool:
    """Whether expressions and matrices together have at most so many operations."""
    return operations(*items) <= limit


def require(limit: int, *items: sp.Basic | sp.MatrixBase) -> None:
    """Raise `TooLong` for more operations."""
    if not within(limit, *items):
        raise TooLong


def product_operations(*factors: sp.MatrixBase) -> int:
    """Operations of a product of matrices, without building it."""
    sizes = [_sizes(matrix) for matrix in factors]
    product = sizes[0]
    for size in sizes[1:]:
        columns = list(zip(*size, strict=True))
        product = [[_dot(row, column) for column in columns] for row in product]
    return sum(max(0, x - 1) for row in product for x in row)


def _sizes(matrix: sp.MatrixBase) -> list[list[int]]:
    """1 + operations of each entry, 0 for an entry that is zero."""
    return [[0 if x == 0 else 1 + operations(x) for x in row] for row in matrix.tolist()]


def _dot(row: Sequence[int], column: Sequence[int]) -> int:
    return sum(a + b for a, b in zip(row, column, strict=True) if a and b)


def expanded_terms(expression: sp.Expr) -> int:
    """Bound on the terms of the expression multiplied out, or of an argument of a function."""
    return _counted(expression, _terms)


def _terms(e: sp.Basic, count: Callable[[sp.Basic], int]) -> int:
    if isinstance(e, sp.Add):
        return sum(map(count, e.args))
    if isinstance(e, sp.Mul):
        return math.prod(map(count, e.args))
    if isinstance(e, sp.Pow) and e.exp.is_Integer:
        n, terms = abs(int(e.exp)), count(e.base)
        return 1 if terms == 1 else math.comb(terms + n - 1, min(n, terms - 1))
    return max(map(count, e.args), default=1)


def degree(expression: sp.Expr) -> int:
    """Bound on the degree of numerator and denominator, each function taken as an unknown."""
    return _counted(expression, _degree)


def _degree(e: sp.Basic, count: Callable[[sp.Basic], int]) -> int:
    if isinstance(e, sp.Add):
        return max(map(count, e.args))
    if isinstance(e, sp.Mul):
        return sum(map(count, e.args))
    if isinstance(e, sp.Pow) and e.exp.is_Integer:
        return abs(int(e.exp)) * count(e.base)
    if isinstance(e, sp.Symbol):
        return 1
    return min(1, max(map(count, e.args), default=0))


def _counted(
    expression: sp.Basic, rule: Callable[[sp.Basic, Callable[[sp.Basic], int]], int]
) -> int:
    """A count of a tree by its rule for one operation, each distinct part visited once."""
    known: dict[sp.Basic, int] = {}

    def count(e: sp.Basic) -> int:
        found = known.get(e)
        if found is None:
            found = known[e] = rule(e, count)
        return found

    return count(expression)


def unknowns(expression: sp.Expr) -> int:
    """Symbols and functions that algebra treats as indeterminates."""
    return len(expression.free_symbols) + len(expression.atoms(sp.Function))


def shortening(expression: sp.Expr) -> int:
    """The work of cancelling and factoring an expression, to be compared with `SHORTENED`."""
    size = operations(expression)
    if size > SHORTENED:
        return size
    if degree(expression) > DEGREE or expanded_terms(expression) > TERMS:
        return SHORTENED + 1
    return size * unknowns(expression) ** 2


def cancelled(expression: sp.Expr) -> sp.Expr:
    """A fraction in lowest terms, or as it stands where that is too much work."""
    return sp.cancel(expression) if shortening(expression) <= SHORTENED else expression
