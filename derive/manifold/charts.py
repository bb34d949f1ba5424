"""Other ways to write the limit: Stratonovich form, and intrinsic coordinates of a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from ..errors import ProblemError
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import Substitution, inverse
from ..symbolic.effort import BUILT, TooLong, require
from ..symbolic.ideals import simpler


@dataclass(frozen=True)
class IntrinsicForm:
    """dθ = a(θ) dt + τ(θ) dB in the coordinates θ of a chart γ (Itô).

    Attributes
    ----------
    coordinates : tuple of Symbol
        θ, M symbols.
    drift : ImmutableMatrix, shape (M, 1)
        a = Dγ⁺ (b − ½ Σ (ττᵀ)_kl ∂_k∂_lγ).
    diffusion : ImmutableMatrix, shape (M, m)
        τ = Dγ⁺ s.
    """

    coordinates: tuple[sp.Symbol, ...]
    drift: sp.ImmutableMatrix
    diffusion: sp.ImmutableMatrix


def intrinsic_form(
    drift: sp.Matrix, diffusion: sp.Matrix, problem: NoisyGradientDescent
) -> IntrinsicForm | None:
    """Pull an ambient Itô form back to the chart of the problem; None where it is too long."""
    chart = problem.chart
    if chart is None:
        raise ProblemError("chart: the problem has no chart; give one to NoisyGradientDescent")
    theta = chart.coordinates
    gamma = sp.Matrix(chart.embedding)
    place = Substitution(dict(zip(problem.weights, chart.embedding, strict=True)))

    def short(matrix: sp.Matrix) -> sp.Matrix:
        require(BUILT, matrix)
        return matrix.applyfunc(lambda entry: simpler(entry, theta))

    try:
        tangent = gamma.jacobian(theta)
        left_inverse = short(inverse(short(tangent.T * tangent)) * tangent.T)
        tau = short(left_inverse * diffusion.applyfunc(place))
        spread = short(tau * tau.T)
        bend = sp.zeros(gamma.rows, 1)
        for k, first in enumerate(theta):
            for m, second in enumerate(theta):
                bend += spread[k, m] * gamma.diff(first, second)
        a = short(left_inverse * (drift.applyfunc(place) - bend / 2))
    except TooLong:
        return None
    return IntrinsicForm(theta, sp.ImmutableMatrix(a), sp.ImmutableMatrix(tau))


def stratonovich_drift(
    drift: sp.Matrix, diffusion: sp.Matrix, weights: Sequence[sp.Symbol]
) -> sp.Matrix:
    """B − ½ Σ_m (Ds_m) s_m, the drift of dW = b° dt + s ∘ dB for the same factor s.

    On Γ it does not depend on how the factor is extended off Γ, since s_m is tangent to Γ.
    """
    correction = sp.zeros(drift.rows, 1)
    for m in range(diffusion.cols):
        column = diffusion[:, m]
        correction += column.jacobian(list(weights)) * column
    return drift - correction / 2
