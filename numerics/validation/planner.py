"""What a run at given (α, σ) would cost, how biased and how sharp it would be."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from derive import Limit, Outcome
from derive.adaptive_limit import AdaptiveLimit
from derive.cycle_limit import CycleLimit
from derive.rules.regimes.windows import WindowPlan

from ..arguments import check_counts, number, positive, starting_points
from ..errors import ArgumentError
from ..models.compiled_limit import compile_limit
from ..simulation.descent.compiled_descent import compile_descent
from ..simulation.descent.descent import simulate_descent
from .measurements.comparison import check_arrival, iterations_of

PILOT_PATHS, PILOT_STEPS = 256, 2000
OVERHEAD = 3.0
"""Cost of a validation over that of its run at σ: the one at σ/√2 takes two more."""

FEWEST, MOST = 100, 100_000
"""Numbers of paths between which a budget may choose."""

GENTLE = 0.2
"""Value of αλ_max that is suggested: the limit α → 0 is then 10 % away."""

ROUND_OFF = 1e-12
"""Part by which a ratio of rounded numbers may exceed a bound that it meets."""

CROSSOVER = 0.2
"""Value of σ²/α that is suggested at most."""


@dataclass(frozen=True)
class Plan:
    """The small numbers of a run, its bias and its cost.

    Attributes
    ----------
    alpha, sigma, time : float
        Step size, noise scale, and slow time to be covered.
    paths : int
        Number of paths.
    stiffness : float
        αλ_max(H) where the run reaches Γ; it must be less than 2.
    crossover, ratio : float
        σ²/α and σ/α, which tend to zero in Theorem B.
    bias : float
        Relative distance αλ_max/2 of the limit α → 0, as far as it depends on the step size.
    iterations : float
        Iterations of each path.
    seconds : float
        Cost of the validation, extrapolated from a short run on this machine.
    sharpness : float
        Standard error of a mean over the paths, relative to their spread, after extrapolation.
    budget : float or None
        Seconds that it was to take.
    window : WindowPlan or None
        Of an adaptive optimizer, the windows of its second moments beside the run.
    """

    alpha: float
    sigma: float
    time: float
    paths: int
    stiffness: float
    crossover: float
    ratio: float
    bias: float
    iterations: float
    seconds: float
    sharpness: float
    budget: float | None = None
    window: WindowPlan | None = None

    @property
    def suggestion(self) -> str:
        """What to change, if anything."""
        advice = []
        if self.stiffness > 1:
            gentle = self.alpha * GENTLE / self.stiffness
            advice.append(f"α = {gentle:.2g} for αλ_max = {GENTLE:g}")
        if self.crossover > CROSSOVER * (1 + ROUND_OFF):
            advice.append(f"σ = {np.sqrt(CROSSOVER * self.alpha):.2g} for σ²/α = {CROSSOVER:g}")
        if self.budget is not None and self.seconds > self.budget:
            advice.append(f"a budget of {self.seconds:.2g} s, which {FEWEST} paths take")
        return "consider " + " and ".join(advice) if advice else "nothing to change"

    def __str__(self) -> str:
        return (
            f"αλ_max = {self.stiffness:.3g}, σ²/α = {self.crossover:.3g}, σ/α = {self.ratio:.3g}\n"
            f"the limit α → 0 is about {self.bias:.1%} away\n"
            f"{self.paths} paths of {self.iterations:.3g} iterations, about {self.seconds:.2g} s; "
            f"means are known to {self.sharpness:.1%} of the spread\n{self.suggestion}"
            + ("" if self.window is None else f"\n{self.window}")
        )


def plan(
    limit: Limit,
    start: ArrayLike,
    *,
    alpha: float,
    sigma: float,
    time: float,
    paths: int | None = None,
    budget: float | None = None,
) -> Plan:
    """Foresee a validation, or choose its number of paths so that it fits a budget.

    Parameters
    ----------
    limit : Limit
        The limit α → 0.
    start : array-like of shape (N,)
        w₀.
    alpha, sigma, time : float
        Step size, noise scale and slow time.
    paths : int, optional
        Number of paths; chosen by the budget if not given.
    budget : float, optional
        Seconds that the validation may take.

    Raises
    ------
    ArgumentError
        If neither or both of `paths` and `budget` are given, an argument is out of its range, or
        the start does not end on Γ.
    """
    if (paths is None) == (budget is None):
        raise ArgumentError("paths, budget: expected one of the two")
    alpha, sigma, time = (
        number(name, given, positive)
        for name, given in (("alpha", alpha), ("sigma", sigma), ("time", time))
    )
    if budget is not None:
        budget = number("budget", budget, positive, "a positive number of seconds")
    if paths is not None:
        check_counts(paths=(paths, 1))
    limit = limit.in_numbers  # a step in matrices is slow
    if isinstance(limit, CycleLimit):
        limit = limit.shortened()
    compiled = compile_limit(limit)
    point = starting_points(start, limit.problem.weights, 1)[0]
    iterations = iterations_of(limit, alpha, sigma, time)
    end = compiled.flow_limit(point)
    check_arrival(compiled, end, f"the gradient flow from {tuple(point.tolist())}")
    stiffness = alpha * float(compiled.spectrum(end)[-1])
    cost = OVERHEAD * iterations * seconds_per_step(limit, end, alpha, sigma)
    if paths is None:
        paths = int(np.clip(budget / cost, FEWEST, MOST))  # type: ignore[operator]
    return Plan(
        alpha,
        sigma,
        time,
        paths,
        stiffness,
        crossover=sigma**2 / alpha,
        ratio=sigma / alpha,
        bias=_bias(limit, stiffness),
        iterations=iterations,
        seconds=cost * paths,
        # 2 m(fine) − m(coarse) has five times the variance of one mean.
        sharpness=float(np.sqrt(5 / paths)),
        budget=budget,
        window=limit.run(alpha, sigma) if isinstance(limit, AdaptiveLimit) else None,
    )


def _bias(limit: Limit, stiffness: float) -> float:
    if limit.outcome in (Outcome.TRIVIAL, Outcome.FROZEN):
        return 0.0
    if isinstance(limit, CycleLimit):  # of the factor (2/(2 − αλ₁))², where α counts
        return 0.0 if limit.equation.shortened else stiffness
    return stiffness / 2


def seconds_per_step(limit: Limit, start: ArrayLike, alpha: float, sigma: float) -> float:
    """Time of one iteration of one path on this machine, measured."""
    descent = compile_descent(limit.problem)

    def run(steps: int) -> float:
        began = clock.perf_counter()
        simulate_descent(
            descent,
            start,
            alpha=alpha,
            sigma=sigma,
            steps=steps,
            paths=PILOT_PATHS,
            seed=0,
            record=2,
        )
        return clock.perf_counter() - began

    run(1)
    return run(PILOT_STEPS) / (PILOT_PATHS * PILOT_STEPS)
