"""What a certificate may be asked to show beside the verdicts of the classification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mpmath
import sympy as sp

from ..errors import DeriveError
from ..noise.classification import Step
from ..reading import read_expression
from ..symbolic.numbers.roots import WORKING_DIGITS

ROUNDING = mpmath.mpf("1e-40")
"""By how much a bound is moved to the safe side, relative to it, as it is written in decimals."""


@dataclass(frozen=True)
class Questions:
    """Further questions, and the range of parameters over which all proofs hold.

    Attributes
    ----------
    rate, step : Expr, optional
        "λ > μ" and "αλ < 2" for all non-zero eigenvalues λ of H, at the points of the certificate.
    stated : (Step, drift), optional
        Whether a stated drift is that of the limit, with the verdict, and its N entries.
    ranges : mapping of Symbol to (middle, half of the width)
        Intervals of parameters.
    """

    rate: sp.Expr | None = None
    step: sp.Expr | None = None
    stated: tuple[Step, tuple[sp.Expr, ...]] | None = None
    ranges: Mapping[sp.Symbol, tuple[Any, Any]] = field(default_factory=dict)

    def bounds(self, largest: Any) -> list[tuple[str, Any, Any]]:
        """(question, a, b) of each "a < λ < b"; `largest` is about the largest λ."""
        found = []
        if self.rate is not None:
            low = _number(self.rate) * (1 + ROUNDING)
            found.append((f"Γ attracts at a rate of at least {self.rate}", low, 2 * largest))
        if self.step is not None:
            high = 2 / _number(self.step) * (1 - ROUNDING)
            found.append((f"αλ < 2 for the eigenvalues λ of H at α = {self.step}", 0, high))
        return found


def read_positive(name: str, given: Any) -> sp.Expr | None:
    """A positive number, or None where none is given."""
    if given is None:
        return None
    number = read_expression(name, given)
    if not (number.is_number and number.is_positive):
        raise DeriveError(f"{name}: expected a positive number, got {given!r}")
    return number


def read_ranges(given: Any, parameters: tuple[sp.Symbol, ...]) -> dict[sp.Symbol, tuple[Any, Any]]:
    """Intervals of parameters by middle and half of the width."""
    found = {}
    for symbol, ends in dict(given or {}).items():
        if symbol not in parameters:
            known = ", ".join(map(str, parameters)) or "none"
            raise DeriveError(f"ranges: {symbol} is no parameter of the problem, which has {known}")
        try:
            low, high = (_number(read_expression("ranges", end)) for end in ends)
            ordered = low <= high
        except (TypeError, ValueError):
            ordered = False
        if not ordered:
            raise DeriveError(
                f"ranges: expected (low, high) with numbers low <= high for {symbol}, got {ends!r}"
            )
        found[symbol] = ((low + high) / 2, (high - low) / 2)
    return found


def _number(expression: sp.Expr) -> Any:
    return mpmath.mpf(expression.evalf(WORKING_DIGITS))
