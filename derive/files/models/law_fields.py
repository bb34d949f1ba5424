"""The law of the noise in a model file: a name, or a table with the law's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from ...laws.law import Law, known_laws
from ...symbolic.effort import expanded_terms
from .fields import Field, located
from .values import Entry

MAX_ROWS = 20
"""Rows of a covariance, whose factor is computed exactly."""

MAX_SYMBOLIC_ROWS = 6
"""Rows of a covariance that holds parameters."""

MAX_SYMBOLIC_TERMS = 12
"""Terms of the entries that hold parameters, multiplied out, in the whole covariance."""


def read_law(field: Field, names: Mapping[str, Entry], grouped: bool = False) -> Law:
    """Law stated by a field.

    Parameters
    ----------
    field : Field
        A name of a law, or a table with `name` and its arguments.
    names : mapping
        What each name in an expression stands for.
    grouped : bool
        Whether this is the law of a group of `Independent`.

    Raises
    ------
    ModelFileError
        If there is no such law, or its arguments do not fit.
    """
    laws = {name: law for name, law in known_laws().items() if not grouped or name != "Independent"}
    name, keys = field.named("a law", laws)
    field.check_arguments(laws[name], keys)
    values = {key: _ARGUMENTS.get(key, expression)(keys[key], names) for key in keys}
    with located(field):
        return laws[name](**values)


def _covariance(field: Field, names: Mapping[str, Entry]) -> list[list[sp.Expr]]:
    rows = square(field, names)
    symbolic = [entry for row in rows for entry in row if entry.free_symbols]
    if sum(map(expanded_terms, symbolic)) > MAX_SYMBOLIC_TERMS:
        field.fail(f"expected at most {MAX_SYMBOLIC_TERMS} terms with parameters")
    most = MAX_SYMBOLIC_ROWS if symbolic else MAX_ROWS
    if len(rows) > most:
        kind = "with parameters " if symbolic else ""
        field.fail(f"expected a covariance {kind}of at most {most} rows, got {len(rows)}")
    return rows


def expression(field: Field, names: Mapping[str, Entry]) -> sp.Expr:
    """The expression that a field holds."""
    return field.expression(names).expr


def square(field: Field, names: Mapping[str, Entry]) -> list[list[sp.Expr]]:
    """The rows of a square matrix."""
    rows = [[entry.expr for entry in row.vector(names)] for row in field.elements("a list of rows")]
    if not rows or any(len(row) != len(rows) for row in rows):
        field.fail("expected a square matrix, as a list of rows of the same length")
    return rows


def _jumps(field: Field, names: Mapping[str, Entry]) -> tuple[tuple[list[sp.Expr], sp.Expr], ...]:
    jumps = []
    for atom in field.elements("a list of tables with z and rate"):
        keys = atom.fields("law.jumps")
        for key in ("z", "rate"):
            if key not in keys:
                atom.fail(f"the key {key!r} is missing")
        displacement = [entry.expr for entry in keys["z"].vector(names)]
        jumps.append((displacement, keys["rate"].expression(names).expr))
    return tuple(jumps)


def _groups(
    field: Field, names: Mapping[str, Entry]
) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
    groups = []
    for group in field.elements("a list of tables with noise and law"):
        keys = group.fields("law.groups")
        for key in ("noise", "law"):
            if key not in keys:
                group.fail(f"the key {key!r} is missing")
        symbols = tuple(entry.expr for entry in keys["noise"].vector(names))
        groups.append((symbols, read_law(keys["law"], names, grouped=True)))
    return tuple(groups)


_ARGUMENTS: dict[str, Callable[[Field, Mapping[str, Entry]], Any]] = {
    "covariance": _covariance,
    "replacement": lambda field, names: field.flag(),
    "jumps": _jumps,
    "law": lambda field, names: read_law(field, names, grouped=True),
    "groups": _groups,
}
