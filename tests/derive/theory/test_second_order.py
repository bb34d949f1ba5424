"""The drift of the order σ⁴ is the gradient of V₂ where P∇Reg = 0."""

import mpmath
import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from derive.theory.second_order import second_potential

x, y, eta = sp.symbols("x y eta", real=True)
NORMAL = (x**2 + y**2 - 1) / 2
PROBLEMS = {
    "a round valley": (NORMAL**2 / 2, NORMAL * (1 + x / 2) * eta**2),
    "a valley of varying width": (
        NORMAL**2 * (2 + y) / 2,
        NORMAL * (1 + x / 2) * eta**2 + x * eta**4 / 5,
    ),
}


@pytest.fixture(scope="module", params=PROBLEMS)
def third_scale(request):
    loss, extra = PROBLEMS[request.param]
    limit = derive_limit(NoisyGradientDescent(loss, loss + extra, (x, y), (eta,)))
    (found,) = (s for s in limit.scales() if s.equation.name == "third scale")
    return found


def test_the_potential_by_its_definition():
    """∇Reg = (1 + x/2) n and H = n nᵀ on the circle, so V₂ = Reg₂ − (1 + x/2)²/2."""
    loss, extra = PROBLEMS["a round valley"]
    limit = derive_limit(NoisyGradientDescent(loss, loss + extra, (x, y), (eta,)))
    reg = NORMAL * (1 + x / 2)
    found = second_potential(limit.manifold.frame, reg, y, (x, y))
    angle = sp.Symbol("t", real=True)
    on_circle = found.subs({x: sp.cos(angle), y: sp.sin(angle)})
    expected = sp.sin(angle) - (1 + sp.cos(angle) / 2) ** 2 / 2
    assert sp.simplify(on_circle - expected) == 0


def test_the_drift_is_minus_its_gradient(third_scale):
    frame = third_scale.manifold.frame
    slope = sp.Matrix([third_scale.second_potential.diff(w) for w in (x, y)])
    for angle in (0.3, 2.0, 4.4):
        point = {x: mpmath.cos(angle), y: mpmath.sin(angle)}
        expected = -frame.tangential(slope).subs(point).evalf()
        assert expected.norm() > 0.01
        assert (third_scale.drift.subs(point).evalf() - expected).norm() < 1e-12


def test_the_round_valley_in_its_angle():
    """θ' = −½ sin θ (1 + ½ cos θ), the closed form of the theory."""
    loss, extra = PROBLEMS["a round valley"]
    limit = derive_limit(NoisyGradientDescent(loss, loss + extra, (x, y), (eta,)))
    (found,) = (s for s in limit.scales() if s.equation.name == "third scale")
    for angle in (0.3, 2.0, 4.4):
        c, s = mpmath.cos(angle), mpmath.sin(angle)
        drift = found.drift.subs({x: c, y: s}).evalf()
        assert drift[1] * c - drift[0] * s == pytest.approx(float(-s * (1 + c / 2) / 2))
