"""Work is bounded: models that are not read as sums of squares, large ones, and long charts.

Work is counted in calls of Python functions, which no other process on the machine disturbs; a
second of processor is about five million of them.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable, Sequence

import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, ProblemError, derive_limit
from derive.mechanisms import additive_noise, parameter_noise
from derive.symbolic import effort
from derive.symbolic.calculus import determinant, inverse, semidefinite_factor
from derive.symbolic.ideals import Ideal

SECOND = 5_000_000
"""Calls of functions in a second of processor, from the models below on two processors."""

DERIVED, PRINTED = 20 * SECOND, 5 * SECOND

w1, w2, w3, w4, w5 = sp.symbols("w1:6", real=True)
e1, e2, e3 = sp.symbols("e1:4", real=True)
theta = sp.Symbol("theta", real=True)


def labels(
    loss: sp.Expr, residuals: Sequence[sp.Expr], weights: Sequence[sp.Symbol], near: Sequence[int]
) -> NoisyGradientDescent:
    """Noise along the gradients of the residuals."""
    noise = (e1, e2, e3)[: len(residuals)]
    push = sum(e * r for e, r in zip(noise, residuals, strict=True))
    return NoisyGradientDescent(loss, loss + push, weights, noise, near=near)


def weighted(bent: bool = True) -> tuple[sp.Expr, tuple[sp.Expr, ...]]:
    residuals = (w1**2 + w3**2 - 2, w1 - w2 + (sp.sin(w2) if bent else 0) - 1)
    return (1 + w1**2) * sum(r**2 for r in residuals) / 2, residuals


def saturating(r: sp.Expr) -> sp.Expr:
    return r**2 / (1 + r**2)


R4 = (w1**2 + w3**2 - 2, w1 - w2 + w4**2 - 1)
R5 = (*R4, w5 - w1 * w2)


def sphere(dimension: int) -> NoisyGradientDescent:
    weights = sp.symbols(f"x1:{dimension + 1}", real=True)
    loss = (sum(x**2 for x in weights) - 1) ** 2 * (2 + weights[0]) / 4
    return additive_noise(loss, weights)


def net(dimension: int) -> NoisyGradientDescent:
    weights = sp.symbols(f"x1:{dimension + 1}", real=True)
    half = dimension // 2
    output = sum(
        a * sp.tanh(b * sp.Rational(k, 3))
        for k, (a, b) in enumerate(zip(weights[:half], weights[half:], strict=True), start=1)
    )
    return additive_noise((output - 1) ** 2 / 2, weights)


def stiefel() -> NoisyGradientDescent:
    u, v = sp.Matrix(sp.symbols("u1:4", real=True)), sp.Matrix(sp.symbols("v1:4", real=True))
    loss = ((u.dot(u) - 1) ** 2 + (v.dot(v) - 1) ** 2 + u.dot(v) ** 2) / 2
    return additive_noise(loss, (*u, *v))


def scale_invariant() -> NoisyGradientDescent:
    residual = w1 / sp.sqrt(w1**2 + w2**2 + w3**2) - sp.Rational(3, 5)
    near = (sp.Rational(3, 5), sp.Rational(4, 5), 0)
    return additive_noise(residual**2 / 2, (w1, w2, w3), near=near)


def circle_in_a_chart() -> NoisyGradientDescent:
    loss = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    push = e1 * sp.exp(w1) * w2 + e2 * sp.sin(w1 * w2) + e3 * w1 * w2
    chart = ((theta,), (sp.cos(theta), sp.sin(theta)))
    return NoisyGradientDescent(loss, loss + push, (w1, w2), (e1, e2, e3), chart=chart)


def trace_of_squares() -> NoisyGradientDescent:
    x = sp.Matrix(2, 2, sp.symbols("x11 x12 x21 x22", real=True))
    gap = x * x.T - sp.eye(2)
    return parameter_noise(sp.expand((gap * gap).trace()) / 4, tuple(x), near=(1, 0, 0, 1))


def rational() -> NoisyGradientDescent:
    residual = (w1**2 + w2**2 - 1) / (1 + w1**2 * w2**2)
    return additive_noise(residual**2 * (2 + w1) / (3 + w2**2), (w1, w2))


MODELS: dict[str, Callable[[], NoisyGradientDescent]] = {
    "weighted, with a sine": lambda: labels(*weighted(), (w1, w2, w3), (1, 0, 1)),
    "weighted, additive": lambda: additive_noise(weighted()[0], (w1, w2, w3), near=(1, 0, 1)),
    "saturating": lambda: labels(
        saturating(R4[0]) + 2 * saturating(R4[1]), R4, (w1, w2, w3, w4), (1, 0, 1, 0)
    ),
    "hyperbolic cosines": lambda: labels(
        2 * sp.cosh(R5[0]) + sp.cosh(R5[1]) + 2 * sp.cosh(R5[2]) - 5,
        R5,
        (w1, w2, w3, w4, w5),
        (1, 0, 1, 0, 0),
    ),
    "cosines": lambda: labels(
        3 - sp.cos(R4[0]) - 2 * sp.cos(R4[1]), R4, (w1, w2, w3, w4), (1, 0, 1, 0)
    ),
    "weighted saturating": lambda: labels(
        (1 + w1**2) * sum(map(saturating, R5)), R5, (w1, w2, w3, w4, w5), (1, 0, 1, 0, 0)
    ),
    "logarithms, additive": lambda: additive_noise(
        sum(sp.log(1 + r**2) for r in weighted(bent=False)[1]), (w1, w2, w3), near=(1, 0, 1)
    ),
    "sphere in R^20": lambda: sphere(20),
    "sphere in R^40": lambda: sphere(40),
    "net of 20 weights": lambda: net(20),
    "Stiefel manifold": stiefel,
    "scale-invariant": scale_invariant,
    "chart": circle_in_a_chart,
    "trace of squares": trace_of_squares,
    "rational": rational,
}
FAST = ("saturating", "Stiefel manifold", "chart")


def work(action: Callable[[], object]) -> int:
    """Calls of functions in an action."""
    profile = cProfile.Profile()
    profile.runcall(action)
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in MODELS]
)
def test_deriving_and_printing_are_bounded(name: str) -> None:
    problem = MODELS[name]()
    limits: list[Limit] = []
    assert work(lambda: limits.append(derive_limit(problem))) < DERIVED
    assert work(lambda: str(limits[0])) < PRINTED


@pytest.mark.slow
def test_times(capsys: pytest.CaptureFixture[str]) -> None:
    for name, make in MODELS.items():
        problem, start = make(), time.process_time()
        limit = derive_limit(problem)
        derived = time.process_time()
        str(limit)
        with capsys.disabled():
            print(f"{name:22} {derived - start:6.2f} s, {time.process_time() - derived:6.2f} s")


def test_what_is_short_keeps_its_closed_form() -> None:
    limit = derive_limit(stiefel())
    assert limit.check(limit.drift, limit.diffusion)


def test_operations_are_those_of_the_tree() -> None:
    tower = w1
    for _ in range(60):
        tower = tower + sp.sin(tower)
    assert effort.operations(tower) == 2**61 - 2  # each of 60 floors: two of the one below, + 2
    assert effort.operations(w1 / w2 - 3 * w3) == 3
    assert effort.operations(sp.Matrix([[w1 + w2, 0], [w1 * w2 * w3, 1]])) == 3


def test_operations_of_a_product_are_predicted() -> None:
    left = sp.Matrix([[w1 + w2, 0], [w3, w1]])
    right = sp.Matrix([[w1 * w2, w3], [0, w2 + 1]])
    assert effort.product_operations(left, right) >= effort.operations(left * right)
    assert effort.product_operations(sp.eye(3), sp.eye(3)) == 3


def test_long_matrices_are_not_inverted() -> None:
    terms = sp.Add(*(w1**k * w2 for k in range(2, 700)))
    long = sp.Matrix(3, 3, lambda i, j: terms + i + j**2)
    with pytest.raises(effort.TooLong):
        inverse(long)
    with pytest.raises(effort.TooLong):
        determinant(long)


def test_inverse_by_cofactors() -> None:
    matrix = sp.Matrix([[w1, w2, 1], [0, w3, w1], [w2, 1, 2]])
    product = (matrix * inverse(matrix)).applyfunc(sp.cancel)
    assert product == sp.eye(3)
    assert sp.expand(determinant(matrix) - matrix.det()) == 0


def test_long_factors_are_not_sought() -> None:
    long = sum(sp.sin(k * w1) * w2**k for k in range(1, 60)) ** 2
    with pytest.raises(effort.TooLong):
        semidefinite_factor(sp.Matrix([[1 + long, w1], [w1, 1]]))


def test_long_entries_stay_as_they_are() -> None:
    circle = Ideal((w1**2 + w2**2 - 1,), (w1, w2))
    long = sum(sp.Rational(1, k) / (w1 - k) ** k for k in range(1, 80)) + w1**2 + w2**2
    assert circle.shortest(long) == long
    assert circle.shortest_entries(sp.Matrix([long, w1**2 + w2**2])) == sp.Matrix([long, 1])


def test_many_squares_are_one_on_the_sphere() -> None:
    weights = sp.symbols("x1:41", real=True)
    total = sum(x**2 for x in weights)
    assert Ideal((total - 1,), weights).shortest(total) == 1


def test_a_long_covariance_is_looked_at_on_the_manifold() -> None:
    loss = (w1**2 + w2**2 - 1) ** 2 / 8
    long = 1 + sum(sp.sin(k * w1) * w2**k for k in range(1, 60)) ** 2
    given = sp.Matrix([[long, 0], [0, 1]])
    limit = derive_limit(NoisyGradientDescent.from_gradient_noise(loss, given, (w1, w2)))
    assert limit.outcome.value == "diffusive"
    with pytest.raises(ProblemError, match="not positive semi-definite at"):
        derive_limit(NoisyGradientDescent.from_gradient_noise(loss, w1 * given, (w1, w2)))
