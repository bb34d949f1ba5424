"""The limit of an optimizer that cycles across Γ as fast functions of many points of Γ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from derive import derive_limit
from derive.cycle_limit import CycleLimit
from derive.errors import NotCoveredError
from derive.rules.regimes.cycles import without_noise
from derive.symbols import alpha as ALPHA
from derive.symbols import sigma as SIGMA
from derive.theory.cycles import sharpness

from ..codegen.functions import CompiledFunction, compile_function
from ..errors import ArgumentError
from ..geometry.small_matrices import Array
from .compiled_limit import CompiledLimit, compile_limit
from .fast_chain import FastChain, relaxations


@dataclass(frozen=True)
class CompiledCycleLimit(CompiledLimit):
    """The flow dW = −P∇Reg dt of an optimizer that cycles, as functions of points.

    Attributes
    ----------
    limit : CycleLimit
        What is compiled.
    chain : FastChain
        How the stationary law across Γ is simulated, where it is not known.
    """

    limit: CycleLimit
    chain: FastChain = field(default_factory=FastChain)

    def drift(self, w: ArrayLike) -> Array:
        """−P∇Reg, shape (..., N), per unit of slow time; of random chains by simulation."""
        return self._mapped(lambda flat: self._drifts(flat).mean(axis=0), w)

    def drift_error(self, w: ArrayLike) -> Array:
        """Standard error of a drift that is simulated, shape (..., N); zero of others."""

        def error(flat: Array) -> Array:
            found = self._drifts(flat)
            return np.asarray(found.std(axis=0, ddof=1) / np.sqrt(len(found)))

        return self._mapped(error if self.limit.is_simulated else np.zeros_like, w)

    def diffusion(self, w: ArrayLike) -> Array:
        """Zero, shape (..., N, 1)."""
        return np.zeros((*self._points(w).shape, 1))

    def regularizer(self, w: ArrayLike) -> Array:
        """Reg, the mean over the losses of a function of λ₁, shape (...).

        Raises
        ------
        NotCoveredError
            Where the fast chain is simulated: its drift need not have a potential.
        """
        if self.limit.is_simulated:
            raise NotCoveredError("limit: the fast chain is simulated; ask for its drift")
        points = self._points(w)
        values, _ = self._leading(points.reshape(-1, self.dimension))
        largest = values[..., -1]
        of = self._of_sharpness(largest.reshape(-1, 1))[:, 0].reshape(largest.shape)
        return np.asarray(of.mean(axis=1).reshape(points.shape[:-1]))

    def gap(self, w: ArrayLike) -> Array:
        """The smallest λ₁ − λ₂ over the losses, shape (...): where it vanishes, Reg has a kink."""
        points = self._points(w)
        values, _ = self._leading(points.reshape(-1, self.dimension))
        gaps = (values[..., -1] - values[..., -2]).min(axis=1)
        return np.asarray(gaps.reshape(points.shape[:-1]))

    def regularity(self, w: ArrayLike) -> Array:
        """The smaller of the smallest non-zero eigenvalue of H and λ₁ − λ₂, shape (...).

        Random chains have no v₁, and nothing happens to them where eigenvalues cross.
        """
        rank = super().regularity(w)
        return rank if self.limit.is_simulated else np.minimum(rank, self.gap(w))

    def across(self, w: ArrayLike) -> tuple[Array, Array]:
        """Refused: across Γ the iterates cycle."""
        raise NotCoveredError(
            "fluctuations: across Γ the iterates cycle; limit.explain() has the amplitude"
        )

    @property
    def is_noisy(self) -> bool:
        """False."""
        return False

    @property
    def is_projected(self) -> bool:
        """False: the cycle is across Γ and never comes to rest."""
        return False

    @property
    def period(self) -> int:
        """Two steps."""
        return 2

    def scattered(
        self, start: ArrayLike, paths: int, *, alpha: float, sigma: float, seed: Sequence[int]
    ) -> Array:
        """Points about one of Γ, shape (paths, N), across it by the amplitude of the cycle.

        A run that begins on Γ stays where it begins; without noise, paths differ by their start.
        """
        points = self._points(start)
        size = self.limit.cycles.optimizer.amplitude
        if self.limit.equation.shortened:
            size = size.subs(ALPHA, ALPHA * SIGMA)
        largest = float(self._leading(points[None])[0].max())
        amplitude = float(size.subs({sharpness: largest, ALPHA: alpha, SIGMA: sigma}))
        rows = self._frame(points)[1]
        kicks = np.random.default_rng(seed).normal(size=(paths, len(rows)))
        return np.asarray(points + amplitude * kicks @ rows)

    def rates(self, w: Array, alpha: float) -> tuple[float, float]:
        """Slowest and fastest relaxation to the cycle per step, at a point w of shape (N,)."""
        spectrum = self.spectrum(w)
        first, parts = alpha * float(spectrum[-1]), spectrum[:-1] / spectrum[-1]
        if self.limit.is_simulated:
            return 10 / relaxations(self._hessians_at(w[None])[0].mean(axis=0), alpha), first
        if not self.limit.cycles.optimizer.time_scale.has(SIGMA):
            return min([1.0, *(2 * parts * (1 - parts))]), 1.0  # in the middle of the family
        left = [first, *(first * parts + (2 - first) * parts**2)]
        return min(min(x, 2 - x) for x in left), first

    def beginnings(self, w: ArrayLike) -> Array:
        """Nearest point of Γ, shape (..., N): the limit is that of runs that start at Γ."""
        return self.retract(w)

    def descent_limit(
        self, w: ArrayLike, alpha: float, momentum: float = 0.0, velocity: ArrayLike | None = None
    ) -> Array:
        """Nearest point of Γ, shape (..., N); the same, to O(σ³), at both points of a cycle."""
        return self.retract(w)

    # How it is done -----------------------------------------------------------------------------

    @cached_property
    def _landscape(self) -> CompiledLimit:
        """Γ alone, as that of descent without noise."""
        return compile_limit(derive_limit(without_noise(self.limit.problem)))

    @property
    def model(self) -> Any:
        """What is generated for Γ alone."""
        return self._landscape.model

    @cached_property
    def _hessians(self) -> CompiledFunction:
        entries = [x for h in self.limit.cycles.hessians for row in h for x in row]
        return compile_function(self.limit.problem.weights, entries, "hessians")

    @cached_property
    def _slopes(self) -> CompiledFunction:
        cycles = self.limit.cycles
        inputs = (*self.limit.problem.weights, *cycles.directions)
        return compile_function(inputs, [x for slope in cycles.slopes for x in slope], "slopes")

    @cached_property
    def _of_sharpness(self) -> CompiledFunction:
        """Reg and its derivative in λ₁."""
        of = self.limit.cycles.regularizer_at(self.limit.equation.step)
        return compile_function((sharpness,), [of, of.diff(sharpness)], "of_sharpness")

    def _hessians_at(self, points: Array) -> Array:
        """∇²ℓ_i, shape (P, n, N, N)."""
        count = len(self.limit.cycles.losses)
        return self._hessians(points).reshape(len(points), count, self.dimension, self.dimension)

    def _leading(self, points: Array) -> tuple[Array, Array]:
        """Eigenvalues of each loss, ascending (P, n, N), and eigenvectors (P, n, N) of the last."""
        values, vectors = np.linalg.eigh(self._hessians_at(points))
        return values, vectors[..., -1]

    def _bends(self, points: Array, directions: Array) -> Array:
        """D³ℓ_i[v vᵀ] for directions of shape (P, n, N), the same shape."""
        count, n = directions.shape[1:]
        found = np.empty_like(directions)
        for i in range(count):
            inputs = np.hstack([points, directions[:, i]])
            found[:, i] = self._slopes(inputs).reshape(len(points), count, n)[:, i]
        return found

    def _drifts(self, points: Array) -> Array:
        """Drift, shape (1, P, N), or by each of some groups of random chains."""
        if self.limit.equation.scale is None:
            slopes = np.zeros((1, *points.shape))
        elif self.limit.is_simulated:
            slopes = np.stack([self._simulated(point) for point in points], axis=1)
        else:
            values, directions = self._leading(points)
            largest = values[..., -1]
            weights = self._of_sharpness(largest.reshape(-1, 1))[:, 1].reshape(largest.shape)
            slopes = np.mean(weights[..., None] * self._bends(points, directions), axis=1)[None]
        rows = self._frame(points)[1]
        normal = np.einsum("pki,gpk->gpi", rows, np.einsum("pki,gpi->gpk", rows, slopes))
        return np.asarray(normal - slopes)

    def _simulated(self, point: Array) -> Array:
        """½ Σ_i D³ℓ_i[X_i] by groups of chains, shape (groups, N)."""
        batches = self.limit.cycles.batches
        assert batches is not None
        hessians = self._hessians_at(point[None])[0]
        moments = self.chain.second_moments(hessians, float(self.limit.equation.step), batches)
        values, axes = np.linalg.eigh(moments)
        total = np.zeros((len(moments), self.dimension))
        here = np.broadcast_to(point, total.shape)
        for a in range(self.dimension):
            bends = self._bends(here, np.ascontiguousarray(axes[..., a]))
            total += np.einsum("gi,gik->gk", values[..., a], bends) / 2
        return total

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledCycleLimit, (self.limit, self.chain)


@compile_limit.register
def _(limit: CycleLimit) -> CompiledCycleLimit:
    parameters = ", ".join(map(str, limit.problem.parameters))
    if parameters or not limit.equation.step.is_number:
        raise ArgumentError(
            f"limit: {parameters or limit.equation.step} still stands for any value; bind "
            "parameters with limit.subs({...}), and take limit.at_step(0.1) or the like"
        )
    return CompiledCycleLimit(limit)
