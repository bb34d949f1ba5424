"""Expressions with the measures that bound what they cost, and what names in a file stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy as sp

from .tokens import exact_number

MAX_WORK = 15_000
"""Operations spent on all expressions of a file, sums written out."""


@dataclass(frozen=True)
class Value:
    """An expression with the measures that bound the cost of handling it.

    Attributes
    ----------
    expr : Expr
        The expression.
    size, depth : int
        Nodes and depth of the tree that was typed, definitions written out.
    bits : float
        Bound on |log₂ |value|| where the symbols are of order one and nothing cancels.
    constant : bool
        Whether it holds no symbol.
    """

    expr: sp.Expr
    size: int = 1
    depth: int = 0
    bits: float = 1.0
    constant: bool = True


class Budget:
    """Operations that may still be spent on reading; one for all expressions of a file."""

    def __init__(self, left: int = MAX_WORK) -> None:
        self.left = left


Entry = Value | tuple["Entry", ...]
"""What a name stands for: a value, or an array of entries."""


def number(text: str | int) -> Value:
    """Exact value of an integer or a decimal literal; raises as `exact_number`."""
    value = exact_number(text)
    bits = abs(math.log2(abs(value.p)) - math.log2(value.q)) if value else 0.0
    return Value(value, bits=max(bits, 1.0))


def symbol(name: str) -> Value:
    """A real symbol of that name."""
    return Value(sp.Symbol(name, real=True), constant=False)
