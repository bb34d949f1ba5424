"""Points of a zero set to 50 digits: Levenberg-Marquardt from a start, Newton to the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from .calculus import WithoutCaches, jacobian
from .verdict import DIGITS

WORKING_DIGITS = DIGITS + 10
SEARCH_DIGITS = 20
SEARCH_STEPS = 60

ARITHMETIC_FAILURES = (ZeroDivisionError, ValueError, OverflowError, TypeError)
"""What mpmath raises where an iteration leaves the domain of the model's functions."""

Point = tuple[Any, ...]
"""Values of the weights, then of the parameters."""


def evaluator(symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> Callable[..., Any]:
    """Compile expressions for mpmath; called with one value a symbol, returns a list of values."""
    function = sp.lambdify(list(symbols), list(expressions), modules="mpmath", cse=True)
    return lambda point: [mpmath.mpmathify(value) for value in function(*point)]


@dataclass(frozen=True)
class System(WithoutCaches):
    """Equations r(w) = 0 whose solutions are sought.

    Attributes
    ----------
    weights, parameters : tuple of Symbol
        Unknowns, and symbols with given values.
    equations : tuple of Expr
        r_1, …, r_n; they may be redundant.
    """

    weights: tuple[sp.Symbol, ...]
    parameters: tuple[sp.Symbol, ...]
    equations: tuple[sp.Expr, ...]

    @cached_property
    def _value(self) -> Callable[..., Any]:
        return evaluator(self.weights + self.parameters, self.equations)

    @cached_property
    def rows(self) -> list[list[sp.Expr]]:
        """Dr as expressions, a row an equation."""
        return jacobian(self.equations, self.weights)

    @cached_property
    def _slopes(self) -> Callable[..., Any]:
        return evaluator(self.weights + self.parameters, [x for row in self.rows for x in row])

    def residual(self, point: Point) -> Any:
        """R at a point, as a column."""
        return mpmath.matrix(self._value(point))

    def jacobian(self, point: Point) -> Any:
        """Dr at a point, shape (n, N)."""
        flat, n = self._slopes(point), len(self.weights)
        return mpmath.matrix([flat[i : i + n] for i in range(0, len(flat), n)])

    def solve(self, start: Point) -> Point | None:
        """Solution near `start` to 50 digits, or None where the iteration does not find one."""
        near = self.search(start)
        return near and self.polish(near)

    def search(self, start: Point) -> Point | None:
        """Solution to about ten digits: Levenberg-Marquardt with the damping |r|²."""
        with mpmath.workdps(SEARCH_DIGITS):
            try:
                return self._search(start)
            except ARITHMETIC_FAILURES:
                return None

    def polish(self, near: Point) -> Point | None:
        """Solution to 50 digits from one to ten, or None where the Jacobian loses rank."""
        with mpmath.workdps(WORKING_DIGITS):
            try:
                return self._polish(near)
            except ARITHMETIC_FAILURES:
                return None

    def _move(self, point: Point, step: Any) -> Point:
        n = len(self.weights)
        return (*(x - s for x, s in zip(point[:n], step, strict=True)), *point[n:])

    def _search(self, point: Point) -> Point | None:
        r = self.residual(point)
        size = mpmath.norm(r)
        damping = mpmath.mpf(1)
        for _ in range(SEARCH_STEPS):
            if size < mpmath.mpf(10) ** (-SEARCH_DIGITS + 6):
                return point
            j = self.jacobian(point)
            gram = j * j.T + damping * min(size, 1) ** 2 * mpmath.eye(r.rows)
            moved = self._move(point, j.T * mpmath.lu_solve(gram, r))
            r_moved = self.residual(moved)
            size_moved = mpmath.norm(r_moved)
            if size_moved < size:
                point, r, size = moved, r_moved, size_moved
                damping /= 4
            else:
                damping *= 8
        return None

    def _polish(self, point: Point) -> Point | None:
        """Newton on a maximal independent set of the equations; all must vanish at the end."""
        rows = independent_rows(self.jacobian(point), mpmath.mpf(10) ** -5)
        if not rows:
            return point if self._vanishes(point) else None
        for _ in range(8):
            r = self.residual(point)
            j = self.jacobian(point)
            r_sub = mpmath.matrix([r[i] for i in rows])
            j_sub = mpmath.matrix([[j[i, k] for k in range(j.cols)] for i in rows])
            step = j_sub.T * mpmath.lu_solve(j_sub * j_sub.T, r_sub)
            point = self._move(point, step)
            if mpmath.norm(step) < mpmath.mpf(10) ** -(DIGITS + 2):
                break
        return point if self._vanishes(point) else None

    def _vanishes(self, point: Point) -> bool:
        return bool(mpmath.norm(self.residual(point)) < mpmath.mpf(10) ** -(DIGITS - 5))


def independent_rows(matrix: Any, tolerance: Any) -> list[int]:
    """Indices of a maximal set of linearly independent rows (Gram-Schmidt, largest first)."""
    rest = [[matrix[i, k] for k in range(matrix.cols)] for i in range(matrix.rows)]
    scale = max((mpmath.norm(row) for row in rest), default=0)
    chosen: list[int] = []
    while scale and len(chosen) < min(matrix.rows, matrix.cols):
        norms = [mpmath.norm(row) for row in rest]
        best = max(range(len(rest)), key=norms.__getitem__)
        if norms[best] <= tolerance * scale:
            break
        chosen.append(best)
        unit = [x / norms[best] for x in rest[best]]
        rest = [_without(row, unit) for row in rest]
    return sorted(chosen)


def orthonormal_rows(matrix: Any, rows: Sequence[int]) -> list[list[Any]]:
    """Orthonormal basis of the span of the chosen rows."""
    basis: list[list[Any]] = []
    for i in rows:
        row = [matrix[i, k] for k in range(matrix.cols)]
        for unit in basis:
            row = _without(row, unit)
        size = mpmath.norm(row)
        basis.append([x / size for x in row])
    return basis


def _without(row: list[Any], unit: list[Any]) -> list[Any]:
    part = mpmath.fdot(row, unit)
    return [x - part * u for x, u in zip(row, unit, strict=True)]


def random_values(symbols: Sequence[sp.Symbol], rng: random.Random) -> list[Any]:
    """Generic values of parameters that respect their assumptions."""
    values = []
    for s in symbols:
        if s.is_integer:
            value: Any = rng.randint(2, 9)
        else:
            value = mpmath.mpf(rng.randint(400, 1600)) / 1009
        allowed_sign = s.is_positive or s.is_nonnegative
        values.append(mpmath.mpf(value if allowed_sign or rng.random() < 0.7 else -value))
    return values
