"""The limit of an optimizer that cycles across Γ: its derivation, and its article."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import sympy as sp

from ..display.cycle_statements import cycle_equations
from ..display.notation import Equality, Formula, Notation, Part, Prose, is_too_long
from ..display.statements import Statement, question
from ..model.sharpness import NormalizedDescent, NormalizedSharpnessAware, RootDescent
from ..noise.classification import Outcome
from ..rules.cycles import without_noise
from ..symbolic.zero_tests import Verdict
from ..symbols import GENERIC, alpha
from ..theory.cycles import sharpness
from .article import THEOREM, Article, Paragraph, interleaved, prose
from .checks import AGREEMENT, POINTS, verdict_at
from .deductions import Check, Deduction, Explanation, Hypothesis, Standing
from .glossary import OF_CYCLES
from .trial import DIGITS, Trial

STEPS = {
    NormalizedSharpnessAware: (
        r"w_{k+1} = w_k - \alpha\nabla L_k\Bigl(w_k + \sigma"
        r" \frac{\nabla L_k(w_k)}{|\nabla L_k(w_k)|}\Bigr)"
    ),
    NormalizedDescent: r"w_{k+1} = w_k - \alpha\,\frac{\nabla L(w_k)}{|\nabla L(w_k)|}",
    RootDescent: r"w_{k+1} = w_k - \alpha\nabla\sqrt{L(w_k)}",
}
"""One step of each optimizer."""

AVERAGING = (
    "w = ζ + s y: y' = τ(y) across Γ, and ζ moves by s² E_π[P κ] per step; a 2-cycle along the "
    "eigenvector v₁ of λ₁ gives P D³L[v₁v₁ᵀ] = P∇λ₁"
)


def explain_cycles(limit: Any) -> Explanation:
    """Derivation in steps, with the hypotheses of the averaging."""
    steps = {s.statement.label: s for s in _steps(limit)}

    def pick(*labels: str) -> tuple[Deduction, ...]:
        return tuple(steps[label] for label in labels if label in steps)

    theorem = Statement(
        "averaging",
        AVERAGING,
        (
            Formula((r"w = \zeta + s\,y,\; y' = \tau(y),\; \zeta' = \zeta + s^2 E_\pi[P\kappa]",)),
            Formula((r"P D^3L[v_1v_1^\top] = P\nabla\lambda_1",)),
        ),
    )
    sections = (
        ("The update rule", pick("loss", "optimizer", "noise")),
        ("The fast cycle", (Deduction(theorem), *_questions(limit))),
        (
            "The limit",
            pick("Γ", "not on Γ", "minimum", "projector on Γ", "limit", "Reg", "Reg on Γ", "drift"),
        ),
    )
    return Explanation(sections, tuple(_hypotheses(limit)))


def _steps(limit: Any) -> Iterator[Deduction]:
    checks = _Checks(limit)
    reg = None if limit.regularizer is None else limit.manifold.shortest(limit.regularizer)
    known: dict[str, tuple[Any, str, Callable[[], Check]]] = {
        "projector on Γ": (limit.projector, "P = I − J⁺J", checks.projector),
        "Reg on Γ": (reg, "λ₁ = ΔL where H has rank one", checks.regularizer),
        "drift": (limit.drift, "b = −P∇Reg", checks.drift),
    }
    for statement in cycle_equations(limit):
        result, rule, check = known.get(statement.label, (None, "", None))
        is_checked = check is not None and result is not None and limit.cycles.batch_size is None
        yield Deduction(statement, rule, result, check() if check and is_checked else None)


def _questions(limit: Any) -> Iterator[Deduction]:
    for number, step in enumerate(limit.evidence.steps, start=1):
        text = f"{step.question}? {step.verdict}"
        yield Deduction(
            Statement(f"verdict {number}", text, question(step)), "", step.verdict.value
        )


def _hypotheses(limit: Any) -> Iterator[Hypothesis]:
    for step in limit.evidence.steps:
        answer = "not identically" if step.verdict.value is False else "identically"
        yield Hypothesis(
            f"{step.question} holds {answer}", step.verdict.how, Standing.of(step.verdict)
        )
    m = limit.manifold
    count = len(list(itertools.islice(m.local(), POINTS)))
    yield Hypothesis(
        f"Γ is a manifold of dimension {m.dimension} and H has rank {m.codimension} on it",
        f"the rank holds at {count} points of Γ, to 50 digits",
        Standing.SAMPLED,
    )
    yield Hypothesis("λ₁ does not meet λ₂ on the way", "runs of the limit end where it does")
    yield Hypothesis("the start lies in a neighbourhood that the rule attracts", "not checked")
    if limit.step != 0:
        yield Hypothesis("αλ₁ < 2 on the way", "a condition on the step size")


class _Checks:
    """Checks of one limit, by differences of L."""

    def __init__(self, limit: Any) -> None:
        self._limit = limit
        problem = without_noise(limit.problem)
        self._trial = Trial(problem, limit.manifold.codimension)
        self._points = [g.point for g in itertools.islice(limit.manifold.local(), POINTS)]

    def projector(self) -> Check:
        """P."""
        way = "the projector on the null space of ∇²L"
        return self._made(way, lambda p: list(self._trial.projector(p)))

    def regularizer(self) -> Check:
        """Reg on Γ."""
        return self._made("the function of λ₁, from ∇²L by differences", self._reg)

    def drift(self) -> Check:
        """B."""

        def expected(p: Any) -> list[Any]:
            values, vectors = self._trial.spectrum(p)
            first = vectors[:, len(values) - 1]
            bend = self._trial.third(p, first * first.T)
            slope = self._of(self._function.diff(sharpness), values[-1])
            return list(-slope * (self._trial.projector(p) * bend))

        return self._made("D³L[v₁v₁ᵀ] by differences", expected)

    @property
    def _function(self) -> sp.Expr:
        limit = self._limit
        return limit.cycles.optimizer.regularizer.subs(alpha, limit.step)

    def _reg(self, p: Any) -> list[Any]:
        values, _ = self._trial.spectrum(p)
        return [self._of(self._function, values[-1])]

    @staticmethod
    def _of(function: sp.Expr, value: Any) -> Any:
        number = function.subs(GENERIC).subs(sharpness, sp.Float(value, DIGITS))
        return mpmath.mpmathify(number.evalf(DIGITS))

    def _made(self, way: str, expected: Callable[[Any], list[Any]]) -> Check:
        def compare(stated: Any) -> Verdict:
            entries = list(stated) if isinstance(stated, sp.MatrixBase) else [stated]
            written = [e.subs(GENERIC) for e in entries]
            for k, p in enumerate(self._points, start=1):
                with mpmath.workdps(DIGITS):
                    found, wanted = self._trial.values(p, written), expected(p)
                    gap = max(abs(x - y) for x, y in zip(found, wanted, strict=True))
                    if gap > mpmath.mpf(10) ** -AGREEMENT * max(1, *map(abs, wanted)):
                        return verdict_at(False, k, AGREEMENT)
            return verdict_at(True, len(self._points), AGREEMENT)

        return Check(way, compare)


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
        argument=(
            prose(
                r"Near a point $\zeta$ of $\Gamma$ write $w = \zeta + s y$ with $y$ across"
                r" $\Gamma$ and"
                r" the small scale $s$. At frozen $\zeta$ the map of $y$ ends in a cycle of two"
                r" points"
                r" along $v_1$, or in the mean over it where the batches are random; over the cycle"
                r" $\zeta$ moves along $\Gamma$ by a multiple of $s^2 P D^3L[v_1 v_1^\top]"
                r" = s^2 P\nabla\lambda_1$. Summing gives the function of $\lambda_1$ that is"
                r" stated."
            ),
        ),
        steps=tuple(s for s in explanation.steps if s.statement.label not in left_out),
        remarks=(),
        row=tuple(_row(limit)),
    )


def _setting(limit: Any) -> Iterator[Paragraph]:
    problem, optimizer = limit.problem, limit.cycles.optimizer
    weights = tuple(interleaved(problem.weights, r",\, "))
    batch = limit.cycles.batch_size
    of_batch = "the loss of the batch of step $k$" if batch is not None else "$L_k = L$"
    tail = f", where $L_k$ is {of_batch}," if batch is not None else ""
    step = STEPS[type(optimizer)].replace("L_k" if batch is None else "\0", "L")
    yield (
        Prose(rf"We consider \[ {step}, \qquad k = 0, 1, 2, \ldots, \]{tail} of the weights"),
        Formula(("w = (", *weights, rf") \in \mathbb{{R}}^{{{problem.dimension}}}")),
        Prose(
            r"with step size $\alpha$" + (r" and distance $\sigma$." if "sigma" in step else ".")
        ),
    )
    yield (Prose("The loss is"), Equality("L(w)", problem.loss))
    if batch is not None:
        yield prose(rf"A batch holds ${batch}$ of the samples, drawn anew in each step.")
    stated = {s.label: s for s in cycle_equations(limit)}
    constraints = [p for p in stated["Γ"].parts if isinstance(p, Equality)]
    yield (
        Prose(r"Let $\Gamma$ be the piece of the set of minimisers of $L$ on which"),
        *constraints,
        Prose(rf"a manifold of dimension ${limit.manifold.dimension}$."),
    )


def _theorem(limit: Any) -> Iterator[Paragraph]:
    if limit.time_scale is None:
        yield prose(
            r"Assume the hypotheses above. The largest eigenvalue $\lambda_1$ is constant on"
            r" $\Gamma$,"
            r" and nothing moves along $\Gamma$ at this order."
        )
        return
    unit = Notation().tex(1 / limit.time_scale)
    small = r"\sigma \to 0" if "sigma" in unit else r"\alpha \to 0"
    regime = rf"as ${small}$"
    if "sigma" in unit:
        regime += r" at the fixed step size $\alpha$" if limit.step != 0 else r" and $\alpha \to 0$"
    parts: list[Part] = [
        Prose(
            r"Assume the hypotheses above. Let $K \subset \Gamma$ be compact, and let $W$ solve,"
            r" up to"
            r" the time $\tau_K$ at which it leaves the interior of $K$,"
            r" \[ \frac{dW}{dt} = -P\nabla\mathrm{Reg}(W), \] from the point $W(0)$ of $\Gamma$"
            r" that"
            r" the recursion reaches in its fast phase. Then,"
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
                r"At this step size $\mathrm{Reg}$ has no closed form: its gradient is a mean"
                r" over the"
                r" stationary law of the fast chain, which is simulated."
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
    function = limit.cycles.optimizer.regularizer.subs(alpha, limit.step)
    yield (
        Prose(r"$dW = -P\nabla\mathrm{Reg}\,dt$,"),
        Formula((r"\mathrm{Reg} = ", function)),
    )
