"""Networks of a model, inputs and targets, and models whose samples depend on one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import ProblemError  # noqa: E402
from numerics.networks import fitted  # noqa: E402

RNG = np.random.default_rng(2)
INPUTS, TARGETS = RNG.normal(size=(4, 3)), RNG.normal(size=4)
PARAMS = {"in": RNG.normal(size=(3, 5)), "out": RNG.normal(size=5)}


def model(params: Any, inputs: Any, normalise: Any = lambda x: x) -> Any:
    return jnp.tanh(normalise(inputs @ params["in"])) @ params["out"]


def over_samples(x: Any) -> Any:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def over_units(x: Any) -> Any:
    return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)


def test_residuals_are_what_the_targets_are_missed_by() -> None:
    network = fitted(model, INPUTS, TARGETS, PARAMS, weights=0.5)
    expected = np.tanh(INPUTS @ PARAMS["in"]) @ PARAMS["out"] - TARGETS
    np.testing.assert_allclose(network.residual.doubles(network.start), expected, rtol=1e-12)
    assert network.curvatures.tolist() == [0.5] * 4


def test_batch_normalisation_is_refused_and_layer_normalisation_is_not() -> None:
    with pytest.raises(ProblemError, match=r"change by \d\.\d+ when others are left out"):
        fitted(lambda p, x: model(p, x, over_samples), INPUTS, TARGETS, PARAMS)
    assert fitted(lambda p, x: model(p, x, over_units), INPUTS, TARGETS, PARAMS).samples == 4


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(ProblemError, match=r"expected the outputs' shape \(4,\), got \(4, 1\)"):
        fitted(model, INPUTS, TARGETS[:, None], PARAMS)
