"""The limit as fast functions of many points of Γ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial, singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from derive import Limit
from derive.analysis.fluctuations import fluctuations_of

from ..arguments import doubles
from ..errors import ArgumentError
from ..geometry.small_matrices import Array
from .local_model import LocalModel, equation_numbers, local_model


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
        points = self._points(w)
        found = self.model.spectrum(np.ascontiguousarray(points.reshape(-1, self.dimension)))
        return found.reshape(points.shape[:-1] + found.shape[1:])[..., ::-1]

    def regularity(self, w: ArrayLike) -> Array:
        """What must not collapse along a path: the smallest non-zero eigenvalue of H, (...)."""
        return np.asarray(self.spectrum(w)[..., 0])

    def fluctuations(self, w: ArrayLike) -> Array:
        """Stationary covariance ℒ⁻¹(QΣQ) of w − Φ(w) across Γ, shape (..., N, N).

        In units of ασ², ασ²/(1 − β) with momentum; at a step size it is the exact one there.

        Raises
        ------
        NotCoveredError
            Where `Limit.fluctuations` refuses.
        """
        basis, covariance = self.across(w)
        return np.swapaxes(basis, -1, -2) @ covariance @ basis

    def across(self, w: ArrayLike) -> tuple[Array, Array]:
        """Eigenvectors of H as rows (..., K, N), and `fluctuations` in their basis (..., K, K)."""
        found = self._pair(self.model.fluctuations, w)  # refuses means, which are long to write out
        fluctuations_of(self.limit)
        return found

    def rates(self, w: Array, alpha: float) -> tuple[float, float]:
        """Slowest and fastest relaxation across Γ per step, at a point w of shape (N,)."""
        eigenvalues = self.spectrum(w)
        return alpha * float(eigenvalues[0]), alpha * float(eigenvalues[-1])

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
        return self._mapped(self.model.retractions, w)

    def flow_limit(self, w: ArrayLike) -> Array:
        """Φ(w), the end of the gradient flow of L, shape (..., N), to about 10⁻¹⁰.

        NaN where the flow does not end on Γ. The limit of a run that starts at w starts here.
        """
        return self.retract(self._mapped(self.model.flow_ends, w))

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
        rates, flat = (float(alpha), float(momentum)), velocities.reshape(-1, self.dimension)
        ends = partial(self.model.descent_ends, velocities=np.ascontiguousarray(flat), rates=rates)
        return self.retract(self._mapped(ends, points))

    @property
    def is_noisy(self) -> bool:
        """Whether the equation has a diffusion."""
        return self.model.is_noisy

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

    @property
    def period(self) -> int:
        """Steps over which the place along Γ is a mean: 2 where the iterates cycle across it."""
        return 1

    def scattered(
        self, start: ArrayLike, paths: int, *, alpha: float, sigma: float, seed: Sequence[int]
    ) -> ArrayLike:
        """Where paths from a point begin: there, or about it where the rule rests on Γ."""
        return start

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
    def model(self) -> LocalModel:
        """What is asked of the model at a point."""
        return local_model(self.limit.problem.objective, self.limit)

    def _points(self, w: ArrayLike) -> Array:
        points = doubles("w", w)
        if points.ndim == 0 or points.shape[-1] != self.dimension:
            names = ", ".join(map(str, self.limit.problem.weights))
            raise ArgumentError(
                f"w: expected points of shape (..., {self.dimension}), the last axis being "
                f"({names}); got shape {points.shape}"
            )
        return points

    def _mapped(self, function: Callable[[Array], Array], w: ArrayLike) -> Array:
        points = self._points(w)
        flat = np.ascontiguousarray(points.reshape(-1, self.dimension))
        return function(flat).reshape(points.shape)

    def _equation(self, w: ArrayLike) -> tuple[Array, Array]:
        return self._pair(self.model.equations, w)

    def _frame(self, w: ArrayLike) -> tuple[Array, Array]:
        return self._pair(self.model.frames, w)

    def _pair(
        self, function: Callable[[Array], tuple[Array, Array]], w: ArrayLike
    ) -> tuple[Array, Array]:
        points = self._points(w)
        found = function(np.ascontiguousarray(points.reshape(-1, self.dimension)))
        first, second = (array.reshape(points.shape[:-1] + array.shape[1:]) for array in found)
        return first, second

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
    return CompiledLimit(local_model(limit.problem.objective, limit).limit)
