"""The limit on Γ: an ordinary equation by an adaptive solver, a stochastic one by small steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

import derive
from derive import Limit

from ...arguments import (
    check_counts,
    check_memory,
    check_seed,
    equally_spaced,
    number,
    positive,
    processors,
    starting_points,
)
from ...errors import ArgumentError
from ...geometry.small_matrices import Array
from ...models.compiled_limit import CompiledLimit, compile_limit
from ...models.matrix_free import MatrixFreeModel
from ...random.streams import Seed
from ..descent.descent import StepSizeWarning
from ..kinks import warn_of_kinks
from ..paths import Paths, Status
from ..runner import PROGRESS_DELAY
from .matrix_flow import follow
from .sde import COLLAPSE, DIVERGED, LEFT, Execution, Schedule, diffuse
from .sde_closed_form import diffuse_in_closed_form, euler_recursion

STEP_FRACTION = 0.01
"""Default time step, in units of the time in which drift or diffusion change by their own size."""

FEWEST_STEPS = 100
"""The default time step is at most this part of the time."""

TOLERANCE = 1e-10
"""Error of one step of a limit without noise: relative to the weights, and a hundredth absolute."""

LOOK = 2000
"""Steps of the solver between two looks at how it gets on."""

MOST_STEPS = 10**6
"""Steps that a solver may have before it, some minutes."""

Integers = NDArray[np.int64]


@singledispatch
def simulate_limit(
    limit: Limit | CompiledLimit,
    start: ArrayLike | Mapping[Any, float],
    *,
    time: float,
    paths: int,
    seed: Seed,
    step: float | None = None,
    alpha: float | None = None,
    sigma: float | None = None,
    tolerance: float = TOLERANCE,
    record: int | ArrayLike = 100,
    threads: int | None = None,
    first_path: int = 0,
) -> Paths:
    """Simulate the limiting equation on Γ.

    A limit without noise is integrated by an adaptive solver of order 8, its solution retracted to
    Γ. One with noise takes steps of weak order one, each retracted to Γ to round-off; path p of a
    seed is the same, bit for bit on one machine, whichever other paths run beside it.

    Parameters
    ----------
    limit : Limit or CompiledLimit
        What to simulate.
    start : array-like of shape (N,) or (paths, N), or mapping of weight to number
        Where the run of which this is the limit begins. The limit begins at Φ(start), for a limit
        at a step size at Φ_α(start); a point of Γ stays where it is.
    time : float
        Slow time at which to end.
    paths : int
        Number of independent paths.
    seed : int or sequence of int
        Seed of the random streams, non-negative.
    step : float, optional
        Time step of a stochastic limit; steps are cut so as to end at the recorded times. If not
        given, 0.01 of the time in which drift or diffusion change by their own size at the start,
        at most 0.01 of `time`: see `default_step`.
    alpha : float, optional
        Simulate `limit.at_step(alpha)`.
    sigma : float, optional
        Noise scale, for equations in which it stands as a symbol.
    tolerance : float
        Relative error of a step of a limit without noise.
    record : int or array-like
        How many equally spaced times to record, 0 and the last among them, or the times
        themselves, increasing.
    threads : int, optional
        Number of threads; all processors if not given.
    first_path : int
        Index of the first path, for runs that are part of a larger one.

    Returns
    -------
    Paths
        In slow time. Paths that diverge, or on which the smallest positive eigenvalue of H
        collapses, are marked with the step at which that happened, and are NaN from there on.

    Raises
    ------
    ArgumentError
        If an argument is out of its range or shape, or the limit holds a symbol without a value.

    Warns
    -----
    StepSizeWarning
        If α λ_max(H) ≥ 2(1 + β) where the limit begins.
    KinkWarning
        If recorded points of a path lie on both sides of a kink of the model.
    """
    threads = processors() if threads is None else threads
    time = number("time", time, positive)
    tolerance = number("tolerance", tolerance, positive)
    step, alpha, sigma = (
        given if given is None else number(name, given, positive)
        for name, given in (("step", step), ("alpha", alpha), ("sigma", sigma))
    )
    check_counts(paths=(paths, 1), first_path=(first_path, 0), threads=(threads, 1))
    check_seed(seed)
    times = recorded_times(record, time)
    fast = _compiled(limit, alpha, sigma)
    check_memory(paths, len(times), fast.dimension)
    # A step that is too short is refused before anything is compiled.
    schedule = Schedule.of(times, step) if fast.is_noisy and step is not None else None
    given = starting_points(start, fast.limit.problem.coordinates, paths)
    distinct, which = np.unique(given, axis=0, return_inverse=True)
    beginnings = fast.beginnings(distinct)
    _warn_of_step_size(fast, beginnings)
    if not fast.is_noisy:
        weights, status, stopped = _follow_all(fast, beginnings, times, tolerance)
        weights, status, stopped = weights[which], status[which], stopped[which]
    else:
        if schedule is None:
            schedule = Schedule.of(times, default_step(fast, beginnings, time))
        execution = Execution(seed, first_path, threads)
        recursion = euler_recursion(fast.limit) if np.isfinite(schedule.span) else None
        if recursion is None:
            weights, status, stopped = diffuse(fast, beginnings[which], schedule, execution)
        else:
            weights, status, stopped = diffuse_in_closed_form(
                fast, recursion, beginnings[which], schedule, execution
            )
    warn_of_kinks(fast.limit.problem, weights)
    return Paths(times, weights, "slow time", np.array([Status(s) for s in status]), stopped)


def recorded_times(record: int | ArrayLike, time: float) -> Array:
    """Times to record: a number of equally spaced ones, or those given.

    Raises
    ------
    ArgumentError
        If fewer than two are asked for, or those given do not increase within 0 … `time`.
    """
    times = equally_spaced(record, time)
    if (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] > time * (1 + 1e-12):
        raise ArgumentError(
            f"record: expected times that increase within 0 … {time:g}, "
            f"got {times[0]:g} … {times[-1]:g}"
        )
    return times


def default_step(fast: CompiledLimit, points: Array, time: float) -> float:
    """0.01 of the time in which drift or diffusion change, at most 0.01 of `time`."""
    return min(time / FEWEST_STEPS, STEP_FRACTION * time_of_change(fast, points))


def time_of_change(fast: CompiledLimit, points: Array) -> float:
    """The shortest time in which drift or diffusion change by their own size; it may be infinite.

    Over a distance δ along Γ, in the direction of the drift b or of a column of s, the drift
    changes by |Δb| and s by |Δs|; the time is the smaller of δ/|Δb| and (δ/|Δs|)², the least over
    directions and `points`, shape (n, N). The curvature of Γ is seen through P in s.
    """
    drift, diffusion = fast.drift(points), fast.diffusion(points)
    directions = np.concatenate([drift[..., None], diffusion], axis=-1).swapaxes(-1, -2)
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    delta = 1e-4 * (1e-3 + np.linalg.norm(points, axis=-1))[:, None]
    unit = np.divide(directions, length, out=np.zeros_like(directions), where=length > 0)
    there = fast.retract(points[:, None] + delta[..., None] * unit)
    drift_rate = np.linalg.norm(fast.drift(there) - drift[:, None], axis=-1) / delta
    change = np.linalg.norm(fast.diffusion(there) - diffusion[:, None], axis=(-2, -1))
    rate = float(np.nanmax([drift_rate, (change / delta) ** 2, np.zeros_like(change)]))
    return 1 / rate if rate > 0 else np.inf


def _compiled(
    limit: Limit | CompiledLimit, alpha: float | None, sigma: float | None
) -> CompiledLimit:
    if alpha is None and sigma is None:
        return limit if isinstance(limit, CompiledLimit) else compile_limit(limit)
    bare = limit.limit if isinstance(limit, CompiledLimit) else limit
    if alpha is not None:
        bare = bare.at_step(alpha, bare.equation.momentum)
    if sigma is not None:
        bare = replace(bare, equation=bare.equation.subs({derive.sigma: sigma}))
    return compile_limit(bare)


def _warn_of_step_size(fast: CompiledLimit, points: Array) -> None:
    equation = fast.limit.equation
    if not fast.is_projected:
        return  # that the rule attracts at its step was checked when the limit was derived
    alpha, bound = float(equation.step), 2.0 * (1.0 + float(equation.momentum))
    sharpness = np.nanmax(fast.spectrum(points)[:, -1], initial=0.0)
    if alpha * sharpness >= bound:
        warnings.warn(
            f"alpha: α λ_max = {alpha * sharpness:.3g} where the limit begins; gradient descent "
            f"with this step does not stay on Γ there, it is stable below {bound:g}; take alpha "
            f"below {bound / sharpness:.3g}",
            StepSizeWarning,
            stacklevel=3,
        )


def _follow_all(
    fast: CompiledLimit, points: Array, times: Array, tolerance: float
) -> tuple[Array, Integers, Integers]:
    """Solutions from each of some points of Γ: weights, status and stops."""
    weights = np.full((len(points), len(times), fast.dimension), np.nan)
    ends = np.empty((2, len(points)), dtype=np.int64)
    bar = tqdm(points, unit="path", delay=PROGRESS_DELAY, disable=None, leave=False)
    for p, point in enumerate(bar):
        if isinstance(fast.model, MatrixFreeModel):
            ends[:, p] = follow(fast.model, point, times, tolerance, weights[p])
        else:
            ends[:, p] = _follow(fast, point, times, tolerance, weights[p])
    return weights, ends[0], ends[1]


@dataclass
class _Pace:
    """How fast a solver gets on, looked at every so many steps."""

    end: float
    reached: float = 0.0
    gained: float = 0.0

    def look(self, time: float) -> None:
        """Refuse to go on where the end is out of reach, and the steps do not grow to reach it."""
        gained, self.reached = time - self.reached, time
        left = LOOK * (self.end - time) / gained
        if left > MOST_STEPS and gained < 2 * self.gained:
            raise ArgumentError(
                f"time: {self.end:g} units of slow time take about {left:.1g} steps more from "
                f"t = {time:.3g} on, where no longer steps are possible; give a shorter time"
            )
        self.gained = gained


def _follow(
    fast: CompiledLimit, point: Array, times: Array, tolerance: float, weights: Array
) -> tuple[int, int]:
    """Solve dW/dt = b(W) from a point of Γ, back on Γ after each step; status and last step."""
    if not np.isfinite(point).all():
        return DIVERGED, 0
    floor = COLLAPSE * fast.regularity(point)
    weights[times == 0] = point
    solver = scipy.integrate.DOP853(
        lambda _, w: fast.drift(w),
        0.0,
        point,
        times[-1],
        rtol=tolerance,
        atol=tolerance / 100,
    )
    steps, pace = 0, _Pace(times[-1])
    while solver.status == "running":
        solver.step()
        steps += 1
        if steps % LOOK == 0:
            pace.look(solver.t)
        here = fast.retract(solver.y)
        if solver.status == "failed" or not (
            np.isfinite(here).all() and fast.regularity(here) > floor
        ):
            return LEFT if np.isfinite(solver.y).all() else DIVERGED, steps
        reached = (times > solver.t_old) & (times <= solver.t)
        weights[reached] = fast.retract(solver.dense_output()(times[reached]).T)
        solver.y, solver.f = here, fast.drift(here)
    return 0, -1
