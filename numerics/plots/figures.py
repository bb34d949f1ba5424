"""Figures of one comparison or one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..simulation.paths import Paths
from ..validation.measurements.bursts import Scaling
from ..validation.measurements.comparison import Comparison, Landscape
from ..validation.measurements.distances import Gap
from .panels import (
    Observable,
    draw_band,
    draw_landscape,
    draw_path,
    draw_plane,
    draw_time_scales,
    limits,
    mark,
    mark_level,
)
from .style import (
    GREY,
    ITERATES,
    SERIES,
    few_ticks,
    legend_below,
    sheet,
    styled,
    symbol,
)

Array = NDArray[np.float64]

FEW = 5
"""Values up to which an axis has its ticks at them."""


@styled
def planes(panels: Mapping[str, tuple[Landscape, Comparison, Array]]) -> Figure:
    """Paths over level sets side by side, each with the point that the slow motion seeks.

    Parameters
    ----------
    panels : mapping of str to (Landscape, Comparison, ndarray of shape (2,))
        Titles, and what to draw.
    """
    figure, axes = sheet(1, len(panels), 3.4, 4.0)
    for panel, (title, (landscape, comparison, target)) in zip(
        axes[0], panels.items(), strict=True
    ):
        draw_plane(panel, landscape, comparison)
        mark(panel, target)
        panel.set_title(title)
    legend_below(figure, axes[0, 0])
    return figure


@styled
def motion_along(
    landscape: Landscape, descent: Paths, comparison: Comparison, target: Array, name: str
) -> Figure:
    """Γ, noiseless and noisy descent; then the latter in detail, over short and long times.

    Parameters
    ----------
    landscape : Landscape
        Level sets.
    descent : Paths
        Gradient descent without noise.
    comparison : Comparison
        Noisy gradient descent and its limits, from the same start.
    target : ndarray, shape (2,)
        The minimiser of the regularizer on Γ.
    name : str
        The weight to follow over time.
    """
    figure, axes = sheet(2, 3, 3.2, 2.9)
    coordinate = comparison.names.index(name)
    walk = comparison.trace.weights[0]
    for panel, title in zip(
        axes[0], ("level sets", "gradient descent", "noisy gradient descent"), strict=True
    ):
        draw_landscape(panel, landscape, comparison.names)
        panel.set_title(title)
    draw_path(axes[0, 1], descent.weights[0], "$w_k$", ITERATES, linewidth=0.9)
    draw_path(axes[0, 2], walk, "$w_k$", ITERATES, linewidth=0.7)
    draw_plane(axes[1, 0], landscape, comparison)
    mark(axes[1, 0], target)
    axes[1, 0].set_title("with its limits")
    last = comparison.iterations[-1]
    ends = {"short times": last / 100, "long times": last}
    for panel, (title, end) in zip(axes[1, 1:], ends.items(), strict=True):
        panel.set_title(title)
        shown = comparison.trace.times <= end
        panel.plot(
            comparison.trace.times[shown], walk[shown, coordinate], color=ITERATES, linewidth=0.7
        )
        k = np.linspace(0, end, 200)
        for paths, color, style, label in limits(comparison):
            at = np.interp(k, comparison.iterations, paths[..., coordinate].mean(axis=0))
            panel.plot(k, at, style, color=color, label=label)
        mark_level(panel, target[coordinate])
        panel.set_xlabel("iteration $k$")
        panel.set_ylabel(symbol(name), rotation=0, labelpad=10)
    legend_below(figure, axes[1, 0])
    return figure


@styled
def rows(
    comparisons: Mapping[str, Comparison],
    observables: Mapping[str, Observable],
    landscapes: Sequence[Landscape] = (),
    targets: Sequence[Array] = (),
) -> Figure:
    """One row per comparison: the plane if there are landscapes, then observables over iterations.

    Parameters
    ----------
    comparisons : mapping of str to Comparison
        Titles of the rows, and what they show.
    observables : mapping of str to callable
        What to follow, one column each.
    landscapes : sequence of Landscape
        None, or one per comparison.
    targets : sequence of ndarray
        None, or for each comparison the point of Γ that its slow motion seeks.
    """
    first = 1 if landscapes else 0
    figure, axes = sheet(len(comparisons), first + len(observables))
    for row, (title, comparison) in enumerate(comparisons.items()):
        if landscapes:
            draw_plane(axes[row, 0], landscapes[row], comparison)
        for panel, (name, observable) in zip(axes[row, first:], observables.items(), strict=True):
            draw_time_scales(panel, comparison, name, observable)
            if targets:
                mark_level(panel, float(observable(targets[row])))
        if landscapes and targets:
            mark(axes[row, 0], targets[row])
        axes[row, 0].set_title(title)
    last = max(c.iterations[-1] for c in comparisons.values())
    for panel in axes[:, first:].flat:
        panel.set_xlim(0, 1.2 * last)
    legend_below(figure, axes[0, 0], axes[0, -1])
    return figure


@styled
def bands(comparison: Comparison, observables: Mapping[str, Observable]) -> Figure:
    """Mean and central 90 % of observables over slow time, one panel each."""
    columns = 2 if len(observables) in (2, 4) else min(3, len(observables))
    figure, axes = sheet(-(-len(observables) // columns), columns)
    for panel, (name, observable) in zip(axes.flat, observables.items(), strict=False):
        draw_band(panel, comparison, name, observable)
    for panel in axes.flat[len(observables) :]:
        panel.set_axis_off()
    legend_below(figure, axes[0, 0])
    return figure


@styled
def ladder(gaps: Sequence[Gap]) -> Figure:
    """Distance to the limits over the ladder: to the one at α it falls as σ², to α → 0 as α."""
    figure, axes = sheet(1, 1, 4.4, 2.9)
    panel = axes[0, 0]
    for i, alpha in enumerate(sorted({g.alpha for g in gaps}, reverse=True)):
        here = [g for g in gaps if g.alpha == alpha]
        sigma = np.array([g.sigma for g in here])
        color = SERIES[i % len(SERIES)]
        error = [g.error for g in here]
        panel.errorbar(
            sigma**2,
            [g.at_step for g in here],
            error,
            fmt="o-",
            color=color,
            label=rf"$\alpha = {alpha:g}$",
        )
        panel.errorbar(
            sigma**2, [g.asymptotic for g in here], error, fmt="s:", color=color, markersize=3.5
        )
    panel.plot([], [], "o-", color=GREY, label=r"from the limit at $\alpha$")
    panel.plot([], [], "s:", color=GREY, label=r"from the limit $\alpha\to 0$")
    panel.set_xscale("log")
    panel.set_yscale("log")
    if len({g.sigma for g in gaps}) <= FEW:
        few_ticks(panel, np.array([g.sigma**2 for g in gaps]))
    panel.set_xlabel(r"$\sigma^2$")
    panel.set_ylabel("distance / motion")
    legend_below(figure, panel)
    return figure


@styled
def exponents(scaling: Scaling) -> Figure:
    """Speed along Γ over α and over σ, with the fitted power law."""
    figure, axes = sheet(1, 2)
    law = scaling.law
    grid = {"alpha": scaling.alphas, "sigma": scaling.sigmas}
    for i, (panel, (name, x)) in enumerate(zip(axes[0], grid.items(), strict=True)):
        other = grid["sigma" if name == "alpha" else "alpha"]
        for j, fixed in enumerate(np.unique(other)[::-1]):
            here = other == fixed
            letter = r"\sigma" if name == "alpha" else r"\alpha"
            label = rf"${letter} = {fixed:.3g}$"
            panel.errorbar(
                x[here],
                scaling.rates.value[here],
                scaling.rates.error[here],
                fmt="osD"[j % 3],
                color=SERIES[j],
                markersize=4,
                label=label,
            )
            order = np.argsort(x[here])
            fitted = law.rate(scaling.alphas[here], scaling.sigmas[here])
            panel.plot(x[here][order], fitted[order], color=SERIES[j], linewidth=0.8)
        exponent, error = law.exponents.value[i], law.exponents.error[i]
        panel.set_title(rf"exponent of $\{name}$: ${exponent:.3f} \pm {error:.3f}$")
        panel.set_xscale("log")
        panel.set_yscale("log")
        few_ticks(panel, x)
        panel.set_xlabel(rf"$\{name}$")
        panel.set_ylim(top=8 * scaling.rates.value.max())
        panel.legend(loc="upper left")
    axes[0, 0].set_ylabel("speed per iteration")
    return figure


@styled
def overview(
    comparison: Comparison,
    observables: Mapping[str, Observable],
    landscape: Landscape | None,
    title: str,
) -> Figure:
    """The recursion and its limits side by side, for the eye.

    Parameters
    ----------
    comparison : Comparison
        What was run.
    observables : mapping of str to callable
        What is followed; the first few are drawn.
    landscape : Landscape or None
        Level sets, for problems with two weights.
    title : str
        What the limit is.
    """
    shown = list(observables.items())[: 2 if landscape else 3]
    figure, axes = sheet(1, len(shown) + (landscape is not None))
    panels = list(axes[0])
    if landscape is not None:
        draw_plane(panels.pop(0), landscape, comparison)
    for panel, (name, observable) in zip(panels, shown, strict=True):
        draw_band(panel, comparison, name, observable)
    figure.suptitle(
        rf"{title}, $\alpha = {comparison.alpha:g}$, $\sigma = {comparison.sigmas[-1]:.3g}$",
        fontsize=9,
    )
    legend_below(figure, *axes[0])
    return figure
