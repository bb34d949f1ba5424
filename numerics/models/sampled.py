"""The recursion and the limit of a mean over samples, whose code loops over the samples.

The expressions are those of one sample, so neither they nor the time to compile them grow with n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from derive.sampled import SampledDescent, SampledLimit
from derive.symbols import ScaleSymbol
from derive.theory.jets import Entries, Residual, SquaresJet

from ..codegen.finite_sums import Output, Products, SampledFunction, SampledRecursion
from ..codegen.functions import content_of
from ..codegen.recursions import Recursion
from ..errors import ArgumentError
from ..geometry.at_points import Layout
from ..geometry.small_matrices import Array
from ..random.draws import SCRATCH_ROWS
from ..random.samplers import NoiseSampler, sampler_for
from ..simulation.descent import CompiledDescent, compile_descent
from .compiled_limit import CompiledLimit, compile_limit, compiled_now, equation_numbers, indices

REACHED = 1e-9
"""Largest residual, relative to that of the start, of a point that counts as one of Γ."""

GAP = 1e-7
"""Singular values of Dr below this part of the largest count as zero."""

STARTS = 8
"""Points from which Γ is searched for where none is given."""


@dataclass(frozen=True)
class CompiledSampledDescent(CompiledDescent):
    """The recursion of a mean over samples, compiled when it first runs.

    Attributes
    ----------
    problem : SampledDescent
        Template and data.
    """

    problem: Any

    def __post_init__(self) -> None:
        _ = self.sampler

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise of all samples, after the rows that the sum over samples needs."""
        problem = self.problem
        first = SCRATCH_ROWS + problem.dimension + len(problem.noise)
        copies = 1 if problem.shared else problem.samples
        return sampler_for(problem.law, problem.noise, copies=copies, first_row=first)

    @cached_property
    def _sums(self) -> tuple[Any, ...]:
        return tuple(ScaleSymbol(f"sum{i}", real=True) for i in range(self.problem.dimension))

    def _slope(self) -> Sequence[Any]:
        return [total / self.problem.samples for total in self._sums]

    def _recursion(
        self, state: tuple[Any, ...], constants: tuple[Any, ...], update: Callable[[], list[Any]]
    ) -> Recursion:
        problem = self.problem
        return SampledRecursion(
            name="sampled_descent",
            state=state,
            noise=problem.noise,
            constants=constants,
            sampler=self.sampler,
            recorded=problem.dimension,
            update=update,
            content=f"{content_of(problem.noisy_loss, problem.data)} {problem.samples}",
            data=problem.data,
            values=data_of(problem),
            shared=problem.shared,
            sums=self._sums,
            summand=lambda: problem.template.stochastic_gradient,
        )


@compile_descent.register
def compile_sampled_descent(problem: SampledDescent) -> CompiledSampledDescent:
    """Prepare the recursion of a mean over samples for simulation."""
    return CompiledSampledDescent(problem)


@dataclass(frozen=True)
class CompiledSampledLimit(CompiledLimit):
    """The limiting equation of a mean over samples as functions of points; see `CompiledLimit`.

    Where the samples are more than the weights, `diffusion` has the symmetric root of Σ.

    Attributes
    ----------
    limit : SampledLimit
        What is compiled.
    rank : int
        Rank K of H on Γ.
    """

    limit: Any
    rank: int

    @property
    def codimension(self) -> int:
        """Rank K of H on Γ."""
        return self.rank

    @cached_property
    def layout(self) -> Layout:
        """What `values` computes, in which order."""
        n, size, entries = self._samples, self.dimension, self._hessian
        noise_at = n * (size + len(entries))
        slope_at = noise_at + size * self._columns
        return Layout(
            dimension=size,
            rank=self.rank,
            rows=n,
            squares=True,
            second=indices([(a, i, j) for a in range(n) for i, j, _ in entries], 3),
            thirds=0,
            terms=indices([], 4),
            columns=self._columns,
            factored=not self._many,
            bend=indices([], 2),
            noise_at=noise_at,
            slope_at=slope_at,
            next_at=slope_at + size,
            **equation_numbers(self.limit),
        )

    @cached_property
    def values(self) -> SampledFunction:  # type: ignore[override]
        """Packed derivatives at a point of Γ, as `layout` says."""
        n, size, lay, entries = self._samples, self.dimension, self.layout, self._hessian
        outputs = [Output(x, j, size) for j, x in enumerate(self._residual.gradient)]
        outputs += [
            Output(value, n * size + e, len(entries)) for e, (*_, value) in enumerate(entries)
        ]
        outputs += [Output(v / n, lay.slope_at + j) for j, v in enumerate(self.limit.slope)]
        if not self._noisy:
            return self._function("limit", outputs, lay.next_at)
        factor = (self.limit.moments.factor / n).tolist()
        if self._many:
            return self._function("limit", outputs, lay.next_at, Products(factor, lay.noise_at))
        stride = 0 if self.limit.problem.shared else self.limit.moments.factor.cols
        outputs += [
            Output(x, lay.noise_at + j * lay.columns + a, stride)
            for j, row in enumerate(factor)
            for a, x in enumerate(row)
        ]
        return self._function("limit", outputs, lay.next_at)

    @cached_property
    def constraints(self) -> SampledFunction:  # type: ignore[override]
        """[F | DF] at any point: the residuals and their derivatives."""
        return _constraints(self.limit.problem)

    @cached_property
    def loss_gradient(self) -> SampledFunction:  # type: ignore[override]
        """∇L at any point."""
        slope = self.limit.problem.template.loss_gradient
        outputs = [Output(x / self._samples, j) for j, x in enumerate(slope)]
        return self._function("loss_gradient", outputs, self.dimension)

    def regularizer(self, w: ArrayLike) -> Array:
        """Reg(w), shape (...)."""
        return self._mean_regularizer(self._points(w))[..., 0]

    @cached_property
    def _mean_regularizer(self) -> SampledFunction:
        reg = self.limit.moments.regularizer / self._samples
        return self._function("regularizer", [Output(reg, 0)], 1)

    @cached_property
    def _residual(self) -> Residual:
        """ρ = √(c/n) r of one sample, L = ½ Σ_i ρ_i²: its first two derivatives on Γ."""
        residual, n = self.limit.residual, self._samples
        slope = tuple(x / n for x in residual.weight_gradient)
        one = Residual(residual.weight / n, slope, residual.gradient, residual.hessian)
        return SquaresJet(self.dimension, (one,)).unit_weights().residuals[0]

    @property
    def _noisy(self) -> bool:
        """Whether Σ has a part in the equation; Theorem A does without, and is far shorter."""
        equation = self.limit.equation
        return any(equation.at(x) != 0 for x in (equation.ito_weight, equation.noise_weight))

    @property
    def _hessian(self) -> Entries:
        """∇²ρ of one sample, which only D³L[·] asks for."""
        return self._residual.hessian if self._noisy else ()

    @property
    def _samples(self) -> int:
        return int(self.limit.problem.samples)

    @property
    def _constraint_count(self) -> int:
        return self._samples

    @property
    def _many(self) -> bool:
        """Whether the factor of Σ has more columns than rows: then Σ itself is kept."""
        if not self._noisy:
            return False
        columns = self._samples * self.limit.moments.factor.cols
        return columns > self.dimension and not self.limit.problem.shared

    @property
    def _columns(self) -> int:
        if not self._noisy:
            return 0
        columns = int(self.limit.moments.factor.cols)
        if self.limit.problem.shared:
            return columns
        return self.dimension if self._many else self._samples * columns

    def _function(
        self, name: str, outputs: Sequence[Output], width: int, products: Products | None = None
    ) -> SampledFunction:
        return _function(self.limit.problem, name, outputs, width, products)

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the limit does.
        return CompiledSampledLimit, (self.limit, self.rank)


@compile_limit.register
def compile_sampled(limit: SampledLimit, near: ArrayLike | None = None) -> CompiledSampledLimit:
    """Turn the limit of a mean over samples into fast functions of many points.

    Parameters
    ----------
    limit : SampledLimit
        Its step size a number, if it is a finite-step limit.
    near : array-like, shape (N,), optional
        Where the search for a point of Γ begins, at which the rank of H is found; the problem's
        `near`, or else some random points, if not given.

    Raises
    ------
    ArgumentError
        If the step size is a symbol, or no point of Γ is found.
    """
    equation_numbers(limit)
    given = limit.problem.near if near is None else near
    if given is None:
        size = (STARTS, limit.problem.dimension)
        starts = np.random.default_rng(0).normal(size=size)
    else:
        starts = np.array([given], dtype=np.float64)
    return CompiledSampledLimit(limit, _rank(limit.problem, starts))


def data_of(problem: SampledDescent) -> NDArray[np.float64]:
    """The samples as an array, shape (n, len(data))."""
    return np.array(problem.values, dtype=np.float64)


def _rank(problem: SampledDescent, starts: Array) -> int:
    """Rank of Dr at the first point of Γ that is found; the largest singular gap decides."""
    constraints, n = _constraints(problem), problem.samples

    def residuals(w: Array) -> Array:
        return constraints(w)[:n]

    def derivative(w: Array) -> Array:
        return constraints(w)[n:].reshape(n, -1)

    left = []
    for start in starts:
        end = scipy.optimize.least_squares(
            residuals, start, derivative, xtol=1e-15, ftol=1e-15, gtol=1e-15
        ).x
        scale = np.abs(residuals(start)).max() + np.abs(end).max()
        if np.abs(residuals(end)).max() <= REACHED * scale:
            sizes = np.linalg.svd(derivative(end), compute_uv=False)
            return int((sizes > GAP * sizes[0]).sum())
        left.append(np.sqrt(np.mean(residuals(end) ** 2)))
    raise ArgumentError(
        f"near: no point where every residual vanishes was found, so there is no Γ to move on: "
        f"{n} samples leave {problem.dimension} weights with a root mean square of {min(left):.2g};"
        " give a point closer to Γ, or a model that can fit all samples (more weights than "
        "independent samples)"
    )


def _constraints(problem: SampledDescent) -> SampledFunction:
    n, size = problem.samples, problem.dimension
    _, residual = problem.square
    outputs = [Output(residual, 0, 1)]
    outputs += [Output(residual.diff(w), n + j, size) for j, w in enumerate(problem.weights)]
    return _function(problem, "constraints", outputs, n * (1 + size))


def _function(
    problem: SampledDescent,
    name: str,
    outputs: Sequence[Output],
    width: int,
    products: Products | None = None,
) -> SampledFunction:
    data = data_of(problem)
    return compiled_now(
        SampledFunction(name, problem.weights, problem.data, data, tuple(outputs), width, products)
    )
