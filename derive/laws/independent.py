"""Products of independent laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..reading import read_symbols
from .expansions import Jump, LevyPair
from .law import Law, check_dimension


@dataclass(frozen=True)
class Independent(Law):
    """Product of independent laws on groups of noise symbols.

    Parameters
    ----------
    groups : mapping of symbol, or tuple of symbols, to Law
        Every noise symbol in exactly one group.
    """

    groups: tuple[tuple[tuple[sp.Symbol, ...], Law], ...]

    def __post_init__(self) -> None:
        given = self.groups.items() if isinstance(self.groups, Mapping) else self.groups
        try:
            pairs = [(symbols, law) for symbols, law in given]
        except (TypeError, ValueError) as error:
            raise ProblemError(
                f"groups: expected {{symbols: law, ...}}, got {self.groups!r}"
            ) from error
        groups = tuple((read_symbols("groups", symbols), law) for symbols, law in pairs)
        for symbols, law in groups:
            if not isinstance(law, Law) or isinstance(law, Independent):
                raise ProblemError(f"law: expected a Law for {symbols}, got {law!r}")
        members = [s for symbols, _ in groups for s in symbols]
        doubled = sorted({str(s) for s in members if members.count(s) > 1})
        if doubled:
            raise ProblemError(
                f"groups: {', '.join(doubled)} given more than once; a symbol has one law"
            )
        object.__setattr__(self, "groups", groups)

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """All symbols in the order of the groups."""
        return tuple(s for symbols, _ in self.groups for s in symbols)

    def levy_pair(self, dimension: int) -> LevyPair:
        """Block-diagonal covariance and embedded jumps, in the order of `symbols`."""
        check_dimension(self, len(self.symbols), dimension)
        covariance = sp.zeros(dimension)
        jumps = []
        start = 0
        for symbols, law in self.groups:
            pair = law.levy_pair(len(symbols))
            stop = start + len(symbols)
            covariance[start:stop, start:stop] = pair.covariance
            for jump in pair.jumps:
                z = sp.zeros(dimension, 1)
                z[start:stop, 0] = jump.displacement
                jumps.append(Jump(sp.ImmutableMatrix(z), jump.rate))
            start = stop
        return LevyPair(sp.ImmutableMatrix(covariance), tuple(jumps))

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Independent:
        """Bind parameters in every group."""
        return Independent(tuple((symbols, law.subs(values)) for symbols, law in self.groups))


Groups = tuple[tuple[tuple[sp.Symbol, ...], Law], ...]
"""Noise symbols, and the law of each group of them."""


def groups_of(law: Law, noise: tuple[sp.Symbol, ...]) -> Groups:
    """The independent groups of a law: those of `Independent`, or all noise as one."""
    return law.groups if isinstance(law, Independent) else ((noise, law),)


def split(law: Law, own: tuple[sp.Symbol, ...], shared: tuple[sp.Symbol, ...]) -> Groups:
    """The groups of a law, none of which mixes the noise of a sample with the noise of all.

    Raises
    ------
    ProblemError
        If that cannot be.
    """
    parts: list[tuple[tuple[sp.Symbol, ...], Law]] = []
    for symbols, part in groups_of(law, own + shared):
        pieces = [tuple(s for s in symbols if s in side) for side in (own, shared)]
        if all(pieces) and not part.has_independent_coordinates:
            raise ProblemError(
                f"law: {part} binds noise of one sample to noise that all samples share; expected "
                "Independent({...}) with groups of either kind"
            )
        parts += [(piece, part) for piece in pieces if piece]
    return tuple(parts)


def repeated(
    law: Law,
    noise: tuple[sp.Symbol, ...],
    own: Sequence[sp.Symbol],
    copies: Sequence[Mapping[sp.Symbol, sp.Symbol]],
) -> Law:
    """The law of independent draws of some of the noise, one for each copy of its symbols."""
    if not own:
        return law
    parts: list[tuple[tuple[sp.Symbol, ...], Law]] = []
    for symbols, part in groups_of(law, noise):
        draws = [tuple(copy[s] for s in symbols) for copy in copies] if symbols[0] in own else []
        if not draws:
            parts.append((symbols, part))
        elif part.has_independent_coordinates:
            parts.append((sum(draws, ()), part))
        else:
            parts += [(draw, part) for draw in draws]
    return parts[0][1] if len(parts) == 1 else Independent(tuple(parts))
