"""Optimizers of a noise model: ``NoisyGradientDescent(..., optimizer=HeavyBall(0.9))``."""

from .model.composites import Extragradient, LocalSteps, LookAhead, WeightAverage
from .model.local_rounds import LocalRounds
from .model.optimizers import (
    GradientDescent,
    HeavyBall,
    Nesterov,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
    ZerothOrder,
)
from .model.sharpness import NormalizedDescent, NormalizedSharpnessAware, RootDescent

__all__ = [
    "Extragradient",
    "GradientDescent",
    "HeavyBall",
    "LocalRounds",
    "LocalSteps",
    "LookAhead",
    "Nesterov",
    "NormalizedDescent",
    "NormalizedSharpnessAware",
    "Optimizer",
    "Preconditioned",
    "RandomCoordinates",
    "RootDescent",
    "SharpnessAware",
    "WeightAverage",
    "ZerothOrder",
]
