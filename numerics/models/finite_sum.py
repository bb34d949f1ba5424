"""What is asked of a mean over samples at points of Γ, by code that loops over the samples.

The expressions are those of one sample, so neither they nor the time to compile them grow with n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from derive import Limit
from derive.objectives.means import Means
from derive.symbolic.bundles import flattened
from derive.symbolic.means import Samples
from derive.theory.jets import Entries, Residual, squares_jet

from ..codegen.finite_sums import Output, Products, SampledFunction
from ..geometry.at_points import Layout
from .dense import compiled_now
from .local_model import KernelModel, indices, local_model


@local_model.register(Means)
def _model(objective: Means, limit: Limit) -> FiniteSumModel:
    return FiniteSumModel(limit)


@dataclass(frozen=True)
class FiniteSumModel(KernelModel):
    """The local model of a mean over samples; see `DenseModel`.

    Where the samples are more than the weights, the symmetric root of Σ takes the place of S.

    Attributes
    ----------
    limit : Limit
        What is compiled.
    """

    limit: Limit

    @cached_property
    def layout(self) -> Layout:
        """What `values` computes, in which order."""
        n, size, entries = len(self._samples), self._dimension, self._hessian
        noise_at = n * (size + len(entries))
        return self._layout(
            [(i, j) for i, j, _ in self._bend],
            slope_at=noise_at + size * self._columns,
            rows=n,
            squares=True,
            second=indices([(a, i, j) for a in range(n) for i, j, _ in entries], 3),
            thirds=0,
            terms=indices([], 4),
            columns=self._columns,
            entries=indices(np.ndindex(size, self._columns), 2),
            factored=not self._many,
            noise_at=noise_at,
        )

    @cached_property
    def values(self) -> SampledFunction:
        """Packed derivatives at a point of Γ, as `layout` says."""
        n, size, lay, entries = len(self._samples), self._dimension, self.layout, self._hessian
        outputs = [Output(x, j, size) for j, x in enumerate(self._residual.gradient)]
        outputs += [
            Output(value, n * size + e, len(entries)) for e, (*_, value) in enumerate(entries)
        ]
        outputs += self._means(self.limit.slope, lay.slope_at)
        width = lay.next_at
        if self._has_second_order:
            scalars = flattened(self.limit.second_order)
            outputs += self._means(scalars, lay.next_at)
            width += len(scalars)
        if not self._many:
            return self._function("limit", [*outputs, *self._factor(lay)], width)
        factor = (self.limit.moments.own.columns / n).tolist()  # type: ignore[attr-defined]
        return self._function("limit", outputs, width, Products(factor, lay.noise_at))

    @cached_property
    def constraints(self) -> SampledFunction:
        """[F | DF] at any point: the residuals and their derivatives."""
        n, size = len(self._samples), self._dimension
        (residual,) = self.limit.manifold.constraints
        outputs = [Output(residual, 0, 1)]
        outputs += [
            Output(residual.diff(w), n + j, size) for j, w in enumerate(self.limit.problem.weights)
        ]
        return self._function("constraints", outputs, n * (1 + size))

    @property
    def constraint_count(self) -> int:
        """Number of constraints."""
        return len(self._samples)

    def function(self, name: str, outputs: Sequence[Any]) -> SampledFunction:
        """Means over the samples, compiled as functions of the weights."""
        return self._function(name, self._means(outputs, 0), len(outputs))

    @cached_property
    def _residual(self) -> Residual:
        """ρ = √(c/n) r of one sample, L = ½ Σ_i ρ_i²: its first two derivatives on Γ."""
        c, r = self.limit.manifold.square  # type: ignore[attr-defined]
        jet = squares_jet([(c / len(self._samples), r)], self.limit.problem.weights)
        return jet.unit_weights().residuals[0]

    @property
    def _noisy(self) -> bool:
        """Whether Σ has a part in the equation; Theorem A does without, and is far shorter."""
        return bool(self.limit.ito_weight != 0 or self.limit.noise_weight != 0)

    @property
    def _hessian(self) -> Entries:
        """∇²ρ of one sample, which only D³L[·] asks for."""
        return self._residual.hessian if self._noisy or self._has_second_order else ()

    @property
    def _bend(self) -> Entries:
        """∇²Reg."""
        return self.limit.second_order.bend if self._has_second_order else ()

    @property
    def _samples(self) -> Samples:
        samples = self.limit.problem.samples
        assert samples is not None
        return samples

    @property
    def _kinds(self) -> tuple[int, int]:
        """Columns of S that all samples share, and columns of each sample's own."""
        if not self._noisy:
            return 0, 0
        moments: Any = self.limit.moments
        return int(moments.shared.columns.cols), int(moments.own.columns.cols)

    @property
    def _many(self) -> bool:
        """Whether the factor of Σ has more columns than rows: then Σ itself is kept."""
        shared, own = self._kinds
        return shared == 0 and len(self._samples) * own > self._dimension

    @property
    def _columns(self) -> int:
        shared, own = self._kinds
        return self._dimension if self._many else shared + len(self._samples) * own

    def _factor(self, lay: Layout) -> list[Output]:
        """S by rows: the mean of the shared columns, then S_i/n of each sample."""
        shared, own = self._kinds
        n, moments = len(self._samples), self.limit.moments
        outputs = []
        for j in range(self._dimension if shared + own else 0):
            row, place = list(moments.columns[j, :]), lay.noise_at + j * lay.columns
            outputs += self._means(row[:shared], place)
            outputs += [Output(x / n, place + shared + b, own) for b, x in enumerate(row[shared:])]
        return outputs

    def _means(self, expressions: Sequence[Any], first: int) -> list[Output]:
        """Sums over the samples that are means, one after the other."""
        n, one = len(self._samples), self._samples.one
        return [Output(one(x) / n, first + j) for j, x in enumerate(expressions)]

    def _function(
        self, name: str, outputs: Sequence[Output], width: int, products: Products | None = None
    ) -> SampledFunction:
        weights, symbols = self.limit.problem.weights, self._samples.symbols
        data = np.array(self._samples.table, dtype=np.float64)
        return compiled_now(
            SampledFunction(name, weights, symbols, data, tuple(outputs), width, products)
        )
