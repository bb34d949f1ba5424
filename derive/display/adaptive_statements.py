"""What the limit of an adaptive optimizer says beside that of any rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..optimizers.adaptive import AdamW, Window
from ..rules.regimes.potentials import Potential
from .notation import Equality, Words
from .rule_statements import rule_equations
from .statements import Statement, text_of

WORDS = {
    Window.CONSTANT: (
        "v is constant while the weights relax: α^kσ² ≪ δ ≪ αμ, one over the time scale and the "
        "eigenvalues μ of ΩH across Γ; Ω(v_*(W)) is not differentiated; error about δ/(δ + αμ)"
    ),
    Window.COMPARABLE: (
        "v is a memory variable of its mean over the noise: δ comparable with αμ; error about "
        "αμ/2 + δ"
    ),
    Window.FAST: (
        "v is a function of the weights, v = S(w): αμ ≪ δ ≪ 1; Ω(S(w)) is differentiated; error "
        "about αμ/(δ + αμ) + δ"
    ),
    Window.DRIFTING: (
        "v is as slow as the drift, δ = cα^kσ² ≪ αμ: the limit lives on Γ × {v}; error about "
        "δ/(δ + αμ)"
    ),
}

UNITS = "α_Adam = ασ, ε_Adam = εσ, v_Adam = σ²v, δ = 1 − β₂"


def adaptive_equations(limit: Any) -> list[Statement]:
    """What the derivation found, in the order in which it is read."""
    found = rule_equations(limit)
    place = next(i for i, s in enumerate(found) if s.label == "noise") + 1
    return [*found[:place], *_setting(limit), *found[place:], *_potential(limit)]


def _setting(limit: Any) -> Iterator[Statement]:
    yield _words("window", WORDS[limit.window])
    units = UNITS
    if isinstance(limit.rules.optimizer, AdamW):
        units += ", λ_AdamW = λ/σ"
    yield _words("units", units)
    alone = sp.Matrix(limit.rules.noise_alone)
    if limit.window is Window.CONSTANT and limit.step != 0:
        yield _words("second moments", "v = S(W) + ½D²q[X(v)], S = E q of the noise alone")
    elif limit.window is Window.DRIFTING:
        yield _words("second moments", "part of the limit, drawn to S(W) + ½D²q[X(v)]")
    yield Statement("S", f"S = {text_of(alone)}", (Equality("S", alone),))


def _potential(limit: Any) -> Iterator[Statement]:
    found: Potential | None = limit.potential
    if found is None:
        return
    metric = "M = Ω − ΩJᵀ(JΩJᵀ)⁻¹JΩ, Ω = Ω(v_*(W))"
    if found.value is not None:
        text = f"b = −M∇V, {metric}, V = {text_of(found.value)}; {found.verdict}"
        words = Words(f"b = −M∇V, {metric}; {found.verdict}")
        yield Statement("gradient along Γ", text, (Equality("V", found.value), words))
        return
    verdict = found.verdict
    meaning = {
        True: "b = −M∇V for some V, " + metric,
        False: "b is no gradient along Γ in the metric Ω⁻¹: there is no potential",
        None: "whether b = −M∇V is not decided",
    }[verdict.value]
    yield _words("gradient along Γ", f"{meaning}; {verdict}")


def _words(label: str, text: str) -> Statement:
    return Statement(label, text, (Words(text),))
