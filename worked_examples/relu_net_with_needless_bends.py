"""A ReLU network with needless bends is straightened (Blanc et al., Figures 4 and 5).

What the paper shows: where a net with both layers trained fits the data with more changes of
convexity, or more bends, than are needed, its weights can be perturbed so that the values at the
data stay and reg = (1/n) Σ_i |∇h(x_i)|² falls at first order: under label noise no such net is
stable. Figure 4 has a point between a convex and a concave bend, in the four ways in which the two
units can face; Figure 5 has bends that could be one.

What is done here: f(x) = Σ_j c_j max(a_j x + b_j, 0) + p x + q with two units. The limit is derived
inside the cell of the start, where no bend meets a point: dW = −(1/n) P∇reg dt, so that its drift
is the perturbation that lowers reg most. It is followed, and in one case the recursion beside it.
Data and nets are this project's choice; units start balanced, |a_j|² Σ (x_i − t_j)² =
c_j² Σ (1 + x_i²) over the points on which they act, so that rescaling them gains nothing.

What came out (printed by the run): in each of the four ways |P∇reg| is 4.3 to 7.6 at the start, and
along the limit reg falls, with the values at the points kept to 1e-15: from 24.3 to 20.8 by
t = 0.3 and to 4.64 by t = 2.5 where the units face each other, the other three alike. What is left
tends to the straight line, whose reg 11/3 = (1/n) Σ (1 + x_i²) no net is below: p and q alone
give it. The recursion at α = 0.01 follows the limit at that step within two standard errors: reg
12.592 ± 0.005 against 12.587 at t = 1. No bend meets a point on the way; `numerics` would warn.
Two bends of one sign in one gap, facing the same way, become one: from ±0.50 to 0.00 by t = 100,
reg from 17.0113 to the 16.9545 of the net with one bend, which is an equilibrium and stable. Where
they face apart they move to the points instead (±0.91 by t = 1.8, reg 14.82 to 13.36): fewest
changes of convexity, not fewest bends, is what costs least.

    python worked_examples/relu_net_with_needless_bends.py

takes 20 seconds of the processor, most of them to compile, 0.3 GB.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Figures 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Limit, derive_limit, mechanisms
from numerics import compile_limit, simulate_descent, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]
STEP, NOISE, PATHS = 0.01, 0.1, 4
TIMES = np.linspace(0, 2.5, 26)
PAIR_TIMES = {(1, 1): np.geomspace(0.01, 100, 41), (-1, 1): np.geomspace(0.01, 1.8, 19)}
SIDE = {1: "right", -1: "left"}


@dataclass(frozen=True)
class Net:
    """A net of ReLU units with a line beside them, fitted to points.

    Attributes
    ----------
    points, values : sequence of float
        x_i and y_i.
    bends, turns : sequence of float
        Where each unit bends at the start, and by how much f' jumps there.
    facing : sequence of int
        1 for a unit that acts to the right of its bend, −1 to the left.
    """

    points: Sequence[float]
    values: Sequence[float]
    bends: Sequence[float]
    turns: Sequence[float]
    facing: Sequence[int]

    @cached_property
    def start(self) -> Array:
        """Balanced weights (a, b, c, p, q) that fit the values."""
        x, units = np.array(self.points), []
        for t, turn, side in zip(self.bends, self.turns, self.facing, strict=True):
            on = side * (x - t) > 0
            ratio = np.sum(1 + x[on] ** 2) / np.sum((x[on] - t) ** 2)
            a = side * np.sqrt(np.abs(turn) * np.sqrt(ratio))
            units.append((a, -a * t, turn / abs(a)))
        rest = self.values - self.curve(np.array([*np.transpose(units).ravel(), 0.0, 0.0]), x)
        line = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), rest, rcond=None)[0]
        return np.concatenate([np.transpose(units).ravel(), line])

    @cached_property
    def limit(self) -> Limit:
        """The limit under label noise in the cell of the start."""
        m, x = len(self.bends), sp.Symbol("x", real=True)
        a, b, c = (sp.symbols(f"{letter}1:{m + 1}", real=True) for letter in "abc")
        p, q = sp.symbols("p q", real=True)
        units = (cj * sp.Max(aj * x + bj, 0) for aj, bj, cj in zip(a, b, c, strict=True))
        model, weights = sp.Add(*units, p * x, q), (*a, *b, *c, p, q)
        problem = mechanisms.label_noise(
            model, x, self.points, self.values, weights, near=self.start
        )
        return derive_limit(problem)

    def units(self, w: Array) -> Array:
        """The rows a, b, c of weights (..., N), each of shape (..., units)."""
        return np.moveaxis(w[..., :-2].reshape(*w.shape[:-1], 3, -1), -2, 0)

    def curve(self, w: Array, x: Array) -> Array:
        """f(x), shape (..., len(x))."""
        a, b, c = self.units(w)[..., None]
        hidden = np.sum(c * np.maximum(a * x + b, 0), axis=-2)
        return np.asarray(hidden + w[..., -2:-1] * x + w[..., -1:])

    def turned(self, w: Array) -> Array:
        """By how much f' jumps at each bend, |a_j| c_j, shape (..., units)."""
        a, _, c = self.units(w)
        return np.asarray(np.abs(a) * c)

    def reg(self, w: Array) -> Array:
        """(1/n) Σ_i |∇h(x_i)|², shape (...)."""
        x = np.array(self.points)
        a, b, c = self.units(w)[..., None]
        z = a * x + b
        squares = np.sum((z > 0) * (z**2 + c**2 * (1 + x**2)), axis=-2)
        return np.asarray(np.mean(squares + 1 + x**2, axis=-1))

    def followed(self, times: Array, step: float | None = None) -> Array:
        """Weights along the limit, α → 0 or at a step, shape (T, N)."""
        paths = simulate_limit(
            self.limit, self.start, time=times[-1], paths=1, record=times, seed=0, alpha=step
        )
        return paths.weights[0]

    def trained(self, times: Array) -> Array:
        """Points of Γ beside the iterates of the recursion at these times, (PATHS, T, N)."""
        steps = np.round(times / (STEP * NOISE) ** 2).astype(int)
        run = {"alpha": STEP, "sigma": NOISE, "steps": steps[-1], "record": steps, "seed": 0}
        paths = simulate_descent(self.limit.problem, self.start, paths=PATHS, **run)
        return compile_limit(self.limit).descent_limit(paths.weights, STEP)


ZIGZAGS = {
    facing: Net((-2, 0, 2), (0, 0, 0), (-1, 1), (2, -2), facing)
    for facing in product((1, -1), repeat=2)
}
"""Three points on a line; a convex and a concave bend with the middle point between them."""

SHOWN = (1, -1)
"""The one of them whose recursion is run."""

PAIRS = {
    facing: Net((-3, -1, 1, 3), (3, 1, 1, 3), (-0.5, 0.5), (1, 1), facing) for facing in PAIR_TIMES
}
"""Four points of |x|, two convex bends in one gap."""

SINGLE = Net((-3, -1, 1, 3), (3, 1, 1, 3), (0,), (2,), (1,))
"""The same points with one bend."""

LINE = 11 / 3
"""Reg of a straight line through the three points, (1/n) Σ (1 + x_i²); no net has less."""


def title(net: Net) -> str:
    """Which ways its units face."""
    return "units facing " + ", ".join(SIDE[side] for side in net.facing)


def straightened(net: Net) -> Array:
    """The limit of a zigzag, at TIMES; prints what it does."""
    weights = net.followed(TIMES)
    slope = len(net.points) * np.linalg.norm(compile_limit(net.limit).drift(net.start))
    misfit = np.abs(net.curve(weights, np.array(net.points)) - net.values).max()
    before, perturbed, after = net.reg(weights)[[0, 3, -1]]
    print(f"{title(net)}: |P∇reg| = {slope:.2f}, reg {before:.2f}, {perturbed:.2f}, {after:.2f},")
    print(f"  jumps of f' at the end {np.round(net.turned(weights)[-1], 2)}, misfit {misfit:.0e}")
    return weights


def compared(net: Net) -> tuple[Array, Array]:
    """Reg of the recursion, a mean over its paths, and of the limit at its step; prints both."""
    trained, expected = net.reg(net.trained(TIMES)), net.reg(net.followed(TIMES, STEP))
    mean, error = np.mean(trained, axis=0), np.std(trained, axis=0, ddof=1) / np.sqrt(PATHS)
    for k in (3, 10, 20):
        print(f"  t = {TIMES[k]:g}: recursion {mean[k]:.3f} ± {error[k]:.3f}", end=", ")
        print(f"limit at α = {STEP:g} {expected[k]:.3f}")
    return mean, expected


@styled
def draw(
    zigzags: dict[tuple[int, ...], Array],
    pairs: dict[tuple[int, ...], Array],
    trained: tuple[Array, Array],
) -> Figure:
    """The zigzags as they are straightened, their reg, and the bends of the pairs."""
    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    left, right = figure.add_subplot(grid[1, :2]), figure.add_subplot(grid[1, 2:])
    for column, (facing, weights) in enumerate(zigzags.items()):
        net = ZIGZAGS[facing]
        curves(figure.add_subplot(grid[0, column]), net, weights)
        style = "--" if facing == (-1, -1) else "-"  # the mirror image of (1, 1)
        left.semilogy(TIMES, net.reg(weights) - LINE, f"C{column}{style}", label=title(net))
    left.semilogy(TIMES, trained[0] - LINE, "ko", markersize=4, label="the second in training")
    left.semilogy(TIMES, trained[1] - LINE, "k:", label=f"its limit at α = {STEP:g}")
    left.set(xlabel="slow time t = kα²σ²", ylabel="reg above that of the straight line")
    left.legend(fontsize="small")
    for color, (facing, weights) in enumerate(pairs.items()):
        a, b, _ = PAIRS[facing].units(weights)
        lines = right.semilogx(PAIR_TIMES[facing], -b / a, f"C{color}")
        lines[0].set_label(title(PAIRS[facing]))
    for point in (-1, 1):
        right.axhline(point, color="0.6", linewidth=1)
    right.set(xlabel="slow time", ylabel="bends of a pair in one gap", ylim=(-1.1, 1.1))
    right.legend(fontsize="small", loc="center left")
    return figure


def curves(panel: Axes, net: Net, weights: Array) -> None:
    """The net at the start, solid, perturbed, dotted, and later."""
    x = np.linspace(net.points[0], net.points[-1], 401)
    for k, style in ((0, "C0-"), (3, "C0:"), (10, "C1-"), (25, "C2-")):
        panel.plot(x, net.curve(weights[k], x), style, label=f"t = {TIMES[k]:g}")
    panel.plot(net.points, net.values, "ko", markersize=4)
    panel.set(title=title(net), xlabel="x", ylim=(-1.2, 1.2))
    panel.legend(fontsize="small", loc="upper left")


if __name__ == "__main__":
    zigzags = {facing: straightened(net) for facing, net in ZIGZAGS.items()}
    trained = compared(ZIGZAGS[SHOWN])
    pairs = {facing: net.followed(PAIR_TIMES[facing]) for facing, net in PAIRS.items()}
    for facing, weights in pairs.items():
        a, b, _ = (row[-1] for row in PAIRS[facing].units(weights))
        reg = PAIRS[facing].reg(weights)[[0, -1]]
        print(f"pair, {title(PAIRS[facing])}: reg {reg[0]:.4f}, {reg[1]:.4f},", end=" ")
        print("bends at", np.round(-b / a, 2))
    print(f"one bend: reg {SINGLE.reg(SINGLE.start):.4f}\n{SINGLE.limit.end_states()}")
    print(save(draw(zigzags, pairs, trained), "relu_net_with_needless_bends"))
