"""A law of fixed size with finitely many values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy as sp

from ..errors import ProblemError
from ..reading import read_expression, sequence
from .expansions import LevyPair
from .law import Law, check_dimension

LONG = 200
"""Characters up to which the values are listed in words."""


@dataclass(frozen=True)
class Choice(Law):
    """One of finitely many values, drawn with given probabilities; it does not shrink with σ.

    Masks, random coordinates, random step sizes and batches are of this kind.

    Parameters
    ----------
    values : sequence of number, or of tuples of numbers
        What is drawn: numbers for one noise symbol, tuples for several.
    probabilities : sequence of number
        Their probabilities, which add up to one.

    Raises
    ------
    ProblemError
        If the numbers of values and probabilities differ, or the latter are no probabilities.

    Examples
    --------
    A mask that keeps one of two coordinates: ``Choice([(1, 0), (0, 1)], ["1/2", "1/2"])``.
    """

    values: tuple[tuple[sp.Expr, ...], ...]
    probabilities: tuple[sp.Expr, ...]
    shrinks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        values = tuple(
            tuple(read_expression("values", x) for x in sequence(value, "values"))
            for value in sequence(self.values, "values")
        )
        chances = tuple(_probability(p) for p in sequence(self.probabilities, "probabilities"))
        if len(values) != len(chances) or not values:
            raise ProblemError(
                f"probabilities: expected one for each of the {len(values)} values, "
                f"got {len(chances)}"
            )
        if len({len(value) for value in values}) > 1:
            raise ProblemError("values: expected tuples of one length, one entry per noise symbol")
        total = sp.simplify(sp.Add(*chances) - 1)
        if total != 0:
            raise ProblemError(
                f"probabilities: they add up to {total + 1}, expected 1; write fractions as "
                "sympy.Rational(1, 3) or '1/3'"
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "probabilities", chances)

    @property
    def dimension(self) -> int:
        """Number of noise symbols."""
        return len(self.values[0])

    @property
    def description(self) -> str:
        """The values with their probabilities."""
        draws = zip(self.values, self.probabilities, strict=True)
        shown = ", ".join(f"{', '.join(map(str, v))} with probability {p}" for v, p in draws)
        return shown if len(shown) <= LONG else f"one of {len(self.values)} values"

    def levy_pair(self, dimension: int) -> LevyPair:
        """Covariance of the values, without the factor σ².

        Raises
        ------
        ProblemError
            If the mean is not zero, for a noisy loss has L̂(w, 0) = L(w) as its noiseless version.
        """
        check_dimension(self, self.dimension, dimension)
        draws = list(zip(self.probabilities, map(sp.Matrix, self.values), strict=True))
        mean = sum((p * v for p, v in draws), sp.zeros(dimension, 1))
        if any(sp.simplify(x) != 0 for x in mean):
            raise ProblemError(
                f"law: Choice has the mean {mean.T.tolist()[0]}, expected 0 in a noisy loss; write "
                "the noise as 1 + η, or state the recursion as an UpdateRule"
            )
        covariance = sum((p * v * v.T for p, v in draws), sp.zeros(dimension))
        return LevyPair(sp.ImmutableMatrix(covariance))

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Choice:
        """Bind symbolic values and probabilities."""
        return Choice(
            tuple(tuple(x.subs(values) for x in value) for value in self.values),
            tuple(p.subs(values) for p in self.probabilities),
        )


def _probability(given: Any) -> sp.Expr:
    exact = sp.Rational(given) if isinstance(given, str) else given
    p = read_expression("probabilities", exact)
    if p.is_negative or (p - 1).is_positive or p.is_real is False:
        raise ProblemError(f"probabilities: expected numbers from 0 to 1, got {given!r}")
    return p
