"""Pictures. Each function takes results and returns a Figure; nothing is computed or shown here.

Colours are those of Okabe and Ito, which the colour-blind can tell apart; line styles repeat the
distinction. The ink is one colour, so that a page can exchange it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .bursts import Scaling
from .comparison import Comparison, Landscape
from .paths import Paths

if TYPE_CHECKING:
    from .verdict import ValidationReport

Array = NDArray[np.float64]
Observable = Callable[[Array], Array]
P = ParamSpec("P")

INK = "#1b1b1f"
RECURSION = "#0072B2"
ITERATES = "#56B4E9"
AT_STEP = "#D55E00"
ASYMPTOTIC = "#009E73"
MANIFOLD = "#CC79A7"
GREY = "#9a9aa0"
SERIES = (RECURSION, AT_STEP, ASYMPTOTIC, "#E69F00", "#56B4E9", MANIFOLD)

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "mathtext.fontset": "cm",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
}

BAND = (0.05, 0.95)
"""Quantiles that bands reach between."""


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in this module's style, whatever the caller's settings are."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def symbol(name: str) -> str:
    """Set a symbol's name as mathematics: w1 becomes w with a subscript."""
    match = re.fullmatch(r"([A-Za-z]+)_?(\d*)", name)
    if match is None:
        return name
    letter, index = match.groups()
    letter = rf"\{letter}" if letter in {"theta", "alpha", "beta", "phi", "psi", "xi"} else letter
    return f"${letter}_{{{index}}}$" if index else f"${letter}$"


def sheet(rows: int, columns: int, width: float = 3.4, height: float = 2.6) -> tuple[Figure, Any]:
    """A figure, and its axes in an array of shape (rows, columns)."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


# Panels --------------------------------------------------------------------------------------


def draw_landscape(axes: Axes, landscape: Landscape, names: Sequence[str]) -> None:
    """Level sets of L, with Γ."""
    heights = np.log10(landscape.loss + 1e-12)
    levels = np.linspace(np.quantile(heights, 0.05), heights.max(), 11)
    axes.contour(
        landscape.x, landscape.y, heights, levels, colors=GREY, linewidths=0.4, linestyles="solid"
    )
    axes.contour(
        landscape.x, landscape.y, landscape.constraint, [0.0], colors=MANIFOLD, linewidths=2.5
    )
    axes.plot([], [], color=MANIFOLD, linewidth=2.5, label=r"$\Gamma$")
    axes.set_aspect("equal")
    axes.set_xlabel(symbol(names[0]))
    axes.set_ylabel(symbol(names[1]), rotation=0)


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


def _mark(axes: Axes, point: Array) -> None:
    """A ring around the point that the slow motion seeks."""
    axes.plot(*point, "o", color=ASYMPTOTIC, fillstyle="none", markersize=9, markeredgewidth=1.6)


def draw_time_scales(axes: Axes, comparison: Comparison, name: str, observable: Observable) -> None:
    """An observable over iterations on a logarithmic axis: the fast phase, then the slow one."""
    trace = comparison.trace
    for i, path in enumerate(trace.weights):
        label = "$w_k$" if i == 0 else None
        axes.plot(1 + trace.times, observable(path), color=ITERATES, linewidth=0.6, label=label)
    for paths, color, style, label in _limits(comparison):
        middle = observable(paths).mean(axis=0)
        # Linear in time between recorded times, which a logarithmic axis would not draw.
        k = np.concatenate([[0.0], np.geomspace(1.0, comparison.iterations[-1], 400)])
        at = np.interp(k, comparison.iterations, middle)
        axes.plot(1 + k, at, style, color=color, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("iteration $k$")
    axes.set_ylabel(symbol(name), rotation=0, labelpad=10)


def draw_band(axes: Axes, comparison: Comparison, name: str, observable: Observable) -> None:
    """Mean and central 90 % of an observable over slow time, recursion against limits."""
    values = observable(comparison.projected[-1])
    low, high = np.nanquantile(values, BAND, axis=0)
    axes.fill_between(comparison.times, low, high, color=RECURSION, alpha=0.22, linewidth=0)
    axes.plot(
        comparison.times, np.nanmean(values, axis=0), color=RECURSION, label=r"$\Phi_\alpha(w_k)$"
    )
    for paths, color, style, label in _limits(comparison):
        limit = observable(paths)
        axes.plot(comparison.times, limit.mean(axis=0), style, color=color, label=label)
        if len(limit) > 1:
            edges = np.quantile(limit, BAND, axis=0)
            axes.plot(comparison.times, edges.T, style, color=color, linewidth=0.8)
    axes.set_xlabel("slow time $t$")
    axes.set_ylabel(symbol(name), rotation=0, labelpad=10)


def _limits(comparison: Comparison) -> Iterator[tuple[Array, str, str, str]]:
    yield comparison.expected, AT_STEP, "--", r"limit at $\alpha$"
    yield comparison.asymptotic, ASYMPTOTIC, ":", r"limit $\alpha\to 0$"


# Figures -------------------------------------------------------------------------------------


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
        _mark(panel, target)
        panel.set_title(title)
    _legend_below(figure, axes[0, 0])
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
    _mark(axes[1, 0], target)
    last = comparison.iterations[-1]
    for panel, end in zip(axes[1, 1:], (last / 100, last), strict=True):
        shown = comparison.trace.times <= end
        panel.plot(
            comparison.trace.times[shown], walk[shown, coordinate], color=ITERATES, linewidth=0.7
        )
        k = np.linspace(0, end, 200)
        for paths, color, style, label in _limits(comparison):
            at = np.interp(k, comparison.iterations, paths[..., coordinate].mean(axis=0))
            panel.plot(k, at, style, color=color, label=label)
        panel.axhline(target[coordinate], color=ASYMPTOTIC, linewidth=0.8)
        panel.set_xlabel("iteration $k$")
        panel.set_ylabel(symbol(name), rotation=0, labelpad=10)
    _legend_below(figure, axes[1, 0])
    return figure


@styled
def rows(
    comparisons: Mapping[str, Comparison],
    observables: Mapping[str, Observable],
    landscapes: Sequence[Landscape] = (),
) -> Figure:
    """One row a comparison: the plane if there are landscapes, then observables over iterations.

    Parameters
    ----------
    comparisons : mapping of str to Comparison
        Titles of the rows, and what they show.
    observables : mapping of str to callable
        What to follow, one column each.
    landscapes : sequence of Landscape
        None, or one a comparison.
    """
    first = 1 if landscapes else 0
    figure, axes = sheet(len(comparisons), first + len(observables))
    for row, (title, comparison) in enumerate(comparisons.items()):
        if landscapes:
            draw_plane(axes[row, 0], landscapes[row], comparison)
        for panel, (name, observable) in zip(axes[row, first:], observables.items(), strict=True):
            draw_time_scales(panel, comparison, name, observable)
        axes[row, -1].set_title(title, loc="right")
    last = max(c.iterations[-1] for c in comparisons.values())
    for panel in axes[:, first:].flat:
        panel.set_xlim(1, 1.2 * last)
    _legend_below(figure, axes[0, 0], axes[0, -1])
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
    _legend_below(figure, axes[0, 0])
    return figure


@styled
def ladder(report: ValidationReport) -> Figure:
    """Distance to the limits over the ladder: to the one at α it falls as σ², to α → 0 as α."""
    figure, axes = sheet(1, 1)
    panel = axes[0, 0]
    gaps = report.gaps
    for i, alpha in enumerate(sorted({g.alpha for g in gaps}, reverse=True)):
        here = [g for g in gaps if g.alpha == alpha]
        sigma = np.array([g.sigma for g in here])
        color = SERIES[i % len(SERIES)]
        panel.loglog(
            sigma**2, [g.at_step for g in here], "o-", color=color, label=rf"$\alpha = {alpha:g}$"
        )
        panel.loglog(sigma**2, [g.asymptotic for g in here], "s:", color=color, markersize=3.5)
    panel.plot([], [], "o-", color=GREY, label=r"from the limit at $\alpha$")
    panel.plot([], [], "s:", color=GREY, label=r"from the limit $\alpha\to 0$")
    panel.set_xlabel(r"$\sigma^2$")
    panel.set_ylabel("distance / motion")
    _legend_below(figure, panel)
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
        _few_ticks(panel, x)
        panel.set_xlabel(rf"$\{name}$")
        panel.set_ylim(top=8 * scaling.rates.value.max())
        panel.legend(loc="upper left")
    axes[0, 0].set_ylabel("speed per iteration")
    return figure


@styled
def overview(report: ValidationReport, landscape: Landscape | None) -> Figure:
    """The recursion and its limits side by side, for the eye.

    Parameters
    ----------
    report : ValidationReport
        What was run; the smallest step size is shown.
    landscape : Landscape or None
        Level sets, for problems with two weights.
    """
    comparison = report.comparisons[-1]
    observables = list(report.observables.items())[: 2 if landscape else 3]
    figure, axes = sheet(1, 1 + len(observables) if landscape else len(observables))
    panels = list(axes[0])
    if landscape is not None:
        draw_plane(panels.pop(0), landscape, comparison)
    for panel, (name, observable) in zip(panels, observables, strict=True):
        draw_band(panel, comparison, name, observable)
    figure.suptitle(
        rf"{report.limit.outcome.value}, $\alpha = {comparison.alpha:g}$, "
        rf"$\sigma = {comparison.sigmas[-1]:.3g}$",
        fontsize=9,
    )
    _legend_below(figure, *axes[0])
    return figure


def _legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend for all panels, without doubles."""
    entries: dict[Any, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=len(entries)
    )


def _few_ticks(axes: Axes, values: Array) -> None:
    """Ticks of a short logarithmic axis at the values themselves."""
    ticks = np.unique(values)
    axes.set_xticks(ticks, [f"{x:.2g}" for x in ticks])
    axes.set_xticks([], minor=True)
