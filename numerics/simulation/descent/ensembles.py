"""Ensembles: many paths and many (α, σ), over any executor, as chunks on disk.

A chunk is a range of paths at one grid point, simulated by one call in some worker and written by
the process that holds the executor, whole or not at all. What a chunk contains does not depend on
where or beside what it runs, so an ensemble that was interrupted continues with the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from derive.errors import SavedFileError
from derive.files.atomic_write import write_atomically
from derive.model.problem import NoisyGradientDescent

from ...arguments import check_counts, doubles, processors, recorded_steps, starting_points
from ...codegen.cache import code_version
from ...codegen.functions import content_of
from ...errors import ArgumentError, EnsembleError
from ..paths import Paths
from .compiled_descent import CompiledDescent, compile_descent
from .descent import DescentSettings, Doubles, run_descent, warn_of_step_size

MANIFEST = "ensemble.json"
CHUNKS = "point*-paths*.npz"
CHUNK_PATHS = 256
"""Paths in a chunk, if not told."""


@dataclass(frozen=True)
class Chunk:
    """Paths `first`, …, `first + count − 1` at grid point number `point`."""

    point: int
    first: int
    count: int

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"point{self.point:04d}-paths{self.first:08d}-{self.first + self.count:08d}.npz"


@dataclass(frozen=True)
class Ensemble:
    """Results of a grid of runs, on disk.

    Attributes
    ----------
    directory : Path
        Where the chunks are.
    grid : tuple of (alpha, sigma)
        The grid points.
    paths : int
        Paths at each grid point.
    chunk_paths : int
        Paths in a chunk.
    digest : str
        Of everything that determines the results.
    """

    directory: Path
    grid: tuple[tuple[float, float], ...]
    paths: int
    chunk_paths: int
    digest: str

    def __len__(self) -> int:
        return len(self.grid)

    def __getitem__(self, point: int) -> Paths:
        """Read all paths at grid point number `point`."""
        chunks = [c for c in self.chunks() if c.point == range(len(self.grid))[point]]
        return Paths.joined([self._load(c) for c in chunks])

    def origin(self, chunk: Chunk) -> str:
        """What the file of a chunk says that it is: a name alone can be given to any file."""
        return _digest(f"{self.digest} {chunk.name}".encode())

    def chunks(self) -> Iterator[Chunk]:
        """All chunks, in order."""
        for point in range(len(self.grid)):
            for first in range(0, self.paths, self.chunk_paths):
                yield Chunk(point, first, min(self.chunk_paths, self.paths - first))

    def missing(self) -> list[Chunk]:
        """Chunks that are not there yet, or are damaged, or of another ensemble; each is read."""
        return [c for c in self.chunks() if not self._is_whole(c)]

    def _is_whole(self, chunk: Chunk) -> bool:
        try:
            self._load(chunk)
        except (SavedFileError, OSError):
            return False
        return True

    def _load(self, chunk: Chunk) -> Paths:
        return Paths.load(self.directory / chunk.name, self.origin(chunk))


def simulate_grid(
    problem: NoisyGradientDescent | CompiledDescent,
    start: ArrayLike | Mapping[Any, float],
    directory: str | PathLike[str],
    *,
    grid: Sequence[tuple[float, float]],
    steps: int | Sequence[int],
    paths: int,
    seed: int,
    record: int | ArrayLike = 100,
    momentum: float = 0.0,
    neighbourhood: float | None = None,
    executor: Executor | None = None,
    chunk_paths: int = CHUNK_PATHS,
    resume: bool = False,
) -> Ensemble:
    """Run noisy gradient descent at every (α, σ) of a grid.

    Parameters
    ----------
    problem, start, paths, record, momentum, neighbourhood
        As for `simulate_descent`.
    directory : path-like
        Where the chunks of results go; made if it is missing.
    grid : sequence of (alpha, sigma)
        Step sizes and noise scales.
    steps : int or sequence of int
        Iterations, for all grid points or for each.
    seed : int
        Path p at grid point number i has the stream p of the seed (seed, i).
    executor : Executor, optional
        Any `concurrent.futures.Executor`: of threads, of processes, or a Dask cluster's
        `client.get_executor()`. If not given, chunks run one after the other, each on all
        processors.
    chunk_paths : int
        Paths in a chunk, the unit of work that is done or lost as a whole.
    resume : bool
        Whether to go on with what `directory` holds of the same ensemble.

    Returns
    -------
    Ensemble

    Raises
    ------
    EnsembleError
        If `directory` holds an ensemble and `resume` is false, or another ensemble, or a worker
        was lost; chunks that were finished stay.
    ArgumentError
        If an argument is out of its range or shape.
    """
    compiled = problem if isinstance(problem, CompiledDescent) else compile_descent(problem)
    check_counts(paths=(paths, 1), chunk_paths=(chunk_paths, 1), seed=(seed, 0))
    points = starting_points(start, compiled.problem.coordinates, paths)
    pairs = doubles("grid", grid)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ArgumentError(f"grid: expected pairs (alpha, sigma), at least one; got {grid!r}")
    lengths = list(steps) if isinstance(steps, Sequence | np.ndarray) else [steps] * len(pairs)
    if len(lengths) != len(pairs):
        raise ArgumentError(f"steps: expected one number, or {len(pairs)}, one per grid point")
    settings = tuple(
        DescentSettings(float(alpha), float(sigma), length, (seed, i), momentum, neighbourhood)
        for i, ((alpha, sigma), length) in enumerate(zip(pairs, lengths, strict=True))
    )
    times = tuple(tuple(map(int, recorded_steps(record, s.steps))) for s in settings)
    job = DescentJob(compiled, points, settings, times, processors() if executor is None else 1)
    grid_points = tuple((s.alpha, s.sigma) for s in settings)
    manifest = job.manifest() | {"chunk_paths": chunk_paths}
    digest = _digest(json.dumps(manifest, sort_keys=True).encode())
    ensemble = Ensemble(Path(directory), grid_points, paths, chunk_paths, digest)
    _open(ensemble, manifest, resume)
    warn_of_step_size(compiled, points[0], max(s.alpha for s in settings), momentum)
    _run_missing(ensemble, job, executor)
    return ensemble


@dataclass(frozen=True)
class DescentJob:
    """What a worker needs to simulate any chunk; it travels by pickle, compiled code does not.

    Attributes
    ----------
    compiled : CompiledDescent
        The recursion.
    points : ndarray, shape (paths, N)
        Starting points.
    settings : tuple of DescentSettings
        One per grid point.
    times : tuple of tuples of int
        Recorded iterations at each grid point.
    threads : int
        Threads per chunk.
    """

    compiled: CompiledDescent
    points: Doubles
    settings: tuple[DescentSettings, ...]
    times: tuple[tuple[int, ...], ...]
    threads: int

    def __call__(self, chunk: Chunk) -> Paths:
        """Simulate one chunk."""
        return run_descent(
            self.compiled,
            self.points[chunk.first : chunk.first + chunk.count],
            np.array(self.times[chunk.point], dtype=np.int64),
            self.settings[chunk.point],
            first_path=chunk.first,
            threads=self.threads,
            progress=False,
        )

    def manifest(self) -> dict[str, Any]:
        """Everything that determines the results, as JSON."""
        return {
            "model": _digest(content_of(self.compiled.problem).encode()),
            "start": _digest(self.points.tobytes()),
            "paths": len(self.points),
            "settings": [[s.alpha, s.sigma, s.steps, *s.seed] for s in self.settings],  # type: ignore[misc]
            "momentum": self.settings[0].momentum,
            "neighbourhood": self.settings[0].neighbourhood,
            "times": [list(t) for t in self.times],
            "version": code_version(),
        }


def _open(ensemble: Ensemble, manifest: dict[str, Any], resume: bool) -> None:
    """Start the ensemble's directory, or make sure that it is the same ensemble's."""
    path = ensemble.directory / MANIFEST
    ensemble.directory.mkdir(parents=True, exist_ok=True)
    # In this order: where there is a chunk, there was a manifest before.
    if any(ensemble.directory.glob(CHUNKS)) and not path.exists():
        raise EnsembleError(
            f"{ensemble.directory} holds chunks of results, but not the {MANIFEST} that says of "
            "what; name another directory"
        )
    text = json.dumps(manifest).encode()
    try:
        write_atomically(path, lambda file: file.write(text), exclusive=True)
    except FileExistsError:
        _check_same(path, manifest, resume)


def _check_same(path: Path, manifest: dict[str, Any], resume: bool) -> None:
    """Refuse to go on with another ensemble, or where that was not asked for."""
    if not resume:
        raise EnsembleError(
            f"{path.parent} already holds an ensemble; pass resume=True to go on with it, "
            "or name another directory"
        )
    try:
        stored = dict(json.loads(path.read_text()))
    except (ValueError, TypeError, RecursionError) as error:
        raise EnsembleError(f"{path}: not a manifest of an ensemble: {error}") from error
    different = sorted(k for k in manifest | stored if stored.get(k) != manifest.get(k))
    if different:
        raise EnsembleError(
            f"{path.parent} holds another ensemble; it differs in {', '.join(different)}. "
            "Resume with the arguments and versions it was started with, or name another directory"
        )


def _run_missing(ensemble: Ensemble, job: DescentJob, executor: Executor | None) -> None:
    total = sum(1 for _ in ensemble.chunks())
    missing = ensemble.missing()
    done = total - len(missing)
    with tqdm(total=total, initial=done, unit="chunk", delay=2.0, disable=None) as bar:

        def keep(chunk: Chunk, paths: Paths) -> None:
            paths.save(ensemble.directory / chunk.name, ensemble.origin(chunk))
            bar.update()

        if executor is None:
            for chunk in missing:
                keep(chunk, job(chunk))
        else:
            _run_elsewhere(missing, job, executor, keep)


def _run_elsewhere(
    missing: list[Chunk],
    job: DescentJob,
    executor: Executor,
    keep: Callable[[Chunk, Paths], None],
) -> None:
    """Submit all chunks and keep each as it comes; whatever happens, keep those that finished."""
    waiting: dict[Future[Paths], Chunk] = {executor.submit(job, c): c for c in missing}
    failure: tuple[Chunk, BaseException] | None = None
    try:
        for future in as_completed(list(waiting)):
            if future.cancelled():
                continue
            error = future.exception()
            if error is None:
                keep(waiting[future], future.result())
                del waiting[future]
            elif failure is None:
                failure = (waiting[future], error)
                _cancel(waiting)
    finally:
        _cancel(waiting)
        for future, chunk in waiting.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                keep(chunk, future.result())
    if failure is not None:
        raise EnsembleError(
            f"a worker failed at {failure[0].name}: {failure[1]!r}; the chunks that finished are "
            "kept, run again with resume=True to go on"
        ) from failure[1]


def _cancel(futures: Iterable[Future[Paths]]) -> None:
    for future in futures:
        future.cancel()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
