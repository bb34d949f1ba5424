"""Clouds of iterates around a point of Γ, once they have relaxed: what is measured across Γ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .experiment import Experiment, largest_norm, resolution

Array = NDArray[np.float64]

RELAXED = 6.0
"""Relaxation times of the slowest mode that are waited for: e⁻¹² of a covariance is missing."""


@dataclass(frozen=True)
class Cloud:
    """Iterates of many runs from one point of Γ, relative to where descent would end from each.

    Attributes
    ----------
    point : ndarray, shape (N,)
        Where they start.
    alpha, sigma, momentum : float
        Step size, noise scale and heavy-ball β.
    deviations : ndarray, shape (paths, N)
        w_k − Φ_α(w_k) after the last iteration.
    resolution : float
        Length that Φ_α and round-off leave unknown.
    """

    point: Array
    alpha: float
    sigma: float
    momentum: float
    deviations: Array
    resolution: float

    @property
    def unit(self) -> float:
        """α_eff σ²."""
        return self.alpha / (1 - self.momentum) * self.sigma**2


def cloud(experiment: Experiment, point: Array, *, alpha: float, sigma: float) -> Cloud:
    """Let runs relax from a point of Γ; the slow motion of that time is of order σ²."""
    slowest, sharpest = (float(experiment.compiled.spectrum(point)[i]) for i in (0, -1))
    beta = experiment.momentum
    factor = max(_factor(alpha * value, beta) for value in (slowest, sharpest))
    steps = math.ceil(RELAXED / -math.log(max(factor, math.exp(-RELAXED))))
    paths, ends = experiment.run(point, alpha=alpha, sigma=sigma, record=[0, steps])
    deviations = paths.weights[paths.ok][:, -1] - ends[:, -1]
    blur = float(resolution(largest_norm(ends[:, -1]), steps))
    return Cloud(point, alpha, sigma, beta, deviations, blur)


def _factor(stiffness: float, momentum: float) -> float:
    """Factor by which a mode of αλ = `stiffness` shrinks per iteration."""
    return float(np.abs(np.roots([1.0, stiffness - 1.0 - momentum, momentum])).max())
