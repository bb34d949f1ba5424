"""What the pictures of Wang and Wu show, at small size."""

import importlib.util

import noise_geometry_alignment as alignment
import noise_geometry_cycles as cycles
import noise_geometry_escape as escape
import numpy as np
import pytest
from two_layer import LINEAR, RELU, TANH, TwoLayerNet


@pytest.mark.parametrize("activation", [LINEAR, RELU, TANH], ids=["linear", "ReLU", "tanh"])
def test_gradients_of_two_layer_networks(activation):
    rng = np.random.default_rng(0)
    net, x = TwoLayerNet.random(activation, 4, 3, rng), rng.normal(size=(5, 3))
    jacobian, step = net.jacobian(x), 1e-6
    for column in range(net.a.size + net.b.size):
        shift = step * np.eye(net.a.size + net.b.size)[column]
        a, b = shift[:4], shift[4:].reshape(4, 3)
        ends = (TwoLayerNet(activation, net.a + s * a, net.b + s * b).values(x) for s in (1, -1))
        difference = (next(ends) - next(ends)) / (2 * step)
        np.testing.assert_allclose(jacobian[:, column], difference, atol=1e-8)


@pytest.mark.parametrize("model", alignment.MODELS)
def test_loss_alignment_is_near_one_at_every_width(model):
    """Figure 1: 1 − 1/n up to four standard errors of 20 runs, from 10³ to 10⁵ weights."""
    n, runs = 20, 20
    for spectrum in (np.ones(50), alignment.power_law_spectrum(50)):
        found = alignment.alignment_of_networks(
            alignment.MODELS[model], (30, 1000), spectrum, n, runs=runs
        )
        assert found.weights[1] > 30 * found.weights[0]
        errors = found.deviation / np.sqrt(runs)
        assert np.all(np.abs(found.mean - (1 - 1 / n)) < 4 * errors)
        assert np.all(errors < 0.06)


@pytest.mark.parametrize("n", [125, 55])
def test_energies_follow_curvatures(n):
    """Figure 2a at d = 1000, with n = d/8 and n = 8 log d."""
    found = alignment.alignment_of_directions(np.ones(1000), n)
    assert len(found.curvatures) == n
    # Isotropic eigenvectors q: E g = 1 − 1/n, and Var g ≈ Var(Σ r²q²) = 4/n for Gaussian r.
    assert found.alignments.mean() == pytest.approx(1 - 1 / n, abs=4 * np.sqrt(4 / n) / np.sqrt(n))
    assert found.alignments.std() < 1.5 * np.sqrt(4 / n)


def test_sgd_escapes_along_all_directions_and_gd_along_the_sharpest():
    """Figure 3 at d = 50."""
    found = escape.escape(d=50, n=400, steps=30, runs=200)
    assert np.all(found.sgd[:, -1].sum(axis=1) > 10 * found.sgd[:, 0].sum(axis=1))
    assert escape.shares(found.gd)[0] > 1 - 1e-9
    by_curvature = found.curvatures / found.curvatures.sum()
    # Shares lag behind the curvatures, as each step also keeps (1 − ηλ)² of the old energy.
    assert np.all(np.abs(np.log(escape.shares(found.sgd) / by_curvature)) < np.log(1.7))


def test_cycles_move_sgd_to_the_flat_end_and_leave_gd_where_it_is():
    """Figure 4, and no peak step size moves GD."""
    start = cycles.sharpness(np.array(cycles.START))
    steps = 1200
    for seed in range(3):
        path = cycles.descend(cycles.Schedule(0.2), steps, np.random.default_rng(seed))
        assert cycles.sharpness(path[steps // 2 :]).mean() < 2.3
    for peak in (0.12, 0.15, 0.2):
        path = cycles.descend(cycles.Schedule(peak), 400)
        assert np.abs(path[:, 0]).max() > 10 * cycles.START[0]  # it does oscillate
        assert np.abs(cycles.sharpness(path) - start).max() < 0.02


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs .[examples]")
def test_energies_follow_curvatures_in_a_network_on_digits():
    """Figure 2b's stand-in: over decades of curvature, before and after training."""
    digits = importlib.import_module("noise_geometry_digits")
    before, after = digits.before_and_after(n=200, hidden=(16, 8, 8), steps=500)
    assert after.loss < 0.05 * before.loss
    for found in (before, after):
        logs = np.log([found.directions.energies, found.directions.curvatures])
        assert np.ptp(logs[1]) > 4 * np.log(10)
        assert np.corrcoef(logs)[0, 1] > 0.97
