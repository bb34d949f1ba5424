"""The recursion beside its limits, over the same slow time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive import Limit, NoisyGradientDescent
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.adaptive_limit import AdaptiveLimit
from derive.laws.independent import groups_of
from derive.laws.scaled import Scaled
from derive.noise.moments import enters_linearly
from derive.optimizers import Window

from ...arguments import MAX_COUNT
from ...codegen.functions import compile_function
from ...errors import ArgumentError
from ...models.compiled_limit import CompiledLimit, compile_limit
from ...simulation.descent.descent import simulate_descent
from ...simulation.limit.integrate import TOLERANCE, simulate_limit
from ...simulation.paths import Paths
from .experiment import Experiment, Settings, ladder, largest_norm, resolution

Array = NDArray[np.float64]

RECORDED = 40
"""Intervals between recorded times."""

TRACED = 3
"""Paths that are recorded finely."""

SINGULAR = 1e-14
"""Smallest eigenvalue of H, relative to the largest, that is not round-off."""

LOOSER = 10.0
"""Factor of the tolerance with which a limit without noise is integrated a second time."""


def iterations_per_time(limit: Limit, alpha: float, sigma: float) -> float:
    """Iterations in one unit of slow time.

    A limit without motion has no time scale of its own; it is watched on the scale 1/(α²σ²).
    """
    if limit.time_scale is None:
        speed = 1 / alpha / sigma
        return speed * speed  # infinite where ** would not compute it
    return float(limit.time_scale.subs({ALPHA: alpha, SIGMA: sigma}))


def iterations_of(limit: Limit, alpha: float, sigma: float, time: float) -> float:
    """Iterations in so much slow time.

    Raises
    ------
    ArgumentError
        If they are more than can be counted.
    """
    iterations = time * iterations_per_time(limit, alpha, sigma)
    if not iterations <= MAX_COUNT:
        raise ArgumentError(
            f"time: {time:g} units of slow time are {iterations:.3g} iterations at α = {alpha:g}, "
            f"σ = {sigma:g}; give a shorter time or larger α and σ"
        )
    return iterations


def check_arrival(compiled: CompiledLimit, end: Array, way: str) -> None:
    """Refuse a start from which the run does not reach a regular point of Γ.

    Parameters
    ----------
    compiled : CompiledLimit
        The limit.
    end : ndarray, shape (N,)
        Where the noiseless run ends.
    way : str
        What ends there, for the message.

    Raises
    ------
    ArgumentError
        If that is nowhere, or H has too small a rank there.
    """
    if not np.isfinite(end).all():
        raise ArgumentError(
            f"start: {way} does not end on Γ; start closer to Γ, or give a smaller alpha"
        )
    smallest, largest = compiled.spectrum(end)[[0, -1]]
    if not smallest > SINGULAR * largest:
        raise ArgumentError(
            f"start: {way} ends at {tuple(np.round(end, 9).tolist())}, where H has a rank below "
            f"{compiled.codimension} and Γ is no manifold (two pieces of it may cross); start "
            "elsewhere"
        )


def is_linear(problem: Any) -> bool:
    """Whether noise is seen to enter ∇_wL̂ linearly; of an update rule nothing is seen."""
    stated = isinstance(problem, NoisyGradientDescent) and problem.optimizer is None
    return stated and enters_linearly(problem)


def expansion_order(limit: Limit) -> int:
    """Power of σ by which the recursion first differs from its limit.

    2, or 1 for skew noise and second moments whose δ shrinks with σ.
    """
    if isinstance(limit, AdaptiveLimit) and limit.window is Window.CONSTANT:
        return 1
    problem = limit.problem
    skew = any(
        law.largest_third_moment(len(symbols)) not in {None, 0}
        # Where it enters linearly, skewness counts by ασ, less than what is of order σ².
        or (isinstance(law, Scaled) and not law.is_symmetric and not is_linear(problem))
        for symbols, law in groups_of(problem.law, problem.noise)
    )
    return 1 if skew else 2


@dataclass(frozen=True)
class Comparison:
    """The recursion at one step size and several noise scales beside its limit.

    Attributes
    ----------
    limit : Limit
        The limit α → 0.
    alpha : float
        Step size α.
    sigmas : tuple of float
        Noise scales, descending.
    times : ndarray, shape (T,)
        Slow times.
    descents : tuple of Paths
        The recursion, one run a noise scale, recorded at `times`.
    projected : tuple of ndarray, shape (paths, T, N)
        Φ_α(w_k), where gradient descent would end from there: the part of w_k that moves slowly.
    expected : ndarray, shape (m, T, N)
        Paths of the limit σ → 0 at this α.
    asymptotic : ndarray, shape (m, T, N)
        Paths of the limit α → 0.
    trace : Paths
        A few paths of the recursion at the largest σ, recorded finely from the first iteration on.
    resolution : ndarray, shape (T,)
        What integration and round-off may leave of a difference between weights, whatever the
        noise: the change of a limit without noise when it is integrated to a looser tolerance, the
        error of Φ_α, and the round-off of the iterations.
    """

    limit: Limit
    alpha: float
    sigmas: tuple[float, ...]
    times: Array
    descents: tuple[Paths, ...]
    projected: tuple[Array, ...]
    expected: Array
    asymptotic: Array
    trace: Paths
    resolution: Array

    @property
    def paths(self) -> int:
        """Number of paths of each run of the recursion."""
        return len(self.descents[0])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the weights."""
        return tuple(str(w) for w in self.limit.problem.weights)

    @property
    def iterations(self) -> Array:
        """The recorded times of the run with the largest σ, in iterations."""
        return self.times * iterations_per_time(self.limit, self.alpha, self.sigmas[0])

    @property
    def ratio(self) -> float:
        """ε of the second finest run over that of the finest, ε = σ² or, for skew noise, σ."""
        order = expansion_order(self.limit)
        return float((self.sigmas[-2] / self.sigmas[-1]) ** order)

    @property
    def motion(self) -> float:
        """Largest root mean square distance of the limit from its start."""
        moved = np.sum((self.expected - self.expected[:, :1]) ** 2, axis=2)
        return float(np.sqrt(moved.mean(axis=0).max()))


def compare_with_limit(
    limit: Limit,
    start: Sequence[float],
    *,
    alpha: float,
    sigma: float,
    time: float,
    paths: int,
    seed: int,
) -> Comparison:
    """Run the recursion at one (α, σ), and its limits, over the same slow time.

    Parameters
    ----------
    limit : Limit
        The limit α → 0; the recursion has its momentum.
    start : sequence of float
        w₀.
    alpha, sigma : float
        Step size and noise scale.
    time : float
        End of the run in slow time.
    paths : int
        Number of paths.
    seed : int
        Seed of the experiment.
    """
    settings = Settings(tuple(start), (alpha,), (sigma,), time, paths, seed)
    predicted = compile_limit(limit.at_step(alpha, limit.equation.momentum))
    return compare(
        Experiment(predicted, paths, (seed,)), compile_limit(limit), settings, alpha=alpha
    )


def compare(
    experiment: Experiment, asymptotic: CompiledLimit, settings: Settings, *, alpha: float
) -> Comparison:
    """Run the recursion and its limits over the same slow time.

    Parameters
    ----------
    experiment : Experiment
        Of the limit σ → 0 at step size `alpha`, which starts at Φ_α(w₀).
    asymptotic : CompiledLimit
        The limit α → 0, which starts at Φ(w₀).
    settings : Settings
        Start, noise scales and time.
    alpha : float
        Step size.
    """
    predicted, start = experiment.compiled, settings.start
    limit, sigmas = predicted.limit, ladder(settings.sigmas)
    times = np.linspace(0.0, settings.time, RECORDED + 1)
    marks = [np.round(times * iterations_per_time(limit, alpha, sigma)) for sigma in sigmas]
    descents, projected = zip(
        *(
            experiment.keyed(i).run(start, alpha=alpha, sigma=sigma, record=at)
            for i, (sigma, at) in enumerate(zip(sigmas, marks, strict=True))
        ),
        strict=True,
    )
    ends = [predicted.beginnings(start), asymptotic.beginnings(start)]
    expected, limiting = (
        sample_limit(experiment.keyed(len(sigmas) + i, compiled=compiled), end, times)
        for i, (compiled, end) in enumerate(zip([predicted, asymptotic], ends, strict=True))
    )
    last = marks[0][-1]
    trace = simulate_descent(
        experiment.descent,
        experiment.scattered(start, TRACED, alpha=alpha, sigma=sigmas[0]),
        alpha=alpha,
        sigma=sigmas[0],
        momentum=experiment.momentum,
        steps=int(last),
        paths=TRACED,
        seed=experiment.keyed(0).seed,
        record=np.union1d(np.geomspace(1, last, 400), np.linspace(0, last, 800)),
    )
    return Comparison(
        asymptotic.limit,
        alpha,
        sigmas,
        times,
        descents,
        projected,
        expected,
        limiting,
        trace,
        resolution(largest_norm(expected), marks[-1])
        + _integration_error(experiment, ends[0], times, expected),
    )


def sample_limit(
    experiment: Experiment, start: Array, times: Array, tolerance: float = TOLERANCE
) -> Array:
    """Paths of a limit at given slow times, shape (m, T, N); one path where it is deterministic."""
    limit = experiment.compiled.limit
    if limit.time_scale is None:
        return np.tile(start, (1, len(times), 1))
    return simulate_limit(
        experiment.compiled,
        start,
        time=times[-1],
        paths=experiment.paths if experiment.compiled.is_noisy else 1,
        seed=experiment.seed,
        tolerance=tolerance,
        record=times,
    ).weights


def _integration_error(
    experiment: Experiment, start: Array, times: Array, expected: Array
) -> Array:
    """Largest change so far of a limit without noise by a looser tolerance, shape (T,)."""
    if experiment.compiled.is_noisy:
        return np.zeros(len(times))
    looser = sample_limit(experiment, start, times, LOOSER * TOLERANCE)
    return np.maximum.accumulate(np.nan_to_num(np.linalg.norm(looser - expected, axis=2)[0]))


@dataclass(frozen=True)
class Landscape:
    """L and one constraint of Γ on a grid of the plane, for pictures of problems with two weights.

    Attributes
    ----------
    x, y : ndarray, shapes (X,), (Y,)
        Grid coordinates.
    loss, constraint : ndarray, shape (Y, X)
        Values; Γ is where `constraint` is zero.
    """

    x: Array
    y: Array
    loss: Array
    constraint: Array


def survey(
    compiled: CompiledLimit, points: Array, margin: float = 0.35, size: int = 241
) -> Landscape:
    """L around points of the plane, shape (..., 2).

    Raises
    ------
    ArgumentError
        If the problem does not have two weights.
    """
    if compiled.dimension != 2:
        raise ArgumentError(f"level sets need two weights, the problem has {compiled.dimension}")
    flat = points.reshape(-1, 2)
    low, high = np.nanmin(flat, axis=0), np.nanmax(flat, axis=0)
    pad = margin * float(np.max(high - low))
    x, y = np.linspace(low - pad, high + pad, size).T
    problem = compiled.limit.problem
    manifold = compiled.limit.manifold
    values = compile_function(
        problem.weights, (problem.loss, manifold.constraints[manifold.independent[0]]), "landscape"
    )(np.stack(np.meshgrid(x, y), axis=-1))
    return Landscape(x, y, values[..., 0], values[..., 1])
