"""Statements as the text that numba compiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from derive.export.assignments import Assignments, usable_names

from ..errors import CodeGenerationError
from ..random.statements import For, If, Statement

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
RESERVED = ("abs", "lanes", "math", "max", "min", "np", "range", "scipy", "streams", "vm")
"""Names that generated code uses itself."""

UNROLLED_POWER = 64
"""Integer powers up to this size become products."""


class _Printer(PythonCodePrinter):
    """Python text for scalars that numba compiles without a call into the C library if it can."""

    def __init__(self, names: Mapping[sp.Symbol, str]) -> None:
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
    # sympy's printers look for one method per function before the general one.
    setattr(_Printer, f"_print_{_name}", _Printer._print_Function)


def in_numba(statements: Sequence[Statement], depth: int = 0) -> list[str]:
    """Lines of Python, for numba to compile."""
    lines = []
    for statement in statements:
        head, body = _head(statement)
        lines += ["    " * depth + line for line in head]
        lines += in_numba(body, depth + 1)
    return lines


def _head(statement: Statement) -> tuple[list[str], tuple[Statement, ...]]:
    """The first lines of a statement, and what is indented below them."""
    match statement:
        case Assignments():
            printer = _Printer(statement.names)
            pairs = (*statement.shared, *statement.results)
            return [f"{target} = {printer.doprint(value)}" for target, value in pairs], ()
        case For():
            return [f"for {statement.index} in range({statement.over}):"], statement.body
        case If():
            return [f"if {statement.condition}:"], statement.body
    return [statement], ()


def assignments(
    inputs: Sequence[sp.Symbol],
    names: Sequence[str],
    outputs: Sequence[sp.Expr],
    targets: Sequence[str],
) -> Assignments:
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

    Raises
    ------
    CodeGenerationError
        If an output holds a symbol or a function that the code would not know.
    """
    check_expressions(inputs, outputs)
    # Compound bases of powers are written more than once in a product: share them too.
    powers = {p.base for o in outputs for p in o.atoms(sp.Pow) if not p.base.is_Atom}
    bases = sorted(powers, key=sp.default_sort_key)
    return Assignments.of(targets, outputs, dict(zip(inputs, names, strict=True)), bases)


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
    """The symbols' own names where generated code can take them all, else numbered ones."""
    return usable_names(symbols, {*taken, *RESERVED}, prefix)
