"""Does the training of a network follow its limit? Records of both, and the tests between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, t

from ...arguments import check_counts, number, positive
from ...errors import ArgumentError
from ...plots import Figure
from ...plots.courses import Curve, courses
from ...simulation.paths import Status
from ...validation.checks import Check, Finding, compared, judge
from ...validation.measurements.statistics import (
    Estimate,
    extrapolated,
    first_order_squared,
    remainder,
)
from ...validator import LEVEL, validate
from ..limit import NetworkLimit
from ..mechanisms import Tree
from ..programs import Doubles
from .course import Course
from .descent import simulate_network_descent
from .flow import TOLERANCE, simulate_network_limit

FEWEST_PATHS = 8
RATIO = 2.0
"""σ² of the coarse run over σ² of the fine one."""
CHECKED = 4
"""Number of equally spaced times at which records are compared."""
RECORDED = 2 * CHECKED + 1
FOLLOWED = {
    "trace": "tr H",
    "regularizer": "Reg",
    "distance": "distance from the start",
}
"""Records that are compared, those of the point of Γ next to the iterate."""
STILL = 1e-6
"""Change, relative to the largest value, below which a record says nothing."""


@dataclass(frozen=True)
class NetworkReport:
    """The verdict on the limit of a network, with the runs it rests on.

    Attributes
    ----------
    limit : NetworkLimit
        What was validated.
    alpha, level : float
        Step size; probability that a right limit fails.
    sigmas : tuple of float
        Noise scales of the two runs, the second 1/√2 of the first.
    checks : tuple of Check
        The tests, judged together.
    runs : tuple of Course
        Training at the two noise scales.
    predicted, asymptotic : Course
        The limit at the step size, and the limit α → 0.
    start : ndarray, shape (N,)
        Where all runs begin.
    seed : int
        Seed that the runs were given.
    """

    limit: NetworkLimit
    alpha: float
    sigmas: tuple[float, float]
    level: float
    checks: tuple[Check, ...]
    runs: tuple[Course, Course]
    predicted: Course
    asymptotic: Course
    start: Doubles
    seed: int

    def against(self, limit: NetworkLimit) -> NetworkReport:
        """The verdict of the same runs of training on another limit of the same network."""
        time = float(self.predicted.times[-1])
        predicted, asymptotic = _predictions(
            limit, self.start, self.alpha, time=time, paths=len(self.runs[0]), seed=self.seed
        )
        checks = _checks(self.runs, predicted, self.level)
        return replace(self, limit=limit, checks=checks, predicted=predicted, asymptotic=asymptotic)

    @property
    def passed(self) -> bool:
        """Whether no check contradicts the limit."""
        return all(check.passed for check in self.checks)

    def measured(self, name: str) -> Estimate:
        """A record of training on Γ, extrapolated to σ = 0, shape (T,)."""
        coarse, fine = (run.mean(name) for run in self.runs)
        return extrapolated(coarse, fine, RATIO)

    def plot(self) -> Figure:
        """Training beside the limit at its step size and the limit α → 0."""
        times = self.predicted.times
        panels = {}
        for name in followed(self.predicted):
            training = self.measured(name)
            panels[FOLLOWED[name]] = [
                Curve("training", times, training.value, training.error),
                Curve("limit at this α", times, self.predicted.mean(name).value),
                Curve("limit α → 0", times, self.asymptotic.mean(name).value),
            ]
        return courses(panels)

    def __str__(self) -> str:
        verdict = "agrees with" if self.passed else "contradicts"
        head = (
            f"Training at α = {self.alpha:g}, σ = {self.sigmas[0]:.3g} and {self.sigmas[1]:.3g} "
            f"{verdict} the derived limit (level {self.level:g})."
        )
        return "\n".join([head, *(check.sentence for check in self.checks)])


def followed(course: Course) -> list[str]:
    """Records that change along a course."""
    changes = {name: np.ptp(course[name]) / np.abs(course[name]).max() for name in FOLLOWED}
    return [name for name, change in changes.items() if change > STILL]


def validate_network_limit(
    limit: NetworkLimit,
    start: Tree = None,
    *,
    alpha: float,
    sigma: float,
    time: float,
    paths: int,
    seed: int,
    level: float = LEVEL,
) -> NetworkReport:
    """Test whether the training of a network follows its derived limit; see `numerics.validate`.

    Training at σ and at σ/√2 is extrapolated to σ = 0 and compared with the limit at the step size:
    tr H, Reg (where it changes) and the distance moved, each at the points of Γ next to the
    iterates, at four times.

    Parameters
    ----------
    limit : NetworkLimit
        The limit α → 0.
    start : pytree or ndarray of shape (N,), optional
        A point of Γ; the network's parameters if not given.
    alpha, sigma, time : float
        Step size, larger noise scale, and slow time at which to end.
    paths, seed : int
        Paths of each run, at least 8, and seed.
    level : float
        Probability that a right limit fails (family-wise, Holm).

    Raises
    ------
    ArgumentError
        If an argument is out of its range or the step size unstable.
    """
    alpha, sigma, time = (
        number(name, value, positive)
        for name, value in (("alpha", alpha), ("sigma", sigma), ("time", time))
    )
    level = number("level", level, lambda x: 0 < x < 1, "a probability between 0 and 1")
    check_counts(paths=(paths, 1), seed=(seed, 0))
    if paths < FEWEST_PATHS:
        raise ArgumentError(
            f"paths: expected at least {FEWEST_PATHS} for standard errors to hold, got {paths}"
        )
    sigmas = (sigma, sigma / math.sqrt(RATIO))
    network = limit.problem
    given = network.start if start is None else network.flattened(start)
    predicted, asymptotic = _predictions(limit, given, alpha, time=time, paths=paths, seed=seed)
    steps = [round(limit.iterations(time, alpha, s)) for s in sigmas]
    if min(steps) < RECORDED:
        raise ArgumentError(
            f"time: {time:g} units of slow time are only {min(steps)} iterations at α = {alpha:g}, "
            f"σ = {sigma:g}; give a longer time or smaller α and σ"
        )
    coarse, fine = (
        simulate_network_descent(
            network,
            given,
            alpha=alpha,
            sigma=s,
            steps=k,
            paths=paths,
            seed=2 * seed + i,
            record=RECORDED,
        )
        for i, (s, k) in enumerate(zip(sigmas, steps, strict=True))
    )
    return NetworkReport(
        limit,
        alpha,
        sigmas,
        level,
        _checks((coarse, fine), predicted, level),
        (coarse, fine),
        predicted,
        asymptotic,
        given,
        seed,
    )


validate.register(NetworkLimit, validate_network_limit)  # type: ignore[arg-type]


def _predictions(
    limit: NetworkLimit, start: Doubles, alpha: float, *, time: float, paths: int, seed: int
) -> tuple[Course, Course]:
    """The limit at a step size, and that as α → 0."""
    predicted, asymptotic = (
        simulate_network_limit(
            each,
            start,
            time=time,
            paths=1 if each.deterministic else paths,
            seed=seed,
            record=RECORDED,
        )
        for each in (limit.at_step(alpha), limit)
    )
    return predicted, asymptotic


def _checks(runs: tuple[Course, Course], predicted: Course, level: float) -> tuple[Check, ...]:
    """The tests between training and the limit, judged together."""
    names = followed(predicted)
    wider = _student(len(runs[0]), level / max(1, len(names) * CHECKED))
    findings = [_followed(name, *runs, predicted, wider) for name in names]
    return judge([_survival(runs), *findings], level)


def _survival(runs: Sequence[Course]) -> Finding:
    lost = sum(status is not Status.OK for run in runs for status in run.status)
    total = sum(map(len, runs))
    return Finding("paths that stay near Γ", total - lost, total, 0.0, 0.0, float(lost == 0))


def _student(paths: int, level: float) -> float:
    """How much wider an interval at a level is for so many paths than for infinitely many."""
    return float(t.isf(level / 2, paths - 1) / norm.isf(level / 2))


def _followed(name: str, coarse: Course, fine: Course, predicted: Course, wider: float) -> Finding:
    """A record of training against that of the limit, its errors widened for few paths."""
    index = np.linspace(0, RECORDED - 1, CHECKED + 1).astype(int)[1:]
    before, after = (
        Estimate(e.value, wider * e.error)
        for e in (run.mean(name)[index] for run in (coarse, fine))
    )
    expected = predicted.mean(name)
    motion = float(np.abs(expected.value - expected.value[0]).max())
    own = remainder(first_order_squared(before, after, RATIO), RATIO, motion)
    return compared(
        FOLLOWED[name],
        [f"at t = {predicted.times[i]:.3g}" for i in index],
        extrapolated(before, after, RATIO),
        expected[index],
        own + 100 * TOLERANCE * np.abs(expected.value).max(),
    )
