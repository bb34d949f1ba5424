"""Optimizers that cycle across Γ: their compiled limit, the recursion, and random chains."""

import numpy as np
import pytest
import sympy as sp

from derive import Minibatch, NoisyGradientDescent, NotCoveredError, derive_limit
from derive.optimizers import NormalizedSharpnessAware
from numerics import ArgumentError, Status, compile_limit, simulate_descent, simulate_limit
from numerics.models.cycle_limit import CompiledCycleLimit
from numerics.models.fast_chain import FastChain

w1, w2, w3, w4, z1, z2 = sp.symbols("w1 w2 w3 w4 z1 z2", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
SAM = NormalizedSharpnessAware()
ON_RING = NoisyGradientDescent(RING, RING, (w1, w2), (), optimizer=SAM)


def two_samples() -> NoisyGradientDescent:
    """Two curved residuals in four weights, one in a batch."""
    residuals = (w1**2 + w2**2 - 1 + w3 * w4 / 5, w3 - w1 * w4 / 2 - w2**2 / 3)
    losses = [r**2 / 2 for r in residuals]
    noisy = sum((1 + z) * e for z, e in zip((z1, z2), losses, strict=True)) / 2
    weights, batch = (w1, w2, w3, w4), Minibatch(2, 1)
    return NoisyGradientDescent(sum(losses) / 2, noisy, weights, (z1, z2), batch, optimizer=SAM)


def test_a_gentle_chain_points_along_each_gradient() -> None:
    """As α → 0, E[1(i drawn) x xᵀ] is nᵢnᵢᵀ/n, whatever the other samples do."""
    normals = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    hessians = 3 * normals[:, :, None] * normals[:, None, :]
    chain = FastChain(paths=200, steps=200)
    moments = chain.second_moments(hessians, 1e-3, 1)
    expected = normals[:, :, None] * normals[:, None, :] / 2
    mean, error = moments.mean(axis=0), moments.std(axis=0) / np.sqrt(len(moments) - 1)
    assert (np.abs(mean - expected) < 5 * error + 4e-3).all()  # αλ = 0.003 beside the noise
    # With all samples in each batch it is the cycle, 2/(2 − αλ₁) long.
    values, vectors = np.linalg.eigh(hessians.mean(axis=0))
    cycle = chain.second_moments(hessians, 0.3, 2).mean(axis=0).sum(axis=0)
    length = (2 / (2 - 0.3 * values[-1])) ** 2
    np.testing.assert_allclose(cycle, length * np.outer(vectors[:, -1], vectors[:, -1]), atol=1e-9)


@pytest.mark.slow
def test_compiled_as_it_is_written() -> None:
    """Drift and Reg at α = 0.2 of the ring, where λ₁ = 2(2 + w₁)."""
    compiled = compile_limit(derive_limit(ON_RING).at_step(0.2))
    point = np.array([0.6, 0.8])
    speed = 1 / (1 - 0.2 * 2.6) ** 2
    expected = speed * np.array([-0.64, 0.48])
    np.testing.assert_allclose(compiled.drift(point), expected, rtol=1e-10)
    np.testing.assert_allclose(compiled.regularizer(point), 2.6 / (1 - 0.2 * 2.6), rtol=1e-12)
    assert compiled.drift_error(point).max() == 0
    assert compiled.gap(point) == pytest.approx(5.2)
    with pytest.raises(NotCoveredError, match="simulate_descent"):
        compiled.require_bursts()
    with pytest.raises(NotCoveredError, match="cycle"):
        compiled.fluctuations(point)
    with pytest.raises(ArgumentError, match="alpha"):
        compile_limit(derive_limit(ON_RING).at_step())


@pytest.mark.slow
def test_descent_follows_its_limit() -> None:
    alpha, sigma, steps = 1.0 / 5.2, 5e-4, 20_000
    limit = compile_limit(derive_limit(ON_RING).at_step(alpha))
    begin = [0.6003, 0.8004]
    run = simulate_descent(
        ON_RING, begin, alpha=alpha, sigma=sigma, steps=steps, paths=1, seed=0, record=3
    )
    _, middle, end = limit.retract(run.weights[0])
    time = steps / 2 * alpha * sigma**2
    predicted = simulate_limit(limit, middle, time=time, paths=1, seed=0).weights[0, -1]
    assert np.linalg.norm(predicted - end) < 0.003 * np.linalg.norm(end - middle)


@pytest.mark.slow
def test_a_path_ends_where_eigenvalues_cross() -> None:
    """F₁w₃² + F₂w₄² from F₁ > F₂: the flow lowers F₁ until they meet, at w₁ = 0."""
    loss = (2 + w1) * w3**2 + (2 - w1) * w4**2
    problem = NoisyGradientDescent(
        loss, loss, (w1, w3, w4), (), optimizer=SAM, near=(sp.Rational(1, 2), 0, 0)
    )
    paths = simulate_limit(derive_limit(problem), [0.5, 0, 0], time=2.0, paths=1, seed=0, record=41)
    assert paths.status[0] is Status.LEFT_NEIGHBOURHOOD
    reached = np.isfinite(paths.weights[0, :, 0])
    np.testing.assert_allclose(paths.weights[0, reached, 0], 0.5 - paths.times[reached], atol=1e-9)
    assert 0.44 < paths.times[reached].max() < 0.51


@pytest.mark.slow
def test_random_signs_by_simulation() -> None:
    """One sample in a batch at αλ = 0.8, where the limit α → 0 has half the speed."""
    problem = two_samples()
    alpha, sigma, steps, paths = 0.17, 2e-3, 400, 4000
    limit = derive_limit(problem)
    exact = CompiledCycleLimit(limit.at_step(alpha), FastChain(paths=4000, steps=400))
    start = exact.retract([0.6, 0.8, 0.3, 0.3])
    kicked = start + sigma * alpha * np.random.default_rng(0).normal(size=(paths, 4))
    run = simulate_descent(
        problem,
        kicked,
        alpha=alpha,
        sigma=sigma,
        steps=100 + steps,
        paths=paths,
        seed=1,
        record=[100, 100 + steps],
    )
    moved = np.diff(exact.retract(run.weights), axis=1)[:, 0] / (steps * alpha * sigma**2)
    mean, error = moved.mean(axis=0), moved.std(axis=0) / np.sqrt(paths)
    both = np.hypot(error, exact.drift_error(start))
    predicted, small = exact.drift(start), compile_limit(limit).drift(start)
    assert (np.abs(mean - predicted) < 4.5 * both).all()
    assert np.linalg.norm(predicted) > 1.4 * np.linalg.norm(small)
    # As α → 0 the chain gives ½ of the mean of |∇h_i|².
    gentle = CompiledCycleLimit(limit.at_step(0.002), FastChain(paths=400, steps=400))
    np.testing.assert_allclose(gentle.drift(start), small, rtol=0.02, atol=2e-4)
    with pytest.raises(NotCoveredError, match="simulated"):
        exact.regularizer(start)
