"""Points of a zero set to 50 digits: Levenberg-Marquardt from a start, Newton to the end.

Slopes are evaluated in floats; only the residual, which says how far a point is from the set, is
evaluated to the digits asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp
from mpmath import fp, mp

from ..bundles import flattened, is_sequence_of_scalars, restored
from ..calculus import WithoutCaches, jacobian
from ..zero_tests import DIGITS
from .linear import combine, gram, independent_rows, norm, solve
from .programs import Program

WORKING_DIGITS = DIGITS + 10
SEARCH_STEPS = 60
POLISH_STEPS = 40

FOUND = 1e-13
"""Residual at which the search stops."""

NEAR = 1e-10
"""Fraction of the residual at the start (or of one) at which a point can be polished."""

SETTLED = 1e-3
"""Fraction of the distance to the origin that the last step of a search may have."""

REDUNDANT = 1e-13
"""Least damping in units of the largest |∇r|², without which redundant equations divide by zero."""

ARITHMETIC_FAILURES = (ZeroDivisionError, ValueError, OverflowError, TypeError)
"""What arithmetic raises where an iteration leaves the domain of the model's functions."""

Point = tuple[Any, ...]
"""Values of the weights, then of the parameters."""


def evaluator(symbols: Sequence[sp.Symbol], bundle: Any) -> Callable[[Sequence[Any]], Any]:
    """Compile a bundle of expressions for mpmath: a function of one value per symbol.

    Its values are a bundle like the given one; those of a sequence of expressions are a list.
    """
    if is_sequence_of_scalars(bundle):
        return Program(symbols, bundle).value
    program = Program(symbols, flattened(bundle))
    return lambda point: restored(bundle, program.value(point))


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
    def _program(self) -> Program:
        return Program(self.weights + self.parameters, self.equations)

    @cached_property
    def rows(self) -> list[list[sp.Expr]]:
        """Dr as expressions, one row per equation."""
        return jacobian(self.equations, self.weights)

    def jacobian(self, point: Point) -> list[list[Any]]:
        """Dr at a point, to 50 digits, one row per equation."""
        with mpmath.workdps(max(WORKING_DIGITS, mp.dps)):
            return self._program.jacobian(point, len(self.weights))

    def sharpened(self, point: Point, rows: Sequence[int]) -> Point:
        """A solution to mpmath's working precision, from one to 50 digits.

        Parameters
        ----------
        point : Point
            The solution to 50 digits.
        rows : sequence of int
            A maximal set of equations that are independent there.
        """
        slopes = self.jacobian(point)
        matrix = mpmath.matrix([slopes[i] for i in rows])
        for _ in range(mp.dps // DIGITS):  # each pass gains the digits that the slopes have
            values = self._program.value(point)
            residual = mpmath.matrix([values[i] for i in rows])
            point = self._move(point, list(matrix.T * mpmath.lu_solve(matrix * matrix.T, residual)))
        return point

    def solve(self, start: Point) -> Point | None:
        """Solution near `start` to 50 digits, or None where the iteration does not find one."""
        near = self.search(start)
        return near and self.polish(near)

    def search(self, start: Point) -> Point | None:
        """Solution to about ten digits: Levenberg-Marquardt with the damping |r|²."""
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

    def _slopes(self, point: Point) -> list[list[float]]:
        return self._program.jacobian([float(x) for x in point], len(self.weights), fp)

    def _move(self, point: Point, step: Sequence[Any]) -> Point:
        n = len(self.weights)
        return (*(x - s for x, s in zip(point[:n], step, strict=True)), *point[n:])

    def _search(self, start: Point) -> Point | None:
        n = len(self.weights)
        point: Point = tuple(float(x) for x in start)
        r = self._program.value(point, fp)
        size = size_at_start = norm(r, fp)
        damping, last = 1.0, 0.0
        for _ in range(SEARCH_STEPS):
            # Steps that do not die out lead to infinity, where a residual may vanish too.
            if size < FOUND and last < SETTLED * (1 + norm(point[:n], fp)):
                break
            rows = self._slopes(point)
            normal = gram(rows)
            floor = REDUNDANT * max(row[k] for k, row in enumerate(normal))
            for k, row in enumerate(normal):
                row[k] += damping * min(size, 1.0) ** 2 + floor
            step = combine(rows, solve(normal, r), fp)
            moved = self._move(point, step)
            r_moved = self._program.value(moved, fp)
            size_moved = norm(r_moved, fp)
            if size_moved < size:
                point, r, size, last = moved, r_moved, size_moved, norm(step, fp)
                damping /= 4
            else:
                damping *= 8
        if size > NEAR * max(1.0, size_at_start) or last > SETTLED * (1 + norm(point[:n], fp)):
            return None
        return (*map(mp.mpf, point[:n]), *start[n:])

    def _polish(self, point: Point) -> Point | None:
        """Newton on a maximal independent set of the equations; all must vanish at the end."""
        rows = independent_rows(self._slopes(point), 1e-5, fp)
        for _ in range(POLISH_STEPS if rows else 0):
            r, slopes = self._program.value(point), self._slopes(point)
            chosen = [slopes[i] for i in rows]
            step = combine(chosen, solve(gram(chosen), [float(r[i]) for i in rows]), fp)
            point = self._move(point, step)
            if norm(step, fp) < 10.0 ** -(DIGITS + 2):
                break
        return point if self._vanishes(point) else None

    def _vanishes(self, point: Point) -> bool:
        return bool(mpmath.norm(self._program.value(point)) < mpmath.mpf(10) ** -(DIGITS - 5))


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
