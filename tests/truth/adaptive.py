"""RMSProp iterated by hand, twice with opposite noise: its drift along Γ to second order in σ.

Nothing of the library is used. The mean over a pair of runs with noise ξ and −ξ holds no odd power
of σ, so that a σ of 10⁻³ and few paths measure the drift to a fraction of a percent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
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


def drift_of_hidden_unit(
    point: Array,
    moments: Array,
    *,
    alpha: float,
    delta: float,
    settle: int,
    steps: int,
    paths: int,
) -> tuple[Array, Array]:
    """The same for label noise on two samples of a net with one hidden unit, c (a x + b y).

    The inputs are (2, 1) and (1, 2), the targets 3/2 and −3/2, the weights (a, c, b), the loss half
    the mean square. Compiled, as slow windows take 10⁸ steps.
    """
    start, scales = (*map(float, (*point, *moments)),), (alpha, delta, SIGMA)
    moved = _hidden_unit(np.random.default_rng(0), start, scales, (settle, steps, paths))
    moved /= steps * alpha**2 * SIGMA**2
    return moved.mean(axis=0), moved.std(axis=0) / np.sqrt(paths)


@njit
def _hidden_unit(rng, start, scales, counts):
    """Mean displacement of each pair after it has settled, shape (paths, 3)."""
    settle, steps, paths = counts
    moved = np.empty((paths, 3))
    for p in range(paths):
        first = second = start
        for k in range(settle + steps):
            if k == settle:
                for j in range(3):
                    moved[p, j] = -(first[j] + second[j]) / 2
            e, f = SIGMA * rng.standard_normal(), SIGMA * rng.standard_normal()
            first = _step_of_hidden_unit(first, (e, f), scales)
            second = _step_of_hidden_unit(second, (-e, -f), scales)
        for j in range(3):
            moved[p, j] += (first[j] + second[j]) / 2
    return moved


@njit
def _step_of_hidden_unit(state, noise, scales):
    a, c, b, va, vc, vb = state
    alpha, delta, sigma = scales
    one, two = 2 * a + b, a + 2 * b
    r, s = (c * one - 1.5 - noise[0]) / 2, (c * two + 1.5 - noise[1]) / 2
    ga, gc, gb = c * (2 * r + s), r * one + s * two, c * (r + 2 * s)
    va += delta * ((ga / sigma) ** 2 - va)
    vc += delta * ((gc / sigma) ** 2 - vc)
    vb += delta * ((gb / sigma) ** 2 - vb)
    moved = a - alpha * ga / np.sqrt(va), c - alpha * gc / np.sqrt(vc), b - alpha * gb / np.sqrt(vb)
    return (*moved, va, vc, vb)
