"""The limit of an adaptive optimizer in its window: its derivation, and its article."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..display.adaptive_statements import WORDS, adaptive_equations
from ..display.notation import Prose
from .article import Article
from .deductions import Deduction, Explanation, Hypothesis, Standing
from .glossary import OF_ADAPTIVE
from .rule_article import rule_article
from .rules import explain_rule

TITLES = {
    "window": "Window, in which the theorem below is applied to the map",
    "S": "The second moments of the noise alone",
}
"""What stands in front of a part of the setting."""

SETTING = ("window", "units", "second moments", "S")


def explain_adaptive(limit: Any) -> Explanation:
    """Derivation in steps, with the hypotheses on the second moments."""
    known = explain_rule(limit)
    stated = {s.label: Deduction(s) for s in adaptive_equations(limit)}
    (title, first), *others, (last, found) = known.sections
    more = tuple(stated[label] for label in SETTING if label in stated)
    gradient = tuple(stated[label] for label in ("gradient along Γ",) if label in stated)
    sections = ((title, first + more), *others, (last, found + gradient))
    positive = Hypothesis(
        "v > 0 in every coordinate, or ε > 0", "at the base point of Γ", Standing.SAMPLED
    )
    skew = limit.skewness
    symmetric = (
        Hypothesis("vanishing third moments of the noise", "by its law", Standing.PROVED)
        if skew == 0
        else Hypothesis(
            "δ²/(δ + αμ) ≪ α^(k−1)σ, for the noise is skewed", f"third moment {skew:.3g}"
        )
    )
    window = Hypothesis(f"the window: {WORDS[limit.window]}", "`limit.run(alpha, sigma)` compares")
    return Explanation(sections, (*known.hypotheses, positive, symmetric, window))


def adaptive_article(limit: Any) -> Article:
    """What a paper says of the limit of an adaptive optimizer."""
    known, explanation = rule_article(limit), explain_adaptive(limit)
    stated = {s.label: s for s in adaptive_equations(limit)}
    window = tuple(
        (Prose(rf"\emph{{{TITLES.get(label, label.capitalize())}}}:"), *stated[label].parts)
        for label in SETTING
        if label in stated
    )
    kept = {step.statement.label for step in known.steps}
    steps = tuple(
        step
        for step in explanation.steps
        if step.statement.label in kept or step.statement.label == "gradient along Γ"
    )
    return replace(
        known,
        title="The slow limit of an adaptive optimizer",
        setting=(*known.setting, *window),
        letters=OF_ADAPTIVE,
        hypotheses=explanation.hypotheses,
        steps=steps,
    )
