"""Reading minimisers off a loss that is made of outer functions of few quantities, L = F(u(w)).

A cross-entropy of a model h(w), smoothed labels in it, is F(h) with F(u) = log(1 + eᵘ) − qu. What
F says of its own minimum holds for every model: Γ is where ∂F/∂u = 0. Where F is a sum of functions
of one quantity each, with u* the minimiser of one of them, L is a constant and the sum of the
½ F''(u*) (u − u*)² up to the third order. The limit asks for no more: what F'''(u*) adds to D³L[S],
(∇u·S∇u) ∇u, is normal to Γ, and zero for a tangential S.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp
from sympy.polys.polyerrors import PolynomialError

from ...symbolic.effort import FACTORED, within
from ..constraints import Square

OUTER = (sp.exp, sp.log, sp.cosh, sp.sinh)
"""Functions that losses put around the quantities that a model computes."""

QUANTITIES = 40
"""Quantities up to which a loss is read as a function of them."""


@dataclass(frozen=True)
class Composition:
    """L(w) = F(u(w)).

    Attributes
    ----------
    outer : Expr
        F, in the symbols of the quantities.
    inner : dict of Symbol to Expr
        The quantities u, as functions of the weights.
    """

    outer: sp.Expr
    inner: dict[sp.Symbol, sp.Expr]

    @property
    def equations(self) -> tuple[sp.Expr, ...]:
        """∂F/∂u, which vanish at minimisers; ratios of exponentials are solved for."""
        slopes = [sp.together(self.outer.diff(u)) for u in self.inner]
        found = _exponents(slopes, tuple(self.inner)) or slopes
        return tuple(e.xreplace(self.inner) for e in found)

    @property
    def squares(self) -> tuple[Square, ...] | None:
        """(F'', u − u*) for each quantity, if F is a sum of functions of one, with one minimum."""
        found = []
        for u, part in self._parts.items():
            if part is None or (least := _minimiser(part, u)) is None:
                return None
            curvature = sp.cancel(part.diff(u, 2).xreplace({u: least}))
            found.append((curvature, self.inner[u] - least))
        return tuple(found)

    @property
    def _parts(self) -> dict[sp.Symbol, sp.Expr | None]:
        """F as a sum of functions of one quantity each; None for a quantity that is not alone."""
        parts: dict[sp.Symbol, sp.Expr | None] = dict.fromkeys(self.inner, sp.S.Zero)
        for term in sp.Add.make_args(self.outer):
            used = [u for u in self.inner if term.has(u)]
            for u in used:
                so_far = parts[u]
                parts[u] = None if so_far is None or len(used) > 1 else so_far + term
        return parts


def read_composition(loss: sp.Expr, weights: frozenset[sp.Symbol]) -> Composition | None:
    """The loss as a function of the arguments of its exponentials, logarithms and squares.

    None where it is not one of them alone: they may stand beside, linearly, but nothing else.
    """
    arguments = list(dict.fromkeys(_arguments(loss, weights)))
    inner: dict[sp.Symbol, sp.Expr] = {}
    names: dict[sp.Expr, sp.Symbol] = {}
    places = {}
    for argument in arguments:
        constant, rest = argument.as_independent(*weights, as_Add=True)
        factor, quantity = _normal(rest)
        if quantity not in names:
            names[quantity] = sp.Dummy(f"u{len(names) + 1}", real=True)
            inner[names[quantity]] = quantity
        places[argument] = constant + factor * names[quantity]
    if not inner or len(inner) > QUANTITIES or not within(10 * FACTORED, loss):
        return None
    outer = sp.expand_mul(loss.xreplace(places))
    beside = [term for term in sp.Add.make_args(outer) if term.free_symbols & weights]
    factors = _combination(sp.Add(*beside), list(inner.values()), weights)
    if factors is None:
        return None
    linear = sp.Add(*(b * u for b, u in zip(factors, inner, strict=True)))
    return Composition(outer - sp.Add(*beside) + linear, inner)


def _arguments(loss: sp.Expr, weights: frozenset[sp.Symbol]) -> Iterator[sp.Expr]:
    """Innermost arguments of outer functions, and bases of powers beside them."""

    def is_outer(e: sp.Basic) -> bool:
        power = e.is_Pow and e.exp.is_Integer and e.exp > 1 and e.base.is_Add
        return bool((isinstance(e, OUTER) or power) and e.free_symbols & weights)

    for e in sp.preorder_traversal(loss):
        if is_outer(e) and not any(is_outer(part) for part in sp.preorder_traversal(e.args[0])):
            yield e.args[0]


def _normal(quantity: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(b, u) with quantity = bu, so that u and −u, or u and 2u, are told to be one."""
    factor, quantity = quantity.as_content_primitive()
    if quantity.could_extract_minus_sign():
        factor, quantity = -factor, -quantity
    return factor, quantity


def _combination(
    expression: sp.Expr, quantities: list[sp.Expr], weights: frozenset[sp.Symbol]
) -> list[sp.Expr] | None:
    """Coefficients, free of the weights, with which the quantities add up to an expression."""
    wanted, *given = (_coefficients(e, weights) for e in (expression, *quantities))
    monomials = [*dict.fromkeys(m for row in (wanted, *given) for m in row)]
    if not monomials:
        return [sp.S.Zero] * len(quantities)
    matrix = sp.Matrix([[row.get(m, sp.S.Zero) for row in given] for m in monomials])
    right = sp.Matrix([wanted.get(m, sp.S.Zero) for m in monomials])
    if not any(right):
        return [sp.S.Zero] * len(quantities)
    unknown = [sp.Dummy() for _ in quantities]
    solutions = list(sp.linsolve((matrix, right), *unknown))
    if not solutions:
        return None
    return [x.xreplace(dict.fromkeys(unknown, sp.S.Zero)) for x in solutions[0]]


def _coefficients(e: sp.Expr, weights: frozenset[sp.Symbol]) -> dict[sp.Expr, sp.Expr]:
    """Factors free of the weights of the products in an expression, multiplied out."""
    found: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(e)):
        factor, monomial = term.as_independent(*weights, as_Add=False)
        found[monomial] = found.get(monomial, sp.S.Zero) + factor
    return {m: c for m, c in found.items() if c != 0}


def _minimiser(part: sp.Expr, u: sp.Symbol) -> sp.Expr | None:
    """The u at which a function of it has its one minimum, where that is solved for."""
    slope = part.diff(u).rewrite(sp.exp)
    t = sp.Dummy("t", positive=True)
    exponential = sp.expand(slope, power_exp=True).subs(sp.exp(u), t)
    unknown = t if not exponential.has(u) else u
    polynomial = sp.numer(sp.cancel(exponential if unknown is t else slope))
    if not polynomial.is_polynomial(unknown) or sp.degree(polynomial, unknown) not in (1, 2):
        return None
    roots = sp.roots(sp.Poly(polynomial, unknown))
    places = [_log(x) if unknown is t else x for x in map(sp.factor, roots)]
    if len(places) > 1:
        places = [x for x in places if x.is_real and part.diff(u, 2).xreplace({u: x}).is_positive]
    return places[0] if len(places) == 1 and places[0].is_real is not False else None


def _exponents(slopes: list[sp.Expr], quantities: tuple[sp.Symbol, ...]) -> list[sp.Expr] | None:
    """Equations u − … = 0 for slopes that are linear in the exponentials of the quantities."""
    exponentials = [sp.Dummy(positive=True) for _ in quantities]
    pairs = list(zip(quantities, exponentials, strict=True))
    numerators = [sp.numer(sp.together(s.subs([(sp.exp(u), t) for u, t in pairs]))) for s in slopes]
    if any(n.has(*quantities) for n in numerators):
        return None
    try:
        solutions = list(sp.linsolve(numerators, *exponentials))
    except (ValueError, PolynomialError):  # not linear in them
        return None
    if len(solutions) != 1 or any(x == 0 for x in solutions[0]):
        return None
    equations = []
    for (u, t), x in zip(pairs, solutions[0], strict=True):
        factor, other = sp.factor(x).as_independent(*exponentials, as_Add=False)
        if other != 1 and other not in exponentials:
            return None
        beside = sp.S.Zero if other == 1 else quantities[exponentials.index(other)]
        if other is not t:
            equations.append(u - beside - _log(factor))
    return equations


def _log(ratio: sp.Expr) -> sp.Expr:
    """Log of a ratio that is positive where there is a minimum, without signs that cancel."""
    top, bottom = sp.fraction(ratio)
    return sp.log(min(top / bottom, (-top) / (-bottom), key=sp.count_ops))
