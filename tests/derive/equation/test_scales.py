"""The slower scales and the next-order equation against averaging and iterating by brute force."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from derive import (
    Bernoulli,
    CustomLaw,
    DeriveError,
    Gaussian,
    Independent,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    Outcome,
    Rademacher,
    Sphere,
    TwoPoint,
    Uniform,
    alpha,
    derive_limit,
    sigma,
)
from derive.analysis.agreement import PointwiseLimit
from derive.analysis.longtime import equilibria, invariant_density
from derive.analysis.phases import ruling, terms
from derive.errors import NotCoveredError
from derive.laws.law import Law
from derive.noise.higher_moments import second_chaos, second_regularizer, third_regularizer
from derive.symbols import GENERIC
from numerics import compile_limit
from tests.truth.oracles import (
    FIRST,
    OFFSETS,
    STEP,
    Array,
    Landscape,
    array_function,
    draws,
    noiseless,
    second_derivative,
)

W = w1, w2, w3, w4 = sp.symbols("w1:5", real=True)
E1, E2 = E = sp.symbols("eta1:3", real=True)
THETA = sp.Symbol("theta", real=True)
CIRCLE = ((THETA,), (sp.cos(THETA), sp.sin(THETA)))
S = sp.Symbol("s", positive=True)

RING = w1**2 + w2**2 - 1
UNEVEN = RING**2 * (2 + w1) / 4
PARAMETER_NOISE = UNEVEN.subs({w1: w1 + E1, w2: w2 + E2}, simultaneous=True)

R1, R2 = w3 - w1**2 / 2, w4 - w1 * w2 + w2**2 / 3
CHANNEL = R1**2 / 2 + (2 + w1 * w2 / 4) * R2**2
"""Codimension two in R⁴, with two different curvatures that vary along Γ."""


def ring(noisy: sp.Expr, loss: sp.Expr = RING**2 / 8, **options: object) -> NoisyGradientDescent:
    noise = tuple(s for s in E if noisy.has(s))
    return NoisyGradientDescent(loss, noisy, (w1, w2), noise, chart=CIRCLE, **options)


def channel(extra: sp.Expr, **options: object) -> NoisyGradientDescent:
    noise = tuple(s for s in E if extra.has(s))
    return NoisyGradientDescent(CHANNEL, CHANNEL + extra, W, noise, **options)


NORMAL_SECOND_MOMENT = ring(RING**2 / 8 + RING * (1 + w1 / 2) * E1**2 / 2)
NORMAL_CHANNEL = channel((R1 * (1 + w2) + R2 * (1 - w1 / 2)) * E1**2 / 2)


# The mean of the noisy loss, term by term ------------------------------------------------------


def outcomes(law: Law, d: int) -> Iterator[tuple[sp.Expr, list[sp.Expr]]]:
    """Probabilities and values of a law, exact in all moments that σ⁴ sees, by its definition."""
    match law:
        case Independent(groups=((_, first), (_, second))):
            for (p, x), (q, y) in itertools.product(outcomes(first, 1), outcomes(second, 1)):
                yield p * q, [*x, *y]
            return
        case Sphere() if d == 2:
            for k in range(8):  # equal to the mean over the circle up to the seventh degree
                angle = k * sp.pi / 4
                yield sp.Rational(1, 8), [sp.sqrt(2) * S * f(angle) for f in (sp.cos, sp.sin)]
            return
        case Rademacher():
            one = [(sp.Rational(1, 2), S), (sp.Rational(1, 2), -S)]
        case TwoPoint(value=a):
            one = [(1 / (1 + a**2), S * a), (a**2 / (1 + a**2), -S / a)]
        case Uniform():
            one = three_points(sp.Rational(9, 5))
        case Gaussian():
            one = three_points(sp.Integer(3))
        case Bernoulli():
            p = S**2 / (1 + S**2)
            one = [(p, sp.Integer(-1)), (1 - p, p / (1 - p))]
    for choice in itertools.product(one, repeat=d):
        values = [value for _, value in choice]
        if isinstance(law, Gaussian) and law.covariance is not None:
            values = list(sp.Matrix(law.covariance).cholesky() * sp.Matrix(values))
        yield sp.Mul(*(p for p, _ in choice)), values


def three_points(kurtosis: sp.Expr) -> list[tuple[sp.Expr, sp.Expr]]:
    p = 1 / (2 * kurtosis)
    return [(p, S * sp.sqrt(kurtosis)), (1 - 2 * p, sp.Integer(0)), (p, -S * sp.sqrt(kurtosis))]


def poisson(law: CustomLaw) -> Iterator[tuple[sp.Expr, list[sp.Expr]]]:
    """Compound Poisson noise with up to two jumps, beside the Gaussian part."""
    counts = itertools.product(range(3), repeat=len(law.jumps))
    gaussian = list(outcomes(Gaussian(law.covariance), law.covariance.rows))
    for count, (weight, values) in itertools.product(counts, gaussian):
        total, probability = sp.Matrix(values), weight
        for n, jump in zip(count, law.jumps, strict=True):
            mean = S**2 * jump.rate
            probability *= (1 - mean + mean**2 / 2) * mean**n / sp.factorial(n)
            total += (n - mean) * jump.displacement
        yield probability, list(total)


POINT = {w1: sp.Rational(3, 5), w2: sp.Rational(-7, 4)}


def mean_at_point(noisy: sp.Expr, rule: Iterator[tuple[sp.Expr, list[sp.Expr]]]) -> sp.Expr:
    """E L̂ as a function of σ at one generic rational point, where equality is exact."""
    here = noisy.subs(POINT)
    return sum(p * here.subs(dict(zip(E, values, strict=True))) for p, values in rule)


def coefficient(mean: sp.Expr, power: int) -> float:
    """Taylor coefficient in σ; exact but for the rounding to a float."""
    with mpmath.workdps(60):
        return float(mpmath.taylor(sp.lambdify(S, mean, "mpmath"), 0, power)[power])


NOISY = UNEVEN.subs({w1: w1 * (1 + E1), w2: w2 * (1 + E2)}, simultaneous=True) + w2 * E1**3 * E2
CORRELATED = sp.Matrix([[2, 1], [1, 3]])
SHRINKING = [
    Gaussian(),
    Gaussian(CORRELATED),
    Rademacher(),
    Sphere(),
    Uniform(),
    TwoPoint(sp.Rational(3, 2)),
]
LAWS = [
    *SHRINKING,
    Bernoulli(),
    CustomLaw(CORRELATED, [((1, -1), 2), ((0, sp.Rational(1, 2)), 1)]),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_mean_of_the_noisy_loss_to_fourth_order(law):
    problem = NoisyGradientDescent(UNEVEN, NOISY, (w1, w2), E, law=law)
    rule = poisson(law) if isinstance(law, CustomLaw) else outcomes(law, 2)
    mean = mean_at_point(NOISY, rule)
    for order, expected in ((4, second_regularizer(problem)), (3, third_regularizer(problem))):
        assert coefficient(mean, order) == pytest.approx(float(expected.subs(POINT)), rel=1e-14)


def test_independent_groups_are_expanded_together():
    mixed = Independent({E1: Rademacher(), E2: Bernoulli()})
    problem = NoisyGradientDescent(UNEVEN, NOISY, (w1, w2), E, law=mixed)
    signs, drops = list(outcomes(Rademacher(), 1)), list(outcomes(Bernoulli(), 1))
    rule = ((p * q, [*x, *y]) for p, x in signs for q, y in drops)
    expected = float(second_regularizer(problem).subs(POINT))
    assert coefficient(mean_at_point(NOISY, rule), 4) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "law", [*SHRINKING, Independent({E1: TwoPoint(sp.Rational(3, 2)), E2: Uniform()})]
)
def test_covariance_of_the_second_chaos(law):
    quadratic = w1 * w2 * E1**2 / 2 + w1**3 * E1 * E2 + (w2**2 + w1) * E2**2
    problem = NoisyGradientDescent(UNEVEN, UNEVEN + quadratic, (w1, w2), E, law=law)
    rule = list(outcomes(law, 2))
    steps = [
        (p, sp.Matrix([quadratic.diff(w) for w in (w1, w2)]).subs(dict(zip(E, x, strict=True))))
        for p, x in rule
    ]
    mean = sum((p * g for p, g in steps), sp.zeros(2, 1))
    spread = sum((p * (g - mean) * (g - mean).T for p, g in steps), sp.zeros(2))
    gap = second_chaos(problem).covariance - spread / S**4
    assert gap.applyfunc(sp.expand) == sp.zeros(2)


# The drift of the next order -------------------------------------------------------------------


@cache
def rule_of(law: Law, noise: tuple[sp.Symbol, ...], sigma_: float) -> tuple[Array, Array]:
    """Draws of a law with their probabilities."""
    if not isinstance(law, TwoPoint):
        return draws(law, noise, sigma_)
    rule = list(outcomes(law, len(noise)))
    values = [[float(x.subs(S, sigma_)) for x in row] for _, row in rule]
    return np.array(values), np.array([float(p) for p, _ in rule])


@dataclass(frozen=True)
class Descent:
    """The recursion of a problem at given (α, σ), by its own step and the definition of its law."""

    problem: NoisyGradientDescent
    momentum: float = 0.0

    @cached_property
    def landscape(self) -> Landscape:
        return Landscape.of(self.problem.loss, self.problem.weights)

    def steps(self, w: Array, sigma_: float, alpha_: float = 0.0) -> tuple[Array, Array]:
        """∇_wL̂ for every draw of the noise, and the probabilities."""
        values, p = rule_of(self.problem.law, self.problem.noise, sigma_)
        at = np.concatenate([np.broadcast_to(w, (len(values), len(w))), values], axis=1)
        size = np.broadcast_to([alpha_, sigma_], (len(values), 2))
        return self._field(np.concatenate([at, size], axis=1)), p

    @cached_property
    def _field(self):
        arguments = [*self.problem.weights, *self.problem.noise, alpha, sigma]
        return array_function(self.problem.stochastic_gradient, arguments)

    def mean(self, w: Array, sigma_: float, alpha_: float = 0.0) -> Array:
        steps, p = self.steps(w, sigma_, alpha_)
        return p @ steps

    def slow_point(self, w: Array, sigma_: float) -> Array:
        """Where the averaged flow from w is once its fast part has died out."""
        run = solve_ivp(
            lambda _, v: -self.mean(v, sigma_), (0, 30), w, "DOP853", rtol=1e-12, atol=1e-14
        )
        return run.y[:, -1]

    def flow_drift(self, w: Array, sigma_: float) -> Array:
        """Motion of Φ(w) along the averaged flow at a slow point w."""
        force = self.mean(w, sigma_)
        speed = np.linalg.norm(force)
        ends = self.landscape.flow_end(w - STEP * OFFSETS[:, None] * force / speed)
        return speed * FIRST @ ends / STEP

    def step_drift(self, w: Array, sigma_: float, alpha_: float) -> tuple[Array, Array]:
        """Φ_α at a slow point of the averaged recursion, and its mean motion in one noisy step."""
        for _ in range(int(40 / alpha_)):
            w = w - alpha_ * self.mean(w, sigma_, alpha_)
        steps, p = self.steps(w, sigma_, alpha_)
        ends = self.landscape.descent_end(np.vstack([w, w - alpha_ * steps]), alpha_)
        return ends[0], p @ (ends[1:] - ends[0])


def drift_of(limit: Limit, w: Array) -> Array:
    """The derivation's own drift at the point of Γ next to w."""
    probe = limit.manifold.probe
    point = probe.system.polish(tuple(mpmath.mpf(float(x)) for x in w))
    drift = PointwiseLimit(limit).drift(probe.geometry(point))
    return np.array([float(x) for x in drift])


START = {2: np.array([0.8, 0.6]), 4: np.array([0.7, -0.4, 0.2, -0.3])}

SECOND_ORDER = {
    "parameter noise on the ring": ring(PARAMETER_NOISE, UNEVEN),
    "ring with a normal second moment": NORMAL_SECOND_MOMENT,
    "channel with a normal second moment": NORMAL_CHANNEL,
    "channel, not degenerate": channel(
        (w1 * w2 + R1 * w2 + R2) * E1**2 / 2 + w2 * E1**4 + R1 * E1 * E2
    ),
    "dropout on the channel": NoisyGradientDescent(
        CHANNEL,
        CHANNEL.subs({w1: w1 * (1 + E1), w4: w4 * (1 + E2)}, simultaneous=True),
        W,
        E,
        law=Bernoulli(),
    ),
}


@pytest.mark.parametrize("problem", SECOND_ORDER.values(), ids=SECOND_ORDER)
def test_next_order_in_the_noise_is_that_of_the_averaged_flow(problem):
    """(drift of the averaged flow − drift of the equation)/σ² → 0 as σ → 0."""
    descent, limit = Descent(problem), derive_limit(problem)
    start = descent.landscape.retract(START[problem.dimension])

    def gap(sigma_: float) -> Array:
        w = descent.slow_point(start, sigma_)
        end = descent.landscape.flow_end(w)
        # α = 0: the σ² term alone.
        predicted = drift_of(limit.effective(alpha=0, sigma=sp.Float(sigma_, 30)), end)
        return (descent.flow_drift(w, sigma_) / sigma_**2 - predicted) / sigma_**2

    size = np.abs(drift_of(limit.effective(0, 1), start)).max()
    assert np.abs(noiseless(gap, 0.12)).max() < 2e-4 * size


# Finite steps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [Rademacher(), Gaussian()], ids=["signs", "Gaussian"])
def test_third_scale_at_a_finite_step_is_that_of_the_noisy_recursion(law):
    """With signs η² is constant and the drift is −P∇V₂ at any step; with a Gaussian Σ₂ acts too."""
    problem = channel(NORMAL_CHANNEL.noisy_loss - CHANNEL, law=law)
    descent, (scale, *_) = Descent(problem), derive_limit(problem).scales()
    start = descent.landscape.retract(START[4])

    def gap(sigma_: float) -> Array:
        end, motion = descent.step_drift(start, sigma_, 0.3)
        return motion / (0.3 * sigma_**4) - drift_of(scale.at_step(sp.Rational(3, 10)), end)

    assert np.abs(noiseless(gap, 0.2)).max() < 1e-4 * np.abs(drift_of(scale, start)).max()


def test_third_moments_act_on_their_own_scale():
    """Skew noise with L̂ = L + a(w) η³, at a finite step: the mean motion is −ασ³P∇Reg₃."""
    law = TwoPoint(sp.Rational(3, 2))
    problem = channel((w1 + w2**2 + R1) * E1**3 + R2 * E1**2, law=law)
    descent, limit = Descent(problem), derive_limit(problem)
    scale, third = limit.scales()
    assert limit.outcome is Outcome.TRIVIAL
    assert scale.time_scale == 1 / (alpha * sigma**3) and third.time_scale is not None
    start = descent.landscape.retract(START[4])

    def gap(sigma_: float) -> Array:
        end, motion = descent.step_drift(start, sigma_, 0.3)
        return motion / (0.3 * sigma_**3) - drift_of(scale.at_step(sp.Rational(3, 10)), end)

    coarse, middle, fine = gap(0.02), gap(0.01), gap(0.005)
    limit_of_gap = (8 * fine - 6 * middle + coarse) / 3  # exact for a polynomial of degree two
    assert np.abs(limit_of_gap).max() < 1e-4 * np.abs(drift_of(scale, start)).max()


@pytest.mark.parametrize("skewness", ["skew", sp.Symbol("s"), sp.I])
def test_skewness_is_a_real_number(skewness):
    with pytest.raises(DeriveError, match="skewness: expected a"):
        TwoPoint(skewness)


@pytest.mark.parametrize("name", ["third scale", "third-moment scale"])
def test_a_slower_scale_at_a_finite_step_holds_the_motion_of_the_theorem(name):
    """In one iteration the drift of Theorem B moves α²σ² as far, beside what the scale is for."""
    normal = RING * (1 + w1 / 2) * E1**2 / 2
    noisy = UNEVEN + (w1**2 + w2**2) * E1 / 2 + normal + (w1 * E1**3 if "moment" in name else 0)
    limit = derive_limit(ring(noisy, UNEVEN, law=TwoPoint(sp.Rational(3, 2))))
    (scale,) = (s for s in limit.scales() if s.equation.name == name)
    step, s, w = sp.Rational(1, 20), float(GENERIC[sigma]), np.array([0.6, 0.8])
    own = float(scale.time_scale.subs({alpha: 1, sigma: s}))
    moved = drift_of(scale.at_step(step), w) / own
    alone = drift_of(scale, w) / own
    theorem = 0.05 * s**2 * drift_of(limit.at_step(step), w)
    assert np.linalg.norm(theorem) > 0.01 * np.linalg.norm(alone) > 0
    assert moved == pytest.approx(alone + theorem, rel=1e-12)


def test_next_order_equation_has_a_second_order_error():
    """One noisy step from a slow point, on the uneven ring: halving α and σ² quarters the error."""
    descent = Descent(SECOND_ORDER["parameter noise on the ring"])
    limit = derive_limit(descent.problem)
    start = descent.landscape.retract(START[2])
    errors = {"next order": [], "leading order": []}
    for a, s in ((0.008, 0.06), (0.004, 0.06 / np.sqrt(2))):
        end, motion = descent.step_drift(start, s, a)
        for name, equation in (("next order", limit.effective(a, s)), ("leading order", limit)):
            errors[name].append(np.linalg.norm(motion / (a * s**2) - drift_of(equation, end)))
    (coarse, fine), (rough, less_rough) = errors["next order"], errors["leading order"]
    assert 3 < coarse / fine < 5
    assert 1.7 < rough / less_rough < 2.3


@pytest.mark.parametrize("beta", [0, sp.Rational(3, 5)])
def test_momentum_is_that_of_the_iterated_heavy_ball(beta):
    """½ D²Φ[Σ] by differences of the heavy ball's end, in units of 1/(1 − β)²."""
    matrix = sp.Matrix(4, 2, [1, 0, 2, 1, 1, -1, 0, 3]) / 3
    problem = NoisyGradientDescent.from_gradient_noise(CHANNEL, matrix, W, E)
    landscape = Landscape.of(CHANNEL, W)
    w, a, b = landscape.retract(START[4]), 0.1, float(beta)

    def end(x: Array) -> Array:
        now, before = x, np.broadcast_to(w, x.shape)
        for _ in range(3000):
            now, before = now - a * landscape.gradient(now) + b * (now - before), now
        return now

    sigma_matrix = np.array((matrix * matrix.T).tolist(), float)
    truth = (1 - b) ** 2 * second_derivative(end, w, sigma_matrix) / 2
    limit = derive_limit(problem).at_step(sp.Rational(1, 10), beta)
    assert drift_of(limit, w) == pytest.approx(truth, abs=1e-7)
    assert limit.time_scale == (1 - beta) ** 2 / (alpha**2 * sigma**2)


# Trivial as α → 0, not at a step -----------------------------------------------------------------


LEVEL = ((w1**2 + w2**2 - 1) / 2, w1 - w3)
"""ΔL = 3 on Γ, while det₊(1 − αH/2) varies along it."""

LEVEL_LABELS = NoisyGradientDescent(
    sum(r**2 for r in LEVEL) / 2,
    sum((r - e) ** 2 for r, e in zip(LEVEL, E, strict=True)) / 2,
    W[:3],
    E,
)


def test_trivial_limit_moves_at_a_step():
    """Against ½ D²Φ_α[Σ] by iterating descent."""
    limit = derive_limit(LEVEL_LABELS)
    assert limit.outcome is Outcome.TRIVIAL
    assert "1/(α³σ²)" in str(limit)
    landscape, w = Landscape.of(LEVEL_LABELS.loss, W[:3]), np.array([0.6, 0.8, 0.6])
    sigma_matrix = landscape.hessian(w)
    for step in (0.2, 0.5):
        truth = second_derivative(lambda x, a=step: landscape.descent_end(x, a), w, sigma_matrix)
        there = limit.at_step(step)
        assert there.outcome is Outcome.DETERMINISTIC
        assert there.time_scale == 1 / (alpha**2 * sigma**2)
        assert np.linalg.norm(truth) > 0.01
        assert drift_of(there, w) == pytest.approx(truth / 2, abs=1e-7)
        assert np.array(there.drift.subs(dict(zip(W, w, strict=False)))).astype(float)[
            :, 0
        ] == pytest.approx(truth / 2, abs=1e-7)


def test_trivial_limit_names_the_scale_of_its_motion():
    limit = derive_limit(LEVEL_LABELS)
    scale, w = limit.scales()[0], np.array([0.6, 0.8, 0.6])
    assert scale.time_scale == 1 / (alpha**3 * sigma**2)
    small = sp.Rational(1, 10**6)
    expected = drift_of(limit.at_step(small), w) * 1e6
    assert np.linalg.norm(expected) > 0.01
    assert drift_of(scale, w) == pytest.approx(expected, abs=1e-6)
    assert compile_limit(scale).drift(w) == pytest.approx(expected, abs=1e-6)
    assert drift_of(scale.at_step(small), w) == pytest.approx(expected, abs=1e-6)


def test_limit_that_is_trivial_at_every_step_stays_so():
    limit = derive_limit(ring(RING**2 / 8 + RING * E1))
    assert limit.outcome is Outcome.TRIVIAL
    assert limit.at_step(sp.Rational(1, 5)).outcome is Outcome.TRIVIAL
    assert all("alpha**3" not in str(scale.time_scale) for scale in limit.scales())


# Closed forms, listing, refusals ---------------------------------------------------------------


def test_normal_second_moment_on_the_ring_in_closed_form():
    limit = derive_limit(NORMAL_SECOND_MOMENT)
    (scale,) = limit.scales()
    assert limit.outcome is Outcome.TRIVIAL and scale.outcome is Outcome.DETERMINISTIC
    assert scale.time_scale == 1 / (alpha * sigma**4)
    expected = -sp.sin(THETA) * (1 + sp.cos(THETA) / 2) / 2
    assert sp.simplify(scale.intrinsic.drift[0] - expected) == 0
    effective = limit.effective().intrinsic.drift[0]
    assert sp.simplify(effective - sigma**2 * expected) == 0


def test_second_chaos_on_the_ring_is_theorem_b_with_its_covariance():
    a = 2 + w1
    limit = derive_limit(ring(RING**2 / 8 + a * E1 * E2))
    slow, chaos = limit.scales()
    assert limit.outcome is slow.outcome is Outcome.TRIVIAL and slow.time_scale is None
    assert chaos.outcome is Outcome.DIFFUSIVE
    assert chaos.time_scale == 1 / (alpha**2 * sigma**4)
    same = NoisyGradientDescent.from_gradient_noise(
        RING**2 / 8, [a.diff(w1), a.diff(w2)], (w1, w2), (E1,), chart=CIRCLE
    )
    twin = derive_limit(same)
    assert chaos.check(twin.drift, twin.diffusion)


def test_crossover_joins_theorem_b_and_the_third_scale():
    noisy = RING**2 / 8 + (w1**2 + w2**2) * E2 / 2 + RING * (1 + w1 / 2) * E1**2 / 2
    limit = derive_limit(ring(noisy))
    (third,) = limit.scales()
    joined = limit.crossover(sp.Rational(3, 2))
    assert joined.time_scale == 1 / (alpha**2 * sigma**2)
    assert joined.check(limit.drift + sp.Rational(3, 2) * third.drift)


def test_penalties_join_the_drift_of_their_size():
    decay = (w1 - 2 * w2) ** 2 / 2
    noisy = UNEVEN + (w1**2 + w2**2) * E1 / 2
    pull = -sp.Matrix([1, -2]) * (w1 - 2 * w2)
    limit = derive_limit(ring(noisy, UNEVEN))
    along = limit.projector * pull

    strong = derive_limit(ring(noisy, UNEVEN, penalty=sigma**2 * decay))
    assert strong.outcome is Outcome.NON_DEGENERATE
    assert strong.check(along)

    weak = derive_limit(ring(noisy, UNEVEN, penalty=alpha * sigma**2 * decay))
    assert weak.outcome is Outcome.DETERMINISTIC
    assert weak.check(limit.drift + along)
    assert weak.problem.stochastic_gradient[0].has(alpha, sigma)

    with pytest.raises(DeriveError, match="penalty: expected terms of size"):
        ring(noisy, UNEVEN, penalty=sigma * decay)


def test_penalty_in_the_recursion_moves_as_derived():
    noisy = UNEVEN + (w1**2 + w2**2) * E1 / 2
    problem = ring(noisy, UNEVEN, penalty=alpha * sigma**2 * (w1 - 2 * w2) ** 2 / 2)
    descent, limit = Descent(problem), derive_limit(problem).at_step(sp.Rational(1, 10))
    start = descent.landscape.retract(START[2])

    def gap(sigma_: float) -> Array:
        end, motion = descent.step_drift(start, sigma_, 0.1)
        return motion / (0.1 * sigma_) ** 2 - drift_of(limit, end)

    assert np.abs(noiseless(gap, 0.05)).max() < 1e-5


def test_no_slower_scales_beside_a_flow_or_where_nothing_moves():
    assert derive_limit(SECOND_ORDER["parameter noise on the ring"]).scales() == ()
    frozen = NoisyGradientDescent(UNEVEN, UNEVEN * (1 + E1), (w1, w2), E1, law=Gaussian())
    assert derive_limit(frozen).scales() == ()


def test_what_is_not_covered_is_said():
    both = Independent({E1: Minibatch(1, 1), E2: Gaussian()})
    problem = NoisyGradientDescent(UNEVEN, UNEVEN * (1 + E1) + RING**2 * E2, (w1, w2), E, law=both)
    with pytest.raises(NotCoveredError, match="shrinks with σ, but eta1 does not"):
        derive_limit(problem).effective()
    with pytest.raises(NotCoveredError, match="non-degenerate"):
        derive_limit(SECOND_ORDER["parameter noise on the ring"]).crossover(1)


# In the end, and which term rules --------------------------------------------------------------


def test_equilibria_of_a_flow_with_their_stability():
    """Linear scalar noise: θ' = −∂ ¼ log(2 + cos θ) on the unit circle."""
    limit = derive_limit(ring(UNEVEN + (w1**2 + w2**2) * E1 / 2, UNEVEN))
    found = {round(float(e.point[w1])): e for e in equilibria(limit)}
    assert set(found) == {-1, 1}
    assert found[-1].stable is True and found[1].stable is False
    assert float(found[-1].eigenvalues[0]) == pytest.approx(-1 / 4, rel=1e-14)
    assert float(found[1].eigenvalues[0]) == pytest.approx(1 / 12, rel=1e-14)


def test_a_flat_equilibrium_is_neither_stable_nor_repelling():
    """Reg = w₂⁴ on the circle is least where w₂ = 0, but its second derivative vanishes there."""
    limit = derive_limit(ring(RING**2 / 8 + w2**4 * E1**2))
    (found,) = equilibria(limit, [(1, 0)])
    assert found.stable is None


def test_equilibria_are_limits_of_the_flow_in_two_dimensions():
    """Where a stable equilibrium is found the flow ends, and it ends nowhere else."""
    problem = channel((w1**2 + 2 * w2**2 + w1 * w3**2 - w1) * E1**2)
    limit = derive_limit(problem)
    found = equilibria(limit, [(-1.2, 0.1, 0.7, -0.1), (0.5, -0.1, 0.1, 0)])
    (stable,) = (e for e in found if e.stable)
    landscape = Landscape.of(CHANNEL, W)
    slope = array_function(limit.slope, W)
    w = landscape.retract(START[4])
    for _ in range(100):
        w = w - 0.2 * landscape.projector(w) @ slope(w)
        w = landscape.newton_step(landscape.newton_step(w))
    assert [float(stable.point[s]) for s in W] == pytest.approx(list(w), abs=1e-8)
    assert any(e.stable is False for e in found)


def test_a_flow_at_rest_or_with_diffusion_has_no_equilibria():
    additive = ring(UNEVEN + w1 * E1 + w2 * E2, UNEVEN)
    with pytest.raises(DeriveError, match="has diffusion"):
        equilibria(derive_limit(additive))
    with pytest.raises(DeriveError, match="at rest"):
        equilibria(derive_limit(NORMAL_SECOND_MOMENT))


@pytest.mark.parametrize("chart", [CIRCLE, None], ids=["chart", "ambient"])
@pytest.mark.parametrize("step", [0, sp.Rational(1, 20)])
def test_invariant_density_of_additive_noise(chart, step):
    """(det₊H)^{-1/2}, with H (1 − αH/2)⁻¹ for H at a finite step; ΔL = 2(2 + w₁) on the circle."""
    problem = NoisyGradientDescent(UNEVEN, UNEVEN + w1 * E1 + w2 * E2, (w1, w2), E, chart=chart)
    density = invariant_density(derive_limit(problem).at_step(step))
    value = sp.lambdify([w1, w2, THETA], density, modules=["scipy", "numpy"])
    angles = np.array([0.3, 1.1, 2.5, 4.0])
    curvature = 2 * (2 + np.cos(angles))
    expected = (curvature / (1 - float(step) * curvature / 2)) ** -0.5
    ratio = np.array([value(np.cos(t), np.sin(t), t) for t in angles]) / expected
    assert ratio == pytest.approx(np.full(4, ratio[0]), rel=1e-8)


def test_invariant_density_is_refused_where_it_is_not_known():
    with pytest.raises(NotCoveredError, match="no diffusion"):
        invariant_density(derive_limit(NORMAL_SECOND_MOMENT))
    skew = channel(W[0] * E1 + w1 * w2 * E2)
    with pytest.raises(NotCoveredError, match="reversibility is known"):
        invariant_density(derive_limit(skew))


def test_the_ruling_term_changes_with_alpha_and_sigma():
    noisy = UNEVEN + (w1**2 + w2**2) * E2 / 2 + RING * (1 + w1 / 2) * E1**2 / 2
    limit = derive_limit(ring(noisy, UNEVEN))
    found = {term.name: term for term in terms(limit, (0.6, 0.8))}
    assert set(found) == {"Σ", "∇V₂"}
    (third,) = limit.scales()
    here = np.array([0.6, 0.8])
    for name, one in (("Σ", limit), ("∇V₂", third)):
        speed = np.linalg.norm(drift_of(one, here))
        assert found[name].coefficient == pytest.approx(speed, rel=1e-12)
    assert ruling(list(found.values()), 0.1, 0.001).name == "Σ"
    assert ruling(list(found.values()), 0.0001, 0.1).name == "∇V₂"
    assert ruling((), 0.1, 0.1) is None
