"""Optimizers: how a stochastic gradient becomes a step, each stated once and for every noise model.

A simple optimizer is an update of weights and memory by gradients; those that are built from others
are in `composites`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import isabstract
from itertools import combinations
from math import comb
from typing import Any, ClassVar, Self

import sympy as sp

from ..errors import ProblemError
from ..laws.choice import Choice
from ..laws.law import Law
from ..laws.shrinking import Gaussian, UnitLaw
from ..reading import read_expression, read_matrix
from ..symbols import alpha, sigma
from ..theory.map_jets import MapJet
from .assembly import Assembly

Vector = Sequence[sp.Expr]
Gradient = Callable[[Vector], list[sp.Expr]]
"""The stochastic gradient, or the loss in a list of one, at displaced weights."""

COORDINATES = 1000
"""Choices of coordinates up to which they are listed."""


@dataclass(frozen=True)
class Optimizer(ABC):
    """How weights and memory move by the stochastic gradient."""

    copies: ClassVar[int] = 0
    """Vectors of memory, each of the size of the weights; they rest at zero."""

    @abstractmethod
    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """Next weights and next memory."""

    def memory(self, weights: Vector) -> tuple[sp.Symbol, ...]:
        """What it remembers, as symbols."""
        names = (f"m{k or ''}_{w}" for k in range(self.copies) for w in weights)
        return tuple(sp.Symbol(name, real=True) for name in names)

    def randomness(self, weights: Vector) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
        """What the optimizer draws itself in each step."""
        return ()

    @property
    def innermost(self) -> Optimizer:
        """The optimizer whose update is written out."""
        return self

    def turned(self, jet: MapJet) -> MapJet:
        """The jet of a step, from that of a step of the innermost optimizer."""
        return jet

    def assembled(self, steps: Assembly) -> Assembly:
        """The recursion, from that of the innermost optimizer."""
        return steps

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Self:
        """Bind symbolic settings."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        bound = {name: x.subs(values) for name, x in given.items() if hasattr(x, "subs")}
        return replace(self, **bound)


def known_optimizers() -> dict[str, type[Optimizer]]:
    """All optimizers that can be made, those that users define too, by name, in its order.

    An optimizer is a frozen dataclass derived from `Optimizer`; saving it and stating it in a model
    file need nothing else.
    """
    found: dict[str, type[Optimizer]] = {}
    open_classes = Optimizer.__subclasses__()
    while open_classes:
        kind = open_classes.pop()
        open_classes += kind.__subclasses__()
        if "__dataclass_params__" in vars(kind) and not isabstract(kind):
            found.setdefault(kind.__name__, kind)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Draw:
    """What one step is made of.

    Attributes
    ----------
    gradient : callable
        Weights ↦ ∇_wL̂(w, η) with the noise of this step.
    loss : callable
        Weights ↦ L̂(w, η), in a list of one.
    own : tuple of Symbol
        What the optimizer draws itself.
    """

    gradient: Gradient
    loss: Gradient
    own: tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """w' = w − α∇L̂(w, η)."""

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """One step of descent."""
        return _moved(weights, draw.gradient(weights)), ()


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """Momentum: m' = βm + ∇L̂(w, η), w' = w − αm'.

    Parameters
    ----------
    beta : number or Expr
        β in [0, 1).
    """

    beta: sp.Expr
    copies: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", _fraction("beta", self.beta))

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """The gradient where the weights are."""
        after = _faded(self.beta, memory, draw.gradient(weights))
        return _moved(weights, after), after


@dataclass(frozen=True)
class Nesterov(HeavyBall):
    """Momentum with the gradient ahead: m' = βm + ∇L̂(w − αβm, η), w' = w − αm'.

    Parameters
    ----------
    beta : number or Expr
        β in [0, 1).
    """

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """The gradient where the memory alone would lead."""
        ahead = _moved(weights, [self.beta * m for m in memory])
        after = _faded(self.beta, memory, draw.gradient(ahead))
        return _moved(weights, after), after


@dataclass(frozen=True)
class Preconditioned(Optimizer):
    """w' = w − αΩ(w)∇L̂(w, η).

    Parameters
    ----------
    matrix : matrix, shape (N, N)
        Ω(w), such that ΩH has eigenvalues of positive real part across Γ.
    """

    matrix: sp.ImmutableMatrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", read_matrix("matrix", self.matrix))

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """Descent in another metric."""
        n = len(weights)
        if self.matrix.shape != (n, n):
            raise ProblemError(f"matrix: expected shape {(n, n)}, got {self.matrix.shape}")
        return _moved(weights, list(self.matrix * sp.Matrix(draw.gradient(weights)))), ()


@dataclass(frozen=True)
class SharpnessAware(Optimizer):
    """Unnormalised SAM: w' = w − α∇L̂(w + ρ∇L̂(w, η), η).

    Parameters
    ----------
    rho : number or Expr
        ρ ≥ 0.
    """

    rho: sp.Expr

    def __post_init__(self) -> None:
        rho = read_expression("rho", self.rho)
        if rho.is_negative:
            raise ProblemError(f"rho: expected ρ ≥ 0, got {self.rho!r}")
        object.__setattr__(self, "rho", rho)

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """The gradient uphill."""
        slope = draw.gradient(weights)
        uphill = [w + self.rho * g for w, g in zip(weights, slope, strict=True)]
        return _moved(weights, draw.gradient(uphill)), ()


@dataclass(frozen=True)
class RandomCoordinates(Optimizer):
    """Descent in some coordinates only, drawn anew in each step, each set with equal probability.

    Parameters
    ----------
    count : int
        How many of the N coordinates move in a step.
    """

    count: int

    def randomness(self, weights: Vector) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
        """A mask."""
        n = len(weights)
        if not isinstance(self.count, int) or not 1 <= self.count <= n:
            raise ProblemError(f"count: expected an integer from 1 to {n}, got {self.count!r}")
        if comb(n, self.count) > COORDINATES:
            raise ProblemError(f"count: more than {COORDINATES} sets of {self.count} out of {n}")
        masks = [
            tuple(int(i in kept) for i in range(n)) for kept in combinations(range(n), self.count)
        ]
        chance = sp.Rational(1, len(masks))
        return ((_symbols("mask", weights), Choice(tuple(masks), (chance,) * len(masks))),)

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """Descent under a mask."""
        slope = draw.gradient(weights)
        return _moved(weights, [d * g for d, g in zip(draw.own, slope, strict=True)]), ()


@dataclass(frozen=True)
class ZerothOrder(Optimizer):
    """Two values of the loss along a random direction (SPSA, MeZO), at the distance σ:

    w' = w − αξ(L̂(w + σξ, η) − L̂(w − σξ, η))/(2σ).

    Parameters
    ----------
    directions : Law
        Law of ξ with E ξξᵀ = I: `Gaussian()`, `Rademacher()`, `Sphere()` or another whose moments
        are known.
    """

    directions: Law = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        if not isinstance(self.directions, UnitLaw) or self.directions.covariance is not None:
            raise ProblemError(
                "directions: expected a law of uncorrelated coordinates of variance σ² with known "
                f"moments, such as Gaussian(), Rademacher() or Sphere(), got {self.directions!r}"
            )

    def randomness(self, weights: Vector) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
        """The displacement σξ."""
        return ((_symbols("step", weights), self.directions),)

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """A difference of losses along the displacement."""
        up = [w + e for w, e in zip(weights, draw.own, strict=True)]
        down = [w - e for w, e in zip(weights, draw.own, strict=True)]
        rise = (draw.loss(up)[0] - draw.loss(down)[0]) / (2 * sigma**2)
        return _moved(weights, [e * rise for e in draw.own]), ()


def _moved(weights: Vector, direction: Iterable[sp.Expr]) -> list[sp.Expr]:
    return [w - alpha * d for w, d in zip(weights, direction, strict=True)]


def _faded(beta: sp.Expr, memory: Vector, gradient: Vector) -> list[sp.Expr]:
    return [beta * m + g for m, g in zip(memory, gradient, strict=True)]


def _symbols(name: str, weights: Vector) -> tuple[sp.Symbol, ...]:
    return tuple(sp.Symbol(f"{name}_{w}", real=True) for w in weights)


def _fraction(name: str, given: Any) -> sp.Expr:
    value = read_expression(name, given)
    if value.is_negative or (value - 1).is_nonnegative or value.is_real is False:
        raise ProblemError(f"{name}: expected a number in [0, 1), got {given!r}")
    return value
