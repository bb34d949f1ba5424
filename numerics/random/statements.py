"""Statements of generated code as a tree, between the mathematics and the text of a language.

The leaves are assignments of scalars, as text. A language is a function of the tree, as `in_python`
is for numba: another one says how it writes the three nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lanes import LANES


@dataclass(frozen=True, init=False)
class For:
    """Statements repeated for an index.

    Attributes
    ----------
    index, over : str
        Name of the index, and its range: "stop", "start, stop" or "start, stop, step".
    body : tuple of Statement
        What is repeated.
    """

    index: str
    over: str
    body: tuple[Statement, ...]

    def __init__(self, index: str, over: object, *body: Statement) -> None:
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "over", str(over))
        object.__setattr__(self, "body", body)


@dataclass(frozen=True, init=False)
class Lanes:
    """Statements repeated for each path b of a block, which compilers turn into vector code."""

    body: tuple[Statement, ...]

    def __init__(self, *body: Statement) -> None:
        object.__setattr__(self, "body", body)


@dataclass(frozen=True, init=False)
class If:
    """Statements under a condition."""

    condition: str
    body: tuple[Statement, ...]

    def __init__(self, condition: str, *body: Statement) -> None:
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "body", body)


Statement = str | For | Lanes | If


def in_python(statements: Sequence[Statement], depth: int = 0) -> list[str]:
    """Lines of Python, for numba to compile."""
    lines = []
    for statement in statements:
        head, body = _head(statement)
        lines += ["    " * depth + head, *in_python(body, depth + 1)]
    return lines


def _head(statement: Statement) -> tuple[str, tuple[Statement, ...]]:
    """The first line of a statement, and what is indented below it."""
    match statement:
        case For():
            return f"for {statement.index} in range({statement.over}):", statement.body
        case Lanes():
            return f"for b in range({LANES}):", statement.body
        case If():
            return f"if {statement.condition}:", statement.body
    return statement, ()
