"""Optimizers that are not smooth across Γ: normalised gradients, the root of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from ..symbols import alpha, sigma
from ..theory.cycles import NORMALIZED, ROOT, SHARPNESS_AWARE, sharpness
from .optimizer import Draw, Optimizer, Vector


class CyclingOptimizer(Optimizer):
    """Steps that do not become small on Γ, where they end in 2-cycles across it.

    Attributes
    ----------
    regularizer : Expr
        Reg as a function of λ₁ (`theory.cycles.sharpness`) and α, where the cycle lies along the
        eigenvector of λ₁.
    time_scale : Expr
        Steps per unit of slow time; without σ where the step size itself is the small scale.
    cycle : str
        Where the iterates are across Γ, v₁ being the unit eigenvector of λ₁.
    amplitude : Expr
        Half the distance between the two points of the cycle.
    """

    regularizer: ClassVar[sp.Expr]
    time_scale: ClassVar[sp.Expr]
    cycle: ClassVar[str]
    amplitude: ClassVar[sp.Expr]


@dataclass(frozen=True)
class NormalizedSharpnessAware(CyclingOptimizer):
    """SAM at the distance σ (the papers' ρ): w' = w − α∇L̂(w + σ∇L̂/|∇L̂|), with L̂ = L̂(·, ζ).

    Without noise, or with the weights ζ of minibatches (the law `Minibatch`), the same batch for
    both gradients.
    """

    regularizer: ClassVar[sp.Expr] = SHARPNESS_AWARE
    time_scale: ClassVar[sp.Expr] = 1 / (alpha * sigma**2)
    cycle: ClassVar[str] = "± αλ₁σ/(2 − αλ₁) v₁"
    amplitude: ClassVar[sp.Expr] = alpha * sharpness * sigma / (2 - alpha * sharpness)

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """The gradient at a fixed distance uphill."""
        uphill = _unit(draw.gradient(weights))
        place = [w + sigma * u for w, u in zip(weights, uphill, strict=True)]
        return _moved(weights, draw.gradient(place)), ()


@dataclass(frozen=True)
class NormalizedDescent(CyclingOptimizer):
    """Steps of length α: w' = w − α∇L/|∇L|."""

    regularizer: ClassVar[sp.Expr] = NORMALIZED
    time_scale: ClassVar[sp.Expr] = 1 / alpha**2
    cycle: ClassVar[str] = "y v₁ and (y − α) v₁, with 0 < y < α that depends on the start"
    amplitude: ClassVar[sp.Expr] = alpha / 2

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """A step downhill of length α."""
        return _moved(weights, _unit(draw.gradient(weights))), ()


@dataclass(frozen=True)
class RootDescent(CyclingOptimizer):
    """Descent on the root of the loss: w' = w − α∇√L."""

    regularizer: ClassVar[sp.Expr] = ROOT
    time_scale: ClassVar[sp.Expr] = 1 / alpha**2
    cycle: ClassVar[str] = "y v₁ and (y − α√(λ₁/2)) v₁, with y that depends on the start"
    amplitude: ClassVar[sp.Expr] = alpha * sp.sqrt(sharpness / 2) / 2

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """∇√L = ∇L/(2√L)."""
        (loss,) = draw.loss(weights)
        return _moved(weights, _over_root(draw.gradient(weights), 4 * loss)), ()


def _moved(weights: Vector, direction: Vector) -> list[sp.Expr]:
    return [w - alpha * d for w, d in zip(weights, direction, strict=True)]


def _unit(vector: Sequence[sp.Expr]) -> list[sp.Expr]:
    return _over_root(vector, sp.Add(*(x**2 for x in vector)))


def _over_root(vector: Sequence[sp.Expr], square: sp.Expr) -> list[sp.Expr]:
    """v/√q, and zero where q is: a step from Γ itself goes nowhere."""
    length = sp.Piecewise((1 / sp.sqrt(square), square > 0), (0, True))
    return [x * length for x in vector]
