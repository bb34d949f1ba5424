"""What lies beyond the two theorems: the slower scales, the crossover, the next-order equation.

In a degenerate case the next terms of the averaged recursion and of its noise act on scales of
their own, and each obeys Theorem A or B with other data:

    1/(α³σ²)   −½ P D³L[X₁] where D²Φ_α[Σ] = α D³L[X₁] + …, though D²Φ[Σ] = 0
    1/(ασ³)    −P∇Reg₃      laws with third moments
    1/(ασ⁴)    −P∇V₂        V₂ = Reg₂ − ½ ∇Regᵀ H⁺ ∇Reg
    1/(α²σ⁴)   Theorem B with Σ₂ in place of Σ, where the noise acts through second order alone.

In the non-degenerate case they are corrections, which the next-order equation holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mpmath
import sympy as sp

from ..errors import NotCoveredError
from ..manifold.discovery.finite_sums import SampledManifold
from ..manifold.manifold import LocalGeometry, Manifold
from ..noise.classification import Classification, Evidence, Outcome, Step, classify
from ..noise.higher_moments import second_chaos, second_regularizer, third_regularizer
from ..noise.moments import NoiseMoments
from ..symbolic.bundles import flattened, restored
from ..symbolic.calculus import gradient
from ..symbolic.numbers.roots import evaluator
from ..symbolic.zero_tests import Basis, Verdict, proved
from ..symbols import alpha, sigma
from ..theory.second_order import SecondOrder
from .closed_form import second_potential_on
from .coefficients import Equation


@dataclass(frozen=True)
class Scale:
    """What a slower scale replaces in a limit."""

    moments: NoiseMoments
    classification: Classification
    equation: Equation


def slower_scales(
    manifold: Manifold, moments: NoiseMoments, classification: Classification
) -> tuple[Scale, ...]:
    """The scales beyond the two theorems, from fast to slow, each with its verdict.

    A scale on which nothing moves is listed too, as trivial. There are none beside a
    non-degenerate limit, whose flow is faster, and none where nothing ever moves.

    Raises
    ------
    NotCoveredError
        If the law's higher moments are not known.
    """
    if classification.outcome in (Outcome.NON_DEGENERATE, Outcome.FROZEN):
        return ()
    scales = []
    if classification.step_order is not None:
        scales.append(_step_scale(moments, classification, classification.step_order))
    third = _third_moment_scale(manifold, moments)
    if third is not None:
        scales.append(third)
    silent = bool(manifold.vanishes(list(moments.columns)))
    chaos = _chaos(manifold) if silent else None
    slow = _third_scale(manifold, moments, chaos)
    scales.append(slow)
    if slow.classification.outcome is Outcome.TRIVIAL:
        if chaos is not None:
            scales.append(_chaos_scale(manifold, chaos))
        elif classification.outcome is Outcome.TRIVIAL:
            scales[-1] = _with_open_question(slow)
    return tuple(scales)


def crossover(
    manifold: Manifold, moments: NoiseMoments, classification: Classification, kappa: sp.Expr
) -> Scale:
    """The degenerate equation in time kα²σ² where σ²/α → κ: an extra drift −κP∇V₂.

    Raises
    ------
    NotCoveredError
        In the non-degenerate case, or if the law's higher moments are not known.
    """
    outcome = classification.outcome
    if outcome is Outcome.NON_DEGENERATE:
        raise NotCoveredError(
            "crossover: the limit is non-degenerate, so that σ²/α plays no part at leading order; "
            "use effective() for the next order"
        )
    reg2 = second_regularizer(manifold.problem)
    flat = _flat_second_order(manifold, moments.regularizer, reg2)
    if outcome is Outcome.TRIVIAL and not flat:
        outcome = Outcome.DETERMINISTIC
    evidence = Evidence((*classification.evidence.steps, Step("P∇V₂ = 0 on Γ", flat)))
    equation = Equation(
        f"crossover, σ²/α → {kappa}",
        1 / (alpha**2 * sigma**2),
        potential=moments.penalty,
        second_weight=kappa,
        second_regularizer=reg2,
        ito_weight=sp.Rational(1, 2),
        noise_weight=sp.Integer(outcome is Outcome.DIFFUSIVE),
    )
    return Scale(moments, replace(classification, outcome=outcome, evidence=evidence), equation)


def next_order(manifold: Manifold, moments: NoiseMoments, noise_scale: sp.Expr) -> Equation:
    """One equation for every (α, σ): time kασ², error O((α + σ²)²) for symmetric laws.

    Raises
    ------
    NotCoveredError
        If the law's higher moments are not known.
    """
    problem = manifold.problem
    return Equation(
        "next order",
        1 / (alpha * sigma**2),
        potential=moments.regularizer
        + noise_scale * third_regularizer(problem)
        + alpha * moments.penalty,
        second_weight=noise_scale**2,
        second_regularizer=second_regularizer(problem),
        ito_weight=alpha / 2,
        noise_weight=sp.sqrt(alpha),
    )


def _step_scale(moments: NoiseMoments, classification: Classification, order: int) -> Scale:
    """The first order of D²Φ_α[Σ] in α that moves what D²Φ[Σ] leaves at rest."""
    power = 2 + order
    equation = Equation(
        f"order {power} in the step",
        1 / (alpha**power * sigma**2),
        ito_weight=sp.Rational(1, 2),
        order=order,
    )
    return Scale(moments, replace(classification, outcome=Outcome.DETERMINISTIC), equation)


def _third_moment_scale(manifold: Manifold, moments: NoiseMoments) -> Scale | None:
    """The scale 1/(ασ³); None for a symmetric law, or one whose moments are all of order σ²."""
    reg3 = third_regularizer(manifold.problem)
    if reg3 == 0:
        return None
    flat = manifold.vanishes_along(gradient(reg3, manifold.problem.weights))
    equation = Equation(
        "third-moment scale",
        None if flat else 1 / (alpha * sigma**3),
        potential=reg3 + alpha / sigma * moments.penalty,
        ito_weight=alpha / (2 * sigma),
        noise_weight=sp.sqrt(alpha / sigma),
    )
    return Scale(moments, _judged("P∇Reg₃ = 0 on Γ (scale 1/(ασ³))", flat), equation)


def _third_scale(manifold: Manifold, moments: NoiseMoments, chaos: NoiseMoments | None) -> Scale:
    """The scale 1/(ασ⁴); at a finite step Σ₂ acts beside its drift, or Σ where that is not zero."""
    reg2 = second_regularizer(manifold.problem)
    flat = _flat_second_order(manifold, moments.regularizer, reg2)
    noise = alpha if chaos is not None else alpha / sigma**2
    equation = Equation(
        "third scale",
        None if flat else 1 / (alpha * sigma**4),
        potential=alpha / sigma**2 * moments.penalty,
        second_weight=sp.Integer(1),
        second_regularizer=reg2,
        ito_weight=noise / 2,
        noise_weight=sp.sqrt(noise),
    )
    used = moments if chaos is None else replace(chaos, regularizer=moments.regularizer)
    return Scale(used, _judged("P∇V₂ = 0 on Γ (scale 1/(ασ⁴))", flat), equation)


def _chaos(manifold: Manifold) -> NoiseMoments | None:
    try:
        return second_chaos(manifold.problem)
    except NotCoveredError:
        return None


def _chaos_scale(manifold: Manifold, chaos: NoiseMoments) -> Scale:
    """Theorem B with Σ₂ and σ⁴ in place of Σ and σ²."""
    found = classify(manifold, chaos, find=second_chaos)
    steps = (
        Step(f"{step.question.replace('Σ', 'Σ₂')} (scale 1/(α²σ⁴))", step.verdict)
        for step in found.evidence.steps
        if "Σ" in step.question
    )
    outcome = found.outcome if found.outcome.is_degenerate else Outcome.TRIVIAL
    equation = Equation(
        "second chaos",
        1 / (alpha**2 * sigma**4) if outcome.is_degenerate else None,
        ito_weight=sp.Rational(1, 2),
        noise_weight=sp.Integer(outcome is Outcome.DIFFUSIVE),
    )
    evidence = Evidence(tuple(steps))
    return Scale(chaos, replace(found, outcome=outcome, evidence=evidence), equation)


def _with_open_question(scale: Scale) -> Scale:
    """The trivial third scale, with the remark that nothing is known of the next one."""
    why = "not covered: known only where Σ = 0 on Γ and for laws that shrink with σ"
    step = Step("motion on 1/(α²σ⁴)", Verdict(None, Basis.UNDECIDED, why))
    evidence = Evidence((*scale.classification.evidence.steps, step))
    return replace(scale, classification=replace(scale.classification, evidence=evidence))


def _judged(question: str, flat: Verdict) -> Classification:
    """A deterministic flow, or nothing; undecided is treated as non-zero and recorded so."""
    outcome = Outcome.TRIVIAL if flat else Outcome.DETERMINISTIC
    return Classification(outcome, Evidence((Step(question, flat),)))


def _flat_second_order(manifold: Manifold, reg: sp.Expr, reg2: sp.Expr) -> Verdict:
    """P∇V₂ = 0 on Γ, given that P∇Reg = 0 there."""
    if isinstance(manifold, SampledManifold):
        on_few = _flat_second_order(manifold.few, manifold.written(reg), manifold.written(reg2))
        return manifold.noted(on_few)
    weights = manifold.problem.weights
    if not (reg.free_symbols | reg2.free_symbols) & set(weights):
        return proved("Reg and Reg₂ do not depend on w")
    potential = second_potential_on(manifold, reg, reg2)
    if potential is not None:
        return manifold.vanishes_along(gradient(potential, weights))
    terms = SecondOrder.of(reg, reg2, weights)
    value = evaluator(manifold.symbols, flattened(terms))

    def size(g: LocalGeometry) -> Any:
        numbers = value(g.point)
        drift = restored(terms, numbers).drift(g.frame, g.jet.third)
        scale = max((abs(x) for x in numbers), default=0)
        return mpmath.norm(drift) / scale if scale else mpmath.mpf(0)

    return manifold.decide(size)
