"""Reading the constraints of Γ off the loss."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from ..symbolic.effort import DEGREE, FACTORED, TERMS, degree, expanded_terms, within

Square = tuple[sp.Expr, sp.Expr]
"""(c, r) of a term ½ c r² of the loss."""


def read_squares(loss: sp.Expr, weights: frozenset[sp.Symbol]) -> tuple[Square, ...] | None:
    """Terms (c, r) with L = ½ Σ c r² + constant, or None when the loss is not of that form.

    Squares are found as they stand; an expanded polynomial is factored, which recovers a single
    square. A factor with an even power that depends on the weights belongs to the residual, all
    others to the weight c, which may depend on w; that c > 0 is checked later, on Γ.
    """
    loss = loss.as_independent(*weights, as_Add=True)[1]
    found = _squares(loss, weights)
    small = within(FACTORED, loss) and degree(loss) <= DEGREE and expanded_terms(loss) <= TERMS
    if found is None and small and loss.is_rational_function(*weights):
        found = _squares(sp.factor(loss), weights)
    return found


def _squares(loss: sp.Expr, weights: frozenset[sp.Symbol]) -> tuple[Square, ...] | None:
    squares: list[Square] = []
    for term in sp.Add.make_args(loss):
        terms = _term_squares(term, weights)
        if terms is None:
            return None
        squares += terms
    return tuple(squares)


def _term_squares(term: sp.Expr, weights: frozenset[sp.Symbol]) -> list[Square] | None:
    """Squares in one term; c·(a² + b²) is distributed if c is no such sum."""
    residual, weight = sp.Integer(1), sp.Integer(2)
    sums = []
    for factor in sp.Mul.make_args(term):
        base, power = factor.as_base_exp()
        if power.is_Integer and power > 0 and power % 2 == 0 and factor.free_symbols & weights:
            residual *= base ** (power // 2)
        else:
            weight *= factor
            if factor.is_Add and factor.free_symbols & weights:
                sums.append(factor)
    if residual != 1:
        return [(weight, residual)]
    inner = [(found, s) for s in sums if (found := _squares(s, weights)) is not None]
    if len(inner) != 1:
        return None
    ((found, total),) = inner
    rest = weight / total / 2  # not over 2·total, which sympy would multiply out
    return [(c * rest, r) for c, r in found]


def localise(
    squares: tuple[Square, ...], vanishes: Callable[[sp.Expr], bool]
) -> tuple[Square, ...]:
    """Squares near one point of Γ: factors that do not vanish there join the weight."""
    local = []
    for c, r in squares:
        here = [f for f in sp.Mul.make_args(r) if vanishes(f)]
        away = [f for f in sp.Mul.make_args(r) if f not in here]
        local.append((c * sp.Mul(*away) ** 2, sp.Mul(*here)))
    return tuple(local)
