"""Colours, type and sheets that all pictures share.

Colours are those of Okabe and Ito, which the colour-blind can tell apart; line styles repeat the
distinction. The ink is one colour, so that a page can exchange it.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]
P = ParamSpec("P")

INK = "#1b1b1f"
RECURSION = "#0072B2"
ITERATES = "#56B4E9"
AT_STEP = "#D55E00"
ASYMPTOTIC = INK
TARGET = "#009E73"
MANIFOLD = "#CC79A7"
GREY = "#9a9aa0"
SERIES = (RECURSION, AT_STEP, TARGET, "#E69F00", "#56B4E9", MANIFOLD)

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


ENTRY_WIDTH = 1.4
"""Inches that an entry of a legend needs at most."""


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


class Picture(Figure):
    """A figure that a notebook shows by itself, with or without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def sheet(rows: int, columns: int, width: float = 3.4, height: float = 2.6) -> tuple[Figure, Any]:
    """A figure, and its axes in an array of shape (rows, columns)."""
    figure = Picture(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend for all panels, without doubles."""
    entries: dict[Any, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    columns = min(len(entries), max(1, round(figure.get_figwidth() / ENTRY_WIDTH)))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)


def few_ticks(axes: Axes, values: Array) -> None:
    """Ticks of a short logarithmic axis at the values themselves."""
    ticks = np.unique(values)
    axes.set_xticks(ticks, [f"{x:.2g}" for x in ticks])
    axes.set_xticks([], minor=True)
