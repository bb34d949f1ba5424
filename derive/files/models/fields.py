"""A value in a model file that knows the file and the key it came from, for its error messages."""

from __future__ import annotations

import dataclasses
import datetime
import keyword
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ...errors import DeriveError, ModelFileError
from .expressions import RESERVED, parse_expression
from .schema import check_key, expectation
from .tokens import shorten
from .values import Budget, Entry, Value, number, symbol

MAX_SYMBOLS = 200
"""Symbols that one declaration such as w[200] may make."""

_INDEX = re.compile(r"\[[0-9]+\]")
_ARRAY = re.compile(r"(\w+)\[([0-9]{1,5})\]")


@dataclass(frozen=True)
class Literal:
    """A decimal number as typed, so that it can be read exactly."""

    text: str

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Field:
    """A value of a model file.

    Attributes
    ----------
    file, key : str
        Where it stands.
    value : object
        What TOML made of it, decimals as `Literal`; or an attribute of a Python file.
    """

    file: str
    key: str
    value: Any
    budget: Budget = field(default_factory=Budget, repr=False, compare=False)

    def child(self, key: str, value: Any) -> Field:
        """A value inside this one, which spends from the same budget."""
        return Field(self.file, key, value, self.budget)

    def fail(self, reason: str, position: tuple[int, int] | None = None) -> NoReturn:
        """Raise the error for this key."""
        raise ModelFileError(reason, self.file, self.key or None, position) from None

    def expected(self, what: str) -> NoReturn:
        """Raise the error that the value is something else."""
        self.fail(f"expected {what}, got {_describe(self.value)}")

    def items(self) -> dict[str, Field]:
        """Fields of a table whose keys are free."""
        if not isinstance(self.value, Mapping):
            self.expected("a table")
        prefix = f"{self.key}." if self.key else ""
        return {
            str(key): self.child(prefix + shorten(str(key)), value)
            for key, value in self.value.items()
        }

    def fields(self, table: str) -> dict[str, Field]:
        """Fields of a table whose keys are those of `table` in the schema."""
        fields = self.items()
        for key in fields:
            try:
                check_key(key, table)
            except ModelFileError as error:
                self.fail(error.reason)
        return fields

    def missing(self, key: str) -> NoReturn:
        """Raise the error for a key of the schema that this table lacks."""
        path = f"{self.key}.{key}" if self.key else key
        self.fail(f"the key {key!r} is missing; expected {expectation(_INDEX.sub('', path))}")

    def named(self, what: str, known: Collection[str]) -> tuple[str, dict[str, Field]]:
        """A name that is known, given by itself or in a table, and the rest of the table."""
        if not isinstance(self.value, str | Mapping):
            self.expected(f"the name of {what}, or a table")
        keys = {"name": self} if isinstance(self.value, str) else self.items()
        one_of = f"expected one of {', '.join(known) or 'none'}"
        if "name" not in keys:
            self.fail(f"the key 'name' is missing; {one_of}")
        name = keys.pop("name").text(f"the name of {what}")
        if name not in known:
            self.fail(f"{one_of}, got {shorten(name)!r}")
        return name, keys

    def check_arguments(self, kind: type, keys: Collection[str]) -> None:
        """Refuse keys that are no field of a dataclass, or that leave out one without a default."""
        made_of = {f.name: f for f in dataclasses.fields(kind) if f.init}
        name, listed = kind.__name__, ", ".join(made_of) or "no arguments"
        for key in set(keys) - made_of.keys():
            self.fail(f"{name} takes no {key!r}; it takes {listed}")
        for key, argument in made_of.items():
            defaults = {argument.default, argument.default_factory}
            if key not in keys and defaults == {dataclasses.MISSING}:
                self.fail(f"the key {key!r} is missing, which {name} needs")

    def elements(self, what: str = "a list") -> list[Field]:
        """Fields of a list; their keys count from 1."""
        if isinstance(self.value, str | Mapping) or not isinstance(self.value, Iterable):
            self.expected(what)
        return [self.child(f"{self.key}[{i}]", entry) for i, entry in enumerate(self.value, 1)]

    def text(self, what: str) -> str:
        """A text."""
        if not isinstance(self.value, str):
            self.expected(what)
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.expected("true or false")
        return self.value

    def expression(self, names: Mapping[str, Entry]) -> Value:
        """An expression: a text, or a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | Literal):
            self.expected("an expression in quotes, or a number")
        try:
            if isinstance(self.value, str):
                return parse_expression(self.value, names, self.budget)
            return number(self.value.text if isinstance(self.value, Literal) else self.value)
        except ModelFileError as error:
            self.fail(error.reason, error.position)

    def vector(self, names: Mapping[str, Entry], order: Iterable[str] = ()) -> list[Value]:
        """Expressions from a list, or from a table with the keys of `order`."""
        return [one.expression(names) for one in self.entries(order)]

    def entries(self, order: Iterable[str]) -> list[Field]:
        """Fields of a list, or of a table by the names in `order`, which has each of them."""
        order = [str(name) for name in order]
        if not order or not isinstance(self.value, Mapping):
            return self.elements()
        fields = self.items()
        if set(fields) != set(order):
            self.fail(f"expected a value for each of {shorten(', '.join(order))}")
        return [fields[name] for name in order]

    def real(self) -> float:
        """A finite number, or an expression without symbols."""
        given = self.value
        if isinstance(given, str | int | Literal):
            given = self.expression({}).expr
        try:
            value = float(given)
        except (TypeError, ValueError, OverflowError):
            self.expected("a number")
        if not math.isfinite(value):
            self.expected("a finite number")
        return value

    def positive(self) -> float:
        """A number above zero."""
        value = self.real()
        if value <= 0:
            self.expected("a positive number")
        return value

    def integer(self, least: int) -> int:
        """An integer of 64 bits, at least `least`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.expected("an integer")
        if not least <= self.value < 2**63:
            self.expected(f"an integer from {least} to 2**63 - 1")
        return self.value

    def names(self) -> dict[str, Entry]:
        """Symbols declared by a list of names; w[3] declares w1, w2, w3 and the array w."""
        declared: dict[str, Entry] = {}
        fields = [self] if isinstance(self.value, str) else self.elements("a list of names")
        if not fields:
            self.fail("expected at least one name, got none")
        for one in fields:
            text = unicodedata.normalize("NFKC", one.text("a name in quotes"))
            array = _ARRAY.fullmatch(text)
            new = (
                [text]
                if array is None
                else [f"{array[1]}{i}" for i in range(1, min(int(array[2]), MAX_SYMBOLS + 1) + 1)]
            )
            if not new:
                one.fail("expected an array of at least one entry, from w[1] on")
            if len(declared) + len(new) > MAX_SYMBOLS:
                one.fail(f"expected at most {MAX_SYMBOLS} names")
            entries: dict[str, Entry] = {name: symbol(name) for name in new}
            if array is not None:
                entries[array[1]] = tuple(entries.values())
            for name, entry in entries.items():
                one.add_name(declared, name, entry)
        return declared

    def add_name(self, names: dict[str, Entry], name: str, entry: Entry) -> None:
        """Enter a new name, refusing one that cannot stand in an expression or is taken."""
        if not name.isidentifier() or keyword.iskeyword(name) or name[0] == "_" or "__" in name:
            self.fail(f"{shorten(name)!r} is no name; expected letters and digits, such as w1")
        if name in RESERVED or name == "loss":
            self.fail(f"{name!r} has a meaning in expressions; take another name")
        if name in names:
            self.fail(f"the name {shorten(name)!r} is declared already; a name has one meaning")
        names[name] = entry


@contextmanager
def located(field: Field) -> Iterator[None]:
    """Say the file and key in errors of what is made from the field."""
    try:
        yield
    except ModelFileError:
        raise
    except DeriveError as error:
        raise ModelFileError(str(error), field.file, field.key or None) from error


def _describe(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {shorten(value)!r}"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    for kinds, word in _WORDS.items():
        if isinstance(value, kinds):
            return word
    return shorten(repr(value))


_WORDS: dict[tuple[type, ...], str] = {
    (Mapping,): "a table",
    (list, tuple): "a list",
    (datetime.date, datetime.time): "a date or time",
}
