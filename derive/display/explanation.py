"""The derivation step by step: definitions, hypotheses, verdicts, theorem, equation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import singledispatch

import sympy as sp

from ..analysis.exceptional_values import exceptional_values
from ..equation.limiting_equation import LimitingEquation
from ..laws.scaled import keeps_its_size
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Outcome
from ..noise.moments import enters_linearly
from ..proofs.certificate import attempted_certificate
from ..proofs.findings import Certificate
from ..symbolic.zero_tests import Basis
from .latex_layout import Page
from .notation import Formula, Words, phrase
from .statements import Statement, equations, question

FEW = 3
"""Points of Γ at which hypotheses are looked at."""


class Standing(Enum):
    """What a hypothesis rests on."""

    CHECKED = "checked"
    SAMPLED = "sampled"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of the theorem, and what it rests on.

    Attributes
    ----------
    claim, support : str
        The hypothesis, and what speaks for it.
    standing : Standing
        Whether it was checked, looked at in a few points of Γ only, or is assumed.
    """

    claim: str
    support: str
    standing: Standing = Standing.ASSUMED

    def __str__(self) -> str:
        name = self.standing.value
        shown = name.upper() if self.standing is Standing.ASSUMED else name
        return f"[{shown}] {self.claim}: {self.support}"


@dataclass(frozen=True)
class Explanation:
    """A derivation in steps, each with a title and its statements.

    Attributes
    ----------
    sections : tuple of (title, statements)
        What is shown, in order.
    hypotheses : tuple of Hypothesis
        What the theorem asks for, checked, sampled or assumed.
    """

    sections: tuple[tuple[str, tuple[Statement, ...]], ...]
    hypotheses: tuple[Hypothesis, ...]

    @property
    def assumptions(self) -> tuple[Hypothesis, ...]:
        """The hypotheses for which nothing speaks but the user's word."""
        return tuple(h for h in self.hypotheses if h.standing is Standing.ASSUMED)

    def __str__(self) -> str:
        parts = []
        for number, (title, statements) in enumerate(self.sections, start=1):
            lines = [f"{number}. {title}"]
            lines += [f"   {s.label}: {s.text}".replace("\n", "\n     ") for s in statements]
            parts.append("\n".join(lines))
        hypotheses = "\n".join(f"   {h}" for h in self.hypotheses)
        return "\n\n".join([*parts, f"{len(parts) + 1}. Hypotheses\n{hypotheses}"])

    def latex(self, page: Page | None = None) -> str:
        """The explanation as LaTeX sections, for the body of a document.

        Parameters
        ----------
        page : Page, optional
            How symbols are written. A document needs `derive.display.latex_layout.PREAMBLE`.
        """
        write = (page or Page()).statement
        parts = []
        for title, statements in self.sections:
            rows = "\n".join(write(s.label, s.parts) for s in statements)
            parts.append(f"\\section{{{phrase(title)}}}\n{rows}")
        rows = "\n".join(
            rf"\item \emph{{{h.standing.value}}}: {phrase(h.claim)} ({phrase(h.support)})"
            for h in self.hypotheses
        )
        parts.append(f"\\section{{Hypotheses}}\n\\begin{{itemize}}\n{rows}\n\\end{{itemize}}")
        return "\n\n".join(parts)


@singledispatch
def explain(limit: LimitingEquation) -> Explanation:
    """Derivation of a limit in steps, with proofs of its verdicts and with its hypotheses."""
    certificate = attempted_certificate(limit)
    by_label = {s.label: s for s in equations(limit)}

    def pick(*labels: str) -> tuple[Statement, ...]:
        return tuple(by_label[label] for label in labels if label in by_label)

    sections = (
        (
            "The noise model",
            pick("loss", "noisy loss", "gradient noise", "penalty", "noise", "samples"),
        ),
        (
            "The manifold of minimisers",
            (*pick("Γ", "not on Γ", "minimum", "projector on Γ"), *_spectral_gap(limit)),
        ),
        ("Moments of the noise", (*_definitions(limit), *pick("Reg", "Reg on Γ"))),
        (
            "Which theorem applies",
            (*_questions(certificate), *pick("outcome"), *_theorem(limit), *pick("time scale")),
        ),
        (
            "The limiting equation",
            pick("limit", "V₂", "special form", "potential", "drift", "diffusion", "in the chart"),
        ),
    )
    return Explanation(sections, tuple(_hypotheses(limit, certificate)))


def _spectral_gap(limit: LimitingEquation) -> Iterator[Statement]:
    """Range of the non-zero eigenvalues of H over a few points of Γ."""
    if limit.problem.samples is not None:
        return  # those of a few samples say nothing of all
    probe = limit.manifold.probe
    few = list(itertools.islice(limit.manifold.local(), FEW))
    curvatures = [x for geometry in few for x in probe.spectrum(geometry)]
    low, high = f"{min(curvatures):.4g}", f"{max(curvatures):.4g}"
    count = len(few)
    text = (
        f"non-zero eigenvalues from {low} to {high} over {count} points of Γ; the smallest is the "
        f"rate of the fast phase, and gradient descent is stable for α < 2/{high}"
    )
    yield Statement("spectrum of H", text, (Words(text),))


def _definitions(limit: LimitingEquation) -> Iterator[Statement]:
    pair = limit.problem.levy_pair
    tex = (
        r"\mathrm{Reg} = \tfrac{1}{2} C : \nabla_\eta^2 \hat L(w, 0)",
        r" + \int \bigl[\hat L(w, z) - L(w) - z\cdot\partial_\eta \hat L(w, 0)\bigr]\,\nu(dz)",
    )
    text = "Reg = ½ C:∇²_ηL̂(w, 0) + ∫ [L̂(w, z) − L(w) − z·∂_ηL̂(w, 0)] ν(dz)"
    yield Statement("definition", text, (Formula(tex),))
    if pair.jumps:
        text = f"ν has {len(pair.jumps)} atoms: the law does not shrink to its covariance"
        yield Statement("jump measure", text, (Words(text),))


def _questions(certificate: Certificate) -> Iterator[Statement]:
    for number, step in enumerate(certificate.evidence.steps, start=1):
        yield Statement(f"question {number}", f"{step.question}? {step.verdict}", question(step))


def _theorem(limit: LimitingEquation) -> Iterator[Statement]:
    """Theorem A or B as it reads, with the correction D²Φ of the second."""
    if limit.time_scale is None:
        return
    if not limit.outcome.is_degenerate:
        regime = "where P∇Reg ≢ 0 on Γ, as α, σ → 0 and in time t = kασ²:"
        tex = r"dW = -P\nabla\mathrm{Reg}(W)\,dt\text{ on }\Gamma"
        text = f"{regime} dW = −P∇Reg(W) dt on Γ"
        yield Statement("Theorem A", text, (Words(regime), Formula((tex,))))
        return
    regime = "where P∇Reg = 0 on Γ, as α → 0 and σ²/α → 0, in time t = kα²σ²:"
    if keeps_its_size(limit.problem.law):
        regime = "where ∇_wL̂ has the mean ∇L, as α → 0, in time t = kα²:"
    tex = r"dW = P S\,dB + \tfrac{1}{2} D^2\Phi[\Sigma]\,dt\text{ on }\Gamma"
    yield Statement(
        "Theorem B",
        f"{regime} dW = P S dB + ½ D²Φ[Σ] dt on Γ, S Sᵀ = Σ",
        (Words(regime), Formula((tex,)), Formula((r"S S^\top = \Sigma",))),
    )
    at_step, tex = ("", "") if limit.step == 0 else (" − αHXH", r" - \alpha HXH")
    yield Statement(
        "correction",
        f"D²Φ[S] = −H⁺D³L[PSP] − 2P D³L[sym(H⁺QSP)] − P D³L[X], HX + XH{at_step} = QSQ, Q = I − P",
        (
            Formula((r"D^2\Phi[S] = -H^+ D^3L[PSP] - 2 P D^3L[\mathrm{sym}(H^+QSP)] - P D^3L[X]",)),
            Formula((rf"HX + XH{tex} = QSQ",)),
            Formula(("Q = I - P",)),
        ),
    )


def _hypotheses(limit: LimitingEquation, certificate: Certificate) -> Iterator[Hypothesis]:
    m = limit.manifold
    found = len(list(itertools.islice(m.local(), FEW)))
    points = f"at {found} points of Γ, to 50 digits"
    boxes = len(certificate.document["points"])
    proved = (
        f"; both proved at {boxes} points of the certificate" if boxes and m.probe.squares else ""
    )
    checked, sampled = Standing.CHECKED, Standing.SAMPLED
    yield Hypothesis("L̂(w, 0) = L(w)", "verified when the problem was stated", checked)
    positive = f"H has no negative eigenvalue {points}"
    yield Hypothesis("Γ is made of minimisers of L", positive, sampled)
    of_few = f"the rank holds {points}; Γ follows its tangent space at the base point{proved}"
    rank = Hypothesis(
        f"Γ is a manifold of dimension {m.dimension} and H has rank {m.codimension} on it",
        of_few if limit.problem.samples is None else _rank_of_samples(limit.problem),
        sampled if limit.problem.traces is None else Standing.ASSUMED,
    )
    yield rank
    yield _smoothness(limit)
    yield Hypothesis(
        "the start lies in a neighbourhood that gradient descent attracts to Γ",
        "not checked",
    )
    yield Hypothesis(
        "the limit stays in a compact part of the regular part of Γ",
        "holds up to the exit time",
    )
    if any(step.verdict.basis is Basis.NUMERICAL for step in certificate.evidence.steps):
        yield Hypothesis(
            "a quantity that is zero to 40 digits at all sampled points vanishes on Γ",
            "numerical certificate, not a proof",
            sampled,
        )
    if limit.outcome.is_degenerate:
        yield _scaling(limit.problem)
    if limit.outcome is Outcome.NON_DEGENERATE:
        yield Hypothesis("α → 0 and σ → 0 together", "the scaling regime")
    if limit.problem.parameters:
        names = ", ".join(map(str, limit.problem.parameters))
        yield Hypothesis(f"{names} take generic values", _exceptions(limit))


def _scaling(problem: NoisyGradientDescent) -> Hypothesis:
    """How small the noise has to be in Theorem B."""
    small = "σ²/α → 0 (σ/α → 0 with third moments)"
    if problem.traces is not None or problem.penalty != 0 or not enters_linearly(problem):
        return Hypothesis(small, "the scaling regime")
    kept = "keeps its size" if keeps_its_size(problem.law) else "need not shrink"
    return Hypothesis("α → 0", f"the noise {kept}: it enters ∇_wL̂ linearly, with mean zero")


def _rank_of_samples(problem: NoisyGradientDescent) -> str:
    if problem.traces is not None:
        return "the samples are taken to be independent; tried out on a few of small matrices"
    return "the rank is that at weights, found in floats, that fit all samples"


def _smoothness(limit: LimitingEquation) -> Hypothesis:
    claim, kinks = "L and L̂ are of class C³ near Γ", limit.problem.kinks
    if not kinks:
        return Hypothesis(claim, "made of functions smooth on their domain", Standing.CHECKED)
    where = ", ".join(f"{sp.sstr(place)} = 0" for place in kinks)
    return Hypothesis(
        claim,
        f"they have kinks where {where}: the limit holds on the pieces, away from them",
    )


def _exceptions(limit: LimitingEquation) -> str:
    found = [
        " and ".join(f"{symbol} = {value}" for symbol, value in values.items())
        for values in exceptional_values(limit)
    ]
    if not found:
        return "no exceptional value was found; there may be some"
    return f"the motion stops at {' and at '.join(found)}; there may be other exceptional values"
