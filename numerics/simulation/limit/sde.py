"""The limit as a stochastic equation: steps that stay on Γ, fused with their noise.

A step injects the tangential increment c P S ΔB, then the tangential drift, and retracts by
Gauss-Newton. The retraction itself makes the normal Itô drift, half the second fundamental form of
the noise, so that is left out. Weak order one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from derive import NotCoveredError

from ...arguments import MAX_COUNT
from ...codegen.kernels import compiled
from ...errors import ArgumentError
from ...geometry.at_points import Layout
from ...geometry.blocks import increments, settle_all
from ...geometry.projections import Generated, Size
from ...geometry.small_matrices import Array, apart, bound, largest
from ...models.compiled_limit import CompiledLimit
from ...models.local_model import KernelModel
from ...random.lanes import LANES
from ...random.streams import Bits, Seed, initial_states, normal_pair
from ..paths import Status
from ..runner import PROGRESS_DELAY, SLICE_SECONDS, TASKS_PER_THREAD

COLLAPSE = 1e-6
"""Fall of the smallest positive eigenvalue of H since the start that ends a path."""

DIVERGED, LEFT = int(Status.DIVERGED), int(Status.LEFT_NEIGHBOURHOOD)

Integers = NDArray[np.int64]


@compiled
def draw(bits: Bits, kick: Array, scale: float) -> None:
    """Normals of standard deviation `scale` for a block; one is left over of an odd number."""
    apart()
    for m in range(0, len(kick), 2):
        for b in range(LANES):
            one, other, bits[0, b], bits[1, b], bits[2, b], bits[3, b] = normal_pair(
                scale, bits[0, b], bits[1, b], bits[2, b], bits[3, b]
            )
            kick[m, b] = one
            kick[min(m + 1, len(kick) - 1), b] = other if m + 1 < len(kick) else one


@compiled
def advance(  # noqa: PLR0917 (a kernel takes its arrays by position)
    values: Generated,
    constraints: Generated,
    size: Size,
    lay: Layout,
    points: Array,
    bits: Bits,
    floors: Array,
    ends: Integers,
    schedule: tuple[int, int, float],
) -> None:
    """Take steps with some blocks of paths.

    Parameters
    ----------
    values, constraints, size, lay
        The model, see `geometry`.
    points : float64 array, shape (blocks, LANES, N)
        Where the paths are; changed in place, like the next and `ends`.
    bits : uint64 array, shape (blocks, 4, LANES)
        Their generators.
    floors : float64 array, shape (blocks, LANES)
        Eigenvalue of H below which a path has left the regular part of Γ.
    ends : int64 array, shape (blocks, LANES, 2)
        Status, and the step at which a path stopped.
    schedule : (first, count, span)
        Steps taken before, steps to take, and their length.
    """
    first, count, span = schedule
    kick = np.empty((lay.columns, LANES))
    rows = np.empty((LANES, values_width(lay)))
    alive, regular = np.empty(LANES, np.bool_), np.empty(LANES, np.bool_)
    for block in range(len(points)):
        here = points[block]
        for k in range(first, first + count):
            left = 0
            for b in range(LANES):
                alive[b] = ends[block, b, 0] == 0
                left += alive[b]
            if left == 0:
                break
            values(here, rows)
            draw(bits[block], kick, np.sqrt(span))
            moved, smallest = increments(rows, lay, kick, span)
            for b in range(LANES):
                regular[b] = alive[b] and smallest[b] > floors[block, b]
                if regular[b]:
                    for i in range(lay.dimension):
                        here[b, i] += moved[i, b]
            settled = settle_all(constraints, size, here, regular)
            for b in range(LANES):
                if alive[b] and not settled[b]:
                    ends[block, b, 0] = LEFT if np.isfinite(largest(here[b])) else DIVERGED
                    ends[block, b, 1] = k + 1


@compiled
def values_width(lay: Layout) -> int:
    """Length of the row of values of a point."""
    if lay.second_weight == 0:
        return lay.next_at
    return lay.next_at + 2 * lay.dimension + len(lay.bend)


@dataclass(frozen=True)
class Schedule:
    """Steps between recorded times.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Recorded times, increasing.
    counts : ndarray of int, shape (T,)
        Steps from the recorded time before (0 for the first) to each.
    """

    times: Array
    counts: Integers

    @classmethod
    def of(cls, times: Array, step: float) -> Schedule:
        """The fewest steps of at most `step` that end at the recorded times."""
        gaps = np.diff(times, prepend=0.0)
        counts = np.ceil(gaps / step * (1 - 1e-12))
        if counts.sum() > MAX_COUNT:
            raise ArgumentError(
                f"step: {counts.sum():.3g} steps of {step:.3g} lead to the time {times[-1]:.3g}; "
                "give a longer step or a shorter time"
            )
        return cls(times, counts.astype(np.int64))

    @property
    def span(self) -> float:
        """Length of the steps if all are equal, else NaN."""
        gaps = np.diff(self.times, prepend=0.0)[self.counts > 0]
        spans = gaps / self.counts[self.counts > 0]
        return float(spans[0]) if np.ptp(spans) <= 1e-9 * spans[0] else np.nan

    def slices(self, slot: int, budget: Callable[[], int]) -> Iterator[tuple[int, int, float]]:
        """Steps that lead to a recorded time, in pieces: steps before, steps, their length."""
        first = int(self.counts[:slot].sum())
        left = int(self.counts[slot])
        if not left:
            return
        span = float(np.diff(self.times, prepend=0.0)[slot]) / left
        while left:
            piece = min(left, budget())
            yield first, piece, span
            first, left = first + piece, left - piece


class _Pace:
    """Steps at a time such that Ctrl-C is heard and progress shown a few times a second."""

    def __init__(self) -> None:
        self.steps = 4
        self._since = time.perf_counter()

    def __call__(self) -> int:
        now = time.perf_counter()
        elapsed = max(now - self._since, 1e-6)
        self.steps = max(1, int(self.steps * min(4.0, SLICE_SECONDS / elapsed)))
        self._since = now
        return self.steps


@dataclass(frozen=True)
class Execution:
    """How paths are run: see `constrained.simulate_limit`."""

    seed: Seed
    first_path: int
    threads: int


@singledispatch
def diffuse(
    fast: CompiledLimit, start: Array, schedule: Schedule, execution: Execution
) -> tuple[Array, Integers, Integers]:
    """Simulate the stochastic equation from points of Γ.

    Parameters
    ----------
    fast : CompiledLimit
        The equation.
    start : ndarray, shape (paths, N)
        Points of Γ; a path that starts at NaN has diverged.
    schedule : Schedule
        Recorded times and steps.
    execution : Execution
        Seed, index of the first path, number of threads.

    Returns
    -------
    weights : ndarray, shape (paths, T, N)
    status, stopped : ndarrays of int, shape (paths,)
    """
    paths, n = start.shape
    count = -(-paths // LANES)
    blocks = (count, LANES)
    points = start[np.minimum(np.arange(count * LANES), paths - 1)]
    bits = initial_states(execution.seed, execution.first_path, count * LANES)
    bits = np.ascontiguousarray(bits.reshape(4, *blocks).swapaxes(0, 1))
    floors = COLLAPSE * fast.spectrum(points)[:, 0]
    ends = np.tile(np.array([0, -1]), (count * LANES, 1))
    ends[~np.isfinite(points).all(axis=1)] = DIVERGED, 0
    ends[paths:] = DIVERGED, 0
    local = fast.model
    if not isinstance(local, KernelModel):
        raise NotCoveredError("limit: no diffusion is simulated for a model of this kind")
    model = (local.values.batch, *local.onto, local.layout)
    record = np.full((paths, len(schedule.times), n), np.nan)
    moving = (points.reshape(*blocks, n), bits, floors.reshape(blocks), ends.reshape(*blocks, 2))
    code = bound(advance, *model, *moving, (0, 0, 0.0))
    size = -(-count // (TASKS_PER_THREAD * execution.threads))
    parts = [slice(p, p + size) for p in range(0, count, size)]

    def piece(part: slice, steps: tuple[int, int, float]) -> None:
        code(*model, *(x[part] for x in moving), steps)

    total, pace = int(schedule.counts.sum()), _Pace()
    with (
        ThreadPoolExecutor(execution.threads) as pool,
        tqdm(total=total, unit="step", delay=PROGRESS_DELAY, disable=None, leave=False) as bar,
    ):
        for slot in range(len(schedule.times)):
            for steps in schedule.slices(slot, pace):
                list(pool.map(piece, parts, [steps] * len(parts)))
                bar.update(steps[1])
            alive = ends[:paths, 0] == 0
            record[alive, slot] = points[:paths][alive]
    return record, ends[:paths, 0], ends[:paths, 1]
