"""Three limits of optimizers of practice, in numbers: local steps, random directions, a cosine.

All recursions are written out in NumPy here, and run on a ring-shaped Γ, or on a diagonal net, this
project's choice; the tables are printed by the run.

Local SGD with label noise: four workers meet after H = 1/(2α) steps each. Gu, Lyu, Huang and Arora
(arXiv 2303.01215) give the drift as α → 0, which `LocalRounds` has to all digits; `LocalSteps` has
that of a step size, which tends to it, and which the recursion has within its error:

      α       H   at the step/published   recursion/at the step
    0.12500   4   1.5666                 0.9995 ± 0.0011
    0.06250   8   1.2239                 0.9991 ± 0.0005
    0.03125  16   1.1011                 1.0000 ± 0.0003
    0.01562  32   1.0482                 1.0001 ± 0.0001
    α → 0, extrapolated: 0.9996

Zeroth-order steps: the speed of the recursion in units of each limit tells Gaussian directions from
random signs:

    directions   over Gaussian's limit   over that of signs
    Gaussian         0.9890 ± 0.0075       3.4785 ± 0.0263
    signs            0.2811 ± 0.0001       0.9996 ± 0.0005

A cosine schedule with warm-up: what falls along Γ, before and after, on three models:

    model                           of     start   recursion      limit      off
    label noise on a diagonal net   ΔL   25.4880     19.3489    19.3601    0.06%
    parameter noise on a ring       Reg   2.6000      1.7902     1.7877    0.14%
    sharpness-aware on a ring       ½λ₁   2.6010      2.2903     2.2896    0.03%

Where Adam goes and where descent does, and how fast sharpness-aware steps are at a step size, have
examples of their own: `adam_and_gradient_descent.py` and `sharpness_aware_at_a_step.py`.

Run `python worked_examples/optimizers_in_numbers.py`; two minutes of the processor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import NoisyGradientDescent, Rademacher, derive_limit, mechanisms
from derive.optimizers import LocalRounds, LocalSteps, NormalizedSharpnessAware, ZerothOrder
from numerics import StepSchedule, compile_limit, follow_schedule, plots

Array = NDArray[np.float64]
w1, w2, u1, u2, u3, eta, e1, e2 = sp.symbols("w1 w2 u1 u2 u3 eta e1 e2", real=True)
MISFIT = (w1**2 + w2**2 - 1) * (2 + w1) / 2
LABELS = NoisyGradientDescent(MISFIT**2 / 2, (MISFIT - eta) ** 2 / 2, (w1, w2), eta)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
START = np.array([0.6, 0.8])
WORKERS = 4
rng = np.random.default_rng(0)


def angle(w: Array) -> Array:
    """Slow coordinate of points about the ring, shape (2, paths)."""
    return np.arctan2(w[1], w[0])


def turning(drift: Array, point: Array) -> float:
    """Speed of the angle."""
    return float(drift @ [-point[1], point[0]])


def measured(step: Callable[[Array], Array], paths: int, wait: int, count: int) -> list[float]:
    """Mean turn per step after relaxation, its standard error, and the angle halfway."""
    w = np.tile(START[:, None], paths)
    for _ in range(wait):
        w = step(w)
    begin = angle(w)
    for _ in range(count):
        w = step(w)
    moved = (angle(w) - begin) / count
    halfway = float((begin + angle(w)).mean() / 2)
    return [moved.mean(), moved.std() / np.sqrt(paths), halfway]


# Local steps ------------------------------------------------------------------------------------


def labels_step(w: Array, alpha: float, sigma: float) -> Array:
    """One step of descent on ½(h − y − ση)²."""
    square = w[0] ** 2 + w[1] ** 2 - 1
    error = square * (2 + w[0]) / 2 - sigma * rng.normal(size=w.shape[1])
    slope = np.stack([w[0] * (2 + w[0]) + square / 2, w[1] * (2 + w[0])])
    return w - alpha * error * slope


def one_round(w: Array, alpha: float, sigma: float, steps: int) -> Array:
    """Local steps of each worker, then their mean."""
    ends = []
    for _ in range(WORKERS):
        end = w
        for _ in range(steps):
            end = labels_step(end, alpha, sigma)
        ends.append(end)
    return np.mean(ends, axis=0)


def published(point: Array) -> float:
    """−¼P∇tr H (1 + (K − 1)ψ(x))/K with ψ(x) = (e^{−x} − 1 + x)/x, x = 2Tλ, T = ½; its turn."""
    curvature = (2 + point[0]) ** 2
    psi = (np.exp(-curvature) - 1 + curvature) / curvature
    slope = np.array([2 * (2 + point[0]), 0.0])
    return -turning(slope, point) / 4 * (1 + (WORKERS - 1) * psi) / WORKERS


def local_steps() -> list[tuple[float, float, float, float]]:
    """α, drift at the step and measured drift with its error, in units of the formula's."""
    rounds = replace(LABELS, optimizer=LocalRounds(sp.Rational(1, 2), WORKERS))
    there = turning(compile_limit(derive_limit(rounds)).drift(START), START)
    print(f"local SGD: limit of rounds over the published formula {there / published(START):.6f}")
    print("    α       H   at the step/published   recursion/at the step")
    rows, sigma = [], 0.03
    for steps in (4, 8, 16, 32):
        alpha = 0.5 / steps
        problem = replace(LABELS, optimizer=LocalSteps(steps, WORKERS))
        limit = compile_limit(derive_limit(problem).at_step(alpha))
        count = int(0.01 / (abs(published(START)) * steps * (alpha * sigma) ** 2))
        mean, error, halfway = measured(
            lambda w, a=alpha, n=steps: one_round(w, a, sigma, n), 1000, 30, count
        )
        point = np.array([np.cos(halfway), np.sin(halfway)])
        unit = steps * (alpha * sigma) ** 2
        expected = turning(limit.drift(point), point) * alpha**2 * sigma**2 / unit
        ratio, spread = mean / unit / expected, error / unit / abs(expected)
        rows.append((alpha, expected / published(point), ratio, spread))
        print(f"    {alpha:.5f} {steps:3}   {rows[-1][1]:.4f}   {ratio:20.4f} ± {spread:.4f}")
    values = [r[1] for r in rows]
    for k in range(1, len(values)):
        values = [(2**k * b - a) / (2**k - 1) for a, b in itertools.pairwise(values)]
    print(f"    α → 0, extrapolated: {values[0]:.4f}\n")
    return rows


# Random directions ------------------------------------------------------------------------------


def ring(w: Array) -> Array:
    """L."""
    return (w[0] ** 2 + w[1] ** 2 - 1) ** 2 * (2 + w[0]) / 4


def zeroth_order() -> None:
    """The two limits, and each recursion beside both."""
    alpha, distance, paths = 0.01, 0.02, 4000
    draws = {
        "Gaussian": lambda: rng.normal(size=(2, paths)),
        "signs": lambda: rng.choice([-1.0, 1.0], size=(2, paths)),
    }
    optimizers = {"Gaussian": ZerothOrder(), "signs": ZerothOrder(Rademacher())}
    limits = {
        name: compile_limit(
            derive_limit(NoisyGradientDescent(RING, RING, (w1, w2), (), optimizer=o)).at_step(alpha)
        )
        for name, o in optimizers.items()
    }
    print("zeroth order: speed of the recursion over that of each limit")
    print("    directions   over Gaussian's limit   over that of signs")
    for name, draw in draws.items():

        def step(w: Array, draw: Callable[[], Array] = draw) -> Array:
            xi = draw()
            slope = (ring(w + distance * xi) - ring(w - distance * xi)) / (2 * distance)
            return w - alpha * slope * xi

        mean, error, halfway = measured(step, paths, 200, 1000)
        point = np.array([np.cos(halfway), np.sin(halfway)])
        shown = [
            (mean / expected, error / abs(expected))
            for expected in (
                turning(limit.drift(point), point) * alpha * distance**2
                for limit in limits.values()
            )
        ]
        print(f"    {name:10}" + "".join(f"   {r:10.4f} ± {e:.4f}" for r, e in shown))
    print()


# A cosine ---------------------------------------------------------------------------------------


def diagonal_net() -> NoisyGradientDescent:
    """Label noise on h(x; u) = Σ x_j u_j² and two samples."""
    residuals = (u1**2 + 2 * u2**2 + u3**2 - 2.25, 2 * u1**2 - u2**2 + u3**2 - 1.25)
    loss = sum(r**2 for r in residuals) / 2
    noisy = sum((r - e) ** 2 for r, e in zip(residuals, (e1, e2), strict=True)) / 2
    return NoisyGradientDescent(loss, noisy, (u1, u2, u3), (e1, e2))


def net_step(u: Array, alpha: float, sigma: float) -> Array:
    """One step of label noise on the diagonal net."""
    inputs = np.array([[1, 2, 1], [2, -1, 1]])
    errors = inputs @ u**2 - np.array([[2.25], [1.25]]) - sigma * rng.normal(size=(2, u.shape[1]))
    return u - alpha * 2 * u * (inputs.T @ errors)


def ring_slope(w: Array) -> Array:
    """∇L."""
    square = w[0] ** 2 + w[1] ** 2 - 1
    return np.stack([square * w[0] * (2 + w[0]) + square**2 / 4, square * w[1] * (2 + w[0])])


def moved_step(w: Array, alpha: float, sigma: float) -> Array:
    """Descent with the gradient at weights that noise has moved."""
    return w - alpha * ring_slope(w + sigma * rng.normal(size=w.shape))


def sharp_step(w: Array, alpha: float, sigma: float) -> Array:
    """A sharpness-aware step."""
    uphill = ring_slope(w)
    return w - alpha * ring_slope(w + sigma * uphill / np.linalg.norm(uphill, axis=0))


CASES = {
    # Model, step, what falls, its name, start, peak of α, σ, steps, paths.
    "label noise on a diagonal net": (
        diagonal_net(),
        net_step,
        lambda u: 20 * u[0] ** 2 + 20 * u[1] ** 2 + 8 * u[2] ** 2,
        "ΔL",
        (0.7, 0.62, 1.0),
        (0.06, 0.15, 12_000, 40),
    ),
    "parameter noise on a ring": (
        mechanisms.parameter_noise(RING, (w1, w2)),
        moved_step,
        lambda w: 2 + w[0],
        "Reg",
        (0.6, 0.8),
        (0.1, 0.05, 6000, 200),
    ),
    "sharpness-aware on a ring": (
        NoisyGradientDescent(RING, RING, (w1, w2), (), optimizer=NormalizedSharpnessAware()),
        sharp_step,
        lambda w: 2 + w[0],
        "½λ₁",
        (0.601, 0.801),
        (0.25, 0.005, 30_000, 1),
    ),
}


def cosine() -> None:
    """What falls, before and after."""
    print("after a cosine with warm-up: what falls, at the start and at the end")
    print("    model                           of     start   recursion      limit      off")
    for name, (problem, step, falls, of, start, (peak, sigma, steps, paths)) in CASES.items():
        schedule = StepSchedule.cosine(peak, steps, warm_up=steps // 20)
        course = follow_schedule(
            derive_limit(problem), start, schedule, sigma=sigma, record=[0, steps]
        )
        w = np.tile(np.array(start)[:, None], paths)
        for alpha in schedule.alphas:
            w = step(w, alpha, sigma)
        first, expected = falls(np.array(start)), falls(course.weights[-1])
        found = falls(w).mean()
        print(
            f"    {name:30}  {of:4} {first:7.4f}   {found:9.4f}  {expected:9.4f}  "
            f"{abs(expected - found) / found:7.2%}"
        )


@plots.styled
def picture(rows: list[tuple[float, float, float, float]]) -> Figure:
    """Local SGD: the published drift, that at a step size, and the recursion."""
    figure = Figure(figsize=(4.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    steps, at_step, ratio, error = np.array(rows).T
    axes.axhline(1, color=plots.INK, ls="--", lw=1, label=r"Gu et al., $\alpha\to0$")
    axes.plot(steps, at_step, color=plots.SERIES[1], label="limit at the step")
    axes.errorbar(
        steps,
        ratio * at_step,
        2 * error * at_step,
        fmt="o",
        color=plots.SERIES[0],
        label="recursion, two standard errors",
    )
    axes.set(xscale="log", ylabel="drift, in units of the published one")
    axes.set_xlabel(r"$\alpha$, with $\alpha H=\frac{1}{2}$ and four workers")
    axes.set_xticks(steps, [f"1/{1 / a:.0f}" for a in steps])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure


def main() -> None:
    """All three."""
    rows = local_steps()
    zeroth_order()
    cosine()
    print(f"\npicture in {save(picture(rows), 'optimizers_in_numbers')}")


if __name__ == "__main__":
    main()
