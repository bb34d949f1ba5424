"""Local steps whose number grows as α falls, against a fixed number of them at small steps."""

from dataclasses import replace
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import Limit, NotCoveredError, Outcome, ProblemError, alpha, derive_limit, sigma
from derive import NoisyGradientDescent as Problem
from derive.analysis.agreement import pointwise
from derive.model.optimized import BuiltRule, rule_of
from derive.optimizers import LocalRounds, LocalSteps
from derive.theory.katzenberger import second_derivative
from derive.theory.local_steps import effective_covariance
from numerics import compile_limit

w1, w2, w3, w4, e1, e2, e3 = sp.symbols("w1 w2 w3 w4 e1 e2 e3", real=True)
HALF = sp.Rational(1, 2)
RESIDUAL = (w1**2 + w2**2 - 1) * (1 + w1 / 2)
LABELS = Problem(RESIDUAL**2 / 2, (RESIDUAL - e1) ** 2 / 2, (w1, w2), e1)
"""Label noise on one sample, Σ = H = (2 + w₁)² nnᵀ."""

RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
ADDITIVE = Problem(RING, RING + e1 * w1 + e2 * w2**2, (w1, w2), (e1, e2))
"""Noise along and across Γ, correlated."""

WORKERS = 3


def drift(limit, g) -> np.ndarray:
    with mpmath.workdps(20):
        return np.array([float(x) for x in pointwise(limit).drift(g)])


def extrapolated(problem: Problem, g, time: sp.Expr) -> np.ndarray:
    """Drift per local step and α², of T/α steps at each α, extrapolated to α → 0."""
    found = []
    for count in (5, 10, 20):
        step = time / count
        rule = derive_limit(replace(problem, optimizer=LocalSteps(count, WORKERS)))
        found.append(drift(rule.at_step(step), g) / count)
    first, second = 2 * found[1] - found[0], 2 * found[2] - found[1]
    return (4 * second - first) / 3


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(LABELS, id="label noise"),
        pytest.param(ADDITIVE, id="additive noise", marks=pytest.mark.slow),
    ],
)
def test_many_short_steps(problem) -> None:
    limit = derive_limit(replace(problem, optimizer=LocalRounds(HALF, WORKERS)))
    assert limit.time_scale == 1 / (alpha**2 * sigma**2)
    g = next(iter(limit.manifold.local()))
    right, alone = drift(limit, g), drift(derive_limit(problem), g)
    found = extrapolated(problem, g, HALF)
    size = np.linalg.norm(found)
    assert np.linalg.norm(found - right) < 0.003 * size
    assert np.linalg.norm(found - alone) > 0.1 * size
    assert np.linalg.norm(found - alone / WORKERS) > 0.1 * size


def test_the_formula_of_gu_and_others() -> None:
    """Beside 1/K of the drift of one worker, (K − 1)/K of it times ψ(x) = (e^{−x} − 1 + x)/x."""
    limit = derive_limit(replace(LABELS, optimizer=LocalRounds(HALF, WORKERS)))
    curvature = (2 + w1) ** 2
    x = 2 * HALF * curvature
    psi = (sp.exp(-x) - 1 + x) / x
    slope = sp.Matrix([w2**2, -w1 * w2]) * curvature.diff(w1) / 4
    g = next(iter(limit.manifold.local()))
    place = dict(zip((w1, w2), map(float, g.point), strict=True))
    found = drift(limit, g)
    for weight, holds in ((WORKERS - 1, True), (WORKERS, False)):
        printed = -slope * (1 + weight * psi) / WORKERS
        there = np.array([float(x) for x in printed.subs(place)])
        assert np.allclose(found, there, rtol=1e-12) is holds


def several_eigenvalues() -> Problem:
    """Codimension two, with noise along and across Γ."""
    residuals = (w1**2 + w2**2 - 1 + w3 * w4 / 5, w3 - w1 * w4 / 2 - w2**2 / 3)
    weights = ((2 + w1) / 2, (1 + w4**2 / 4) / 2)
    loss = sum(c * r**2 for c, r in zip(weights, residuals, strict=True)) / 2
    noisy = loss + e1 * w1 * (1 + w2) + e2 * w3 + e3 * w4
    return Problem(loss, noisy, (w1, w2, w3, w4), (e1, e2, e3))


@pytest.mark.slow
def test_several_eigenvalues(tmp_path) -> None:
    """The covariance entry by entry, the limit, compiled and in a file, and many short steps."""
    problem = several_eigenvalues()
    base = derive_limit(problem)
    limit = derive_limit(replace(problem, optimizer=LocalRounds(HALF, WORKERS)))
    limit.save(tmp_path / "limit.json")
    assert limit.outcome is Outcome.DIFFUSIVE
    assert limit.time_scale == 1 / (alpha**2 * sigma**2)
    g = next(iter(base.manifold.local()))
    with mpmath.workdps(30):
        sigma_one = pointwise(base).covariance(g)
        right = effective_covariance(g.frame, sigma_one, mpmath.mpf(1) / 2, WORKERS, mpmath.exp)
        flow = [float(x) for x in second_derivative(g.frame, g.jet.third, right) / 2]
        projector = g.frame.projector
        spread = np.array((projector * sigma_one * projector / WORKERS).tolist(), dtype=float)
    for one in (limit, Limit.load(tmp_path / "limit.json")):
        np.testing.assert_allclose(drift(one, g), flow, rtol=1e-12)
    compiled, place = compile_limit(limit), np.array([float(x) for x in g.point])
    np.testing.assert_allclose(compiled.drift(place), flow, rtol=1e-6)
    np.testing.assert_allclose(compiled.covariance(place), spread, atol=1e-8)
    with pytest.raises(NotCoveredError, match="at a step size take LocalSteps"):
        limit.at_step(HALF)
    found = extrapolated(problem, g, HALF)
    assert np.linalg.norm(found - flow) < 0.01 * np.linalg.norm(found)


def test_a_step_size_is_refused_in_codimension_one_too(tmp_path: Path) -> None:
    limit = derive_limit(replace(LABELS, optimizer=LocalRounds(HALF, 2)))
    limit.save(tmp_path / "limit.json")
    again = Limit.load(tmp_path / "limit.json")
    assert again == limit
    for one in (limit, again):
        with pytest.raises(NotCoveredError, match="at a step size take LocalSteps"):
            one.at_step(HALF)


def test_workers_alone_and_noise_that_moves_at_once() -> None:
    one = derive_limit(replace(LABELS, optimizer=LocalRounds(HALF, 1)))
    assert one.check(derive_limit(LABELS).drift)
    parameters = Problem(RING, RING + RING.diff(w1, 2) * e1**2, (w1, w2), e1)
    alone = derive_limit(parameters)
    shared = derive_limit(replace(parameters, optimizer=LocalRounds(HALF, WORKERS)))
    assert alone.outcome is Outcome.NON_DEGENERATE
    assert shared.check(alone.drift)


def test_refusals() -> None:
    with pytest.raises(ProblemError, match="T > 0"):
        LocalRounds(0, 2)
    with pytest.raises(ProblemError, match="positive integer"):
        LocalRounds(1, 0)
    with pytest.raises(NotCoveredError, match="at a step size"):
        rounds = replace(LABELS, optimizer=LocalRounds(HALF, 2))
        BuiltRule(rule_of(rounds), rounds.optimizer).assembly  # noqa: B018 (it is refused)
    time = sp.Symbol("T", positive=True)
    loss = (w1 - w2**2) ** 2 + (w3 - w1 * w2) ** 2
    noisy = loss + e1 * (w1 - w2**2)
    given = {"parameters": (time,), "optimizer": LocalRounds(time, 2)}
    with pytest.raises(NotCoveredError, match="bind it to a number"):
        derive_limit(Problem(loss, noisy, (w1, w2, w3), e1, **given))
