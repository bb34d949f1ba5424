"""What the pictures of Wang and Wu show, at small size."""

import importlib.util

import noise_geometry_alignment as alignment
import noise_geometry_cycles as cycles
import noise_geometry_escape as escape
import numpy as np
import pytest
from two_layer import LINEAR, RELU, TANH, TwoLayerNet

from numerics.noise_geometry import (
    directional_alignment,
    extreme_linear_alignments,
    loss_alignment,
)


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


def test_two_linear_units_reach_every_alignment():
    """μ(θ) of a network with weights (0, a), (K v, b/a) tends to g(u, v): Theorem 3.2 is sharp."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(12, 4)), rng.normal(size=4)
    u, v = rng.normal(size=(2, 4))
    net = TwoLayerNet(LINEAR, np.array([0.0, 1.0]), np.array([1e4 * v, w + u]))
    residuals = net.values(x) - x @ w
    mu = loss_alignment(net.jacobian(x), residuals)
    assert mu == pytest.approx(directional_alignment(x, x @ u, v), rel=1e-6)
    found = extreme_linear_alignments(x, seed=0)
    assert found.least < mu < found.greatest


@pytest.mark.slow
def test_worst_weights_keep_the_bounds_of_networks():
    """Theorem 3.5 at small size: above the bound, at both widths, which flat slopes lower."""
    pytest.importorskip("jax", reason="needs .[networks]")
    bounds = importlib.import_module("noise_geometry_bounds")
    linear = bounds.networks(1.0, (3,), n=30, d=120)
    assert linear.linear <= linear.worst[0] < 1.02 * linear.linear  # descent finds the exact worst
    assert linear.bound < linear.linear
    found = bounds.networks(0.9, (3, 12), n=30, d=120)
    assert 0 < found.bound < found.worst.min()
    assert found.worst.max() < linear.linear < 0.6 * found.random.min()
    assert bounds.networks(0.5, (3,), n=30, d=120).worst[0] < linear.bound


@pytest.mark.slow
def test_the_sample_size_of_the_theorem_bounds_the_worst_alignments():
    """Theorem 3.2 at d = 16; n/d = 16 bounds the greatest for d = 2 but not here, hence d²."""
    bounds = importlib.import_module("noise_geometry_bounds")
    assert bounds.constant(16, 8192, bounds.over_all(16, 8192, 4)) < 30
    assert min(e.greatest for e in bounds.over_all(16, 256, 4)) > 5
    assert max(e.greatest for e in bounds.over_all(2, 32, 4)) < 5


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
    model = escape.Regression.random(50, 400, np.random.default_rng(0))
    found = escape.escape(model, steps=40, runs=200)
    assert np.all(found.sgd[:, -1].sum(axis=1) > 10 * found.sgd[:, 0].sum(axis=1))
    assert escape.shares(found.gd)[0] > 1 - 1e-9
    by_curvature = found.curvatures / found.curvatures.sum()
    # Shares lag behind the curvatures, as each step also keeps (1 − ηλ)² of the old energy.
    assert np.all(np.abs(np.log(escape.shares(found.sgd) / by_curvature)) < np.log(1.7))


def test_mean_energies_of_sgd_are_those_of_every_sequence_of_samples():
    """Two steps by enumeration of all n² draws; and their growth is that of Theorem 5.2."""
    model = escape.Regression.random(4, 9, np.random.default_rng(1))
    x, eta = model.inputs, model.sgd_step
    maps = [np.eye(4) - eta * np.outer(row, row) for row in x]
    twice = [np.sum((b @ a) ** 2, axis=1) for a in maps for b in maps]
    exact = model.expected_energies(6)
    np.testing.assert_allclose(exact[2], model.start_energy * np.mean(twice, axis=0), rtol=1e-12)

    losses, (low, high) = exact @ model.curvatures, model.growth_bounds()
    assert np.all((low < losses[1:] / losses[:-1]) & (losses[1:] / losses[:-1] < high))
    least = model.share_bounds()
    for energies in exact[1:]:
        assert np.all(escape.beyond(energies, model.curvatures) > least)


def test_growth_over_gaussian_samples_solves_its_secular_equation():
    """Σ_k η²λ_k²/(ρ − (1 − ηλ_k)² − η²λ_k²) = 1, on points with a Gaussian's fourth moments."""
    line = np.sqrt(3) * np.array([-1, 0, 0, 0, 0, 1])
    points = np.stack(np.meshgrid(line, line, line), axis=-1).reshape(-1, 3)
    model = escape.Regression(points * np.sqrt([3.0, 2.0, 0.5]))
    losses = model.expected_energies(60) @ model.curvatures
    own = model.sgd_step**2 * model.curvatures**2
    assert np.sum(own / (losses[-1] / losses[-2] - model.kept - own)) == pytest.approx(1, rel=1e-9)


def test_cycles_move_sgd_to_the_flat_end_and_gd_by_the_coupling_alone():
    """Figure 4: SGD at every coupling, GD as forced by it, and not at all without."""
    steps, schedule, fallen = 2000, cycles.Schedule(0.15), {}
    for c in cycles.COUPLINGS:
        toy = cycles.Toy(c)
        np.testing.assert_allclose(toy.inputs.T @ toy.inputs / 8, [[1, c], [c, 1]], atol=1e-12)
        sgd = toy.descend(schedule, steps, 8, np.random.default_rng(0))
        assert cycles.end(sgd, 5).max() < 2.7
        gd = toy.descend(schedule, steps)
        assert np.abs(gd[..., 0]).max() > 10 * cycles.START[0]  # it does oscillate
        start, predicted = cycles.predicted_gd(toy, schedule, gd[:, 0], [0, steps])
        fallen[c] = start - cycles.sharpness(gd)[-1, 0]
        assert fallen[c] == pytest.approx(start - predicted, rel=0.02, abs=1e-4)
    assert abs(fallen[0.0]) < 1e-4
    assert fallen[0.3] / fallen[0.1] == pytest.approx(9, rel=0.1)


@pytest.mark.slow
def test_the_limit_under_label_noise_predicts_cycles_of_sgd():
    """At half the time: within 2 % of what SGD does, far from what half of the drift would do."""
    toy, schedule, steps = cycles.Toy(0.1), cycles.Schedule(0.15), 1000
    paths = toy.descend(schedule, steps, 16, np.random.default_rng(0))
    predicted = cycles.predicted_sgd(toy, schedule, paths, [0, steps // 2, steps])
    measured = cycles.sharpness(paths)[[0, steps // 2, steps]].mean(axis=1)
    np.testing.assert_allclose(measured, predicted, rtol=0.03)
    assert predicted[1] > 1.15 * predicted[2]


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
