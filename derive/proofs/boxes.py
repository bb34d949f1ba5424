"""Boxes that hold exactly one point of Γ for each value of the coordinates that stay fixed in them.

K coordinates move, the others stay where they are. The interval Newton operator of Krawczyk on K
independent constraints, with a preconditioner C ≈ (∂r/∂w)⁻¹,

    K(Y) = −C r(m) + (I − C ∂r/∂w(Y)) Y,   Y = [−ρ, ρ]^K around the middle m,

maps into the inside of Y only if r has exactly one zero there, and ∂r/∂w is regular on all of Y, so
that the zero set is a manifold of dimension N − K near by. Coordinates and parameters that stay may
be intervals, too: there is then one such point for each of their values.

References
----------
Krawczyk, Computing 4 (1969), 187-201; Rump, Acta Numerica 19 (2010), section 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flint
import mpmath
import sympy as sp

from ..manifold.manifold import Manifold
from ..symbolic.roots import WORKING_DIGITS, Point
from .identities import redundant
from .tables import ExpressionTable, NotCertifiedError

RADIUS = "1e-40"
"""Half the width of a box in the coordinates that move, of points that are known to 50 digits."""

PRECISION = 192
"""Bits, 57 digits, with which a certificate is checked."""

POINT_DIGITS = 50
"""Digits with which the middle of a box is written."""


def decimal(value: Any, digits: int = POINT_DIGITS) -> str:
    """A number in decimals, to be read exactly."""
    return str(mpmath.nstr(value, digits, strip_zeros=True))


def box_around(
    table: ExpressionTable, manifold: Manifold, point: Point, free: Mapping[sp.Symbol, Any]
) -> dict[str, Any]:
    """What shows that Γ has a point close to one known to 50 digits.

    Parameters
    ----------
    table : ExpressionTable
        Where the constraints are written.
    manifold : Manifold
        Γ.
    point : Point
        A point of it.
    free : mapping of Symbol to number
        Values of symbols that are neither weights nor parameters.

    Raises
    ------
    NotCertifiedError
        If the constraints have no independent columns at the point in floats.
    """
    chosen = manifold.probe.independent(point)
    weights = manifold.problem.weights
    with mpmath.workdps(WORKING_DIGITS):
        slopes = manifold.probe.system.jacobian(point)
        rows = [[float(x) for x in slopes[i]] for i in chosen]
        moving = independent_columns(rows)
        square = flint.arb_mat([[row[k] for k in moving] for row in rows])
        determinant = mpmath.det(mpmath.matrix([[slopes[i][k] for k in moving] for i in chosen]))
        values = {**manifold.named(point), **free}
        box = {
            str(table.place(s)): [decimal(x), RADIUS if s in {weights[k] for k in moving} else "0"]
            for s, x in values.items()
        }
        rows_at = table.places(manifold.constraints[i] for i in chosen)
        residuals = [r for _, r in manifold.probe.squares or ()]
        others = set(table.places([*manifold.constraints, *residuals])) - set(rows_at)
        return {
            "box": box,
            "rows": rows_at,
            "moving": table.places(weights[k] for k in moving),
            "preconditioner": _inverse(square),
            "determinant": enclosure(determinant),
            **redundant(table, rows_at, sorted(others)),
        }


def enclosure(value: Any, digits: int = 20) -> list[str]:
    """An interval around a number that is known to more digits than these."""
    if value == 0:
        raise NotCertifiedError("the value is zero to 50 digits")
    return [decimal(value, digits + 2), decimal(abs(value) * mpmath.mpf(10) ** -digits, 3)]


def independent_columns(rows: Sequence[Sequence[float]]) -> list[int]:
    """Columns that make a well-conditioned square of some rows (elimination with pivoting)."""
    rest = [list(row) for row in rows]
    chosen: list[int] = []
    while rest:
        sizes = [max((abs(x), k) for k, x in enumerate(row)) for row in rest]
        top = max(range(len(rest)), key=sizes.__getitem__)
        size, column = sizes[top]
        if not size > 0:
            raise NotCertifiedError("the constraints lose rank in floats")
        pivot = rest.pop(top)
        chosen.append(column)
        for row in rest:
            factor = row[column] / pivot[column]
            row[:] = [x - factor * p for x, p in zip(row, pivot, strict=True)]
            row[column] = 0.0
    return sorted(chosen)


def _inverse(square: flint.arb_mat) -> list[list[str]]:
    """C, to as many digits as it needs."""
    try:
        with flint.ctx.workprec(PRECISION):
            return [[repr(float(x.mid())) for x in row] for row in square.inv().tolist()]
    except ZeroDivisionError:
        raise NotCertifiedError("the constraints lose rank in floats") from None
