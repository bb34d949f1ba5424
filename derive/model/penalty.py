"""Penalties beside the noise, such as weight decay, sorted by their size in α and σ."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from ..errors import ProblemError
from ..symbolic.effort import expanded_terms
from ..symbols import alpha, sigma

SIZES = {"noise": (0, 2), "step": (1, 2), "fourth": (0, 4)}
"""Powers of (α, σ) of the penalties that act on one of the time scales."""

MAX_TERMS = 2000
"""Terms that a penalty may have, multiplied out to sort them by their size."""


@dataclass(frozen=True)
class Penalty:
    """A penalty U(w) = σ²U₁ + ασ²U₂ + σ⁴U₃ added to the noisy loss.

    Attributes
    ----------
    noise : Expr
        U₁, which joins Reg.
    step : Expr
        U₂, which adds −P∇U₂ to the degenerate drift.
    fourth : Expr
        U₃, which joins Reg₂.
    """

    noise: sp.Expr
    step: sp.Expr
    fourth: sp.Expr


def split_penalty(penalty: sp.Expr) -> Penalty:
    """Read the terms of a penalty off its powers of `derive.alpha` and `derive.sigma`.

    Raises
    ------
    ProblemError
        If there is a term of another size.
    """
    if expanded_terms(penalty) > MAX_TERMS:
        raise ProblemError(f"penalty: expected at most {MAX_TERMS} terms when multiplied out")
    parts = {name: _coefficient(penalty, *powers) for name, powers in SIZES.items()}
    known = sum(
        c * alpha**i * sigma**j for (i, j), c in zip(SIZES.values(), parts.values(), strict=True)
    )
    if sp.expand(penalty - known) != 0:
        raise ProblemError(
            "penalty: expected terms of size σ², ασ² or σ⁴, written with derive.alpha and "
            f"derive.sigma, such as sigma**2 * w**2 / 2; got {penalty}"
        )
    return Penalty(**parts)


def _coefficient(expression: sp.Expr, i: int, j: int) -> sp.Expr:
    derivative = expression.diff(alpha, i, sigma, j) / (sp.factorial(i) * sp.factorial(j))
    return derivative.subs({alpha: 0, sigma: 0})
