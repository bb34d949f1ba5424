"""The jump process of descent with rare jumps, against the recursion at a large step."""

import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Limit,
    NoisyGradientDescent,
    NotCoveredError,
    alpha,
    derive_limit,
)
from derive.jump_limit import JumpLimit
from numerics import Status, compile_limit, simulate_descent, simulate_limit
from numerics.errors import ArgumentError

w1, w2, e1, e2 = sp.symbols("w1 w2 e1 e2", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 / 4
START = np.array([np.cos(0.9), np.sin(0.9)])
STEP = 0.3


def dropconnect(law=None) -> Limit:
    noisy = RING.subs({w1: w1 * (1 + e1), w2: w2 * (1 + e2)}, simultaneous=True)
    problem = NoisyGradientDescent(RING, noisy, (w1, w2), (e1, e2), law=law or Bernoulli())
    return derive_limit(problem)


@pytest.fixture(scope="module")
def limit() -> Limit:
    return dropconnect()


@pytest.fixture(scope="module")
def process(limit) -> JumpLimit:
    return limit.jump_process(sp.Rational(3, 10))


def turned(points: np.ndarray) -> np.ndarray:
    """Angle from the start."""
    return np.arctan2(points[..., 1], points[..., 0]) - 0.9


def moments(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean square with their standard errors."""
    powers = np.stack([angles, angles**2])
    return powers.mean(axis=1), powers.std(axis=1) / np.sqrt(len(angles))


def test_dropconnect_at_a_large_step_jumps(limit, process) -> None:
    """Mean and mean square of the angle; five standard errors, and half the motion is excluded."""
    steps, sigma, paths = 400, 0.05, 2000
    run = simulate_descent(
        limit.problem,
        START,
        alpha=STEP,
        sigma=sigma,
        steps=steps,
        paths=paths,
        seed=0,
        record=[0, steps],
    )
    measured, error = moments(turned(compile_limit(limit).descent_limit(run.weights[:, -1], STEP)))
    jumps = simulate_limit(process, START, time=steps * sigma**2, paths=2 * paths, seed=1, record=2)
    expected, theirs = moments(turned(jumps.weights[:, -1]))
    spread = np.hypot(error, theirs)
    assert (abs(measured - expected) < 5 * spread).all()
    assert (abs(measured - expected / 2) > 5 * spread).all()


def test_generator_becomes_the_flow_of_reg(limit) -> None:
    """At a small step the mean displacement is −αP∇Reg_B, up to a relative O(αλ) = 4 %."""
    small, paths = 0.02, 6000
    process = limit.jump_process(sp.Rational(1, 50))
    run = simulate_limit(process, START, time=1.0, paths=paths, seed=0, record=2)
    assert run.unit == "slow time"
    moved = (run.weights[:, -1] - START).mean(axis=0) / small
    error = run.weights[:, -1].std(axis=0) / np.sqrt(paths) / small
    drift = compile_limit(limit).drift(START)
    allowed = 5 * error + 0.08 * abs(drift)
    assert (abs(moved - drift) < allowed).all()
    assert (abs(moved - drift / 2) > allowed).all()


def test_drift_between_jumps_compensates_them() -> None:
    """Centred jumps along Γ: without the compensator the mean would turn by αν|z| per unit time."""
    law = CustomLaw(sp.zeros(1), [((1,), 2)])
    circle = NoisyGradientDescent(RING, RING + e1 * w2 / 5, (w1, w2), (e1,), law=law)
    process = derive_limit(circle).jump_process(sp.Rational(1, 10))
    assert any(process.compensator)
    paths = simulate_limit(process, (1.0, 0.0), time=1.0, paths=4000, seed=2, record=2)
    angle = np.arctan2(paths.weights[:, -1, 1], paths.weights[:, -1, 0])
    assert abs(angle.mean()) < 5 * angle.std() / np.sqrt(4000) + 1e-3
    assert 20 * angle.std() / np.sqrt(4000) < 0.1 * 2 / 5
    assert np.abs(np.linalg.norm(paths.weights[:, -1], axis=1) - 1).max() < 1e-12


def test_paths_do_not_depend_on_each_other(process) -> None:
    settings = {"time": 1.0, "seed": 3, "record": 4}
    together = simulate_limit(process, START, paths=6, **settings)
    alone = simulate_limit(process, START, paths=2, first_path=4, **settings)
    np.testing.assert_array_equal(together.weights[4:], alone.weights)
    assert all(s is Status.OK for s in together.status)


def test_what_is_printed(process) -> None:
    text = str(process)
    assert "jump process on Γ at α = 3/10" in text and "at rate 1: from W" in text
    assert r"\nu_{2} = " in process.latex()


def test_refused() -> None:
    with pytest.raises(NotCoveredError, match="the noise must jump rarely and do nothing else"):
        dropconnect(Gaussian()).jump_process(alpha)
    with pytest.raises(ArgumentError, match="sigma: a jump process has no such argument"):
        simulate_limit(
            dropconnect().jump_process(sp.Rational(1, 10)),
            START,
            time=1.0,
            paths=2,
            seed=0,
            sigma=0.1,
        )
