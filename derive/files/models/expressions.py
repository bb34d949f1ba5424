"""Expressions typed in a file, read by a parser that builds sympy objects and evaluates nothing.

The text is cut into tokens of a short list first, so that Python's own parser never sees anything
but names, numbers, arithmetic and balanced brackets; then each node of the syntax tree becomes a
`Value`, which carries beside the expression the measures that bound what it costs to handle:
its size and depth as a tree, and its magnitude.

Grammar: numbers (a decimal is exact, 0.1 is 1/10), names, ``+ - * / **``, brackets, ``x[i]`` and
``A[i, j]`` of declared arrays (indices count from 1), ``sum(expression, i, first, last)``, ``pi``,
and the functions of `FUNCTIONS`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import sympy as sp

from .tokens import MAX_DIGITS, check_tokens, fail_at, shorten
from .values import MAX_WORK, Budget, Entry, Value, number

MAX_DEPTH = 60
"""Depth of nested operations, definitions written out; a sum of many terms is one operation."""

MAX_SIZE = 10_000
"""Nodes of one expression as a tree, definitions written out."""

MAX_EXPONENT = 64
"""Largest numerical exponent, in absolute value."""

PARTS = 12
"""Numerical exponents are multiples of 1/12."""

MAX_BITS = 4096
"""Binary digits that an argument of exp, sin and their kin may have in front of its point."""

MAX_ARGUMENTS = 4
"""Arguments of max and min, which sympy compares in pairs."""


_FUNCTIONS: dict[str, Callable[..., sp.Expr]] = {
    **{name: getattr(sp, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: getattr(sp, name) for name in ("exp", "log", "sqrt", "sinh", "cosh", "tanh", "erf")},
    "abs": sp.Abs,
    # Unevaluated, for sympy takes some ten milliseconds to compare two arguments.
    "max": partial(sp.Max, evaluate=False),
    "min": partial(sp.Min, evaluate=False),
    "relu": partial(sp.Max, 0, evaluate=False),
    # (1 + tanh(x/2))/2 is 1/(1 + exp(-x)) without its overflow.
    "sigmoid": lambda x: (1 + sp.tanh(x / 2)) / 2,
    "softplus": lambda x: sp.log(1 + sp.exp(x)),
}
_SPELLINGS = {"Abs": "abs", "Max": "max", "Min": "min", "Sum": "sum"}
_EXPONENTIAL = {"exp", "sinh", "cosh"}
_NEED_MODEST_ARGUMENT = _EXPONENTIAL | {"sin", "cos", "tan", "softplus"}
# What sympy's automatic evaluation costs, in units of an addition.
_PRICES = {"abs": 120, "sqrt": 120, **dict.fromkeys(("asin", "acos", "atan"), 250)}
_CONSTANTS = {"pi": Value(sp.pi, bits=1.7)}

FUNCTIONS = (*_FUNCTIONS, "sum")
"""Functions that an expression may call."""

RESERVED = frozenset((*FUNCTIONS, *_SPELLINGS, *_CONSTANTS))
"""Names that no symbol may take."""


def parse_expression(text: str, names: Mapping[str, Entry], budget: Budget | None = None) -> Value:
    """Read an expression.

    Parameters
    ----------
    text : str
        The expression; it may run over several lines.
    names : mapping of str to Value or nested tuples of Value
        What each name stands for.
    budget : Budget, optional
        What may be spent; a fresh one if not given.

    Raises
    ------
    ModelFileError
        With line and column, if the text is not an expression of the grammar above or exceeds one
        of the bounds of this module.
    """
    return _Reader(text, names, budget or Budget()).read()


class _Reader:
    """Reads one expression."""

    def __init__(self, text: str, names: Mapping[str, Entry], budget: Budget) -> None:
        self.text = text
        self.names = dict(names)
        self.budget = budget
        self.methods: dict[type[ast.AST], Callable[[Any], Value]] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.Subscript: self.element,
            ast.Call: self.call,
            ast.Pow: self.power,
            **dict.fromkeys((ast.Add, ast.Sub, ast.UAdd, ast.USub), self.sum),
            **dict.fromkeys((ast.Mult, ast.Div), self.product),
        }

    def read(self) -> Value:
        check_tokens(self.text)
        # In brackets line breaks and leading blanks mean nothing to Python's parser either.
        source = "(" + self.text.replace("\n", " ") + ")"
        try:
            tree = ast.parse(source, mode="eval")
        except SyntaxError as error:
            offset = min(max((error.offset or 2) - 2, 0), len(self.text))
            self.fail(offset, f"not an expression ({error.msg})")
        except (RecursionError, MemoryError):
            self.fail(0, "too many operations in one expression; name parts of it under [let]")
        self.encoded = source.encode()
        try:
            value = self.visit(tree.body)
        except RecursionError:
            self.fail(0, "nested too deep for symbolic work")
        if value.expr.has(sp.I):
            self.fail(0, "the value is not real")
        return value

    def fail(self, place: int | ast.expr, reason: str) -> NoReturn:
        if isinstance(place, ast.expr):
            # Python counts columns in bytes of UTF-8; one is the bracket put in front.
            place = max(len(self.encoded[: place.col_offset].decode()) - 1, 0)
        fail_at(self.text, place, reason)

    # -- syntax tree --------------------------------------------------------------------------

    def visit(self, node: ast.expr) -> Value:
        self.spend(node, 1)
        kind: type[Any] = type(getattr(node, "op", node))
        if kind not in self.methods:
            self.fail(node, _NOT_ALLOWED.get(kind, "this operation is not among + - * / **"))
        return self.methods[kind](node)

    def constant(self, node: ast.Constant) -> Value:
        literal = self.encoded[node.col_offset : node.end_col_offset].decode()
        return number(literal)

    def name(self, node: ast.Name) -> Value:
        entry = self.names.get(node.id) or _CONSTANTS.get(node.id)
        if isinstance(entry, tuple):
            self.fail(node, f"{node.id} is an array; name one entry of it, as in {node.id}[1]")
        if entry is None and node.id in RESERVED:
            self.fail(node, f"{node.id} is a function; write its argument in brackets")
        if entry is None:
            known = shorten(", ".join(self.names) or "none")
            self.fail(node, f"unknown name {shorten(node.id)}; known: {known}")
        return entry

    def element(self, node: ast.Subscript) -> Value:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        entry = self.names.get(name)
        if not isinstance(entry, tuple):
            self.fail(node, "only an array declared in the file has entries, as in x[1]")
        for place in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            if not isinstance(entry, tuple):
                self.fail(place, f"{name} has fewer indices")
            i = self.integer(place)
            if not 1 <= i <= len(entry):
                self.fail(place, f"index {i} of {name} is not between 1 and {len(entry)}")
            entry = entry[i - 1]
        if isinstance(entry, tuple):
            self.fail(node, f"{name} has more indices, as in {name}[1, 1]")
        return entry

    def sum(self, node: ast.expr) -> Value:
        terms = []
        rest = node
        # Down the left spine in a loop, so that a sum of thousands of terms is one operation.
        while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Add | ast.Sub):
            term = self.visit(rest.right)
            terms.append(term if isinstance(rest.op, ast.Add) else _negative(term))
            rest = rest.left
        if isinstance(rest, ast.UnaryOp):
            term = self.visit(rest.operand)
            terms.append(_negative(term) if isinstance(rest.op, ast.USub) else term)
        else:
            terms.append(self.visit(rest))
        return self.total(node, terms[::-1])

    def total(self, node: ast.expr, terms: list[Value]) -> Value:
        bits = max((t.bits for t in terms), default=0.0) + math.log2(len(terms) + 1)
        return self.build(node, sp.Add, terms, bits)

    def product(self, node: ast.expr) -> Value:
        self.spend(node, 3)
        factors = []
        rest = node
        while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Mult | ast.Div):
            factor = self.visit(rest.right)
            if isinstance(rest.op, ast.Div):
                if factor.expr == 0:
                    self.fail(rest.right, "division by zero")
                factor = replace(factor, expr=1 / factor.expr, size=factor.size + 1)
            factors.append(factor)
            rest = rest.left
        factors.append(self.visit(rest))
        return self.build(node, sp.Mul, factors[::-1], sum(f.bits for f in factors))

    def power(self, node: ast.BinOp) -> Value:
        base, exponent = self.visit(node.left), self.visit(node.right)
        # Sympy splits c**(q + y) into c**q and c**y.
        self.check_exponent(node.right, exponent.expr.as_coeff_Add()[0])
        if exponent.expr.is_Rational:
            self.spend(node, 1 if exponent.expr.is_Integer else _PRICES["sqrt"])
            bits = base.bits * max(abs(float(exponent.expr)), 1.0)
        else:
            bits = base.bits * self.exponential_bits(node.right, "**", exponent.bits)
        if base.expr == 0 and not (exponent.expr.is_Rational and exponent.expr > 0):
            self.fail(node, "zero to a power that is not a positive number")
        if not exponent.expr.is_Integer:
            self.check_root(node, base.expr)
        return self.build(node, sp.Pow, [base, exponent], bits)

    def call(self, node: ast.Call) -> Value:
        called = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        name = _SPELLINGS.get(called, called)
        if name == "sum":
            return self.indexed_sum(node)
        if name not in _FUNCTIONS:
            self.fail(node, f"unknown function {shorten(name)}; known: {', '.join(FUNCTIONS)}")
        most = MAX_ARGUMENTS if name in ("max", "min") else 1
        if node.keywords or not 1 <= len(node.args) <= most:
            expected = "one argument" if most == 1 else f"1 to {most} arguments"
            self.fail(node, f"{name} takes {expected}, got {len(node.args)}")
        self.spend(node, _PRICES.get(name, 20))
        arguments = [self.visit(argument) for argument in node.args]
        if name == "sqrt":
            self.check_root(node, arguments[0].expr)
        if name == "exp":
            # Sympy reads exp(q*log(x)) as x**q.
            for term in sp.Add.make_args(arguments[0].expr):
                if any(isinstance(factor, sp.log) for factor in sp.Mul.make_args(term)):
                    self.check_exponent(node, term.as_coeff_Mul()[0])
        if name == "abs" and not arguments[0].expr.is_extended_real:
            # Here sympy would multiply out the argument with its conjugate.
            self.fail(node, "abs of what may be complex; write sqrt((...)**2)")
        bits = max(a.bits for a in arguments)
        if name in _NEED_MODEST_ARGUMENT:
            growth = self.exponential_bits(node, name, bits)
            bits = growth if name in _EXPONENTIAL else bits
        return self.build(node, _FUNCTIONS[name], arguments, bits + 2)

    def indexed_sum(self, node: ast.Call) -> Value:
        arguments = list(node.args)
        if len(arguments) == 2 and isinstance(arguments[1], ast.Tuple):
            arguments[1:] = arguments[1].elts
        if node.keywords or len(arguments) != 4 or not isinstance(arguments[1], ast.Name):
            self.fail(node, "expected sum(expression, i, first, last)")
        body, index = arguments[0], arguments[1].id
        if index in self.names or index in RESERVED:
            self.fail(arguments[1], f"{shorten(index)} has a meaning already; take another index")
        first, last = self.integer(arguments[2]), self.integer(arguments[3])
        terms = []
        for i in range(first, last + 1):
            self.names[index] = number(i)
            terms.append(self.visit(body))
        self.names.pop(index, None)
        return self.total(node, terms)

    def integer(self, node: ast.expr) -> int:
        value = self.visit(node).expr
        if not value.is_Integer:
            self.fail(node, f"expected an integer, got {shorten(sp.sstr(value))}")
        return int(value)

    # -- bounds -------------------------------------------------------------------------------

    def spend(self, node: ast.expr, work: int) -> None:
        self.budget.left -= work
        if self.budget.left < 0:
            self.fail(node, f"more than {MAX_WORK} operations in this file, sums written out")

    def build(
        self, node: ast.expr, make: Callable[..., sp.Expr], parts: Sequence[Value], bits: float
    ) -> Value:
        """Apply an operation of sympy whose operands, and result, are within the bounds."""
        size = 1 + sum(p.size for p in parts)
        depth = 1 + max((p.depth for p in parts), default=0)
        if size > MAX_SIZE:
            self.fail(node, f"more than {MAX_SIZE} operations, definitions written out")
        if depth > MAX_DEPTH:
            self.fail(node, f"operations nested deeper than {MAX_DEPTH}, definitions written out")
        constant = all(p.constant for p in parts)
        if constant and bits > MAX_BITS:
            self.fail(node, f"a number may grow beyond 2**{MAX_BITS}")
        try:
            expr = make(*(p.expr for p in parts))
            is_real = not constant or expr.is_extended_real is not False
        except (ArithmeticError, TypeError, ValueError):  # what sympy says of complex numbers
            self.fail(node, "sympy cannot compute the value")
        if expr in (sp.nan, sp.zoo, sp.oo, -sp.oo):
            self.fail(node, "the value is not finite")
        if not is_real:
            self.fail(node, "the value is not real")
        if isinstance(expr, sp.Pow) and expr.exp.is_Rational:
            self.check_exponent(node, expr.exp)
        for coefficient in (expr.as_coeff_Mul()[0], expr.as_coeff_Add()[0]):
            if coefficient.is_Rational and _digits(coefficient) > MAX_DIGITS:
                self.fail(node, f"a number in the result has more than {MAX_DIGITS} digits")
        return Value(expr, size, depth, bits, constant)

    def check_exponent(self, node: ast.expr, exponent: sp.Rational) -> None:
        if abs(exponent) > MAX_EXPONENT:
            self.fail(node, f"the exponent exceeds {MAX_EXPONENT} in absolute value")
        if PARTS % exponent.q:
            # Sympy factors numbers for a root, and may run endlessly on the thousandth one.
            self.fail(node, f"expected an exponent that is a multiple of 1/{PARTS}")

    def check_root(self, node: ast.expr, base: sp.Expr) -> None:
        if base.is_Rational and base < 0:
            self.fail(node, "a root of a negative number is not real")
        if isinstance(base, sp.Pow) and not (base.exp.is_Integer or base.base.is_extended_real):
            # Here sympy would look for the branch, which may take for ever.
            self.fail(node, "a root of a power of what may be complex; multiply the exponents")

    def exponential_bits(self, node: ast.expr, name: str, bits: float) -> float:
        """Bits of exp(x) for an x of so many bits."""
        if bits > MAX_BITS:
            self.fail(node, f"the argument of {name} may grow beyond 2**{MAX_BITS}")
        return 1.5 * 2.0 ** min(bits, 1000.0)


_NOT_ALLOWED: dict[type[ast.AST], str] = {
    ast.Tuple: "expected one expression, got several with commas between them",
    ast.List: "expected one expression, got a list",
}


def _negative(value: Value) -> Value:
    return replace(value, expr=-value.expr, size=value.size + 1)


def _digits(number: sp.Rational) -> float:
    return max(number.p.bit_length(), number.q.bit_length()) * math.log10(2)
