"""Γ at a point of it, in 50-digit numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import WithoutCaches
from ..symbolic.numbers.linear import (
    Rows,
    are_clearly_independent,
    gram,
    independent_rows,
    orthonormal_basis,
    perpendicular,
)
from ..symbolic.numbers.roots import WORKING_DIGITS, Point, System, evaluator
from ..theory.jets import Jet, plain_jet, squares_jet
from ..theory.katzenberger import NormalFrame
from .constraints import Square

RANK_TOLERANCE = mpmath.mpf(10) ** -25
"""Relative size below which a singular value, or an eigenvalue, counts as zero, at 50 digits."""


class LocalFrame(NormalFrame):
    """A frame in mpmath's numbers, whose projector has all digits, whoever asks for it first."""

    @cached_property
    def projector(self) -> Any:
        """P = I − J⁺J."""
        with mpmath.workdps(max(WORKING_DIGITS, mpmath.mp.dps)):
            return self._formed_projector()


@dataclass(frozen=True, eq=False)
class LocalGeometry:
    """Tangent and normal space of Γ at a point, and the derivatives of the loss there.

    Attributes
    ----------
    point : Point
        Values of weights and parameters.
    normals : sequence of rows
        Independent rows that span the normal space: gradients of constraints.
    clear : bool
        Whether they are of full rank numerically, and none of the gradients is left out.
    evaluate_jet : callable
        Point ↦ derivatives of the loss.
    """

    point: Point
    normals: Rows
    clear: bool
    evaluate_jet: Callable[[Point], Jet]

    @property
    def rank(self) -> int:
        """Dimension of the normal space."""
        return len(self.normals)

    def tangential(self, vector: Sequence[Any]) -> list[Any]:
        """P v."""
        with mpmath.workdps(WORKING_DIGITS):
            return perpendicular(self.normals if self.clear else self.basis, vector)

    @cached_property
    def basis(self) -> Rows:
        """Orthonormal basis of the normal space."""
        with mpmath.workdps(WORKING_DIGITS):
            return orthonormal_basis(self.normals)

    @cached_property
    def jet(self) -> Jet:
        """Derivatives of the loss."""
        with mpmath.workdps(WORKING_DIGITS):
            return self.evaluate_jet(self.point)

    @cached_property
    def frame(self) -> NormalFrame:
        """Eigenbasis of H on the normal space, as `mpmath.matrix`."""
        with mpmath.workdps(WORKING_DIGITS):
            if not self.normals:
                empty = mpmath.matrix(0, self.jet.dimension)
                nothing = mpmath.matrix(0)
                return LocalFrame(empty, empty.T, nothing, nothing, nothing)
            values, vectors = mpmath.eigsy(mpmath.matrix(self.jet.restricted(self.basis)))
            j = vectors.T * mpmath.matrix(self.basis)
            inverse = mpmath.diag([1 / x if x else mpmath.inf for x in values])
            return LocalFrame(j, j.T, mpmath.diag(list(values)), inverse, mpmath.eye(j.rows))

    @property
    def curvatures(self) -> list[Any]:
        """Eigenvalues of H on the normal space, ascending."""
        return [self.frame.curvature[a, a] for a in range(self.rank)]

    @property
    def is_regular(self) -> bool:
        """Whether H is positive on the normal space and zero across it."""
        curvatures = self.curvatures
        if not curvatures:
            return False
        with mpmath.workdps(WORKING_DIGITS):
            largest = max(curvatures)
            if not min(curvatures) > largest * RANK_TOLERANCE:
                return False
            excess = abs(self.jet.trace() - mpmath.fsum(curvatures))
            return bool(excess < largest * RANK_TOLERANCE)


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
        """Γ at a point of it."""
        rows = self.system.jacobian(point)
        with mpmath.workdps(WORKING_DIGITS):
            chosen = independent_rows(rows, RANK_TOLERANCE)
        clear = are_clearly_independent([[float(x) for x in row] for row in rows])
        return LocalGeometry(point, [rows[i] for i in chosen], clear, self._jet_at)

    def independent(self, point: Point) -> tuple[int, ...]:
        """Indices of a maximal set of constraints that are independent at a point."""
        with mpmath.workdps(WORKING_DIGITS):
            return tuple(independent_rows(self.system.jacobian(point), RANK_TOLERANCE))

    def is_regular(self, geometry: LocalGeometry) -> bool:
        """Whether H is positive on the normal space at a point of Γ and zero across it."""
        if geometry.clear and self.squares_are_constraints:
            return all(c > 0 for c in self._square_weights(geometry.point))
        return geometry.is_regular

    def spectrum(self, geometry: LocalGeometry) -> list[float]:
        """Non-zero eigenvalues of H at a point of Γ, ascending, as floats.

        Where L = ½ Σ c r² with independent r they are those of the Gram matrix of the √c ∇r.
        """
        if not (geometry.clear and self.squares_are_constraints):
            return [float(x) for x in geometry.curvatures]
        sizes = [math.sqrt(c) for c in self._square_weights(geometry.point)]
        slopes = self.system.jacobian(geometry.point)
        rows = [[size * float(x) for x in row] for size, row in zip(sizes, slopes, strict=True)]
        with mpmath.workdps(15):
            return [float(x) for x in mpmath.eigsy(mpmath.matrix(gram(rows)), eigvals_only=True)]

    @property
    def squares_are_constraints(self) -> bool:
        """Whether the constraints are the residuals of L, so that H = Σ c ∇r ∇rᵀ."""
        squares = self.squares
        return squares is not None and self.system.equations == tuple(r for _, r in squares)

    @property
    def _symbols(self) -> tuple[sp.Symbol, ...]:
        return self.problem.weights + self.problem.parameters

    @cached_property
    def _square_weights(self) -> Callable[[Point], list[Any]]:
        return evaluator(self._symbols, [c for c, _ in self.squares or ()])

    @cached_property
    def _jet_at(self) -> Callable[[Point], Jet]:
        return evaluator(self._symbols, self.jet)
