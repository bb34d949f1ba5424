"""The limit at points of Γ, in 50-digit numbers, and its comparison with one derived by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mpmath
import sympy as sp

from .errors import DeriveError
from .katzenberger import second_derivative
from .laws import exact
from .manifold import LocalGeometry
from .points import WORKING_DIGITS, evaluator
from .symbols import alpha
from .verdict import Proof, Verdict

if TYPE_CHECKING:
    from .limit import Limit

GENERIC_STEP = sp.Rational(37, 1000)
"""Value given to a symbolic step size where two limits are compared."""


def compare(limit: Limit, drift: Any, diffusion: Any = None) -> Verdict:
    """Whether a drift, and a diffusion by its s sᵀ, agree with those of the limit on Γ."""
    n = limit.problem.dimension
    b = _matrix("drift", drift, (n, 1), limit)
    s = None if diffusion is None else _matrix("diffusion", diffusion, (n, None), limit)
    field = PointwiseLimit(limit)
    b_value = evaluator(limit.manifold.symbols, list(b))
    s_value = s and evaluator(limit.manifold.symbols, list(s))

    def size(g: LocalGeometry) -> Any:
        true_drift = field.drift(g)
        gap = mpmath.norm(true_drift - mpmath.matrix(b_value(g.point)))
        scale = mpmath.norm(true_drift) + mpmath.norm(b_value(g.point))
        if s is not None:
            true_spread = field.spread(g)
            given = mpmath.matrix(
                [s_value(g.point)[i * s.cols : (i + 1) * s.cols] for i in range(n)]
            )
            gap += mpmath.mnorm(true_spread - given * given.T, "f")
            scale += mpmath.mnorm(true_spread, "f") + mpmath.mnorm(given * given.T, "f")
        return gap / scale if scale else mpmath.mpf(0)

    proofs: list[Proof] = []
    if limit.drift is not None and (s is None or limit.diffusion is not None):
        differences = list(limit.drift.subs(alpha, GENERIC_STEP) - b)
        if s is not None:
            spread = (limit.diffusion * limit.diffusion.T).subs(alpha, GENERIC_STEP)
            differences += list(spread - s * s.T)
        proofs.append(
            (
                "reduction modulo the constraints",
                lambda: all(limit.manifold.ideal.contains(d) for d in differences),
            )
        )
    return limit.manifold.decide(size, proofs)


class PointwiseLimit:
    """Drift and diffusion of a limit at points of Γ."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        symbols = limit.manifold.symbols
        self._slope = evaluator(symbols, list(limit.slope))
        self._columns = evaluator(symbols, list(limit.moments.columns))
        weights = [limit.ito_weight, limit.noise_weight, limit.step]
        numbers = [sp.sympify(x).subs(alpha, GENERIC_STEP).evalf(WORKING_DIGITS) for x in weights]
        with mpmath.workdps(WORKING_DIGITS):
            self._ito, self._noise, self._step = (mpmath.mpmathify(x) for x in numbers)

    def drift(self, g: LocalGeometry) -> Any:
        """b, shape (N, 1)."""
        drift = -g.frame.tangential(mpmath.matrix(self._slope(g.point)))
        if self._ito:
            covariance = self._covariance(g)
            drift += self._ito * second_derivative(g.frame, g.jet.third, covariance, self._step)
        return drift

    def spread(self, g: LocalGeometry) -> Any:
        """S sᵀ, shape (N, N)."""
        p = g.frame.projector
        return self._noise**2 * (p * self._covariance(g) * p)

    def _covariance(self, g: LocalGeometry) -> Any:
        rows, cols = self._limit.moments.columns.shape
        flat = self._columns(g.point)
        if not cols:
            return mpmath.zeros(rows)
        s = mpmath.matrix([flat[i * cols : (i + 1) * cols] for i in range(rows)])
        return s if self._limit.moments.factor is None else s * s.T


def _matrix(name: str, given: Any, shape: tuple[int, int | None], limit: Limit) -> sp.Matrix:
    try:
        matrix = sp.Matrix(given).applyfunc(exact)
    except (TypeError, ValueError) as error:
        raise DeriveError(f"{name}: expected a matrix of expressions, got {given!r}") from error
    if matrix.rows != shape[0] or shape[1] not in (None, matrix.cols):
        raise DeriveError(f"{name}: expected {shape[0]} rows, got shape {matrix.shape}")
    stray = matrix.free_symbols - {*limit.manifold.symbols, alpha}
    if stray:
        raise DeriveError(f"{name}: {stray} is neither a weight nor a parameter of the problem")
    return matrix.subs(alpha, GENERIC_STEP)
