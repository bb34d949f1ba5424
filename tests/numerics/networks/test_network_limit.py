"""Limits of networks against the symbolic engine, and against the theorem with dense matrices."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import Gaussian, Outcome, derive_limit  # noqa: E402
from numerics.networks import (  # noqa: E402
    CrossEntropy,
    GradientDescent,
    HeavyBall,
    Nesterov,
    Network,
    Preconditioned,
    SharpnessAware,
    additive_noise,
    classified,
    dropconnect,
    dropout,
    input_noise,
    label_noise,
    noisy_loss,
    parameter_noise,
    train,
)
from tests.truth import catalogue  # noqa: E402
from tests.truth.catalogue import Entry  # noqa: E402
from tests.truth.networks import RESIDUALS, Exact, network_of, place  # noqa: E402

Array = np.ndarray

EXACT = 1e-10
"""Both sides evaluate the same formula in double precision, at points of Γ found to round-off."""

# The symbolic engine ------------------------------------------------------------------------------

ENTRIES = [entry for entry in catalogue.CATALOGUE if entry.name in RESIDUALS]
QUICK = {
    "linear scalar noise on the uneven ring",
    "Bernoulli DropConnect on the hyperbola",
    "label noise on a diagonal net, a sample too many",
}


def slow_if(condition: bool) -> Any:
    return pytest.mark.slow if condition else ()


@pytest.mark.parametrize(
    "entry",
    [pytest.param(e, marks=slow_if(e.name not in QUICK), id=e.name) for e in ENTRIES],
)
def test_network_limit_equals_the_symbolic_limit(entry: Entry) -> None:
    symbolic = derive_limit(entry.problem)
    at_step = symbolic.at_step(entry.alpha)
    point, *more = Exact(symbolic).points(2)
    limit = derive_limit(network_of(entry, place(point)))
    assert limit.outcome.value == entry.outcome
    assert limit.time_scale == symbolic.time_scale
    for g in (point, *more):
        w = place(g)
        size = 1.0 + limit.trace(w)
        reg = symbolic.regularizer_on_manifold.subs(
            dict(zip(entry.problem.weights, w, strict=True))
        )
        assert limit.regularizer(w) == pytest.approx(float(reg), abs=EXACT)
        for found, expected in ((limit, symbolic), (limit.at_step(entry.alpha), at_step)):
            drift = Exact(expected).drift(g)
            np.testing.assert_allclose(found.drift(w), drift, rtol=0, atol=EXACT * size)
        if limit.outcome is Outcome.DIFFUSIVE:
            kicks = limit.diffusion(w)
            columns = np.stack([kicks(e) for e in np.eye(limit.problem.noise_size)], axis=1)
            spread = Exact(symbolic).spread(g)
            np.testing.assert_allclose(columns @ columns.T, spread, rtol=0, atol=EXACT * size)


# The theorem with dense matrices, at a fixed step -------------------------------------------------


@dataclass(frozen=True)
class DenseTheorem:
    """Drift and diffusion per step and σ² of any map z' = T(z, η, ζ), all of it in full.

    ζ runs through the rows of `batches`, each as likely; η is standard normal times σ. J is the
    Jacobian of constraints that are not redundant.
    """

    step: Callable[[Any, Any, Any], Any]
    noises: int
    batches: Array

    def __call__(self, z: Array, j: Array) -> tuple[Array, Array]:
        origin, size, jet = np.zeros(self.noises), len(z), jax.jit(self.jet)
        parts = [jet(z, origin, zeta) for zeta in self.batches]
        a_each = [p[0] for p in parts]
        curved, kicks, bias = (np.mean([p[i] for p in parts], axis=0) for i in (1, 2, 3))
        a, inverse = np.mean(a_each, axis=0), np.linalg.pinv(j)
        b_each = [j @ one @ inverse for one in a_each]
        b = np.mean(b_each, axis=0)
        across = (a - np.eye(size)) @ inverse @ np.linalg.inv(b - np.eye(len(b)))
        p = np.eye(size) - across @ j
        both = np.mean([np.kron(one, one) for one in b_each], axis=0)
        y = np.linalg.solve(np.eye(len(both)) - both, (j @ kicks @ j.T).ravel()).reshape(b.shape)
        v_each = [p @ one @ across for one in a_each]
        mixed = p @ kicks @ j.T
        mixed = mixed + np.mean([v @ y @ o.T for v, o in zip(v_each, b_each, strict=True)], axis=0)
        z_along = np.linalg.solve((np.eye(len(b)) - b), mixed.T).T
        x = across @ y @ across.T + z_along @ across.T + across @ z_along.T
        theta = p @ kicks @ p.T + np.mean([v @ y @ v.T for v in v_each], axis=0)
        return p @ (bias + 0.5 * np.einsum("ijk,jk->i", curved, x)), theta

    def jet(self, z: Array, origin: Array, zeta: Array) -> tuple[Array, ...]:
        def first(z: Any, eta: Any) -> Any:
            return self.step(z, eta, zeta)

        a = jax.jacfwd(first)(z, origin)
        curved = jax.jacfwd(jax.jacfwd(first))(z, origin)
        g = jax.jacfwd(first, argnums=1)(z, origin)
        second = jax.jacfwd(jax.jacfwd(first, argnums=1), argnums=1)(z, origin)
        return a, curved, g @ g.T, 0.5 * jnp.trace(second, axis1=1, axis2=2)


INPUTS = np.array([[0.3, -0.8], [1.1, 0.4], [-0.6, 0.9]])
TARGETS = np.array([[0.4, -0.2], [-0.3, 0.5], [0.2, 0.1]])
CURVATURES = np.array([[0.5, 0.3], [0.7, 0.4], [0.6, 0.8]])
UNITS = 4


def outputs(params: Any, masks: Any = 1.0, shift: Any = 0.0) -> Any:
    hidden = jnp.tanh((INPUTS + shift) @ params["in"] + params["bias"]) * masks
    return hidden @ params["out"] - TARGETS


def start() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    shapes = {"in": (2, UNITS), "bias": (UNITS,), "out": (UNITS, 2)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def tanh_net() -> Network:
    return train(Network(outputs, start(), label_noise(), weights=CURVATURES))


MECHANISMS = {
    "label noise": label_noise(),
    "parameter noise": parameter_noise(),
    "noise on one leaf": parameter_noise(leaves=lambda path: "in" in path),
    "DropConnect": dropconnect(),
    "dropout": dropout(outputs, np.ones(UNITS), Gaussian()),
    "input noise": input_noise(lambda p, shift: outputs(p, shift=shift), np.zeros((3, 2))),
    "additive noise": additive_noise(),
    "a noisy loss": noisy_loss(
        lambda p, eta: (
            0.5 * jnp.sum(CURVATURES * outputs(p) ** 2)
            + eta[0] * jnp.sum(p["out"] * p["in"].T)
            + eta[1] * jnp.sum(p["bias"]) * p["out"][0, 0]
        ),
        np.zeros(2),
    ),
}


def uneven(params: Any, gradient: Any) -> Any:
    """A preconditioner that depends on the weights, not diagonal in the biases."""
    mean = 0.2 * jnp.mean(gradient["bias"])
    scaled = {k: (1.0 + 0.5 * jnp.tanh(params[k])) * g for k, g in gradient.items()}
    return scaled | {"bias": scaled["bias"] + mean}


BATCHES = np.array([c for c in itertools.product((0.0, 1.5), repeat=3) if sum(c) == 3.0])
"""Emphasis of the samples in batches of two of three."""

CASES = [
    ("label noise", HeavyBall(0.6), 2),
    ("label noise", SharpnessAware(0.1), None),
    *(
        pytest.param(name, optimizer, batch, marks=pytest.mark.slow)
        for name, optimizer, batch in (
            ("label noise", GradientDescent(), 2),
            ("label noise", Nesterov(0.6), 2),
            *(
                (name, SharpnessAware(0.1), None)
                for name in ("dropout", "parameter noise", "a noisy loss", "additive noise")
            ),
            *(
                (name, Preconditioned(uneven), batch)
                for name, batch in (
                    ("label noise", None),
                    ("label noise", 2),
                    ("dropout", None),
                    ("parameter noise", None),
                    ("a noisy loss", None),
                    ("additive noise", None),
                )
            ),
            ("a noisy loss", Nesterov(0.6), None),
            ("label noise", GradientDescent(), None),
            ("label noise", HeavyBall(0.6), None),
            ("dropout", Nesterov(0.5), None),
            ("parameter noise", GradientDescent(), None),
            ("noise on one leaf", HeavyBall(0.5), None),
            ("DropConnect", GradientDescent(), 2),
            ("input noise", Nesterov(0.5), None),
            ("additive noise", HeavyBall(0.5), None),
            ("additive noise", GradientDescent(), 2),
            ("a noisy loss", HeavyBall(0.6), None),
        )
    ),
]


@pytest.mark.parametrize(("name", "optimizer", "batch"), CASES)
def test_limit_at_a_step_is_that_of_the_theorem(
    tanh_net: Network, name: str, optimizer: GradientDescent, batch: int | None
) -> None:
    network = replace(tanh_net, mechanism=MECHANISMS[name], optimizer=optimizer, batch_size=batch)
    assert_that_of_the_theorem(network, 0.25)


def assert_that_of_the_theorem(network: Network, alpha: float) -> None:
    optimizer, batch = network.optimizer, network.batch_size
    limit = derive_limit(network)
    assert limit.outcome is not Outcome.TRIVIAL
    n, d = network.dimension, network.noise_size

    def step(z: Any, eta: Any, zeta: Any) -> Any:
        w, m = z[:n], z[n:]
        there, gradient = w - alpha * optimizer.lookahead * m, jax.grad(network.flat_noisy_loss)
        there = there + optimizer.rho * gradient(there, eta, zeta)
        m = optimizer.beta * m + gradient(there, eta, zeta)
        return jnp.concatenate([w - alpha * network.flat_raised(w, m), m])

    w = limit.origin.point
    with jax.enable_x64(True):
        jacobian = np.asarray(jax.jacfwd(network.flat_residuals)(w))
        constraints = np.zeros((len(jacobian) + n, 2 * n))
        constraints[: len(jacobian), :n] = jacobian
        constraints[len(jacobian) :, n:] = np.eye(n)
        theorem = DenseTheorem(step, d, BATCHES if batch else np.ones((1, 3)))
        drift, theta = theorem(np.concatenate([w, np.zeros(n)]), constraints)
    stepped, effective = limit.at_step(alpha), optimizer.effective(alpha)
    unit = effective ** (2 if limit.outcome.is_degenerate else 1)
    scale = np.linalg.norm(drift[:n]) + EXACT
    found = stepped.velocity(limit.origin) * unit
    np.testing.assert_allclose(found, drift[:n], rtol=0, atol=1e-8 * scale)
    asymptotic = np.linalg.norm(limit.velocity(limit.origin) * unit - drift[:n]) / scale
    assert asymptotic > 0.01, "the step is too small for the comparison to say anything"
    if stepped.deterministic:
        assert np.abs(theta[:n, :n]).max() < 1e-9 * unit
    else:
        kicks = stepped.diffusion(w)
        columns = np.stack([network.flattened(kicks(e)) for e in np.eye(d)], axis=1)
        np.testing.assert_allclose(columns @ columns.T * unit, theta[:n, :n], atol=1e-9 * unit)


PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.4, 0.4, 0.2]])
ENTROPY = CrossEntropy(PROBABILITIES)


def logits(params: Any, masks: Any = 1.0) -> Any:
    return (jnp.tanh(INPUTS @ params["in"] + params["bias"]) * masks) @ params["out"]


CLASSIFIERS = {
    "label noise on batches": (label_noise(), HeavyBall(0.6), 2),
    "label noise uphill": (label_noise(), SharpnessAware(0.1), None),
    "dropout on batches": (
        dropout(lambda p, m: ENTROPY.residuals(logits(p, m)), np.ones(UNITS), Gaussian()),
        GradientDescent(),
        2,
    ),
    "a noisy loss": (
        noisy_loss(
            lambda p, eta: (
                -jnp.mean(jnp.sum(PROBABILITIES * jax.nn.log_softmax(logits(p), axis=1), axis=1))
                + eta[0] * jnp.sum(p["bias"]) * p["out"][0, 0]
            ),
            np.zeros(1),
        ),
        Preconditioned(uneven),
        None,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_limit_of_a_cross_entropy_is_that_of_the_theorem(case: str) -> None:
    """Third derivatives of the losses have no part in it."""
    mechanism, optimizer, batch = CLASSIFIERS[case]
    params = start() | {"out": np.random.default_rng(5).normal(size=(UNITS, 3))}
    ways = {"mechanism": mechanism, "optimizer": optimizer, "batch_size": batch}
    network = train(classified(lambda p, _: logits(p), INPUTS, PROBABILITIES, params, **ways))
    assert_that_of_the_theorem(network, 1.0)
