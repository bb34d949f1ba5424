r"""What a paper says of a limit: setting, hypotheses, theorem, proof, remarks.

The same content is written as LaTeX by `document`, and as HTML by `html`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...deductions.deductions import Deduction, Hypothesis
from ...display.notation import Equality, Formula, Part, Prose
from ...display.statements import Statement
from ...proofs.findings import Certificate
from .glossary import Letter

Paragraph = tuple[Part, ...]

FORMAL = "formal"
THEOREM = "theorem"


@dataclass(frozen=True)
class Article:
    """What a paper says of a limit.

    Attributes
    ----------
    title : str
        LaTeX.
    setting : tuple of Paragraph
        The recursion, the model, its noise and its Γ.
    letters : tuple of Letter
        Letters of the theory that may occur, with their definitions.
    hypotheses : tuple of Hypothesis
        What is asked for, and what that rests on.
    kind : str
        "theorem", or "formal" for an expansion that no theorem covers.
    theorem : tuple of Paragraph
        What converges, in which sense, until when, and to what.
    argument : tuple of Paragraph
        Why, by reference.
    steps : tuple of Deduction
        The computation.
    remarks : tuple of Paragraph
        What else is known.
    row : tuple of Paragraph
        The cells of a row of a table: class, time scale, limit.
    certificate : Certificate or None
        What of the verdicts was proved.
    """

    title: str
    setting: tuple[Paragraph, ...]
    letters: tuple[Letter, ...]
    hypotheses: tuple[Hypothesis, ...]
    kind: str
    theorem: tuple[Paragraph, ...]
    argument: tuple[Paragraph, ...]
    steps: tuple[Deduction, ...]
    remarks: tuple[Paragraph, ...]
    row: tuple[Paragraph, ...]
    certificate: Certificate | None = None


def prose(latex: str) -> Paragraph:
    """A paragraph of one phrase."""
    return (Prose(latex),)


def weights_of(problem: Any) -> Formula:
    """The weights w ∈ R^N of a problem."""
    names = interleaved(problem.weights, r",\, ")
    return Formula(("w = (", *names, rf") \in \mathbb{{R}}^{{{problem.dimension}}}"))


def constraints_of(statements: Mapping[str, Statement]) -> list[Equality]:
    """The equations of Γ among what is printed of a limit."""
    return [p for p in statements["Γ"].parts if isinstance(p, Equality)]


def listed(items: Iterable[str]) -> str:
    """Words joined by commas and "and"."""
    found = list(items)
    if len(found) < 2:
        return "".join(found)
    return ", ".join(found[:-1]) + " and " + found[-1]


def interleaved(items: Iterable[Any], between: Any) -> Iterator[Any]:
    """The items with something between them."""
    for number, item in enumerate(items):
        if number:
            yield between
        yield item
