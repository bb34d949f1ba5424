"""The recursion of an optimizer that is built from others: inner steps, and what joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sympy as sp

from ..laws.independent import Groups, Independent
from ..laws.law import Law

Expressions = tuple[sp.Expr, ...]
Symbols = tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class Join:
    """What happens after some of the inner steps.

    Attributes
    ----------
    every, first : int
        After inner step `first` and each `every` steps later, counted from one.
    update : mapping of Symbol to Expr
        Next values of the part of the state that changes.
    """

    every: int
    first: int
    update: Mapping[sp.Symbol, sp.Expr]


@dataclass(frozen=True)
class Assembly:
    """Inner steps of a whole one, and what joins them.

    Attributes
    ----------
    weights : tuple of Symbol
        What the inner steps move.
    shown : tuple of Symbol
        What a whole step is the recursion of; the weights, or an average of them.
    state : tuple of Symbol
        All of it.
    rest : mapping of Symbol to Expr
        The state at rest, in the weights of the innermost rule.
    groups : tuple
        Noise symbols that are drawn together in each inner step, with their laws.
    update : mapping of Symbol to Expr
        An inner step.
    joins : tuple of Join
        In the order in which they happen.
    period : int
        Inner steps of a whole one.
    """

    weights: Symbols
    shown: Symbols
    state: Symbols
    rest: Mapping[sp.Symbol, sp.Expr]
    groups: Groups
    update: Mapping[sp.Symbol, sp.Expr]
    joins: tuple[Join, ...] = ()
    period: int = 1

    @property
    def law(self) -> Law:
        """Law of all the noise."""
        return Independent(self.groups)

    @property
    def noise(self) -> Symbols:
        """All noise symbols."""
        return tuple(s for symbols, _ in self.groups for s in symbols)

    def with_state(self, name: str, rest: Sequence[sp.Expr]) -> tuple[Assembly, Symbols]:
        """With more state, one symbol for each of the weights, which no inner step changes."""
        taken = {str(s) for s in self.state}
        while any(f"{name}.{w}" in taken for w in self.weights):
            name += "'"
        own = tuple(sp.Symbol(f"{name}.{w}", real=True) for w in self.weights)
        return replace(
            self,
            state=(*self.state, *own),
            rest={**self.rest, **dict(zip(own, rest, strict=True))},
            update={**self.update, **{s: s for s in own}},
        ), own

    def then(self, first: int, every: int, update: Mapping[sp.Symbol, sp.Expr]) -> Assembly:
        """With one more thing that happens, after all others of the same inner step."""
        return replace(self, joins=(*self.joins, Join(every, first, update)))

    def at_rest(self, symbols: Symbols) -> Expressions:
        """Part of the state at rest."""
        return tuple(self.rest[s] for s in symbols)

    def copied(self, copies: int) -> tuple[Assembly, tuple[dict[sp.Symbol, sp.Symbol], ...]]:
        """Copies side by side, with noise of their own, and what the state is called in each."""
        noise = self.noise
        names = [
            {s: s if c == 0 else sp.Symbol(f"{s}.{c}", real=True) for s in (*self.state, *noise)}
            for c in range(copies)
        ]

        def renamed(update: Mapping[sp.Symbol, sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
            return {name[s]: e.xreplace(name) for name in names for s, e in update.items()}

        return replace(
            self,
            state=tuple(name[s] for name in names for s in self.state),
            rest={name[s]: r for name in names for s, r in self.rest.items()},
            groups=tuple(
                (tuple(name[s] for s in symbols), law)
                for name in names
                for symbols, law in self.groups
            ),
            update=renamed(self.update),
            joins=tuple(replace(join, update=renamed(join.update)) for join in self.joins),
        ), tuple(names)
