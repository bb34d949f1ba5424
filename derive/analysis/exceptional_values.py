"""Values of the parameters at which a generic verdict fails."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..noise.classification import Outcome
from ..symbolic.effort import SOLVED, within


def exceptional_values(limit: LimitingEquation) -> tuple[Mapping[sp.Symbol, sp.Expr], ...]:
    """Values of the parameters at which the leading motion stops on all of Γ.

    While parameters are symbols, "P∇Reg ≠ 0", "PΣP ≠ 0" and "½ P D²Φ[Σ] ≠ 0" hold for generic
    values of them; what vanishes for generic values vanishes for all. Found are the values at
    which the moving field, reduced modulo the constraints, has no coefficient left. There may be
    others: a long field is not looked at, and values that change Γ itself are not sought.
    """
    moving = limit.diffusion if limit.outcome is Outcome.DIFFUSIVE else limit.drift
    parameters = limit.problem.parameters
    if moving is None or not parameters or limit.time_scale is None:
        return ()
    if not within(SOLVED, moving):
        return ()
    try:
        found = sp.solve(
            [c for x in moving for c in _coefficients(x, limit)], parameters, dict=True
        )
    except NotImplementedError:
        return ()
    # Symbols are real, so sympy leaves out what is not, but for a multiple of i that may be zero.
    return tuple(v for v in found if not any(value.has(sp.I) for value in v.values()))


def _coefficients(entry: sp.Expr, limit: LimitingEquation) -> list[sp.Expr]:
    """What stands before each product of functions of w, the entry reduced on Γ, up to a factor."""
    numerator = sp.numer(sp.together(entry))
    remainder = limit.manifold.ideal.remainder(numerator)
    coefficients: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(numerator if remainder is None else remainder)):
        coefficient, function = term.as_independent(*limit.problem.weights, as_Add=False)
        coefficients[function] = coefficients.get(function, sp.Integer(0)) + coefficient
    return list(coefficients.values())
