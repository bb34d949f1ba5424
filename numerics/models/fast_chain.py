"""The chain across Γ of sharpness-aware steps on batches, whose stationary law is simulated.

See `derive.theory.cycles`, formula (1); the place across Γ is in units of α here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from derive import Minibatch

from ..geometry.small_matrices import Array

GROUPS = 20
"""Groups of paths, whose means tell the standard error."""


@dataclass(frozen=True)
class FastChain:
    """How the stationary law is simulated.

    Attributes
    ----------
    paths : int
        Chains beside one another; a multiple of `GROUPS`.
    steps : int
        Steps that are averaged over, after as many relaxation times as make them stationary.
    seed : int
        Seed of the batches: the same at each point, so that the drift is a function.
    """

    paths: int = 2000
    steps: int = 400
    seed: int = 0

    def second_moments(self, hessians: Array, step: float, batches: Minibatch) -> Array:
        """E[w_i x xᵀ] of each sample i, w_i its part of the batch, shape (GROUPS, n, N, N).

        Parameters
        ----------
        hessians : ndarray, shape (n, N, N)
            ∇²ℓ_i at a point of Γ.
        step : float
            α, or 0 for the limit α → 0, in which the place across Γ is of order α.
        batches : Minibatch
            How samples are drawn.
        """
        count, dimension = hessians.shape[:2]
        rng = np.random.default_rng(self.seed)
        mean = hessians.mean(axis=0)
        settling = relaxations(mean, step)
        place = rng.normal(size=(self.paths, dimension)) @ mean
        found = np.zeros((GROUPS, count, dimension, dimension))
        for k in range(settling + self.steps):
            drawn = _drawn(rng, self.paths, count, batches)
            hessian = np.einsum("pi,ijk->pjk", drawn, hessians)
            slope = np.einsum("pij,pj->pi", hessian, place)
            uphill = step * place + _unit(slope)
            place = place - np.einsum("pij,pj->pi", hessian, uphill)
            if k >= settling:
                weighted = drawn[:, :, None] * uphill[:, None, :]
                parts = (GROUPS, self.paths // GROUPS)
                found += np.einsum(
                    "gpia,gpb->giab",
                    weighted.reshape(*parts, count, dimension),
                    uphill.reshape(*parts, dimension),
                )
        return found * GROUPS / (self.paths * self.steps)


def relaxations(hessian: Array, step: float) -> int:
    """Steps in which a start is forgotten: ten times as many as the slowest direction needs.

    Along the cycle of a mean Hessian the rate across it is αλ + (2 − αλ₁)(λ/λ₁)², or more; half of
    it where batches differ.
    """
    spectrum = np.linalg.eigvalsh(hessian)
    slowest = spectrum[spectrum > 1e-9 * spectrum[-1]][0]
    return int(np.ceil(10 / (step * slowest + (slowest / spectrum[-1]) ** 2)))


def _drawn(rng: np.random.Generator, paths: int, count: int, batches: Minibatch) -> Array:
    """The part of the batch that each sample is, shape (paths, n)."""
    size = int(batches.batch_size)
    if batches.replacement:
        return rng.multinomial(size, np.full(count, 1 / count), size=paths) / size
    # The B smallest of n random numbers: a batch without return.
    ranks = rng.random((paths, count)).argsort(axis=1).argsort(axis=1)
    return (ranks < size) / size


def _unit(vectors: Array) -> Array:
    """v/|v|, and zero where v is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
