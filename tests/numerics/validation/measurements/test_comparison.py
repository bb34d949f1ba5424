"""The recursion beside its limits: what is run, how far, and how precisely it is known."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from derive import Bernoulli, Gaussian, Independent, NoisyGradientDescent, TwoPoint, derive_limit
from numerics import compile_limit
from numerics.validation.measurements.comparison import (
    compare,
    compare_with_limit,
    expansion_order,
    iterations_per_time,
)
from numerics.validation.measurements.experiment import Experiment, Settings, resolution

w1, w2, eta, xi = sp.symbols("w1 w2 eta xi", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
LIMIT = derive_limit(NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta))
START = (0.6, 0.8)


@pytest.mark.parametrize(
    ("law", "order"),
    [
        (Gaussian(), 2),
        (TwoPoint(0), 2),
        (TwoPoint(1), 1),
        (Bernoulli(), 2),
        (Independent({eta: Gaussian(), xi: TwoPoint(1)}), 1),
        (Independent({eta: Gaussian(), xi: TwoPoint(0)}), 2),
    ],
)
def test_skew_noise_comes_in_at_first_order(law, order):
    problem = NoisyGradientDescent(RING, RING + w1 * eta + w2 * xi, (w1, w2), (eta, xi), law=law)
    assert expansion_order(derive_limit(problem)) == order


def test_iterations_per_time():
    assert iterations_per_time(LIMIT, 0.1, 0.01) == pytest.approx(1e6)
    assert iterations_per_time(LIMIT.at_step(0.1, 0.5), 0.1, 0.01) == pytest.approx(2.5e5)
    at_rest = derive_limit(NoisyGradientDescent(RING, RING * (1 + eta), (w1, w2), eta))
    assert iterations_per_time(at_rest, 0.1, 0.01) == pytest.approx(1e6)
    assert iterations_per_time(at_rest, 1e-200, 1e-200) == np.inf


def test_what_is_compared():
    start = (0.7, 0.9)
    comparison = compare_with_limit(LIMIT, start, alpha=0.1, sigma=0.1, time=0.1, paths=20, seed=0)
    fast = compile_limit(LIMIT)
    assert comparison.expected[0, 0] == pytest.approx(fast.descent_limit(start, 0.1), abs=1e-12)
    assert comparison.asymptotic[0, 0] == pytest.approx(fast.flow_limit(start), abs=1e-12)
    assert comparison.iterations[-1] == pytest.approx(1000)
    assert comparison.descents[0].times[-1] == 1000
    run = comparison.descents[0].weights
    assert comparison.projected[0] == pytest.approx(fast.descent_limit(run, 0.1))
    assert np.array_equal(comparison.trace.weights[:, 0], np.tile(start, (3, 1)))
    moved = comparison.expected[0] - comparison.expected[0, 0]
    assert comparison.motion == pytest.approx(np.linalg.norm(moved, axis=1).max())


def test_with_momentum_an_iterate_is_projected_with_its_velocity():
    """Φ_α(w_k, w_k − w_{k−1}) does not change over a step without noise."""
    compiled = compile_limit(LIMIT.at_step(0.1, 0.9))
    experiment = Experiment(compiled, paths=3, seed=(5,))
    run, ends = experiment.run((0.7, 1.1), alpha=0.1, sigma=0.0, record=[0, 1, 2, 5, 40])
    assert run.weights.shape == ends.shape == (3, 5, 2)
    assert np.array_equal(run.times, [0, 1, 2, 5, 40])
    assert np.abs(run.weights[0] - run.weights[0, 0]).max() > 0.05
    assert np.abs(ends - ends[:, :1]).max() < 1e-9
    at_rest = compiled.descent_limit(run.weights, 0.1, 0.9)
    assert np.abs(at_rest - at_rest[:, :1]).max() > 1e-3


def test_a_velocity_along_the_manifold_shifts_the_end():
    """From a point of Γ the iterates roll on; against the recursion in plain Python."""
    compiled = compile_limit(LIMIT.at_step(0.1, 0.9))
    weights, loss = LIMIT.problem.weights, LIMIT.problem.loss
    gradient = sp.lambdify([weights], [loss.diff(w) for w in weights])
    x, v = np.array([0.6, 0.8]), np.array([-0.008, 0.006])
    end = compiled.descent_limit(x, 0.1, 0.9, v)
    for _ in range(2000):
        v = 0.9 * v - 0.1 * np.array(gradient(x))
        x = x + v
    assert np.linalg.norm(x - [0.6, 0.8]) > 0.05
    np.testing.assert_allclose(end, x, atol=1e-9)


def test_the_sigmas_descend_and_their_ratio_is_that_of_the_last_two():
    settings = Settings(START, (0.1,), (0.05, 0.1, 0.2), 0.01, 20, 0)
    experiment = Experiment(compile_limit(LIMIT.at_step(0.1)), 20, (0,))
    comparison = compare(experiment, compile_limit(LIMIT), settings, alpha=0.1)
    assert comparison.sigmas == (0.2, 0.1, 0.05)
    assert comparison.ratio == pytest.approx(4)
    assert [int(d.times[-1]) for d in comparison.descents] == [25, 100, 400]


def test_the_resolution_covers_the_error_of_integration():
    """On the ring with L = (|w|² − 1)² (2 + w₁)/4 the angle solves 4θ' = sin θ / (2 + cos θ)."""
    comparison = compare_with_limit(
        LIMIT.at_step(0), START, alpha=0.1, sigma=0.1, time=20.0, paths=20, seed=0
    )
    floor = resolution(1.0, comparison.iterations)
    assert np.all(comparison.resolution >= floor * (1 - 1e-9))
    assert np.all(np.diff(comparison.resolution) >= 0)
    assert 2 * floor[-1] < comparison.resolution[-1] < 1e-6
    angle = np.arctan2(*comparison.asymptotic[0].T[::-1])
    # ∫ (2 + cos θ)/sin θ dθ = 2 log tan(θ/2) + log sin θ.
    passed = 4 * (2 * np.log(np.tan(angle / 2)) + np.log(np.sin(angle)))
    gaps = np.abs(passed - passed[0] - comparison.times)
    unit = np.abs(4 * (2 + np.cos(angle)) / np.sin(angle))
    assert np.all(gaps < comparison.resolution * unit + 1e-9)


def test_streams_are_apart():
    experiment = Experiment(compile_limit(LIMIT), 20, (7,))
    assert experiment.keyed(1, 2).seed == (7, 1, 2)
    assert experiment.keyed(1).keyed(2) == experiment.keyed(1, 2)
    assert experiment.keyed(paths=5) == replace(experiment, paths=5)
    first, second, again = (
        experiment.keyed(k).run(START, alpha=0.1, sigma=0.1, record=[0, 10])[0].weights
        for k in (1, 2, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
