"""Noise laws: their Lévy pairs, against their definitions, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    ProblemError,
    Rademacher,
    Sphere,
    TwoPoint,
    Uniform,
)
from derive.laws.expansions import Jump
from derive.laws.law import Law
from derive.reading import exact
from tests.truth import oracles

a, b, c = NOISE = sp.symbols("a b c", real=True)
rho = sp.Symbol("rho", real=True)
CORRELATED = sp.ImmutableMatrix([[2, 1, 0], [1, 1, 0], [0, 0, 3]])


def total_covariance(law: Law, dimension: int) -> np.ndarray:
    """C + ∫ z zᵀ dν."""
    pair = law.levy_pair(dimension)
    jumps = [j.rate * j.displacement * j.displacement.T for j in pair.jumps]
    return np.array(sum(jumps, sp.Matrix(pair.covariance)), float)


@pytest.mark.parametrize(
    "law",
    [
        Gaussian(),
        Gaussian(CORRELATED),
        Rademacher(),
        Uniform(),
        Bernoulli(),
        Independent({(c, a): Gaussian([[1, 1], [1, 1]]), b: Bernoulli()}),
    ],
    ids=str,
)
def test_levy_pair_has_the_covariance_of_the_draws(law):
    problem = NoisyGradientDescent(rho**2, rho**2 + a + b + c, rho, NOISE, law=law)
    values, probabilities = oracles.draws(law, NOISE, 0.3)
    drawn = np.einsum("k,ki,kj->ij", probabilities, values, values) / 0.09
    pair = problem.levy_pair
    stated = sp.Matrix(pair.covariance)
    for jump in pair.jumps:
        stated += jump.rate * jump.displacement * jump.displacement.T
    assert np.array(stated, float) == pytest.approx(drawn, abs=1e-14)


@pytest.mark.parametrize("replacement", [False, True])
def test_minibatch_covariance_is_that_of_the_draws(replacement):
    law = Minibatch(3, 2, replacement)
    values, probabilities = oracles.draws(law, NOISE, 0.3)
    drawn = np.einsum("k,ki,kj->ij", probabilities, values, values)
    assert total_covariance(law, 3) == pytest.approx(drawn, abs=1e-14)
    assert not law.shrinks


def test_a_single_sample_has_no_sampling_noise():
    assert Minibatch(1, 1).levy_pair(1).covariance == sp.zeros(1)


def test_bernoulli_jumps_to_minus_one_in_each_coordinate():
    pair = Bernoulli().levy_pair(2)
    assert pair.covariance == sp.zeros(2)
    assert [tuple(j.displacement) for j in pair.jumps] == [(-1, 0), (0, -1)]
    assert [j.rate for j in pair.jumps] == [1, 1]


@pytest.mark.parametrize(
    ("law", "fourth_moment"), [(Gaussian, 3), (Rademacher, 1), (Uniform, sp.Rational(9, 5))]
)
def test_kurtosis_is_the_fourth_moment(law, fourth_moment):
    assert law.kurtosis == fourth_moment
    if law is not Gaussian:
        values, probabilities = oracles.draws(law(), (a,), 1.0)
        assert probabilities @ values[:, 0] ** 4 == pytest.approx(float(fourth_moment), rel=1e-12)


def test_floats_are_read_as_typed():
    assert exact(0.1) == sp.Rational(1, 10)
    assert Gaussian([[0.3]]).covariance[0, 0] == sp.Rational(3, 10)


@pytest.mark.parametrize(
    ("law", "bound"),
    [
        (Gaussian(), Gaussian()),
        (Bernoulli(), Bernoulli()),
        (
            Gaussian([[1, rho], [rho, 1]]),
            Gaussian([[1, sp.Rational(1, 2)], [sp.Rational(1, 2), 1]]),
        ),
        (Minibatch(4, sp.Symbol("rho", real=True)), None),
        (CustomLaw([[rho**2]], [((rho,), 2)]), CustomLaw([[sp.Rational(1, 4)]], [((0.5,), 2)])),
        (
            Independent({a: Gaussian([[rho]]), b: Bernoulli()}),
            Independent({a: Gaussian([[0.5]]), b: Bernoulli()}),
        ),
    ],
    ids=str,
)
def test_parameters_of_a_law_can_be_bound(law, bound):
    if bound is None:
        assert law.subs({rho: 2}) == Minibatch(4, 2)
    else:
        assert law.subs({rho: sp.Rational(1, 2)}) == bound


REFUSED = {
    "covariance that is no matrix": (lambda: Gaussian("large"), "covariance: expected a square"),
    "covariance that is not square": (lambda: Gaussian([[1, 0]]), r"covariance: .* shape \(1, 2\)"),
    "asymmetric covariance": (
        lambda: Gaussian([[1, 1], [0, 1]]),
        "covariance: .* not symmetric positive semi-definite",
    ),
    "indefinite covariance": (
        lambda: Gaussian([[1, 2], [2, 1]]),
        "covariance: .* not symmetric positive semi-definite",
    ),
    "negative variance": (lambda: Gaussian([[-1]]), "covariance: .* not symmetric positive"),
    "zero variance with covariances": (
        lambda: CustomLaw([[0, 1], [1, 0]]),
        "covariance: .* not symmetric positive",
    ),
    "covariance of another size": (
        lambda: Gaussian(CORRELATED).levy_pair(2),
        "law: Gaussian is a law of 3 noise coordinates, but `noise` names 2",
    ),
    "custom law of another size": (
        lambda: CustomLaw(CORRELATED).levy_pair(1),
        "law: CustomLaw is a law of 3 .* `noise` names 1",
    ),
    "minibatch of another size": (
        lambda: Minibatch(4, 1).levy_pair(3),
        "law: Minibatch is a law of 4 .* `noise` names 3",
    ),
    "product of another size": (
        lambda: Independent({a: Gaussian()}).levy_pair(3),
        "law: Independent is a law of 1 .* `noise` names 3",
    ),
    "no samples": (lambda: Minibatch(0, 1), "samples: expected a positive integer, got 0"),
    "half a sample": (lambda: Minibatch(1.5, 1), "samples: expected a positive integer, got 1.5"),
    "samples that are no number": (lambda: Minibatch("(", 1), "samples: expected"),
    "batch larger than the data": (
        lambda: Minibatch(3, 4),
        "batch_size: expected an integer from 1 to samples = 3, got 4",
    ),
    "empty batch": (lambda: Minibatch(3, 0, True), "batch_size: .* or more, got 0"),
    "jump without a rate": (
        lambda: CustomLaw([[1]], [3]),
        r"jumps: expected pairs \(z, rate\), got 3",
    ),
    "jump of another size": (
        lambda: CustomLaw([[1]], [((1, 2), 1)]),
        "jumps: expected z with 1 entries and a positive rate",
    ),
    "ready-made jump of another size": (
        lambda: CustomLaw([[1]], [Jump(sp.ImmutableMatrix([1, 2]), sp.Integer(1))]),
        "jumps: expected z with 1 entries and a positive rate",
    ),
    "negative rate": (
        lambda: CustomLaw([[1]], [((1,), -1)]),
        "jumps: expected z with 1 entries and a positive rate",
    ),
    "group without a law": (
        lambda: Independent({a: 0.3}),
        r"law: expected a Law for \(a,\), got 0.3",
    ),
    "a product in a product": (
        lambda: Independent({(a, b): Independent({a: Gaussian(), b: Bernoulli()})}),
        r"law: expected a Law for \(a, b\), got Independent",
    ),
    "groups that are no mapping": (
        lambda: Independent(Gaussian()),
        r"groups: expected \{symbols: law, \.\.\.\}, got Gaussian",
    ),
    "a symbol in two groups": (
        lambda: Independent({a: Gaussian(), (a, b): Bernoulli()}),
        "groups: a given more than once",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_a_message_that_names_the_argument(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


@pytest.mark.parametrize("skewness", [0, sp.Rational(3, 2), -2])
def test_a_two_point_law_has_the_stated_skewness(skewness):
    """E η = 0, E η² = 1 and E η³ = s of the values a and −1/a, with 1/(1 + a²) and a²/(1 + a²)."""
    value = TwoPoint(skewness).value
    first, second = 1 / (1 + value**2), value**2 / (1 + value**2)
    moments = [first * value**k + second * (-1 / value) ** k for k in (1, 2, 3)]
    assert [sp.simplify(m) for m in moments] == [0, 1, skewness]


@pytest.mark.parametrize("d", [1, 2, 5])
def test_moments_on_a_sphere(d: int) -> None:
    """x₁² is d times a variable of the law Beta(½, (d − 1)/2), and Σ x_j² = d."""
    sphere = Sphere()
    for k in range(4):
        exact = sp.Mul(*(sp.Rational(1 + 2 * i, d + 2 * i) * d for i in range(k)))
        assert sphere.joint_moment((2 * k, *[0] * (d - 1))) == exact
    squares = 2 * np.eye(d, dtype=int)
    assert sum(sphere.joint_moment(tuple(map(int, squares[0] + square))) for square in squares) == d
