"""Minibatch noise aligns with the landscape at every model size (Wang and Wu, Figures 1 and 2a).

What the paper shows, in Figure 1: the loss alignment μ(θ) at random θ is near 1 for linear and
two-layer networks of any width, with only n = 5 log d_eff samples. Equal residuals on orthogonal
gradients would give 1 − 1/n, which is 0.95 at n = 20. In Figure 2a: for a linear model in d = 10⁴
dimensions, the noise energies α_k along the eigenvectors of 𝒢 follow the curvatures λ_k, with
n = d/8 and with n = 8 log d samples. The paper does not say which spectrum its Gaussian data have;
both of Figure 1 are drawn here.

What came out (printed by the run): over widths from 10 to 3000 the mean of μ over 20 runs is 0.94
to 1.02 for linear networks and 0.95 to 1.17 for ReLU networks, with standard deviations up to 0.17
and 0.40. Of the ratios α_k/λ_k 90 % are in 0.92–1.09 at n = d/8 and in 0.68–1.38 at n = 8 log d for
isotropic data, in 0.91–1.09 and 0.64–1.44 for λ_k(S) = k^(-1/2).

    python worked_examples/noise_geometry_alignment.py

draws both at the paper's sizes: 15 seconds on one core, 0.5 GB.

References
----------
Wang, Wu, arXiv 2310.00692, Figures 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pictures import save
from two_layer import LINEAR, RELU, Activation, TwoLayerNet

from numerics.noise_geometry import (
    PrincipalAlignments,
    effective_dimension,
    loss_alignment,
    principal_alignments,
)
from numerics.plots import styled

Array = NDArray[np.float64]

MODELS = {"linear network": LINEAR, "two-layer ReLU network": RELU}
WIDTHS = (10, 30, 100, 300, 1000, 3000)


@dataclass(frozen=True)
class Alignment:
    """μ over independent runs: mean and standard deviation at each number of weights."""

    weights: Array
    mean: Array
    deviation: Array


def power_law_spectrum(d_eff: float) -> Array:
    """The first λ_k = k^{-1/2}, as few as reach the effective dimension."""
    return next(
        spectrum
        for size in count(1)
        if effective_dimension(spectrum := np.arange(1, size + 1) ** -0.5) >= d_eff
    )


def gaussian_regression(n: int, spectrum: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs x_i ~ N(0, diag(spectrum)), shape (n, D), with targets w*·x_i, w* ~ N(0, I)."""
    x = rng.normal(size=(n, len(spectrum))) * np.sqrt(spectrum)
    return x, x @ rng.normal(size=len(spectrum))


def alignment_of_networks(
    activation: Activation,
    widths: Sequence[int],
    spectrum: Array,
    n: int,
    *,
    runs: int,
    seed: int = 0,
) -> Alignment:
    """μ(θ) of random networks on random data, by width (Figure 1)."""
    rng = np.random.default_rng(seed)

    def one(width: int) -> float:
        x, y = gaussian_regression(n, spectrum, rng)
        net = TwoLayerNet.random(activation, width, len(spectrum), rng)
        return loss_alignment(net.jacobian(x), net.values(x) - y)

    values = np.array([[one(width) for _ in range(runs)] for width in widths])
    sizes = np.array(widths) * (len(spectrum) + 1.0)
    return Alignment(sizes, values.mean(axis=1), values.std(axis=1, ddof=1))


def alignment_of_directions(spectrum: Array, n: int, seed: int = 0) -> PrincipalAlignments:
    """Energies and curvatures of a linear model at a random θ ~ N(0, I) (Figure 2a)."""
    rng = np.random.default_rng(seed)
    x, y = gaussian_regression(n, spectrum, rng)
    return principal_alignments(x, x @ rng.normal(size=len(spectrum)) - y)


@styled
def draw_sizes(d_eff: int = 50, runs: int = 20) -> Figure:
    """Figure 1: μ against the number of weights, bars of one standard deviation."""
    n = round(5 * np.log(d_eff))
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    spectra = {"isotropic": np.ones(d_eff), "anisotropic": power_law_spectrum(d_eff)}
    for model, activation in MODELS.items():
        for data, spectrum in spectra.items():
            found = alignment_of_networks(activation, WIDTHS, spectrum, n, runs=runs)
            low, high, spread = found.mean.min(), found.mean.max(), found.deviation.max()
            print(f"{model}, {data} data: mean μ {low:.2f} to {high:.2f}, deviation ≤ {spread:.2f}")
            axes.errorbar(
                found.weights, found.mean, found.deviation, fmt="o-", capsize=3,
                label=f"{model}, {data} data",
            )  # fmt: skip
    axes.axhline(1.0, color="0.6", linewidth=1)
    axes.set(xscale="log", ylim=(0, 1.6), xlabel="number of weights", ylabel="loss alignment μ(θ)")
    axes.set_title(f"n = {n} samples, d_eff = {d_eff}, {runs} runs")
    axes.legend()
    return figure


@styled
def draw_directions(d: int = 10_000) -> Figure:
    """Figure 2a: α_k and λ_k over k, and their ratio."""
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    spectra = {"isotropic": np.ones(d), "λ(S) = k^(-1/2)": np.arange(1, d + 1) ** -0.5}
    numbers = {"n = d/8": d // 8, "n = 8 log d": round(8 * np.log(d))}
    for row, (data, spectrum) in zip(figure.subplots(2, 2), spectra.items(), strict=True):
        for axes, (name, n) in zip(row, numbers.items(), strict=True):
            found = alignment_of_directions(spectrum, n)
            k = np.arange(1, len(found.curvatures) + 1)
            axes.plot(k, found.energies, ".", markersize=4, label="noise energy α_k")
            axes.plot(k, found.curvatures, "-", label="curvature λ_k")
            low, high = np.percentile(found.alignments, (5, 95))
            title = f"{data}, {name} = {n}", f"90 % of α_k/λ_k in {low:.2f}–{high:.2f}"
            print(*title, sep=": ")
            axes.set_title("\n".join(title))
            axes.set(xlabel="k", yscale="log")
    figure.legend(handles=axes.lines, loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    print(save(draw_sizes(), "noise_geometry_sizes"))
    print(save(draw_directions(), "noise_geometry_directions"))
