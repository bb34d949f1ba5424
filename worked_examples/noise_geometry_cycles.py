"""Cyclical step sizes move SGD to flatter regions, GD slowly or not (Wang and Wu, Figure 4).

The paper's toy model is not in the text at hand; this one is the project's choice, and in it GD can
move. Three weights (p, u, v), n = 8 samples with mean x xᵀ = [[1, c], [c, 1]], targets 0:

    f_i = x_i · F(p, u, v),   F = (√κ ψ(p), uv − 1),   ψ(p) = 0.1 tanh(10 p),   κ = 20.

L = Fᵀ[[1, c], [c, 1]]F/2 vanishes on the hyperbola {p = 0, uv = 1}. The sharpest direction is p, or
nearly so; the sharpness u² + v² of the other falls along the hyperbola, from 5.05 at the start to 2
at u = v. A step multiplies u² − v² by exactly 1 − η²g², g = ∂ℓ/∂(uv): what moves along the
hyperbola is a loss that stays, as F₁ does for η > 2/κ. In SGD with batches of one F₁ acts on uv as
label noise F₁ x₁ on the sample that is drawn; for this noise the limit is derived, and with F₁ of
the measured size it predicts the path at the step size of the peaks. In GD F₁ forces uv by c F₁
with alternating sign, which makes g = 2cF₁/(2 − η(u² + v²)).

The paper: SGD moves significantly towards flatter regions, GD only oscillates along the sharpest
direction, however tuned. What came out, in 4000 iterations in cycles of 40, with 14 peaks from 0.08
to 0.8 and 16 paths of SGD: with c = 0.1 and a peak of 0.15, u² + v² falls to 3.649 ± 0.019, 2.841 ±
0.016 and 2.053 ± 0.011 in SGD after 400, 1000 and 4000 iterations, predicted 3.602, 2.784 and 2.028
(low by 2.3 to 3.6 standard errors), and to 4.891 in GD, predicted 4.889. The paper's finding holds
for c = 0 up to a peak of 2/(u² + v²) = 0.4, where GD cannot move. With a coupling GD does move, by
c² in place of SGD's mean x₁²x₂²: to 4.49 and 2.82 at peaks of 0.2 and 0.4 for c = 0.1, to 2.81 and
1.99 for c = 0.3; SGD is near 2.0 from 0.15 on. And beyond 0.4, where SGD is lost, GD moves even for
c = 0, to 2.02 at 0.6, as it is unstable across the hyperbola then.

The picture: both trajectories for c = 0.1; their sharpness, measured and predicted; the sharpness
at the end against the peak.

    python worked_examples/noise_geometry_cycles.py

takes 40 seconds on one core, half of it to compile the first time; 0.4 GB.

References
----------
Wang, Wu, arXiv 2310.00692, Figure 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Independent, Limit, Minibatch, NoisyGradientDescent, Rademacher, derive_limit
from numerics import compile_limit, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]

KAPPA = 20.0
SATURATION = 0.1
"""Size of |p| beyond which the residual of p stops growing, so that it does not diverge."""
SAMPLES = 8
START = (1e-3, 2.2, 0.46)
"""Near the sharp end of the hyperbola."""
COUPLINGS = (0.0, 0.1, 0.3)
PEAKS = (0.08, 0.1, 0.11, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8)
SHOWN, COUPLED = 0.15, 0.1
"""Peak and coupling of the trajectories."""


@dataclass(frozen=True)
class Schedule:
    """Cyclical step sizes: `high` for the first half of each cycle, `low` for the second."""

    high: float
    low: float = 0.09
    cycle: int = 40

    def step(self, iteration: int) -> float:
        """Step size at an iteration."""
        return self.high if iteration % self.cycle < self.cycle // 2 else self.low


@dataclass(frozen=True)
class Toy:
    """The model with inputs of correlation c.

    Attributes
    ----------
    coupling : float
        c.
    """

    coupling: float

    @property
    def inputs(self) -> Array:
        """x_i, shape (8, 2): points on a circle, stretched."""
        angle = 2 * np.pi * (np.arange(SAMPLES) + 0.25) / SAMPLES
        circle = np.sqrt(2) * np.column_stack([np.cos(angle), np.sin(angle)])
        values, vectors = np.linalg.eigh([[1.0, self.coupling], [self.coupling, 1.0]])
        return np.asarray(circle @ (vectors * np.sqrt(values)) @ vectors.T)

    def descend(
        self, schedule: Schedule, steps: int, paths: int = 1, rng: np.random.Generator | None = None
    ) -> Array:
        """Trajectories (steps + 1, paths, 3) of SGD with batches of one, or of GD without `rng`.

        NaN from where they leave the range of numbers.
        """
        x = self.inputs
        w = np.tile(START, (paths, 1))
        found = [w]
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(steps):
                f = model(w)
                if rng is None:
                    g = f @ x.T @ x / SAMPLES
                else:
                    drawn = x[rng.integers(SAMPLES, size=paths)]
                    g = np.sum(drawn * f, axis=1, keepdims=True) * drawn
                slope = np.sqrt(KAPPA) * (1 - np.tanh(w[:, 0] / SATURATION) ** 2)
                gradient = np.column_stack([g[:, 0] * slope, g[:, 1] * w[:, 2], g[:, 1] * w[:, 1]])
                w = w - schedule.step(k) * gradient
                found.append(w)
        return np.array(found)

    def limit(self) -> Limit:
        """The limit along uv = 1 of label noise η x₁ in batches of one sample."""
        u, v, eta = sp.symbols("u v eta", real=True)
        zeta = sp.symbols(f"zeta1:{SAMPLES + 1}", real=True)
        pairs = [tuple(map(sp.Float, row)) for row in self.inputs]
        loss = sum((b * (u * v - 1)) ** 2 for _, b in pairs) / (2 * SAMPLES)
        noisy = sum(
            (1 + z) * (a * eta + b * (u * v - 1)) ** 2
            for z, (a, b) in zip(zeta, pairs, strict=True)
        ) / (2 * SAMPLES)
        law = Independent(((zeta, Minibatch(SAMPLES, 1, True)), ((eta,), Rademacher())))
        noise = (*zeta, eta)
        return derive_limit(NoisyGradientDescent(loss, noisy, (u, v), noise, law, near=(1, 1)))


def model(w: Array) -> Array:
    """F(p, u, v), shape (..., 2)."""
    p, u, v = np.moveaxis(w, -1, 0)
    return np.stack([np.sqrt(KAPPA) * SATURATION * np.tanh(p / SATURATION), u * v - 1], axis=-1)


def sharpness(path: Array) -> Array:
    """u² + v², the curvature across the hyperbola."""
    return np.sum(path[..., 1:] ** 2, axis=-1)


def on_hyperbola(difference: Array) -> Array:
    """u² + v² where uv = 1, by u² − v²."""
    return np.sqrt(difference**2 + 4)


def steps_of(schedule: Schedule, count: int) -> Array:
    """The step sizes of so many iterations."""
    return np.array([schedule.step(k) for k in range(count)])


def predicted_sgd(toy: Toy, schedule: Schedule, paths: Array, records: Iterable[int]) -> Array:
    """Sharpness by the limit at the step `high`, for F₁ as large as in these paths of SGD."""
    steps = steps_of(schedule, len(paths) - 1)
    size = np.mean(model(paths[:-1])[..., 0] ** 2, axis=1)
    times = np.concatenate([[0.0], np.cumsum(steps**2 * size)])[list(records)]
    fast = compile_limit(toy.limit().at_step(schedule.high))
    start = fast.retract(np.array(START[1:]))
    course = simulate_limit(fast, start, time=times[-1], paths=1, seed=0, record=times)
    return np.asarray(np.sum(course.weights[0] ** 2, axis=-1))


def predicted_gd(toy: Toy, schedule: Schedule, path: Array, records: Iterable[int]) -> Array:
    """Sharpness by g = 2cF₁/(2 − η(u² + v²)), for F₁ as in this path, shape (steps + 1, 3)."""
    difference = [START[1] ** 2 - START[2] ** 2]
    for eta, f in zip(steps_of(schedule, len(path) - 1), model(path[:-1])[:, 0], strict=True):
        g = 2 * toy.coupling * f / (2 - eta * on_hyperbola(difference[-1]))
        difference.append(difference[-1] * (1 - eta**2 * g**2))
    return on_hyperbola(np.array(difference)[list(records)])


def end(path: Array, cycles: int = 10) -> Array:
    """Mean sharpness over the last cycles, shape (paths,)."""
    return np.mean(sharpness(path[-cycles * Schedule(0.1).cycle :]), axis=0)


def draw_map(axes: Axes, name: str, path: Array) -> None:
    """A trajectory over the sharpest direction and the sharpness of the other."""
    points = axes.scatter(path[:, 0], sharpness(path), c=np.arange(len(path)), s=3)
    axes.axhline(2, color="0.6", linewidth=1)
    axes.set(xlabel="p (sharpest direction)", ylabel="u² + v²", xlim=(-0.15, 0.15), ylim=(1.5, 6))
    axes.set_title(f"{name}, c = {COUPLED}, peak {SHOWN} (2/κ = {2 / KAPPA})")
    axes.figure.colorbar(points, ax=axes, label="iterations", pad=0.01)


@styled
def draw(steps: int = 4000, paths: int = 16) -> Figure:
    """Trajectories, sharpness over time with predictions, and at the end; figures are printed."""
    figure = Figure(figsize=(11.0, 8.0), layout="constrained")
    (left, right), (time, tuned) = figure.subplots(2, 2)
    toy, schedule = Toy(COUPLED), Schedule(SHOWN)
    sgd = toy.descend(schedule, steps, paths, np.random.default_rng(0))
    gd = toy.descend(schedule, steps)[:, 0]
    draw_map(left, "SGD", sgd[:, 0])
    draw_map(right, "GD", gd)
    records = np.arange(0, steps + 1, schedule.cycle)
    expected = {
        "SGD": predicted_sgd(toy, schedule, sgd, records),
        "GD": predicted_gd(toy, schedule, gd, records),
    }
    for color, (name, path) in enumerate({"SGD": sgd, "GD": gd[:, None]}.items()):
        mean = sharpness(path)[records].mean(axis=1)
        time.plot(records, mean, ".", color=f"C{color}", label=f"{name}, mean of {path.shape[1]}")
        time.plot(records, expected[name], "-", color=f"C{color}", label=f"{name}, predicted")
        for k in (10, 25, len(records) - 1):
            spread = sharpness(path)[records[k]].std() / np.sqrt(path.shape[1])
            print(
                f"{name}, c = {COUPLED}, peak {SHOWN}, iteration {records[k]}: {mean[k]:.3f} ± "
                f"{spread:.3f}, predicted {expected[name][k]:.3f}"
            )
    time.set(xlabel="iterations", ylabel="u² + v²")
    time.legend()
    draw_tuned(tuned, steps, paths)
    return figure


def draw_tuned(axes: Axes, steps: int, paths: int) -> None:
    """Sharpness at the end against the peak step size."""
    for color, c in enumerate(COUPLINGS):
        gd = np.array([end(Toy(c).descend(Schedule(peak), steps))[0] for peak in PEAKS])
        runs = [
            end(Toy(c).descend(Schedule(peak), steps, paths, np.random.default_rng(0)))
            for peak in PEAKS
        ]
        sgd = np.array([run.mean() for run in runs])
        axes.plot(PEAKS, sgd, "o-", color=f"C{color}", label=f"SGD, c = {c}")
        axes.plot(PEAKS, gd, "x--", color=f"C{color}", label=f"GD, c = {c}")
        for name, found in (("SGD", sgd), ("GD", gd)):
            shown = ", ".join(f"{x:.2f}" for x in found)
            print(f"{name}, c = {c}, at the end by peak: {shown}")
    flat = 2 / (START[1] ** 2 + START[2] ** 2)
    axes.axvspan(2 / KAPPA, flat, color="0.85", label="2/κ to 2/(u² + v²)")
    axes.set(xscale="log", xlabel="peak step size", ylabel="u² + v² at the end", ylim=(1, 8))
    axes.minorticks_off()
    axes.set_xticks([0.1, 0.2, 0.4, 0.8], labels=["0.1", "0.2", "0.4", "0.8"])
    axes.legend(fontsize="small", ncols=2)


if __name__ == "__main__":
    print(save(draw(), "noise_geometry_cycles"))
