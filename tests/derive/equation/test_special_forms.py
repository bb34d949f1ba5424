"""Potentials of noise that is a function of H: integrated, and as the theory writes them."""

import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from derive.display.special_forms import drift_form
from derive.equation.special_forms import CURVATURE, SpecialForm, SpectralSum
from derive.theory.katzenberger import FLOW, Relaxation

c, s, step = sp.symbols("c s alpha", positive=True)
x, y, a = sp.symbols("x y a", real=True)
DESCENT = Relaxation.of(step)
MOMENTUM = Relaxation.of(step, sp.Rational(1, 2))


def slope_of(spectral: SpectralSum) -> sp.Expr:
    """F'(λ)."""
    parts = [k * q.diff(CURVATURE) / q for k, q in spectral.logarithms]
    return sp.Add(spectral.slope, *parts)


@pytest.mark.parametrize("noise", [c, c * CURVATURE, s + c * CURVATURE])
@pytest.mark.parametrize("relaxation", [FLOW, DESCENT, MOMENTUM])
def test_the_slope_is_half_the_stationary_variance(noise: sp.Expr, relaxation: Relaxation) -> None:
    """2λf − τλ²f = s(λ) and F' = f/2."""
    slope = slope_of(SpectralSum.of(noise, relaxation))
    damped = 2 * CURVATURE - relaxation.damping * CURVATURE**2
    assert sp.cancel(damped * 2 * slope - noise) == 0
    assert sp.cancel(damped * slope - noise) != 0


def test_the_forms_of_the_theory() -> None:
    assert SpectralSum.of(c * CURVATURE) == SpectralSum(c / 4, ())
    assert SpectralSum.of(s) == SpectralSum(sp.S.Zero, ((s / 4, CURVATURE),))
    ((rate, inside),) = SpectralSum.of(c * CURVATURE, DESCENT).logarithms
    assert sp.simplify(rate + c / (2 * step)) == 0
    assert sp.expand(inside - 1 + step * CURVATURE / 2) == 0


WRITTEN = {
    (c * CURVATURE, FLOW, 2): "−c/4 P∇ΔL",
    (4 * CURVATURE, FLOW, 1): "−P∇ΔL",
    ((s + c) * CURVATURE, FLOW, 2): "−(c/4 + s/4) P∇ΔL",
    (s, FLOW, 1): "−s/4 P∇ log ΔL",
    (s, FLOW, 2): "−s/4 P∇ log det₊ H",
    (c * CURVATURE, DESCENT, 2): "c/(2*alpha) P∇ log det(1 − alpha/2 H)",
    (sp.Integer(1), DESCENT, 1): "−1/4 P∇ log ΔL + 1/4 P∇ log (1 − alpha/2 ΔL)",
    (s + 4 * CURVATURE, FLOW, 2): "−P∇ΔL − s/4 P∇ log det₊ H",
}


@pytest.mark.parametrize("given", WRITTEN, ids=str)
def test_it_is_written_term_by_term(given: tuple[sp.Expr, Relaxation, int]) -> None:
    noise, relaxation, codimension = given
    form = SpecialForm(noise, SpectralSum.of(noise, relaxation), codimension, False, None)
    assert drift_form(form).text == WRITTEN[given]


def test_two_logarithms_are_one_potential() -> None:
    """¼ log ΔL − ¼ log(1 − α/2 ΔL) for Σ = I, with ΔL = 2(2 + x) on the ring."""
    b, ring = sp.symbols("b", real=True), (x**2 + y**2 - 1) ** 2 * (2 + x) / 4
    limit = derive_limit(NoisyGradientDescent(ring, ring + a * x + b * y, (x, y), (a, b)))
    found = limit.at_step(sp.Rational(1, 10)).special.potential.diff(x)
    eigenvalue = 2 * (2 + x)
    right = (sp.log(eigenvalue) - sp.log(1 - eigenvalue / 20)).diff(x) / 4
    assert sp.simplify(found - right) == 0


@pytest.mark.slow
def test_the_potential_at_a_step_has_the_slope_of_the_drift() -> None:
    """Two logarithms in codimension two, with the drift from the theorem's general formula."""
    z, b, d = sp.symbols("z b d", real=True)
    loss = ((x**2 + y**2 - 1) ** 2 + (z - x * y) ** 2) / 2
    noisy = loss + a * x + b * y + d * z
    limit = derive_limit(NoisyGradientDescent(loss, noisy, (x, y, z), (a, b, d)))
    at_step = limit.at_step(sp.Rational(1, 10))
    assert "−1/4 P∇ log det₊ H + 1/4 P∇ log det(1 − 1/20 H)" in str(at_step)
    found = {step.statement.label: step.verdict for step in at_step.explain().steps}
    assert found["special form"].value is True
    assert found["potential"].value is True
