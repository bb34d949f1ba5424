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

__all__ = [
    "GradientDescent",
    "HeavyBall",
    "LocalSteps",
    "LookAhead",
    "Nesterov",
    "Optimizer",
    "Preconditioned",
    "RandomCoordinates",
    "SharpnessAware",
    "WeightAverage",
    "ZerothOrder",
]
