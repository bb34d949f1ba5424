"""The next order in σ²: the mean of the noisy loss to order σ⁴, and the drift that it causes.

The averaged recursion descends E L̂ = L + σ²Reg + σ⁴Reg₂ + …; it rests at w + σ²δ, off Γ, and moves
along Γ by −ασ²P∇Reg − ασ⁴P r with r as in `SecondOrder`. Where P∇Reg = 0 on Γ, P r = P∇V₂ with

    V₂ = Reg₂ − ½ ∇Regᵀ H⁺ ∇Reg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ..symbolic.calculus import gradient, symmetric_derivatives
from .jets import Entries
from .katzenberger import Contraction, Matrix, NormalFrame


def second_potential(frame: NormalFrame, reg: sp.Expr, reg2: sp.Expr, weights: Any) -> sp.Expr:
    """V₂ = Reg₂ − ½ ∇Regᵀ H⁺ ∇Reg, with H⁺ as it is on Γ."""
    slope = sp.Matrix(gradient(reg, weights))
    return reg2 - (slope.T * (frame.hessian_inverse * slope))[0] / 2


@dataclass(frozen=True)
class SecondOrder:
    """Derivatives that the drift at order σ⁴ is made of, as expressions or as numbers.

    Attributes
    ----------
    slope : tuple, N entries
        ∇Reg.
    bend : tuple of (i, j, value), i ≤ j
        Non-zero entries of ∇²Reg.
    second_slope : tuple, N entries
        ∇Reg₂.
    """

    slope: tuple[Any, ...]
    bend: Entries
    second_slope: tuple[Any, ...]

    @classmethod
    def of(
        cls, regularizer: sp.Expr, second_regularizer: sp.Expr, weights: Sequence[sp.Symbol]
    ) -> SecondOrder:
        """The derivatives of Reg and Reg₂."""
        slope = gradient(regularizer, weights)
        return cls(
            tuple(slope),
            tuple(symmetric_derivatives(slope, weights)),
            tuple(gradient(second_regularizer, weights)),
        )

    def drift(self, frame: NormalFrame, third: Contraction) -> Matrix:
        """−P r with r = ∇Reg₂ + ∇²Reg δ + D³L[½ δδᵀ − sym(H⁺δ (P∇Reg)ᵀ)], δ = −H⁺∇Reg.

        It does not depend on the step size: the projected iterate has the terms
        P∇²Reg δ + D²Φ_α[sym(δ ∇Regᵀ) + (α/2) Q∇Reg ∇RegᵀQ], whose dependence on α cancels.
        """
        column = type(frame.jacobian)
        slope = column(list(self.slope))
        offset = -(frame.hessian_inverse * slope)
        across = frame.hessian_inverse * offset * frame.tangential(slope).T
        contracted = third((offset * offset.T - across - across.T) / 2)
        rest = list(self.second_slope)
        for i, j, value in self.bend:
            rest[i] += value * offset[j]
            if i != j:
                rest[j] += value * offset[i]
        return -frame.tangential(column([a + b for a, b in zip(rest, contracted, strict=True)]))
