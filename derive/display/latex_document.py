r"""A limit as a LaTeX document of its own, to be compiled with pdflatex.

`document` writes model, manifold, moments, evidence, theorem, equation, hypotheses and slower
scales from the same statements as `Limit.explain`; the works cited follow as BibTeX entries after
``\end{document}``, where LaTeX does not read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..errors import NotCoveredError
from ..model.update_rule import UpdateRule
from ..proofs.certificate import attempted_certificate
from ..proofs.findings import Certificate
from .explanation import explain
from .latex_layout import PREAMBLE, Page
from .notation import phrase
from .statements import equations


@dataclass(frozen=True)
class Reference:
    """A work cited, with its BibTeX fields."""

    key: str
    kind: str
    fields: tuple[tuple[str, str], ...]

    @property
    def item(self) -> str:
        r"""The ``\bibitem``."""
        given = dict(self.fields)
        where = given.get("journal") or given.get("booktitle") or f"arXiv:{given['eprint']}"
        volume = f" {given['volume']}" if "volume" in given else ""
        pages = f", pages {given['pages']}" if "pages" in given else ""
        authors = given["author"].replace(" and ", ", ")
        return (
            rf"\bibitem{{{self.key}}} {authors}. \emph{{{given['title']}}}. "
            f"{where}{volume}{pages}, {given['year']}."
        )

    @property
    def bibtex(self) -> str:
        """The BibTeX entry."""
        rows = "".join(f"  {name} = {{{value}}},\n" for name, value in self.fields)
        return f"@{self.kind}{{{self.key},\n{rows}}}"


REFERENCES = (
    Reference(
        "ShalovaSchlichtingPeletier2024",
        "misc",
        (
            ("author", "Anna Shalova and Andr{\\'e} Schlichting and Mark Peletier"),
            ("title", "Singular-limit analysis of gradient descent with noise injection"),
            ("year", "2024"),
            ("eprint", "2404.12293"),
            ("archivePrefix", "arXiv"),
        ),
    ),
    Reference(
        "Katzenberger1991",
        "article",
        (
            ("author", "Gary Shon Katzenberger"),
            (
                "title",
                "Solutions of a stochastic differential equation forced onto a manifold by a "
                "large drift",
            ),
            ("journal", "Annals of Probability"),
            ("volume", "19"),
            ("year", "1991"),
            ("pages", "1587--1628"),
        ),
    ),
    Reference(
        "LiWangArora2021",
        "misc",
        (
            ("author", "Zhiyuan Li and Tianhao Wang and Sanjeev Arora"),
            (
                "title",
                "What happens after {SGD} reaches zero loss? {A} mathematical framework",
            ),
            ("year", "2021"),
            ("eprint", "2110.06914"),
            ("archivePrefix", "arXiv"),
        ),
    ),
)
"""Where the theorems stand, and what they rest on."""

INTRODUCTION = r"""
Noisy gradient descent $w_{k+1} = w_k - \alpha \nabla_w \hat L(w_k, \eta_k)$ with
$\hat L(w, 0) = L(w)$, step size $\alpha$ and noise of size $\sigma$ moves slowly along the
manifold $\Gamma$ on which $L = 0$. On it $H = \nabla^2 L$, $P$ is the orthogonal projector on the
tangent space, $\mathrm{Reg}$ the regularizer and $\Sigma$ the covariance of the gradient noise,
both in units of $\sigma^2$. Theorems A and B are those of \cite{ShalovaSchlichtingPeletier2024};
B rests on \cite{Katzenberger1991}, and was found for label noise in \cite{LiWangArora2021}.
""".strip()


RULE_INTRODUCTION = r"""
An update rule $z_{k+1} = T(z_k, \xi_k)$ of weights and memory, with step size $\alpha$ and small
noise of size $\sigma$, rests on the manifold $\Gamma$ where there is no small noise; where there
is, its weights move slowly along $\Gamma$. $P$ is the projector on the tangent space along the
directions in which the rule is drawn in; it is oblique in general. The limit follows from
$\Phi \circ T = \Phi$ for the map $\Phi$ that takes a state to where the rule rests in the end, as
the theorems of \cite{Katzenberger1991} and \cite{ShalovaSchlichtingPeletier2024} for descent do.
""".strip()


PROOFS = r"""
A verdict that is called \emph{proved} or \emph{proved not} was accepted by a program of its own,
which evaluates the model in ball arithmetic, with rigorous bounds of all rounding errors, and
multiplies polynomials exactly. \emph{Proved not} means: in a stated box there is exactly one zero
of $N - M$ of the constraints, by the interval operator of Krawczyk; the others vanish with them;
the determinant of the rank is not zero there, nor is the stated value of the quantity along a
fixed vector. \emph{Proved} means: the function behind the quantity is, but for a constant, a
combination of the constraints with stated cofactors, on the connected piece of $\Gamma$ through
the base point. All else was \emph{not} proved so: a numerical certificate is a value of zero to
the stated digits at the stated number of points.
""".strip()


def document(limit: LimitingEquation, names: Mapping[sp.Symbol, str] | None = None) -> str:
    r"""A standalone LaTeX document on a limit: the model, how it was derived, and the result.

    Parameters
    ----------
    limit : LimitingEquation
        What was derived.
    names : mapping of Symbol to str, optional
        How symbols are to be written, as in ``{w1: r"\theta_1"}``.

    Returns
    -------
    str
        ASCII. It needs the packages amsmath and amssymb, and no run of BibTeX.
    """
    problem = limit.problem
    chart = problem.chart.coordinates if problem.chart else ()
    symbols = (*problem.weights, *problem.noise, *problem.parameters, *chart)
    page = Page.of(names or {}, symbols)
    certificate = attempted_certificate(limit)
    items = "\n".join(reference.item for reference in REFERENCES)
    return "\n\n".join(
        [
            "\\documentclass[11pt,a4paper]{article}\n" + PREAMBLE,
            "\\title{The limit of a noisy gradient descent}\n\\author{}\n\\date{}",
            "\\begin{document}\n\\maketitle",
            RULE_INTRODUCTION if isinstance(problem, UpdateRule) else INTRODUCTION,
            explain(limit).latex(page),
            "\\section{Slower scales}\n" + "\n\n".join(_slower(limit, page)),
            "\\appendix\n\\section{What was proved}\n" + "\n".join(_proofs(certificate)),
            f"\\begin{{thebibliography}}{{9}}\n{items}\n\\end{{thebibliography}}",
            "\\end{document}",
            "The works cited, for BibTeX:",
            bibtex(),
        ]
    )


def _proofs(certificate: Certificate) -> Iterator[str]:
    """What was proved and what was not, in those words."""
    yield PROOFS
    yield "\\begin{itemize}"
    for finding in certificate.findings:
        why = f"; no proof was found: {finding.reason}" if finding.reason else ""
        said = phrase(f"{finding.step.question}: {finding.step.verdict.how}{why}")
        yield rf"\item \emph{{{finding.standing}}}: {said}."
    yield "\\end{itemize}\nThe hypotheses of these proofs are:\n\\begin{itemize}"
    yield from (rf"\item {phrase(h)}." for h in certificate.document["hypotheses"])
    yield "\\end{itemize}"


def bibtex() -> str:
    """The works that a document cites as BibTeX entries."""
    return "\n\n".join(reference.bibtex for reference in REFERENCES) + "\n"


def _slower(limit: LimitingEquation, page: Page) -> Iterator[str]:
    """What acts after the limit itself."""
    try:
        scales = limit.scales()
    except NotCoveredError as error:
        yield phrase(f"Not known: {error}.")
        return
    if not scales:
        yield "None: beside this limit the next orders are corrections."
    shown = ("outcome", "because", "time scale", "limit", "V₂", "special form", "potential")
    for scale in scales:
        rows = [s for s in equations(scale) if s.label in (*shown, "drift", "diffusion")]
        yield "\n".join(page.statement(s.label, s.parts) for s in rows)
