"""Optimizers of a noise model: ``NoisyGradientDescent(..., optimizer=HeavyBall(0.9))``."""

from .model.optimizers import (
    GradientDescent,
    HeavyBall,
    LocalSteps,
    LookAhead,
    Nesterov,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
    WeightAverage,
    ZerothOrder,
)
from .model.sharpness import NormalizedDescent, NormalizedSharpnessAware, RootDescent

__all__ = [
    "GradientDescent",
    "HeavyBall",
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
