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
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from derive import Limit, Outcome
from derive.derivation.noise_moments import persistent_noise

from .arguments import MAX_COUNT, check_counts, number, positive, starting_points
from .errors import ArgumentError
from .models.compiled_limit import CompiledLimit, compile_limit
from .reports.report import Observables, Settings, ValidationReport, weight_observables
from .simulation.descent import CompiledDescent, compile_descent
from .validation import hypothesis_tests
from .validation.bursts import Burst, FastPhase, Scaling, burst, measure_fast_phase, measure_scaling
from .validation.checks import Finding, judge
from .validation.comparison import Comparison, compare, expansion_order, iterations_per_time

Array = NDArray[np.float64]

LEVEL = 0.01
"""Probability with which a right limit may fail."""

BURST_FACTOR = 4
"""Bursts at a point, for every path of the runs."""
BURSTS = {Outcome.NON_DEGENERATE: 4.0, Outcome.DIFFUSIVE: 4.0}
"""Length of a burst in units of 1/α iterations, about its number of relaxation times: short where
it already moves far."""

BURST = 32.0
DIFFUSIVE_BURST = 0.02
"""Slow time of a burst that has to tell a drift from a diffusion."""

FASTER_SCALE = 0.02
"""Value of σ²/α, or of σ/α where the noise is skew, up to which exponents of Theorem B are fitted:
beyond, a term of higher order in σ overtakes."""

SEEN_TO_MOVE = 10.0
"""Standard errors by which a burst must have moved for exponents to be fitted there."""

EXPONENTS = {
    Outcome.NON_DEGENERATE: (1, 2),
    Outcome.DIFFUSIVE: (2, 2),
    Outcome.DETERMINISTIC: (2, 2),
}
"""Exponents of α and σ in the speed along Γ (Theorems A and B)."""


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
    observables: Observables | None = None,
    progress: bool = False,
) -> ValidationReport:
    """Test whether noisy gradient descent follows a derived limit.

    Parameters
    ----------
    limit : Limit or CompiledLimit
        The limit α → 0, as `derive_limit` gives it.
    start : array-like of shape (N,), or mapping of weight to number
        w₀, not necessarily on Γ.
    alpha, sigma : float or sequence of float
        Step sizes α; noise scales σ. A single σ is accompanied by σ/√2, so that the limit σ → 0
        can be extrapolated; of several, the two smallest are extrapolated.
    time : float
        End of the runs in slow time.
    paths : int
        Number of paths of each run, at least 100.
    seed : int
        Seed of the whole experiment.
    level : float
        Probability that a right limit fails (family-wise, Holm).
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
    asymptotic = compile_limit(given)
    settings = _settings(
        given,
        start,
        alpha=alpha,
        sigma=sigma,
        time=time,
        paths=paths,
        seed=seed,
        level=level,
    )

    names = weight_observables(given) if observables is None else observables
    if not isinstance(names, Mapping) or not names or not all(map(callable, names.values())):
        raise ArgumentError(
            f"observables: expected {{name: function of the weights}}, got {names!r}"
        )
    bar = tqdm(total=len(settings.alphas) + 2, disable=not progress, unit="experiment")
    descent = compile_descent(given.problem)
    findings: list[Finding] = []
    comparisons = []
    for i, step in enumerate(settings.alphas):
        predicted = compile_limit(given.at_step(step))
        _require_stable(predicted, step, settings)
        comparison = compare(
            predicted,
            asymptotic,
            settings.start,
            alpha=step,
            sigmas=settings.sigmas,
            time=settings.time,
            paths=settings.paths,
            seed=(settings.seed, 1, i),
        )
        comparisons.append(comparison)
        findings += _global_findings(comparison, names)
        bursts = _local_bursts(descent, predicted, comparison, (settings.seed, 2, i))
        findings += [
            f(predicted, bursts)
            for f in (hypothesis_tests.local_drift, hypothesis_tests.local_covariance)
        ]
        bar.update()
    scaling = _measured_scaling(descent, asymptotic, comparison, bursts, (settings.seed, 3))
    if scaling is not None:
        findings += hypothesis_tests.exponents(scaling, EXPONENTS[given.outcome])
    bar.update()
    fast = _measured_fast_phase(descent, asymptotic, comparison, (settings.seed, 4))
    findings.append(hypothesis_tests.fast_phase(fast))
    bar.update()
    bar.close()
    checks = judge(findings, settings.level)
    return ValidationReport(given, settings, checks, tuple(comparisons), scaling, fast, names)


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
) -> Settings:
    point = tuple(map(float, starting_points(start, limit.problem.weights, 1)[0]))
    alphas, sigmas = _ladder("alpha", alpha), _ladder("sigma", sigma)
    if len(sigmas) == 1:
        sigmas = (sigmas[0], sigmas[0] / math.sqrt(2))
    level = number("level", level, lambda x: 0 < x < 1, "a probability between 0 and 1")
    time = number("time", time, positive)
    check_counts(paths=(paths, 1), seed=(seed, 0))
    if paths < 100:
        raise ArgumentError(
            f"paths: expected at least 100 for standard errors to hold, got {paths}"
        )
    iterations = time * iterations_per_time(limit, max(alphas), max(sigmas))
    most = time * iterations_per_time(limit, min(alphas), min(sigmas))
    if not most <= MAX_COUNT:
        raise ArgumentError(
            f"time: {time:g} units of slow time are {most:.3g} iterations at α = {min(alphas):g}, "
            f"σ = {min(sigmas):g}; give a shorter time or larger α and σ"
        )
    if not iterations >= 100:
        raise ArgumentError(
            f"time: {time:g} units of slow time are only {iterations:.3g} iterations at "
            f"α = {max(alphas):g}, σ = {max(sigmas):g}; give a longer time or smaller α and σ"
        )
    return Settings(point, alphas, sigmas, time, int(paths), int(seed), level)


def _ladder(name: str, given: float | Sequence[float]) -> tuple[float, ...]:
    several = list(given) if np.iterable(given) and not isinstance(given, str) else [given]
    if not several:
        raise ArgumentError(f"{name}: expected a positive number or several, got {given!r}")
    return tuple(sorted({number(name, value, positive) for value in several}, reverse=True))


def _require_stable(predicted: CompiledLimit, alpha: float, settings: Settings) -> None:
    end = predicted.descent_limit(settings.start, alpha)
    if not np.isfinite(end).all():
        raise ArgumentError(
            f"start: gradient descent with α = {alpha:g} does not end on Γ from {settings.start}; "
            "start closer to Γ or give a smaller alpha"
        )
    problem = predicted.limit.problem
    persistent = not problem.law.shrinks or bool(persistent_noise(problem))
    if persistent and not np.allclose(end, settings.start, rtol=0, atol=1e-7):
        raise ArgumentError(
            f"start: noise that does not shrink with σ makes the arrival on Γ random; start on Γ, "
            f"as at {tuple(np.round(end, 9).tolist())}"
        )
    sharpest = float(predicted.spectrum(end)[-1])
    if alpha * sharpest >= 2:
        raise ArgumentError(
            f"alpha: {alpha:g} is unstable, αλ = {alpha * sharpest:.3g} ≥ 2 where the run reaches "
            f"Γ; expected less than {2 / sharpest:.3g}"
        )


def _global_findings(comparison: Comparison, observables: Observables) -> Iterator[Finding]:
    yield hypothesis_tests.survival(comparison)
    for name, observable in observables.items():
        yield hypothesis_tests.path_mean(comparison, name, observable)
        if len(comparison.expected) > 1:
            yield hypothesis_tests.path_variance(comparison, name, observable)
        if comparison.limit.outcome is Outcome.DIFFUSIVE:
            yield hypothesis_tests.distribution(comparison, name, observable)


def _local_bursts(
    descent: CompiledDescent,
    predicted: CompiledLimit,
    comparison: Comparison,
    seed: tuple[int, ...],
) -> list[tuple[Burst, Burst]]:
    """Pairs of bursts, at a coarse and a fine σ, from the start, middle and end of a path."""
    path = comparison.expected[0]
    points = [p for p in (path[0], path[len(path) // 2], path[-1]) if np.isfinite(p).all()]
    steps = max(1, round(BURSTS.get(predicted.limit.outcome, BURST) / comparison.alpha))
    if predicted.limit.outcome is Outcome.DIFFUSIVE:
        per_time = iterations_per_time(predicted.limit, comparison.alpha, comparison.sigmas[-2])
        steps = max(steps, round(DIFFUSIVE_BURST * per_time))

    def measured(point: Array, *key: int) -> Burst:
        return burst(
            descent,
            predicted,
            point,
            alpha=comparison.alpha,
            sigma=comparison.sigmas[-2 + key[1]],
            steps=steps,
            paths=BURST_FACTOR * comparison.paths,
            seed=(*seed, *key),
        )

    return [(measured(point, i, 0), measured(point, i, 1)) for i, point in enumerate(points)]


def _measured_scaling(
    descent: CompiledDescent,
    compiled: CompiledLimit,
    comparison: Comparison,
    bursts: Sequence[tuple[Burst, Burst]],
    seed: tuple[int, ...],
) -> Scaling | None:
    """Exponents where the bursts moved fastest; None if nothing is seen to move."""
    outcome = comparison.limit.outcome
    liveliest = max((coarse for coarse, _ in bursts), key=lambda b: b.significance)
    diffusive = outcome is Outcome.DIFFUSIVE
    if outcome not in EXPONENTS or not (diffusive or liveliest.significance > SEEN_TO_MOVE):
        return None
    alpha, sigma = comparison.alpha / 4, comparison.sigmas[0]
    order = expansion_order(comparison.limit.problem)
    if outcome.is_degenerate:
        sigma = min(sigma, (FASTER_SCALE * alpha / 4) ** (1 / order))
    return measure_scaling(
        descent,
        compiled,
        liveliest.point,
        alpha=alpha,
        sigma=sigma,
        diffusive=diffusive,
        relaxations=BURSTS.get(outcome, BURST),
        paths=BURST_FACTOR * comparison.paths,
        seed=seed,
        correction=(-1 if outcome.is_degenerate else 0, order),
    )


def _measured_fast_phase(
    descent: CompiledDescent, compiled: CompiledLimit, comparison: Comparison, seed: tuple[int, ...]
) -> FastPhase:
    return measure_fast_phase(
        descent,
        compiled,
        comparison.expected[0, 0],
        alpha=comparison.alpha,
        sigma=comparison.sigmas[0],
        paths=BURST_FACTOR * comparison.paths,
        seed=seed,
    )
