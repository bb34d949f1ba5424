"""Γ near the point of interest: constraints, rank, points, projector, reduction.

Only this module knows how to restrict an expression to Γ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from .calculus import WithoutCaches, inverse
from .constraints import Square
from .ideal import Ideal
from .jets import Jet, plain_jet, scalars, squares_jet
from .katzenberger import NormalFrame
from .points import (
    ARITHMETIC_FAILURES,
    WORKING_DIGITS,
    Point,
    System,
    evaluator,
    independent_rows,
    orthonormal_rows,
)
from .problem import NoisyGradientDescent
from .verdict import Proof, Verdict, decide_zero, proved

FRAME_LIMIT = 3
"""Number of independent constraints up to which the projector is written in closed form."""

FRAME_OPERATIONS = 150
"""Operations in their gradients up to which the projector is written in closed form."""

RANK_TOLERANCE = mpmath.mpf(10) ** -25
"""Relative size below which a singular value of the constraints counts as zero, at 50 digits."""

CHART_LIMIT = 500
"""Operations up to which an expression in a chart is simplified."""


@dataclass(frozen=True)
class LocalGeometry:
    """Γ at one point, in 50-digit numbers.

    Attributes
    ----------
    point : Point
        Values of weights and parameters.
    frame : NormalFrame
        Eigenbasis of H on the normal space, as `mpmath.matrix`.
    jet : SquaresJet or PlainJet
        Derivatives of the loss there.
    """

    point: Point
    frame: NormalFrame
    jet: Jet

    @property
    def curvatures(self) -> list[Any]:
        """Non-zero eigenvalues of H, ascending."""
        return [self.frame.curvature[a, a] for a in range(self.frame.curvature.rows)]


@dataclass(frozen=True)
class Probe(WithoutCaches):
    """Evaluates Γ at points of it.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose Γ this is.
    squares : tuple of (c, r), or None
        Terms of L = ½ Σ c r² near the point of interest; None for a loss of no such form.
    system : System
        The constraints, whose common zero set is Γ; they may be redundant.
    """

    problem: NoisyGradientDescent
    squares: tuple[Square, ...] | None
    system: System

    @cached_property
    def jet(self) -> Jet:
        """Symbolic derivatives of the loss on Γ."""
        if self.squares is None:
            return plain_jet(self.problem.loss_gradient, self.problem.weights)
        return squares_jet(self.squares, self.problem.weights)

    def geometry(self, point: Point) -> LocalGeometry:
        """Eigenbasis of H on the span of the constraints' gradients at one point of Γ."""
        with mpmath.workdps(WORKING_DIGITS):
            values = iter(self._jet_values(point))
            jet = self.jet.map(lambda _: next(values))
            rows = self.system.jacobian(point)
            basis = orthonormal_rows(rows, independent_rows(rows, RANK_TOLERANCE))
            return LocalGeometry(point, _eigenframe(jet, basis), jet)

    @cached_property
    def _jet_values(self) -> Callable[[Point], list[Any]]:
        return evaluator(self.problem.weights + self.problem.parameters, scalars(self.jet))


@dataclass(frozen=True)
class Manifold(WithoutCaches):
    """The regular part of the zero-loss set Γ that contains the base point.

    Attributes
    ----------
    probe : Probe
        The loss and the constraints of Γ.
    independent : tuple of int
        Indices of a maximal set of constraints that are independent at the base point.
    points : tuple of Point
        Points of Γ to 50 digits, the base point first.
    """

    probe: Probe
    independent: tuple[int, ...]
    points: tuple[Point, ...]

    @property
    def problem(self) -> NoisyGradientDescent:
        """The problem whose Γ this is."""
        return self.probe.problem

    @property
    def constraints(self) -> tuple[sp.Expr, ...]:
        """Expressions whose common zero set is Γ; they may be redundant."""
        return self.probe.system.equations

    @property
    def jet(self) -> Jet:
        """Symbolic derivatives of the loss on Γ."""
        return self.probe.jet

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
    def frame(self) -> NormalFrame | None:
        """Normal frame in closed form, for few constraints; None where it is not worth writing."""
        if self.codimension > FRAME_LIMIT:
            return None
        rows = self.probe.system.rows
        j = sp.Matrix([rows[i] for i in self.independent])
        if sum(x.count_ops() for x in j) > FRAME_OPERATIONS:
            return None
        gram = (j * j.T).applyfunc(self.shortest)
        left = (j.T * inverse(gram)).applyfunc(self.shortest)
        squares = self.probe.squares
        residuals = None if squares is None else tuple(r for _, r in squares)
        if squares is not None and residuals == self.constraints and len(squares) == j.rows:
            curvature = sp.diag(*(c for c, _ in squares))
        else:
            hessian = sp.Matrix(self.jet.hessian())
            curvature = (left.T * hessian * left).applyfunc(self.shortest)
        return NormalFrame(j, left, curvature, inverse(curvature), gram)

    @cached_property
    def projector(self) -> sp.Matrix | None:
        """P in closed form on Γ, or None where it is not worth writing."""
        return self.frame and self.frame.projector.applyfunc(self.shortest)

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """The expression in the shortest form found that is equal to it on Γ."""
        return self.ideal.shortest(expression)

    def local(self) -> Iterator[LocalGeometry]:
        """Γ at each of its points, computed when first asked for."""
        for point in self.points:
            if point not in self._local:
                self._local[point] = self.probe.geometry(point)
            yield self._local[point]

    @cached_property
    def _local(self) -> dict[Point, LocalGeometry]:
        return {}

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

        def size(geometry: LocalGeometry) -> Any:
            scale = field.scale(geometry.point)
            along = geometry.frame.tangential(mpmath.matrix(field.value(geometry.point)))
            return mpmath.norm(along) / scale if scale else scale

        proofs: list[Proof] = [
            ("reduction modulo the constraints", lambda: self._normal_in_ideal(slope)),
            ("substitution of the chart", lambda: self._zero_in_chart(self._pulled_back(slope))),
        ]
        return self.decide(size, proofs)

    def decide(self, size: Callable[[LocalGeometry], Any], proofs: Sequence[Proof] = ()) -> Verdict:
        """Whether a quantity, given by its relative size at a point of Γ, vanishes on Γ."""
        with mpmath.workdps(WORKING_DIGITS):
            return decide_zero(
                ((self.named(g.point), lambda g=g: size(g)) for g in self.local()),  # type: ignore[misc]
                proofs,
            )

    def _in_ideal(self, expressions: Sequence[sp.Expr]) -> bool:
        return all(self.ideal.contains(e) for e in expressions)

    def _normal_in_ideal(self, slope: Sequence[sp.Expr]) -> bool:
        if self._in_ideal(slope):
            return True
        if self.frame is None:
            return False
        return self._in_ideal(list(self.frame.projector * sp.Matrix(slope)))

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
            raise ValueError("chart: the problem has no chart; give one to NoisyGradientDescent")
        moved = expression.xreplace(dict(zip(self.problem.weights, chart.embedding, strict=True)))
        return sp.simplify(moved) if moved.count_ops() <= CHART_LIMIT else moved


def _eigenframe(jet: Jet, basis: list[list[Any]]) -> NormalFrame:
    if not basis:
        empty = mpmath.matrix(0, jet.dimension)
        nothing = mpmath.matrix(0)
        return NormalFrame(empty, empty.T, nothing, nothing, nothing)
    values, vectors = mpmath.eigsy(mpmath.matrix(jet.restricted(basis)))
    j = vectors.T * mpmath.matrix(basis)
    inverse = mpmath.diag([1 / x if x else mpmath.inf for x in values])
    return NormalFrame(j, j.T, mpmath.diag(list(values)), inverse, mpmath.eye(j.rows))


class _Field:
    """Expressions evaluated at points, with the size that they would have if nothing cancelled."""

    def __init__(self, symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> None:
        self.value = evaluator(symbols, expressions)
        self._terms = evaluator(symbols, [t for e in expressions for t in sp.Add.make_args(e)])

    def scale(self, point: Point) -> Any:
        """Largest summand at the point and off Γ, where a factor that vanishes on Γ does not."""
        off = tuple(x * mpmath.mpf("1.1") + mpmath.mpf("0.05") for x in point)
        sizes = [abs(t) for t in self._terms(point)]
        with contextlib.suppress(*ARITHMETIC_FAILURES):  # off Γ may be outside the domain
            sizes += [abs(t) for t in self._terms(off)]
        return max(sizes)
