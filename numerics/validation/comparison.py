"""The recursion beside its limits, over the same slow time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derive import Independent, Limit, NoisyGradientDescent
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.model.laws import ShrinkingLaw

from ..codegen.functions import compile_function
from ..errors import ArgumentError
from ..models.compiled_limit import CompiledLimit, compile_limit
from ..simulation.descent import compile_descent, simulate_descent
from ..simulation.integrate import simulate_limit
from ..simulation.paths import Paths

Array = NDArray[np.float64]

RECORDED = 40
"""Intervals between recorded times."""


TRACED = 3
"""Paths that are recorded finely."""


def iterations_per_time(limit: Limit, alpha: float, sigma: float) -> float:
    """Iterations in one unit of slow time.

    A limit without motion has no time scale of its own; it is watched on the scale 1/(α²σ²).
    """
    if limit.time_scale is None:
        speed = 1 / alpha / sigma
        return speed * speed  # infinite where ** would not compute it
    return float(limit.time_scale.subs({ALPHA: alpha, SIGMA: sigma}))


def expansion_order(problem: NoisyGradientDescent) -> int:
    """Power of σ by which the recursion first differs from its limit: 2, or 1 for skew noise."""
    law = problem.law
    parts = [part for _, part in law.groups] if isinstance(law, Independent) else [law]
    skew = any(isinstance(p, ShrinkingLaw) and p.skewness != 0 for p in parts)
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
        order = expansion_order(self.limit.problem)
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
        The limit α → 0.
    start, alpha, sigma, time, paths, seed
        As for `compare`.
    """
    predicted, asymptotic = compile_limit(limit.at_step(alpha)), compile_limit(limit)
    return compare(
        predicted,
        asymptotic,
        start,
        alpha=alpha,
        sigmas=(sigma,),
        time=time,
        paths=paths,
        seed=(seed,),
    )


def compare(
    predicted: CompiledLimit,
    asymptotic: CompiledLimit,
    start: Sequence[float],
    *,
    alpha: float,
    sigmas: Sequence[float],
    time: float,
    paths: int,
    seed: tuple[int, ...],
) -> Comparison:
    """Run the recursion and its limits over the same slow time.

    Parameters
    ----------
    predicted, asymptotic : CompiledLimit
        The limit σ → 0 at step size `alpha`, and the limit α → 0.
    start : sequence of float
        w₀; the limits start at Φ_α(w₀) and Φ(w₀).
    alpha : float
        Step size.
    sigmas : sequence of float
        Noise scales.
    time : float
        End of the run in slow time.
    paths : int
        Number of paths of every run.
    seed : tuple of int
        Seed of the experiment.
    """
    limit = predicted.limit
    times = np.linspace(0.0, time, RECORDED + 1)
    ordered = tuple(sorted(sigmas, reverse=True))
    descent = compile_descent(limit.problem)
    descents = []
    for i, sigma in enumerate(ordered):
        marks = np.round(times * iterations_per_time(limit, alpha, sigma))
        descents.append(
            simulate_descent(
                descent,
                start,
                alpha=alpha,
                sigma=sigma,
                steps=int(marks[-1]),
                paths=paths,
                seed=(*seed, i),
                record=marks,
            )
        )
    projected = tuple(predicted.descent_limit(d.weights[d.ok], alpha) for d in descents)
    ends = [predicted.descent_limit(start, alpha), asymptotic.flow_limit(start)]
    expected, limiting = (
        sample_limit(compiled, end, times, paths, (*seed, len(ordered) + i))
        for i, (compiled, end) in enumerate(zip([predicted, asymptotic], ends, strict=True))
    )
    last = descents[0].times[-1]
    trace = simulate_descent(
        descent,
        start,
        alpha=alpha,
        sigma=ordered[0],
        steps=int(last),
        paths=TRACED,
        seed=(*seed, 0),
        record=np.union1d(np.geomspace(1, last, 400), np.linspace(0, last, 800)),
    )
    return Comparison(
        asymptotic.limit,
        alpha,
        ordered,
        times,
        tuple(descents),
        projected,
        expected,
        limiting,
        trace,
    )


def sample_limit(
    compiled: CompiledLimit, start: Array, times: Array, paths: int, seed: tuple[int, ...]
) -> Array:
    """Paths of a limit at given slow times, shape (m, T, N); one path where it is deterministic."""
    count = paths if is_noisy(compiled.limit) else 1
    if compiled.limit.time_scale is None:
        return np.tile(start, (1, len(times), 1))
    return simulate_limit(
        compiled, start, time=times[-1], paths=count, seed=seed, record=times
    ).weights


def is_noisy(limit: Limit) -> bool:
    """Whether the equation has a diffusion term at all."""
    return limit.noise_weight != 0 and limit.moments.columns.cols > 0


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
