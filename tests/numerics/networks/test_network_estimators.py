"""Estimates against the exact values, within their standard errors and not by being wide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import Gaussian, NotCoveredError, derive_limit  # noqa: E402
from numerics.networks import Network, dropout, label_noise, train  # noqa: E402
from numerics.networks.estimators import (  # noqa: E402
    estimated_label_noise_flow,
    estimated_regularizer,
    estimated_regularizer_flow,
    estimated_trace,
    project,
)
from numerics.validation.statistics import Estimate  # noqa: E402

SAMPLES, UNITS, PROBES = 6, 8, 64
RNG = np.random.default_rng(4)
INPUTS, TARGETS = RNG.normal(size=(SAMPLES, 3)), RNG.normal(size=SAMPLES)


def outputs(params: Any, masks: Any = 1.0) -> Any:
    return (jnp.tanh(INPUTS @ params["in"]) * masks) @ params["out"] - TARGETS


@pytest.fixture(scope="module")
def network() -> Network:
    start = {"in": RNG.normal(size=(3, UNITS)), "out": RNG.normal(size=UNITS)}
    return train(Network(outputs, start, label_noise()))


def agrees(found: Estimate, exact: Any, informative: float = 0.5) -> None:
    """Within 5 standard errors, about 1 on average, of errors small beside the value."""
    errors = np.abs(found.value - exact) / found.error
    assert errors.max() < 5.0
    assert np.sqrt(np.mean(errors**2)) < 2.0
    assert np.linalg.norm(found.error) < informative * np.linalg.norm(exact)


def test_trace(network: Network) -> None:
    limit = derive_limit(network)
    w = limit.origin.point
    agrees(estimated_trace(network, w, probes=PROBES, seed=1), limit.trace(w))


@pytest.mark.slow
def test_regularizer(network: Network) -> None:
    masks = dropout(outputs, np.ones(UNITS), Gaussian())
    noisy = derive_limit(replace(network, mechanism=masks))
    w = noisy.origin.point
    found = estimated_regularizer(noisy.problem, w, probes=PROBES, seed=1)
    agrees(found, noisy.regularizer(w))


@pytest.mark.slow
def test_drifts(network: Network) -> None:
    limit = derive_limit(network)
    w, alpha = limit.origin.point, 1.0 / limit.origin.values[-1]
    for step in (0.0, alpha):
        found = estimated_label_noise_flow(network, w, probes=PROBES, seed=2, alpha=step)
        exact = (limit.at_step(step) if step else limit).velocity(limit.origin)
        agrees(found, exact)
    masks = dropout(outputs, np.ones(UNITS), Gaussian())
    noisy = derive_limit(replace(network, mechanism=masks))
    found = estimated_regularizer_flow(noisy.problem, w, probes=PROBES, seed=2)
    agrees(found, noisy.velocity(limit.origin))


def test_projection_by_conjugate_gradients(network: Network) -> None:
    limit = derive_limit(network)
    w, v = limit.origin.point, np.random.default_rng(0).normal(size=network.dimension)
    np.testing.assert_allclose(project(network, w, v), limit.origin.project(v), atol=1e-7)


def test_noise_that_is_no_function_of_the_hessian_is_refused(network: Network) -> None:
    uneven = replace(network, weights=np.arange(1.0, SAMPLES + 1))
    with pytest.raises(NotCoveredError, match="all c_i equal"):
        estimated_label_noise_flow(uneven, network.start, probes=2, seed=0)
