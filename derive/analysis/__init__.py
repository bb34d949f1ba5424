"""Questions about a limit: agreement, long times, fluctuations, phases."""

from .agreement import pointwise
from .longtime import Equilibrium, equilibria, invariant_density
from .noise_geometry import NoiseGeometry
from .phases import Term, ruling, terms

__all__ = [
    "Equilibrium",
    "NoiseGeometry",
    "Term",
    "equilibria",
    "invariant_density",
    "pointwise",
    "ruling",
    "terms",
]
