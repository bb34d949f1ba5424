"""Schedules of the step size: the course along Γ, and the loss beside it, while α_k changes.

At each iteration the limit at that step size says how far the weights move along Γ, so that a
schedule is a change of time that depends on the place:

    dW/dk = α_k^p σ_k² b_{α_k}(W),

with b_α the drift of `Limit.at_step(α)` in time kα^pσ². It holds as long as α_k changes little
while the weights relax across Γ. The fluctuations across Γ, which make the loss, relax more slowly
as α_k falls; they are followed by their own recursion, variance by variance in the eigenbasis of H:

    x_a ← (1 − α_kλ_a)² x_a + α_k²σ_k² Σ_aa,  E L = ½ Σ_a (λ_a x_a + σ_k⁴ (∂_aReg)²/λ_a).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

import derive
from derive import Limit, NotCoveredError, Outcome

from ...arguments import number, positive, recorded_steps, starting_points
from ...errors import ArgumentError
from ...models.compiled_limit import CompiledLimit, compile_limit

Array = NDArray[np.float64]

NODES = 6
"""Step sizes at which the drift is derived, and interpolated between: it is analytic in α < 2/λ."""

DIFFERENCE = 1e-5
"""Spacing of differences of Reg, relative to the weights."""

TOLERANCE = 1e-9
"""Relative error of a step of the solver."""


@dataclass(frozen=True)
class StepSchedule:
    """Step sizes of the iterations of a run, and by how much the noise differs.

    Parameters
    ----------
    alphas : array-like, shape (K,)
        α_k ≥ 0, not all zero.
    noise : array-like, shape (K,), optional
        σ_k/σ, ones if not given; with batches of size B_k it is √(B_0/B_k).

    Raises
    ------
    ArgumentError
        If they are not of that shape, or negative.
    """

    alphas: Array
    noise: Array = field(default_factory=lambda: np.ones(0))

    def __post_init__(self) -> None:
        alphas = np.asarray(self.alphas, dtype=np.float64)
        given = np.asarray(self.noise, dtype=np.float64)
        noise = given if given.size else np.ones_like(alphas)
        whole = alphas.ndim == 1 and len(alphas) and noise.shape == alphas.shape
        if not whole or not (alphas >= 0).all() or not (noise >= 0).all() or not alphas.any():
            raise ArgumentError(
                "schedule: expected step sizes α_k ≥ 0, not all zero, and as many noise scales"
            )
        object.__setattr__(self, "alphas", alphas)
        object.__setattr__(self, "noise", noise)

    def __len__(self) -> int:
        return len(self.alphas)

    @classmethod
    def cosine(cls, peak: float, steps: int, warm_up: int = 0, final: float = 0.0) -> StepSchedule:
        """Half a cosine from `peak` to `final`, after a linear warm-up from zero."""
        rise, falling = _warm_up(peak, steps, warm_up)
        turn = (np.arange(falling) + 0.5) / falling
        return cls(np.append(rise, final + (peak - final) * (1 + np.cos(np.pi * turn)) / 2))

    @classmethod
    def warm_up_stable_decay(
        cls, peak: float, steps: int, warm_up: int, decay: int
    ) -> StepSchedule:
        """A linear warm-up, `peak`, and a linear decay to zero in the last `decay` steps."""
        rise, rest = _warm_up(peak, steps, warm_up)
        if not 0 <= decay <= rest:
            raise ArgumentError(f"decay: expected from 0 to {rest} steps, got {decay!r}")
        fall = peak * (1 - (np.arange(decay) + 0.5) / max(decay, 1))
        return cls(np.concatenate([rise, np.full(rest - decay, peak), fall]))

    def with_batches(self, sizes: ArrayLike) -> StepSchedule:
        """The same with batches of changing size B_k, shape (K,), where Σ is proportional to 1/B.

        σ is then the noise scale with batches of the size B_0.
        """
        batches = np.asarray(sizes, dtype=np.float64)
        if batches.shape != self.alphas.shape or not (batches > 0).all():
            raise ArgumentError(f"sizes: expected {len(self)} positive numbers")
        return replace(self, noise=np.sqrt(batches[0] / batches))


@dataclass(frozen=True)
class Course:
    """What the limit predicts of a run with a schedule.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Iterations.
    weights : ndarray, shape (T, N)
        Points of Γ.
    loss : ndarray, shape (T,)
        E L of plain descent, NaN under other rules: what the noise adds to leading order, and what
        the mean adds that rests off Γ.
    """

    times: Array
    weights: Array
    loss: Array


def follow_schedule(
    limit: Limit,
    start: ArrayLike,
    schedule: StepSchedule,
    *,
    sigma: float,
    record: int | ArrayLike = 100,
) -> Course:
    """Follow the limit along Γ while the step size changes.

    Parameters
    ----------
    limit : Limit
        As `derive_limit` gives it, with parameters bound; without a diffusion along Γ.
    start : array-like, shape (N,), or mapping of weight to number
        Where the run begins; the course begins at Φ(start).
    schedule : StepSchedule
        α_k, and σ_k in units of σ.
    sigma : float
        Noise scale.
    record : int or array-like
        How many iterations to record, or which.

    Returns
    -------
    Course

    Raises
    ------
    NotCoveredError
        For limits that diffuse, or do not move.
    """
    if limit.time_scale is None or limit.outcome is Outcome.DIFFUSIVE:
        raise NotCoveredError(
            f"limit: a schedule is followed by a flow along Γ; this limit is {limit.outcome.value}"
        )
    sigma = number("sigma", sigma, positive)
    times = recorded_steps(record, len(schedule))
    motion = _Field(limit, float(schedule.alphas.max()), sigma)
    point = starting_points(start, limit.problem.weights, 1)
    begin = motion.finest.beginnings(point)[0]
    if not np.isfinite(begin).all():
        raise ArgumentError("start: descent from there does not end on Γ; start closer to Γ")
    middles = np.arange(len(schedule)) + 0.5

    def slope(k: float, w: Array) -> Array:
        step = np.interp(k, middles, schedule.alphas)
        return np.interp(k, middles, schedule.noise) ** 2 * motion(step, w)

    solution = scipy.integrate.solve_ivp(
        slope,
        (0.0, float(len(schedule))),
        begin,
        method="DOP853",
        t_eval=times.astype(float),
        rtol=TOLERANCE,
        atol=TOLERANCE / 100,
        max_step=len(schedule) / 20,
    )
    if not solution.success:
        raise ArgumentError(f"limit: it cannot be followed to the end: {solution.message}")
    weights = motion.finest.retract(solution.y.T)
    return Course(times.astype(float), weights, _losses(motion, schedule, times, weights))


@dataclass(frozen=True)
class _Field:
    """Displacement per iteration as a function of step size and place."""

    limit: Limit
    largest: float
    sigma: float

    @cached_property
    def nodes(self) -> Array:
        """Chebyshev points of 0 … largest, without the ends."""
        turns = (np.arange(NODES) + 0.5) / NODES
        return np.asarray(self.largest * (1 - np.cos(np.pi * turns)) / 2)

    @cached_property
    def compiled(self) -> list[CompiledLimit]:
        """The limit at each of them."""
        return [compile_limit(self.limit.at_step(a)) for a in self.nodes]

    @property
    def finest(self) -> CompiledLimit:
        """The limit at the smallest."""
        return self.compiled[0]

    def __call__(self, step: float, w: Array) -> Array:
        """Displacement in one iteration, shape (N,)."""
        drifts = np.stack([c.drift(w) for c in self.compiled])
        between = scipy.interpolate.BarycentricInterpolator(self.nodes, drifts, axis=0)
        return np.asarray(between(step) * self.unit(step))

    @cached_property
    def unit(self) -> Callable[[float], float]:
        """Slow time of an iteration."""
        iterations: Any = self.limit.time_scale
        power = -float(iterations.as_powers_dict().get(derive.alpha, 0))
        scale = float((1 / iterations).subs({derive.alpha: 1, derive.sigma: self.sigma}))
        return lambda step: scale * step**power


def _losses(motion: _Field, schedule: StepSchedule, times: NDArray[Any], weights: Array) -> Array:
    """E L at the recorded iterations; NaN under rules other than descent."""
    compiled, loss = motion.finest, np.full(len(times), np.nan)
    if type(compiled) is not CompiledLimit:
        return loss
    basis, covariance = compiled.across(weights)
    curvature, first = compiled.spectrum(weights)[:, ::-1], float(motion.nodes[0])
    noise = np.diagonal(covariance, axis1=-2, axis2=-1) * (2 - first * curvature) * curvature
    offset = (_across(compiled, weights, basis) ** 2 / curvature).sum(axis=1) / 2
    spread, done = np.zeros(curvature.shape[1]), 0
    for j, time in enumerate(times.astype(int)):
        for k in range(done, time):
            step, scale = schedule.alphas[k], schedule.noise[k] * motion.sigma
            spread = (1 - step * curvature[j]) ** 2 * spread + (step * scale) ** 2 * noise[j]
        done = time
        scale = schedule.noise[max(time - 1, 0)] * motion.sigma * (time > 0)
        loss[j] = 0.5 * curvature[j] @ spread + scale**4 * offset[j]
    return loss


def _across(compiled: CompiledLimit, weights: Array, basis: Array) -> Array:
    """Derivatives of Reg along normals of Γ, shape (T, K), by central differences."""
    shift = DIFFERENCE * (1 + np.abs(weights).max())
    moved = shift * basis
    here = weights[:, None, :]
    rise = compiled.regularizer(here + moved) - compiled.regularizer(here - moved)
    return np.asarray(rise / (2 * shift))


def _warm_up(peak: float, steps: int, warm_up: int) -> tuple[Array, int]:
    """The steps of a linear warm-up, and how many there are after it."""
    peak = number("peak", peak, positive)
    if not 0 <= warm_up < steps:
        raise ArgumentError(f"warm_up: expected from 0 to {steps - 1} steps, got {warm_up!r}")
    return peak * (np.arange(warm_up) + 0.5) / max(warm_up, 1), steps - warm_up
