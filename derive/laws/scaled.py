"""A law of fixed size, scaled down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ..errors import ProblemError
from .choice import Choice
from .expansions import LevyPair
from .independent import Independent
from .law import Law, Quantity
from .minibatch import Minibatch


@dataclass(frozen=True)
class Scaled(Law):
    """η = σζ with ζ of a law that keeps its size, `Choice` or `Minibatch`.

    Where ∇_wL̂ is affine in the noise, the limit in time kα²σ² is the same for every size σ of it,
    1 for ζ itself; at a fixed step size there is a limit as σ → 0 only.

    Parameters
    ----------
    law : Law
        The law of ζ.

    Raises
    ------
    ProblemError
        If that shrinks with σ as it is.
    """

    law: Law

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law) or isinstance(self.law, Independent) or self.law.shrinks:
            raise ProblemError(
                f"law: expected one that keeps its size, Choice or Minibatch, got {self.law!r}"
            )

    @property
    def is_symmetric(self) -> bool:
        """Whether ζ is seen to have the same law as −ζ."""
        match self.law:
            case Choice(values=values, probabilities=chances):
                found = dict(zip(values, chances, strict=True))
                return all(found.get(tuple(-x for x in v)) == p for v, p in found.items())
            case Minibatch(samples=n, batch_size=b, replacement=replacement):
                return bool(n == 2 if replacement else n == 2 * b)
        return False

    def levy_pair(self, dimension: int) -> LevyPair:
        """That of ζ, whose covariance has no factor σ²."""
        return self.law.levy_pair(dimension)

    @property
    def description(self) -> str:
        """The law in words."""
        return f"σ times {self.law.description}"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Those of ζ."""
        return self.law.quantities

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Scaled:
        """Bind symbolic parameters of the law."""
        return Scaled(self.law.subs(values))


def keeps_its_size(law: Law) -> bool:
    """Whether no part of the noise shrinks with σ, so that the step size is the one small scale."""
    if isinstance(law, Independent):
        return bool(law.groups) and all(not part.shrinks for _, part in law.groups)
    return not law.shrinks


def scaled(law: Law) -> Law:
    """The law of σζ for noise ζ none of which shrinks."""
    if isinstance(law, Independent):
        return Independent(tuple((symbols, Scaled(part)) for symbols, part in law.groups))
    return Scaled(law)
