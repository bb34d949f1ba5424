"""Pictures. Each function takes results and returns a Figure; nothing is computed or shown here.

Matplotlib is loaded with the first picture, not with the package (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .clouds import fluctuations
    from .figures import bands, exponents, ladder, motion_along, overview, planes, rows
    from .mechanisms import side_by_side
    from .phases import phase_diagram
    from .style import INK, ITERATES, SERIES, styled, symbol
else:

    def __getattr__(name: str) -> Any:
        """A public name, from the module that has it."""
        if name in __all__:
            for module in ("clouds", "figures", "mechanisms", "phases", "style"):
                home = import_module(f".{module}", __name__)
                if hasattr(home, name):
                    return getattr(home, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "INK",
    "ITERATES",
    "SERIES",
    "Figure",
    "bands",
    "exponents",
    "fluctuations",
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
