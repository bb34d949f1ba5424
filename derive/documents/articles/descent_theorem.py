"""The theorem on the limit of noisy gradient descent, and why it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import sympy as sp

from ...deductions.hypotheses import size_is_of_no_account
from ...display.notation import Equality, Formula, Notation, Part, Prose, is_too_long
from ...display.special_forms import drift_form
from ...display.statements import Statement
from ...equation.limiting_equation import LimitingEquation
from ...noise.classification import Outcome
from .article import FORMAL, THEOREM, Paragraph, prose

VERDICTS = {
    Outcome.NON_DEGENERATE: r"$P\nabla\mathrm{Reg} \not\equiv 0$ on $\Gamma$",
    Outcome.DIFFUSIVE: r"$P\nabla\mathrm{Reg} \equiv 0$ and $P\Sigma P \not\equiv 0$ on $\Gamma$",
    Outcome.DETERMINISTIC: (
        r"$P\nabla\mathrm{Reg} \equiv 0$, $P\Sigma P \equiv 0$ and"
        r" $P D^2\Phi[\Sigma] \not\equiv 0$ on $\Gamma$"
    ),
    Outcome.TRIVIAL: (
        r"$P\nabla\mathrm{Reg} \equiv 0$, $P\Sigma P \equiv 0$ and"
        r" $P D^2\Phi[\Sigma] \equiv 0$ on $\Gamma$"
    ),
}

CORRECTION = (
    r"\[ D^2%s[\Sigma] = - H^+ D^3L[P\Sigma P] - 2 P D^3L[\mathrm{sym}(%s Q\Sigma P)]"
    r" - P D^3L[X]. \]"
)


class Theorem:
    """Writes the theorem on one limit.

    Parameters
    ----------
    limit : LimitingEquation
        What was derived.
    stated : mapping of str to Statement
        What is printed of it, by label.
    """

    def __init__(self, limit: LimitingEquation, stated: Mapping[str, Statement]) -> None:
        self._limit, self._stated = limit, stated

    @cached_property
    def kind(self) -> str:
        """What it is called: "theorem", or "formal" for an expansion that no theorem covers."""
        equation = self._limit.equation
        jumps = bool(self._limit.problem.levy_pair.jumps)
        if not equation.is_leading and not equation.name.startswith("crossover"):
            return FORMAL
        return FORMAL if jumps and self._limit.step != 0 else THEOREM

    def paragraphs(self) -> Iterator[Paragraph]:
        """What converges, in which sense, until when, and to what."""
        limit = self._limit
        if limit.outcome is Outcome.FROZEN:
            yield prose(
                r"On $\Gamma$ one has $\nabla_w \hat L(w, \eta) = 0$ for every $\eta$. So a step"
                r" leaves every point of $\Gamma$ where it is: if $w_0 \in \Gamma$, then $w_k ="
                r" w_0$ for all $k$, whatever the noise, the step size and the time scale."
            )
            return
        if limit.time_scale is None:
            yield from self._at_rest()
            return
        verdict = VERDICTS[limit.outcome] if limit.equation.is_leading else ""
        if limit.step != 0:
            verdict = verdict.replace(r"\Phi", r"\Phi_\alpha")
        start = rf"Assume the hypotheses above; in particular {verdict}. " if verdict else ""
        start += (
            rf"Let $K \subset \Gamma$ be compact, with ${self._phi}(w_0)$ in its interior, and let "
            r"$W$ solve, up to the time $\tau_K$ at which it leaves the interior of $K$,"
        )
        yield (Prose(start), Prose(rf"\[ {self.equation}, \qquad W(0) = {self._phi}(w_0). \]"))
        yield self._convergence()
        yield from self._coefficients()

    @property
    def _phi(self) -> str:
        return r"\Phi" if self._limit.step == 0 else r"\Phi_\alpha"

    @property
    def equation(self) -> str:
        """The limiting equation, in symbols."""
        (part,) = self._stated["limit"].parts
        text = Notation().formula(part)  # type: ignore[arg-type]
        return text.partition(r",\quad \alpha")[0].replace(r",\; ", ", ")

    @property
    def _index(self) -> str:
        """K as a function of slow time."""
        scale = self._limit.time_scale
        return rf"\lfloor t / ({Notation().tex(1 / scale)}) \rfloor"  # type: ignore[operator]

    @property
    def _regime(self) -> str:
        limit = self._limit
        if limit.step != 0:
            value = "" if limit.step.has(sp.Symbol) else rf" = {Notation().tex(limit.step)}"
            return rf"as $\sigma \to 0$ at the fixed step size $\alpha{value}$"
        if limit.outcome is Outcome.NON_DEGENERATE:
            return r"as $\alpha \to 0$ and $\sigma \to 0$"
        name = limit.equation.name
        if name.startswith("crossover"):
            return r"as $\alpha \to 0$ and $\sigma^2/\alpha$ tends to the limit that is stated"
        if size_is_of_no_account(limit.problem):
            return r"as $\alpha \to 0$, whatever the size of the noise"
        return r"as $\alpha \to 0$ and $\sigma^2/\alpha \to 0$"

    def _convergence(self) -> Paragraph:
        index, limit = self._index, self._limit
        if self.kind == FORMAL:
            return prose(self._formally)
        if limit.outcome is Outcome.DIFFUSIVE or limit.noise_weight != 0:
            return prose(
                rf"Then, {self._regime}, the process $t \mapsto w_{{{index}}}$, stopped when"
                rf" ${self._phi}(w_k)$ leaves the interior of $K$, converges in law to $W$"
                rf" stopped at"
                r" $\tau_K$, in the Skorokhod space $D([\delta, T]; \mathbb{R}^{"
                rf"{limit.problem.dimension}"
                r"})$ for all $0 < \delta < T$, provided that $W$ almost surely leaves $K$ as"
                r" soon as"
                r" it reaches the boundary of $K$."
            )
        return prose(
            rf"Then, {self._regime}, for all $0 < \delta < T < \tau_K$,"
            rf" \[ \sup_{{\delta \le t \le T}} \bigl| w_{{{index}}} - W(t) \bigr| \longrightarrow 0"
            r" \quad\text{in probability.} \]"
        )

    @property
    def _formally(self) -> str:
        name, index = self._limit.equation.name, self._index
        if name == "next order":
            return (
                r"Then $\Phi_\alpha(w_k)$, $k = "
                + index
                + r"$, has the law of $W(t)$ up to errors of the order $(\alpha + \sigma^2)^2$ (for"
                r" laws with third moments $(\alpha + \sigma^2)^{3/2}$), as long as $t \le T \wedge"
                r" \tau_K$, for every $T > 0$."
            )
        if self._limit.step != 0:
            return (
                rf"Then $w_{{{index}}}$ has the law of $W(t)$ as $\sigma \to 0$, up to terms of"
                rf" higher"
                r" order in $\alpha$; the exact limit at a fixed step size is a jump process."
            )
        return (
            rf"Then $w_{{{index}}}$ has the law of $W(t)$ in the limit $\alpha \to 0$, $\sigma \to"
            r" 0$, as long as no faster scale acts."
        )

    def _at_rest(self) -> Iterator[Paragraph]:
        yield prose(
            rf"Assume the hypotheses above; in particular {VERDICTS[Outcome.TRIVIAL]}. Then, as"
            r" $\alpha \to 0$ and $\sigma^2/\alpha \to 0$, for all $0 < \delta < T$, \["
            r" \sup_{\delta \le t \le T} \bigl| w_{\lfloor t/(\alpha^2\sigma^2) \rfloor} -"
            r" \Phi(w_0) \bigr| \longrightarrow 0 \quad\text{in probability:} \] nothing moves"
            r" along $\Gamma$ in $1/(\alpha\sigma^2)$ or $1/(\alpha^2\sigma^2)$ iterations. On a"
            r" slower scale something may move."
        )

    def _coefficients(self) -> Iterator[Paragraph]:
        """B and s, the potential and the chart."""
        limit = self._limit
        noisy = limit.noise_weight != 0
        written = r"$dW = b(W)\,dt" + (r" + s(W)\,dB$" if noisy else "$")
        drift = limit.drift is not None and not is_too_long(limit.drift)
        opening = f"In coordinates this is {written} with" if drift else f"We write it {written}."
        parts: list[Part] = [Prose(opening)]
        if drift:
            parts.append(Equality("b", limit.drift))
        if drift and noisy and limit.diffusion is not None:
            parts.append(Equality("s", limit.diffusion))
        yield tuple(parts)
        pull = limit.equation.at(limit.equation.potential)
        if "U_0" in self.equation and not is_too_long(pull):
            yield (Prose("The penalty acts through"), Equality("U_0", pull))
        special = limit.special if limit.equation.name == "Theorem B" else None
        if special is not None:
            form = drift_form(special).formula
            found: list[Part] = [
                Prose(r"Along $\Gamma$ the drift is"),
                Formula((r"b_\parallel = ", *form.pieces)),
            ]
            if special.potential is not None:
                found += [
                    Prose(r", which is $-P\nabla V$ with"),
                    Equality("V", special.potential),
                ]
            yield tuple(found)
        if "in the chart" in self._stated:
            yield (Prose("In the chart,"), *self._stated["in the chart"].parts)

    def argument(self) -> Iterator[Paragraph]:
        """Why, by reference."""
        limit = self._limit
        if limit.outcome is Outcome.FROZEN:
            yield prose(r"It is read off $\hat L$; the steps are these.")
            return
        if self.kind == FORMAL:
            yield prose(
                r"This is an expansion of the mean and the covariance of a step of"
                rf" ${self._phi}(w_k)$, not a theorem of the works cited. "
                + (rf"In it {self._correction}" if limit.ito_weight != 0 else "")
                + " The computation follows."
            )
        elif limit.equation.momentum != 0:
            yield prose(
                r"The last two iterates are the state of a random map that rests where both are"
                r" equal to one point of $\Gamma$. Let $\Phi_\alpha$ be constant along the"
                r" recursion without noise. Differentiating this twice gives $D\Phi_\alpha = P$,"
                r" but for the factor $1/(1-\beta)$ that is part of the time scale, where $\beta$"
                r" is the factor of $w_k - w_{k-1}$, and, in the same units,"
                + self._correction
                + r" The convergence is that of \cite{Katzenberger1991}. It remains to compute."
            )
        elif limit.step != 0:
            yield prose(
                r"Since $\Phi_\alpha$ is constant along gradient descent without noise,"
                r" $\Phi_\alpha(w - \alpha\nabla L(w)) = \Phi_\alpha(w)$, a step moves"
                r" $\Phi_\alpha(w_k)$ by its noise alone. Differentiating this identity twice on"
                r" $\Gamma$ gives $D\Phi_\alpha = P$ and"
                + self._correction
                + r" The convergence is that of \cite{Katzenberger1991}, with the map"
                r" $\Phi_\alpha$ in place of the flow $\Phi$. It remains to compute."
            )
        elif limit.outcome is Outcome.NON_DEGENERATE:
            yield prose(
                r"This is the non-degenerate case of \cite{ShalovaSchlichtingPeletier2024}: on"
                r" $\Gamma$ one has $D\Phi = P$, and the mean step of $\Phi(w_k)$ is"
                r" $-\alpha\sigma^2 P\nabla\mathrm{Reg}$, up to terms of higher order. It remains"
                r" to compute."
            )
        else:
            yield prose(
                r"This is the degenerate case of \cite{ShalovaSchlichtingPeletier2024}, which rests"
                r" on \cite{Katzenberger1991}; for label noise see \cite{LiWangArora2021}. On"
                r" $\Gamma$ one has $D\Phi = P$ and" + self._correction + " It remains to compute."
            )

    @property
    def _correction(self) -> str:
        """D²Φ[Σ], displayed."""
        dephased = self._limit.equation.relaxation.dephasing != 0
        return CORRECTION % (self._phi, r"(H + \gamma_\beta H^2)^+" if dephased else "H^+")
