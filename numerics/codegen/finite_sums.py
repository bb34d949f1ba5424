"""Generated code that loops over samples; the data are an array that it is given at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..random.draws import SCRATCH_ROWS
from ..random.statements import For, Lanes, Statement
from .cache import load_generated
from .functions import content_of, module_header
from .kernels import FAST
from .printing import assignments, in_numba, readable_names
from .recursions import Names, Recursion, row_of, watch_lines

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class SampledRecursion(Recursion):
    """The update w ← F(w, Σ_i g(w, η; x_i); c), summed over samples in each step.

    In the noise buffer the sum, and the noise of the sample at hand, come before the draws.

    Attributes
    ----------
    data : tuple of Symbol
        x, the symbols of one sample.
    values : ndarray, shape (n, len(data))
        The samples.
    own : tuple of Symbol
        Noise of which each sample has a draw of its own.
    sums : tuple of Symbol
        What `update` calls the sum.
    summand : callable
        Makes g, one expression per sum; called only if there is no compiled code yet.
    """

    reserved: ClassVar[tuple[str, ...]] = ("sample", "data")

    data: tuple[Any, ...]
    values: Doubles
    own: tuple[Any, ...]
    sums: tuple[Any, ...]
    summand: Callable[[], Sequence[Any]]

    def tables(self, sigma: float) -> tuple[Doubles, ...]:
        """Numbers of the draws, and the data."""
        return (*self.sampler.tables(sigma), self.values)

    def statements(self, names: Names, watched: bool) -> list[Statement]:
        """Code of one step: clear the sums, add up the samples, update."""
        sums, here = self._rows
        pairs = zip(here, self._places, strict=True)
        noise = [f"E[{row}, b] = E[{place}, b]" for row, place in pairs]
        fetch = [Lanes(*noise)] if noise else []
        clear = [f"E[{row}, b] = 0.0" for row in sums]
        return [
            Lanes(*clear),
            *([] if self.own else fetch),
            f"data = tables[{len(self.sampler.draws)}]",
            For("sample", "len(data)", *(fetch if self.own else []), *self._summation(names)),
            Lanes(*self._update(names), *(watch_lines(self.recorded) if watched else [])),
        ]

    @property
    def _rows(self) -> tuple[range, range]:
        """Rows of the sums, and of the noise of the sample at hand."""
        first = SCRATCH_ROWS + len(self.sums)
        return range(SCRATCH_ROWS, first), range(first, first + len(self.noise))

    @property
    def _places(self) -> list[str]:
        """Rows of the noise of a sample among the draws, as text."""
        d, positions = len(self.noise), self.sampler.positions
        texts = dict(zip(self.noise, map(row_of, positions[:d]), strict=True))
        # Of the further samples there is only their own noise, in the same order.
        for e, (row, *_) in zip(self._own_in_order, positions[d:], strict=False):
            step = row - positions[self.noise.index(e)][0]
            texts[e] = f"{texts[e]} + {step} * sample"
        return list(texts.values())

    @property
    def _own_in_order(self) -> list[Any]:
        return [e for e in self.noise if e in self.own]

    def _summation(self, names: Names) -> list[Statement]:
        state, noise, constants = names
        data = readable_names(self.data, "x_", {*self.reserved, *state, *noise, *constants})
        sums, here = self._rows
        targets = [f"E[{row}, b]" for row in sums]
        loads = [f"{name} = W[{i}, b]" for i, name in enumerate(state)]
        loads += [f"{name} = E[{row}, b]" for name, row in zip(noise, here, strict=True)]
        code = assignments(
            (*self.state, *self.noise, *self.data, *self.sums),
            (*state, *noise, *data, *targets),
            [total + g for total, g in zip(self.sums, self.summand(), strict=True)],
            targets,
        )
        return [
            *(f"{name} = data[sample, {i}]" for i, name in enumerate(data)),
            Lanes(*loads, code),
        ]

    def _update(self, names: Names) -> list[Statement]:
        state, _, constants = names
        loads = [f"{name} = W[{i}, b]" for i, name in enumerate(state)]
        code = assignments(
            (*self.state, *self.constants, *self.sums),
            (*state, *constants, *(f"E[{row}, b]" for row in self._rows[0])),
            self.update(),
            [f"W[{i}, b]" for i in range(len(state))],
        )
        return [*loads, code]


class Output(NamedTuple):
    """What one expression of a sample gives to the row of values of a point.

    Attributes
    ----------
    expression : Expr
        In the weights and the data.
    place, stride : int
        Of sample i it is entry `place + stride·i`; samples add up in one if the stride is 0.
    """

    expression: Any
    place: int
    stride: int = 0


class Products(NamedTuple):
    """Entries Σ_i S_i S_iᵀ, shape (N, N), from `place` on, for a matrix S_i of each sample.

    Attributes
    ----------
    factor : sequence of sequence of Expr
        The N rows of S_i.
    place : int
        Where they begin.
    """

    factor: Sequence[Sequence[Any]]
    place: int


@dataclass(frozen=True)
class SampledFunction:
    """Expressions of a sample as a function of points, placed by sample or added up.

    Called with `points` of shape (..., N), float64, it returns values of shape (..., width).

    Attributes
    ----------
    name : str
        A Python identifier; it names the generated module.
    weights, data : tuple of Symbol
        Coordinates of a point, and the symbols of one sample.
    values : ndarray, shape (n, len(data))
        The samples.
    outputs : tuple of Output
        What to compute.
    width : int
        Numbers per point.
    products : Products, optional
        Products to add up.
    """

    name: str
    weights: tuple[Any, ...]
    data: tuple[Any, ...]
    values: Doubles
    outputs: tuple[Output, ...]
    width: int
    products: Products | None = None

    def __call__(self, points: ArrayLike) -> Doubles:
        """Values at `points`."""
        x = np.asarray(points, dtype=np.float64)
        flat = np.ascontiguousarray(x.reshape(-1, len(self.weights)))
        out = np.empty((len(flat), self.width))
        self.batch(flat, out)
        return out.reshape(*x.shape[:-1], self.width)

    @cached_property
    def batch(self) -> Callable[[Doubles, Doubles], None]:
        """Numba function (points (P, N), values (P, width)) that fills `values`."""
        flat = [tuple(o) for o in self.outputs]
        content = content_of(self.weights, self.data, flat, self.width, self.products)
        evaluate = getattr(load_generated(self.name, content, lambda: self.source), self.name)
        data = self.values

        @njit(nogil=True, error_model="numpy", fastmath=set(FAST))
        def batch(points: Doubles, values: Doubles) -> None:
            evaluate(data, points, values)

        return batch

    @property
    def source(self) -> str:
        """Text of the generated module."""
        order = ", ".join(map(str, self.weights))
        lines = module_header(f"{self.name}: {self.width} values at points ({order}).")
        lines += [
            "",
            "@compiled",
            f"def {self.name}(data, points, values):",
            '    """Fill the rows of `values`.',
            "",
            "    Parameters",
            "    ----------",
            f"    data : float64 array, shape (n, {len(self.data)})",
            f"        One sample per row: {', '.join(map(str, self.data))}.",
            f"    points : float64 array, shape (P, {len(self.weights)})",
            f"    values : float64 array, shape (P, {self.width})",
            '    """',
            *in_numba(self.statements, depth=1),
        ]
        return "\n".join(lines) + "\n"

    @property
    def statements(self) -> list[Statement]:
        """Code that fills the rows of `values`."""
        own = {"data", "points", "values", "row", "p", "sample", "a", "b", "m", "S", "T"}
        own |= {self.name}
        weights = readable_names(self.weights, "w", own)
        data = readable_names(self.data, "x_", {*own, *weights})
        points = For(
            "p",
            "points.shape[0]",
            "row = values[p]",
            For("a", self.width, "row[a] = 0.0"),
            *(f"{name} = points[p, {i}]" for i, name in enumerate(weights)),
            For(
                "sample",
                "len(data)",
                *(f"{name} = data[sample, {i}]" for i, name in enumerate(data)),
                *self._assignments(weights, data),
                *self._adding_up(),
            ),
        )
        return [
            *([f"T = np.zeros({len(self._sums)})"] if self._sums else []),
            *([f"S = np.empty({self._shape})"] if self.products else []),
            points,
        ]

    @property
    def _sums(self) -> range:
        """The entries to which all samples add."""
        places = [o.place for o in self.outputs if not o.stride]
        return range(min(places), max(places) + 1) if places else range(0)

    @property
    def _shape(self) -> tuple[int, int]:
        assert self.products is not None
        return len(self.products.factor), len(self.products.factor[0])

    def _assignments(self, weights: list[str], data: list[str]) -> list[Statement]:
        expressions = [o.expression for o in self.outputs]
        targets = [f"add{i}" for i in range(len(expressions))]
        # Many sums written out take minutes to compile: they are left to a loop over `T`.
        first = self._sums.start
        adds = [
            f"row[{o.place} + {o.stride} * sample] = {target}"
            if o.stride
            else f"T[{o.place - first}] = {target}"
            for o, target in zip(self.outputs, targets, strict=True)
        ]
        for a, row in enumerate(self.products.factor if self.products else ()):
            expressions += row
            targets += [f"S[{a}, {m}]" for m in range(len(row))]
        inputs = (*self.weights, *self.data)
        return [assignments(inputs, (*weights, *data), expressions, targets), *adds]

    def _adding_up(self) -> Iterator[Statement]:
        """The sums of a sample, and its products, into the row of the point."""
        if self._sums:
            yield For("a", len(self._sums), f"row[{self._sums.start} + a] += T[a]")
        if self.products is not None:
            n, columns = self._shape
            place = f"{self.products.place} + {n} * a + b"
            product = For("m", columns, f"row[{place}] += S[a, m] * S[b, m]")
            yield For("a", n, For("b", n, product))
