"""Expressions as a table of few exact operations, for programs that know nothing of sympy.

An entry is a list: ["symbol", name], ["rational", numerator, denominator], or an operation with the
places of the earlier entries that it is applied to: sum, product, inverse, sqrt, exp, log, sin,
cos, tanh, atan, erf, abs. Other functions are written in terms of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

import sympy as sp

from ..errors import DeriveError
from ..symbolic.unknown_functions import Unknown

MOST_FACTORS = 64
"""Powers of an exponential up to which exp(n x) is written as a power of exp(x)."""


class NotCertifiedError(DeriveError):
    """No certificate can be made of this; the message says why."""


def _hyperbolic_root(x: sp.Expr) -> sp.Expr:
    """1/cosh x, which is algebraic over tanh x."""
    return sp.sqrt(1 - sp.tanh(x) ** 2)


REWRITTEN: dict[type[sp.Basic], Callable[..., sp.Expr]] = {
    type(sp.pi): lambda: 4 * sp.atan(sp.S.One, evaluate=False),
    sp.tan: lambda x: sp.sin(x) / sp.cos(x),
    sp.cot: lambda x: sp.cos(x) / sp.sin(x),
    sp.sec: lambda x: 1 / sp.cos(x),
    sp.csc: lambda x: 1 / sp.sin(x),
    sp.sinh: lambda x: sp.tanh(x) / _hyperbolic_root(x),
    sp.cosh: lambda x: 1 / _hyperbolic_root(x),
    sp.sech: _hyperbolic_root,
    sp.csch: lambda x: _hyperbolic_root(x) / sp.tanh(x),
    sp.coth: lambda x: 1 / sp.tanh(x),
    sp.asin: lambda x: sp.atan(x / sp.sqrt(1 - x**2)),
    sp.acos: lambda x: sp.pi / 2 - sp.atan(x / sp.sqrt(1 - x**2)),
    sp.asinh: lambda x: sp.log(x + sp.sqrt(x**2 + 1)),
    sp.acosh: lambda x: sp.log(x + sp.sqrt(x**2 - 1)),
    sp.atanh: lambda x: (sp.log(1 + x) - sp.log(1 - x)) / 2,
    sp.erfc: lambda x: 1 - sp.erf(x),
    sp.sign: lambda x: sp.Abs(x) / x,
    sp.Heaviside: lambda x, *_: (1 + sp.Abs(x) / x) / 2,
    sp.Max: lambda *x: reduce(lambda a, b: (a + b + sp.Abs(a - b)) / 2, x),
    sp.Min: lambda *x: reduce(lambda a, b: (a + b - sp.Abs(a - b)) / 2, x),
}
"""Functions in terms of those that a table has, where these are smooth."""

PLAIN = {f: f.__name__.lower() for f in (sp.log, sp.sin, sp.cos, sp.tanh, sp.atan, sp.erf, sp.Abs)}


class ExpressionTable:
    """Collects expressions, each distinct operation once."""

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []
        self._places: dict[tuple[Any, ...], int] = {}
        self._known: dict[sp.Basic, int] = {}
        self._names: dict[str, sp.Symbol] = {}

    def place(self, expression: Any) -> int:
        """Where an expression stands.

        Raises
        ------
        NotCertifiedError
            If it holds a function that has no word in a table.
        """
        expression = sp.sympify(expression)
        found = self._known.get(expression)
        if found is None:
            found = self._known[expression] = self._write(expression)
        return found

    def places(self, expressions: Iterable[Any]) -> list[int]:
        """Where some expressions stand."""
        return [self.place(e) for e in expressions]

    def operation(self, head: str, *parts: int | str) -> int:
        """Where an operation on earlier entries stands."""
        if head in ("sum", "product") and len(parts) == 1:
            return int(parts[0])
        key = (head, *parts)
        if key not in self._places:
            self._places[key] = len(self.entries)
            self.entries.append(list(key))
        return self._places[key]

    def power(self, base: int, exponent: int) -> int:
        """Where base^exponent stands."""
        if exponent < 0:
            return self.power(self.operation("inverse", base), -exponent)
        if exponent < 4:
            return self.operation("product", *[base] * exponent) if exponent else self.place(1)
        half = self.power(base, exponent // 2)
        return self.operation("product", half, half, *[base] * (exponent % 2))

    def polynomial(
        self, terms: Iterable[tuple[Sequence[int], Any]], unknowns: Sequence[int]
    ) -> int:
        """Where a polynomial stands: (exponents, coefficient) for each term, in some entries."""
        written = []
        for exponents, coefficient in terms:
            powers = zip(unknowns, exponents, strict=True)
            factors = [self.power(x, int(e)) for x, e in powers if e]
            number = self.operation("rational", str(coefficient.p), str(coefficient.q))
            written.append(self.operation("product", number, *factors))
        return self.operation("sum", *written) if written else self.place(0)

    def _write(self, e: sp.Expr) -> int:
        if e.is_Symbol or e.is_Rational:
            known = ("symbol", self._name(e)) if e.is_Symbol else ("rational", str(e.p), str(e.q))
            return self.operation(*known)
        if e.is_Add or e.is_Mul:
            return self.operation("sum" if e.is_Add else "product", *self.places(e.args))
        if isinstance(e, sp.Pow):
            return self._power(*e.as_base_exp())
        if type(e) in PLAIN and len(e.args) == 1:
            return self.operation(PLAIN[type(e)], self.place(e.args[0]))
        if isinstance(e, sp.exp) or e is sp.E:
            return self._exponential(e.args[0] if e.args else sp.S.One)
        if type(e) not in REWRITTEN:
            kind = "an undefined function" if isinstance(e, Unknown) else type(e).__name__
            raise NotCertifiedError(f"{kind} has no word in a certificate")
        return self.place(REWRITTEN[type(e)](*e.args))

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> int:
        if exponent.is_Integer:
            return self.power(self.place(base), int(exponent))
        if exponent.is_Rational and exponent.q == 2:
            return self.power(self.operation("sqrt", self.place(base)), int(exponent.p))
        return self._exponential(exponent * sp.log(base))

    def _exponential(self, argument: sp.Expr) -> int:
        """Exp of a sum as a product, exp(n x) as a power, so that equal factors are one unknown."""
        factors = []
        for term in sp.Add.make_args(argument):
            number, rest = term.as_coeff_Mul()
            power, rest = (
                (number.p, rest / number.q) if abs(number.p) <= MOST_FACTORS else (1, term)
            )
            factors.append(self.power(self.operation("exp", self.place(rest)), int(power)))
        return self.operation("product", *factors)

    def _name(self, symbol: sp.Symbol) -> str:
        """The name of a symbol, with primes where another one has it."""
        name = symbol.name
        while self._names.setdefault(name, symbol) != symbol:
            name += "'"
        return name
