"""Moments of the noise beyond order σ²: the mean of the noisy loss, and the second chaos.

A law is a product of independent parts, and for each of them, as operators on functions of η,

    E f(η + part) = (1 + σ² A + σ³ B + σ⁴ C) f(η) + O(σ⁵),

so that Reg = Σ A_i L̂, Reg₃ = Σ B_i L̂ and Reg₂ = Σ C_i L̂ + Σ_{i<j} A_i A_j L̂, all at η = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import sympy as sp

from ..errors import NotCoveredError
from ..model.laws import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Independent,
    Jump,
    Law,
    LevyPair,
    ShrinkingLaw,
)
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import gradient
from .averaged_moments import averaged
from .noise_moments import NoiseMoments, persistent_noise, square_root

Operator = Callable[[sp.Expr], sp.Expr]
Direction = Mapping[sp.Symbol, sp.Expr]
"""Coefficients F_i of the derivative D = Σ F_i ∂_{η_i}."""


@dataclass(frozen=True)
class Part:
    """Expansion of one independent part of the noise: the operators A, B and C."""

    first: Operator
    third: Operator
    second: Operator


def second_regularizer(problem: NoisyGradientDescent) -> sp.Expr:
    """Reg₂(w) = lim σ⁻⁴ (E L̂ − L − σ²Reg), on R^N (without the term in σ³ of skew laws).

    For a law that shrinks with σ it is (1/24) E[ξ⊗⁴] : ∂⁴_ηL̂(w, 0), for a Gaussian
    ⅛ (C:∇²_η)² L̂; rare jumps make it non-local. A penalty of size σ⁴ is part of it.

    Raises
    ------
    NotCoveredError
        If a part of the noise does not shrink with σ.
    """
    if problem.samples is not None:
        return problem.samples.of(second_regularizer(problem.one_sample))
    total, before = sp.Integer(0), sp.Integer(0)
    if problem.noisy_loss is not None:
        for part in _parts(problem):
            once = part.first(problem.noisy_loss)
            total += part.second(problem.noisy_loss) + part.first(before)
            before += once
    return _silent(total, problem) + problem.penalties.fourth


def third_regularizer(problem: NoisyGradientDescent) -> sp.Expr:
    """Reg₃(w) = (1/6) E[ξ⊗³] : ∂³_ηL̂(w, 0), the term of E L̂ in σ³; zero for symmetric laws."""
    if problem.samples is not None:
        return problem.samples.of(third_regularizer(problem.one_sample))
    if problem.noisy_loss is None:
        return sp.Integer(0)
    terms = [part.third(problem.noisy_loss) for part in _parts(problem)]
    return _silent(sp.Add(*terms), problem)


def second_chaos(problem: NoisyGradientDescent) -> NoiseMoments:
    """Factor of Σ₂, the covariance of the gradient noise ½ ηᵀ(∂²_η∇_wL̂)η in units of σ⁴.

    Σ₂,kl = ½ tr(A_k C A_l C) with A_k = ∂²_η∂_kL̂ for a Gaussian. With directions D_i of the
    noise, C = Σ D_iD_iᵀ, and the kurtosis K_i of its coordinates the columns are D_iD_j∇_wL̂ for
    i < j and ½ √(K_i − 1) D_i²∇_wL̂.

    Raises
    ------
    NotCoveredError
        For laws with rare jumps or parts that do not shrink with σ.
    """
    if problem.samples is not None:
        own = set(problem.samples.independent)
        if own and own != set(problem.noise):
            raise NotCoveredError(
                "noise: the second chaos is not derived for noise of each sample's own beside "
                "noise that all samples share"
            )
        return averaged(problem, second_chaos)
    columns = []
    if problem.noisy_loss is not None:
        spread = list(_directions(problem))
        slopes = [_along(d, problem.noisy_loss) for d, _ in spread]
        pairs = [(_along(spread[j][0], slopes[i]), 1) for i, j in _pairs(len(spread))]
        pairs += [
            (_along(direction, slope), sp.sqrt(kurtosis - 1) / 2)
            for (direction, kurtosis), slope in zip(spread, slopes, strict=True)
        ]
        for mixed, weight in pairs:
            column = [weight * x for x in gradient(_silent(mixed, problem), problem.weights)]
            if any(column):
                columns.append(sp.Matrix(column))
    factor = sp.Matrix.hstack(*columns) if columns else sp.zeros(problem.dimension, 0)
    return NoiseMoments(sp.Integer(0), partial(sp.ImmutableMatrix, factor))


def _parts(problem: NoisyGradientDescent) -> Iterator[Part]:
    for symbols, law in _groups(problem):
        match law:
            case Bernoulli():
                yield from map(_dropout_part, symbols)
            case Gaussian() | CustomLaw():
                yield _infinitely_divisible_part(symbols, law.levy_pair(len(symbols)))
            case ShrinkingLaw():
                yield from (
                    _coordinate_part({s: sp.Integer(1)}, law.kurtosis, law.skewness)
                    for s in symbols
                )
            case _:
                raise _unknown(law)


def _directions(problem: NoisyGradientDescent) -> Iterator[tuple[Direction, sp.Expr]]:
    """Directions of the noise with the kurtosis of the independent coordinate along each."""
    for symbols, law in _groups(problem):
        pair = law.levy_pair(len(symbols))
        if not isinstance(law, ShrinkingLaw | CustomLaw) or pair.jumps:
            raise _unknown(law)
        factor = square_root(pair.covariance)
        kurtosis = law.kurtosis if isinstance(law, ShrinkingLaw) else sp.Integer(3)
        for a in range(factor.cols):
            yield dict(zip(symbols, factor[:, a], strict=True)), kurtosis


def _groups(problem: NoisyGradientDescent) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
    if persistent_noise(problem):
        raise NotCoveredError(
            "law: the slower scales are known for noise that shrinks with σ, but "
            f"{', '.join(map(str, persistent_noise(problem)))} does not"
        )
    law = problem.law
    return law.groups if isinstance(law, Independent) else ((problem.noise, law),)


def _unknown(law: Law) -> NotCoveredError:
    return NotCoveredError(
        f"law: this moment beyond order σ² is not known for {type(law).__name__}; it is for laws "
        "that shrink with σ, and the mean of the noisy loss for rare jumps too"
    )


def _coordinate_part(direction: Direction, kurtosis: sp.Expr, skewness: sp.Expr) -> Part:
    def power(f: sp.Expr, order: int) -> sp.Expr:
        for _ in range(order):
            f = _along(direction, f)
        return f

    return Part(
        lambda f: power(f, 2) / 2,
        lambda f: skewness * power(f, 3) / 6 if skewness != 0 else sp.Integer(0),
        lambda f: kurtosis * power(f, 4) / 24,
    )


def _infinitely_divisible_part(symbols: Sequence[sp.Symbol], pair: LevyPair) -> Part:
    """A Lévy process at time σ²: E f = exp(σ²A) f, hence C = A²/2."""

    def generator(f: sp.Expr) -> sp.Expr:
        slope = gradient(f, symbols)
        total = sp.Integer(0)
        for i, entry in enumerate(slope):
            row = {s: c / 2 for s, c in zip(symbols, pair.covariance[i, :], strict=True) if c != 0}
            total += _along(row, entry)
        return total + sum(_jump(jump, symbols, slope, f) for jump in pair.jumps)

    return Part(generator, lambda f: sp.Integer(0), lambda f: generator(generator(f)) / 2)


def _jump(
    jump: Jump, symbols: Sequence[sp.Symbol], slope: Sequence[sp.Expr], f: sp.Expr
) -> sp.Expr:
    """ν (f(η + z) − f(η) − z·∂f(η))."""
    z = dict(zip(symbols, jump.displacement, strict=True))
    linear = sum(z[s] * g for s, g in zip(symbols, slope, strict=True))
    return jump.rate * (f.xreplace({s: s + x for s, x in z.items() if x != 0}) - f - linear)


def _dropout_part(symbol: sp.Symbol) -> Part:
    """E f = (f(σ²) + σ² f(−1))/(1 + σ²) in one coordinate: A = B_i and C = ½ ∂² − B_i."""

    def drop(f: sp.Expr) -> sp.Expr:
        return f.xreplace({symbol: symbol - 1}) - f + f.diff(symbol)

    return Part(drop, lambda f: sp.Integer(0), lambda f: f.diff(symbol, 2) / 2 - drop(f))


def _along(direction: Direction, f: sp.Expr) -> sp.Expr:
    slope = gradient(f, list(direction))
    return sp.Add(*(c * g for c, g in zip(direction.values(), slope, strict=True)))


def _silent(expression: sp.Expr, problem: NoisyGradientDescent) -> sp.Expr:
    return sp.sympify(expression).xreplace(dict.fromkeys(problem.noise, sp.S.Zero))


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    return combinations(range(count), 2)
