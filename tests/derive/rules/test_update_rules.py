"""Limits of update rules stated by the user, against the iterated recursion; and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Choice,
    Gaussian,
    Independent,
    Limit,
    NoisyGradientDescent,
    NotCoveredError,
    Outcome,
    ProblemError,
    UpdateRule,
    alpha,
    derive_limit,
    sigma,
)
from derive.analysis.agreement import pointwise
from derive.symbolic.numbers.roots import WORKING_DIGITS
from tests.truth.oracles import Array
from tests.truth.rules import one_step

W = w1, w2 = sp.symbols("w1 w2", real=True)
M = m1, m2 = sp.symbols("m1 m2", real=True)
E = e1, e2 = sp.symbols("eta1 eta2", real=True)
q = sp.Symbol("q", real=True)
HALF, BETA = sp.Rational(1, 2), sp.Rational(3, 5)

UNEVEN = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
RADIAL = UNEVEN + (w1**2 + w2**2) * e1 / 2
"""Degenerate, deterministic under descent."""
MOVED = UNEVEN.subs({w1: w1 + e1, w2: w2 + e2}, simultaneous=True)
ADDITIVE = UNEVEN + e1 * w1 + e2 * w2
LABELS = (w1 * w2 - 1 - e1) ** 2 / 2
NET = (w1 * w2 - 1) ** 2 / 2


def gradient(loss: sp.Expr, at: Sequence[sp.Expr] = W) -> list[sp.Expr]:
    place = dict(zip(W, at, strict=True))
    return [loss.diff(w).xreplace(place) for w in W]


def pairs(loss: sp.Expr) -> list[tuple[sp.Symbol, sp.Expr]]:
    return list(zip(W, gradient(loss), strict=True))


def descent(noisy: sp.Expr, loss: sp.Expr = UNEVEN, **options: object) -> UpdateRule:
    noise = tuple(e for e in E if noisy.has(e))
    update = [w - alpha * g for w, g in zip(W, gradient(noisy), strict=True)]
    return UpdateRule(update, W, noise, loss=loss, near=(0.6, 0.8), **options)


def heavy_ball(noisy: sp.Expr, loss: sp.Expr = UNEVEN, beta: sp.Expr = BETA) -> UpdateRule:
    noise = tuple(e for e in E if noisy.has(e))
    m = [beta * m + g for m, g in zip(M, gradient(noisy), strict=True)]
    update = [w - alpha * x for w, x in zip(W, m, strict=True)]
    return UpdateRule((*update, *m), W, noise, M, loss=loss, near=(0.6, 0.8))


def nesterov(noisy: sp.Expr) -> UpdateRule:
    noise = tuple(e for e in E if noisy.has(e))
    ahead = [w - alpha * BETA * m for w, m in zip(W, M, strict=True)]
    m = [BETA * m + g for m, g in zip(M, gradient(noisy, ahead), strict=True)]
    update = [w - alpha * x for w, x in zip(W, m, strict=True)]
    return UpdateRule((*update, *m), W, noise, M, loss=UNEVEN, near=(0.6, 0.8))


def shifted_memory(noisy: sp.Expr) -> UpdateRule:
    """Heavy ball in terms of the last two points: the memory rests at the weights."""
    noise = tuple(e for e in E if noisy.has(e))
    g = gradient(noisy)
    update = [w - alpha * x + BETA * (w - m) for w, x, m in zip(W, g, M, strict=True)]
    return UpdateRule((*update, *W), W, noise, M, loss=UNEVEN, rest=W, near=(0.6, 0.8))


def preconditioned(noisy: sp.Expr) -> UpdateRule:
    noise = tuple(e for e in E if noisy.has(e))
    scale = sp.Matrix([[2 + w2, HALF], [0, 1 + w1**2]])
    update = sp.Matrix(W) - alpha * scale * sp.Matrix(gradient(noisy))
    return UpdateRule(list(update), W, noise, loss=UNEVEN, near=(0.6, 0.8))


def sharpness_aware(noisy: sp.Expr) -> UpdateRule:
    noise = tuple(e for e in E if noisy.has(e))
    ahead = [w + g / 5 for w, g in zip(W, gradient(noisy), strict=True)]
    update = [w - alpha * g for w, g in zip(W, gradient(noisy, ahead), strict=True)]
    return UpdateRule(update, W, noise, loss=UNEVEN, near=(0.6, 0.8))


def decayed(noisy: sp.Expr) -> UpdateRule:
    """Decoupled weight decay of size σ²."""
    noise = tuple(e for e in E if noisy.has(e))
    update = [w - alpha * g - alpha * sigma**2 * w1 * w / 3 for w, g in pairs(noisy)]
    return UpdateRule(update, W, noise, loss=UNEVEN, near=(0.6, 0.8))


RULES: dict[str, Callable[[sp.Expr], UpdateRule]] = {
    "descent": descent,
    "heavy ball": heavy_ball,
    "Nesterov": nesterov,
    "heavy ball by two points": shifted_memory,
    "preconditioned": preconditioned,
    "sharpness-aware": sharpness_aware,
    "weight decay": decayed,
}


def each(cases: Mapping[str, Any]) -> list[Any]:
    """The first case in every run, the others in slow ones."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.slow] if k else [])
        for k, (name, case) in enumerate(cases.items())
    ]


MECHANISMS = {"radial": RADIAL, "parameter": MOVED, "additive": ADDITIVE}


# Against brute force: one noisy step from Γ, then noiseless steps to the end ---------------------


@cache
def derived(rule: UpdateRule) -> Limit:
    return derive_limit(rule)


def at_point(limit: Limit, w: Array) -> tuple[Array, Array]:
    """Drift and Θ of the derivation, at the point of Γ next to w."""
    system = limit.manifold.probe.system
    with mpmath.workdps(WORKING_DIGITS):
        point = system.polish(tuple(mpmath.mpf(float(x)) for x in w))
        g = limit.manifold.probe.geometry(point)
        values = pointwise(limit).drift(g), pointwise(limit).spread(g)
    drift, spread = (np.array(v.tolist(), float) for v in values)
    return drift[:, 0], spread


@pytest.mark.parametrize("noisy", each(MECHANISMS))
@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_agrees_with_brute_force(make, noisy):
    rule, w, step = make(noisy), np.array([0.6, 0.8]), 0.1
    limit = derived(rule).at_step(step)
    unit = step ** float(limit.equation.power)
    drift, spread = at_point(limit, w)
    true_drift, true_spread = one_step(rule, w, step)
    scale = max(np.abs(true_drift).max(), np.abs(true_spread).max())
    assert unit * drift == pytest.approx(true_drift, abs=1e-6 * scale)
    assert unit * spread == pytest.approx(true_spread, abs=1e-6 * scale)


def test_descent_is_the_descent_of_the_theorems():
    tenth = sp.Rational(1, 10)
    for noisy in MECHANISMS.values():
        noise = tuple(e for e in E if noisy.has(e))
        known = derive_limit(NoisyGradientDescent(UNEVEN, noisy, W, noise, near=(0.6, 0.8)))
        limit = derived(descent(noisy))
        assert (limit.outcome, limit.time_scale) == (known.outcome, known.time_scale)
        assert limit.check(known.drift, known.diffusion)
        there = known.at_step(tenth)
        assert limit.at_step(tenth).check(there.drift, there.diffusion)


def test_closed_forms():
    known = derive_limit(NoisyGradientDescent(UNEVEN, RADIAL, W, (e1,), near=(0.6, 0.8)))
    limit = derived(descent(RADIAL))
    assert known.check(limit.drift, limit.diffusion)
    assert limit.manifold.vanishes(list(limit.projector - known.projector))
    assert "deterministic" in str(limit)
    assert "1/(alpha**2*sigma**2)" in str(limit.explain())
    assert r"\begin{array}" in limit.latex()


# Orders in the step size -------------------------------------------------------------------------


def test_momentum_has_the_effective_step():
    limit = derived(heavy_ball(RADIAL))
    assert limit.time_scale == 1 / (alpha**2 * sigma**2)
    known = derive_limit(NoisyGradientDescent(UNEVEN, RADIAL, W, (e1,), near=(0.6, 0.8)))
    assert limit.check(known.drift / (1 - BETA) ** 2)
    assert not limit.check(known.drift)


def test_underdamped_degenerate_noise_moves_at_the_first_order():
    """1 − β = c√α: (α/c²) ½ D²Φ with ℒ(X) = HX + XH + (1/2c²)[H,[H,X]] (here of rank one)."""
    limit = derived(heavy_ball(RADIAL, beta=1 - 2 * sp.sqrt(alpha)))
    assert limit.time_scale == 1 / (alpha * sigma**2)
    known = derive_limit(NoisyGradientDescent(UNEVEN, RADIAL, W, (e1,), near=(0.6, 0.8)))
    assert limit.check(known.drift / 4)
    moved = derived(heavy_ball(MOVED, beta=1 - 2 * sp.sqrt(alpha)))
    assert moved.time_scale == 1 / (sp.sqrt(alpha) * sigma**2)
    assert moved.outcome is Outcome.NON_DEGENERATE


def test_sharpness_awareness_changes_the_class():
    """Normal noise, degenerate under descent, moves on 1/(ασ²), by two of the three parts."""
    rho = sp.Rational(1, 5)
    noisy = UNEVEN + (w1**2 + w2**2 - 1) * (1 + w1 / 2) * e1 / 2
    limit = derived(sharpness_aware(noisy))
    assert derived(descent(noisy)).outcome is Outcome.DETERMINISTIC
    assert limit.outcome is Outcome.NON_DEGENERATE
    assert limit.time_scale == 1 / (alpha * sigma**2)
    noise = sp.Matrix(gradient(noisy)).diff(e1)
    third = sp.Matrix([(noise.T * sp.hessian(UNEVEN.diff(w), W) * noise)[0] for w in W])
    parts = (rho**2 * third / 2, rho * noise.jacobian(W) * noise)
    assert limit.check(-limit.manifold.projector * (parts[0] + parts[1]))
    assert not any(limit.check(-limit.manifold.projector * part) for part in parts)


def test_third_order_is_found():
    """ΔL is constant on Γ, det₊(1 − αH/2) is not: label noise moves on 1/(α³σ²)."""
    w3 = sp.Symbol("w3", real=True)
    weights = (*W, w3)
    level = ((w1**2 + w2**2 - 1) / 2, w1 - w3)
    loss = sum(r**2 for r in level) / 2
    noisy = sum((r - e) ** 2 for r, e in zip(level, E, strict=True)) / 2
    update = [w - alpha * noisy.diff(w) for w in weights]
    limit = derive_limit(UpdateRule(update, weights, E, loss=loss))
    assert limit.time_scale == 1 / (alpha**3 * sigma**2)
    assert limit.outcome is Outcome.DETERMINISTIC
    scale = derive_limit(NoisyGradientDescent(loss, noisy, weights, E)).scales()[0]
    with mpmath.workdps(WORKING_DIGITS):
        g = next(limit.manifold.local())
        gap = limit.at_points.drift(g) - pointwise(scale).drift(g)
        assert mpmath.norm(gap) < 1e-30


def test_nothing_moves():
    frozen = UpdateRule([w - alpha * (1 + e1) * g for w, g in pairs(UNEVEN)], W, (e1,), loss=UNEVEN)
    assert derive_limit(frozen).outcome is Outcome.FROZEN
    loss = (w1**2 + w2**2 - 1) ** 2 / 8
    still = descent(loss + (w1**2 + w2**2) * e1 / 2, loss)
    assert derive_limit(still).outcome is Outcome.TRIVIAL
    assert derive_limit(still).drift == sp.zeros(2, 1)


# Randomness that keeps its size ------------------------------------------------------------------


def block_coordinates() -> UpdateRule:
    d = sp.symbols("d1 d2", real=True)
    update = [w - alpha * x * g for w, x, g in zip(W, d, gradient(RADIAL), strict=True)]
    law = Independent({d: Choice(((1, 0), (0, 1)), (HALF, HALF)), e1: Gaussian()})
    return UpdateRule(update, W, (*d, e1), law=law, loss=UNEVEN, near=(0.6, 0.8))


def test_masks_make_normal_noise_diffusive():
    limit = derived(block_coordinates())
    assert limit.outcome is Outcome.DIFFUSIVE
    assert limit.time_scale == 1 / (alpha**2 * sigma**2)
    noise = sp.Matrix(gradient(RADIAL)).diff(e1)
    w = np.array([0.6, 0.8])
    g = np.array(noise.subs(dict(zip(W, w, strict=True)))).astype(float)[:, 0]
    p = np.eye(2) - np.outer(w, w)
    spread = at_point(limit, w)[1]
    assert spread == pytest.approx(p @ np.diag(g**2 / 2) @ p, abs=1e-12)  # E[D Σ D]
    assert np.abs(p @ np.outer(g, g) @ p).max() < 1e-12, "the noise of the mean step"


# Refusals, with the number that failed ------------------------------------------------------------


def normalised() -> UpdateRule:
    g = gradient(UNEVEN)
    size = sp.sqrt(g[0] ** 2 + g[1] ** 2)
    return UpdateRule(
        [w - alpha * (x / size + e1) for w, x in zip(W, g, strict=True)], W, (e1,), loss=UNEVEN
    )


REFUSED = {
    "sign updates": (
        lambda: UpdateRule(
            [w - alpha * sp.sign(g) + e1 for w, g in pairs(UNEVEN)],
            W,
            (e1,),
            loss=UNEVEN,
        ),
        "has its kink on Γ",
    ),
    "a normalised gradient": (normalised, "no two derivatives|value"),
    "momentum that grows": (
        lambda: heavy_ball(RADIAL, beta=sp.Rational(11, 10)),
        r"spectral radius of the mean map across them is 1\.1",
    ),
    "weight decay of order one": (
        lambda: UpdateRule(
            [w - alpha * g - alpha * w / 100 for w, g in pairs(RADIAL)],
            W,
            (e1,),
            loss=UNEVEN,
        ),
        "must leave Γ where it is.*relative size",
    ),
    "a memory that does not rest": (
        lambda: UpdateRule(
            [
                w1 - alpha * m1,
                w2 - alpha * m2,
                *(m + x for m, (_, x) in zip(M, pairs(RADIAL), strict=True)),
            ],
            W,
            (e1,),
            M,
            loss=UNEVEN,
        ),
        "do not attract",
    ),
    "a mean of order σ": (
        lambda: UpdateRule(
            [w - alpha * (g + sigma) for w, g in pairs(RADIAL)], W, (e1,), loss=UNEVEN
        ),
        "its mean moves Γ at order σ",
    ),
    "ascent": (
        lambda: UpdateRule([w + alpha * g for w, g in pairs(RADIAL)], W, (e1,), loss=UNEVEN),
        "do not attract",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_the_number_that_failed(make, message):
    with pytest.raises(NotCoveredError, match=message):
        derive_limit(make())


def test_step_beyond_the_bound_is_refused():
    limit = derived(descent(RADIAL))
    with pytest.raises(NotCoveredError, match=r"at α = 3: the spectral radius .* is 14"):
        limit.at_step(3)
    with pytest.raises(ProblemError, match="step: expected a positive"):
        limit.at_step(-1)


MALFORMED = {
    "too few expressions": (
        lambda: UpdateRule((w1,), W, (e1,), loss=UNEVEN),
        "update: expected 2 expressions, the next value of each of w1, w2; got 1",
    ),
    "neither loss nor constraints": (lambda: UpdateRule(W, W, (e1,)), "loss: expected"),
    "a stray symbol": (
        lambda: UpdateRule((w1 + q, w2), W, (e1,), loss=UNEVEN),
        "update: q is neither",
    ),
    "rest of the wrong length": (
        lambda: UpdateRule((*W, *M), W, (e1,), M, loss=UNEVEN, rest=(0,)),
        "rest: expected the value at rest of each of the 2",
    ),
    "probabilities that do not add up": (
        lambda: Choice((0, 1), (HALF, sp.Rational(1, 3))),
        "they add up to 5/6, expected 1",
    ),
    "values of two lengths": (lambda: Choice(((0, 1), (1,)), (HALF, HALF)), "tuples of one length"),
}


@pytest.mark.parametrize(("make", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_rules_get_one_clear_error(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


def test_questions_of_descent_are_not_answered_for_rules():
    limit = derived(descent(RADIAL))
    for ask in (lambda: limit.regularizer, limit.effective):
        with pytest.raises(NotCoveredError, match="update rule"):
            ask()


def test_parameters_are_bound():
    c = sp.Symbol("c", positive=True)
    rule = UpdateRule(
        [w - alpha * c * g for w, g in pairs(RADIAL)],
        W,
        (e1,),
        loss=UNEVEN,
        parameters=(c,),
        near=(0.6, 0.8),
    )
    known = derived(descent(RADIAL))
    assert derive_limit(rule).subs({c: 3}).check(9 * known.drift)
    assert derive_limit(rule).check(c**2 * known.drift)
