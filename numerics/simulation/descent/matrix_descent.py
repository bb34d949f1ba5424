"""Noisy gradient descent of a matrix model: NumPy steps, with the random numbers of every other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from derive.matrices.entries import entries_of
from derive.matrices.objective import residual_law
from derive.model.problem import NoisyGradientDescent
from derive.noise.trace_moments import ADDED, TraceMoments, trace_moments
from derive.symbolic.means import Samples
from derive.symbols import ScaleSymbol

from ...codegen.functions import compile_function
from ...codegen.matrices import MatrixFunctions
from ...codegen.recursions import Recursion
from ...random.lanes import LANES
from ...random.samplers import NoiseSampler, sampler_for
from ...random.streams import Seed, initial_states
from ..paths import Status
from ..runner import PROGRESS_DELAY

Array = NDArray[np.float64]

COMPILED_COORDINATES = 400
"""Noise coordinates up to which draws are compiled; NumPy spends the same numbers beyond."""

CHUNK = 256
"""Steps whose noise is drawn at a time."""


@dataclass(frozen=True)
class MatrixRecursion:
    """The recursion of a problem with matrices for weights.

    Attributes
    ----------
    problem : NoisyGradientDescent
        What is iterated.
    """

    problem: NoisyGradientDescent

    @cached_property
    def functions(self) -> MatrixFunctions:
        """The model on its data."""
        return MatrixFunctions(self.problem)

    @property
    def samples(self) -> Samples:
        """The data."""
        assert self.problem.samples is not None
        return self.problem.samples

    @cached_property
    def coordinates(self) -> tuple[Any, ...]:
        """Noise coordinates: scalars, and the entries of noise matrices."""
        found: list[Any] = []
        for e in self.problem.noise:
            found += entries_of(e, self.problem.sizes) if hasattr(e, "shape") else [e]
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
        r, law = residual_law(self.samples.one(self.problem.noisy_loss), self.functions.objective)
        place = ScaleSymbol("r", real=True)
        slope = law.diff(r).xreplace({r: place})
        return compile_function((place, *self.coordinates), slope, "residual_slope")

    def gradient(self, w: Array, eta: Array) -> Array:
        """∇L̂(w, η), shape (N,), for the draws η of one step."""
        functions, n = self.functions, self.functions.samples
        if self.samples.independent:
            draws = eta.reshape(n, -1)
            slope = self._residual_slope(np.column_stack([functions.residuals(w), draws]))
            return functions.vjp(w, slope / n)
        scale = float(functions.objective.weight) / n
        if self._is_added:
            return scale * functions.vjp(w, functions.residuals(w)) + self._size * eta
        return scale * functions.vjp(w + eta, functions.residuals(w + eta))

    @cached_property
    def _moments(self) -> TraceMoments:
        return trace_moments(self.problem)

    @property
    def _is_added(self) -> bool:
        return bool(self._moments.noise.power == ADDED)

    @cached_property
    def _size(self) -> float:
        return float(self._moments.noise.size)

    def sharpness(self, w: Array) -> float:
        """Largest eigenvalue of (c/n) JᵀJ at w, that of ∇²L where the residuals vanish."""
        values = np.linalg.eigvalsh(self.functions.gram(w))
        return float(self.functions.objective.weight) / self.functions.samples * float(values[-1])

    def run(self, points: Array, times: NDArray[np.int64], settings: Any, first_path: int) -> Any:
        """Iterate from each row of `points`.

        Returns
        -------
        record : ndarray, shape (paths, T, N)
        status, stopped : ndarray of int, shape (paths,)
        """
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
        return record, status, stopped

    def _path(
        self, w: Array, noise: Iterator[Array], settings: Any, places: dict[int, Array]
    ) -> tuple[int, int]:
        """Iterate one path, and record it at the given steps; status and last step."""
        home, velocity = w, np.zeros_like(w)
        if 0 in places:
            places[0][:] = w
        for k, eta in zip(range(1, settings.steps + 1), noise, strict=False):
            velocity = settings.momentum * velocity - settings.alpha * self.gradient(w, eta)
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
            yield from (draw[0] for draw in self.sampler.reference(sigma, 1, seed, path))
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
