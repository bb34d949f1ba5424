"""The characters of an expression: what may stand in it before any parser sees it."""

from __future__ import annotations

import keyword
import re
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import sympy as sp

from ...errors import ModelFileError

MAX_LENGTH = 20_000
"""Characters of one expression."""

MAX_BRACKETS = 50
"""Depth of nested brackets."""

MAX_DIGITS = 100
"""Digits of a number, before or after the decimal point."""

_TOKEN = re.compile(
    r"(?P<blank>[ \t\n]+)|(?P<name>[^\W\d]\w*)|(?P<operator>\*\*|[-+*/,()\[\]])"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
)
_HINTS = {
    "^": "; a power is written **",
    ".": "; an expression has no attributes",
    "=": "; name parts of an expression under [let]",
    "'": "; an expression holds no text",
    '"': "; an expression holds no text",
}


def exact_number(text: str | int) -> sp.Rational:
    """Exact value of an integer or a decimal literal.

    Raises
    ------
    ModelFileError
        If it is not finite or has more than `MAX_DIGITS` digits.
    """
    # A decimal keeps its exponent apart, so that 1e999999999 is refused before it is written out.
    try:
        decimal = Decimal(text)
    except InvalidOperation:
        raise ModelFileError(f"expected a number, got {shorten(str(text))}") from None
    if not decimal.is_finite():
        raise ModelFileError(f"expected a finite number, got {text}")
    if len(decimal.as_tuple().digits) > MAX_DIGITS or abs(decimal.adjusted()) > MAX_DIGITS:
        raise ModelFileError(f"expected a number of at most {MAX_DIGITS} digits")
    return sp.Rational(*decimal.as_integer_ratio())


def check_tokens(text: str) -> None:
    """Refuse a text that holds more than names, numbers, arithmetic and balanced brackets.

    Raises
    ------
    ModelFileError
        With line and column.
    """
    if len(text) > MAX_LENGTH:
        fail_at(text, 0, f"expected at most {MAX_LENGTH} characters, got {len(text)}")
    if not text.strip():
        fail_at(text, 0, "expected an expression, got nothing")
    opened: list[str] = []
    previous, end = "", 0
    while match := _TOKEN.match(text, end):
        kind, token, start, end = match.lastgroup, match.group(), match.start(), match.end()
        if kind == "name":
            _check_name(text, start, token, previous)
        elif kind == "number":
            try:
                exact_number(token)
            except ModelFileError as error:
                fail_at(text, start, error.reason)
        elif token in ("(", "["):
            opened.append(token)
            if len(opened) > MAX_BRACKETS:
                fail_at(text, start, f"brackets nested deeper than {MAX_BRACKETS}")
        elif token in (")", "]") and (not opened or opened.pop() + token not in ("()", "[]")):
            fail_at(text, start, f"{token} closes no bracket")
        previous = kind or ""
    if end < len(text):
        fail_at(text, end, f"unexpected {text[end]!r}{_HINTS.get(text[end], '')}")
    if opened:
        fail_at(text, end, f"{opened[-1]} is never closed")


def _check_name(text: str, start: int, name: str, previous: str) -> None:
    if previous == "number":
        fail_at(text, start, f"a name follows a number; a product is written 2*{shorten(name)}")
    if keyword.iskeyword(name) or "__" in name:
        fail_at(text, start, f"{shorten(name)} has no place in an expression")


def fail_at(text: str, offset: int, reason: str) -> NoReturn:
    """Raise the error for the character at `offset`."""
    line_start = text.rfind("\n", 0, offset) + 1
    position = (text.count("\n", 0, offset) + 1, offset - line_start + 1)
    raise ModelFileError(reason, position=position) from None


def shorten(text: str, length: int = 60) -> str:
    """The text, cut where it would fill an error message."""
    return text if len(text) <= length else text[: length - 1] + "…"
