"""Runs of noisy gradient descent, the recursion w_{k+1} = w_k − α ∇_w L̂(w_k, η_k) itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive.model.problem import NoisyGradientDescent

from ...arguments import (
    check_counts,
    check_memory,
    check_seed,
    number,
    positive,
    processors,
    recorded_steps,
    starting_points,
)
from ...random.streams import Seed
from ..kinks import warn_of_kinks
from ..paths import Paths
from ..runner import Run
from .compiled_descent import CompiledDescent, compile_descent

Doubles = NDArray[np.float64]


class StepSizeWarning(UserWarning):
    """The step size is beyond the linear stability of gradient descent at the start."""


@singledispatch
def simulate_descent(
    problem: NoisyGradientDescent | CompiledDescent,
    start: ArrayLike | Mapping[Any, float],
    *,
    alpha: float,
    sigma: float,
    steps: int,
    paths: int,
    seed: Seed,
    record: int | ArrayLike = 100,
    momentum: float = 0.0,
    neighbourhood: float | None = None,
    threads: int | None = None,
    first_path: int = 0,
) -> Paths:
    """Run noisy gradient descent.

    Path p of a seed is the same, bit for bit on one machine, whatever the number of threads and
    whichever other paths run beside it.

    Parameters
    ----------
    problem : NoisyGradientDescent or CompiledDescent
        What to simulate.
    start : array-like of shape (N,) or (paths, N), or mapping of weight to number
        Where the paths begin.
    alpha, sigma : float
        Step size α > 0 and noise scale σ ≥ 0.
    steps : int
        Number of iterations.
    paths : int
        Number of independent paths.
    seed : int or sequence of int
        Seed of the random streams, non-negative.
    record : int or array-like
        How many equally spaced times to record, 0 and the last among them, or the iterations
        themselves, increasing; they are rounded to integers, and doubles are dropped, so
        `np.geomspace(1, steps, 50)` thins logarithmically.
    momentum : float
        β in w_{k+1} = w_k − α∇L̂ + β (w_k − w_{k−1}), 0 ≤ β < 1.
    neighbourhood : float, optional
        A path stops when it is further than this from its start.
    threads : int, optional
        Number of threads; all processors if not given.
    first_path : int
        Index of the first path, for runs that are part of a larger one.

    Returns
    -------
    Paths
        In iterations. Paths that became infinite or left the neighbourhood are marked with the
        step at which that happened.

    Raises
    ------
    ArgumentError
        If an argument is out of its range or shape.

    Warns
    -----
    StepSizeWarning
        If α λ_max(∇²L) ≥ 2(1 + β) at the start.
    KinkWarning
        If recorded points of a path lie on both sides of a kink of the model.
    """
    compiled = problem if isinstance(problem, CompiledDescent) else compile_descent(problem)
    settings = DescentSettings(alpha, sigma, steps, seed, momentum, neighbourhood)
    threads = processors() if threads is None else threads
    check_counts(paths=(paths, 1), first_path=(first_path, 0), threads=(threads, 1))
    times = recorded_steps(record, steps)
    check_memory(paths, len(times), compiled.problem.dimension)
    points = starting_points(start, compiled.problem.coordinates, paths)
    warn_of_step_size(compiled, points[0], settings.alpha, settings.momentum)
    found = run_descent(
        compiled,
        points,
        times,
        settings,
        first_path=first_path,
        threads=threads,
    )
    warn_of_kinks(compiled.problem, found.weights)
    return found


@dataclass(frozen=True)
class DescentSettings:
    """Numbers that all paths of a run share; see `simulate_descent`.

    Raises
    ------
    ArgumentError
        If one is out of its range.
    """

    alpha: float
    sigma: float
    steps: int
    seed: Seed
    momentum: float = 0.0
    neighbourhood: float | None = None

    def __post_init__(self) -> None:
        numbers = {
            "alpha": number("alpha", self.alpha, positive),
            "sigma": number(
                "sigma", self.sigma, lambda x: 0 <= x < np.inf, "a non-negative number"
            ),
            "momentum": number(
                "momentum", self.momentum, lambda x: 0 <= x < 1, "a number in [0, 1)"
            ),
        }
        if self.neighbourhood is not None:
            numbers["neighbourhood"] = number(
                "neighbourhood", self.neighbourhood, positive, "a positive distance or None"
            )
        for name, value in numbers.items():
            object.__setattr__(self, name, value)
        check_counts(steps=(self.steps, 0))
        check_seed(self.seed)


@singledispatch
def run_descent(
    compiled: CompiledDescent,
    points: Doubles,
    times: NDArray[np.int64],
    settings: DescentSettings,
    *,
    first_path: int = 0,
    threads: int = 1,
    progress: bool = True,
) -> Paths:
    """Run what `simulate_descent` has checked, one path from each row of `points`.

    Parameters
    ----------
    compiled : CompiledDescent
        What to simulate.
    points : ndarray, shape (paths, N)
        Starting points.
    times : ndarray of int, shape (T,)
        Iterations to record.
    settings : DescentSettings
        Step size, noise and so on.
    first_path, threads : int
        Index of the first path, and number of threads.
    progress : bool
        Whether a long run may show a progress bar.
    """
    momentum, scales = settings.momentum, (settings.alpha, float(settings.sigma))
    run = Run(
        recursion=compiled.heavy_ball if momentum else compiled.recursion,
        constants=(*scales, momentum) if momentum else scales,
        sigma=float(settings.sigma),
        times=times * compiled.period,
        steps=settings.steps * compiled.period,
        seed=settings.seed,
        first_path=first_path,
        neighbourhood=settings.neighbourhood,
        threads=threads,
        progress=progress,
    )
    weights, status, stopped = run(compiled.state(points, momentum))
    stopped //= compiled.period
    return Paths(times.astype(np.float64), weights, "iterations", status.astype(object), stopped)


def warn_of_step_size(
    compiled: CompiledDescent, point: Doubles, alpha: float, momentum: float
) -> None:
    """Warn if gradient descent is linearly unstable at `point`, shape (N,)."""
    sharpness = compiled.sharpness(point)
    if alpha * sharpness >= 2.0 * (1.0 + momentum):
        warnings.warn(
            f"alpha: α λ_max = {alpha * sharpness:.3g} at the start, gradient descent is stable "
            f"below {2.0 * (1.0 + momentum):g}; take alpha below "
            f"{2.0 * (1.0 + momentum) / sharpness:.3g} unless instability is wanted",
            StepSizeWarning,
            stacklevel=3,
        )
