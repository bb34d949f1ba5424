"""Schedules of the step size: the course along Γ against the recursion in plain NumPy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, NotCoveredError, alpha, derive_limit, mechanisms, sigma
from derive.model.optimized import rule_of
from derive.optimizers import HeavyBall, LocalSteps, NormalizedSharpnessAware
from numerics import ArgumentError, StepSchedule, follow_schedule
from numerics.codegen.plain import plain_noise
from numerics.random.samplers import sampler_for

u1, u2, u3, e1, e2, w1, w2 = sp.symbols("u1 u2 u3 e1 e2 w1 w2", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4


def diagonal_net() -> NoisyGradientDescent:
    """Label noise on h(x; u) = Σ x_j u_j² and two samples."""
    residuals = (u1**2 + 2 * u2**2 + u3**2 - 2.25, 2 * u1**2 - u2**2 + u3**2 - 1.25)
    loss = sum(r**2 for r in residuals) / 2
    noisy = sum((r - e) ** 2 for r, e in zip(residuals, (e1, e2), strict=True)) / 2
    return NoisyGradientDescent(loss, noisy, (u1, u2, u3), (e1, e2))


def ring() -> NoisyGradientDescent:
    return mechanisms.parameter_noise(RING, (w1, w2))


def sharp() -> NoisyGradientDescent:
    sam = NormalizedSharpnessAware()
    return NoisyGradientDescent(RING, RING, (w1, w2), (), optimizer=sam)


def run(problem, start, schedule, *, scale: float, paths: int, times) -> np.ndarray:
    """The recursion with α_k, (T, paths, N)."""
    rule = rule_of(problem)
    inputs = (*rule.state, *rule.noise, alpha, sigma)
    update = sp.lambdify(inputs, list(rule.update), cse=True)
    noise = plain_noise(sampler_for(rule.law, rule.noise), scale, paths, 3) if rule.noise else None
    place, found = np.tile(start, (paths, 1)), []
    for k in range(len(schedule) + 1):
        if k in times:
            found.append(place)
        if k < len(schedule):
            drawn = () if noise is None else (next(noise) * schedule.noise[k]).T
            place = np.stack(update(*place.T, *drawn, schedule.alphas[k], scale), axis=1)
    return np.array(found)


CASES: dict[str, tuple[Callable, tuple, sp.Expr, float, float, int, int]] = {
    # What falls is ΔL, Reg and λ₁.
    "label noise": (
        diagonal_net,
        (0.7, 0.62, 1.0),
        u1**2 * 20 + u2**2 * 20 + u3**2 * 8,
        0.06,
        0.15,
        12_000,
        40,
    ),
    "parameter noise": (ring, (0.6, 0.8), 2 + w1, 0.1, 0.05, 6000, 200),
    "sharpness-aware": (sharp, (0.601, 0.801), 2 + w1, 0.25, 0.005, 30_000, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_after_a_cosine(name) -> None:
    """Within 1 % of the recursion, of what falls by 10 % or more."""
    make, start, falls, peak, scale, steps, paths = CASES[name]
    problem = make()
    schedule = StepSchedule.cosine(peak, steps, warm_up=steps // 20)
    limit = derive_limit(problem)
    times = [0, steps // 2, steps]
    course = follow_schedule(limit, start, schedule, sigma=scale, record=times)
    found = run(problem, start, schedule, scale=scale, paths=paths, times=times)
    of = sp.lambdify([problem.weights], falls)
    measured = np.array([np.mean(of(x.T)) for x in found])
    predicted = np.array([of(x) for x in course.weights])
    assert measured[-1] < 0.9 * measured[0]
    np.testing.assert_allclose(predicted[1:], measured[1:], rtol=0.01)
    if name == "parameter noise":
        loss = sp.lambdify([problem.weights], problem.loss)
        values = np.array([loss(x.T) for x in found[1:]])
        error = values.std(axis=1) / np.sqrt(paths)
        # Beside the sampling error, corrections of relative order σ² + α.
        assert (
            np.abs(values.mean(axis=1) - course.loss[1:]) < 4 * error + 0.05 * course.loss[1:]
        ).all()
    if name == "sharpness-aware":
        assert np.isnan(course.loss).all()


def local_rounds(problem, start, schedule, batches, *, scale: float, paths: int, times):
    """Rounds of H_k steps on each of three workers with B_k labels in a step, (T, paths, N)."""
    rule, rng = rule_of(problem), np.random.default_rng(5)
    inputs = (*rule.weights, *rule.noise, alpha, sigma)
    update = sp.lambdify(inputs, list(rule.update), cse=True)
    place, found = np.tile(start, (paths, 1)), []
    for k in range(len(schedule)):
        each = np.repeat(place, 3, axis=0)
        for _ in range(schedule.local_steps[k]):
            drawn = rng.standard_normal((batches[k], len(rule.noise), len(each))).mean(axis=0)
            moved = update(*each.T, *(scale * drawn), schedule.alphas[k], scale)
            each = np.stack(moved, axis=1)
        place = each.reshape(paths, 3, -1).mean(axis=1)
        if k + 1 in times:
            found.append(place)
    return np.array(found)


@pytest.mark.slow
def test_local_steps_and_batches_that_grow_as_the_step_size_falls() -> None:
    """ΔL and L within the sampling error and 0.2 % and 5 %; those of descent are 10 errors off."""
    problem, steps, peak, paths = diagonal_net(), 1500, 0.06, 200
    start, times = (0.7, 0.62, 1.0), np.array([500, 1000, 1300, 1500])
    plain = StepSchedule.warm_up_stable_decay(peak, steps, warm_up=50, decay=600)
    counts = np.select([plain.alphas > 0.7 * peak, plain.alphas > 0.35 * peak], [2, 4], 8)
    batches = np.where(np.arange(steps) < 500, 1, 2)
    schedule = replace(plain.with_batches(batches), local_steps=counts)
    limit = derive_limit(replace(problem, optimizer=LocalSteps(1, 3)))
    course = follow_schedule(limit, start, schedule, sigma=0.15, record=times)
    found = local_rounds(problem, start, schedule, batches, scale=0.15, paths=paths, times=times)
    alone = follow_schedule(derive_limit(problem), start, plain, sigma=0.15, record=times)
    trace = sp.lambdify([problem.weights], u1**2 * 20 + u2**2 * 20 + u3**2 * 8)
    loss = sp.lambdify([problem.weights], problem.loss)
    for of, predicted, other, part in (
        (trace, trace(course.weights.T), trace(alone.weights.T), 0.002),
        (loss, course.loss, alone.loss, 0.05),
    ):
        values = np.array([of(x.T) for x in found])
        error = values.std(axis=1) / np.sqrt(paths)
        assert (np.abs(values.mean(axis=1) - predicted) < 3 * error + part * predicted).all()
        assert np.abs(values.mean(axis=1) - other)[-1] > 10 * error[-1]


@pytest.mark.slow
def test_loss_under_rules() -> None:
    """Descent as a rule has the loss of descent; momentum that of its recursion."""
    times = [300, 900, 1000]
    schedule, given = StepSchedule.cosine(0.05, 1000, warm_up=50), {"sigma": 0.15, "record": times}
    for problem, start in ((ring(), (0.6, 0.8)), (diagonal_net(), (0.7, 0.62, 1.0))):
        plain = follow_schedule(derive_limit(problem), start, schedule, **given)
        rule = follow_schedule(derive_limit(rule_of(problem)), start, schedule, **given)
        np.testing.assert_allclose(rule.weights, plain.weights, atol=1e-6)
        np.testing.assert_allclose(rule.loss, plain.loss, rtol=1e-5)
    heavy = replace(problem, optimizer=HeavyBall(sp.Rational(3, 5)))
    course = follow_schedule(derive_limit(heavy), start, schedule, **given)
    rest = np.zeros(3)
    found = run(heavy, (*start, *rest), schedule, scale=0.15, paths=400, times=times)
    loss = sp.lambdify([problem.weights], problem.loss)
    values = np.array([loss(x.T[:3]) for x in found])
    error = values.std(axis=1) / np.sqrt(400)
    assert (np.abs(values.mean(axis=1) - course.loss) < 4 * error + 0.05 * course.loss).all()
    assert (np.abs(values.mean(axis=1) - plain.loss)[:2] > 5 * error[:2]).all()


def test_shapes() -> None:
    schedule = StepSchedule.warm_up_stable_decay(0.4, 10, warm_up=2, decay=4)
    np.testing.assert_allclose(
        schedule.alphas, [0.1, 0.3, 0.4, 0.4, 0.4, 0.4, 0.35, 0.25, 0.15, 0.05]
    )
    cosine = StepSchedule.cosine(0.2, 1000, final=0.1).alphas
    assert cosine[0] == pytest.approx(0.2, abs=1e-5)
    assert cosine.mean() == pytest.approx(0.15)
    grown = schedule.with_batches([1] * 5 + [4] * 5)
    np.testing.assert_allclose(grown.noise, [1] * 5 + [0.5] * 5)


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="not all zero"):
        StepSchedule([0.0, 0.0])
    with pytest.raises(ArgumentError, match="α_k ≥ 0"):
        StepSchedule([0.1, -0.1])
    with pytest.raises(ArgumentError, match="warm_up"):
        StepSchedule.cosine(0.1, 10, warm_up=10)
    with pytest.raises(ArgumentError, match="decay"):
        StepSchedule.warm_up_stable_decay(0.1, 10, warm_up=5, decay=6)
    with pytest.raises(ArgumentError, match="positive numbers"):
        StepSchedule([0.1, 0.1]).with_batches([1, 0])
    with pytest.raises(ArgumentError, match="local_steps: expected 2 positive integers"):
        StepSchedule([0.1, 0.1], local_steps=[1, 0])
    with pytest.raises(ArgumentError, match="local_steps are those of a problem under LocalSteps"):
        given = StepSchedule([0.1], local_steps=[2])
        follow_schedule(derive_limit(ring()), (0.6, 0.8), given, sigma=0.1)
    schedule = StepSchedule.cosine(0.1, 100)
    brownian = derive_limit(mechanisms.additive_noise(RING, (w1, w2)))
    with pytest.raises(NotCoveredError, match="diffusive"):
        follow_schedule(brownian, (0.6, 0.8), schedule, sigma=0.1)
