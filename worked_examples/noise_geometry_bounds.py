"""How far minibatch noise is aligned at every weight, also the worst (Wang and Wu, Sections 3, 4).

The paper bounds the alignments μ(θ) and g(θ, v) for all θ and v at once, on conditions on n, d and
ε alone. The text at hand has the condition of Theorem 3.2 without its constant, and no assumptions
of the others. Here the extremes are computed, and what is stated is either exact or proven; data
are Gaussian. At random θ, as in the paper's Figure 1, μ is close to 1, which says nothing of the
worst.

All models f = x·F(w), whatever F is (Theorems 3.2, 4.2, 4.3): μ and g over all θ, v and F have the
extremes of one form in two unit vectors, 1 + (u·v)² over infinitely many samples. Over n the least
is 0 for n ≤ 2(d − 1), so that no bound can hold there; it rises with n/d, and the greatest falls to
2 with n/d²: the condition's d² is for the greatest alone. At d = 16 the least is 0.015, 0.27, 0.54
and 0.82 at n/d = 4, 16, 64 and 512, where the greatest is 11.2, 6.8, 3.8 and 2.4. The constant in
the condition, by where ε ≤ ½ for all data sets, is 17 to 56, the less the larger d.

Linear models F(w) = w (Theorem 3.3): the worst μ is an eigenvalue, and few samples in many
dimensions do: 0.47, 0.73 and 0.89 at n = 5 log d for d = 50, 500 and 5000.

Two-layer networks with fixed output weights and slopes φ' between s and 1 (Theorem 3.5): for every
θ and target, at any width,

    μ(θ) ≥ s⁴ min q / mean q − s⁻⁴ λ₁(Ŝ)²/tr Ŝ²,   q_i = x_i·Ŝx_i,   Ŝ = mean x xᵀ,

as the kernel of the gradients is x_i·x_j times numbers between s² and 1. At n = 100, d = 400 and
s = 0.9 that is 0.44, and descent on μ ends at 0.55 to 0.58 for widths from 2 to 128; at s = 0.8
0.22 and 0.39 to 0.43. At s = 0.5 the bound says nothing, and 0.11 to 0.15 is found. For s = 1
descent finds 0.759, 0.758 is exact.

    python worked_examples/noise_geometry_bounds.py

takes a minute of the processor, 0.5 GB, and needs `pip install .[networks]`.

References
----------
Wang, Wu, arXiv 2310.00692, Theorems 3.2, 3.3, 3.5, 4.2 and 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save
from scipy.optimize import minimize
from tqdm import tqdm

from numerics.noise_geometry import (
    Extremes,
    extreme_linear_alignments,
    extreme_loss_alignments,
)
from numerics.plots import styled

Array = NDArray[np.float64]

DIMENSIONS = (4, 8, 16)
RATIOS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Numbers of samples per dimension."""
WIDTHS = (2, 8, 32, 128)
SLOPES = (1.0, 0.9, 0.8, 0.5)


# Models that are linear in the inputs ----------------------------------------------------------


def over_all(d: int, n: int, sets: int) -> list[Extremes]:
    """Extremes of μ and g over all weights, directions and models f = x·F(w), by data set."""
    draws = (np.random.default_rng([d, n, k]).normal(size=(n, d)) for k in range(sets))
    return [extreme_linear_alignments(x, starts=8, seed=k) for k, x in enumerate(draws)]


def condition(d: int, epsilon: float) -> float:
    """The sample size of Theorem 3.2 without its constant and its terms in δ."""
    log = np.log(1 / epsilon)
    return max(d**2 * log**2 / epsilon, d * log / epsilon**2)


def constant(d: int, n: int, found: Sequence[Extremes]) -> float:
    """The constant of Theorem 3.2 that these data sets ask for; NaN where ε would be above ½."""
    epsilon = max(max(1 - e.least, e.greatest - 2) for e in found)
    return n / condition(d, epsilon) if epsilon <= 0.5 else np.nan


# Linear models with few samples ----------------------------------------------------------------


def bound(x: Array, slope: float = 1.0) -> float:
    """The bound below μ of a network with slopes of at least that; of a linear model, if 1."""
    n = len(x)
    gram = x @ x.T / n
    values = np.linalg.eigvalsh(gram)
    q = np.sum(gram**2, axis=1)
    return float(slope**4 * q.min() / q.mean() - values[-1] ** 2 / np.sum(values**2) / slope**4)


def worst_of_linear_model(x: Array) -> float:
    """The least μ over all weights, for targets that the model fits."""
    return extreme_loss_alignments(x, x).least


# Two-layer networks ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """f = Σ_k a_k φ(b_k·x) with φ(z) = s z + (1 − s) log(1 + eᶻ), so that s < φ' < 1; a is fixed.

    Attributes
    ----------
    inputs : ndarray, shape (n, d)
    targets : ndarray, shape (n,)
    outputs : ndarray, shape (m,)
        a.
    slope : float
        s.
    """

    inputs: Array
    targets: Array
    outputs: Array
    slope: float

    def alignment(self, b: jax.Array) -> jax.Array:
        """μ at hidden weights, shape (m d,)."""
        x, s, n = self.inputs, self.slope, len(self.inputs)
        z = x @ b.reshape(len(self.outputs), -1).T
        slopes = self.outputs * (s + (1 - s) * jax.nn.sigmoid(z))
        r = (s * z + (1 - s) * jax.nn.softplus(z)) @ self.outputs - self.targets
        kernel = (x @ x.T) * (slopes @ slopes.T) / n
        q = n * jnp.sum(kernel**2, axis=1)
        return (jnp.mean(r**2 * q) - jnp.mean((kernel @ r) ** 2)) / (jnp.mean(r**2) * jnp.mean(q))

    def worst(self, rng: np.random.Generator, starts: int = 3) -> tuple[float, float]:
        """Mean μ of random hidden weights, and the least that descent from them leads to."""
        m, d = len(self.outputs), self.inputs.shape[1]
        with jax.enable_x64(True):
            slope = jax.jit(jax.value_and_grad(self.alignment))

            def both(b: Array) -> tuple[float, Array]:
                value, gradient = slope(b)
                return float(value), np.asarray(gradient)

            first = [rng.normal(size=m * d) / np.sqrt(d) for _ in range(starts)]
            ends = [minimize(both, b, jac=True, method="L-BFGS-B").fun for b in first]
            return float(np.mean([both(b)[0] for b in first])), float(min(ends))


@dataclass(frozen=True)
class Networks:
    """μ of networks with slopes of at least s, by width.

    Attributes
    ----------
    random, worst : ndarray, shape (widths,)
        At random hidden weights, and the worst that was found.
    bound : float
    """

    random: Array
    worst: Array
    bound: float
    linear: float


def networks(slope: float, widths: Sequence[int], n: int, d: int) -> Networks:
    """Random and worst μ on the same data for every width, with linear targets."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d)
    found = []
    for m in tqdm(widths, desc=f"slopes above {slope}", delay=1, disable=None, leave=False):
        a = rng.choice([-1.0, 1.0], size=m) / np.sqrt(m)
        found.append(Network(x, y, a, slope).worst(rng))
    random, worst = np.array(found).T
    return Networks(random, worst, bound(x, slope), worst_of_linear_model(x))


# The picture -----------------------------------------------------------------------------------


@styled
def draw(sets: int = 5, n: int = 100, d: int = 400) -> Figure:
    """All models linear in the inputs, the linear model, and networks; the figures are printed."""
    figure = Figure(figsize=(11.0, 7.6), layout="constrained")
    (least, greatest), (linear, wide) = figure.subplots(2, 2)
    draw_over_all(least, greatest, sets)
    draw_linear(linear, sets)
    draw_networks(wide, n, d)
    return figure


def draw_over_all(least: Axes, greatest: Axes, sets: int) -> None:
    """Extremes over all θ, v and F against n/d and n/d²."""
    constants = []
    for color, size in enumerate(DIMENSIONS):
        bar = tqdm(RATIOS, desc=f"d = {size}", delay=1, disable=None, leave=False)
        rows = [(ratio * size, over_all(size, ratio * size, sets)) for ratio in bar]
        n = np.array([k for k, _ in rows])
        low = np.array([[e.least for e in found] for _, found in rows])
        high = np.array([[e.greatest for e in found] for _, found in rows])
        constants += [constant(size, k, found) for k, found in rows]
        style = {"fmt": "o-", "capsize": 3, "color": f"C{color}", "label": f"d = {size}"}
        least.errorbar(n / size, low.mean(axis=1), low.std(axis=1), **style)
        greatest.errorbar(n / size**2, high.mean(axis=1), high.std(axis=1), **style)
        shown = ", ".join(f"{x:.3f} at n = {k}" for k, x in zip(n, low.mean(axis=1), strict=True))
        print(f"d = {size}, least over all θ and v: {shown}")
        shown = ", ".join(f"{x:.2f}" for x in high.mean(axis=1))
        print(f"d = {size}, greatest: {shown}")
    asked = np.nanmin(constants), np.nanmax(constants)
    print(f"constant of Theorem 3.2, by where ε ≤ ½: {asked[0]:.0f} to {asked[1]:.0f}")
    least.set(xscale="log", xlabel="n/d", title="least μ, g over all θ, v, F")
    greatest.set(xscale="log", yscale="log", xlabel="n/d²", title="greatest μ, g over all θ, v, F")
    least.axhline(1, color="0.6", linewidth=1, label="n = ∞")
    greatest.axhline(2, color="0.6", linewidth=1, label="n = ∞")
    for axes in (least, greatest):
        axes.legend()


def draw_linear(axes: Axes, sets: int, dimensions: Sequence[int] = (50, 500, 5000)) -> None:
    """The worst μ of the linear model against n, exactly, and its bound."""
    for color, d in enumerate(dimensions):
        sizes = np.unique(np.round(np.geomspace(5 * np.log(d), 640, 9)).astype(int))
        draws = [
            [np.random.default_rng([d, n, k]).normal(size=(n, d)) for k in range(sets)]
            for n in sizes
        ]
        worst = np.array([[worst_of_linear_model(x) for x in xs] for xs in draws])
        proven = np.array([[bound(x) for x in xs] for xs in draws]).mean(axis=1)
        axes.errorbar(
            sizes, worst.mean(axis=1), worst.std(axis=1), fmt="o-", capsize=3, color=f"C{color}",
            label=f"d = {d}",
        )  # fmt: skip
        axes.plot(sizes, proven, "--", color=f"C{color}")
        few = f"n = {sizes[0]} = 5 log d: {worst[0].mean():.2f}, bound {proven[0]:.2f}"
        many = f"n = {sizes[-1]}: {worst[-1].mean():.2f}, bound {proven[-1]:.2f}"
        print(f"linear model, d = {d}, worst μ, {few}; {many}")
    axes.set(xscale="log", ylim=(0, 1), xlabel="n")
    axes.set_title("linear model: least μ over all θ (dashed: bound)")
    name_marks(axes, (20, 50, 100, 200, 500))
    axes.legend(ncols=3, loc="lower right")


def draw_networks(axes: Axes, n: int, d: int) -> None:
    """The worst μ of networks against their width, and the bounds."""
    for color, slope in enumerate(SLOPES):
        found = networks(slope, WIDTHS, n, d)
        line = partial(axes.plot, WIDTHS, color=f"C{color}")
        line(found.random, ":")
        line(found.worst, "o-", label=f"slopes above {slope}")
        if found.bound > 0:
            axes.axhline(found.bound, linestyle="--", color=f"C{color}")
        shown = ", ".join(f"{x:.3f}" for x in found.worst)
        print(
            f"networks, slopes above {slope}: worst μ {shown} at widths {WIDTHS}, "
            f"bound {found.bound:.3f}, random θ {found.random.min():.2f} or more, "
            f"linear model {found.linear:.3f}"
        )
    axes.set(xscale="log", ylim=(0, 1.35), xlabel="width")
    name_marks(axes, WIDTHS)
    axes.set_title("two-layer networks: least μ found (dashed: bound, dotted: random)")
    axes.legend(ncols=2, loc="upper center")


def name_marks(axes: Axes, marks: Sequence[int]) -> None:
    """Marks of a logarithmic axis at these numbers alone."""
    axes.minorticks_off()
    axes.set_xticks(list(marks), labels=list(map(str, marks)))


if __name__ == "__main__":
    print(save(draw(), "noise_geometry_bounds"))
