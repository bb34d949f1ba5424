"""Functions of which nothing is said, L(w), r(w), h(x; w): their derivatives, and a generic one.

An `Unknown` is a partial derivative of such a function at some arguments. Differentiating it by
the chain rule gives further ones, so expressions made of them stay short, which those with
sympy's `Subs` do not. Numbers are those of one function of the kind, drawn at random once and for
all: an expression in the derivatives that does not vanish there vanishes for no generic function.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.core.symbol import Str

SMOOTH, LOSS = Str("smooth"), Str("loss")
"""Any smooth function; one that is ≥ 0 and zero on a manifold of codimension one."""

DRAWN = 12
"""Denominator of the random numbers that a generic function is made of."""


class Unknown(sp.Function):
    """The derivative of some orders of an unknown function: args are name, kind, orders, slots."""

    is_real = True

    @property
    def name(self) -> str:
        """What the user calls the function."""
        return str(self.args[0].name)

    @property
    def orders(self) -> tuple[int, ...]:
        """How often it is differentiated in each slot."""
        return tuple(int(k) for k in self.args[2])

    @property
    def slots(self) -> tuple[sp.Expr, ...]:
        """Where it is taken."""
        return self.args[3:]

    def _eval_is_nonnegative(self) -> bool | None:
        return True if self.args[1] == LOSS and not any(self.orders) else None

    def _eval_derivative(self, s: sp.Symbol) -> sp.Expr:
        return sp.Add(
            *(
                self._raised(i) * slope
                for i, slot in enumerate(self.slots)
                if (slope := slot.diff(s)) != 0
            )
        )

    def _raised(self, slot: int) -> Unknown:
        orders = [k + (i == slot) for i, k in enumerate(self.orders)]
        return Unknown(*self.args[:2], sp.Tuple(*orders), *self.slots)

    def instance(self) -> sp.Expr:
        """The same derivative of the generic function of that name."""
        symbols, value = _generic(self.name, len(self.slots), self.args[1] == LOSS, self.orders)
        return value.xreplace(dict(zip(symbols, self.slots, strict=True)))

    def _eval_subs(self, old: sp.Basic, new: sp.Basic) -> sp.Expr | None:
        """The same derivative of the function that is given for the unknown one of that name."""
        if not (isinstance(old, UndefinedFunction) and old.__name__ == self.name):
            return None
        symbols, body = new.variables, new.expr
        for symbol, order in zip(symbols, self.orders, strict=True):
            body = body.diff(symbol, order)
        return body.xreplace(dict(zip(symbols, self.slots, strict=True)))

    def _sympystr(self, printer: Any) -> str:
        inside = ", ".join(printer._print(x) for x in self.slots)
        if not any(self.orders):
            return f"{self.name}({inside})"
        marks = "".join(f"∂{_lowered(i + 1)}{_raised(k)}" for i, k in enumerate(self.orders) if k)
        return f"{marks}{self.name}" + ("" if self._is_plain else f"({inside})")

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        name = printer._print(sp.Symbol(self.name))
        inside = ", ".join(printer._print(x) for x in self.slots)
        marks = " ".join(
            rf"\partial_{{{i + 1}}}" + (f"^{{{k}}}" if k > 1 else "")
            for i, k in enumerate(self.orders)
            if k
        )
        short = bool(marks) and self._is_plain
        text = f"{marks} {name}".strip() + ("" if short else rf"\left({inside}\right)")
        if exp is None:
            return text
        return rf"\left({text}\right)^{{{exp}}}" if marks else rf"{text}^{{{exp}}}"

    @property
    def _is_plain(self) -> bool:
        """Whether it is taken at symbols, which then need not be shown beside a derivative."""
        return all(x.is_Symbol for x in self.slots) and len({*self.slots}) == len(self.slots)


def with_unknowns(expression: sp.Expr) -> sp.Expr:
    """The expression with an `Unknown` for each undefined function applied to arguments."""
    if not expression.has(AppliedUndef):
        return expression
    applied = expression.replace(
        lambda e: isinstance(e, AppliedUndef),
        lambda e: Unknown(Str(e.func.__name__), SMOOTH, sp.Tuple(*(0 for _ in e.args)), *e.args),
    )
    return applied.replace(
        lambda e: isinstance(e, sp.Derivative | sp.Subs) and e.has(Unknown), lambda e: e.doit()
    )


def as_losses(expression: Any, names: set[str]) -> Any:
    """The expression with the unknown functions of these names taken to be losses."""
    return expression.replace(
        lambda e: isinstance(e, Unknown) and e.name in names,
        lambda e: Unknown(e.args[0], LOSS, *e.args[2:]),
    )


def at_instance(expression: sp.Expr) -> sp.Expr:
    """The expression for the generic functions."""
    return expression.replace(lambda e: isinstance(e, Unknown), lambda e: e.instance())


def loss_names(loss: sp.Expr) -> set[str]:
    """Unknown functions that are terms of a loss as they stand."""
    terms = (term.as_coeff_Mul() for term in sp.Add.make_args(loss))
    return {f.name for c, f in terms if isinstance(f, Unknown) and c.is_positive}


def unknown_names(*expressions: sp.Basic | None) -> tuple[str, ...]:
    """Names of the unknown functions that occur."""
    found = (e.atoms(Unknown) for e in expressions if e is not None)
    return tuple(sorted({f.name for f in set().union(*found)}))


@cache
def _generic(
    name: str, arity: int, is_loss: bool, orders: tuple[int, ...]
) -> tuple[tuple[sp.Symbol, ...], sp.Expr]:
    """A derivative of a random function of all orders, with zeros: a sum of waves and a slope."""
    symbols = tuple(sp.Dummy(f"x{i}", real=True) for i in range(arity))
    rng = random.Random(f"{name}/{arity}")

    def draw() -> sp.Rational:
        return sp.Rational(rng.choice((-1, 1)) * rng.randint(3, 2 * DRAWN), 2 * DRAWN)

    def affine() -> sp.Expr:
        return sp.Add(draw(), *(draw() * x for x in symbols))

    body = sp.Add(affine(), *(draw() * sp.sin(affine()) for _ in range(arity + 2)))
    if is_loss:
        body = body**2 / 2
    for symbol, order in zip(symbols, orders, strict=True):
        body = body.diff(symbol, order)
    return symbols, body


def _lowered(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _raised(number: int) -> str:
    return "" if number == 1 else str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
