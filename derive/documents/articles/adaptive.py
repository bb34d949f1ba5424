"""What a paper says of the limit of an adaptive optimizer in its window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...deductions.adaptive import SETTING, explain_adaptive
from ...display.adaptive_statements import adaptive_equations
from ...display.notation import Prose
from .article import Article
from .glossary import OF_ADAPTIVE
from .rules import rule_article

TITLES = {
    "window": "Window, in which the theorem below is applied to the map",
    "S": "The second moments of the noise alone",
}
"""What stands in front of a part of the setting."""


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
