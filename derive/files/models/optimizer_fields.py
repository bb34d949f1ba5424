"""The optimizer in a model file: a name, or a table with the optimizer's arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from ...optimizers.composites import Composite
from ...optimizers.optimizer import Optimizer, known_optimizers
from ...symbols import alpha, sigma
from .fields import Field, located
from .law_fields import read_law
from .tokens import shorten
from .values import Entry, Value

SCALES = {"alpha": Value(alpha), "sigma": Value(sigma)}
"""What expressions of an optimizer, or of an update rule, may hold beside the names of the file."""

DEEPEST = 5
"""Optimizers built of one another."""

DECLARED = {"gradient": {"real": True}, "averages": {"positive": True}}
"""Arguments that declare symbols for the other arguments, with what is assumed of these."""


def read_optimizer(field: Field, names: Mapping[str, Entry], depth: int = 1) -> Optimizer:
    """Optimizer stated by a field.

    Parameters
    ----------
    field : Field
        A name of an optimizer, or a table with `name` and its arguments.
    names : mapping
        What each name in an expression stands for.
    depth : int
        How many optimizers are built of it, counting itself.

    Raises
    ------
    ModelFileError
        If there is no such optimizer, or its arguments do not fit.
    """
    if not isinstance(field.value, str | Mapping):
        field.expected("the name of an optimizer, or a table")
    if depth > DEEPEST:
        field.fail(f"expected at most {DEEPEST} optimizers built of one another")
    keys = {"name": field} if isinstance(field.value, str) else field.items()
    known = known_optimizers()
    if "name" not in keys:
        field.fail(f"the key 'name' is missing; expected one of {', '.join(known)}")
    name = keys.pop("name").text("the name of an optimizer")
    if name not in known:
        field.fail(f"expected one of {', '.join(known)}, got {shorten(name)!r}")
    arguments = {argument.name: argument for argument in dataclasses.fields(known[name])}
    for key in keys.keys() - arguments.keys():
        field.fail(f"{name} takes no {key!r}; it takes {', '.join(arguments) or 'no arguments'}")
    for key, argument in arguments.items():
        required = (argument.default, argument.default_factory)
        if key not in keys and required == (dataclasses.MISSING, dataclasses.MISSING):
            field.fail(f"the key {key!r} is missing, which {name} needs")
    scope: dict[str, Entry] = {**SCALES, **names}
    values: dict[str, Any] = {}
    for key in keys.keys() & DECLARED.keys():
        values[key] = _declared(keys.pop(key), scope, DECLARED[key])
    for key, given in keys.items():
        if key == "inner" and issubclass(known[name], Composite):
            values[key] = read_optimizer(given, names, depth + 1)
        else:
            values[key] = _ARGUMENTS.get(key, _expression)(given, scope)
    with located(field):
        return known[name](**values)


def _declared(
    field: Field, scope: dict[str, Entry], assumptions: Mapping[str, bool]
) -> tuple[sp.Symbol, ...]:
    """Symbols of a list of names, which the scope has from now on."""
    symbols = []
    for name, entry in field.names().items():
        if not isinstance(entry, Value):
            field.fail("expected names, not arrays")
        symbols.append(sp.Symbol(name, **assumptions))
        field.add_name(scope, name, Value(symbols[-1], constant=False))
    return tuple(symbols)


def _expression(field: Field, names: Mapping[str, Entry]) -> sp.Expr:
    return field.expression(names).expr


def _rows(field: Field, names: Mapping[str, Entry]) -> list[list[sp.Expr]]:
    rows = [[entry.expr for entry in row.vector(names)] for row in field.elements("a list of rows")]
    if not rows or any(len(row) != len(rows) for row in rows):
        field.fail("expected a square matrix, as a list of rows of the same length")
    return rows


def _vector(field: Field, names: Mapping[str, Entry]) -> list[sp.Expr]:
    return [entry.expr for entry in field.vector(names)]


def _count(field: Field, names: Mapping[str, Entry]) -> int:
    return field.integer(1)


def _word(field: Field, names: Mapping[str, Entry]) -> str:
    return field.text("a word")


_ARGUMENTS: dict[str, Callable[[Field, Mapping[str, Entry]], Any]] = {
    "matrix": _rows,
    "of": _vector,
    "window": _word,
    "count": _count,
    "steps": _count,
    "workers": _count,
    "directions": lambda field, names: read_law(field, names, grouped=True),
}
