"""An update rule as it is: weights and memory, step after step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive.errors import NotCoveredError
from derive.model.update_rule import UpdateRule
from derive.symbols import alpha, sigma

from ..codegen.functions import compile_function, content_of
from ..codegen.recursions import Recursion
from ..random.samplers import NoiseSampler, sampler_for
from .descent import CompiledDescent, compile_descent

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class CompiledRule(CompiledDescent):
    """The recursion of an update rule, compiled when it first runs.

    Attributes
    ----------
    problem : UpdateRule
        With every parameter bound.
    """

    problem: UpdateRule  # type: ignore[assignment]

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise."""
        return sampler_for(self.problem.law, self.problem.noise)

    @cached_property
    def recursion(self) -> Recursion:
        """The step of the rule; its state is (w, memory)."""
        rule = self.problem
        return Recursion(
            name="rule",
            state=rule.state,
            noise=rule.noise,
            constants=(alpha, sigma),
            sampler=self.sampler,
            recorded=rule.dimension,
            update=lambda: list(rule.update),
            content=content_of(rule),
        )

    @property
    def heavy_ball(self) -> Recursion:
        """Refused: momentum is part of the rule."""
        raise NotCoveredError("momentum: it is part of the update rule; leave it out")

    def state(self, points: Doubles, momentum: float) -> Doubles:
        """Weights with their memory at rest, shape (paths, D)."""
        rule = self.problem
        if not rule.memory:
            return points
        rest = compile_function(rule.weights, rule.rest or (), "rest")
        return np.hstack([points, rest(points)])

    def loss_gradient(self, points: ArrayLike) -> Doubles:
        """∇L at `points`, shape (P, N)."""
        landscape = self.problem.landscape
        return compile_function(landscape.weights, landscape.loss_gradient, "slope")(points)

    def sharpness(self, weights: ArrayLike) -> float:
        """NaN: the bound on αλ_max is that of gradient descent, and rules have their own."""
        return np.nan


@compile_descent.register(UpdateRule)
def compile_rule(problem: UpdateRule) -> CompiledRule:  # type: ignore[misc]
    """Prepare the recursion of an update rule for simulation."""
    return CompiledRule(problem)
