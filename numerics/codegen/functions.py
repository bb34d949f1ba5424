"""The code generator: sympy expressions become readable Python modules, compiled by numba.

A generated function takes scalars in a stated order, shares common subexpressions, and keeps the
factored form of what it is given. It lives in a file named by its content (see `modules`), so
numba caches its machine code from one process to the next.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray
from sympy.printing.pycode import PythonCodePrinter

from ..arguments import doubles
from ..errors import ArgumentError, CodeGenerationError
from .cache import load_generated
from .deferred_sigint import compiling_to_the_end

VECTOR_FUNCTIONS = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")
SCALAR_FUNCTIONS = {
    "asin": "math.asin",
    "acos": "math.acos",
    "atan": "math.atan",
    "atan2": "math.atan2",
    "asinh": "math.asinh",
    "acosh": "math.acosh",
    "atanh": "math.atanh",
    "erf": "math.erf",
    "erfc": "math.erfc",
    "gamma": "math.gamma",
    "loggamma": "math.lgamma",
    "floor": "math.floor",
    "ceiling": "math.ceil",
}
UNROLLED_POWER = 64
"""Integer powers up to this size become products."""


class _Printer(PythonCodePrinter):
    """Python text for scalars that numba compiles without a call into the C library if it can."""

    def __init__(self, names: dict[sp.Symbol, str]) -> None:
        super().__init__({"fully_qualified_modules": False, "allow_unknown_functions": True})
        self.names = names

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self.names[expr]

    def _print_Rational(self, expr: sp.Rational) -> str:
        return repr(float(expr))

    def _print_Integer(self, expr: sp.Integer) -> str:
        return repr(float(expr))

    def _print_Float(self, expr: sp.Float) -> str:
        return repr(float(expr))

    def _print_NumberSymbol(self, expr: sp.NumberSymbol) -> str:
        return repr(float(expr))

    _print_Pi = _print_Exp1 = _print_NumberSymbol
    _print_Half = _print_Rational

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.args
        if exponent.is_Rational and exponent.q in {1, 2} and abs(exponent) <= UNROLLED_POWER:
            text = self._product(base, abs(exponent))
            return f"(1.0/{text})" if exponent.is_negative else text
        return f"({self._print(base)})**({self._print(exponent)})"

    def _product(self, base: sp.Expr, exponent: sp.Rational) -> str:
        text = self.parenthesize(base, 100)
        factors = [text] * int(exponent)
        if exponent.q == 2:
            factors.append(f"math.sqrt({self._print(base)})")
        return f"({'*'.join(factors)})" if len(factors) > 1 else factors[0]

    def _print_Function(self, expr: sp.Function) -> str:
        name = type(expr).__name__
        arguments = ", ".join(self._print(a) for a in expr.args)
        if name in VECTOR_FUNCTIONS:
            return f"vm.{name}({arguments})"
        return f"{SCALAR_FUNCTIONS[name]}({arguments})"

    def _print_Abs(self, expr: sp.Abs) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_sign(self, expr: sp.sign) -> str:
        x = self._print(expr.args[0])
        return f"(1.0 if {x} > 0.0 else (-1.0 if {x} < 0.0 else 0.0))"

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        x, at_zero = (self._print(a) for a in expr.args)
        return f"(1.0 if {x} > 0.0 else ({at_zero} if {x} == 0.0 else 0.0))"

    def _print_Max(self, expr: sp.Max) -> str:
        return self._nested("max", expr.args)

    def _print_Min(self, expr: sp.Min) -> str:
        return self._nested("min", expr.args)

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        text = "np.nan"
        for value, condition in reversed(expr.args):
            chosen = self._print(value)
            text = (
                chosen
                if condition == sp.true
                else (f"({chosen} if {self._print(condition)} else {text})")
            )
        return text

    def _nested(self, function: str, arguments: Sequence[sp.Expr]) -> str:
        text = self._print(arguments[0])
        for argument in arguments[1:]:
            text = f"{function}({text}, {self._print(argument)})"
        return text


_OWN = (sp.Abs, sp.sign, sp.Heaviside, sp.Max, sp.Min, sp.Piecewise)
for _name in VECTOR_FUNCTIONS + tuple(SCALAR_FUNCTIONS):
    # sympy's printers look for a method a function before the general one.
    setattr(_Printer, f"_print_{_name}", _Printer._print_Function)


def assignments(
    inputs: Sequence[sp.Symbol],
    names: Sequence[str],
    outputs: Sequence[sp.Expr],
    targets: Sequence[str],
) -> list[str]:
    """Statements that compute `outputs` from scalars, common subexpressions first.

    Parameters
    ----------
    inputs : sequence of Symbol
        Every free symbol of the outputs.
    names : sequence of str
        What the inputs are called in the code, in the same order.
    outputs : sequence of Expr
        Scalar expressions.
    targets : sequence of str
        What is assigned to, one per output.

    Returns
    -------
    list of str
        One statement a line, without indentation; new names are x0, x1, …

    Raises
    ------
    CodeGenerationError
        If an output holds a symbol or a function that the code would not know.
    """
    check_expressions(inputs, outputs)
    taken = set(names)
    fresh = (s for s in sp.numbered_symbols("x", real=True) if str(s) not in taken)
    # Compound bases of powers are written more than once in a product: share them too.
    powers = {p.base for o in outputs for p in o.atoms(sp.Pow) if not p.base.is_Atom}
    bases = sorted(powers, key=sp.default_sort_key)
    shared, reduced = sp.cse([*outputs, *bases], symbols=fresh, order="none", list=True)
    printer = _Printer(dict(zip(inputs, names, strict=True)) | {s: str(s) for s, _ in shared})
    lines = [f"{symbol} = {printer.doprint(value)}" for symbol, value in shared]
    return lines + [
        f"{target} = {printer.doprint(value)}"
        for target, value in zip(targets, reduced, strict=False)
    ]


def check_expressions(inputs: Sequence[sp.Symbol], outputs: Iterable[sp.Expr]) -> None:
    """Refuse what cannot be compiled, by name.

    Raises
    ------
    CodeGenerationError
        If a symbol is not among `inputs`, or a function has no numerical counterpart.
    """
    known = set(inputs)
    for output in outputs:
        stray = sorted(str(s) for s in output.free_symbols - known)
        if stray:
            raise CodeGenerationError(
                f"{', '.join(stray)}: a symbol without a value; bind parameters with "
                f".subs({{...}}) before compiling (inputs are {', '.join(map(str, inputs))})"
            )
        for function in output.atoms(sp.Function):
            name = type(function).__name__
            if not isinstance(function, _OWN) and name not in (
                *VECTOR_FUNCTIONS,
                *SCALAR_FUNCTIONS,
            ):
                raise CodeGenerationError(
                    f"{name}: no code for this function (in {sp.sstr(function)}); supported are "
                    f"{', '.join(sorted((*VECTOR_FUNCTIONS, *SCALAR_FUNCTIONS)))}, sqrt, Abs, "
                    "sign, Heaviside, Max, Min and Piecewise: rewrite it in these"
                )
        if output.has(sp.I, sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise CodeGenerationError(f"{sp.sstr(output)}: not a finite real expression")


def readable_names(
    symbols: Sequence[sp.Symbol], prefix: str, taken: Iterable[str] = ()
) -> list[str]:
    """Choose the symbols' own names where Python can take them, else numbered ones.

    All are numbered (w0, w1, …) if any is not an identifier, duplicated or reserved.
    """
    names = [str(s) for s in symbols]
    reserved = {*taken, "abs", "lanes", "math", "max", "min", "np", "range", "streams", "vm"}
    usable = len(set(names)) == len(names) and all(
        re.fullmatch(r"[A-Za-z_]\w*", n, re.ASCII)
        and not keyword.iskeyword(n)
        and n not in reserved
        for n in names
    )
    return names if usable else [f"{prefix}{i}" for i in range(len(names))]


def content_of(*parts: Any) -> str:
    """Text that two models share only if they are the same, assumptions on symbols included.

    Parts are expressions, numbers, texts, sequences of them, and dataclasses, of which every field
    counts.

    Every subexpression is looked at once, however often it occurs: written out, those of a net
    with many masks fill a hundred megabytes.
    """
    digests: dict[sp.Basic, str] = {}

    def text(part: Any) -> str:
        if part is None or isinstance(part, str | int | float):
            return repr(part)
        if isinstance(part, sp.MatrixBase):
            return text((part.shape, tuple(part)))
        if isinstance(part, (tuple, list)):
            return f"({', '.join(map(text, part))})"
        if is_dataclass(part):
            values = [(field.name, getattr(part, field.name)) for field in fields(part)]
            return f"{type(part).__qualname__}{text(values)}"
        if not isinstance(part, sp.Basic):
            raise CodeGenerationError(
                f"{part!r}: a {type(part).__name__} has no content to tell models apart by; "
                "make it a dataclass"
            )
        if not part.args:
            return sp.srepr(part)
        if part not in digests:
            whole = f"{type(part).__name__}{text(part.args)}"
            digests[part] = hashlib.sha256(whole.encode()).hexdigest()
        return digests[part]

    return text(parts)


def module_header(about: str) -> list[str]:
    """First lines of every generated module: what it is, and imports."""
    return [
        f'"""{about}',
        "",
        "Generated code, named by its content; edits would not be followed.",
        '"""',
        "",
        "import math",
        "",
        "import numpy as np",
        "",
        "from numerics.codegen.kernels import compiled",
        "from numerics.random import elementary_functions as vm",
        "from numerics.random import lanes, streams",
        "",
    ]


@dataclass(frozen=True)
class CompiledFunction:
    """Expressions as a function of points, compiled at the first call.

    Called with `points` of shape (..., n), float64, it returns values of shape (..., *shape).

    Attributes
    ----------
    name : str
        What the function is called in the generated module.
    inputs : tuple of Symbol
        The n coordinates of a point, in order.
    outputs : tuple of Expr
        The values, flattened in row-major order.
    shape : tuple of int
        Shape of the value at one point: () of a scalar, (m,) of a sequence, (r, c) of a matrix.
    """

    name: str
    inputs: tuple[sp.Symbol, ...]
    outputs: tuple[sp.Expr, ...]
    shape: tuple[int, ...]

    @compiling_to_the_end()
    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Values at `points`, shape (..., n), by the compiled code."""
        x, flat = self._flattened(points)
        values = np.empty((len(flat), len(self.outputs)))
        self.batch(flat, values)
        return values.reshape(x.shape[:-1] + self.shape)

    def reference(self, points: ArrayLike) -> NDArray[np.float64]:
        """Values by plain NumPy: short, slower, and what the compiled code is held to."""
        x, flat = self._flattened(points)
        values = np.empty((len(flat), len(self.outputs)))
        for column, value in zip(values.T, self._lambdified(*flat.T), strict=True):
            column[:] = value
        return values.reshape(x.shape[:-1] + self.shape)

    @cached_property
    def source(self) -> str:
        """Text of the generated module."""
        return _function_source(self)

    @cached_property
    def batch(self) -> Callable[[NDArray[np.float64], NDArray[np.float64]], None]:
        """Numba function (points (P, n), values (P, m)) that fills `values`; C-ordered float64."""
        content = content_of(self.inputs, self.outputs, self.shape)
        module = load_generated(self.name, content, lambda: self.source)
        return getattr(module, self.name)

    @cached_property
    def _lambdified(self) -> Callable[..., list[Any]]:
        check_expressions(self.inputs, self.outputs)
        return sp.lambdify(self.inputs, list(self.outputs), modules=["scipy", "numpy"], cse=True)

    def _flattened(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = doubles(self.name, points)
        n = len(self.inputs)
        if x.ndim == 0 or x.shape[-1] != n:
            raise ArgumentError(
                f"{self.name}: expected points of shape (..., {n}), the last axis being "
                f"({', '.join(map(str, self.inputs))}); got shape {x.shape}"
            )
        return x, np.ascontiguousarray(x.reshape(-1, n))

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled code does not travel between processes; the expressions do.
        return CompiledFunction, (self.name, self.inputs, self.outputs, self.shape)


def compile_function(inputs: Sequence[sp.Symbol], outputs: Any, name: str) -> CompiledFunction:
    """Turn expressions into a fast function of many points.

    Parameters
    ----------
    inputs : sequence of Symbol
        Coordinates of a point; every free symbol of the outputs must be among them.
    outputs : Expr, sequence of Expr or matrix
        What to compute at each point.
    name : str
        A Python identifier; it names the function and its file.

    Returns
    -------
    CompiledFunction

    Raises
    ------
    CodeGenerationError
        If an output holds an unknown symbol or a function without code.
    """
    if isinstance(outputs, sp.MatrixBase):
        flat, shape = tuple(outputs), outputs.shape
    elif isinstance(outputs, sp.Expr):
        flat, shape = (outputs,), ()
    else:
        flat = tuple(sp.sympify(o) for o in outputs)
        shape = (len(flat),)
    check_expressions(inputs, flat)
    return CompiledFunction(name, tuple(inputs), flat, shape)


def _function_source(function: CompiledFunction) -> str:
    names = readable_names(function.inputs, "w", {"points", "values", "p", function.name})
    targets = [f"values[p, {i}]" for i in range(len(function.outputs))]
    body = assignments(function.inputs, names, function.outputs, targets)
    order = ", ".join(str(s) for s in function.inputs)
    lines = module_header(f"{function.name}: values of shape {function.shape} at points ({order}).")
    lines += [
        "",
        "@compiled",
        f"def {function.name}(points, values):",
        f'    """Fill the rows of `values` with flattened values of shape {function.shape}.',
        "",
        "    Parameters",
        "    ----------",
        f"    points : float64 array, shape (P, {len(names)})",
        f"        Columns {order}.",
        f"    values : float64 array, shape (P, {len(targets)})",
        '    """',
        "    for p in range(points.shape[0]):",
        *[f"        {name} = points[p, {i}]" for i, name in enumerate(names)],
        *[f"        {statement}" for statement in body],
    ]
    return "\n".join(lines) + "\n"
