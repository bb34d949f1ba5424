"""Polynomials of degree one and two in the weights that a flow on Γ conserves."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..manifold.manifold import LocalGeometry
from ..symbolic.calculus import gradient
from ..symbolic.numbers.roots import WORKING_DIGITS, evaluator
from ..symbolic.zero_tests import Verdict
from .agreement import pointwise

WEIGHTS = 8
"""Weights up to which they are looked for: there are N(N + 3)/2 monomials."""

SPARE = 4
"""Points beyond the number of unknowns, at which a wrong candidate fails."""

NEAR = 8
"""Points are sought at a distance of up to 1/NEAR from known ones."""

ROUND_OFF = mpmath.mpf(10) ** -25
SIMPLE = 10**6
"""Largest denominator of a coefficient."""

Row = list[Any]


@dataclass(frozen=True)
class ConservedQuantity:
    """A function that is constant along the flow and not constant on Γ.

    Attributes
    ----------
    expression : Expr
        A polynomial of degree one or two.
    verdict : Verdict
        Whether its derivative along the drift vanishes on Γ.
    """

    expression: sp.Expr
    verdict: Verdict


def conserved_quantities(limit: LimitingEquation) -> tuple[ConservedQuantity, ...]:
    """Polynomials of degree at most two that the flow of a deterministic limit conserves.

    A linear system of their coefficients, one equation per point of Γ; those that are constant on
    Γ or made of simpler ones are left out. Irrational coefficients are not found, nor are those of
    more than 8 weights or of a higher degree; none are on a curve Γ.
    """
    n = limit.problem.dimension
    if limit.manifold.dimension < 2 or n > WEIGHTS:
        return ()
    weights = limit.problem.weights
    pairs = [a * b for a, b in itertools.combinations_with_replacement(weights, 2)]
    with mpmath.workdps(WORKING_DIGITS):
        places = list(_places(limit, n + len(pairs) + SPARE))
        linear = _found(limit, places, [*weights], ())
        known = [*linear, *(f * g for f, g in itertools.combinations_with_replacement(linear, 2))]
        found = [*linear, *_found(limit, places, [*weights, *pairs], known)]
    decided = (ConservedQuantity(f, _verdict(limit, f)) for f in found)
    return tuple(quantity for quantity in decided if quantity.verdict.value)


def _places(limit: LimitingEquation, count: int) -> Iterator[LocalGeometry]:
    """Points of Γ: those of the derivation, then others close to them."""
    manifold, rng = limit.manifold, random.Random(0)
    known = [g.point for g in manifold.local()]
    taken = 0
    for attempt in range(10 * count):
        point = known[attempt % len(known)]
        shaken = tuple(x + mpmath.mpf(rng.uniform(-1, 1)) / NEAR for x in point)
        found = point if attempt < len(known) else manifold.probe.system.solve(shaken)
        if found is not None:
            taken += 1
            yield manifold.probe.geometry(found)
        if taken == count:
            return


def _found(
    limit: LimitingEquation,
    places: Sequence[LocalGeometry],
    monomials: Sequence[sp.Expr],
    known: Sequence[sp.Expr],
) -> list[sp.Expr]:
    """A basis of what is conserved, beyond what is known or constant on Γ."""
    field, weights = pointwise(limit), limit.problem.weights
    slopes = evaluator(limit.manifold.symbols, [gradient(m, weights) for m in monomials])
    along_flow, along_manifold = [], []
    for place in places:
        rows = slopes(place.point)
        drift = list(field.drift(place))
        along_flow.append([mpmath.fdot(row, drift) for row in rows])
        tangential = [place.tangential(row) for row in rows]
        along_manifold += [[row[k] for row in tangential] for k in range(len(weights))]
    trivial = _kernel(along_manifold) + [_coefficients(f, monomials, weights) for f in known]
    plain, pivots = _reduced(trivial)
    candidates = []
    for vector in _kernel(along_flow):
        for row, pivot in zip(plain, pivots, strict=True):
            head = vector[pivot]
            vector[:] = [x - head * y for x, y in zip(vector, row, strict=True)]
        candidates.append(vector)
    shown = (_rational(row, monomials) for row in _reduced(candidates)[0])
    return [f for f in shown if f is not None]


def _coefficients(f: sp.Expr, monomials: Sequence[sp.Expr], weights: Sequence[sp.Symbol]) -> Row:
    polynomial = sp.Poly(f, *weights)
    return [mpmath.mpmathify(polynomial.coeff_monomial(m)) for m in monomials]


def _reduced(rows: Sequence[Row]) -> tuple[list[Row], list[int]]:
    """Reduced row echelon form, with the columns of its pivots."""
    left, pivots = [list(row) for row in rows], list[int]()
    done: list[Row] = []
    for column in range(len(left[0]) if left else 0):
        best = max(range(len(left)), key=lambda i: abs(left[i][column]), default=None)
        if best is None or abs(left[best][column]) < ROUND_OFF:
            continue
        head = left.pop(best)
        top = [x / head[column] for x in head]
        for row in (*left, *done):
            factor = row[column]
            row[:] = [x - factor * t for x, t in zip(row, top, strict=True)]
        done.append(top)
        pivots.append(column)
    return done, pivots


def _kernel(rows: Sequence[Row]) -> list[Row]:
    """Vectors that a matrix takes to zero."""
    reduced, pivots = _reduced(rows)
    size = len(rows[0])
    vectors = []
    for free in range(size):
        if free in pivots:
            continue
        vector = [mpmath.mpf(int(i == free)) for i in range(size)]
        for row, pivot in zip(reduced, pivots, strict=True):
            vector[pivot] = -row[free]
        vectors.append(vector)
    return vectors


def _rational(row: Row, monomials: Sequence[sp.Expr]) -> sp.Expr | None:
    """The polynomial, if its coefficients are simple fractions."""
    exact = [
        sp.nsimplify(sp.Float(x, WORKING_DIGITS), rational=True, tolerance=sp.Rational(1, 10**22))
        for x in row
    ]
    if any(c.q > SIMPLE for c in exact):
        return None
    return sp.Add(*(c * m for c, m in zip(exact, monomials, strict=True)))


def _verdict(limit: LimitingEquation, f: sp.Expr) -> Verdict:
    """Whether ∇f · b vanishes on Γ."""
    slope = gradient(f, limit.problem.weights)
    value, field = evaluator(limit.manifold.symbols, slope), pointwise(limit)

    def size(g: LocalGeometry) -> Any:
        row, drift = value(g.point), list(field.drift(g))
        scale = mpmath.norm(row) * mpmath.norm(drift)
        return abs(mpmath.fdot(row, drift)) / scale if scale else scale

    return limit.manifold.decide(size)
