"""What the limit of an update rule says, as labelled statements."""

from __future__ import annotations

from typing import Any

import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..noise.classification import Outcome
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


def _built(limit: Any) -> list[Statement]:
    """What is made of steps of the rule, where a step of the limit is more than one of them."""
    optimizer = limit.motion.optimizer
    if optimizer is None:
        return []
    return [Statement("one step", repr(optimizer), (Words(repr(optimizer)),))]


def _setting(rule: Any) -> list[Statement]:
    step = sp.Matrix(rule.update)
    state = [x for s in rule.state for x in (s, r",\, ")][:-1]
    parts: list[Part] = [Formula(("z = (", *state, r"),\; z \leftarrow T")), Equality("T", step)]
    lines = [f"{s} ← {text_of(u)}" for s, u in zip(rule.state, rule.update, strict=True)]
    statements = [Statement("update", "\n".join(lines), tuple(parts))]
    if rule.memory:
        rest = zip(rule.memory, rule.rest, strict=True)
        text = ", ".join(f"{m} = {text_of(r)}" for m, r in rest)
        equalities = tuple(
            Formula((m, " = ", r)) for m, r in zip(rule.memory, rule.rest, strict=True)
        )
        statements.append(Statement("memory at rest", text, equalities))
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
