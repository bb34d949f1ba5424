"""Short runs from points of Γ: lengths, exponents, and the fast phase with and without momentum."""

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from numerics import compile_limit
from numerics.validation.measurements.bursts import (
    Burst,
    first_correction,
    measure_fast_phase,
    noiseless_decay,
    relaxations,
)
from numerics.validation.measurements.experiment import Experiment, resolution

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
LIMIT = derive_limit(NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta))
EAST = np.array([1.0, 0.0])
CURVATURE = 6.0
"""2 (2 + w₁)."""


def experiment(beta: float = 0.0) -> Experiment:
    return Experiment(compile_limit(LIMIT.at_step(0.1, beta)), paths=200, seed=(3,))


def test_bursts_last_so_many_relaxations_of_the_stiffest_direction():
    assert relaxations(experiment(), EAST, 0.05, 20.0) == round(20 / (0.05 * CURVATURE))
    assert relaxations(experiment(), EAST, 100.0, 1.0) == 1


@pytest.mark.parametrize("stiffness", [0.1, 0.6, 1.9])
def test_without_momentum_a_displacement_decays_geometrically(stiffness):
    expected = (1 - stiffness) ** np.arange(9)
    assert noiseless_decay(stiffness, 0.0, 8) == pytest.approx(expected)


def test_with_momentum_it_is_the_heavy_ball():
    x = [1.0, 1.0]
    for _ in range(8):
        x.append(x[-1] - 0.6 * x[-1] + 0.7 * (x[-1] - x[-2]))
    assert noiseless_decay(0.6, 0.7, 8) == pytest.approx(x[1:])


@pytest.mark.parametrize("beta", [0.0, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_the_fast_phase(alpha, beta):
    """At αλ = 0.06 and 0.6; the heavy ball oscillates beyond (1 − √β)²."""
    phase = measure_fast_phase(experiment(beta), EAST, alpha=alpha, sigma=0.01, size=1.0)
    assert phase.eigenvalue == pytest.approx(CURVATURE)
    assert abs(phase.rate.value - phase.expected) < 4 * phase.rate.error + 1e-6
    assert phase.rate.error < 0.02 * phase.expected
    # Most of the displacement has gone, and what is left is not a zero of an oscillation.
    left = np.abs(phase.distance.value[-1])
    assert 0.01 < left < 0.2
    other = noiseless_decay(alpha * CURVATURE * 1.05, beta, int(phase.steps[-1]))[-1]
    wrong = -np.log(abs(other)) / phase.steps[-1]
    assert abs(phase.rate.value - wrong) > 4 * phase.rate.error


def burst(sigma: float, factor: float, spread: float, blur: float = 0.0) -> Burst:
    """Along the tangent (0, 1) at EAST, a mean of `factor` σ²."""
    raw = np.random.default_rng(0).normal(size=400)
    raw = (raw - raw.mean()) / raw.std(ddof=1)
    moved = factor * sigma**2 + spread * sigma**2 * raw
    return Burst(EAST, 0.1, sigma, 10, 1.0, np.stack([0 * moved, moved], axis=1), blur)


@pytest.mark.parametrize("relative", [0.05, -0.2])
def test_the_first_correction_is_that_of_the_coarse_burst(relative):
    """Speeds σ² (1 + c σ²) at c σ² = `relative` and half of it."""
    coarse, fine = (
        burst(0.1 / np.sqrt(2) ** i, 1 + relative / 2**i, spread=1e-9) for i in range(2)
    )
    # What is compared is the speed per slow time, here per σ².
    coarse, fine = (
        Burst(**{**vars(b), "displacements": b.displacements / b.sigma**2}) for b in (coarse, fine)
    )
    found = first_correction(experiment(), coarse, fine, 2, diffusive=False)
    assert found == pytest.approx(abs(relative), rel=1e-5)


def test_a_motion_below_the_resolution_is_not_significant():
    sharp, blunt = burst(0.1, 1.0, 1e-3), burst(0.1, 1.0, 1e-3, blur=0.02)
    assert sharp.significance == pytest.approx(20 / 1e-3, rel=1e-6)
    assert blunt.significance == 0


def test_the_resolution_grows_with_size_and_iterations():
    assert resolution(2.0, 0) == pytest.approx(2e-10)
    assert resolution(1.0, 10**9) == pytest.approx(2.2e-7, rel=0.02)
