"""Names and common parts in the code of an export."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence

import sympy as sp


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


def shared_parts(
    values: Sequence[sp.Expr], taken: Iterable[str]
) -> tuple[list[tuple[sp.Symbol, sp.Expr]], list[sp.Expr]]:
    """Common subexpressions, named x0, x1, … but for what is taken, and the values in them."""
    names = {*taken}
    fresh = (s for s in sp.numbered_symbols("x", real=True) if str(s) not in names)
    shared, reduced = sp.cse(list(values), symbols=fresh, order="none", list=True)
    return shared, reduced
