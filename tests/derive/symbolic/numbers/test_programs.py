"""The derivation's own calculus, compiled programs and linear algebra, against sympy and mpmath."""

from __future__ import annotations

import pickle

import mpmath
import pytest
import sympy as sp
from mpmath import fp, mp

from derive import NoisyGradientDescent, derive_limit, mechanisms
from derive.symbolic.calculus import Differentiator, Occurrence, Substitution, rebuilt
from derive.symbolic.numbers.linear import (
    are_clearly_independent,
    independent_rows,
    orthonormal_basis,
    perpendicular,
    solve,
)
from derive.symbolic.numbers.programs import FUNCTIONS, Program

x, y, z = SYMBOLS = sp.symbols("x y z", real=True)
THIRD = sp.Rational(1, 3)
POINT = (mpmath.mpf("0.37"), mpmath.mpf("-0.61"), mpmath.mpf("0.83"))
DIGITS = 50

EXPRESSIONS = {
    "polynomial": (x**2 + y**2 - 1) ** 2 * (2 + x) / 4,
    "rational": (x - y) ** 3 / (1 + z**2) - THIRD / x,
    "roots": sp.sqrt(2) * x + sp.sqrt(1 + y**2) * sp.pi + z ** sp.Rational(-5, 2) + z**THIRD,
    "power": (2 + x) ** (y * z) + 2**x,
    "shared parts": sp.tanh(x * y - z / 3) * sp.exp(sp.tanh(x * y - z / 3)) + sp.log(2 + x),
    "maximum": sp.Max(0, x * y + z) * sp.Abs(y),
    "piecewise": sp.Piecewise((x**2 * z, y > 0), (y * z**3, True)),
    "other functions": sp.erf(x * z) + sp.atan2(x, z) + sp.asinh(y) + sp.Heaviside(x) * y,
    "constant": sp.sqrt(3) + sp.Rational(2, 7),
    "symbol": y,
} | {f.__name__: 2 * f(x * z / 2) ** 2 * y for f in FUNCTIONS}


def derivatives(expression: sp.Expr) -> list[sp.Expr]:
    return [expression.diff(s) for s in SYMBOLS]


def at_point(expressions: list[sp.Expr]) -> list[mpmath.mpf]:
    """Values by sympy's own evaluation."""
    where = dict(zip(SYMBOLS, map(sp.Float, POINT), strict=True))
    exact = {s: sp.Rational(mpmath.nstr(v, 2)) for s, v in zip(SYMBOLS, POINT, strict=True)}
    assert all(abs(where[s] - exact[s]) < 1e-15 for s in SYMBOLS)
    return [mpmath.mpmathify(e.subs(exact).evalf(DIGITS)) for e in expressions]


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_program_has_the_values_and_slopes_of_the_expression(expression):
    program = Program(SYMBOLS, [expression])
    with mpmath.workdps(DIGITS):
        point = [mpmath.mpf(37) / 100, mpmath.mpf(-61) / 100, mpmath.mpf(83) / 100]
        tiny = mpmath.mpf(10) ** (5 - DIGITS)
        (value,) = program.value(point)
        assert abs(value - at_point([expression])[0]) < tiny
        expected = at_point(derivatives(expression))
        for found in (program.jacobian(point, 3)[0], program.gradient(point, 3)):
            assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < tiny


def test_program_in_floats():
    program = Program(SYMBOLS, EXPRESSIONS.values())
    point = [0.37, -0.61, 0.83]
    with mpmath.workdps(DIGITS):
        exact = program.jacobian(list(map(mpmath.mpf, point)), 2)
    rows = program.jacobian(point, 2, fp)
    assert all(isinstance(v, float) for row in rows for v in row)
    for row, precise in zip(rows, exact, strict=True):
        assert row == pytest.approx([float(v) for v in precise], rel=1e-12, abs=1e-13)


def test_program_differentiates_a_sum_of_outputs():
    program = Program(SYMBOLS, [x * y, x * y + z, x, x])
    assert program.gradient([2.0, 3.0, 5.0], 3, fp) == [2 * 3 + 2, 2 * 2, 1]
    assert program.jacobian([2.0, 3.0, 5.0], 3, fp)[1] == [3, 2, 1]


def test_program_writes_shared_parts_once():
    inner = sp.tanh(x * y + z)
    assert len(Program(SYMBOLS, [inner * x, inner**2, inner + 1])) == len(
        Program(SYMBOLS, [inner])
    ) + len({"inner x", "inner²", "inner + 1"})


def test_program_has_no_slope_at_a_kink():
    corner = Program((x,), [sp.Heaviside(x) * x])
    with pytest.raises(ZeroDivisionError, match="kink"):
        corner.jacobian([0.0], 1, fp)


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_differentiator_writes_what_sympy_writes(expression):
    found = Differentiator(SYMBOLS, at_kinks=True).gradient(expression)
    assert found == derivatives(expression)
    # Where a number goes in a product of sums may differ after that.
    second = Differentiator(SYMBOLS, at_kinks=True).gradient(found[0])
    pairs = zip(second, derivatives(found[0]), strict=True)
    assert all(a == b or sp.expand(a - b) == 0 for a, b in pairs)


def test_differentiator_knows_only_its_variables():
    occurrence = Occurrence(SYMBOLS)
    assert Differentiator((y,), occurrence).gradient(x * y**2 + sp.sin(z)) == [2 * x * y]
    assert occurrence(x * sp.exp(z)) == {x, z}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_substitution_gives_what_sympy_gives(expression):
    first = Substitution({x: sp.Integer(2), y: z})
    assert first(expression) == expression.xreplace({x: sp.Integer(2), y: z})
    then = first.instead({x: THIRD})
    assert then(expression) == expression.xreplace({x: THIRD, y: z})
    assert first(expression) == expression.xreplace({x: sp.Integer(2), y: z})


def test_long_arguments_are_left_as_they_are():
    long = sp.Add(*(k * s for k, s in enumerate(sp.symbols("s1:7", real=True), start=1)))
    made = rebuilt(sp.tanh(x), [-long])
    assert made == sp.tanh(-long, evaluate=False)
    assert rebuilt(sp.tanh(x), [-x]) == -sp.tanh(x)


def test_zero_times_something_infinite_is_not_zero():
    quotient = sp.sin(x) / x
    assert Substitution({x: sp.Integer(0)})(quotient) is sp.nan


# Linear algebra --------------------------------------------------------------------------------

ROWS = [[3.0, 1.0, 0.0, 2.0], [1.0, -1.0, 4.0, 0.0], [2.0, 0.0, 1.0, 1.0]]
DEPENDENT = [*ROWS[:2], [4.0, 0.0, 4.0, 2.0]]


def test_linear_solve():
    matrix = [[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [3.0, 0.0, 1.0]]
    assert solve(matrix, [7.0, 3.0, 6.0]) == pytest.approx([1, 2, 3])
    with pytest.raises(ZeroDivisionError):
        solve([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0])


def test_independent_rows_and_doubt():
    assert are_clearly_independent(ROWS)
    assert not are_clearly_independent(DEPENDENT)
    assert not are_clearly_independent([*ROWS, *ROWS])
    exact = [[mpmath.mpf(v) for v in row] for row in DEPENDENT]
    with mpmath.workdps(DIGITS):
        assert len(independent_rows(exact, mpmath.mpf(10) ** -25)) == 2
    # Independent, but only more digits than floats have can tell.
    close = [[mpmath.mpf(1), mpmath.mpf(1)], [mpmath.mpf(1), 1 + mpmath.mpf(10) ** -12]]
    assert not are_clearly_independent([[float(v) for v in row] for row in close])
    with mpmath.workdps(DIGITS):
        assert independent_rows(close, mpmath.mpf(10) ** -25) == [0, 1]
    assert independent_rows([[0.0, 0.0]], 1e-5, fp) == []


def test_perpendicular_part_to_fifty_digits():
    with mpmath.workdps(DIGITS):
        rows = [[mpmath.mpf(v) / 7 for v in row] for row in ROWS]
        vector = [mpmath.sqrt(k) for k in (2, 3, 5, 7)]
        left = perpendicular(rows, vector)
        assert max(abs(mp.fdot(row, left)) for row in rows) < mpmath.mpf(10) ** -44
        # The rest is a combination of the rows: it has no part perpendicular to them.
        basis = orthonormal_basis(rows)
        rest = [v - u for v, u in zip(vector, left, strict=True)]
        for unit in basis:
            part = mp.fdot(rest, unit)
            rest = [r - part * u for r, u in zip(rest, unit, strict=True)]
        assert mpmath.norm(rest) < mpmath.mpf(10) ** -44
        assert perpendicular([], vector) == vector


# Points are found when asked for ----------------------------------------------------------------


def test_a_witness_at_the_first_point_is_enough():
    ring = (x**2 + y**2 - 1) ** 2 * (2 + x) / 4
    limit = derive_limit(mechanisms.parameter_noise(ring, (x, y)))
    assert len(limit.manifold._found) == 1
    assert len(limit.manifold.points) == 20
    assert len(limit.manifold._found) == 20


def test_limits_travel_between_processes():
    ring = (x**2 + y**2 - 1) ** 2 * (2 + x) / 4
    limit = derive_limit(NoisyGradientDescent(ring, ring + z * (x**2 + y**2) / 2, (x, y), z))
    assert len(limit.manifold.points) == 20
    copy = pickle.loads(pickle.dumps(limit))
    assert copy.drift == limit.drift
    assert copy.manifold.points == limit.manifold.points
    assert copy.moments.covariance == limit.moments.covariance
