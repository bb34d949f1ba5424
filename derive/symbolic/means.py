"""Means over samples as expressions: (1/n) Σ_i f(w, η_i; x_i), kept as one sample and its data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.printing.precedence import PRECEDENCE

from ..errors import ProblemError

Table = tuple[tuple[float, ...], ...]


class Samples(sp.Atom):
    """The data of a mean, with the symbols that stand for one sample; equal by content.

    Attributes
    ----------
    symbols : tuple of Symbol
        x, the symbols of one sample.
    table : tuple of tuple of float
        The data, a row per sample.
    independent : tuple of Symbol
        Noise of which each sample has a draw of its own.
    """

    is_commutative = True
    symbols: tuple[sp.Symbol, ...]
    table: Table
    independent: tuple[sp.Symbol, ...]

    def __new__(
        cls, symbols: Iterable[sp.Symbol], table: Table, independent: Iterable[sp.Symbol] = ()
    ) -> Samples:
        """Data that have been read, see `Mean`."""
        made = super().__new__(cls)
        made.symbols, made.table = tuple(symbols), table
        made.independent = tuple(independent)
        return made

    def __len__(self) -> int:
        return len(self.table)

    def __reduce__(self) -> tuple[Any, ...]:
        return Samples, (self.symbols, self.table, self.independent)

    def _hashable_content(self) -> tuple[Any, ...]:
        return self.symbols, self._digest, self.independent

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(repr(self.table).encode()).hexdigest()

    def _sympyrepr(self, printer: Any) -> str:
        return f"Samples({self.symbols!r}, {len(self)}, {self._digest!r}, {self.independent!r})"

    def _sympystr(self, printer: Any) -> str:
        return f"{len(self)} samples"

    def also_own(self, independent: Iterable[sp.Symbol]) -> Samples:
        """The same data, with further noise of which each sample has a draw of its own."""
        more = [e for e in independent if e not in self.independent]
        return Samples(self.symbols, self.table, (*self.independent, *more))

    def is_of_the_data_of(self, other: Samples) -> bool:
        """Whether both hold the same numbers under the same symbols."""
        return (self.symbols, self._digest) == (other.symbols, other._digest)

    def of(self, summand: sp.Expr) -> sp.Expr:
        """The mean of an expression of one sample."""
        return Mean(summand, self)

    def one(self, expression: sp.Expr) -> sp.Expr:
        """An expression of one sample whose mean is the given one, which is linear in its means."""
        return gathered(expression).summand if expression.has(Mean) else expression

    def written(self, expression: sp.Expr, rows: Sequence[int]) -> list[sp.Expr]:
        """The expression with all its means taken over some samples only.

        One that holds data outside of means stands for one of each sample, and so is written once
        for each.
        """
        whole = expression.replace(
            lambda e: isinstance(e, Mean), lambda e: e.over(rows) if isinstance(e, Mean) else e
        )
        if whole.free_symbols.isdisjoint(self.symbols):
            return [whole]
        return [whole.xreplace(self.place(i)) for i in rows]

    def place(self, i: int) -> dict[sp.Symbol, sp.Expr]:
        """Exact values of the symbols at one sample, and its own noise."""
        values = map(_rational, self.table[i])
        return dict(zip(self.symbols, values, strict=True)) | self.noise_of(i)

    def noise_of(self, i: int) -> dict[sp.Symbol, sp.Symbol]:
        """The noise that one sample has for itself."""
        return {e: sp.Symbol(f"{e}_{i}", real=True) for e in self.independent}


class MatrixSamples(Samples):
    """The data of a mean, some of them matrices; equal by content.

    Attributes
    ----------
    arrays : tuple of ndarray
        For each symbol n numbers, shape (n,), or matrices, shape (n, p, q).
    """

    arrays: tuple[NDArray[np.float64], ...]

    def __new__(
        cls,
        symbols: Iterable[Any],
        arrays: Iterable[NDArray[np.float64]],
        independent: Iterable[sp.Symbol] = (),
    ) -> MatrixSamples:
        """Data that have been read, see `Mean`."""
        made: MatrixSamples = super().__new__(cls, symbols, (), independent)
        made.arrays = tuple(arrays)
        return made

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return MatrixSamples, (self.symbols, self.arrays, self.independent)

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(b"".join(a.tobytes() for a in self.arrays)).hexdigest()

    def also_own(self, independent: Iterable[sp.Symbol]) -> MatrixSamples:
        """The same data, with further noise of which each sample has a draw of its own."""
        more = [e for e in independent if e not in self.independent]
        return MatrixSamples(self.symbols, self.arrays, (*self.independent, *more))


class Mean(sp.Expr):
    """(1/n) Σ_i f(w, η_i; x_i), a mean over samples.

    Parameters
    ----------
    summand : Expr
        f of one sample, in the symbols of its data.
    data : mapping of Symbol to array
        n numbers for each symbol of one sample; or, for several symbols in a tuple, an array of
        shape (n, number of symbols); or, for a MatrixSymbol, n matrices, shape (n, p, q).
    independent : Symbol or sequence of Symbol
        Noise of which each sample has an independent draw (label noise); all samples share the
        rest (dropout of neurons).

    Raises
    ------
    ProblemError
        If the data are not n ≥ 1 rows of finite numbers, one for each symbol.
    """

    is_commutative = True
    precedence = PRECEDENCE["Mul"]

    def __new__(cls, summand: Any, data: Any, independent: Any = ()) -> sp.Expr:
        """A mean; what does not depend on the sample is its own."""
        inner = sp.sympify(summand)
        samples = data if isinstance(data, Samples) else read_samples(data, independent)
        if inner.free_symbols.isdisjoint((*samples.symbols, *samples.independent)):
            return inner
        return super().__new__(cls, inner, samples)

    @property
    def summand(self) -> sp.Expr:
        """The expression of one sample."""
        return self.args[0]

    @property
    def samples(self) -> Samples:
        """The data."""
        found: Samples = self.args[1]
        return found

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The symbols but those of the data."""
        return set(self.summand.free_symbols) - set(self.samples.symbols)

    @property
    def bound_symbols(self) -> list[sp.Symbol]:
        """The symbols of one sample."""
        return list(self.samples.symbols)

    def over(self, rows: Sequence[int]) -> sp.Expr:
        """The mean over some of the samples, written out."""
        terms = [self.summand.xreplace(self.samples.place(i)) for i in rows]
        return sp.expand_mul(sp.Add(*terms) / len(terms))

    def doit(self, **_: Any) -> sp.Expr:
        """The mean, written out."""
        return self.over(range(len(self.samples)))

    def _eval_derivative(self, symbol: sp.Symbol) -> sp.Expr:
        return Mean(self.summand.diff(symbol), self.samples)

    def _eval_is_extended_real(self) -> bool | None:
        return True

    def _sympystr(self, printer: Any) -> str:
        return f"(1/n) Σ_i [{printer.doprint(self.summand)}]"

    def _latex(self, printer: Any) -> str:
        own = (*self.samples.symbols, *self.samples.independent)
        names = {s: rf"{printer._print(s)}^{{(i)}}" for s in own}
        known = type(printer)._default_settings
        settings = {key: value for key, value in printer._settings.items() if key in known}
        settings["symbol_names"] = settings["symbol_names"] | names
        inner = type(printer)(settings).doprint(self.summand)
        mean = r"\frac{1}{n}\sum_{i=1}^{n} "
        return mean + (rf"\left[{inner}\right]" if self.summand.is_Add else inner)


def gathered(expression: sp.Expr) -> sp.Expr:
    """An expression that is linear in means over the same data as one mean.

    Raises
    ------
    ProblemError
        If the means are over different data, or it is not linear in them.
    """
    means = sorted(expression.atoms(Mean), key=sp.default_sort_key)
    if not means:
        return expression
    samples = joined(mean.samples for mean in means)
    names = {mean: sp.Dummy(real=True) for mean in means}
    outer = expression.xreplace(names)
    slopes = [outer.diff(name) for name in names.values()]
    if any(slope.has(*names.values()) for slope in slopes):
        raise ProblemError(f"loss: expected it to be linear in its means, got {expression}")
    inside = {name: mean.summand for mean, name in names.items()}
    return Mean(outer.xreplace(inside), samples)


def joined(several: Iterable[Samples]) -> Samples:
    """The data that several means share, with the noise of a sample in any of them.

    Raises
    ------
    ProblemError
        If the data differ.
    """
    first, *rest = several
    for samples in rest:
        if not samples.is_of_the_data_of(first):
            raise ProblemError("loss: expected all means to be over the same data")
        first = first.also_own(samples.independent)
    return first


def read_samples(data: Any, independent: Any = ()) -> Samples:
    """Data of a mean as the user gives them, or a `ProblemError`."""
    if not isinstance(data, Mapping) or not data:
        raise ProblemError(f"data: expected {{symbol: numbers, …}}, got {data!r}")
    own = (independent,) if isinstance(independent, sp.Symbol) else tuple(independent)
    if any(isinstance(key, sp.MatrixSymbol) for key in data):
        return MatrixSamples(data, _arrays(data), own)
    symbols: list[sp.Symbol] = []
    columns: list[tuple[float, ...]] = []
    for key, values in data.items():
        names = tuple(key) if isinstance(key, tuple) else (key,)
        rows = _rows(names, values)
        symbols += names
        columns += zip(*rows, strict=True)
    lengths = {len(column) for column in columns}
    if len(lengths) != 1:
        raise ProblemError(
            f"data: expected as many numbers for each symbol, got {sorted(lengths)} of them"
        )
    if not all(isinstance(s, sp.Symbol) for s in symbols) or len(set(symbols)) != len(symbols):
        raise ProblemError(f"data: expected different symbols, got {symbols}")
    return Samples(symbols, tuple(zip(*columns, strict=True)), own)


def _arrays(data: Mapping[Any, Any]) -> list[NDArray[np.float64]]:
    arrays = []
    for key, values in data.items():
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ProblemError(f"data: expected numbers for {key}, got {values!r}") from error
        dimensions = 3 if isinstance(key, sp.MatrixSymbol) else 1
        if array.ndim != dimensions or not len(array) or not np.isfinite(array).all():
            shape = "(n, p, q)" if dimensions == 3 else "(n,)"
            raise ProblemError(
                f"data: expected finite numbers of shape {shape} for {key}, n ≥ 1, got an array "
                f"of shape {array.shape}"
            )
        array.flags.writeable = False
        arrays.append(array)
    if len({len(array) for array in arrays}) != 1:
        lengths = sorted({len(array) for array in arrays})
        raise ProblemError(f"data: expected as many numbers for each symbol, got {lengths} of them")
    return arrays


def _rows(names: Sequence[Any], values: Any) -> Table:
    """One row per sample, with a number for each of the names."""
    what = f"n ≥ 1 rows of {len(names)} numbers" if len(names) > 1 else "n ≥ 1 numbers"
    shown = ", ".join(map(str, names))
    try:
        rows = [tuple(row) if isinstance(row, Iterable) else (row,) for row in values]
        table = tuple(tuple(float(x) for x in row) for row in rows)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"data: expected {what} for {shown}, got {values!r}") from error
    widths = sorted({len(row) for row in table})
    if widths != [len(names)]:
        raise ProblemError(
            f"data: expected {what} for {shown}, got {len(table)} rows of {widths or 'nothing'}"
        )
    if not all(math.isfinite(x) for row in table for x in row):
        raise ProblemError(f"data: expected finite numbers for {shown}, got NaN or infinity")
    return table


def _rational(value: float) -> sp.Rational:
    return sp.Rational(repr(value))
