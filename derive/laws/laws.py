"""Noise laws, each characterised as σ → 0 by its Lévy pair (C, ν).

A law with Cov η = σ²(C + ∫ z zᵀ dν) enters the limit through the covariance C of its small
fluctuations and the measure ν of its jumps of size O(1); a law that shrinks with σ has ν = 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from inspect import isabstract
from typing import Any, ClassVar, Self

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..reading import read_expression, read_matrix, read_symbols, sequence
from ..symbolic.calculus import semidefinite_factor
from ..symbolic.effort import TooLong
from .expansions import (
    Direction,
    Jump,
    LevyPair,
    Part,
    coordinate_part,
    dropout_part,
    infinitely_divisible_part,
)

Quantity = tuple[str, str, Any]
"""A letter of a description as text and as LaTeX, and its value."""


class Law(ABC):
    """Law of one draw η of the noise; a frozen dataclass."""

    shrinks: ClassVar[bool] = True
    """Whether the law tends to zero as σ → 0 (a minibatch of fixed size does not)."""

    has_independent_coordinates: bool = False
    """Whether it is the same law for each coordinate, independent of the others."""

    @abstractmethod
    def levy_pair(self, dimension: int) -> LevyPair:
        """Lévy pair in `dimension` noise coordinates, or `ProblemError` if that does not fit."""

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """Expansions of the independent parts of the law, for the scales beyond the theorems."""
        raise NotCoveredError(self._unknown)

    def directions(self, symbols: Sequence[sp.Symbol]) -> Iterator[tuple[Direction, sp.Expr]]:
        """Directions of the noise with the kurtosis of the independent coordinate along each."""
        raise NotCoveredError(self._unknown)

    @property
    def description(self) -> str:
        """The law in words, with the letters of `quantities`."""
        return f"law {type(self).__name__}"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the description speaks of."""
        return tuple(
            (name, rf"\text{{{name}}}", value)
            for name, value in _arguments(self).items()
            if isinstance(value, sp.Basic | sp.MatrixBase)
        )

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Self:
        """Bind symbolic parameters of the law."""
        bound = {
            name: value.subs(values)
            for name, value in _arguments(self).items()
            if isinstance(value, sp.Basic | sp.MatrixBase)
        }
        return replace(self, **bound) if bound else self  # type: ignore[type-var]

    @property
    def _unknown(self) -> str:
        return (
            "law: this moment beyond order σ² is not known for "
            f"{type(self).__name__}; it is for laws that shrink with σ, and the mean of the noisy "
            "loss for rare jumps too"
        )


def _arguments(law: Law) -> dict[str, Any]:
    """What a law is made of."""
    return {f.name: getattr(law, f.name) for f in fields(law) if f.init}  # type: ignore[arg-type]


def known_laws() -> dict[str, type[Law]]:
    """All laws that can be made, by name: those of this module, and those that users define.

    A law is a frozen dataclass derived from `Law`; saving it, stating it in a model file and
    printing it need nothing else. `numerics.random.samplers.draws_of` is told how to draw it.
    """
    found: dict[str, type[Law]] = {}
    open_classes = Law.__subclasses__()
    while open_classes:
        kind = open_classes.pop(0)
        open_classes = kind.__subclasses__() + open_classes
        if is_dataclass(kind) and not isabstract(kind):
            found.setdefault(kind.__name__, kind)
    return found


def _immutable_covariance(covariance: Any) -> sp.ImmutableMatrix:
    matrix = read_matrix("covariance", covariance, "a square matrix")
    if matrix.rows != matrix.cols:
        raise ProblemError(f"covariance: expected a square matrix, got shape {matrix.shape}")
    try:
        factor = semidefinite_factor(matrix)
    except TooLong as too_long:
        raise ProblemError(
            "covariance: its symbolic entries are too long to see whether it is positive "
            "semi-definite; shorten them, or bind the parameters to numbers"
        ) from too_long
    if factor is None:
        raise ProblemError(
            f"covariance: {sp.sstr(matrix.tolist())} is not symmetric positive semi-definite; "
            "a covariance must be (singular is allowed)"
        )
    return matrix


def _check_dimension(law: Law, expected: int, dimension: int) -> None:
    if expected != dimension:
        raise ProblemError(
            f"law: {type(law).__name__} is a law of {expected} noise coordinates, "
            f"but `noise` names {dimension}; make the two agree"
        )


class ShrinkingLaw(Law):
    """η = σ F ζ with F Fᵀ = C and independent, centred coordinates ζ_j of unit variance.

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

    def levy_pair(self, dimension: int) -> LevyPair:
        """No jumps, and the identity as covariance."""
        return LevyPair(sp.ImmutableMatrix(sp.eye(dimension)))

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """The coordinates."""
        return (coordinate_part(s, self.kurtosis, self.skewness) for s in symbols)

    def directions(self, symbols: Sequence[sp.Symbol]) -> Iterator[tuple[Direction, sp.Expr]]:
        """Columns of F with C = F Fᵀ."""
        pair = self.levy_pair(len(symbols))
        return ((direction, self.kurtosis) for direction in _columns(pair, symbols))


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
            object.__setattr__(self, "covariance", _immutable_covariance(self.covariance))

    def levy_pair(self, dimension: int) -> LevyPair:
        """No jumps, and the given covariance."""
        if self.covariance is None:
            return super().levy_pair(dimension)
        _check_dimension(self, self.covariance.rows, dimension)
        return LevyPair(self.covariance)

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
        """(aⁿ + a²(−1/a)ⁿ)/(1 + a²)."""
        a = self.value
        return (a**order + a**2 * (-1 / a) ** order) / (1 + a**2)


@dataclass(frozen=True)
class Bernoulli(Law):
    """Dropout: η_i = −1 with probability p, else p/(1 − p), independent; σ² = p/(1 − p).

    All its moments are of order σ², so its Lévy pair is made of jumps alone, C = 0 and
    ν = Σ_i δ_{−e_i}, and the regularizer is non-local. The small parameter is p = σ²/(1 + σ²).
    """

    has_independent_coordinates = True
    description = "dropout: −1 with probability p, else p/(1−p), independent, σ² = p/(1−p)"

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """The coordinates."""
        return map(dropout_part, symbols)

    def levy_pair(self, dimension: int) -> LevyPair:
        """One jump to −e_i a coordinate, of rate one."""
        unit = sp.eye(dimension)
        jumps = tuple(
            Jump(sp.ImmutableMatrix(-unit[:, i]), sp.Integer(1)) for i in range(dimension)
        )
        return LevyPair(sp.ImmutableMatrix(sp.zeros(dimension)), jumps)


@dataclass(frozen=True)
class Minibatch(Law):
    """Weights 1 + η_i = (n/B)·(how often sample i is drawn); it does not shrink with σ.

    Parameters
    ----------
    samples : int or Symbol
        Number n of samples, one noise coordinate each.
    batch_size : int or Symbol
        Batch size B.
    replacement : bool
        Whether a sample may be drawn more than once.
    """

    samples: Any
    batch_size: Any
    replacement: bool = False
    shrinks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        n = read_expression("samples", self.samples)
        batch = read_expression("batch_size", self.batch_size)
        if not isinstance(self.replacement, bool):
            raise ProblemError(f"replacement: expected True or False, got {self.replacement!r}")
        if not (n.is_integer and n.is_positive) and not n.is_Symbol:
            raise ProblemError(f"samples: expected a positive integer, got {self.samples!r}")
        if (not batch.is_Symbol and not (batch.is_integer and batch.is_positive)) or (
            not self.replacement and (batch - n).is_positive
        ):
            raise ProblemError(
                f"batch_size: expected an integer from 1 to samples = {n}"
                f"{' or more' if self.replacement else ''}, got {batch}"
            )
        object.__setattr__(self, "samples", n)
        object.__setattr__(self, "batch_size", batch)

    def levy_pair(self, dimension: int) -> LevyPair:
        """Covariance of the sampling weights, without the factor σ²."""
        if self.samples.is_Integer:
            _check_dimension(self, int(self.samples), dimension)
        n, batch = sp.Integer(dimension), self.batch_size
        if self.replacement:
            scale = n / batch
        else:
            scale = n * (n - batch) / (batch * (n - 1)) if dimension > 1 else sp.Integer(0)
        return LevyPair(sp.ImmutableMatrix(scale * (sp.eye(dimension) - sp.ones(dimension) / n)))

    @property
    def description(self) -> str:
        """The law in words."""
        how = "with" if self.replacement else "without"
        return f"weights of batches of {self.batch_size} of {self.samples}, {how} return"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """None beside the words."""
        return ()


@dataclass(frozen=True)
class CustomLaw(Law):
    """η = σ C^{1/2} ξ + Σ_m z_m (N_m − σ²ν_m), N_m independent Poisson variables of mean σ²ν_m.

    Parameters
    ----------
    covariance : matrix, shape (d, d)
        C, symmetric positive semi-definite.
    jumps : sequence of (z, rate)
        Atoms z_m (d entries) of the jump measure with their masses ν_m > 0.
    """

    covariance: sp.ImmutableMatrix
    jumps: tuple[Jump, ...] = field(default=())

    def __post_init__(self) -> None:
        covariance = _immutable_covariance(self.covariance)
        jumps = tuple(_as_jump(jump, covariance.rows) for jump in sequence(self.jumps, "jumps"))
        object.__setattr__(self, "covariance", covariance)
        object.__setattr__(self, "jumps", jumps)

    def levy_pair(self, dimension: int) -> LevyPair:
        """Return the pair the law was made of."""
        _check_dimension(self, self.covariance.rows, dimension)
        return LevyPair(self.covariance, self.jumps)

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """The law as a whole."""
        yield infinitely_divisible_part(symbols, self.levy_pair(len(symbols)))

    def directions(self, symbols: Sequence[sp.Symbol]) -> Iterator[tuple[Direction, sp.Expr]]:
        """Columns of F with C = F Fᵀ, where there are no jumps."""
        if self.jumps:
            raise NotCoveredError(self._unknown)
        pair = self.levy_pair(len(symbols))
        return ((direction, sp.Integer(3)) for direction in _columns(pair, symbols))

    @property
    def description(self) -> str:
        """The law in words."""
        return f"covariance σ² C and jumps at {len(self.jumps)} displacements z"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """C, and each z with its rate."""
        atoms = (
            quantity
            for jump in self.jumps
            for quantity in (
                ("zᵀ", r"z^\top", jump.displacement.T),
                ("ν({z})", r"\nu(\{z\})", jump.rate),
            )
        )
        return (("C", "C", self.covariance), *atoms)

    def subs(self, values: Mapping[sp.Symbol, Any]) -> CustomLaw:
        """Bind symbolic entries of the covariance and the jumps."""
        jumps = tuple((j.displacement.subs(values), j.rate.subs(values)) for j in self.jumps)
        return CustomLaw(self.covariance.subs(values), jumps)  # type: ignore[arg-type]


def _columns(pair: LevyPair, symbols: Sequence[sp.Symbol]) -> Iterator[Direction]:
    factor = square_root(pair.covariance)
    return (dict(zip(symbols, factor[:, a], strict=True)) for a in range(factor.cols))


def square_root(covariance: sp.ImmutableMatrix) -> sp.Matrix:
    """Factor F with F Fᵀ = C of a noise covariance."""
    if covariance.is_Identity:
        return sp.eye(covariance.rows)
    factor = semidefinite_factor(covariance)
    if factor is None:
        raise ProblemError(f"law: the covariance {covariance} is not positive semi-definite")
    return factor


def _as_jump(jump: Any, dimension: int) -> Jump:
    try:
        displacement, rate = (jump.displacement, jump.rate) if isinstance(jump, Jump) else jump
    except (TypeError, ValueError) as error:
        raise ProblemError(f"jumps: expected pairs (z, rate), got {jump!r}") from error
    z = [read_expression("jumps", entry) for entry in sequence(displacement, "jumps")]
    rate = read_expression("jumps", rate)
    if len(z) != dimension or rate.is_positive is False:
        raise ProblemError(
            f"jumps: expected z with {dimension} entries and a positive rate, got {jump!r}"
        )
    return Jump(sp.ImmutableMatrix(z), rate)


@dataclass(frozen=True)
class Independent(Law):
    """Product of independent laws on groups of noise symbols.

    Parameters
    ----------
    groups : mapping of symbol, or tuple of symbols, to Law
        Every noise symbol in exactly one group.
    """

    groups: tuple[tuple[tuple[sp.Symbol, ...], Law], ...]

    def __post_init__(self) -> None:
        given = self.groups.items() if isinstance(self.groups, Mapping) else self.groups
        try:
            pairs = [(symbols, law) for symbols, law in given]
        except (TypeError, ValueError) as error:
            raise ProblemError(
                f"groups: expected {{symbols: law, ...}}, got {self.groups!r}"
            ) from error
        groups = tuple((read_symbols("groups", symbols), law) for symbols, law in pairs)
        for symbols, law in groups:
            if not isinstance(law, Law) or isinstance(law, Independent):
                raise ProblemError(f"law: expected a Law for {symbols}, got {law!r}")
        members = [s for symbols, _ in groups for s in symbols]
        doubled = sorted({str(s) for s in members if members.count(s) > 1})
        if doubled:
            raise ProblemError(
                f"groups: {', '.join(doubled)} given more than once; a symbol has one law"
            )
        object.__setattr__(self, "groups", groups)

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """All symbols in the order of the groups."""
        return tuple(s for symbols, _ in self.groups for s in symbols)

    def levy_pair(self, dimension: int) -> LevyPair:
        """Block-diagonal covariance and embedded jumps, in the order of `symbols`."""
        _check_dimension(self, len(self.symbols), dimension)
        covariance = sp.zeros(dimension)
        jumps = []
        start = 0
        for symbols, law in self.groups:
            pair = law.levy_pair(len(symbols))
            stop = start + len(symbols)
            covariance[start:stop, start:stop] = pair.covariance
            for jump in pair.jumps:
                z = sp.zeros(dimension, 1)
                z[start:stop, 0] = jump.displacement
                jumps.append(Jump(sp.ImmutableMatrix(z), jump.rate))
            start = stop
        return LevyPair(sp.ImmutableMatrix(covariance), tuple(jumps))

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Independent:
        """Bind parameters in every group."""
        return Independent(tuple((symbols, law.subs(values)) for symbols, law in self.groups))


Groups = tuple[tuple[tuple[sp.Symbol, ...], Law], ...]
"""Noise symbols, and the law of each group of them."""


def groups_of(law: Law, noise: tuple[sp.Symbol, ...]) -> Groups:
    """The independent groups of a law: those of `Independent`, or all noise as one."""
    return law.groups if isinstance(law, Independent) else ((noise, law),)


def split(law: Law, own: tuple[sp.Symbol, ...], shared: tuple[sp.Symbol, ...]) -> Groups:
    """The groups of a law, none of which mixes the noise of a sample with the noise of all.

    Raises
    ------
    ProblemError
        If that cannot be.
    """
    parts: list[tuple[tuple[sp.Symbol, ...], Law]] = []
    for symbols, part in groups_of(law, own + shared):
        pieces = [tuple(s for s in symbols if s in side) for side in (own, shared)]
        if all(pieces) and not part.has_independent_coordinates:
            raise ProblemError(
                f"law: {part} binds noise of one sample to noise that all samples share; expected "
                "Independent({...}) with groups of either kind"
            )
        parts += [(piece, part) for piece in pieces if piece]
    return tuple(parts)


def repeated(
    law: Law,
    noise: tuple[sp.Symbol, ...],
    own: Sequence[sp.Symbol],
    copies: Sequence[Mapping[sp.Symbol, sp.Symbol]],
) -> Law:
    """The law of independent draws of some of the noise, one for each copy of its symbols."""
    if not own:
        return law
    parts: list[tuple[tuple[sp.Symbol, ...], Law]] = []
    for symbols, part in groups_of(law, noise):
        draws = [tuple(copy[s] for s in symbols) for copy in copies] if symbols[0] in own else []
        if not draws:
            parts.append((symbols, part))
        elif part.has_independent_coordinates:
            parts.append((sum(draws, ()), part))
        else:
            parts += [(draw, part) for draw in draws]
    return parts[0][1] if len(parts) == 1 else Independent(tuple(parts))
