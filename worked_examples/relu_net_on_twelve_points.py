"""Label noise makes a ReLU network fit twelve points simply (Blanc et al., Figures 2 and 3).

f(x) = Σ_j c_j max(a_j x + b_j, 0) + p x + q, both layers trained by gradient descent from random
starts, with label noise and without. Without it the curve reaches the points and keeps what its
start gave it between them; with label noise, here as large as the data, it stays some hundredths of
their range away from them, so that it may be shorter than the polygon through them, and becomes
piecewise linear with few bends, slowly: its length falls long after the training error has (here
from 4.5 to 3.15, the polygon through the points having 3.11; without label noise it stays at 3.3
to 3.6). The points are this project's choice.

Where the smoothness hypotheses fail. The model is smooth in the weights as long as no bend
−b_j/a_j crosses a data point. Inside such a cell the limit −(1/n)P∇reg holds as it stands; across
its walls reg = (1/n) Σ_i Σ_j (max(z_ij, 0)² + c_j² 1(z_ij > 0)(1 + x_i²)) jumps by
c_j²(1 + x_i²)/n, and no limit is claimed there. So the recursion itself is run here, and the
crossings are counted.

    python worked_examples/relu_net_on_twelve_points.py

takes 2 minutes on one core, 0.3 GB.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Figures 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numba import njit
from numpy.typing import NDArray
from pictures import save

from numerics.plots import styled

Array = NDArray[np.float64]

X = np.linspace(-1.0, 1.0, 12)
Y = np.interp(X, [-1.0, -0.4, 0.3, 1.0], [0.6, -0.5, 0.5, 0.1])
GRID = np.linspace(-1.0, 1.0, 2001)


@njit(cache=True)  # type: ignore[untyped-decorator]
def descend(w: Array, steps: int, alpha: float, sigma: float, seed: int) -> int:
    """Gradient descent in place on (1/n) Σ (f(x_i) − y_i − ση_i)²; w has rows a, b, c, and (p, q).

    Returns the number of times that a bend crossed a data point.
    """
    np.random.seed(seed)  # noqa: NPY002 (the generator of compiled code, no global state of Python)
    units = w.shape[1] - 1
    a, b, c, line = w[0], w[1], w[2], w[:, units]
    before = np.zeros((units, len(X)), dtype=np.bool_)
    crossings = 0
    for k in range(steps):
        slope = np.zeros_like(w)
        for i, x in enumerate(X):
            value = line[0] * x + line[1]
            for j in range(units):
                z = a[j] * x + b[j]
                if z > 0:
                    value += c[j] * z
                crossings += k > 0 and (z > 0) != before[j, i]
                before[j, i] = z > 0
            r = 2 * (value - Y[i] - sigma * np.random.normal()) / len(X)  # noqa: NPY002
            slope[0, units] += r * x
            slope[1, units] += r
            for j in range(units):
                if before[j, i]:
                    slope[0, j] += r * c[j] * x
                    slope[1, j] += r * c[j]
                    slope[2, j] += r * (a[j] * x + b[j])
        w -= alpha * slope
    return crossings


def random_weights(units: int, seed: int) -> Array:
    """Rows a ~ N(0, 4), b with bends uniform over the data, c ~ N(0, 1); last column p = q = 0."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(3, units + 1))
    w[0] *= 2
    w[1] = -w[0] * rng.uniform(X[0], X[-1], size=units + 1)
    w[:, -1] = 0
    return w


def curve(w: Array, x: Array) -> Array:
    """f(x)."""
    hidden = np.maximum(np.outer(x, w[0, :-1]) + w[1, :-1], 0)
    return hidden @ w[2, :-1] + w[0, -1] * x + w[1, -1]


def length(w: Array) -> float:
    """Length of the curve over the range of the data."""
    return float(np.sum(np.hypot(np.diff(GRID), np.diff(curve(w, GRID)))))


def excess_bend(w: Array) -> float:
    """Total variation of f' beyond that of the polygon through the data; zero for simple fits."""
    slopes, polygon = np.diff(curve(w, GRID)) / np.diff(GRID), np.diff(Y) / np.diff(X)
    return float(np.abs(np.diff(slopes)).sum() - np.abs(np.diff(polygon)).sum())


@dataclass(frozen=True)
class Training:
    """One run: recorded iterations, training loss, length of the curve; the end, and crossings."""

    iterations: Array
    loss: Array
    length: Array
    weights: Array
    crossings: int


def train(units: int, iterations: Sequence[int], alpha: float, sigma: float, seed: int) -> Training:
    """Run from a random start and measure at the given iterations."""
    w, crossings, before = random_weights(units, seed), 0, 0
    losses, lengths = [], []
    for stage, end in enumerate(iterations):
        crossings += descend(w, end - before, alpha, sigma, 1000 * seed + stage)
        before = end
        losses.append(np.mean((curve(w, X) - Y) ** 2))
        lengths.append(length(w))
    return Training(np.array(iterations), np.array(losses), np.array(lengths), w, crossings)


@styled
def draw(quiet: Sequence[Training], noisy: Sequence[Training]) -> Figure:
    """Final curves above, loss and length over the iterations below."""
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    polygon = float(np.sum(np.hypot(np.diff(X), np.diff(Y))))
    for column, (name, runs) in enumerate((("without", quiet), ("with", noisy))):
        top, bottom = (figure.add_subplot(2, 2, 1 + column + 2 * row) for row in range(2))
        for run in runs:
            top.plot(GRID, curve(run.weights, GRID), linewidth=1)
        top.plot(X, Y, "ko", markersize=4)
        top.set(title=f"{len(runs)} starts {name} label noise", ylim=(-0.8, 0.8))
        top.set(xlabel="x", ylabel="f(x)")
        bottom.loglog(runs[0].iterations, runs[0].loss, "C3", label="training loss")
        bottom.set(xlabel="iterations", ylabel="training loss", ylim=(1e-12, 10))
        side = bottom.twinx()
        side.plot(runs[0].iterations, runs[0].length, "C0", label="length of the curve")
        side.axhline(polygon, color="0.6", linewidth=1, label="length of the polygon")
        side.set(ylabel="length of the curve", ylim=(0.9 * polygon, 2 * polygon))
    figure.legend(handles=[*bottom.lines, *side.lines], loc="outside lower center", ncols=3)
    return figure


if __name__ == "__main__":
    when = np.unique(np.geomspace(10, 2e6, 50).astype(int)).tolist()
    quiet = [train(40, when, alpha=0.004, sigma=0.0, seed=seed) for seed in range(5)]
    noisy = [train(40, when, alpha=0.004, sigma=0.8, seed=seed) for seed in range(10)]
    for name, runs in (("without", quiet), ("with", noisy)):
        print(f"{name} label noise: length, excess bend, crossings")
        for run in runs:
            print(f"  {run.length[-1]:.3f} {excess_bend(run.weights):.2f} {run.crossings}")
    print(save(draw(quiet, noisy), "relu_net_on_twelve_points"))
