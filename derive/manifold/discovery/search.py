"""The search for a first point of Γ."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ...model.problem import NoisyGradientDescent
from ...symbolic.calculus import WithoutCaches
from ...symbolic.numbers.programs import Program
from ...symbolic.numbers.roots import WORKING_DIGITS, Point, System, evaluator
from ..constraints import Square, localise, read_squares
from ..local_geometry import Probe
from ..points import respects_signs, show_point
from .admissible import admissible_values

TRIES = 60

LOW_TRIES = 12
"""Starts after which the lowest of the minima that were found is taken."""

LARGEST_DENOMINATOR = 10**6
"""Of a fraction that a minimum is taken to be; that it is one is shown by what it leaves."""

TINY = mpmath.mpf(10) ** -40


@dataclass(frozen=True)
class Search(WithoutCaches):
    """Looks for a first point of Γ, where some equations hold.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose Γ is sought.
    squares : tuple of (c, r), or None
        Terms of L = ½ Σ c r² + constant near Γ, up to terms of third order in the r.
    equations : tuple of Expr
        What holds on Γ.
    """

    problem: NoisyGradientDescent
    squares: tuple[Square, ...] | None
    equations: tuple[sp.Expr, ...]

    @cached_property
    def system(self) -> System:
        """The equations, to be solved."""
        return System(self.problem.weights, self.problem.parameters, self.equations)

    def probe_at(self, base: Point) -> Probe:
        """The loss and the constraints of Γ near a point of it."""
        p, vanishes = self.problem, self.vanishing_at(base)
        squares = self.squares and localise(self.squares, vanishes)
        equations = self.equations
        if p.constraints is None and squares is not None:
            equations = tuple(r for _, r in squares)
        elif p.constraints is None:
            equations = self._inner_equations(vanishes, base) or equations
        system = self.system
        if equations != system.equations:
            system = System(p.weights, p.parameters, equations)
        return Probe(p, squares, system)

    def _inner_equations(
        self, vanishes: Callable[[sp.Expr], bool], base: Point
    ) -> tuple[sp.Expr, ...]:
        """Sums inside L that vanish at the base point, as g in 1 − cos g, if they describe Γ."""
        p = self.problem
        inner = {
            e
            for e in sp.preorder_traversal(p.loss)
            if e.is_Add and e != p.loss and e.free_symbols & set(p.weights) and vanishes(e)
        }
        equations = tuple(sorted(inner, key=sp.default_sort_key))
        probe = Probe(p, None, System(p.weights, p.parameters, equations))
        return equations if equations and probe.geometry(base).is_regular else ()

    def vanishing_at(self, point: Point) -> Callable[[sp.Expr], bool]:
        """Whether an expression is zero at a point."""
        symbols = self.system.weights + self.system.parameters

        def vanishes(factor: sp.Expr) -> bool:
            with mpmath.workdps(WORKING_DIGITS):
                return bool(abs(evaluator(symbols, [factor])(point)[0]) < TINY)

        return vanishes

    def starts(self) -> Iterator[Point]:
        """Starting points: near the given point, or random."""
        p, rng = self.problem, random.Random(1)
        for k in range(TRIES):
            parameters = admissible_values(p, rng)
            if p.near is None:
                width = 1 + k / TRIES
                weights = [mpmath.mpf(rng.uniform(-width, width)) for _ in p.weights]
                weights = [
                    abs(x) if w.is_nonnegative else -abs(x) if w.is_nonpositive else x
                    for w, x in zip(p.weights, weights, strict=True)
                ]
            else:
                if k > 3:
                    return
                weights = _numbers(p.near, p.parameters, parameters)
                weights = [x + (k and mpmath.mpf(rng.gauss(0, 1e-3))) for x in weights]
            yield (*weights, *parameters)

    def attempt(self) -> Attempt:
        """A point of Γ, or what was found instead.

        Squares are zero together or not at all; of other stationary points, which a random start
        leads to, the lowest minimum is taken.
        """
        lowest: tuple[Any, Point] | None = None
        other = approached = None
        for k, start in enumerate(self.starts()):
            near = self.system.search(start)
            point = near and self.system.polish(near)
            if point is None or not respects_signs(self.problem, point):
                approached = approached or near
            elif not self._is_stationary(point):
                other = point
            elif self.squares is not None or self.problem.near is not None:
                return Attempt(point)
            else:
                height = self.height(point)
                if lowest is None or height < lowest[0] - TINY:
                    if self.probe_at(point).geometry(point).is_regular:
                        lowest = height, point
                    else:
                        other = point
            if lowest is not None and (abs(lowest[0]) < TINY or k >= LOW_TRIES):
                break
        return Attempt(None if lowest is None else lowest[1], other, approached)

    def lowered(self, point: Point) -> Search:
        """The search for squares that are left of L when its minimum, a fraction, is subtracted."""
        p = self.problem
        if self.squares is not None or p.constraints is not None or p.parameters:
            return self
        height = self.height(point)
        minimum = sp.Rational(str(height)).limit_denominator(LARGEST_DENOMINATOR)
        if minimum == 0 or abs(height - mpmath.mpf(minimum.p) / minimum.q) > TINY:
            return self
        squares = read_squares(p.loss - minimum, frozenset(p.weights))
        return self if squares is None else Search(p, squares, tuple(r for _, r in squares))

    def _is_stationary(self, point: Point) -> bool:
        """Whether ∇L = 0 where the equations hold, and the squares vanish."""
        vanishes = self.vanishing_at(point)
        residuals = () if self.problem.constraints is None else self.squares or ()
        return self.slope(point) < TINY and all(vanishes(r) for _, r in residuals)

    def height(self, point: Point) -> Any:
        """L at a point."""
        with mpmath.workdps(WORKING_DIGITS):
            return self._loss.value(point)[0]

    def slope(self, point: Point) -> Any:
        """|∇L| at a point."""
        with mpmath.workdps(WORKING_DIGITS):
            return mpmath.norm(self._loss.gradient(point, self.problem.dimension))

    @cached_property
    def _loss(self) -> Program:
        return Program(self.problem.weights + self.problem.parameters, [self.problem.loss])

    def show(self, point: Point) -> str:
        """A point in words."""
        return show_point(self.problem, point)


@dataclass(frozen=True)
class Attempt:
    """What a search comes to.

    Attributes
    ----------
    found : Point or None
        A point of Γ.
    other : Point or None
        A solution of the equations that is none.
    approached : Point or None
        Where the search went without arriving.
    """

    found: Point | None
    other: Point | None = None
    approached: Point | None = None


def _numbers(near: Any, parameters: Any, values: list[Any]) -> list[Any]:
    bound = dict(zip(parameters, values, strict=True))
    with mpmath.workdps(WORKING_DIGITS):
        return [mpmath.mpmathify(sp.N(x.subs(bound), WORKING_DIGITS)) for x in near]
