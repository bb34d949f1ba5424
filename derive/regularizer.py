"""Reg and Σ, what the limit needs to know of the noise, from the Lévy pair of its law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp

from .calculus import gradient, semidefinite_factor
from .errors import ProblemError
from .laws import Independent, LevyPair
from .problem import NoisyGradientDescent

NOT_SMOOTH = (sp.DiracDelta, sp.Derivative, sp.Subs, sp.nan, sp.zoo)


@dataclass(frozen=True)
class NoiseMoments:
    """Moments of the injected noise at order σ².

    Attributes
    ----------
    regularizer : Expr
        Reg(w), on R^N.
    factor : ImmutableMatrix, shape (N, m), or None
        S with S Sᵀ = Σ: the columns [G C^{1/2} | √ν_m g_{z_m}]; None when only Σ is known.
    given_covariance : ImmutableMatrix, shape (N, N), or None
        Σ(w) as the user gave it, when `factor` is None.
    penalty : Expr
        U(w) of a penalty ασ²U; one of size σ² is part of `regularizer`.

    References
    ----------
    Shalova, Schlichting, Peletier, arXiv 2404.12293, for Reg = ½ Δ_η L̂(w, 0); the jump part is
    the Lévy-Khintchine form of the same expansion.
    """

    regularizer: sp.Expr
    factor: sp.ImmutableMatrix | None
    given_covariance: sp.ImmutableMatrix | None = None
    penalty: sp.Expr = sp.S.Zero

    def subs(self, values: Mapping[sp.Symbol, Any]) -> NoiseMoments:
        """Bind parameters to numbers."""

        def bind(item: Any) -> Any:
            return None if item is None else item.subs(values)

        return NoiseMoments(
            bind(self.regularizer),
            bind(self.factor),
            bind(self.given_covariance),
            bind(self.penalty),
        )

    @cached_property
    def covariance(self) -> sp.Matrix:
        """Σ(w), shape (N, N)."""
        if self.factor is None:
            return sp.Matrix(self.given_covariance)
        return sp.Matrix(self.factor * self.factor.T)

    @cached_property
    def columns(self) -> sp.Matrix:
        """Matrix with the column space of Σ: the factor, or Σ itself."""
        return sp.Matrix(self.given_covariance if self.factor is None else self.factor)


def noise_moments(problem: NoisyGradientDescent) -> NoiseMoments:
    """Reg(w) and Σ(w) of a problem.

    Raises
    ------
    ProblemError
        If L̂ has no second derivative in η at η = 0, or its dependence on a part of the noise that
        does not shrink with σ is not polynomial of degree at most one.
    """
    injected = _injected_moments(problem)
    penalties = problem.penalties
    regularizer = injected.regularizer + penalties.noise
    return replace(injected, regularizer=regularizer, penalty=penalties.step)


def _injected_moments(problem: NoisyGradientDescent) -> NoiseMoments:
    if problem.noisy_loss is None:
        return _given_moments(problem)
    persistent = _persistent_noise(problem)
    shrinking = [s for s in problem.noise if s not in persistent]
    if not shrinking:
        persistent, shrinking = (), list(problem.noise)
    pair = _marginal(problem, shrinking)
    regularizer = _regularizer(problem.noisy_loss, problem.loss, shrinking, pair)
    columns = _gradient_factor(problem, shrinking, pair)
    if persistent:
        covariance = _marginal(problem, list(persistent)).covariance
        regularizer = _average(regularizer, persistent, covariance)
        columns = _averaged_columns(columns, persistent, covariance)
    kept = [c for c in columns if any(c)]
    factor = sp.Matrix.hstack(*kept) if kept else sp.zeros(problem.dimension, 0)
    return NoiseMoments(regularizer, sp.ImmutableMatrix(factor))


def persistent_noise(problem: NoisyGradientDescent) -> tuple[sp.Symbol, ...]:
    """Noise symbols whose law does not shrink with σ beside others that do."""
    persistent = _persistent_noise(problem)
    return persistent if len(persistent) < len(problem.noise) else ()


def _given_moments(problem: NoisyGradientDescent) -> NoiseMoments:
    matrix = problem.noise_matrix
    if not problem.noise:
        return NoiseMoments(sp.Integer(0), None, matrix)
    columns = sp.Matrix(matrix) * square_root(problem.levy_pair.covariance)
    for jump in problem.levy_pair.jumps:
        columns = columns.row_join(sp.sqrt(jump.rate) * matrix * jump.displacement)
    return NoiseMoments(sp.Integer(0), sp.ImmutableMatrix(columns))


def _persistent_noise(problem: NoisyGradientDescent) -> tuple[sp.Symbol, ...]:
    law = problem.law
    if isinstance(law, Independent):
        return tuple(s for symbols, part in law.groups if not part.shrinks for s in symbols)
    return () if law.shrinks else problem.noise


def _marginal(problem: NoisyGradientDescent, symbols: Sequence[sp.Symbol]) -> LevyPair:
    """Lévy pair of some of the noise coordinates."""
    index = [problem.noise.index(s) for s in symbols]
    pair = problem.levy_pair
    jumps = tuple(
        type(j)(j.displacement.extract(index, [0]), j.rate)
        for j in pair.jumps
        if any(j.displacement[i] for i in index)
    )
    return LevyPair(pair.covariance.extract(index, index), jumps)


def _regularizer(
    noisy_loss: sp.Expr, loss: sp.Expr, noise: Sequence[sp.Symbol], pair: LevyPair
) -> sp.Expr:
    """½ C:∇²_ηL̂(w, 0) + ∫[L̂(w, z) − L(w) − z·∂_ηL̂(w, 0)] ν(dz)."""
    silent = dict.fromkeys(noise, sp.Integer(0))
    slope = gradient(noisy_loss, noise)
    total = sp.Integer(0)
    for i, first in enumerate(slope):
        for j in range(len(noise)):
            if pair.covariance[i, j] != 0:
                second = first.diff(noise[j]).subs(silent)
                _refuse_rough(second, noise[j])
                total += pair.covariance[i, j] * second / 2
    for jump in pair.jumps:
        there = dict(zip(noise, jump.displacement, strict=True))
        linear = sum(
            z * s.subs(silent) for z, s in zip(jump.displacement, slope, strict=True) if z != 0
        )
        base = noisy_loss.subs(silent)
        total += jump.rate * (noisy_loss.subs(there) - base - linear)
    return sp.sympify(total)


def _gradient_factor(
    problem: NoisyGradientDescent, noise: Sequence[sp.Symbol], pair: LevyPair
) -> list[sp.Matrix]:
    """Columns [G C^{1/2} | √ν_m g_{z_m}] with G = ∂_η∇_wL̂(w, 0), g_z = ∇_wL̂(w, z) − ∇L(w)."""
    noisy_loss, weights = problem.noisy_loss, problem.weights
    assert noisy_loss is not None
    silent = dict.fromkeys(noise, sp.Integer(0))
    columns = []
    if any(pair.covariance):
        slopes = [first.subs(silent) for first in gradient(noisy_loss, noise)]
        for slope, symbol in zip(slopes, noise, strict=True):
            _refuse_rough(slope, symbol)
        g = sp.Matrix([gradient(slope, weights) for slope in slopes]).T
        root = g * square_root(pair.covariance)
        columns = [root[:, a] for a in range(root.cols)]
    still = noisy_loss.subs(silent)
    for jump in pair.jumps:
        there = dict(zip(noise, jump.displacement, strict=True))
        column = sp.Matrix(gradient(noisy_loss.subs(there) - still, weights))
        columns.append(sp.sqrt(jump.rate) * column)
    return columns


def square_root(covariance: sp.ImmutableMatrix) -> sp.Matrix:
    """Factor F with F Fᵀ = C of a noise covariance."""
    if covariance.is_Identity:
        return sp.eye(covariance.rows)
    factor = semidefinite_factor(covariance)
    if factor is None:
        raise ProblemError(f"law: the covariance {covariance} is not positive semi-definite")
    return factor


def _refuse_rough(expression: sp.Expr, symbol: sp.Symbol) -> None:
    if expression.has(*NOT_SMOOTH):
        raise ProblemError(
            f"noisy_loss: L̂ has no second derivative in {symbol} at η = 0 (|η|-type noise, whose "
            "regularizer is undefined and whose scale would be 1/(ασ)); use a smooth L̂"
        )


def _average(expression: sp.Expr, noise: Sequence[sp.Symbol], covariance: sp.MatrixBase) -> sp.Expr:
    """Mean over centred noise of an expression that is quadratic in it."""
    _refuse_degree(expression, noise, 2)
    silent = dict.fromkeys(noise, sp.Integer(0))
    curvature = sum(
        covariance[i, j] * expression.diff(noise[i], noise[j]) / 2
        for i in range(len(noise))
        for j in range(len(noise))
        if covariance[i, j] != 0
    )
    return expression.subs(silent) + curvature


def _averaged_columns(
    columns: Sequence[sp.Matrix], noise: Sequence[sp.Symbol], covariance: sp.MatrixBase
) -> list[sp.Matrix]:
    """Factor of E_ζ[S_ζ S_ζᵀ] for columns affine in ζ: S_0, and Σ_a F_am ∂_aS for Cov ζ = F Fᵀ."""
    root = square_root(sp.ImmutableMatrix(covariance))
    silent = dict.fromkeys(noise, sp.Integer(0))
    averaged = []
    for column in columns:
        for entry in column:
            _refuse_degree(entry, noise, 1)
        slopes = [column.diff(s) for s in noise]
        averaged.append(column.subs(silent))
        for m in range(root.cols):
            terms = [root[a, m] * s for a, s in enumerate(slopes) if root[a, m] != 0 and any(s)]
            averaged.append(sum(terms, sp.zeros(column.rows, 1)))
    return averaged


def _refuse_degree(expression: sp.Expr, noise: Sequence[sp.Symbol], degree: int) -> None:
    if not expression.free_symbols & set(noise):
        return
    if not expression.is_polynomial(*noise) or sp.Poly(expression, *noise).total_degree() > degree:
        raise ProblemError(
            "noisy_loss: the noise that does not shrink with σ must enter L̂ linearly, as the "
            f"weights of a minibatch do; {sp.sstr(noise)} does not"
        )
