"""What the limit of an optimizer that cycles across Γ says, as labelled statements."""

from __future__ import annotations

from typing import Any

import sympy as sp

from ..noise.classification import Outcome
from ..symbols import alpha
from .notation import Equality, Formula, Words
from .statements import (
    Statement,
    law_statement,
    manifold_statements,
    outcome_statements,
    text_of,
)

MEANINGS = {
    Outcome.NON_DEGENERATE: "constrained flow of the mean over the cycles across Γ",
    Outcome.TRIVIAL: "λ₁ is constant on Γ, and nothing moves at this order",
}
TURNING = {
    Outcome.NON_DEGENERATE: "flow along the mean over the stationary law of the chain across Γ",
    Outcome.TRIVIAL: "nothing moves at this order, whatever the chain across Γ does",
}
"""The same where the gradients of batches turn at random."""


def _meaning(limit: Any) -> str:
    random = limit.cycles.is_simulated(sp.S.Zero)
    return (TURNING if random else MEANINGS)[limit.outcome]


def cycle_equations(limit: Any) -> list[Statement]:
    """What the derivation found, in the order in which it is read."""
    return [
        *_setting(limit),
        *manifold_statements(limit),
        *outcome_statements(limit, _meaning(limit)),
        *_equation(limit),
    ]


def _setting(limit: Any) -> list[Statement]:
    p = limit.problem
    statements = [
        Statement("loss", f"L = {text_of(p.loss)}", (Equality("L", p.loss),)),
        Statement("optimizer", repr(p.optimizer), (Words(repr(p.optimizer)),)),
    ]
    return [*statements, law_statement(p.law)] if p.noise else statements


def _equation(limit: Any) -> list[Statement]:
    if limit.time_scale is None:
        return [Statement("limit", "dW = 0", (Formula(("dW = 0",)),))]
    of = limit.cycles.optimizer.regularizer.subs(alpha, limit.step)
    losses = "" if limit.cycles.batch_size is None else " of one sample, the mean over them"
    text = f"{text_of(of)} with λ₁ the largest eigenvalue of the Hessian{losses}"
    if limit.is_simulated:
        words = Words("the mean over the stationary law of the fast chain, by simulation")
        drift = Statement("drift", words.text, (words,))
        return [Statement("limit", "dW = b dt", (Formula((r"dW = b\,dt",)),)), drift]
    across = Words(limit.cycles.optimizer.cycle)
    if limit.cycles.batch_size is not None:
        across = Words("at random, as the signs of the gradients of batches are")
    statements = [
        Statement("across Γ", across.text, (across,)),
        Statement("limit", "dW = −P∇Reg dt", (Formula((r"dW = -P\nabla\mathrm{Reg}\,dt",)),)),
        Statement("Reg", text, (Equality(r"\mathrm{Reg}", of),)),
    ]
    if limit.regularizer is not None:
        reg: sp.Expr = limit.manifold.shortest(limit.regularizer)
        statements.append(
            Statement("Reg on Γ", text_of(reg), (Equality(r"\mathrm{Reg}|_\Gamma", reg),))
        )
    if limit.drift is not None:
        shown = f"b = {text_of(limit.drift)}"
        statements.append(Statement("drift", shown, (Equality("b", limit.drift),)))
    return statements
