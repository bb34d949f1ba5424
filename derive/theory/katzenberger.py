"""The theorem and nothing else: derivatives of the limit map Φ of the gradient flow on Γ.

Φ(x) is the end of the gradient flow of L from x; DΦ = P on Γ, and for symmetric S

    D²Φ[S] = −H⁺ D³L[PSP] − P D³L[H⁺SP + PSH⁺] − P D³L[ℒ⁻¹(QSQ)].

With the Lyapunov operator ℒ(X) = HX + XH these are the derivatives of Φ; with
ℒ(X) = HX + XH − αHXH those of Φ_α, the end of gradient descent with step α; `Relaxation` has
ℒ with heavy-ball momentum.

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

from ..symbolic.numbers.matrices import solve_symmetric

Matrix = Any
Contraction = Callable[[Matrix], list[Any]]
"""S ↦ D³L[S], the contraction of the last two slots."""


@dataclass(frozen=True)
class Relaxation:
    """How perturbations across Γ decay: ℒ(X) = HX + XH − τ HXH + γ [H, [H, X]].

    The matrix X of ℒ(X) = S is the covariance, per unit of step size, of the sum over iterations
    of the responses to a kick of covariance S. Heavy-ball momentum makes directions of different
    curvature fall out of step with each other, hence the double commutator; it acts on the
    correlation with the tangent directions (of curvature 0) too.

    Attributes
    ----------
    damping : scalar
        τ = α/(1 + β); 0 for the gradient flow.
    dephasing : scalar
        γ = αβ/((1 − β)²(1 + β)); 0 without momentum.
    order : int
        0 for ℒ⁻¹ itself; j ≥ 1 for its coefficient of αʲ as α → 0, with τ and γ per unit of α,
        where noise has no part along Γ (PS = 0).
    """

    damping: Any = 0
    dephasing: Any = 0
    order: int = 0

    @classmethod
    def of(cls, step: Any, momentum: Any = 0) -> Relaxation:
        """Relaxation of gradient descent with step α and momentum β."""
        return cls(step / (1 + momentum), step * momentum / ((1 - momentum) ** 2 * (1 + momentum)))

    def response(self, first: Any, second: Any) -> Any:
        """Eigenvalue of ℒ⁻¹ for a pair of eigenvalues of H."""
        total = first + second
        slowed = self.damping * first * second - self.dephasing * (first - second) ** 2
        if self.order:
            return (slowed / total) ** self.order / total
        return 1 / (total - slowed)


FLOW = Relaxation()


@dataclass(frozen=True)
class Splitting:
    """Tangent and normal space at a point of Γ.

    Attributes
    ----------
    jacobian : matrix, shape (K, N)
        J, whose rows span the normal space.
    inverse : matrix, shape (N, K)
        J⁺, its pseudo-inverse.
    """

    jacobian: Matrix
    inverse: Matrix

    @cached_property
    def projector(self) -> Matrix:
        """P = I − J⁺J, the tangent projector; DΦ = P."""
        return self._formed_projector()

    def _formed_projector(self) -> Matrix:
        normal = self.inverse * self.jacobian
        n = normal.rows
        return type(normal)([[int(i == j) - normal[i, j] for j in range(n)] for i in range(n)])

    def tangential(self, vector: Matrix) -> Matrix:
        """P v, without forming P."""
        return vector - self.inverse * (self.jacobian * vector)


@dataclass(frozen=True)
class NormalFrame(Splitting):
    """Coordinates of the normal space at a point of Γ, and H in them.

    Attributes
    ----------
    curvature : matrix, shape (K, K)
        E = J⁺ᵀ H J⁺, so that H = Jᵀ E J.
    curvature_inverse : matrix, shape (K, K)
        E⁻¹.
    gram : matrix, shape (K, K)
        A = J Jᵀ, the identity in an orthonormal basis.
    """

    curvature: Matrix
    curvature_inverse: Matrix
    gram: Matrix

    @property
    def hessian_inverse(self) -> Matrix:
        """H⁺ = J⁺ E⁻¹ J⁺ᵀ."""
        return self.inverse * self.curvature_inverse * self.inverse.T


def normal_term(frame: NormalFrame, third: Contraction, tangential: Matrix) -> Matrix:
    """−H⁺ D³L[PSP] from PSP: normal, it keeps the limit on Γ (half of it is ½ II[PSP])."""
    return -(frame.hessian_inverse * _column(third, tangential))


def mixed_covariance(
    frame: NormalFrame, covariance: Matrix, relaxation: Relaxation = FLOW
) -> Matrix:
    """H⁺SP + PSH⁺ (with momentum (H + γH²)⁺ for H⁺): noise correlated across and along Γ."""
    inverse = frame.hessian_inverse
    if relaxation.dephasing != 0:
        e = frame.curvature
        slowed = (e + relaxation.dephasing * (e * frame.gram * e)) ** -1
        inverse = frame.inverse * slowed * frame.inverse.T
    half = inverse * covariance * frame.projector
    return half + half.T


def stationary_covariance(
    frame: NormalFrame, covariance: Matrix, relaxation: Relaxation = FLOW
) -> Matrix:
    """ℒ⁻¹(QSQ): stationary covariance of the noise across Γ, per unit of step size."""
    normal = frame.inverse.T * covariance * frame.inverse
    # With X = Jᵀ Y J and M = E A: H X = Jᵀ M Y J and H X H = Jᵀ M Y Mᵀ J.
    y = solve_lyapunov(frame.curvature * frame.gram, normal, relaxation)
    return frame.jacobian.T * y * frame.jacobian


def tangential_covariance(
    frame: NormalFrame, covariance: Matrix, relaxation: Relaxation = FLOW
) -> Matrix:
    """T with P D²Φ[S] = −P D³L[T]: the mixed and the stationary covariance together."""
    return mixed_covariance(frame, covariance, relaxation) + stationary_covariance(
        frame, covariance, relaxation
    )


def second_derivative(
    frame: NormalFrame, third: Contraction, covariance: Matrix, relaxation: Relaxation = FLOW
) -> Matrix:
    """D²Φ[S], or D²Φ_α[S] for the relaxation of descent with step α.

    Parameters
    ----------
    frame : NormalFrame
        The normal space at a point of Γ.
    third : callable
        S ↦ D³L[S] at that point.
    covariance : matrix, shape (N, N)
        S, symmetric.
    relaxation : Relaxation
        The gradient flow, or descent with a step size and momentum; with momentum this is the
        second derivative in the last iterate, in units of 1/(1 − β)².

    Returns
    -------
    matrix, shape (N, 1)
    """
    along = _column(third, tangential_covariance(frame, covariance, relaxation))
    normal = normal_term(frame, third, frame.projector * covariance * frame.projector)
    return normal - frame.tangential(along)


def solve_lyapunov(operator: Matrix, right: Matrix, relaxation: Relaxation = FLOW) -> Matrix:
    """Symmetric Y with M Y + Y Mᵀ − τ M Y Mᵀ + γ (M²Y − 2 M Y Mᵀ + Y M²ᵀ) = B.

    Entry by entry when M is diagonal (in an eigenbasis of H it is), else as a linear system.
    """
    size = operator.rows
    if all(operator[i, j] == 0 for i in range(size) for j in range(size) if i != j):
        values = [operator[i, i] for i in range(size)]
        return type(right)(
            [
                [right[i, j] * relaxation.response(values[i], values[j]) for j in range(size)]
                for i in range(size)
            ]
        )
    turned = relaxation.damping + 2 * relaxation.dephasing

    def slowed(y: Matrix) -> Matrix:
        """τ M Y Mᵀ − γ (M²Y − 2 M Y Mᵀ + Y M²ᵀ)."""
        image = turned * operator * y * operator.T
        if relaxation.dephasing != 0:
            image -= relaxation.dephasing * (operator**2 * y + y * operator.T**2)
        return image

    def lyapunov(y: Matrix) -> Matrix:
        return operator * y + y * operator.T

    if relaxation.order == 0:
        return solve_symmetric(lambda y: lyapunov(y) - slowed(y), right)
    solution = solve_symmetric(lyapunov, right)
    for _ in range(relaxation.order):
        solution = solve_symmetric(lyapunov, slowed(solution))
    return solution


def _column(third: Contraction, matrix: Matrix) -> Matrix:
    return type(matrix)(third(matrix))
