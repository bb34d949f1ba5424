"""What a paper says of the limit of an update rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy as sp

from ...deductions.rules import explain_rule
from ...display.notation import Equality, Formula, Notation, Part, Prose, Words, is_too_long
from ...display.statements import equations, law_statement
from ...noise.classification import Outcome
from ...proofs.certificate import attempted_certificate
from .article import THEOREM, Article, Paragraph, constraints_of, interleaved, prose, weights_of
from .descent import OUTCOMES
from .glossary import OF_RULES

COEFFICIENTS = (
    r"\[ b_\alpha = P \bigl( \bar b + \tfrac{1}{2} E\, D^2T_0[X] \bigr) + \tfrac{1}{2} R"
    r" (I - \bar B)^{-1} J\, E\, D^2T_0[\Theta] \]"
)


def rule_article(limit: Any) -> Article:
    """What a paper says of the limit of an update rule."""
    explanation = explain_rule(limit)
    recalled = {"update", "one step", "noise", "theorem", "limit", "outcome", "time scale"}
    steps = tuple(s for s in explanation.steps if s.statement.label not in recalled | {"not on Γ"})
    return Article(
        title="The slow limit of an update rule",
        setting=tuple(_setting(limit)),
        letters=OF_RULES,
        hypotheses=explanation.hypotheses,
        kind=THEOREM,
        theorem=tuple(_theorem(limit)),
        argument=(
            prose(
                r"Let $\Phi$ be as in the notation, as a function of the state. It satisfies"
                r" $E\,\Phi(T_0(z, \xi)) = \Phi(z)$. Differentiating this identity twice on"
                r" $\mathcal{M}$ gives $D\Phi = P$ and the second derivative of $\Phi$ in terms of"
                r" $Y$ and $Z$; a step of $\Phi(z_k)$ then has the mean $\sigma^2 b_\alpha$ and the"
                r" covariance $\sigma^2 \Theta$, up to smaller terms. The convergence is that of"
                r" \cite{Katzenberger1991}. It remains to compute."
            ),
        ),
        steps=steps,
        remarks=tuple(_remarks(limit)),
        row=tuple(_row(limit)),
        certificate=attempted_certificate(limit),
    )


def _setting(limit: Any) -> Iterator[Paragraph]:
    rule = limit.problem
    memory = rule.memory
    state: list[Part] = [
        Prose(
            r"We consider the recursion \[ z_{k+1} = T(z_k, \xi_k; \sigma), \qquad"
            r" k = 0, 1, 2, \ldots, \]"
        ),
        Prose("of the weights"),
        weights_of(rule),
    ]
    if memory:
        names = tuple(interleaved(memory, r",\, "))
        state += [Prose("and the memory"), Formula(("m = (", *names, ")"))]
    total = "(w, m)" if memory else "w"
    state.append(
        Prose(rf", that is, of the state $z = {total}$, with $\xi_k$ independent copies of $\xi$.")
    )
    yield tuple(state)
    built = limit.motion.optimizer
    if built is not None:
        yield (
            Prose("One step of it is made of steps of a simpler map, as"),
            Words(f"{built!r},"),
            Prose("and that map is"),
            _map(rule),
        )
    else:
        yield (Prose("One step, with step size $\\alpha$, is"), _map(rule))
    yield (Prose("The law of the noise is:"), *law_statement(rule.law).parts, Prose("."))
    yield prose(
        r"What is drawn at a size of the order $\sigma$ is $\sigma$ times a part of $\xi$, and what"
        r" keeps its size is the rest of $\xi$. Then \[ T(z, \xi; \sigma) = T_0(z, \xi) + \sigma\,"
        r" T_1(z, \xi) + \sigma^2\, T_2(z, \xi) + o(\sigma^2). \]"
    )
    stated = {s.label: s for s in equations(limit)}
    gamma: list[Part] = [
        Prose(r"The loss is zero on"),
        Prose(r"$\Gamma$, the set on which"),
        *constraints_of(stated),
        Prose(
            rf"a manifold of dimension ${limit.manifold.dimension}$. The recursion without small"
        ),
        Prose(r"noise rests on the set $\mathcal{M}$ of the states with $w \in \Gamma$"),
    ]
    if memory:
        gamma += [Prose("and"), *stated["memory at rest"].parts]
    yield (*gamma, Prose("."))


def _map(rule: Any) -> Equality:
    return Equality("T", sp.Matrix(rule.update))


def _theorem(limit: Any) -> Iterator[Paragraph]:
    if limit.outcome is Outcome.FROZEN:
        yield prose(
            r"Every step leaves every state of $\mathcal{M}$ where it is, $T(z, \xi; \sigma) = z$:"
            r" if $z_0 \in \mathcal{M}$, then $z_k = z_0$ for all $k$."
        )
        return
    yield prose(rf"Assume the hypotheses above, and on $\mathcal{{M}}$ let {COEFFICIENTS}")
    if limit.time_scale is None:
        yield prose(
            r"Then $b_\alpha = 0$ and $\Theta = 0$ on $\mathcal{M}$ to every order in $\alpha$: as"
            r" $\sigma \to 0$, the weights of $z_{\lfloor t/\sigma^2 \rfloor}$ converge to"
            r" $\Phi(z_0)$"
            r" in probability, uniformly in $\delta \le t \le T$ for all $0 < \delta < T$."
        )
        return
    k = limit.equation.power
    unit = Notation().tex(1 / limit.time_scale)
    power = Notation().tex(k)
    noisy = limit.outcome is Outcome.DIFFUSIVE or limit.step != 0
    noise = r" + s(W)\,dB" if noisy else ""
    at_step = limit.step != 0
    scaled = rf"\alpha^{{-{power}}}"
    if at_step:
        where = (
            rf"with $b$ and $s s^\top$ the entries of ${scaled} b_\alpha$ and ${scaled} \Theta$"
            rf" that belong to the weights, at $\alpha = {Notation().tex(limit.step)}$."
        )
    else:
        entries = rf"as $\alpha \to 0$, of those entries of ${scaled} b_\alpha$"
        where = (
            rf"with $b$ and $s s^\top$ the limits, {entries} and ${scaled} \Theta$ that belong to"
            r" the weights."
            if noisy
            else rf"with $b$ the limit, {entries} that belong to the weights; the limit of"
            rf" ${scaled} \Theta$ is zero."
        )
    yield (
        Prose(
            r"Let $K \subset \Gamma$ be compact, with $\Phi(z_0)$ in its interior, and let $W$"
            r" solve,"
        ),
        Prose(r"up to the time $\tau_K$ at which it leaves the interior of $K$,"),
        Prose(rf"\[ dW = b(W)\,dt{noise}, \qquad W(0) = \Phi(z_0), \]"),
        Prose(where),
    )
    process = rf"the weights of $z_{{\lfloor t/({unit}) \rfloor}}$"
    mode = (
        r"converge to $W$ in law, in the Skorokhod space of paths on $[\delta, T]$, stopped when"
        r" they leave a neighbourhood of $K$, for all $0 < \delta < T$, provided that $W$ almost"
        r" surely leaves $K$ as soon as it reaches the boundary of $K$."
        if noisy
        else r"converge to $W$ in probability, uniformly in $\delta \le t \le T$, for all"
        r" $0 < \delta < T < \tau_K$."
    )
    regime = (
        r"as $\sigma \to 0$ at the fixed step size $\alpha$"
        if at_step
        else r"as first $\sigma \to 0$ and then $\alpha \to 0$"
    )
    yield prose(rf"Then, {regime}, {process} {mode}")
    parts: list[Part] = []
    for name, matrix in (("b", limit.drift), ("s", limit.diffusion if noisy else None)):
        if matrix is not None and not is_too_long(matrix):
            parts.append(Equality(name, matrix))
    if parts:
        yield (Prose(r"On $\Gamma$ this is"), *parts)


def _remarks(limit: Any) -> Iterator[Paragraph]:
    if limit.step == 0 and limit.time_scale is not None:
        yield prose(
            r"At a fixed step size $\alpha$ the limit $\sigma \to 0$ is exact with the drift"
            r" $b_\alpha$ and the covariance $\Theta$ per step and $\sigma^2$, without any"
            r" expansion in $\alpha$."
        )


def _row(limit: Any) -> Iterator[Paragraph]:
    yield prose(OUTCOMES[limit.outcome])
    if limit.time_scale is None:
        yield from (prose("---"), prose("$dW = 0$"))
        return
    yield prose(rf"$1/({Notation().tex(1 / limit.time_scale)})$")
    drift = limit.drift
    noise = r" + s\,dB" if limit.outcome is Outcome.DIFFUSIVE else ""
    if drift is None or is_too_long(drift):
        yield prose(rf"$dW = b\,dt{noise}$")
    else:
        yield (Prose(rf"$dW = b\,dt{noise}$,"), Equality("b", drift))
