"""The small network on digits: what the limit says while there is a Γ, and what happens after."""

import importlib
import importlib.util

import numpy as np
import pytest

from derive import derive_limit
from numerics import compile_limit

if importlib.util.find_spec("sklearn") is None:
    pytest.skip("needs .[examples]", allow_module_level=True)
example = importlib.import_module("finite_samples_on_digits")

ENOUGH = 4.0
"""Standard errors within which the recursion has to agree."""


def small(samples, units=2, features=2):
    return example.Network(units, features, samples)


def test_derivatives_of_the_network():
    network, step = small(5), 1e-6
    w = np.random.default_rng(0).normal(size=network.dimension)
    slopes = network.jacobian(w)
    for k, shift in enumerate(step * np.eye(network.dimension)):
        ends = [network.residuals(w + sign * shift) for sign in (1, -1)]
        np.testing.assert_allclose(slopes[:, k], (ends[0] - ends[1]) / (2 * step), atol=1e-8)


@pytest.mark.slow
def test_label_noise_moves_the_weights_while_there_is_a_manifold():
    """n = 2 of N = 8; on 16 samples, which cannot be fitted, there is no limit, as said."""
    run = example.Run(alpha=0.5, sigma=0.05, time=0.5, paths=64)
    found = example.follow(small(2), example.LABELS, run)
    assert abs(found.ratio - 1) < ENOUGH * found.error < 0.05
    assert found.vanishing - 1 > 10 * found.error
    many = example.follow(small(16), example.LABELS, example.Run(0.1, 0.2, 0.5, 4))
    assert "16 samples leave 8 weights" in many.refusal
    assert many.predicted is None


@pytest.mark.slow
def test_minibatches_rest_where_all_samples_are_fitted_and_nowhere_else():
    fitted, left = (
        example.loss_under_batches(small(n), 1, alpha=0.1, steps=3000, paths=4)[1] for n in (2, 16)
    )
    assert fitted[-1] < 1e-25
    assert left[-1] > 1e-3


def test_points_are_put_onto_a_flat_part_of_the_manifold():
    """Distances to a point 10⁻⁵ away do not tell steps along Γ from round-off there."""
    network = small(12, units=4, features=3)
    w = network.trained
    assert network.curvatures(w)[-1] < 1e-5
    limit = compile_limit(derive_limit(network.noisy(example.LABELS, w)))
    flattest = np.linalg.svd(network.jacobian(w), full_matrices=False)[2][-1]
    near = w + 1e-5 * np.random.default_rng(0).normal(size=(30, 1)) * flattest
    for point in limit.retract(near):
        assert network.loss(point) < 1e-28


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", [example.LABELS, example.DROPOUT])
def test_limit_at_the_step_is_that_of_the_projected_iterate(mechanism):
    """n = 6 of N = 30: the limit α → 0 is off by 20 %, the one at the step is not."""
    run = {
        example.LABELS: example.Run(alpha=0.5, sigma=0.05, time=1.5, paths=16),
        example.DROPOUT: example.Run(alpha=0.5, sigma=0.02, time=1.0, paths=16),
    }[mechanism]
    found = example.follow(small(6, units=6, features=3), mechanism, run)
    assert abs(found.ratio - 1) < ENOUGH * found.error < 0.02
    assert found.vanishing > 1.1
