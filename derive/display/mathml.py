"""Statements as HTML, their formulas as MathML, which browsers show without further help."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from latex2mathml.converter import convert

from .notation import Notation, Part, Words
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


def _part(part: Part) -> str:
    """Words as text, so that narrow screens can break it; all else as MathML."""
    if isinstance(part, Words):
        return escape(part.text)
    return str(convert(Notation().line((part,)), display="inline"))
