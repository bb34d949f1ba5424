"""Drift and diffusion of a limit written out on Γ, where that is worth reading."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from ..manifold.charts import stratonovich_drift
from ..manifold.manifold import Manifold
from ..symbolic.calculus import gradient
from ..theory.katzenberger import NormalFrame, normal_term, second_derivative
from ..theory.second_order import SecondOrder
from .classification import Classification
from .coefficients import Equation
from .noise_moments import NoiseMoments
from .special_forms import SpecialForm, special_form

WEIGHTS = 6
"""Number of weights up to which the drift of Theorem B is written in closed form."""

OPERATIONS = 600
"""Operations up to which a closed form is worth reading."""


@dataclass(frozen=True)
class Terms:
    """The terms of the equation with their weights, for one problem on its Γ.

    Attributes
    ----------
    manifold : Manifold
        Γ.
    moments : NoiseMoments
        Reg and Σ.
    classification : Classification
        The outcome.
    equation : Equation
        Which terms act, with which weights, at which step size.
    """

    manifold: Manifold
    moments: NoiseMoments
    classification: Classification
    equation: Equation

    @property
    def ito_weight(self) -> sp.Expr:
        """Factor of D²Φ_α[Σ] in the drift: ½ on the degenerate scale, α/2 beside −P∇Reg."""
        return self.equation.at(self.equation.ito_weight)

    @property
    def noise_weight(self) -> sp.Expr:
        """Factor of P S in the diffusion: 1 on the diffusive scale, √α beside −P∇Reg."""
        return self.equation.at(self.equation.noise_weight)

    @property
    def second_weight(self) -> sp.Expr:
        """Factor κ₂ of the drift −P r of the next order in σ²; 0 in the theorems."""
        return self.equation.at(self.equation.second_weight)

    @cached_property
    def slope(self) -> tuple[sp.Expr, ...]:
        """Vector field v, shape (N,), whose −P v is the part of the drift at first order."""
        potential = self.equation.at(self.equation.potential)
        return tuple(gradient(potential, self.manifold.problem.weights))

    @cached_property
    def second_order(self) -> SecondOrder:
        """What the drift −κ₂ P r of the next order is made of."""
        return SecondOrder.of(
            self.moments.regularizer,
            self.equation.second_regularizer,
            self.manifold.problem.weights,
        )

    @cached_property
    def special(self) -> SpecialForm | None:
        """The named form of the drift, if it has one."""
        if self.equation.order:
            return None
        return special_form(
            self.manifold,
            self.moments,
            self.classification.outcome,
            self.classification.hessian_multiple,
            self.equation.relaxation.damping,
        )


def drift(terms: Terms) -> sp.Matrix | None:
    """Itô drift b on Γ, shape (N, 1), in slow time; None where it is too long to read."""
    total = sp.zeros(terms.manifold.problem.dimension, 1)
    if terms.equation.time_scale is None:
        return total
    frame = terms.manifold.frame
    if frame is None:
        return None
    if any(terms.slope):
        total -= frame.tangential(sp.Matrix(terms.slope))
    for weight, term in ((terms.ito_weight, _correction), (terms.second_weight, _second_drift)):
        if weight != 0:
            part = term(terms, frame)
            if part is None:
                return None
            total += part
    return _readable(terms, total)


def diffusion(terms: Terms) -> sp.Matrix | None:
    """Diffusion matrix s = P S on Γ, shape (N, m); None where it is too long to read."""
    if terms.noise_weight == 0 or not terms.moments.columns.cols:
        return sp.zeros(terms.manifold.problem.dimension, max(1, terms.moments.columns.cols))
    if terms.moments.factor is None or terms.manifold.frame is None:
        return None
    along = terms.manifold.frame.tangential(sp.Matrix(terms.moments.factor))
    return _readable(terms, terms.noise_weight * along)


def stratonovich(
    terms: Terms, drift: sp.Matrix | None, diffusion: sp.Matrix | None
) -> sp.Matrix | None:
    """Drift of the ambient Stratonovich form, shape (N, 1); None where it is too long to read."""
    if drift is None or diffusion is None:
        return None
    weights = terms.manifold.problem.weights
    return _readable(terms, stratonovich_drift(drift, diffusion, weights))


def _second_drift(terms: Terms, frame: NormalFrame) -> sp.Matrix | None:
    """−κ₂ P r in closed form."""
    if not _is_small(terms, frame):
        return None
    short = terms.second_order.map(terms.manifold.shortest)
    return terms.second_weight * short.drift(frame, _Third(terms.manifold))


def _correction(terms: Terms, frame: NormalFrame) -> sp.Matrix | None:
    """Q D²Φ_α[Σ] in closed form."""
    special, third = terms.special, _Third(terms.manifold)
    if special is not None and special.potential is not None:
        slope = sp.Matrix(gradient(special.potential, terms.manifold.problem.weights))
        along = -2 * terms.ito_weight * frame.tangential(slope)
        if terms.noise_weight == 0:
            return along
        return along + terms.ito_weight * normal_term(frame, third, _short_covariance(terms))
    if not _is_small(terms, frame):
        return None
    covariance = _short_covariance(terms)
    if sum(x.count_ops() for x in covariance) > OPERATIONS:
        return None
    return terms.ito_weight * second_derivative(frame, third, covariance, terms.equation.relaxation)


def _is_small(terms: Terms, frame: NormalFrame) -> bool:
    """Whether the formulas with third derivatives are worth writing in closed form."""
    few = terms.manifold.problem.dimension <= WEIGHTS and terms.manifold.codimension <= 2
    return few and sum(x.count_ops() for x in frame.inverse) <= OPERATIONS


def _short_covariance(terms: Terms) -> sp.Matrix:
    return terms.moments.covariance.applyfunc(terms.manifold.shortest)


@dataclass(frozen=True)
class _Third:
    """S ↦ D³L[S], shortened on the way in and out so that nothing large is ever built."""

    manifold: Manifold

    def __call__(self, matrix: sp.Matrix) -> list[sp.Expr]:
        short = self.manifold.shortest
        return [short(sp.S(x)) for x in self.manifold.jet.third(matrix.applyfunc(short))]


def _readable(terms: Terms, matrix: sp.Matrix) -> sp.Matrix | None:
    if sum(x.count_ops() for x in matrix) > 20 * OPERATIONS:
        return None
    short = matrix.applyfunc(terms.manifold.shortest)
    return short if sum(x.count_ops() for x in short) <= OPERATIONS else None
