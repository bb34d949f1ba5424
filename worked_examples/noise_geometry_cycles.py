"""Cyclical step sizes let SGD, not GD, move to flatter regions (Wang and Wu, Figure 4).

The paper's toy model is not in the text at hand; this one is the project's choice. Three weights
(p, u, v) and samples x_i on a circle of radius √2, so that mean x xᵀ = I:

    f_i = x_i · F(p, u, v),   F = (√κ ψ(p), uv − 1),   ψ(p) = 0.1 tanh(10 p),   targets 0.

L = (κ ψ(p)² + (uv − 1)²)/2 vanishes on the hyperbola {p = 0, uv = 1}. The sharpest direction p
has curvature κ everywhere; the sharpness u² + v² of the other falls along the hyperbola towards
u = v = 1. Under the full gradient p and (u, v) do not see each other, so a step size above 2/κ
only makes GD oscillate along p. Under SGD the residual of p drives noise along ∇(uv), Σ ≈ 2L𝒢,
which acts on the hyperbola as label noise does: it drifts to the flat end.

    python worked_examples/noise_geometry_cycles.py

takes 6 seconds on one core, 0.2 GB.

References
----------
Wang, Wu, arXiv 2310.00692, Figure 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from numerics.plots import styled

Array = NDArray[np.float64]

KAPPA = 20.0
SATURATION = 0.1
"""Size of |p| beyond which the residual of p stops growing, so that no step size diverges."""
SAMPLES = 8
START = (1e-3, 2.2, 0.46)
"""Near the sharp end of the hyperbola, where u² + v² ≈ 5 (the flat end has 2)."""


@dataclass(frozen=True)
class Schedule:
    """Cyclical step sizes: `high` for the first half of each cycle, `low` for the second."""

    high: float
    low: float = 0.09
    cycle: int = 40

    def step(self, iteration: int) -> float:
        """Step size at an iteration."""
        return self.high if iteration % self.cycle < self.cycle // 2 else self.low


def circle(samples: int) -> Array:
    """Inputs x_i, shape (samples, 2)."""
    angle = 2 * np.pi * (np.arange(samples) + 0.25) / samples
    return np.sqrt(2) * np.column_stack([np.cos(angle), np.sin(angle)])


def slope(w: Array, x: Array) -> Array:
    """Mean over the samples x, shape (B, 2), of the gradient of (x·F(w))²/2, shape (3,)."""
    p, u, v = w
    saturated = np.tanh(p / SATURATION)
    f = np.array([np.sqrt(KAPPA) * SATURATION * saturated, u * v - 1])
    across, along = (x @ f) @ x / len(x)
    return np.array([np.sqrt(KAPPA) * across * (1 - saturated**2), along * v, along * u])


def descend(schedule: Schedule, steps: int, rng: np.random.Generator | None = None) -> Array:
    """Trajectory (steps + 1, 3) of SGD with batches of one, or of GD without `rng`."""
    x = circle(SAMPLES)
    path = [np.array(START)]
    for k in range(steps):
        batch = x if rng is None else x[rng.integers(SAMPLES, size=1)]
        path.append(path[-1] - schedule.step(k) * slope(path[-1], batch))
    return np.array(path)


def sharpness(path: Array) -> Array:
    """u² + v², the curvature across the hyperbola."""
    return np.sum(path[..., 1:] ** 2, axis=-1)


@styled
def draw(peaks: Sequence[float] = (0.12, 0.15, 0.2), steps: int = 4000) -> Figure:
    """Trajectories of both under one schedule, and the sharpness for several peaks."""
    figure = Figure(figsize=(12.5, 4.0), layout="constrained")
    *maps, time = figure.subplots(1, 3)
    rules = {"SGD": np.random.default_rng(0), "GD": None}
    for axes, (name, rng) in zip(maps, rules.items(), strict=True):
        path = descend(Schedule(peaks[1]), steps, rng)
        points = axes.scatter(path[:, 0], sharpness(path), c=np.arange(len(path)), s=3)
        axes.axhline(2, color="0.6", linewidth=1)
        axes.set(xlabel="p (sharpest direction)", ylabel="u² + v²", xlim=(-0.3, 0.3), ylim=(1.5, 6))
        axes.set_title(f"{name}, peak step {peaks[1]} (2/κ = {2 / KAPPA})")
    figure.colorbar(points, ax=maps, label="iterations", pad=0.01)
    for color, peak in enumerate(peaks):
        for style, (name, rng) in zip(("-", "--"), rules.items(), strict=True):
            path = descend(Schedule(peak), steps, rng)
            time.plot(sharpness(path), style, color=f"C{color}", label=f"{name}, peak {peak}")
    time.set(xlabel="iterations", ylabel="u² + v²", title="all step sizes")
    time.set(ylim=(1, 7.5))
    time.legend(fontsize="small", ncols=2, loc="upper right")
    return figure


if __name__ == "__main__":
    print(save(draw(), "noise_geometry_cycles"))
