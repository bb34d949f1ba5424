"""Which optimizer goes where: one noise model under six optimizers.

What the paper shows (Blanc et al., COLT 2020, Theorem 1): with label noise gradient descent lowers
tr H on Γ. The other rules and the model, L = ½(w₁w₂ − 1)², are this project's choice. All begin at
(2.5, 0.4), on the hyperbola Γ, with α = 0.05 and σ = 0.1, and are followed for 200 000 iterations.
With H = ∇²L, whose trace is w₁² + w₂² on Γ:

    optimizer         step of the recursion                             lowers on Γ      time scale
    gradient descent  w' = w − αg                                       tr H             1/(α²σ²)
    heavy ball        m' = βm + g, w' = w − αm'                         tr H             1/(α²σ²)
    sharpness-aware   w' = w − α∇L̂(w + ρg, η)                           tr H             1/(ασ²)
    local steps       five steps each on four workers, then their mean  tr H             1/(α²σ²)
    preconditioned    w' = w − αΩg, Ω = diag(1, ¼)                      tr ΩH            1/(α²σ²)
    one coordinate    w' = w − αDg, D = diag(1, 0) or diag(0, 1)        tr H, diffusing  1/(α²σ²)

What came out (printed by the run): w₁ in the end, by the limit at that step size and by the
recursion (256 paths, standard errors):

    gradient descent                 1.007              1.007 ± 0.001
    heavy ball, β = 0.9              1.000              1.000 ± 0.002
    sharpness-aware, ρ = 0.1         1.000              0.999 ± 0.001
    five local steps, four workers   1.000              0.999 ± 0.000
    preconditioned by diag(1, ¼)     1.707              1.707 ± 0.001
    one coordinate at random         1.177 ± 0.027      1.167 ± 0.026

Three kinds of answer: the same point (1, 1) at another speed, up to 100 times as fast with
β = 0.9, and on another scale for sharpness-aware steps; another point, (√2, 1/√2), to which the
preconditioned steps are still on their way; and no point at all where coordinates are drawn, which
spread along Γ. Means of recursions differ from limits by terms of order σ². In its first
1/(1 − β) iterations the heavy ball lags behind its limit, while its memory fills.

The picture: Γ with the ends, and w₁ over the iterations; the band holds 80 % of the diffusion.

    python worked_examples/which_optimizer_goes_where.py

takes 40 s of the processor, most of them to compile six recursions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Limit, NoisyGradientDescent, derive_limit
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.optimizers import (
    HeavyBall,
    LocalSteps,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
)
from numerics import compile_limit, simulate_descent, simulate_limit

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
LOSS = (w1 * w2 - 1) ** 2 / 2
NOISY = (w1 * w2 - 1 - eta) ** 2 / 2
START = (2.5, 0.4)
STEP, NOISE, PATHS, ITERATIONS = 0.05, 0.1, 256, 200_000
MARKS = np.unique(np.geomspace(30, ITERATIONS, 30).astype(int))

OPTIMIZERS: dict[str, Optimizer | None] = {
    "gradient descent": None,
    "heavy ball, β = 0.9": HeavyBall(sp.Rational(9, 10)),
    "sharpness-aware, ρ = 0.1": SharpnessAware(sp.Rational(1, 10)),
    "five local steps, four workers": LocalSteps(5, 4),
    "preconditioned by diag(1, ¼)": Preconditioned(sp.diag(1, sp.Rational(1, 4))),
    "one coordinate at random": RandomCoordinates(1),
}


@dataclass(frozen=True)
class Course:
    """w₁ at the marked iterations, paths in rows: of the limit at the step size, and measured."""

    limit: Limit
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]

    def row(self, name: str) -> str:
        """A line of the table."""
        ends = [f"{mean:.3f}{error}" for mean, error in map(ended, (self.predicted, self.measured))]
        return f"{name:32} {self.limit.time_scale!s:22} {ends[0]:18} {ends[1]}"


def ended(paths: NDArray[np.float64]) -> tuple[float, str]:
    """Mean of the last column, with its standard error where there are many paths."""
    last = paths[:, -1]
    error = f" ± {last.std() / np.sqrt(len(last)):.3f}" if len(last) > 1 else ""
    return float(last.mean()), error


def followed(optimizer: Optimizer | None) -> Course:
    """The recursion, and its limit at the step size, over the same iterations."""
    problem = NoisyGradientDescent(LOSS, NOISY, (w1, w2), eta, near=START, optimizer=optimizer)
    limit = derive_limit(problem)
    unit = float(limit.time_scale.subs({ALPHA: STEP, SIGMA: NOISE}))
    fast = compile_limit(limit.at_step(sp.Rational(1, 20)))
    predicted = simulate_limit(
        fast,
        START,
        time=ITERATIONS / unit,
        paths=PATHS if fast.is_noisy else 1,
        seed=1,
        record=np.append(0, MARKS / unit),
    )
    run = simulate_descent(
        problem,
        START,
        alpha=STEP,
        sigma=NOISE,
        steps=ITERATIONS,
        paths=PATHS,
        seed=0,
        record=MARKS,
    )
    return Course(limit, predicted.weights[:, 1:, 0], run.weights[:, :, 0])


def picture(courses: dict[str, Course]) -> Figure:
    """Γ with the points that are reached, and the way there."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    plane, time = figure.subplots(1, 2, width_ratios=(1, 1.5))
    curve = np.linspace(0.35, 2.9, 200)
    plane.plot(curve, 1 / curve, color="0.6", lw=1.2)
    plane.annotate("Γ", (0.48, 2.2), color="0.4")
    plane.plot(*START, "k+", ms=9)
    plane.annotate("start", START, xytext=(2.42, 0.52))
    for k, (name, course) in enumerate(courses.items()):
        color = f"C{k}"
        ends = course.measured[:, -1]
        if len(course.predicted) > 1:
            plane.plot(ends, 1 / ends, ".", color=color, ms=5, alpha=0.4, zorder=3)
        end = course.predicted[:, -1].mean()
        plane.plot(end, 1 / end, "o", mfc="none", mew=1.6, ms=6 + 3 * k, color=color)
        mean, middle = course.measured.mean(axis=0), course.predicted.mean(axis=0)
        time.plot(MARKS, middle, color=color, lw=1.4, label=name)
        time.plot(MARKS, mean, ".", color=color, ms=5)
        if len(course.predicted) > 1:
            band = np.quantile(course.predicted, [0.1, 0.9], axis=0)
            time.fill_between(MARKS, *band, color=color, alpha=0.12, lw=0)
    plane.set(xlabel="$w_1$", ylabel="$w_2$", xlim=(0.3, 2.9), ylim=(0.2, 2.6), aspect="equal")
    plane.set_title("where they end", loc="left")
    time.set(xscale="log", xlabel="iterations", ylabel="$w_1$")
    time.set_title("how they get there: limits (lines), recursions (dots)", loc="left")
    time.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


courses = {name: followed(optimizer) for name, optimizer in OPTIMIZERS.items()}
for name, course in courses.items():
    print(course.row(name))
print(save(picture(courses), "which_optimizer_goes_where"))
