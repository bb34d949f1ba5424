"""Kinks of a program: seen, told from what is smooth, counted when they are crossed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import DeriveWarning, Outcome, derive_limit  # noqa: E402
from numerics import simulate_descent, simulate_limit  # noqa: E402
from numerics.networks import Network, label_noise, train  # noqa: E402
from numerics.networks.kinks import cell, kinks  # noqa: E402

X = np.array([-1.0, -0.5, 0.25, 0.5])
SMOOTH = (jnp.tanh, jax.nn.softplus, jax.nn.gelu, jax.nn.softmax, jax.nn.silu)
BENT: dict[str, tuple[Callable[[Any], Any], int]] = {
    "relu": (jax.nn.relu, 1),
    "leaky ReLU": (jax.nn.leaky_relu, 1),
    "maximum": (lambda x: jnp.maximum(0.0, x), 1),
    "two arguments": (lambda x: jnp.maximum(x, 0.3 * x), 1),
    "where": (lambda x: jnp.where(x > 0, x, 0.5 * x), 1),
    "abs": (jnp.abs, 1),
    "sign": (jnp.sign, 1),
    "inside": (jax.jit(lambda x: jax.checkpoint(jax.nn.relu)(x) ** 2), 1),
    "largest": (lambda x: jnp.max(jnp.stack([x, -x]), axis=0), 2),
    "pooled": (
        lambda x: jax.lax.reduce_window(
            jnp.stack([x, -x], axis=1), -jnp.inf, jax.lax.max, (1, 2), (1, 2), "VALID"
        ),
        2,
    ),
}
"""Functions with a kink or jump at 0, and how many entries of a cell change where it is crossed."""


@pytest.mark.parametrize("function", SMOOTH)
def test_smooth_activations_have_no_kinks(function: Callable[[Any], Any]) -> None:
    assert not kinks(function, X)
    assert cell(function)(X).shape == (0,)


@pytest.mark.parametrize("name", BENT)
def test_a_cell_changes_where_a_kink_is_crossed(name: str) -> None:
    function, entries = BENT[name]
    assert kinks(function, X)
    here = jax.jit(cell(function))
    with jax.enable_x64(True):
        start = np.asarray(here(X))
        for shift, crossed in ((0.01, 0), (0.6, 1), (1.1, 2), (-0.3, 1)):
            moved = np.asarray(here(X + shift))
            assert np.count_nonzero(moved != start) == crossed * entries


INPUTS = np.array([[1.0, 0.6], [-0.2, 1.1], [0.9, -0.5]])
TARGETS = np.array([1.0, 0.8, 0.5])
ALPHA = 0.1


def outputs(params: Any) -> Any:
    return jax.nn.relu(INPUTS @ params["in"]) @ params["out"] - TARGETS


@pytest.fixture(scope="module")
def network() -> Network:
    rng = np.random.default_rng(1)
    start = {"in": rng.normal(size=(2, 6)), "out": rng.normal(size=6)}
    return train(Network(outputs, start, label_noise()))


def test_crossings_are_counted_along_the_limit_and_in_training(network: Network) -> None:
    with pytest.warns(DeriveWarning, match="relu may have kinks; .* inside the cell"):
        limit = derive_limit(network)
    assert limit.outcome is Outcome.DETERMINISTIC
    with pytest.warns(DeriveWarning, match=r"up to \d+ kinks are crossed"):
        flow = simulate_limit(limit, time=20.0, record=2)
    with pytest.warns(DeriveWarning, match=r"up to \d+ kinks are crossed"):
        training = simulate_descent(network, alpha=ALPHA, sigma=0.3, steps=1000, seed=0, record=2)
    for run in (flow, training):
        sides = [
            np.sign(INPUTS @ network.unflattened(w)["in"]) for w in (limit.origin.point, run.end[0])
        ]
        assert run["crossed"][0, 0] == 0
        # At the point of Γ beside the end.
        assert abs(run["crossed"][0, -1] - np.count_nonzero(sides[0] != sides[1])) <= 1
        assert run["crossed"][0, -1] > 0


def test_nothing_is_said_where_no_kink_is_crossed(network: Network) -> None:
    with pytest.warns(DeriveWarning, match="relu"):
        limit = derive_limit(network)
    near = simulate_limit(limit, time=1e-3, record=2)
    assert not near["crossed"].any()
