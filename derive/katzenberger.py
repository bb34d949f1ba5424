"""The theorem and nothing else: derivatives of the limit map Φ of the gradient flow on Γ.

Φ(x) is the end of the gradient flow of L from x; DΦ = P on Γ, and for symmetric S

    D²Φ[S] = −H⁺ D³L[PSP] − P D³L[H⁺SP + PSH⁺] − P D³L[ℒ⁻¹(QSQ)].

With the Lyapunov operator ℒ(X) = HX + XH these are the derivatives of Φ; with
ℒ(X) = HX + XH − αHXH those of Φ_α, the end of gradient descent with step α. With heavy-ball
momentum β its quadratic term is −αHXH/(1 + β).

All matrices may hold sympy expressions (`sympy.Matrix`) or numbers (`mpmath.matrix`).

References
----------
Katzenberger, Ann. Probab. 19 (1991), 1587-1628, Theorem 6.3.
Li, Wang, Arora, arXiv 2110.06914, section 4 (the derivatives of Φ on Γ).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

Matrix = Any
Contraction = Callable[[Matrix], list[Any]]
"""S ↦ D³L[S], the contraction of the last two slots."""


@dataclass(frozen=True)
class NormalFrame:
    """Coordinates of the normal space at a point of Γ.

    Attributes
    ----------
    jacobian : matrix, shape (K, N)
        J, whose rows span the normal space.
    inverse : matrix, shape (N, K)
        J⁺, its pseudo-inverse.
    curvature : matrix, shape (K, K)
        E = J⁺ᵀ H J⁺, so that H = Jᵀ E J.
    curvature_inverse : matrix, shape (K, K)
        E⁻¹.
    gram : matrix, shape (K, K)
        A = J Jᵀ, the identity in an orthonormal basis.
    """

    jacobian: Matrix
    inverse: Matrix
    curvature: Matrix
    curvature_inverse: Matrix
    gram: Matrix

    @cached_property
    def projector(self) -> Matrix:
        """P = I − J⁺J, the tangent projector; DΦ = P."""
        normal = self.inverse * self.jacobian
        n = normal.rows
        return type(normal)([[int(i == j) - normal[i, j] for j in range(n)] for i in range(n)])

    def tangential(self, vector: Matrix) -> Matrix:
        """P v, without forming P."""
        return vector - self.inverse * (self.jacobian * vector)

    @property
    def hessian_inverse(self) -> Matrix:
        """H⁺ = J⁺ E⁻¹ J⁺ᵀ."""
        return self.inverse * self.curvature_inverse * self.inverse.T


def normal_term(frame: NormalFrame, third: Contraction, covariance: Matrix) -> Matrix:
    """−H⁺ D³L[PSP]: normal, it keeps the limit on Γ (half of it is ½ II[PSP])."""
    tangential = frame.projector * covariance * frame.projector
    return -(frame.hessian_inverse * _column(third, tangential))


def mixed_covariance(frame: NormalFrame, covariance: Matrix) -> Matrix:
    """H⁺SP + PSH⁺: the part of the noise that is correlated across and along Γ."""
    half = frame.hessian_inverse * covariance * frame.projector
    return half + half.T


def stationary_covariance(frame: NormalFrame, covariance: Matrix, step: Any = 0) -> Matrix:
    """ℒ⁻¹(QSQ): stationary covariance of the noise across Γ, per unit of step size."""
    normal = frame.inverse.T * covariance * frame.inverse
    # With X = Jᵀ Y J and M = E A: H X = Jᵀ M Y J and H X H = Jᵀ M Y Mᵀ J.
    y = solve_lyapunov(frame.curvature * frame.gram, normal, step)
    return frame.jacobian.T * y * frame.jacobian


def tangential_covariance(frame: NormalFrame, covariance: Matrix, step: Any = 0) -> Matrix:
    """T with P D²Φ[S] = −P D³L[T]: the mixed and the stationary covariance together."""
    return mixed_covariance(frame, covariance) + stationary_covariance(frame, covariance, step)


def second_derivative(
    frame: NormalFrame, third: Contraction, covariance: Matrix, step: Any = 0
) -> Matrix:
    """D²Φ[S], or D²Φ_α[S] when `step` is α (α/(1 + β) with momentum β).

    Parameters
    ----------
    frame : NormalFrame
        The normal space at a point of Γ.
    third : callable
        S ↦ D³L[S] at that point.
    covariance : matrix, shape (N, N)
        S, symmetric.
    step : scalar
        α; 0 for the gradient flow.

    Returns
    -------
    matrix, shape (N, 1)
    """
    along = _column(third, tangential_covariance(frame, covariance, step))
    return normal_term(frame, third, covariance) - frame.tangential(along)


def solve_lyapunov(operator: Matrix, right: Matrix, step: Any = 0) -> Matrix:
    """Symmetric Y with M Y + Y Mᵀ − α M Y Mᵀ = B.

    Entry by entry when M is diagonal (in an eigenbasis of H it is), else as a linear system of
    the K(K+1)/2 unknown entries.
    """
    size = operator.rows
    if all(operator[i, j] == 0 for i in range(size) for j in range(size) if i != j):
        rows = [
            [
                right[i, j]
                / (operator[i, i] + operator[j, j] - step * operator[i, i] * operator[j, j])
                for j in range(size)
            ]
            for i in range(size)
        ]
        return type(right)(rows)
    unknown = [[sp.Dummy() for _ in range(i + 1)] for i in range(size)]
    y = sp.Matrix(size, size, lambda i, j: unknown[max(i, j)][min(i, j)])
    residue = operator * y + y * operator.T - step * operator * y * operator.T - right
    entries = [residue[i, j] for i in range(size) for j in range(i + 1)]
    flat = [x for row in unknown for x in row]
    system, rhs = sp.linear_eq_to_matrix(entries, flat)
    solution = system.LUsolve(rhs)
    return y.xreplace(dict(zip(flat, solution, strict=True)))


def _column(third: Contraction, matrix: Matrix) -> Matrix:
    return type(matrix)(third(matrix))
