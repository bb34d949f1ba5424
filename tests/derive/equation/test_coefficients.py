"""Which terms act with which weights, in the equations of the two theorems."""

import sympy as sp

from derive import NoisyGradientDescent, Outcome, alpha, derive_limit, sigma

x, y, eta = sp.symbols("x y eta", real=True)
LOSS = (x * y - 1) ** 2 / 2
POINT = {x: 2, y: sp.Rational(1, 2)}
STEP = sp.Rational(1, 10)
SIZE = x**2 + 3 * y


def limit_of(noisy, penalty=0):
    return derive_limit(NoisyGradientDescent(LOSS, noisy, (x, y), (eta,), penalty=penalty))


def along(potential: sp.Expr) -> sp.Matrix:
    """P∇U at the point."""
    slope, normal = (sp.Matrix([f.diff(w) for w in (x, y)]) for f in (potential, x * y))
    return (slope - normal * (normal.T * slope)[0] / (x**2 + y**2)).subs(POINT)


def test_a_small_penalty_acts_beside_the_regularizer_at_a_step():
    """Theorem A with ασ²U: the drift −αP∇U, which vanishes as α → 0."""
    noisy = LOSS + x * eta**2 / 2
    plain, pulled = limit_of(noisy), limit_of(noisy, alpha * sigma**2 * SIZE)
    assert pulled.outcome is Outcome.NON_DEGENERATE
    assert pulled.drift == plain.drift
    change = (pulled.at_step(STEP).drift - plain.at_step(STEP).drift).subs(POINT)
    assert sp.simplify(change + STEP * along(SIZE)) == sp.zeros(2, 1)


def test_a_small_penalty_acts_at_full_weight_where_the_regularizer_is_constant():
    """Theorem B with ασ²U: the drift −P∇U beside ½ P D²Φ[Σ]."""
    noisy = LOSS - eta * (x * y - 1)
    plain, pulled = limit_of(noisy), limit_of(noisy, alpha * sigma**2 * SIZE)
    assert pulled.outcome is Outcome.DETERMINISTIC
    change = (pulled.drift - plain.drift).subs(POINT)
    assert sp.simplify(change + along(SIZE)) == sp.zeros(2, 1)


def test_momentum_lengthens_the_steps_of_the_time_scale():
    limit = limit_of(LOSS - eta * (x * y - 1))
    beta = sp.Rational(1, 2)
    scale = limit.at_step(STEP, beta).time_scale
    assert sp.simplify(scale - limit.time_scale * (1 - beta) ** 2) == 0
