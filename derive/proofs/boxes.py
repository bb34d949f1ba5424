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
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import WORKING_DIGITS, Point
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
    table: ExpressionTable,
    manifold: Manifold,
    point: Point,
    free: Mapping[sp.Symbol, Any],
    widths: Mapping[sp.Symbol, Any],
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
    widths : mapping of Symbol to number
        Half widths of the intervals of parameters, for each value of which there is a point.

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
        values = {**manifold.named(point), **free}
        room = {s: decimal(width) for s, width in widths.items()}
        room |= dict.fromkeys((weights[k] for k in moving), _room(manifold, point, chosen, widths))
        box = {str(table.place(s)): [decimal(x), room.get(s, "0")] for s, x in values.items()}
        rows_at = table.places(manifold.constraints[i] for i in chosen)
        residuals = [r for _, r in manifold.probe.squares or ()]
        others = set(table.places([*manifold.constraints, *residuals])) - set(rows_at)
        return {
            "box": box,
            "rows": rows_at,
            "moving": table.places(weights[k] for k in moving),
            "preconditioner": _inverse(square),
            **redundant(table, rows_at, sorted(others)),
        }


def placed(manifold: Manifold, point: Point, middles: Mapping[sp.Symbol, Any]) -> Point:
    """A point of Γ near another one, with other values of the parameters.

    Raises
    ------
    NotCertifiedError
        If none is found.
    """
    start = tuple(middles.get(s, x) for s, x in zip(manifold.symbols, point, strict=True))
    found = manifold.probe.system.solve(start)
    if found is None:
        raise NotCertifiedError("no point of Γ is found in the middle of the ranges")
    return found


def _room(
    manifold: Manifold, point: Point, rows: Sequence[int], widths: Mapping[sp.Symbol, Any]
) -> str:
    """How far the coordinates that move may go: twice as far as the ranges take them, about."""
    if not widths:
        return RADIUS
    symbols, system = manifold.symbols, manifold.probe.system
    program = Program(symbols, [system.equations[i] for i in rows])
    slopes = program.jacobian(point, len(symbols))
    turns = [row[len(system.weights) :] for row in slopes]
    spread = [widths.get(s, 0) for s in symbols[len(system.weights) :]]
    shifts = [mpmath.fsum(abs(t) * w for t, w in zip(row, spread, strict=True)) for row in turns]
    moving = independent_columns([[float(x) for x in row[: len(system.weights)]] for row in slopes])
    inverse = mpmath.matrix([[row[k] for k in moving] for row in slopes]) ** -1
    reach = inverse.apply(abs) * mpmath.matrix(shifts)
    return decimal(2 * max(reach) + mpmath.mpf(RADIUS), 5)


def enclosure(value: Any, digits: float = 20) -> list[str]:
    """An interval around a number that is known to more digits than these."""
    if value == 0:
        raise NotCertifiedError("the value is zero to 50 digits")
    return [decimal(value, int(digits) + 2), decimal(abs(value) * mpmath.mpf(10) ** -digits, 3)]


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
