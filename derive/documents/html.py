"""The statement of a theorem with its hypotheses as HTML, the same as in the LaTeX document."""

from __future__ import annotations

from html import escape
from typing import Any

from ..display.latex_layout import Page
from ..display.mathml import paragraph_html, prose_html
from ..display.notation import capitalised
from .articles.article import FORMAL, Article
from .articles.descent import article
from .articles.glossary import definitions, math_of


def statement_of(limit: Any) -> str:
    """Theorem, notation and hypotheses of a limit, without headings.

    Parameters
    ----------
    limit : Limit or JumpLimit
        What was derived.
    """
    stated = article(limit)
    name = "Formal limit" if stated.kind == FORMAL else "Theorem"
    first, *rest = stated.theorem
    shown = [f"<p><strong>{name}.</strong> {paragraph_html(first)}</p>"]
    shown += [f"<p>{paragraph_html(parts)}</p>" for parts in rest]
    return "\n".join([*shown, _notation(stated), _hypotheses(stated)])


def _notation(stated: Article) -> str:
    write = Page().paragraph
    formulas = math_of("\n".join(map(write, (*stated.setting, *stated.theorem))))
    letters = definitions(formulas, stated.letters)
    items = "".join(f"<li>{prose_html(letter.definition)}</li>" for letter in letters)
    return f"<details><summary>Notation</summary><ul>{items}</ul></details>"


def _hypotheses(stated: Article) -> str:
    items = "".join(
        f"<li>{escape(capitalised(h.claim))}. "
        f"[<em>{escape(h.standing.value)}</em>: {escape(h.support)}]</li>"
        for h in stated.hypotheses
    )
    return f"<p>Hypotheses:</p><ol>{items}</ol>"
