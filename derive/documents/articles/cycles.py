"""What a paper says of the limit of an optimizer that cycles across Γ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...deductions.cycles import explain_cycles
from ...display.cycle_statements import cycle_equations
from ...display.notation import Equality, Formula, Notation, Part, Prose, is_too_long
from ...noise.classification import Outcome
from ...optimizers.sharpness import NormalizedDescent, NormalizedSharpnessAware, RootDescent
from ...symbols import alpha
from .article import THEOREM, Article, Paragraph, constraints_of, prose, weights_of
from .glossary import OF_CYCLES

STEPS = {
    NormalizedSharpnessAware: (
        r"w_{k+1} = w_k - \alpha\nabla L_k\Bigl(w_k + \sigma"
        r" \frac{\nabla L_k(w_k)}{|\nabla L_k(w_k)|}\Bigr)"
    ),
    NormalizedDescent: r"w_{k+1} = w_k - \alpha\,\frac{\nabla L(w_k)}{|\nabla L(w_k)|}",
    RootDescent: r"w_{k+1} = w_k - \alpha\nabla\sqrt{L(w_k)}",
}
"""One step of each optimizer."""


def cycle_article(limit: Any) -> Article:
    """What a paper says of the limit of an optimizer that cycles."""
    explanation = explain_cycles(limit)
    left_out = {"loss", "optimizer", "noise", "averaging", "limit", "not on Γ"}
    return Article(
        title="The slow limit of an optimizer that cycles",
        setting=tuple(_setting(limit)),
        letters=OF_CYCLES,
        hypotheses=explanation.hypotheses,
        kind=THEOREM,
        theorem=tuple(_theorem(limit)),
        argument=(_argument(limit),),
        steps=tuple(s for s in explanation.steps if s.statement.label not in left_out),
        remarks=(),
        row=tuple(_row(limit)),
    )


def _argument(limit: Any) -> Paragraph:
    s = r"\sigma" if isinstance(limit.cycles.optimizer, NormalizedSharpnessAware) else r"\alpha"
    ends = "ends in a cycle of two points along $v_1$"
    if limit.cycles.batch_size is not None:
        ends = "jumps at random between two points along the $v_1$ of each batch"
    return prose(
        rf"Near a point $\zeta$ of $\Gamma$ write $w = \zeta + {s} y$ with $y$ across $\Gamma$."
        rf" At frozen $\zeta$ the map of $y$ {ends}; meanwhile $\zeta$ moves along $\Gamma$ by a"
        rf" multiple of ${s}^2 P D^3L[v_1 v_1^\top] = {s}^2 P\nabla\lambda_1$. Summing gives the"
        r" function of $\lambda_1$ that is stated."
    )


def _setting(limit: Any) -> Iterator[Paragraph]:
    problem, optimizer = limit.problem, limit.cycles.optimizer
    batch = limit.cycles.batch_size
    of_batch = "the loss of the batch of step $k$" if batch is not None else "$L_k = L$"
    tail = f", where $L_k$ is {of_batch}," if batch is not None else ""
    step = STEPS[type(optimizer)].replace("L_k" if batch is None else "\0", "L")
    yield (
        Prose(rf"We consider \[ {step}, \qquad k = 0, 1, 2, \ldots, \]{tail} of the weights"),
        weights_of(problem),
        Prose(
            r"with step size $\alpha$" + (r" and distance $\sigma$." if "sigma" in step else ".")
        ),
    )
    yield (Prose("The loss is"), Equality("L(w)", problem.loss))
    if batch is not None:
        yield prose(rf"A batch holds ${batch}$ of the samples, drawn anew in each step.")
    stated = {s.label: s for s in cycle_equations(limit)}
    yield (
        Prose(r"Let $\Gamma$ be the piece of the set of minimisers of $L$ on which"),
        *constraints_of(stated),
        Prose(rf"a manifold of dimension ${limit.manifold.dimension}$."),
    )


def _theorem(limit: Any) -> Iterator[Paragraph]:
    if limit.time_scale is None:
        still = r"The largest eigenvalue $\lambda_1$ is constant on $\Gamma$, and nothing"
        if limit.cycles.is_simulated(limit.step):
            still = r"No $P D^3\ell_i[x x^\top]$ with $x$ across $\Gamma$ differs from 0: nothing"
        yield prose(rf"Assume the hypotheses above. {still} moves along $\Gamma$ at this order.")
        return
    unit = Notation().tex(1 / limit.time_scale)
    small = r"\sigma \to 0" if "sigma" in unit else r"\alpha \to 0"
    regime = rf"as ${small}$"
    if "sigma" in unit:
        regime += r" at the fixed step size $\alpha$" if limit.step != 0 else r" and $\alpha \to 0$"
    slope = r"-P\nabla\mathrm{Reg}(W)"
    if limit.is_simulated:
        slope = r"-\tfrac12 P\,E_\pi\bigl[D^3L_k(W)[x x^\top]\bigr]"
    parts: list[Part] = [
        Prose(
            r"Assume the hypotheses above. Let $K \subset \Gamma$ be compact, and let $W$ solve, up"
            rf" to the time $\tau_K$ at which it leaves the interior of $K$, \[ \frac{{dW}}{{dt}} ="
            rf" {slope}, \] from the point $W(0)$ of $\Gamma$ that the recursion reaches in its"
            r" fast phase. Then,"
        ),
        Prose(
            rf"{regime}, for all $0 < \delta < T < \tau_K$, \[ \sup_{{\delta \le t \le T}} \bigl|"
            rf" w_{{\lfloor t/({unit}) \rfloor}} - W(t) \bigr| \longrightarrow 0"
            r" \quad\text{in probability.} \]"
        ),
    ]
    if limit.is_simulated:
        parts.append(
            Prose(
                r"Here $x = y + H_k y/|H_k y|$, with $H_k = \nabla^2L_k(W)$, and $\pi$ is the"
                r" stationary law of the chain $y' = y - \alpha H_k x$ at frozen $W$, which is"
                r" simulated; the drift need not have a potential."
            )
        )
    else:
        function = limit.cycles.optimizer.regularizer.subs(alpha, limit.step)
        mean = ", the mean over the samples," if limit.cycles.batch_size is not None else ""
        parts += [
            Prose(rf"Here{mean}"),
            Equality(r"\mathrm{Reg}", function),
            Prose(r"with $\lambda_1$ as in the notation."),
        ]
    yield tuple(parts)
    if limit.drift is not None and not is_too_long(limit.drift):
        yield (Prose("In coordinates this is $dW = b(W)\\,dt$ with"), Equality("b", limit.drift))


def _row(limit: Any) -> Iterator[Paragraph]:
    if limit.outcome is Outcome.TRIVIAL or limit.time_scale is None:
        yield from (prose("trivial"), prose("---"), prose("$dW = 0$"))
        return
    yield prose("constrained flow")
    yield prose(rf"$1/({Notation().tex(1 / limit.time_scale)})$")
    if limit.is_simulated:
        yield (prose(r"$dW = b\,dt$ by simulation"))
        return
    function = limit.cycles.optimizer.regularizer.subs(alpha, limit.step)
    yield (
        Prose(r"$dW = -P\nabla\mathrm{Reg}\,dt$,"),
        Formula((r"\mathrm{Reg} = ", function)),
    )
