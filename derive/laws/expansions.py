"""What the limit and the scales beyond it see of a law, as operators on functions of the noise.

A law is a product of independent parts, and for each of them

    E f(η + part) = (1 + σ² A + σ³ B + σ⁴ C) f(η) + O(σ⁵).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from ..symbolic.calculus import gradient

Operator = Callable[[sp.Expr], sp.Expr]
Direction = Mapping[sp.Symbol, sp.Expr]
"""Coefficients F_i of the derivative D = Σ F_i ∂_{η_i}."""


@dataclass(frozen=True)
class Part:
    """Expansion of one independent part of the noise: the operators A, B and C."""

    first: Operator
    third: Operator
    second: Operator


@dataclass(frozen=True)
class Jump:
    """An atom of the jump measure ν.

    Attributes
    ----------
    displacement : ImmutableMatrix, shape (d, 1)
        Where the noise jumps to, z.
    rate : Expr
        The mass ν({z}).
    """

    displacement: sp.ImmutableMatrix
    rate: sp.Expr


@dataclass(frozen=True)
class LevyPair:
    """What the limit sees of a law: E f(η) = f(0) + σ²(½ C:∇²f(0) + ∫[f(z) − f(0) − z·∇f(0)]ν(dz)).

    Attributes
    ----------
    covariance : ImmutableMatrix, shape (d, d)
        Covariance C of the small fluctuations, in units of σ².
    jumps : tuple of Jump
        Atoms of ν.
    """

    covariance: sp.ImmutableMatrix
    jumps: tuple[Jump, ...] = ()


def coordinate_part(symbol: sp.Symbol, kurtosis: sp.Expr, skewness: sp.Expr) -> Part:
    """One coordinate σζ with E ζ² = 1, E ζ³ and E ζ⁴."""

    def power(f: sp.Expr, order: int) -> sp.Expr:
        for _ in range(order):
            f = along({symbol: sp.S.One}, f)
        return f

    return Part(
        lambda f: power(f, 2) / 2,
        lambda f: skewness * power(f, 3) / 6 if skewness != 0 else sp.Integer(0),
        lambda f: kurtosis * power(f, 4) / 24,
    )


def infinitely_divisible_part(symbols: Sequence[sp.Symbol], pair: LevyPair) -> Part:
    """A Lévy process at time σ²: E f = exp(σ²A) f, hence C = A²/2."""

    def generator(f: sp.Expr) -> sp.Expr:
        slope = gradient(f, symbols)
        total = sp.Integer(0)
        for i, entry in enumerate(slope):
            row = {s: c / 2 for s, c in zip(symbols, pair.covariance[i, :], strict=True) if c != 0}
            total += along(row, entry)
        return total + sum(_jump(jump, symbols, slope, f) for jump in pair.jumps)

    return Part(generator, lambda f: sp.Integer(0), lambda f: generator(generator(f)) / 2)


def _jump(
    jump: Jump, symbols: Sequence[sp.Symbol], slope: Sequence[sp.Expr], f: sp.Expr
) -> sp.Expr:
    """ν (f(η + z) − f(η) − z·∂f(η))."""
    z = dict(zip(symbols, jump.displacement, strict=True))
    linear = sum(z[s] * g for s, g in zip(symbols, slope, strict=True))
    return jump.rate * (f.xreplace({s: s + x for s, x in z.items() if x != 0}) - f - linear)


def dropout_part(symbol: sp.Symbol) -> Part:
    """E f = (f(σ²) + σ² f(−1))/(1 + σ²) in one coordinate: A = B_i and C = ½ ∂² − B_i."""

    def drop(f: sp.Expr) -> sp.Expr:
        return f.xreplace({symbol: symbol - 1}) - f + f.diff(symbol)

    return Part(drop, lambda f: sp.Integer(0), lambda f: f.diff(symbol, 2) / 2 - drop(f))


def along(direction: Direction, f: sp.Expr) -> sp.Expr:
    """D f."""
    slope = gradient(f, list(direction))
    return sp.Add(*(c * g for c, g in zip(direction.values(), slope, strict=True)))
