"""Reg and Σ, what the limit needs to know of the noise, from the Lévy pair of its law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, singledispatch
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..laws.covariance import square_root
from ..laws.expansions import Jump, LevyPair
from ..laws.independent import Independent
from ..model.problem import NoisyGradientDescent, Objective
from ..reading import parts
from ..symbolic.calculus import (
    INFINITE,
    Differentiator,
    Occurrence,
    Substitution,
    WithoutCaches,
    is_zero,
)
from ..symbolic.kinks import on_the_pieces

NOT_SMOOTH = (sp.DiracDelta, sp.Derivative, sp.Subs, type(sp.nan), type(sp.zoo))

FindFactor = Callable[[], sp.ImmutableMatrix | None]


@dataclass(frozen=True, eq=False)
class NoiseMoments(WithoutCaches):
    """Moments of the injected noise at order σ²; equal when the moments are, however found.

    Attributes
    ----------
    regularizer : Expr
        Reg(w), on R^N.
    find_factor : callable
        Makes `factor`, which is the larger part of the work and not always needed.
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
    find_factor: FindFactor
    given_covariance: sp.ImmutableMatrix | None = None
    penalty: sp.Expr = sp.S.Zero

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NoiseMoments):
            return NotImplemented
        return self._stated == other._stated and self.factor == other.factor

    def __hash__(self) -> int:
        return hash(self._stated)

    @property
    def _stated(self) -> tuple[Any, ...]:
        return self.regularizer, self.given_covariance, self.penalty

    def subs(self, values: Mapping[sp.Symbol, Any]) -> NoiseMoments:
        """Bind parameters to numbers."""
        return NoiseMoments(
            self.regularizer.subs(values),
            partial(_bound, self.find_factor, values),
            None if self.given_covariance is None else self.given_covariance.subs(values),
            self.penalty.subs(values),
        )

    @property
    def isotropic(self) -> sp.Expr | None:
        """b² where Σ = b²I is known without its being written."""
        return None

    @property
    def is_silent(self) -> bool:
        """Whether there is no gradient noise."""
        return not self.columns.cols

    @cached_property
    def factor(self) -> sp.ImmutableMatrix | None:
        """S with S Sᵀ = Σ, shape (N, m): the columns [G C^{1/2} | √ν_m g_{z_m}].

        None when only Σ is known.
        """
        return self.find_factor()

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


@singledispatch
def moments_of(objective: Objective) -> NoiseMoments:
    """Reg(w) and Σ(w) of a problem, found as the kind of its objective asks.

    Raises
    ------
    ProblemError
        As `noise_moments`.
    """
    raise objective.refused("noise")


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
    expansion = _Expansion(
        problem.noisy_loss, problem.weights, tuple(shrinking), _marginal(problem, shrinking)
    )
    if not persistent:
        return NoiseMoments(expansion.regularizer(), expansion.factor)
    covariance = _marginal(problem, list(persistent)).covariance
    regularizer = _average(expansion.regularizer(), persistent, covariance)
    return NoiseMoments(regularizer, partial(_averaged_factor, expansion, persistent, covariance))


def _averaged_factor(
    expansion: _Expansion, persistent: Sequence[sp.Symbol], covariance: sp.MatrixBase
) -> sp.ImmutableMatrix:
    columns = _averaged_columns(expansion.columns(), persistent, covariance)
    return _side_by_side(columns, len(expansion.weights))


def _side_by_side(columns: Sequence[sp.Matrix], rows: int) -> sp.ImmutableMatrix:
    """The columns that are not zero, as a matrix."""
    kept = [c for c in columns if any(c)]
    return sp.ImmutableMatrix(sp.Matrix.hstack(*kept) if kept else sp.zeros(rows, 0))


def _bound(find_factor: FindFactor, values: Mapping[sp.Symbol, Any]) -> sp.ImmutableMatrix | None:
    factor = find_factor()
    return None if factor is None else factor.subs(values)


def _unknown_factor() -> None:
    return None


def persistent_noise(problem: NoisyGradientDescent) -> tuple[sp.Symbol, ...]:
    """Noise symbols whose law does not shrink with σ beside others that do."""
    persistent = _persistent_noise(problem)
    return persistent if len(persistent) < len(problem.noise) else ()


def enters_linearly(problem: NoisyGradientDescent) -> bool:
    """Whether ∇_wL̂ is seen to be affine in the noise, whose size is then of no account."""
    if problem.noisy_loss is None:
        return bool(problem.noise)
    if not problem.objective.is_pointwise:
        return False
    in_noise = Differentiator(problem.noise)
    on_weights = Occurrence(problem.weights)
    noisy = problem.one_sample.noisy_loss
    seconds = (x for slope in in_noise.gradient(noisy) for x in in_noise.gradient(slope))
    return not any(on_weights(x) and not is_zero(x) for x in seconds)


def _given_moments(problem: NoisyGradientDescent) -> NoiseMoments:
    matrix = problem.noise_matrix
    if not problem.noise:
        return NoiseMoments(sp.Integer(0), _unknown_factor, matrix)
    columns = sp.Matrix(matrix) * square_root(problem.levy_pair.covariance)
    for jump in problem.levy_pair.jumps:
        columns = columns.row_join(sp.sqrt(jump.rate) * matrix * jump.displacement)
    return NoiseMoments(sp.Integer(0), partial(sp.ImmutableMatrix, columns))


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


@dataclass(frozen=True)
class _Expansion(WithoutCaches):
    """L̂ near η = 0, for the part of the noise that shrinks with σ."""

    noisy_loss: sp.Expr
    weights: tuple[sp.Symbol, ...]
    noise: tuple[sp.Symbol, ...]
    pair: LevyPair

    @cached_property
    def _occurrence(self) -> Occurrence:
        return Occurrence(self.noise)

    @cached_property
    def _silent(self) -> Substitution:
        return Substitution(dict.fromkeys(self.noise, sp.S.Zero), self._occurrence)

    @cached_property
    def _slopes(self) -> list[sp.Expr]:
        """∂_η L̂."""
        return self._in_noise(self.noise).gradient(self.noisy_loss)

    def _in_noise(self, noise: Sequence[sp.Symbol]) -> Differentiator:
        """Derivatives in η, with δ at kinks, of which those at η = 0 matter."""
        return Differentiator(noise, self._occurrence, at_kinks=True)

    def regularizer(self) -> sp.Expr:
        """½ C:∇²_ηL̂(w, 0) + ∫[L̂(w, z) − L(w) − z·∂_ηL̂(w, 0)] ν(dz)."""
        terms = []
        smooth = _Smoothness()
        for i, slope in enumerate(self._slopes):
            linked = [j for j in range(len(self.noise)) if self.pair.covariance[i, j] != 0]
            others = [self.noise[j] for j in linked]
            seconds = self._in_noise(others).gradient(slope)
            for j, second in zip(linked, seconds, strict=True):
                still = on_the_pieces(self._silent(second))
                smooth.check(still, self.noise[j])
                terms.append(self.pair.covariance[i, j] * still / 2)
        still = self._silent(self.noisy_loss)
        for jump in self.pair.jumps:
            linear = [z * self._silent(s) for z, s in self._displaced(jump, self._slopes)]
            excess = sp.Add(self._after(jump), -still, *(-x for x in linear))
            terms.append(jump.rate * excess)
        return sp.Add(*terms)

    def factor(self) -> sp.ImmutableMatrix:
        """S with S Sᵀ = Σ."""
        return _side_by_side(self.columns(), len(self.weights))

    def columns(self) -> list[sp.Matrix]:
        """[G C^{1/2} | √ν_m g_{z_m}] with G = ∂_η∇_wL̂(w, 0), g_z = ∇_wL̂(w, z) − ∇L(w)."""
        gradient = Differentiator(self.weights).gradient
        columns = []
        if any(self.pair.covariance):
            slopes = [on_the_pieces(self._silent(slope)) for slope in self._slopes]
            smooth = _Smoothness()
            for slope, symbol in zip(slopes, self.noise, strict=True):
                smooth.check(slope, symbol)
            g = sp.Matrix([gradient(slope) for slope in slopes]).T
            if not self.pair.covariance.is_Identity:
                g = g * square_root(self.pair.covariance)
            columns = [g[:, a] for a in range(g.cols)]
        still = self._silent(self.noisy_loss)
        for jump in self.pair.jumps:
            column = sp.Matrix(gradient(self._after(jump) - still))
            columns.append(sp.sqrt(jump.rate) * column)
        return columns

    def _after(self, jump: Jump) -> sp.Expr:
        """L̂(w, z)."""
        displaced = {symbol: z for z, symbol in self._displaced(jump, self.noise)}
        after = self._silent.instead(displaced)(self.noisy_loss)
        if not parts(after).isdisjoint(INFINITE):
            raise ProblemError(
                f"noisy_loss: L̂ is not finite where the noise jumps, at {displaced}; take a law "
                "without that jump, or write L̂ so that it is finite there"
            )
        return after

    @staticmethod
    def _displaced(jump: Jump, items: Sequence[Any]) -> list[tuple[sp.Expr, Any]]:
        """The coordinates that jump, each with its item."""
        return [(z, x) for z, x in zip(jump.displacement, items, strict=True) if z != 0]


class _Smoothness:
    """Looks for signs that a derivative does not exist; each part of an expression once."""

    def __init__(self) -> None:
        self._clean: set[sp.Basic] = set()

    def check(self, derivative: sp.Expr, symbol: sp.Symbol) -> None:
        """Refuse noise in which L̂ has no second derivative at η = 0."""
        if not self._is_clean(derivative):
            raise ProblemError(
                f"noisy_loss: L̂ has no second derivative in {symbol} at η = 0 (|η|-type noise, "
                "whose regularizer is undefined and whose scale would be 1/(ασ)); use a smooth L̂"
            )

    def _is_clean(self, e: sp.Basic) -> bool:
        if e in self._clean:
            return True
        clean = not isinstance(e, NOT_SMOOTH) and all(map(self._is_clean, e.args))
        if clean:
            self._clean.add(e)
        return clean


def _average(expression: sp.Expr, noise: Sequence[sp.Symbol], covariance: sp.MatrixBase) -> sp.Expr:
    """Mean over centred noise of an expression that is quadratic in it."""
    differentiator, silent = Differentiator(noise), dict.fromkeys(noise, sp.S.Zero)
    seconds = [differentiator.gradient(slope) for slope in differentiator.gradient(expression)]
    _refuse_degree(expression, [x for row in seconds for x in row], noise, 2)
    curvature = [
        covariance[i, j] * second / 2
        for i, row in enumerate(seconds)
        for j, second in enumerate(row)
        if covariance[i, j] != 0
    ]
    return sp.Add(expression.xreplace(silent), *curvature)


def _averaged_columns(
    columns: Sequence[sp.Matrix], noise: Sequence[sp.Symbol], covariance: sp.MatrixBase
) -> list[sp.Matrix]:
    """Factor of E_ζ[S_ζ S_ζᵀ] for columns affine in ζ: S_0, and Σ_a F_am ∂_aS for Cov ζ = F Fᵀ."""
    root = square_root(sp.ImmutableMatrix(covariance))
    differentiator, silent = Differentiator(noise), dict.fromkeys(noise, sp.S.Zero)
    averaged = []
    for column in columns:
        slopes = sp.Matrix([differentiator.gradient(entry) for entry in column])
        for entry, slope in zip(column, slopes.tolist(), strict=True):
            _refuse_degree(entry, slope, noise, 1)
        averaged.append(column.xreplace(silent))
        averaged += [slopes * root[:, m] for m in range(root.cols)]
    return averaged


def _refuse_degree(
    expression: sp.Expr, derivatives: Sequence[sp.Expr], noise: Sequence[sp.Symbol], degree: int
) -> None:
    """Refuse an expression of a higher degree, given its derivatives of that order."""
    if not any(d.free_symbols & set(noise) for d in derivatives):
        return
    if not expression.is_polynomial(*noise) or sp.Poly(expression, *noise).total_degree() > degree:
        raise ProblemError(
            "noisy_loss: the noise that does not shrink with σ must enter L̂ linearly, as the "
            f"weights of a minibatch do; {sp.sstr(noise)} does not"
        )
