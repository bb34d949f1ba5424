"""The ReLU network on twelve points: the recursion is what it says, and what label noise does."""

import numpy as np
import pytest
import relu_net_on_twelve_points as example


def test_descent_is_the_gradient_of_the_loss():
    w = example.random_weights(6, seed=3)

    def loss(v):
        return np.mean((example.curve(v, example.X) - example.Y) ** 2)

    moved, alpha, step = w.copy(), 1e-3, 1e-6
    example.descend(moved, example.DATA, 1, (alpha, 0.0), 0)
    slope = (w - moved) / alpha
    for index in np.ndindex(w.shape):
        shift = np.zeros_like(w)
        shift[index] = step
        difference = (loss(w + shift) - loss(w - shift)) / (2 * step)
        assert slope[index] == pytest.approx(difference, abs=1e-7)


def test_noise_of_the_recursion_has_its_scale():
    """One step from an exact fit in p, q alone: Δ = (2α/n) σ Σ η_i (x_i, 1)."""
    n, sigma = len(example.X), 0.7
    steps = []
    for seed in range(2000):
        w = np.zeros((3, 2))
        example.descend(w, example.DATA, 1, (1.0, sigma), seed)
        quiet = np.zeros((3, 2))
        example.descend(quiet, example.DATA, 1, (1.0, 0.0), seed)
        steps.append(w[1, -1] - quiet[1, -1])
    expected = 2 * sigma / np.sqrt(n)
    assert np.std(steps) == pytest.approx(expected, rel=4 / np.sqrt(2 * 2000))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_label_noise_shortens_the_curve_and_straightens_it(seed: int):
    """Figure 3 at 10 units: both fit; only label noise takes the needless bends out."""
    when = [30_000, 300_000]
    quiet, noisy = (
        example.train(10, when, alpha=0.01, sigma=sigma, seed=seed) for sigma in (0.0, 1.0)
    )
    assert quiet.loss[-1] < 1e-4
    assert noisy.loss[-1] < 0.02  # about 2ασ²/n times the number of stiff directions
    assert example.excess_bend(quiet.weights) > 1
    assert example.excess_bend(noisy.weights) < 0.3
    assert noisy.length[-1] < quiet.length[-1]


def test_one_trained_layer_has_nothing_to_prefer():
    """h is linear in c, so that ΔL is constant: proved, and not seen to vanish at points only."""
    limit = example.one_layer_limit(units=13)
    assert limit.outcome.value == "trivial"
    questions = {step.question: step.verdict.how for step in limit.evidence.steps}
    assert questions["½ P D²Φ[Σ] = 0 on Γ"] == "ΔL is constant on Γ"
