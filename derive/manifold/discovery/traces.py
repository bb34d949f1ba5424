"""Γ of a matrix model: questions are tried out on small matrices and a few random samples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ...errors import NotCoveredError
from ...matrices.entries import in_entries, random_matrix, shape_of, small_sizes
from ...matrices.objective import TraceObjective
from ...model.problem import NoisyGradientDescent
from ...symbolic.zero_tests import Verdict
from .find_manifold import find_manifold
from .finite_sums import SampledManifold

SAMPLES = 2
"""Random samples on which the questions are tried out, where the weights leave room for them."""


@dataclass(frozen=True)
class TraceManifold(SampledManifold):
    """Γ of a matrix model, whose rank is the number of samples where they are independent.

    `probe`, `base` and `search` are those of random samples of small matrices.
    """

    @property
    def objective(self) -> TraceObjective:
        """The loss in words."""
        assert self.whole.traces is not None
        return self.whole.traces

    @property
    def constraints(self) -> tuple[sp.Expr, ...]:
        """The residual of one sample, which vanishes for all."""
        return (self.objective.value - self.objective.target,)

    @property
    def laplacian(self) -> sp.Expr:
        """ΔL on Γ."""
        return self.objective.weight * self.objective.mean_squared_gradient

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """The expression itself."""
        return expression

    def vanishes(self, expressions: Sequence[sp.Expr], free: Sequence[sp.Symbol] = ()) -> Verdict:
        """Not covered beyond the classification."""
        raise NotCoveredError(
            "limit: with matrices for weights this question is not answered; ask it of the limit "
            "of problem.written_out()"
        )

    def vanishes_along(self, slope: Sequence[sp.Expr]) -> Verdict:
        """Not covered beyond the classification."""
        return self.vanishes(slope)

    @property
    def tried_on(self) -> str:
        """What questions are decided on."""
        return f"on {len(self.rows)} random samples of small matrices"


def trace_manifold(problem: NoisyGradientDescent) -> TraceManifold:
    """Γ of a problem with matrices for weights.

    Raises
    ------
    ManifoldError
        As `find_manifold`, for a few random samples of small matrices.
    """
    assert problem.samples is not None
    small, rows = small_problem(problem)
    few = find_manifold(small)
    return TraceManifold.of(few, problem, rows, len(problem.samples))


def small_problem(problem: NoisyGradientDescent) -> tuple[NoisyGradientDescent, tuple[int, ...]]:
    """Some random samples of small matrices, always the same, in entries; and their numbers."""
    objective = problem.traces
    assert objective is not None
    rng = random.Random(0)
    sizes = small_sizes([*problem.weights, objective.data])
    weights = {v: random_matrix(shape_of(v, sizes), rng) for v in problem.weights}
    count = sum(len(matrix) for matrix in weights.values())
    data = [
        _consistent_sample(objective, weights, sizes, rng) for _ in range(min(SAMPLES, count - 1))
    ]
    near = [x for matrix in weights.values() for x in matrix]
    return problem.of_entries(data, sizes, near), tuple(range(len(data)))


def _consistent_sample(
    objective: TraceObjective, weights: Any, sizes: Any, rng: random.Random
) -> dict[Any, Any]:
    """A random data matrix, with the target that the weights have there."""
    a = random_matrix(shape_of(objective.data, sizes), rng)
    value = in_entries(objective.value, {**weights, objective.data: a})
    unknown = sorted(objective.target.free_symbols, key=str)
    if len(unknown) != 1:
        raise NotCoveredError(
            f"loss: expected one symbol for the target of a sample, got {objective.target}"
        )
    (y,) = sp.solve(objective.target - value, unknown[0])
    return {objective.data: a, unknown[0]: y}
