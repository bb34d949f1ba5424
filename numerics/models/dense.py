"""What is asked of a model at points of Γ, compiled from closed expressions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from derive import Limit
from derive.objectives.expressions import Expressions
from derive.symbolic.bundles import flattened
from derive.theory.jets import PlainJet, SquaresJet

from ..codegen.deferred_sigint import compiling_to_the_end
from ..codegen.finite_sums import SampledFunction
from ..codegen.functions import CompiledFunction, compile_function
from ..geometry import at_points
from ..geometry.at_points import Layout
from ..geometry.small_matrices import Array
from .local_model import KernelModel, indices, local_model

NATIVE = "void(float64[:, ::1], float64[:, ::1])"

Function = TypeVar("Function", CompiledFunction, SampledFunction)


@compiling_to_the_end()
def compiled_now(function: Function) -> Function:
    """The function, compiled already, so that a kernel can take it by address."""
    function.batch.compile(NATIVE)  # type: ignore[attr-defined]
    return function


@local_model.register(Expressions)
def _model(objective: Expressions, limit: Limit) -> DenseModel:
    return DenseModel(limit)


@dataclass(frozen=True)
class DenseModel(KernelModel):
    """The local model of a limit whose expressions are compiled as they stand.

    Attributes
    ----------
    limit : Limit
        What is compiled.
    """

    limit: Limit

    @cached_property
    def layout(self) -> Layout:
        """What `values` computes, in which order."""
        limit, loss = self.limit, self._loss
        bend = [(i, j) for i, j, _ in limit.second_order.bend] if self._has_second_order else []
        noise_at = len(loss.values)
        return self._layout(
            bend,
            slope_at=noise_at + len(self._noise),
            rows=loss.rows,
            squares=loss.squares,
            second=indices(loss.second, 3),
            thirds=noise_at - loss.rows * self._dimension - len(loss.second),
            terms=indices(loss.terms, 4),
            columns=int(limit.moments.columns.cols),
            entries=indices(self._noise, 2),
            factored=limit.moments.factor is not None,
            noise_at=noise_at,
        )

    @cached_property
    def values(self) -> CompiledFunction:
        """Packed derivatives at a point of Γ, as `layout` says."""
        limit = self.limit
        parts = [*self._loss.values, *self._noise.values(), *limit.slope]
        if self._has_second_order:
            parts += flattened(limit.second_order)
        return self.function("limit", parts)

    @cached_property
    def _loss(self) -> _LossValues:
        jet, problem = self.limit.manifold.jet, self.limit.problem
        if isinstance(jet, SquaresJet):
            return _of_squares(jet)
        normals = [c.diff(w) for c in self.limit.manifold.constraints for w in problem.weights]
        return _of_plain(jet, normals)

    @cached_property
    def _noise(self) -> dict[tuple[int, int], Any]:
        """Entries of S that are not zero, by place; all of Σ where only that is known."""
        columns = self.limit.moments.columns
        entries = {(i, m): columns[i, m] for i, m in np.ndindex(*columns.shape)}
        if self.limit.moments.factor is None:
            return entries
        return {place: entry for place, entry in entries.items() if entry != 0}

    def fluctuations(self, points: Array) -> tuple[Array, Array]:
        """Eigenvectors of H as rows (P, K, N), and ℒ⁻¹(QΣQ) in that basis (P, K, K), on Γ."""
        n, k = self.layout.dimension, self.layout.rank
        return self._at_points(at_points.fluctuations, points, (k, n), (k, k))

    @cached_property
    def constraints(self) -> CompiledFunction:
        """[F | DF] at any point: the constraints and their derivatives."""
        parts = list(self.limit.manifold.constraints)
        parts += [c.diff(w) for c in parts for w in self.limit.problem.weights]
        return self.function("constraints", parts)

    @property
    def constraint_count(self) -> int:
        """Number of constraints; they may be redundant."""
        return len(self.limit.manifold.constraints)

    def function(self, name: str, outputs: Sequence[Any]) -> CompiledFunction:
        """Expressions of a problem, compiled as functions of the weights."""
        return compiled_now(compile_function(self.limit.problem.weights, outputs, name))


class _LossValues(NamedTuple):
    """Derivatives of L at a point of Γ, with the fields of `Layout` that tell them apart."""

    squares: bool
    rows: int
    second: list[tuple[int, int, int]]
    terms: list[tuple[int, int, int, int]]
    values: list[Any]


def _of_squares(jet: SquaresJet) -> _LossValues:
    residuals = jet.unit_weights().residuals
    entries = [(a, *entry) for a, residual in enumerate(residuals) for entry in residual.hessian]
    values = [x for r in residuals for x in r.gradient] + [value for *_, value in entries]
    return _LossValues(True, len(residuals), [(a, i, j) for a, i, j, _ in entries], [], values)


def _of_plain(jet: PlainJet, normals: list[Any]) -> _LossValues:
    """The terms of D³L[S] count S_ab and S_ba apart."""
    terms = [
        (e, a, b, c)
        for e, (i, j, k, _) in enumerate(jet.thirds)
        for a, b, c in sorted(set(itertools.permutations((i, j, k))))
    ]
    second = [(0, i, j) for i, j, _ in jet.second]
    values = [*normals, *(v for *_, v in jet.second), *(v for *_, v in jet.thirds)]
    return _LossValues(False, len(normals) // jet.dimension, second, terms, values)
