"""Γ near the point of interest: constraints, rank, points, projector, reduction.

Only this module knows how to restrict an expression to Γ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from .calculus import gradient
from .ideal import Ideal
from .jets import Jet, plain_jet, scalars, squares_jet
from .katzenberger import NormalFrame
from .points import WORKING_DIGITS, Point, evaluator, independent_rows, orthonormal_rows
from .problem import NoisyGradientDescent
from .verdict import Proof, Verdict, decide_zero, proved, relative_size

FRAME_LIMIT = 3
"""Number of independent constraints up to which the projector is written in closed form."""

FRAME_OPERATIONS = 150
"""Operations in their gradients up to which the projector is written in closed form."""

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
class Manifold:
    """The regular part of the zero-loss set Γ that contains the base point.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose Γ this is.
    squares : tuple of (c, r), or None
        Terms of L = ½ Σ c r² near the base point; None for a loss of no such form.
    constraints : tuple of Expr
        Expressions whose common zero set is Γ; they may be redundant.
    independent : tuple of int
        Indices of a maximal set of constraints that are independent at the base point.
    points : tuple of Point
        Points of Γ to 50 digits, the base point first.
    """

    problem: NoisyGradientDescent
    squares: tuple[tuple[sp.Expr, sp.Expr], ...] | None
    constraints: tuple[sp.Expr, ...]
    independent: tuple[int, ...]
    points: tuple[Point, ...]

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
    def jet(self) -> Jet:
        """Symbolic derivatives of the loss on Γ."""
        return loss_jet(self.problem, self.squares)

    @cached_property
    def ideal(self) -> Ideal:
        """The ideal of the constraints."""
        return Ideal(self.constraints, self.problem.weights)

    @cached_property
    def frame(self) -> NormalFrame | None:
        """Normal frame in closed form, for few constraints; None where it is not worth writing."""
        if self.codimension > FRAME_LIMIT:
            return None
        rows = [gradient(self.constraints[i], self.problem.weights) for i in self.independent]
        j = sp.Matrix(rows)
        if sum(x.count_ops() for x in j) > FRAME_OPERATIONS:
            return None
        inverse = (j.T * (j * j.T).inv(method="ADJ")).applyfunc(self.shortest)
        if self.squares is not None and len(self.squares) == self.codimension:
            curvature = sp.diag(*(c for c, _ in self.squares))
        else:
            hessian = sp.Matrix(self.jet.hessian())
            curvature = (inverse.T * hessian * inverse).applyfunc(self.shortest)
        return NormalFrame(j, inverse, curvature, curvature.inv(method="ADJ"))

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
                self._local[point] = self.at(point)
            yield self._local[point]

    @cached_property
    def _local(self) -> dict[Point, LocalGeometry]:
        return {}

    def at(self, point: Point) -> LocalGeometry:
        """Γ at a given point of it."""
        return local_geometry(self.jet, self._evaluate_jet, self._normal_rows, point)

    @cached_property
    def _evaluate_jet(self) -> Callable[[Point], list[Any]]:
        return evaluator(self.symbols, scalars(self.jet))

    @cached_property
    def _normal_rows(self) -> Callable[[Point], Any]:
        return normal_rows(self.constraints, self.problem)

    def named(self, point: Point) -> dict[sp.Symbol, Any]:
        """A point as a mapping from symbols to numbers."""
        return dict(zip(self.symbols, point, strict=True))

    # Zero tests on Γ ------------------------------------------------------------------------

    def vanishes(self, expressions: Sequence[sp.Expr], free: Sequence[sp.Symbol] = ()) -> Verdict:
        """Whether all expressions vanish on Γ, for all values of the `free` symbols."""
        if all(e == 0 for e in expressions):
            return proved("zero as it stands")
        size = self._size_of(expressions, free)
        proofs: list[Proof] = [
            ("reduction modulo the constraints", lambda: self._in_ideal(expressions)),
            ("substitution of the chart", lambda: self._zero_in_chart(expressions)),
        ]
        return self._decide(lambda g: max(size(g)), proofs)

    def vanishes_along(self, slope: Sequence[sp.Expr]) -> Verdict:
        """Whether the tangential part P g of a vector field vanishes on Γ."""
        if all(e == 0 for e in slope):
            return proved("zero as it stands")
        value, scales = self._with_scales(slope)

        def size(geometry: LocalGeometry) -> Any:
            scale = max(scales(geometry))
            along = geometry.frame.tangential(mpmath.matrix(value(geometry.point)))
            return mpmath.norm(along) / scale if scale else scale

        proofs: list[Proof] = [
            ("reduction modulo the constraints", lambda: self._normal_in_ideal(slope)),
            ("substitution of the chart", lambda: self._zero_in_chart(self._pulled_back(slope))),
        ]
        return self._decide(size, proofs)

    def decide(self, size: Callable[[LocalGeometry], Any], proofs: Sequence[Proof] = ()) -> Verdict:
        """Whether a quantity, given by its relative size at a point of Γ, vanishes on Γ."""
        return self._decide(size, proofs)

    def _decide(self, size: Callable[[LocalGeometry], Any], proofs: Sequence[Proof]) -> Verdict:
        with mpmath.workdps(WORKING_DIGITS):
            return decide_zero(
                ((self.named(g.point), lambda g=g: size(g)) for g in self.local()),  # type: ignore[misc]
                proofs,
            )

    def _size_of(
        self, expressions: Sequence[sp.Expr], free: Sequence[sp.Symbol]
    ) -> Callable[[LocalGeometry], list[Any]]:
        groups = [list(sp.Add.make_args(e)) for e in expressions]
        value = evaluator((*self.symbols, *free), [t for group in groups for t in group])
        # Fixed irrational values stand for "all values" of the free symbols.
        generic = [mpmath.sqrt(p) / 2 for p in _primes(len(free))]

        def sizes(geometry: LocalGeometry) -> list[Any]:
            flat = iter(value((*geometry.point, *generic)))
            terms = [[next(flat) for _ in group] for group in groups]
            return [relative_size(mpmath.fsum(t), t) for t in terms]

        return sizes

    def _with_scales(self, slope: Sequence[sp.Expr]) -> tuple[Any, Any]:
        value = evaluator(self.symbols, slope)
        groups = [t for e in slope for t in sp.Add.make_args(e)]
        terms = evaluator(self.symbols, groups)
        return value, lambda geometry: [abs(t) for t in terms(geometry.point)]

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


def loss_jet(
    problem: NoisyGradientDescent, squares: tuple[tuple[sp.Expr, sp.Expr], ...] | None
) -> Jet:
    """Symbolic jet of the loss, from its squares where it is made of squares."""
    if squares is None:
        return plain_jet(problem.loss_gradient, problem.weights)
    return squares_jet(squares, problem.weights)


def normal_rows(
    constraints: Sequence[sp.Expr], problem: NoisyGradientDescent
) -> Callable[[Point], Any]:
    """Function that gives the Jacobian of the constraints at a point, shape (n, N)."""
    n = problem.dimension
    flat = [x for c in constraints for x in gradient(c, problem.weights)]
    value = evaluator(problem.weights + problem.parameters, flat)

    def rows(point: Point) -> Any:
        entries = value(point)
        return mpmath.matrix([entries[i : i + n] for i in range(0, len(entries), n)])

    return rows


def local_geometry(
    jet: Jet,
    evaluate_jet: Callable[[Point], list[Any]],
    rows: Callable[[Point], Any],
    point: Point,
) -> LocalGeometry:
    """Eigenbasis of H on the span of the constraints' gradients at one point of Γ."""
    with mpmath.workdps(WORKING_DIGITS):
        values = iter(evaluate_jet(point))
        numbers = jet.map(lambda _: next(values))
        j = rows(point)
        basis = orthonormal_rows(j, independent_rows(j, mpmath.mpf(10) ** -25))
        return LocalGeometry(point, _eigenframe(numbers, basis), numbers)


def _eigenframe(jet: Jet, basis: list[list[Any]]) -> NormalFrame:
    if not basis:
        empty = mpmath.matrix(0, jet.dimension)
        return NormalFrame(empty, empty.T, mpmath.matrix(0), mpmath.matrix(0))
    values, vectors = mpmath.eigsy(mpmath.matrix(jet.restricted(basis)))
    j = vectors.T * mpmath.matrix(basis)
    inverse = mpmath.diag([1 / x if x else mpmath.inf for x in values])
    return NormalFrame(j, j.T, mpmath.diag(list(values)), inverse)


def _primes(count: int) -> list[int]:
    return [int(sp.prime(i + 1)) for i in range(count)]
