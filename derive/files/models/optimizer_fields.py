"""The optimizer in a model file: a name, or a table with the optimizer's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from ...optimizers.composites import Composite
from ...optimizers.optimizer import Optimizer, known_optimizers
from ...symbols import alpha, sigma
from .fields import Field, located
from .law_fields import expression, read_law, square
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
    if depth > DEEPEST:
        field.fail(f"expected at most {DEEPEST} optimizers built of one another")
    known = known_optimizers()
    name, keys = field.named("an optimizer", known)
    field.check_arguments(known[name], keys)
    scope: dict[str, Entry] = {**SCALES, **names}
    values: dict[str, Any] = {}
    for key in keys.keys() & DECLARED.keys():
        values[key] = _declared(keys.pop(key), scope, DECLARED[key])
    for key, given in keys.items():
        if key == "inner" and issubclass(known[name], Composite):
            values[key] = read_optimizer(given, names, depth + 1)
        else:
            values[key] = _ARGUMENTS.get(key, expression)(given, scope)
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


def _vector(field: Field, names: Mapping[str, Entry]) -> list[sp.Expr]:
    return [entry.expr for entry in field.vector(names)]


def _count(field: Field, names: Mapping[str, Entry]) -> int:
    return field.integer(1)


def _word(field: Field, names: Mapping[str, Entry]) -> str:
    return field.text("a word")


_ARGUMENTS: dict[str, Callable[[Field, Mapping[str, Entry]], Any]] = {
    "matrix": square,
    "of": _vector,
    "window": _word,
    "count": _count,
    "steps": _count,
    "workers": _count,
    "directions": lambda field, names: read_law(field, names, grouped=True),
}
