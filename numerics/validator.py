"""The verdict: does noisy gradient descent follow the derived limit, on its time scale?

The null hypothesis at a step size α is the limit σ → 0 *at that α*, compared with the projected
iterate Φ_α(w_k) extrapolated to σ = 0; the limit α → 0 is shown beside it. The next orders in σ,
which `Limit.effective` derives for some laws, are removed by the extrapolation, for every law: a
check fails because of the limit that was asked about, never because of a correction to it, and what
the extrapolation leaves is bounded by what the runs themselves show.

Every check is a test with a p-value, and Holm's procedure keeps the probability that a right limit
fails any of them below the stated level.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from derive import Limit, NotCoveredError, Outcome
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.cycle_limit import CycleLimit
from derive.laws.scaled import keeps_its_size, scaled
from derive.model.problem import NoisyGradientDescent
from derive.noise.moments import persistent_noise

from .arguments import check_counts, number, positive, starting_points
from .errors import ArgumentError
from .models.compiled_limit import CompiledLimit, compile_limit
from .reports.report import Observables, ValidationReport, weight_observables
from .simulation.limit.integrate import time_of_change
from .validation import hypothesis_tests
from .validation.checks import Finding, judge
from .validation.measurements.bursts import (
    GRID,
    LENGTHS,
    Burst,
    Scaling,
    burst,
    first_correction,
    measure_fast_phase,
    measure_scaling,
    relaxations,
)
from .validation.measurements.clouds import cloud
from .validation.measurements.comparison import (
    Comparison,
    check_arrival,
    compare,
    expansion_order,
    is_linear,
    iterations_of,
    iterations_per_time,
)
from .validation.measurements.experiment import (
    LEVEL,
    Experiment,
    Settings,
    Stream,
    ladder,
    largest_norm,
)
from .validation.windows import check_window, require_exact_window

Array = NDArray[np.float64]

BURST_FACTOR = 4
"""Bursts at a point, for every path of the runs."""

SHARE_OF_CHANGE, SHARE_OF_TIME = 0.04, 0.1
"""Length of a burst that has to tell a drift from a diffusion, in units of the time in which the
equation changes by its own size; and at most this part of the run."""

GENTLER = 4.0
"""Factor between the step size of the runs and the largest one for which exponents are fitted."""

FIRST_CORRECTION = 0.1
"""Size of the next order in σ, relative to the speed, up to which exponents of Theorem B are
fitted: of one this large the fit leaves the square."""

SEEN_TO_MOVE = 10.0
"""Standard errors by which a burst must have moved for exponents to be fitted there."""

ON_MANIFOLD = 1e-7
"""Distance from Γ, relative to the weights, of a point that counts as one of Γ."""


@singledispatch
def validate(
    limit: Limit | CompiledLimit,
    start: ArrayLike | Mapping[Any, float],
    *,
    alpha: float | Sequence[float],
    sigma: float | Sequence[float],
    time: float,
    paths: int,
    seed: int,
    level: float = LEVEL,
    momentum: float | None = None,
    observables: Observables | None = None,
    progress: bool = False,
) -> ValidationReport:
    """Test whether noisy gradient descent follows a derived limit.

    Parameters
    ----------
    limit : Limit or CompiledLimit
        The limit as `derive_limit` gives it, or at any step size: α → 0 and each of `alpha` are
        taken from it.
    start : array-like of shape (N,), or mapping of weight to number
        w₀, not necessarily on Γ.
    alpha, sigma : float or sequence of float
        Step sizes α; noise scales σ. A single σ is accompanied by σ/√2, so that the limit σ → 0
        can be extrapolated; of several, the two smallest are extrapolated. Noise that keeps its
        size is multiplied by σ, 1 for the noise itself, of which the limit in time kα²σ² is the
        same; take a tenth or so, with which bursts are short in slow time. So are the steps of an
        optimizer whose step size is itself the small scale.
    time : float
        End of the runs in slow time.
    paths : int
        Number of paths of each run, at least 100.
    seed : int
        Seed of the whole experiment.
    level : float
        Probability that a right limit fails (family-wise, Holm).
    momentum : float, optional
        Heavy-ball β of the recursion, 0 ≤ β < 1; that of the limit if not given.
    observables : mapping of str to callable, optional
        Functions of points (..., N) with values (...), to be followed; the first weights if not
        given.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    ValidationReport

    Raises
    ------
    ArgumentError
        If an argument is out of its range, a step size is unstable, or the start does not end on Γ.
    """
    given = limit.limit if isinstance(limit, CompiledLimit) else limit
    given = _with_small_noise(given.in_numbers)  # a step in matrices is slow
    if momentum is None:
        momentum = float(given.equation.momentum)
    settings = _settings(
        given,
        start,
        alpha=alpha,
        sigma=sigma,
        time=time,
        paths=paths,
        seed=seed,
        level=level,
        momentum=momentum,
    )
    names = weight_observables(given) if observables is None else observables
    if not isinstance(names, Mapping) or not names or not all(map(callable, names.values())):
        raise ArgumentError(
            f"observables: expected {{name: function of the weights}}, got {names!r}"
        )

    require_exact_window(given)
    check_window(given, [(a, s) for a in settings.alphas for s in settings.sigmas])
    given = given.at_step(0, settings.momentum)
    asymptotic = compile_limit(given)
    whole = Experiment(asymptotic, settings.paths, (settings.seed,))
    bar = tqdm(total=len(settings.alphas) + 2, disable=not progress, unit="experiment")
    findings: list[Finding] = []
    comparisons = []
    for i, step in enumerate(settings.alphas):
        predicted = compile_limit(given.at_step(step, settings.momentum))
        _require_stable(predicted, step, settings)
        here = replace(whole, compiled=predicted)
        comparison = compare(here.keyed(Stream.PATHS, i), asymptotic, settings, alpha=step)
        comparisons.append(comparison)
        findings += _global_findings(comparison, names)
        bursts = _local_bursts(here.keyed(Stream.BURSTS, i), comparison)
        findings += [
            f(predicted, bursts)
            for f in (hypothesis_tests.local_drift, hypothesis_tests.local_covariance)
        ]
        findings += _fluctuations(here.keyed(Stream.FLUCTUATIONS, i), comparison)
        bar.update()
    scaling = _measured_scaling(whole.keyed(Stream.SCALING), comparison, bursts)
    if scaling is not None:
        findings += hypothesis_tests.exponents(scaling, exponents(given))
    bar.update()
    fast = None
    if asymptotic.is_projected:
        fast = measure_fast_phase(
            whole.keyed(Stream.FAST_PHASE, paths=BURST_FACTOR * settings.paths),
            comparison.expected[0, 0],
            alpha=comparison.alpha,
            sigma=comparison.sigmas[0],
            size=largest_norm(comparison.expected),
        )
        findings.append(hypothesis_tests.fast_phase(fast))
    bar.update()
    bar.close()
    checks = judge(findings, settings.level)
    return ValidationReport(given, settings, checks, tuple(comparisons), scaling, fast, names)


def _with_small_noise(limit: Limit) -> Limit:
    """The limit, in time kα²σ², of σ times noise, or steps, that keep their size on Γ."""
    if isinstance(limit, CycleLimit):
        return limit.shortened()
    problem = limit.problem
    moves = limit.outcome.is_degenerate and isinstance(problem, NoisyGradientDescent)
    if not moves or not keeps_its_size(problem.law):
        return limit
    equation = replace(limit.equation, time_scale=limit.equation.time_scale / SIGMA**2)
    return replace(limit, problem=replace(problem, law=scaled(problem.law)), equation=equation)


def _settings(
    limit: Limit,
    start: ArrayLike | Mapping[Any, float],
    *,
    alpha: float | Sequence[float],
    sigma: float | Sequence[float],
    time: float,
    paths: int,
    seed: int,
    level: float,
    momentum: float,
) -> Settings:
    point = tuple(map(float, starting_points(start, limit.problem.weights, 1)[0]))
    alphas, sigmas = _ladder("alpha", alpha), _ladder("sigma", sigma)
    if len(sigmas) == 1:
        sigmas = (sigmas[0], sigmas[0] / math.sqrt(2))
    level = number("level", level, lambda x: 0 < x < 1, "a probability between 0 and 1")
    momentum = number("momentum", momentum, lambda x: 0 <= x < 1, "a number in [0, 1)")
    time = number("time", time, positive)
    check_counts(paths=(paths, 1), seed=(seed, 0))
    if paths < 100:
        raise ArgumentError(
            f"paths: expected at least 100 for standard errors to hold, got {paths}"
        )
    scaled = limit.at_step(0, momentum)
    iterations = time * iterations_per_time(scaled, max(alphas), max(sigmas))
    iterations_of(scaled, min(alphas), min(sigmas), time)
    if not iterations >= 100:
        raise ArgumentError(
            f"time: {time:g} units of slow time are only {iterations:.3g} iterations at "
            f"α = {max(alphas):g}, σ = {max(sigmas):g}; give a longer time or smaller α and σ"
        )
    return Settings(point, alphas, sigmas, time, int(paths), int(seed), level, momentum)


def _ladder(name: str, given: float | Sequence[float]) -> tuple[float, ...]:
    several = list(given) if np.iterable(given) and not isinstance(given, str) else [given]
    if not several:
        raise ArgumentError(f"{name}: expected a positive number or several, got {given!r}")
    return ladder([number(name, value, positive) for value in several])


def exponents(limit: Limit) -> tuple[float, float]:
    """Exponents of α and σ in the speed along Γ."""
    scale: Any = limit.time_scale
    powers = scale.as_powers_dict()
    return -float(powers[ALPHA]), -float(powers[SIGMA])


def _require_stable(predicted: CompiledLimit, alpha: float, settings: Settings) -> None:
    start, beta = np.array(settings.start), settings.momentum
    if not predicted.is_projected:
        if not np.isfinite(predicted.beginnings(start)).all():
            raise ArgumentError(
                f"start: without noise the rule does not end on Γ from {settings.start}; start "
                "closer to Γ"
            )
        if predicted.period > 1:
            _require_on_manifold(predicted.retract(start), start, "what cycles has no Φ_α")
        return  # that the rule attracts at its step was checked when the limit was derived
    end = predicted.descent_limit(start, alpha, beta)
    check_arrival(predicted, end, f"gradient descent with α = {alpha:g} from {settings.start}")
    problem = predicted.limit.problem
    persistent = not problem.law.shrinks or bool(persistent_noise(problem))
    if persistent:
        _require_on_manifold(
            end, start, "noise that does not shrink with σ makes the arrival on Γ random"
        )
    sharpest, bound = float(predicted.spectrum(end)[-1]), 2 * (1 + beta)
    if alpha * sharpest >= bound:
        raise ArgumentError(
            f"alpha: {alpha:g} is unstable, αλ = {alpha * sharpest:.3g} ≥ {bound:g} where the run "
            f"reaches Γ; expected less than {bound / sharpest:.3g}"
        )


def _require_on_manifold(end: Array, start: Array, reason: str) -> None:
    if np.linalg.norm(end - start) > ON_MANIFOLD * np.linalg.norm(start):
        raise ArgumentError(
            f"start: {reason}; start on Γ, as at {tuple(np.round(end, 9).tolist())}"
        )


def _global_findings(comparison: Comparison, observables: Observables) -> Iterator[Finding]:
    yield hypothesis_tests.survival(comparison)
    for name, observable in observables.items():
        yield hypothesis_tests.path_mean(comparison, name, observable)
        if len(comparison.expected) > 1:
            yield hypothesis_tests.path_variance(comparison, name, observable)
        if comparison.limit.outcome is Outcome.DIFFUSIVE:
            yield hypothesis_tests.distribution(comparison, name, observable)


def _local_bursts(experiment: Experiment, comparison: Comparison) -> list[tuple[Burst, Burst]]:
    """Pairs of bursts, at a coarse and a fine σ, from the start, middle and end of a path."""
    path, alpha = comparison.expected[0], comparison.alpha
    points = [p for p in (path[0], path[len(path) // 2], path[-1]) if np.isfinite(p).all()]
    bursts = experiment.keyed(paths=BURST_FACTOR * experiment.paths)

    def measured(point: Array, steps: int, *key: int) -> Burst:
        sigma = comparison.sigmas[-2 + key[1]]
        return burst(bursts.keyed(*key), point, alpha=alpha, sigma=sigma, steps=steps)

    lengths = [_burst_steps(experiment, comparison, point) for point in points]
    return [
        (measured(point, steps, i, 0), measured(point, steps, i, 1))
        for i, (point, steps) in enumerate(zip(points, lengths, strict=True))
    ]


def _fluctuations(experiment: Experiment, comparison: Comparison) -> Iterator[Finding]:
    """The stationary covariance across Γ where the runs arrive on it, where it is derived."""
    predicted = experiment.compiled
    if not predicted.is_projected:
        return
    point, many = comparison.expected[0, 0], experiment.keyed(paths=BURST_FACTOR * experiment.paths)
    try:
        predicted.across(point)
    except NotCoveredError:
        return
    coarse, fine = (
        cloud(many.keyed(i), point, alpha=comparison.alpha, sigma=sigma)
        for i, sigma in enumerate(comparison.sigmas[-2:])
    )
    yield hypothesis_tests.fluctuations(predicted, (coarse, fine))


def _burst_steps(experiment: Experiment, comparison: Comparison, point: Array) -> int:
    """Iterations of the bursts at a point."""
    predicted, alpha = experiment.compiled, comparison.alpha
    steps = relaxations(experiment, point, alpha, LENGTHS[predicted.limit.outcome])
    if predicted.limit.outcome is not Outcome.DIFFUSIVE:
        return steps
    longest = SHARE_OF_TIME * comparison.times[-1]
    time = min(longest, SHARE_OF_CHANGE * time_of_change(predicted, point[None]))
    return max(
        steps, round(time * iterations_per_time(predicted.limit, alpha, comparison.sigmas[-2]))
    )


def _measured_scaling(
    experiment: Experiment, comparison: Comparison, bursts: Sequence[tuple[Burst, Burst]]
) -> Scaling | None:
    """Exponents where the bursts moved fastest; None if nothing is seen to move."""
    outcome = comparison.limit.outcome
    coarse, fine = max(bursts, key=lambda pair: pair[0].significance)
    diffusive = outcome is Outcome.DIFFUSIVE
    if comparison.limit.time_scale is None or not (diffusive or coarse.significance > SEEN_TO_MOVE):
        return None
    alpha, sigma = comparison.alpha / GENTLER, comparison.sigmas[0]
    order = expansion_order(comparison.limit)
    if outcome.is_degenerate:
        # A slower scale comes with σ^order/α, which shall be as small as it has to be at all α.
        size = first_correction(experiment, coarse, fine, order, diffusive)
        smallest = alpha / 2 ** (GRID - 1)
        share = min(1.0, FIRST_CORRECTION / size) * smallest / comparison.alpha
        sigma = min(sigma, coarse.sigma * share ** (1 / order))
    return measure_scaling(
        experiment.keyed(paths=BURST_FACTOR * experiment.paths),
        coarse.point,
        alpha=alpha,
        sigma=sigma,
        diffusive=diffusive,
        length=LENGTHS[outcome],
        correction=(_correction_in_alpha(comparison.limit), order),
    )


def _correction_in_alpha(limit: Limit) -> int:
    """Power of α beside σ^order in the relative correction of the speed.

    A slower scale comes with σ²/α; noise that enters ∇_wL̂ linearly has none, and only fluctuates
    about Γ at a distance of order √α σ.
    """
    if not limit.outcome.is_degenerate:
        return 0
    return 1 if is_linear(limit.problem) else -1
