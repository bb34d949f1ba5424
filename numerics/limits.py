"""The limit as fast functions of many points of Γ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive import Limit
from derive.jets import SquaresJet

from . import flow, geometry
from .geometry import Layout, by_address
from .kernels import CompiledFunction, compile_function

Array = NDArray[np.float64]

CHUNK_BYTES = 2**24
"""Bound on the values held at a time for a batch of points."""

NATIVE = "void(float64[:, ::1], float64[:, ::1])"

_retractions = by_address(flow.retractions)
_flow_ends = by_address(flow.flow_ends)
_descent_ends = by_address(flow.descent_ends)


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
        return self._at_points(geometry.drifts, w, (self.dimension,))

    def diffusion(self, w: ArrayLike) -> Array:
        """Diffusion matrix s, shape (..., N, m), per square root of slow time.

        Where only Σ is known it is P Σ^{1/2} with the symmetric root, and m = N.
        """
        return self._at_points(geometry.diffusions, w, (self.dimension, self.layout.columns))

    def projector(self, w: ArrayLike) -> Array:
        """Orthogonal projector P on the tangent space, shape (..., N, N)."""
        return self._at_points(geometry.projectors, w, (self.dimension, self.dimension))

    def spectrum(self, w: ArrayLike) -> Array:
        """Non-zero eigenvalues of H, ascending, shape (..., K), per iteration and unit step size."""
        return self._at_points(geometry.spectra, w, (self.codimension,))

    def regularizer(self, w: ArrayLike) -> Array:
        """Reg(w), shape (...)."""
        return self._regularizer(w)

    # Maps onto Γ --------------------------------------------------------------------------------

    def retract(self, w: ArrayLike) -> Array:
        """Nearest point of Γ, shape (..., N), to round-off; NaN where none was found."""
        return self._mapped(_retractions, w)

    def flow_limit(self, w: ArrayLike) -> Array:
        """Φ(w), the end of the gradient flow of L, shape (..., N), to about 10⁻¹⁰.

        NaN where the flow does not end on Γ. The limit of a run that starts at w starts here.
        """
        return self._mapped(_flow_ends, w, self.loss_gradient.batch)

    def descent_limit(self, w: ArrayLike, alpha: float) -> Array:
        """Φ_α(w), the end of gradient descent with step α, shape (..., N), to about 10⁻¹⁰.

        NaN where descent does not end on Γ.
        """
        self._points(w)
        return self._mapped(_descent_ends, w, self.loss_gradient.batch, step=float(alpha))

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
        limit, moments = self.limit, self.limit.moments
        jet = limit.manifold.jet
        squares = isinstance(jet, SquaresJet)
        second, terms = _squares_indices(jet) if squares else _plain_indices(jet)
        return Layout(
            dimension=self.dimension,
            rank=self.codimension,
            rows=len(jet.residuals) if squares else self._constraint_count,
            columns=int(moments.columns.cols),
            squares=squares,
            factored=moments.factor is not None,
            second=second,
            thirds=0 if squares else len(jet.thirds),
            terms=terms,
            ito=float(limit.ito_weight),
            noise=float(limit.noise_weight),
            step=float(limit.step),
        )

    @cached_property
    def values(self) -> CompiledFunction:
        """Everything that the geometry and the equation need at a point of Γ, as in `layout`."""
        limit = self.limit
        jet = limit.manifold.jet
        if isinstance(jet, SquaresJet):
            residuals = jet.unit_weights().residuals
            parts = [x for r in residuals for x in r.gradient]
            parts += [value for r in residuals for _, _, value in r.hessian]
        else:
            parts = [x for c in limit.manifold.constraints for x in self._slope(c)]
            parts += [value for *_, value in jet.second] + [value for *_, value in jet.thirds]
        return self._native("limit", [*parts, *limit.moments.columns, *limit.slope])

    @cached_property
    def constraints(self) -> CompiledFunction:
        """[F | DF] at any point: the constraints and their derivatives."""
        parts = list(self.limit.manifold.constraints)
        parts += [x for c in self.limit.manifold.constraints for x in self._slope(c)]
        return self._native("constraints", parts)

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

    def _slope(self, expression: Any) -> list[Any]:
        return [expression.diff(w) for w in self.limit.problem.weights]

    def _native(self, name: str, outputs: Sequence[Any]) -> CompiledFunction:
        function = compile_function(self.limit.problem.weights, outputs, name)
        function.batch.compile(NATIVE)  # type: ignore[attr-defined]
        return function

    def _points(self, w: ArrayLike) -> Array:
        points = np.asarray(w, dtype=np.float64)
        if points.ndim == 0 or points.shape[-1] != self.dimension:
            names = ", ".join(map(str, self.limit.problem.weights))
            raise ValueError(
                f"w: expected points of shape (..., {self.dimension}), the last axis being "
                f"({names}); got shape {points.shape}"
            )
        return points

    def _at_points(
        self, kernel: Callable[..., None], w: ArrayLike, shape: tuple[int, ...]
    ) -> Array:
        points = self._points(w)
        flat = np.ascontiguousarray(points.reshape(-1, self.dimension))
        out = np.empty((len(flat), *shape))
        chunk = max(1, CHUNK_BYTES // (8 * len(self.values.outputs)))
        for start in range(0, len(flat), chunk):
            part = slice(start, start + chunk)
            kernel(self.values(flat[part]), self.layout, out[part])
        return out.reshape(points.shape[:-1] + shape)

    def _mapped(
        self, kernel: Callable[..., None], w: ArrayLike, *before: Any, step: float | None = None
    ) -> Array:
        points = self._points(w)
        flat = points.reshape(-1, self.dimension).copy()
        after = (flat,) if step is None else (step, flat)
        kernel(*before, self.constraints.batch, self._constraint_count, self.codimension, *after)
        return flat.reshape(points.shape)


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
    ValueError
        If a parameter or the step size is still a symbol.
    """
    parameters = ", ".join(map(str, limit.problem.parameters))
    if parameters:
        raise ValueError(
            f"limit: {parameters} still stands for any value; bind it with "
            "limit.subs({...}) before compiling"
        )
    if limit.step.free_symbols:
        raise ValueError(
            f"limit: its step size {limit.step} is a symbol; give a number, as in "
            "limit.at_step(0.05), before compiling"
        )
    return CompiledLimit(limit)


def _squares_indices(jet: Any) -> tuple[Any, Any]:
    entries = [
        (a, i, j)
        for a, residual in enumerate(jet.unit_weights().residuals)
        for i, j, _ in residual.hessian
    ]
    return _indices(entries, 3), _indices([], 4)


def _plain_indices(jet: Any) -> tuple[Any, Any]:
    """Positions of ∂_i∂_jL, and the terms of D³L[S] with S_ab and S_ba counted apart."""
    terms = [
        (e, a, b, c)
        for e, (i, j, k, _) in enumerate(jet.thirds)
        for a, b, c in sorted({(i, j, k), (j, i, k), (i, k, j), (k, i, j), (j, k, i), (k, j, i)})
    ]
    return _indices([(0, i, j) for i, j, _ in jet.second], 3), _indices(terms, 4)


def _indices(entries: Sequence[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    return np.array(entries, dtype=np.int64).reshape(-1, width)
