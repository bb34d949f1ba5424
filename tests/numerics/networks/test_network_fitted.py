"""Networks of a model, inputs and targets: squares, cross-entropies, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy.special import log_softmax, softmax

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import Independent, Outcome, ProblemError, Scaled, derive_limit, mechanisms  # noqa: E402
from numerics import compile_limit  # noqa: E402
from numerics.networks import (  # noqa: E402
    CrossEntropy,
    Network,
    classified,
    fitted,
    label_noise,
    programs,
    train,
)

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


def test_derivatives_sample_by_sample_are_those_of_the_whole(monkeypatch) -> None:
    """Five samples of two outputs in blocks of two samples, the last one filled up with zeros."""
    inputs, targets = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
    params = {"in": RNG.normal(size=(3, 5)), "out": RNG.normal(size=(5, 2))}
    network = fitted(model, inputs, targets, params)
    whole, w = Network(network.residuals, params).jacobian, network.start
    monkeypatch.setattr(programs, "SMALLEST_BYTES", 5 * 8 * network.dimension)
    assert network.jacobian.block == 4
    expected = np.concatenate([np.asarray(block) for _, block in whole.blocks(w)])
    found = list(network.jacobian.blocks(w))
    assert [rows for rows, _ in found] == [slice(0, 4), slice(4, 8), slice(8, 10)]
    np.testing.assert_allclose(
        np.concatenate([x for _, x in found])[:10], expected[:10], rtol=1e-12
    )
    assert not np.asarray(found[-1][1])[2:].any()
    t, u = found[1][1], RNG.normal(size=(3, 10))
    np.testing.assert_allclose(
        network.jacobian.curved(w, t, u), whole.curved(w, t, u), rtol=1e-10, atol=1e-12
    )


# Cross-entropies ----------------------------------------------------------------------------------

PROBABILITIES = softmax(RNG.normal(size=(4, 3)), axis=1)
LOGITS = {"in": RNG.normal(size=(3, 5)), "out": RNG.normal(size=(5, 3))}


def cross_entropy(logits: np.ndarray) -> float:
    return -float(np.mean(np.sum(PROBABILITIES * log_softmax(logits, axis=1), axis=1)))


@pytest.fixture(scope="module")
def classifier() -> Network:
    return train(classified(model, INPUTS, PROBABILITIES, LOGITS, mechanism=label_noise()))


def test_the_loss_of_a_classifier_is_its_cross_entropy_and_least_on_the_manifold(
    classifier: Network,
) -> None:
    assert classifier.shape == (4, 2)
    with classifier.in_precision():
        away, on_gamma = (
            np.asarray(model(classifier.cast(p), INPUTS)) for p in (LOGITS, classifier.params)
        )
    assert classifier.loss(classifier.flattened(LOGITS)) == pytest.approx(
        cross_entropy(away), rel=1e-12
    )
    np.testing.assert_allclose(softmax(on_gamma, axis=1), PROBABILITIES, rtol=1e-12)
    assert classifier.loss(classifier.start) == pytest.approx(
        cross_entropy(np.log(PROBABILITIES)), rel=1e-12
    )


def test_noisy_labels_of_a_classifier_move_it_along_the_information(classifier: Network) -> None:
    """The drift is −(1/4n) P∇ΔL, and ΔL the mean Fisher information, by dense matrices."""
    limit = derive_limit(classifier)
    network, w = limit.problem, limit.origin.point
    assert limit.outcome is Outcome.DETERMINISTIC

    def log_likelihood(w: Any) -> Any:
        layers = {"in": w[:15].reshape(3, 5), "out": w[15:].reshape(5, 3)}
        return jax.nn.log_softmax(model(layers, INPUTS), axis=1)

    def information(w: Any) -> Any:
        slopes = jax.jacrev(log_likelihood)(w)
        return jnp.einsum("ik,ikj->", PROBABILITIES, slopes**2) / 4

    with jax.enable_x64(True):
        slopes = np.asarray(jax.jacrev(log_likelihood)(w)).reshape(-1, network.dimension)
        trace, gradient = (np.asarray(x) for x in jax.value_and_grad(information)(w))
    normal = np.linalg.svd(slopes)[2][:8]
    expected = -(gradient - normal.T @ (normal @ gradient)) / (4 * 4)
    assert limit.trace(w) == pytest.approx(float(trace), rel=1e-12)
    np.testing.assert_allclose(limit.velocity(limit.origin), expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_classifier_with_noisy_labels_is_that_of_the_symbolic_engine() -> None:
    weights, x = sp.symbols("u1 u2 v1 v2", real=True), sp.symbols("x1 x2", real=True)
    u1, u2, v1, v2 = weights
    data = [[1.0, 0.5], [-0.3, 0.8]]
    flips = mechanisms.label_flips(
        u1 * v1 * x[0] + u2 * v2 * x[1] + u1 * u2 / 2,
        x,
        data,
        [1, 0],
        weights,
        probability=sp.Rational(1, 5),
    )

    def diagonal(p: Any, inputs: Any) -> Any:
        return inputs @ (p["u"] * p["v"]) + 0.5 * p["u"][0] * p["u"][1]

    start = {"u": np.array([1.0, 0.7]), "v": np.array([0.8, -0.9])}
    ways = {"mechanism": label_noise()}
    limit = derive_limit(train(classified(diagonal, np.array(data), [0.8, 0.2], start, **ways)))
    # Of flips the covariance alone matters, in full or scaled down.
    law = Independent(tuple((names, Scaled(each)) for names, each in flips.law.groups))
    exact, w = derive_limit(replace(flips, law=law)), limit.origin.point
    assert limit.outcome is exact.outcome
    for found, expected in ((limit, exact), (limit.at_step(0.5), exact.at_step(sp.Rational(1, 2)))):
        drift = compile_limit(expected).drift(w[None])[0]
        np.testing.assert_allclose(found.velocity(found.origin), drift, rtol=0, atol=1e-10)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "certain classes": (
        lambda: CrossEntropy(np.eye(3)),
        r"strictly between 0 and 1, got 0 to 1; .* no finite minimiser.*Smooth the labels",
    ),
    "not probabilities": (lambda: CrossEntropy(np.full((2, 3), 0.3)), r"a sum of 1 .*off by 0\.1"),
    "shape": (lambda: CrossEntropy(0.5), r"shape \(samples,\) or .*got \(\)"),
    "curvature": (
        lambda: Network(lambda p: p[:2], np.ones(3), losses=lambda r: r**2, weights=1.0),
        r"second derivatives c_i .* differ by 1 of",
    ),
    "minimum": (
        lambda: Network(lambda p: p[:2], np.ones(3), losses=lambda r: 0.5 * r**2 + r, weights=1.0),
        r"first derivatives zero .* differ by 1 of",
    ),
    "one loss": (
        lambda: Network(lambda p: p[:2], np.ones(3), losses=jnp.sum),
        r"shape \(2,\), got",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_losses_without_a_minimum_where_residuals_vanish_are_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(ProblemError, match=message):
        make()
