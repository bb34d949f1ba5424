"""Expressions typed in a file, read by a parser that builds sympy objects and evaluates nothing.

The text is cut into tokens of a short list first, so that Python's own parser never sees anything
but names, numbers, arithmetic and balanced brackets; then each node of the syntax tree becomes a
`Value`, which carries beside the expression the two measures that bound what it costs to handle:
its size as a tree, and its magnitude.

Grammar: numbers (a decimal is exact, 0.1 is 1/10), names, ``+ - * / **``, brackets, ``x[i]`` and
``A[i, j]`` of declared arrays (indices count from 1), ``sum(expression, i, first, last)``, ``pi``,
and the functions of `FUNCTIONS`.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import sympy as sp

from .errors import ModelFileError

MAX_LENGTH = 20_000
"""Characters of one expression."""

MAX_BRACKETS = 50
"""Depth of nested brackets."""

MAX_DEPTH = 100
"""Depth of nested operations (a sum or product of many terms is one operation)."""

MAX_SIZE = 50_000
"""Nodes of the expression as a tree, named definitions and sums written out."""

MAX_EXPONENT = 64
"""Largest numerical exponent, in absolute value."""

MAX_DIGITS = 100
"""Digits of a number, before or after the decimal point."""

MAX_BITS = 4096
"""Binary digits that an argument of exp, sin and their kin may have in front of its point."""

MAX_ARGUMENTS = 16
"""Arguments of max and min, which sympy compares in pairs."""


@dataclass(frozen=True)
class Value:
    """An expression with the measures that bound the cost of handling it.

    Attributes
    ----------
    expr : Expr
        The expression.
    size : int
        Number of nodes of the tree that was typed.
    bits : float
        Bound on |log₂ |value|| where the symbols are of order one and nothing cancels.
    """

    expr: sp.Expr
    size: int = 1
    bits: float = 1.0


Entry = Value | tuple["Entry", ...]
"""What a name stands for: a value, or an array of entries."""

_FUNCTIONS: dict[str, Callable[..., sp.Expr]] = {
    **{name: getattr(sp, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: getattr(sp, name) for name in ("exp", "log", "sqrt", "sinh", "cosh", "tanh", "erf")},
    "abs": sp.Abs,
    "max": sp.Max,
    "min": sp.Min,
    "relu": lambda x: sp.Max(0, x),
    # (1 + tanh(x/2))/2 is 1/(1 + exp(-x)) without its overflow.
    "sigmoid": lambda x: (1 + sp.tanh(x / 2)) / 2,
    "softplus": lambda x: sp.log(1 + sp.exp(x)),
}
_SPELLINGS = {"Abs": "abs", "Max": "max", "Min": "min", "Sum": "sum"}
_EXPONENTIAL = {"exp", "sinh", "cosh"}
_NEEDS_MODEST_ARGUMENT = _EXPONENTIAL | {"sin", "cos", "tan", "softplus"}
_CONSTANTS = {"pi": Value(sp.pi, bits=2.0)}

FUNCTIONS = (*_FUNCTIONS, "sum")
"""Functions that an expression may call."""

RESERVED = frozenset((*FUNCTIONS, *_SPELLINGS, *_CONSTANTS))
"""Names that no symbol may take."""


def number(text: str | int) -> Value:
    """Exact value of an integer or a decimal literal.

    Raises
    ------
    ModelFileError
        If it is not finite or has more than `MAX_DIGITS` digits.
    """
    try:
        decimal = Decimal(text)
    except InvalidOperation:
        raise ModelFileError(f"expected a number, got {_short(str(text))}") from None
    if not decimal.is_finite():
        raise ModelFileError(f"expected a finite number, got {text}")
    if len(decimal.as_tuple().digits) > MAX_DIGITS or abs(decimal.adjusted()) > MAX_DIGITS:
        raise ModelFileError(f"the number has more than {MAX_DIGITS} digits")
    return _number(sp.Rational(*decimal.as_integer_ratio()))


def symbol(name: str) -> Value:
    """A real symbol of that name."""
    return Value(sp.Symbol(name, real=True))


def parse_expression(text: str, names: Mapping[str, Entry]) -> Value:
    """Read an expression.

    Parameters
    ----------
    text : str
        The expression; it may run over several lines.
    names : mapping of str to Value or nested tuples of Value
        What each name stands for.

    Raises
    ------
    ModelFileError
        With line and column, if the text is not an expression of the grammar above or exceeds one
        of the bounds of this module.
    """
    return _Reader(text, names).read()


class _Reader:
    """Reads one expression; a fresh object each time, for it counts the nodes it visits."""

    def __init__(self, text: str, names: Mapping[str, Entry]) -> None:
        self.text = text
        self.names = dict(names)
        self.steps = 0

    def read(self) -> Value:
        if len(self.text) > MAX_LENGTH:
            self.fail(0, f"expected at most {MAX_LENGTH} characters, got {len(self.text)}")
        self.check_tokens()
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
        value = self.visit(tree.body, 0)
        if value.expr.has(sp.I):
            self.fail(0, "the value is not real: it holds a root or logarithm of a negative number")
        return value

    def fail(self, place: int | ast.expr, reason: str) -> NoReturn:
        if isinstance(place, ast.expr):
            # Python counts columns in bytes of UTF-8; one is the bracket put in front.
            place = len(self.encoded[: place.col_offset].decode()) - 1
        before = self.text[:place]
        position = (before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1)
        raise ModelFileError(reason, position=position) from None

    # -- tokens -------------------------------------------------------------------------------

    def check_tokens(self) -> None:
        """Refuse every text that holds more than names, numbers, arithmetic and brackets."""
        opened: list[str] = []
        previous, end = "", 0
        while (match := _TOKEN.match(self.text, end)) and match.end() > end:
            kind, start, end = match.lastgroup, match.start(), match.end()
            token = match.group()
            if kind == "name":
                self.check_name(start, token, previous)
            elif kind == "number":
                self.located(start, number, token)
            elif token in "([":
                opened.append(token)
                if len(opened) > MAX_BRACKETS:
                    self.fail(start, f"brackets nested deeper than {MAX_BRACKETS}")
            elif token in ")]" and (not opened or opened.pop() + token not in ("()", "[]")):
                self.fail(start, f"{token} closes no bracket")
            previous = kind or ""
        if end < len(self.text):
            self.fail(end, _UNEXPECTED.get(self.text[end], f"unexpected {self.text[end]!r}"))
        if opened:
            self.fail(end, f"{opened[-1]} is never closed")

    def check_name(self, start: int, name: str, previous: str) -> None:
        if previous == "number":
            self.fail(start, f"a name follows a number; write a product as 2*{_short(name)}")
        if keyword.iskeyword(name) or "__" in name:
            self.fail(start, f"{_short(name)} has no place in an expression")

    def located(self, place: int | ast.expr, read: Callable[[str], Value], text: str) -> Value:
        try:
            return read(text)
        except ModelFileError as error:
            self.fail(place, error.reason)

    # -- syntax tree --------------------------------------------------------------------------

    def visit(self, node: ast.expr, depth: int) -> Value:
        self.steps += 1
        if depth > MAX_DEPTH:
            self.fail(node, f"operations nested deeper than {MAX_DEPTH}")
        if self.steps > MAX_SIZE:
            self.fail(node, f"the expression is longer than {MAX_SIZE} operations, written out")
        match node:
            case ast.Constant():
                begin, end = node.col_offset, node.end_col_offset
                return self.located(node, number, self.encoded[begin:end].decode())
            case ast.Name():
                return self.name(node)
            case ast.Subscript():
                return self.element(node, depth)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()) | ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.sum(node, depth)
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return self.product(node, depth)
            case ast.BinOp(op=ast.Pow()):
                return self.power(node, depth)
            case ast.Call(func=ast.Name()):
                return self.call(node, _SPELLINGS.get(node.func.id, node.func.id), depth)
        self.fail(node, _NOT_ALLOWED.get(type(node), "this operation is not among + - * / **"))

    def name(self, node: ast.Name) -> Value:
        entry = self.names.get(node.id) or _CONSTANTS.get(node.id)
        if entry is None:
            known = ", ".join(sorted(self.names)) or "none"
            hint = (
                "write its argument in brackets"
                if node.id in RESERVED
                else (f"known names: {_short(known)}; declare it under `parameters` or [let]")
            )
            self.fail(node, f"unknown name {_short(node.id)}; {hint}")
        if isinstance(entry, tuple):
            self.fail(node, f"{node.id} is an array; name one entry of it, as in {node.id}[1]")
        return entry

    def element(self, node: ast.Subscript, depth: int) -> Value:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        entry = self.names.get(name)
        if not isinstance(entry, tuple):
            self.fail(node, "only an array declared in the file has entries, as in x[1]")
        index = node.slice
        for place in index.elts if isinstance(index, ast.Tuple) else [index]:
            if not isinstance(entry, tuple):
                self.fail(place, f"{name} has fewer indices")
            i = self.integer(place, depth)
            if not 1 <= i <= len(entry):
                self.fail(place, f"index {i} of {name} is not between 1 and {len(entry)}")
            entry = entry[i - 1]
        if isinstance(entry, tuple):
            self.fail(node, f"{name} has more indices, as in {name}[1, 1]")
        return entry

    def sum(self, node: ast.expr, depth: int) -> Value:
        terms = []
        sign = 1
        # Down the left spine in a loop, so that a sum of thousands of terms is one operation.
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            value = self.visit(node.right, depth + 1)
            terms.append(value if isinstance(node.op, ast.Add) else _negative(value))
            node = node.left
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1 if isinstance(node.op, ast.USub) else 1
            node = node.operand
        value = self.visit(node, depth + 1)
        terms.append(value if sign > 0 else _negative(value))
        return self.total(node, terms[::-1])

    def total(self, node: ast.expr, terms: list[Value]) -> Value:
        bits = max((t.bits for t in terms), default=0.0) + math.log2(len(terms) + 1)
        size = 1 + sum(t.size for t in terms)
        self.check_size(node, size)
        return self.checked(node, Value(sp.Add(*(t.expr for t in terms)), size, bits))

    def product(self, node: ast.expr, depth: int) -> Value:
        factors = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            value = self.visit(node.right, depth + 1)
            if isinstance(node.op, ast.Div):
                if value.expr.is_zero:
                    self.fail(node.right, "division by zero")
                value = Value(1 / value.expr, value.size + 1, value.bits)
            factors.append(value)
            node = node.left
        factors.append(self.visit(node, depth + 1))
        size = 1 + sum(f.size for f in factors)
        self.check_size(node, size)
        product = sp.Mul(*(f.expr for f in reversed(factors)))
        return self.checked(node, Value(product, size, sum(f.bits for f in factors)))

    def power(self, node: ast.BinOp, depth: int) -> Value:
        base, exponent = self.visit(node.left, depth + 1), self.visit(node.right, depth + 1)
        size = 1 + base.size + exponent.size
        self.check_size(node, size)
        if exponent.expr.is_Rational:
            self.check_exponent(node.right, exponent.expr)
            bits = base.bits * abs(float(exponent.expr))
        else:
            bits = base.bits * self.exponential_bits(node.right, "**", exponent.bits)
        if base.expr.is_zero and exponent.expr.is_nonnegative is not True:
            self.fail(node, "zero to a power that is not known to be positive")
        return self.checked(node, Value(base.expr**exponent.expr, size, bits))

    def call(self, node: ast.Call, name: str, depth: int) -> Value:
        if name == "sum":
            return self.indexed_sum(node, depth)
        function = _FUNCTIONS.get(name)
        if function is None:
            self.fail(node, f"unknown function {_short(name)}; known: {', '.join(FUNCTIONS)}")
        several = name in ("max", "min")
        if node.keywords or not 1 <= len(node.args) <= (MAX_ARGUMENTS if several else 1):
            expected = f"1 to {MAX_ARGUMENTS} arguments" if several else "one argument"
            self.fail(node, f"{name} takes {expected}, as in {name}(x{', y' if several else ''})")
        arguments = [self.visit(argument, depth + 1) for argument in node.args]
        size = 3 + sum(a.size for a in arguments)
        self.check_size(node, size)
        bits = max(a.bits for a in arguments)
        if name in _NEEDS_MODEST_ARGUMENT:
            growth = self.exponential_bits(node, name, bits)
            bits = growth if name in _EXPONENTIAL else bits
        flattened = sum(
            len(a.expr.args) if a.expr.func in (sp.Max, sp.Min) else 1 for a in arguments
        )
        if flattened > MAX_ARGUMENTS:
            self.fail(node, f"{name} of more than {MAX_ARGUMENTS} values")
        return self.checked(node, Value(function(*(a.expr for a in arguments)), size, bits + 2))

    def indexed_sum(self, node: ast.Call, depth: int) -> Value:
        arguments = list(node.args)
        if len(arguments) == 2 and isinstance(arguments[1], ast.Tuple):
            arguments[1:] = arguments[1].elts
        if node.keywords or len(arguments) != 4 or not isinstance(arguments[1], ast.Name):
            self.fail(node, "expected sum(expression, i, first, last)")
        body, index = arguments[0], arguments[1].id
        if index in self.names or index in RESERVED:
            self.fail(arguments[1], f"{_short(index)} has a meaning already; take another index")
        first, last = self.integer(arguments[2], depth), self.integer(arguments[3], depth)
        terms = []
        for i in range(first, last + 1):
            self.names[index] = _number(sp.Integer(i))
            terms.append(self.visit(body, depth + 1))
        self.names.pop(index, None)
        return self.total(node, terms)

    # -- bounds -------------------------------------------------------------------------------

    def integer(self, node: ast.expr, depth: int) -> int:
        value = self.visit(node, depth + 1).expr
        if not value.is_Integer:
            self.fail(node, f"expected an integer, got {_short(sp.sstr(value))}")
        return int(value)

    def check_size(self, node: ast.expr, size: int) -> None:
        if size > MAX_SIZE:
            self.fail(node, f"the expression is longer than {MAX_SIZE} operations, written out")

    def check_exponent(self, node: ast.expr, exponent: sp.Expr) -> None:
        if abs(exponent) > MAX_EXPONENT:
            self.fail(node, f"the exponent exceeds {MAX_EXPONENT} in absolute value")

    def exponential_bits(self, node: ast.expr, name: str, bits: float) -> float:
        """Bits of exp(x) for an x of so many bits."""
        if bits > MAX_BITS:
            self.fail(node, f"the argument of {name} may grow beyond 2**{MAX_BITS}")
        return 1.5 * 2.0 ** min(bits, 1000.0)

    def checked(self, node: ast.expr, value: Value) -> Value:
        """The value, if sympy's automatic evaluation left it finite and its numbers short."""
        expr = value.expr
        if expr in (sp.nan, sp.zoo, sp.oo, -sp.oo):
            self.fail(node, "the value is not finite")
        if isinstance(expr, sp.Pow) and expr.exp.is_Rational:
            self.check_exponent(node, expr.exp)
        for coefficient in (expr.as_coeff_Mul()[0], expr.as_coeff_Add()[0]):
            if coefficient.is_Rational and _digits(coefficient) > MAX_DIGITS:
                self.fail(node, f"a number of the result has more than {MAX_DIGITS} digits")
        return value


_TOKEN = re.compile(
    r"(?P<blank>[ \t\n]+)|(?P<name>[^\W\d]\w*)|(?P<operator>\*\*|[-+*/,()\[\]])"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
)
_UNEXPECTED = {
    "^": "unexpected '^'; a power is written **",
    ".": "unexpected '.'; an expression has no attributes",
    "=": "unexpected '='; name parts of an expression under [let]",
    "'": "unexpected quote; an expression holds no text",
    '"': "unexpected quote; an expression holds no text",
}
_NOT_ALLOWED: dict[type[ast.expr], str] = {
    ast.Tuple: "expected one expression, got several with commas between them",
    ast.List: "expected one expression, got a list",
    ast.Call: "only functions called by name are allowed, as in sin(x)",
}


def _negative(value: Value) -> Value:
    return Value(-value.expr, value.size + 1, value.bits)


def _number(value: sp.Rational) -> Value:
    return Value(value, bits=float(value.p.bit_length() + value.q.bit_length()))


def _digits(value: sp.Rational) -> float:
    return max(value.p.bit_length(), value.q.bit_length()) * math.log10(2)


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
