"""The limit as fast functions of many points of Γ."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive import Limit
from derive.sampled import SampledLimit
from derive.theory.jets import PlainJet, SquaresJet

from ..arguments import doubles
from ..codegen.deferred_sigint import compiling_to_the_end
from ..codegen.finite_sums import SampledFunction
from ..codegen.functions import CompiledFunction, compile_function
from ..errors import ArgumentError
from ..geometry import at_points, projections
from ..geometry.at_points import Layout
from ..geometry.small_matrices import Array, bound

CHUNK_BYTES = 2**24
"""Bound on the values held at a time for a batch of points."""

NATIVE = "void(float64[:, ::1], float64[:, ::1])"

Function = TypeVar("Function", CompiledFunction, SampledFunction)


@compiling_to_the_end()
def compiled_now(function: Function) -> Function:
    """The function, compiled already, so that a kernel can take it by address."""
    function.batch.compile(NATIVE)  # type: ignore[attr-defined]
    return function


@dataclass(frozen=True)
class CompiledLimit:
    """The limiting equation dW = b(W) dt + s(W) dB on Γ as functions of points.

    Points w have shape (..., N), float64; the leading dimensions are kept. `drift`, `diffusion`,
    `projector` and `spectrum` expect them on Γ, `retract`, `flow_limit`, `descent_limit` and
    `regularizer` take any. Each works with or without a closed form of the limit, to about 10⁻¹⁰
    of the 50-digit evaluation.

    Attributes
    ----------
    limit : Limit
        What is compiled: no free parameters, and a step size that is a number.
    """

    limit: Limit

    # The equation -------------------------------------------------------------------------------

    def drift(self, w: ArrayLike) -> Array:
        """Itô drift b, shape (..., N), per unit of slow time."""
        return self._equation(w)[0]

    def diffusion(self, w: ArrayLike) -> Array:
        """Diffusion matrix s, shape (..., N, m), per square root of slow time.

        Where only Σ is known it is P Σ^{1/2} with the symmetric root, and m = N.
        """
        return self._equation(w)[1]

    def projector(self, w: ArrayLike) -> Array:
        """Orthogonal projector P on the tangent space, shape (..., N, N)."""
        basis = self._frame(w)[1]
        return np.eye(self.dimension) - np.swapaxes(basis, -1, -2) @ basis

    def spectrum(self, w: ArrayLike) -> Array:
        """Non-zero eigenvalues of H, ascending, shape (..., K)."""
        return self._frame(w)[0][..., ::-1]

    def flattest(self, w: ArrayLike) -> tuple[Array, Array]:
        """Smallest non-zero eigenvalue of H, shape (...), and its unit eigenvector (..., N)."""
        eigenvalues, basis = self._frame(w)
        return eigenvalues[..., -1], basis[..., -1, :]

    def regularizer(self, w: ArrayLike) -> Array:
        """Reg(w), shape (...)."""
        return self._regularizer(w)

    # Maps onto Γ --------------------------------------------------------------------------------

    def retract(self, w: ArrayLike) -> Array:
        """Nearest point of Γ, shape (..., N), to round-off; NaN where none was found."""
        return self._moved(w, projections.retractions, *self.onto)

    def flow_limit(self, w: ArrayLike) -> Array:
        """Φ(w), the end of the gradient flow of L, shape (..., N), to about 10⁻¹⁰.

        NaN where the flow does not end on Γ. The limit of a run that starts at w starts here.
        """
        ends = self._moved(w, projections.flow_ends, self.loss_gradient.batch, *self.onto)
        return self.retract(ends)

    def descent_limit(
        self,
        w: ArrayLike,
        alpha: float,
        momentum: float = 0.0,
        velocity: ArrayLike | None = None,
    ) -> Array:
        """Φ_α(w), the end of gradient descent with step α, shape (..., N), to about 10⁻¹⁰.

        With momentum it starts at rest, or with `velocity` w_k − w_{k−1} of the shape of w. NaN
        where descent does not end on Γ.
        """
        points = self._points(w)
        velocities = np.zeros_like(points) if velocity is None else doubles("velocity", velocity)
        if velocities.shape != points.shape:
            raise ArgumentError(
                f"velocity: expected the shape of w, {points.shape}, got {velocities.shape}"
            )
        model = (self.loss_gradient.batch, *self.onto, (float(alpha), float(momentum)))
        flat = np.ascontiguousarray(velocities.reshape(-1, self.dimension))
        return self.retract(self._moved(points, projections.descent_ends, *model, flat))

    # How it is done -----------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """Number of weights N."""
        return int(self.limit.problem.dimension)

    @property
    def codimension(self) -> int:
        """Rank K of H on Γ."""
        return int(self.limit.manifold.codimension)

    @cached_property
    def layout(self) -> Layout:
        """What `values` computes, in which order."""
        limit, loss = self.limit, self._loss
        columns = int(limit.moments.columns.cols)
        bend = [(i, j) for i, j, _ in limit.second_order.bend] if self._has_second_order else []
        noise_at = len(loss.values)
        slope_at = noise_at + self.dimension * columns
        return Layout(
            dimension=self.dimension,
            rank=self.codimension,
            rows=loss.rows,
            squares=loss.squares,
            second=indices(loss.second, 3),
            thirds=noise_at - loss.rows * self.dimension - len(loss.second),
            terms=indices(loss.terms, 4),
            columns=columns,
            factored=limit.moments.factor is not None,
            bend=indices(bend, 2),
            noise_at=noise_at,
            slope_at=slope_at,
            next_at=slope_at + self.dimension,
            **equation_numbers(limit),
        )

    @cached_property
    def values(self) -> CompiledFunction:
        """Packed derivatives at a point of Γ, as `layout` says."""
        limit = self.limit
        parts = [*self._loss.values, *limit.moments.columns, *limit.slope]
        if self._has_second_order:
            parts += limit.second_order.scalars
        return self._native("limit", parts)

    @cached_property
    def _loss(self) -> _LossValues:
        jet, problem = self.limit.manifold.jet, self.limit.problem
        if isinstance(jet, SquaresJet):
            return _of_squares(jet)
        normals = [c.diff(w) for c in self.limit.manifold.constraints for w in problem.weights]
        return _of_plain(jet, normals)

    @property
    def _has_second_order(self) -> bool:
        return bool(self.limit.second_weight != 0)

    @cached_property
    def constraints(self) -> CompiledFunction:
        """[F | DF] at any point: the constraints and their derivatives."""
        parts = list(self.limit.manifold.constraints)
        parts += [c.diff(w) for c in parts for w in self.limit.problem.weights]
        return self._native("constraints", parts)

    @property
    def onto(self) -> tuple[Any, tuple[int, int]]:
        """What the kernels of `flow` ask for: the constraints, their number and their rank."""
        return self.constraints.batch, (self._constraint_count, self.codimension)

    @cached_property
    def loss_gradient(self) -> CompiledFunction:
        """∇L at any point."""
        return self._native("loss_gradient", self.limit.problem.loss_gradient)

    @cached_property
    def _regularizer(self) -> CompiledFunction:
        return compile_function(self.limit.problem.weights, self.limit.regularizer, "regularizer")

    @property
    def _constraint_count(self) -> int:
        return len(self.limit.manifold.constraints)

    def _native(self, name: str, outputs: Sequence[Any]) -> CompiledFunction:
        return compiled_now(compile_function(self.limit.problem.weights, outputs, name))

    def _points(self, w: ArrayLike) -> Array:
        points = doubles("w", w)
        if points.ndim == 0 or points.shape[-1] != self.dimension:
            names = ", ".join(map(str, self.limit.problem.weights))
            raise ArgumentError(
                f"w: expected points of shape (..., {self.dimension}), the last axis being "
                f"({names}); got shape {points.shape}"
            )
        return points

    def _moved(self, w: ArrayLike, kernel: Any, *model: Any) -> Array:
        points = self._points(w)
        flat = points.reshape(-1, self.dimension).copy()
        bound(kernel, *model, flat)(*model, flat)
        return flat.reshape(points.shape)

    def _equation(self, w: ArrayLike) -> tuple[Array, Array]:
        n = self.dimension
        return self._at_points(at_points.equations, w, (n,), (n, self.layout.columns))

    def _frame(self, w: ArrayLike) -> tuple[Array, Array]:
        n, k = self.dimension, self.codimension
        return self._at_points(at_points.frames, w, (k,), (k, n))

    @compiling_to_the_end()
    def _at_points(
        self, kernel: Callable[..., None], w: ArrayLike, *shapes: tuple[int, ...]
    ) -> tuple[Array, Array]:
        points = self._points(w)
        flat = np.ascontiguousarray(points.reshape(-1, self.dimension))
        first, second = (np.empty((len(flat), *shape)) for shape in shapes)
        chunk = max(1, CHUNK_BYTES // (8 * self.layout.next_at))
        for start in range(0, len(flat), chunk):
            part = slice(start, start + chunk)
            kernel(self.values(flat[part]), self.layout, first[part], second[part])
        lead = points.shape[:-1]
        return first.reshape(lead + shapes[0]), second.reshape(lead + shapes[1])

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the limit does.
        return CompiledLimit, (self.limit,)


@singledispatch
def compile_limit(limit: Limit | SampledLimit) -> CompiledLimit:
    """Turn a limit into fast functions of many points.

    Parameters
    ----------
    limit : Limit
        Its parameters bound to numbers, and its step size too if it is a finite-step limit.

    Returns
    -------
    CompiledLimit
        What it computes is compiled when it is first used.

    Raises
    ------
    ArgumentError
        If a parameter or the step size is still a symbol.
    NotCoveredError
        If the model holds unknown functions.
    """
    if not isinstance(limit, Limit):
        raise ArgumentError(f"limit: expected a Limit, as derive_limit gives it; got {limit!r}")
    limit.problem.require_known()
    parameters = ", ".join(map(str, limit.problem.parameters))
    if parameters:
        raise ArgumentError(
            f"limit: {parameters} still stands for any value; bind it with "
            "limit.subs({...}) before compiling"
        )
    equation_numbers(limit)
    return CompiledLimit(limit)


def equation_numbers(limit: Limit | SampledLimit) -> dict[str, float]:
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


def indices(entries: Sequence[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    """Index tuples of a layout as an array, shape (·, width)."""
    return np.array(entries, dtype=np.int64).reshape(-1, width)
