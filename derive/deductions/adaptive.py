"""The limit of an adaptive optimizer in its window: its derivation."""

from __future__ import annotations

from typing import Any

from ..display.adaptive_statements import WORDS, adaptive_equations
from .deductions import Deduction, Explanation, Hypothesis, Standing
from .rules import explain_rule

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
    window = Hypothesis(
        f"the window: {WORDS[limit.window]}",
        "not checked; a run of the recursion beside the limit tells",
    )
    return Explanation(sections, (*known.hypotheses, positive, symmetric, window))
