"""The recursion, the model and its Γ, as a paper on noisy gradient descent states them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import mpmath
import sympy as sp

from ...display.notation import Equality, Formula, Notation, Part, Prose, Words
from ...display.statements import Statement
from ...equation.limiting_equation import LimitingEquation
from ...laws.independent import groups_of
from ...laws.scaled import keeps_its_size
from ...noise.moments import persistent_noise
from .article import Paragraph, constraints_of, interleaved
from .glossary import COMMON, Letter

SHOWN_WEIGHTS = 6
"""Weights up to which a point is given by its coordinates."""

NEGLIGIBLE = 1e-30
"""Size below which the coordinate of a point is zero but for rounding."""

OF_GRADIENT_NOISE = {
    ("Reg",): r"$\mathrm{Reg}$ is zero, or the part of the penalty that is of size $\sigma^2$",
    ("G",): r"$G$ is the matrix by which the noise enters",
    (
        "Reg",
        "2",
    ): r"$\mathrm{Reg}_2$ is zero, or the part of the penalty that is of size $\sigma^4$",
    ("Sigma",): (
        r"$\Sigma$ is the covariance of the gradient noise per $\sigma^2$, where it is given by"
        r" $G$: $\Sigma = G C G^\top + \int G z z^\top G^\top\,\nu(dz)$"
    ),
}
"""Definitions for models that are stated by their gradient noise."""

END_WITH_MOMENTUM = (
    r"$\Phi_\alpha(x)$ is the limit as $k \to \infty$ of the recursion without noise that starts at"
    r" rest at $x$"
)


class Setting:
    """Writes the setting of one limit, and the definitions of its letters.

    Parameters
    ----------
    limit : LimitingEquation
        What was derived.
    stated : mapping of str to Statement
        What is printed of it, by label.
    """

    def __init__(self, limit: LimitingEquation, stated: Mapping[str, Statement]) -> None:
        self._limit, self._stated = limit, stated

    def paragraphs(self) -> Iterator[Paragraph]:
        """The recursion, the model, its noise and its Γ."""
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
                    r"keeps its size as $\sigma \to 0$; what follows is stated for the rest of it,"
                    r" and $\mathrm{Reg}$ and $\Sigma$ are means over this part."
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
            ball = rf" + {Notation().tex(beta)} (w_k - w_{{k-1}})"
        return (
            r"We consider noisy gradient descent \[ w_{k+1} = w_k - \alpha\,"
            rf"{gradient}{ball}, \qquad k = 0, 1, 2, \ldots, \]"
        )

    def _space(self) -> tuple[Part, ...]:
        problem = self._limit.problem
        n = problem.dimension
        if problem.coordinates != problem.weights:
            matrices = tuple(interleaved(problem.weights, r",\, "))
            return (
                Prose("of the matrices" if len(matrices) > 1 else "of the matrix"),
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
            is_eta = list(map(Notation().tex, problem.noise)) == [r"\eta"]
            if problem.objective.is_pointwise and not is_eta:
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
        for number, (symbols, law) in enumerate(groups_of(problem.law, problem.noise)):
            yield Prose(", and that of" if number else "The law of the noise")
            yield _vector("", symbols)
            yield Prose("is:")
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
        yield Prose(r"Let $\Gamma$ be the piece of the set of minimisers of $L$ on which")
        yield from constraints_of(self._stated)
        if problem.samples is not None:
            yield Prose("for each sample,")
        yield Prose(
            rf"a manifold of dimension ${m.dimension}$ in $\mathbb{{R}}^{{{problem.dimension}}}$"
        )
        is_shown = problem.samples is None and not problem.unknowns
        if is_shown and problem.dimension <= SHOWN_WEIGHTS:
            values = ",\\, ".join(_decimal(x) for x in m.base[: problem.dimension])
            yield Prose(rf"that contains a point near $({values})$.")
        else:
            yield Prose(".")

    def letters(self) -> Iterator[Letter]:
        """The letters of the theory, some in terms of the gradient noise where that is given."""
        given = self._limit.problem.noisy_loss is None
        for letter in COMMON:
            other = OF_GRADIENT_NOISE.get(letter.tokens) if given else None
            if letter.tokens == ("Phi", "alpha") and self._limit.equation.momentum != 0:
                other = END_WITH_MOMENTUM
            yield letter if other is None else replace(letter, definition=other)
        yield self._relaxation

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
                rf" $\tau = {Notation().tex(phi.damping)}$ and"
                rf" $\gamma_\beta = {Notation().tex(phi.dephasing)}$"
            )
        return Letter(
            ("mathcal{L}", "tau", "gamma", "beta"),
            r"\\mathcal\{L\}",
            rf"{text}${where}, for symmetric matrices $A = QAQ$",
        )


def _vector(letter: str, symbols: tuple[sp.Symbol, ...], end: str = "") -> Formula:
    """The letter of a vector with its coordinates."""
    equals = f"{letter} = " if letter else ""
    if len(symbols) == 1:
        return Formula((equals, symbols[0], end))
    if len(symbols) > SHOWN_WEIGHTS:
        first, last = symbols[0], symbols[-1]
        return Formula((rf"{equals}(", first, r",\, \ldots,\, ", last, ")" + end))
    return Formula((rf"{equals}(", *interleaved(symbols, r",\, "), ")" + end))


def _decimal(value: Any) -> str:
    return str(mpmath.nstr(value if abs(value) > NEGLIGIBLE else 0, 4))
