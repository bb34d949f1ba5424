"""Claims that a quantity vanishes on Γ, proved by cofactors.

Functions, inverses and roots are unknowns beside the symbols, with the relations that they satisfy,
so that an identity of polynomials is one of expressions wherever these are defined. On Γ

    f = c + Σ a_i r_i       makes P∇f = 0   (f is constant on Γ),
    f = c + Σ b_ij r_i r_j  makes ∇f = 0    (f is critical on Γ),

for any smooth a, b and a c without weights. It holds on all of the analytic piece of Γ through a
point at which the cofactors are defined. Gradient noise is treated through its potentials: column a
of G is the gradient in w of ∂_{η_a}L̂(w, 0), and a jump to z makes that of L̂(w, z) − L̂(w, 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import sympy as sp

from ..certify.checker import Tower, below
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.moments import persistent_noise
from ..symbolic.calculus import gradient
from .cofactors import Basis, Combination, is_zero
from .tables import ExpressionTable, NotCertifiedError

MOST_ENTRIES = 20_000
"""Entries of a table up to which cofactors are sought."""


def noise_potentials(problem: NoisyGradientDescent) -> list[sp.Expr]:
    """Functions of w whose gradients span the gradient noise; noise of fixed size stays in them.

    Raises
    ------
    NotCertifiedError
        If the model is stated by its gradient noise, which need not have potentials.
    """
    noisy = problem.noisy_loss
    if noisy is None:
        raise NotCertifiedError("the gradient noise is given as a matrix, without potentials")
    lasting = persistent_noise(problem)
    index = {s: a for a, s in enumerate(problem.noise) if s not in lasting}
    silent = dict.fromkeys(index, sp.S.Zero)
    pair = problem.levy_pair
    small = [s for s, a in index.items() if any(pair.covariance[a, :])]
    found = [slope.xreplace(silent) for slope in gradient(noisy, small)]
    for jump in pair.jumps:
        after = {s: jump.displacement[a] for s, a in index.items()}
        found.append(noisy.xreplace(after) - noisy.xreplace(silent))
    return found


class Identities:
    """Looks for cofactors of some functions modulo the constraints of Γ.

    Parameters
    ----------
    table : ExpressionTable
        Where expressions are written, and the cofactors too.
    manifold : Manifold
        Γ.
    functions : sequence of Expr
        All that will be asked for, so that one basis serves them.
    """

    def __init__(
        self, table: ExpressionTable, manifold: Manifold, functions: Sequence[sp.Expr]
    ) -> None:
        self._table = table
        self._weights = frozenset(table.places(manifold.problem.weights))
        self._constraints = table.places(manifold.constraints)
        self._functions = functions
        self.tower = [*self._constraints, *table.places(functions)]
        if len(below(table.entries, self.tower)) > MOST_ENTRIES:
            raise NotCertifiedError("the model is too large to look for cofactors")

    def constant(self) -> dict[str, Any]:
        """P∇f = 0 on Γ for each of the functions."""
        found = [
            self._express(self._polynomials.at[p], self._is_constant)
            for p in self._table.places(self._functions)
        ]
        cofactors = [self._written(c.factors) for c in found]
        return self._claim("constant", [self._constant(c) for c in found], cofactors)

    def critical(self) -> dict[str, Any]:
        """∇f = 0 on Γ for each of the functions."""
        found = [
            self._express(self._polynomials.at[p], self._is_constant)
            for p in self._table.places(self._functions)
        ]
        constants = [self._constant(c) for c in found]
        cofactors = [self._written(self._second(c.factors)) for c in found]
        return self._claim("critical", constants, cofactors)

    def zero(self) -> dict[str, Any]:
        """F = 0 on Γ for each of the functions."""
        claim = self.constant()
        zero = self._table.place(0)
        if any(c != zero for c in claim["constants"]):
            raise NotCertifiedError("a remainder is not zero")
        return claim | {"asks": "zero"}

    @cached_property
    def _polynomials(self) -> Tower:
        return Tower(self._table.entries, self.tower)

    @cached_property
    def _basis(self) -> Basis:
        at = self._polynomials.at
        return Basis([at[r] for r in self._constraints] + self._polynomials.relations)

    def _express(self, f: Any, is_enough: Callable[[Any], bool]) -> Combination:
        """F as a remainder and cofactors, f = value + Σ a_i g_i."""
        found = self._basis.express(f, is_enough)
        return Combination(found.value, {i: -a for i, a in found.factors.items() if a != 0})

    def _second(self, factors: dict[int, Any]) -> dict[int, Any]:
        """Cofactors of the products r_i r_j from those of the r_i, which lie in the ideal too."""
        count = len(self._constraints)
        pairs = list(combinations_with_replacement(range(count), 2))
        at = self._polynomials.at
        out: dict[int, Any] = {}

        def enter(place: int, a: Any) -> None:
            out[place] = out[place] + a if place in out else a

        for i, a in factors.items():
            if i >= count:
                enter(len(pairs) + i - count, a)
                continue
            inner = self._express(a, is_zero)
            if inner.value != 0:
                raise NotCertifiedError("the function was not found to be critical on Γ")
            for j, b in inner.factors.items():
                if j < count:
                    enter(pairs.index((min(i, j), max(i, j))), b)
                else:
                    enter(len(pairs) + j - count, b * at[self._constraints[i]])
        return out

    def _constant(self, found: Combination) -> int:
        if not self._is_constant(found.value):
            raise NotCertifiedError("no cofactors were found")
        return self._place(found.value)

    def _is_constant(self, polynomial: Any) -> bool:
        """Whether no unknown that depends on the weights occurs."""
        used = zip(self._depend, polynomial.degrees(), strict=True)
        return not any(depends and degree > 0 for depends, degree in used)

    @cached_property
    def _depend(self) -> list[bool]:
        """Which unknowns depend on the weights."""
        entries = self._table.entries
        return [
            bool(self._weights.intersection(below(entries, [k])))
            for k in self._polynomials.unknowns
        ]

    def _written(self, factors: dict[int, Any]) -> list[list[int]]:
        return [[i, self._place(a)] for i, a in sorted(factors.items()) if a != 0]

    def _place(self, polynomial: Any) -> int:
        return self._table.polynomial(polynomial.terms(), self._polynomials.unknowns)

    def _claim(
        self,
        asks: str,
        constants: list[int],
        cofactors: list[list[list[int]]],
    ) -> dict[str, Any]:
        return {
            "asks": asks,
            "of": self._table.places(self._functions),
            "constants": constants,
            "cofactors": cofactors,
            "symbols": set().union(*(f.free_symbols for f in self._functions)),
            "tower": sorted({*self.tower, *constants, *(a for row in cofactors for _, a in row)}),
        }


class ChartIdentities(Identities):
    """The same on the graph of a chart φ.

    From f(φ(θ)) = c follows P∇f = 0 on the image as it does on Γ, but ∇f = 0 only entry by entry.

    Parameters
    ----------
    table, manifold, functions
        As above, with the graph w = φ(θ) in the place of Γ.
    weights : sequence of Symbol
        w, without θ.
    """

    def __init__(
        self,
        table: ExpressionTable,
        manifold: Manifold,
        functions: Sequence[sp.Expr],
        weights: Sequence[sp.Symbol],
    ) -> None:
        super().__init__(table, manifold, functions)
        self._graph, self._moving = manifold, weights

    def critical(self) -> dict[str, Any]:
        """∇f = 0 on the image of φ for each of the functions."""
        slopes = [d for f in self._functions for d in gradient(f, self._moving)]
        return Identities(self._table, self._graph, slopes).zero()


def redundant(table: ExpressionTable, rows: Sequence[int], others: Sequence[int]) -> dict[str, Any]:
    """What shows that further constraints vanish where those at `rows` do.

    Raises
    ------
    NotCertifiedError
        If no cofactors were found for one of them.
    """
    if not others:
        return {"tower": [], "vanishing": {}}
    tower = Tower(table.entries, [*rows, *others])
    basis = Basis([tower.at[r] for r in rows] + tower.relations)
    vanishing, used = {}, {*rows, *others}
    for r in others:
        found = basis.express(tower.at[r], is_zero)
        if found.value != 0:
            raise NotCertifiedError(
                "a redundant constraint was not shown to vanish with the others"
            )
        pairs = [(i, (-a).terms()) for i, a in sorted(found.factors.items()) if a != 0]
        written = [[i, table.polynomial(terms, tower.unknowns)] for i, terms in pairs]
        vanishing[str(r)] = written
        used.update(a for _, a in written)
    return {"tower": sorted(used), "vanishing": vanishing}
