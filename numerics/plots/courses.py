"""Records over time: measured ones with their errors, predicted ones as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .style import ASYMPTOTIC, AT_STEP, RECURSION, legend_below, sheet, styled

Array = NDArray[np.float64]

COLOURS = {"training": RECURSION, "limit at this α": AT_STEP, "limit α → 0": ASYMPTOTIC}
DASHES = {"limit α → 0": "--"}


@dataclass(frozen=True)
class Curve:
    """One record over time.

    Attributes
    ----------
    name : str
        What it is: "training", "limit at this α" or "limit α → 0", or any other name.
    times, values : ndarray, shape (T,)
    errors : ndarray, shape (T,), or None
        Standard errors, for what is measured; drawn as bars of three.
    """

    name: str
    times: Array
    values: Array
    errors: Array | None = None


@styled
def courses(
    panels: Mapping[str, Sequence[Curve]], unit: str = "slow time", columns: int | None = None
) -> Figure:
    """Records over time, a panel each.

    Parameters
    ----------
    panels : mapping of str to sequence of Curve
        Titles, and what to draw.
    unit : str
        Of the times.
    columns : int, optional
        Panels in a row, of which the number of panels is a multiple; all if not given.
    """
    columns = columns or len(panels)
    figure, axes = sheet(len(panels) // columns, columns, 3.2, 2.7)
    for panel, (title, curves) in zip(axes.flat, panels.items(), strict=True):
        for curve in curves:
            colour = COLOURS.get(curve.name)
            if curve.errors is None:
                style = DASHES.get(curve.name, "-")
                panel.plot(curve.times, curve.values, style, color=colour, label=curve.name)
            else:
                bars = 3 * curve.errors
                panel.errorbar(
                    curve.times, curve.values, bars, fmt="o", ms=3, color=colour, label=curve.name
                )
        panel.set_title(title)
        panel.set_xlabel(unit)
    legend_below(figure, *axes.flat)
    return figure
