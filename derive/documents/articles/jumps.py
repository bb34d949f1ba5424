"""What a paper says of the jump process that rare jumps make at a fixed step size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy as sp

from ...deductions.jumps import explain_jumps
from ...display.notation import Equality, Formula, Notation, Part, Prose, is_too_long
from .article import THEOREM, Article, Paragraph, prose
from .descent import article
from .glossary import COMMON


def jump_article(process: Any) -> Article:
    """What a paper says of the jump process."""
    beside = article(process.beside)
    explanation = explain_jumps(process)
    step = Notation().tex(process.step)
    size = "" if process.step.has(sp.Symbol) else rf" = {step}"
    return Article(
        title="The jump process of a noisy gradient descent",
        setting=(*beside.setting, _transition()),
        letters=COMMON,
        hypotheses=explanation.hypotheses,
        kind=THEOREM,
        theorem=tuple(_theorem(process, size)),
        argument=(
            prose(
                r"In $t/\sigma^2$ steps the noise jumps about $\nu_m t$ times by $z_m$, and between"
                r" two jumps there are about $1/\sigma^2$ steps, in which descent without noise"
                r" returns to $\Gamma$. Hence, for smooth $f$, the mean of $f(\Phi_\alpha(w_{k+1}))"
                r" - f(\Phi_\alpha(w_k))$ is $\sigma^2$ times the generator, up to smaller terms,"
                r" and a process with this generator is the limit. It remains to compute."
            ),
        ),
        steps=explanation.steps,
        remarks=(
            (
                Prose(r"As $\alpha \to 0$, and in the time scale"),
                *((Formula((process.beside.time_scale,)),) if process.beside.time_scale else ()),
                Prose(
                    rf"of that limit, it becomes the {process.beside.outcome.value} limit of the"
                ),
                Prose("same model."),
            ),
        ),
        row=(
            prose("jump process"),
            prose(r"$1/\sigma^2$"),
            prose(rf"rates $\nu_m$, $m \le {len(process.rates)}$, at $\alpha = {step}$"),
        ),
        certificate=beside.certificate,
    )


def _transition() -> Paragraph:
    return prose(
        r"Let $z_m$ be the points at which $\nu$ has mass, $\nu_m$ their masses, and"
        r" $T(w, z) = w - \alpha\nabla_w \hat L(w, z)$ a step with the noise $z$."
    )


def _theorem(process: Any, size: str) -> Iterator[Paragraph]:
    yield prose(
        r"Assume the hypotheses above. Let $W$ be the Markov process on $\Gamma$ with"
        r" $W(0) = \Phi_\alpha(w_0)$ whose generator is \[ f \mapsto \sum_m \nu_m \bigl[ f("
        r"\Phi_\alpha(T(W, z_m))) - f(W) - Df(W)\, P\, \partial_\eta T(W, 0)\, z_m \bigr], \]"
        r" for smooth functions $f$ with derivative $Df$."
    )
    yield prose(
        rf"Then, as $\sigma \to 0$ at the fixed step size $\alpha{size}$, the end points"
        r" $\Phi_\alpha(w_{\lfloor t/\sigma^2 \rfloor})$ converge to $W$ in law, in the"
        r" Skorokhod space"
        r" $D([0, T])$ for every $T > 0$, both stopped when they leave a compact part of $\Gamma$."
    )
    parts: list[Part] = []
    for m, (rate, landing) in enumerate(zip(process.rates, process.landings, strict=True), 1):
        if not is_too_long(landing):
            parts += [
                Prose(rf"Jump ${m}$ comes at the rate"),
                Formula((rf"\nu_{{{m}}} = ", rate)),
                Prose("and leads from $w$ to the end of descent from"),
                Equality(f"T(w, z_{{{m}}})", landing),
            ]
    if parts:
        yield tuple(parts)
