"""The derivation step by step: definitions, hypotheses, verdicts, theorem, equation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mpmath
import sympy as sp

from .classify import Outcome
from .display import Statement, equations, phrase, question_latex
from .verdict import Basis, Verdict

if TYPE_CHECKING:
    from .limit import Limit


KINKED = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside, sp.Piecewise, sp.floor, sp.ceiling)
"""Functions that are not of class C³."""


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of the theorem, and whether it was checked or is assumed."""

    claim: str
    support: str
    checked: bool

    def __str__(self) -> str:
        return f"[{'checked' if self.checked else 'ASSUMED'}] {self.claim}: {self.support}"


@dataclass(frozen=True)
class Explanation:
    """A derivation in steps, each with a title and its statements.

    Attributes
    ----------
    sections : tuple of (title, statements)
        What is shown, in order.
    hypotheses : tuple of Hypothesis
        What the theorem asks for, checked or assumed.
    """

    sections: tuple[tuple[str, tuple[Statement, ...]], ...]
    hypotheses: tuple[Hypothesis, ...]

    @property
    def assumptions(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that were not checked."""
        return tuple(h for h in self.hypotheses if not h.checked)

    def __str__(self) -> str:
        parts = []
        for number, (title, statements) in enumerate(self.sections, start=1):
            lines = [f"{number}. {title}"]
            lines += [f"   {s.label}: {s.text}".replace("\n", "\n     ") for s in statements]
            parts.append("\n".join(lines))
        hypotheses = "\n".join(f"   {h}" for h in self.hypotheses)
        return "\n\n".join([*parts, f"{len(parts) + 1}. Hypotheses\n{hypotheses}"])

    def latex(self) -> str:
        """The explanation as LaTeX paragraphs, for the body of a document."""
        parts = []
        for title, statements in self.sections:
            rows = "\n".join(rf"\item {phrase(s.label)}: ${s.latex}$" for s in statements)
            parts.append(f"\\paragraph{{{title}}}\n\\begin{{itemize}}\n{rows}\n\\end{{itemize}}")
        rows = "\n".join(
            rf"\item \emph{{{'checked' if h.checked else 'assumed'}}}: "
            rf"{phrase(h.claim)} ({phrase(h.support)})"
            for h in self.hypotheses
        )
        parts.append(f"\\paragraph{{Hypotheses}}\n\\begin{{itemize}}\n{rows}\n\\end{{itemize}}")
        return "\n\n".join(parts)


def explain(limit: Limit) -> Explanation:
    """Derivation of a limit in steps, with the hypotheses it rests on."""
    by_label = {s.label: s for s in equations(limit)}

    def pick(*labels: str) -> tuple[Statement, ...]:
        return tuple(by_label[label] for label in labels if label in by_label)

    sections = (
        ("The noise model", pick("loss", "noisy loss", "gradient noise", "noise")),
        ("The zero-loss manifold", (*pick("Γ", "projector on Γ"), _spectral_gap(limit))),
        ("Moments of the noise", (*_definitions(limit), *pick("Reg", "Reg on Γ"))),
        ("Which theorem applies", (*_questions(limit), *pick("outcome", "time scale"))),
        (
            "The limiting equation",
            pick("limit", "special form", "potential", "drift", "diffusion", "in the chart"),
        ),
    )
    return Explanation(sections, tuple(_hypotheses(limit)))


def _spectral_gap(limit: Limit) -> Statement:
    """Range of the non-zero eigenvalues of H over the points of Γ."""
    curvatures = [x for g in limit.manifold.local() for x in g.curvatures]
    low, high = mpmath.nstr(min(curvatures), 4), mpmath.nstr(max(curvatures), 4)
    count = len(limit.manifold.points)
    return Statement(
        "spectrum of H",
        f"non-zero eigenvalues from {low} to {high} over {count} points of Γ; the smallest is the "
        f"rate of the fast phase, and gradient descent is stable for α < 2/{high}",
        rf"{low} \le \lambda \le {high} \text{{ at {count} points of }}\Gamma",
    )


def _definitions(limit: Limit) -> Iterator[Statement]:
    pair = limit.problem.levy_pair
    yield Statement(
        "definition",
        "Reg = ½ C:∇²_ηL̂(w, 0) + ∫ [L̂(w, z) − L(w) − z·∂_ηL̂(w, 0)] ν(dz)",
        r"\mathrm{Reg} = \tfrac{1}{2} C : \nabla_\eta^2 \hat L(w, 0) + \int \left[\hat L(w, z)"
        r" - L(w) - z\cdot\partial_\eta \hat L(w, 0)\right] \nu(dz)",
    )
    if pair.jumps:
        yield Statement(
            "jump measure",
            f"ν has {len(pair.jumps)} atoms: the law does not shrink to its covariance",
            rf"\nu \text{{ has {len(pair.jumps)} atoms}}",
        )


def _questions(limit: Limit) -> Iterator[Statement]:
    for number, step in enumerate(limit.evidence.steps, start=1):
        yield Statement(
            f"question {number}",
            f"{step.question}? {step.verdict}",
            f"{question_latex(step.question)}\\text{{: {_plain(step.verdict)}}}",
        )


def _plain(verdict: Verdict) -> str:
    answer = {True: "yes", False: "no", None: "undecided"}[verdict.value]
    return f"{answer} ({verdict.basis.value})"


def _hypotheses(limit: Limit) -> Iterator[Hypothesis]:
    m = limit.manifold
    points = f"at {len(m.points)} points of Γ, to 50 digits"
    yield Hypothesis("L̂(w, 0) = L(w)", "verified when the problem was stated", True)
    yield Hypothesis("L ≥ 0 near Γ", f"H has no negative eigenvalue {points}", True)
    yield Hypothesis(
        f"Γ is a manifold of dimension {m.dimension} and H has rank {m.codimension} on it",
        f"the rank holds {points}; Γ follows its tangent space at the base point",
        True,
    )
    smooth = not (limit.problem.loss.has(*KINKED) or _noisy(limit).has(*KINKED))
    yield Hypothesis(
        "L and L̂ are of class C³ near Γ",
        "made of functions smooth on their domain" if smooth else "they contain kinks; not checked",
        smooth,
    )
    yield Hypothesis(
        "the start lies in a neighbourhood that gradient descent attracts to Γ",
        "not checked",
        False,
    )
    yield Hypothesis(
        "the limit stays in a compact part of the regular part of Γ",
        "holds up to the exit time",
        False,
    )
    if any(step.verdict.basis is Basis.NUMERICAL for step in limit.evidence.steps):
        yield Hypothesis(
            "a quantity that is zero to 40 digits at all sampled points vanishes on Γ",
            "numerical certificate, not a proof",
            False,
        )
    if limit.outcome.is_degenerate:
        yield Hypothesis("σ²/α → 0 (σ/α → 0 with third moments)", "the scaling regime", False)
    if limit.outcome is Outcome.NON_DEGENERATE:
        yield Hypothesis("α → 0 and σ → 0 together", "the scaling regime", False)
    if limit.problem.parameters:
        names = ", ".join(map(str, limit.problem.parameters))
        yield Hypothesis(f"{names} take generic values", "exceptional values may differ", False)


def _noisy(limit: Limit) -> sp.Basic:
    problem = limit.problem
    return problem.noise_matrix if problem.noisy_loss is None else problem.noisy_loss
