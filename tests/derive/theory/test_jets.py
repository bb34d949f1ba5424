"""Derivatives of L from its squares, held to those of the plain loss, at a point of Γ."""

import pytest
import sympy as sp

from derive.symbolic.bundles import mapped
from derive.symbolic.calculus import gradient
from derive.theory.jets import plain_jet, squares_jet

x, y, z = WEIGHTS = sp.symbols("x y z", real=True)
AT = {x: sp.Rational(3, 5), y: sp.Rational(4, 5), z: sp.Rational(1, 3)}
"""A point of x² + y² = 1, z = 1/3."""
SQUARES = (
    (2 + x + z**2, (x**2 + y**2 - 1) * (1 + y * z)),
    (3 + y, (3 * z - 1) * (x + 2) + (x**2 + y**2 - 1) / 7),
)
LOSS = sum(c * r**2 for c, r in SQUARES) / 2
NOISE = sp.Matrix([[1, 2, -1], [2, 5, 3], [-1, 3, 4]])


def at_point(entries):
    return [sp.nsimplify(sp.sympify(e).subs(AT)) for e in entries]


@pytest.fixture(scope="module", params=["squares", "unit weights", "plain"])
def jet(request):
    if request.param == "plain":
        made = plain_jet(gradient(LOSS, WEIGHTS), WEIGHTS)
    else:
        made = squares_jet(SQUARES, WEIGHTS)
    if request.param == "unit weights":
        made = made.unit_weights()
    return mapped(made, lambda e: sp.sympify(e).subs(AT))


HESSIAN = sp.hessian(LOSS, WEIGHTS).subs(AT)


def test_hessian(jet):
    assert sp.simplify(sp.Matrix(jet.hessian()) - HESSIAN) == sp.zeros(3)


def test_trace(jet):
    assert sp.simplify(jet.trace() - HESSIAN.trace()) == 0


def test_restriction_to_a_basis(jet):
    basis = sp.Matrix([[1, 2, 0], [0, 1, -1]])
    found = sp.Matrix(jet.restricted(basis.tolist()))
    assert sp.simplify(found - basis * HESSIAN * basis.T) == sp.zeros(2)


@pytest.mark.parametrize("matrix", [NOISE, None], ids=["a covariance", "the Laplacian"])
def test_third_derivatives(jet, matrix):
    given = sp.eye(3) if matrix is None else matrix
    contracted = sum(
        given[i, j] * LOSS.diff(WEIGHTS[i], WEIGHTS[j]) for i in range(3) for j in range(3)
    )
    expected = sp.Matrix(gradient(contracted, WEIGHTS)).subs(AT)
    assert sp.simplify(sp.Matrix(jet.third(matrix)) - expected) == sp.zeros(3, 1)
