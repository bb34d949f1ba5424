"""Drift and diffusion of a limit written out on Γ, where it is short enough to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from ..manifold.charts import stratonovich_drift
from ..manifold.manifold import Manifold
from ..noise.classification import Classification
from ..noise.moments import NoiseMoments
from ..symbolic.bundles import flattened, mapped
from ..symbolic.calculus import gradient
from ..symbolic.effort import BUILT, READABLE, WEIGHTS, TooLong, product_operations, require, within
from ..theory.jets import Jet
from ..theory.katzenberger import (
    NormalFrame,
    Relaxation,
    Splitting,
    mixed_covariance,
    normal_term,
    second_derivative,
    stationary_covariance,
)
from ..theory.second_order import SecondOrder, second_potential
from .coefficients import Equation
from .special_forms import SpecialForm, special_form


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
        return self.manifold.problem.objective.gradient(potential)

    @cached_property
    def second_order(self) -> SecondOrder:
        """What the drift −κ₂ P r of the next order is made of.

        Raises
        ------
        NotCoveredError
            With matrices for weights.
        """
        objective = self.manifold.problem.objective
        if not objective.is_pointwise:
            raise objective.refused("second_order")
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
            self.equation.relaxation,
        )


def drift(terms: Terms) -> sp.Matrix | None:
    """Itô drift b on Γ, shape (N, 1), in slow time; None where it is too long to read."""
    if terms.equation.time_scale is None:
        return sp.zeros(terms.manifold.problem.dimension, 1)
    if terms.manifold.splitting is None:
        return None
    try:
        return _readable(terms, _drift(terms, terms.manifold.splitting))
    except TooLong:
        return None


def diffusion(terms: Terms) -> sp.Matrix | None:
    """Diffusion matrix s = P S on Γ, shape (N, m); None where it is too long to read."""
    if terms.noise_weight == 0 or terms.moments.is_silent:
        return sp.zeros(terms.manifold.problem.dimension, max(1, terms.moments.columns.cols))
    if terms.moments.factor is None or terms.manifold.splitting is None:
        return None
    try:
        factor = sp.Matrix(terms.moments.factor)
        require(BUILT, factor)
        along = terms.manifold.splitting.tangential(factor)
        return _readable(terms, terms.noise_weight * along)
    except TooLong:
        return None


def stratonovich(
    terms: Terms, drift: sp.Matrix | None, diffusion: sp.Matrix | None
) -> sp.Matrix | None:
    """Drift of the ambient Stratonovich form, shape (N, 1); None where it is too long to read."""
    if drift is None or diffusion is None:
        return None
    try:
        return _readable(
            terms, stratonovich_drift(drift, diffusion, terms.manifold.problem.weights)
        )
    except TooLong:
        return None


def fluctuations(terms: Terms) -> sp.Matrix | None:
    """ℒ⁻¹(QΣQ) on Γ, shape (N, N); None where it is too long to read."""
    if terms.moments.is_silent:
        return sp.zeros(terms.manifold.problem.dimension)
    try:
        frame, covariance = _frame(terms), _short_covariance(terms)
        _require_small(terms, frame)
        require(READABLE, covariance)
        _require_product(frame.inverse.T, covariance, frame.inverse)
        if terms.manifold.codimension > 1:
            _require_solvable(frame, covariance)
        found = stationary_covariance(frame, covariance, terms.equation.relaxation)
        return _readable(terms, found)
    except TooLong:
        return None


@dataclass(frozen=True)
class Parts:
    """What the drift is made of, each on Γ and None where it is too long to read.

    Attributes
    ----------
    terms : Terms
        The equation.
    """

    terms: Terms

    @cached_property
    def hessian(self) -> sp.Matrix | None:
        """H, shape (N, N)."""
        return self._short(lambda _: sp.Matrix(self.terms.manifold.jet.hessian()))

    @cached_property
    def covariance(self) -> sp.Matrix | None:
        """Σ, shape (N, N)."""
        return self._short(lambda _: _short_covariance(self.terms))

    @cached_property
    def mixed(self) -> sp.Matrix | None:
        """2 sym(H⁺QΣP), shape (N, N), with momentum (H + γH²)⁺ for H⁺."""
        return self._short(lambda frame: mixed_covariance(frame, self._spread, self._relaxation))

    @cached_property
    def stationary(self) -> sp.Matrix | None:
        """X with ℒ(X) = QΣQ, shape (N, N)."""
        return None if self.terms.equation.order else fluctuations(self.terms)

    @cached_property
    def slope_drift(self) -> sp.Matrix | None:
        """−P v, shape (N, 1)."""
        slope = sp.Matrix(self.terms.slope)
        return self._short(lambda frame: -frame.tangential(slope))

    @cached_property
    def normal_drift(self) -> sp.Matrix | None:
        """−q H⁺D³L[PΣP], shape (N, 1)."""
        third = _Third(self.terms.manifold)
        return self._scaled(lambda frame: _normal_term(self.terms, frame, third))

    @cached_property
    def mixed_drift(self) -> sp.Matrix | None:
        """−2q P D³L[sym(H⁺QΣP)], shape (N, 1)."""
        return self._tangential(self.mixed)

    @cached_property
    def stationary_drift(self) -> sp.Matrix | None:
        """−q P D³L[X], shape (N, 1)."""
        return self._tangential(self.stationary)

    def _tangential(self, matrix: sp.Matrix | None) -> sp.Matrix | None:
        if matrix is None:
            return None
        third = _Third(self.terms.manifold)
        return self._scaled(lambda frame: -frame.tangential(sp.Matrix(third(matrix))))

    def _scaled(self, made: Callable[[NormalFrame], sp.Matrix]) -> sp.Matrix | None:
        return self._short(lambda frame: self.terms.ito_weight * made(frame))

    @cached_property
    def _spread(self) -> sp.Matrix:
        covariance = _short_covariance(self.terms)
        require(READABLE, covariance)
        frame = _frame(self.terms)
        _require_product(frame.hessian_inverse, covariance, frame.projector)
        return covariance

    @property
    def _relaxation(self) -> Relaxation:
        return self.terms.equation.relaxation

    def _short(self, made: Callable[[NormalFrame], sp.Matrix]) -> sp.Matrix | None:
        try:
            frame = _frame(self.terms)
            _require_small(self.terms, frame)
            return _readable(self.terms, made(frame))
        except TooLong:
            return None


def second_potential_on(manifold: Manifold, reg: sp.Expr, reg2: sp.Expr) -> sp.Expr | None:
    """V₂ on Γ; None where it is too long to read."""
    frame, weights = manifold.frame, manifold.problem.weights
    if frame is None or not within(BUILT, frame.hessian_inverse, *gradient(reg, weights)):
        return None
    return manifold.shortest(second_potential(frame, reg, reg2, weights))


def _drift(terms: Terms, splitting: Splitting) -> sp.Matrix:
    total = sp.zeros(terms.manifold.problem.dimension, 1)
    if any(terms.slope):
        slope = sp.Matrix(terms.slope)
        require(BUILT, slope)
        total -= splitting.tangential(slope)
    if terms.ito_weight != 0:
        total += _correction(terms, _frame(terms))
    if terms.second_weight != 0:
        total += _second_drift(terms, _frame(terms))
    return total


def _frame(terms: Terms) -> NormalFrame:
    if terms.manifold.frame is None:
        raise TooLong
    return terms.manifold.frame


def _second_drift(terms: Terms, frame: NormalFrame) -> sp.Matrix:
    """−κ₂ P r in closed form."""
    _require_small(terms, frame)
    require(BUILT, *flattened(terms.second_order))
    short = mapped(terms.second_order, terms.manifold.shortest)
    return terms.second_weight * short.drift(frame, _Third(terms.manifold))


def _correction(terms: Terms, frame: NormalFrame) -> sp.Matrix:
    """Q D²Φ_α[Σ] in closed form."""
    special, third = terms.special, _Third(terms.manifold)
    if special is not None and special.potential is not None:
        slope = sp.Matrix(gradient(special.potential, terms.manifold.problem.weights))
        require(BUILT, slope)
        along = -2 * terms.ito_weight * frame.tangential(slope)
        if terms.noise_weight == 0:
            return along
        return along + terms.ito_weight * _normal_term(terms, frame, third)
    _require_small(terms, frame)
    covariance = _short_covariance(terms)
    require(READABLE, covariance)
    _require_product(frame.projector, covariance, frame.projector)
    _require_product(frame.hessian_inverse, covariance, frame.projector)
    if terms.manifold.codimension > 1:
        _require_solvable(frame, covariance)
    return terms.ito_weight * second_derivative(frame, third, covariance, terms.equation.relaxation)


def _normal_term(terms: Terms, frame: NormalFrame, third: _Third) -> sp.Matrix:
    """−H⁺ D³L[PΣP]; for isotropic noise PΣP is a multiple of P."""
    covariance = _short_covariance(terms)
    projector = terms.manifold.projector
    if covariance == covariance[0, 0] * sp.eye(covariance.rows):
        tangential = covariance[0, 0] * projector
    else:
        _require_product(projector, covariance, projector)
        tangential = projector * covariance * projector
    return normal_term(frame, third, tangential)


def _require_small(terms: Terms, frame: NormalFrame) -> None:
    """Formulas with third derivatives are worth writing in closed form for few weights."""
    if terms.manifold.problem.dimension > WEIGHTS or terms.manifold.codimension > 2:
        raise TooLong
    require(READABLE, frame.inverse)


def _require_solvable(frame: NormalFrame, covariance: sp.Matrix) -> None:
    """The Lyapunov equation is solved over a field of fractions, which long entries make slow."""
    if product_operations(frame.inverse.T, covariance, frame.inverse) > READABLE:
        raise TooLong


def _require_product(*factors: sp.Matrix) -> None:
    if product_operations(*factors) > BUILT:
        raise TooLong


def _short_covariance(terms: Terms) -> sp.Matrix:
    factor = terms.moments.factor
    if factor is not None:
        _require_product(factor, factor.T)
    require(BUILT, terms.moments.covariance)
    return terms.manifold.ideal.shortest_entries(terms.moments.covariance)


@dataclass(frozen=True)
class _Third:
    """S ↦ D³L[S], shortened on the way in and out so that nothing large is ever built."""

    manifold: Manifold

    def __call__(self, matrix: sp.Matrix) -> list[sp.Expr]:
        require(BUILT, matrix)
        contracted = sp.Matrix(self._jet.third(self.manifold.ideal.shortest_entries(matrix)))
        require(BUILT, contracted)
        return list(self.manifold.ideal.shortest_entries(contracted))

    @property
    def _jet(self) -> Jet:
        jet = self.manifold.jet
        require(BUILT, *flattened(jet))
        return jet


def _readable(terms: Terms, matrix: sp.Matrix) -> sp.Matrix:
    require(BUILT, matrix)
    short = terms.manifold.ideal.shortest_entries(matrix)
    require(READABLE, short)
    return short
