"""Lévy pairs, Reg and Σ against exact expectations over the definition of each law.

Expectations of polynomials are exact, with q = σ² or the batch size B left symbolic.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping

import pytest
import sympy as sp

from derive import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    Rademacher,
    Sphere,
    Uniform,
)
from derive.laws.law import Law
from derive.noise.moments import noise_moments

a, b, c = NOISE = sp.symbols("a b c", real=True)
u, v = WEIGHTS = sp.symbols("u v", real=True)
q = sp.Symbol("q", positive=True)
B = sp.Symbol("B", positive=True)
ORDER = 6
"""Highest degree in the noise."""

Moment = Callable[[tuple[int, ...]], sp.Expr]
"""Exponents of a monomial of the noise ↦ its expectation, in q = σ²."""


def product(coordinate: Callable[[int], sp.Expr]) -> Moment:
    """Moments of independent, identically distributed coordinates."""
    return lambda powers: sp.Mul(*(coordinate(k) for k in powers))


def dropped(k: int) -> sp.Expr:
    """E η^k of one Bernoulli coordinate: −1 with probability p = q/(1 + q), else p/(1 − p) = q."""
    return (q * (-1) ** k + q**k) / (1 + q)


def even(outer: Callable[[int], sp.Expr]) -> Moment:
    """Moments of independent symmetric coordinates."""
    return product(lambda k: sp.Integer(0) if k % 2 else q ** (k // 2) * outer(k))


def on_sphere(powers: tuple[int, ...]) -> sp.Expr:
    """Moments on the sphere of radius √(3q), by Archimedes: z is uniform, whatever the angle."""
    if any(k % 2 for k in powers):
        return sp.Integer(0)
    i, j, k = powers
    turns = sp.factorial2(i - 1) * sp.factorial2(j - 1) / sp.factorial2(i + j)
    height = sum(  # the mean of (1 − z²)^((i + j)/2) z^k
        sp.Rational((-1) ** m * sp.binomial((i + j) // 2, m), 2 * m + k + 1)
        for m in range((i + j) // 2 + 1)
    )
    return (3 * q) ** (sum(powers) // 2) * turns * height


def generated(cumulants: Callable[[tuple[sp.Symbol, ...]], sp.Expr]) -> Moment:
    """Moments from the logarithm of the moment generating function in t."""
    t, scale = sp.symbols("t1:4"), sp.Symbol("scale")
    logarithm = sp.Poly(sp.expand(cumulants(tuple(scale * x for x in t))), scale)
    series = [sp.Integer(1)]
    for n in range(1, ORDER + 1):  # M' = (log M)' M, by orders of the scale
        parts = [k * logarithm.coeff_monomial(scale**k) * series[n - k] for k in range(1, n + 1)]
        series.append(sp.expand(sp.Add(*parts) / n))
    terms = sp.Poly(sp.Add(*series), *t)

    def moment(powers: tuple[int, ...]) -> sp.Expr:
        return terms.coeff_monomial(powers) * sp.Mul(*(sp.factorial(k) for k in powers))

    return moment


SINGULAR = sp.Matrix([[1, 1, 0], [1, 1, 0], [0, 0, 2]])
JUMPS = (((1, 0, -2), 3), ((sp.Rational(1, 2), -1, 1), sp.Rational(1, 4)))


def normal_part(t: tuple[sp.Expr, ...], covariance: sp.Matrix) -> sp.Expr:
    return q * (sp.Matrix([t]) * covariance * sp.Matrix(t))[0] / 2


def exponential(x: sp.Expr) -> sp.Expr:
    """e^x as far as the polynomials reach."""
    return sp.Add(*(x**k / sp.factorial(k) for k in range(ORDER + 1)))


def poisson_part(t: tuple[sp.Expr, ...]) -> sp.Expr:
    """Σ_m log E exp(t·z (N − qν)) for Poisson variables N of mean qν."""
    total = sp.Integer(0)
    for z, rate in JUMPS:
        push = sp.Add(*(x * y for x, y in zip(t, z, strict=True)))
        total += q * rate * (exponential(push) - 1 - push)
    return total


PAIR_COVARIANCE = sp.Matrix([[1, 1, 0], [1, 2, 0], [0, 0, 0]])
PAIR = generated(lambda t: normal_part(t, PAIR_COVARIANCE))

LAWS: Mapping[str, tuple[Law, Moment]] = {
    "normal": (Gaussian(), even(lambda k: sp.factorial2(k - 1))),
    "singular normal": (Gaussian(SINGULAR), generated(lambda t: normal_part(t, SINGULAR))),
    "signs": (Rademacher(), even(lambda k: sp.Integer(1))),
    "sphere": (Sphere(), on_sphere),
    "uniform": (Uniform(), even(lambda k: sp.sqrt(3) ** k / sp.Integer(k + 1))),
    "Bernoulli": (Bernoulli(), product(dropped)),
    "normal with jumps": (
        CustomLaw(SINGULAR, JUMPS),
        generated(lambda t: normal_part(t, SINGULAR) + poisson_part(t)),
    ),
    "a product": (
        Independent({(c,): Bernoulli(), (b, a): Gaussian([[2, 1], [1, 1]])}),
        lambda powers: dropped(powers[2]) * PAIR((*powers[:2], 0)),
    ),
}


def polynomial(seed: int, degree: int) -> sp.Poly:
    """A polynomial in noise and weights that vanishes without noise."""
    rng = random.Random(seed)
    terms = [
        rng.randint(-9, 9)
        * sp.Mul(*(rng.choice(NOISE) for _ in range(rng.randint(1, degree))))
        * rng.choice([u, v, u * v, u**2, 1])
        for _ in range(12)
    ]
    return sp.Poly(sp.Add(*terms, 7 * a * b * u, 5 * c**2 * v, 2 * b**degree * u), *NOISE)


def mean(f: sp.Poly, moment: Moment) -> sp.Expr:
    """E f(η)."""
    return sp.Add(*(coefficient * moment(powers) for powers, coefficient in f.terms()))


def at_first_order(expression: sp.Expr) -> sp.Expr:
    """lim σ⁻² of an expression that vanishes without noise."""
    assert expression.subs(q, 0) == 0
    return expression.diff(q).subs(q, 0)


@pytest.mark.parametrize(("law", "moment"), LAWS.values(), ids=LAWS)
def test_regularizer_is_the_mean_excess_at_order_sigma_squared(law, moment):
    for seed in range(2):
        f = polynomial(seed, ORDER)
        problem = NoisyGradientDescent(u**2, u**2 + f.as_expr(), WEIGHTS, NOISE, law=law)
        assert sp.expand(noise_moments(problem).regularizer - at_first_order(mean(f, moment))) == 0


@pytest.mark.parametrize(("law", "moment"), LAWS.values(), ids=LAWS)
def test_sigma_is_the_mean_square_of_the_gradient_noise(law, moment):
    f = polynomial(2, ORDER // 2)
    problem = NoisyGradientDescent(u**2, u**2 + f.as_expr(), WEIGHTS, NOISE, law=law)
    found = noise_moments(problem).covariance
    for i, j in ((0, 0), (0, 1), (1, 1)):
        noise = sp.Poly(f.as_expr().diff(WEIGHTS[i]) * f.as_expr().diff(WEIGHTS[j]), *NOISE)
        assert sp.expand(found[i, j] - at_first_order(mean(noise, moment))) == 0


# Minibatches -----------------------------------------------------------------------------------


def batches(samples: int, size: int, replacement: bool) -> list[tuple[sp.Rational, ...]]:
    """η for each equally likely batch: n/B times how often a sample is drawn, less one."""
    draw = itertools.product if replacement else itertools.combinations
    drawn = draw(range(samples), **({"repeat": size} if replacement else {"r": size}))
    return [
        tuple(sp.Rational(samples * batch.count(i), size) - 1 for i in range(samples))
        for batch in drawn
    ]


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_covariance_of_the_sampling_weights_for_a_symbolic_batch_size(size, replacement):
    drawn = [sp.Matrix(eta) for eta in batches(4, size, replacement)]
    exact = sum((eta * eta.T for eta in drawn), sp.zeros(4)) / len(drawn)
    symbolic = Minibatch(4, B, replacement)
    assert sp.Matrix(symbolic.levy_pair(4).covariance.subs(B, size)) == exact
    assert symbolic.subs({B: size}) == Minibatch(4, size, replacement)
    assert sum(drawn, sp.zeros(4, 1)) == sp.zeros(4, 1)


PERSISTENT = sp.symbols("z1:5", real=True)
SLOPES = (u * v, u + 2 * v, v**2, u - 1)
BENDS = (v, u * v, u**2, 3 - u)


def weighted(noise: sp.Symbol, other: sp.Symbol) -> sp.Expr:
    """Loss of a batch whose samples see two noises, at first and at second order."""
    first = sp.Add(*((1 + z) * m for z, m in zip(PERSISTENT, SLOPES, strict=True)))
    second = sp.Add(*((1 + z) * m for z, m in zip(PERSISTENT, BENDS, strict=True)))
    return noise * first + (noise**2 + 3 * noise * other + other**3) * second


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("law", [Gaussian(), Bernoulli(), Gaussian([[2, 1], [1, 1]])], ids=str)
def test_noise_beside_persistent_batches_is_averaged_over_the_batches(law, replacement):
    """Reg = E_ζ[Reg_ζ] and Σ = E_ζ[Σ_ζ], with the batches drawn one by one."""
    groups = Independent({PERSISTENT: Minibatch(4, 2, replacement), (a, b): law})
    noisy_loss = u**2 + weighted(a, b)
    # The order in which the symbols are named must not matter.
    noise = (PERSISTENT[2], b, *PERSISTENT[:2], a, PERSISTENT[3])
    found = noise_moments(NoisyGradientDescent(u**2, noisy_loss, WEIGHTS, noise, law=groups))
    regularizer, covariance = sp.Integer(0), sp.zeros(2)
    drawn = batches(4, 2, replacement)
    for weights in drawn:
        fixed = noisy_loss.xreplace(dict(zip(PERSISTENT, weights, strict=True)))
        one = noise_moments(NoisyGradientDescent(u**2, fixed, WEIGHTS, (a, b), law=law))
        regularizer += one.regularizer / len(drawn)
        covariance += one.covariance / len(drawn)
    assert sp.expand(found.regularizer - regularizer) == 0
    assert (found.covariance - covariance).expand() == sp.zeros(2)
