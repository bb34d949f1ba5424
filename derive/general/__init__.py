"""Limits of models whose number of weights, of samples, and whose loss stay symbolic."""

from .statements import GeneralLimit, general_limit
from .table import MECHANISMS, Mechanism

__all__ = ["MECHANISMS", "GeneralLimit", "Mechanism", "general_limit"]
