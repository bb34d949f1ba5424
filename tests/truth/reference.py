"""The recursion in plain NumPy, with the same random numbers: what the fast one is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive import NoisyGradientDescent
from numerics import CompiledDescent, compile_descent
from numerics.arguments import starting_points
from numerics.codegen.plain import plain_noise
from numerics.random.streams import Seed

Doubles = NDArray[np.float64]


def reference_descent(
    problem: NoisyGradientDescent | CompiledDescent,
    start: ArrayLike,
    *,
    alpha: float,
    sigma: float,
    steps: int,
    paths: int,
    seed: Seed,
    momentum: float = 0.0,
    first_path: int = 0,
) -> Doubles:
    """Run the recursion of gradient descent.

    Parameters
    ----------
    problem, start, alpha, sigma, steps, paths, seed, momentum, first_path
        As for `simulate_descent`.

    Returns
    -------
    ndarray, shape (paths, steps + 1, N)
        Every iterate.
    """
    compiled = problem if isinstance(problem, CompiledDescent) else compile_descent(problem)
    weights = starting_points(start, compiled.problem.weights, paths)
    velocity = np.zeros_like(weights)
    noise = plain_noise(compiled.sampler, sigma, paths, seed, first_path)
    scales = np.broadcast_to([alpha / (1.0 - momentum), sigma], (paths, 2))
    iterates = [weights]
    for _, eta in zip(range(steps), noise, strict=False):
        gradient = compiled.gradient.reference(np.hstack([weights, eta, scales]))
        velocity = momentum * velocity - alpha * gradient
        weights = weights + velocity
        iterates.append(weights)
    return np.stack(iterates, axis=1)
