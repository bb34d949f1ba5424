"""Laws whose draws are rarely large: dropout, and small fluctuations with Poisson jumps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..reading import read_expression, sequence
from .covariance import columns, read_covariance
from .expansions import (
    Jump,
    LevyPair,
    Part,
    Products,
    dropout_part,
    infinitely_divisible_part,
)
from .law import Law, Quantity, check_dimension


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
        """One jump to −e_i per coordinate, of rate one."""
        unit = sp.eye(dimension)
        jumps = tuple(
            Jump(sp.ImmutableMatrix(-unit[:, i]), sp.Integer(1)) for i in range(dimension)
        )
        return LevyPair(sp.ImmutableMatrix(sp.zeros(dimension)), jumps)


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
        covariance = read_covariance(self.covariance)
        jumps = tuple(_as_jump(jump, covariance.rows) for jump in sequence(self.jumps, "jumps"))
        object.__setattr__(self, "covariance", covariance)
        object.__setattr__(self, "jumps", jumps)

    def levy_pair(self, dimension: int) -> LevyPair:
        """Return the pair the law was made of."""
        check_dimension(self, self.covariance.rows, dimension)
        return LevyPair(self.covariance, self.jumps)

    def parts(self, symbols: Sequence[sp.Symbol]) -> Iterator[Part]:
        """The law as a whole."""
        yield infinitely_divisible_part(symbols, self.levy_pair(len(symbols)))

    def products(self, symbols: Sequence[sp.Symbol]) -> Products:
        """Of a Gaussian, where there are no jumps."""
        if self.jumps:
            raise NotCoveredError(self._unknown)
        covariance = self.levy_pair(len(symbols)).covariance
        return Products.of_independent(columns(covariance, symbols), sp.Integer(3))

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
