"""The chain across Γ of sharpness-aware steps on batches, whose stationary law is simulated.

See `derive.theory.cycles`, formula (1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    def second_moments(self, hessians: Array, step: float, batch_size: int) -> Array:
        """E[1(i in the batch) x xᵀ]/B of each sample i, shape (GROUPS, n, N, N).

        Parameters
        ----------
        hessians : ndarray, shape (n, N, N)
            ∇²ℓ_i at a point of Γ.
        step : float
            α.
        batch_size : int
            B, drawn without return.
        """
        count, dimension = hessians.shape[:2]
        rng = np.random.default_rng(self.seed)
        spectrum = np.linalg.eigvalsh(hessians.mean(axis=0))
        slowest = spectrum[spectrum > 1e-9 * spectrum[-1]][0]
        relaxation = int(np.ceil(10 / (step * slowest)))
        start = rng.normal(size=(self.paths, dimension)) @ hessians.mean(axis=0)
        place = step * start / np.linalg.norm(start, axis=1, keepdims=True)
        found = np.zeros((GROUPS, count, dimension, dimension))
        for k in range(relaxation + self.steps):
            # The B smallest of n random numbers: a batch without return.
            ranks = rng.random((self.paths, count)).argsort(axis=1).argsort(axis=1)
            drawn = (ranks < batch_size) / batch_size
            hessian = np.einsum("pi,ijk->pjk", drawn, hessians)
            slope = np.einsum("pij,pj->pi", hessian, place)
            uphill = place + slope / np.linalg.norm(slope, axis=1, keepdims=True)
            place = place - step * np.einsum("pij,pj->pi", hessian, uphill)
            if k >= relaxation:
                weighted = drawn[:, :, None] * uphill[:, None, :]
                parts = (GROUPS, self.paths // GROUPS)
                found += np.einsum(
                    "gpia,gpb->giab",
                    weighted.reshape(*parts, count, dimension),
                    uphill.reshape(*parts, dimension),
                )
        return found * GROUPS / (self.paths * self.steps)
