"""Label noise makes a tanh network sparse, and a logistic one not (Blanc et al., sigmoid networks).

What the paper shows: a two-layer net of sigmoid units on a single data point, trained with label
noise, becomes sparse; where several units carry the value together, the sign test of its theorem
finds that they repel.

What is done here: h = Σ_j c_j φ(w_j·x) on one point (x, y), |x| = 1, with φ = tanh and with the
logistic φ(a) = 1/(1 + exp(−a)), weights in the plane, all of them trained. The derived limit is the
flow of reg = Σ_j φ² + c_j² φ'² at a_j = w_j·x on Γ = {h = y}; it is followed from 20 random starts,
and the recursion from four of them. A unit that contributes s costs at least
f(s) = 2s√(1 + s²) − 2s² for tanh, at tanh² a = s/√(1 + s²), and s²/(1 + s²) for the logistic, at
φ = s²/(1 + s²). As the first is concave, one unit is cheaper than two; the second is concave for
s > 1/√3 only, so that by hand it should share small y among all units, and keep large y in one.

What came out (printed by the run): with tanh, three units or five, all 20 limits end in one unit;
of the points at which m units contribute alike `limit.end_states` finds that with m = 1 stable, of
largest rate −1.17, and those with m = 2, ..., 5 repelling, at rates 0.88 to 1.00. The logistic with
three units ends in all three for y = 1 (stable), in one for y = 3 (where three alike repel): what
makes tanh sparse is that it vanishes at 0. In training the shares of the units are those of
the limit at α = 0.02 up to 0.007, and the w_j do not move across x.

    python worked_examples/sigmoid_net_on_one_point.py

takes half a minute of the processor, 0.3 GB.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Definition 1 and the theorem on sigmoid networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Limit, NoisyGradientDescent, derive_limit
from derive.analysis import Equilibrium
from numerics import Paths, compile_limit, simulate_descent, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]
PLANE = sp.Rational(3, 5), sp.Rational(4, 5)
"""An input x of length one."""

STEP, NOISE = 0.02, 0.1
STARTS, TRAINED, UNTIL = 20, 4, 8.0
"""Starts of the limit, those of them that are trained, and until which slow time."""


@dataclass(frozen=True)
class Activation:
    """φ, and the weights of a unit that contributes s to h at the least cost.

    Attributes
    ----------
    value : callable
        φ of an expression.
    cheapest : callable
        The pair (a, c) with c φ(a) = s for which φ² + c² φ'² is least.
    """

    value: Callable[[Any], Any]
    cheapest: Callable[[float], tuple[float, float]]


def tanh_unit(s: float) -> tuple[float, float]:
    """The cheapest unit has tanh² a = s/√(1 + s²)."""
    height = np.sqrt(s / np.sqrt(1 + s**2))
    return (float(np.arctanh(height)), float(s / height)) if s else (0.0, 0.0)


def logistic_unit(s: float) -> tuple[float, float]:
    """The cheapest unit has φ(a) = s²/(1 + s²), out of reach for s = 0."""
    height = s**2 / (1 + s**2)
    return float(np.log(s**2)), float(s / height)


TANH = Activation(sp.tanh, tanh_unit)
LOGISTIC = Activation(lambda z: 1 / (1 + sp.exp(-z)), logistic_unit)


@dataclass(frozen=True)
class Net:
    """h = Σ_j c_j φ(w_j·x) on one point (x, y); weights (w_1, ..., w_m, c).

    Attributes
    ----------
    activation : Activation
    units : int
        m.
    target : int
        y.
    inputs : tuple
        x, of length one; where it is the number 1, w_j is a_j = w_j·x.
    """

    activation: Activation
    units: int
    target: int
    inputs: tuple[Any, ...] = PLANE

    @property
    def x(self) -> Array:
        """The input, shape (d,)."""
        return np.array(self.inputs, dtype=float)

    @cached_property
    def limit(self) -> Limit:
        """The limit under label noise."""
        d, eta = len(self.inputs), sp.Symbol("eta", real=True)
        w = sp.symbols(f"w1:{self.units * d + 1}", real=True)
        c = sp.symbols(f"c1:{self.units + 1}", real=True)
        inner = (sp.Matrix(w[j * d : j * d + d]).dot(self.inputs) for j in range(self.units))
        value = sum(cj * self.activation.value(a) for cj, a in zip(c, inner, strict=True))
        loss, noisy = (value - self.target) ** 2, (value - self.target - eta) ** 2
        near = self.sharing(self.units)
        return derive_limit(NoisyGradientDescent(loss, noisy, (*w, *c), eta, near=near))

    def sharing(self, active: int) -> Array:
        """The weights at which so many units contribute alike, at the least cost."""
        pairs = [self.activation.cheapest(self.target / active)] * active
        a, c = np.transpose(pairs + [(0.0, 0.0)] * (self.units - active))
        return np.concatenate([np.outer(a, self.x).ravel(), c])

    def parts(self, weights: Array) -> tuple[Array, Array]:
        """The w_j, shape (..., units, d), and the c_j, shape (..., units)."""
        w, c = np.split(weights, [self.units * len(self.x)], axis=-1)
        return w.reshape(*w.shape[:-1], self.units, -1), c

    def shares(self, weights: Array) -> Array:
        """c_j φ(w_j·x) / y, largest first, shape (..., units)."""
        z = sp.Symbol("z")
        value = sp.lambdify(z, self.activation.value(z))
        w, c = self.parts(weights)
        return np.asarray(np.sort(c * value(w @ self.x), axis=-1)[..., ::-1] / self.target)


@dataclass(frozen=True)
class Run:
    """Paths of the limit at STEP from random starts, and of the recursion from some of them."""

    net: Net
    flow: Paths
    training: Array

    @classmethod
    def of(cls, net: Net, time: float) -> Run:
        """All start at positive weights, |N(0, 1)|; the limit is followed for so long."""
        n = net.units * (len(net.inputs) + 1)
        starts = np.abs(np.random.default_rng(0).normal(size=(STARTS, n)))
        times = np.geomspace(0.02, time, 41)
        fast = compile_limit(net.limit)
        flow = simulate_limit(
            fast, starts, time=time, paths=STARTS, seed=0, record=times, alpha=STEP
        )
        steps = np.round(times[times <= UNTIL] / (STEP * NOISE) ** 2).astype(int)
        run = {"alpha": STEP, "sigma": NOISE, "steps": steps[-1], "record": steps, "seed": 0}
        paths = simulate_descent(net.limit.problem, starts[:TRAINED], paths=TRAINED, **run)
        return cls(net, flow, fast.descent_limit(paths.weights, STEP))

    def report(self) -> None:
        """Print how many starts end in how many units, and how far training is from the limit."""
        shares = self.net.shares(self.flow.weights)
        counts = np.bincount(np.sum(shares[:, -1] > 0.05, axis=-1), minlength=2)[1:]
        print(f"  units above 5 % at t = {self.flow.times[-1]:g}: {counts} of {STARTS} starts")
        until = self.training.shape[1]
        apart = np.abs(self.net.shares(self.training) - shares[:TRAINED, :until]).max()
        print(f"  shares in training differ by at most {apart:.4f} from those of the limit")
        w, _ = self.net.parts(self.training)
        across = w @ np.array([-self.net.x[1], self.net.x[0]])
        print(f"  across x the w_j move by {np.abs(across - across[:, :1]).max():.0e} in training")


@styled
def draw(runs: dict[str, Run], rates: dict[str, Equilibrium]) -> Figure:
    """Shares of the units along limit and recursion; growth rates where units share alike."""
    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, len(runs))
    for column, (name, run) in enumerate(runs.items()):
        panel = figure.add_subplot(grid[0, column])
        courses(panel, run)
        panel.set(title=name, xlabel="slow time t = kα²σ²", ylim=(-0.05, 1.15))
    below = figure.add_subplot(grid[1, :])
    for place, state in enumerate(rates.values()):
        values = [float(value.real) for value in state.eigenvalues]
        below.plot([place] * len(values), values, "oC0" if state.stable else "oC3")
    below.set_xticks(range(len(rates)), [name.replace(", ", "\n") for name in rates])
    below.axhline(0, color="0.6", linewidth=1)
    below.set(ylabel="growth rates along Γ", title="units that share alike: blue stable, red not")
    return figure


def courses(panel: Axes, run: Run) -> None:
    """Shares over slow time: lines of the limit, dots of the recursion."""
    shares, trained = run.net.shares(run.flow.weights), run.net.shares(run.training)
    times = run.flow.times
    for unit in range(run.net.units):
        lines = panel.semilogx(times, shares[..., unit].T, f"C{unit}", alpha=0.3, linewidth=1)
        lines[0].set_label(f"unit of rank {unit + 1}")
        panel.plot(times[: trained.shape[1]], trained[..., unit].T, f"C{unit}.", markersize=4)
    if run.net.units == 3:
        panel.legend(fontsize="small")


CASES = {
    "tanh, 3 units, y = 1": (Net(TANH, 3, 1), UNTIL, (1, 2, 3)),
    "tanh, 5 units, y = 1": (Net(TANH, 5, 1), UNTIL, (1, 2, 3, 4, 5)),
    "logistic, 3 units, y = 1": (Net(LOGISTIC, 3, 1), 300.0, (3,)),
    "logistic, 3 units, y = 3": (Net(LOGISTIC, 3, 3), 200.0, (3,)),
}
"""Nets, how long the limit is followed, and of how many active units the rates are computed."""

if __name__ == "__main__":
    runs, rates = {}, {}
    for name, (net, time, actives) in CASES.items():
        print(name)
        runs[name] = Run.of(net, time)
        runs[name].report()
        reduced = replace(net, inputs=(1,))
        for active in actives:
            (state,) = reduced.limit.end_states([reduced.sharing(active)]).equilibria
            rates[f"{name}, {active} active"] = state
            print(f"  {active} alike: {state.kind}, largest rate {float(state.rate):.4f}")
    print(save(draw(runs, rates), "sigmoid_net_on_one_point"))
