"""Motion along Γ in the recursion itself, in plain NumPy, beside what the limit predicts.

The recursion is the update rule as it is stated, for many runs at once; nothing of the theory is
used in it. Its speed is the mean displacement along Γ per step, in the direction that is predicted;
of a diffusion it is the growth of the mean square displacement along Γ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from derive import Limit, NotCoveredError, Outcome, UpdateRule, alpha, derive_limit, sigma
from derive.analysis.agreement import pointwise
from derive.cycle_limit import CycleLimit
from derive.model.optimized import rule_of
from derive.optimizers import GradientDescent, LocalSteps, LookAhead, Optimizer, WeightAverage
from derive.rule_limit import RuleLimit
from numerics.codegen.plain import plain_noise
from numerics.random.samplers import sampler_for

from .entry import Course

Array = np.ndarray
Step = Callable[[Array], Array]

RELAXATIONS = 10
"""Relaxation times across Γ that are waited before a displacement is measured."""

KICK = 0.1
"""Distance from Γ, in units of the small scale, at which what cycles begins: on Γ it would rest."""

FEWEST = 40
"""Steps that it is measured over at least."""


STANDARD_ERRORS = 4.5
"""By which a right speed is not missed: in one of 10⁵ runs."""

NEXT_ORDER = 0.025
"""Largest relative size of the next orders in σ that the courses leave, and in α where the limit at
a step size is not known."""


@dataclass(frozen=True)
class Point:
    """Speed at a step size and a noise scale: measured, its standard error, and predicted.

    The error is 0 where nothing is random.
    """

    alpha: float
    sigma: float
    measured: float
    error: float
    predicted: float


@dataclass(frozen=True)
class Motion:
    """What was measured of an entry, beside the limit at the same step sizes.

    Attributes
    ----------
    by_alpha, by_sigma : tuple of Point
        At several step sizes and one noise scale, and the reverse.
    """

    by_alpha: tuple[Point, ...]
    by_sigma: tuple[Point, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """All of them, each once; the finest first."""
        return tuple(sorted({*self.by_alpha, *self.by_sigma}, key=lambda p: (p.alpha, p.sigma)))

    @property
    def agrees(self) -> bool:
        """Whether each measured speed is the predicted one, as far as it can be told."""
        return all(
            abs(p.measured - p.predicted) < STANDARD_ERRORS * p.error + NEXT_ORDER * p.predicted
            for p in self.points
        )

    @property
    def exponents(self) -> tuple[float, float]:
        """Of α and σ, fitted to the measured speeds."""
        return self._slopes("measured")

    @property
    def expected(self) -> tuple[float, float]:
        """Of α and σ, fitted to the predicted speeds at the same steps."""
        return self._slopes("predicted")

    def _slopes(self, what: str) -> tuple[float, float]:
        found = []
        for name, points in (("alpha", self.by_alpha), ("sigma", self.by_sigma)):
            x = [np.log(getattr(p, name)) for p in points]
            y = [np.log(getattr(p, what)) for p in points]
            found.append(float(np.polyfit(x, y, 1)[0]) if len(points) > 1 else np.nan)
        return found[0], found[1]


def measure(limit: Limit, course: Course) -> Motion:
    """Speeds along Γ at the step sizes and noise scales of a course."""
    first = course.alphas[0], course.sigmas[0]
    by_alpha = [(a, first[1]) for a in course.alphas]
    by_sigma = [(first[0], s) for s in course.sigmas]
    known = {pair: _speed(limit, course, *pair) for pair in dict.fromkeys([*by_alpha, *by_sigma])}
    return Motion(tuple(known[p] for p in by_alpha), tuple(known[p] for p in by_sigma))


def _speed(limit: Limit, course: Course, step: float, scale: float) -> Point:
    inner = 1  # steps of a whole one, where the limit counts those
    if course.recursion is not None:
        problem = course.recursion(step)
        limit = derive_limit(problem)
        inner = getattr(problem.optimizer, "steps", 1)
    at_step = _at_step(limit, step)
    unit = float((1 / limit.time_scale).subs({alpha: step, sigma: scale}))
    start = _on_manifold(limit, np.array(course.start, dtype=float))
    diffusive = limit.outcome is Outcome.DIFFUSIVE
    rate = unit * _predicted(at_step, start, diffusive)
    slowest = min(float(x) for x in _spectrum(limit, start) if x > 1e-9)
    settled = max(FEWEST, int(RELAXATIONS / (step * slowest)))
    wait = max(course.wait, settled)
    size = course.distance**2 if diffusive else course.distance
    count = max(settled, int(size / rate))
    recursion = Recursion.of(limit, step, scale)
    small = scale if limit.time_scale.has(sigma) else step
    begin = start + KICK * small * isinstance(limit, CycleLimit)
    wait, count = wait + wait % 2, count + count % 2  # whole cycles
    before, after = recursion.run(begin, course.paths, (wait, wait + count))
    if diffusive:
        tangent = _tangent(limit, start)
        first, last = (((x - start) @ tangent) ** 2 for x in (before, after))
        samples = last.sum(axis=1) - first.sum(axis=1)
        predicted = rate
    else:
        middle = _on_manifold(limit, 0.5 * (before.mean(axis=0) + after.mean(axis=0)))
        drift = _drift(at_step, middle)
        samples = (after - before) @ drift / np.linalg.norm(drift)
        predicted = unit * np.linalg.norm(drift)
    whole = count * inner
    measured, error = samples.mean() / whole, samples.std() / np.sqrt(len(samples)) / whole
    return Point(step, scale, float(measured), float(error), float(predicted) / inner)


@dataclass(frozen=True)
class Recursion:
    """Steps of an update rule, for many runs at once.

    Attributes
    ----------
    rule : UpdateRule
        One step of the innermost optimizer.
    optimizer : Optimizer
        What is built of such steps.
    alpha, sigma : float
        Step size and noise scale.
    """

    rule: UpdateRule
    optimizer: Optimizer
    alpha: float
    sigma: float

    @classmethod
    def of(cls, limit: Limit, step: float, scale: float) -> Recursion:
        """The recursion of which this is the limit."""
        if isinstance(limit, RuleLimit):
            built = limit.motion.optimizer or GradientDescent()
            return cls(limit.problem, built, step, scale)
        return cls(rule_of(limit.problem), GradientDescent(), step, scale)

    def run(self, start: Array, paths: int, times: tuple[int, ...]) -> list[Array]:
        """Weights at some steps, shape (paths, N) each."""
        rule, n = self.rule, self.rule.dimension
        rest = sp.lambdify([rule.weights], list(rule.rest or ()))(start)
        begin, shown = [*start, *map(float, rest)], slice(n)
        if isinstance(self.optimizer, WeightAverage):
            begin, shown = [*begin, *start], slice(-n, None)
        state = np.tile(begin, (paths, 1))
        step, found = self._built(self.optimizer, paths), []
        for k in range(times[-1] + 1):
            if k in times:
                found.append(state[:, shown].copy())
            state = step(state)
        return found

    def _built(self, optimizer: Optimizer, paths: int, key: int = 0) -> Step:
        if isinstance(optimizer, LocalSteps):
            workers = [
                self._built(optimizer.inner, paths, key * 10 + i + 1)
                for i in range(optimizer.workers)
            ]

            def local(state: Array) -> Array:
                ends = []
                for worker in workers:
                    end = state
                    for _ in range(optimizer.steps):
                        end = worker(end)
                    ends.append(end)
                return np.mean(ends, axis=0)

            return local
        if isinstance(optimizer, LookAhead):
            inner, n = self._built(optimizer.inner, paths, key * 10 + 1), self.rule.dimension

            def ahead(state: Array) -> Array:
                end = state
                for _ in range(optimizer.steps):
                    end = inner(end)
                part = float(optimizer.weight)
                kept = state[:, :n] + part * (end[:, :n] - state[:, :n])
                return np.hstack([kept, end[:, n:]])

            return ahead
        if isinstance(optimizer, WeightAverage):
            inner, n = self._built(optimizer.inner, paths, key * 10 + 1), self.rule.dimension
            rate = float(optimizer.rate)

            def averaged(state: Array) -> Array:
                moved, average = inner(state[:, :-n]), state[:, -n:]
                return np.hstack([moved, average + rate * (moved[:, :n] - average)])

            return averaged
        return self._plain(paths, key)

    def _plain(self, paths: int, key: int) -> Step:
        rule = self.rule
        inputs = (*rule.state, *rule.noise, alpha, sigma)
        update = sp.lambdify(inputs, list(rule.update), modules="numpy", cse=True)
        noise: Iterator[Array]
        if rule.noise:
            noise = plain_noise(sampler_for(rule.law, rule.noise), self.sigma, paths, (17, key))
        else:
            noise = itertools.repeat(np.empty((paths, 0)))

        def step(state: Array) -> Array:
            moved = update(*state.T, *next(noise).T, self.alpha, self.sigma)
            return np.stack([np.broadcast_to(x, len(state)) for x in moved], axis=1)

        return step


def _at_step(limit: Limit, step: float) -> Limit:
    try:
        found = limit.at_step(sp.Rational(step).limit_denominator(10**6))
    except NotCoveredError:  # where the step size is itself the small scale
        return limit
    random = isinstance(found, CycleLimit) and found.is_simulated
    return limit if random else found


def _geometry(limit: Limit, point: Array) -> Any:
    return limit.manifold.probe.geometry(tuple(map(mpmath.mpf, point)))


def _spectrum(limit: Limit, point: Array) -> list[Any]:
    return list(limit.manifold.probe.spectrum(_geometry(limit, point)))


def _drift(limit: Limit, point: Array) -> Array:
    with mpmath.workdps(30):
        found = pointwise(limit).drift(_geometry(limit, point))
    return _tangent(limit, point) @ np.array([float(x) for x in found])


def _predicted(limit: Limit, point: Array, diffusive: bool) -> float:
    if not diffusive:
        return float(np.linalg.norm(_drift(limit, point)))
    with mpmath.workdps(30):
        spread = pointwise(limit).spread(_geometry(limit, point))
    return float(sum(spread[i, i] for i in range(spread.rows)))


def _tangent(limit: Limit, point: Array) -> Array:
    """P, orthogonal."""
    basis = np.array([[float(x) for x in row] for row in _geometry(limit, point).basis])
    return np.eye(len(point)) - basis.T @ basis


def _on_manifold(limit: Limit, point: Array) -> Array:
    """Nearest point of Γ, by Gauss–Newton steps."""
    weights = limit.problem.weights
    constraints = limit.manifold.constraints
    value = sp.lambdify([weights], list(constraints))
    slope = sp.lambdify([weights], sp.Matrix(constraints).jacobian(list(weights)).tolist())
    for _ in range(30):
        point = point - np.linalg.pinv(np.array(slope(point), float), rcond=1e-8) @ value(point)
    return point
