"""Every optimizer on every mechanism, against the iterated recursion; and those built of others."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    Gaussian,
    Limit,
    Mean,
    NoisyGradientDescent,
    NotCoveredError,
    Outcome,
    ProblemError,
    Rademacher,
    Sphere,
    UpdateRule,
    alpha,
    derive_limit,
    sigma,
)
from derive.analysis.agreement import pointwise
from derive.model.optimized import rule_of
from derive.optimizers import (
    Extragradient,
    GradientDescent,
    HeavyBall,
    LocalSteps,
    LookAhead,
    Nesterov,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
    WeightAverage,
    ZerothOrder,
)
from derive.rules.orders import attraction
from derive.symbolic.numbers.roots import WORKING_DIGITS, evaluator
from tests.derive.rules.test_update_rules import at_point, each
from tests.truth.rules import one_step

W = w1, w2 = sp.symbols("w1 w2", real=True)
E = e1, e2 = sp.symbols("eta1 eta2", real=True)
UNEVEN = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
POINT = np.array([0.6, 0.8])
STEP, HALF = sp.Rational(1, 10), sp.Rational(1, 2)


def ring(noisy: sp.Expr, **options: object) -> NoisyGradientDescent:
    noise = tuple(e for e in E if noisy.has(e))
    return NoisyGradientDescent(UNEVEN, noisy, W, noise, near=(0.6, 0.8), **options)


MECHANISMS = {
    "radial": ring(UNEVEN + (w1**2 + w2**2) * e1 / 2),
    "parameter noise": ring(UNEVEN.subs({w1: w1 + e1, w2: w2 + e2}, simultaneous=True)),
    "additive": ring(UNEVEN + e1 * w1 + e2 * w2),
    "DropConnect": ring(UNEVEN.subs({w1: w1 * (1 + e1), w2: w2 * (1 + e2)}, simultaneous=True)),
}
OPTIMIZERS: dict[str, Optimizer] = {
    "descent": GradientDescent(),
    "heavy ball": HeavyBall(sp.Rational(3, 5)),
    "Nesterov": Nesterov(sp.Rational(3, 5)),
    "preconditioned": Preconditioned([[2, sp.Rational(1, 2)], [sp.Rational(1, 2), 1]]),
    "position-dependent": Preconditioned([[2 + w2, 0], [0, 1 + w1**2]]),
    "sharpness-aware": SharpnessAware(sp.Rational(1, 5)),
}


def per_step(limit: Limit, step: float) -> tuple[np.ndarray, np.ndarray]:
    unit = step ** float(limit.equation.power)
    drift, spread = at_point(limit, POINT)
    return unit * drift, unit * spread


@pytest.mark.parametrize("problem", each(MECHANISMS))
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_agrees_with_brute_force(optimizer: Optimizer, problem: NoisyGradientDescent):
    rule = rule_of(replace(problem, optimizer=optimizer))
    limit = derive_limit(rule).at_step(STEP)
    drift, spread = per_step(limit, 0.1)
    true_drift, true_spread = one_step(rule, POINT, 0.1)
    scale = max(np.abs(true_drift).max(), np.abs(true_spread).max())
    assert drift == pytest.approx(true_drift, abs=1e-6 * scale)
    assert spread == pytest.approx(true_spread, abs=1e-6 * scale)


def test_descent_keeps_its_theorems():
    problem = MECHANISMS["radial"]
    plain, named = (
        derive_limit(problem),
        derive_limit(replace(problem, optimizer=GradientDescent())),
    )
    assert named.problem.optimizer is None
    assert named.drift == plain.drift


def test_momentum_is_that_of_the_eigenbasis_formulas():
    beta = sp.Rational(3, 5)
    for problem in MECHANISMS.values():
        general = derive_limit(replace(problem, optimizer=HeavyBall(beta))).at_step(STEP)
        fast = derive_limit(problem).at_step(STEP, beta)
        unit = (1 - beta) ** general.equation.power
        with mpmath.workdps(WORKING_DIGITS):
            g = next(general.manifold.local())
            expected = pointwise(fast).drift(g) / mpmath.mpf(unit.p) * unit.q
            gap = mpmath.norm(general.at_points.drift(g) - expected)
            assert gap < 1e-12 * (1 + mpmath.norm(expected))


@pytest.mark.parametrize("name", ["radial", "parameter noise"])
def test_momentum_has_closed_forms(name: str):
    """Those of descent in an eigenbasis, with the factors of the effective step."""
    beta = sp.Rational(3, 5)
    limit = derive_limit(replace(MECHANISMS[name], optimizer=HeavyBall(beta)))
    shown = (limit, limit.at_step(STEP)) if name == "radial" else (limit,)
    for asked in shown:
        with mpmath.workdps(30):
            g = next(asked.manifold.local())
            values = evaluator(asked.manifold.symbols, list(asked.drift))(g.point)
            gap = asked.at_points.drift(g) - mpmath.matrix(values)
            assert mpmath.norm(gap) < 1e-20
    plain = derive_limit(MECHANISMS[name])
    assert limit.drift == plain.at_step(0, beta).drift / (1 - beta) ** limit.equation.power


def test_underdamped_momentum_keeps_to_the_theorem_for_rules():
    """1 − β = c√α is no momentum of the formulas of descent."""
    problem = replace(MECHANISMS["radial"], optimizer=HeavyBall(1 - sp.sqrt(alpha)))
    assert derive_limit(problem).time_scale == 1 / (alpha * sigma**2)


# Means over samples ------------------------------------------------------------------------------


def samples_on_an_ellipse(points: list[tuple[float, float]]) -> NoisyGradientDescent:
    """Label noise on h = (w₁x)² + (w₂y)² − 1 at a few points (x, y)."""
    x, y, xi = sp.symbols("x y xi", real=True)
    misfit = (w1 * x) ** 2 + (w2 * y) ** 2 - 1
    data = {x: [p for p, _ in points], y: [q for _, q in points]}
    return NoisyGradientDescent(
        Mean(misfit**2 / 2, data),
        Mean((misfit - xi) ** 2 / 2, data, independent=(xi,)),
        W,
        (xi,),
        near=(0.6, 0.4),
    )


def test_means_over_a_few_samples_are_written_out():
    problem = replace(samples_on_an_ellipse([(1, 2), (-1, 2)]), optimizer=Nesterov(HALF))
    limit = derive_limit(problem)
    by_hand = derive_limit(
        replace(samples_on_an_ellipse([(1, 2), (-1, 2)]).written_out(), optimizer=Nesterov(HALF))
    )
    assert per_step(limit.at_step(STEP), 0.1)[0] == pytest.approx(
        per_step(by_hand.at_step(STEP), 0.1)[0], abs=1e-14
    )
    assert limit.time_scale == 1 / (alpha**2 * sigma**2)


def test_means_over_many_samples_are_refused():
    many = samples_on_an_ellipse([(1, 2)] * 13)
    with pytest.raises(NotCoveredError, match="up to 12 samples and weights, got 13"):
        derive_limit(replace(many, optimizer=Nesterov(HALF)))


def test_masks_with_rare_jumps_and_their_leading_order():
    """Bernoulli noise under descent, as α → 0, and refused at a step."""
    noisy = MECHANISMS["DropConnect"].noisy_loss
    problem = ring(noisy, law=Bernoulli())
    limit = derive_limit(rule_of(problem))
    assert limit.check(derive_limit(problem).drift)
    with pytest.raises(ValueError, match="rare jumps"):
        limit.at_step(STEP)


LAPLACIAN = sum(UNEVEN.diff(w, 2) for w in W)
GRADIENT = sp.Matrix([LAPLACIAN.diff(w) for w in W])
ZEROTH_ORDER = {
    "normal": (Gaussian(), -GRADIENT / 2, 3),
    "signs": (Rademacher(), -GRADIENT / 2 + sp.Matrix([UNEVEN.diff(w, 3) for w in W]) / 3, 1.9216),
    "sphere": (Sphere(), -GRADIENT / 4, 3 / 2),
}
"""Law of the directions ξ, force, and E (nᵀξ)⁴ for the normal n at `POINT`."""


@pytest.mark.parametrize("name", each(dict(zip(ZEROTH_ORDER, ZEROTH_ORDER, strict=True))))
def test_zeroth_order_steps_tell_directions_apart(name):
    """Reg = ½ΔL for normal ones, N/(N + 2) of it on the sphere, and none for signs."""
    law, _, fourth = ZEROTH_ORDER[name]
    problem = NoisyGradientDescent(UNEVEN, UNEVEN + 0 * e1, W, (e1,), near=(0.6, 0.8))
    p = derive_limit(problem).projector
    limit = derive_limit(replace(problem, optimizer=ZerothOrder(law)))
    assert limit.outcome is Outcome.NON_DEGENERATE
    assert limit.time_scale == 1 / (alpha * sigma**2)
    for other, (_, claimed, _) in ZEROTH_ORDER.items():
        assert bool(limit.check(p * claimed)) is (other == name)
    with mpmath.workdps(WORKING_DIGITS):
        motion = limit.motion.at(next(limit.manifold.local()), mpmath.mpf("0.1"))
        _, in_mean_square = attraction(motion, is_random=True)
    assert float(in_mean_square) == pytest.approx(1 - 2 * 0.52 + fourth * 0.52**2)


def test_mean_step_on_the_sphere_is_the_mean_over_its_points():
    """E w' at a point of Γ by quadrature, exact for a polynomial; not the drift of normal steps."""
    angles = 2 * np.pi * np.arange(32) / 32
    xi, scale = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)]), 1e-3
    loss = sp.lambdify(W, UNEVEN)
    rise = loss(*(POINT[:, None] + scale * xi)) - loss(*(POINT[:, None] - scale * xi))
    mean = -(xi * rise / (2 * scale)).mean(axis=1) / scale**2
    _, force, _ = ZEROTH_ORDER["sphere"]
    along = np.array([-POINT[1], POINT[0]])
    expected = np.array(force.subs(dict(zip(W, POINT, strict=True))), dtype=float).ravel()
    assert along @ mean == pytest.approx(along @ expected, rel=1e-5)
    assert along @ mean != pytest.approx(2 * along @ expected, rel=0.1)


DRAWN = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "sphere": lambda rng, shape: on_circle(rng.uniform(0, 2 * np.pi, shape[0])),
}


def on_circle(angles: np.ndarray) -> np.ndarray:
    return np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_speeds_of_zeroth_order_steps_are_those_of_the_recursion():
    """Turned by w' = w − αξ(L(w + σξ) − L(w − σξ))/(2σ), each law at its own speed."""
    step, scale, steps, paths = 0.02, 0.05, 200, 4000
    along, loss = np.array([-POINT[1], POINT[0]]), sp.lambdify(W, UNEVEN)
    forces = {
        name: along @ np.array(force.subs(dict(zip(W, POINT, strict=True))), dtype=float).ravel()
        for name, (_, force, _) in ZEROTH_ORDER.items()
    }
    for name, draw in DRAWN.items():
        rng, w = np.random.default_rng(1), np.tile(POINT, (paths, 1))
        for _ in range(steps):
            xi = draw(rng, (paths, 2))
            rise = loss(*(w + scale * xi).T) - loss(*(w - scale * xi).T)
            w = w - step * xi * rise[:, None] / (2 * scale)
        turned = np.arctan2(*w.T[::-1]) - np.arctan2(*POINT[::-1])
        speed, error = (x / (steps * step * scale**2) for x in (turned.mean(), turned.std()))
        error /= np.sqrt(paths)
        for other, force in forces.items():
            assert bool(abs(speed - force) < 4 * error + 0.01 * force) is (name == other)


# Built of others ---------------------------------------------------------------------------------


def test_steps_in_a_row_are_as_many_steps():
    problem = MECHANISMS["parameter noise"]
    one = derive_limit(rule_of(problem)).at_step(STEP)
    for optimizer in (LocalSteps(3), LookAhead(3, 1), LookAhead(1, 1, LocalSteps(3))):
        many = derive_limit(replace(problem, optimizer=optimizer)).at_step(STEP)
        assert per_step(many, 0.1)[0] == pytest.approx(3 * per_step(one, 0.1)[0], abs=1e-12)
        assert per_step(many, 0.1)[1] == pytest.approx(3 * per_step(one, 0.1)[1], abs=1e-12)


def test_average_moves_as_the_weights_do():
    problem = MECHANISMS["radial"]
    inner = HeavyBall(sp.Rational(1, 2))
    plain = derive_limit(replace(problem, optimizer=inner)).at_step(STEP)
    beside = derive_limit(replace(problem, optimizer=WeightAverage(STEP, inner))).at_step(STEP)
    assert per_step(beside, 0.1)[0] == pytest.approx(per_step(plain, 0.1)[0], abs=1e-14)


def test_local_steps_on_many_workers():
    """The mean of p workers forgets what each of them has wandered: with q = 1 − αλ the drift is
    1 − (1 − 1/p)(1 − q²ⁿ)/(n(1 − q²)) of that of one worker.
    """
    problem, steps, workers = MECHANISMS["radial"], 8, 4
    limit = derive_limit(replace(problem, optimizer=LocalSteps(steps, workers))).at_step(STEP)
    one = derive_limit(rule_of(problem)).at_step(STEP)
    q2 = (1 - 0.1 * 2 * (2 + POINT[0])) ** 2
    share = 1 - (1 - 1 / workers) * (1 - q2**steps) / (steps * (1 - q2))
    drift = per_step(limit, 0.1)[0]
    assert drift == pytest.approx(share * steps * per_step(one, 0.1)[0], rel=1e-10)
    assert share < 0.9


def test_look_ahead_keeps_a_part_of_the_step():
    """w + c(w' − w), written by hand."""
    problem, c = MECHANISMS["radial"], sp.Rational(1, 2)
    half = derive_limit(replace(problem, optimizer=LookAhead(1, c))).at_step(STEP)
    moved = [w - c * alpha * problem.noisy_loss.diff(w) for w in W]
    by_hand = replace(rule_of(problem), update=tuple(moved))
    expected = derive_limit(by_hand).at_step(STEP)
    assert per_step(half, 0.1)[0] == pytest.approx(per_step(expected, 0.1)[0], abs=1e-14)


def test_extragradient_is_that_rule_written_out():
    """w − α∇L̂(w − α∇L̂(w, η), η'), without jets of jets."""
    noisy = MECHANISMS["parameter noise"].noisy_loss
    limit = derive_limit(ring(noisy, optimizer=Extragradient())).at_step(STEP)
    fresh = dict(zip(E, sp.symbols("xi1 xi2", real=True), strict=True))
    slope = [noisy.diff(w) for w in W]
    ahead = {w: w - alpha * g for w, g in zip(W, slope, strict=True)}
    again = [g.xreplace(fresh).xreplace(ahead) for g in slope]
    rule = UpdateRule(
        [w - alpha * g for w, g in zip(W, again, strict=True)],
        W,
        (*E, *fresh.values()),
        loss=UNEVEN,
        near=(0.6, 0.8),
    )
    for given, true in zip(
        per_step(limit, 0.1), per_step(derive_limit(rule).at_step(STEP), 0.1), strict=True
    ):
        assert given == pytest.approx(true, abs=1e-13)
    plain = derive_limit(rule_of(ring(noisy))).at_step(STEP)
    assert np.abs(per_step(plain, 0.1)[0] - per_step(limit, 0.1)[0]).max() > 1e-4


# Statement ---------------------------------------------------------------------------------------

REFUSED = {
    "beta of one": (lambda: HeavyBall(1), r"beta: expected a number in \[0, 1\)"),
    "negative radius": (lambda: SharpnessAware(-1), "rho: expected"),
    "no steps": (lambda: LookAhead(0, 1), "steps: expected a positive integer"),
    "no gradient elsewhere": (lambda: Extragradient(HeavyBall(0)), "without memory"),
    "weight above one": (lambda: LookAhead(2, 2), "weight: expected"),
    "no optimizer": (
        lambda: replace(MECHANISMS["radial"], optimizer=0.9),
        "optimizer: expected one",
    ),
    "too many coordinates": (
        lambda: rule_of(replace(MECHANISMS["radial"], optimizer=RandomCoordinates(3))),
        "count: expected an integer from 1 to 2",
    ),
    "a matrix of another size": (
        lambda: rule_of(replace(MECHANISMS["radial"], optimizer=Preconditioned([[1]]))),
        r"matrix: expected shape \(2, 2\)",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


def test_parameters_of_an_optimizer_are_bound():
    beta = sp.Symbol("beta", positive=True)
    problem = ring(MECHANISMS["radial"].noisy_loss, parameters=(beta,), optimizer=HeavyBall(beta))
    assert problem.subs({beta: sp.Rational(1, 2)}).optimizer == HeavyBall(sp.Rational(1, 2))
