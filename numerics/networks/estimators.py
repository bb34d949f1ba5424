"""Estimates for many residuals: random signs for traces, conjugate gradients for J Jᵀ.

The exact values, by n reverse sweeps and an eigendecomposition of n × n, are those of a
`NetworkLimit`; each estimate here has its standard error from independent probes (Hutchinson), and
needs a few sweeps per probe and nothing of size n × n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from derive import NotCoveredError

from ..arguments import check_counts
from ..errors import ArgumentError
from ..validation.statistics import Estimate, mean
from .mechanisms import Tree
from .moments import Moments
from .network import Network
from .optimizers import GradientDescent
from .programs import Derivative, Doubles

SOLVE_ACCURACY = 1e-10
"""Relative residual at which conjugate gradients stop."""


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
    w, noisy = network.flattened(params), _noise_jacobian(network)
    slopes = (
        noisy.curved(w, noisy.rmv(w, u)[None], u[None]) for u in _probes(network, probes, seed)
    )
    return mean(np.stack([-project(network, w, slope) for slope in slopes]))


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
    c, noise = network.curvatures, network.noise
    plain = type(network.optimizer) is GradientDescent
    if noise is None or noise.name != "label noise" or np.ptp(c) > 0 or not plain:
        raise NotCoveredError(
            "mechanism: expected label noise with all c_i equal under gradient descent, whose "
            "covariance across Γ is a function of H; otherwise derive_limit(network) solves for it"
        )
    if network.batch_size is not None:
        raise NotCoveredError("batch_size: expected all samples in each step")
    w, jacobian = network.flattened(params), network.jacobian

    def relaxed(u: Doubles) -> Doubles:
        return u - 0.5 * alpha * c[0] * jacobian.mv(w, jacobian.rmv(w, u))

    drifts = []
    for u in _probes(network, probes, seed):
        source = solved(relaxed, u) if alpha else u
        t = 0.5 * c[0] * jacobian.rmv(w, source)
        drifts.append(-project(network, w, jacobian.curved(w, t[None], u[None])))
    return mean(np.stack(drifts))


def project(network: Network, w: Doubles, v: Doubles) -> Doubles:
    """P v at a point of Γ, shape (N,), with J Jᵀ solved by conjugate gradients."""
    jacobian = network.jacobian

    def gram(u: Doubles) -> Doubles:
        return jacobian.mv(w, jacobian.rmv(w, u))

    return v - jacobian.rmv(w, solved(gram, jacobian.mv(w, v)))


def solved(operator: Callable[[Doubles], Doubles], right: Doubles) -> Doubles:
    """The solution x of A x = b, A symmetric and positive on the range that holds b.

    Raises
    ------
    NotCoveredError
        If conjugate gradients do not converge.
    """
    n = len(right)
    x, failed = cg(
        LinearOperator((n, n), matvec=operator, dtype=np.float64),
        right,
        rtol=SOLVE_ACCURACY,
        maxiter=10 * n,
    )
    if failed:
        raise NotCoveredError(
            f"residuals: conjugate gradients on J Jᵀ do not converge in {10 * n} steps; samples "
            "are nearly redundant, leave some out, or derive_limit(network), which takes their "
            "rank from the spectrum"
        )
    return np.asarray(x)


def _probes(network: Network, probes: int, seed: int) -> Iterator[Doubles]:
    """Vectors C^{1/2} z of independent signs z."""
    check_counts(probes=(probes, 2), seed=(seed, 0))
    root = np.sqrt(network.curvatures)
    for k in range(probes):
        yield root * np.random.default_rng((seed, k)).choice((-1.0, 1.0), network.count)


def _noise_jacobian(network: Network) -> Derivative:
    if network.noise is None or not network.once(Moments).normal:
        raise ArgumentError(
            "mechanism: expected noise in the residuals with a law that shrinks; Reg of any other "
            "is a sum over the noises, which NetworkLimit.regularizer takes"
        )
    return network.noise_jacobian
