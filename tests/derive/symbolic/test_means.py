"""Models over many samples against the same models written out, sample by sample."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Independent,
    Limit,
    ManifoldError,
    Mean,
    Minibatch,
    NoisyGradientDescent,
    NotCoveredError,
    Outcome,
    ProblemError,
    Rademacher,
    Uniform,
    derive_limit,
)
from derive.noise.moments import moments_of, noise_moments
from numerics import compile_limit, simulate_descent, simulate_limit

x1, x2, y = sp.symbols("x1 x2 y", real=True)
a1, a2, b1, b2, c1, c2 = WEIGHTS = sp.symbols("a1 a2 b1 b2 c1 c2", real=True)
eta, xi = NOISE = sp.symbols("eta xi", real=True)
DATA = (x1, x2, y)
START = np.array([0.9, -0.7, 0.6, 0.5, -0.4, 0.8])
VALUES = ((1.0, 0.5, 0.3), (-0.5, 1.0, 0.2), (0.7, -0.2, 0.25))

QUADRATIC = a1 * x1**2 + a2 * x2**2 + b1 * b2 * x1 * x2 + c1**2 * x1 + c2**2 * x2 - y
"""A residual with as many independent samples as one likes."""

MODELS: dict[str, dict[str, Any]] = {
    "label noise": {"residual": QUADRATIC, "noisy": QUADRATIC - eta, "noise": eta},
    "two label noises": {
        "residual": QUADRATIC,
        "noisy": QUADRATIC - eta - xi,
        "noise": NOISE,
        "law": Gaussian(sp.Matrix([[2, 1], [1, 1]])),
    },
    "signs on the weights": {
        "residual": QUADRATIC,
        "noisy": QUADRATIC.subs({b1: b1 * (1 + eta)}),
        "noise": eta,
        "law": Rademacher(),
    },
    "shared dropout": {
        "residual": QUADRATIC,
        "noisy": QUADRATIC.subs({c1: c1 * (1 + eta), b2: b2 * (1 + xi)}),
        "noise": NOISE,
        "own": (),
    },
    "shared dropout of noisy labels": {
        "residual": QUADRATIC,
        "noisy": QUADRATIC.subs({c1: c1 * (1 + xi)}) - eta,
        "noise": NOISE,
        "own": eta,
    },
    "shared additive noise of noisy labels": {
        "residual": QUADRATIC,
        "noisy": QUADRATIC - eta,
        "noise": NOISE,
        "own": eta,
        "beside": xi * (a1 + 2 * c2),
    },
    "shared Bernoulli dropout": {
        "residual": QUADRATIC,
        "noisy": QUADRATIC.subs({c1: c1 * (1 + eta), b2: b2 * (1 + xi)}),
        "noise": NOISE,
        "law": Bernoulli(),
        "own": (),
    },
}
JUMPS: dict[str, Any] = {
    "jumps": CustomLaw([[1, 0], [0, 0]], [((1, 2), 1), ((0, 1), sp.Rational(1, 2))]),
    "a product": Independent({xi: Gaussian(sp.Matrix([[2]])), eta: Bernoulli()}),
}
CONSISTENT = tuple((p, q, 0.3 * p**2 + 0.2 * q + 0.1 * p) for p, q, _ in VALUES)


def means(loss: Any, noisy: Any, weights: Any, noise: Any, data: Any, **rest: Any) -> Any:
    """A problem over samples, whose noise each sample has for itself unless told."""
    own, beside = rest.pop("own", noise), rest.pop("beside", 0)
    noisy_loss = Mean(noisy, data, own) + beside
    return NoisyGradientDescent(Mean(loss, data), noisy_loss, weights, noise, **rest)


def sampled(name: str, values: Any = CONSISTENT, **changes: Any) -> NoisyGradientDescent:
    model = {"data": DATA} | MODELS[name] | changes
    residual, noisy, data = (model.pop(key) for key in ("residual", "noisy", "data"))
    return means(residual**2 / 2, noisy**2 / 2, WEIGHTS, data={data: values}, **model)


@cache
def limits(name: str) -> tuple[Limit, Limit]:
    problem = sampled(name)
    return derive_limit(problem), derive_limit(problem.written_out())


# Correlated normals are mixed sample by sample here: the same law, but other numbers.
@pytest.mark.parametrize(
    ("name", "momentum"),
    [
        ("signs on the weights", 0.0),
        pytest.param("label noise", 0.0, marks=pytest.mark.slow),
        pytest.param("shared Bernoulli dropout", 0.0, marks=pytest.mark.slow),
        pytest.param("shared dropout of noisy labels", 0.5, marks=pytest.mark.slow),
    ],
)
def test_recursion_is_that_of_the_expanded_problem(name: str, momentum: float) -> None:
    run = {"alpha": 0.05, "sigma": 0.2, "steps": 60, "paths": 5, "seed": 7, "threads": 1}
    problem = sampled(name)
    ours = simulate_descent(problem, START, momentum=momentum, **run)
    theirs = simulate_descent(problem.written_out(), START, momentum=momentum, **run)
    # 60 steps of a stable recursion amplify round-off by little.
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=0, atol=1e-13)
    assert np.ptp(ours.weights[:, -1], axis=0).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "next_order"),
    [
        ("label noise", False),
        ("shared dropout of noisy labels", True),
        pytest.param("two label noises", False, marks=pytest.mark.slow),
        pytest.param("shared Bernoulli dropout", False, marks=pytest.mark.slow),
        pytest.param("shared additive noise of noisy labels", False, marks=pytest.mark.slow),
    ],
)
def test_limit_is_that_of_the_expanded_problem(name: str, next_order: bool) -> None:
    ours, theirs = limits(name)
    assert ours.outcome is theirs.outcome
    assert ours.time_scale == theirs.time_scale
    fast, oracle = (
        compile_limit(limit.effective(0.05, 0.3) if next_order else limit.at_step(0.05))
        for limit in (ours, theirs)
    )
    assert fast.codimension == oracle.codimension == 3
    here = oracle.flow_limit(START)
    for ask in ("flow_limit", "retract"):
        np.testing.assert_allclose(getattr(fast, ask)(START), getattr(oracle, ask)(START), 1e-9)
    for ask in ("drift", "projector", "regularizer", "spectrum"):
        expected = getattr(oracle, ask)(here)
        np.testing.assert_allclose(
            getattr(fast, ask)(here), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max()
        )
    covariances = [s @ s.T for s in (fast.diffusion(here), oracle.diffusion(here))]
    np.testing.assert_allclose(*covariances, rtol=0, atol=1e-10)


@pytest.mark.parametrize("law", JUMPS.values(), ids=JUMPS)
def test_every_law_is_repeated_independently(law: Any) -> None:
    """Σ of the expanded problem is Σ_i S_i S_iᵀ/n² with S_i of sample i alone."""
    noisy = QUADRATIC - eta * a1 - xi
    problem = sampled("two label noises", law=law, noisy=noisy)
    n = len(CONSISTENT)

    def covariance(rows: Any) -> np.ndarray:
        moments = noise_moments(problem.written_out(rows)).covariance
        at = moments.subs(dict(zip(WEIGHTS, map(sp.Rational, START), strict=True)))
        return np.array(at, float) * len(rows) ** 2 / n**2

    alone = sum(covariance([i]) for i in range(n))
    np.testing.assert_allclose(covariance(range(n)), alone, rtol=0, atol=1e-14)


def test_outcome_is_decided_on_independent_samples() -> None:
    """Copies of a sample hide that dropout moves along the others' common zero set."""
    copies = (CONSISTENT[0],) * 4 + CONSISTENT
    limit, plain = (derive_limit(sampled("shared dropout", v)) for v in (copies, CONSISTENT))
    assert "3 of 7 samples" in str(limit)
    assert limit.outcome is plain.outcome


def test_label_noise_on_any_number_of_samples() -> None:
    for n in (3, 4, 1000):
        p, q = np.random.default_rng(n).normal(size=(2, n)).round(2)
        values = np.column_stack([p, q, 0.3 * p**2 + 0.2 * q + 0.1 * p])
        limit = derive_limit(sampled("label noise", values=values))
        # ℓ = ½ r²: of each sample Σ_i = ∇r∇rᵀ, so that Σ = H/n; (h − y)² has twice that.
        assert limit.classification.hessian_multiple == sp.Rational(1, n)
        assert limit.outcome is Outcome.DETERMINISTIC
        assert [str(s.verdict).startswith("yes") for s in limit.evidence.steps] == [1, 1, 0]
    data = {DATA: CONSISTENT}
    twice = means(QUADRATIC**2, (QUADRATIC - eta) ** 2, WEIGHTS, eta, data)
    assert derive_limit(twice).classification.hessian_multiple == sp.Rational(2, 3)


def test_latex_keeps_the_sum() -> None:
    text = limits("label noise")[0].latex()
    assert r"\sum_{i=1}^{n}" in text
    assert "x_{1}^{(i)}" in text
    assert r"P\nabla\Delta L" in text


def many(n: int, inputs: int) -> tuple[NoisyGradientDescent, Any]:
    """A diagonal net h = Σ_j (u_j² − v_j²) x_j on n samples that it can fit, with label noise."""
    u, v, x = (sp.symbols(f"{s}1:{inputs + 1}", real=True) for s in "uvx")
    residual = sum((p**2 - q**2) * r for p, q, r in zip(u, v, x, strict=True)) - y
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n, inputs))
    values = np.column_stack([points, points @ rng.normal(size=inputs)])
    problem = means(residual**2, (residual - eta) ** 2, u + v, eta, {(*x, y): values})
    return problem, points


@pytest.mark.slow
def test_two_thousand_samples() -> None:
    """The drift −(1/2n) P∇ΔL with ΔL = 8 Σ_j mean(x_j²)(u_j² + v_j²), exactly."""
    problem, points = many(2000, 5)
    limit = derive_limit(problem)
    start = np.full(10, 0.7)
    run = simulate_descent(problem, start, alpha=0.01, sigma=0.1, steps=50, paths=4, seed=0)
    assert np.isfinite(run.weights).all()
    fast = compile_limit(limit)
    assert fast.codimension == 5
    here = fast.flow_limit(start)
    slope = 16 * np.tile((points**2).mean(axis=0), 2) * here
    expected = -fast.projector(here) @ slope / (2 * 2000)
    np.testing.assert_allclose(fast.drift(here), expected, rtol=0, atol=1e-11 * abs(expected).max())
    assert np.isfinite(simulate_limit(limit, start, time=1.0, paths=1, seed=0).weights).all()


@pytest.mark.slow
def test_monte_carlo_agrees_with_the_limit_at_the_step() -> None:
    """Six samples, fourteen weights: the projected iterate against the finite-step limit."""
    alpha, sigma, time, paths = 0.05, 0.1, 60.0, 2000
    problem, _ = many(6, 7)
    limit = derive_limit(problem).at_step(alpha)
    start = np.linspace(0.5, 1.2, 14)
    fast = compile_limit(limit)
    here = fast.descent_limit(start, alpha)
    steps = round(time / (alpha * sigma) ** 2 / 100)
    run = simulate_descent(
        problem, here, alpha=alpha, sigma=sigma, steps=steps, paths=paths, seed=5, record=2
    )
    predicted = simulate_limit(
        fast, here, time=steps * (alpha * sigma) ** 2, paths=1, seed=0, record=2
    ).weights[0, -1]
    ends = fast.descent_limit(run.weights[:, -1], alpha)
    error = ends.mean(axis=0) - predicted
    scatter = ends.std(axis=0, ddof=1) / np.sqrt(paths)
    moved = np.abs(predicted - here)
    assert (moved > 20 * scatter).any()
    assert (np.abs(error) <= 4 * scatter).all(), (error / scatter, moved / scatter)


def test_compiled_limit_travels() -> None:
    fast = compile_limit(limits("label noise")[0])
    again = pickle.loads(pickle.dumps(fast))
    point = fast.flow_limit(START)
    assert (again.drift(point) == fast.drift(point)).all()


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "width": (lambda: sampled("label noise", values=[[1, 2]]), ProblemError, "data: .*rows of"),
    "text": (lambda: sampled("label noise", values=[["a", 2, 3]]), ProblemError, "data"),
    "number": (lambda: sampled("label noise", values=3), ProblemError, "data"),
    "empty": (lambda: sampled("label noise", values=[]), ProblemError, "n ≥ 1"),
    "NaN": (lambda: sampled("label noise", values=[[1, 2, np.nan]]), ProblemError, "finite"),
    "no data": (lambda: Mean(a1 * x1, [1, 2]), ProblemError, "data: expected {symbol"),
    "two lengths": (
        lambda: Mean(a1 * x1 * y, {x1: [1, 2], y: [1]}), ProblemError, r"as many .* \[1, 2\]",
    ),
    "other data": (
        lambda: NoisyGradientDescent(
            Mean((a1 - x1) ** 2, {x1: [1]}), Mean((a1 - x1 - eta) ** 2, {x1: [2]}), a1, eta
        ),
        ProblemError,
        "same data",
    ),
    "only one a mean": (
        lambda: NoisyGradientDescent(a1**2, Mean((a1 - eta * x1) ** 2, {x1: [2]}), a1, eta),
        ProblemError,
        "loss: expected a Mean",
    ),
    "power of a mean": (
        lambda: NoisyGradientDescent(
            Mean(a1 * x1, {x1: [1]}) ** 2, Mean(a1 * x1 + eta, {x1: [1]}) ** 2, a1, eta
        ),
        ProblemError,
        "linear in its means",
    ),
    "own noise that is none": (
        lambda: means(QUADRATIC**2, QUADRATIC**2 * (1 + eta), WEIGHTS, eta, {DATA: VALUES}, own=xi),
        ProblemError,
        "independent: xi",
    ),
    "law over both kinds": (
        lambda: means(
            QUADRATIC**2, (QUADRATIC - eta - xi * a1) ** 2, WEIGHTS, NOISE, {DATA: VALUES}, own=xi,
            law=Gaussian(sp.Matrix([[2, 1], [1, 1]])),
        ),
        ProblemError,
        "law: Gaussian[^;]* binds",
    ),
    "constraints": (
        lambda: sampled("label noise", constraints=[a1 - 1]), NotCoveredError, "constraints: Γ",
    ),
    "no square": (
        lambda: derive_limit(means(
            a1**2 * x1**2 + a2**2, a1**2 * x1**2 + a2**2 + eta * a1 * x1, WEIGHTS, eta,
            {DATA: VALUES},
        )),
        NotCoveredError,
        "one square",
    ),
    "other loss": (
        lambda: means(QUADRATIC**2, (a1 * x1 - eta) ** 2, WEIGHTS, eta, {DATA: VALUES}),
        ProblemError,
        "L",
    ),
    "stray symbol": (
        lambda: sampled("label noise", data=(x1, x2), values=[(1, 2)]), ProblemError, "y",
    ),
    "minibatch of one sample": (
        lambda: sampled("two label noises", law=Minibatch(2, 1)), ProblemError, "law: Minibatch",
    ),
    "symbolic step": (
        lambda: compile_limit(limits("label noise")[0].at_step()), ValueError, "alpha",
    ),
    "negative step": (lambda: limits("label noise")[0].at_step(-1), ValueError, "step"),
    "momentum": (lambda: limits("label noise")[0].at_step(0.1, 2), ValueError, "momentum"),
    "no point of Γ": (
        lambda: derive_limit(replace(many(2, 3)[0], near=[0.0] * 6)), ManifoldError, "near",
    ),
    "no room on Γ": (
        lambda: derive_limit(means(
            (a1 - x1) ** 2, (a1 - x1 - eta) ** 2, a1, eta, {x1: [1.5, 1.5]}
        )),
        ManifoldError,
        "no direction",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_argument(name: str) -> None:
    attempt, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        attempt()


@pytest.mark.parametrize(
    "law",
    [
        Bernoulli(),
        Gaussian(sp.Matrix([[4]])),
        pytest.param(Uniform(), marks=pytest.mark.slow),
        pytest.param(Rademacher(), marks=pytest.mark.slow),
    ],
)
def test_every_sample_has_its_own_noise(law: Any) -> None:
    """From w = 0 one step of L̂ = (1/n) Σ ½ (w·x_i − η_i)² leads to (α/n) Σ η_i x_i."""
    n, sigma, paths = 40, 0.5, 4000
    inputs = np.eye(n)[:, :3] + np.eye(n)[:, 3:6]
    p, q, r = weights = sp.symbols("p q r", real=True)
    residual = p * x1 + q * x2 + r * y
    data = {DATA: inputs}
    problem = means(residual**2 / 2, (residual - eta) ** 2 / 2, weights, eta, data, law=law)
    run = {"alpha": n / 2, "sigma": sigma, "steps": 1, "paths": paths, "seed": 2, "record": 2}
    ends = simulate_descent(problem, np.zeros(3), **run).weights[:, -1]
    variance = 2 * sigma**2 if isinstance(law, Gaussian) else sigma**2 / 2
    # Kurtosis at most 5: relative standard errors of at most √(4/paths), taken 5 times.
    error = 5 * variance * np.sqrt(4 / paths)
    np.testing.assert_allclose(np.cov(ends.T), variance * np.eye(3), rtol=0, atol=error)


def test_moments_of_a_mean_are_those_of_the_problem_written_out() -> None:
    """Σ and Reg with their means, put in numbers; a lost 1/n or a mixed-up kind would show."""
    at = dict(zip(WEIGHTS, map(sp.Rational, START), strict=True))
    for name in MODELS:
        problem = sampled(name)
        ours, theirs = moments_of(problem.objective), noise_moments(problem.written_out())
        for ask in ("regularizer", "covariance"):
            found, expected = (sp.Matrix([getattr(m, ask)]).doit().subs(at) for m in (ours, theirs))
            gap = np.abs(np.array(found - expected, dtype=float)).max()
            assert gap < 1e-13, (name, ask)


def test_the_explanation_says_what_rests_on_a_few_samples() -> None:
    text = str(derive_limit(many(40, 3)[0]).explain())
    assert "the rank is that at weights, found in floats, that fit all samples" in text
    assert "samples: n = 40; eta drawn for each sample" in text
    assert "spectrum of H" not in text
    assert "on 3 of 40 samples" in text


def test_a_mean_is_an_expression() -> None:
    mean = Mean(a1 * x1 + eta * x1**2, {x1: [1, 2], y: [0, 0]}, eta)
    assert mean.free_symbols == {a1, eta}
    assert mean.diff(a1).doit() == sp.Rational(3, 2)
    assert mean.doit() == 3 * a1 / 2 + sp.Symbol("eta_0", real=True) / 2 + 2 * sp.Symbol(
        "eta_1", real=True
    )
    assert Mean(a1**2, {x1: [1, 2]}) == a1**2
    assert pickle.loads(pickle.dumps(mean)) == mean
    assert mean != Mean(mean.args[0], {x1: [1, 3], y: [0, 0]}, eta)
    assert sp.srepr(mean) != sp.srepr(Mean(mean.args[0], {x1: [1, 3], y: [0, 0]}, eta))


def test_a_limit_over_samples_has_no_closed_form_of_a_few_of_them() -> None:
    """Γ of few samples has a closed form, which must not be taken for that of all."""
    limit = derive_limit(many(3, 2)[0].written_out([0]))
    assert limit.projector is not None
    ours = derive_limit(replace(many(1, 2)[0]))
    assert ours.projector is None
    assert ours.manifold.frame is None
    assert ours.drift is None
