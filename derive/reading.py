"""Reading what the user typed, or one error that names the argument and says what was expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import sympy as sp

from .errors import ProblemError
from .symbolic.calculus import INFINITE
from .symbolic.unknown_functions import Unknown, with_unknowns
from .symbols import ScaleSymbol

_TRIALS = sp.symbols("x:4", real=True)
"""Stand for the arguments of a function that is tried out."""

ENDLESS = (sp.MatrixExpr, sp.IndexedBase, sp.Indexed)
"""What gives an entry for any index, and so never ends."""


def exact(expression: Any) -> sp.Expr:
    """Sympify, reading every float as the decimal that was typed, so that zero tests are exact."""
    expression = sp.sympify(expression, strict=True)
    floats = expression.atoms(sp.Float)
    return expression.xreplace({f: sp.Rational(str(f)) for f in floats}) if floats else expression


def read_expression(name: str, given: Any) -> sp.Expr:
    """A finite scalar expression with exact numbers; a `ProblemError` names the argument.

    All its functions can be differentiated and have values.
    """
    try:
        expression = exact(given)
    except (ValueError, TypeError, AttributeError) as error:
        raise ProblemError(f"{name}: expected a sympy expression, got {given!r}") from error
    if not isinstance(expression, sp.Expr) or expression.is_Matrix:
        raise ProblemError(f"{name}: expected a scalar sympy expression, got {given!r}")
    expression = with_unknowns(expression)
    found = parts(expression)
    if sp.I in found:
        raise ProblemError(f"{name}: expected a real expression, got {expression}")
    if not found.isdisjoint(INFINITE):
        raise ProblemError(f"{name}: {expression} is not finite")
    for part in {_trial(part) for part in found}:
        if not _can_be_computed(part):
            raise ProblemError(
                f"{name}: {sp.sstr(part)} has no derivatives and values to compute with; carry "
                "derivatives and integrals out with .doit(), and write other functions with exp, "
                "log, sin, cos, tanh, erf, Abs, Max, Min, Piecewise or the like"
            )
    return expression


def read_expressions(name: str, given: Any) -> tuple[sp.Expr, ...]:
    """A sequence of finite scalar expressions; a `ProblemError` names the argument."""
    if isinstance(given, str | Mapping):
        raise ProblemError(f"{name}: expected a sequence of expressions, got {given!r}")
    return tuple(read_expression(name, entry) for entry in sequence(given, name))


def parts(expression: sp.Basic) -> set[sp.Basic]:
    """The expression and all its parts, each visited once however often it occurs."""
    found = {expression}
    new = [expression]
    while new:
        more = {*new.pop().args} - found
        found |= more
        new.extend(more)
    return found


_UNKNOWN = (
    *(sp.Derivative, sp.Subs, sp.Order, sp.Lambda, sp.Wild, sp.DiracDelta, sp.UnevaluatedExpr),
)


def _trial(part: sp.Basic) -> sp.Basic | None:
    """What has to be tried out for a part: a function of the same symbols for all that varies."""
    if isinstance(part, (*_UNKNOWN, sp.Integral)):
        return part
    if not isinstance(part, sp.Function) or isinstance(part, sp.Piecewise | Unknown):
        return None
    symbols = (x if a.free_symbols else a for x, a in zip(_TRIALS, part.args, strict=False))
    return part.func(*symbols)


def _can_be_computed(part: sp.Basic | None) -> bool:
    if part is None:
        return True
    if isinstance(part, sp.Integral):
        return all(len(bounds) == 3 for bounds in part.limits)
    if isinstance(part, _UNKNOWN):
        return False
    try:
        slopes = [part.diff(x) for x in _TRIALS]
        sp.lambdify(_TRIALS, [part, *slopes], "mpmath")
    except (ValueError, NotImplementedError):
        return False
    return not any(slope.has(sp.Derivative, sp.Subs) for slope in slopes)


def read_matrix(name: str, given: Any, what: str = "a matrix") -> sp.ImmutableMatrix:
    """A matrix of finite expressions; a `ProblemError` names the argument."""
    rows = given.tolist() if isinstance(given, sp.MatrixBase) else given
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise ProblemError(f"{name}: expected {what} of expressions, got {given!r}")
    entries = [
        [read_expression(name, x) for x in sequence(row, name)] for row in sequence(rows, name)
    ]
    if len({len(row) for row in entries}) != 1:
        raise ProblemError(f"{name}: expected rows of one length, got {given!r}")
    return sp.ImmutableMatrix(entries)


def read_symbols(name: str, given: Any, may_be_empty: bool = False) -> tuple[sp.Symbol, ...]:
    """Different symbols that are declared real; a `ProblemError` names the argument."""
    if isinstance(given, str | Mapping):
        raise ProblemError(f"{name}: expected a symbol or a sequence of symbols, got {given!r}")
    symbols = sequence(given, name)
    for s in symbols:
        if not isinstance(s, sp.Symbol):
            raise ProblemError(
                f"{name}: expected symbols, got {s!r} of type {type(s).__name__}; make them with "
                "sp.symbols('...', real=True)"
            )
        if isinstance(s, ScaleSymbol):
            raise ProblemError(
                f"{name}: derive.{s} is reserved for the scales; use a symbol of yours"
            )
        if s.is_real is not True:
            raise ProblemError(
                f"{name}: the symbol {s} is not declared real; write sp.symbols('{s}', real=True)"
            )
    if not symbols and not may_be_empty:
        raise ProblemError(f"{name}: expected at least one symbol, got none")
    doubled = {str(s) for s, count in Counter(symbols).items() if count > 1}
    if doubled:
        raise ProblemError(f"{name}: {', '.join(sorted(doubled))} given more than once")
    return symbols


def holds_matrices(given: Any) -> bool:
    """Whether some of the symbols stand for matrices."""
    several = given if isinstance(given, list | tuple) else (given,)
    return any(isinstance(s, sp.MatrixSymbol) for s in several)


def read_matrices(name: str, given: Any) -> tuple[Any, ...]:
    """Different symbols, of matrices or real numbers; a `ProblemError` names the argument."""
    several = (given,) if isinstance(given, sp.MatrixSymbol) else sequence(given, name)
    numbers = [s for s in several if not isinstance(s, sp.MatrixSymbol)]
    if numbers and name == "weights":
        raise ProblemError(f"weights: expected matrices alone or numbers alone, got {several}")
    read_symbols(name, numbers, may_be_empty=len(numbers) < len(several))
    if len(set(several)) < len(several):
        raise ProblemError(f"{name}: expected different symbols, got {several}")
    return tuple(several)


def read_point(name: str, given: Any, weights: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, ...]:
    """A coordinate for each weight; a `ProblemError` names the argument."""
    if isinstance(given, Mapping):
        missing = set(weights) ^ set(given)
        if missing:
            raise ProblemError(f"{name}: expected a value for each weight; check {names(missing)}")
        given = [given[w] for w in weights]
    elif isinstance(given, str) or not isinstance(given, Iterable):
        raise ProblemError(f"{name}: expected {len(weights)} coordinates, got {given!r}")
    point = tuple(read_expression(name, value) for value in sequence(given, name))
    if len(point) != len(weights):
        raise ProblemError(f"{name}: expected {len(weights)} coordinates, got {len(point)}")
    return point


def refuse_overlap(**groups: tuple[sp.Symbol, ...]) -> None:
    """Refuse a symbol that two of the groups hold; keywords name the arguments."""
    labels = list(groups)
    for i, first in enumerate(labels):
        for second in labels[i + 1 :]:
            common = set(groups[first]) & set(groups[second])
            if common:
                raise ProblemError(
                    f"{first} and {second} share {names(common)}; a symbol has one role"
                )


def refuse_stray(name: str, expression: Any, allowed: set[sp.Symbol]) -> None:
    """Refuse a symbol that is not among those allowed in the argument."""
    stray = expression.free_symbols - allowed
    if not stray:
        return
    twins = {str(s) for s in stray} & {str(s) for s in allowed}
    hint = (
        f"; a symbol of that name with other assumptions is declared, but sympy tells "
        f"Symbol('{min(twins)}') and Symbol('{min(twins)}', real=True) apart: use one object"
        if twins
        else "; declare it in `parameters` or bind it to a number"
    )
    raise ProblemError(
        f"{name}: {names(stray)} is neither a weight, a noise symbol nor a parameter{hint}"
    )


def names(symbols: Iterable[Any]) -> str:
    """Names in alphabetical order, for a message."""
    return ", ".join(sorted(str(s) for s in symbols))


def sequence(given: Any, name: str) -> tuple[Any, ...]:
    """Several items, or one as a tuple; a `ProblemError` for what has no order, or no end."""
    if isinstance(given, AbstractSet):
        raise ProblemError(f"{name}: a set has no order, got {given!r}; give a list or a tuple")
    if isinstance(given, ENDLESS) and not isinstance(given, sp.MatrixBase):
        raise ProblemError(
            f"{name}: expected symbols or expressions, got {given} of type "
            f"{type(given).__name__}, whose entries have no end; give them one by one, made with "
            "sp.symbols('w1:4', real=True), or derive for any number of them with general_limit"
        )
    if isinstance(given, str):
        return (given,)
    try:
        return tuple(given)
    except TypeError:
        return (given,)
