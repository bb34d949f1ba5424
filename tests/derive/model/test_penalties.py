"""Penalties beside the noise: the recursion binds their size, and moves as the limit says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, alpha, sigma
from numerics import compile_descent, simulate_descent
from tests.truth.motion import AT_STEP, NEXT_ORDER, THIRD_SCALE, Motion, Row, confirm_extrapolated
from tests.truth.reference import reference_descent

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
RADIUS = w1**2 + w2**2
ROUND = (RADIUS - 1) ** 2 / 8
UNEVEN = (RADIUS - 1) ** 2 * (2 + w1) / 4
DECAY = (w1 - 2 * w2) ** 2 / 2
START = (0.6, 0.8)

LINEAR = UNEVEN + RADIUS * eta / 2
NORMAL = ROUND + (RADIUS - 1) * (1 + w1 / 2) * eta**2 / 2


@cache
def model(size: sp.Expr, noisy: sp.Expr = LINEAR) -> NoisyGradientDescent:
    loss = noisy.subs(eta, 0)
    return NoisyGradientDescent(loss, noisy, (w1, w2), eta, penalty=size * DECAY)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_step_size_and_noise_scale_are_bound(momentum):
    """The penalty's part of one noiseless step from Γ: α times its gradient at those numbers."""
    a, s = 0.05, 0.3
    problem = model(alpha * sigma**2 + sigma**4)
    run = {"alpha": a, "sigma": s, "momentum": momentum, "paths": 3, "seed": 1}
    fast = simulate_descent(problem, START, **run, steps=40, record=41)
    slow = reference_descent(problem, START, **run, steps=40)
    np.testing.assert_allclose(fast.weights, slow, rtol=0, atol=1e-13)
    bare = reference_descent(model(sp.S.Zero), START, **run, steps=1)
    size = a / (1 - momentum) * s**2 + s**4
    slope = size * (START[0] - 2 * START[1]) * np.array([1, -2])
    np.testing.assert_allclose(slow[:, 1] - bare[:, 1], np.tile(-a * slope, (3, 1)), atol=1e-15)
    assert compile_descent(problem).sharpness(START) == pytest.approx(5.2, rel=1e-6)


CASES = {
    "beside the degenerate drift": (
        model(alpha * sigma**2),
        Row(START, 0.05, 0.05, 0.2, 64, AT_STEP),
    ),
    "with momentum": (
        model(alpha * sigma**2),
        Row(START, 0.05, 0.05, 0.2, 64, AT_STEP, momentum=0.5),
    ),
    "as strong as Reg": (model(sigma**2), Row(START, 0.1, 0.2, 0.1, 32, NEXT_ORDER)),
    "on the third scale": (
        model(sigma**4, NORMAL),
        Row(START, 0.1, 0.1, 0.2, 64, THIRD_SCALE),
    ),
    "smaller than the third scale": (
        model(alpha * sigma**2, NORMAL),
        Row(START, 0.02, 0.1, 0.05, 64, THIRD_SCALE),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_recursion_moves_as_the_limit_with_its_penalty(name):
    problem, row = CASES[name]
    coarse, fine = (Motion(problem, row.smaller(k, 1), (7, k)) for k in (0, 1))
    confirm_extrapolated(name, coarse, fine)
    bare = Motion(replace(problem, penalty=sp.S.Zero), row, (8,)).run(coarse.start, coarse.steps)
    without = coarse.along(coarse.projected(bare) - coarse.start)
    assert abs((coarse.along(coarse.measured) - without).z) > 100, "the penalty is felt"
