"""Results in plain JSON and back: a list of known types, and a table of expressions.

A value is null, a number, a text, a list, or an object whose only key says what it is:

    {"expression": 7}                   entry 7 of the table
    {"matrix": [[7, 8], [8, 9]]}        rows of entries of the table
    {"number": ["-1234", "-170"]}       the binary number -1234 · 2^-170
    {"map": [[key, value], …]}          a mapping
    {"Outcome": "diffusive"}            a member of an enumeration
    {"Chart": {"coordinates": …, …}}    an object with its fields

An entry of the table is a list: ["symbol", name, assumptions], ["scale", "alpha"],
["rational", numerator, denominator], ["pi"], ["E"], ["samples", symbols, table, independent],
["matrix", name, rows, columns], ["matrices", symbols, arrays, independent], or an operation such as
["Add", 3, 5] with the earlier entries that it is applied to. Reading it puts the same expressions
together again, without evaluating or executing anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from typing import Any

import mpmath
import sympy as sp
from mpmath.libmp import from_man_exp

from ..errors import SavedFileError
from ..matrices.objective import SampleMean
from ..symbolic.means import MatrixSamples, Mean, Samples, read_samples
from ..symbols import ScaleSymbol, alpha, sigma

FUNCTIONS: dict[str, Callable[..., sp.Expr]] = {
    f.__name__: f
    for f in (
        *(sp.Add, sp.Mul, sp.Pow, sp.exp, sp.log, sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside),
        *(sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.asin, sp.acos, sp.atan, sp.atan2),
        *(sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch, sp.asinh, sp.acosh, sp.atanh),
        *(sp.erf, sp.erfc, sp.gamma, sp.loggamma, sp.digamma, sp.polygamma),
        *(sp.floor, sp.ceiling),
    )
}
MATRIX_OPERATIONS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        *(sp.Trace, sp.MatAdd, sp.MatMul, sp.MatPow, sp.Transpose, sp.HadamardProduct),
        SampleMean,
    )
}
CONSTANTS = {"pi": sp.pi, "E": sp.E}
SCALES = {"alpha": alpha, "sigma": sigma}

Types = Mapping[str, Callable[..., Any]]


class Encoder:
    """Turns values into JSON, collecting their expressions in `table`.

    Parameters
    ----------
    types : mapping of str to type
        The dataclasses and enumerations that may occur, by name.
    """

    def __init__(self, types: Types) -> None:
        self._types = types
        self._places: dict[sp.Basic, int] = {}
        self.table: list[list[Any]] = []

    def encode(self, value: Any) -> Any:
        """JSON of a value.

        Raises
        ------
        SavedFileError
            If it holds something that the format has no word for.
        """
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, tuple | list):
            return [self.encode(x) for x in value]
        if isinstance(value, Mapping):
            return {"map": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        if isinstance(value, mpmath.mpf):
            sign, mantissa, exponent, _ = value._mpf_
            return {"number": [str(-mantissa if sign else mantissa), str(exponent)]}
        if isinstance(value, sp.MatrixBase):
            return {"matrix": [[self._place(x) for x in row] for row in value.tolist()]}
        return self.known(value)

    def known(self, value: Any) -> Any:
        """JSON of an expression, or of an object of a known type."""
        if isinstance(value, sp.Basic):
            return {"expression": self._place(value)}
        name = type(value).__name__
        if self._types.get(name) is not type(value):
            raise SavedFileError(f"cannot be saved: it holds a {name}, which the format lacks")
        if isinstance(value, Enum):
            return {name: value.value}
        assert is_dataclass(value)
        return {
            name: {f.name: self.encode(getattr(value, f.name)) for f in fields(value) if f.init}
        }

    def _place(self, expression: sp.Basic) -> int:
        if expression not in self._places:
            entry = self._entry(expression)
            self._places[expression] = len(self.table)
            self.table.append(entry)
        return self._places[expression]

    def _entry(self, expression: sp.Basic) -> list[Any]:
        atom = self._atom(expression)
        if atom is not None:
            return atom
        name = type(expression).__name__
        known = MATRIX_OPERATIONS.get(name, FUNCTIONS.get(name))
        if known is not type(expression) and not isinstance(expression, Mean):
            raise SavedFileError(
                f"cannot be saved: {expression} is not made of numbers, symbols and the functions "
                f"{', '.join(FUNCTIONS)}"
            )
        return [name, *map(self._place, expression.args)]

    def _atom(self, expression: sp.Basic) -> list[Any] | None:
        match expression:
            case ScaleSymbol():
                return ["scale", expression.name]
            case sp.MatrixSymbol():
                return ["matrix", expression.name, *map(self._place, expression.shape)]
            case Samples():
                return self._samples(expression)
            case sp.Rational():
                return ["rational", str(expression.p), str(expression.q)]
        if type(expression) is sp.Symbol:
            return ["symbol", expression.name, dict(expression.assumptions0)]
        return next(([name] for name, known in CONSTANTS.items() if expression == known), None)

    def _samples(self, samples: Samples) -> list[Any]:
        symbols, own = (
            list(map(self._place, which)) for which in (samples.symbols, samples.independent)
        )
        if isinstance(samples, MatrixSamples):
            return ["matrices", symbols, [a.tolist() for a in samples.arrays], own]
        return ["samples", symbols, samples.table, own]


class Decoder:
    """Turns JSON back into values; raises what Python raises where it is malformed.

    Parameters
    ----------
    types : mapping of str to type
        As for `Encoder`.
    table : list of entries
        The expressions.
    """

    def __init__(self, types: Types, table: Iterable[list[Any]]) -> None:
        self._types = types
        self._expressions: list[sp.Expr] = []
        self._readers: dict[str, Callable[[Any], Any]] = {
            "expression": self._at,
            "matrix": self._matrix,
            "number": _binary,
            "map": self._map,
        }
        for entry in table:
            self._expressions.append(self._expression(*entry))

    def decode(self, value: Any) -> Any:
        """The value that was encoded."""
        if isinstance(value, list):
            return tuple(map(self.decode, value))
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        return self._readers.get(kind, partial(self.known, kind))(content)

    def known(self, kind: str, content: Any) -> Any:
        """An object of a known type."""
        make = self._types[kind]
        if isinstance(content, dict):
            return make(**{name: self.decode(value) for name, value in content.items()})
        return make(content)

    def _matrix(self, rows: Any) -> sp.ImmutableMatrix:
        return sp.ImmutableMatrix([[self._at(place) for place in row] for row in rows])

    def _map(self, pairs: Any) -> dict[Any, Any]:
        return {self.decode(key): self.decode(value) for key, value in pairs}

    def _at(self, place: Any) -> sp.Expr:
        if not isinstance(place, int) or place < 0:
            raise IndexError(f"expression {place} does not exist")
        return self._expressions[place]

    def _expression(self, head: str, *arguments: Any) -> sp.Expr:
        atom = self._atoms.get(head)
        if atom is not None:
            return atom(*arguments)
        if head in MATRIX_OPERATIONS:
            return MATRIX_OPERATIONS[head](*map(self._at, arguments))
        return FUNCTIONS[head](*map(self._at, arguments), evaluate=False)

    @property
    def _atoms(self) -> dict[str, Callable[..., sp.Expr]]:
        return {
            "symbol": lambda name, assumptions: sp.Symbol(name, **assumptions),
            "scale": SCALES.__getitem__,
            "rational": lambda p, q: sp.Rational(int(p), int(q)),
            "samples": self._samples,
            "matrix": lambda name, *shape: sp.MatrixSymbol(name, *map(self._at, shape)),
            "matrices": self._matrices,
            "Mean": lambda *parts: Mean(*map(self._at, parts)),
            **{name: partial(_same, constant) for name, constant in CONSTANTS.items()},
        }

    def _samples(self, symbols: Any, table: Any, own: Any) -> Samples:
        rows = tuple(tuple(map(float, row)) for row in table)
        return Samples(map(self._at, symbols), rows, map(self._at, own))

    def _matrices(self, symbols: Any, arrays: Any, own: Any) -> MatrixSamples:
        names = [self._at(place) for place in symbols]
        given = dict(zip(names, arrays, strict=True))
        return read_samples(given, [self._at(place) for place in own])


def _same(value: Any) -> Any:
    return value


def _binary(parts: Any) -> mpmath.mpf:
    mantissa, exponent = map(int, parts)
    return mpmath.mp.make_mpf(from_man_exp(mantissa, exponent))
