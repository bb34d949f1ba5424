"""Drift and diffusion of a limit written out on Γ, where that is worth reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp

from ..manifold.charts import stratonovich_drift
from ..manifold.manifold import Manifold
from ..symbolic.calculus import gradient
from ..theory.katzenberger import NormalFrame, normal_term, second_derivative

if TYPE_CHECKING:
    from ..limit import Limit

WEIGHTS = 6
"""Number of weights up to which the drift of Theorem B is written in closed form."""

OPERATIONS = 600
"""Operations up to which a closed form is worth reading."""


def drift(limit: Limit) -> sp.Matrix | None:
    """Itô drift b on Γ, shape (N, 1), in slow time; None where it is too long to read."""
    total = sp.zeros(limit.problem.dimension, 1)
    if limit.time_scale is None:
        return total
    frame = limit.manifold.frame
    if frame is None:
        return None
    if any(limit.slope):
        total -= frame.tangential(sp.Matrix(limit.slope))
    for weight, term in ((limit.ito_weight, _correction), (limit.second_weight, _second_drift)):
        if weight != 0:
            part = term(limit, frame)
            if part is None:
                return None
            total += part
    return _readable(limit, total)


def diffusion(limit: Limit) -> sp.Matrix | None:
    """Diffusion matrix s = P S on Γ, shape (N, m); None where it is too long to read."""
    if limit.noise_weight == 0 or not limit.moments.columns.cols:
        return sp.zeros(limit.problem.dimension, max(1, limit.moments.columns.cols))
    if limit.moments.factor is None or limit.manifold.frame is None:
        return None
    along = limit.manifold.frame.tangential(sp.Matrix(limit.moments.factor))
    return _readable(limit, limit.noise_weight * along)


def stratonovich(limit: Limit) -> sp.Matrix | None:
    """Drift of the ambient Stratonovich form, shape (N, 1); None where it is too long to read."""
    if limit.drift is None or limit.diffusion is None:
        return None
    weights = limit.problem.weights
    return _readable(limit, stratonovich_drift(limit.drift, limit.diffusion, weights))


def _second_drift(limit: Limit, frame: NormalFrame) -> sp.Matrix | None:
    """−κ₂ P r in closed form."""
    if not _is_small(limit, frame):
        return None
    short = limit.second_order.map(limit.manifold.shortest)
    return limit.second_weight * short.drift(frame, _Third(limit.manifold))


def _correction(limit: Limit, frame: NormalFrame) -> sp.Matrix | None:
    """Q D²Φ_α[Σ] in closed form."""
    special, third = limit.special, _Third(limit.manifold)
    if special is not None and special.potential is not None:
        slope = sp.Matrix(gradient(special.potential, limit.problem.weights))
        along = -2 * limit.ito_weight * frame.tangential(slope)
        if limit.noise_weight == 0:
            return along
        return along + limit.ito_weight * normal_term(frame, third, _short_covariance(limit))
    if not _is_small(limit, frame):
        return None
    covariance = _short_covariance(limit)
    if sum(x.count_ops() for x in covariance) > OPERATIONS:
        return None
    return limit.ito_weight * second_derivative(frame, third, covariance, limit.equation.relaxation)


def _is_small(limit: Limit, frame: NormalFrame) -> bool:
    """Whether the formulas with third derivatives are worth writing in closed form."""
    few = limit.problem.dimension <= WEIGHTS and limit.manifold.codimension <= 2
    return few and sum(x.count_ops() for x in frame.inverse) <= OPERATIONS


def _short_covariance(limit: Limit) -> sp.Matrix:
    return limit.moments.covariance.applyfunc(limit.manifold.shortest)


@dataclass(frozen=True)
class _Third:
    """S ↦ D³L[S], shortened on the way in and out so that nothing large is ever built."""

    manifold: Manifold

    def __call__(self, matrix: sp.Matrix) -> list[sp.Expr]:
        short = self.manifold.shortest
        return [short(sp.S(x)) for x in self.manifold.jet.third(matrix.applyfunc(short))]


def _readable(limit: Limit, matrix: sp.Matrix) -> sp.Matrix | None:
    if sum(x.count_ops() for x in matrix) > 20 * OPERATIONS:
        return None
    short = matrix.applyfunc(limit.manifold.shortest)
    return short if sum(x.count_ops() for x in short) <= OPERATIONS else None
