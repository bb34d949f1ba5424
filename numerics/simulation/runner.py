"""Runs of a recursion: blocks of paths, slices of steps, threads, and paths that go astray."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..codegen.deferred_sigint import compiling_to_the_end
from ..codegen.recursions import Recursion
from ..random.lanes import LANES
from ..random.streams import Bits, Doubles, Seed, initial_states
from .paths import Status

Integers = NDArray[np.int64]

SLICE_SECONDS = 0.2
"""Aim for the time between two looks at the state; Ctrl-C is heard and progress shown then."""

PROGRESS_DELAY = 2.0
"""Seconds before a progress bar appears."""

TASKS_PER_THREAD = 4
"""Pieces that the blocks are cut into, so that threads end together."""


@dataclass(frozen=True)
class Run:
    """What a run holds fixed.

    Attributes
    ----------
    recursion : Recursion
        What to iterate.
    constants : tuple of float
        Values of the recursion's constants.
    sigma : float
        Noise scale.
    times : ndarray of int, shape (T,)
        Steps at which to record, increasing.
    steps : int
        Where the run ends.
    seed : int or sequence of int
        Seed of the random streams.
    first_path : int
        Index of the first path.
    neighbourhood : float or None
        Distance from its start at which a path counts as having left.
    threads : int
        Threads to share the blocks between.
    progress : bool
        Whether a long run may show a progress bar.
    """

    recursion: Recursion
    constants: tuple[float, ...]
    sigma: float
    times: Integers
    steps: int
    seed: Seed
    first_path: int
    neighbourhood: float | None
    threads: int
    progress: bool = True

    def __call__(self, start: Doubles) -> tuple[Doubles, Integers, Integers]:
        """Iterate from `start`, shape (paths, n).

        Returns
        -------
        record : ndarray, shape (paths, T, recorded)
        status : ndarray of int, shape (paths,)
            Values of `Status`.
        stopped : ndarray of int, shape (paths,)
        """
        blocks = _Blocks.at(start, self)
        record = np.full((len(start), len(self.times), self.recursion.recorded), np.nan)
        if self.times[0] == 0:
            record[:, 0] = start[:, : self.recursion.recorded]
        pool: Any = ThreadPoolExecutor(self.threads) if self.threads > 1 else nullcontext()
        with pool as executor:
            blocks.advance(self, record, executor)
        reached = (blocks.stopped < 0)[:, None] | (self.times < blocks.stopped[:, None])
        record[~reached] = np.nan
        return record, blocks.status, blocks.stopped


@dataclass(frozen=True)
class _Blocks:
    """All that changes while paths advance; arrays of blocks, changed in place."""

    states: Doubles
    bits: Bits
    noise: Doubles
    home: Doubles
    far: Doubles
    status: Integers
    stopped: Integers

    @classmethod
    def at(cls, start: Doubles, run: Run) -> _Blocks:
        paths = len(start)
        count = -(-paths // LANES)
        padded = start[np.minimum(np.arange(count * LANES), paths - 1)]
        states = _by_block(padded.T, count)
        return cls(
            states=states,
            bits=_by_block(initial_states(run.seed, run.first_path, count * LANES), count),
            noise=np.zeros((count, run.recursion.sampler.rows, LANES)),
            home=states.copy(),
            far=np.zeros((count, LANES)),
            status=np.zeros(paths, dtype=np.int64),
            stopped=np.full(paths, -1, dtype=np.int64),
        )

    def advance(self, run: Run, record: Doubles, executor: Executor | None) -> None:
        """Take all steps, in slices of about `SLICE_SECONDS`."""
        done, total, budget = 0, run.steps, 16
        # None: no bar where the output is not a terminal.
        disable = None if run.progress else True
        with tqdm(
            total=total, unit="step", delay=PROGRESS_DELAY, disable=disable, leave=False
        ) as bar:
            while done < total and (self.stopped < 0).any():
                began = time.perf_counter()
                upto = min(done + budget, total)
                before = self._moving()
                self._advance_slice(run, (done, upto), record, executor)
                self._note_stops(run, (done, upto), before)
                bar.update(upto - done)
                done = upto
                elapsed = max(time.perf_counter() - began, 1e-6)
                budget = max(1, int(budget * min(8.0, SLICE_SECONDS / elapsed)))

    def _moving(self) -> tuple[NDArray[Any], ...]:
        return self.states.copy(), self.bits.copy(), self.noise.copy(), self.far.copy()

    def _advance_slice(
        self, run: Run, steps: tuple[int, int], record: Doubles, executor: Executor | None
    ) -> None:
        advance = _bound_kernel(run)
        lengths, slots = _segments(run.times, *steps)

        def piece(part: slice) -> None:
            rows = slice(part.start * LANES, part.stop * LANES)
            moving = (self.states[part], self.bits[part], self.noise[part])
            advance(
                *moving, self.home[part], self.far[part], steps[0], lengths, slots, record[rows]
            )

        parts = list(self._parts(run.threads))
        if executor is None:
            for part in parts:
                piece(part)
        else:
            list(executor.map(piece, parts))

    def _parts(self, threads: int) -> Iterator[slice]:
        """Runs of neighbouring blocks that still hold a path to follow, cut up for the threads."""
        alive = np.zeros(len(self.states) * LANES, dtype=bool)
        alive[: len(self.stopped)] = self.stopped < 0
        wanted = np.flatnonzero(alive.reshape(-1, LANES).any(axis=1))
        size = (
            max(1, -(-len(wanted) // (TASKS_PER_THREAD * threads))) if threads > 1 else len(wanted)
        )
        for group in np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1):
            for i in range(0, len(group), size):
                part = group[i : i + size]
                yield slice(int(part[0]), int(part[-1]) + 1)

    def _note_stops(
        self, run: Run, steps: tuple[int, int], before: tuple[NDArray[Any], ...]
    ) -> None:
        """Find the paths that stopped in this slice, and at which step, by bisection."""
        bad = _astray(self.states, self.far, run).reshape(-1)[: len(self.stopped)]
        new = np.flatnonzero(bad & (self.stopped < 0))
        for block in np.unique(new // LANES):
            part = slice(int(block), int(block) + 1)
            moving = tuple(array[part].copy() for array in before)
            lanes = new[new // LANES == block] - block * LANES
            found, left = _first_astray(run, moving, self.home[part], steps, lanes)
            self.stopped[block * LANES + lanes] = found
            self.status[block * LANES + lanes] = np.where(
                left, Status.LEFT_NEIGHBOURHOOD, Status.DIVERGED
            )


def _first_astray(
    run: Run,
    moving: tuple[NDArray[Any], ...],
    home: Doubles,
    steps: tuple[int, int],
    lanes: Integers,
) -> tuple[Integers, NDArray[np.bool_]]:
    """Find the first step after which each of `lanes` is astray, and whether it is finite then.

    `moving` is the block after `steps[0]` steps, and all lanes are astray after `steps[1]`. The
    halves are taken by the kernel itself, which gives the same bits whatever the slices.
    """
    advance = _bound_kernel(run)
    nowhere = np.empty((0, 0, run.recursion.recorded))

    def take(arrays: tuple[NDArray[Any], ...], first: int, number: int) -> None:
        lengths, slots = np.array([number]), np.array([-1])
        advance(*arrays[:3], home, arrays[3], first, lengths, slots, nowhere)

    found = np.full(len(lanes), steps[1])
    left = np.zeros(len(lanes), dtype=bool)
    pending = [(moving, *steps, np.arange(len(lanes)))]
    while pending:
        arrays, low, high, which = pending.pop()
        middle = (low + high) // 2 if high - low > 1 else high
        after = tuple(a.copy() for a in arrays)
        take(after, low, middle - low)
        bad = _astray(after[0], after[3], run)[0, lanes[which]]
        if middle == high:
            found[which] = high
            left[which] = np.isfinite(after[0][0][:, lanes[which]]).all(axis=0)
            continue
        if bad.any():
            pending.append((arrays, low, middle, which[bad]))
        if not bad.all():
            pending.append((after, middle, high, which[~bad]))
    return found, left


def _astray(states: Doubles, far: Doubles, run: Run) -> NDArray[np.bool_]:
    """Which lanes are not finite, or have been too far from home; shape (blocks, lanes)."""
    finite = np.isfinite(states[:, : run.recursion.recorded]).all(axis=1)
    if run.neighbourhood is None:
        return np.asarray(~finite)
    return np.asarray(~(finite & (far <= run.neighbourhood * run.neighbourhood)))


def _bound_kernel(run: Run) -> Callable[..., None]:
    """The compiled loop with all that a run holds fixed: (states, bits, noise, home, far, …)."""
    watched = run.neighbourhood is not None
    kernel = run.recursion.advance_watched if watched else run.recursion.advance
    constants = np.array(run.constants, dtype=np.float64)
    tables = run.recursion.tables(run.sigma)

    @compiling_to_the_end()
    def advance(*arguments: Any) -> None:
        kernel(*arguments[:5], constants, tables, True, *arguments[5:])

    return advance


@compiling_to_the_end()
def one_noiseless_step(
    recursion: Recursion, constants: tuple[float, ...], states: Doubles
) -> Doubles:
    """F(w, 0) at each row w of `states`, shape (points, n), by the compiled loop."""
    count = -(-len(states) // LANES)
    padded = states[np.minimum(np.arange(count * LANES), len(states) - 1)]
    blocks = _by_block(padded.T, count)
    bits = np.zeros((count, 4, LANES), dtype=np.uint64)
    noise = np.zeros((count, recursion.sampler.rows, LANES))
    record = np.empty((len(states), 1, recursion.recorded))
    schedule = (np.array([1]), np.array([0]), record)
    tables = recursion.tables(0.0)
    far = np.zeros((count, LANES))
    recursion.advance(
        blocks, bits, noise, blocks, far, np.array(constants), tables, False, 0, *schedule
    )
    return record[:, 0]


def _by_block(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """Rows (n, count·LANES) as blocks (count, n, LANES)."""
    return np.ascontiguousarray(rows.reshape(len(rows), count, LANES).transpose(1, 0, 2))


def _segments(times: Integers, done: int, upto: int) -> tuple[Integers, Integers]:
    """Steps from `done` to `upto`, cut at the recorded times: lengths, and places in the record."""
    low, high = np.searchsorted(times, [done, upto], side="right")
    ends, slots = times[low:high], np.arange(low, high)
    if not len(ends) or ends[-1] < upto:
        ends, slots = np.append(ends, upto), np.append(slots, -1)
    return np.diff(ends, prepend=done), slots
