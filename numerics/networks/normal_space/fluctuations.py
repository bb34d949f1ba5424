"""The drift that fluctuations across Γ make: ½ D²Φ[Σ] along Γ, at a step size or as α → 0.

In the eigenbasis of H the covariance across Γ is X_ab = κ(λ_a, λ_b) Σ_ab, with κ of the update
rule. (Under a preconditioner the basis is that of ΩH.) Third derivatives of L enter contracted:
with X frozen

    P D³L[X] = P ∇_w Σ_i c_i ∇r_iᵀ X ∇r_i,

a reverse sweep over Jacobian-vector products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from derive import NotCoveredError

from ..programs import Doubles
from .geometry import Geometry, Surface
from .moments import Covariance
from .probes import label_noise_slope, probes_of

STEIN_ACCURACY = 1e-13
STEIN_STEPS = 2000
STEIN_BOUND = 1e12
"""A sum this many times its first term does not converge."""
ZERO = np.zeros(1)
"""The eigenvalue of H along Γ."""


def slope(here: Surface, covariance: Covariance, alpha: float) -> Doubles:
    """A vector v, shape (N,), with P ½ D²Φ_α[Σ] = −P v, along what the rule makes of gradients.

    Parameters
    ----------
    here : Geometry
    covariance : Covariance
        Σ there.
    alpha : float
        Step size; 0 for the limit α → 0.
    """
    network = here.network
    if not isinstance(here, Geometry):
        return label_noise_slope(network, here.point, probes_of(network), alpha)
    bend = Bend(here)
    total = np.zeros(network.dimension)
    factor = here.vectors * np.sqrt(network.curvatures)[:, None]
    if covariance.across.any():
        root = np.sqrt(here.values)
        x = across(here, covariance.across, alpha)
        weights = factor @ (root[:, None] * x / root) @ factor.T
        for rows, block in here.blocks():
            total += bend(network.metric(here.point, block), weights[:, rows].T)
    mixing = network.optimizer.kernel(alpha, here.values, ZERO)[:, 0] * np.sqrt(here.values)
    for along, inner in covariance.mixed:
        total += bend(along, (inner * mixing) @ factor.T)
    return total


@dataclass(frozen=True)
class Bend:
    """½ D²T₀ of the update rule per −α, contracted with Σ_k t_k x_kᵀ, x_k across Γ.

    For descent ½ D³L; a preconditioner Ω(w) adds DΩ[t_k] H x_k.

    Attributes
    ----------
    here : Geometry
    """

    here: Geometry

    def __call__(self, block: Any, u: Doubles) -> Doubles:
        """The sum over rows t_k, with C J x_k the rows of u, shape (N,)."""
        here, network = self.here, self.here.network
        found = here.raised(network.jacobian.curved(here.point, block, u))
        if network.optimizer.preconditioner is None:
            return found
        gradients = network.jacobian.combined(here.point, u)
        return found + network.metric.turned(here.point, block[: len(u)], gradients)


def across(here: Geometry, sigma: Doubles, alpha: float) -> Doubles:
    """The covariance across Γ, per α_eff σ², in the eigenbasis of H, shape (p, p).

    Parameters
    ----------
    here : Geometry
    sigma : ndarray, shape (p, p)
        Σ in the same basis.
    alpha : float
        Step size; 0 for the limit α → 0.

    Raises
    ------
    NotCoveredError
        If batches make the fluctuations unstable, with the growth that they have.
    """
    network = here.network
    kernel = network.optimizer.kernel(alpha, here.values, here.values)
    spread = network.sampling_covariance
    if alpha == 0.0 or not spread.any():
        return kernel * sigma
    factor, effective = here.vectors * np.sqrt(here.values), network.optimizer.effective(alpha)
    x = kernel * sigma
    first = before = float(np.abs(x).max())
    growth = 0.0
    for _ in range(STEIN_STEPS):
        # Batches make of a distance from Γ a noise of the gradient, drawn anew in each step.
        kicked = factor.T @ ((factor @ x @ factor.T) * spread) @ factor
        ahead = kernel * (sigma + effective * kicked)
        change, x = float(np.abs(ahead - x).max()), ahead
        if change <= STEIN_ACCURACY * float(np.abs(x).max()):
            return x
        growth, before = change / before, change
        if change > STEIN_BOUND * first:
            break
    raise NotCoveredError(
        f"alpha: at {alpha:g} batches of {network.batch_size} do not bring fluctuations across Γ "
        f"to rest in mean square: what they add to them grows by {growth:.3g} at each turn, where "
        "less than 1 is expected; take a smaller alpha or larger batches"
    )
