r"""A limit as a LaTeX document of its own, to be compiled with pdflatex, or as fragments of one.

The works cited follow as BibTeX entries after ``\end{document}``, where LaTeX does not read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import sympy as sp

from ..deductions.deductions import latex_step
from ..display.answers import EndStates, end_statements
from ..display.latex_layout import COMMANDS, PREAMBLE, Page
from ..display.notation import Prose, capitalised, phrase
from ..errors import DeriveError
from ..proofs.findings import Certificate
from .articles.article import FORMAL, THEOREM, Article, Paragraph, interleaved
from .articles.descent import article
from .articles.glossary import definitions, math_of
from .references import REFERENCES, cited_in

THEOREMS = r"""
\newtheorem{theorem}{Theorem}
\newtheorem{formal}{Formal limit}
\theoremstyle{remark}
\newtheorem{remark}{Remark}
""".strip()
"""Environments of the statements."""

PROOFS = r"""
A verdict that is called \emph{proved} or \emph{proved not} was accepted by a separate program,
which evaluates the model in ball arithmetic, with rigorous bounds of all rounding errors, and
multiplies polynomials exactly. \emph{Proved not} means: in a stated box there is exactly one zero
of the independent constraints, by the interval operator of Krawczyk; the others vanish with them,
and the Hessian of the loss has that rank where the loss is a stated sum of squares; the value of
the quantity along a fixed vector is not zero there. \emph{Proved} means: the function behind the
quantity is, but for a constant, a combination of the constraints with stated cofactors, on the
connected piece of $\Gamma$ through the base point; or, of attraction at a step size, that a stated
positive quadratic form across $\Gamma$ shrinks in the mean under one step. All else was \emph{not}
proved so: a \emph{numerical certificate} is a value of zero, or a power of the step size, to the
stated digits at the stated number of points of $\Gamma$.
""".strip()

CHECKED = r"""
Each step was checked in another way, which is named beside it, at the number of points that is
stated; such a check is no proof.
""".strip()


def document(
    limit: Any,
    names: Mapping[sp.Symbol, str] | None = None,
    part: str | None = None,
    end_states: EndStates | None = None,
) -> str:
    r"""A LaTeX document on a limit: setting, hypotheses, theorem, proof, remarks, what was proved.

    Parameters
    ----------
    limit : Limit or JumpLimit
        What was derived.
    names : mapping of Symbol to str, optional
        How symbols are to be written, as in ``{w1: r"\theta_1"}``.
    part : str, optional
        One fragment alone, to be read by ``\input`` in a paper: "setting", "hypotheses",
        "theorem", "proof", "remarks" or "row" (a row of a table: outcome, time scale, limit);
        "preamble" is what the others need before ``\begin{document}``.
    end_states : EndStates, optional
        What ``limit.end_states()`` has found, for a remark; the search may take longer than all
        else, so that it is not begun here.

    Returns
    -------
    str
        ASCII. A document needs amsart and amssymb, and no run of BibTeX.

    Raises
    ------
    DeriveError
        If there is no part of that name.
    """
    if part is not None and part not in PARTS:
        raise DeriveError(f"part: expected one of {', '.join(PARTS)}, got {part!r}")
    if part == "preamble":
        return COMMANDS + "\n" + THEOREMS + "\n"
    stated = article(limit)
    if end_states is not None:
        stated = replace(stated, remarks=(*stated.remarks, _ends(end_states)))
    writer = _Writer(stated, Page.of(names or {}, _symbols(limit)))
    return writer.whole if part is None else _PART[part](writer) + "\n"


def _ends(states: EndStates) -> Paragraph:
    """Equilibria with their stability and rates, and what the flow conserves."""
    said = [
        (Prose(rf"\emph{{{phrase(s.label)}}}:"), *interleaved(s.parts, Prose(",")))
        for s in end_statements(states)
    ]
    listed = chain(*interleaved(said, (Prose(";"),)))
    return (Prose("Where the slow flow ends, as far as it was sought:"), *listed, Prose("."))


def bibtex() -> str:
    """The works that documents cite as BibTeX entries."""
    return "\n\n".join(reference.bibtex for reference in REFERENCES) + "\n"


def _symbols(limit: Any) -> Iterator[sp.Symbol]:
    """The symbols of the model."""
    problem = limit.problem
    chart = getattr(problem, "chart", None)
    yield from (*problem.weights, *problem.noise, *problem.parameters)
    yield from getattr(problem, "memory", ())
    yield from chart.coordinates if chart else ()


class _Writer:
    """Writes the parts of an article as LaTeX."""

    def __init__(self, stated: Article, page: Page) -> None:
        self._article, self._page = stated, page

    @property
    def whole(self) -> str:
        """The document."""
        body = "\n\n".join(
            [
                "\\section{Setting}\n" + self.setting,
                "\\section{Hypotheses}\n" + self.hypotheses,
                "\\section{Result}\n" + self.theorem,
                self.proof,
                *(["\\section{Remarks}\n" + self.remarks] if self._article.remarks else []),
                "\\appendix\n\\section{What was proved}\n" + "\n".join(self._appendix()),
            ]
        )
        items = "\n".join(reference.item for reference in cited_in(body))
        bibliography = f"\\begin{{thebibliography}}{{9}}\n{items}\n\\end{{thebibliography}}"
        return "\n\n".join(
            [
                "\\documentclass[11pt,a4paper]{amsart}\n" + PREAMBLE + "\n" + THEOREMS,
                f"\\begin{{document}}\n\\title{{{self._article.title}}}\n\\maketitle",
                body,
                *([bibliography] if items else []),
                "\\end{document}",
                "The works cited, for BibTeX:",
                bibtex(),
            ]
        )

    @property
    def setting(self) -> str:
        """The model, and the letters that the other parts use."""
        text = self._paragraphs(self._article.setting)
        others = [self.hypotheses, self.theorem, self.proof, self.remarks]
        formulas = math_of("\n".join([text, *others, *self._appendix()]))
        rows = [
            rf"\item {letter.definition}" for letter in definitions(formulas, self._article.letters)
        ]
        if not rows:
            return text
        listed = ";\n".join(rows)
        return f"{text}\n\nNotation:\n\\begin{{itemize}}\n{listed}.\n\\end{{itemize}}"

    @property
    def hypotheses(self) -> str:
        """What the theorem asks for, and what that rests on."""
        rows = "\n".join(
            rf"\item {phrase(capitalised(h.claim))}."
            rf" \textup{{[\emph{{{h.standing.value}}}: {phrase(h.support)}]}}"
            for h in self._article.hypotheses
        )
        return f"\\begin{{enumerate}}\n{rows}\n\\end{{enumerate}}"

    @property
    def theorem(self) -> str:
        """The statement."""
        name = FORMAL if self._article.kind == FORMAL else THEOREM
        text = self._paragraphs(self._article.theorem)
        return f"\\begin{{{name}}}\n{text}\n\\end{{{name}}}"

    @property
    def proof(self) -> str:
        """The argument by reference, and the computation."""
        steps = "\n".join(latex_step(step, self._page) for step in self._article.steps)
        text = self._paragraphs(self._article.argument)
        name = "[Derivation]" if self._article.kind == FORMAL else ""
        checked = CHECKED if any(step.check for step in self._article.steps) else ""
        return f"\\begin{{proof}}{name}\n{text}\n{checked}\n\n{steps}\n\\end{{proof}}"

    @property
    def remarks(self) -> str:
        """What else is known."""
        return "\n\n".join(
            f"\\begin{{remark}}\n{self._page.paragraph(parts)}\n\\end{{remark}}"
            for parts in self._article.remarks
        )

    @property
    def row(self) -> str:
        """Outcome, time scale and limit, as a row of a table."""
        cells = (self._page.cell(parts) for parts in self._article.row)
        return " & ".join(cells) + r" \\"

    def _paragraphs(self, paragraphs: Iterable[Paragraph]) -> str:
        return "\n\n".join(map(self._page.paragraph, paragraphs))

    def _appendix(self) -> Iterator[str]:
        """What was proved and what was not, in those words."""
        certificate = self._article.certificate
        if certificate is None:
            yield (
                "No certificate is made for a limit of this kind: the verdicts rest on the evidence"
                " that is stated beside them, and nothing else was proved by a separate program."
            )
            return
        yield PROOFS
        yield "\\begin{itemize}"
        yield from _findings(certificate)
        if not certificate.document["hypotheses"]:
            yield "\\end{itemize}"
            return
        yield "\\end{itemize}\nThe hypotheses of these proofs are:\n\\begin{itemize}"
        yield from (rf"\item {phrase(h)}." for h in certificate.document["hypotheses"])
        yield "\\end{itemize}"


def _findings(certificate: Certificate) -> Iterator[str]:
    for finding in certificate.findings:
        why = f"; no proof was found: {finding.reason}" if finding.reason else ""
        said = phrase(f"{finding.step.question}: {finding.step.verdict.how}{why}")
        yield rf"\item \emph{{{finding.standing}}}: {said}."


_PART: dict[str, Callable[[_Writer], str]] = {
    "setting": lambda writer: writer.setting,
    "hypotheses": lambda writer: writer.hypotheses,
    "theorem": lambda writer: writer.theorem,
    "proof": lambda writer: writer.proof,
    "remarks": lambda writer: writer.remarks,
    "row": lambda writer: writer.row,
}

PARTS = ("preamble", *_PART)
"""Fragments of a document."""
