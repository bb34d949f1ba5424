"""Reg, Σ and penalties of models that few other tests state, and what is decided from them."""

from __future__ import annotations

import pytest
import sympy as sp

from derive import CustomLaw, Gaussian, NoisyGradientDescent, alpha, derive_limit, sigma
from derive.analysis.exceptional_values import exceptional_values
from derive.noise.classification import _all
from derive.noise.moments import _average
from derive.symbolic.zero_tests import Basis, Verdict
from derive.theory.katzenberger import Relaxation, solve_lyapunov

w1, w2, w3 = sp.symbols("w1:4", real=True)
e1, e2 = sp.symbols("e1:3", real=True)
k = sp.Symbol("k", real=True)
HYPERBOLA = (w1 * w2 - 1) ** 2 / 2
G = sp.Matrix([[1, w2], [w1, 3]])
C = sp.Matrix([[2, 1], [1, 5]])
Z = sp.Matrix([2, -1])


@pytest.mark.parametrize(
    ("law", "second_moment"),
    [
        (Gaussian(C), C),
        (CustomLaw(sp.zeros(2), [(Z, sp.Rational(1, 3))]), Z * Z.T / 3),
        (CustomLaw(C, [(Z, 4), ((0, 1), 1)]), C + 4 * Z * Z.T + sp.diag(0, 1)),
    ],
    ids=["covariance", "jumps", "both"],
)
def test_gradient_noise_of_any_law(law, second_moment):
    problem = NoisyGradientDescent.from_gradient_noise(HYPERBOLA, G, (w1, w2), (e1, e2), law=law)
    found = derive_limit(problem).moments.covariance
    assert (found - G * second_moment * G.T).applyfunc(sp.expand) == sp.zeros(2)


def test_average_over_noise_of_fixed_size():
    quadratic = w1 * e1**2 + w2 * e1 * e2 + w3 * e2**2 + 7 * e1 + w1 * w2
    mean = _average(quadratic, (e1, e2), C)
    assert sp.expand(mean - (2 * w1 + w2 + 5 * w3 + w1 * w2)) == 0


def labels(penalty=0, **setting):
    return NoisyGradientDescent(
        HYPERBOLA, (w1 * w2 - 1 - e1) ** 2 / 2, (w1, w2), (e1,), penalty=penalty, **setting
    )


def test_a_penalty_that_cancels_the_drift():
    laplacian = w1**2 + w2**2  # on Γ, where the drift of label noise is −¼ P∇ΔL
    outcomes = {
        sign: derive_limit(labels(sign * alpha * sigma**2 * laplacian / 4)).outcome.value
        for sign in (1, -1)
    }
    assert outcomes == {1: "deterministic", -1: "trivial"}


def test_a_penalty_at_a_step_beside_a_regularizer():
    noisy = HYPERBOLA + w1**2 * e1**2 / 2

    def drift(penalty):
        problem = NoisyGradientDescent(HYPERBOLA, noisy, (w1, w2), (e1,), penalty=penalty)
        return derive_limit(problem).at_step(sp.Rational(1, 10))

    plain, pulled = drift(0), drift(alpha * sigma**2 * w2**2)
    along = plain.projector * sp.Matrix([0, 2 * w2])
    assert pulled.check(plain.drift - along / 10)
    assert not pulled.check(plain.drift)


def test_parameters_of_a_penalty_are_bound():
    limit = derive_limit(labels(k * alpha * sigma**2 * w1**2, parameters=(k,)))
    bound = limit.subs({k: 3})
    assert k not in bound.moments.penalty.free_symbols
    assert bound.check(derive_limit(labels(3 * alpha * sigma**2 * w1**2)).drift)


def test_a_penalty_survives_a_file(tmp_path):
    limit = derive_limit(labels(alpha * sigma**2 * w1**2))
    limit.save(tmp_path / "limit.json")
    again = type(limit).load(tmp_path / "limit.json")
    assert again.moments.penalty == limit.moments.penalty == w1**2
    assert again.check(limit.drift)


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1)])
def test_label_noise_of_two_sizes_is_no_multiple_of_the_hessian(sizes):
    residuals = (w1 * w2 - 1, w3 - w1)
    loss = sum(r**2 for r in residuals) / 2
    push = sum(size * e * r for size, e, r in zip(sizes, (e1, e2), residuals, strict=True))
    problem = NoisyGradientDescent(loss, loss + push, (w1, w2, w3), (e1, e2))
    assert derive_limit(problem).classification.hessian_multiple is None


def test_one_no_is_a_no():
    yes = Verdict(True, Basis.NUMERICAL, "small")
    no = Verdict(False, Basis.WITNESS, "large")
    unknown = Verdict(None, Basis.UNDECIDED, "?")
    assert _all([yes, no]) is no
    assert _all([unknown, yes, no]) is no
    assert _all([yes, unknown]) is unknown


def test_lyapunov_equation_with_momentum_off_the_eigenbasis():
    m = sp.Matrix([[2, 1], [3, 5]])
    right = sp.Matrix([[1, 2], [2, 7]])
    tau, gamma = sp.Rational(1, 7), sp.Rational(2, 11)
    y = solve_lyapunov(m, right, Relaxation(tau, gamma))
    commuted = m**2 * y - 2 * m * y * m.T + y * m.T**2
    assert (m * y + y * m.T - tau * m * y * m.T + gamma * commuted - right) == sp.zeros(2)
    assert y == y.T


def test_complex_exceptional_values_are_left_out():
    noisy = HYPERBOLA + (k**3 - 1) * w1**2 * e1**2
    limit = derive_limit(NoisyGradientDescent(HYPERBOLA, noisy, (w1, w2), (e1,), parameters=(k,)))
    assert exceptional_values(limit) == ({k: sp.Integer(1)},)
