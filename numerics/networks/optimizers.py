"""Update rules whose fluctuations across Γ solve in the eigenbasis of H, entry by entry.

All take m' = βm + g(w − αℓm, η), w' = w − αm' with a stochastic gradient g: gradient descent has
β = ℓ = 0, the heavy ball ℓ = 0, Nesterov's rule ℓ = β. Near Γ they are linear with a coefficient
that is a polynomial in H, so a pair of eigenvalues of H has a Stein equation of its own, 2 × 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import number

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class GradientDescent:
    """The rule w' = w − αg(w, η)."""

    beta = 0.0

    @property
    def lookahead(self) -> float:
        """How far ahead, in −αm, the gradient is taken: ℓ."""
        return 0.0

    def effective(self, alpha: float) -> float:
        """The step size α/(1 − β) along Γ."""
        return alpha / (1.0 - self.beta)

    def modes(self, alpha: float, values: Doubles) -> Doubles:
        """The step of (w, m) along eigenvectors of H, shape (n, 2, 2), per eigenvalue λ."""
        drag = self.beta - alpha * self.lookahead * values
        rows = [[1.0 - alpha * values, -alpha * drag], [values, drag]]
        return np.moveaxis(np.array(rows), -1, 0)

    def spectral_radius(self, alpha: float, values: Doubles) -> float:
        """Largest modulus of an eigenvalue across Γ; below 1 Γ attracts."""
        return float(np.abs(np.linalg.eigvals(self.modes(alpha, values))).max())

    def kernel(self, alpha: float, left: Doubles, right: Doubles) -> Doubles:
        """What a covariance of the gradient noise becomes as a covariance across Γ.

        Where the former has the entries Σ_ab in an eigenbasis of H, the points w − αℓm at which
        gradients are taken have the covariance α_eff κ(λ_a, λ_b) Σ_ab per σ².

        Parameters
        ----------
        alpha : float
            Step size; 0 for the limit α → 0, in which κ = 1/(λ_a + λ_b) for every rule here.
        left, right : ndarray, shapes (p,), (q,)
            Eigenvalues, of which not both are zero.

        Returns
        -------
        ndarray, shape (p, q)
            The κ(λ_a, λ_b).
        """
        a, b = left[:, None], right[None, :]
        return np.asarray(1.0 / (a + b - alpha * a * b))


@dataclass(frozen=True)
class HeavyBall(GradientDescent):
    """The rule m' = βm + g(w, η), w' = w − αm'.

    Parameters
    ----------
    beta : float
        β in [0, 1).
    """

    beta: float = 0.9

    def __post_init__(self) -> None:
        number("beta", self.beta, lambda x: 0.0 <= x < 1.0, "a number in [0, 1)")

    def kernel(self, alpha: float, left: Doubles, right: Doubles) -> Doubles:
        """The same from the Stein equation of every pair of eigenvalues."""
        if alpha == 0.0:
            return super().kernel(alpha, left, right)
        shape = (len(left), len(right))
        first, second = self.modes(alpha, left), self.modes(alpha, right)
        both = np.einsum("aij,bkl->abikjl", first, second).reshape(*shape, 4, 4)
        kick = np.outer([-alpha, 1.0], [-alpha, 1.0]).reshape(4, 1)
        found = np.linalg.solve(np.eye(4) - both, np.broadcast_to(kick, (*shape, 4, 1)))
        seen = np.array([1.0, -alpha * self.lookahead])
        return np.asarray(found[..., 0] @ np.kron(seen, seen) / self.effective(alpha))


@dataclass(frozen=True)
class Nesterov(HeavyBall):
    """The heavy ball with the gradient taken ahead, at w − αβm."""

    @property
    def lookahead(self) -> float:
        """ℓ = β."""
        return self.beta
