"""The oracles, tested where the answer is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from derive import Bernoulli, Gaussian, Independent, Minibatch, Rademacher, Uniform
from tests.truth import oracles
from tests.truth.oracles import Landscape, NoisyGradient

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
WEIGHTS = (w1, w2)
RADIUS = w1**2 + w2**2
ON_RING = np.array([0.6, 0.8])
TANGENT = np.array([0.8, -0.6])
MIXED = np.array([[0.7, 0.3], [0.3, -0.4]])


@pytest.fixture(scope="module")
def round_ring() -> Landscape:
    """¼(|w|² − 1)², for which both Φ and Φ_α are x/|x|."""
    return Landscape.of((RADIUS - 1) ** 2 / 4, WEIGHTS)


@pytest.fixture(scope="module")
def uneven_ring() -> Landscape:
    return Landscape.of((RADIUS - 1) ** 2 * (2 + w1) / 4, WEIGHTS)


def radial_second_derivative(w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """D²(x/|x|)[S] at |x| = 1."""
    return 3 * w * (w @ matrix @ w) - 2 * matrix @ w - np.trace(matrix) * w


def test_flow_and_descent_end_on_the_ray(round_ring):
    start = np.array([[0.3, 1.2], [-0.7, 0.1], [0.6, 0.8]])
    ray = start / np.linalg.norm(start, axis=1, keepdims=True)
    assert round_ring.flow_end(start) == pytest.approx(ray, abs=1e-12)
    assert round_ring.descent_end(start, 0.3) == pytest.approx(ray, abs=1e-14)
    assert round_ring.retract(start[0]) == pytest.approx(ray[0], abs=1e-14)


def test_flow_does_not_end_at_the_nearest_point(uneven_ring):
    end = uneven_ring.flow_end(np.array([[0.3, 1.2]]))[0]
    assert np.arctan2(end[1], end[0]) == pytest.approx(1.3306, abs=5e-5)
    assert np.arctan2(1.2, 0.3) == pytest.approx(1.3258, abs=5e-5)


@pytest.mark.parametrize("map_name", ["flow", "descent"])
def test_derivatives_of_the_ends(round_ring, map_name):
    def end(x: np.ndarray) -> np.ndarray:
        return round_ring.flow_end(x) if map_name == "flow" else round_ring.descent_end(x, 0.3)

    assert oracles.derivative(end, ON_RING) == pytest.approx(np.outer(TANGENT, TANGENT), abs=1e-10)
    expected = radial_second_derivative(ON_RING, MIXED)
    assert oracles.second_derivative(end, ON_RING, MIXED) == pytest.approx(expected, abs=1e-8)
    assert not oracles.second_derivative(end, ON_RING, 0 * MIXED).any()


def test_projector_and_second_fundamental_form(round_ring):
    assert round_ring.projector(ON_RING) == pytest.approx(np.outer(TANGENT, TANGENT), abs=1e-14)
    form = oracles.second_fundamental_form(round_ring, ON_RING, 2 * np.outer(TANGENT, TANGENT))
    assert form == pytest.approx(-2 * ON_RING, abs=1e-10)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_finite_step_changes_the_drift_as_known_on_the_uneven_ring(uneven_ring, alpha):
    """Σ = wwᵀ: drift −¼ P∇log λ with λ = 2(2 + w₁), larger by 1/(1 − αλ/2) at step α."""
    sigma = np.outer(ON_RING, ON_RING)
    limit = -0.25 * TANGENT * TANGENT[0] / 2.6
    flow = oracles.second_derivative(uneven_ring.flow_end, ON_RING, sigma)
    assert flow / 2 == pytest.approx(limit, abs=1e-8)
    descent = oracles.second_derivative(lambda x: uneven_ring.descent_end(x, alpha), ON_RING, sigma)
    assert descent / 2 == pytest.approx(limit / (1 - alpha * 2.6), abs=1e-8)
    noisy = NoisyGradient.of(
        [((RADIUS - 1) ** 2 * (2 + w1) / 4 + eta * RADIUS / 2).diff(w) for w in WEIGHTS],
        WEIGHTS,
        (eta,),
        Gaussian(),
    )
    one_step = noisy.drift_after_step(uneven_ring, ON_RING, alpha)
    assert one_step == pytest.approx(alpha**2 * descent / 2, abs=1e-9)


NOISE = sp.symbols("eta1 eta2", real=True)


@pytest.mark.parametrize(
    ("law", "covariance"),
    [
        (Gaussian(), np.eye(2)),
        (Gaussian([[1, 1], [1, 1]]), np.ones((2, 2))),
        (Rademacher(), np.eye(2)),
        (Uniform(), np.eye(2)),
        (Bernoulli(), np.eye(2)),
        (Independent({NOISE[1]: Bernoulli(), NOISE[0]: Uniform()}), np.eye(2)),
    ],
    ids=str,
)
def test_draws_have_the_moments_of_their_law(law, covariance):
    values, probabilities = oracles.draws(law, NOISE, 0.2)
    assert probabilities.sum() == pytest.approx(1, abs=1e-15)
    assert probabilities @ values == pytest.approx(np.zeros(2), abs=1e-15)
    second = np.einsum("k,ki,kj->ij", probabilities, values, values)
    assert second == pytest.approx(0.04 * covariance, abs=1e-15)


@pytest.mark.parametrize("replacement", [False, True])
def test_minibatch_draws_have_the_covariance_of_sampling(replacement):
    n, batch = 4, 3
    values, probabilities = oracles.draws(
        Minibatch(n, batch, replacement), sp.symbols("e:4", real=True), 0.2
    )
    scale = n / batch if replacement else n * (n - batch) / (batch * (n - 1))
    second = np.einsum("k,ki,kj->ij", probabilities, values, values)
    assert probabilities @ values == pytest.approx(np.zeros(n), abs=1e-15)
    assert second == pytest.approx(scale * (np.eye(n) - 1 / n), abs=1e-14)


@pytest.mark.parametrize(
    ("law", "potential"),
    [(Gaussian(), w1**4 + w2**4), (Bernoulli(), (w1**4 + w2**4) / 4)],
    ids=str,
)
def test_mean_step_of_dropconnect_on_the_ring(round_ring, law, potential):
    """The regularizer is local for small noise and non-local for rare jumps (theory, section 2)."""
    kept = [w * (1 + n) for w, n in zip(WEIGHTS, NOISE, strict=True)]
    noisy_loss = (kept[0] ** 2 + kept[1] ** 2 - 1) ** 2 / 4
    noisy = NoisyGradient.of([noisy_loss.diff(w) for w in WEIGHTS], WEIGHTS, NOISE, law)
    gradient = oracles.array_function([potential.diff(w) for w in WEIGHTS], WEIGHTS)(ON_RING)
    projector = round_ring.projector(ON_RING)
    assert projector @ noisy.mean(ON_RING) == pytest.approx(projector @ gradient, abs=1e-8)
