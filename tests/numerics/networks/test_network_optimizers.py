"""Update rules of networks against those of the symbolic engine, and where they are stable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy as sp

jax = pytest.importorskip("jax")
jnp = jax.numpy

import derive.optimizers as symbolic  # noqa: E402
from derive import Bernoulli, NotCoveredError, Outcome, ProblemError, derive_limit  # noqa: E402
from numerics import validate  # noqa: E402
from numerics.errors import ArgumentError  # noqa: E402
from numerics.networks import (  # noqa: E402
    GradientDescent,
    HeavyBall,
    Nesterov,
    Network,
    Preconditioned,
    SharpnessAware,
    dropconnect,
    label_noise,
    train,
)
from tests.truth import catalogue  # noqa: E402
from tests.truth.catalogue import w1, w2  # noqa: E402
from tests.truth.networks import RESIDUALS, Exact, network_of, place  # noqa: E402

EXACT = 1e-10
HALF = sp.Rational(1, 2)
MATRIX = np.array([[2.0, 0.5], [0.5, 1.0]])
OPTIMIZERS: dict[str, tuple[symbolic.Optimizer, GradientDescent]] = {
    "heavy ball": (symbolic.HeavyBall(sp.Rational(3, 5)), HeavyBall(0.6)),
    "Nesterov": (symbolic.Nesterov(sp.Rational(3, 5)), Nesterov(0.6)),
    "sharpness-aware": (symbolic.SharpnessAware(sp.Rational(1, 5)), SharpnessAware(0.2)),
    "constant preconditioner": (
        symbolic.Preconditioned([[2, HALF], [HALF, 1]]),
        Preconditioned(lambda w, g: MATRIX @ g),
    ),
    "preconditioner of the weights": (
        symbolic.Preconditioned([[2 + w2, 0], [0, 1 + w1**2]]),
        Preconditioned(lambda w, g: jnp.stack([(2 + w[1]) * g[0], (1 + w[0] ** 2) * g[1]])),
    ),
}
QUICK = {
    ("linear scalar noise on the uneven ring", "preconditioner of the weights"),
    ("parameter noise on the uneven ring", "sharpness-aware"),
}
CASES = [
    pytest.param(
        entry,
        name,
        marks=() if (entry.name, name) in QUICK else pytest.mark.slow,
        id=f"{entry.name}, {name}",
    )
    for entry in catalogue.CATALOGUE
    if entry.name in RESIDUALS and "neurons" not in entry.name
    for name in OPTIMIZERS
    if len(entry.problem.weights) == 2 or "preconditioner" not in name
]


@pytest.mark.parametrize(("entry", "name"), CASES)
def test_a_rule_is_that_of_the_symbolic_engine(entry: catalogue.Entry, name: str) -> None:
    """Outcome, scale, and drift along Γ as α → 0 and at a step."""
    given, optimizer = OPTIMIZERS[name]
    exact = derive_limit(replace(entry.problem, optimizer=given))
    point, *_ = Exact(exact).points(1)
    w = place(point)
    network = replace(network_of(entry, w), optimizer=optimizer)
    jumps = isinstance(entry.problem.law, Bernoulli)
    if jumps and optimizer.rho:
        with pytest.raises(NotCoveredError, match="noise that shrinks"):
            derive_limit(network)
        return
    limit = derive_limit(network)
    assert limit.outcome is exact.outcome
    power = 0 if exact.equation.power is None else int(exact.equation.power)
    # Slow time is kα²σ² there, and k(α/(1 − β))²σ² here.
    unit = (1.0 - optimizer.beta) ** -power
    pairs = [(limit, exact)]
    if not jumps:
        step = min(entry.alpha, 0.5 * optimizer.bound(limit.origin.values[-1]))
        pairs += [(limit.at_step(step), exact.at_step(sp.Rational(step)))]
    for found, expected in pairs:
        drift = Exact(expected).drift(point)
        gap = np.abs(unit * np.asarray(found.drift(w)) - drift).max()
        assert gap < EXACT * (1.0 + limit.trace(w))


INPUTS = np.array([[0.7, -0.4], [-0.2, 1.1], [0.9, 0.5]])
TARGETS = np.array([1.0, -1.0, 0.5])
UNITS = 3


def outputs(params: Any) -> Any:
    return jnp.tanh(INPUTS @ params["in"]) @ params["out"] - TARGETS


@pytest.fixture(scope="module")
def network() -> Network:
    rng = np.random.default_rng(1)
    start = {"in": rng.normal(size=(2, UNITS)), "out": rng.normal(size=UNITS)}
    return train(Network(outputs, start, label_noise()))


def smaller(params: Any, gradient: Any) -> Any:
    """A tenth of the step for the last layer, and less where weights are large."""
    return {
        "in": gradient["in"] / (1.0 + 0.1 * params["in"] ** 2),
        "out": 0.1 * gradient["out"],
    }


@pytest.mark.parametrize(
    "optimizer",
    [
        GradientDescent(),
        HeavyBall(0.5),
        Nesterov(0.5),
        SharpnessAware(0.3),
        Preconditioned(smaller),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_rule_is_stable_up_to_its_bound(network: Network, optimizer: GradientDescent) -> None:
    limit = derive_limit(replace(network, optimizer=optimizer))
    values = limit.origin.values
    bound = optimizer.bound(values[-1])
    assert optimizer.spectral_radius(0.999 * bound, values) < 1.0
    assert optimizer.spectral_radius(1.001 * bound, values) > 1.0
    assert limit.at_step(0.999 * bound).equation.step == 0.999 * bound
    with pytest.raises(ArgumentError, match=f"unstable.*expected less than {bound:.4g}"):
        limit.at_step(1.001 * bound)


def test_a_preconditioner_of_ones_is_descent(network: Network) -> None:
    plain = derive_limit(network)
    same = derive_limit(replace(network, optimizer=Preconditioned(lambda _, g: g)))
    w = plain.origin.point
    for a, b in ((plain, same), (plain.at_step(0.1), same.at_step(0.1))):
        np.testing.assert_allclose(b.velocity(b.at(w)), a.velocity(a.at(w)), rtol=1e-10)


def test_points_of_the_limit_stay_on_the_manifold_along_the_preconditioner(
    network: Network,
) -> None:
    limit = derive_limit(replace(network, optimizer=Preconditioned(smaller)))
    here = limit.origin
    v = np.random.default_rng(0).standard_normal(network.dimension)
    projected = here.project(v)
    np.testing.assert_allclose(here.project(projected), projected, atol=1e-12)
    assert np.abs(network.jacobian.mv(here.point, projected)).max() < 1e-12
    along = here.raised(network.jacobian.rmv(here.point, np.ones(3)))
    assert np.linalg.norm(here.project(along)) < 1e-12 * np.linalg.norm(along)


MALFORMED: dict[str, tuple[Any, str]] = {
    "not symmetric": (
        lambda _, g: g | {"out": g["out"] + jnp.cumsum(g["out"])},
        r"symmetric metric Ω; u·Ωv and v·Ωu differ by 0\.\d+",
    ),
    "not positive": (lambda _, g: jax.tree.map(lambda x: -x, g), r"positive.*u·Ωu is -\d+"),
    "too small": (lambda _, g: {"out": g["out"]}, "of 9 numbers; got 3"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_preconditioner_is_refused(network: Network, case: str) -> None:
    metric, message = MALFORMED[case]
    with pytest.raises(ProblemError, match=message):
        replace(network, optimizer=Preconditioned(metric))


def test_arguments_of_the_rules_are_checked() -> None:
    with pytest.raises(ArgumentError, match="rho"):
        SharpnessAware(-0.1)
    with pytest.raises(ArgumentError, match="metric: expected a function"):
        Preconditioned(0.1)  # type: ignore[arg-type]


def test_sharpness_aware_steps_are_refused_on_batches_and_with_jumps(network: Network) -> None:
    for changes in ({"batch_size": 2}, {"mechanism": dropconnect(Bernoulli())}):
        with pytest.raises(NotCoveredError, match="all samples and noise that shrinks"):
            derive_limit(replace(network, optimizer=SharpnessAware(), **changes))


RUNS: dict[str, tuple[GradientDescent, dict[str, float]]] = {
    "label noise, uphill": (SharpnessAware(0.1), {"sigma": 0.05, "time": 3.0}),
    "label noise, preconditioned": (Preconditioned(smaller), {"sigma": 0.1, "time": 5.0}),
    "label noise, momentum on batches": (HeavyBall(0.5), {"sigma": 0.1, "time": 5.0}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", RUNS)
def test_training_by_a_rule_follows_its_limit_and_no_other(network: Network, case: str) -> None:
    optimizer, ways = RUNS[case]
    batch = 2 if "batches" in case else None
    limit = derive_limit(replace(network, optimizer=optimizer, batch_size=batch))
    alpha = 0.3 * optimizer.bound(limit.origin.values[-1])
    assert (limit.outcome is Outcome.NON_DEGENERATE) == bool(optimizer.rho)
    equation = limit.equation
    wrong = replace(equation, regularizer=2.0 * equation.regularizer, ito=2.0 * equation.ito)
    runs = {"alpha": alpha, "paths": 8, "seed": 3, **ways}
    report = validate(limit, **runs)
    assert report.passed, str(report)
    assert not report.against(replace(limit, equation=wrong)).passed
