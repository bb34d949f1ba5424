"""What a paper says of the limit of noisy gradient descent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, singledispatch
from typing import Any

import mpmath
import sympy as sp

from ..display.notation import Equality, Formula, Notation, Part, Prose, Words, is_too_long
from ..display.special_forms import drift_form
from ..display.statements import equations
from ..equation.limiting_equation import LimitingEquation
from ..errors import NotCoveredError
from ..laws.independent import groups_of
from ..laws.scaled import keeps_its_size
from ..noise.classification import Outcome
from ..noise.moments import persistent_noise
from ..proofs.certificate import attempted_certificate
from .article import FORMAL, THEOREM, Article, Paragraph, interleaved, prose
from .deductions import Deduction
from .derivation import explain
from .glossary import COMMON, Letter
from .hypotheses import size_is_of_no_account

SHOWN_WEIGHTS = 6
"""Weights up to which a point is given by its coordinates."""

NEGLIGIBLE = 1e-30
"""Size below which the coordinate of a point is zero but for rounding."""

OUTCOMES = {
    Outcome.NON_DEGENERATE: "non-degenerate",
    Outcome.DIFFUSIVE: "degenerate, diffusive",
    Outcome.DETERMINISTIC: "degenerate, deterministic",
    Outcome.TRIVIAL: "trivial",
    Outcome.FROZEN: "frozen",
}

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

OF_GRADIENT_NOISE = {
    ("Reg",): r"$\mathrm{Reg}$ is zero, or the part of the penalty that is of size $\sigma^2$",
    ("G",): r"$G$ is the matrix by which the noise enters",
    (
        "Reg",
        "2",
    ): r"$\mathrm{Reg}_2$ is zero, or the part of the penalty that is of size $\sigma^4$",
    ("Sigma",): (
        r"$\Sigma$ is the covariance of the gradient noise per $\sigma^2$, where it is given by"
        r" $G$:"
        r" $\Sigma = G C G^\top + \int G z z^\top G^\top\,\nu(dz)$"
    ),
}
"""Definitions for models that are stated by their gradient noise."""

END_WITH_MOMENTUM = (
    r"$\Phi_\alpha(x)$ is the limit as $k \to \infty$ of the recursion without noise that starts at"
    r" rest at $x$"
)

CORRECTION = (
    r"\[ D^2%s[\Sigma] = - H^+ D^3L[P\Sigma P] - 2 P D^3L[\mathrm{sym}(%s Q\Sigma P)]"
    r" - P D^3L[X]. \]"
)


@singledispatch
def article(limit: Any) -> Article:
    """What a paper says of a limit; by default of one of noisy gradient descent."""
    return _Descent(limit).article


class _Descent:
    """Writes the parts of the article on one limit."""

    def __init__(self, limit: LimitingEquation) -> None:
        self._limit = limit
        self._stated = {s.label: s for s in equations(limit)}

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
            setting=tuple(self._setting()),
            letters=(*self._letters(), self._relaxation),
            hypotheses=explanation.hypotheses,
            kind=self._kind,
            theorem=tuple(self._theorem()),
            argument=tuple(self._argument()),
            steps=steps,
            remarks=tuple(self._remarks()),
            row=tuple(self._row()),
            certificate=attempted_certificate(self._limit),
        )

    # Setting --------------------------------------------------------------------------------

    def _setting(self) -> Iterator[Paragraph]:
        problem = self._limit.problem
        yield (Prose(self._recursion), *self._space(), Prose(self._sizes))
        yield self._losses()
        yield tuple(self._noise())
        lasting = persistent_noise(problem)
        if lasting:
            yield (
                Prose("Of this noise"),
                _vector("", lasting),
                Prose(
                    r"keeps its size as $\sigma \to 0$; what follows is stated for the rest of"
                    r" it, and"
                    r" $\mathrm{Reg}$ and $\Sigma$ are means over this part."
                ),
            )
        yield tuple(self._gamma())
        if "not on Γ" in self._stated:
            yield (
                Prose("Other minimisers of $L$, of which nothing is said here:"),
                *self._stated["not on Γ"].parts[:-1],
            )
        if problem.chart is not None:
            theta = tuple(interleaved(problem.chart.coordinates, r",\, "))
            yield (
                Prose(
                    r"Near the points of interest $\Gamma$ is the image of the chart $\gamma$ of"
                    r" the"
                ),
                Prose("coordinates"),
                Formula(theta),
                Prose("with"),
                Equality(r"\gamma", sp.Matrix(problem.chart.embedding)),
            )

    @property
    def _recursion(self) -> str:
        problem, beta = self._limit.problem, self._limit.equation.momentum
        gradient = r"\nabla_w \hat L(w_k, \eta_k)"
        if problem.noisy_loss is None:
            noise = r"G(w_k)\,\eta_k" if problem.noise else r"\xi_k"
            gradient = rf"\bigl(\nabla L(w_k) + {noise}\bigr)"
        if problem.penalty != 0:
            gradient = (
                rf"\bigl({gradient} + \nabla U(w_k)\bigr)" if problem.noisy_loss else gradient
            )
        ball = ""
        if beta != 0:
            ball = rf" + {_coefficient(beta)} (w_k - w_{{k-1}})"
        return (
            r"We consider noisy gradient descent \[ w_{k+1} = w_k - \alpha\,"
            rf"{gradient}{ball}, \qquad k = 0, 1, 2, \ldots, \]"
        )

    def _space(self) -> tuple[Part, ...]:
        problem = self._limit.problem
        n = problem.dimension
        if problem.traces is not None:
            matrices = tuple(interleaved(problem.weights, r",\, "))
            return (
                Prose("of the matrices"),
                Formula(matrices),
                Prose(rf"whose entries together are $w \in \mathbb{{R}}^{{{n}}}$,"),
            )
        return (
            Prose("of the weights"),
            _vector("w", problem.weights, rf" \in \mathbb{{R}}^{{{n}}}"),
        )

    @property
    def _sizes(self) -> str:
        problem = self._limit.problem
        letter = r"\eta_k" if problem.noise else r"\xi_k"
        size = r" and of size $\sigma$"
        if keeps_its_size(problem.law):
            size = r", whose size is fixed: $\sigma = 1$ below"
        return (
            r"with step size $\alpha > 0$ and independent, identically distributed noise"
            rf" ${letter}$, of mean zero{size}."
        )

    def _losses(self) -> Paragraph:
        problem = self._limit.problem
        parts: list[Part] = [Prose("The loss is"), Equality("L(w)", problem.loss)]
        if problem.noisy_loss is not None:
            parts += [
                Prose(r"and the noisy loss, with $\hat L(w, 0) = L(w)$,"),
                Equality(r"\hat L(w, \eta)", problem.noisy_loss),
            ]
            if problem.traces is None:
                parts += [Prose("with"), _vector(r"\eta", problem.noise, ".")]
        elif problem.noise:
            parts += [Prose("and the noise enters by"), Equality("G", problem.noise_matrix)]
        else:
            parts += [
                Prose(r"and $\xi_k$ has the covariance $\sigma^2\Sigma(w_k)$ with"),
                Equality(r"\Sigma", problem.noise_matrix),
            ]
        if problem.penalty != 0:
            parts += [Prose("The penalty is"), Equality("U", problem.penalty)]
        samples = problem.samples
        if samples is not None:
            own = [e for e in problem.noise if e in samples.independent]
            parts.append(
                Prose(rf"There are $n = {len(samples)}$ samples, and the mean is over them;")
            )
            symbols = [x for s in samples.symbols for x in (s, r"^{(i)},\, ")]
            symbols[-1] = r"^{(i)}"
            parts += [Formula(tuple(symbols)), Prose("are the data of the sample $i$.")]
            if own:
                noises = tuple(interleaved(own, r",\, "))
                parts += [Prose("Each has an independent draw of"), Formula((*noises, "."))]
        return tuple(parts)

    def _noise(self) -> Iterator[Part]:
        """The law, and its Lévy pair where it is short."""
        problem = self._limit.problem
        yield Prose("The noise is")
        for number, (symbols, law) in enumerate(groups_of(problem.law, problem.noise)):
            yield Prose((", and " if number else "") + "for")
            yield _vector("", symbols)
            yield Words(law.description)
            known = ("C", "z^\\top", r"\nu(\{z\})")
            yield from (Equality(tex, x) for _, tex, x in law.quantities if tex not in known)
        if problem.samples is not None or len(problem.noise) > SHOWN_WEIGHTS or not problem.noise:
            yield Prose(".")
            return
        pair = problem.levy_pair
        yield Prose(". Hence")
        if not any(pair.covariance) or pair.covariance.is_Identity:
            yield Prose("$C = I$" if pair.covariance.is_Identity else "$C = 0$")
        else:
            yield Equality("C", sp.Matrix(pair.covariance))
        if not pair.jumps:
            yield Prose(r"and $\nu = 0$ below.")
            return
        yield Prose(r"and $\nu$ has the point masses")
        for jump in pair.jumps:
            entries = tuple(interleaved(jump.displacement, r",\, "))
            yield Formula((r"\nu(\{(", *entries, r")\}) = ", jump.rate))
        yield Prose(".")

    def _gamma(self) -> Iterator[Part]:
        m, problem = self._limit.manifold, self._limit.problem
        constraints = [p for p in self._stated["Γ"].parts if isinstance(p, Equality)]
        yield Prose(r"Let $\Gamma$ be the piece of the set of minimisers of $L$ on which")
        yield from constraints
        if problem.samples is not None:
            yield Prose("for each sample,")
        yield Prose(
            rf"a manifold of dimension ${m.dimension}$ in $\mathbb{{R}}^{{{problem.dimension}}}$"
        )
        if problem.samples is None and problem.dimension <= SHOWN_WEIGHTS:
            values = ",\\, ".join(_decimal(x) for x in m.base[: problem.dimension])
            yield Prose(rf"that contains a point near $({values})$.")
        else:
            yield Prose(".")

    def _letters(self) -> Iterator[Letter]:
        """The letters of the theory, some in terms of the gradient noise where that is given."""
        given = self._limit.problem.noisy_loss is None
        for letter in COMMON:
            other = OF_GRADIENT_NOISE.get(letter.tokens) if given else None
            if letter.tokens == ("Phi", "alpha") and self._limit.equation.momentum != 0:
                other = END_WITH_MOMENTUM
            yield letter if other is None else replace(letter, definition=other)

    @property
    def _relaxation(self) -> Letter:
        """The operator ℒ."""
        phi, step = self._limit.equation.relaxation, self._limit.step
        text = r"$\mathcal{L}(A) = HA + AH"
        where = ""
        if step != 0 and phi.dephasing == 0:
            text += r" - \alpha H A H"
        elif step != 0:
            text += r" - \tau H A H + \gamma_\beta [H, [H, A]]"
            where = (
                r", where $[\cdot\,, \cdot]$ is the commutator,"
                rf" $\tau = {_tex(phi.damping)}$ and $\gamma_\beta = {_tex(phi.dephasing)}$"
            )
        return Letter(
            ("mathcal{L}", "tau", "gamma", "beta"),
            r"\\mathcal\{L\}",
            rf"{text}${where}, for symmetric matrices $A = QAQ$",
        )

    # Theorem --------------------------------------------------------------------------------

    @cached_property
    def _kind(self) -> str:
        equation = self._limit.equation
        jumps = bool(self._limit.problem.levy_pair.jumps)
        if not equation.is_leading and not equation.name.startswith("crossover"):
            return FORMAL
        return FORMAL if jumps and self._limit.step != 0 else THEOREM

    def _theorem(self) -> Iterator[Paragraph]:
        limit = self._limit
        if limit.outcome is Outcome.FROZEN:
            yield prose(
                r"On $\Gamma$ one has $\nabla_w \hat L(w, \eta) = 0$ for every $\eta$. So a step"
                r" leaves"
                r" every point of $\Gamma$ where it is: if $w_0 \in \Gamma$, then $w_k = w_0$"
                r" for all"
                r" $k$, whatever the noise, the step size and the time scale."
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
            r"Let $K \subset \Gamma$ be compact, with "
            rf"${self._phi}(w_0)$ in its interior, and let $W$ solve, up to the time $\tau_K$ at"
            rf" which"
            r" it leaves the interior of $K$,"
        )
        yield (Prose(start), Prose(rf"\[ {self._equation}, \qquad W(0) = {self._phi}(w_0). \]"))
        yield self._convergence()
        yield from self._coefficients()

    @property
    def _phi(self) -> str:
        return r"\Phi" if self._limit.step == 0 else r"\Phi_\alpha"

    @property
    def _equation(self) -> str:
        (part,) = self._stated["limit"].parts
        text = Notation().formula(part)  # type: ignore[arg-type]
        return text.partition(r",\quad \alpha")[0].replace(r",\; ", ", ")

    @property
    def _index(self) -> str:
        """K as a function of slow time."""
        scale = self._limit.time_scale
        return rf"\lfloor t / ({_tex(1 / scale)}) \rfloor"  # type: ignore[operator]

    @property
    def _regime(self) -> str:
        limit = self._limit
        if limit.step != 0:
            value = "" if limit.step.has(sp.Symbol) else rf" = {_tex(limit.step)}"
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
        if self._kind == FORMAL:
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
                + r"$, has the law of $W(t)$ up to errors of"
                r" the order $(\alpha + \sigma^2)^2$ (for laws with third moments"
                r" $(\alpha + \sigma^2)^{3/2}$), as long as $t \le T \wedge \tau_K$, for every"
                r" $T > 0$."
            )
        if self._limit.step != 0:
            return (
                rf"Then $w_{{{index}}}$ has the law of $W(t)$ as $\sigma \to 0$, up to terms of"
                rf" higher"
                r" order in $\alpha$; the exact limit at a fixed step size is a jump process."
            )
        return (
            rf"Then $w_{{{index}}}$ has the law of $W(t)$ in the limit $\alpha \to 0$, $\sigma"
            rf" \to 0$,"
            r" as long as no faster scale acts."
        )

    def _at_rest(self) -> Iterator[Paragraph]:
        yield prose(
            rf"Assume the hypotheses above; in particular {VERDICTS[Outcome.TRIVIAL]}. Then, as"
            r" $\alpha \to 0$ and $\sigma^2/\alpha \to 0$, for all $0 < \delta < T$,"
            r" \[ \sup_{\delta \le t \le T} \bigl| w_{\lfloor t/(\alpha^2\sigma^2) \rfloor} -"
            r" \Phi(w_0)"
            r" \bigr| \longrightarrow 0 \quad\text{in probability:} \]"
            r" nothing moves along $\Gamma$ in $1/(\alpha\sigma^2)$ or $1/(\alpha^2\sigma^2)$"
            r" iterations. On a slower scale something may move."
        )

    def _coefficients(self) -> Iterator[Paragraph]:
        """B and s, the potential and the chart."""
        limit = self._limit
        noisy = limit.noise_weight != 0
        written = r"$dW = b(W)\,dt" + (r" + s(W)\,dB$" if noisy else "$")
        drift = limit.drift is not None and not is_too_long(limit.drift)
        parts: list[Part] = [Prose(f"In coordinates this is {written}{' with' if drift else '.'}")]
        if drift:
            parts.append(Equality("b", limit.drift))
        if drift and noisy and limit.diffusion is not None:
            parts.append(Equality("s", limit.diffusion))
        yield tuple(parts)
        pull = limit.equation.at(limit.equation.potential)
        if "U_0" in self._equation and not is_too_long(pull):
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
                    Prose(r"which is $-P\nabla V$ with"),
                    Equality("V", special.potential),
                ]
            yield tuple(found)
        if "in the chart" in self._stated:
            yield (Prose("In the chart,"), *self._stated["in the chart"].parts)

    # Proof ----------------------------------------------------------------------------------

    def _argument(self) -> Iterator[Paragraph]:
        limit = self._limit
        if limit.outcome is Outcome.FROZEN:
            yield prose(r"It is read off $\hat L$; the steps are these.")
            return
        if self._kind == FORMAL:
            yield prose(
                rf"This is an expansion of the mean and the covariance of a step of"
                rf" ${self._phi}(w_k)$,"
                r" not a theorem of the works cited. "
                + (rf"In it {self._correction}" if limit.ito_weight != 0 else "")
                + " The computation follows."
            )
        elif limit.equation.momentum != 0:
            yield prose(
                r"The last two iterates are the state of a random map that rests where both are"
                r" equal"
                r" to one point of $\Gamma$. Let $\Phi_\alpha$ be constant along the recursion"
                r" without"
                r" noise. Differentiating this twice gives $D\Phi_\alpha = P$, but for the factor"
                r" $1/(1-\beta)$ that is part of the time scale, where $\beta$ is the factor of"
                r" $w_k - w_{k-1}$, and, in the same units,"
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
                r" $\Gamma$"
                r" one has $D\Phi = P$, and the mean step of $\Phi(w_k)$ is"
                r" $-\alpha\sigma^2 P\nabla\mathrm{Reg}$, up to terms of higher order. It"
                r" remains to"
                r" compute."
            )
        else:
            yield prose(
                r"This is the degenerate case of \cite{ShalovaSchlichtingPeletier2024}, which"
                r" rests on"
                r" \cite{Katzenberger1991}; for label noise see \cite{LiWangArora2021}. On"
                r" $\Gamma$ one"
                r" has $D\Phi = P$ and" + self._correction + " It remains to compute."
            )

    @property
    def _correction(self) -> str:
        """D²Φ[Σ], displayed."""
        dephased = self._limit.equation.relaxation.dephasing != 0
        return CORRECTION % (self._phi, r"(H + \gamma_\beta H^2)^+" if dephased else "H^+")

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
                r"At a fixed step size $\alpha$ the noise that keeps its size makes $H$"
                r" fluctuate at"
                r" order one; the limit $\sigma \to 0$ is then that of the recursion as a random"
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
                r" D^2\Phi_\alpha[\Sigma]]\,dt + \sqrt{\alpha}\, P S\,dB$, where $\Phi_\alpha$"
                r" has the"
                r" second derivative of $\Phi$ with $H X + X H - \alpha H X H = Q\Sigma Q$ in"
                r" place of"
                r" $H X + X H = Q\Sigma Q$."
            )
        return prose(
            r"At a fixed step size $\alpha$ with $\alpha\lambda < 2$ the same holds as"
            r" $\sigma \to 0$, with $\Phi_\alpha$ in place of $\Phi$: its second derivative has"
            r" $H X + X H - \alpha H X H = Q\Sigma Q$ in place of $H X + X H = Q\Sigma Q$. The"
            r" relative"
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
                    *_why(scale),
                )
                continue
            unit = _tex(1 / scale.time_scale)
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
        yield prose(rf"$1/({_tex(1 / limit.time_scale)})$")
        special = limit.special if limit.equation.name == "Theorem B" else None
        by_reg = limit.outcome is Outcome.NON_DEGENERATE and limit.step == 0
        reg = limit.regularizer_on_manifold if by_reg else None
        if reg is not None and limit.problem.traces is None and not is_too_long(reg):
            yield (Prose(rf"${self._equation}$,"), Formula((r"\mathrm{Reg} = ", reg)))
        elif special is not None and special.potential is not None:
            noise = " + P S" + r"\,dB" if limit.noise_weight != 0 else ""
            form = drift_form(special).formula
            yield (
                Formula((r"b_\parallel = ", *form.pieces)),
                Formula((r"V = ", special.potential)),
                *((Prose(rf"and noise ${noise.strip(' +')}$"),) if noise else ()),
            )
        else:
            yield prose(rf"${self._equation}$")


def _vector(letter: str, symbols: tuple[sp.Symbol, ...], end: str = "") -> Formula:
    """The letter of a vector with its coordinates."""
    equals = f"{letter} = " if letter else ""
    if len(symbols) == 1:
        return Formula((equals, symbols[0], end))
    if len(symbols) > SHOWN_WEIGHTS:
        first, last = symbols[0], symbols[-1]
        return Formula((rf"{equals}(", first, r",\, \ldots,\, ", last, ")" + end))
    return Formula((rf"{equals}(", *interleaved(symbols, r",\, "), ")" + end))


def _labels(steps: tuple[Deduction, ...]) -> Iterator[str]:
    yield from (step.statement.label for step in steps)


def _why(scale: LimitingEquation) -> Iterator[Part]:
    for step in scale.evidence.steps:
        answer = {True: "", False: "not so: ", None: "undecided: "}[step.verdict.value]
        yield Words(f"{answer}{step.question} ({step.verdict.basis.value});")


def _quantities(law: object) -> tuple[tuple[str, str, object], ...]:
    return getattr(law, "quantities", ())


def _tex(expression: sp.Expr) -> str:
    return Notation().tex(expression)


def _coefficient(beta: sp.Expr) -> str:
    return _tex(beta)


def _decimal(value: Any) -> str:
    return str(mpmath.nstr(value if abs(value) > NEGLIGIBLE else 0, 4))
