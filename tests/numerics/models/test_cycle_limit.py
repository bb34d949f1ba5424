"""Optimizers that cycle across Γ: their compiled limit, the recursion, and random chains."""

import numpy as np
import pytest
import sympy as sp

from derive import Minibatch, NoisyGradientDescent, NotCoveredError, derive_limit
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.model.optimized import rule_of
from derive.optimizers import NormalizedSharpnessAware
from numerics import ArgumentError, Status, compile_limit, simulate_descent, simulate_limit
from numerics.codegen.plain import plain_noise
from numerics.models.cycle_limit import CompiledCycleLimit
from numerics.models.fast_chain import FastChain
from numerics.random.samplers import sampler_for

w1, w2, w3, w4, w5, z1, z2, z3 = sp.symbols("w1:6 z1:4", real=True)
SAMPLES = z1, z2, z3
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
    moments = chain.second_moments(hessians, 0.0, Minibatch(2, 1))
    expected = normals[:, :, None] * normals[:, None, :] / 2
    mean, error = moments.mean(axis=0), moments.std(axis=0) / np.sqrt(len(moments) - 1)
    assert (np.abs(mean - expected) < 5 * error + 1e-9).all()
    # With all samples in each batch it is the cycle, 2/(2 − αλ₁) long.
    values, vectors = np.linalg.eigh(hessians.mean(axis=0))
    cycle = chain.second_moments(hessians, 0.3, Minibatch(2, 2)).mean(axis=0).sum(axis=0)
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
    # −x = x − αλ(x + σ) has the solution x = αλσ/(2 − αλ); five standard errors of a deviation.
    starts = compiled.scattered(point, 2000, alpha=0.2, sigma=0.01, seed=(0,)) - point
    amplitude = 0.2 * 5.2 * 0.01 / (2 - 0.2 * 5.2)
    assert (starts @ point).std() == pytest.approx(amplitude, rel=5 / np.sqrt(4000))
    np.testing.assert_allclose(starts @ [-0.8, 0.6], 0, atol=1e-15)
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


def three_samples(batches: Minibatch) -> NoisyGradientDescent:
    """Three curved residuals in five weights."""
    residuals = (
        w1**2 + w2**2 - 1 + w3 * w4 / 5,
        w3 - w1 * w4 / 2 - w2**2 / 3,
        w5 - w1 * w2 / 3,
    )
    losses = [r**2 / 2 for r in residuals]
    noisy = sum((1 + z) * e for z, e in zip(SAMPLES, losses, strict=True)) / 3
    weights = (w1, w2, w3, w4, w5)
    return NoisyGradientDescent(sum(losses) / 3, noisy, weights, SAMPLES, batches, optimizer=SAM)


def speed(problem: NoisyGradientDescent, start, *, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Motion of the recursion along Γ per unit of slow time, with its standard error."""
    rule, rng = rule_of(problem), np.random.default_rng(0)
    update = sp.lambdify((*rule.state, *rule.noise, ALPHA, SIGMA), list(rule.update), cse=True)
    draws = plain_noise(sampler_for(rule.law, rule.noise), 1.0, paths := 4000, 1)
    small, wait, steps = 1e-3, 150, 300
    place = start + small * alpha * rng.normal(size=(paths, len(start)))
    for k in range(wait + steps):
        if k == wait:
            begin = place
        place = np.stack(update(*place.T, *next(draws).T, alpha, small), axis=1)
    retract = compile_limit(derive_limit(problem)).retract
    moved = (retract(place) - retract(begin)) / (steps * alpha * small**2)
    return moved.mean(axis=0), moved.std(axis=0) / np.sqrt(paths)


@pytest.mark.slow
@pytest.mark.parametrize("batches", [Minibatch(3, 2), Minibatch(3, 2, replacement=True)])
def test_batches_of_several_samples(batches) -> None:
    """Their law counts as α → 0 too; neither one sample in a batch nor all have it."""
    problem = three_samples(batches)
    limit = derive_limit(problem)
    gentle = compile_limit(limit)
    start = gentle.retract([0.6, 0.8, 0.3, 0.3, 0.3])
    for alpha, predicted in ((0.004, gentle), (0.3, compile_limit(limit.at_step(0.3)))):
        measured, error = speed(problem, start, alpha=alpha)
        both = np.hypot(error, predicted.drift_error(start))
        drift = predicted.drift(start)
        # At α = 0.004 what is left of α is αλ₁ of the drift, less than a hundredth.
        left = 0.01 * np.linalg.norm(drift) * (alpha < 0.01)
        assert (np.abs(measured - drift) < 4.5 * both + left).all()
    others = [compile_limit(derive_limit(three_samples(Minibatch(3, b)))) for b in (1, 3)]
    for other in others:
        gap = np.linalg.norm(other.drift(start) - gentle.drift(start))
        assert gap > 0.1 * np.linalg.norm(gentle.drift(start))


@pytest.mark.slow
def test_samples_of_rank_two() -> None:
    """One sample in a batch does not point along the first eigenvector of its Hessian."""
    first, second = 3 * (1 + 3 * w1 / 10), 3 * (1 - w1 / 2 + w1**2 / 5)
    losses = [(first * w3**2 + w4**2) / 2, (w3**2 + second * w4**2) / 2]
    noisy = sum((1 + z) * e for z, e in zip((z1, z2), losses, strict=True)) / 2
    problem = NoisyGradientDescent(
        sum(losses) / 2,
        noisy,
        (w1, w3, w4),
        (z1, z2),
        Minibatch(2, 1),
        optimizer=SAM,
        near=(sp.Rational(2, 5), 0, 0),
    )
    limit = derive_limit(problem)
    assert limit.is_simulated
    start = np.array([0.4, 0.0, 0.0])
    measured, error = speed(problem, start, alpha=0.004)
    gentle = compile_limit(limit)
    predicted = gentle.drift(start)[0]
    assert abs(measured[0] - predicted) < 4.5 * np.hypot(error, gentle.drift_error(start))[0] + 1e-3
    of_first_eigenvectors = -(0.9 + 3 * (-0.5 + 0.4 * 0.4)) / 4
    assert abs(predicted - of_first_eigenvectors) > 0.05
    crossed = np.array([-20 / 9, 0.0, 0.0])  # λ₁ = λ₂ of the first sample, which means nothing here
    assert gentle.gap(crossed) == pytest.approx(0, abs=1e-12)
    assert gentle.regularity(crossed) == pytest.approx(1.0)
