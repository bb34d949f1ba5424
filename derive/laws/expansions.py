"""What the limit and the scales beyond it see of a law, as operators on functions of the noise.

A law is a product of independent parts, and for each of them

    E f(η + part) = (1 + σ² A + σ³ B + σ⁴ C) f(η) + O(σ⁵).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import sympy as sp

from ..errors import ProblemError
from ..symbolic.calculus import gradient, semidefinite_factor

Operator = Callable[[sp.Expr], sp.Expr]
Direction = Mapping[sp.Symbol, sp.Expr]
"""Coefficients F_i of the derivative D = Σ F_i ∂_{η_i}."""

Moment = Callable[[Sequence[int]], sp.Expr]
"""E Π_i ζ_i^n_i, given an exponent n_i for each coordinate."""


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


@dataclass(frozen=True)
class Products:
    """Products ζ_iζ_j of the coordinates of η = σ Σ ζ_iD_i, which make up its second chaos.

    Attributes
    ----------
    directions : tuple of Direction
        D_i.
    columns : tuple of mapping of (i, j) to Expr
        With i ≤ j: ½ Σ ζ_iζ_j D_iD_j f has the covariance Σ_c (Σ c_ij D_iD_j f)(Σ c_ij D_iD_j f)ᵀ.
    """

    directions: tuple[Direction, ...]
    columns: tuple[Mapping[tuple[int, int], sp.Expr], ...]

    @classmethod
    def of_independent(cls, directions: Iterable[Direction], kurtosis: sp.Expr) -> Products:
        """Of independent ζ_i of unit variance, all with the same E ζ⁴."""
        given = tuple(directions)
        mixed = ({pair: sp.Integer(1)} for pair in combinations(range(len(given)), 2))
        squares = ({(i, i): sp.sqrt(kurtosis - 1) / 2} for i in range(len(given)))
        return cls(given, (*mixed, *squares))

    @classmethod
    def of_dependent(cls, symbols: Sequence[sp.Symbol], moment: Moment) -> Products:
        """Of the noise coordinates themselves, from their moments up to the fourth."""
        pairs = list(combinations_with_replacement(range(len(symbols)), 2))
        means = [moment(exponents(pair, len(symbols))) for pair in pairs]
        covariance = sp.Matrix(
            len(pairs),
            len(pairs),
            lambda p, q: moment(exponents(pairs[p] + pairs[q], len(symbols))) - means[p] * means[q],
        )
        factor = semidefinite_factor(covariance)
        if factor is None:
            raise ProblemError("law: its fourth moments are not those of any law")
        columns = (
            {
                (i, j): factor[p, c] / (2 if i == j else 1)
                for p, (i, j) in enumerate(pairs)
                if factor[p, c] != 0
            }
            for c in range(factor.cols)
        )
        return cls(tuple({s: sp.Integer(1)} for s in symbols), tuple(columns))


def exponents(factors: Sequence[int], dimension: int) -> tuple[int, ...]:
    """Exponents of a monomial, a product of coordinates of these numbers."""
    return tuple(factors.count(i) for i in range(dimension))


def moment_part(symbols: Sequence[sp.Symbol], moment: Moment) -> Part:
    """Coordinates σζ_i with known moments E Π ζ_i^n_i."""

    def term(order: int) -> Operator:
        """Σ E[ζ^n] ∂^n f/n! over the monomials of an order."""

        def of(f: sp.Expr) -> sp.Expr:
            total = sp.Integer(0)
            for factors in combinations_with_replacement(range(len(symbols)), order):
                powers = exponents(factors, len(symbols))
                weight = moment(powers) / sp.Mul(*map(sp.factorial, powers))
                if weight != 0:
                    slope = f
                    for i in factors:
                        slope = along({symbols[i]: sp.S.One}, slope)
                    total += weight * slope
            return total

        return of

    return Part(term(2), term(3), term(4))


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
