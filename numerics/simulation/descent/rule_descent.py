"""An update rule as it is: weights and memory, step after step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive.errors import NotCoveredError
from derive.model.optimized import BuiltRule
from derive.model.update_rule import UpdateRule
from derive.optimizers.assembly import Assembly
from derive.optimizers.optimizer import Optimizer
from derive.symbols import alpha, sigma

from ...codegen.functions import compile_function, content_of
from ...codegen.recursions import JoinedRecursion, Recursion
from ...random.samplers import NoiseSampler, sampler_for
from .compiled_descent import CompiledDescent, compile_descent

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


@dataclass(frozen=True)
class CompiledBuiltRule(CompiledRule):
    """The recursion of an optimizer that is built of steps of another, inner step by inner step.

    Attributes
    ----------
    optimizer : Optimizer
        What is built of the steps of the rule.
    """

    optimizer: Optimizer

    @cached_property
    def assembly(self) -> Assembly:
        """The inner steps, and what joins them."""
        return BuiltRule(self.problem, self.optimizer).assembly

    @property
    def period(self) -> int:
        """Inner steps of a whole one."""
        return self.assembly.period

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise of an inner step."""
        return sampler_for(self.assembly.law, self.assembly.noise)

    @cached_property
    def recursion(self) -> Recursion:
        """An inner step with what happens after it; what is followed comes first in its state."""
        built, state = self.assembly, self._state
        joins = [(j.first, j.every, [j.update.get(s, s) for s in state]) for j in built.joins]
        return JoinedRecursion(
            name="built_rule",
            state=state,
            noise=built.noise,
            constants=(alpha, sigma),
            sampler=self.sampler,
            recorded=self.problem.dimension,
            update=lambda: [built.update[s] for s in state],
            content=content_of(self.problem, repr(self.optimizer)),
            joins=tuple(joins),
        )

    def state(self, points: Doubles, momentum: float) -> Doubles:
        """All that the inner steps remember, at rest at these weights."""
        rest = self.assembly.at_rest(self._state)
        return compile_function(self.problem.weights, rest, "rest")(points)

    @property
    def _state(self) -> tuple[Any, ...]:
        built = self.assembly
        return (*built.shown, *(s for s in built.state if s not in built.shown))

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_descent, (BuiltRule(self.problem, self.optimizer),)


@compile_descent.register(BuiltRule)
def compile_built_rule(built: BuiltRule) -> CompiledRule:  # type: ignore[misc]
    """Prepare the recursion of an optimizer, built of others or not."""
    if built.optimizer.innermost is built.optimizer:
        return CompiledRule(built.rule)
    return CompiledBuiltRule(built.rule, built.optimizer)
