"""Several mechanisms on one loss in one picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..validation.measurements.comparison import Comparison, Landscape
from .panels import BAND, draw_landscape
from .style import INK, SERIES, legend_below, sheet, styled, symbol

MOST = 4
"""Weights that are followed."""


@styled
def side_by_side(comparisons: Mapping[str, Comparison], landscape: Landscape | None) -> Figure:
    """Paths along Γ, and weights over iterations: means, 90 % of the paths, and the limits.

    Parameters
    ----------
    comparisons : mapping of str to Comparison
        By the mechanisms' names; the same loss, weights and start.
    landscape : Landscape or None
        Level sets, for problems with two weights.
    """
    names = next(iter(comparisons.values())).names[:MOST]
    figure, axes = sheet(1, len(names) + (landscape is not None))
    panels = list(axes[0])
    if landscape is not None:
        _draw_ends(panels.pop(0), landscape, comparisons)
    for i, (panel, name) in enumerate(zip(panels, names, strict=True)):
        for j, (title, comparison) in enumerate(comparisons.items()):
            _draw_weight(panel, comparison, i, title, SERIES[j % len(SERIES)])
        panel.plot([], [], "--", color=INK, label=r"limits at $\alpha$")
        panel.set_xscale("log")
        panel.set_xlabel("iteration $k$")
        panel.set_ylabel(symbol(name), rotation=0, labelpad=10)
    legend_below(figure, *axes[0])
    return figure


def _draw_ends(panel: Axes, landscape: Landscape, comparisons: Mapping[str, Comparison]) -> None:
    """The start, and where the paths have come to."""
    first = next(iter(comparisons.values()))
    draw_landscape(panel, landscape, first.names)
    begin = first.trace.weights[0, 0]
    panel.plot(*np.stack([begin, first.expected[0, 0]], axis=1), color=INK, linewidth=0.8)
    panel.plot(*begin, "o", color=INK, markersize=3.5)
    ends = [comparison.projected[-1][:, -1] for comparison in comparisons.values()]
    order = sorted(range(len(ends)), key=lambda i: -float(ends[i].var(axis=0).sum()))
    for layer, i in enumerate(order):  # the widest below
        panel.plot(*ends[i].T, ".", color=SERIES[i % len(SERIES)], markersize=4, zorder=3 + layer)


def _draw_weight(panel: Axes, comparison: Comparison, i: int, title: str, color: str) -> None:
    # Linear in time between recorded times, which a logarithmic axis would not draw.
    k = np.geomspace(1.0, comparison.iterations[-1], 400)

    def over_iterations(values: np.ndarray) -> np.ndarray:
        return np.interp(k, comparison.iterations, values)

    values = comparison.projected[-1][..., i]
    low, high = (over_iterations(edge) for edge in np.quantile(values, BAND, axis=0))
    panel.fill_between(k, low, high, color=color, alpha=0.2, linewidth=0)
    panel.plot(k, over_iterations(values.mean(axis=0)), color=color, label=title)
    expected = comparison.expected[..., i].mean(axis=0)
    panel.plot(k, over_iterations(expected), "--", color=INK, linewidth=1.0)
