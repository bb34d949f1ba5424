"""Label noise makes a two-layer sigmoid network sparse (Blanc et al., two-layer sigmoid networks).

h = Σ_j c_j tanh(w_j·x) on one data point (x, y) with |x| = 1, y = 1. Only a_j = w_j·x ever moves,
so the weights are (a, c). The derived limit is the flow of

    reg = Σ_j tanh² a_j + c_j² / cosh⁴ a_j    on    Γ = {Σ_j c_j tanh a_j = 1}.

A unit that contributes s to h costs at least f(s) = 2s√(1+s²) − 2s², reached where
tanh² a = s/√(1+s²). Points with m equal units, s = 1/m, and all others zero have P∇reg = 0. As f
is concave, one unit is cheaper than two: the point with m = 1 is stable along Γ, those with m > 1
repel (the sign test of the paper's theorem), and the limit ends in a single unit.

    python worked_examples/sigmoid_net_on_one_point.py

takes 10 seconds on one core, a minute where nothing is compiled yet, 0.3 GB.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Definition 1 and the theorem on sigmoid networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy as sp
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save

from derive import Limit, NoisyGradientDescent, derive_limit
from numerics import CompiledLimit, Paths, compile_limit, simulate_limit
from numerics.plots import styled

Array = NDArray[np.float64]


def sigmoid_limit(units: int) -> Limit:
    """The limit under label noise of a network with this many units, in the weights (a, c)."""
    a, c = (sp.symbols(f"{letter}1:{units + 1}", real=True) for letter in "ac")
    eta = sp.Symbol("eta", real=True)
    value = sum(cj * sp.tanh(aj) for aj, cj in zip(a, c, strict=True))
    near = balanced(units, units)
    return derive_limit(
        NoisyGradientDescent((value - 1) ** 2, (value - 1 - eta) ** 2, (*a, *c), (eta,), near=near)
    )


def balanced(units: int, active: int) -> Array:
    """The point (a, c) with `active` equal units and the others zero."""
    s = 1 / active
    slope = np.sqrt(s / np.sqrt(1 + s**2))
    a, c = np.zeros((2, units))
    a[:active], c[:active] = np.arctanh(slope), s / slope
    return np.concatenate([a, c])


@dataclass(frozen=True)
class Stability:
    """The sign test at a point of Γ.

    Attributes
    ----------
    drift : float
        |P∇reg|; zero at a candidate.
    rates : ndarray, shape (N − 1,)
        Growth rates of small displacements along Γ, largest first; a positive one repels.
    """

    drift: float
    rates: Array

    @property
    def stable(self) -> bool:
        """Whether no displacement along Γ grows."""
        return bool(self.rates[0] < 0)


def stability(limit: CompiledLimit, w: Array, step: float = 1e-5) -> Stability:
    """Linearise the drift along Γ, by central differences."""
    projector = limit.projector(w)
    basis = np.linalg.eigh(projector)[1][:, 1:]  # codimension one
    moved = (limit.drift(limit.retract(w + sign * step * basis.T)) for sign in (1, -1))
    response = (next(moved) - next(moved)) @ basis / (2 * step)
    rates = np.linalg.eigvalsh((response + response.T) / 2)[::-1]
    return Stability(float(np.linalg.norm(limit.drift(w))), rates)


def contributions(weights: Array) -> Array:
    """c_j tanh a_j, shape (..., units)."""
    a, c = np.split(weights, 2, axis=-1)
    return c * np.tanh(a)


def run(limit: CompiledLimit, units: int, starts: int, time: float, seed: int = 0) -> Paths:
    """The limit from random points, a ~ N(0, 1), c > 0 spread over the units."""
    rng = np.random.default_rng(seed)
    points = np.abs(rng.normal(size=(starts, 2 * units)))
    return simulate_limit(limit, points, time=time, paths=starts, seed=seed)


@styled
def draw(paths: Paths, tests: dict[int, Stability]) -> Figure:
    """Contributions of the units along the limit, and growth rates at the balanced points."""
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = np.sort(contributions(paths.weights), axis=-1)[..., ::-1]
    for unit, color in zip(range(shares.shape[-1]), ("C0", "C1", "C2", "C3"), strict=False):
        for path in range(len(shares)):
            label = f"unit of rank {unit + 1}" if path == 0 else None
            left.plot(paths.times, shares[path, :, unit], color=color, alpha=0.5, label=label)
    left.set(xlabel="slow time t = kα²σ²", ylabel="contribution c tanh a")
    left.legend()
    for active, test in tests.items():
        color = "C0" if test.stable else "C3"
        label = f"{active} active: {'stable' if test.stable else 'repels'}"
        right.plot(np.full(len(test.rates), active), test.rates, "o", color=color, label=label)
    right.axhline(0, color="0.6", linewidth=1)
    right.set(xlabel="active units", ylabel="growth rates along Γ", xticks=list(tests))
    right.legend()
    return figure


if __name__ == "__main__":
    derived = sigmoid_limit(3)
    print(derived)
    compiled = compile_limit(derived)
    tests = {active: stability(compiled, balanced(3, active)) for active in (1, 2, 3)}
    print(save(draw(run(compiled, 3, starts=20, time=8.0), tests), "sigmoid_net_on_one_point"))
