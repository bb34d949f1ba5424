"""What is refused of a network, with the number that failed, and how it is laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

jax = pytest.importorskip("jax")
jnp = jax.numpy

from derive import Gaussian, NotCoveredError, Outcome, derive_limit  # noqa: E402
from derive.errors import ManifoldError, ProblemError, UndecidedError  # noqa: E402
from numerics.errors import ArgumentError  # noqa: E402
from numerics.networks import (  # noqa: E402
    HeavyBall,
    Network,
    dropout,
    label_noise,
    noisy_loss,
    noisy_residuals,
    parameter_noise,
    train,
)

INPUTS = np.array([0.5, -0.3, 1.2])
TARGETS = np.array([0.4, 0.7, -0.2])
FEATURES = np.stack([np.ones(3), INPUTS, INPUTS**2, np.tanh(INPUTS)], axis=1)


def outputs(params: Any) -> Any:
    """A diagonal net of depth two on some features, in the precision of its parameters."""
    kind = params["w"].dtype
    return FEATURES.astype(kind) @ (params["w"] * params["s"]) - TARGETS.astype(kind)


def on_gamma() -> dict[str, np.ndarray]:
    s = np.array([1.0, 0.5, 2.0, 1.5])
    return {"s": s, "w": np.linalg.lstsq(FEATURES * s, TARGETS)[0]}


def network(**changes: Any) -> Network:
    return Network(**({"residuals": outputs, "params": on_gamma()} | changes))


def test_weights_are_the_leaves_end_to_end() -> None:
    net = network()
    params = on_gamma()
    np.testing.assert_array_equal(net.start, np.concatenate([params["s"], params["w"]]))
    back = net.unflattened(net.start)
    assert all(np.array_equal(back[k], params[k]) for k in params)
    assert net.loss(net.start) < 1e-25
    with pytest.raises(ArgumentError, match=r"expected a pytree of the shapes.*'s': \(4,\)"):
        net.flattened({"s": np.zeros(3), "w": np.zeros(4)})


def test_what_it_does_not_change_is_left_as_it_was() -> None:
    before = jnp.arange(2.0).dtype
    derive_limit(network(mechanism=label_noise()))
    assert jnp.arange(2.0).dtype == before


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "integers": ({"params": {"w": np.arange(4), "s": np.ones(4)}}, r"params\['w'\].*floating"),
    "no leaf": ({"params": {}}, "got no leaf"),
    "a state": ({"residuals": lambda p: (outputs(p), p)}, "batch normalisation in training mode"),
    "not finite": (
        {"residuals": lambda p: jnp.log(outputs(p) + jnp.array([-1.0, 1.0, 1.0]))},
        "1 of 3 are not finite",
    ),
    "negative c": ({"weights": -1.0}, "positive c_i.*-1.0"),
    "precision": ({"precision": "half"}, "float64.*got 'half'"),
    "optimizer": ({"optimizer": "adam"}, "GradientDescent.*got 'adam'"),
    "data in double precision": (
        {"precision": "float32", "residuals": lambda p: FEATURES @ p["w"]},
        "of float64 for parameters of float32",
    ),
    "batch": ({"batch_size": 5, "mechanism": label_noise()}, "at most the 3 samples.*got 5"),
    "masks": ({"mechanism": dropout(lambda p, m: outputs(p) * (m + 1), np.ones(3))}, "differ.*by"),
    "other noise": (
        {"mechanism": noisy_residuals(lambda p, e: outputs(p)[:2], np.zeros(1))},
        "differ.*by inf",
    ),
    "noisy loss": (
        {"mechanism": noisy_loss(lambda p, e: 1.0 + e @ p["s"], np.zeros(4))},
        r"L̂\(params, 0\) differ.*by 0.999",
    ),
    "leaves": (
        {"mechanism": parameter_noise(leaves=lambda path: "b" in path)},
        "no leaf is chosen",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_network_is_refused(case: str) -> None:
    changes, message = MALFORMED[case]
    with pytest.raises(ProblemError, match=message):
        network(**changes)


def test_correlated_noise_is_refused() -> None:
    with pytest.raises(NotCoveredError, match="correlations belong"):
        network(mechanism=label_noise(Gaussian(np.eye(3).tolist())))


def test_a_network_that_does_not_interpolate_is_refused_with_its_residuals() -> None:
    off = on_gamma()
    off["w"] = off["w"] + np.array([0.1, 0.0, 0.0, 0.0])
    with pytest.raises(ManifoldError, match=r"not on Γ.*0\.1 in root mean square"):
        derive_limit(network(params=off, mechanism=label_noise()))
    trained = train(network(params=off, mechanism=label_noise()))
    assert derive_limit(trained).outcome is Outcome.DETERMINISTIC


def test_training_what_cannot_be_fitted_is_refused_with_the_residual() -> None:
    def constant(params: Any) -> Any:
        return jnp.exp(params["a"]) * params["b"] * jnp.ones(3) - TARGETS

    start = {"a": np.zeros(2), "b": np.ones(2)}
    impossible = Network(
        lambda p: jnp.sum(constant({k: v[0] for k, v in p.items()})) ** 2 + 1, start
    )
    with pytest.raises(ManifoldError, match="ends at residuals of 1 "):
        train(impossible)


def test_cross_entropy_on_separable_data_has_no_minimiser() -> None:
    signs = np.sign(TARGETS)

    def cross_entropy(params: Any) -> Any:
        return jnp.log1p(jnp.exp(-signs * (FEATURES @ params["w"])))

    with pytest.raises(ManifoldError, match=r"weights grow from a norm of 2 to \d+.*log\(q"):
        train(Network(cross_entropy, {"w": np.ones(4)}))


def redundant(params: Any) -> Any:
    r = outputs(params)
    return jnp.concatenate([r, r[:1] + r[1:2]])


def nearly_redundant(params: Any) -> Any:
    r = outputs(params)
    return jnp.concatenate([r, r[:1] + 1e-2 * (params["s"][:1] - 1.0)])


def test_redundant_residuals_are_counted_once_and_nearly_redundant_ones_refused() -> None:
    limit = derive_limit(network(residuals=redundant, mechanism=label_noise()))
    assert limit.origin.rank == 3
    with pytest.raises(ManifoldError, match=r"rank of J is not clear.*eigenvalues .* rounding is"):
        derive_limit(network(residuals=nearly_redundant, weights=1.0, precision="float32"))


def test_a_singular_point_is_refused_with_both_ranks() -> None:
    def crossing(params: Any) -> Any:
        return jnp.stack([params["x"] * params["y"], params["z"] - 1.0])

    point = {name: np.array(value) for name, value in (("x", 0.0), ("y", 0.0), ("z", 1.0))}
    with pytest.raises(ManifoldError, match="rank 1 there and 2"):
        derive_limit(Network(crossing, point, label_noise()))


def test_as_many_residuals_as_weights_leave_a_point() -> None:
    with pytest.raises(ManifoldError, match=r"3 independent residuals .* 3 weights free"):
        derive_limit(Network(lambda p: p - TARGETS, TARGETS, label_noise()))


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_an_unstable_step_is_refused_with_its_number(beta: float) -> None:
    limit = derive_limit(network(mechanism=label_noise(), optimizer=HeavyBall(beta)))
    bound = 2 * (1 + beta) / limit.origin.values[-1]
    assert limit.at_step(0.999 * bound).equation.step == 0.999 * bound
    with pytest.raises(
        ArgumentError,
        match=rf"unstable, αλ_max = {2.002 * (1 + beta):.3g}.*expected less than {bound:.4g}",
    ):
        limit.at_step(1.001 * bound)


def mean_square_radius(limit: Any, alpha: float) -> float:
    """Spectral radius of Y ↦ E B_ζ Y B_ζᵀ for batches of one of three, with dense matrices."""
    here = limit.origin
    k = here.vectors * here.values @ here.vectors.T
    each = [np.eye(3) - alpha * k @ np.diag(3.0 * e) for e in np.eye(3)]
    return float(np.abs(np.linalg.eigvals(np.mean([np.kron(b, b) for b in each], axis=0))).max())


def test_batches_too_small_for_the_step_are_refused() -> None:
    limit = derive_limit(network(mechanism=label_noise(), batch_size=1))
    with pytest.raises(NotCoveredError, match=r"batches of 1 do not bring.* grows by \d+\.\d+"):
        limit.at_step(1.9 / limit.origin.values[-1])
    assert mean_square_radius(limit, 1.9 / limit.origin.values[-1]) > 1.0
    bound = brentq(
        lambda x: mean_square_radius(limit, x) - 1.0, 1e-3, 1.9 / limit.origin.values[-1]
    )
    assert limit.at_step(0.97 * bound)
    with pytest.raises(NotCoveredError, match="batches of 1 do not bring"):
        limit.at_step(1.03 * bound)


def test_what_rounding_hides_is_undecided() -> None:
    """A regularizer that changes by 10⁻³ of itself: clear in double precision, not in single."""

    def nearly_constant(params: Any, eta: Any) -> Any:
        return outputs(params) + eta * (1.0 + 1e-3 * params["s"][0])

    ways: dict[str, Callable[..., Any] | Any] = {
        "mechanism": noisy_residuals(nearly_constant, np.zeros(3))
    }
    limit = derive_limit(network(**ways))
    assert limit.outcome is Outcome.NON_DEGENERATE
    single = network(**ways, precision="float32")
    with pytest.raises(UndecidedError, match=r"P∇Reg.*rounding .* single precision"):
        derive_limit(single)
    assumed = derive_limit(single, assume="non-degenerate")
    assert "assumed by the user" in str(assumed)


def test_single_precision_comes_with_its_error() -> None:
    net = network(mechanism=label_noise(), precision="float32")
    limit = derive_limit(train(net))
    assert 1e-9 < limit.rounding() < 1e-4
    assert "float32, which changes the drift by" in str(limit)
    assert derive_limit(network(mechanism=label_noise())).rounding() == 0.0


def test_no_noise_but_batches_is_frozen() -> None:
    limit = derive_limit(network(batch_size=2))
    assert limit.outcome is Outcome.FROZEN
    assert limit.time_scale is None


def test_a_drift_by_hand_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = derive_limit(network(mechanism=label_noise()))
    assert limit.check(limit.drift).value is True
    doubled = limit.check(lambda p: jax.tree.map(lambda x: 2 * x, limit.drift(p)))
    assert doubled.value is False
    other = replace(limit, equation=replace(limit.equation, ito=0.5000001))
    assert other.check(limit.drift).value is not True
