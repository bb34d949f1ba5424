"""Piecewise smooth models, away from their kinks and on them."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, ProblemError, UndecidedError, derive_limit
from derive.symbolic.calculus import gradient
from derive.symbolic.kinks import kinks
from numerics import compile_limit

x, y, e = sp.symbols("x y e", real=True)
POINT = (0.8, 1.25)

WRITTEN = {
    "Max": sp.Max(0, x),
    "Abs": sp.Abs(x),
    "Heaviside": x * sp.Heaviside(x),
    "Piecewise": sp.Piecewise((x, x > 0), (0, True)),
}


def on_the_half_line(f: sp.Expr) -> NoisyGradientDescent:
    """Label noise on y f(x) = 1, where f(x) = x for x > 0."""
    return NoisyGradientDescent(
        (y * f - 1) ** 2 / 2, (y * f - 1 - e) ** 2 / 2, (x, y), (e,), near=POINT
    )


@pytest.mark.parametrize("f", WRITTEN.values(), ids=WRITTEN)
def test_a_kinked_model_moves_as_its_smooth_piece(f):
    compiled = compile_limit(derive_limit(on_the_half_line(f)))
    smooth = compile_limit(derive_limit(on_the_half_line(x)))
    np.testing.assert_allclose(compiled.drift(POINT), smooth.drift(POINT), rtol=1e-12)
    assert np.linalg.norm(smooth.drift(POINT)) > 0.1


@pytest.mark.parametrize("f", WRITTEN.values(), ids=WRITTEN)
def test_parameter_noise_of_a_kinked_model(f):
    noise = sp.symbols("e1:3", real=True)
    moved = dict(zip((x, y), (x + noise[0], y + noise[1]), strict=True))

    def limit(g):
        loss = (y * g - 1) ** 2 / 2
        noisy = loss.xreplace(moved)
        return derive_limit(NoisyGradientDescent(loss, noisy, (x, y), noise, near=POINT))

    drift = compile_limit(limit(f)).drift(POINT)
    np.testing.assert_allclose(drift, compile_limit(limit(x)).drift(POINT), rtol=1e-12)


def test_the_kinks_are_recorded():
    problem = on_the_half_line(sp.Max(0, x))
    assert problem.kinks == (x,)
    assert "kinks where x = 0" in str(derive_limit(problem).explain())
    assert on_the_half_line(x).kinks == ()


@pytest.mark.parametrize(
    ("f", "places"),
    [
        (sp.Abs(x - y), {x - y}),
        (sp.Max(x, y, 1), {x - y, x - 1, y - 1}),
        (sp.sign(x) + sp.Heaviside(-x), {x}),
        (sp.Piecewise((x, x * y > 2), (0, True)), {x * y - 2}),
        (sp.floor(x), {sp.sin(sp.pi * x)}),
        (sp.sin(x), set()),
    ],
)
def test_kinks(f, places):
    assert set(kinks([f])) == places


@pytest.mark.parametrize(
    "f", [sp.sign(x), sp.Heaviside(x), sp.Abs(x).diff(x), sp.Max(0, x).diff(x)]
)
def test_steps_are_flat_off_their_jumps(f):
    assert gradient(f * y, (x, y)) == [0, f]


def test_a_kink_on_the_manifold_leaves_the_verdict_open():
    loss = (y - 1) ** 2 / 2
    problem = NoisyGradientDescent(loss, loss + e**2 * sp.Abs(y - 1) * x, (x, y), (e,))
    with pytest.raises(UndecidedError, match="a kink of the model, where y - 1 = 0"):
        derive_limit(problem)


def test_noise_with_a_kink_at_zero_is_refused():
    loss = (x * y - 1) ** 2 / 2
    problem = NoisyGradientDescent(loss, loss + sp.Abs(e) * x**2, (x, y), (e,))
    with pytest.raises(ProblemError, match="no second derivative in e"):
        derive_limit(problem)
