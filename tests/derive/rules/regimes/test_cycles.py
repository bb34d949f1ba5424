"""Optimizers that cycle across Γ: the derived flow against the recursion itself, in plain NumPy."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Gaussian,
    Minibatch,
    NotCoveredError,
    Outcome,
    ProblemError,
    alpha,
    derive_limit,
    sigma,
)
from derive import NoisyGradientDescent as Problem
from derive.analysis.agreement import pointwise
from derive.optimizers import NormalizedDescent, NormalizedSharpnessAware, RootDescent

w1, w2, w3, w4, w5, z1, z2 = sp.symbols("w1 w2 w3 w4 w5 z1 z2", real=True)
THIRD = sp.Rational(1, 3)
RESIDUALS = (
    w1**2 + w2**2 - 1 + w3 * w4 / 5,
    w3 - w1 * w4 / 2 - w2**2 / 3,
    w5 - w1 * w2 / 3,
)
WEIGHTS = (1 + w1 / 2, (1 + w4**2 / 4) / 2, THIRD)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
TOY = ((2 + w1) * w3**2 + (2 - w1 + w2**2) * w4**2, (w1, w2, w3, w4))
"""F₁w₃² + F₂w₄², whose Hessian on Γ = {w₃ = w₄ = 0} is diag(2F₁, 2F₂)."""

DISTANCE = 2e-4
"""σ, or α of the optimizers that have no σ: corrections are of its order."""

Vector = np.ndarray


def in_codimension(k: int) -> tuple[sp.Expr, tuple[sp.Symbol, ...]]:
    """A loss with a curved Γ, curvatures that change along it, and simple λ₁."""
    if k == 1:
        return RING, (w1, w2)
    weights = (w1, w2, w3, w4, w5)[: k + 2]
    return sum(c * r**2 for c, r in zip(WEIGHTS[:k], RESIDUALS, strict=False)) / 2, weights


def descent(loss: sp.Expr, weights: tuple[sp.Symbol, ...]) -> Callable[[Vector], Vector]:
    gradient = sp.lambdify([weights], [loss.diff(w) for w in weights], cse=True)
    return lambda w: np.array(gradient(w), dtype=float)


def measured(step: Callable[[Vector], Vector], start: Vector, count: int) -> Vector:
    """Displacement in `count` steps, an even number, after the fast phase."""
    place = start
    for _ in range(200):
        place = step(place)
    middle = (place + step(place)) / 2
    for _ in range(count):
        place = step(place)
    return (place + step(place)) / 2 - middle


@pytest.mark.parametrize("codimension", [1, 2, 3])
def test_sharpness_aware_at_a_step_that_is_not_small(codimension) -> None:
    """αλ₁ = 1.5, within 0.3 %, where the published law α → 0 is 93 % off."""
    loss, weights = in_codimension(codimension)
    limit = derive_limit(Problem(loss, loss, weights, (), optimizer=NormalizedSharpnessAware()))
    g = next(iter(limit.manifold.local()))
    start = np.array([float(x) for x in g.point])
    step = 1.5 / float(limit.cycles.leading(g)[0][0][-1])
    slope = descent(loss, weights)

    def sam(w: Vector) -> Vector:
        uphill = slope(w)
        return w - step * slope(w + DISTANCE * uphill / np.linalg.norm(uphill))

    kick = DISTANCE * step * np.linspace(0.5, 1, len(weights))
    found = measured(sam, start + kick, 200) / (200 * step * DISTANCE**2)

    def off(predicted: object) -> float:
        drift = np.array([float(x) for x in pointwise(predicted).drift(g)])
        # Along Γ alone: the mean over a cycle lies off Γ by a part of it.
        along = np.array([float(x) for x in g.tangential(list(map(mpmath.mpf, found)))])
        return float(np.linalg.norm(along - drift) / np.linalg.norm(along))

    assert off(limit.at_step(sp.Float(step, 17))) < 0.003
    assert off(limit) > 0.9


@pytest.mark.parametrize(
    ("optimizer", "coefficient"), [(NormalizedDescent(), 1 / 4), (RootDescent(), 1 / 8)]
)
def test_descent_with_the_step_for_small_scale(optimizer, coefficient) -> None:
    """−¼P∇log λ₁ and −⅛P∇λ₁, from the recursion, and as they are written out."""
    limit = derive_limit(Problem(RING, RING, (w1, w2), (), optimizer=optimizer))
    assert limit.time_scale == 1 / alpha**2
    slope = descent(RING, (w1, w2))
    loss = sp.lambdify([(w1, w2)], RING)

    def step(w: Vector) -> Vector:
        g = slope(w)
        size = np.linalg.norm(g) if coefficient == 1 / 4 else 2 * np.sqrt(loss(w))
        return w - DISTANCE * g / size

    found = measured(step, np.array([0.6, 0.8]) * 1.0003, 400) / (400 * DISTANCE**2)
    curvature = 2 * (2 + 0.6)  # λ₁ = ΔL on Γ; ∇λ₁ = (2, 0)
    along = np.array([0.8, -0.6])
    expected = -coefficient * 2 * 0.8 / (curvature if coefficient == 1 / 4 else 1) * along
    np.testing.assert_allclose(found @ along, expected @ along, rtol=0.003)
    drift = np.array([float(x) for x in limit.drift.subs({w1: 0.6, w2: 0.8})])
    np.testing.assert_allclose(drift, expected, rtol=1e-12)


def test_three_winners() -> None:
    """All samples in a batch lower F₁, one sample in a batch F₁ + F₂ (Wen, Ma, Li)."""
    loss, weights = TOY
    first, second = 2 + w1, 2 - w1 + w2**2
    near = (1, sp.Rational(1, 2), 0, 0)
    sam = NormalizedSharpnessAware()
    all_in = derive_limit(Problem(loss, loss, weights, (), optimizer=sam, near=near))
    assert all_in.outcome is Outcome.NON_DEGENERATE
    assert all_in.time_scale == 1 / (alpha * sigma**2)
    assert all_in.check([-1, 0, 0, 0])  # −½∇λ₁ = −∇F₁, where F₁ > F₂
    there = derive_limit(replace(all_in.problem, near=(-1, sp.Rational(1, 2), 0, 0)))
    assert there.check([1, -2 * w2, 0, 0])
    assert not there.check([-1, 0, 0, 0])
    samples = (2 * first * w3**2, 2 * second * w4**2)
    noisy = sum((1 + z) * e for z, e in zip((z1, z2), samples, strict=True)) / 2
    one = derive_limit(
        Problem(loss, noisy, weights, (z1, z2), Minibatch(2, 1), optimizer=sam, near=near)
    )
    assert sp.expand(one.regularizer.subs({w3: 0, w4: 0}) - (first + second)) == 0
    assert one.check([0, -2 * w2, 0, 0])
    assert not one.check([-1, 0, 0, 0])


def test_all_samples_in_a_batch_is_no_noise() -> None:
    residual = w1**2 + w2**2 - 1
    noisy = sum((1 + z) * c * residual**2 for z, c in ((z1, 1 + w1), (z2, 3))) / 8
    loss = noisy.subs({z1: 0, z2: 0})
    sam = NormalizedSharpnessAware()
    quiet = derive_limit(Problem(loss, loss, (w1, w2), (), optimizer=sam))
    full = derive_limit(Problem(loss, noisy, (w1, w2), (z1, z2), Minibatch(2, 2), optimizer=sam))
    assert full.check(quiet.drift)
    assert not full.check(2 * quiet.drift)


def test_constant_curvature_is_trivial() -> None:
    loss = (w1**2 + w2**2 - 1) ** 2
    limit = derive_limit(Problem(loss, loss, (w1, w2), (), optimizer=NormalizedDescent()))
    assert limit.outcome is Outcome.TRIVIAL
    assert limit.time_scale is None
    assert limit.drift == sp.zeros(2, 1)


def test_refusals() -> None:
    sam = NormalizedSharpnessAware()
    with pytest.raises(NotCoveredError, match="simple"):
        loss = (w3**2 + w4**2) * (2 + w1)
        derive_limit(Problem(loss, loss, (w1, w3, w4), (), optimizer=sam))
    with pytest.raises(NotCoveredError, match="derived without noise"):
        noisy = RING + z1 * w1
        derive_limit(Problem(RING, noisy, (w1, w2), (z1,), Gaussian(), optimizer=sam))
    limit = derive_limit(Problem(RING, RING, (w1, w2), (), optimizer=sam))
    with pytest.raises(NotCoveredError, match="attracts below 2"):
        limit.at_step(1)
    with pytest.raises(ProblemError, match="positive step size"):
        limit.at_step(-1)
    with pytest.raises(NotCoveredError, match="no Σ"):
        _ = limit.moments
    unscaled = derive_limit(Problem(RING, RING, (w1, w2), (), optimizer=RootDescent()))
    with pytest.raises(NotCoveredError, match="itself the small scale"):
        unscaled.at_step(sp.Rational(1, 10))


def several(batches: Minibatch, losses: list[sp.Expr], weights: tuple[sp.Symbol, ...]) -> Problem:
    zs = sp.symbols(f"z1:{len(losses) + 1}", real=True)
    noisy = sum((1 + z) * e for z, e in zip(zs, losses, strict=True)) / len(losses)
    sam = NormalizedSharpnessAware()
    near = (sp.Rational(1, 2), 0, 0) if len(weights) == 3 else None
    loss = sum(losses) / len(losses)
    return Problem(loss, noisy, weights, zs, batches, optimizer=sam, near=near)


def test_gradients_that_turn_at_random() -> None:
    """Batches of several samples, or of one whose Hessian has rank two: as α → 0 too."""
    curved = [r**2 for r in RESIDUALS]
    uneven = [(2 + w1) * w3**2 + w4**2, w3**2 + (2 - w1) * w4**2]
    for problem in (
        several(Minibatch(3, 2), curved, (w1, w2, w3, w4, w5)),
        several(Minibatch(3, 3, replacement=True), curved, (w1, w2, w3, w4, w5)),
        several(Minibatch(2, 1), uneven, (w1, w3, w4)),
    ):
        limit = derive_limit(problem)
        assert limit.is_simulated
        assert limit.time_scale == 1 / (alpha * sigma**2)
        assert limit.regularizer is None
        assert limit.drift is None
        assert "by simulation" in str(limit)
        assert "one stationary law" in str(limit.explain())
        with pytest.raises(NotCoveredError, match="turn at random"):
            pointwise(limit).drift(next(iter(limit.manifold.local())))
    alone = derive_limit(several(Minibatch(3, 1), curved, (w1, w2, w3, w4, w5)))
    assert not alone.is_simulated
    assert alone.at_step().is_simulated
    flat = [w3**2 * sp.exp(w3), w4**2, (w3 + w4) ** 2]
    straight = derive_limit(several(Minibatch(3, 2), flat, (w1, w3, w4)))
    assert straight.outcome is Outcome.TRIVIAL


def test_a_crossing_is_told() -> None:
    """How near λ₂ comes to λ₁ = 2F₁ on Γ, where it was looked at."""
    loss, weights = TOY
    near = (1, sp.Rational(1, 2), 0, 0)
    limit = derive_limit(
        Problem(loss, loss, weights, (), optimizer=NormalizedSharpnessAware(), near=near)
    )
    (told,) = (h for h in limit.explain().hypotheses if "λ₂" in h.claim and "way" in h.claim)
    points = [g.point for g in itertools.islice(limit.manifold.local(), 3)]
    both = sp.lambdify([weights], [2 + w1, 2 - w1 + w2**2])
    pairs = [sorted(map(float, both(p))) for p in points]
    smallest = min((b - a) / b for a, b in pairs)
    assert f"{smallest:.3g} or more at 3 points" in told.support


def test_a_limit_says_what_it_is() -> None:
    problem = Problem(RING, RING, (w1, w2), (), optimizer=NormalizedSharpnessAware())
    limit = derive_limit(problem)
    assert "−P∇Reg" in str(limit)
    assert "2-cycle" in str(limit.explain())
    assert "± αλ₁σ/(2 − αλ₁) v₁" in str(limit)
    assert "lambda" in limit.latex()
    assert (
        sp.simplify(limit.at_step().regularizer_on_manifold - (2 + w1) / (1 - alpha * (2 + w1)))
        == 0
    )
