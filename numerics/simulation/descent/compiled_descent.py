"""The recursion w_{k+1} = w_k − α ∇_w L̂(w_k, η_k) of a problem, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive.model.optimized import BuiltRule, rule_of
from derive.model.problem import NoisyGradientDescent, Objective
from derive.optimizers.adaptive import Adaptive
from derive.rules.regimes.second_moments import recursion_of
from derive.symbols import ScaleSymbol, alpha, sigma

from ...codegen.functions import CompiledFunction, compile_function, content_of
from ...codegen.recursions import Recursion
from ...errors import ArgumentError
from ...random.samplers import NoiseSampler, sampler_for
from ..runner import one_noiseless_step

Doubles = NDArray[np.float64]

ALPHA, SIGMA = alpha, sigma
BETA = ScaleSymbol("beta", positive=True)
"""The momentum β."""


@dataclass(frozen=True)
class CompiledDescent:
    """The recursion of a problem, compiled when it first runs.

    Attributes
    ----------
    problem : NoisyGradientDescent
        With every parameter bound.

    Raises
    ------
    ArgumentError
        If a parameter of the problem has no value, or its gradient or law has no code.
    """

    problem: NoisyGradientDescent

    def __post_init__(self) -> None:
        self.problem.require_known()
        if self.problem.parameters:
            names = ", ".join(map(str, self.problem.parameters))
            raise ArgumentError(
                f"problem: {names} without a value; bind parameters with problem.subs({{...}}) "
                "before simulating"
            )
        _ = self.sampler

    @property
    def period(self) -> int:
        """Steps of the recursion that count as one."""
        return 1

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise."""
        return sampler_for(self.problem.law, self.problem.noise)

    @cached_property
    def gradient(self) -> CompiledFunction:
        """∇_w (L̂ + U) of points (w, η, α, σ), shape (..., N + d + 2)."""
        inputs = (*self.problem.weights, *self.problem.noise, ALPHA, SIGMA)
        return compile_function(inputs, self.problem.stochastic_gradient, "gradient")

    @cached_property
    def recursion(self) -> Recursion:
        """The step of plain gradient descent."""
        return self._recursion(self.problem.weights, (ALPHA, SIGMA), self._plain_step)

    @cached_property
    def heavy_ball(self) -> Recursion:
        """The step with momentum; its state is (w_k, v_k) with v_k = w_k − w_{k−1}."""
        state = (*self.problem.weights, *self._velocities)
        return self._recursion(state, (ALPHA, SIGMA, BETA), self._heavy_ball_step)

    def _recursion(
        self, state: tuple[Any, ...], constants: tuple[Any, ...], update: Callable[[], list[Any]]
    ) -> Recursion:
        problem = self.problem
        return Recursion(
            name="descent",
            state=state,
            noise=problem.noise,
            constants=constants,
            sampler=self.sampler,
            recorded=problem.dimension,
            update=update,
            content=content_of(problem),
        )

    @property
    def _slope(self) -> Sequence[Any]:
        """∇_w (L̂ + U) as the step sees it."""
        return self.problem.stochastic_gradient

    def _plain_step(self) -> list[Any]:
        return [w - ALPHA * g for w, g in zip(self.problem.weights, self._slope, strict=True)]

    def _heavy_ball_step(self) -> list[Any]:
        # The α in the size of a penalty is the effective step size.
        slope = [g.xreplace({ALPHA: ALPHA / (1 - BETA)}) for g in self._slope]
        moved = [BETA * v - ALPHA * g for v, g in zip(self._velocities, slope, strict=True)]
        return [w + v for w, v in zip(self.problem.weights, moved, strict=True)] + moved

    @property
    def _velocities(self) -> tuple[Any, ...]:
        return tuple(ScaleSymbol(f"v{i}", real=True) for i in range(self.problem.dimension))

    def state(self, points: Doubles, momentum: float) -> Doubles:
        """Where the recursion starts, shape (paths, ·): at rest at these weights."""
        return np.hstack([points, np.zeros_like(points)]) if momentum else points

    def loss_gradient(self, points: ArrayLike) -> Doubles:
        """∇L at `points`, shape (P, N), by a noiseless step of size one."""
        w = np.asarray(points, dtype=np.float64)
        return w - one_noiseless_step(self.recursion, (1.0, 0.0), w)

    def sharpness(self, weights: ArrayLike) -> float:
        """Largest eigenvalue of ∇²L at `weights`, shape (N,), by central differences of ∇L.

        NaN where ∇L is NaN.
        """
        w = np.asarray(weights, dtype=np.float64)
        step = 1e-5 * (1.0 + np.abs(w))
        shifted = np.vstack([w + np.diag(step), w - np.diag(step)])
        slopes = self.loss_gradient(shifted)
        if not np.isfinite(slopes).all():
            return np.nan
        forward, backward = np.split(slopes, 2)
        hessian = (forward - backward) / (2.0 * step[:, None])
        return float(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[-1])

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the problem does.
        return compile_descent, (self.problem,)


@singledispatch
def descent_by(objective: Objective) -> CompiledDescent:
    """The recursion of gradient descent, prepared as the kind of an objective asks."""
    return CompiledDescent(objective.problem)


@singledispatch
def compile_descent(problem: NoisyGradientDescent) -> CompiledDescent:
    """Prepare the recursion of a problem for simulation.

    Parameters
    ----------
    problem : NoisyGradientDescent
        With every parameter bound to a number.

    Raises
    ------
    ArgumentError
        If a parameter has no value, or the gradient or the law has no code.
    """
    if not isinstance(problem, NoisyGradientDescent):
        raise ArgumentError(f"problem: expected a NoisyGradientDescent, got {problem!r}")
    if problem.optimizer is None:
        return descent_by(problem.objective.covered.objective)
    if isinstance(problem.optimizer, Adaptive):
        return compile_descent(recursion_of(problem))  # type: ignore[arg-type]
    return compile_descent(BuiltRule(rule_of(problem), problem.optimizer))  # type: ignore[arg-type]
