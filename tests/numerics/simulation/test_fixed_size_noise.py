"""Noise that keeps its size: the recursion itself, extrapolated in α, against the limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from derive import Choice, Limit, Minibatch, NoisyGradientDescent, derive_limit, mechanisms
from derive.laws.scaled import Scaled
from numerics import compile_limit, simulate_descent, simulate_limit, validate
from numerics.codegen.plain import plain_noise
from numerics.random.samplers import sampler_for

x, y, z = sp.symbols("x y z", real=True)
e1, e2 = sp.symbols("e1:3", real=True)
THIRD = sp.Rational(1, 3)

LAWS = {
    "choice": Choice(((2, 1), (-1, 0), (-1, -1)), (THIRD, THIRD, THIRD)),
    "subset": Minibatch(2, 1),
    "multiset": Minibatch(2, 3, replacement=True),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_scaled_draw_is_the_draw_times_sigma(law):
    kept, small = (
        np.array(
            [noise for _, noise in zip(range(50), plain_noise(sampler, s, 20, 3), strict=False)]
        )
        for sampler, s in (
            (sampler_for(law, (e1, e2)), 1.0),
            (sampler_for(Scaled(law), (e1, e2)), 0.3),
        )
    )
    np.testing.assert_allclose(small, 0.3 * kept, rtol=1e-15)
    covariance = np.einsum("tpi,tpj->ij", kept, kept) / kept[..., 0].size
    expected = np.array(law.levy_pair(2).covariance, float)
    assert np.abs(covariance - expected).max() < 5 * np.abs(kept).max() ** 2 / np.sqrt(1000)


def flips() -> NoisyGradientDescent:
    return mechanisms.label_flips(x * y * z, z, [1], [1], (x, y), probability=sp.Rational(1, 4))


def batches() -> NoisyGradientDescent:
    return mechanisms.minibatch(x * y * z, z, [1, 1], [1, 2], (x, y), batch_size=1, half=True)


def two_values() -> NoisyGradientDescent:
    loss = (x**2 + 2 * y**2 - 1) ** 2 / 2 + 1
    law = Choice((2, -1), (THIRD, 2 * THIRD))
    return NoisyGradientDescent.from_gradient_noise(loss, [[1], [x]], (x, y), (e1,), law=law)


ERRORS = 4
"""Standard errors within which recursion and limit agree."""

PATHS = 2000


def moved(limit: Limit, start: np.ndarray, alpha: float, time: float) -> np.ndarray:
    """Φ_α(w_k) at the end of the time, one row per path."""
    problem = limit.problem
    steps = round(time / alpha**2)
    run = simulate_descent(
        problem, start, alpha=alpha, sigma=1.0, steps=steps, paths=PATHS, seed=7, record=[steps]
    )
    return compile_limit(limit).descent_limit(run.weights[:, -1], alpha)


@pytest.mark.parametrize(
    ("make", "guess", "alpha", "time"),
    [
        (flips, (2.2, 0.5), 0.1, 4.0),
        (batches, (2.2, 0.7), 0.02, 1.0),
        pytest.param(two_values, (0.9, 0.3), 0.02, 0.05, marks=pytest.mark.slow),
    ],
)
def test_the_recursion_follows_the_limit_as_the_step_shrinks(
    make: Callable[[], NoisyGradientDescent], guess: tuple[float, float], alpha: float, time: float
) -> None:
    limit = derive_limit(make())
    compiled = compile_limit(limit)
    start = compiled.retract(np.array(guess))
    ends = [moved(limit, start, step, time) for step in (alpha, alpha / 2)]
    predicted = simulate_limit(compiled, start, time=time, paths=PATHS, seed=1, record=[time])
    half = simulate_limit(compiled, start, time=time / 2, paths=PATHS, seed=1, record=[time / 2])
    way = predicted.weights[:, -1].mean(axis=0) - start
    way /= np.linalg.norm(way)

    def mean(points: np.ndarray) -> tuple[float, float]:
        along = (points - start) @ way
        return float(along.mean()), float(along.std() / np.sqrt(len(along)))

    (coarse, first), (fine, second) = map(mean, ends)
    measured, error = 2 * fine - coarse, np.hypot(2 * second, first)
    remainder = (fine - coarse) ** 2 / abs(fine)
    expected, own = mean(predicted.weights[:, -1])
    assert abs(measured - expected) < ERRORS * np.hypot(error, own) + remainder
    lost, own = mean(half.weights[:, -1])
    assert abs(measured - lost) > 5 * np.hypot(error, own) + remainder


@pytest.mark.slow
def test_a_verdict_on_label_flips() -> None:
    limit = derive_limit(flips())
    start = compile_limit(limit).retract(np.array((2.2, 0.5)))
    settings = {"alpha": 0.1, "sigma": 0.15, "time": 2.0, "paths": 400, "seed": 2}
    report = validate(limit, start, **settings)
    assert report.passed, str(report)
    lost = replace(limit, equation=replace(limit.equation, ito_weight=sp.Rational(1, 4)))
    assert not validate(lost, start, **settings).passed
