"""RMSProp iterated in NumPy, twice with opposite noise: its drift along Γ to second order in σ.

Nothing of the library is used. The mean over a pair of runs with noise ξ and −ξ holds no odd power
of σ, so that a σ of 10⁻³ and few paths measure the drift to a fraction of a percent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gradient = Callable[[Array, Array], Array]
"""Weights and noise, shapes (paths, N) and (paths, d), to ∇L̂, shape (paths, N)."""

SIGMA = 1e-3


def drift_of_rmsprop(
    gradient: Gradient,
    point: Array,
    moments: Array,
    *,
    alpha: float,
    delta: float,
    settle: int,
    steps: int,
    paths: int,
    draw: Callable[[np.random.Generator, tuple[int, int]], Array] | None = None,
    noises: int = 1,
    beta: float = 0.0,
) -> tuple[Array, Array]:
    """Mean displacement in α²σ² per step after `settle` steps, and its standard error, both (N,).

    Displacements are across Γ too; their mean there is small and does not grow.
    """
    rng, draw = np.random.default_rng(0), draw or _normal
    w = [np.tile(point, (paths, 1)) for _ in range(2)]
    v = [np.tile(moments, (paths, 1)) for _ in range(2)]
    m = [np.zeros((paths, len(point))) for _ in range(2)]
    first = np.zeros((paths, len(point)))
    for k in range(settle + steps):
        if k == settle:
            first = (w[0] + w[1]) / 2
        noise = SIGMA * draw(rng, (paths, noises))
        for i, signed in enumerate((noise, -noise)):
            g = gradient(w[i], signed)
            m[i] = beta * m[i] + (1 - beta) * g
            v[i] += delta * ((g / SIGMA) ** 2 - v[i])
            w[i] = w[i] - alpha * m[i] / np.sqrt(v[i])
    moved = ((w[0] + w[1]) / 2 - first) / (steps * alpha**2 * SIGMA**2)
    return moved.mean(axis=0), moved.std(axis=0) / np.sqrt(paths)


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.standard_normal(shape)
