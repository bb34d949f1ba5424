"""Statements of generated code as a tree, between the mathematics and the text of a language.

Leaves are assignments: of expressions, or, where sympy has no words for it, of what indexes a table
or draws a random number, as Python whose tree `ast` gives. `numerics.codegen` writes the tree for
numba and for NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

from derive.export.assignments import Assignments

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


class Each(For):
    """Assignments repeated for an index, independent of each other: arrays hold all of them."""


class Lanes(Each):
    """Assignments repeated for each path b of a block, which compilers turn into vector code."""

    def __init__(self, *body: Statement) -> None:
        super().__init__("b", LANES, *body)


@dataclass(frozen=True, init=False)
class If:
    """Statements under a condition."""

    condition: str
    body: tuple[Statement, ...]

    def __init__(self, condition: str, *body: Statement) -> None:
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "body", body)


Statement = str | Assignments | For | If
