"""Fluctuations across Γ against the Stein equation of the linearised recursion, solved apart."""

from itertools import islice

import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    Limit,
    NoisyGradientDescent,
    NotCoveredError,
    alpha,
    derive_limit,
    sigma,
)
from derive.optimizers import HeavyBall
from derive.rule_limit import RuleLimit
from derive.symbols import GENERIC
from tests.truth.catalogue import CATALOGUE
from tests.truth.fields import derived

w1, w2, eta, xi = sp.symbols("w1 w2 eta xi", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
LINEAR = NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta)
CUBIC = next(e.problem for e in CATALOGUE if e.name == "additive noise on a twisted cubic")
TILTED = next(
    e.problem
    for e in CATALOGUE
    if e.name == "gradient noise that depends on the weights, on a twisted cubic"
)
MODELS = {"ring": LINEAR, "cubic": CUBIC, "tilted cubic": TILTED}
STEP = sp.Rational(1, 10)


def numbers(matrix) -> np.ndarray:
    return np.array(matrix.tolist(), float)


def evaluated(problem: NoisyGradientDescent, matrix: sp.Matrix, point) -> np.ndarray:
    return numbers(sp.Matrix(matrix).subs(dict(zip(problem.weights, point, strict=True))).evalf())


def brute(limit: Limit, point, step: float, momentum: float) -> np.ndarray:
    """Covariance of Q w_k in w_{k+1} = w_k + v_{k+1}, v_{k+1} = βv_k − α(H w_k + S ξ), per σ²."""
    problem, n = limit.problem, limit.problem.dimension
    h = evaluated(problem, sp.hessian(problem.loss, problem.weights), point)
    noise = evaluated(problem, limit.moments.covariance, point)
    values, vectors = np.linalg.eigh(h)
    normal = vectors[:, values > 1e-6 * values.max()]
    q = normal @ normal.T
    turn = np.block(
        [[np.eye(n) - step * h, momentum * np.eye(n)], [-step * h, momentum * np.eye(n)]]
    )
    kick = np.kron(np.ones((2, 2)), step**2 * q @ noise @ q)
    across = np.kron(np.eye(2), q)
    turn = across @ turn  # what happens across Γ
    size = 2 * n
    stein = np.eye(size**2) - np.kron(turn, turn)
    return np.linalg.solve(stein, kick.ravel()).reshape(size, size)[:n, :n]


@pytest.mark.parametrize("momentum", [0, sp.Rational(1, 2)])
@pytest.mark.parametrize("name", MODELS)
def test_the_exact_covariance_at_a_step(name: str, momentum) -> None:
    problem = MODELS[name]
    limit = derived(problem).at_step(STEP, momentum)
    fluctuations = limit.fluctuations()
    unit = float(fluctuations.unit / sigma**2)
    for place in islice(limit.manifold.local(), 2):
        expected = brute(limit, place.point, float(STEP), float(momentum))
        found = unit * numbers(fluctuations.at(place))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_ornstein_uhlenbeck_process_as_the_step_vanishes() -> None:
    limit = derived(CUBIC)
    small = 1e-7
    for place in islice(limit.manifold.local(), 2):
        expected = brute(limit, place.point, small, 0.0) / small
        found = numbers(limit.fluctuations().at(place))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("step", [0, STEP, alpha])
def test_closed_form(step) -> None:
    limit = derived(LINEAR).at_step(step)
    fluctuations = limit.fluctuations()
    place = next(limit.manifold.local())
    closed = evaluated(LINEAR, fluctuations.covariance.subs(GENERIC), place.point)
    np.testing.assert_allclose(closed, numbers(fluctuations.at(place)), rtol=1e-12, atol=1e-14)


def test_at_half_the_stiffness_a_third_is_missing() -> None:
    """1/(2λ − αλ²) is 4/3 of 1/(2λ) at αλ = ½."""
    limit = derived(LINEAR)
    place = next(limit.manifold.local())
    slope = limit.fluctuations().curvatures[0].subs(limit.manifold.named(place.point))
    exact = numbers(limit.at_step(1 / (2 * slope)).fluctuations().at(place))
    np.testing.assert_allclose(exact, 4 / 3 * numbers(limit.fluctuations().at(place)), rtol=1e-9)


def test_curvatures_and_rates() -> None:
    limit = derived(CUBIC)
    for place in islice(limit.manifold.local(), 2):
        at = limit.manifold.named(place.point)
        found = [float(x.subs(at)) for x in limit.fluctuations().curvatures]
        np.testing.assert_allclose(found, [float(x) for x in place.curvatures], rtol=1e-12)
    place = next(limit.manifold.local())
    at = limit.manifold.named(place.point)
    for momentum in (0, sp.Rational(1, 10), sp.Rational(9, 10)):
        fluctuations = limit.at_step(STEP, momentum).fluctuations()
        for rate, curvature in zip(fluctuations.rates, place.curvatures, strict=True):
            roots = np.roots([1, float(STEP * curvature) - 1 - float(momentum), float(momentum)])
            assert float(rate.subs(at)) == pytest.approx(-np.log(np.abs(roots).max()))
    assert limit.fluctuations().rates == tuple(alpha * x for x in limit.fluctuations().curvatures)


def test_heavy_ball_as_a_rule_agrees_across() -> None:
    beta = sp.Rational(1, 2)
    ball = NoisyGradientDescent(RING, LINEAR.noisy_loss, (w1, w2), eta, optimizer=HeavyBall(beta))
    rule = derive_limit(ball)
    assert isinstance(rule, RuleLimit)
    descent = derived(LINEAR).at_step(STEP, beta)
    for place in islice(descent.manifold.local(), 2):
        turned = numbers(rule.at_step(STEP).fluctuations().at(place))
        q = np.eye(2) - numbers(place.frame.projector)
        found = float(STEP / (1 - beta)) * numbers(descent.fluctuations().at(place))
        np.testing.assert_allclose(q @ turned @ q, found, rtol=1e-9, atol=1e-12)


def test_heavy_ball_lags_along_the_manifold() -> None:
    """The end of descent is β/(1 − β) velocities ahead, of variance α²/(1 − β²) along Γ."""
    beta, step = 0.5, float(STEP)
    noisy = RING + eta * w1 + xi * w2
    ball = NoisyGradientDescent(RING, noisy, (w1, w2), (eta, xi), optimizer=HeavyBall(0.5))
    rule = derive_limit(ball).at_step(STEP)
    place = next(rule.manifold.local())
    p = numbers(place.frame.projector)
    expected = (beta / (1 - beta)) ** 2 * step**2 / (1 - beta**2) * p
    found = numbers(rule.fluctuations().at(place))
    np.testing.assert_allclose(p @ found @ p, expected, rtol=1e-9, atol=1e-12)


def test_text_and_latex() -> None:
    text = str(derived(LINEAR).fluctuations())
    assert "stationary covariance alpha*sigma**2·X as α, σ → 0" in text
    assert "ℒ(X) = HX + XH" in text
    assert "alpha*(2*w1 + 4) per iteration" in text
    at_step = derived(LINEAR).at_step(STEP, sp.Rational(1, 2)).fluctuations()
    assert "− τ HXH + γ[H, [H, X]], τ = 1/15, γ = 2/15" in str(at_step)
    assert r"\tau HXH + \gamma [H, [H, X]]" in at_step.latex()
    assert "pointwise" in str(derived(TILTED).fluctuations())


def test_refusals() -> None:
    rare = NoisyGradientDescent(RING, RING.subs(w1, w1 * (1 + eta)), (w1, w2), eta, Bernoulli())
    limit = derive_limit(rare)
    assert limit.fluctuations().covariance is not None
    with pytest.raises(NotCoveredError, match="rare jumps"):
        limit.at_step(STEP).fluctuations()
    with pytest.raises(NotCoveredError, match="next order"):
        derived(LINEAR).effective().fluctuations()
    rule = derive_limit(
        NoisyGradientDescent(RING, LINEAR.noisy_loss, (w1, w2), eta, optimizer=HeavyBall(0.5))
    )
    with pytest.raises(NotCoveredError, match="at a fixed step"):
        rule.fluctuations()
