"""The limit of an update rule as users meet it: the same questions, the theorem for any rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial, singledispatch
from typing import Any

import sympy as sp

from .analysis.agreement import Field, pointwise
from .analysis.fluctuations import RuleFluctuations
from .cycle_limit import CycleLimit
from .deductions.derivation import explain
from .deductions.rules import explain_rule
from .descent_limit import DescentLimit, derive_descent_limit
from .display.rule_statements import rule_equations
from .display.statements import equations
from .documents.articles.descent import article
from .documents.articles.rules import rule_article
from .errors import DeriveError, NotCoveredError, ProblemError
from .export.program import closed_program, program_of
from .files.limit_file import parts_of
from .files.rule_file import rule_content
from .limit import Limit, derive_limit, restore_limit
from .manifold.discovery.find_manifold import find_manifold
from .manifold.manifold import Manifold
from .model.optimized import BuiltRule, rule_of
from .model.problem import NoisyGradientDescent
from .model.update_rule import UpdateRule
from .noise.classification import Classification, Outcome
from .noise.moments import NoiseMoments, persistent_noise
from .optimizers.adaptive import Adaptive
from .optimizers.local_rounds import NOT_AT_A_STEP, LocalRounds
from .optimizers.optimizer import GradientDescent, HeavyBall, Optimizer
from .optimizers.sharpness import CyclingOptimizer
from .proofs.findings import Certificate
from .proofs.questions import Questions
from .proofs.rules import certify_rule
from .reading import read_expression
from .rules.derivation import RuleDerivation, at_fixed_step, derive_motion, derive_rule
from .rules.equation import ClosedForm, RuleEquation, RuleField
from .rules.expansion import expand_rule
from .rules.motion import RuleMotion
from .rules.regimes.cycles import derive_cycles
from .rules.regimes.local_rounds import RoundsMotion, effective_problem, motion_of
from .symbols import GENERIC, alpha


@dataclass(frozen=True)
class RuleLimit(Limit):
    """Limit of an update rule: the same answers, from the theorem for any rule.

    Questions that make sense of noisy gradient descent only, as those for Reg and Σ, are refused.

    Attributes
    ----------
    problem : UpdateRule
        What was asked.
    equation : RuleEquation
        Scale and step size.
    motion : RuleMotion
        The theorem at points of Γ.
    model : NoisyGradientDescent or None
        The noise model that the rule belongs to.
    """

    problem: UpdateRule  # type: ignore[assignment]
    manifold: Manifold
    classification: Classification
    equation: RuleEquation  # type: ignore[assignment]
    motion: RuleMotion = field(repr=False, compare=False)
    model: NoisyGradientDescent | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls, rule: UpdateRule, found: RuleDerivation, model: NoisyGradientDescent | None = None
    ) -> RuleLimit:
        """The limit of a rule as it was derived, `model` under an optimizer or not."""
        manifold = found.motion.manifold
        return cls(
            problem=rule,
            manifold=manifold,
            classification=found.classification,
            equation=found.equation,
            motion=found.motion,
            model=model,
        )

    @property
    def moments(self) -> NoiseMoments:
        """None: they are refused, and so is all that is made of them."""
        raise NotCoveredError(
            "limit: this is the limit of an update rule, for which there is no Reg, no Σ and "
            "nothing that is made of them; ask for its drift, diffusion, projector, at_step"
        )

    @property
    def has_diffusion(self) -> bool:
        """Whether noise acts along Γ: at a step size also beside a drift of Theorem A."""
        moves = self.outcome is Outcome.NON_DEGENERATE and self.step != 0
        return moves or self.outcome is Outcome.DIFFUSIVE

    @property
    def built(self) -> BuiltRule:
        """The recursion: the rule, and what is built of its steps."""
        return BuiltRule(self.problem, self.motion.optimizer or GradientDescent())

    @property
    def at_points(self) -> RuleField:
        """Drift, diffusion and projector at points of Γ, in mpmath's precision."""
        return RuleField(self.motion, self.equation)

    @cached_property
    def _closed(self) -> ClosedForm:
        if self.model is None or not _is_momentum(self.model):
            return ClosedForm(self.motion, self.equation)
        return HeavyBallForm(self.motion, self.equation, self.model)

    @property
    def projector(self) -> sp.Matrix | None:
        """P on the tangent space of Γ, oblique in general; None where it is too long to read."""
        return self._closed.projector

    @property
    def drift(self) -> sp.Matrix | None:
        """Itô drift b of the weights on Γ, shape (N, 1), in slow time; None where too long."""
        return self._closed.drift

    @property
    def diffusion(self) -> sp.Matrix | None:
        """Diffusion matrix s with s sᵀ = Θ on Γ, shape (N, m); None where it is too long."""
        return self._closed.diffusion

    def at_step(self, step: Any = alpha, momentum: Any = 0) -> RuleLimit:
        """The limit σ → 0 at a fixed step size, exact for that α and whatever keeps its size.

        Parameters
        ----------
        step : number or Expr
            α > 0 at which the rule is drawn to Γ; `derive.alpha` by default; 0 for α → 0.
        momentum : number
            0: momentum is part of the rule.

        Raises
        ------
        NotCoveredError
            If the rest states do not attract at that step, or the law has rare jumps.
        """
        size = read_expression("step", step)
        if not (size.is_positive or size == 0):
            raise ProblemError(f"step: expected a positive step size α, got {step!r}")
        if momentum != 0:
            raise ProblemError(f"momentum: it is part of the update rule; got {momentum!r}")
        if size == 0:
            return replace(self, equation=RuleEquation(self.equation.power))
        if isinstance(self.motion, RoundsMotion):
            raise NotCoveredError(NOT_AT_A_STEP)
        known = RuleDerivation(self.motion, self.classification, self.equation)
        found = at_fixed_step(known, size)
        return replace(self, classification=found.classification, equation=found.equation)

    def fluctuations(self) -> RuleFluctuations:  # type: ignore[override]
        """How the weights fluctuate around the slow motion at the limit's step size, at points.

        Raises
        ------
        NotCoveredError
            For the limit α → 0; ask one at a step.
        """
        if self.step == 0:
            raise NotCoveredError(
                "fluctuations: those of an update rule are derived at a fixed step; ask "
                "limit.at_step(α).fluctuations()"
            )
        return RuleFluctuations(self.motion, self.step)

    def _certified(self, asked: Questions) -> Certificate:
        if asked.rate is not None:
            raise NotCoveredError(
                "rate: that of an update rule is its spectral radius across Γ; ask for `step`, at "
                "which it is shown to be drawn to Γ"
            )
        return certify_rule(self.motion, self.classification, self.equation, asked)

    def subs(self, values: Mapping[sp.Symbol, Any]) -> RuleLimit:
        """The limit with some or all parameters bound to numbers, derived again."""
        optimizer = self.motion.optimizer and self.motion.optimizer.subs(values)
        rule = self.problem.subs(values)
        model = self.model and self.model.subs(values)
        limit = RuleLimit.of(rule, derive_rule(rule, None, optimizer), model)
        return limit if self.step == 0 else limit.at_step(self.step.subs(values))


def _is_momentum(model: NoisyGradientDescent) -> bool:
    """Whether the formulas of descent with momentum hold: β and the penalty know no α."""
    if not isinstance(model.optimizer, HeavyBall):
        return False
    return not (model.optimizer.beta.has(alpha) or model.penalty.has(alpha))


@dataclass(frozen=True)
class HeavyBallForm(ClosedForm):
    """Closed forms under the heavy ball: those of descent with momentum, in an eigenbasis of H.

    They are in time j(α/(1 − β))^k σ², those of a rule in jα^kσ².

    Attributes
    ----------
    model : NoisyGradientDescent
        With `HeavyBall` as its optimizer.
    """

    model: NoisyGradientDescent

    @cached_property
    def drift(self) -> sp.Matrix | None:
        """b, shape (N, 1)."""
        if self._known is None or self._known.drift is None:
            return super().drift
        return self._known.drift / self._unit

    @cached_property
    def diffusion(self) -> sp.Matrix | None:
        """s, with s sᵀ = Θ in slow time."""
        if self._known is None or self._known.diffusion is None:
            return super().diffusion
        return self._known.diffusion / sp.sqrt(self._unit)

    @cached_property
    def projector(self) -> sp.Matrix | None:
        """P, shape (N, N)."""
        return super().projector if self._known is None else self._known.projector

    @property
    def _unit(self) -> sp.Expr:
        return (1 - self.model.optimizer.beta) ** self.equation.power  # type: ignore[union-attr]

    @cached_property
    def _known(self) -> Limit | None:
        """The limit of descent with that momentum; None where it is on another scale."""
        beta = self.model.optimizer.beta  # type: ignore[union-attr]
        try:
            plain = derive_descent_limit(replace(self.model, optimizer=None))
            known: Limit = plain.at_step(self.equation.step, beta)
        except DeriveError:
            return None
        same = known.equation.time_scale == self.equation.time_scale
        return known if same and not isinstance(known, RuleLimit) else None


@pointwise.register
def _pointwise_rule(limit: RuleLimit) -> Field:
    step = limit.equation.step.xreplace(GENERIC)
    return RuleField(limit.motion, RuleEquation(limit.equation.power, step))


program_of.register(RuleLimit)(closed_program)
equations.register(RuleLimit)(rule_equations)
explain.register(RuleLimit)(explain_rule)
article.register(RuleLimit)(rule_article)


@parts_of.register
def _parts_of(limit: RuleLimit) -> tuple[UpdateRule, Callable[[], dict[str, Any]]]:
    return limit.problem, partial(rule_content, limit)


@restore_limit.register
def _restored(problem: UpdateRule, parts: Mapping[str, Any]) -> RuleLimit:
    limit = RuleLimit.of(problem, parts["derivation"])
    vars(limit._closed).update(parts["results"])
    return limit


@derive_limit.register
def derive_model_limit(
    problem: NoisyGradientDescent, *, assume: Outcome | str | None = None
) -> Limit:
    """Derive the limit of a noise model under its optimizer; descent by the two theorems.

    Parameters and errors are those of `derive_limit`.
    """
    if problem.optimizer is None:
        return derive_descent_limit(problem, assume=assume)
    return limit_under(problem.optimizer, problem, assume)


@dataclass(frozen=True, repr=False)
class RoundsLimit(DescentLimit):
    """The limit under `LocalRounds` where it is that of descent, with the noise of `problem`."""

    @classmethod
    def of(cls, limit: DescentLimit) -> RoundsLimit:
        """The limit of descent that has the same α → 0."""
        return cls(**{f.name: getattr(limit, f.name) for f in fields(limit)})

    def at_step(  # type: ignore[override]
        self, step: Any = alpha, momentum: Any = 0
    ) -> Limit:
        """Refused at a positive step size, where descent with other noise is another recursion."""
        if read_expression("step", step) != 0:
            raise NotCoveredError(NOT_AT_A_STEP)
        return self


@singledispatch
def limit_under(
    optimizer: Optimizer, problem: NoisyGradientDescent, assume: Outcome | str | None
) -> Limit:
    """The limit of a noise model under an optimizer, by the theorem for the optimizer's kind."""
    built = None if optimizer.innermost is optimizer else optimizer
    if built is not None and isinstance(built.innermost, Adaptive):
        raise NotCoveredError(
            f"optimizer: {type(built).__name__} of an adaptive optimizer is not covered"
        )
    rule, assumed = rule_of(problem), None if assume is None else Outcome.read(assume)
    return RuleLimit.of(rule, derive_rule(rule, assumed, built), problem)


@limit_under.register
def _derive_cycling(
    _: CyclingOptimizer, problem: NoisyGradientDescent, __: Outcome | str | None
) -> Limit:
    return CycleLimit.of(derive_cycles(problem))


@limit_under.register
def _derive_rounds(
    _: LocalRounds, problem: NoisyGradientDescent, assume: Outcome | str | None
) -> Limit:
    """The limit under `LocalRounds`: that of descent, with other noise where noise moves it."""
    alone = derive_descent_limit(replace(problem, optimizer=None), assume=assume)
    if not alone.outcome.is_degenerate:
        return RoundsLimit.of(alone)
    if persistent_noise(problem):
        raise NotCoveredError(
            "optimizer: with T/α local steps all noise has to shrink with σ; take "
            "LocalSteps(n, workers) and limit.at_step(alpha)"
        )
    if alone.manifold.codimension == 1 and alone.projector is not None:
        other = effective_problem(problem, alone.manifold, alone.moments)
        return RoundsLimit.of(derive_descent_limit(other, assume=assume))
    rule = rule_of(problem)
    motion = motion_of(expand_rule(rule), find_manifold(rule.landscape), problem.optimizer)
    expected = None if assume is None else Outcome.read(assume)
    return RuleLimit.of(rule, derive_motion(motion, expected), problem)


@derive_limit.register
def derive_rule_limit(rule: UpdateRule, *, assume: Outcome | str | None = None) -> RuleLimit:
    """Derive the limit of an update rule.

    Parameters
    ----------
    rule : UpdateRule
        One step of the recursion, and what Γ is.
    assume : Outcome or str, optional
        An outcome that is expected; another one that is found is an error.

    Raises
    ------
    ManifoldError
        If the zero set of the loss is not a manifold of the assumed kind.
    NotCoveredError
        If a hypothesis of the theorem fails, with the number that failed.
    UndecidedError
        If the power of the step size is not clear.
    """
    return RuleLimit.of(rule, derive_rule(rule, None if assume is None else Outcome.read(assume)))
