"""Expressions as straight-line programs: values and derivatives at a point, to any precision.

Each distinct subexpression is one instruction, so that the cost follows the number of distinct
operations; a gradient costs a few evaluations, by reverse accumulation, and no derivative is
written down. Compiling is one pass over the expressions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import prod
from typing import Any

import mpmath
import sympy as sp

from ..calculus import Occurrence
from ..unknown_functions import Unknown
from .linear import dot

Derivative = Callable[[Any, Any, Any], Any]
"""(arithmetic, x, f(x)) ↦ f'(x)."""

FUNCTIONS: dict[type[sp.Basic], tuple[str, Derivative]] = {
    sp.exp: ("exp", lambda m, x, y: y),
    sp.log: ("ln", lambda m, x, y: 1 / x),
    sp.sin: ("sin", lambda m, x, y: m.cos(x)),
    sp.cos: ("cos", lambda m, x, y: -m.sin(x)),
    sp.tan: ("tan", lambda m, x, y: 1 + y * y),
    sp.asin: ("asin", lambda m, x, y: 1 / m.sqrt(1 - x * x)),
    sp.acos: ("acos", lambda m, x, y: -1 / m.sqrt(1 - x * x)),
    sp.atan: ("atan", lambda m, x, y: 1 / (1 + x * x)),
    sp.sinh: ("sinh", lambda m, x, y: m.cosh(x)),
    sp.cosh: ("cosh", lambda m, x, y: m.sinh(x)),
    sp.tanh: ("tanh", lambda m, x, y: 1 - y * y),
    sp.Abs: ("fabs", lambda m, x, y: m.sign(x)),
}
"""mpmath's name and the derivative of the functions that have an instruction of their own."""


def _away_from_the_kink(x: Any, *order: Any) -> Any:
    """Dirac's δ where a derivative of a piecewise smooth function is asked for."""
    if x == 0:
        raise ZeroDivisionError("no derivative at a kink")
    return 0


MODULES = [{"DiracDelta": _away_from_the_kink}, "mpmath"]


class Program:
    """Expressions compiled for evaluation at points.

    Parameters
    ----------
    symbols : sequence of Symbol
        What a point gives values to.
    expressions : iterable of Expr
        The outputs.
    """

    def __init__(self, symbols: Sequence[sp.Symbol], expressions: Iterable[sp.Expr]) -> None:
        self._symbols = tuple(symbols)
        self._places: dict[sp.Basic, int] = {s: k for k, s in enumerate(self._symbols)}
        self._occurrence = Occurrence(self._symbols)
        self._instructions: list[_Instruction] = []
        self._outputs = [self._place(sp.sympify(e)) for e in expressions]

    def __len__(self) -> int:
        """Number of distinct operations."""
        return len(self._instructions)

    def value(self, point: Sequence[Any], arithmetic: Any = mpmath.mp) -> list[Any]:
        """Values of the expressions.

        Parameters
        ----------
        point : sequence
            A number for each symbol.
        arithmetic : mpmath.mp or mpmath.fp
            Numbers of mpmath's working precision, or floats.
        """
        values = self._run(point, arithmetic)
        return [values[k] for k in self._outputs]

    def jacobian(
        self, point: Sequence[Any], columns: int, arithmetic: Any = mpmath.mp
    ) -> list[list[Any]]:
        """Derivatives of each expression, a row each, in the first `columns` symbols."""
        values = self._run(point, arithmetic)
        return [
            self._pull([output], needed, values, columns, arithmetic)
            for output, needed in zip(self._outputs, self._needed, strict=True)
        ]

    def gradient(
        self, point: Sequence[Any], columns: int, arithmetic: Any = mpmath.mp
    ) -> list[Any]:
        """Derivatives of the sum of the expressions in the first `columns` symbols."""
        values, inputs = self._run(point, arithmetic), len(self._symbols)
        everything = range(inputs + len(self) - 1, inputs - 1, -1)
        return self._pull(self._outputs, everything, values, columns, arithmetic)

    def _pull(
        self,
        outputs: Sequence[int],
        places: Iterable[int],
        values: Sequence[Any],
        columns: int,
        arithmetic: Any,
    ) -> list[Any]:
        """Reverse accumulation from some outputs through places, the last first."""
        inputs, zero = len(self._symbols), arithmetic.mpf(0)
        adjoint: dict[int, Any] = {}
        for output in outputs:
            adjoint[output] = adjoint.get(output, zero) + 1
        for k in places:
            carried = adjoint.pop(k)
            slopes = self._instructions[k - inputs].slopes(values[k], values, arithmetic)
            for argument, slope in slopes:
                pushed = carried * slope
                before = adjoint.get(argument)
                adjoint[argument] = pushed if before is None else before + pushed
        return [adjoint.get(k, zero) for k in range(columns)]

    def _run(self, point: Sequence[Any], arithmetic: Any) -> list[Any]:
        values = [arithmetic.convert(x) for x in point]
        for instruction in self._instructions:
            values.append(instruction.value(values, arithmetic))
        return values

    @cached_property
    def _needed(self) -> list[list[int]]:
        """Instructions that each output depends on, the last first."""
        return [self._below(output) for output in self._outputs]

    def _below(self, output: int) -> list[int]:
        inputs = len(self._symbols)
        found: set[int] = set()
        open_places = [output]
        while open_places:
            k = open_places.pop()
            if k >= inputs and k not in found:
                found.add(k)
                open_places += self._instructions[k - inputs].arguments
        return sorted(found, reverse=True)

    # Compiling ------------------------------------------------------------------------------

    def _place(self, expression: sp.Expr) -> int:
        """Where the value of an expression stands, compiled when first met."""
        found = self._places.get(expression)
        if found is None:
            instruction = self._compile(expression)
            found = len(self._symbols) + len(self._instructions)
            self._instructions.append(instruction)
            self._places[expression] = found
        return found

    def _compile(self, expression: sp.Expr) -> _Instruction:
        if isinstance(expression, Unknown):
            return _Linear((self._place(expression.instance()),), [sp.S.Zero, sp.S.One])
        if not self._occurrence(expression):
            return _Linear((), [expression])
        if expression.is_Add or expression.is_Mul:
            return self._arithmetic(expression)
        if isinstance(expression, sp.Pow):
            return self._power(*expression.as_base_exp())
        if type(expression) in FUNCTIONS and len(expression.args) == 1:
            return self._function(expression)
        return self._opaque(expression)

    def _arithmetic(self, expression: sp.Expr) -> _Instruction:
        if expression.is_Add:
            return self._linear(*expression.as_coeff_Add())
        factor, rest = expression.as_coeff_Mul()
        if factor != 1:
            return self._linear(sp.S.Zero, expression)
        return _Product(tuple(self._place(f) for f in rest.args))

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> _Instruction:
        if exponent.is_Rational:
            return _Power((self._place(base),), exponent)
        logarithm = sp.log(base, evaluate=False)
        return self._function(sp.exp(exponent * logarithm, evaluate=False))

    def _linear(self, constant: sp.Expr, rest: sp.Expr) -> _Linear:
        terms = [term.as_coeff_Mul() for term in sp.Add.make_args(rest)]
        places = tuple(self._place(term) for _, term in terms)
        return _Linear(places, [constant, *(factor for factor, _ in terms)])

    def _function(self, expression: sp.Expr) -> _Function:
        return _Function((self._place(expression.args[0]),), *FUNCTIONS[type(expression)])

    def _opaque(self, expression: sp.Expr) -> _Opaque:
        """An operation without an instruction of its own, by way of sympy's printer."""
        parts = [part for part in expression.args if self._occurrence(part)]
        if not all(isinstance(part, sp.Expr) for part in parts):
            parts = sorted(expression.free_symbols, key=str)
        names = [sp.Dummy(real=True) for _ in parts]
        shape = expression.xreplace(dict(zip(parts, names, strict=True)))
        return _Opaque(tuple(self._place(part) for part in parts), names, shape)


def _number(exact: sp.Expr, arithmetic: Any) -> Any:
    """An exact number in mpmath's working precision, or as a float."""
    if arithmetic is mpmath.fp:
        return float(exact)
    if exact.is_Rational:
        return arithmetic.mpf(exact.p) / exact.q
    return arithmetic.convert(exact.evalf(arithmetic.dps + 5))


class _Instruction(ABC):
    """One operation on values that stand at the places `arguments`."""

    arguments: tuple[int, ...]

    @abstractmethod
    def value(self, values: Sequence[Any], arithmetic: Any) -> Any:
        """Result of the operation."""

    @abstractmethod
    def slopes(
        self, result: Any, values: Sequence[Any], arithmetic: Any
    ) -> Iterable[tuple[int, Any]]:
        """(place, derivative) for each argument."""


class _Linear(_Instruction):
    """c₀ + Σ_i c_i x_i."""

    def __init__(self, arguments: tuple[int, ...], factors: Sequence[sp.Expr]) -> None:
        self.arguments = arguments
        self._exact = factors
        self._known: dict[int, list[Any]] = {}

    def value(self, values: Sequence[Any], arithmetic: Any) -> Any:
        constant, *factors = self._factors(arithmetic)
        return constant + dot(factors, [values[k] for k in self.arguments], arithmetic)

    def slopes(
        self, result: Any, values: Sequence[Any], arithmetic: Any
    ) -> Iterable[tuple[int, Any]]:
        return zip(self.arguments, self._factors(arithmetic)[1:], strict=True)

    def _factors(self, arithmetic: Any) -> list[Any]:
        """c₀, c₁, …, converted once for each precision."""
        found = self._known.get(arithmetic.prec)
        if found is None:
            found = [_number(c, arithmetic) for c in self._exact]
            self._known[arithmetic.prec] = found
        return found


class _Product(_Instruction):
    """Π_i x_i."""

    def __init__(self, arguments: tuple[int, ...]) -> None:
        self.arguments = arguments

    def value(self, values: Sequence[Any], arithmetic: Any) -> Any:
        return prod((values[k] for k in self.arguments), start=arithmetic.mpf(1))

    def slopes(
        self, result: Any, values: Sequence[Any], arithmetic: Any
    ) -> Iterable[tuple[int, Any]]:
        factors = [values[k] for k in self.arguments]
        for i, k in enumerate(self.arguments):
            yield k, prod(factors[:i] + factors[i + 1 :], start=arithmetic.mpf(1))


class _Power(_Instruction):
    """x^q with a rational q."""

    def __init__(self, arguments: tuple[int, ...], exponent: sp.Rational) -> None:
        self.arguments = arguments
        self._exponent = exponent

    def value(self, values: Sequence[Any], arithmetic: Any) -> Any:
        return _power(values[self.arguments[0]], self._exponent, arithmetic)

    def slopes(
        self, result: Any, values: Sequence[Any], arithmetic: Any
    ) -> Iterable[tuple[int, Any]]:
        q = self._exponent
        slope = _power(values[self.arguments[0]], q - 1, arithmetic) * int(q.p) / int(q.q)
        return ((self.arguments[0], slope),)


def _power(base: Any, exponent: sp.Rational, arithmetic: Any) -> Any:
    if exponent.q == 1:
        return base ** int(exponent.p)
    if exponent.q == 2:
        return arithmetic.sqrt(base) ** int(exponent.p)
    return arithmetic.power(base, arithmetic.mpf(exponent.p) / exponent.q)


class _Function(_Instruction):
    """f(x) for a function that mpmath knows."""

    def __init__(self, arguments: tuple[int, ...], name: str, derivative: Derivative) -> None:
        self.arguments = arguments
        self._name = name
        self._derivative = derivative

    def value(self, values: Sequence[Any], arithmetic: Any) -> Any:
        return getattr(arithmetic, self._name)(values[self.arguments[0]])

    def slopes(
        self, result: Any, values: Sequence[Any], arithmetic: Any
    ) -> Iterable[tuple[int, Any]]:
        k = self.arguments[0]
        return ((k, self._derivative(arithmetic, values[k], result)),)


class _Opaque(_Instruction):
    """Any other operation, as sympy prints it for mpmath."""

    def __init__(
        self, arguments: tuple[int, ...], names: Sequence[sp.Symbol], shape: sp.Expr
    ) -> None:
        self.arguments = arguments
        self._names = names
        self._shape = shape

    @cached_property
    def _value(self) -> Callable[..., Any]:
        return sp.lambdify(self._names, self._shape, modules=MODULES)

    @cached_property
    def _slopes(self) -> Callable[..., Any]:
        slopes = [self._shape.diff(name) for name in self._names]
        return sp.lambdify(self._names, slopes, modules=MODULES)

    def value(self, values: Sequence[Any], arithmetic: Any) -> Any:
        return arithmetic.convert(self._value(*(values[k] for k in self.arguments)))

    def slopes(
        self, result: Any, values: Sequence[Any], arithmetic: Any
    ) -> Iterable[tuple[int, Any]]:
        slopes = self._slopes(*(values[k] for k in self.arguments))
        return zip(self.arguments, map(arithmetic.convert, slopes), strict=True)
