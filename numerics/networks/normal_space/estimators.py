"""Estimates for many residuals: random signs for traces, conjugate gradients for J Jᵀ.

The exact values, by n reverse sweeps and an eigendecomposition of n × n, are those of a
`NetworkLimit`; each estimate here has its standard error from independent probes (Hutchinson), and
needs a few sweeps per probe and nothing of size n × n.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...arguments import check_counts
from ...errors import ArgumentError
from ...validation.measurements.statistics import Estimate, mean
from ..mechanisms import Tree
from ..network import Network
from ..programs import Derivative, Doubles
from .krylov import Krylov
from .moments import Moments
from .probes import drawn_probes, label_noise_slope, regularizer_slope


def estimated_trace(network: Network, params: Tree, *, probes: int, seed: int) -> Estimate:
    """Tr H = Σ_i c_i |∇r_i|² on Γ, by as many reverse sweeps as probes.

    Parameters
    ----------
    network : Network
    params : pytree or ndarray of shape (N,)
        A point of Γ.
    probes : int
        Number of independent probes, at least 2.
    seed : int
        Seed of the probes.
    """
    w, jacobian = network.flattened(params), network.jacobian
    pushed = (jacobian.rmv(w, u) for u in _probes(network, probes, seed))
    return mean(np.array([t @ t for t in pushed]))


def estimated_regularizer(network: Network, params: Tree, *, probes: int, seed: int) -> Estimate:
    """Reg on Γ for noise in the residuals that shrinks; arguments as for `estimated_trace`."""
    w, noisy = network.flattened(params), _noise_jacobian(network)
    pushed = (noisy.rmv(w, u) for u in _probes(network, probes, seed))
    return mean(np.array([0.5 * t @ t for t in pushed]))


def estimated_regularizer_flow(
    network: Network, params: Tree, *, probes: int, seed: int
) -> Estimate:
    """The drift −P∇Reg of the non-degenerate limit, arrays of shape (N,).

    For noise in the residuals that shrinks; arguments as for `estimated_trace`.
    """
    _noise_jacobian(network)
    here = Krylov(network, network.flattened(params))
    return _flow(here, regularizer_slope, _probes(network, probes, seed))


def estimated_label_noise_flow(
    network: Network, params: Tree, *, probes: int, seed: int, alpha: float = 0.0
) -> Estimate:
    """The drift of the limit of gradient descent under label noise, arrays of shape (N,).

    Parameters
    ----------
    network, params, probes, seed
        As for `estimated_trace`, with all c_i equal and no batches, so that Σ = cH and the
        covariance across Γ is a function of H: X = (c/2)(1 − αH/2)⁻¹.
    alpha : float
        Step size; 0 for the limit α → 0.

    Raises
    ------
    NotCoveredError
        If Σ is no multiple of H, or the rule is not gradient descent.
    """
    here = Krylov(network, network.flattened(params))
    return _flow(here, partial(label_noise_slope, alpha=alpha), _probes(network, probes, seed))


def _flow(here: Krylov, slope: Callable[..., Doubles], probes: Doubles) -> Estimate:
    """Minus the projected mean of slopes over probes, each solved for by itself."""
    return mean(np.stack([-here.project(slope(here.network, here.point, u[None])) for u in probes]))


def _probes(network: Network, probes: int, seed: int) -> Doubles:
    check_counts(probes=(probes, 2), seed=(seed, 0))
    return drawn_probes(network, probes, seed)


def _noise_jacobian(network: Network) -> Derivative:
    if network.noise is None or not network.once(Moments).normal:
        raise ArgumentError(
            "mechanism: expected noise in the residuals with a law that shrinks; Reg of any other "
            "is a sum over the noises, which NetworkLimit.regularizer takes"
        )
    return network.noise_jacobian
