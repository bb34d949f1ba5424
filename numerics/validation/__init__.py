"""Statistics and tests of one against the other; phases, scalings, plans."""

from .measurements.bursts import LENGTHS, measure_scaling
from .measurements.experiment import Experiment
from .measurements.statistics import Estimate, mean
from .phases import measure_cut, phase_diagram
from .planner import Plan, plan

__all__ = [
    "LENGTHS",
    "Estimate",
    "Experiment",
    "Plan",
    "mean",
    "measure_cut",
    "measure_scaling",
    "phase_diagram",
    "plan",
]
