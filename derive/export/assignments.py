"""Assignments of scalars, the leaves of every program that is printed, and names in it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class Assignments:
    """Expressions assigned one after the other; each language prints them in its own way.

    Attributes
    ----------
    names : mapping of Symbol to str
        What the symbols of the expressions are called.
    shared, results : tuple of (target, Expr)
        Common subexpressions, which the results are written in, and the results.
    """

    names: Mapping[sp.Symbol, str]
    shared: tuple[tuple[str, sp.Expr], ...]
    results: tuple[tuple[str, sp.Expr], ...]

    @classmethod
    def of(
        cls,
        targets: Sequence[str],
        values: Sequence[sp.Expr],
        names: Mapping[sp.Symbol, str],
        more: Sequence[sp.Expr] = (),
    ) -> Assignments:
        """Assignments that compute common subexpressions once.

        Parameters
        ----------
        targets, values : sequences of str and of Expr
            What is assigned, in order.
        names : mapping of Symbol to str
            A name for every symbol; subexpressions are called x0, x1, … unless that is taken.
        more : sequence of Expr
            Expressions that are written more than once, whether or not they occur more than once.
        """
        taken = {*names.values()}
        fresh = (s for s in sp.numbered_symbols("x", real=True) if str(s) not in taken)
        shared, reduced = sp.cse([*values, *more], symbols=fresh, order="none", list=True)
        return cls(
            {**names, **{s: str(s) for s, _ in shared}},
            tuple((str(s), value) for s, value in shared),
            tuple(zip(targets, reduced, strict=False)),
        )


def usable_names(
    symbols: Sequence[sp.Symbol], taken: Iterable[str], prefix: str = "w"
) -> list[str]:
    """The symbols' own names where Python can take them all, else w0, w1, … with that prefix.

    It cannot if any is not an identifier, occurs twice, or is taken.
    """
    names, reserved = [str(s) for s in symbols], set(taken)
    usable = len({*names}) == len(names) and all(
        re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
        and not keyword.iskeyword(name)
        and name not in reserved
        for name in names
    )
    return names if usable else [f"{prefix}{i}" for i in range(len(names))]
