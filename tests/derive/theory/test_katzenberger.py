"""D²Φ[S] and its operators against sums over the iterations of a linear recursion."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive.theory.katzenberger import (
    FLOW,
    NormalFrame,
    Relaxation,
    mixed_covariance,
    normal_term,
    second_derivative,
    solve_lyapunov,
    stationary_covariance,
)

CURVATURES = np.array([0.5, 2.0])
HESSIAN = np.diag([*CURVATURES, 0.0])
"""Γ is along the third axis."""
NOISE = np.array([[1.0, 0.3, -0.2], [0.3, 0.5, 0.4], [-0.2, 0.4, 0.8]])
SETTINGS = [(0.3, 0.0), (0.3, 0.6), (0.7, 0.9), (0.01, 0.0)]


def frame(turn: np.ndarray | None = None) -> NormalFrame:
    """The normal space in a basis that need not be orthogonal."""
    j = np.eye(3)[:2] if turn is None else turn @ np.eye(3)[:2]
    inverse = np.linalg.pinv(j)
    curvature = inverse.T @ HESSIAN @ inverse
    given = (j, inverse, curvature, np.linalg.inv(curvature), j @ j.T)
    return NormalFrame(*(mpmath.matrix(x.tolist()) for x in given))


def summed_responses(alpha: float, beta: float) -> np.ndarray:
    """(1 − β)/α times Σ_k d_k ⊗ d_k, with d_k the responses of the heavy ball to a kick across Γ.

    A kick along Γ moves on by 1/(1 − β), and time runs by α/(1 − β): the units of the theory.
    """
    across = np.diag([1.0, 1.0, 0.0])
    position, velocity = alpha * across, alpha * across
    total = np.zeros((3, 3, 3, 3))
    for _ in range(5000):
        total += np.einsum("ia,jb->ijab", position, position)
        velocity = beta * velocity - alpha * HESSIAN @ position
        position = position + velocity
    return total * (1 - beta) / alpha


def as_array(matrix: mpmath.matrix) -> np.ndarray:
    return np.array(matrix.tolist(), dtype=float)


@pytest.mark.parametrize(("alpha", "beta"), SETTINGS)
@pytest.mark.parametrize("turned", [False, True])
def test_the_covariance_across_is_the_sum_of_the_responses(alpha, beta, turned):
    turn = np.array([[1.0, 0.4], [-0.3, 2.0]]) if turned else None
    relaxation = Relaxation.of(alpha, beta)
    found = as_array(stationary_covariance(frame(turn), mpmath.matrix(NOISE.tolist()), relaxation))
    expected = np.einsum("ijab,ab->ij", summed_responses(alpha, beta), NOISE)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("damping", [0, Fraction(1, 3)])
@pytest.mark.parametrize("dephasing", [0, Fraction(1, 5)])
def test_the_operator_is_solved_for(damping, dephasing):
    """Its diagonal and its general form; on rational numbers, exactly."""
    damping, dephasing = sp.Rational(damping), sp.Rational(dephasing)
    right = sp.Matrix([[1, 2], [2, 5]])
    for m in (sp.diag(1, 3), sp.Matrix([[2, 1], [1, 3]]), sp.Matrix([[2, 1], [0, 3]])):
        y = solve_lyapunov(m, right, Relaxation(damping, dephasing))
        left = m * y + y * m.T - damping * m * y * m.T
        left += dephasing * (m**2 * y - 2 * m * y * m.T + y * (m.T) ** 2)
        assert sp.simplify(left - right) == sp.zeros(2)


@pytest.mark.parametrize("matrix", [sp.diag(1, 3), sp.Matrix([[2, 1], [1, 3]])])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_coefficients_of_the_step_size(matrix, order):
    step, right = sp.Symbol("a"), sp.Matrix([[1, 2], [2, 5]])
    series = solve_lyapunov(matrix, right, Relaxation(step, 0))
    found = solve_lyapunov(matrix, right, Relaxation(1, 0, order))
    for i in range(2):
        for j in range(2):
            coefficient = sp.diff(series[i, j], step, order).subs(step, 0) / sp.factorial(order)
            assert sp.simplify(found[i, j] - coefficient) == 0


def test_the_covariance_across_and_along():
    """H⁺SP + PSH⁺, with momentum (H + γH²)⁺."""
    noise = mpmath.matrix(NOISE.tolist())
    inverse = np.diag([2.0, 0.5, 0.0])
    along = np.diag([0.0, 0.0, 1.0])
    plain = inverse @ NOISE @ along
    assert as_array(mixed_covariance(frame(), noise)) == pytest.approx(plain + plain.T)
    relaxation = Relaxation.of(0.3, 0.6)
    slowed = np.diag([*(1 / (CURVATURES + relaxation.dephasing * CURVATURES**2)), 0.0])
    turn = np.array([[1.0, 0.4], [-0.3, 2.0]])
    found = as_array(mixed_covariance(frame(turn), noise, relaxation))
    half = slowed @ NOISE @ along
    assert found == pytest.approx(half + half.T)


def test_the_second_derivative_of_a_flow_by_differences():
    """L = ½ (1 + z²/2) x² + (x² + y²)/2 + x y z/3, the flow followed to its end."""

    def slope(w: np.ndarray) -> np.ndarray:
        x, y, z = w
        return np.array([x * (2 + z * z / 2) + y * z / 3, y + x * z / 3, x * x * z / 2 + x * y / 3])

    def end(w: np.ndarray, alpha: float) -> np.ndarray:
        for _ in range(round(60 / alpha)):
            w = w - alpha * slope(w)
        return w

    at, alpha, h = np.array([0.0, 0.0, 0.9]), 0.25, 1e-3
    hessian = np.array([[2 + 0.405, 0.3, 0], [0.3, 1, 0], [0, 0, 0]])
    j = np.eye(3)[:2]
    curvature = hessian[:2, :2]
    given = NormalFrame(
        *(
            mpmath.matrix(x.tolist())
            for x in (j, j.T, curvature, np.linalg.inv(curvature), np.eye(2))
        )
    )

    def third(s: mpmath.matrix) -> list:
        """Derivatives of H by z are 0.9 and 1/3, of its row by x and y alike."""
        return [2 * (0.9 * s[0, 2] + s[1, 2] / 3), 2 * s[0, 2] / 3, 0.9 * s[0, 0] + 2 * s[0, 1] / 3]

    values, vectors = np.linalg.eigh(NOISE)
    expected = np.zeros(3)
    for value, v in zip(values, vectors.T, strict=True):
        second = end(at + h * v, alpha) - 2 * end(at, alpha) + end(at - h * v, alpha)
        expected += value * second / h**2
    noise = mpmath.matrix(NOISE.tolist())
    found = as_array(second_derivative(given, third, noise, Relaxation.of(alpha)))[:, 0]
    assert found == pytest.approx(expected, abs=1e-5)
    flow = as_array(second_derivative(given, third, noise, FLOW))[:, 0]
    assert abs(flow - expected).max() > 1e-3
    along = given.projector * noise * given.projector
    assert not any(normal_term(given, third, along))  # Γ is straight
