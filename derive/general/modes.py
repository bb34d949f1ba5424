"""What a rule that is linear in the gradient makes of a limit, mode by mode of H.

In a direction of curvature λ such a rule moves its state u, the weight and what it remembers, by
u' = A(λ) u + c g, with g the noise of the gradient, per unit of it. A(λ) and c are read off the
rule's own update, at the gradient λw + g. As α → 0 the theorem on random maps sees three numbers:

- the step ε with which a force moves the weights along Γ: −ε = ℓc, where ℓ A(0) = ℓ, ℓ_w = 1;
- the covariance x(λ, μ) of two weights across Γ, from U = A(λ) U A(μ)ᵀ + c cᵀ;
- the correlation z(λ) of a weight across Γ with the motion along it, from z = A(λ) z − ε c.

The limit is that of gradient descent with the step ε where ε/α does not depend on α and, as α → 0,
x ≈ ε/(λ + μ) and z ≈ ε/λ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import sympy as sp

from ..errors import NotCoveredError
from ..optimizers.optimizer import Draw, Optimizer
from ..symbolic.numbers.matrices import solve
from ..symbols import alpha

FIRST, SECOND = sp.symbols("lambda mu", positive=True)
"""Curvatures of two directions across Γ."""


@dataclass(frozen=True)
class Modes:
    """A rule in one direction of curvature λ.

    Attributes
    ----------
    step : Matrix
        A(λ), in `FIRST`.
    kick : Matrix
        c.
    """

    step: sp.Matrix
    kick: sp.Matrix

    @classmethod
    def of(cls, optimizer: Optimizer) -> Modes:
        """The modes of an optimizer without randomness of its own.

        Raises
        ------
        NotCoveredError
            If its step is not linear in gradients.
        """
        w, g = sp.Dummy("w", real=True), sp.Dummy("g", real=True)
        memory = optimizer.memory((w,))
        draw = Draw(lambda place: [FIRST * place[0] + g], _refuse, ())
        if optimizer.innermost is not optimizer or optimizer.randomness((w,)):
            _refuse(())
        moved, after = optimizer.update((w,), memory, draw)
        update, state = sp.Matrix([*moved, *after]), sp.Matrix([w, *memory])
        step, kick = update.jacobian(state), update.jacobian([g])
        if any(sp.expand(x) for x in update - step * state - kick * g):
            _refuse(())
        return cls(step, kick)

    def at(self, curvature: sp.Expr) -> sp.Matrix:
        """A at a curvature."""
        return self.step.subs(FIRST, curvature)

    @property
    def along(self) -> sp.Expr:
        """ε."""
        (left,) = (self.at(sp.S.Zero).T - self._unit).nullspace()
        return sp.cancel(-(left.T * self.kick)[0] / left[0])

    @property
    def across(self) -> sp.Expr:
        """x(λ, μ)."""
        kicks = sp.kronecker_product(self.kick, self.kick)
        both = sp.kronecker_product(self.at(FIRST), self.at(SECOND))
        return sp.cancel(solve(sp.eye(both.rows) - both, kicks)[0])

    @property
    def mixed(self) -> sp.Expr:
        """The correlation z(λ)."""
        return sp.cancel(solve(self._unit - self.at(FIRST), -self.along * self.kick)[0])

    @property
    def _unit(self) -> sp.Matrix:
        return sp.eye(self.step.rows)


@cache
def effective_step(optimizer: Optimizer) -> sp.Expr:
    """The step of gradient descent with the same limit as α → 0.

    Raises
    ------
    NotCoveredError
        If there is none.
    """
    modes = Modes.of(optimizer)
    step = modes.along
    ratios = (
        modes.across * (FIRST + SECOND) / step,
        modes.mixed * FIRST / step,
    )
    slow = sp.cancel(step / alpha)
    if slow == 0 or slow.has(alpha) or any(sp.cancel(r).subs(alpha, 0) != 1 for r in ratios):
        raise NotCoveredError(
            f"optimizer: the limit under {optimizer!r} is not that of gradient descent with "
            "another step; derive it for a model, or as an UpdateRule"
        )
    return step


def _refuse(place: Sequence[sp.Expr]) -> NoReturn:
    raise NotCoveredError(
        "optimizer: expected one whose step is linear in gradients, such as HeavyBall(beta)"
    )
