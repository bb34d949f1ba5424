"""Piecewise smooth functions: their derivatives off the kinks, and where the kinks are.

sign' = 0 and Heaviside' = 0 away from their jumps; sympy writes Dirac's δ there, which no
simulation can evaluate. What holds on the pieces says nothing at a kink itself, so that the places
are recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sympy as sp

KINKED = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside, sp.Piecewise, sp.floor, sp.ceiling)
"""Functions that are not of class C³."""


def on_the_pieces(derivative: sp.Expr) -> sp.Expr:
    """A derivative of a piecewise smooth function, off its kinks; δ(0) stays, for it is nowhere
    else.
    """
    deltas = {d: sp.S.Zero for d in derivative.atoms(sp.DiracDelta) if d.args[0].free_symbols}
    return derivative.xreplace(deltas) if deltas else derivative


def kinks(expressions: Iterable[sp.Basic], noise: Iterable[sp.Symbol] = ()) -> tuple[sp.Expr, ...]:
    """Functions that vanish wherever one of the expressions is not smooth, at zero noise."""
    silent = dict.fromkeys(noise, sp.S.Zero)
    parts = {part for e in expressions for part in e.atoms(*KINKED)}
    places = {_unsigned(place.xreplace(silent)) for part in parts for place in _places(part)}
    return tuple(sorted((p for p in places if p.free_symbols), key=sp.default_sort_key))


def _places(part: sp.Basic) -> Iterator[sp.Expr]:
    if isinstance(part, sp.Max | sp.Min):
        for i, first in enumerate(part.args):
            yield from (first - second for second in part.args[i + 1 :])
    elif isinstance(part, sp.Piecewise):
        for relation in part.atoms(sp.core.relational.Relational):
            yield relation.lhs - relation.rhs
    elif isinstance(part, sp.floor | sp.ceiling):
        yield sp.sin(sp.pi * part.args[0])  # at the integers
    else:
        yield part.args[0]


def _unsigned(place: sp.Expr) -> sp.Expr:
    """The same zeros, with one sign for a function and its negative."""
    return -place if place.could_extract_minus_sign() else place


ENTIRE = (*(sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.atan, sp.erf),)
"""Functions that are analytic on the whole real line."""


def is_entire(expression: sp.Expr) -> bool:
    """Whether an expression is seen to be analytic for all real values of its symbols."""
    functions = expression.atoms(sp.Function)
    powers = expression.atoms(sp.Pow)
    return all(isinstance(f, ENTIRE) for f in functions) and all(
        not p.base.free_symbols or (p.exp.is_Integer and p.exp > 0) for p in powers
    )
