"""Reduction of expressions modulo the constraints of Γ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.polys.polyerrors import PolynomialError

from .calculus import Substitution
from .effort import (
    BASIS,
    BASIS_DEGREE,
    BASIS_TERMS,
    DEGREE,
    DIVISION,
    REDUCED,
    SHORTENED,
    SHORTENED_IN_ALL,
    SIMPLIFIED,
    TERMS,
    degree,
    expanded_terms,
    operations,
    shortening,
    within,
)
from .unknown_functions import Unknown


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
        expression = self._without_constraints(expression)
        if expression == 0:
            return True
        if not within(REDUCED, expression) or degree(expression) > DEGREE:
            return False
        return self.remainder(sp.numer(sp.together(expression))) == 0

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """An expression equal to the given one on Γ and as short as reduction makes it."""
        found = self._short.get(expression)
        if found is None:
            found = self._short[expression] = self._shortened(expression)
        return found

    @cached_property
    def _short(self) -> dict[sp.Expr, sp.Expr]:
        """Shortest forms that were asked for, for the same entries recur in P, S, P S, …"""
        return {}

    def _shortened(self, expression: sp.Expr) -> sp.Expr:
        expression = self._without_constraints(expression)
        if shortening(expression) > SHORTENED:
            return self._reduced(expression)
        numerator, denominator = sp.fraction(sp.together(expression))
        tops = {numerator, self.remainder(numerator)} - {None}
        # Powers in a denominator are kept if they can be: reduction would expand them for good.
        bottoms = {denominator, self.remainder(denominator)} - {None, sp.S.Zero}
        quotients = {top / bottom for top in tops for bottom in bottoms}
        few = (q for q in quotients if shortening(q) <= SHORTENED)
        candidates = [sp.factor(sp.cancel(q)) for q in sorted(few, key=sp.default_sort_key)]
        return min([expression, *candidates], key=sp.count_ops)

    def shortest_entries(self, matrix: sp.Matrix) -> sp.Matrix:
        """The matrix with its entries in their shortest form, from the shortest on.

        Those for which the work allowed for a whole matrix is used up stay as they are.
        """
        matrix = matrix.applyfunc(self._without_constraints)
        left, short = SHORTENED_IN_ALL, {}
        least = 10 * (10 + len(self.weights))  # to set a division up
        entries = sorted({*matrix}, key=lambda x: (operations(x), sp.default_sort_key(x)))
        for entry in entries:
            left -= max(least, operations(entry) * degree(entry) ** 2)
            short[entry] = self.shortest(entry) if left >= 0 else entry
        return matrix.applyfunc(short.__getitem__)

    def _reduced(self, expression: sp.Expr) -> sp.Expr:
        """A polynomial of many unknowns divided by the constraints, which is cheap if it is short.

        The sum of the squares of forty weights is 1 on the unit sphere.
        """
        if not within(REDUCED, expression) or not expression.is_polynomial(*self.weights):
            return expression
        remainder = self.remainder(expression)
        if remainder is None or operations(remainder) >= operations(expression):
            return expression
        return remainder

    def _without_constraints(self, expression: sp.Expr) -> sp.Expr:
        """The expression with 0 for constraints as they stand, so that cos g is 1 where g = 0.

        What stands inside functions is divided by the constraints: exp(a b) is 9 where a b = log 9.
        """
        if self._zeros:
            expression = Substitution(self._zeros)(expression)
        if not self._has_polynomials:
            return expression
        weights = {*self.weights}
        found = {
            f
            for f in expression.atoms(sp.Function)
            if f.free_symbols & weights and not isinstance(f, Unknown)
        }
        known = {f: f.func(*map(self._divided_inside, f.args)) for f in found}
        return (
            Substitution(known)(expression) if any(f != g for f, g in known.items()) else expression
        )

    def _divided_inside(self, argument: sp.Expr) -> sp.Expr:
        if not argument.is_polynomial(*self.weights) or not within(REDUCED, argument):
            return argument
        remainder = self.remainder(argument)
        if remainder is None:
            return argument
        constant = not remainder.free_symbols & {*self.weights}
        return remainder if constant or operations(remainder) < operations(argument) else argument

    @cached_property
    def _has_polynomials(self) -> bool:
        """Whether a constraint is a polynomial, which is all that divides one."""
        return any(b.is_polynomial(*self.weights) for b in self._basis)

    @cached_property
    def _zeros(self) -> dict[sp.Expr, sp.Expr]:
        """Constraints as they stand, for those inside functions: cos g is 1 where g = 0."""
        return dict.fromkeys(self.constraints, sp.Integer(0))

    def remainder(self, polynomial: sp.Expr) -> sp.Expr | None:
        """Remainder of the division by the basis; None where there is none, or it is too long."""
        if expanded_terms(polynomial) > TERMS or degree(polynomial) > DEGREE:
            return None
        polynomial = sp.expand(polynomial)
        if polynomial == 0:
            return polynomial
        if not polynomial.free_symbols:
            return polynomial
        try:
            found = {*_generators(polynomial), *self._unknowns} - {*self.weights}
            # The order of the weights is that of the basis: it says which are eliminated.
            generators = [*self.weights, *sorted(found, key=sp.default_sort_key)]
            basis = [*self._basis, *_circle_relations(generators)]
            if not basis:
                return None
            _, (dividend, *divisors) = sp.sring(
                [polynomial, *basis], *generators, order="grevlex", field=True
            )
        except PolynomialError:
            return None
        rest = _divided(dividend, [d for d in divisors if d])
        return None if rest is None else rest.as_expr()

    @cached_property
    def _unknowns(self) -> frozenset[sp.Expr]:
        """The weights, and the functions of them that occur in the constraints."""
        found = {g for b in self._basis for g in _generators(b)}
        weights = frozenset(self.weights)
        return weights | {g for g in found if g.free_symbols & weights}

    @cached_property
    def _basis(self) -> list[sp.Expr]:
        numerators = [sp.numer(sp.together(c)) for c in self.constraints]
        if 1 < len(numerators) <= BASIS and self._has_basis(numerators):
            return list(sp.groebner(numerators, *self.weights, order="grevlex").exprs)
        return [n for n in numerators if within(REDUCED, n) and expanded_terms(n) <= TERMS]

    def _has_basis(self, numerators: Sequence[sp.Expr]) -> bool:
        """Whether the Gröbner basis of the constraints is worth computing."""
        return (
            all(n.is_polynomial(*self.weights) for n in numerators)
            and math.prod(map(degree, numerators)) <= BASIS_DEGREE
            and sum(map(expanded_terms, numerators)) <= BASIS_TERMS
        )


def simpler(expression: sp.Expr, coordinates: tuple[sp.Symbol, ...]) -> sp.Expr:
    """A shorter form of an expression in the coordinates of a chart, where one is found cheaply.

    Sines and cosines are unknowns with sin² + cos² = 1; only what is short then is given to sympy's
    `simplify`, which tries everything.
    """
    short = Ideal((), coordinates).shortest(expression)
    return sp.simplify(short) if within(SIMPLIFIED, short) else short


def _generators(polynomial: sp.Expr) -> tuple[sp.Expr, ...]:
    """Symbols and functions in which an expression is a polynomial."""
    return sp.sring(polynomial)[0].symbols if polynomial.free_symbols else ()


def _circle_relations(generators: Sequence[sp.Expr]) -> list[sp.Expr]:
    """sin² + cos² − 1 for each argument of which both occur."""
    sines = {g.args[0] for g in generators if isinstance(g, sp.sin)}
    cosines = {g.args[0] for g in generators if isinstance(g, sp.cos)}
    return [sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1 for a in sines & cosines]


def _divided(dividend: Any, divisors: Sequence[Any]) -> Any:
    """Remainder of polynomials of one ring, by leading terms; None beyond `DIVISION` of work.

    In several unknowns a division may go on through far more terms than it begins with.
    """
    ring, work = dividend.ring, 0
    leading = [(d.leading_expv(), d.LC, d) for d in divisors]
    rest = ring.zero
    while dividend:
        work += len(dividend)
        if work > DIVISION:
            return None
        monomial = dividend.leading_expv()
        for other, coefficient, divisor in leading:
            quotient = ring.monomial_div(monomial, other)
            if quotient is not None:
                factor = dividend[monomial] / coefficient
                dividend = dividend - divisor.mul_term((quotient, factor))
                break
        else:
            rest[monomial] = dividend.pop(monomial)
    return rest
