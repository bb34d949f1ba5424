"""Update rules whose fluctuations across Γ solve in the eigenbasis of H, entry by entry.

All take m' = βm + g(u + ρg(u, η), η) at u = w − αℓm, then w' = w − αΩ(w)m', with a stochastic
gradient g: gradient descent has β = ℓ = ρ = 0 and Ω = I, the heavy ball β, Nesterov's rule ℓ = β,
sharpness-aware steps ρ, preconditioned ones Ω. Near Γ they are linear with a coefficient that is a
polynomial in ΩH, symmetric in the metric of Ω, so a pair of its eigenvalues has a Stein equation
of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import number
from ..errors import ArgumentError

Doubles = NDArray[np.float64]
Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class GradientDescent:
    """The rule w' = w − αg(w, η)."""

    beta = 0.0
    rho = 0.0

    @property
    def lookahead(self) -> float:
        """How far ahead, in −αm, the gradient is taken: ℓ."""
        return 0.0

    @property
    def preconditioner(self) -> Metric | None:
        """Ω, as a function of parameters and gradients; None for the identity."""
        return None

    def effective(self, alpha: float) -> float:
        """The step size α/(1 − β) along Γ."""
        return alpha / (1.0 - self.beta)

    def bound(self, largest: float) -> float:
        """The step size below which Γ attracts, of the largest eigenvalue of H."""
        return 2.0 * (1.0 + self.beta) / largest

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

        Where the former has the entries Σ_ab in an eigenbasis of H, the points at which the last
        gradients are taken have the covariance α_eff κ(λ_a, λ_b) Σ_ab per σ².

        Parameters
        ----------
        alpha : float
            Step size; 0 for the limit α → 0, in which κ = 1/(λ_a + λ_b) unless ρ > 0.
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

    def bound(self, largest: float) -> float:
        """The step size below which Γ attracts."""
        return super().bound(largest) / (1.0 + 2.0 * self.beta)


@dataclass(frozen=True)
class SharpnessAware(GradientDescent):
    """Unnormalised SAM, the rule w' = w − αg(w + ρg(w, η), η).

    It changes the class: label noise, degenerate under descent, moves on 1/(ασ²).

    Parameters
    ----------
    rho : float
        ρ ≥ 0.
    """

    rho: float = 0.05

    def __post_init__(self) -> None:
        number("rho", self.rho, lambda x: 0.0 <= x < np.inf, "a number from 0 on")

    def bound(self, largest: float) -> float:
        """The step size below which Γ attracts."""
        return 2.0 / (largest * (1.0 + self.rho * largest))

    def modes(self, alpha: float, values: Doubles) -> Doubles:
        """Those of descent with λ + ρλ² for λ."""
        return super().modes(alpha, values * (1.0 + self.rho * values))

    def kernel(self, alpha: float, left: Doubles, right: Doubles) -> Doubles:
        """That of descent with λ + ρλ², the noise and the points seen each through I + ρH."""
        first, second = 1.0 + self.rho * left, 1.0 + self.rho * right
        found = super().kernel(alpha, left * first, right * second)
        return np.asarray(first[:, None] ** 2 * found * second**2)


@dataclass(frozen=True)
class Preconditioned(GradientDescent):
    """The rule w' = w − αΩ(w)g(w, η), Ω(w) symmetric and positive.

    Parameters
    ----------
    metric : callable
        Ω(w)g as a function of the parameters and of a pytree like them, linear in the second.
    """

    metric: Metric

    def __post_init__(self) -> None:
        if not callable(self.metric):
            raise ArgumentError(
                "metric: expected a function of the parameters and of a gradient like them, such "
                f"as lambda params, g: jax.tree.map(lambda x: 0.1 * x, g); got {self.metric!r}"
            )

    @property
    def preconditioner(self) -> Metric:
        """Ω."""
        return self.metric
