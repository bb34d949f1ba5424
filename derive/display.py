"""What a limit says, as labelled statements; text, notebook and LaTeX cannot then disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .limit import Limit


@dataclass(frozen=True)
class Statement:
    """One line of a result: a label, the formula, and what it rests on."""

    label: str
    text: str
    latex: str


def as_text(limit: Limit) -> str:
    """The result as plain text, one statement a line."""
    statements = equations(limit)
    width = max(len(s.label) for s in statements)
    return "\n".join(f"{s.label:<{width}}  {s.text}" for s in statements)


def as_latex(limit: Limit) -> str:
    """The result as one LaTeX block."""
    rows = r" \\ ".join(rf"\text{{{s.label}}} & {s.latex}" for s in equations(limit))
    return rf"$\displaystyle \begin{{array}}{{ll}} {rows} \end{{array}}$"


def equations(limit: Limit) -> list[Statement]:
    """What the derivation found, in the order in which it is read."""
    raise NotImplementedError
