"""Every public verb on the limit of a network: it works, or says why it is not covered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from derive import NotCoveredError, derive_limit  # noqa: E402
from numerics.networks import Network, label_noise, train  # noqa: E402
from tests.project.test_contract import VERBS  # noqa: E402

FEATURES = np.array([[1.0, 0.5, -0.3], [0.2, 1.0, 0.7]])
WORKS = {
    *("outcome", "at_step", "explain", "text", "latex", "html"),
    *("simulate_descent", "simulate_limit"),
}


ELSEWHERE = ("check", "validate")
"""Tested with runs of their own; the former takes a function of the parameters."""


def outputs(params: Any) -> Any:
    return FEATURES @ (params["a"] * params["b"]) - np.array([1.0, 0.5])


@pytest.fixture(scope="module")
def network() -> Network:
    start = {"a": np.ones(3), "b": np.array([1.0, 0.5, 2.0])}
    return train(Network(outputs, start, label_noise()))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ELSEWHERE])
def test_a_verb_works_or_says_why_not(network: Network, verb: str, tmp_path: Path) -> None:
    limit = derive_limit(network)
    start = network.start.tolist()
    if verb in WORKS:
        assert VERBS[verb](limit, start, tmp_path) is not None
    else:
        with pytest.raises(NotCoveredError, match=r".{30}"):
            VERBS[verb](limit, start, tmp_path)


def test_what_no_limit_has_is_no_attribute(network: Network) -> None:
    limit = derive_limit(network)
    for owner in (limit, network):
        assert not hasattr(owner, "colour")
        assert not hasattr(owner, "_repr_svg_")


def test_an_error_inside_of_a_network_is_its_own() -> None:
    def mechanism(residuals: Any, params: Any) -> Any:
        return params.missing

    with pytest.raises(AttributeError, match="missing"):
        Network(outputs, {"a": np.ones(3), "b": np.ones(3)}, mechanism)


def test_the_text_names_equation_evidence_and_hypotheses(network: Network) -> None:
    limit = derive_limit(network)
    assert "dW = ½ D²Φ[Σ] dt" in str(limit)
    assert "dW = ½ D²Φ_α[Σ] dt, α = 0.1" in str(limit.at_step(0.1))
    said = str(limit.explain())
    assert "[sampled] the network interpolates: residuals of" in said
    assert f"α < {2 / limit.origin.values[-1]:.4g}" in said
    assert r"D^2\Phi(W)[\Sigma(W)]" in limit.latex()
    network_said = "Network(6 weights, 2 residuals, label noise)"
    assert repr(limit) == f"NetworkLimit({network_said}, deterministic)"


def test_a_list_of_layers_is_not_taken_for_weights() -> None:
    layers = [{"a": np.ones(3)}, {"b": np.array([1.0, 0.5, 2.0])}]
    net = Network(lambda p: outputs({"a": p[0]["a"], "b": p[1]["b"]}), layers)
    assert net.start.shape == (6,)
    assert net.flattened([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).tolist() == [1, 2, 3, 4, 5, 6]
