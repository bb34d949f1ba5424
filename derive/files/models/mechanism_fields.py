"""A mechanism of the catalogue in a model file: its name, or a table with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ...mechanisms import Setting
from ...model.problem import NoisyGradientDescent
from .fields import Field, located
from .values import MAX_WORK, Entry, Value

Mechanism = Callable[..., NoisyGradientDescent]
"""Takes the arguments of the table, and the other keys of the model, by name."""


def read_mechanism(
    field: Field,
    given: Mapping[str, Any],
    names: Mapping[str, Entry],
    mechanisms: Mapping[str, Mechanism],
) -> NoisyGradientDescent:
    """Problem made by a mechanism.

    Parameters
    ----------
    field : Field
        A name of a mechanism, or a table with `name` and its arguments: true or false, expressions,
        names of arrays, and lists of these; `inputs` is a list of new names.
    given : mapping
        What the other keys of the file say.
    names : mapping
        What each name in an expression stands for.
    mechanisms : mapping of str to callable
        The mechanisms there are.

    Raises
    ------
    ModelFileError
        If there is no such mechanism, or its arguments do not fit.
    """
    name, table = field.named("a mechanism", mechanisms)
    if table.keys() & given.keys():
        field.fail(f"{min(table.keys() & given.keys())!r} stands in the table and outside it")
    arguments = _arguments(field, table, names)
    _check_arguments(field, name, mechanisms[name], {**arguments, **given})
    with located(field):
        return mechanisms[name](**arguments, **given)


def _arguments(
    field: Field, table: Mapping[str, Field], names: Mapping[str, Entry]
) -> dict[str, Any]:
    inputs = table["inputs"].names() if "inputs" in table else {}
    scope = dict(names)
    for name, entry in inputs.items():
        table["inputs"].add_name(scope, name, entry)
    sizes, rows = [1], [1]

    def plain(entry: Entry) -> Any:
        if isinstance(entry, Value):
            sizes.append(entry.size)
            return entry.expr
        rows.append(len(entry))
        return tuple(plain(e) for e in entry)

    def read(argument: Field) -> Any:
        if isinstance(argument.value, bool):
            return argument.value
        if isinstance(argument.value, list):
            return tuple(read(entry) for entry in argument.elements())
        entry = scope.get(argument.value) if isinstance(argument.value, str) else None
        return plain(argument.expression(scope) if entry is None else entry)

    arguments = {
        key: argument.text("the name of a loss") if key == "sample_loss" else read(argument)
        for key, argument in table.items()
        if key != "inputs"
    }
    if max(sizes) * max(rows) > MAX_WORK:
        field.fail(f"more than {MAX_WORK} operations, written out for all data")
    if inputs:
        arguments["inputs"] = tuple(e.expr for e in inputs.values() if isinstance(e, Value))
    return arguments


def _check_arguments(
    field: Field, name: str, mechanism: Mechanism, arguments: Mapping[str, Any]
) -> None:
    parameters = inspect.signature(mechanism).parameters
    is_open = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    allowed = [k for k, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    for key in arguments:
        if key not in allowed and not (is_open and key in Setting.__annotations__):
            field.fail(f"{name} takes no {key!r}; it takes {', '.join(allowed)}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key in allowed and key not in arguments:
            field.fail(f"{name} needs {key!r}")
