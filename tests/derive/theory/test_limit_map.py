"""The theorem for any update rule, against iterated maps and against the formulas of descent."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import Outcome
from derive.analysis.agreement import PointwiseLimit
from derive.equation.coefficients import leading_equation
from derive.symbolic.calculus import gradient
from derive.symbolic.numbers.matrices import Matrix, blocks, identity, zeros
from derive.symbolic.numbers.roots import WORKING_DIGITS, evaluator
from derive.theory.limit_map import SlowMotion
from derive.theory.map_jets import MapJet, linear_jet, sequence
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived
from tests.truth.oracles import derivative, second_derivative

TRUNCATION = 1e-7
"""Of the finite differences of `truth.oracles`, for maps with large sixth derivatives."""


def numbers(array: np.ndarray) -> mpmath.matrix:
    return mpmath.matrix(np.atleast_2d(array).tolist())


def floats(matrix: mpmath.matrix) -> np.ndarray:
    return np.array(matrix.tolist(), float)


# A random map of the plane that fixes the parabola y = x² point by point.

OUTCOMES = (-1.0, 1.0, 2.0)
CHANCES = (0.5, 0.25, 0.25)
POINT = np.array([0.6, 0.36])
NORMALS = np.array([[-1.2, 1.0]])


def step(z: np.ndarray, xi: float, s: float = 0.0, kick: float = 0.0) -> np.ndarray:
    """Moves by (y − x²) times a direction that depends on the place and the draw, and by noise."""
    x, y = z[..., 0], z[..., 1]
    off = y - x**2
    pull = np.stack([0.1 + 0.2 * xi * y + off, 0.5 + 0.3 * xi - 0.2 * x], axis=-1)
    push = np.stack([kick * (1 + x * xi), kick * y], axis=-1)
    drift = np.stack([xi * x - y, 0.3 * x**2 + xi**2], axis=-1)
    return z - off[..., None] * pull + s * push + s**2 * drift


def pull_and_slope(xi: float) -> tuple[np.ndarray, np.ndarray]:
    """What y − x² is multiplied by in a step, and its derivative, at the point."""
    x, y = POINT
    pull = np.array([0.1 + 0.2 * xi * y, 0.5 + 0.3 * xi - 0.2 * x])
    return pull, np.array([[-2 * x, 1 + 0.2 * xi], [-0.2, 0.0]])


def exact_jet(outcomes: Sequence[float] = OUTCOMES, chances: Sequence[float] = CHANCES) -> MapJet:
    """The kick is ±1 with probability ½, independent of ξ."""
    x, y = POINT
    draws = list(zip(chances, outcomes, strict=True))
    first = [(p, numbers(np.eye(2) - np.outer(pull_and_slope(xi)[0], NORMALS))) for p, xi in draws]
    push = [(p, np.array([1 + x * xi, y])) for p, xi in draws]
    drift = [(p, np.array([xi * x - y, 0.3 * x**2 + xi**2])) for p, xi in draws]
    parts = [(p, *pull_and_slope(xi)) for p, xi in draws]
    pull, slope = sum(p * a for p, a, _ in parts), sum(p * d for p, _, d in parts)

    def second(x: mpmath.matrix) -> mpmath.matrix:
        s = floats(x)
        return numbers(2 * s[0, 0] * pull - 2 * slope @ s @ NORMALS[0]).T

    return MapJet(
        sum((p * a for p, a in first), mpmath.zeros(2)),
        lambda x: sum((p * a * x * a.T for p, a in first), mpmath.zeros(2)),
        second,
        numbers(sum(p * v for p, v in drift)).T,
        numbers(sum(p * np.outer(v, v) for p, v in push)),
    )


def two_steps_moments(s: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and second moment of the displacement after two steps, by enumeration."""
    draws = list(itertools.product(zip(OUTCOMES, CHANCES, strict=True), (-1.0, 1.0)))
    mean, square = np.zeros(2), np.zeros((2, 2))
    for ((xi, p), kick), ((xi2, p2), kick2) in itertools.product(draws, draws):
        moved = step(step(POINT, xi, s, kick), xi2, s, kick2) - POINT
        weight = p * p2 / 4
        mean += weight * moved
        square += weight * np.outer(moved, moved)
    return mean / s**2, square / s**2


def richardson(at: Callable[[float], np.ndarray]) -> np.ndarray:
    """Limit s → 0 of a quantity that is smooth in s²."""
    table = [at(0.02 / 2**k) for k in range(4)]
    for order in range(1, 4):
        table = [
            (4**order * fine - coarse) / (4**order - 1)
            for coarse, fine in itertools.pairwise(table)
        ]
    return table[0]


def test_jets_compose_as_two_steps_do():
    twice = exact_jet().repeated(2)
    bias = richardson(lambda s: two_steps_moments(s)[0])
    noise = richardson(lambda s: two_steps_moments(s)[1])
    assert floats(twice.bias)[:, 0] == pytest.approx(bias, abs=TRUNCATION)
    assert floats(twice.noise) == pytest.approx(noise, abs=TRUNCATION)
    without = twice.bias - exact_jet().second(exact_jet().noise) / 2
    assert np.abs(floats(without)[:, 0] - bias).max() > 0.01, "½D²₂[S₁] would be missed"


def test_slow_motion_is_what_many_steps_do():
    """E z_k and E z_k z_kᵀ grow by the drift and Θ for each step, once the rest has settled."""
    jet = exact_jet()
    long, longer = jet.repeated(256), jet.repeated(512)
    motion = SlowMotion(jet, numbers(NORMALS))
    drift = (longer.bias - long.bias) / 256
    spread = (longer.noise - long.noise) / 256
    assert floats(motion.drift) == pytest.approx(floats(drift), abs=TRUNCATION)
    assert floats(motion.spread) == pytest.approx(floats(spread), abs=TRUNCATION)
    assert floats(motion.projector) == pytest.approx(floats(long.mean), abs=TRUNCATION)


def test_mean_map_in_place_of_the_random_one_would_be_seen():
    jet = exact_jet()
    frozen = MapJet(jet.mean, linear_jet(jet.mean).pair, jet.second, jet.bias, jet.noise)
    true, false = (SlowMotion(j, numbers(NORMALS)) for j in (jet, frozen))
    assert mpmath.norm(true.drift - false.drift) > 0.02
    assert mpmath.mnorm(true.spread - false.spread, "f") > 1e-3


def test_iterated_map_has_the_drift_of_its_end_point():
    """Without randomness of fixed size: drift = DΦ b + ½ D²Φ[S], by iterating the map."""

    def end(z: np.ndarray) -> np.ndarray:
        for _ in range(200):
            z = step(z, 1.0)
        return z

    jet = exact_jet([1.0], [1.0])
    motion = SlowMotion(jet, numbers(NORMALS))
    slope, bias = derivative(end, POINT), floats(jet.bias)[:, 0]
    expected = slope @ bias + second_derivative(end, POINT, floats(jet.noise)) / 2
    assert floats(motion.drift)[:, 0] == pytest.approx(expected, abs=TRUNCATION)
    assert floats(motion.projector) == pytest.approx(slope, abs=TRUNCATION)
    orthogonal = np.eye(2) - np.linalg.pinv(NORMALS) @ NORMALS
    assert np.abs(floats(motion.projector) - orthogonal).max() > 0.1, "P is oblique"


def test_steps_and_copies():
    """n steps have n times the drift of one; copies that nothing shakes are one."""
    jet = exact_jet()
    one, five = (SlowMotion(j, numbers(NORMALS)) for j in (jet, jet.repeated(5)))
    assert floats(five.drift) == pytest.approx(5 * floats(one.drift), abs=1e-11)
    assert floats(five.spread) == pytest.approx(5 * floats(one.spread), abs=1e-11)
    copies = SlowMotion(jet.mean_of_copies(3), numbers(NORMALS))
    assert mpmath.norm(copies.drift - one.drift) > 0.01


def test_average_beside_the_state_changes_nothing():
    """(z, w̄) with w̄' = w̄ + κ(z' − w̄) moves as z does, w̄ with it."""
    jet, kappa = exact_jet(), 0.3
    eye = mpmath.eye(2)
    mix = blocks(eye, [[eye, zeros(eye, 2, 2)], [kappa * eye, (1 - kappa) * eye]])
    both = sequence(jet.beside(2), linear_jet(mix))
    normals = blocks(
        eye, [[numbers(NORMALS), numbers(np.zeros((1, 2)))], [-1 * eye, identity(eye, 2)]]
    )
    one, two = SlowMotion(jet, numbers(NORMALS)), SlowMotion(both, normals)
    assert floats(two.drift)[:2] == pytest.approx(floats(one.drift), abs=1e-11)
    assert floats(two.drift)[2:] == pytest.approx(floats(one.drift), abs=1e-11)
    assert floats(two.spread)[2:, 2:] == pytest.approx(floats(one.spread), abs=1e-11)


# Descent and heavy ball, against the formulas in an eigenbasis of H.


def descent_jet(
    hessian: Matrix,
    third: Callable[[Matrix], Matrix],
    moments: tuple[Matrix, Matrix],
    alpha: Any,
    beta: Any,
) -> MapJet:
    """m' = βm + ∇L̂, w' = w − αm'; plain descent has no m."""
    slope, covariance = moments
    n, eye = hessian.rows, identity(hessian, hessian.rows)
    lever = blocks(eye, [[-alpha * eye], [eye]]) if beta else -alpha * eye
    first = blocks(eye, [[eye, -alpha * beta * eye], [0 * eye, beta * eye]]) if beta else eye
    pick = blocks(eye, [[eye, 0 * eye]]) if beta else eye
    mean = first + lever * hessian * pick
    return MapJet(
        mean,
        linear_jet(mean).pair,
        lambda x: lever * third(x[:n, :n]),
        lever * slope,
        lever * covariance * lever.T,
    )


@pytest.mark.parametrize("beta", [0, 0.6])
@pytest.mark.parametrize("entry", CATALOGUE, ids=str)
def test_equals_the_formulas_of_descent(entry: Entry, beta: float):
    """−P∇Reg + (α/2) D²Φ_α[Σ] and √α P S in time kασ², with momentum and without."""
    limit, n = derived(entry.problem), entry.problem.dimension
    equation = leading_equation(Outcome.NON_DEGENERATE, limit.moments, limit.problem.law)
    equation = replace(
        equation, step=sp.Rational(str(entry.alpha)), momentum=sp.Rational(str(beta))
    )
    fast = PointwiseLimit(replace(limit, equation=equation))
    slopes = evaluator(
        limit.manifold.symbols, gradient(limit.moments.regularizer, entry.problem.weights)
    )
    noise = evaluator(limit.manifold.symbols, list(limit.moments.covariance))
    with mpmath.workdps(WORKING_DIGITS):
        alpha, beta = mpmath.mpf(str(entry.alpha)), mpmath.mpf(str(beta))
        for g in itertools.islice(limit.manifold.local(), 2):
            entries = noise(g.point)
            jet = descent_jet(
                mpmath.matrix(g.jet.hessian()),
                lambda x, g=g: mpmath.matrix(g.jet.third(x)),
                (
                    mpmath.matrix(slopes(g.point)),
                    mpmath.matrix([entries[i * n :][:n] for i in range(n)]),
                ),
                alpha,
                beta,
            )
            normals = mpmath.matrix(g.basis)
            if beta:
                eye = mpmath.eye(n)
                normals = blocks(eye, [[normals, 0 * normals], [0 * eye, eye]])
            motion, scale = SlowMotion(jet, normals), alpha / (1 - beta)
            same(motion.drift[:n, 0] / scale, fast.drift(g))
            same(motion.spread[:n, :n] / scale, fast.spread(g))


def test_momentum_symbolically():
    """ℒ(X) = HX + XH − τHXH + γ[H,[H,X]] comes out of the general theorem."""
    alpha, beta, one, two = sp.symbols("alpha beta lambda1 lambda2", positive=True)
    hessian, along = sp.diag(one, two, 0), sp.diag(0, 0, 1)
    noise = sp.Matrix(3, 3, lambda i, j: 3 if i == j else i + j)
    jet = descent_jet(hessian, lambda x: sp.zeros(3, 1), (sp.zeros(3, 1), noise), alpha, beta)
    normals = sp.eye(6)
    normals.row_del(2)
    x = SlowMotion(jet, normals).covariance[:3, :3] * (1 - beta) / alpha
    tau, gamma = alpha / (1 + beta), alpha * beta / ((1 - beta) ** 2 * (1 + beta))
    turn = hessian * x - x * hessian
    left = hessian * x + x * hessian - tau * hessian * x * hessian
    left += gamma * (hessian * turn - turn * hessian)
    assert (left - noise + along * noise * along).applyfunc(sp.cancel) == sp.zeros(3)


def same(given: mpmath.matrix, expected: mpmath.matrix) -> None:
    """To twelve digits."""
    assert mpmath.mnorm(given - expected, "f") <= 1e-12 * (1 + mpmath.mnorm(expected, "f"))


@pytest.mark.parametrize("copies", [2, 3])
def test_the_mean_of_copies_has_the_mean_of_their_random_derivatives(copies: int) -> None:
    """E Ā X Āᵀ over all draws of independent A that take either of two values."""
    values = [sp.Matrix([[1, 2], [0, 3]]), sp.Matrix([[-1, 1], [2, 0]])]
    noise, x = sp.Matrix([[2, 1], [1, 4]]), sp.Matrix([[3, 1], [1, 5]])

    def over(matrices: Sequence[sp.Matrix], y: sp.Matrix) -> sp.Matrix:
        return sum((a * y * a.T for a in matrices), sp.zeros(2)) / len(matrices)

    mean = (values[0] + values[1]) / 2
    nothing = sp.zeros(2, 1)
    jet = MapJet(mean, lambda y: over(values, y), lambda y: nothing, nothing, noise, varies=True)
    found = jet.mean_of_copies(copies)
    draws = itertools.product(values, repeat=copies)
    expected = over([sum(draw, sp.zeros(2)) / copies for draw in draws], x)
    assert found.pair(x) == expected != jet.pair(x)
    assert found.noise == noise / copies
