"""The slow motion of an update rule at points of Γ, in numbers of any precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..manifold.manifold import LocalGeometry, Manifold
from ..optimizers.optimizer import Optimizer
from ..symbolic.calculus import WithoutCaches, jacobian
from ..symbolic.numbers.matrices import Matrix, blocks
from ..symbolic.numbers.roots import Point, evaluator
from ..symbols import alpha
from ..theory.limit_map import SlowMotion
from ..theory.map_jets import MapJet
from .expansion import RuleExpansion
from .randomness import Mixture


@dataclass(frozen=True)
class RuleMotion(WithoutCaches):
    """A rule near its states at rest, evaluated at points of Γ and at step sizes.

    Attributes
    ----------
    expansion : RuleExpansion
        The rule, expanded in its small noise.
    manifold : Manifold
        Γ.
    optimizer : Optimizer or None
        What is built of steps of the rule, if anything.
    """

    expansion: RuleExpansion
    manifold: Manifold
    optimizer: Optimizer | None = None

    @property
    def closed(self) -> RuleExpansion:
        """The expansion that closed forms are made of, in weights and step size alone."""
        return self.expansion

    @property
    def is_random(self) -> bool:
        """Whether the derivative of the noiseless step is random."""
        return len(self.expansion.first.matrices) > 1

    def at(self, g: LocalGeometry, step: Any) -> SlowMotion:
        """The theorem at a point of Γ, in mpmath's working precision.

        Parameters
        ----------
        g : LocalGeometry
            Γ at a point of it.
        step : number
            α.
        """
        point, slopes = self.sharpened(g)
        jet = self.jet((*point, step))
        if self.optimizer is not None:
            jet = self.optimizer.turned(jet)
        return SlowMotion(jet, self.normals(point, slopes))

    def sharpened(self, g: LocalGeometry) -> tuple[Point, Matrix]:
        """A point of Γ to mpmath's working precision, and gradients of constraints there."""
        system = self.manifold.probe.system
        rows = self.manifold.probe.independent(g.point)
        point = system.sharpened(g.point, rows)
        return point, mpmath.matrix([system.jacobian(point)[i] for i in rows])

    def normals(self, point: Point, slopes: Matrix) -> Matrix:
        """J: the normals of Γ, and m = rest(w) for the memory."""
        count = len(self.expansion.rule.memory)
        if not count:
            return slopes
        rest = -self._rest_slopes(point)
        return blocks(
            slopes, [[slopes, mpmath.zeros(slopes.rows, count)], [rest, mpmath.eye(count)]]
        )

    def jet(self, point: Point) -> MapJet:
        """The jet at a point of Γ and a step size, which comes last."""
        size = len(self.expansion.rule.state)
        mixture, bend, bias, kicks = self._values(point)
        first, noise = _Numbers(mixture), mpmath.zeros(size)
        for kick in kicks:
            noise += _Numbers(kick).square(mpmath.eye(1))

        def second(x: Matrix) -> Matrix:
            out = mpmath.zeros(size, 1)
            for k, i, j, value in bend:
                out[k] += value * x[i, j] * (1 if i == j else 2)
            return out

        return MapJet(first.mean, first.square, second, mpmath.matrix(bias), noise, self.is_random)

    @cached_property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """What a point and a step size give values to."""
        return (*self.manifold.symbols, alpha)

    @cached_property
    def _values(self) -> Callable[[Point], Any]:
        return evaluator(self.symbols, self.expansion.parts)

    @cached_property
    def _rest_slopes(self) -> Callable[[Point], Matrix]:
        rule = self.expansion.rule
        rows = jacobian(rule.rest or (), rule.weights)
        return evaluator(self.manifold.symbols, sp.Matrix(rows))


@dataclass(frozen=True)
class _Numbers:
    """A mixture at a point."""

    given: Mixture

    @property
    def mean(self) -> Matrix:
        rows, cols = self.given.matrices[0].rows, self.given.matrices[0].cols
        weighted = (m * x for m, x in zip(self.given.means, self.given.matrices, strict=True) if m)
        return sum(weighted, mpmath.zeros(rows, cols))

    def square(self, x: Matrix) -> Matrix:
        """E M X Mᵀ."""
        rows = self.given.matrices[0].rows
        total = mpmath.zeros(rows, rows)
        for a, b, weight in self.given.products:
            term = weight * (self.given.matrices[a] * x * self.given.matrices[b].T)
            total += term if a == b else term + term.T
        return total
