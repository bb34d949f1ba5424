"""The steps of a derivation as data: what is stated, by which rule, and a check of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from ..display.latex_layout import Page
from ..display.notation import phrase
from ..display.statements import Statement
from ..symbolic.zero_tests import Basis, Verdict


class Standing(Enum):
    """What a claim rests on."""

    PROVED = "proved"
    PROVED_NOT = "proved not"
    NUMERICAL = "numerical certificate"
    SAMPLED = "sampled"
    ASSUMED = "assumed"

    @classmethod
    def of(cls, verdict: Verdict) -> Standing:
        """That of a verdict; an answer by a witness was looked at in one point."""
        return {
            Basis.PROOF: cls.PROVED,
            Basis.PROVED_NOT: cls.PROVED_NOT,
            Basis.NUMERICAL: cls.NUMERICAL,
            Basis.WITNESS: cls.SAMPLED,
        }.get(verdict.basis, cls.ASSUMED)


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of the theorem, and what it rests on.

    Attributes
    ----------
    claim, support : str
        The hypothesis, and what speaks for it.
    standing : Standing
        Whether it is proved, looked at in a few points of Γ only, or assumed.
    """

    claim: str
    support: str
    standing: Standing = Standing.ASSUMED

    def __str__(self) -> str:
        name = self.standing.value
        shown = name.upper() if self.standing is Standing.ASSUMED else name
        return f"[{shown}] {self.claim}: {self.support}"


@dataclass(frozen=True)
class Check:
    """Another way to the result of a step.

    Attributes
    ----------
    way : str
        What the result is compared with.
    compare : callable
        Result ↦ whether it agrees, and in how many points it was looked at.
    """

    way: str
    compare: Callable[[Any], Verdict]


@dataclass(frozen=True)
class Deduction:
    """One step of a derivation.

    Attributes
    ----------
    statement : Statement
        What is displayed.
    rule : str
        What it follows by; empty for what is given.
    result : Any
        The expression, matrix or answer that is stated; None where a rule is recalled.
    check : Check or None
        How the result is checked; None where a rule is recalled, or no other way is known.
    """

    statement: Statement
    rule: str = ""
    result: Any = None
    check: Check | None = field(default=None, compare=False)

    @cached_property
    def verdict(self) -> Verdict | None:
        """What the check says of the result."""
        return None if self.check is None else self.check.compare(self.result)

    @property
    def remark(self) -> str:
        """By which rule it follows, and what the check found."""
        return "; ".join(x for x in (self.rule, self.finding) if x)

    @property
    def finding(self) -> str:
        """What the check found, in words."""
        if self.check is None or self.verdict is None:
            return ""
        found = {True: "agrees with", False: "CONTRADICTS", None: "not decided against"}
        return f"{found[self.verdict.value]} {self.check.way}, {self.verdict.how}"


@dataclass(frozen=True)
class Explanation:
    """A derivation in steps, in sections with titles.

    Attributes
    ----------
    sections : tuple of (title, steps)
        What is shown, in order.
    hypotheses : tuple of Hypothesis
        What the theorem asks for: proved, sampled or assumed.
    """

    sections: tuple[tuple[str, tuple[Deduction, ...]], ...]
    hypotheses: tuple[Hypothesis, ...]

    @property
    def steps(self) -> tuple[Deduction, ...]:
        """All steps, in order."""
        return tuple(step for _, steps in self.sections for step in steps)

    @property
    def assumptions(self) -> tuple[Hypothesis, ...]:
        """The hypotheses for which nothing speaks but the user's word."""
        return tuple(h for h in self.hypotheses if h.standing is Standing.ASSUMED)

    def step(self, label: str) -> Deduction:
        """The step with that label."""
        return next(step for step in self.steps if step.statement.label == label)

    def __str__(self) -> str:
        parts = []
        for number, (title, steps) in enumerate(self.sections, start=1):
            lines = [f"{number}. {title}", *(line for step in steps for line in _lines(step))]
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
        parts = [
            "\n".join([rf"\section{{{phrase(title)}}}", *(latex_step(s, page) for s in steps)])
            for title, steps in self.sections
        ]
        rows = "\n".join(
            rf"\item \emph{{{h.standing.value}}}: {phrase(h.claim)} ({phrase(h.support)})"
            for h in self.hypotheses
        )
        parts.append(f"\\section{{Hypotheses}}\n\\begin{{itemize}}\n{rows}\n\\end{{itemize}}")
        return "\n\n".join(parts)


def latex_step(step: Deduction, page: Page | None = None) -> str:
    """A step as LaTeX paragraphs, with its rule and what its check found."""
    stated = (page or Page()).statement(step.statement.label, step.statement.parts)
    return f"{stated}\n\\remarked{{{phrase(step.remark)}}}" if step.remark else stated


def _lines(step: Deduction) -> Iterator[str]:
    yield f"   {step.statement.label}: {step.statement.text}".replace("\n", "\n     ")
    if step.remark:
        yield f"      [{step.remark}]"
