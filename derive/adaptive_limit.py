"""The limit of a noise model under an adaptive optimizer, in its window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import mpmath
import sympy as sp

from .deductions.adaptive import explain_adaptive
from .deductions.derivation import explain
from .display.adaptive_statements import adaptive_equations
from .display.statements import equations
from .documents.articles.adaptive import adaptive_article
from .documents.articles.descent import article
from .errors import NotCoveredError, ProblemError
from .files.limit_file import parts_of
from .files.rule_file import adaptive_content
from .limit import Limit, derive_limit, restore_limit
from .manifold.discovery.find_manifold import find_manifold
from .manifold.manifold import LocalGeometry, Manifold
from .model.problem import NoisyGradientDescent
from .model.update_rule import UpdateRule
from .noise.classification import Outcome
from .optimizers.adaptive import Adaptive, Window
from .proofs.findings import Certificate
from .proofs.questions import Questions
from .rule_limit import RuleLimit, limit_under
from .rules.derivation import RuleDerivation, derive_motion, derive_rule
from .rules.equation import RuleEquation, RuleField
from .rules.expansion import expand_rule
from .rules.motion import RuleMotion
from .rules.regimes.potentials import Potential, find_potential, potential_of_label_noise
from .rules.regimes.second_moments import HeldMotion, SecondMomentRules
from .rules.regimes.windows import DIGITS, SecondMomentsOnGamma, WindowPlan, delta_of_run
from .symbolic.numbers.roots import WORKING_DIGITS
from .symbolic.zero_tests import Basis
from .symbols import GENERIC, alpha


@dataclass(frozen=True)
class AdaptiveLimit(RuleLimit):
    """Limit of a noise model under an adaptive optimizer, in one window of δ = 1 − β₂.

    Attributes
    ----------
    problem : UpdateRule
        The recursion, its second moments among the memory; in the drifting window among the
        weights, for they are part of the limit.
    rules : SecondMomentRules
        The noise model, and the rules that the windows make of it.
    window : Window
        The window.
    on_gamma : SecondMomentsOnGamma
        Second moments along Γ.
    skewness : float
        Third moment of the noise.
    """

    problem: UpdateRule
    rules: SecondMomentRules = field(repr=False, compare=False, kw_only=True)
    window: Window = field(kw_only=True)
    on_gamma: SecondMomentsOnGamma = field(repr=False, compare=False, kw_only=True)
    skewness: float = field(default=0.0, kw_only=True)

    @property
    def projector(self) -> sp.Matrix | None:
        """None: pointwise, with the roots of second moments in it."""
        return None

    @property
    def drift(self) -> sp.Matrix | None:
        """None, pointwise, but at rest."""
        return sp.zeros(self.problem.dimension, 1) if self.time_scale is None else None

    @property
    def diffusion(self) -> sp.Matrix | None:
        """None, pointwise, but where there is none."""
        is_flow = self.outcome is not Outcome.DIFFUSIVE and self.step == 0
        return sp.zeros(self.problem.dimension, 1) if is_flow else None

    def second_moments(self, g: LocalGeometry) -> Any:
        """v* at a point of Γ, in mpmath's precision; not in the drifting window."""
        if self.window is Window.DRIFTING:
            raise NotCoveredError("second_moments: in the drifting window they are weights")
        if isinstance(self.motion, HeldMotion) and self.step != 0:
            step = mpmath.mpmathify(sp.N(self.step.xreplace(GENERIC), mpmath.mp.dps))
            return self.motion.settled(g, step)[0]
        return self.on_gamma.values(g)

    @cached_property
    def potential(self) -> Potential | None:
        """Whether the drift is a gradient along Γ in the metric Ω⁻¹, and of what.

        None where the question is not asked: for diffusions, at rest, and for the pair of weights
        and second moments of the drifting window.
        """
        flows = self.outcome in (Outcome.NON_DEGENERATE, Outcome.DETERMINISTIC)
        if not flows or self.step != 0 or self.window is Window.DRIFTING:
            return None
        candidate, proof = self._candidate
        return find_potential(self.at_points, self._metric, candidate, proof)

    def run(self, alpha: float, sigma: float, delta: float | None = None) -> WindowPlan:
        """Which window a run is in, and by how much the limit of each is wrong there.

        Parameters
        ----------
        alpha, sigma : float
            α = α_Adam/σ and σ.
        delta : float, optional
            δ = 1 − β₂; that of the optimizer if not given.
        """
        if self.problem.parameters:
            raise ProblemError("run: parameters have no values; bind them with subs()")
        if delta is None:
            delta = delta_of_run(self.rules.optimizer.delta, alpha, sigma)
        g = next(self.on_gamma.manifold.local())
        power = self.equation.power
        with mpmath.workdps(DIGITS):
            drift = mpmath.zeros(self.rules.problem.dimension, 1)
            if power is not None:
                drift = self._leading(g)
        numbers = {"alpha": alpha, "sigma": sigma, "delta": delta}
        return self.on_gamma.plan(drift, power or 0, numbers, self.skewness, g)

    def at_step(self, step: Any = alpha, momentum: Any = 0) -> AdaptiveLimit:
        """The limit σ → 0 at a fixed step size where v is constant while the weights relax.

        Parameters and other errors are those of `RuleLimit.at_step`.

        Raises
        ------
        NotCoveredError
            In the windows 'comparable' and 'fast', which are of small steps.
        """
        limit = super().at_step(step, momentum)
        if limit.step != 0 and self.window in (Window.COMPARABLE, Window.FAST):
            raise NotCoveredError(
                f"step: in the window {self.window.value!r} there is a limit as α → 0 only: at a "
                "fixed step the second moments fluctuate as fast as the weights relax, which "
                "changes the drift by a part of about αμ/2 + δ whatever σ is; "
                "limit.run(alpha, sigma) has its size"
            )
        return limit  # type: ignore[return-value]

    def subs(self, values: Mapping[sp.Symbol, Any]) -> AdaptiveLimit:
        """The limit with some or all parameters bound to numbers, derived again."""
        limit = derive_adaptive(self.rules.problem.subs(values))
        if self.step == 0:
            return limit
        return limit.at_step(self.step.subs(values))

    def _metric(self, g: LocalGeometry) -> Any:
        return self.on_gamma.preconditioner(g)

    def _leading(self, g: LocalGeometry) -> Any:
        """B of the weights at a point of Γ as α → 0, v at S."""
        if self.window is Window.DRIFTING:
            v = self.on_gamma.values(g)
            g = self.manifold.probe.geometry((*g.point, *v))
        drift = RuleField(self.motion, RuleEquation(self.equation.power)).drift(g)
        return drift[: self.rules.problem.dimension, 0]

    @cached_property
    def _candidate(self) -> tuple[sp.Expr | None, str | None]:
        """What the drift may be the gradient of, and why."""
        plain = derive_limit(replace(self.rules.problem, optimizer=None))
        if self.outcome is Outcome.NON_DEGENERATE:
            return plain.moments.regularizer, None
        multiple = plain.classification.hessian_multiple
        if self.window is not Window.CONSTANT or multiple is None:
            return None, None
        rules = self.rules
        value = potential_of_label_noise(
            rules.optimizer, rules.moments, rules.noise_alone, rules.problem.dimension
        )
        excess = plain.moments.covariance - multiple * sp.Matrix(plain.manifold.jet.hessian())
        is_proved = plain.manifold.vanishes(list(excess)).basis is Basis.PROOF
        shown = "" if multiple == 1 else f"{multiple} "
        why = f"Σ = {shown}H on Γ, where the form is ¼⟨Ω, dΣ⟩"
        return value, why if is_proved else None

    def _certified(self, asked: Questions) -> Certificate:
        if isinstance(self.motion, HeldMotion):
            raise NotCoveredError(
                "certificate: second moments that are held solve an equation of their own, which "
                "is not enclosed; ask for limit.evidence"
            )
        return super()._certified(asked)


equations.register(AdaptiveLimit)(adaptive_equations)
explain.register(AdaptiveLimit)(explain_adaptive)
article.register(AdaptiveLimit)(adaptive_article)


def derive_adaptive(problem: NoisyGradientDescent, assume: Outcome | None = None) -> AdaptiveLimit:
    """Derive the limit of a noise model under its adaptive optimizer, in its window.

    Raises
    ------
    ProblemError
        If δ does not say which window is meant.
    NotCoveredError
        If a second moment vanishes where the preconditioner has no value, the noise is skewed
        where that matters, or δ is no power of the drift's own.
    """
    rules = SecondMomentRules(problem)
    window = rules.optimizer.window
    if window is None:
        raise ProblemError(
            f"delta: {rules.optimizer.delta} alone does not say in which window the limit is; give "
            "window='constant', 'comparable' or 'fast', as limit.run(alpha, sigma) of any of them "
            "advises, or δ as a power of derive.alpha"
        )
    manifold = find_manifold(rules.recursion.landscape)
    on_gamma = SecondMomentsOnGamma(rules, manifold)
    on_gamma.check_positive(next(manifold.local()))
    skewness = on_gamma.check_symmetry(window)
    recursion, found = _derived(rules, manifold, window, assume)
    return _limit_of(recursion, found, on_gamma, window, skewness)


def _limit_of(
    recursion: UpdateRule,
    found: RuleDerivation,
    on_gamma: SecondMomentsOnGamma,
    window: Window,
    skewness: float,
) -> AdaptiveLimit:
    return AdaptiveLimit(
        problem=recursion,
        manifold=found.motion.manifold,
        classification=found.classification,
        equation=found.equation,
        motion=found.motion,
        rules=on_gamma.rules,
        window=window,
        on_gamma=on_gamma,
        skewness=skewness,
    )


@parts_of.register
def _parts_of(limit: AdaptiveLimit) -> tuple[NoisyGradientDescent, Callable[[], dict[str, Any]]]:
    return limit.rules.problem, partial(adaptive_content, limit)


@restore_limit.register
def _restored(rules: SecondMomentRules, parts: Mapping[str, Any]) -> AdaptiveLimit:  # type: ignore[misc]
    manifold, window = parts["manifold"], Window.read(rules.optimizer.window)  # type: ignore[arg-type]
    if parts["drifting"] is None:
        recursion, motion = rules.recursion, _motion(rules, manifold, window)
    else:
        recursion, around = parts["drifting"]
        motion = RuleMotion(expand_rule(recursion), around)
    found = RuleDerivation(motion, parts["classification"], parts["equation"])
    on_gamma = SecondMomentsOnGamma(rules, manifold)
    limit = _limit_of(recursion, found, on_gamma, window, parts["skewness"])
    vars(limit)["potential"] = parts["potential"]
    return limit


def _derived(
    rules: SecondMomentRules, manifold: Manifold, window: Window, assume: Outcome | None
) -> tuple[UpdateRule, RuleDerivation]:
    """The recursion whose weights the limit is about, and its derivation."""
    if window is not Window.DRIFTING:
        return rules.recursion, derive_motion(_motion(rules, manifold, window), assume)
    slow = derive_motion(HeldMotion.of(rules, manifold), assume)
    power = rules.optimizer.delta.as_powers_dict().get(alpha, sp.S.Zero)
    if power != slow.equation.power:
        own = "nothing moves" if slow.equation.power is None else f"it is α^{slow.equation.power}σ²"
        raise NotCoveredError(
            f"delta: in the drifting window δ is a multiple of the drift's own order, and {own}; "
            f"got {rules.optimizer.delta}"
        )
    g = next(manifold.local())
    with mpmath.workdps(WORKING_DIGITS):
        values = SecondMomentsOnGamma(rules, manifold).values(g)
    rule = rules.drifting((*g.point[: rules.problem.dimension], *values))
    return rule, derive_rule(rule, assume)


def _motion(rules: SecondMomentRules, manifold: Manifold, window: Window) -> RuleMotion:
    """The theorem in a window whose limit is about the weights alone."""
    if window is Window.CONSTANT:
        return HeldMotion.of(rules, manifold)
    rule = rules.averaged if window is Window.COMPARABLE else rules.instant
    return RuleMotion(expand_rule(rule), manifold)


@limit_under.register
def _derive_adaptive(
    _: Adaptive, problem: NoisyGradientDescent, assume: Outcome | str | None
) -> Limit:
    return derive_adaptive(problem, None if assume is None else Outcome.read(assume))


def plan_window(
    problem: NoisyGradientDescent, *, alpha: float, sigma: float, delta: float | None = None
) -> WindowPlan:
    """Which window a run of an adaptive optimizer is in, and how wrong the others are.

    Parameters
    ----------
    problem : NoisyGradientDescent
        With an adaptive optimizer, whose δ is that of the run, and whose window does not matter.
    alpha, sigma : float
        α = α_Adam/σ and σ.
    delta : float, optional
        δ = 1 − β₂; that of the optimizer if not given.

    Examples
    --------
    ``plan_window(replace(model, optimizer=Adam(0.001)), alpha=0.01, sigma=0.1).window``
    """
    optimizer = problem.optimizer
    if not isinstance(optimizer, Adaptive):
        raise ProblemError(f"problem: expected an adaptive optimizer, got {optimizer!r}")
    if delta is None:
        delta = delta_of_run(optimizer.delta, alpha, sigma)
    held = replace(optimizer, delta=sp.Rational(str(delta)), window=Window.CONSTANT)
    return derive_adaptive(replace(problem, optimizer=held)).run(alpha, sigma)
