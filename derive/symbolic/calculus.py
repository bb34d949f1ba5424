"""Derivatives, substitution and small matrix algebra, independent of the domain.

Expressions are walked part by part, each distinct part once, and parts that do not hold the symbols
in question are left alone, so that the cost follows the sparsity of the model and not the square or
cube of the number of weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import sympy as sp

from .effort import BUILT, SHORTENED, TooLong, cancelled, require, shortening
from .kinks import on_the_pieces
from .means import Mean

NOTHING: frozenset[sp.Symbol] = frozenset()

INFINITE = frozenset((sp.oo, -sp.oo, sp.zoo, sp.nan))

LONG = 4
"""Terms up to which the argument of a function is worth a search for a shorter form."""


class WithoutCaches:
    """Makes a dataclass travel between processes without its cached properties.

    They may hold compiled functions, which do not, and are computed anew when asked for.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


class Occurrence:
    """Which of some symbols occur in an expression; remembers the answer for each part."""

    def __init__(self, symbols: Iterable[sp.Symbol]) -> None:
        self._sets = {NOTHING: NOTHING} | {frozenset((s,)): frozenset((s,)) for s in symbols}
        self._found: dict[sp.Basic, frozenset[sp.Symbol]] = {
            s: one for one in self._sets for s in one
        }

    def __call__(self, expression: sp.Basic) -> frozenset[sp.Symbol]:
        """The symbols that occur."""
        found = self._found.get(expression)
        if found is None:
            found = NOTHING.union(*map(self, expression.args))
            # Many parts hold the same symbols; each set is kept once.
            found = self._found[expression] = self._sets.setdefault(found, found)
        return found


class Differentiator:
    """Derivatives in some variables of expressions that share parts.

    Parameters
    ----------
    variables : sequence of Symbol
        What is differentiated in.
    occurrence : Occurrence, optional
        Which of them occur where.
    at_kinks : bool
        Whether a jump has Dirac's δ for a derivative; if not, derivatives are those of the smooth
        pieces.
    """

    def __init__(
        self,
        variables: Sequence[sp.Symbol],
        occurrence: Occurrence | None = None,
        at_kinks: bool = False,
    ) -> None:
        self._at_kinks = at_kinks
        self._variables = tuple(variables)
        self._occurrence = occurrence or Occurrence(variables)
        self._known: dict[sp.Basic, dict[sp.Symbol, sp.Expr]] = {
            v: {v: sp.S.One} for v in self._variables
        }

    def gradient(self, expression: sp.Expr) -> list[sp.Expr]:
        """Partial derivatives, one per variable."""
        slopes = self.slopes(expression)
        return [slopes.get(v, sp.S.Zero) for v in self._variables]

    def slopes(self, e: sp.Expr) -> dict[sp.Symbol, sp.Expr]:
        """The derivatives that are not zero, by variable."""
        found = self._known.get(e)
        if found is None:
            found = {} if self._occurrence(e).isdisjoint(self._variables) else self._rule(e)
            self._known[e] = found
        return found

    def _rule(self, e: sp.Expr) -> dict[sp.Symbol, sp.Expr]:
        if e.is_Add:
            return _sum((v, slope) for term in e.args for v, slope in self.slopes(term).items())
        if e.is_Mul:
            return _sum(
                (v, sp.Mul(*e.args[:i], slope, *e.args[i + 1 :]))
                for i, factor in enumerate(e.args)
                for v, slope in self.slopes(factor).items()
            )
        if isinstance(e, Mean):
            return {v: e.samples.of(slope) for v, slope in self.slopes(e.summand).items()}
        if isinstance(e, sp.Pow) and not self.slopes(e.exp):
            return self._chain(e.base, e.exp, e.base ** (e.exp - 1))
        if len(e.args) == 1 and type(e)._eval_derivative is sp.Function._eval_derivative:
            return self._chain(e.args[0], self._off_kinks(_derivative(e)))
        occurring = self._occurrence(e).intersection(self._variables)
        slopes = {v: self._off_kinks(e.diff(v)) for v in occurring}
        return {v: slope for v, slope in slopes.items() if slope != 0}

    def _off_kinks(self, slope: sp.Expr) -> sp.Expr:
        return slope if self._at_kinks else on_the_pieces(slope)

    def _chain(self, inner: sp.Expr, *outer: sp.Expr) -> dict[sp.Symbol, sp.Expr]:
        # One product: a number would be distributed over a sum, which then is no longer shared.
        slopes = {v: sp.Mul(*outer, slope) for v, slope in self.slopes(inner).items()}
        return slopes if 0 not in outer else {}


def _derivative(e: sp.Function) -> sp.Expr:
    """f'(u) for e = f(u), in terms of e itself where sympy would evaluate f(u) again."""
    if isinstance(e, sp.exp):
        return e
    return 1 - e**2 if isinstance(e, sp.tanh) else e.fdiff()


def _sum(terms: Iterable[tuple[sp.Symbol, sp.Expr]]) -> dict[sp.Symbol, sp.Expr]:
    collected: dict[sp.Symbol, list[sp.Expr]] = {}
    for v, term in terms:
        collected.setdefault(v, []).append(term)
    sums = {v: sp.Add(*parts) for v, parts in collected.items()}
    return {v: total for v, total in sums.items() if total != 0}


class Substitution:
    """Values for symbols, put into expressions that share parts.

    Parameters
    ----------
    values : mapping of Symbol to Expr
        What to put for each symbol.
    occurrence : Occurrence, optional
        Which of the symbols occur where.
    before : Substitution, optional
        Another one of the same symbols, whose results hold where the values agree.
    """

    def __init__(
        self,
        values: Mapping[sp.Symbol, sp.Expr],
        occurrence: Occurrence | None = None,
        before: Substitution | None = None,
    ) -> None:
        self._values = dict(values)
        self._occurrence = occurrence or Occurrence(values)
        self._before = before
        old = before._values if before is not None else {}
        self._changed = {s for s, value in self._values.items() if old.get(s) != value}
        self._known: dict[sp.Basic, sp.Basic] = dict(values)

    def instead(self, values: Mapping[sp.Symbol, sp.Expr]) -> Substitution:
        """The same values but for some, sharing the work on the parts without those."""
        return Substitution(self._values | dict(values), self._occurrence, self)

    def __call__(self, expression: sp.Expr) -> sp.Expr:
        """The expression with the values put in."""
        found = self._known.get(expression)
        if found is None:
            found = self._known[expression] = self._put(expression)
        return found

    def _put(self, e: sp.Basic) -> sp.Basic:
        symbols = self._occurrence(e)
        if not symbols:
            return e
        if self._before is not None and symbols.isdisjoint(self._changed):
            return self._before(e)
        return rebuilt(e, [self(part) for part in e.args])


def rebuilt(e: sp.Basic, arguments: Sequence[sp.Basic]) -> sp.Basic:
    """The operation of an expression on other arguments, without needless work of sympy's.

    A dropped term leaves the rest of a sum as it is; a product with a factor 0 is 0 without a look
    at the size of the others; functions of long sums are not evaluated, for sympy searches a tenth
    of a second for a shorter form, and finds none.
    """
    if e.is_Mul and sp.S.Zero in arguments and not INFINITE.intersection(arguments):
        return sp.S.Zero
    if e.is_Add and all(new in (0, old) for old, new in zip(e.args, arguments, strict=True)):
        return e._new_rawargs(*(a for a in arguments if a != 0))
    if isinstance(e, sp.Function) and any(a.is_Add and len(a.args) > LONG for a in arguments):
        return e.func(*arguments, evaluate=False)
    return e.func(*arguments)


def gradient(expression: sp.Expr, variables: Sequence[sp.Symbol]) -> list[sp.Expr]:
    """Partial derivatives of an expression."""
    return Differentiator(variables).gradient(expression)


def jacobian(expressions: Iterable[sp.Expr], variables: Sequence[sp.Symbol]) -> list[list[sp.Expr]]:
    """Rows of first derivatives, one row per expression."""
    return list(map(Differentiator(variables).gradient, expressions))


def symmetric_derivatives(
    first: Sequence[sp.Expr], variables: Sequence[sp.Symbol]
) -> Iterator[tuple[int, int, sp.Expr]]:
    """Non-zero second derivatives (i, j, value) with i ≤ j, from the first derivatives."""
    differentiator = Differentiator(variables)
    for i, entry in enumerate(first):
        for j, value in enumerate(differentiator.gradient(entry)[i:], start=i):
            if value != 0:
                yield i, j, value


def semidefinite_factor(matrix: sp.MatrixBase) -> sp.Matrix | None:
    """Factor F with F Fᵀ = `matrix`, or None when it is not symmetric positive semi-definite.

    Outer-product Cholesky, which needs no pivoting for a semi-definite matrix and allows singular
    ones. A symbolic pivot of unknown sign is taken to be positive (a generic verdict).

    Raises
    ------
    TooLong
        If a pivot is too long to see whether it is zero.
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
        columns.append(column / sp.sqrt(pivot))
        rest = (rest - column * column.T / pivot).applyfunc(_in_lowest_terms)
    return sp.Matrix.hstack(*columns) if columns else sp.zeros(size, 0)


def _in_lowest_terms(expression: sp.Expr) -> sp.Expr:
    if shortening(expression) > SHORTENED:
        raise TooLong
    return sp.cancel(expression)


def inverse(matrix: sp.Matrix) -> sp.Matrix:
    """Inverse by cofactors, without the zero tests that sympy would run endlessly in.

    Raises
    ------
    TooLong
        If the cofactors together have too many operations.
    """
    size = matrix.rows
    if matrix.is_diagonal():
        return sp.diag(*(1 / matrix[i, i] for i in range(size)))
    minors = _Minors(matrix)
    everything = tuple(range(size))
    whole = minors.of(everything, everything)

    def cofactor(i: int, j: int) -> sp.Expr:
        minor = minors.of(_but(everything, j), _but(everything, i))
        return (-1) ** (i + j) * minor / whole

    return sp.Matrix(size, size, cofactor)


def determinant(matrix: sp.Matrix) -> sp.Expr:
    """Determinant by expansion along rows.

    Raises
    ------
    TooLong
        If it has too many operations.
    """
    everything = tuple(range(matrix.rows))
    return _Minors(matrix).of(everything, everything)


class _Minors:
    """Minors of a matrix by expansion along rows, each computed once."""

    def __init__(self, matrix: sp.Matrix) -> None:
        # Each of the size! products of a determinant takes an entry from each row.
        require(BUILT // math.factorial(matrix.rows), matrix)
        self._matrix = matrix
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], sp.Expr] = {}

    def of(self, rows: tuple[int, ...], columns: tuple[int, ...]) -> sp.Expr:
        if not rows:
            return sp.S.One
        found = self._known.get((rows, columns))
        if found is None:
            terms = (
                (-1) ** k * self._matrix[rows[0], c] * self.of(rows[1:], _but(columns, c))
                for k, c in enumerate(columns)
                if self._matrix[rows[0], c] != 0
            )
            found = self._known[rows, columns] = sp.Add(*terms)
        return found


def _but(items: tuple[int, ...], left_out: int) -> tuple[int, ...]:
    return tuple(x for x in items if x != left_out)


def is_zero(expression: sp.Expr) -> bool:
    """Whether an expression without constraints is recognised as zero (cheap, may miss)."""
    return bool(expression == 0 or expression.is_zero or cancelled(expression) == 0)
