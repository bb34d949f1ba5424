"""Estimates against the exact values, within their standard errors and not by being wide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import (  # noqa: E402
    Bernoulli,
    Gaussian,
    ManifoldError,
    NotCoveredError,
    Outcome,
    UndecidedError,
    derive_limit,
)
from numerics import simulate_limit  # noqa: E402
from numerics.networks import Network, dropout, label_noise, parameter_noise, train  # noqa: E402
from numerics.networks.normal_space.estimators import (  # noqa: E402
    estimated_label_noise_flow,
    estimated_regularizer,
    estimated_regularizer_flow,
    estimated_trace,
)
from numerics.networks.normal_space.krylov import Krylov  # noqa: E402
from numerics.networks.normal_space.moments import Moments  # noqa: E402
from numerics.validation.measurements.statistics import Estimate  # noqa: E402

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
    np.testing.assert_allclose(Krylov(network, w).project(v), limit.origin.project(v), atol=1e-7)


def test_noise_that_is_no_function_of_the_hessian_is_refused(network: Network) -> None:
    uneven = replace(network, weights=np.arange(1.0, SAMPLES + 1))
    with pytest.raises(NotCoveredError, match="all c_i equal"):
        estimated_label_noise_flow(uneven, network.start, probes=2, seed=0)


# Limits that are estimated -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def probed(network: Network) -> Network:
    return replace(network, probes=PROBES)


def test_the_ends_of_the_spectrum_and_the_trace(probed: Network) -> None:
    exact, here = derive_limit(replace(probed, probes=None)), Krylov(probed, probed.start)
    np.testing.assert_allclose(here.values, exact.origin.values[[0, -1]], rtol=1e-2)
    trace, spread = exact.origin.trace, estimated_trace(probed, probed.start, probes=64, seed=0)
    assert abs(here.trace - trace) < 5 * spread.error
    assert here.norm == pytest.approx(exact.origin.norm, rel=0.5)


def test_an_estimated_limit_is_decided_with_its_errors(probed: Network) -> None:
    labels = derive_limit(probed)
    assert labels.outcome is Outcome.DETERMINISTIC
    assert "standard errors from zero by 64 probes" in str(labels)
    masks = dropout(outputs, np.ones(UNITS), Gaussian())
    noisy = derive_limit(replace(probed, mechanism=masks))
    assert noisy.outcome is Outcome.NON_DEGENERATE
    with pytest.raises(NotCoveredError, match="at a step is that of label noise"):
        noisy.at_step(0.1)
    with pytest.raises(UndecidedError, match=r"standard errors .* by 2 probes; take more"):
        derive_limit(replace(probed, probes=2, mechanism=masks))
    with pytest.raises(NotCoveredError, match="noise in the residuals"):
        derive_limit(replace(probed, mechanism=parameter_noise(Bernoulli())))


@pytest.mark.slow
def test_the_estimated_flow_is_the_exact_one_within_its_errors(probed: Network) -> None:
    exact = derive_limit(replace(probed, probes=None))
    alpha = 0.5 / exact.origin.values[-1]
    ways = {"time": 0.5, "record": 2, "alpha": alpha, "tolerance": 1e-3}
    expected = simulate_limit(exact, **ways)["distance"][0, -1]
    found = simulate_limit(derive_limit(probed), paths=5, **ways).mean("distance")[-1]
    assert abs(float(found.value) - expected) < 5 * float(found.error)
    assert float(found.error) < 0.2 * expected


def test_training_by_conjugate_gradients_ends_on_the_manifold(probed: Network) -> None:
    away = probed.at(probed.start + 0.3)
    assert train(away).loss(train(away).start) < 1e-25


def test_redundant_samples_are_refused_where_they_cannot_be_counted(probed: Network) -> None:
    def twice(params: Any) -> Any:
        return jnp.concatenate([outputs(params), outputs(params)[:1]])

    with pytest.raises((ManifoldError, NotCoveredError), match="redundant"):
        derive_limit(replace(probed, residuals=twice))


# More than a thousand residuals ------------------------------------------------------------------

MANY, WIDE = 1100, 200


@pytest.mark.slow
def test_estimates_over_a_thousand_residuals_are_the_dense_ones_within_their_errors() -> None:
    """J Jᵀ as a matrix of 1100 × 1100 against conjugate gradients and probes."""
    rng = np.random.default_rng(7)
    inputs = rng.normal(size=(MANY, 16))
    start = {"in": rng.normal(size=(16, WIDE)) / 4, "out": rng.normal(size=WIDE)}
    targets = np.tanh(inputs @ start["in"]) @ start["out"]

    def residuals(params: Any, masks: Any = 1.0) -> Any:
        return (jnp.tanh(inputs @ params["in"]) * masks) @ params["out"] - targets

    dense = Network(residuals, start, label_noise())
    probed = replace(dense, probes=12, seed=3)
    exact, found = derive_limit(dense), derive_limit(probed)
    w, here = exact.origin.point, found.origin
    assert found.outcome is exact.outcome is Outcome.DETERMINISTIC
    assert "standard errors from zero by 12 probes" in str(found)
    np.testing.assert_allclose(here.values, exact.origin.values[[0, -1]], rtol=1e-2)
    v = rng.normal(size=dense.dimension)
    np.testing.assert_allclose(here.project(v), exact.origin.project(v), atol=1e-6)
    ways: dict[str, Any] = {"probes": 12, "seed": 3}
    agrees(estimated_trace(dense, w, **ways), exact.trace(w))
    step = 0.5 / exact.origin.values[-1]
    expected = exact.at_step(step).velocity(exact.origin)
    along = estimated_label_noise_flow(dense, w, alpha=step, **ways)
    spread = np.linalg.norm(along.error)
    assert np.linalg.norm(along.value - expected) < 1.5 * spread
    # The errors are small enough to tell twice the drift.
    assert np.linalg.norm(along.value - 2 * expected) > 3 * spread
    noisy = replace(dense, mechanism=dropout(residuals, np.ones(WIDE), Gaussian()))
    reg = Moments(noisy).regularizer(exact.origin)
    agrees(estimated_regularizer(noisy, w, **ways), reg)
