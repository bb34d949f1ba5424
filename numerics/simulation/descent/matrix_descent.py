"""Noisy gradient descent of a matrix model: NumPy steps, with the random numbers of every other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from derive.matrices.entries import entries_of
from derive.matrices.objective import ADDED, residual_law
from derive.objectives.traces import Traces
from derive.symbolic.means import Samples
from derive.symbols import ScaleSymbol

from ...codegen.functions import compile_function
from ...codegen.matrices import MatrixFunctions
from ...codegen.plain import plain_noise
from ...codegen.recursions import Recursion
from ...random.lanes import LANES
from ...random.samplers import NoiseSampler, sampler_for
from ...random.streams import Seed, initial_states
from ..paths import Paths, Status
from ..runner import PROGRESS_DELAY
from .compiled_descent import CompiledDescent, descent_by
from .descent import DescentSettings, run_descent

Array = NDArray[np.float64]

COMPILED_COORDINATES = 400
"""Noise coordinates up to which draws are compiled; NumPy spends the same numbers beyond."""

CHUNK = 256
"""Steps whose noise is drawn at a time."""


@descent_by.register(Traces)
def _descent(objective: Traces) -> MatrixDescent:
    return MatrixDescent(objective.problem)


@dataclass(frozen=True)
class MatrixDescent(CompiledDescent):
    """The recursion of a problem with matrices for weights, step by step in NumPy."""

    @property
    def objective(self) -> Traces:
        """What is iterated."""
        assert isinstance(self.problem.objective, Traces)
        return self.problem.objective

    @cached_property
    def functions(self) -> MatrixFunctions:
        """The model on its data."""
        return MatrixFunctions(self.objective)

    @property
    def samples(self) -> Samples:
        """The data."""
        return self.objective.samples

    @cached_property
    def coordinates(self) -> tuple[Any, ...]:
        """Noise coordinates: scalars, and the entries of noise matrices."""
        found: list[Any] = []
        for e in self.problem.noise:
            found += entries_of(e, self.objective.sizes) if hasattr(e, "shape") else [e]
        return tuple(found)

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise of one step, that of each sample in order."""
        own = self.samples.independent
        copies = len(self.samples) if own else 1
        return sampler_for(self.problem.law, self.coordinates, own=own, copies=copies)

    @cached_property
    def _residual_slope(self) -> Any:
        """∂_r ψ(r, ξ) of points (r, ξ)."""
        r, law = residual_law(self.samples.one(self.problem.noisy_loss), self.functions.words)
        place = ScaleSymbol("r", real=True)
        slope = law.diff(r).xreplace({r: place})
        return compile_function((place, *self.coordinates), slope, "residual_slope")

    def slope(self, w: Array, eta: Array) -> Array:
        """∇L̂(w, η), shape (N,), for the draws η of one step."""
        functions, n = self.functions, self.functions.samples
        if self.samples.independent:
            draws = eta.reshape(n, -1)
            slope = self._residual_slope(np.column_stack([functions.residuals(w), draws]))
            return functions.vjp(w, slope / n)
        scale, noise = float(functions.words.weight) / n, self.objective.noise
        if noise.power == ADDED:
            return scale * functions.vjp(w, functions.residuals(w)) + float(noise.size) * eta
        return scale * functions.vjp(w + eta, functions.residuals(w + eta))

    def sharpness(self, weights: ArrayLike) -> float:
        """Largest eigenvalue of (c/n) JᵀJ at `weights`, that of ∇²L where the residuals vanish."""
        values = np.linalg.eigvalsh(self.functions.gram(np.asarray(weights, dtype=np.float64)))
        return float(self.functions.words.weight) / self.functions.samples * float(values[-1])

    def run(
        self,
        points: Array,
        times: NDArray[np.int64],
        settings: DescentSettings,
        first_path: int = 0,
        **_: Any,
    ) -> Paths:
        """Iterate from each row of `points`, shape (paths, N), one path after the other."""
        record = np.full((len(points), len(times), points.shape[1]), np.nan)
        status, stopped = np.zeros(len(points), dtype=np.int64), np.full(len(points), -1)
        bar = tqdm(
            total=len(points) * settings.steps, unit="step", delay=PROGRESS_DELAY, disable=None,
            leave=False,
        )  # fmt: skip
        with bar, np.errstate(over="ignore", invalid="ignore"):
            for p, point in enumerate(points):
                places = {int(k): record[p, slot : slot + 1] for slot, k in enumerate(times)}
                noise = self._noise(settings.sigma, settings.seed, first_path + p)
                status[p], stopped[p] = self._path(point, noise, settings, places)
                bar.update(settings.steps)
        ends = status.astype(object)
        return Paths(times.astype(np.float64), record, "iterations", ends, stopped)

    def _path(
        self, w: Array, noise: Iterator[Array], settings: Any, places: dict[int, Array]
    ) -> tuple[int, int]:
        """Iterate one path, and record it at the given steps; status and last step."""
        home, velocity = w, np.zeros_like(w)
        if 0 in places:
            places[0][:] = w
        for k, eta in zip(range(1, settings.steps + 1), noise, strict=False):
            velocity = settings.momentum * velocity - settings.alpha * self.slope(w, eta)
            w = w + velocity
            if not np.isfinite(w).all():
                return int(Status.DIVERGED), k
            far = settings.neighbourhood
            if far is not None and np.linalg.norm(w - home) > far:
                return int(Status.LEFT_NEIGHBOURHOOD), k
            if k in places:
                places[k][:] = w
        return 0, -1

    def _noise(self, sigma: float, seed: Seed, path: int) -> Iterator[Array]:
        """The draws of step 0, 1, … of a path."""
        count = len(self.sampler.positions)
        if sigma == 0:
            still = np.zeros(count)
            while True:
                yield still
        if count > COMPILED_COORDINATES:
            yield from (draw[0] for draw in plain_noise(self.sampler, sigma, 1, seed, path))
        for chunk in self._chunks(sigma, seed, path):
            yield from chunk

    def _chunks(self, sigma: float, seed: Seed, path: int) -> Iterator[Array]:
        """Draws by the compiled loop, shape (CHUNK, coordinates)."""
        recursion, count = self._drawing, len(self.sampler.positions)
        states, home = np.zeros((1, count, LANES)), np.zeros((1, count, LANES))
        bits = np.ascontiguousarray(initial_states(seed, path, LANES)[None])
        buffer, far = np.zeros((1, self.sampler.rows, LANES)), np.zeros((1, LANES))
        lengths, slots = np.ones(CHUNK, dtype=np.int64), np.arange(CHUNK)
        tables, first = recursion.tables(sigma), 0
        while True:
            record = np.empty((1, CHUNK, count))
            recursion.advance(
                states, bits, buffer, home, far, np.empty(0), tables, True, first, lengths, slots,
                record,
            )  # fmt: skip
            yield record[0]
            first += CHUNK

    @cached_property
    def _drawing(self) -> Recursion:
        """The recursion w ← η, which records the draws."""
        state, noise = (
            tuple(ScaleSymbol(f"{name}{i}", real=True) for i in range(len(self.sampler.positions)))
            for name in ("v", "e")
        )
        return Recursion(
            name="draws",
            state=state,
            noise=noise,
            constants=(),
            sampler=self.sampler,
            recorded=len(state),
            update=lambda: noise,
            content="the draws",
        )


run_descent.register(MatrixDescent, MatrixDescent.run)
