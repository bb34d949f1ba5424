"""What theorem and integrators ask of a model at points: one interface, several ways to answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive import Limit, NotCoveredError
from derive.model.problem import Objective

from ..codegen.deferred_sigint import compiling_to_the_end
from ..codegen.finite_sums import SampledFunction
from ..codegen.functions import CompiledFunction
from ..errors import ArgumentError
from ..geometry import at_points, projections
from ..geometry.at_points import Layout
from ..geometry.small_matrices import Array, bound

CHUNK_BYTES = 2**24
"""Bound on the values held at a time for a batch of points."""

Function = CompiledFunction | SampledFunction


@singledispatch
def local_model(objective: Objective, limit: Limit) -> LocalModel:
    """What is asked of a limit at points, as the kind of its objective asks.

    Raises
    ------
    NotCoveredError
        If no local model is known for that kind.
    """
    raise objective.refused("limit at points")


class LocalModel(ABC):
    """Equation, normal space and maps onto Γ at many points, arrays of shape (P, N)."""

    limit: Limit

    @property
    @abstractmethod
    def is_noisy(self) -> bool:
        """Whether the equation has a diffusion."""

    @abstractmethod
    def equations(self, points: Array) -> tuple[Array, Array]:
        """Itô drift b, shape (P, N), and diffusion matrix s, shape (P, N, m), on Γ."""

    @abstractmethod
    def frames(self, points: Array) -> tuple[Array, Array]:
        """Non-zero eigenvalues of H, descending (P, K), and eigenvectors as rows (P, K, N)."""

    def spectrum(self, points: Array) -> Array:
        """Non-zero eigenvalues of H, descending, shape (P, K)."""
        return self.frames(points)[0]

    @abstractmethod
    def regularizer(self, points: Array) -> Array:
        """Reg, shape (P,)."""

    @abstractmethod
    def retractions(self, points: Array) -> Array:
        """Nearest points of Γ; NaN where none was found."""

    def fluctuations(self, points: Array) -> tuple[Array, Array]:
        """Eigenvectors of H as rows (P, K, N), and ℒ⁻¹(QΣQ) in that basis (P, K, K), on Γ."""
        raise NotCoveredError("fluctuations: not compiled for means over samples and matrices")

    @abstractmethod
    def flow_ends(self, points: Array) -> Array:
        """Ends of the gradient flow, close to Γ."""

    @abstractmethod
    def descent_ends(self, points: Array, velocities: Array, rates: tuple[float, float]) -> Array:
        """Ends of gradient descent with `rates` (α, β), close to Γ."""


class KernelModel(LocalModel):
    """A model by generated functions, that compiled kernels call at each point."""

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """What `values` computes, in which order."""

    @property
    @abstractmethod
    def values(self) -> Function:
        """Packed derivatives at a point of Γ, as `layout` says."""

    @property
    @abstractmethod
    def constraints(self) -> Function:
        """[F | DF] at any point: the constraints and their derivatives."""

    @property
    @abstractmethod
    def constraint_count(self) -> int:
        """Number of constraints; they may be redundant."""

    @abstractmethod
    def function(self, name: str, outputs: Sequence[Any]) -> Function:
        """Expressions of a problem, compiled as functions of the weights."""

    @cached_property
    def loss_gradient(self) -> Function:
        """∇L at any point."""
        return self.function("loss_gradient", self.limit.problem.loss_gradient)

    @cached_property
    def _regularizer(self) -> Function:
        return self.function("regularizer", [self.limit.regularizer])

    def regularizer(self, points: Array) -> Array:
        """Reg, shape (P,)."""
        return self._regularizer(points)[..., 0]

    def _layout(self, bend: Iterable[tuple[int, int]], *, slope_at: int, **rest: Any) -> Layout:
        """A layout, with what all models have in common."""
        numbers: dict[str, Any] = {**equation_numbers(self.limit)}
        return Layout(
            dimension=self._dimension,
            rank=self.limit.manifold.codimension,
            bend=indices(bend, 2),
            slope_at=slope_at,
            next_at=slope_at + self._dimension,
            **rest,
            **numbers,
        )

    @property
    def _dimension(self) -> int:
        return int(self.limit.problem.dimension)

    @property
    def _has_second_order(self) -> bool:
        return bool(self.limit.second_weight != 0)

    @property
    def onto(self) -> tuple[Any, tuple[int, int]]:
        """What the kernels of `projections` ask for: the constraints, their number, their rank."""
        return self.constraints.batch, (self.constraint_count, int(self.layout.rank))

    @property
    def is_noisy(self) -> bool:
        """Whether the equation has a diffusion."""
        return self.layout.noise != 0 and self.layout.columns > 0

    def equations(self, points: Array) -> tuple[Array, Array]:
        """Itô drift b, shape (P, N), and diffusion matrix s, shape (P, N, m), on Γ."""
        n = self.layout.dimension
        return self._at_points(at_points.equations, points, (n,), (n, self.layout.columns))

    def frames(self, points: Array) -> tuple[Array, Array]:
        """Non-zero eigenvalues of H, descending (P, K), and eigenvectors as rows (P, K, N)."""
        n, k = self.layout.dimension, self.layout.rank
        return self._at_points(at_points.frames, points, (k,), (k, n))

    def retractions(self, points: Array) -> Array:
        """Nearest points of Γ; NaN where none was found."""
        return _moved(points, projections.retractions, *self.onto)

    def flow_ends(self, points: Array) -> Array:
        """Ends of the gradient flow, close to Γ."""
        return _moved(points, projections.flow_ends, self.loss_gradient.batch, *self.onto)

    def descent_ends(self, points: Array, velocities: Array, rates: tuple[float, float]) -> Array:
        """Ends of gradient descent with `rates` (α, β), close to Γ."""
        model = (self.loss_gradient.batch, *self.onto, rates)
        return _moved(points, projections.descent_ends, *model, velocities)

    @compiling_to_the_end()
    def _at_points(
        self, kernel: Callable[..., None], points: Array, *shapes: tuple[int, ...]
    ) -> tuple[Array, Array]:
        first, second = (np.empty((len(points), *shape)) for shape in shapes)
        chunk = max(1, CHUNK_BYTES // (8 * self.layout.next_at))
        for start in range(0, len(points), chunk):
            part = slice(start, start + chunk)
            kernel(self.values(points[part]), self.layout, first[part], second[part])
        return first, second


def _moved(points: Array, kernel: Any, *model: Any) -> Array:
    moved = points.copy()
    bound(kernel, *model, moved)(*model, moved)
    return moved


def equation_numbers(limit: Limit) -> dict[str, float]:
    """Weights of the equation, by the fields of `Layout` that hold them.

    Raises
    ------
    ArgumentError
        If one is a symbol still.
    """
    equation = limit.equation
    numbers = {
        "ito": equation.at(equation.ito_weight),
        "noise": equation.at(equation.noise_weight),
        "second_weight": equation.at(equation.second_weight),
        "damping": equation.relaxation.damping,
        "dephasing": equation.relaxation.dephasing,
    }
    symbols = sorted(map(str, set().union(*(e.free_symbols for e in numbers.values()))))
    if symbols:
        raise ArgumentError(
            f"limit: {', '.join(symbols)} is a symbol still; give numbers, as in "
            "limit.at_step(0.05) or limit.effective(0.05, 0.1), before compiling"
        )
    return {name: float(value) for name, value in numbers.items()} | {"order": equation.order}


def indices(entries: Iterable[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    """Index tuples of a layout as an array, shape (·, width)."""
    return np.array(list(entries), dtype=np.int64).reshape(-1, width)
