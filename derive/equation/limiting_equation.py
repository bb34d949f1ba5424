"""The limiting equation dW = b(W) dt + s(W) dB along Γ, with what it rests on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import sympy as sp

from ..errors import NotCoveredError
from ..manifold.charts import IntrinsicForm, intrinsic_form
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Classification, Evidence, Outcome
from ..noise.moments import NoiseMoments
from ..symbols import alpha, sigma
from ..theory.second_order import SecondOrder
from . import closed_form
from .closed_form import Parts, Terms
from .coefficients import Equation
from .special_forms import SpecialForm


@dataclass(frozen=True, repr=False)
class LimitingEquation(ABC):
    """Limiting equation dW = b(W) dt + s(W) dB on Γ, in slow time, with the evidence for it.

    Whatever it was derived by answers the same questions; some of them make sense of noisy
    gradient descent only, and are refused elsewhere, with the reason.

    Attributes
    ----------
    problem : NoisyGradientDescent or UpdateRule
        What was asked.
    manifold : Manifold
        Γ.
    classification : Classification
        The outcome and what it rests on.
    equation : Equation
        The dynamics: which terms act, with which weights, at which step size.
    """

    problem: NoisyGradientDescent
    manifold: Manifold
    classification: Classification
    equation: Equation

    def __repr__(self) -> str:
        kind = f"{self.outcome.value}, {self.equation.name}"
        return f"<Limit in R^{self.problem.dimension}: {kind}>"

    @property
    def outcome(self) -> Outcome:
        """Which of the five kinds of limit this is."""
        return self.classification.outcome

    @property
    def evidence(self) -> Evidence:
        """The questions that led to the outcome, with verdicts and witnesses."""
        return self.classification.evidence

    @property
    def time_scale(self) -> sp.Expr | None:
        """Iterations per unit of slow time, in `derive.alpha` and `derive.sigma`; None at rest."""
        return self.equation.effective_time_scale

    @property
    def step(self) -> sp.Expr:
        """0 for the limit α → 0 of the theorems; α for the limit σ → 0 at a fixed step size."""
        return self.equation.step

    @cached_property
    def moments(self) -> NoiseMoments:
        """Reg and Σ, of which much of what follows is made.

        Raises
        ------
        NotCoveredError
            Where there is no Reg and no Σ, by this and by all that is made of them.
        """
        raise NotCoveredError("limit: there is no Reg and no Σ, and nothing that is made of them")

    @property
    def regularizer(self) -> sp.Expr:
        """Reg(w) by its definition, on R^N."""
        return self.moments.regularizer

    @cached_property
    def regularizer_on_manifold(self) -> sp.Expr:
        """Reg in the shortest form found that is equal to it on Γ."""
        return self.manifold.shortest(self.regularizer)

    @property
    def projector(self) -> sp.Matrix | None:
        """P on Γ, shape (N, N), or None where it is too long to read."""
        return self.manifold.projector

    @cached_property
    def terms(self) -> Terms:
        """What drift and diffusion are made of."""
        return Terms(self.manifold, self.moments, self.classification, self.equation)

    @cached_property
    def parts(self) -> Parts:
        """H, Σ, ℒ⁻¹(QΣQ) and the terms of the drift, written out on Γ where they are short."""
        return Parts(self.terms)

    @cached_property
    def special(self) -> SpecialForm | None:
        """The named form of the drift, if it has one."""
        return self.terms.special

    @property
    def ito_weight(self) -> sp.Expr:
        """Factor of D²Φ_α[Σ] in the drift: ½ on the degenerate scale, α/2 beside −P∇Reg."""
        return self.terms.ito_weight

    @property
    def noise_weight(self) -> sp.Expr:
        """Factor of P S in the diffusion: 1 on the diffusive scale, √α beside −P∇Reg."""
        return self.terms.noise_weight

    @property
    def has_diffusion(self) -> bool:
        """Whether noise acts along Γ in the equation."""
        return bool(self.noise_weight != 0)

    @property
    def second_weight(self) -> sp.Expr:
        """Factor κ₂ of the drift −P r of the next order in σ²; 0 in the theorems."""
        return self.terms.second_weight

    @property
    def slope(self) -> tuple[sp.Expr, ...]:
        """Vector field v, shape (N,), whose −P v is the part of the drift at first order."""
        return self.terms.slope

    @property
    def second_order(self) -> SecondOrder:
        """What the drift −κ₂ P r of the next order is made of."""
        return self.terms.second_order

    @cached_property
    def second_potential(self) -> sp.Expr | None:
        """V₂ on Γ, whose −P∇V₂ is −P r where P∇Reg = 0; None where it is too long to read."""
        if self.second_weight == 0:
            return None
        reg2 = self.equation.second_regularizer
        return closed_form.second_potential_on(self.manifold, self.regularizer, reg2)

    @cached_property
    def drift(self) -> sp.Matrix | None:
        """Itô drift b on Γ, shape (N, 1), in slow time; None where it is too long to read."""
        return closed_form.drift(self.terms)

    @cached_property
    def diffusion(self) -> sp.Matrix | None:
        """Diffusion matrix s = P S on Γ, shape (N, m); None where it is too long to read."""
        return closed_form.diffusion(self.terms)

    @cached_property
    def stratonovich_drift(self) -> sp.Matrix | None:
        """Drift of the ambient Stratonovich form with the factor s = `diffusion`, shape (N, 1)."""
        return closed_form.stratonovich(self.terms, self.drift, self.diffusion)

    @cached_property
    def intrinsic(self) -> IntrinsicForm | None:
        """Drift and diffusion in the coordinates of the problem's chart; None without a chart."""
        if self.problem.chart is None or self.drift is None or self.diffusion is None:
            return None
        return intrinsic_form(self.drift, self.diffusion, self.problem)

    @abstractmethod
    def at_step(self, step: Any = alpha, momentum: Any = 0) -> LimitingEquation:
        """The limit σ → 0 at a fixed step size, exact for a simulation at that α.

        Parameters
        ----------
        step : number or Expr
            α > 0 at which Γ attracts; `derive.alpha` by default.
        momentum : number or Expr
            β in [0, 1) of the heavy ball, where there is no other optimizer.

        Raises
        ------
        NotCoveredError
            If no limit at that step is known.
        """

    @abstractmethod
    def subs(self, values: Mapping[sp.Symbol, Any]) -> Self:
        """The limit with some or all parameters bound to numbers."""

    def written_out(self) -> Self:
        """The limit with all samples written out, and matrices in entries; itself without any.

        Some questions are answered for that form alone, and ask for it by themselves.

        Raises
        ------
        NotCoveredError
            If it is too long to be written.
        """
        return self

    @property
    def in_numbers(self) -> Self:
        """The limit with numbers for weights: matrices in entries, means as they are."""
        return self

    def scales(self) -> tuple[Self, ...]:
        """The slower scales, from fast to slow, each a limit with its own evidence.

        A higher order in the step (1/(α³σ²)), third moments (1/(ασ³)), the third scale (1/(ασ⁴))
        and the second chaos (1/(α²σ⁴)); those on which nothing moves are trivial limits. Empty
        where this limit is non-degenerate (the next orders are then corrections, see `effective`)
        or frozen.

        Raises
        ------
        NotCoveredError
            If the law's higher moments are not known, and for other rules than gradient descent.
        """
        if self.outcome in (Outcome.NON_DEGENERATE, Outcome.FROZEN):
            return ()
        raise NotCoveredError("limit: the slower scales are derived for gradient descent only")

    def crossover(self, kappa: Any) -> Self:
        """The degenerate limit where σ²/α → κ, with the extra drift −κP∇V₂ in time kα²σ².

        Parameters
        ----------
        kappa : number or Expr
            κ ≥ 0.

        Raises
        ------
        NotCoveredError
            In the non-degenerate case, if the law's higher moments are not known, and for other
            rules than gradient descent.
        """
        raise NotCoveredError("crossover: the slower scales are derived for gradient descent only")

    def effective(self, alpha: Any = alpha, sigma: Any = sigma, momentum: Any = 0) -> Self:
        """The next-order equation, which serves every (α, σ) and holds all scales at once.

        Parameters
        ----------
        alpha, sigma : number or Expr
            Step size and noise scale; `derive.alpha` and `derive.sigma` by default.
        momentum : number or Expr
            Heavy-ball β.

        Returns
        -------
        LimitingEquation
            In time t = kασ²: dW = [−P∇Reg − σ²P r + (α/2) D²Φ_α[Σ]] dt + √α P S dB, which the
            projected iterate Φ_α(w_k) follows up to O((α + σ²)²). Skew laws have the further drift
            −σP∇Reg₃, and the error O((α + σ²)^{3/2}).

        Raises
        ------
        NotCoveredError
            If the law's higher moments are not known, and for other rules than gradient descent.
        """
        raise NotCoveredError(
            "effective: the next order is derived for gradient descent only, of any update rule "
            "there is the limit and that at a fixed step"
        )
