"""The slow motion of an update rule at points of Γ, in numbers of any precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        count, n = len(self.expansion.rule.memory), slopes.cols
        if not count:
            return slopes
        flat = self._rest_slopes(point)
        rest = mpmath.matrix([[-x for x in flat[i * n :][:n]] for i in range(count)])
        return blocks(
            slopes, [[slopes, mpmath.zeros(slopes.rows, count)], [rest, mpmath.eye(count)]]
        )

    def jet(self, point: Point) -> MapJet:
        """The jet at a point of Γ and a step size, which comes last."""
        size = len(self.expansion.rule.state)
        values = iter(self._values(point))
        first = _Numbers.read(self.expansion.first, values)
        bend = [(k, i, j, next(values)) for k, i, j, _ in self.expansion.bend]
        bias = mpmath.matrix([next(values) for _ in range(size)])
        noise = mpmath.zeros(size)
        for mixture in self.expansion.noise:
            noise += _Numbers.read(mixture, values).square(mpmath.eye(1))

        def second(x: Matrix) -> Matrix:
            out = mpmath.zeros(size, 1)
            for k, i, j, value in bend:
                out[k] += value * x[i, j] * (1 if i == j else 2)
            return out

        return MapJet(first.mean, first.square, second, bias, noise, self.is_random)

    @cached_property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """What a point and a step size give values to."""
        return (*self.manifold.symbols, alpha)

    @cached_property
    def _values(self) -> Callable[[Point], list[Any]]:
        return evaluator(self.symbols, self.expansion.scalars)

    @cached_property
    def _rest_slopes(self) -> Callable[[Point], list[Any]]:
        rule = self.expansion.rule
        rows = jacobian(rule.rest or (), rule.weights)
        return evaluator(self.manifold.symbols, [x for row in rows for x in row])


@dataclass(frozen=True)
class _Numbers:
    """A mixture at a point."""

    matrices: list[Matrix]
    means: list[Any]
    products: list[tuple[int, int, Any]]

    @classmethod
    def read(cls, mixture: Mixture, values: Iterator[Any]) -> _Numbers:
        matrices = [
            mpmath.matrix([[next(values) for _ in range(m.cols)] for _ in range(m.rows)])
            for m in mixture.matrices
        ]
        means = [next(values) for _ in mixture.means]
        return cls(matrices, means, [(a, b, next(values)) for a, b, _ in mixture.products])

    @property
    def mean(self) -> Matrix:
        rows, cols = self.matrices[0].rows, self.matrices[0].cols
        weighted = (m * x for m, x in zip(self.means, self.matrices, strict=True) if m)
        return sum(weighted, mpmath.zeros(rows, cols))

    def square(self, x: Matrix) -> Matrix:
        """E M X Mᵀ."""
        rows = self.matrices[0].rows
        total = mpmath.zeros(rows, rows)
        for a, b, weight in self.products:
            term = weight * (self.matrices[a] * x * self.matrices[b].T)
            total += term if a == b else term + term.T
        return total
