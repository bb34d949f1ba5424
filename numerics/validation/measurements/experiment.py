"""What a validation is asked, and its runs: the recursion beside the map Φ_α onto Γ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...models.compiled_limit import CompiledLimit
from ...simulation.descent.adaptive_descent import recursion_beside
from ...simulation.descent.compiled_descent import CompiledDescent
from ...simulation.descent.descent import simulate_descent
from ...simulation.paths import Paths

Array = NDArray[np.float64]

LEVEL = 0.01
"""Probability with which a right limit may fail."""

MAP_ERROR = 1e-10
"""Error with which Φ_α is computed, relative to the size of the weights."""

ROUND_OFF = float(np.finfo(np.float64).eps)
"""What each iteration may lose, relative to the size of the weights."""


@dataclass(frozen=True)
class Settings:
    """What was asked: all that is needed to repeat a validation.

    Attributes
    ----------
    start : tuple of float
        w₀.
    alphas, sigmas : tuple of float
        Step sizes and noise scales, descending.
    time : float
        End of the runs in slow time.
    paths : int
        Number of paths of each run.
    seed : int
        Seed of the whole experiment.
    level : float
        Probability that a right limit fails.
    momentum : float
        Heavy-ball β.
    """

    start: tuple[float, ...]
    alphas: tuple[float, ...]
    sigmas: tuple[float, ...]
    time: float
    paths: int
    seed: int
    level: float = LEVEL
    momentum: float = 0.0


class Stream(IntEnum):
    """What random numbers are for; it follows the seed of the experiment in the key of a stream."""

    PATHS = 1
    BURSTS = 2
    SCALING = 3
    FAST_PHASE = 4
    FLUCTUATIONS = 5


@dataclass(frozen=True)
class Experiment:
    """The recursion of a problem, with the maps Φ_α that project its iterates.

    Attributes
    ----------
    compiled : CompiledLimit
        Any limit of the problem; its momentum is that of the recursion.
    paths : int
        Number of paths of a run.
    seed : tuple of int
        Key of the random streams.
    """

    compiled: CompiledLimit
    paths: int
    seed: tuple[int, ...]

    @cached_property
    def descent(self) -> CompiledDescent:
        """The recursion."""
        return recursion_beside(self.compiled)

    @property
    def momentum(self) -> float:
        """Heavy-ball β."""
        return float(self.compiled.limit.equation.momentum)

    def keyed(self, *key: int, **changes: Any) -> Experiment:
        """The experiment with random numbers of its own, and possibly other `changes`."""
        return replace(self, seed=(*self.seed, *key), **changes)

    def run(
        self, start: ArrayLike, *, alpha: float, sigma: float, record: ArrayLike
    ) -> tuple[Paths, Array]:
        """Run the recursion, and find where gradient descent would end from its iterates.

        Parameters
        ----------
        start : array_like, shape (N,)
            w₀.
        alpha, sigma : float
            Step size and noise scale.
        record : array_like of int, shape (T,)
            Iterations to record, increasing; the run ends with the last.

        Returns
        -------
        paths : Paths
        ends : ndarray, shape (paths, T, N)
            Φ_α(w_k), with momentum Φ_α(w_k, w_k − w_{k−1}): it takes the same value before and
            after a noiseless step. Where iterates cycle, the mean over the cycle. Without the paths
            that did not reach the end.
        """
        marks: NDArray[np.int64] = np.asarray(record, dtype=np.int64)
        beta, after = self.momentum, marks + self.compiled.period - 1
        # The velocity is a difference of iterates, so with momentum those before count too.
        before = np.maximum(marks - 1, 0) if beta else marks
        taken = np.union1d(np.union1d(before, marks), after)
        every = simulate_descent(
            self.descent,
            self.scattered(start, self.paths, alpha=alpha, sigma=sigma),
            alpha=alpha,
            sigma=sigma,
            momentum=beta,
            steps=int(after[-1]),
            paths=self.paths,
            seed=self.seed,
            record=taken,
        )
        here = np.searchsorted(taken, marks)
        paths = replace(every, times=every.times[here], weights=every.weights[:, here])
        velocities = None
        if beta:
            earlier = every.weights[:, np.searchsorted(taken, before)]
            velocities = (paths.weights - earlier)[paths.ok]
        ends = self.compiled.descent_limit(paths.weights[paths.ok], alpha, beta, velocities)
        if self.compiled.period > 1:
            later = every.weights[:, np.searchsorted(taken, after)][paths.ok]
            ends = self.compiled.retract((ends + self.compiled.descent_limit(later, alpha)) / 2)
        return paths, ends

    def scattered(self, start: ArrayLike, paths: int, *, alpha: float, sigma: float) -> ArrayLike:
        """Where runs from `start` begin; see `CompiledLimit.scattered`."""
        return self.compiled.scattered(start, paths, alpha=alpha, sigma=sigma, seed=self.seed)


def resolution(size: float, iterations: ArrayLike) -> Array:
    """What Φ_α and the round-off of so many iterations may leave, for weights of that size."""
    return np.asarray((MAP_ERROR + ROUND_OFF * np.asarray(iterations)) * size)


def largest_norm(points: Array) -> float:
    """Largest |w| among points (..., N) that are numbers; 1 where all are zero."""
    return float(np.nanmax(np.linalg.norm(points, axis=-1), initial=0.0)) or 1.0


def ladder(values: Sequence[float]) -> tuple[float, ...]:
    """Distinct values, descending."""
    return tuple(sorted(set(values), reverse=True))
