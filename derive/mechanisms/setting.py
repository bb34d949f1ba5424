"""What every mechanism takes beside its own arguments."""

from __future__ import annotations

from typing import Any, TypedDict

from ..laws.shrinking import Gaussian

NORMAL = Gaussian()
"""The law of a mechanism where none is given: standard normal noise, scaled by σ."""


class Setting(TypedDict, total=False):
    """What every mechanism passes on to `NoisyGradientDescent`."""

    constraints: Any
    chart: Any
    near: Any
    parameters: Any
