"""Noisy gradient descent: the recursion w_{k+1} = w_k − α ∇_w L̂(w_k, η_k) itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive.model.adaptive import Adaptive
from derive.model.optimized import BuiltRule, rule_of
from derive.model.problem import NoisyGradientDescent
from derive.noise.trace_moments import covered_form
from derive.rules.second_moments import recursion_of
from derive.symbols import ScaleSymbol, alpha, sigma

from ..arguments import (
    check_counts,
    check_memory,
    check_seed,
    number,
    positive,
    processors,
    recorded_steps,
    starting_points,
)
from ..codegen.finite_sums import SampledRecursion
from ..codegen.functions import CompiledFunction, compile_function, content_of
from ..codegen.recursions import Recursion
from ..errors import ArgumentError
from ..random.draws import SCRATCH_ROWS
from ..random.samplers import NoiseSampler, sampler_for
from ..random.streams import Seed
from .matrix_descent import MatrixRecursion
from .paths import Paths
from .runner import Run, one_noiseless_step

Doubles = NDArray[np.float64]

ALPHA, SIGMA = alpha, sigma
BETA = ScaleSymbol("beta", positive=True)
"""The momentum β."""


class StepSizeWarning(UserWarning):
    """The step size is beyond the linear stability of gradient descent at the start."""


@dataclass(frozen=True)
class CompiledDescent:
    """The recursion of a problem, compiled when it first runs.

    Attributes
    ----------
    problem : NoisyGradientDescent
        With every parameter bound.

    Raises
    ------
    ArgumentError
        If a parameter of the problem has no value, or its gradient or law has no code.
    """

    problem: NoisyGradientDescent

    def __post_init__(self) -> None:
        self.problem.require_known()
        if self.problem.parameters:
            names = ", ".join(map(str, self.problem.parameters))
            raise ArgumentError(
                f"problem: {names} without a value; bind parameters with problem.subs({{...}}) "
                "before simulating"
            )
        _ = self.sampler

    @property
    def period(self) -> int:
        """Steps of the recursion that count as one."""
        return 1

    @cached_property
    def matrices(self) -> MatrixRecursion | None:
        """The recursion in matrices, of a problem that has them for weights."""
        return None if self.problem.traces is None else MatrixRecursion(self.problem)

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise."""
        if self.matrices is not None:
            return self.matrices.sampler
        problem, samples = self.problem, self.problem.samples
        if samples is None:
            return sampler_for(problem.law, problem.noise)
        # The sum over the samples needs the rows before those of the draws.
        first = SCRATCH_ROWS + problem.dimension + len(problem.noise)
        own, copies = samples.independent, len(samples)
        return sampler_for(problem.law, problem.noise, own=own, copies=copies, first_row=first)

    @cached_property
    def gradient(self) -> CompiledFunction:
        """∇_w (L̂ + U) of points (w, η, α, σ), shape (..., N + d + 2)."""
        inputs = (*self.problem.weights, *self.problem.noise, ALPHA, SIGMA)
        return compile_function(inputs, self.problem.stochastic_gradient, "gradient")

    @cached_property
    def recursion(self) -> Recursion:
        """The step of plain gradient descent."""
        return self._recursion(self.problem.weights, (ALPHA, SIGMA), self._plain_step)

    @cached_property
    def heavy_ball(self) -> Recursion:
        """The step with momentum; its state is (w_k, v_k) with v_k = w_k − w_{k−1}."""
        state = (*self.problem.weights, *self._velocities)
        return self._recursion(state, (ALPHA, SIGMA, BETA), self._heavy_ball_step)

    def _recursion(
        self, state: tuple[Any, ...], constants: tuple[Any, ...], update: Callable[[], list[Any]]
    ) -> Recursion:
        one, samples = self.problem.one_sample, self.problem.samples
        given: dict[str, Any] = {
            "state": state,
            "noise": one.noise,
            "constants": constants,
            "sampler": self.sampler,
            "recorded": one.dimension,
            "update": update,
        }
        if samples is None:
            return Recursion(name="descent", content=content_of(one), **given)
        # The code is the same for other data of as many samples.
        kind = samples.symbols, samples.independent, len(samples)
        return SampledRecursion(
            name="sampled_descent",
            content=content_of(one, *kind),
            data=samples.symbols,
            values=np.array(samples.table, dtype=np.float64),
            own=samples.independent,
            sums=self._sums,
            summand=lambda: one.stochastic_gradient,
            **given,
        )

    @property
    def _sums(self) -> tuple[Any, ...]:
        """Sums over the samples, as the step calls them."""
        return tuple(ScaleSymbol(f"sum{i}", real=True) for i in range(self.problem.dimension))

    def _slope(self) -> Sequence[Any]:
        """∇_w (L̂ + U) as the step sees it."""
        samples = self.problem.samples
        if samples is None:
            return self.problem.stochastic_gradient
        return [total / len(samples) for total in self._sums]

    def _plain_step(self) -> list[Any]:
        return [w - ALPHA * g for w, g in zip(self.problem.weights, self._slope(), strict=True)]

    def _heavy_ball_step(self) -> list[Any]:
        # The α in the size of a penalty is the effective step size.
        slope = [g.xreplace({ALPHA: ALPHA / (1 - BETA)}) for g in self._slope()]
        moved = [BETA * v - ALPHA * g for v, g in zip(self._velocities, slope, strict=True)]
        return [w + v for w, v in zip(self.problem.weights, moved, strict=True)] + moved

    @property
    def _velocities(self) -> tuple[Any, ...]:
        return tuple(ScaleSymbol(f"v{i}", real=True) for i in range(self.problem.dimension))

    def state(self, points: Doubles, momentum: float) -> Doubles:
        """Where the recursion starts, shape (paths, ·): at rest at these weights."""
        return np.hstack([points, np.zeros_like(points)]) if momentum else points

    def loss_gradient(self, points: ArrayLike) -> Doubles:
        """∇L at `points`, shape (P, N), by a noiseless step of size one."""
        w = np.asarray(points, dtype=np.float64)
        return w - one_noiseless_step(self.recursion, (1.0, 0.0), w)

    def sharpness(self, weights: ArrayLike) -> float:
        """Largest eigenvalue of ∇²L at `weights`, shape (N,), by central differences of ∇L.

        NaN where ∇L is NaN.
        """
        if self.matrices is not None:
            return self.matrices.sharpness(np.asarray(weights, dtype=np.float64))
        w = np.asarray(weights, dtype=np.float64)
        step = 1e-5 * (1.0 + np.abs(w))
        shifted = np.vstack([w + np.diag(step), w - np.diag(step)])
        slopes = self.loss_gradient(shifted)
        if not np.isfinite(slopes).all():
            return np.nan
        forward, backward = np.split(slopes, 2)
        hessian = (forward - backward) / (2.0 * step[:, None])
        return float(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[-1])

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the problem does.
        return compile_descent, (self.problem,)


@singledispatch
def compile_descent(problem: NoisyGradientDescent) -> CompiledDescent:
    """Prepare the recursion of a problem for simulation.

    Parameters
    ----------
    problem : NoisyGradientDescent
        With every parameter bound to a number.

    Raises
    ------
    ArgumentError
        If a parameter has no value, or the gradient or the law has no code.
    """
    if not isinstance(problem, NoisyGradientDescent):
        raise ArgumentError(f"problem: expected a NoisyGradientDescent, got {problem!r}")
    if problem.optimizer is None:
        return CompiledDescent(covered_form(problem))
    if isinstance(problem.optimizer, Adaptive):
        return compile_descent(recursion_of(problem))  # type: ignore[arg-type]
    return compile_descent(BuiltRule(rule_of(problem), problem.optimizer))  # type: ignore[arg-type]


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
    """
    compiled = problem if isinstance(problem, CompiledDescent) else compile_descent(problem)
    settings = DescentSettings(alpha, sigma, steps, seed, momentum, neighbourhood)
    threads = processors() if threads is None else threads
    check_counts(paths=(paths, 1), first_path=(first_path, 0), threads=(threads, 1))
    times = recorded_steps(record, steps)
    check_memory(paths, len(times), compiled.problem.dimension)
    points = starting_points(start, compiled.problem.coordinates, paths)
    warn_of_step_size(compiled, points[0], settings.alpha, settings.momentum)
    return run_descent(
        compiled,
        points,
        times,
        settings,
        first_path=first_path,
        threads=threads,
    )


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
    if compiled.matrices is not None:
        weights, status, stopped = compiled.matrices.run(points, times, settings, first_path)
        ends = status.astype(object)
        return Paths(times.astype(np.float64), weights, "iterations", ends, stopped)
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
    """Run the recursion in plain NumPy, with the same random numbers: what the fast one is held to.

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
    noise = compiled.sampler.reference(sigma, paths, seed, first_path)
    scales = np.broadcast_to([alpha / (1.0 - momentum), sigma], (paths, 2))
    iterates = [weights]
    for _, eta in zip(range(steps), noise, strict=False):
        gradient = compiled.gradient.reference(np.hstack([weights, eta, scales]))
        velocity = momentum * velocity - alpha * gradient
        weights = weights + velocity
        iterates.append(weights)
    return np.stack(iterates, axis=1)


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
