"""What a paper says of the limit of noisy gradient descent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

from ...deductions.deductions import Deduction
from ...deductions.derivation import explain
from ...display.notation import Formula, Notation, Part, Prose, Words, is_too_long
from ...display.special_forms import drift_form
from ...display.statements import equations
from ...equation.limiting_equation import LimitingEquation
from ...errors import NotCoveredError
from ...noise.classification import Outcome
from ...noise.moments import persistent_noise
from ...proofs.certificate import attempted_certificate
from .article import Article, Paragraph, prose
from .descent_setting import Setting
from .descent_theorem import Theorem

OUTCOMES = {
    Outcome.NON_DEGENERATE: "non-degenerate",
    Outcome.DIFFUSIVE: "degenerate, diffusive",
    Outcome.DETERMINISTIC: "degenerate, deterministic",
    Outcome.TRIVIAL: "trivial",
    Outcome.FROZEN: "frozen",
}


@singledispatch
def article(limit: Any) -> Article:
    """What a paper says of a limit; by default of one of noisy gradient descent."""
    return _Descent(limit).article


class _Descent:
    """Writes the parts of the article on one limit."""

    def __init__(self, limit: LimitingEquation) -> None:
        self._limit = limit
        self._stated = {s.label: s for s in equations(limit)}
        self._setting = Setting(limit, self._stated)
        self._theorem = Theorem(limit, self._stated)

    @property
    def article(self) -> Article:
        """The whole of it."""
        explanation = explain(self._limit)
        given = {label for _, steps in explanation.sections[:1] for label in _labels(steps)}
        left_out = given | {"outcome", "limit", "time scale", "Theorem A", "Theorem B"}
        left_out |= {"correction", "definition", "jump measure", "not on Γ", "in the chart"}
        steps = tuple(s for s in explanation.steps if s.statement.label not in left_out)
        return Article(
            title="The slow limit of a noisy gradient descent",
            setting=tuple(self._setting.paragraphs()),
            letters=tuple(self._setting.letters()),
            hypotheses=explanation.hypotheses,
            kind=self._theorem.kind,
            theorem=tuple(self._theorem.paragraphs()),
            argument=tuple(self._theorem.argument()),
            steps=steps,
            remarks=tuple(self._remarks()),
            row=tuple(self._row()),
            certificate=attempted_certificate(self._limit),
        )

    # Remarks --------------------------------------------------------------------------------

    def _remarks(self) -> Iterator[Paragraph]:
        limit = self._limit
        if "holds" in self._stated:
            yield (Prose("The limit holds"), Words(self._stated["holds"].text + "."))
        if limit.step == 0 and limit.equation.is_leading and limit.time_scale is not None:
            yield self._finite_step()
        if limit.equation.is_leading:
            yield from self._slower()

    def _finite_step(self) -> Paragraph:
        if persistent_noise(self._limit.problem):
            return prose(
                r"At a fixed step size $\alpha$ the noise that keeps its size makes $H$ fluctuate"
                r" at order one; the limit $\sigma \to 0$ is then that of the recursion as a random"
                r" map."
            )
        if self._limit.problem.levy_pair.jumps:
            return prose(
                r"At a fixed step size $\alpha$ the limit $\sigma \to 0$ is a jump process on"
                r" $\Gamma$, as the noise has rare jumps; the theorem is its limit $\alpha \to 0$."
            )
        if self._limit.outcome is Outcome.NON_DEGENERATE:
            return prose(
                r"At a fixed step size $\alpha$, and in time $t = k\alpha\sigma^2$, the limit"
                r" $\sigma \to 0$ is $dW = [-P\nabla\mathrm{Reg} + \tfrac{\alpha}{2}"
                r" D^2\Phi_\alpha[\Sigma]]\,dt + \sqrt{\alpha}\, P S\,dB$, where $\Phi_\alpha$ has"
                r" the second derivative of $\Phi$ with $H X + X H - \alpha H X H = Q\Sigma Q$ in"
                r" place of $H X + X H = Q\Sigma Q$."
            )
        return prose(
            r"At a fixed step size $\alpha$ with $\alpha\lambda < 2$ the same holds as $\sigma \to"
            r" 0$, with $\Phi_\alpha$ in place of $\Phi$: its second derivative has $H X + X H -"
            r" \alpha H X H = Q\Sigma Q$ in place of $H X + X H = Q\Sigma Q$. The relative"
            r" difference is of the order $\alpha\lambda/2$."
        )

    def _slower(self) -> Iterator[Paragraph]:
        """What acts after the limit itself."""
        try:
            scales = self._limit.scales()
        except NotCoveredError as error:
            reason = str(error).partition(": ")[2] or str(error)
            yield (Prose("Slower scales are not known:"), Words(f"{reason}."))
            return
        shown = ("V₂", "special form", "potential", "drift", "diffusion")
        for scale in scales:
            stated = {s.label: s for s in equations(scale)}
            name = scale.equation.name
            if scale.time_scale is None:
                yield (
                    Prose(rf"On the slower scale called \emph{{{name}}} nothing moves:"),
                    _why(scale),
                )
                continue
            unit = Notation().tex(1 / scale.time_scale)
            (equation,) = stated["limit"].parts
            parts: list[Part] = [
                Prose(rf"On the slower scale called \emph{{{name}}}, in time $t = k\,{unit}$,"),
                equation,
            ]
            for label in shown:
                if label in stated:
                    parts += stated[label].parts
            yield tuple(parts)

    def _row(self) -> Iterator[Paragraph]:
        """Class, time scale, equation."""
        limit = self._limit
        yield prose(OUTCOMES[limit.outcome])
        if limit.time_scale is None:
            yield prose("---")
            yield prose("$dW = 0$")
            return
        yield prose(rf"$1/({Notation().tex(1 / limit.time_scale)})$")
        special = limit.special if limit.equation.name == "Theorem B" else None
        by_reg = limit.outcome is Outcome.NON_DEGENERATE and limit.step == 0
        reg = limit.regularizer_on_manifold if by_reg else None
        if reg is not None and limit.problem.objective.is_pointwise and not is_too_long(reg):
            yield (Prose(rf"${self._theorem.equation}$,"), Formula((r"\mathrm{Reg} = ", reg)))
        elif special is not None and special.potential is not None:
            noise = " + P S" + r"\,dB" if limit.noise_weight != 0 else ""
            form = drift_form(special).formula
            yield (
                Formula((r"b_\parallel = ", *form.pieces)),
                Formula((r"V = ", special.potential)),
                *((Prose(rf"and noise ${noise.strip(' +')}$"),) if noise else ()),
            )
        else:
            yield prose(rf"${self._theorem.equation}$")


def _labels(steps: tuple[Deduction, ...]) -> Iterator[str]:
    yield from (step.statement.label for step in steps)


def _why(scale: LimitingEquation) -> Words:
    answers = {True: "", False: "not so: ", None: "undecided: "}
    reasons = (
        f"{answers[step.verdict.value]}{step.question} ({step.verdict.basis.value})"
        for step in scale.evidence.steps
    )
    return Words("; ".join(reasons) + ".")
