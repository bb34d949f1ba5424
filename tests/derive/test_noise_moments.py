"""Reg and Σ where noise is given by its gradient, averaged over, or bound later."""

import sympy as sp

from derive import (
    CustomLaw,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    derive_limit,
)
from derive.derivation.noise_moments import noise_moments

x, y, a, b = sp.symbols("x y a b", real=True)
z1, z2 = sp.symbols("zeta1 zeta2", real=True)
LOSS = (x * y - 1) ** 2 / 2
MATRIX = sp.Matrix([[1, x], [y, 2]])
COVARIANCE = [[2, 1], [1, 3]]


def given(law):
    return NoisyGradientDescent.from_gradient_noise(LOSS, MATRIX, (x, y), (a, b), law=law)


def stated(law):
    """The same noise, linear in η, as a noisy loss: its gradient must be a gradient in w."""
    noisy = LOSS + a * (x + y**2 / 2) + b * (x**2 / 2 + 2 * y)
    return NoisyGradientDescent(LOSS, noisy, (x, y), (a, b), law=law)


SYMMETRIC = sp.Matrix([[1, x], [y, 2]])


def test_gradient_noise_with_a_covariance():
    moments = noise_moments(given(Gaussian(COVARIANCE)))
    assert moments.regularizer == 0
    assert sp.expand(moments.covariance - MATRIX * sp.Matrix(COVARIANCE) * MATRIX.T) == sp.zeros(2)
    same = noise_moments(stated(Gaussian(COVARIANCE)))
    assert sp.expand(moments.covariance - same.covariance) == sp.zeros(2)


def test_gradient_noise_with_jumps():
    law = CustomLaw(COVARIANCE, [((2, -1), 3), ((0, 1), sp.Rational(1, 2))])
    moments = noise_moments(given(law))
    spread = sp.Matrix(COVARIANCE) + 3 * sp.Matrix([[4, -2], [-2, 1]]) + sp.diag(0, 1) / 2
    assert sp.expand(moments.covariance - MATRIX * spread * MATRIX.T) == sp.zeros(2)
    same = noise_moments(stated(law))
    assert sp.expand(moments.covariance - same.covariance) == sp.zeros(2)


def test_the_average_over_noise_of_fixed_size():
    """L̂ quadratic in minibatch weights ζ of covariance M: E f(ζ) = f(0) + ½ M:∇²f."""
    law = Independent({(z1, z2): Minibatch(2, 1), a: Gaussian()})
    r = x * y - 1
    noisy = LOSS + r * (1 + z1 + z1**2 * x + z1 * z2 * y) * a**2 / 2 + r * z2 * a * y
    problem = NoisyGradientDescent(LOSS, noisy, (x, y), (z1, z2, a), law=law)
    moments = noise_moments(problem)
    # n = 2, B = 1, without replacement: Cov ζ = 2 (I − 11ᵀ/2) = [[1, −1], [−1, 1]].
    expected = r * (1 + x - y) / 2
    assert sp.expand(moments.regularizer - expected) == 0


def test_the_average_of_the_noise_over_noise_of_fixed_size():
    law = Independent({(z1, z2): Minibatch(2, 1), a: Gaussian()})
    noisy = LOSS + (x * y - 1) * a * (3 + z1 + 2 * z2)
    problem = NoisyGradientDescent(LOSS, noisy, (x, y), (z1, z2, a), law=law)
    # E (3 + ζ₁ + 2ζ₂)² = 9 + 1 + 4 − 4, with Σ = that times ∇r ∇rᵀ.
    slope = sp.Matrix([y, x])
    assert sp.expand(noise_moments(problem).covariance - 10 * slope * slope.T) == sp.zeros(2)


def test_bound_later_or_before_is_the_same():
    c, k = sp.symbols("c k", positive=True)
    noisy = LOSS + c * x * a**2 / 2 + a * k * y
    sigma, alpha = sp.symbols("sigma alpha")
    problem = NoisyGradientDescent(LOSS, noisy, (x, y), (a,), parameters=(c, k))
    late = noise_moments(problem).subs({c: 2, k: 3})
    early = noise_moments(problem.subs({c: 2, k: 3}))
    assert late == early
    assert not (late.regularizer.free_symbols | late.covariance.free_symbols) & {c, k, sigma, alpha}


def test_a_limit_with_gradient_noise_is_that_of_its_loss():
    law = Gaussian(COVARIANCE)
    point = {x: 2, y: sp.Rational(1, 2)}
    drifts = [derive_limit(problem).drift.subs(point) for problem in (given(law), stated(law))]
    assert sp.simplify(drifts[0] - drifts[1]) == sp.zeros(2, 1)
