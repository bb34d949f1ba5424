"""Label noise makes a ReLU network fit twelve points simply (Blanc et al., Figures 2 and 3).

What the paper shows: a net with both layers trained under label noise ends as a piecewise linear
curve through the points with few changes of convexity, long after the training error is small; with
one trained layer nothing of the kind happens.

What is done here: f(x) = Σ_j c_j max(a_j x + b_j, 0) + p x + q on points of this project's choice,
trained by gradient descent from random starts, with label noise as large as the data and without.
With it the weights fluctuate about Γ, so that the curve of w_k itself misses the points (by the
residuals printed first, and it may be shorter than the polygon through them); what moves slowly is
Φ(w_k), where descent without noise leads from there, and its curve is drawn. For one trained layer
the limit is derived: h is linear in c, ΔL constant, and the outcome trivial, with a proof.

What came out (printed by the run): with label noise the curve of w_k misses the points by 0.02 to
0.13, that of Φ(w_k) by at most 0.003; its length is 3.13 to 3.18, the polygon through the points
having 3.11, and it bends by 1 to 8 more than that. Without label noise the points are reached
exactly, the length stays at 3.29 to 3.63 and the excess bend at 20 to 46. One trained layer is
found to be trivial. What label noise lowers is reg = (1/n) Σ_i |∇f(x_i)|²: 59 to 93 without, 4.95
to 6.34 with it. No net of any number of units is below 3.168, as the multipliers of a linear
program prove; that value is approached by bends at data points, with one change of convexity as in
the data. The net of the two bends of which the data are made has 3.234 and P∇reg = 0 (2e-15): no
perturbation that keeps the values lowers it at first order. At every trained net |P∇reg| is 1.4 to
17: reg can still be lowered there.

Where the smoothness hypotheses fail. The model is smooth in the weights as long as no bend
−b_j/a_j crosses a data point. Inside such a cell the limit −(1/n)P∇reg holds as it stands; across
its walls reg = (1/n) Σ_i Σ_j (max(z_ij, 0)² + c_j² 1(z_ij > 0)(1 + x_i²)) + ... jumps by
c_j²(1 + x_i²)/n, and no limit is claimed there. So the recursion itself is run here, and the
crossings are counted (5522 to 2.7 million in a run); `relu_net_with_needless_bends.py` follows the
limit inside cells.

    python worked_examples/relu_net_on_twelve_points.py

takes a minute and a half of the processor, 0.3 GB.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Figures 2, 3, 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numba import njit
from numpy.typing import NDArray
from pictures import save
from scipy.optimize import linprog

from derive import Limit, derive_limit, mechanisms
from numerics.plots import styled

Array = NDArray[np.float64]

X = np.linspace(-1.0, 1.0, 12)
NODES, HEIGHTS = [-1.0, -0.4, 0.3, 1.0], [0.6, -0.5, 0.5, 0.1]
Y = np.interp(X, NODES, HEIGHTS)
DATA = np.stack([X, Y])
GRID = np.linspace(-1.0, 1.0, 2001)
SETTLING = 200_000
"""Steps without noise to Φ(w)."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def descend(w: Array, data: Array, steps: int, scales: tuple[float, float], seed: int) -> int:
    """Gradient descent in place on (1/n) Σ (f(x_i) − y_i − ση_i)²; w has rows a, b, c, and (p, q).

    The data are rows x and y, the scales α and σ. Returns the number of times that a bend crossed
    a data point.
    """
    np.random.seed(seed)  # noqa: NPY002 (the generator of compiled code, no global state of Python)
    (points, values), (alpha, sigma), units = data, scales, w.shape[1] - 1
    a, b, c, line = w[0], w[1], w[2], w[:, units]
    before = np.zeros((units, len(points)), dtype=np.bool_)
    crossings = 0
    for k in range(steps):
        slope = np.zeros_like(w)
        for i, x in enumerate(points):
            value = line[0] * x + line[1]
            for j in range(units):
                z = a[j] * x + b[j]
                if z > 0:
                    value += c[j] * z
                crossings += k > 0 and (z > 0) != before[j, i]
                before[j, i] = z > 0
            r = 2 * (value - values[i] - sigma * np.random.normal()) / len(points)  # noqa: NPY002
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
    """One run: recorded iterations, training loss, length of the curve; its end, and crossings.

    `settled` is Φ of the weights at the end, the end of descent without noise.
    """

    iterations: Array
    loss: Array
    length: Array
    weights: Array
    settled: Array
    crossings: int


def train(units: int, iterations: Sequence[int], alpha: float, sigma: float, seed: int) -> Training:
    """Run from a random start and measure at the given iterations."""
    w, crossings, before = random_weights(units, seed), 0, 0
    losses, lengths = [], []
    for stage, end in enumerate(iterations):
        crossings += descend(w, DATA, end - before, (alpha, sigma), 1000 * seed + stage)
        before = end
        losses.append(np.mean((curve(w, X) - Y) ** 2))
        lengths.append(length(w))
    settled = w.copy()
    descend(settled, DATA, SETTLING, (alpha, 0.0), 0)
    return Training(
        np.array(iterations), np.array(losses), np.array(lengths), w, settled, crossings
    )


def residual(w: Array) -> float:
    """Largest distance of the curve from the points."""
    return float(np.abs(curve(w, X) - Y).max())


def reg(w: Array, x: Array = X) -> float:
    """(1/n) Σ_i |∇f(x_i)|²."""
    z = np.outer(x, w[0, :-1]) + w[1, :-1]
    squares = np.sum((z > 0) * (z**2 + w[2, :-1] ** 2 * (1 + x[:, None] ** 2)), axis=1)
    return float(np.mean(squares + 1 + x**2))


def slope_of_reg(w: Array) -> float:
    """|P∇reg|: at what rate values at the data can stay while reg falls."""
    a, b, c = w[:, :-1]
    on, n = np.outer(X, a) + b > 0, len(X)
    z, x = on * (np.outer(X, a) + b), X[:, None]
    gradient = np.concatenate([z.T @ X, z.sum(axis=0), c * (on.T @ (1 + X**2)), [0, 0]]) * 2 / n
    jacobian = np.hstack([on * c * x, on * c, z, x, np.ones_like(x)])
    normal = np.linalg.lstsq(jacobian, jacobian @ gradient, rcond=1e-10)[0]
    return float(np.linalg.norm(gradient - normal))


@dataclass(frozen=True)
class Cheapest:
    """The net of least reg among all that reach the points, of any number of units.

    A unit that bends at t and turns f' by s adds at least |s| v(t) to reg, by the inequality of
    means, v(t) = (2/n) √(Σ (x_i − t)² Σ (1 + x_i²)) over the points on which it acts. So the least
    reg is that of a linear program in the turns, and its multipliers prove it: if
    |Σ_i λ_i max(±(x_i − t), 0)| ≤ v(t) at all bends, Σ λ_i = Σ λ_i x_i = 0, no net is below
    Σ λ_i y_i + (1/n) Σ (1 + x_i²).

    Attributes
    ----------
    reg : float
    bends : dict of float to float
        The turn of f' at each bend.
    violation : float
        Largest |Σ_i λ_i max(±(x_i − t), 0)| − v(t), on a grid 50 times as fine.
    """

    reg: float
    bends: dict[float, float]
    violation: float

    @classmethod
    def of_the_points(cls, grid: int = 21) -> Cheapest:
        """Solve the program for bends on so many points of each gap, its ends included."""
        bends, hidden, costs = units(grid)
        line = np.stack([X, np.ones_like(X)])
        program = linprog(
            np.concatenate([costs, costs, [0, 0]]),
            A_eq=np.vstack([hidden, -hidden, line]).T,
            b_eq=Y,
            bounds=[(0, None)] * 2 * len(costs) + [(None, None)] * 2,
        )
        turns = program.x[: len(costs)] - program.x[len(costs) : -2]
        used = np.abs(turns) > 1e-9
        _, finer, prices = units(50 * grid)
        over = np.abs(finer @ program.eqlin.marginals) - prices
        found = dict(zip(bends[used].tolist(), turns[used].tolist(), strict=True))
        return cls(float(program.fun + np.mean(1 + X**2)), found, float(over.max()))


def units(grid: int) -> tuple[Array, Array, Array]:
    """Bends t in all gaps, what a unit of either side adds at the points, and v(t)."""
    bends, hidden, costs = [], [], []
    for gap in range(len(X) - 1):
        for side, on in ((1, slice(gap + 1, None)), (-1, slice(gap + 1))):
            for t in np.linspace(X[gap], X[gap + 1], grid):
                row = np.zeros_like(X)
                row[on] = side * (X[on] - t)
                bends.append(t)
                hidden.append(row)
                costs.append(2 / len(X) * np.sqrt(np.sum(row**2) * np.sum(1 + X[on] ** 2)))
    return np.array(bends), np.array(hidden), np.array(costs)


def two_bends() -> Array:
    """The net with the two bends from which the data are made, its units balanced."""
    w = np.zeros((3, len(NODES) - 1))
    turns = np.diff(np.diff(HEIGHTS) / np.diff(NODES))
    for j, (t, turn, side) in enumerate(zip(NODES[1:-1], turns, (-1, 1), strict=True)):
        on = X[side * (X - t) > 0]
        a = side * np.sqrt(np.abs(turn) * np.sqrt(np.sum(1 + on**2) / np.sum((on - t) ** 2)))
        w[:, j] = a, -a * t, turn / abs(a)
    rest = Y - curve(w, X)
    w[:2, -1] = np.polyfit(X, rest, 1)
    return w


def one_layer_limit(units: int = 15) -> Limit:
    """The limit under label noise where only c is trained, over fixed bends."""
    c = sp.symbols(f"c1:{units + 1}", real=True)
    x = sp.Symbol("x", real=True)
    bends = [sp.Rational(2 * j, units) - 1 for j in range(units)]
    model = sum(cj * sp.Max(x - bend, 0) for cj, bend in zip(c, bends, strict=True))
    data = [sp.Rational(2 * i, len(X) - 1) - 1 for i in range(1, len(X))]
    targets = [sp.Rational(round(1000 * y), 1000) for y in Y[1:]]
    return derive_limit(mechanisms.label_noise(model, x, data, targets, c))


@styled
def draw(quiet: Sequence[Training], noisy: Sequence[Training]) -> Figure:
    """Final curves above, loss and length over the iterations below."""
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    polygon = float(np.sum(np.hypot(np.diff(X), np.diff(Y))))
    for column, (name, runs) in enumerate((("without", quiet), ("with", noisy))):
        top, bottom = (figure.add_subplot(2, 2, 1 + column + 2 * row) for row in range(2))
        for run in runs:
            top.plot(GRID, curve(run.settled, GRID), linewidth=1)
        top.plot(X, Y, "ko", markersize=4)
        top.set(title=f"{len(runs)} starts {name} label noise, Φ(w)", ylim=(-0.8, 0.8))
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
    single = one_layer_limit()
    print(f"one trained layer: {single.outcome.value}\n{single.evidence}")
    when = np.unique(np.geomspace(10, 2e6, 50).astype(int)).tolist()
    quiet = [train(40, when, alpha=0.004, sigma=0.0, seed=seed) for seed in range(5)]
    noisy = [train(40, when, alpha=0.004, sigma=0.8, seed=seed) for seed in range(10)]
    polygon = np.sum(np.hypot(np.diff(X), np.diff(Y)))
    print(f"length of the polygon through the points {polygon:.3f}")
    cheapest = Cheapest.of_the_points()
    print(f"least reg of any net {cheapest.reg:.3f}, turns of f'", end=" ")
    print({round(t, 3): round(turn, 2) for t, turn in cheapest.bends.items()})
    print(f"  proved by multipliers, which are too large by {cheapest.violation:.0e} at most")
    simple = two_bends()
    print(f"net of two bends: reg {reg(simple):.3f}, |P∇reg| = {slope_of_reg(simple):.0e}")
    for name, runs in (("without", quiet), ("with", noisy)):
        print(f"{name} label noise: residual, length of w; of Φ(w) residual, length, excess bend,")
        print("  reg, |P∇reg|; crossings")
        for run in runs:
            print(f"  {residual(run.weights):.3f} {run.length[-1]:.3f}", end=";  ")
            end = run.settled
            print(f"{residual(end):.4f} {length(end):.3f} {excess_bend(end):.2f}", end=" ")
            print(f"{reg(end):.2f} {slope_of_reg(end):.2f}; {run.crossings}")
    print(save(draw(quiet, noisy), "relu_net_on_twelve_points"))
