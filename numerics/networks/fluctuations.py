"""The drift that fluctuations across Γ make: ½ D²Φ[Σ] along Γ, at a step size or as α → 0.

In the eigenbasis of H the covariance across Γ is X_ab = κ(λ_a, λ_b) Σ_ab, with κ of the update
rule. Third derivatives of L enter contracted: with X frozen

    P D³L[X] = P ∇_w Σ_i c_i ∇r_iᵀ X ∇r_i,

a reverse sweep over Jacobian-vector products.
"""

from __future__ import annotations

import numpy as np

from derive import NotCoveredError

from .geometry import Geometry
from .moments import Covariance
from .programs import Doubles

STEIN_ACCURACY = 1e-13
STEIN_STEPS = 2000
STEIN_BOUND = 1e12
"""A sum this many times its first term does not converge."""
ZERO = np.zeros(1)
"""The eigenvalue of H along Γ."""


def slope(here: Geometry, covariance: Covariance, alpha: float) -> Doubles:
    """A vector v, shape (N,), with P ½ D²Φ_α[Σ] = −P v.

    Parameters
    ----------
    here : Geometry
    covariance : Covariance
        Σ there.
    alpha : float
        Step size; 0 for the limit α → 0.
    """
    network, jacobian = here.network, here.network.jacobian
    total = np.zeros(network.dimension)
    factor = here.vectors * np.sqrt(network.curvatures)[:, None]
    if covariance.across.any():
        root = np.sqrt(here.values)
        x = across(here, covariance.across, alpha)
        weights = factor @ (root[:, None] * x / root) @ factor.T
        for rows, block in here.blocks():
            total += jacobian.curved(here.point, block, weights[:, rows].T)
    mixing = network.optimizer.kernel(alpha, here.values, ZERO)[:, 0] * np.sqrt(here.values)
    for along, inner in zip(covariance.along or (), covariance.mixed, strict=True):
        total += jacobian.curved(here.point, along, (inner * mixing) @ factor.T)
    return total


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
        For batches with momentum at a step size, or if batches make the fluctuations unstable.
    """
    network = here.network
    kernel = network.optimizer.kernel(alpha, here.values, here.values)
    spread = network.sampling_covariance
    if alpha == 0.0 or not spread.any():
        return kernel * sigma
    if network.optimizer.beta:
        raise NotCoveredError(
            "optimizer: batches beside momentum at a fixed step are not covered, their "
            "fluctuations share no eigenbasis; take GradientDescent(), all samples, or alpha → 0"
        )
    factor = here.vectors * np.sqrt(here.values)
    x, source = kernel * sigma, sigma
    first = float(np.abs(x).max())
    for _ in range(STEIN_STEPS):
        kicked = factor.T @ ((factor @ x @ factor.T) * spread) @ factor
        ahead = kernel * (source + alpha * kicked)
        change, size = float(np.abs(ahead - x).max()), float(np.abs(ahead).max())
        x = ahead
        if change <= STEIN_ACCURACY * size:
            return x
        if size > STEIN_BOUND * first:
            break
    raise NotCoveredError(
        f"alpha: at {alpha:g} batches of {network.batch_size} do not bring fluctuations across Γ "
        "to rest in mean square; take a smaller alpha or larger batches"
    )
