"""Optimizers of a noise model: ``NoisyGradientDescent(..., optimizer=HeavyBall(0.9))``."""

from .adaptive import Adam, AdamW, Adaptive, RMSProp, SecondMoments, Window
from .composites import Extragradient, LocalSteps, LookAhead, WeightAverage
from .local_rounds import LocalRounds
from .optimizer import (
    GradientDescent,
    HeavyBall,
    Nesterov,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
    ZerothOrder,
)
from .sharpness import NormalizedDescent, NormalizedSharpnessAware, RootDescent

__all__ = [
    "Adam",
    "AdamW",
    "Adaptive",
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
    "RMSProp",
    "RandomCoordinates",
    "RootDescent",
    "SecondMoments",
    "SharpnessAware",
    "WeightAverage",
    "Window",
    "ZerothOrder",
]
