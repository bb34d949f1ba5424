"""The limiting equation of noisy gradient descent: the two theorems, and the orders beyond them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import sympy as sp

from ..errors import DeriveError, DeriveWarning, NotCoveredError, UndecidedError
from ..laws.scaled import keeps_its_size
from ..manifold.discovery.find_manifold import manifold_of
from ..noise.classification import Outcome, classify
from ..noise.moments import NoiseMoments, noise_moments, persistent_noise
from ..reading import read_expression
from ..symbolic.effort import WRITTEN_OUT
from ..symbols import alpha, sigma
from .coefficients import AT_REST, leading_equation
from .limiting_equation import LimitingEquation
from .scales import crossover, next_order, slower_scales


@dataclass(frozen=True, repr=False)
class DescentEquation(LimitingEquation):
    """Limiting equation of noisy gradient descent, by Theorems A and B.

    Attributes
    ----------
    moments : NoiseMoments
        Reg and Σ.
    """

    moments: NoiseMoments = field()

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
        """As `LimitingEquation.written_out` says."""
        return self._written_out

    @cached_property
    def _written_out(self) -> Self:
        samples = self.problem.samples
        if samples is not None and len(samples) * self.problem.dimension > WRITTEN_OUT:
            raise NotCoveredError(
                "limit: this question asks for all samples written out, which is covered up to "
                f"{WRITTEN_OUT} samples times weights; here are {len(samples)} samples and "
                f"{self.problem.dimension} weights: ask it of fewer, or evaluate the limit by "
                "numerics.compile_limit"
            )
        problem = self.problem.written_out()
        if problem is self.problem:
            return self
        manifold, moments = manifold_of(problem.objective), noise_moments(problem)
        found = self.classification
        if not self.evidence.is_assumed:
            found = classify(manifold, moments)
        if self.equation.is_leading:
            equation = leading_equation(found.outcome, moments, problem.law)
            equation = equation.at_step(self.equation.step, self.equation.momentum)
        elif samples is None:
            equation = self.equation
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
        """As `LimitingEquation.scales` says."""
        limit = self.in_numbers
        found = slower_scales(limit.manifold, limit.moments, limit.classification)
        return tuple(replace(limit, **vars(scale)) for scale in found)

    def crossover(self, kappa: Any) -> Self:
        """As `LimitingEquation.crossover` says."""
        ratio = read_expression("kappa", kappa)
        if ratio.is_nonnegative is False or ratio.is_real is False:
            raise DeriveError(f"kappa: expected lim σ²/α ≥ 0, got {kappa!r}")
        limit = self.in_numbers
        found = crossover(limit.manifold, limit.moments, limit.classification, ratio)
        return replace(limit, **vars(found))

    def effective(self, alpha: Any = alpha, sigma: Any = sigma, momentum: Any = 0) -> Self:
        """As `LimitingEquation.effective` says."""
        limit = self.in_numbers
        equation = next_order(limit.manifold, limit.moments, read_expression("sigma", sigma))
        return replace(limit, equation=equation).at_step(alpha, momentum)

    @property
    def in_numbers(self) -> Self:
        """As `LimitingEquation.in_numbers` says."""
        return self if self.problem.objective.is_pointwise else self.written_out()

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Self:
        """The limit with some or all parameters bound to numbers.

        At exceptional values the outcome is another one than for generic values; a warning names
        both, and the limit is that of the values.
        """
        problem = self.problem.subs(values)
        if not values:
            return self
        bound = replace(
            self,
            problem=problem,
            manifold=manifold_of(problem.objective),
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
            found = classify(self.manifold, self.moments)
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
