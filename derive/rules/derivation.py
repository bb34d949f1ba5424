"""From an update rule to the scale and the equation of its limit, hypotheses first."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import mpmath
import sympy as sp

from ..errors import NotCoveredError
from ..manifold.discovery.find_manifold import find_manifold
from ..manifold.manifold import Manifold
from ..model.update_rule import UpdateRule
from ..noise.classification import Classification, Evidence, Outcome, Step
from ..optimizers.optimizer import Optimizer
from ..symbolic.calculus import Substitution
from ..symbolic.numbers.roots import WORKING_DIGITS, evaluator
from ..symbolic.zero_tests import CLEAR_DIGITS
from ..symbols import GENERIC, alpha, sigma
from .equation import RuleEquation
from .expansion import RuleExpansion, expand_rule, has_rare_jumps
from .motion import RuleMotion
from .orders import check_attraction, find_orders

KINKED = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside, sp.Piecewise)
"""Functions without two derivatives everywhere."""

FIXED = "every T₀(·, ξ) fixes 𝓜"
CENTRED = "E T₁ = 0 on 𝓜"
"""Hypotheses of the theorem on the map itself."""


@dataclass(frozen=True)
class RuleDerivation:
    """What is derived of a rule: where it rests, its motion there, its scale."""

    motion: RuleMotion
    classification: Classification
    equation: RuleEquation


def derive_rule(
    rule: UpdateRule, assume: Outcome | None = None, optimizer: Optimizer | None = None
) -> RuleDerivation:
    """Derive the limit of an update rule as σ → 0, then α → 0.

    Parameters
    ----------
    rule : UpdateRule
        One step.
    assume : Outcome, optional
        An outcome that is expected.
    optimizer : Optimizer, optional
        What is built of steps of the rule, where they do not stand for themselves.

    Raises
    ------
    ManifoldError
        If the zero set of the loss is not a manifold of the assumed kind.
    NotCoveredError
        If a hypothesis of the theorem fails, with the number that failed.
    UndecidedError
        If the power of α is not clear.
    """
    found = find_manifold(rule.landscape)
    return derive_motion(RuleMotion(expand_rule(rule), found, optimizer), assume)


def derive_motion(motion: RuleMotion, assume: Outcome | None = None) -> RuleDerivation:
    """Derive the limit of a rule along a Γ that is known; arguments and errors as above."""
    _refuse_kinks(motion.closed, motion.manifold)
    rests = _check_rest(motion.closed, motion.manifold)
    steps = (*rests, check_attraction(motion, sp.S.Zero, {}))
    ordering = find_orders(motion, assume)
    evidence = Evidence((*steps, *ordering.evidence.steps))
    classification = Classification(ordering.outcome, evidence)
    return RuleDerivation(motion, classification, RuleEquation(ordering.power))


def at_fixed_step(derivation: RuleDerivation, step: sp.Expr) -> RuleDerivation:
    """The limit σ → 0 at a fixed step size.

    Raises
    ------
    NotCoveredError
        If the rest states do not attract at that step, or the law has rare jumps.
    """
    motion, equation = derivation.motion, derivation.equation
    if has_rare_jumps(motion.expansion.rule):
        raise NotCoveredError(
            "step: rare jumps are not small at a fixed step size, where the limit is a jump "
            "process; compare with the limit α → 0, extrapolating in α"
        )
    attracts = check_attraction(motion, step, GENERIC)
    known = derivation.classification
    evidence = Evidence((*known.evidence.steps, attracts))
    classification = Classification(known.outcome, evidence)
    return RuleDerivation(motion, classification, RuleEquation(equation.power, step))


def _refuse_kinks(expansion: RuleExpansion, manifold: Manifold) -> None:
    """Signs, absolute values and the like whose kink lies on Γ."""
    kinks = set().union(*(t.atoms(*KINKED) for t in expansion.rule.update))
    quiet = Substitution(dict.fromkeys((*expansion.rule.noise, sigma), sp.S.Zero))
    symbols = (*manifold.symbols, alpha)
    for kink in kinks:
        places = [expansion.at_rest(quiet(x)) for x in _kink_places(kink)]
        with mpmath.workdps(WORKING_DIGITS):
            values = evaluator(symbols, places)((*manifold.base, mpmath.mpf(37) / 1000))
        if min(map(abs, values)) < mpmath.mpf(10) ** -CLEAR_DIGITS:
            raise NotCoveredError(
                f"update: {sp.sstr(kink)} has its kink on Γ, where it takes the value "
                f"{mpmath.nstr(min(values, key=abs), 3)} inside, so that the step has no two "
                "derivatives there: signs and normalised gradients are not smooth across Γ, and "
                "neither the theorem nor its time scale holds for them"
            )


def _kink_places(kink: sp.Basic) -> list[sp.Expr]:
    """Expressions that vanish where a function has a kink."""
    if isinstance(kink, sp.Piecewise):
        relations = kink.atoms(sp.core.relational.Relational)
        return [r.lhs - r.rhs for r in relations]
    if isinstance(kink, sp.Max | sp.Min):
        return [a - b for a, b in itertools.combinations(kink.args, 2)]
    return [kink.args[0]]


def _check_rest(expansion: RuleExpansion, manifold: Manifold) -> list[Step]:
    """That every T₀(·, ξ) fixes 𝓜, and that E T₁ = 0 on it."""
    moved = expansion.randomness.mixture(sp.Matrix(expansion.moved))
    fixed = manifold.vanishes([x for m in moved.matrices for x in m], free=(alpha,))
    steps = [Step(FIXED, fixed)]
    if not fixed:
        raise NotCoveredError(
            "update: without the small noise a step must leave Γ where it is, its memory at rest, "
            f"and it does not: {fixed}; check `rest`, and that what is drawn at a fixed "
            "size, or decays at a fixed rate, does nothing on Γ"
        )
    if any(expansion.mean_of_kick):
        centred = manifold.vanishes(expansion.mean_of_kick, free=(alpha,))
        steps.append(Step(CENTRED, centred))
        if not centred:
            raise NotCoveredError(
                "update: its mean moves Γ at order σ, faster than the theorem allows: "
                f"{centred}; terms of order σ² are covered"
            )
    return steps
