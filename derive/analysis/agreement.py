"""The limit at points of Γ, in 50-digit numbers, and its comparison with one derived by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, singledispatch
from typing import Any, Protocol

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..errors import DeriveError, NotCoveredError
from ..manifold.manifold import LocalGeometry
from ..reading import read_matrix
from ..symbolic.bundles import flattened, restored
from ..symbolic.numbers.roots import WORKING_DIGITS, evaluator
from ..symbolic.unknown_functions import as_losses, loss_names
from ..symbolic.zero_tests import Proof, Verdict
from ..symbols import GENERIC
from ..theory.katzenberger import Relaxation, second_derivative


def compare(limit: LimitingEquation, drift: Any, diffusion: Any = None) -> Verdict:
    """Whether a drift, and a diffusion by its s sᵀ, agree with those of the limit on Γ."""
    limit, n = limit.written_out(), limit.problem.dimension
    b = _matrix("drift", drift, (n, 1), limit)
    s = None if diffusion is None else _matrix("diffusion", diffusion, (n, None), limit)
    field = pointwise(limit)
    b_value = evaluator(limit.manifold.symbols, list(b))
    s_value = None if s is None else evaluator(limit.manifold.symbols, s)

    def gap_and_scale(g: LocalGeometry) -> tuple[Any, Any]:
        true_drift = field.drift(g)
        gap = mpmath.norm(true_drift - mpmath.matrix(b_value(g.point)))
        scale = mpmath.norm(true_drift) + mpmath.norm(b_value(g.point))
        if s_value is not None:
            true_spread, given = field.spread(g), s_value(g.point)
            gap += mpmath.mnorm(true_spread - given * given.T, "f")
            scale += mpmath.mnorm(true_spread, "f") + mpmath.mnorm(given * given.T, "f")
        return gap, scale

    def shown() -> bool:
        b_closed, s_closed = limit.drift, limit.diffusion
        if b_closed is None or (s is not None and s_closed is None):
            return False
        differences = list(b_closed.subs(GENERIC) - b)
        if s is not None and s_closed is not None:
            differences += list((s_closed * s_closed.T).subs(GENERIC) - s * s.T)
        return all(limit.manifold.ideal.contains(d) for d in differences)

    with mpmath.workdps(WORKING_DIGITS):
        # The size on Γ as a whole: both limits may vanish together at single points.
        scale = max(gap_and_scale(g)[1] for g in limit.manifold.local())

    def size(g: LocalGeometry) -> Any:
        return gap_and_scale(g)[0] / scale if scale else scale

    by_theorem = isinstance(field, PointwiseLimit)  # of rules a closed form costs too much
    proofs: list[Proof] = [("reduction modulo the constraints", shown)] if by_theorem else []
    return limit.manifold.decide(size, proofs)


class Field(Protocol):
    """Drift and diffusion at points of Γ, in mpmath's precision."""

    def drift(self, g: LocalGeometry) -> Any:
        """b, shape (N, 1)."""

    def spread(self, g: LocalGeometry) -> Any:
        """S sᵀ, shape (N, N)."""


@singledispatch
def pointwise(limit: LimitingEquation) -> Field:
    """Drift and diffusion of a limit at points of Γ."""
    return PointwiseLimit(limit)


class PointwiseLimit:
    """Drift and diffusion of a limit at points of Γ."""

    def __init__(self, limit: LimitingEquation) -> None:
        if limit.problem.samples is not None:
            raise NotCoveredError(
                "limit: a mean over samples is not evaluated to 50 digits; ask it of "
                "limit.written_out(), or evaluate this one by numerics.compile_limit"
            )
        self._limit = limit
        self._slope = self._evaluator(limit.slope)
        self._columns = self._evaluator(limit.moments.columns)
        self._ito = self._number(limit.ito_weight)
        self._noise = self._number(limit.noise_weight)
        self._second = self._number(limit.second_weight)
        relaxation = limit.equation.relaxation
        self._relaxation = Relaxation(
            self._number(relaxation.damping),
            self._number(relaxation.dephasing),
            relaxation.order,
        )

    def drift(self, g: LocalGeometry) -> Any:
        """b, shape (N, 1)."""
        drift = -g.frame.tangential(mpmath.matrix(self._slope(g.point)))
        if self._second:
            terms = restored(self._limit.second_order, self._second_order(g.point))
            drift += self._second * terms.drift(g.frame, g.jet.third)
        if self._ito:
            third, covariance = g.jet.third, self.covariance(g)
            drift += self._ito * second_derivative(g.frame, third, covariance, self._relaxation)
        return drift

    @cached_property
    def _second_order(self) -> Callable[..., Any]:
        return self._evaluator(flattened(self._limit.second_order))

    def _evaluator(self, expressions: Iterable[sp.Expr]) -> Callable[..., Any]:
        bound = [e.subs(GENERIC) for e in expressions]
        return evaluator(self._limit.manifold.symbols, bound)

    @staticmethod
    def _number(expression: Any) -> Any:
        with mpmath.workdps(WORKING_DIGITS):
            return mpmath.mpmathify(sp.sympify(expression).subs(GENERIC).evalf(WORKING_DIGITS))

    def spread(self, g: LocalGeometry) -> Any:
        """Diffusion matrix squared, s sᵀ, shape (N, N)."""
        p = g.frame.projector
        return self._noise**2 * (p * self.covariance(g) * p)

    def covariance(self, g: LocalGeometry) -> Any:
        """Σ, shape (N, N)."""
        columns = self._limit.moments.columns
        if not columns.cols:
            return mpmath.zeros(columns.rows)
        s = restored(columns, self._columns(g.point))
        return s if self._limit.moments.factor is None else s * s.T


def _matrix(
    name: str, given: Any, shape: tuple[int, int | None], limit: LimitingEquation
) -> sp.Matrix:
    matrix = as_losses(sp.Matrix(read_matrix(name, given)), loss_names(limit.problem.loss))
    if shape == (matrix.cols, matrix.rows):
        matrix = matrix.T  # a row for a column
    if matrix.rows != shape[0] or shape[1] not in (None, matrix.cols):
        raise DeriveError(f"{name}: expected {shape[0]} rows, got shape {matrix.shape}")
    stray = matrix.free_symbols - {*limit.manifold.symbols, *GENERIC}
    if stray:
        raise DeriveError(f"{name}: {stray} is neither a weight nor a parameter of the problem")
    return matrix.subs(GENERIC)
