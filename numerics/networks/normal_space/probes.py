"""Random signs for traces, and conjugate gradients: what takes the place of n × n matrices.

Hutchinson: for independent signs z, E zᵀAz = tr A. Everything here takes the vectors u = C^{1/2} z
as the rows of a block, and needs a few sweeps for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import cg

from derive import NotCoveredError

from ..network import Network
from ..optimizers import GradientDescent
from ..programs import Compiled, Derivative, Doubles

ACCURACY = {"float64": 1e-10, "float32": 1e-5}
"""Relative residual at which conjugate gradients stop."""
STEPS = 10
"""Their steps at most, per residual."""


def drawn_probes(network: Network, count: int, seed: int) -> Doubles:
    """Vectors C^{1/2} z of independent signs z as rows, shape (count, n)."""
    root = np.sqrt(network.curvatures)
    signs = [
        np.random.default_rng((seed, k)).choice((-1.0, 1.0), network.count) for k in range(count)
    ]
    return root * np.array(signs)


def probes_of(network: Network) -> Doubles:
    """The probes that a network's own estimates take."""
    assert network.probes is not None
    return drawn_probes(network, network.probes, network.seed)


@dataclass(frozen=True)
class Solvers:
    """Conjugate gradients on J Ω Jᵀ, compiled.

    Attributes
    ----------
    network : Network
    """

    network: Network

    def gram(self, w: Doubles, y: Doubles, shift: float = 0.0) -> Doubles:
        """The solution x of (J Ω Jᵀ + shift) x = y, shape (n,).

        Raises
        ------
        NotCoveredError
            If conjugate gradients do not converge.
        """
        return self._converged(self._gram.doubles(w, y, np.array(shift)))

    def relaxed(self, w: Doubles, probes: Doubles, factor: float) -> Doubles:
        """The solutions x of (1 − factor J Jᵀ) x = u for the rows u of a block."""
        return self._converged(self._relaxed.doubles(w, probes, np.array(factor)))

    def _converged(self, found: tuple[Doubles, Doubles]) -> Doubles:
        x, gap = found
        if not np.max(gap) <= 10 * ACCURACY[self.network.precision]:
            raise NotCoveredError(
                f"residuals: conjugate gradients on J Jᵀ leave {np.max(gap):.2g} of the right side "
                f"after {STEPS * self.network.count} steps; samples are nearly redundant, leave "
                "some out, or derive_limit(network) without probes, which takes their rank from "
                "the spectrum"
            )
        return x

    def _solve(self, operator: Callable[[Any], Any], y: Any) -> tuple[Any, Any]:
        """Traced: a solution, and the relative residual that it leaves."""
        accuracy = ACCURACY[self.network.precision]
        x, _ = cg(operator, y, tol=accuracy, maxiter=STEPS * self.network.count)
        size = jnp.linalg.norm(y)
        return x, jnp.linalg.norm(operator(x) - y) / jnp.where(size > 0, size, 1.0)

    def _products(self, w: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        """Traced: t ↦ J t and u ↦ Jᵀ u at weights."""
        residuals = self.network.flat_residuals
        pull = jax.vjp(residuals, w)[1]
        return jax.linearize(residuals, w)[1], lambda u: pull(u)[0]

    @cached_property
    def _gram(self) -> Compiled:
        def solve(w: Any, y: Any, shift: Any) -> Any:
            push, pull = self._products(w)
            metric = self.network.flat_raised
            return self._solve(lambda u: push(metric(w, pull(u))) + shift * u, y)

        return Compiled(solve, self.network.precision)

    @cached_property
    def _relaxed(self) -> Compiled:
        def solve(w: Any, block: Any, factor: Any) -> Any:
            push, pull = self._products(w)
            one = partial(self._solve, lambda u: u - factor * push(pull(u)))
            return jax.vmap(one)(block)

        return Compiled(solve, self.network.precision)


def regularizer_slope(network: Network, w: Doubles, probes: Doubles) -> Doubles:
    """∇Reg up to a normal vector, a mean over probes, shape (N,), for noise in the residuals."""
    noisy, total = network.noise_jacobian, np.zeros(network.dimension)
    for u in _parts(noisy, probes):
        total += noisy.curved(w, noisy.combined(w, u), u)
    return total / len(probes)


def label_noise_slope(network: Network, w: Doubles, probes: Doubles, alpha: float) -> Doubles:
    """A vector v, shape (N,), with P ½ D²Φ_α[Σ] = −P v, a mean over probes, for label noise.

    With all c_i = c and no batches Σ = cH, and X = (c/2)(1 − αH/2)⁻¹ is a function of H.

    Raises
    ------
    NotCoveredError
        If Σ is no multiple of H, or the rule is not gradient descent.
    """
    c, noise, jacobian = network.curvatures, network.noise, network.jacobian
    plain = type(network.optimizer) is GradientDescent
    if noise is None or not noise.on_labels or np.ptp(c) > 0 or not plain:
        raise NotCoveredError(
            "mechanism: expected label noise with all c_i equal under gradient descent, whose "
            "covariance across Γ is a function of H; otherwise derive_limit(network) without "
            "probes solves for it"
        )
    if network.batch_size is not None:
        raise NotCoveredError("batch_size: expected all samples in each step")
    solvers = network.once(Solvers)
    total = np.zeros(network.dimension)
    for u in _parts(jacobian, probes):
        sources = solvers.relaxed(w, u, 0.5 * alpha * c[0]) if alpha else u
        total += jacobian.curved(w, jacobian.combined(w, 0.5 * c[0] * sources), u)
    return total / len(probes)


def _parts(derivative: Derivative, probes: Doubles) -> Iterator[Doubles]:
    """Probes in parts, of which blocks of rows are made."""
    for first in range(0, len(probes), derivative.block):
        yield probes[first : first + derivative.block]
