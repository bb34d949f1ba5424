"""The limit as fast functions of many points of Γ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from derive import Limit

from ..arguments import doubles
from ..codegen.deferred_sigint import compiling_to_the_end
from ..codegen.finite_sums import SampledFunction
from ..codegen.functions import CompiledFunction
from ..errors import ArgumentError
from ..geometry import at_points, projections
from ..geometry.at_points import Layout
from ..geometry.small_matrices import Array, bound
from .dense import DenseModel, equation_numbers
from .finite_sum import FiniteSumModel

CHUNK_BYTES = 2**24
"""Bound on the values held at a time for a batch of points."""

Function = CompiledFunction | SampledFunction


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
        return self.model.regularizer(self._points(w))

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

    @property
    def is_noisy(self) -> bool:
        """Whether the equation has a diffusion."""
        return self.layout.noise != 0 and self.layout.columns > 0

    def beginnings(self, w: ArrayLike) -> Array:
        """Where the limit of a run that starts at w starts: Φ(w), or Φ_α(w) at a step size."""
        equation = self.limit.equation
        if equation.step == 0:
            return self.flow_limit(w)
        return self.descent_limit(w, float(equation.step), float(equation.momentum))

    @property
    def is_projected(self) -> bool:
        """Whether `descent_limit` takes the same value before and after a noiseless step.

        Where it does not, displacements are measured between two times after relaxation.
        """
        return True

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
    def model(self) -> DenseModel | FiniteSumModel:
        """What is asked of the model at a point."""
        return (DenseModel if self.limit.problem.samples is None else FiniteSumModel)(self.limit)

    @property
    def layout(self) -> Layout:
        """What `values` computes, in which order."""
        return self.model.layout

    @property
    def values(self) -> Function:
        """Packed derivatives at a point of Γ, as `layout` says."""
        return self.model.values

    @property
    def onto(self) -> tuple[Any, tuple[int, int]]:
        """What the kernels of `projections` ask for: the constraints, their number, their rank."""
        return self.model.constraints.batch, (self.model.constraint_count, self.codimension)

    @property
    def loss_gradient(self) -> Function:
        """∇L at any point."""
        return self.model.loss_gradient

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
def compile_limit(limit: Limit) -> CompiledLimit:
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
