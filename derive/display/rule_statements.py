"""What the limit of an update rule says, as labelled statements."""

from __future__ import annotations

from typing import Any

import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..noise.classification import Outcome
from .explanation import Explanation, Hypothesis, Standing
from .notation import Equality, Formula, Part, Words
from .statements import Statement, law_statement, manifold_statements, outcome_statements, text_of

MEANINGS = {
    Outcome.NON_DEGENERATE: "constrained flow of the mean step",
    Outcome.DIFFUSIVE: "constrained SDE on Γ",
    Outcome.DETERMINISTIC: "constrained flow made by the fluctuations across Γ",
    Outcome.TRIVIAL: "no motion at order σ², at any power of α; a slower scale may act",
    Outcome.FROZEN: "no step moves a point of Γ: nothing ever moves",
}


def rule_equations(limit: LimitingEquation) -> list[Statement]:
    """What the derivation found, in the order in which it is read."""
    return [
        *_setting(limit.problem),
        *_built(limit),
        *manifold_statements(limit),
        *outcome_statements(limit, MEANINGS[limit.outcome]),
        *_equation(limit),
    ]


def explain_rule(limit: LimitingEquation) -> Explanation:
    """Derivation in steps, with the hypotheses of the theorem for random maps."""
    found = rule_equations(limit)
    names = {"update", "noise", "memory at rest"}
    first = tuple(s for s in found if s.label in names)
    rest = tuple(s for s in found if s.label not in names)
    theorem = Statement(
        "theorem",
        "J A_ξ = B_ξ J, R = (A − I)J⁺(B − I)⁻¹, P = I − RJ; Y − E B_ξYB_ξᵀ = JSJᵀ; "
        "V_ξ = P A_ξ R, Z(I − B)ᵀ = PSJᵀ + E V_ξYB_ξᵀ; X = RYRᵀ + ZRᵀ + RZᵀ; "
        "Θ = PSPᵀ + E V_ξYV_ξᵀ; drift P(b + ½D²T₀[X]) + ½R(I − B)⁻¹J D²T₀[Θ]",
        (
            Formula((r"P = I - R J,\; R = (A-I)J^+(B-I)^{-1}",)),
            Formula((r"Y - E\,B_\xi Y B_\xi^\top = J S J^\top",)),
            Formula((r"\Theta = P S P^\top + E\,V_\xi Y V_\xi^\top,\; V_\xi = P A_\xi R",)),
            Formula(
                (r"b = P(\bar b + \tfrac12 D^2T_0[X]) + \tfrac12 R(I-B)^{-1}J D^2T_0[\Theta]",)
            ),
        ),
    )
    checked = [
        Hypothesis(step.question, str(step.verdict), Standing.SAMPLED)
        for step in limit.evidence.steps[:3]
    ]
    assumed = [
        Hypothesis("the start lies in a neighbourhood that the rule attracts to Γ", "not checked"),
        Hypothesis("σ → 0 before α → 0", "the scaling regime"),
    ]
    sections = (("The update rule", first), ("The theorem", (theorem,)), ("The limit", rest))
    return Explanation(sections, (*checked, *assumed))


def _built(limit: Any) -> list[Statement]:
    """What is made of steps of the rule, where a step of the limit is more than one of them."""
    optimizer = limit.motion.optimizer
    if optimizer is None:
        return []
    return [Statement("one step", repr(optimizer), (Words(repr(optimizer)),))]


def _setting(rule: Any) -> list[Statement]:
    parts: list[Part] = [
        Formula((s, " \\leftarrow ", u)) for s, u in zip(rule.state, rule.update, strict=True)
    ]
    lines = [f"{s} ← {text_of(u)}" for s, u in zip(rule.state, rule.update, strict=True)]
    statements = [Statement("update", "\n".join(lines), tuple(parts))]
    if rule.memory:
        rest = zip(rule.memory, rule.rest, strict=True)
        text = ", ".join(f"{m} = {text_of(r)}" for m, r in rest)
        statements.append(Statement("memory at rest", text, (Words(text),)))
    return [*statements, law_statement(rule.law)]


def _equation(limit: LimitingEquation) -> list[Statement]:
    if limit.time_scale is None:
        return [Statement("limit", "dW = 0", (Formula(("dW = 0",)),))]
    noisy = limit.outcome is Outcome.DIFFUSIVE or limit.step != 0
    text, tex = "dW = b dt", r"dW = b\,dt"
    if noisy:
        text, tex = f"{text} + s dB", rf"{tex} + s\,dB"
    if limit.step != 0:
        text += f",  α = {limit.step}"
    statements = [Statement("limit", text, (Formula((tex,)),))]
    forms: list[tuple[str, str, sp.Matrix | None]] = [("drift", "b", limit.drift)]
    if noisy:
        forms.append(("diffusion", "s", limit.diffusion))
    for label, name, matrix in forms:
        if matrix is None:
            where = "pointwise, by the theorem for random maps"
            statements.append(Statement(label, where, (Words(where),)))
        else:
            shown = f"{name} = {text_of(matrix)}"
            statements.append(Statement(label, shown, (Equality(name, matrix),)))
    return statements
