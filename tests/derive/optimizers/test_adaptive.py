"""Adaptive optimizers: each window's limit against the iterated recursion, and in the others."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    NoisyGradientDescent,
    NotCoveredError,
    Outcome,
    ProblemError,
    TwoPoint,
    alpha,
    derive_limit,
    load_model,
    plan_window,
    sigma,
)
from derive.adaptive_limit import AdaptiveLimit
from derive.optimizers import (
    Adam,
    AdamW,
    Adaptive,
    LookAhead,
    Preconditioned,
    RMSProp,
    SecondMoments,
    Window,
)
from derive.rules.regimes.second_moments import SecondMomentRules
from derive.symbolic.zero_tests import Basis
from tests.truth.adaptive import drift_of_rmsprop

W = w1, w2 = sp.symbols("w1 w2", real=True)
(e1,) = E = sp.symbols("eta1:2", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
POINT = np.array([0.6, 0.8])
TENTH, SMALL = sp.Rational(1, 10), sp.Rational(1, 500)
FIVE, CONSTANT = RMSProp(5 * alpha), RMSProp(SMALL, "constant")
ADAM = Adam(SMALL, "constant", beta=sp.Rational(4, 5))


def ring(optimizer: Adaptive, **options: object) -> NoisyGradientDescent:
    """Noise n on the unit circle with the second moments (w1², w2²) and μ = (|w1| + |w2|)ΔL."""
    near = (sp.Rational(3, 5), sp.Rational(4, 5))
    noisy = RING + (w1**2 + w2**2) * e1 / 2
    return NoisyGradientDescent(RING, noisy, W, E, near=near, optimizer=optimizer, **options)


def slope_of_ring(w: np.ndarray, e: np.ndarray) -> np.ndarray:
    x, y = w[:, :1], w[:, 1:]
    r = x**2 + y**2 - 1
    both = r * (2 + x) + e
    return np.hstack([x * both + r**2 / 4, y * both])


def residual(optimizer: Adaptive | None = None) -> NoisyGradientDescent:
    """Label noise on one residual."""
    r = w1 * w2 * (1 + w1) - 1
    near = (1, sp.Rational(1, 2))
    return NoisyGradientDescent(r**2 / 2, (r - e1) ** 2 / 2, W, E, near=near, optimizer=optimizer)


def along_ring(drift: np.ndarray) -> float:
    return float(drift @ [-POINT[1], POINT[0]])


def speed(limit: AdaptiveLimit) -> float:
    """Along the ring at `POINT`, its base point."""
    with mpmath.workdps(30):
        found = limit.at_points.drift(next(limit.manifold.local()))
    return along_ring(np.array([float(found[0]), float(found[1])]))


@functools.cache
def limit_on_ring(optimizer: Adaptive) -> AdaptiveLimit:
    return derive_limit(ring(optimizer))


@functools.cache
def limit_on_residual(optimizer: Adaptive) -> AdaptiveLimit:
    return derive_limit(residual(optimizer))


@pytest.fixture(scope="module")
def speeds() -> dict[Window, float]:
    """Of each window as α → 0, with δ = 5α where that matters."""
    limits = map(limit_on_ring, (CONSTANT, FIVE, RMSProp(sp.sqrt(alpha))))
    return {limit.window: speed(limit) for limit in limits}


def settled(limit: AdaptiveLimit, step: sp.Expr) -> np.ndarray:
    with mpmath.workdps(30):
        moments = limit.at_step(step).second_moments(next(limit.manifold.local()))
    return np.array(moments, dtype=float)


def measured(
    step: float, delta: float, *, moments: np.ndarray = POINT**2, beta: float = 0.0, **run: int
) -> tuple[float, float]:
    """Speed along the ring, and its standard error."""
    drift, error = drift_of_rmsprop(
        slope_of_ring,
        POINT,
        moments,
        beta=beta,
        alpha=step,
        delta=delta,
        **run,
    )
    return along_ring(drift), float(np.linalg.norm(error))


# Windows -----------------------------------------------------------------------------------------


def test_constant_window_is_the_recursion_at_a_step(speeds):
    """α = 0.2, αμ = 1.5, δ = 0.002: within 1 %; the others are off by tens of percent."""
    limit = limit_on_ring(CONSTANT)
    expected = speed(limit.at_step(sp.Rational(1, 5)))
    moments = settled(limit, sp.Rational(1, 5))
    found, error = measured(0.2, 0.002, moments=moments, settle=1000, steps=1000, paths=1200)
    assert abs(found / expected - 1) < 0.01
    assert error / expected < 0.002
    for other in (Window.COMPARABLE, Window.FAST):
        assert abs(found / speeds[other] - 1) > 0.2


@pytest.mark.slow
def test_comparable_window_is_the_recursion_as_both_vanish(speeds):
    """δ = 5α, at two values of α, extrapolated: within 1 %."""
    coarse, fine = (
        measured(step, 5 * step, settle=round(4 / step), steps=round(60 / step), paths=3000)
        for step in (0.01, 0.005)
    )
    found, error = 2 * fine[0] - coarse[0], float(np.hypot(2 * fine[1], coarse[1]))
    expected = speeds[Window.COMPARABLE]
    assert abs(found / expected - 1) < 0.01
    assert error / expected < 0.003
    for other in (Window.CONSTANT, Window.FAST):
        assert abs(found / speeds[other] - 1) > 0.15


@pytest.mark.slow
def test_fast_window_is_the_recursion(speeds):
    """αμ = 0.0037, δ = 0.06: errors of αμ/δ and δ of opposite sign."""
    found, error = measured(5e-4, 0.06, settle=1500, steps=20_000, paths=2500)
    expected = speeds[Window.FAST]
    assert abs(found / expected - 1) < 0.01 + 3 * error / expected
    for other in (Window.CONSTANT, Window.COMPARABLE):
        assert abs(found / speeds[other] - 1) > 0.3


def test_comparable_weighs_the_derivatives(speeds):
    """δ/(δ + αμ) of what the derivatives of Ω take away, at δ = cα with any c."""
    mu = 1.4 * 2 * 2.6  # (|w1| + |w2|) ΔL
    for c in (1, 5):
        found = speed(limit_on_ring(RMSProp(c * alpha)))
        share = c / (c + mu)
        expected = (1 - share) * speeds[Window.CONSTANT] + share * speeds[Window.FAST]
        assert found == pytest.approx(expected, rel=1e-9)


def test_fast_window_is_the_preconditioned_rule(speeds):
    limit = derive_limit(ring(Preconditioned(sp.diag(1 / sp.Abs(w1), 1 / sp.Abs(w2)))))
    with mpmath.workdps(30):
        found = limit.at_points.drift(next(limit.manifold.local()))
    assert along_ring(np.array(found, dtype=float).ravel()) == pytest.approx(speeds[Window.FAST])


def test_drifting_window_has_the_constant_one_where_the_moments_rest():
    """The pair (W, v): the same drift at v = S, and dv = c(S − v) with v elsewhere."""
    limit = derive_limit(ring(RMSProp(3 * alpha**2 * sigma**2)))
    still = limit_on_ring(CONSTANT)
    assert limit.manifold.dimension == 3
    for g in itertools.islice(limit.manifold.local(), 4):
        w, v = np.array(g.point[:2], dtype=float), np.array(g.point[2:], dtype=float)
        with mpmath.workdps(30):
            found = np.array(limit.at_points.drift(g), dtype=float).ravel()
        np.testing.assert_allclose(found[2:], 3 * (w**2 - v), atol=1e-10)
    with mpmath.workdps(30):
        g = next(limit.manifold.local())
        both = limit.at_points.drift(g)[:2]
        alone = still.at_points.drift(next(still.manifold.local()))
        assert mpmath.norm(mpmath.matrix(both) - alone) < 1e-15


def test_settled_moments_solve_their_equation():
    """v = diag(Σ + HXH), X of the linear recursion with v frozen, by brute force."""
    step = sp.Rational(1, 5)
    limit = limit_on_ring(CONSTANT).at_step(step)
    v = settled(limit, step)
    hessian = 2 * 2.6 * np.outer(POINT, POINT)
    omega, x = np.diag(1 / np.sqrt(v)), np.zeros((2, 2))
    a = np.eye(2) - 0.2 * omega @ hessian
    kick = 0.2 * omega @ POINT
    across = np.eye(2) - omega @ np.outer(POINT, POINT) / (POINT @ omega @ POINT)
    for _ in range(400):
        x = a @ x @ a.T + np.outer(kick, kick)
        x -= across @ x @ across.T  # what has moved along Γ is no fluctuation
    expected = np.diag(np.outer(POINT, POINT) + hessian @ x @ hessian)
    np.testing.assert_allclose(v, expected, rtol=1e-10)
    assert (v > 1.5 * POINT**2).all()


def test_momentum_does_not_change_the_speed_as_the_step_vanishes(speeds):
    limit = limit_on_ring(ADAM)
    assert speed(limit) == pytest.approx(speeds[Window.CONSTANT], rel=1e-12)
    at_step = limit.at_step(sp.Rational(1, 20))
    assert speed(at_step) != pytest.approx(speeds[Window.CONSTANT], rel=1e-3)


def test_adam_at_a_step_is_the_recursion():
    limit = limit_on_ring(ADAM)
    expected = speed(limit.at_step(sp.Rational(1, 5)))
    moments = settled(limit, sp.Rational(1, 5))
    found, error = measured(
        0.2, 0.001, moments=moments, beta=0.8, settle=1500, steps=1000, paths=1200
    )
    assert abs(found / expected - 1) < 0.01
    assert error < 0.003 * expected


def test_decoupled_decay_adds_its_drift(speeds):
    """AdamW: −c P_Ω w beside Adam's drift."""
    c = sp.Rational(1, 3)
    decayed = AdamW(SMALL, "constant", decay=c * alpha * sigma**2, beta=0)
    with mpmath.workdps(30):
        with_decay, without = (
            limit.at_points.drift(next(limit.manifold.local()))
            for limit in map(limit_on_residual, (decayed, CONSTANT))
        )
        point, n = np.array([1.0, 0.5]), np.array([1.5, 2.0])
        scaled = n / np.abs(n)
        oblique = np.eye(2) - np.outer(scaled, n) / (scaled @ n)
        found = np.array(with_decay - without, dtype=float).ravel()
    np.testing.assert_allclose(found, -oblique @ point / 3, rtol=1e-12)


# Of what it is the gradient ----------------------------------------------------------------------


def test_label_noise_descends_the_trace_of_the_root():
    """½ Σ √Σ_ii under Adam; the drift by hand, and wrong potentials rejected."""
    limit = limit_on_residual(CONSTANT)
    found = limit.potential
    assert found.verdict.basis is Basis.PROOF
    g1, g2 = w2 * (1 + 2 * w1), w1 * (1 + w1)
    assert sp.simplify(found.value - (sp.Abs(g1) + sp.Abs(g2)) / 2).subs({w1: 2, w2: 3}) == 0
    with mpmath.workdps(30):
        drift = np.array(limit.at_points.drift(next(limit.manifold.local())), dtype=float).ravel()
    n, omega = np.array([1.5, 2.0]), np.diag([1 / 1.5, 1 / 2.0])
    inverse = omega - omega @ np.outer(n, n) @ omega / (n @ omega @ n)
    slope = np.array([1.0 + 3.0, 3.0])  # of |g1| + |g2|
    np.testing.assert_allclose(drift, -inverse @ slope / 2, rtol=1e-12)
    trace = np.array([2 * 1.5 * 1 + 2 * 2 * 3, 2 * 1.5 * 3.0])  # of g1² + g2²
    assert np.abs(-inverse @ trace / 4 - drift).max() > 0.1 * np.abs(drift).max()


U = u1, u2, u3, u4 = sp.symbols("u1:5", real=True)
D = d1, d2 = sp.symbols("d1 d2", real=True)


def one_residual(optimizer: Adaptive) -> NoisyGradientDescent:
    """Label noise whose Γ is a surface in three weights."""
    r = u1 * u2 + u3**2 - 2
    noisy = (r - d1) ** 2 / 2
    return NoisyGradientDescent(r**2 / 2, noisy, U[:3], D[:1], near=(1, 1, 1), optimizer=optimizer)


def two_residuals(optimizer: Adaptive) -> NoisyGradientDescent:
    """The same in four."""
    r = (u1 * u2 + u3**2 - 2, u2 * u3 + u4 * u1 - 2)
    loss = sum(x**2 for x in r) / 2
    noisy = sum((x - e) ** 2 for x, e in zip(r, D, strict=True)) / 2
    return NoisyGradientDescent(loss, noisy, U, D, near=(1, 1, 1, 1), optimizer=optimizer)


def blockwise(first: sp.Symbol, last: sp.Symbol) -> SecondMoments:
    """A second moment a of two weights, b of the third, and roots of the ones that are named."""
    g = sp.symbols("g1:4", real=True)
    return SecondMoments(
        SMALL,
        "constant",
        gradient=g,
        of=[(g[0] ** 2 + g[1] ** 2) / 2, g[2] ** 2],
        averages=(A, B),
        matrix=sp.diag(1 / sp.sqrt(first), 1 / sp.sqrt(first), 1 / sp.sqrt(last)),
    )


A, B = sp.symbols("a b", positive=True)


@pytest.mark.parametrize(
    "model", [one_residual, pytest.param(two_residuals, marks=pytest.mark.slow)]
)
def test_adam_on_a_surface_has_its_potential(model):
    limit = derive_limit(model(RMSProp(SMALL, "constant", epsilon=TENTH)))
    found = limit.potential
    assert found.verdict.basis is Basis.PROOF
    assert found.value.has(sp.log)


def test_some_preconditioners_have_none():
    """Each weight scaled by the moment of another: no potential, with a witness."""
    limit = derive_limit(one_residual(blockwise(B, A)))
    assert limit.potential.value is None
    assert limit.potential.verdict.value is False
    assert limit.potential.verdict.witness
    assert "no potential" in str(limit)


def test_curl_is_zero_where_there_is_a_potential():
    """One second moment for several weights; the curl without the potential, and a wrong one."""
    limit = derive_limit(one_residual(blockwise(A, B)))
    slopes = [(u1 * u2 + u3**2).diff(u) for u in U[:3]]
    alone = (slopes[0] ** 2 + slopes[1] ** 2) / 2, slopes[2] ** 2
    expected = sp.sqrt(alone[0]) + sp.sqrt(alone[1]) / 2
    assert sp.simplify(limit.potential.value - expected) == 0
    unnamed = replace(limit)
    vars(unnamed)["_candidate"] = (None, None)
    assert unnamed.potential.value is None
    assert unnamed.potential.verdict.value is True
    wrong = replace(limit)
    vars(wrong)["_candidate"] = (limit.manifold.laplacian / 4, None)
    assert wrong.potential.value is None


def test_flow_of_the_mean_step_descends_the_regularizer():
    noisy = RING.subs({w1: w1 + e1}, simultaneous=True)
    near = (sp.Rational(3, 5), sp.Rational(4, 5))
    problem = NoisyGradientDescent(
        RING, noisy, W, E, near=near, optimizer=RMSProp(SMALL, "fast", epsilon=TENTH)
    )
    limit = derive_limit(problem)
    assert limit.outcome is Outcome.NON_DEGENERATE
    gap = limit.potential.value - RING.diff(w1, 2) / 2
    assert gap.subs({w1: TENTH, w2: sp.sqrt(99) / 10}) == 0


# Statement ---------------------------------------------------------------------------------------


def test_a_form_of_the_users_own_is_rmsprop():
    g1, g2 = g = sp.symbols("g1 g2", real=True)
    v = sp.symbols("a b", positive=True)
    own = SecondMoments(
        5 * alpha,
        gradient=g,
        of=[g1**2, g2**2],
        averages=v,
        matrix=sp.diag(*(1 / sp.sqrt(x) for x in v)),
    )
    assert speed(limit_on_ring(own)) == pytest.approx(speed(limit_on_ring(FIVE)))


WINDOWS = {
    5 * alpha: Window.COMPARABLE,
    sp.sqrt(alpha): Window.FAST,
    alpha**2: Window.CONSTANT,
    sigma / 9: Window.CONSTANT,
    2 * alpha**2 * sigma**2: Window.DRIFTING,
}


@pytest.mark.parametrize(("delta", "window"), WINDOWS.items(), ids=str)
def test_delta_says_the_window(delta, window):
    assert RMSProp(delta).window is window


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "delta above one": (lambda: RMSProp(2), r"delta: expected δ = 1 − β₂ in \(0, 1\]"),
    "no power": (lambda: RMSProp(alpha + alpha**2), "delta: expected a number, or c times powers"),
    "another window": (lambda: RMSProp(alpha, "fast"), "window: δ = alpha is in the window"),
    "no window": (lambda: RMSProp(SMALL, "slow"), "window: expected one of"),
    "negative epsilon": (lambda: RMSProp(alpha, epsilon=-1), "epsilon: expected ε ≥ 0"),
    "beta of one": (lambda: Adam(alpha, beta=1), r"beta: expected a number in \[0, 1\)"),
    "decay that stays": (lambda: AdamW(alpha, decay=TENTH), "decay: expected λ = cα"),
    "a number alone": (lambda: derive_limit(ring(RMSProp(SMALL))), "delta: 1/500 alone does not"),
    "drift of another order": (
        lambda: derive_limit(ring(RMSProp(alpha * sigma**2))),
        r"delta: in the drifting window .* it is α\^2σ²",
    ),
    "skewed noise": (
        lambda: derive_limit(ring(FIVE, law=TwoPoint(sp.Rational(1, 4)))),
        "law: noise with a third moment",
    ),
    "rare jumps": (lambda: derive_limit(ring(FIVE, law=Bernoulli())), "jumps rarely"),
    "built of others": (
        lambda: derive_limit(ring(LookAhead(2, TENTH, FIVE))),
        "LookAhead of an adaptive optimizer",
    ),
    "cubic": (
        lambda: SecondMoments(alpha, gradient=(w1,), of=[w1**3], averages=(w2,), matrix=[[1]]),
        "of: expected quadratic forms",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(make, message):
    with pytest.raises((ProblemError, NotCoveredError), match=message):
        make()


def test_a_vanishing_second_moment_needs_epsilon():
    noisy = w2**2 / 2 + e1 * w2
    given = {"loss": w2**2 / 2, "noisy_loss": noisy, "weights": W, "noise": E}
    with pytest.raises(NotCoveredError, match=r"second moment v_w1 vanishes on Γ.*give epsilon"):
        derive_limit(NoisyGradientDescent(**given, optimizer=RMSProp(SMALL, "constant")))
    limit = derive_limit(
        NoisyGradientDescent(**given, optimizer=RMSProp(SMALL, "constant", epsilon=TENTH))
    )
    assert limit.time_scale is None


def test_planner_finds_the_window():
    limit = limit_on_ring(CONSTANT)

    def window(step: float, scale: float, delta: float) -> Window:
        return limit.run(step, scale, delta).window

    plan = plan_window(ring(RMSProp(TENTH / 100)), alpha=0.05, sigma=0.01)
    assert plan == limit.run(0.05, 0.01, 0.001)
    assert window(0.05, 0.01, 1e-3) is Window.CONSTANT
    assert window(1e-3, 0.01, 5e-3) is Window.COMPARABLE
    assert window(1e-5, 0.01, 0.02) is Window.FAST
    assert window(0.05, 0.03, 1e-5) is Window.DRIFTING


def test_expected_errors_are_those_of_the_recursion(speeds):
    """δ = 5α at α = 0.02: the constant window's error is of the size that is foreseen."""
    plan = limit_on_ring(CONSTANT).run(0.02, 1e-3, 0.1)
    found, _ = measured(0.02, 0.1, settle=200, steps=3000, paths=1000)
    seen = abs(speeds[Window.CONSTANT] / found - 1)
    assert seen / 2 < plan.errors[Window.CONSTANT] < 2 * seen


def test_skewed_noise_is_told_of_in_the_constant_window():
    law = TwoPoint(sp.Rational(1, 4))
    limit = derive_limit(ring(RMSProp(SMALL, "constant"), law=law))
    plan = limit.run(0.05, 0.01)
    delta, relaxation = 0.002, 0.05 * 1.4 * 2 * 2.6
    drift = abs(limit.skewness) * 0.05 * 0.01 * delta**2 / (delta + relaxation) / 2
    size = 0.05**2 * 0.01**2 * abs(speed(limit))
    assert plan.skewness == pytest.approx(drift / size, rel=0.01)
    assert "third moment" in str(limit.explain())


def test_printed_result_names_window_units_and_moments():
    c = sp.Rational(1, 3)
    decayed = AdamW(SMALL, "constant", decay=c * alpha * sigma**2, beta=0)
    text = str(limit_on_residual(decayed))
    for words in ("v is constant while the weights relax", "α_Adam = ασ", "λ_AdamW = λ/σ", "S = "):
        assert words in text


def test_parameters_are_bound():
    c = sp.Symbol("c", positive=True)
    limit = derive_limit(ring(RMSProp(c * alpha), parameters=(c,)))
    assert speed(limit.subs({c: 5})) == pytest.approx(speed(limit_on_ring(FIVE)))


def test_recursion_is_the_one_that_is_stated():
    """Its second moments start at S."""
    rules = SecondMomentRules(ring(FIVE))
    assert rules.recursion.rest == rules.noise_alone == (w1**2, w2**2)
    v1 = rules.moments[0]
    slope = ring(FIVE).stochastic_gradient[0]
    expected = v1 + 5 * alpha * (slope**2 / sigma**2 - v1)
    assert sp.simplify(rules.recursion.update[2] - expected) == 0


def test_model_files_state_the_optimizer(tmp_path):
    file = tmp_path / "ring.toml"
    file.write_text(
        """
        weights = ["w1", "w2"]
        noise = ["eta1"]
        loss = "(w1**2 + w2**2 - 1)**2*(2 + w1)/4"
        noisy_loss = "(w1**2 + w2**2 - 1)**2*(2 + w1)/4 + (w1**2 + w2**2)*eta1/2"
        optimizer = {name = "Adam", delta = "1/500", window = "constant", beta = "4/5"}
        """
    )
    assert load_model(file).problem.optimizer == ADAM
