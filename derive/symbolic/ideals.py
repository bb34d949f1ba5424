"""Reduction of expressions modulo the constraints of Γ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp
from sympy.polys.polyerrors import PolynomialError

from .calculus import DEGREE_LIMIT, degree

REDUCTION_LIMIT = 1500
"""Operations up to which membership in the ideal is tried."""

SHORTENING_LIMIT = 2500
"""Operations times the square of the number of unknowns up to which a shorter form is sought:
above this size factoring is too slow, and the result too long to read."""

BASIS_LIMIT = 3
"""Number of constraints up to which their Gröbner basis is computed."""


@dataclass(frozen=True)
class Ideal:
    """The ideal of the constraints, in the weights and the functions of the weights that occur.

    A remainder of zero proves that an expression vanishes on Γ; a non-zero one proves nothing.
    Functions such as tanh(w) are taken as further unknowns, which keeps the proof valid.
    """

    constraints: tuple[sp.Expr, ...]
    weights: tuple[sp.Symbol, ...]

    def contains(self, expression: sp.Expr) -> bool:
        """Whether the expression is shown to vanish on Γ."""
        expression = expression.xreplace(self._zeros)
        if expression == 0:
            return True
        if expression.count_ops() > REDUCTION_LIMIT or degree(expression) > DEGREE_LIMIT:
            return False
        return self.remainder(sp.numer(sp.together(expression))) == 0

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """An expression equal to the given one on Γ and as short as reduction makes it."""
        expression = expression.xreplace(self._zeros)
        unknowns = len(expression.free_symbols) + len(expression.atoms(sp.Function))
        if (
            expression.count_ops() * unknowns**2 > SHORTENING_LIMIT
            or degree(expression) > DEGREE_LIMIT
        ):
            return expression
        numerator, denominator = sp.fraction(sp.together(expression))
        candidates = [expression]
        # Powers in a denominator are kept if they can be: reduction would expand them for good.
        for bottom in (denominator, self.remainder(denominator)):
            for top in (numerator, self.remainder(numerator)):
                if top is not None and bottom is not None and bottom != 0:
                    candidates.append(sp.factor(sp.cancel(top / bottom)))
        return min(candidates, key=sp.count_ops)

    @cached_property
    def _zeros(self) -> dict[sp.Expr, sp.Expr]:
        """Constraints as they stand, for those inside functions: cos g is 1 where g = 0."""
        return dict.fromkeys(self.constraints, sp.Integer(0))

    def remainder(self, polynomial: sp.Expr) -> sp.Expr | None:
        """Remainder of the division by the basis; None where there is nothing to divide by."""
        polynomial = sp.expand(polynomial)
        if polynomial == 0:
            return polynomial
        try:
            generators = self._generators((polynomial, *self.constraints))
            basis = [*self._basis, *_circle_relations(generators)]
            if not basis:
                return None
            _, remainder = sp.reduced(polynomial, basis, *generators, order="grevlex", field=True)
        except PolynomialError:
            return None
        return remainder

    def _generators(self, polynomials: Sequence[sp.Expr]) -> list[sp.Expr]:
        found: set[sp.Expr] = set(self.weights)
        for p in polynomials:
            if p.free_symbols:
                found |= {g for g in sp.Poly(p).gens if g.free_symbols & set(self.weights)}
        return sorted(found, key=sp.default_sort_key)

    @cached_property
    def _basis(self) -> list[sp.Expr]:
        numerators = [sp.numer(sp.together(c)) for c in self.constraints]
        if 1 < len(numerators) <= BASIS_LIMIT and all(n.is_polynomial() for n in numerators):
            return list(sp.groebner(numerators, *self.weights, order="grevlex").exprs)
        return [n for n in numerators if n.count_ops() <= REDUCTION_LIMIT]


def _circle_relations(generators: Sequence[sp.Expr]) -> list[sp.Expr]:
    """sin² + cos² − 1 for each argument of which both occur."""
    sines = {g.args[0] for g in generators if isinstance(g, sp.sin)}
    cosines = {g.args[0] for g in generators if isinstance(g, sp.cos)}
    return [sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1 for a in sines & cosines]
