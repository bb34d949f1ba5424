"""The limit of an optimizer that cycles across Γ as users meet it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from typing import Any

import sympy as sp

from .analysis.agreement import Field, pointwise
from .deductions.cycles import explain_cycles
from .deductions.derivation import explain
from .display.cycle_statements import cycle_equations
from .display.statements import equations
from .documents.articles.cycles import cycle_article
from .documents.articles.descent import article
from .errors import NotCoveredError, ProblemError
from .export.program import closed_program, program_of
from .limit import Limit
from .manifold.manifold import Manifold
from .model.optimized import rule_of
from .model.problem import NoisyGradientDescent
from .model.update_rule import UpdateRule
from .noise.classification import Classification
from .noise.moments import NoiseMoments
from .proofs.findings import Certificate
from .proofs.questions import Questions
from .reading import read_expression
from .rules.regimes.cycles import (
    CycleDerivation,
    CycleEquation,
    CycleField,
    Cycles,
    at_fixed_step,
    closed_drift,
    derive_cycles,
)
from .symbols import GENERIC, alpha, sigma


@dataclass(frozen=True)
class CycleLimit(Limit):
    """Limit of an optimizer that cycles across Γ: the constrained flow dW = −P∇Reg dt.

    Questions that make sense of noisy gradient descent only, as those for Σ, are refused.

    Attributes
    ----------
    problem : NoisyGradientDescent
        What was asked, with its optimizer.
    equation : CycleEquation
        Scale and step size.
    cycles : Cycles
        What is known of the cycles at points of Γ.
    """

    problem: NoisyGradientDescent
    manifold: Manifold
    classification: Classification
    equation: CycleEquation  # type: ignore[assignment]
    cycles: Cycles = field(repr=False, compare=False)

    @classmethod
    def of(cls, found: CycleDerivation) -> CycleLimit:
        """The limit as it was derived."""
        return cls(
            problem=found.cycles.problem,
            manifold=found.cycles.manifold,
            classification=found.classification,
            equation=found.equation,
            cycles=found.cycles,
        )

    @property
    def moments(self) -> NoiseMoments:
        """None: they are refused, and so is all that is made of them."""
        raise NotCoveredError(
            "limit: an optimizer that cycles across Γ has no Σ, and nothing that is made of it; "
            "ask for regularizer, drift, projector, at_step"
        )

    @property
    def is_simulated(self) -> bool:
        """Whether the drift is known by simulation of the fast chain only."""
        return self.cycles.is_simulated(self.step)

    @property
    def regularizer(self) -> sp.Expr | None:
        """Reg with λ₁ = Δℓ, which it is on Γ, where the Hessian has rank one; None elsewhere."""
        return self.cycles.closed_regularizer(self.step)

    @cached_property
    def drift(self) -> sp.Matrix | None:
        """−P∇Reg on Γ, shape (N, 1), in slow time; None where it is too long to read."""
        return closed_drift(self.cycles, self.equation)

    @property
    def has_diffusion(self) -> bool:
        """Never: what remains of the noise is the cycle."""
        return False

    @cached_property
    def diffusion(self) -> sp.Matrix:
        """Zero, shape (N, 1)."""
        return sp.zeros(self.problem.dimension, 1)

    def at_step(self, step: Any = alpha, momentum: Any = 0) -> CycleLimit:
        """The limit σ → 0 at a fixed step size, exact for that α.

        Parameters
        ----------
        step : number or Expr
            α > 0 with αλ₁ < 2; `derive.alpha` by default; 0 for α → 0.
        momentum : number
            0: there is none.

        Raises
        ------
        NotCoveredError
            If the cycle does not attract at that step, or the step size is itself the small scale.
        """
        size = read_expression("step", step)
        if not (size.is_positive or size == 0):
            raise ProblemError(f"step: expected a positive step size α, got {step!r}")
        if momentum != 0:
            raise ProblemError(f"momentum: the optimizer has none; got {momentum!r}")
        known = CycleDerivation(
            self.cycles, self.classification, replace(self.equation, step=sp.S.Zero)
        )
        return CycleLimit.of(known if size == 0 else at_fixed_step(known, size))

    def shortened(self) -> CycleLimit:
        """The limit of steps multiplied by σ where the step size is itself the small scale.

        It is the same, in time kα²σ², as σ → 0 at any α; else the limit is given back.
        """
        if self.equation.shortened or self.cycles.optimizer.time_scale.has(sigma):
            return self
        scale = None if self.time_scale is None else self.time_scale / sigma**2
        return replace(self, equation=replace(self.equation, scale=scale, shortened=True))

    @property
    def rule(self) -> UpdateRule:
        """The recursion, its steps shortened or not."""
        rule = rule_of(self.problem)
        if not self.equation.shortened:
            return rule
        return replace(rule, update=tuple(x.xreplace({alpha: alpha * sigma}) for x in rule.update))

    def fluctuations(self) -> Any:
        """Not covered: across Γ the iterates cycle, and do not fluctuate."""
        raise NotCoveredError(
            "fluctuations: under this optimizer the iterates cycle across Γ, of which the limit "
            "says the amplitude; ask for explain()"
        )

    def _certified(self, asked: Questions) -> Certificate:
        raise NotCoveredError(
            "certificate: the verdicts on a cycle across Γ rest on the evidence that is stated "
            "beside them; ask for limit.evidence"
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Not covered: the format of saved limits has no word for optimizers."""
        raise NotCoveredError(
            "save: the limit under an optimizer cannot be written to a file; keep the problem, "
            "and derive the limit again"
        )

    def subs(self, values: Mapping[sp.Symbol, Any]) -> CycleLimit:
        """The limit with some or all parameters bound to numbers, derived again."""
        limit = CycleLimit.of(derive_cycles(self.problem.subs(values)))
        return limit if self.step == 0 else limit.at_step(self.step.subs(values))


@pointwise.register
def _pointwise_cycles(limit: CycleLimit) -> Field:
    return CycleField(limit.cycles, limit.equation.step.xreplace(GENERIC))


program_of.register(CycleLimit)(closed_program)
equations.register(CycleLimit)(cycle_equations)
explain.register(CycleLimit)(explain_cycles)
article.register(CycleLimit)(cycle_article)
