"""Adaptive optimizers: compiled limits beside 50 digits, the recursion, runs outside the window."""

from __future__ import annotations

import functools
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    DeriveWarning,
    NoisyGradientDescent,
    NotCoveredError,
    TwoPoint,
    alpha,
    derive_limit,
    sigma,
)
from derive.adaptive_limit import AdaptiveLimit
from derive.optimizers import Adam, Adaptive, RMSProp, Window
from numerics import ArgumentError, compile_limit, simulate_descent, simulate_limit, validate
from numerics.models.adaptive_limit import CompiledHeldLimit
from numerics.simulation.descent.adaptive_descent import recursion_beside
from numerics.validation.measurements.comparison import expansion_order
from numerics.validation.planner import plan
from numerics.validation.windows import check_window

w1, w2, e = sp.symbols("w1 w2 eta", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
POINT = np.array([0.6, 0.8])
TWENTIETH = sp.Rational(1, 20)
CONSTANT = RMSProp(sp.Rational(1, 500), "constant")
DRIFTING = RMSProp(3 * alpha**2 * sigma**2)


def ring(optimizer: Adaptive) -> NoisyGradientDescent:
    near = (sp.Rational(3, 5), sp.Rational(4, 5))
    noisy = RING + (w1**2 + w2**2) * e / 2
    return NoisyGradientDescent(RING, noisy, (w1, w2), (e,), near=near, optimizer=optimizer)


@functools.cache
def limit_of(optimizer: Adaptive) -> AdaptiveLimit:
    return derive_limit(ring(optimizer))


@functools.cache
def compiled_at_a_step() -> CompiledHeldLimit:
    return compile_limit(limit_of(CONSTANT).at_step(TWENTIETH))


def exact(limit: AdaptiveLimit) -> np.ndarray:
    """The drift at the base point."""
    with mpmath.workdps(30):
        drift = limit.at_points.drift(next(limit.manifold.local()))
    return np.array(drift, dtype=float).ravel()


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [RMSProp(5 * alpha), RMSProp(sp.sqrt(alpha)), Adam(CONSTANT.delta, "constant")],
    ids=["comparable", "fast", "Adam"],
)
def test_compiled_drift_is_that_of_many_digits(optimizer) -> None:
    limit = limit_of(optimizer)
    np.testing.assert_allclose(compile_limit(limit).drift(POINT), exact(limit), rtol=1e-6)
    if limit.window is not Window.CONSTANT:
        with pytest.raises(NotCoveredError, match="there is a limit as α → 0 only"):
            limit.at_step(TWENTIETH)
        return
    stepped = limit.at_step(TWENTIETH)
    np.testing.assert_allclose(compile_limit(stepped).drift(POINT), exact(stepped), rtol=1e-9)


def test_compiled_limit_is_that_of_many_digits_at_settled_moments() -> None:
    limit = limit_of(CONSTANT)
    compiled, stepped = compile_limit(limit), compiled_at_a_step()
    np.testing.assert_allclose(compiled.drift(POINT), exact(limit), rtol=1e-6)
    np.testing.assert_allclose(stepped.drift(POINT), exact(limit.at_step(TWENTIETH)), rtol=1e-9)
    np.testing.assert_allclose(compiled.second_moments(POINT), POINT**2)
    with mpmath.workdps(30):
        many = limit.at_step(TWENTIETH).second_moments(next(limit.manifold.local()))
    found = stepped.second_moments(np.stack([POINT, POINT]))
    np.testing.assert_allclose(found, np.tile(np.array(many, dtype=float), (2, 1)), rtol=1e-9)
    assert (found > 1.1 * POINT**2).all()
    state = recursion_beside(stepped).state(np.stack([POINT, POINT]), 0.0)
    np.testing.assert_allclose(state[:, 2:], found)


@pytest.mark.slow
def test_drifting_moments_follow_along_the_limit() -> None:
    """dv/dt = 3 (S(W) − v) beside the drift of W."""
    limit = limit_of(DRIFTING)
    start = (0.6, 0.8, 0.5, 0.5)
    w, v = np.split(
        simulate_limit(limit, start, time=0.4, paths=1, seed=0, record=81).weights[0], 2, 1
    )
    times = np.linspace(0, 0.4, 81)[:, None]
    kernel = 3 * np.exp(3 * times) * w**2
    inside = np.concatenate([[[0, 0]], np.cumsum((kernel[1:] + kernel[:-1]) / 2 * 0.005, axis=0)])
    np.testing.assert_allclose(v, np.exp(-3 * times) * (0.5 + inside), atol=2e-5)
    assert np.abs(v[-1] - 0.5).max() > 0.1


@pytest.mark.slow
def test_one_step_is_the_one_that_is_stated() -> None:
    """A step with noise from S on, by hand, from the increments of w."""
    step, scale, delta = 0.05, 0.01, 1 / 500
    run = simulate_descent(
        ring(CONSTANT), POINT, alpha=step, sigma=scale, steps=1, paths=500, seed=3, record=2
    )
    moved = (run.weights[:, 1] - POINT) / step
    noise = np.linspace(-5, 5, 200_001)[:, None]
    g = scale * noise * POINT
    v = POINT**2 + delta * (g**2 / scale**2 - POINT**2)
    expected = -g / np.sqrt(v)
    nearest = np.argmin(np.abs(moved[:, :1] - expected[:, 0]), axis=1)
    np.testing.assert_allclose(moved, expected[nearest], atol=2e-6)


def test_what_is_drawn_obliquely_to_gamma() -> None:
    """A displacement along ΩH has no part along Γ; the nearest point would have one."""
    compiled = compiled_at_a_step()
    displaced = POINT + 1e-3 * np.array([1.0, 1.0])  # Ω n = sign(n)
    found = compiled.descent_limit(displaced, 0.05)
    assert np.linalg.norm(found - POINT) < 1e-6
    assert np.linalg.norm(compiled.retract(displaced) - POINT) > 1e-4


def test_a_start_off_gamma_is_refused() -> None:
    limit = limit_of(CONSTANT)
    with pytest.raises(ArgumentError, match="start: expected points of Γ"):
        simulate_limit(limit, (0.9, 0.9), time=0.1, paths=1, seed=0)


def test_runs_outside_the_window() -> None:
    limit = limit_of(CONSTANT)
    check_window(limit, [(0.2, 0.01)])
    with pytest.warns(DeriveWarning, match="the window 'constant' is wrong by about"):
        check_window(limit, [(0.2, 0.01), (0.01, 0.01)])
    with pytest.raises(ArgumentError, match="the window is 'comparable'"):
        check_window(limit, [(1e-4, 0.01)])


def test_a_run_with_skewed_noise_is_refused_where_it_drifts_first() -> None:
    """½ασδ²/(δ + αμ) of the skewness a step, beside α²σ² of the drift: large where σ is small."""
    problem = replace(ring(RMSProp(sp.Rational(1, 50), "constant")), law=TwoPoint(2))
    limit = derive_limit(problem)
    check_window(limit_of(CONSTANT), [(0.2, 1e-4)])
    with pytest.raises(ArgumentError, match="the limit of the window 'constant' is wrong by about"):
        check_window(limit, [(0.2, 1e-4)])


@pytest.mark.slow
def test_a_plan_names_the_windows() -> None:
    shown = str(plan(limit_of(CONSTANT), POINT, alpha=0.2, sigma=0.01, time=0.01, paths=100))
    assert "the window is 'constant': α_Adam = 0.002" in shown


def test_only_exact_windows_are_validated() -> None:
    run = {"alpha": 0.05, "sigma": 0.03, "time": 0.3, "paths": 100, "seed": 0}
    with pytest.raises(NotCoveredError, match="in the window 'comparable' it is that of α → 0"):
        validate(limit_of(RMSProp(5 * alpha)), POINT, **run)
    with pytest.raises(NotCoveredError, match=r"state δ = c\*derive.sigma"):
        validate(limit_of(CONSTANT), POINT, **run)
    assert expansion_order(limit_of(RMSProp(sigma / 20))) == 1
    assert expansion_order(limit_of(DRIFTING)) == 2


@pytest.mark.slow
def test_drifting_window_is_validated() -> None:
    limit = limit_of(DRIFTING)
    run = {"alpha": 0.05, "sigma": 0.03, "time": 0.3, "paths": 200, "seed": 0}
    assert validate(limit, (0.6, 0.8, 0.5, 0.5), **run).passed


@pytest.mark.slow
def test_constant_window_is_validated() -> None:
    limit = limit_of(RMSProp(sigma / 20))
    run = {"alpha": 0.05, "sigma": 0.03, "time": 0.3, "paths": 200, "seed": 0}
    report = validate(limit, POINT, **run)
    assert report.passed, str(report)
