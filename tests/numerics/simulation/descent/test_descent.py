"""The recursion: the fused kernel against plain NumPy, laws, divergence, and what a user types."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    Rademacher,
    Sphere,
    TwoPoint,
    Uniform,
)
from numerics import Paths, Status, StepSizeWarning, compile_descent, simulate_descent
from numerics.errors import NoiseError
from numerics.random.samplers import sampler_for
from tests.truth.reference import reference_descent

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
LOSS = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
RING = compile_descent(NoisyGradientDescent(LOSS, LOSS + (w1**2 + w2**2) * eta / 2, (w1, w2), eta))
START = (0.6, 0.8)
SETTINGS = {"alpha": 0.05, "sigma": 0.1, "seed": 3}


def tanh_net() -> NoisyGradientDescent:
    """Two tanh neurons with label noise on two points; an even number of normals a step."""
    a, b, c = (sp.symbols(f"{letter}0:2", real=True) for letter in "abc")
    noise = sp.symbols("e0:2", real=True)

    def loss(labels):
        return (
            sum(
                (sum(a[k] * sp.tanh(b[k] * x + c[k]) for k in range(2)) - y - e) ** 2
                for x, y, e in zip((0.3, -0.7), (0.5, -0.2), labels, strict=True)
            )
            / 4
        )

    return NoisyGradientDescent(loss((0, 0)), loss(noise), (*a, *b, *c), noise)


def test_fused_kernel_follows_the_reference() -> None:
    """Same random numbers; rounding errors grow slowly on these stable stretches."""
    problems = [(RING, np.array(START)), (compile_descent(tanh_net()), np.linspace(-1, 1, 6))]
    for problem, start in problems:
        fast = simulate_descent(problem, start, **SETTINGS, steps=60, paths=40, record=61)
        slow = reference_descent(problem, start, **SETTINGS, steps=60, paths=40)
        np.testing.assert_allclose(fast.weights, slow, rtol=0, atol=1e-13)


def test_momentum_follows_the_reference() -> None:
    settings = SETTINGS | {"momentum": 0.9, "steps": 50, "paths": 5}
    fast = simulate_descent(RING, START, **settings, record=51)
    np.testing.assert_allclose(fast.weights, reference_descent(RING, START, **settings), atol=1e-13)


def test_bits_depend_on_nothing_but_seed_and_path() -> None:
    """Threads, chunks, record, company: all the same bits, odd numbers of steps included."""
    settings = SETTINGS | {"steps": 1001}
    whole = simulate_descent(RING, START, **settings, paths=70, record=[500, 1001], threads=1)
    threads = simulate_descent(RING, START, **settings, paths=70, record=1002, threads=3)
    part = simulate_descent(RING, START, **settings, paths=3, record=[500, 1001], first_path=40)
    np.testing.assert_array_equal(threads.weights[:, [500, 1001]], whole.weights)
    np.testing.assert_array_equal(part.weights, whole.weights[40:43])
    again = simulate_descent(
        pickle.loads(pickle.dumps(RING)), START, **settings, paths=70, record=[500, 1001]
    )
    np.testing.assert_array_equal(again.weights, whole.weights)


def gradient_noise(law, dimension: int) -> NoisyGradientDescent:
    """A model whose step of size one from 0 is minus the noise."""
    weights = sp.symbols(f"w0:{dimension}", real=True)
    noise = sp.symbols(f"n0:{dimension}", real=True)
    if callable(law):
        law = law(noise)
    return NoisyGradientDescent.from_gradient_noise(
        0 * weights[0], sp.eye(dimension), weights, noise, law=law
    )


N_DRAWS = 200_000
SIGMA = 0.5


def draws(problem: NoisyGradientDescent, number: int = N_DRAWS) -> np.ndarray:
    """Noise of the fused kernel, shape (number, d), after it was held to the reference."""
    start = np.zeros(problem.dimension)
    settings = {"alpha": 1.0, "sigma": SIGMA, "seed": 11}
    fast = simulate_descent(problem, start, **settings, steps=5, paths=35, record=6)
    slow = reference_descent(problem, start, **settings, steps=5, paths=35)
    np.testing.assert_allclose(fast.weights, slow, rtol=0, atol=1e-13)
    run = simulate_descent(problem, start, **settings, steps=1, paths=number, record=2)
    return -run.weights[:, 1]


def within(values: np.ndarray, expected: float, errors: float = 4.5) -> bool:
    """Whether the mean of independent `values` is as expected, within standard errors."""
    spread = max(values.std(), 1e-12)
    return abs(values.mean() - expected) < errors * spread / np.sqrt(len(values))


def assert_moments(noise: np.ndarray, covariance: np.ndarray) -> None:
    """Means zero, and every product of two coordinates, within standard errors."""
    for i, row in enumerate(covariance):
        assert within(noise[:, i], 0.0), i
        for j, expected in enumerate(row[: i + 1]):
            assert within(noise[:, i] * noise[:, j], expected), (i, j)


CUSTOM = CustomLaw([[1, 0], [0, 0]], [((1, -1), 2), ((0, 3), sp.Rational(1, 2))])


def test_shrinking_laws() -> None:
    covariance = sp.Matrix([[2, 1, 1], [1, 1, 0], [1, 0, 1]])  # singular
    problem = gradient_noise(
        lambda n: Independent(
            {
                n[3]: Uniform(),
                (n[1], n[4]): Rademacher(),
                (n[0], n[2], n[5]): Gaussian(covariance),
                (n[6], n[7], n[8]): Sphere(),
            }
        ),
        9,
    )
    noise = draws(problem)
    expected = np.eye(9)
    expected[np.ix_([0, 2, 5], [0, 2, 5])] = np.array(covariance.tolist(), dtype=float)
    assert_moments(noise, SIGMA**2 * expected)
    np.testing.assert_array_equal(np.abs(noise[:, [1, 4]]), SIGMA)
    assert np.abs(noise[:, 3]).max() < np.sqrt(3) * SIGMA
    assert within(noise[:, 3] ** 4, 9 / 5 * SIGMA**4)
    assert within(noise[:, 0] ** 4, 3 * 4 * SIGMA**4)
    np.testing.assert_allclose(np.linalg.norm(noise[:, 6:], axis=1), np.sqrt(3) * SIGMA)
    assert within(noise[:, 6] ** 4, 9 / 5 * SIGMA**4)
    assert within(noise[:, 6] ** 2 * noise[:, 7] ** 2, 3 / 5 * SIGMA**4)


def test_two_point_law() -> None:
    skewness = sp.Rational(-3, 2)
    noise = draws(gradient_noise(TwoPoint(skewness), 2))
    assert_moments(noise, SIGMA**2 * np.eye(2))
    # a − 1/a = −3/2.
    np.testing.assert_allclose(np.unique(noise), [-2 * SIGMA, SIGMA / 2], rtol=1e-14)
    assert within(noise[:, 0] ** 3, -1.5 * SIGMA**3)


def test_rare_jump_laws() -> None:
    p = SIGMA**2 / (1 + SIGMA**2)
    noise = draws(
        gradient_noise(lambda n: Independent({(n[0], n[2]): Bernoulli(), (n[1], n[3]): CUSTOM}), 4)
    )
    assert_moments(noise[:, [0, 2]], SIGMA**2 * np.eye(2))
    for column in (noise[:, 0], noise[:, 2]):
        np.testing.assert_allclose(np.unique(column), [-1.0, p / (1 - p)], rtol=1e-15)
        assert within(column == -1.0, p)
    jumps = np.array([[2.0, -2.0], [-2.0, 2.0 + 4.5]])
    assert_moments(noise[:, [1, 3]], SIGMA**2 * (np.diag([1.0, 0.0]) + jumps))
    # The second coordinate has jumps only: −N₁ + 3 N₂, centred.
    means = SIGMA**2 * np.array([2.0, 0.5])
    counts = np.round(noise[:, 3] + 3 * means[1] - means[0])
    np.testing.assert_allclose(noise[:, 3] + 3 * means[1] - means[0], counts, atol=1e-12)
    assert within(
        counts == -2.0,
        _poisson(2, means[0]) * _poisson(0, means[1])
        + _poisson(5, means[0]) * _poisson(1, means[1]),
    )


def _poisson(n: int, mean: float) -> float:
    return float(np.exp(-mean) * mean**n / sp.factorial(n))


@pytest.mark.parametrize("replacement", [False, True])
def test_minibatches(replacement) -> None:
    law = Minibatch(5, 2, replacement=replacement)
    noise = draws(gradient_noise(law, 5))
    counts = (1.0 + noise) * 2 / 5
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-14)
    np.testing.assert_allclose(counts.sum(axis=1), 2, atol=1e-14)
    assert np.round(counts).max() == (2 if replacement else 1)
    covariance = law.levy_pair(5).covariance
    assert_moments(noise, np.array(covariance.tolist(), dtype=float))


def test_many_signs_use_words_in_turn() -> None:
    """More coordinates than one word serves."""
    noise = draws(gradient_noise(Rademacher(), 34), number=20_000)
    covariance = np.cov(noise.T) / SIGMA**2
    assert np.abs(covariance - np.eye(34)).max() < 6 / np.sqrt(20_000)


def test_divergence_is_data_with_the_step() -> None:
    settings = {"alpha": 0.3, "sigma": 1.0, "seed": 1, "steps": 400, "paths": 70}
    start = np.where(np.arange(70)[:, None] % 2, (1.6, 0.8), (0.0, 0.0))
    run = simulate_descent(RING, start, **settings, record=401)
    with np.errstate(over="ignore", invalid="ignore"):
        slow = reference_descent(RING, start, **settings)
    astray = ~np.isfinite(slow).all(axis=2)
    first = np.where(astray.any(axis=1), astray.argmax(axis=1), -1)
    np.testing.assert_array_equal(run.stopped, first)
    np.testing.assert_array_equal(run.status == Status.DIVERGED, first >= 0)
    assert (first >= 0).sum() > 0
    np.testing.assert_array_equal(np.isnan(run.weights).all(axis=2), astray)
    assert "diverged (first at step" in str(run)


def test_leaving_the_neighbourhood_is_seen_at_every_step() -> None:
    settings = {"alpha": 0.05, "sigma": 1.0, "seed": 1, "steps": 2000, "paths": 64}
    run = simulate_descent(RING, START, **settings, neighbourhood=0.6)
    slow = reference_descent(RING, START, **settings)
    outside = np.linalg.norm(slow - slow[:, :1], axis=2) > 0.6
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), -1)
    assert 0 < (first >= 0).sum() < 64
    np.testing.assert_array_equal(run.stopped, first)
    np.testing.assert_array_equal(run.status == Status.LEFT_NEIGHBOURHOOD, first >= 0)


def test_unstable_step_size_is_warned_of_before_the_run() -> None:
    on_ring = {"sigma": 0.1, "steps": 1, "paths": 1, "seed": 0}
    # λ_max = 2(2 + w₁) on the ring.
    assert RING.sharpness(START) == pytest.approx(2 * 2.6, rel=1e-6)
    with pytest.warns(StepSizeWarning, match="stable below 2"):
        simulate_descent(RING, START, alpha=2 / 5.2 + 1e-3, **on_ring)
    simulate_descent(RING, START, alpha=2 / 5.2 - 1e-3, **on_ring)
    simulate_descent(RING, START, alpha=3 / 5.2, momentum=0.6, **on_ring)


def test_starts_and_records() -> None:
    few = SETTINGS | {"steps": 100, "paths": 2}
    mapping = simulate_descent(RING, {w2: 0.8, w1: 0.6}, **few, record=5)
    assert mapping.times.tolist() == [0, 25, 50, 75, 100]
    assert mapping.unit == "iterations" and mapping.weights.shape == (2, 5, 2)
    rows = simulate_descent(RING, [START, START], **few, record=np.geomspace(1, 100, 9))
    assert rows.times.tolist() == [1, 2, 3, 6, 10, 18, 32, 56, 100]
    np.testing.assert_array_equal(rows.weights[:, -1], mapping.weights[:, -1])
    assert simulate_descent(RING, START, **(few | {"steps": 0})).times.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": (1.0,)}, r"start: expected shape \(2,\) or \(4, 2\)"),
        ({"start": {w1: 1.0}}, "start: expected a value for each of w1, w2; check w2"),
        ({"start": (np.nan, 1.0)}, "start: expected finite"),
        ({"alpha": 0.0}, "alpha: expected a positive number"),
        ({"sigma": -1.0}, "sigma: expected a non-negative number"),
        ({"momentum": 1.0}, "momentum: expected"),
        ({"neighbourhood": -1.0}, "neighbourhood: expected"),
        ({"steps": 1.5}, "steps: expected an integer"),
        ({"paths": 0}, "paths: expected an integer, at least 1"),
        ({"record": 1}, "record: expected at least 2"),
        ({"record": [5, 3]}, "record: expected iterations that increase"),
        ({"record": [0, 11]}, "record: expected iterations that increase within 0 … 10"),
    ],
)
def test_refusals(change, message) -> None:
    arguments = {"start": START, **SETTINGS, "steps": 10, "paths": 4} | change
    start = arguments.pop("start")
    with pytest.raises(ValueError, match=message):
        simulate_descent(RING, start, **arguments)


def test_unbound_parameters_are_refused() -> None:
    kappa = sp.Symbol("kappa", real=True)
    loss = kappa**2 * LOSS
    problem = NoisyGradientDescent(loss, loss + w1 * eta, (w1, w2), eta, parameters=(kappa,))
    with pytest.raises(ValueError, match="kappa without a value"):
        compile_descent(problem)
    batch = sp.Symbol("B", positive=True, integer=True)
    with pytest.raises(NoiseError, match="batch_size: B has no value"):
        sampler_for(Minibatch(2, batch), (w1, w2))


def test_paths_are_saved_whole_and_foreign_files_refused(tmp_path) -> None:
    run = simulate_descent(RING, START, **SETTINGS, steps=20, paths=3, neighbourhood=0.01)
    file = tmp_path / "run.npz"
    run.save(file)
    loaded = Paths.load(file)
    for name in ("times", "weights", "status", "stopped"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(run, name))
    assert loaded.unit == run.unit and loaded.status[0] is Status.LEFT_NEIGHBOURHOOD
    content = file.read_bytes()
    damaged = tmp_path / "damaged.npz"
    for wrong in (content[: len(content) // 2], b"", b"no archive at all"):
        damaged.write_bytes(wrong)
        with pytest.raises(ValueError, match="not a whole file"):
            Paths.load(damaged)
    np.savez(damaged, weights=np.zeros(3))
    with pytest.raises(ValueError, match="not one written by Paths"):
        Paths.load(damaged)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged.npz", "run.npz"]
