"""Update rules: the recursion as it is, its limit as fast functions, one against the other."""

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Choice,
    Gaussian,
    Independent,
    NoisyGradientDescent,
    NotCoveredError,
    UpdateRule,
    alpha,
    derive_limit,
)
from derive.analysis.agreement import pointwise
from derive.optimizers import (
    Extragradient,
    HeavyBall,
    LocalSteps,
    LookAhead,
    Nesterov,
    Optimizer,
    WeightAverage,
)
from numerics import Status, compile_descent, compile_limit, simulate_descent, simulate_limit
from numerics.codegen.plain import plain_noise
from tests.derive.rules.test_update_rules import each

w1, w2, m1, m2, e, q1, q2 = sp.symbols("w1 w2 m1 m2 e q1 q2", real=True)
WEIGHTS = (w1, w2)
LOSS = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
NOISY = LOSS + (w1**2 + w2**2) * e / 2
SLOPE = [NOISY.diff(w) for w in WEIGHTS]
STEP, TENTH = 0.1, sp.Rational(1, 10)
BETA = sp.Rational(7, 10)


def heavy_ball() -> UpdateRule:
    moved = [BETA * m + g for m, g in zip((m1, m2), SLOPE, strict=True)]
    weights = [w - alpha * m for w, m in zip(WEIGHTS, moved, strict=True)]
    return UpdateRule([*weights, *moved], WEIGHTS, (e,), memory=(m1, m2), loss=LOSS)


def one_coordinate() -> UpdateRule:
    """Descent that updates one of the two coordinates at random."""
    update = [w - alpha * q * g for w, q, g in zip(WEIGHTS, (q1, q2), SLOPE, strict=True)]
    mask = Choice([(1, 0), (0, 1)], ["1/2", "1/2"])
    law = Independent({e: Gaussian(), (q1, q2): mask})
    return UpdateRule(update, WEIGHTS, (e, q1, q2), law=law, loss=LOSS)


@pytest.fixture(scope="module")
def point() -> np.ndarray:
    return np.array([0.6, 0.8])


def test_heavy_ball_is_that_of_the_eigenbasis(point) -> None:
    """The general theorem and the formulas of descent with momentum, at a step and as α → 0."""
    descent = derive_limit(NoisyGradientDescent(LOSS, NOISY, WEIGHTS, (e,)))
    limit = derive_limit(heavy_ball())
    speed = 1 / (1 - float(BETA)) ** 2  # per α², where descent counts in (α/(1 − β))²
    at_step = compile_limit(limit.at_step(TENTH)).drift(point)
    expected = compile_limit(descent.at_step(TENTH, BETA)).drift(point)
    np.testing.assert_allclose(at_step, speed * expected, rtol=1e-9)
    no_step = compile_limit(limit).drift(point)
    np.testing.assert_allclose(no_step, speed * compile_limit(descent).drift(point), rtol=1e-8)


def test_heavy_ball_follows_its_limit(point) -> None:
    """Mean displacement after 1500 steps; a time scale of α in place of α/(1 − β) is excluded."""
    rule, sigma, steps = heavy_ball(), 0.05, 1500
    limit = compile_limit(derive_limit(rule).at_step(TENTH))
    run = simulate_descent(
        rule, point, alpha=STEP, sigma=sigma, steps=steps, paths=1500, seed=0, record=2
    )
    ends = limit.retract(run.weights[:, -1])
    time = steps * STEP**2 * sigma**2
    expected = simulate_limit(limit, point, time=time, paths=1, seed=0, record=2).weights[0, -1]
    error = ends.std(axis=0) / np.sqrt(len(ends))
    assert (abs(ends.mean(axis=0) - expected) < 5 * error + sigma**2 / 2).all()
    assert (abs(ends.mean(axis=0) - point) > 10 * (5 * error + sigma**2 / 2)).all()


def test_random_coordinates_diffuse(point) -> None:
    """Θ with its second part, 14 % of it here, from the growth of the variance along Γ."""
    rule, sigma = one_coordinate(), 0.02
    limit = compile_limit(derive_limit(rule).at_step(TENTH))
    expected = np.trace(limit.covariance(point))
    relaxed, steps, paths = 200, 400, 12_000
    run = simulate_descent(
        rule,
        point,
        alpha=STEP,
        sigma=sigma,
        steps=relaxed + steps,
        paths=paths,
        seed=0,
        record=[relaxed, relaxed + steps],
    )
    places = limit.retract(run.weights)
    moved = places[:, 1] - places[:, 0]
    squares = np.sum((moved - moved.mean(axis=0)) ** 2, axis=1) / (steps * STEP**2 * sigma**2)
    error = squares.std() / np.sqrt(paths)
    assert abs(squares.mean() - expected) < 5 * error
    assert 0.14 * expected > 5 * error


def test_diffusion_without_a_closed_form_has_the_covariance(point) -> None:
    """One unit of a short time by steps of the theorem at each point."""
    limit = compile_limit(derive_limit(one_coordinate()).at_step(TENTH))
    assert limit.is_noisy
    paths, time = 4000, 1e-3
    run = simulate_limit(limit, point, time=time, step=time / 2, paths=paths, seed=0, record=2)
    moved = run.weights[:, -1] - point
    squares = np.sum(moved**2, axis=1) / time
    expected = np.trace(limit.covariance(point))
    assert abs(squares.mean() - expected) < 5 * squares.std() / np.sqrt(paths) + 0.02 * expected
    assert np.abs(np.linalg.norm(run.weights[:, -1], axis=1) - 1).max() < 1e-12
    assert all(s is Status.OK for s in run.status)


def test_choices_are_drawn_with_their_probabilities() -> None:
    """A weight that adds up what is drawn, of three values for two symbols."""
    values, chances = [(1, 0), (0, 2), (-1, -1)], ["1/2", "1/3", "1/6"]
    rule = UpdateRule(
        [w1 - alpha * w1 * (1 + q1), w2 - alpha * w2 * (1 + q2)],
        WEIGHTS,
        (q1, q2),
        law=Choice(values, chances),
        constraints=(w1,),
    )
    start = (1.0, 1.0)
    paths = 20_000
    run = simulate_descent(
        rule, start, alpha=STEP, sigma=1.0, steps=1, paths=paths, seed=1, record=2
    )
    drawn = (1 - run.weights[:, -1]) / STEP - 1
    for value, chance in zip(values, map(sp.Rational, chances), strict=True):
        share = np.isclose(drawn, value).all(axis=1).mean()
        error = np.sqrt(float(chance * (1 - chance)) / paths)
        assert abs(share - float(chance)) < 5 * error


def test_memory_starts_at_rest(point) -> None:
    rule = heavy_ball()
    still = simulate_descent(
        rule, point, alpha=STEP, sigma=0.0, steps=50, paths=1, seed=0, record=2
    )
    np.testing.assert_allclose(still.weights[0, -1], point, atol=1e-12)


def test_a_start_off_the_manifold_ends_where_the_rule_does() -> None:
    rule, start = heavy_ball(), (0.3, 1.2)
    limit = compile_limit(derive_limit(rule).at_step(TENTH))
    end = simulate_descent(
        rule, start, alpha=STEP, sigma=0.0, steps=2000, paths=1, seed=0, record=2
    ).weights[0, -1]
    np.testing.assert_allclose(limit.beginnings(start), end, atol=1e-10)


def test_what_a_rule_has_not_is_refused(point) -> None:
    limit = compile_limit(derive_limit(heavy_ball()))
    with pytest.raises(NotCoveredError, match="no regularizer"):
        limit.regularizer(point)
    with pytest.raises(NotCoveredError, match="momentum: it is part of the update rule"):
        simulate_descent(
            compile_descent(heavy_ball()),
            point,
            alpha=STEP,
            sigma=0.1,
            steps=2,
            paths=1,
            seed=0,
            momentum=0.5,
        )


def test_an_optimizer_of_a_noise_model_is_run(point) -> None:
    """The same recursion as the rule written out, and that of `momentum=`."""
    problem = NoisyGradientDescent(LOSS, NOISY, WEIGHTS, (e,), optimizer=HeavyBall(BETA))
    run = {"alpha": STEP, "sigma": 0.05, "steps": 40, "paths": 3, "seed": 0, "record": 2}
    weights = simulate_descent(problem, point, **run).weights
    by_hand = simulate_descent(heavy_ball(), point, **run).weights
    plain = NoisyGradientDescent(LOSS, NOISY, WEIGHTS, (e,))
    momentum = simulate_descent(plain, point, **run, momentum=float(BETA)).weights
    np.testing.assert_allclose(weights, by_hand, atol=1e-13)
    np.testing.assert_allclose(weights, momentum, atol=1e-12)


# Optimizers that are built of others --------------------------------------------------------------

HALF = sp.Rational(1, 2)
BUILT = {
    "look-ahead": LookAhead(2, HALF, HeavyBall(BETA)),
    "local steps": LocalSteps(3, 2),
    "extragradient": Extragradient(),
    "an average of local steps": WeightAverage(HALF, LocalSteps(2, 2, Nesterov(BETA))),
    "local look-ahead": LocalSteps(2, 2, LookAhead(2, HALF)),
}


def built(optimizer: Optimizer) -> NoisyGradientDescent:
    return NoisyGradientDescent(LOSS, NOISY, WEIGHTS, (e,), optimizer=optimizer)


@pytest.mark.parametrize("optimizer", each(BUILT))
def test_compiled_theorem_of_built_optimizers_is_that_of_fifty_digits(optimizer, point) -> None:
    """Stacks of floats go through the same formulas."""
    limit = derive_limit(built(optimizer)).at_step(TENTH)
    fast = compile_limit(limit)
    points = np.array([point, [0.8, -0.6]])
    with mpmath.workdps(30):
        probe = limit.manifold.probe
        for w, drift, spread in zip(
            points, fast.drift(points), fast.covariance(points), strict=True
        ):
            g = probe.geometry(probe.system.polish(tuple(map(mpmath.mpf, map(float, w)))))
            for given, true in (
                (drift, pointwise(limit).drift(g)),
                (spread, pointwise(limit).spread(g)),
            ):
                expected = np.array(true.tolist(), float).reshape(given.shape)
                np.testing.assert_allclose(given, expected, atol=1e-12 * (1 + abs(expected).max()))


def by_hand(optimizer: Optimizer, noise: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Whole steps of an optimizer without memory from the noise of its inner ones."""
    slope = sp.lambdify([w1, w2, e], SLOPE)

    def inner(w: np.ndarray, eta: float) -> np.ndarray:
        return w - STEP * np.array(slope(*w, eta))

    w = start
    match optimizer:
        case LookAhead(steps=k):
            for block in noise.reshape(-1, k):
                moved = w
                for eta in block:
                    moved = inner(moved, eta)
                w = w + float(optimizer.weight) * (moved - w)
        case LocalSteps(steps=k, workers=p):
            for block in noise.reshape(-1, k, p):
                workers = [w] * p
                for etas in block:
                    workers = [inner(v, eta) for v, eta in zip(workers, etas, strict=True)]
                w = np.mean(workers, axis=0)
        case Extragradient():
            for first, second in noise.reshape(-1, 2):
                ahead = inner(w, first)
                w = w + inner(ahead, second) - ahead
        case WeightAverage():
            average = w
            for eta in noise:
                w = inner(w, eta)
                average = average + float(optimizer.rate) * (w - average)
            w = average
    return w


SIMPLE = {
    "extragradient": Extragradient(),
    "look-ahead": LookAhead(3, HALF),
    "local steps": LocalSteps(3, 2),
    "an average": WeightAverage(HALF),
}


@pytest.mark.parametrize("optimizer", each(SIMPLE))
def test_built_optimizers_are_run_step_by_step(optimizer, point) -> None:
    """The same iterates as a loop over the draws of the same streams."""
    compiled, steps, sigma = compile_descent(built(optimizer)), 4, 0.3
    ends = simulate_descent(
        compiled, point, alpha=STEP, sigma=sigma, steps=steps, paths=2, seed=7, record=2
    ).weights[:, -1]
    draws = plain_noise(compiled.sampler, sigma, 2, 7, 0)
    noise = np.array([next(draws) for _ in range(steps * compiled.period)])
    for path in range(2):
        expected = by_hand(optimizer, noise[:, path].ravel(), point)
        np.testing.assert_allclose(ends[path], expected, atol=1e-13)


@pytest.mark.slow
def test_built_optimizers_end_where_they_lead(point) -> None:
    problem, start = built(BUILT["look-ahead"]), (0.3, 1.2)
    limit = compile_limit(derive_limit(problem).at_step(TENTH))
    end = simulate_descent(
        problem, start, alpha=STEP, sigma=0.0, steps=2000, paths=1, seed=0, record=2
    ).weights[0, -1]
    np.testing.assert_allclose(limit.beginnings(start), end, atol=1e-10)
    inner = compile_limit(derive_limit(built(HeavyBall(BETA))).at_step(TENTH))
    assert np.abs(inner.beginnings(start) - end).max() > 1e-3
