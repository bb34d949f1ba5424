"""What the limit sees of a network's noise: Reg on Γ, its gradient, and Σ.

Noise in the residuals has, on Γ, the moments Reg = ½ Σ_i c_i |∂_η r̂_i|² and Σ = JᵀMJ with
M = C E[∂_ηr̂ ∂_ηr̂ᵀ] C: first derivatives are enough, and every gradient is normal to Γ. Any other
noise has columns: Σ = Σ_a g_a g_aᵀ, with g_a = ∂_a∇_wL̂, or ∇_wL̂(w, −e_a) − ∇L for rare jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from derive import NotCoveredError

from ..network import Network
from ..programs import BLOCK_BYTES, Compiled, Derivative, Doubles
from .geometry import Geometry, Surface
from .probes import probes_of, regularizer_slope


@dataclass(frozen=True)
class Covariance:
    """Σ at a point of Γ.

    Attributes
    ----------
    across : ndarray, shape (p, p)
        Its part across Γ in the eigenbasis of H.
    along : sequence of arrays (b, N), or None
        Columns P Ω g_a as rows, in blocks; None for additive noise.
    mixed : sequence of pairs of arrays (b, N) and (b, p)
        Its part between along and across as Σ_k t_k x_kᵀ: vectors t_k along Γ, and coordinates x_k
        across it in the eigenbasis of H.
    """

    across: Doubles
    along: tuple[Any, ...] | None = ()
    mixed: tuple[tuple[Any, Doubles], ...] = ()


@dataclass(frozen=True)
class Moments:
    """Reg and Σ of a network, compiled when they are first asked for."""

    network: Network

    @property
    def normal(self) -> bool:
        """Whether every gradient noise is normal to Γ by its form."""
        noise = self.network.noise
        return noise is None or (noise.residuals is not None and not noise.jumps)

    @property
    def vanishes(self) -> bool:
        """Whether Reg = 0 by definition."""
        return self.network.noise is None or self.network.noise.additive

    def regularizer(self, here: Surface) -> float:
        """Reg at a point of Γ."""
        w = here.point
        if self.vanishes:
            return 0.0
        if not isinstance(here, Geometry):
            pushed = self._probed.combined(w, probes_of(here.network))
            return 0.5 * self._probed.squares(pushed) / len(pushed)
        if self.normal:
            return 0.5 * sum(
                float(np.sum(u * self.network.noise_jacobian.products(w, block)[: len(u)]))
                for block, u in self._noise_directions(w, np.diag(self.network.curvatures))
            )
        return sum(float(self._summed(w, z)) for z in self._unit_noise())

    def gradient(self, here: Surface) -> Doubles:
        """∇Reg at a point of Γ, up to a normal vector, shape (N,).

        With gradients taken uphill, at w + ρ∇L̂(w, η), the mean of second order of the last one:
        ∇Reg + ½ρ² D³L[Σ] + ρ E D(Gη)[Gη].

        Raises
        ------
        NotCoveredError
            For sharpness-aware steps on batches or with rare jumps.
        """
        network, w, rho = self.network, here.point, self.network.optimizer.rho
        total = np.zeros(network.dimension)
        noise, c = network.noise, network.curvatures
        if noise is None or (noise.additive and not rho):
            return total
        if not isinstance(here, Geometry):
            return self.probed_gradient(here, probes_of(here.network))
        if rho and (noise.jumps or network.batch_size is not None):
            raise NotCoveredError(
                f"optimizer: {network.optimizer} is covered with all samples and noise that "
                "shrinks; on batches its mean takes third moments of the batch, and rare jumps "
                "climb by steps of any size"
            )
        if noise.additive:
            for rows, block in here.blocks():
                total += network.jacobian.curved(w, block, rho**2 * np.diag(c)[rows])
            return total
        if self.normal:
            seen = np.diag(c) + rho * here.gram()
            for block, u in self._noise_directions(w, seen):
                total += network.noise_jacobian.curved(w, block, u)
            if rho:
                weights = rho * seen @ self._noise_gram(w) * c
                for rows, block in here.blocks():
                    total += network.jacobian.curved(w, block, weights[:, rows].T)
            return total
        for z in self._unit_noise():
            total += self._summed_gradient.doubles(w, z)
            if rho:
                block = self._gradients(w, z)
                slopes = network.jacobian.products(w, block)
                total += network.jacobian.curved(w, block, rho**2 * c * slopes)
                total += rho * self._uphill.doubles(w, z, block)
        return total

    def probed_gradient(self, here: Surface, probes: Doubles) -> Doubles:
        """The same, a mean over probes, for noise in the residuals that shrinks."""
        assert self._probed is not None
        return regularizer_slope(self.network, here.point, probes)

    @property
    def _probed(self) -> Derivative:
        if self.network.noise is None or not self.normal or self.network.optimizer.rho:
            raise NotCoveredError(
                "probes: expected noise in the residuals with a law that shrinks, and no "
                "sharpness-aware steps; Reg of other noise is a sum over the noises, which "
                "derive_limit(network) takes without probes"
            )
        return self.network.noise_jacobian

    def covariance(self, here: Surface) -> Covariance:
        """Σ at a point of Γ."""
        if not isinstance(here, Geometry):
            assert self._probed is not None
            return Covariance(np.zeros((0, 0)))
        noise = self.network.noise
        if noise is None:
            return Covariance(np.zeros((here.rank, here.rank)))
        if noise.additive:
            return self._additive(here)
        if self.normal:
            return Covariance(self._across(here, self._noise_gram(here.point)))
        return self._columns(here)

    def stochastic_gradient(self, w: Doubles, eta: Doubles) -> Doubles:
        """∇_wL̂(w, η), shape (N,)."""
        return self._gradient.doubles(w, eta)

    # Noise in the residuals -----------------------------------------------------------------------

    def _noise_directions(self, w: Doubles, weights: Doubles) -> Iterator[tuple[Any, Doubles]]:
        """Blocks of t, and u, with tr W ∂_ηr̂ ∂_ηr̂ᵀ = Σ_k u_kᵀ ∂_ηr̂ t_k, W symmetric.

        By residuals or by noises, whichever are fewer; Reg is half of it for W = C.
        """
        derivative = self.network.noise_jacobian
        n, d = derivative.rows, derivative.columns
        if n <= d:
            for rows, block in derivative.blocks(w):
                yield block, weights[rows]
            return
        size = max(1, min(d, BLOCK_BYTES // (8 * n)))
        for first in range(0, d, size):
            unit = np.eye(min(size, d - first), d, k=first)
            yield unit, derivative.products(w, unit) @ weights

    def _noise_gram(self, w: Doubles) -> Doubles:
        """E[∂_ηr̂ ∂_ηr̂ᵀ] over batches, shape (n, n), of the samples' emphasis."""
        derivative = self.network.noise_jacobian
        product = np.empty((self.network.count, self.network.count))
        for rows, block in derivative.blocks(w):
            product[rows] = derivative.products(w, block)[: rows.stop - rows.start]
        return product * (1.0 + self.network.sampling_covariance)

    def _across(self, here: Geometry, between: Doubles) -> Doubles:
        """Λ^{1/2} Uᵀ C^{1/2} E[∂_ηr̂ ∂_ηr̂ᵀ] C^{1/2} U Λ^{1/2}."""
        root = np.sqrt(self.network.curvatures)
        factor = (here.vectors * root[:, None]) * np.sqrt(here.values)
        return np.asarray(factor.T @ between @ factor)

    # Any other noise ------------------------------------------------------------------------------

    def _columns(self, here: Geometry) -> Covariance:
        network, w = self.network, here.point
        d, size = network.noise_size, network.dimension
        needed = d * size * np.dtype(network.precision).itemsize
        if needed > network.memory:
            raise NotCoveredError(
                f"mechanism: the gradients of {d} noises of {size} weights are needed here and "
                f"take {needed / 2**30:.3g} GiB, more than memory={network.memory / 2**30:.3g} "
                "GiB; raise it, or let fewer weights or units be noisy"
            )
        across = np.zeros((here.rank, here.rank))
        mixed = []
        for z in self._unit_noise():
            along, inner = self._split(here, network.metric(w, self._gradients(w, z)))
            across += inner.T @ inner
            mixed.append((along, inner))
        return Covariance(across, tuple(along for along, _ in mixed), tuple(mixed))

    def _additive(self, here: Geometry) -> Covariance:
        """Σ = I, and of a preconditioned step Ω²."""
        network, w = self.network, here.point
        if network.optimizer.preconditioner is None:
            return Covariance(np.eye(here.rank), None)
        normals = (here.vectors * np.sqrt(network.curvatures)[:, None] / np.sqrt(here.values)).T
        across, mixed = np.empty((here.rank, here.rank)), []
        for first in range(0, here.rank, network.jacobian.block):
            rows = slice(first, first + network.jacobian.block)
            once = network.metric(w, network.jacobian.combined(w, normals[rows]))
            along, across[rows] = self._split(here, network.metric(w, once))
            mixed.append((along, np.eye(here.rank)[rows]))
        return Covariance(across, None, tuple(mixed))

    def _split(self, here: Geometry, block: Any) -> tuple[Any, Doubles]:
        """Vectors as rows: their part along Γ, and their coordinates across it."""
        network, w = self.network, here.point
        y = network.jacobian.products(w, block)
        inner = (y * np.sqrt(network.curvatures)) @ here.vectors / np.sqrt(here.values)
        normal = network.metric(w, network.jacobian.combined(w, here.solve(y)))
        return self._difference(block, normal), inner

    def _unit_noise(self) -> Iterator[Doubles]:
        """Unit vectors of the noise in blocks, shape (b, d)."""
        network = self.network
        size = max(1, min(network.noise_size, BLOCK_BYTES // (8 * network.dimension)))
        for first in range(0, network.noise_size, size):
            yield np.eye(min(size, network.noise_size - first), network.noise_size, k=first)

    @cached_property
    def _gradient(self) -> Compiled:
        return Compiled(jax.grad(self.network.flat_noisy_loss), self.network.precision)

    @cached_property
    def _one_noise(self) -> Callable[[Any, Any], Any]:
        """Traced: what one noise z adds to Reg."""
        loss, noise = self.network.flat_noisy_loss, self.network.noise
        assert noise is not None

        def slope(w: Any, eta: Any, z: Any) -> Any:
            return jax.jvp(lambda e: loss(w, e), (eta,), (z,))[1]

        def second(w: Any, z: Any) -> Any:
            origin = jnp.zeros_like(z)
            return 0.5 * jax.jvp(lambda e: slope(w, e, z), (origin,), (z,))[1]

        def jump(w: Any, z: Any) -> Any:
            origin = jnp.zeros_like(z)
            return loss(w, -z) - loss(w, origin) + slope(w, origin, z)

        return jump if noise.jumps else second

    @cached_property
    def _summed(self) -> Compiled:
        def total(w: Any, block: Any) -> Any:
            return jnp.sum(jax.vmap(lambda z: self._one_noise(w, z))(block))

        return Compiled(total, self.network.precision)

    @cached_property
    def _summed_gradient(self) -> Compiled:
        return Compiled(jax.grad(self._summed.function), self.network.precision)

    @cached_property
    def _gradients(self) -> Compiled:
        """Columns g_a as rows, shape (b, N)."""
        gradient, noise = jax.grad(self.network.flat_noisy_loss), self.network.noise
        assert noise is not None

        def shrinking(w: Any, z: Any) -> Any:
            return jax.jvp(lambda e: gradient(w, e), (jnp.zeros_like(z),), (z,))[1]

        def jump(w: Any, z: Any) -> Any:
            return gradient(w, -z) - gradient(w, jnp.zeros_like(z))

        one = jump if noise.jumps else shrinking
        return Compiled(
            lambda w, block: jax.vmap(lambda z: one(w, z))(block), self.network.precision
        )

    @cached_property
    def _uphill(self) -> Compiled:
        """Σ_a D_w(∂_a∇_wL̂)[g_a] over the noises and their columns g_a, as rows of two blocks."""
        gradient = jax.grad(self.network.flat_noisy_loss)

        def column(w: Any, z: Any) -> Any:
            return jax.jvp(lambda e: gradient(w, e), (jnp.zeros_like(z),), (z,))[1]

        def one(w: Any, z: Any, g: Any) -> Any:
            return jax.jvp(lambda x: column(x, z), (w,), (g,))[1]

        def total(w: Any, noises: Any, block: Any) -> Any:
            return jnp.sum(jax.vmap(lambda z, g: one(w, z, g))(noises, block), axis=0)

        return Compiled(total, self.network.precision)

    @cached_property
    def _difference(self) -> Compiled:
        return Compiled(lambda a, b: a - b, self.network.precision)
