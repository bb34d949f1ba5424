"""Pictures. Each function takes results and returns a Figure; nothing is computed or shown here."""

from matplotlib.figure import Figure

from .figures import bands, exponents, ladder, motion_along, overview, planes, rows
from .phases import phase_diagram
from .side_by_side import side_by_side
from .style import INK, ITERATES, SERIES, styled, symbol

__all__ = [
    "INK",
    "ITERATES",
    "SERIES",
    "Figure",
    "bands",
    "exponents",
    "ladder",
    "motion_along",
    "overview",
    "phase_diagram",
    "planes",
    "rows",
    "side_by_side",
    "styled",
    "symbol",
]
