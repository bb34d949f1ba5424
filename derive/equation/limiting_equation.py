"""The limiting equation dW = b(W) dt + s(W) dB along Γ, with what it rests on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import sympy as sp

from ..errors import DeriveError, DeriveWarning, NotCoveredError, UndecidedError
from ..laws.scaled import keeps_its_size
from ..manifold.charts import IntrinsicForm, intrinsic_form
from ..manifold.discovery.finite_sums import manifold_of
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Classification, Evidence, Outcome
from ..noise.finite_sums import classify_any
from ..noise.moments import NoiseMoments, noise_moments, persistent_noise
from ..reading import read_expression
from ..symbolic.effort import WRITTEN_OUT
from ..symbols import alpha, sigma
from ..theory.second_order import SecondOrder
from . import closed_form
from .closed_form import Parts, Terms
from .coefficients import AT_REST, Equation, leading_equation
from .scales import crossover, next_order, slower_scales
from .special_forms import SpecialForm


@dataclass(frozen=True, repr=False)
class LimitingEquation:
    """Limiting equation dW = b(W) dt + s(W) dB on Γ, in slow time, with the evidence for it.

    Attributes
    ----------
    problem : NoisyGradientDescent
        What was asked.
    manifold : Manifold
        Γ.
    moments : NoiseMoments
        Reg and Σ.
    classification : Classification
        The outcome and what it rests on.
    equation : Equation
        The dynamics: which terms act, with which weights, at which step size.
    """

    problem: NoisyGradientDescent
    manifold: Manifold
    moments: NoiseMoments
    classification: Classification
    equation: Equation

    def __repr__(self) -> str:
        kind = f"{self.outcome.value}, {self.equation.name}"
        return f"<{type(self).__name__} in R^{self.problem.dimension}: {kind}>"

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
        """P on Γ, shape (N, N), or None where no closed form is worth writing."""
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

    def at_step(self, step: Any = alpha, momentum: Any = 0) -> Self:
        """The limit σ → 0 at a fixed step size, exact for a simulation at that α.

        Parameters
        ----------
        step : number or Expr
            α > 0, with αλ < 2(1 + β) for every eigenvalue λ of H on Γ; `derive.alpha` by default.
        momentum : number or Expr
            β in [0, 1) of the heavy ball w_{k+1} = w_k − α∇_wL̂ + β (w_k − w_{k−1}), whose time
            scale has α/(1 − β) in place of α.

        Returns
        -------
        LimitingEquation
            With D²Φ_α in place of D²Φ, and the outcome at that step: what is trivial only as
            α → 0 is deterministic there. In the non-degenerate case it has the drift
            −P∇Reg + (α/2) D²Φ_α[Σ] and the diffusion √α P S, in time t = kασ². For laws with
            rare jumps this is the next order in α, and exact where L̂ acts linearly on them.

        Raises
        ------
        NotCoveredError
            If some noise keeps its size as σ → 0 (minibatches): H then fluctuates at order one,
            and D²Φ_α[Σ] is not the limit at a fixed step.
        """
        size, beta = read_expression("step", step), read_expression("momentum", momentum)
        if size.is_nonnegative is False or size.is_real is False:
            raise DeriveError(f"step: expected a positive step size α, got {step!r}")
        if beta.is_negative or (beta - 1).is_nonnegative or beta.is_real is False:
            raise DeriveError(f"momentum: expected β with 0 ≤ β < 1, got {momentum!r}")
        lasting = persistent_noise(self.problem)
        if size != 0 and lasting:
            names = ", ".join(map(str, lasting))
            raise NotCoveredError(
                f"step: {names} keep their size as σ → 0, for which no limit at a fixed step is "
                "derived; compare with the limit α → 0, extrapolating in α"
            )
        if size != 0 and self.outcome.is_degenerate and keeps_its_size(self.problem.law):
            raise NotCoveredError(
                "step: the noise keeps its size and moves w on Γ itself, so that there is a limit "
                "as α → 0 only; at a fixed step there is one for σ → 0 times that noise: state it "
                "with law=Scaled(…)"
            )
        moving = self._moving_at_a_step if size != 0 else self
        return replace(moving, equation=moving.equation.at_step(size, beta))

    @property
    def _moving_at_a_step(self) -> Self:
        """The limit whose outcome is that at a fixed step, where it is trivial only as α → 0."""
        if self.equation.name != AT_REST or self.classification.step_order is None:
            return self
        outcome = Outcome.DETERMINISTIC
        return replace(
            self,
            classification=replace(self.classification, outcome=outcome),
            equation=leading_equation(outcome, self.moments, self.problem.law),
        )

    def written_out(self) -> Self:
        """The limit with all samples written out, and matrices in entries; itself without any.

        Some questions are answered for that form alone, and ask for it by themselves.

        Raises
        ------
        NotCoveredError
            If it is too long to be written.
        """
        return self._written_out

    @cached_property
    def _written_out(self) -> Self:
        samples = self.problem.samples
        if samples is None:
            return self
        if len(samples) * self.problem.dimension > WRITTEN_OUT:
            raise NotCoveredError(
                "limit: this question asks for all samples written out, which is covered up to "
                f"{WRITTEN_OUT} samples times weights; here are {len(samples)} samples and "
                f"{self.problem.dimension} weights: ask it of fewer, or evaluate the limit by "
                "numerics.compile_limit"
            )
        problem = self.problem.written_out()
        manifold, moments = manifold_of(problem), noise_moments(problem)
        found = self.classification
        if not self.evidence.is_assumed:
            found = classify_any(manifold, moments)
        if self.equation.is_leading:
            equation = leading_equation(found.outcome, moments, problem.law)
            equation = equation.at_step(self.equation.step, self.equation.momentum)
        else:
            rows = range(len(samples))
            equation = self.equation.mapped(lambda e: samples.written(e, rows)[0])
        return replace(
            self,
            problem=problem,
            manifold=manifold,
            moments=moments,
            classification=found,
            equation=equation,
        )

    def scales(self) -> tuple[Self, ...]:
        """The slower scales, from fast to slow, each a limit with its own evidence.

        A higher order in the step (1/(α³σ²)), third moments (1/(ασ³)), the third scale (1/(ασ⁴))
        and the second chaos (1/(α²σ⁴)); those on which nothing moves are trivial limits. Empty
        where this limit is non-degenerate (the next orders are then corrections, see `effective`)
        or frozen.

        Raises
        ------
        NotCoveredError
            If the law's higher moments are not known.
        """
        limit = self._in_entries
        found = slower_scales(limit.manifold, limit.moments, limit.classification)
        return tuple(replace(limit, **vars(scale)) for scale in found)

    def crossover(self, kappa: Any) -> Self:
        """The degenerate limit where σ²/α → κ, with the extra drift −κP∇V₂ in time kα²σ².

        Parameters
        ----------
        kappa : number or Expr
            κ ≥ 0.

        Raises
        ------
        NotCoveredError
            In the non-degenerate case, or if the law's higher moments are not known.
        """
        ratio = read_expression("kappa", kappa)
        if ratio.is_nonnegative is False or ratio.is_real is False:
            raise DeriveError(f"kappa: expected lim σ²/α ≥ 0, got {kappa!r}")
        limit = self._in_entries
        found = crossover(limit.manifold, limit.moments, limit.classification, ratio)
        return replace(limit, **vars(found))

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
            If the law's higher moments are not known.
        """
        limit = self._in_entries
        equation = next_order(limit.manifold, limit.moments, read_expression("sigma", sigma))
        return replace(limit, equation=equation).at_step(alpha, momentum)

    @property
    def _in_entries(self) -> Self:
        """The limit, with matrices in entries: no scale beyond the theorems is known in words."""
        return self if self.problem.traces is None else self.written_out()

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Self:
        """The limit with some or all parameters bound to numbers.

        At exceptional values the outcome is another one than for generic values; a warning names
        both, and the limit is that of the values.
        """
        problem = self.problem.subs(values)
        if problem.traces is not None:
            return self  # without parameters
        bound = replace(
            self,
            problem=problem,
            manifold=manifold_of(problem),
            moments=self.moments.subs(values),
            classification=self.classification.subs(values),
            equation=self.equation.subs(values),
        )
        return bound._decided_anew() if self.equation.is_leading else bound

    def _decided_anew(self) -> Self:
        """The limit with the outcome decided again; what was assumed is kept."""
        if self.evidence.is_assumed:
            return self
        try:
            found = classify_any(self.manifold, self.moments)
        except UndecidedError:
            return self
        equation = leading_equation(found.outcome, self.moments, self.problem.law)
        anew = replace(self, classification=found, equation=equation)
        if self.equation.step != 0:
            anew = anew.at_step(self.equation.step, self.equation.momentum)
        if anew.outcome is self.outcome:
            return self
        warnings.warn(
            f"subs: at these values the outcome is {anew.outcome.value}, for generic ones it is "
            f"{self.outcome.value}; the limit returned is that of the values",
            DeriveWarning,
            stacklevel=3,
        )
        return anew
