"""The jump process that rare jumps make at a fixed step size: its derivation, and its article."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import mpmath
import sympy as sp

from ..display.jump_process import jump_statements
from ..display.notation import Equality, Formula, Notation, Part, Prose, is_too_long
from ..rules.jump_process import JumpProcess
from ..symbolic.zero_tests import Verdict
from ..symbols import GENERIC
from .article import THEOREM, Article, Paragraph, prose
from .checks import AGREEMENT, POINTS, verdict_at
from .deductions import Check, Deduction, Explanation, Hypothesis
from .descent import article
from .glossary import COMMON
from .trial import DIGITS, Trial

REPLACED = ("the limit stays", "α → 0", "αλ <")
"""Hypotheses of the limit α → 0 that the jump process does not have, or has in another form."""


def explain_jumps(process: Any) -> Explanation:
    """Derivation of the jump process in steps."""
    steps = tuple(_steps(process))
    gamma = [s for s in process.beside.explain().steps if s.statement.label == "Γ"]
    return Explanation(
        (("Where it rests", tuple(gamma)), ("The jump process", steps)),
        tuple(_hypotheses(process)),
    )


def _steps(process: JumpProcess) -> Iterator[Deduction]:
    trial = Trial(process.problem, process.manifold.codimension)
    points = [g.point for g in itertools.islice(process.manifold.local(), POINTS)]
    labels = {f"jump {m}": m - 1 for m in range(1, len(process.rates) + 1)}
    for statement in jump_statements(process):
        place = labels.get(statement.label)
        if place is not None:
            check = _landing(process, trial, points, place)
            landing = process.landings[place]
            yield Deduction(statement, "T(w, z) = w − α∇_wL̂(w, z)", landing, check)
        elif statement.label == "drift between jumps":
            check = _drift(process, trial, points)
            yield Deduction(statement, "−Σ_m ν_m P ∂_ηT(W, 0) z_m", process.drift, check)
        elif statement.label != "limit":
            yield Deduction(statement)


def _landing(process: JumpProcess, trial: Trial, points: list[Any], place: int) -> Check:
    jump = process.problem.levy_pair.jumps[place]

    def compare(stated: sp.Matrix) -> Verdict:
        def expected(p: Any) -> Any:
            z = mpmath.matrix(trial.values(p, list(jump.displacement)))
            moved = trial.noisy_slope(p, z)
            step = _number(process.step)
            return [x - step * g for x, g in zip(p, moved, strict=False)]

        return _agree(trial, points, stated, expected)

    return Check("one step with the slope of L̂(w, z)", compare)


def _drift(process: JumpProcess, trial: Trial, points: list[Any]) -> Check:
    def compare(stated: sp.Matrix) -> Verdict:
        def expected(p: Any) -> Any:
            total = mpmath.zeros(trial.size, 1)
            for jump in process.problem.levy_pair.jumps:
                rate, *z = trial.values(p, [jump.rate, *jump.displacement])
                small = mpmath.mpf(10) ** -25
                eta = small * mpmath.matrix(z)
                slope = (trial.noisy_slope(p, eta) - trial.noisy_slope(p, -eta)) / (2 * small)
                total += _number(process.step) * rate * slope
            return list(trial.projector(p) * total)

        return _agree(trial, points, stated, expected)

    return Check("differences of ∇L̂ in η", compare)


def _agree(trial: Trial, points: list[Any], stated: sp.Matrix, expected: Any) -> Verdict:
    entries = [e.subs(GENERIC) for e in stated]
    for k, p in enumerate(points, start=1):
        with mpmath.workdps(DIGITS):
            found, wanted = trial.values(p, entries), list(expected(p))
            same = len(found) == len(wanted) and all(
                abs(x - y) < mpmath.mpf(10) ** -AGREEMENT * max(1, abs(y))
                for x, y in zip(found, wanted, strict=True)
            )
        if not same:
            return verdict_at(False, k, AGREEMENT)
    return verdict_at(True, len(points), AGREEMENT)


def _number(step: sp.Expr) -> Any:
    return mpmath.mpmathify(step.subs(GENERIC).evalf(DIGITS))


def _hypotheses(process: Any) -> Iterator[Hypothesis]:
    for hypothesis in process.beside.explain().hypotheses:
        if not hypothesis.claim.startswith(REPLACED):
            yield hypothesis
    yield Hypothesis(
        "gradient descent without noise leads from every T(w, z_m), w ∈ Γ, back to Γ",
        "a condition on the step size and on the jumps",
    )
    yield Hypothesis("the limit stays in a compact part of the regular part of Γ", "up to its exit")
    yield Hypothesis("σ → 0 at the fixed step size α", "the scaling regime")


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
                r"In $t/\sigma^2$ steps the noise jumps about $\nu_m t$ times by $z_m$, and"
                r" between two"
                r" jumps there are about $1/\sigma^2$ steps, in which descent without noise"
                r" returns to"
                r" $\Gamma$. Hence, for smooth $f$, the mean of $f(\Phi_\alpha(w_{k+1})) -"
                r" f(\Phi_\alpha(w_k))$ is $\sigma^2$ times the generator, up to smaller terms,"
                r" and a"
                r" process with this generator is the limit. It remains to compute."
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
