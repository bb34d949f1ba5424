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
    args = (alpha, delta, SIGMA, settle, steps, paths)
    moved = _hidden_unit(*point, *moments, *args) / (steps * alpha**2 * SIGMA**2)
    return moved.mean(axis=0), moved.std(axis=0) / np.sqrt(paths)


@njit
def _hidden_unit(a, c, b, va, vc, vb, alpha, delta, sigma, settle, steps, paths):
    """Mean displacement of each pair, shape (paths, 3); seeded."""
    np.random.seed(0)
    moved = np.empty((paths, 3))
    for p in range(paths):
        first = second = (a, c, b, va, vc, vb)
        place = (0.0, 0.0, 0.0)
        for k in range(settle + steps):
            if k == settle:
                place = (first[0] + second[0], first[1] + second[1], first[2] + second[2])
            e, f = sigma * np.random.standard_normal(), sigma * np.random.standard_normal()
            first = _step_of_hidden_unit(first, e, f, alpha, delta, sigma)
            second = _step_of_hidden_unit(second, -e, -f, alpha, delta, sigma)
        for j in range(3):
            moved[p, j] = (first[j] + second[j] - place[j]) / 2
    return moved


@njit
def _step_of_hidden_unit(state, e, f, alpha, delta, sigma):
    a, c, b, va, vc, vb = state
    one, two = 2 * a + b, a + 2 * b
    r, s = (c * one - 1.5 - e) / 2, (c * two + 1.5 - f) / 2
    ga, gc, gb = c * (2 * r + s), r * one + s * two, c * (r + 2 * s)
    va += delta * ((ga / sigma) ** 2 - va)
    vc += delta * ((gc / sigma) ** 2 - vc)
    vb += delta * ((gb / sigma) ** 2 - vb)
    moved = a - alpha * ga / np.sqrt(va), c - alpha * gc / np.sqrt(vc), b - alpha * gb / np.sqrt(vb)
    return (*moved, va, vc, vb)
