"""Steps of rules that are linear in the gradient, and the change of variables of a preconditioner.

Both against the catalogue: models derived under the optimizer, entry by entry.
"""

import itertools
from dataclasses import replace

import mpmath
import pytest
import sympy as sp

from derive import (
    Limit,
    NoisyGradientDescent,
    NotCoveredError,
    Outcome,
    alpha,
    derive_limit,
)
from derive.analysis.agreement import pointwise
from derive.general.modes import FIRST, SECOND, Modes, effective_step
from derive.model.optimized import rule_of
from derive.optimizers import (
    GradientDescent,
    Nesterov,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
    WeightAverage,
)
from derive.optimizers.optimizer import Draw, HeavyBall, Optimizer, Vector
from derive.symbolic.numbers.roots import WORKING_DIGITS
from derive.theory.katzenberger import Relaxation
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived

beta = sp.Symbol("beta", real=True)
HALF = sp.Rational(1, 2)
LIMITED = mpmath.mpf(10) ** -20
"""Of the limit α → 0 of a rule, which is extrapolated with fifty digits."""


class AveragedMomentum(HeavyBall):
    """m' = βm + (1 − β)g."""

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        slopes = draw.gradient(weights)
        after = [self.beta * m + (1 - self.beta) * g for m, g in zip(memory, slopes, strict=True)]
        return [w - alpha * m for w, m in zip(weights, after, strict=True)], after


STEPS = {
    GradientDescent(): alpha,
    HeavyBall(beta): alpha / (1 - beta),
    HeavyBall(HALF): 2 * alpha,
    Nesterov(beta): alpha / (1 - beta),
    AveragedMomentum(beta): alpha,
}


@pytest.mark.parametrize("optimizer", STEPS, ids=str)
def test_the_step_is_that_of_the_theory(optimizer: Optimizer) -> None:
    assert sp.simplify(effective_step(optimizer) - STEPS[optimizer]) == 0
    assert sp.simplify(effective_step(optimizer) - 2 * STEPS[optimizer]) != 0


REFUSED = (
    *(SharpnessAware(HALF), RandomCoordinates(1), WeightAverage(HALF)),
    HeavyBall(1 - sp.sqrt(alpha)),
)


@pytest.mark.parametrize("optimizer", REFUSED, ids=str)
def test_rules_with_another_limit_are_refused(optimizer: Optimizer) -> None:
    """A gradient uphill, randomness of its own, other rules inside, and underdamped momentum."""
    with pytest.raises(NotCoveredError, match="optimizer"):
        effective_step(optimizer)


def test_covariance_of_one_curvature_is_the_relaxation_of_the_theory() -> None:
    """2λ − αλ²/(1 + β), in units of the effective step."""
    modes = Modes.of(HeavyBall(beta))
    same = modes.across.subs(SECOND, FIRST)
    response = Relaxation.of(alpha, beta).response(FIRST, FIRST)
    assert sp.simplify(same / modes.along - response) == 0


# Over the catalogue -----------------------------------------------------------------------------

QUICK = {"parameter noise on the uneven ring"}
ENTRIES = [
    pytest.param(e, marks=() if e.name in QUICK else pytest.mark.slow)
    for e in CATALOGUE
    if e.outcome not in ("trivial", "frozen")
]


def under(problem: NoisyGradientDescent, optimizer: Optimizer) -> Limit:
    """By the theorem for any rule, whatever is known of the optimizer."""
    return derive_limit(rule_of(replace(problem, optimizer=optimizer)))


def assert_equal(given: mpmath.matrix, expected: mpmath.matrix) -> None:
    assert mpmath.mnorm(given - expected, "f") < LIMITED * (1 + mpmath.mnorm(expected, "f"))


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_heavy_ball_has_the_limit_of_descent_with_its_step(entry: Entry) -> None:
    known, found = derived(entry.problem), under(entry.problem, HeavyBall(HALF))
    assert found.outcome is known.outcome
    power = 1 if known.outcome is Outcome.NON_DEGENERATE else 2
    rate = mpmath.mpf(str(effective_step(HeavyBall(HALF)) / alpha)) ** power
    with mpmath.workdps(WORKING_DIGITS):
        plain, heavy = pointwise(known), pointwise(found)
        places = list(itertools.islice(known.manifold.local(), 3))
        for g in places:
            assert_equal(heavy.drift(g), rate * plain.drift(g))
            assert_equal(heavy.spread(g), rate * plain.spread(g))
        with pytest.raises(AssertionError):  # not at every point: some are equilibria
            for g in places:
                assert_equal(heavy.drift(g), plain.drift(g))


def stretched(problem: NoisyGradientDescent, root: sp.Matrix) -> NoisyGradientDescent:
    """The problem of v, for w = R v."""
    w = sp.Matrix(problem.weights)
    put = dict(zip(problem.weights, root * w, strict=True))
    near = problem.near and tuple(root.inv() * sp.Matrix(problem.near))
    if problem.noisy_loss is None:
        matrix = root * sp.Matrix(problem.noise_matrix).subs(put, simultaneous=True)
        return replace(
            problem,
            loss=problem.loss.subs(put, simultaneous=True),
            noise_matrix=sp.ImmutableMatrix(matrix),
            near=near,
            constraints=None,
        )
    loss, noisy = (e.subs(put, simultaneous=True) for e in (problem.loss, problem.noisy_loss))
    return replace(problem, loss=loss, noisy_loss=noisy, near=near, constraints=None)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_preconditioner_is_descent_in_other_variables(entry: Entry) -> None:
    """Ω = R²: the limit of v, for w = R v, turned back, and not that of w."""
    problem = entry.problem
    size = problem.dimension
    root = sp.eye(size) + sp.ones(size) / 4 + sp.diag(*(sp.Rational(k, 5) for k in range(size)))
    found, turned = under(problem, Preconditioned(root**2)), derive_limit(stretched(problem, root))
    assert found.outcome is turned.outcome
    with mpmath.workdps(WORKING_DIGITS):
        r = mpmath.matrix(root.tolist())
        pairs = []
        for g in itertools.islice(derived(problem).manifold.local(), 3):
            v = turned.manifold.probe.geometry(tuple(mpmath.inverse(r) * mpmath.matrix(g.point)))
            other, own = pointwise(turned), pointwise(found)
            assert_equal(own.drift(g), r * other.drift(v))
            assert_equal(own.spread(g), r * other.spread(v) * r.T)
            pairs.append((own.drift(g), other.drift(v)))
        with pytest.raises(AssertionError):
            for pair in pairs:
                assert_equal(*pair)
