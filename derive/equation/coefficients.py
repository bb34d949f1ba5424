"""The one equation that every limit is a case of.

On Γ, with H = ∇²L, P the tangent projector and, off the tangent space, δ = −H⁺∇Reg:

    dW = [ −P v − κ₂ P r + q D²Φ_α[Σ] ] dt + c P S dB,
    r = ∇Reg₂ + ∇²Reg δ + D³L[ ½ δδᵀ − sym(H⁺δ (P∇Reg)ᵀ) ].

Theorem A has v = ∇Reg alone, Theorem B q = ½ and c = 1; the slower scales and the next-order
equation have other weights, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from ..laws.law import Law
from ..laws.scaled import keeps_its_size
from ..noise.classification import Outcome
from ..noise.moments import NoiseMoments
from ..symbols import alpha, sigma
from ..theory.katzenberger import Relaxation

ZERO = sp.Integer(0)

AT_REST = "at rest"
"""Name of the equation dW = 0."""


@dataclass(frozen=True)
class Equation:
    """Weights and potentials of a limit, for any step size.

    In all fields but `step` and `momentum` the symbol `derive.alpha` stands for the step size; it
    tends to zero unless a step size is given.

    Attributes
    ----------
    name : str
        Which limit it is: a theorem, or one of the scales beyond.
    time_scale : Expr or None
        Iterations per unit of slow time, in `derive.alpha` and `derive.sigma`; None at rest.
    potential : Expr
        The function whose gradient is v.
    second_weight : Expr
        κ₂.
    second_regularizer : Expr
        Reg₂ = lim σ⁻⁴ (E L̂ − L − σ²Reg), needed only where κ₂ ≠ 0.
    ito_weight : Expr
        q, the factor of D²Φ_α[Σ] in the drift.
    noise_weight : Expr
        c, the factor of P S in the diffusion.
    order : int
        j ≥ 1 for the coefficient of αʲ in D²Φ_α[Σ] in place of its limit α → 0.
    step, momentum : Expr
        Step size α, 0 for the limit α → 0, and heavy-ball momentum β.
    """

    name: str
    time_scale: sp.Expr | None = None
    potential: sp.Expr = ZERO
    second_weight: sp.Expr = ZERO
    second_regularizer: sp.Expr = ZERO
    ito_weight: sp.Expr = ZERO
    noise_weight: sp.Expr = ZERO
    order: int = 0
    step: sp.Expr = ZERO
    momentum: sp.Expr = ZERO

    def at(self, expression: sp.Expr) -> sp.Expr:
        """A field of the equation at its effective step size α/(1 − β)."""
        return expression.subs(alpha, self.step / (1 - self.momentum))

    @property
    def is_leading(self) -> bool:
        """Whether it is that of Theorem A or B, and not of a scale beyond."""
        return self.name in ("Theorem A", "Theorem B", AT_REST)

    @property
    def relaxation(self) -> Relaxation:
        """The operator ℒ of the step size and the momentum."""
        if self.order:
            return replace(Relaxation.of(sp.Integer(1), self.momentum), order=self.order)
        return Relaxation.of(self.step, self.momentum)

    def at_step(self, step: sp.Expr, momentum: sp.Expr) -> Equation:
        """The same scale at a fixed step size."""
        weight = self.ito_weight / alpha**self.order
        if step == 0:
            return replace(self, momentum=momentum)
        return replace(self, ito_weight=weight, order=0, step=step, momentum=momentum)

    @property
    def effective_time_scale(self) -> sp.Expr | None:
        """The time scale with momentum: α/(1 − β) in place of α."""
        if self.time_scale is None or self.momentum == 0:
            return self.time_scale
        return self.time_scale.subs(alpha, alpha / (1 - self.momentum))

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Equation:
        """Bind parameters to numbers."""
        return self.mapped(lambda e: e.subs(values))

    def mapped(self, function: Callable[[sp.Expr], sp.Expr]) -> Equation:
        """The equation with each of its fields mapped, but for the time scale."""
        fields = {
            name: function(value)
            for name, value in vars(self).items()
            if isinstance(value, sp.Expr) and name != "time_scale"
        }
        return replace(self, **fields)


def leading_equation(outcome: Outcome, moments: NoiseMoments, law: Law) -> Equation:
    """The equation of Theorem A or B.

    In the non-degenerate case the noise has the weight of the step size: it is there at a finite
    step and vanishes in the limit α → 0. Noise that keeps its size, which enters ∇_wL̂ linearly, has
    the limit of Theorem B for α → 0 alone (Li, Wang, Arora, arXiv 2110.06914).
    """
    if outcome is Outcome.NON_DEGENERATE:
        return Equation(
            "Theorem A",
            1 / (alpha * sigma**2),
            potential=moments.regularizer + alpha * moments.penalty,
            ito_weight=alpha / 2,
            noise_weight=sp.sqrt(alpha),
        )
    if outcome.is_degenerate:
        return Equation(
            "Theorem B",
            1 / alpha**2 if keeps_its_size(law) else 1 / (alpha**2 * sigma**2),
            potential=moments.penalty,
            ito_weight=sp.Rational(1, 2),
            noise_weight=sp.Integer(outcome is Outcome.DIFFUSIVE),
        )
    return Equation(AT_REST)
