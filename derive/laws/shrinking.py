"""Laws that shrink with σ: independent coordinates of one shape, a Gaussian vector, a sphere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..reading import read_expression
from .covariance import columns, read_covariance
from .expansions import (
    LevyPair,
    Part,
    Products,
    exponents,
    infinitely_divisible_part,
    moment_part,
)
from .law import Law, Quantity, check_dimension


class UnitLaw(Law):
    """η = σ F ζ with F Fᵀ = C and centred, uncorrelated coordinates ζ_j of unit variance.

    A law of dependent coordinates states their moments, and no more.
    """

    covariance: sp.ImmutableMatrix | None = None
    """C, the identity if None."""

    @abstractmethod
    def joint_moment(self, exponents: Sequence[int]) -> sp.Expr:
        """E Π_j ζ_j^n_j, with an exponent for each coordinate."""

    def levy_pair(self, dimension: int) -> LevyPair:
        """No jumps, and the covariance C."""
        if self.covariance is None:
            return LevyPair(sp.ImmutableMatrix(sp.eye(dimension)))
        check_dimension(self, self.covariance.rows, dimension)
        return LevyPair(self.covariance)

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """All coordinates as one."""
        yield moment_part(symbols, self.joint_moment)

    def products(self, symbols: Sequence[sp.Symbol]) -> Products:
        """From the fourth moments."""
        return Products.of_dependent(symbols, self.joint_moment)

    def largest_third_moment(self, dimension: int) -> sp.Expr:
        """Over all products of three coordinates."""
        triples = combinations_with_replacement(range(dimension), 3)
        moments = (abs(self.joint_moment(exponents(t, dimension))) for t in triples)
        return sp.Max(0, *moments)


class ShrinkingLaw(UnitLaw):
    """Independent coordinates ζ_j.

    Source: theory of Shalova, Schlichting, Peletier (arXiv 2404.12293), Definition 3.1.
    """

    kurtosis: sp.Expr
    """E ζ_j⁴ of one coordinate."""

    skewness: sp.Expr = sp.Integer(0)
    """E ζ_j³ of one coordinate."""

    has_independent_coordinates = True

    def moment(self, order: int) -> sp.Expr:
        """E ζ_j^n of one coordinate; known up to the fourth for every such law."""
        known = (sp.Integer(1), sp.Integer(0), sp.Integer(1), self.skewness, self.kurtosis)
        if order >= len(known):
            raise NotCoveredError(f"law: moments beyond the fourth of {self} are not known")
        return known[order]

    def joint_moment(self, exponents: Sequence[int]) -> sp.Expr:
        """A product of moments of coordinates."""
        return sp.Mul(*(self.moment(order) for order in exponents))

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """The coordinates."""
        return (moment_part((s,), self.joint_moment) for s in symbols)

    def products(self, symbols: Sequence[sp.Symbol]) -> Products:
        """Along the columns of F with C = F Fᵀ."""
        covariance = self.levy_pair(len(symbols)).covariance
        return Products.of_independent(columns(covariance, symbols), self.kurtosis)

    def largest_third_moment(self, dimension: int) -> sp.Expr:
        """That of a coordinate."""
        return abs(self.skewness)


@dataclass(frozen=True)
class Gaussian(ShrinkingLaw):
    """Centred normal noise with covariance σ²C.

    Parameters
    ----------
    covariance : matrix, optional
        C, symmetric positive semi-definite, shape (d, d); the identity if not given.

    Raises
    ------
    ProblemError
        If `covariance` is not symmetric positive semi-definite.
    """

    covariance: sp.ImmutableMatrix | None = None
    kurtosis = sp.Integer(3)

    @property
    def has_independent_coordinates(self) -> bool:  # type: ignore[override]
        """Whether no covariance binds them."""
        return self.covariance is None

    def __post_init__(self) -> None:
        if self.covariance is not None:
            object.__setattr__(self, "covariance", read_covariance(self.covariance))

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """The law as a whole."""
        yield infinitely_divisible_part(symbols, self.levy_pair(len(symbols)))

    def moment(self, order: int) -> sp.Expr:
        """(n − 1)!! for even n."""
        return sp.factorial2(order - 1) if order % 2 == 0 else sp.Integer(0)

    @property
    def description(self) -> str:
        """The law in words."""
        return f"Gaussian, covariance σ² {'I' if self.covariance is None else 'C'}"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """C."""
        return () if self.covariance is None else (("C", "C", self.covariance),)


@dataclass(frozen=True)
class Rademacher(ShrinkingLaw):
    """Independent signs: η_i = ±σ with probability ½ each."""

    kurtosis = sp.Integer(1)
    description = "independent signs, ±σ with probability 1/2 each"

    def moment(self, order: int) -> sp.Expr:
        """1 for even n."""
        return sp.Integer(1 - order % 2)


@dataclass(frozen=True)
class Uniform(ShrinkingLaw):
    """Independent uniform noise of variance σ²: η_i uniform on [−√3 σ, √3 σ]."""

    kurtosis = sp.Rational(9, 5)
    description = "independent, uniform on [−√3 σ, √3 σ]"

    def moment(self, order: int) -> sp.Expr:
        """√3ⁿ/(n + 1) for even n."""
        return sp.sqrt(3) ** order / (order + 1) if order % 2 == 0 else sp.Integer(0)


@dataclass(frozen=True)
class TwoPoint(ShrinkingLaw):
    """Independent skew noise with two values: η_i = σa with probability 1/(1 + a²), else −σ/a.

    Its third moments act on a time scale 1/(ασ³) of their own where the limit is degenerate.

    Parameters
    ----------
    skewness : number
        E ζ³ = a − 1/a of a coordinate, of any sign; its kurtosis is 1 + (E ζ³)².
    """

    skewness: sp.Expr
    kurtosis: sp.Expr = field(init=False)

    def __post_init__(self) -> None:
        skewness = read_expression("skewness", self.skewness)
        if not (skewness.is_number and skewness.is_real):
            raise ProblemError(f"skewness: expected a real number, got {self.skewness!r}")
        object.__setattr__(self, "skewness", skewness)
        object.__setattr__(self, "kurtosis", 1 + skewness**2)

    description = "independent, σa with probability 1/(1+a²), else −σ/a"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """A."""
        return (("a", "a", self.value),)

    @property
    def value(self) -> sp.Expr:
        """The positive value a = (E ζ³ + √((E ζ³)² + 4))/2; the other one is −1/a."""
        return (self.skewness + sp.sqrt(self.skewness**2 + 4)) / 2

    def moment(self, order: int) -> sp.Expr:
        """(aⁿ + a²(−1/a)ⁿ)/(1 + a²), which up to the fourth is stated without the root."""
        if order <= 4:
            return super().moment(order)
        a = self.value
        return (a**order + a**2 * (-1 / a) ** order) / (1 + a**2)


@dataclass(frozen=True)
class Sphere(UnitLaw):
    """Uniform on the sphere of radius σ√d in d coordinates, uncorrelated but not independent."""

    description = "uniform on the sphere of radius σ√d"

    def joint_moment(self, exponents: Sequence[int]) -> sp.Expr:
        """d^k Π_j (n_j − 1)!!/(d (d + 2) … (d + 2k − 2)) for even n_j of the sum 2k.

        A normal vector is its length, with E |ζ|^2k = d (d + 2) … (d + 2k − 2), times its
        direction, which does not depend on the length.
        """
        if any(order % 2 for order in exponents):
            return sp.Integer(0)
        d, half = len(exponents), sum(exponents) // 2
        normal = sp.Mul(*(sp.factorial2(order - 1) for order in exponents))
        return normal * sp.Mul(*(sp.Rational(d, d + 2 * k) for k in range(half)))
