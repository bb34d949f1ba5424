"""What a remainder proves, and what it makes shorter."""

import pytest
import sympy as sp

from derive.symbolic import ideals
from derive.symbolic.ideals import Ideal

x, y, z, t = sp.symbols("x y z t", real=True)
CIRCLE = Ideal((x**2 + y**2 - 1,), (x, y))
CURVE = Ideal((x**2 + y**2 - 1, z - x * y), (x, y, z))


@pytest.mark.parametrize(
    ("ideal", "expression", "contained"),
    [
        (CIRCLE, x**3 + x * y**2 - x, True),
        (CIRCLE, x**4 - (1 - y**2) ** 2, True),
        (CIRCLE, 1 / (2 - x**2 - y**2) - 1, True),
        (CIRCLE, sp.cos(x**2 + y**2 - 1) - 1, True),
        (CIRCLE, sp.sin(t * x) ** 2 + sp.cos(t * x) ** 2 - x**2 - y**2, True),
        (CURVE, z**2 - x**2 * (1 - x**2), True),
        (CIRCLE, x**2 - y**2, False),
        (CIRCLE, x, False),
        (CURVE, z**2 - x**2, False),
    ],
)
def test_what_is_shown_to_vanish(ideal, expression, contained):
    assert ideal.contains(expression) is contained


@pytest.mark.parametrize(
    ("expression", "short"),
    [
        (x**2 + y**2 + x, x + 1),
        ((x**2 + y**2) / (1 + x), 1 / (1 + x)),
        (x / (x**2 + y**2 + 1), x / 2),
        (x + 1, x + 1),
    ],
)
def test_what_is_made_shorter_is_the_same_on_the_circle(expression, short):
    found = CIRCLE.shortest(expression)
    assert sp.count_ops(found) <= sp.count_ops(short)
    assert sp.simplify((found - expression).subs({x: sp.cos(t), y: sp.sin(t)})) == 0


def test_a_denominator_that_vanishes_on_the_circle_is_kept():
    expression = x / (x**2 + (y - 1) * (y + 1))
    assert not CIRCLE.shortest(expression).has(sp.zoo, sp.nan, sp.oo)


def test_a_division_that_grows_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its bound it is sympy's own; beyond there is no remainder."""
    circles = (x**2 + y**2 + x * z - 1, x * y - z**2 / 3)
    ideal = Ideal(circles, (x, y, z))
    dividend = sp.expand((x + 2 * y - z) ** 6)
    found = ideal.remainder(dividend)
    assert found is not None
    basis = sp.groebner(circles, x, y, z, order="grevlex")
    assert sp.expand(found - basis.reduce(dividend)[1]) == 0
    monkeypatch.setattr(ideals, "DIVISION", 100)
    assert ideal.remainder(dividend) is None


def test_what_stands_inside_functions_is_divided_too() -> None:
    """On x y = log 9 exp(2 x y) is 81."""
    ideal = Ideal((x * y - sp.log(9),), (x, y))
    assert ideal.shortest(y**2 * sp.exp(x * y) / (1 + sp.exp(x * y)) ** 2) == 9 * y**2 / 100
    assert ideal.contains(sp.exp(2 * x * y) - 81)
    assert not ideal.contains(sp.exp(2 * x * y) - 9)
    assert ideal.shortest(sp.exp(x)) == sp.exp(x)
