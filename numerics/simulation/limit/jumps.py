"""The jump process that descent with rare jumps becomes at a fixed step size, simulated on Γ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from derive import Limit
from derive.jump_limit import JumpLimit

from ...arguments import check_counts, check_memory, check_seed, number, positive, starting_points
from ...codegen.functions import CompiledFunction, compile_function
from ...errors import ArgumentError
from ...geometry.small_matrices import Array
from ...models.compiled_limit import CompiledLimit, compile_limit
from ...random.plain_streams import PathStreams
from ...random.streams import Seed
from ..paths import Paths, Status
from ..runner import PROGRESS_DELAY
from .integrate import recorded_times, simulate_limit

SUBSTEPS = 8
"""Runge-Kutta steps of the drift between two events."""


@dataclass(frozen=True)
class CompiledJumps:
    """A jump process as functions of points of Γ.

    Attributes
    ----------
    process : JumpLimit
        With a number as its step size and no free parameters.
    limit : Limit
        The same problem's limit α → 0, for the maps onto Γ.
    """

    process: JumpLimit
    limit: Limit

    @cached_property
    def onto(self) -> CompiledLimit:
        """Γ and Φ_α."""
        return compile_limit(self.limit)

    @property
    def rates(self) -> Array:
        """ν_m, shape (m,), per unit of time kσ²."""
        return np.array([float(rate) for rate in self.process.rates])

    def landed(self, points: Array, which: NDArray[np.int64]) -> Array:
        """Φ_α(T(W, z_m)) of points (P, N) and jumps m (P,): NaN where descent finds no way back."""
        every = self._landings(points).reshape(len(points), -1, self.onto.dimension)
        thrown = every[np.arange(len(points)), which]
        return self.onto.descent_limit(thrown, float(self.process.step))

    def drift(self, points: Array) -> Array:
        """Drift between jumps, shape (P, N)."""
        along = self.onto.projector(points)
        return (along @ self._compensator(points)[..., None])[..., 0]

    @cached_property
    def _landings(self) -> CompiledFunction:
        entries = [x for landing in self.process.landings for x in landing]
        return compile_function(self.process.problem.weights, entries, "landings")

    @cached_property
    def _compensator(self) -> CompiledFunction:
        weights = self.process.problem.weights
        return compile_function(weights, list(self.process.compensator), "compensator")

    def flowed(self, points: Array, times: Array) -> Array:
        """Points after flowing along the drift for some time each."""
        if not any(self.process.compensator):
            return points
        h = (times / SUBSTEPS)[:, None]
        for _ in range(SUBSTEPS):
            k1 = self.drift(points)
            k2 = self.drift(self.onto.retract(points + h / 2 * k1))
            points = self.onto.retract(points + h * k2)
        return points


@simulate_limit.register(JumpLimit)
def simulate_jumps(  # type: ignore[misc]
    limit: JumpLimit,
    start: ArrayLike | Mapping[Any, float],
    *,
    time: float,
    paths: int,
    seed: Seed,
    record: int | ArrayLike = 100,
    first_path: int = 0,
    **refused: Any,
) -> Paths:
    """Simulate a jump process on Γ, event by event.

    Parameters
    ----------
    limit : JumpLimit
        As `Limit.jump_process` gives it, its step size a number.
    start : array-like of shape (N,) or (paths, N), or mapping of weight to number
        Where the run begins; the process begins at Φ_α(start).
    time : float
        End of the run, in units of 1/σ² iterations.
    paths, seed, record, first_path
        As for `simulate_limit`.

    Returns
    -------
    Paths
        In slow time t = kσ². Paths that do not find back to Γ are marked as diverged.

    Raises
    ------
    ArgumentError
        If an argument is out of its range, or one that a jump process has no use for.
    """
    given = sorted(name for name, value in refused.items() if value is not None)
    if given:
        raise ArgumentError(f"{given[0]}: a jump process has no such argument")
    time = number("time", time, positive)
    check_counts(paths=(paths, 1), first_path=(first_path, 0))
    check_seed(seed)
    times = recorded_times(record, time)
    compiled = CompiledJumps(limit, limit.beside)
    check_memory(paths, len(times), compiled.onto.dimension)
    points = starting_points(start, limit.problem.weights, paths)
    points = compiled.onto.descent_limit(points, float(limit.step))
    weights = _followed(compiled, points, times, PathStreams(seed, paths, first_path))
    lost = np.asarray(~np.isfinite(weights).all(axis=2))
    status = np.where(lost.any(axis=1), Status.DIVERGED, Status.OK)
    stopped = np.where(lost.any(axis=1), lost.argmax(axis=1), -1)
    return Paths(times, weights, "slow time", np.array([Status(s) for s in status]), stopped)


def _followed(compiled: CompiledJumps, points: Array, times: Array, streams: PathStreams) -> Array:
    """Weights at the recorded times, shape (paths, T, N)."""
    weights = np.full((len(points), len(times), points.shape[1]), np.nan)
    total = compiled.rates.sum()
    chances = np.cumsum(compiled.rates)[:-1] / total
    clock = np.zeros(len(points))
    alive = np.arange(len(points))
    bar = tqdm(total=1.0, unit="run", delay=PROGRESS_DELAY, disable=None, leave=False)
    while len(alive):
        # Every path draws in every round, so that what it draws does not depend on the others.
        waits, picks = -np.log1p(-streams.uniform()) / total, streams.uniform()
        after = clock[alive] + waits[alive]
        for k, t in enumerate(times):
            due = (clock[alive] <= t) & (t < after)
            here = alive[due]
            weights[here, k] = compiled.flowed(points[here], t - clock[here])
        which = np.searchsorted(chances, picks[alive], side="right")
        points[alive] = compiled.flowed(points[alive], waits[alive])
        points[alive] = compiled.landed(points[alive], which)
        clock[alive] = after
        alive = alive[(after <= times[-1]) & np.isfinite(points[alive]).all(axis=1)]
        bar.n = float(np.minimum(clock / times[-1], 1.0).mean())
        bar.refresh()
    bar.close()
    return weights
