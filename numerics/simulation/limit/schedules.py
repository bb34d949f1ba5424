"""Schedules: the course along Γ, and the loss beside it, while step size and noise change.

At each iteration the limit at that step size says how far the weights move along Γ, so that a
schedule is a change of time that depends on the place:

    dW/dk = α_k^p σ_k² b_{α_k}(W),

with b_α the drift of `Limit.at_step(α)` in time kα^pσ². It holds as long as α_k changes little
while the weights relax across Γ. The fluctuations across Γ, which make the loss, relax more slowly
as α_k falls; they are followed by their own recursion, variance by variance in the eigenbasis of H:

    x_a ← (1 − α_kλ_a)² x_a + α_k²σ_k² Σ_aa,  E L = ½ Σ_a (λ_a x_a + σ_k⁴ (∂_aReg)²/λ_a).

Under another rule it is Y ← E BYBᵀ + σ_k²JSJᵀ of the theorem for any rule, with the covariance
RYRᵀ across Γ. With H_k local steps in a round, rounds are counted, and b is that of so many steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

import derive
from derive import Limit, NotCoveredError, Outcome
from derive.optimizers import LocalSteps
from derive.rule_limit import RuleLimit
from derive.symbolic.numbers.stacks import Stack
from derive.theory.limit_map import SlowMotion

from ...arguments import number, positive, recorded_steps, starting_points
from ...errors import ArgumentError
from ...models.compiled_limit import CompiledLimit, compile_limit
from ...models.rule_limit import CompiledRuleLimit

Array = NDArray[np.float64]

NODES = 6
"""Step sizes at which the drift is derived, and interpolated between: it is analytic in α < 2/λ."""

DIFFERENCE = 1e-5
"""Spacing of differences of Reg, relative to the weights."""

TOLERANCE = 1e-9
"""Relative error of a step of the solver."""

CHUNK = 1000
"""Iterations evaluated at a time."""


@dataclass(frozen=True)
class StepSchedule:
    """Step sizes of the iterations of a run, and by how much the noise differs.

    Parameters
    ----------
    alphas : array-like, shape (K,)
        α_k ≥ 0, not all zero.
    noise : array-like, shape (K,), optional
        σ_k/σ, ones if not given; with batches of size B_k it is √(B_0/B_k).
    local_steps : array-like of int, shape (K,), optional
        H_k: iterations are then rounds of so many steps on each worker of `LocalSteps`.

    Raises
    ------
    ArgumentError
        If they are not of that shape, or negative.
    """

    alphas: Array
    noise: Array = field(default_factory=lambda: np.ones(0))
    local_steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

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
        counts = np.asarray(self.local_steps)
        fits = counts.dtype.kind in "iu" and counts.shape == alphas.shape and (counts > 0).all()
        if counts.size and not fits:
            raise ArgumentError(f"local_steps: expected {len(alphas)} positive integers")
        object.__setattr__(self, "local_steps", counts.astype(np.int64))

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

    @property
    def spans(self) -> list[tuple[int, int, int]]:
        """H_k, 0 if not given, with the first and the last iteration that have it in a row."""
        counts = self.local_steps if self.local_steps.size else np.zeros(len(self), dtype=np.int64)
        edges = [0, *(np.flatnonzero(np.diff(counts)) + 1).tolist(), len(self)]
        return [(int(counts[a]), a, b) for a, b in itertools.pairwise(edges)]


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
        E L: what the noise adds to leading order, and what the mean adds that rests off Γ. NaN
        under optimizers that cycle or are adaptive.
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
        As `derive_limit` gives it, with parameters bound; without a diffusion along Γ. With
        `local_steps` that of a problem under `LocalSteps`, whose own number is replaced.
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
    fields = {
        count: _Field(_with_steps(limit, count), float(schedule.alphas.max()), sigma)
        for count in sorted({count for count, *_ in schedule.spans})
    }
    finest = fields[schedule.spans[0][0]].finest
    begin = finest.beginnings(starting_points(start, limit.problem.weights, 1))[0]
    if not np.isfinite(begin).all():
        raise ArgumentError("start: descent from there does not end on Γ; start closer to Γ")
    weights, place = [begin[None][: int(times[0] == 0)]], begin
    for count, first, last in schedule.spans:
        inside = times[(times > first) & (times <= last)]
        grid = np.unique([first, *inside, last])
        path = _followed(fields[count], schedule, place, grid)
        weights.append(path[np.isin(grid, inside)])
        place = path[-1]
    course = finest.retract(np.concatenate(weights))
    return Course(times.astype(float), course, _losses(fields, schedule, times, course))


def _with_steps(limit: Limit, count: int) -> Limit:
    """The limit with so many local steps in a round; 0 for one that has none."""
    if count == 0:
        return limit
    optimizer = limit.motion.optimizer if isinstance(limit, RuleLimit) else None
    if not isinstance(limit, RuleLimit) or not isinstance(optimizer, LocalSteps):
        raise ArgumentError("limit: local_steps are those of a problem under LocalSteps")
    return replace(limit, motion=replace(limit.motion, optimizer=replace(optimizer, steps=count)))


def _followed(
    motion: _Field, schedule: StepSchedule, place: Array, times: NDArray[np.int64]
) -> Array:
    """Points of Γ at times in a row, shape (·, N), from the place at the first one on."""
    middles = np.arange(len(schedule)) + 0.5

    def slope(k: float, w: Array) -> Array:
        step = np.interp(k, middles, schedule.alphas)
        return np.interp(k, middles, schedule.noise) ** 2 * motion(step, w)

    solution = scipy.integrate.solve_ivp(
        slope,
        (float(times[0]), float(times[-1])),
        place,
        method="DOP853",
        t_eval=times.astype(float),
        rtol=TOLERANCE,
        atol=TOLERANCE / 100,
        max_step=len(schedule) / 20,
    )
    if not solution.success:
        raise ArgumentError(f"limit: it cannot be followed to the end: {solution.message}")
    return np.asarray(solution.y.T)


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
    def finest(self) -> CompiledLimit:
        """The limit at the smallest."""
        self.limit.at_step(self.largest)  # refused where Γ does not attract
        return compile_limit(self.limit.at_step(self.nodes[0]))

    def __call__(self, step: float, w: Array) -> Array:
        """Displacement in one iteration, shape (N,)."""
        between = scipy.interpolate.BarycentricInterpolator(self.nodes, self._drifts(w), axis=0)
        return np.asarray(between(step) * self._scale * step**self._power)

    def _drifts(self, w: Array) -> Array:
        """Drift at each of the nodes, shape (·, N)."""
        if type(self.finest) is CompiledRuleLimit:
            found = self.finest.stacked(w, self.nodes).drift.values[:, : len(w), 0]
            return np.asarray(found / self.nodes[:, None] ** self._power)
        return np.stack([c.drift(w) for c in self._compiled])

    @cached_property
    def _compiled(self) -> list[CompiledLimit]:
        """The limit at each of the nodes."""
        return [self.finest, *(compile_limit(self.limit.at_step(a)) for a in self.nodes[1:])]

    @cached_property
    def _power(self) -> float:
        """Slow time of an iteration is a multiple of this power of α."""
        return -float(self._iterations.as_powers_dict().get(derive.alpha, 0))

    @cached_property
    def _scale(self) -> float:
        """The multiple."""
        unit = {derive.alpha: 1, derive.sigma: self.sigma}
        return float((1 / self._iterations).subs(unit))

    @property
    def _iterations(self) -> Any:
        return self.limit.time_scale


def _losses(
    fields: Mapping[int, _Field], schedule: StepSchedule, times: NDArray[Any], weights: Array
) -> Array:
    """E L at the recorded iterations; NaN where it is not known."""
    kind = {type(field.finest) for field in fields.values()}
    if kind == {CompiledRuleLimit}:
        return _losses_of_rules(fields, schedule, times, weights)
    if kind != {CompiledLimit}:
        return np.full(len(times), np.nan)
    return _losses_of_descent(fields[0], schedule, times, weights)


def _losses_of_descent(
    motion: _Field, schedule: StepSchedule, times: NDArray[Any], weights: Array
) -> Array:
    """The same for descent, mode by mode."""
    compiled, loss = motion.finest, np.empty(len(times))
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


def _losses_of_rules(
    fields: Mapping[int, _Field], schedule: StepSchedule, times: NDArray[Any], weights: Array
) -> Array:
    """The same for an update rule, by the covariance Y of J x."""
    loss, spread = np.zeros(len(times)), np.zeros(0)
    for j, (start, stop) in enumerate(itertools.pairwise([0, *times.astype(int)])):
        for count, first, last in _pieces(schedule, start, stop):
            motion = fields[count]
            compiled = motion.finest
            assert isinstance(compiled, CompiledRuleLimit)
            scales = (schedule.noise[first:last] * motion.sigma) ** 2
            # Without a step nothing relaxes, and R has no value.
            steps = np.maximum(schedule.alphas[first:last], TOLERANCE * motion.largest)
            at = compiled.stacked(weights[j], steps)
            spread = _spread_after(at, scales, spread)
            loss[j] = _loss_at(compiled, weights[j], at, spread, scales[-1])
    return loss


def _pieces(schedule: StepSchedule, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Iterations from start to stop, a few with the same H_k at a time, with that H_k."""
    for count, a, b in schedule.spans:
        for first in range(max(a, start), min(b, stop), CHUNK):
            yield count, first, min(first + CHUNK, b, stop)


def _spread_after(at: SlowMotion, scales: Array, spread: Array) -> Array:
    """Y by rows after some iterations, each with a step size of its own, at one place."""
    size, paths = at.normals.rows, len(scales)
    kicks = scales[:, None, None] * (at.normals * at.jet.noise * at.normals.T).values
    units = np.eye(size * size).reshape(-1, 1, size, size)
    units = (units + np.swapaxes(units, -1, -2)) / 2  # Y is symmetric
    images = [at.across(Stack(np.repeat(unit, paths, axis=0))).values for unit in units]
    matrices = np.stack(images, axis=-1).reshape(paths, size * size, size * size)
    spread = spread if spread.size else np.zeros(size * size)
    for matrix, kick in zip(matrices, kicks, strict=True):
        spread = matrix @ spread + kick.ravel()
    return spread


def _loss_at(
    compiled: CompiledRuleLimit, place: Array, at: SlowMotion, spread: Array, scale: float
) -> float:
    """½ ⟨H, RYRᵀ + x̄x̄ᵀ⟩, x̄ = σ²R(I − B)⁻¹Jb, at the last of the iterations."""
    normals, lift, size = at.normals.values[-1], at.lift.values[-1], at.normals.rows
    restoring = np.eye(size) - at.relaxation.values[-1]
    resting = scale * np.linalg.solve(restoring, normals @ at.jet.bias.values[-1])
    seen = compiled.normals(place) @ lift[: compiled.dimension]
    second = seen @ (spread.reshape(size, size) + resting @ resting.T) @ seen.T
    return float(compiled.spectrum(place)[::-1] @ np.diag(second) / 2)


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
