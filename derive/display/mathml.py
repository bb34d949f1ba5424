"""Statements as HTML, their formulas as MathML, which browsers show without further help."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from latex2mathml.converter import convert

from .notation import Notation, Part, Prose, Words
from .statements import Statement


def statement_html(statement: Statement) -> str:
    """What is stated, without its label."""
    return ", ".join(map(_part, statement.parts))


def statements_table(statements: Iterable[Statement]) -> str:
    """One row per statement, in the style of the page around it."""
    rows = "\n".join(
        f'<tr><th scope="row" style="text-align: left">{escape(s.label)}</th>'
        f'<td style="text-align: left">{statement_html(s)}</td></tr>'
        for s in statements
    )
    return f"<table><tbody>{rows}</tbody></table>"


def paragraph_html(parts: Iterable[Part]) -> str:
    """Parts one after the other, as they are read."""
    return " ".join(map(_part, parts))


def prose_html(latex: str) -> str:
    """A phrase in LaTeX, its formulas as MathML."""
    shown, end = [], 0
    for formula in _FORMULA.finditer(latex):
        shown.append(_plain(latex[end : formula.start()]))
        inline, apart = formula.groups()
        shown.append(str(convert(inline or apart, display="inline" if inline else "block")))
        end = formula.end()
    return "".join([*shown, _plain(latex[end:])])


def _plain(latex: str) -> str:
    latex = _EMPHASIS.sub(r"<em>\1</em>", escape(latex, quote=False))
    for command, tag in _TAGS.items():
        latex = latex.replace(command, tag)
    return latex


_FORMULA = re.compile(r"\$(.*?)\$|\\\[(.*?)\\\]", re.DOTALL)
_EMPHASIS = re.compile(r"\\emph\{([^{}]*)\}")
_TAGS = {"---": "—", "--": "–", "~": " ", "``": "“", "''": "”", r"\'e": "é", r"\^o": "ô"}


def _part(part: Part) -> str:
    """Words as text, so that narrow screens can break it; all else as MathML."""
    if isinstance(part, Words):
        return escape(part.text)
    if isinstance(part, Prose):
        return prose_html(part.latex)
    return str(convert(Notation().line((part,)), display="inline"))
