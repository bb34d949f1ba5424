"""Panels: one set of axes each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..validation.measurements.comparison import Comparison, Landscape
from .style import ASYMPTOTIC, AT_STEP, GREY, ITERATES, MANIFOLD, RECURSION, TARGET, symbol

Array = NDArray[np.float64]
Observable = Callable[[Array], Array]

BAND = (0.05, 0.95)
"""Quantiles that bands reach between."""


def draw_landscape(axes: Axes, landscape: Landscape, names: Sequence[str]) -> None:
    """Level sets of L, with Γ."""
    heights = np.log10(np.maximum(landscape.loss, 0.0) + 1e-12)  # L may be negative far from Γ
    levels = np.linspace(np.quantile(heights, 0.05), heights.max(), 11)
    axes.contour(
        landscape.x, landscape.y, heights, levels, colors=GREY, linewidths=0.4, linestyles="solid"
    )
    axes.contour(
        landscape.x, landscape.y, landscape.constraint, [0.0], colors=MANIFOLD, linewidths=2.5
    )
    axes.plot([], [], color=MANIFOLD, linewidth=2.5, label=r"$\Gamma$")
    # A path that diverges leaves the picture.
    axes.set(xlim=landscape.x[[0, -1]], ylim=landscape.y[[0, -1]], aspect="equal")
    axes.set_xlabel(symbol(names[0]))
    axes.set_ylabel(symbol(names[1]), rotation=0, labelpad=8)


def draw_path(
    axes: Axes, path: Array, label: str, color: str, style: str = "-", **line: Any
) -> None:
    """A curve of the plane, shape (T, 2), with its start."""
    axes.plot(path[:, 0], path[:, 1], style, color=color, label=label, **line)
    axes.plot(*path[0], "o", color=color, markersize=3.5)


def draw_plane(axes: Axes, landscape: Landscape, comparison: Comparison) -> None:
    """One path of the recursion and of its limits over the level sets."""
    draw_landscape(axes, landscape, comparison.names)
    draw_path(axes, comparison.trace.weights[0], "$w_k$", ITERATES, linewidth=0.7)
    draw_path(axes, comparison.expected[0], r"limit at $\alpha$", AT_STEP, "--")
    draw_path(axes, comparison.asymptotic[0], r"limit $\alpha\to 0$", ASYMPTOTIC, ":")


def mark(axes: Axes, point: Array) -> None:
    """A ring around the point that the slow motion seeks."""
    axes.plot(
        *point,
        "o",
        color=TARGET,
        fillstyle="none",
        markersize=9,
        markeredgewidth=1.6,
        label="minimiser on $\\Gamma$",
        zorder=4,
    )


def mark_level(axes: Axes, value: float) -> None:
    """A line at a coordinate of the point that the slow motion seeks."""
    axes.axhline(value, color=TARGET, linewidth=0.9)


def draw_time_scales(axes: Axes, comparison: Comparison, name: str, observable: Observable) -> None:
    """An observable over iterations on a logarithmic axis: the fast phase, then the slow one."""
    trace = comparison.trace
    for i, path in enumerate(trace.weights):
        label = "$w_k$" if i == 0 else None
        axes.plot(trace.times, observable(path), color=ITERATES, linewidth=0.6, label=label)
    for paths, color, style, label in limits(comparison):
        middle = observable(paths).mean(axis=0)
        # Linear in time between recorded times, which a logarithmic axis would not draw.
        k = np.concatenate([[0.0], np.geomspace(1.0, comparison.iterations[-1], 400)])
        at = np.interp(k, comparison.iterations, middle)
        axes.plot(k, at, style, color=color, label=label)
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.3)  # linear up to the first iteration
    axes.set_xlim(left=0.0)
    axes.set_xlabel("iteration $k$")
    axes.set_ylabel(symbol(name), rotation=0, labelpad=10)


def draw_band(axes: Axes, comparison: Comparison, name: str, observable: Observable) -> None:
    """Mean and central 90 % of an observable over slow time, recursion against limits."""
    values = observable(comparison.projected[-1])
    if len(values):  # else every path was lost
        low, high = np.nanquantile(values, BAND, axis=0)
        axes.fill_between(comparison.times, low, high, color=RECURSION, alpha=0.22, linewidth=0)
        middle = np.nanmean(values, axis=0)
        axes.plot(comparison.times, middle, color=RECURSION, label=r"$\Phi_\alpha(w_k)$")
    for paths, color, style, label in limits(comparison):
        limit = observable(paths)
        axes.plot(comparison.times, limit.mean(axis=0), style, color=color, label=label)
        if len(limit) > 1:
            edges = np.quantile(limit, BAND, axis=0)
            axes.plot(comparison.times, edges.T, style, color=color, linewidth=0.8)
    axes.set_xlabel("slow time $t$")
    axes.set_ylabel(symbol(name), rotation=0, labelpad=10)


def limits(comparison: Comparison) -> Iterator[tuple[Array, str, str, str]]:
    """Paths of both limits with their colours, line styles and labels."""
    yield comparison.expected, AT_STEP, "--", r"limit at $\alpha$"
    yield comparison.asymptotic, ASYMPTOTIC, ":", r"limit $\alpha\to 0$"
