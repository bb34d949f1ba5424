"""Γ near the point of interest: constraints, rank, points, projector, reduction.

Only this module knows how to restrict an expression to Γ.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp
from mpmath import fp

from ..errors import ProblemError
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import Substitution, WithoutCaches, gradient, inverse
from ..symbolic.effort import (
    BUILT,
    FRAME,
    FRAME_CONSTRAINTS,
    PROVED,
    TooLong,
    product_operations,
    require,
    within,
)
from ..symbolic.ideals import Ideal, simpler
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import ARITHMETIC_FAILURES, WORKING_DIGITS, Point, evaluator
from ..symbolic.zero_tests import CLEAR_DIGITS, Proof, Verdict, decide_zero, proved
from ..theory.jets import Jet
from ..theory.katzenberger import NormalFrame, Splitting
from .local_geometry import LocalGeometry, Probe


@dataclass(frozen=True)
class Manifold(WithoutCaches):
    """The regular part of the set Γ of minimisers that contains the base point.

    Attributes
    ----------
    probe : Probe
        The loss and the constraints of Γ.
    base : Point
        A point of Γ to 50 digits.
    search : callable
        Base point ↦ further points, found one by one when they are asked for.
    """

    probe: Probe
    base: Point
    search: Callable[[LocalGeometry], Iterator[LocalGeometry]] = field(compare=False)

    @property
    def problem(self) -> NoisyGradientDescent:
        """The problem whose Γ this is."""
        return self.probe.problem

    @property
    def few(self) -> Manifold:
        """Γ that zero tests are asked of: itself, or that of a few of many samples."""
        return self

    @property
    def constraints(self) -> tuple[sp.Expr, ...]:
        """Expressions whose common zero set is Γ; they may be redundant."""
        return self.probe.system.equations

    @property
    def jet(self) -> Jet:
        """Symbolic derivatives of the loss on Γ."""
        return self.probe.jet

    @property
    def laplacian(self) -> sp.Expr:
        """ΔL on Γ."""
        return sp.sympify(self.jet.trace())

    @cached_property
    def minimum(self) -> sp.Expr:
        """L at the base point: exact where it is seen to be constant on Γ, else to 15 digits."""
        loss, weights = self.problem.loss, self.problem.weights
        constant, rest = loss.as_independent(*weights, as_Add=True)
        found = self.ideal.shortest(rest)
        if not found.free_symbols & {*weights}:
            return constant + found
        value = evaluator(self.symbols, [loss])(self.base)[0]
        return sp.Float(value, 15) if abs(value) > mpmath.mpf(10) ** -CLEAR_DIGITS else sp.S.Zero

    @property
    def codimension(self) -> int:
        """Rank K of H on Γ."""
        return len(self.independent)

    @property
    def dimension(self) -> int:
        """Dimension M of Γ."""
        return self.problem.dimension - self.codimension

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """Weights, then parameters: what a point gives values to."""
        return self.problem.weights + self.problem.parameters

    @cached_property
    def ideal(self) -> Ideal:
        """The ideal of the constraints."""
        return Ideal(self.constraints, self.problem.weights)

    @cached_property
    def splitting(self) -> Splitting | None:
        """Tangent and normal space in closed form; None where they are not worth writing."""
        j = self._normals
        if j is None:
            return None
        try:
            return Splitting(j, self.ideal.shortest_entries(j.T * inverse(self._gram(j))))
        except TooLong:
            return None

    @cached_property
    def _normals(self) -> sp.Matrix | None:
        """J, the gradients of independent constraints, where they are few and short."""
        if self.codimension > FRAME_CONSTRAINTS:
            return None
        rows = self.probe.system.rows
        j = sp.Matrix([rows[i] for i in self.independent])
        return j if within(FRAME, j) else None

    def _gram(self, jacobian: sp.Matrix) -> sp.Matrix:
        """A = J Jᵀ."""
        return self.ideal.shortest_entries(jacobian * jacobian.T)

    @cached_property
    def frame(self) -> NormalFrame | None:
        """Normal frame in closed form, for few constraints; None where it is not worth writing."""
        if self.splitting is None:
            return None
        j, left = self.splitting.jacobian, self.splitting.inverse
        try:
            curvature = self._curvature(j, left)
            return NormalFrame(j, left, curvature, inverse(curvature), self._gram(j))
        except TooLong:
            return None

    def _curvature(self, jacobian: sp.Matrix, left: sp.Matrix) -> sp.Matrix:
        """E with H = Jᵀ E J."""
        squares = self.probe.squares or ()
        if self.probe.squares_are_constraints and len(squares) == jacobian.rows:
            return sp.diag(*(c for c, _ in squares))
        hessian = sp.Matrix(self.jet.hessian())
        require(BUILT, hessian)
        hessian = self.ideal.shortest_entries(hessian)
        if product_operations(left.T, hessian, left) > BUILT:
            raise TooLong
        return self.ideal.shortest_entries(left.T * hessian * left)

    @cached_property
    def projector(self) -> sp.Matrix | None:
        """P in closed form on Γ, or None where it is not worth writing."""
        if self.splitting is None:
            return None
        return self.ideal.shortest_entries(self.splitting.projector)

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """The expression in the shortest form found that is equal to it on Γ."""
        return self.ideal.shortest(expression)

    @cached_property
    def independent(self) -> tuple[int, ...]:
        """Indices of a maximal set of constraints that are independent at the base point."""
        return self.probe.independent(self.base)

    @property
    def points(self) -> tuple[Point, ...]:
        """Points of Γ to 50 digits, the base point first."""
        return tuple(geometry.point for geometry in self.local())

    def local(self) -> Iterator[LocalGeometry]:
        """Γ at each of its points, found when first asked for."""
        for k in itertools.count():
            if k == len(self._found):
                further = next(self._further, None)
                if further is None:
                    return
                self._found.append(further)
            yield self._found[k]

    @cached_property
    def _found(self) -> list[LocalGeometry]:
        return [self.probe.geometry(self.base)]

    @cached_property
    def _further(self) -> Iterator[LocalGeometry]:
        return self.search(self._found[0])

    def named(self, point: Point) -> dict[sp.Symbol, Any]:
        """A point as a mapping from symbols to numbers."""
        return dict(zip(self.symbols, point, strict=True))

    # Zero tests on Γ ------------------------------------------------------------------------

    def vanishes(self, expressions: Sequence[sp.Expr], free: Sequence[sp.Symbol] = ()) -> Verdict:
        """Whether all expressions vanish on Γ, for all values of the `free` symbols."""
        if all(e == 0 for e in expressions):
            return proved("zero as it stands")
        # Fixed irrational values stand for "all values" of the free symbols.
        generic = [mpmath.sqrt(sp.prime(i + 1)) / 2 for i in range(len(free))]
        field = _Field((*self.symbols, *free), expressions)

        def size(geometry: LocalGeometry) -> Any:
            point = (*geometry.point, *generic)
            scale = field.scale(point)
            return max(abs(x) for x in field.value(point)) / scale if scale else scale

        proofs: list[Proof] = [
            ("reduction modulo the constraints", lambda: self._in_ideal(expressions)),
            ("substitution of the chart", lambda: self._zero_in_chart(expressions)),
        ]
        return self.decide(size, proofs)

    def vanishes_along(self, slope: Sequence[sp.Expr]) -> Verdict:
        """Whether the tangential part P g of a vector field vanishes on Γ."""
        if all(e == 0 for e in slope):
            return proved("zero as it stands")
        field = _Field(self.symbols, slope)
        return self._decide_along(field, lambda: slope)

    def constant_along(self, potential: sp.Expr) -> Verdict:
        """Whether P∇f vanishes on Γ: a function is constant on each component of Γ."""
        weights = self.problem.weights
        field = _Slope(self.symbols, potential, len(weights))
        return self._decide_along(field, lambda: gradient(potential, weights))

    def _decide_along(
        self, field: _Field | _Slope, slope: Callable[[], Sequence[sp.Expr]]
    ) -> Verdict:
        def size(geometry: LocalGeometry) -> Any:
            scale = field.scale(geometry.point)
            along = geometry.tangential(field.value(geometry.point))
            return mpmath.norm(along) / scale if scale else scale

        proofs: list[Proof] = [
            ("reduction modulo the constraints", lambda: self._normal_in_ideal(slope())),
            ("substitution of the chart", lambda: self._zero_in_chart(self._pulled_back(slope()))),
        ]
        return self.decide(size, proofs if field.length <= PROVED else ())

    def decide(self, size: Callable[[LocalGeometry], Any], proofs: Sequence[Proof] = ()) -> Verdict:
        """Whether a quantity, given by its relative size at a point of Γ, vanishes on Γ."""

        def checked(g: LocalGeometry) -> Any:
            self._refuse_kink(g.point)
            return size(g)

        with mpmath.workdps(WORKING_DIGITS):
            return decide_zero(
                ((self.named(g.point), lambda g=g: checked(g)) for g in self.local()),  # type: ignore[misc]
                proofs,
            )

    def _refuse_kink(self, point: Point) -> None:
        """Derivatives are those of the smooth pieces, and say nothing at a kink."""
        kinks = self.problem.kinks
        for kink, value in zip(kinks, self._kinks(point) if kinks else (), strict=True):
            if abs(value) < mpmath.mpf(10) ** -CLEAR_DIGITS:
                raise ZeroDivisionError(f"a kink of the model, where {sp.sstr(kink)} = 0")

    @cached_property
    def _kinks(self) -> Callable[[Point], list[Any]]:
        return evaluator(self.symbols, self.problem.kinks)

    def _in_ideal(self, expressions: Sequence[sp.Expr]) -> bool:
        return all(self.ideal.contains(e) for e in expressions)

    def _normal_in_ideal(self, slope: Sequence[sp.Expr]) -> bool:
        if self._in_ideal(slope):
            return True
        if self.splitting is None or not within(BUILT, sp.Matrix(slope)):
            return False
        return self._in_ideal(list(self.splitting.tangential(sp.Matrix(slope))))

    def _pulled_back(self, slope: Sequence[sp.Expr]) -> list[sp.Expr]:
        chart = self.problem.chart
        if chart is None:
            return list(slope)
        return list(sp.Matrix(chart.embedding).jacobian(chart.coordinates).T * sp.Matrix(slope))

    def _zero_in_chart(self, expressions: Sequence[sp.Expr]) -> bool:
        if self.problem.chart is None:
            return False
        return all(self.in_chart(e) == 0 for e in expressions)

    def in_chart(self, expression: sp.Expr) -> sp.Expr:
        """The expression in the coordinates of the chart, simplified where it is short."""
        chart = self.problem.chart
        if chart is None:
            raise ProblemError("chart: the problem has no chart; give one to NoisyGradientDescent")
        place = dict(zip(self.problem.weights, chart.embedding, strict=True))
        return simpler(Substitution(place)(expression), chart.coordinates)


class _Field:
    """Expressions evaluated at points, with the size that they would have if nothing cancelled."""

    def __init__(self, symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> None:
        self.value = evaluator(symbols, expressions)
        self._terms = Program(symbols, [t for e in expressions for t in sp.Add.make_args(e)])
        self.length = len(self._terms)

    def scale(self, point: Point) -> Any:
        """Largest summand at the point and off Γ, where a factor that vanishes on Γ does not."""
        return _largest(self._terms.value, point)


class _Slope:
    """∇f at points, by differentiating the program of f, with its size if nothing cancelled."""

    def __init__(self, symbols: Sequence[sp.Symbol], potential: sp.Expr, dimension: int) -> None:
        self._terms = Program(symbols, sp.Add.make_args(potential))
        self._dimension = dimension
        self.length = len(self._terms)

    def value(self, point: Point) -> list[Any]:
        """∇f."""
        return self._terms.gradient(point, self._dimension)

    def scale(self, point: Point) -> Any:
        """Largest derivative of a summand at the point and off Γ."""

        def slopes(place: Sequence[float], arithmetic: Any) -> list[float]:
            rows = self._terms.jacobian(place, self._dimension, arithmetic)
            return [x for row in rows for x in row]

        return _largest(slopes, point)


def _largest(terms: Callable[[Sequence[float], Any], list[float]], point: Point) -> Any:
    """Largest of some terms at a point and off Γ, to a few digits."""
    here = [float(x) for x in point]
    off = [1.1 * x + 0.05 for x in here]
    sizes = [abs(t) for t in terms(here, fp)]
    with contextlib.suppress(*ARITHMETIC_FAILURES):  # off Γ may be outside the domain
        sizes += [abs(t) for t in terms(off, fp)]
    return mpmath.mpf(max(sizes))
