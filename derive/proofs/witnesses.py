"""Claims that a quantity does not vanish on Γ: a box with a point of Γ, and a value there that is
enclosed away from 0.

A field v is looked at along a fixed vector d ≈ P v: what is enclosed is ⟨d, P v⟩, which is |P v|²
but for the rounding of d; where it is not 0, P v is not either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..manifold.manifold import LocalGeometry, Manifold
from ..noise.moments import NoiseMoments
from ..symbolic.bundles import restored
from ..symbolic.calculus import gradient, semidefinite_factor
from ..symbolic.numbers.linear import norm
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import WORKING_DIGITS, Point, evaluator
from ..theory.katzenberger import FLOW, Relaxation, tangential_covariance
from .boxes import box_around, decimal, enclosure, placed
from .tables import ExpressionTable, NotCertifiedError

DIRECTION_DIGITS = 30
"""Digits of d."""


class Witness:
    """A point of Γ at which quantities are shown not to vanish.

    Parameters
    ----------
    table : ExpressionTable
        Where expressions are written.
    manifold : Manifold
        Γ.
    found : mapping of Symbol to number
        The point, and values of symbols that are neither weights nor parameters.
    ranges : mapping of Symbol to (middle, half of the width)
        Intervals of parameters; the point is moved to where Γ is for their middles.
    """

    def __init__(
        self,
        table: ExpressionTable,
        manifold: Manifold,
        found: Mapping[sp.Symbol, Any],
        ranges: Mapping[sp.Symbol, tuple[Any, Any]],
    ) -> None:
        self._table, self._manifold = table, manifold
        self._widths = {s: width for s, (_, width) in ranges.items()}
        self._point: Point = tuple(found[s] for s in manifold.symbols)
        if ranges:
            middles = {s: middle for s, (middle, _) in ranges.items()}
            self._point = placed(manifold, self._point, middles)
        self._free = {s: x for s, x in found.items() if s not in manifold.symbols}

    def slope(self, potential: sp.Expr) -> dict[str, Any]:
        """P∇f ≠ 0."""
        return self._claim("slope", [potential], self._tangential(self._gradient(potential)))

    def field(self, columns: sp.Matrix) -> dict[str, Any]:
        """P g ≠ 0 for one of some columns, the one with the largest tangential part."""
        flat = self._value(list(columns))
        parts = [self._tangential(flat[a :: columns.cols]) for a in range(columns.cols)]
        best = max(range(columns.cols), key=lambda a: norm(parts[a], mpmath.mp))
        return self._claim("field", list(columns[:, best]), parts[best])

    def values(self, expressions: Sequence[sp.Expr]) -> dict[str, Any]:
        """Not all of some expressions are 0."""
        return self._claim("values", expressions, self._value(expressions))

    def drift(
        self,
        moments: NoiseMoments,
        relaxation: Relaxation = FLOW,
        multiple: sp.Expr | None = None,
        beside: Sequence[sp.Expr] = (),
    ) -> dict[str, Any]:
        """½ P D³L[T] + P u ≠ 0, T the tangential covariance of Σ, or of Σ = κH; or at a step.

        The field u is the gradient of the penalty, and what is given `beside` it.
        """
        if self._manifold.probe.squares is None:
            raise NotCertifiedError("the loss is not a sum of squares")
        factor = moments.factor
        if factor is None:
            factor = semidefinite_factor(sp.Matrix(moments.given_covariance))
        if factor is None:
            raise NotCertifiedError("Σ has no factor in closed form")
        along = self._drift(factor, relaxation) if multiple is None else self._label_drift(multiple)
        weights = self._manifold.problem.weights
        penalty = moments.penalty if relaxation == FLOW else sp.S.Zero
        field = gradient(penalty, weights)
        if beside:
            field = [u + v for u, v in zip(field, beside, strict=True)]
        with mpmath.workdps(WORKING_DIGITS):
            pulled = self._tangential(self._value(field))
            along = [x + y for x, y in zip(along, pulled, strict=True)]
        more = {
            "step": decimal(mpmath.mpf(relaxation.damping)),
            "columns": self._table.places(factor),
        }
        return self._claim("drift", field, along) | more

    def _label_drift(self, multiple: sp.Expr) -> list[Any]:
        """(κ/4) P∇ΔL, which is what it is for Σ = κH and the flow."""
        (size,) = self._value([multiple / 4])
        with mpmath.workdps(WORKING_DIGITS):
            return self._tangential([size * x for x in self._geometry.jet.third()])

    def _drift(self, factor: sp.Matrix, relaxation: Relaxation) -> list[Any]:
        g = self._geometry
        with mpmath.workdps(WORKING_DIGITS):
            s = restored(factor, self._value(list(factor)))
            third = g.jet.third(tangential_covariance(g.frame, s * s.T, relaxation))
            return self._tangential([x / 2 for x in third])

    def bounds(self, low: Any, high: Any) -> dict[str, Any]:
        """Low < λ < high for all non-zero eigenvalues λ of H."""
        if self._manifold.probe.squares is None:
            raise NotCertifiedError("the loss is not a sum of squares")
        return {"asks": "curvature", "bounds": [decimal(low), decimal(high)]}

    @property
    def curvatures(self) -> list[Any]:
        """The non-zero eigenvalues of H, in numbers."""
        return self._geometry.curvatures

    def point(self) -> dict[str, Any]:
        """The box that holds it."""
        return box_around(self._table, self._manifold, self._point, self._free, self._widths)

    @cached_property
    def _geometry(self) -> LocalGeometry:
        return self._manifold.probe.geometry(self._point)

    def _gradient(self, potential: sp.Expr) -> list[Any]:
        program = Program(self._manifold.symbols, [potential])
        with mpmath.workdps(WORKING_DIGITS):
            return program.gradient(self._point, self._manifold.problem.dimension)

    def _value(self, expressions: Sequence[sp.Expr]) -> list[Any]:
        symbols = (*self._manifold.symbols, *self._free)
        with mpmath.workdps(WORKING_DIGITS):
            return evaluator(symbols, expressions)((*self._point, *self._free.values()))

    def _tangential(self, vector: Sequence[Any]) -> list[Any]:
        return self._geometry.tangential(vector)

    def _claim(self, asks: str, of: Sequence[sp.Expr], value: Sequence[Any]) -> dict[str, Any]:
        with mpmath.workdps(WORKING_DIGITS):
            direction = [decimal(x, DIRECTION_DIGITS) for x in value]
            size = mpmath.fdot(zip(map(mpmath.mpf, direction), value, strict=True))
            return {
                "asks": asks,
                "of": self._table.places(of),
                "direction": direction,
                "value": enclosure(size),
            }
