"""What keeps its size in a random step, and means over it of matrices of expressions."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import sympy as sp

from ..errors import NotCoveredError
from ..laws.choice import Choice
from ..laws.minibatch import Minibatch
from ..laws.shrinking import UnitLaw
from ..symbolic.calculus import Differentiator

OUTCOMES = 4096
"""Values of what is drawn up to which they are enumerated."""

Exponents = tuple[int, ...]
Outcome = tuple[sp.Expr, Mapping[sp.Symbol, sp.Expr]]
"""A probability, and the values of the symbols."""


@dataclass(frozen=True)
class Mixture:
    """A random matrix Σ_a φ_a M_a, with what is known of the random numbers φ_a.

    Attributes
    ----------
    matrices : tuple of ImmutableMatrix
        The M_a.
    means : tuple of Expr
        E φ_a.
    products : tuple of (a, b, Expr)
        E φ_aφ_b where it is not zero, a ≤ b.
    """

    matrices: tuple[sp.ImmutableMatrix, ...]
    means: tuple[sp.Expr, ...]
    products: tuple[tuple[int, int, sp.Expr], ...]

    @property
    def mean(self) -> sp.Matrix:
        """The expected matrix."""
        weighted = (
            m * sp.Matrix(matrix) for m, matrix in zip(self.means, self.matrices, strict=True)
        )
        return sum(weighted, sp.zeros(*self.matrices[0].shape))


@dataclass(frozen=True)
class FiniteGroup:
    """Symbols with the law `Choice`, in which an expression may be of any form."""

    symbols: tuple[sp.Symbol, ...]
    law: Choice

    def outcomes(self) -> Iterator[Outcome]:
        """The values."""
        for p, value in zip(self.law.probabilities, self.law.values, strict=True):
            yield p, dict(zip(self.symbols, value, strict=True))


@dataclass(frozen=True)
class BatchGroup:
    """Weights of a minibatch: centred, with known covariance."""

    symbols: tuple[sp.Symbol, ...]
    law: Minibatch

    def moment(self, exponents: Exponents) -> sp.Expr:
        """Mean of a monomial of degree at most two."""
        order = sum(exponents)
        if order < 2:
            return sp.Integer(1 - order)
        i, j = (k for k, e in enumerate(exponents) for _ in range(e))
        return self.law.levy_pair(len(self.symbols)).covariance[i, j]

    def outcomes(self) -> Iterator[Outcome]:
        """The batches."""
        n, batch = len(self.symbols), self.law.batch_size
        if not batch.is_Integer:
            raise NotCoveredError(
                f"law: batches of size {batch} cannot be enumerated, and the update is not linear "
                "in their weights; bind the size to a number"
            )
        size = int(batch)
        if self.law.replacement:
            batches: Iterator[Any] = itertools.combinations_with_replacement(range(n), size)
            total = n**size
        else:
            batches, total = itertools.combinations(range(n), size), comb(n, size)
        for drawn in batches:
            counts = Counter(drawn)
            ways = sp.factorial(size) if self.law.replacement else sp.Integer(1)
            for count in counts.values() if self.law.replacement else ():
                ways /= sp.factorial(count)
            values = {s: sp.Rational(n * counts[i], size) - 1 for i, s in enumerate(self.symbols)}
            yield ways / total, values


@dataclass(frozen=True)
class UnitGroup:
    """Uncorrelated coordinates of unit variance with all moments known."""

    symbols: tuple[sp.Symbol, ...]
    law: UnitLaw

    def moment(self, exponents: Exponents) -> sp.Expr:
        """Mean of a monomial."""
        return self.law.joint_moment(exponents)


Group = FiniteGroup | BatchGroup | UnitGroup
"""Symbols that are drawn together, independently of all others."""

Smooth = BatchGroup | UnitGroup
"""Those whose moments are used in place of their values."""


@dataclass(frozen=True)
class Randomness:
    """All groups of symbols that keep their size."""

    groups: tuple[Group, ...] = ()

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """All symbols."""
        return tuple(s for group in self.groups for s in group.symbols)

    def mean(self, matrix: sp.Matrix) -> sp.Matrix:
        """The expected matrix."""
        return self.mixture(matrix).mean if matrix.free_symbols & {*self.symbols} else matrix

    def mixture(self, matrix: sp.Matrix) -> Mixture:
        """A matrix split into random numbers and fixed matrices.

        Raises
        ------
        NotCoveredError
            If there are too many values to enumerate, or moments are not known.
        """
        used = [g for g in self.groups if matrix.free_symbols & {*g.symbols}]
        smooth: list[Smooth] = []
        listed: list[FiniteGroup | BatchGroup] = []
        for g in used:
            if isinstance(g, UnitGroup) or (isinstance(g, BatchGroup) and _is_affine(matrix, g)):
                smooth.append(g)
            else:
                listed.append(g)
        gens = tuple(s for g in smooth for s in g.symbols)
        matrices, means, keys = [], [], []
        for k, (chance, values) in enumerate(_joint(listed)):
            for exponents, part in _monomials(matrix.xreplace(values), gens):
                matrices.append(sp.ImmutableMatrix(part))
                means.append(chance * _moment(smooth, exponents))
                keys.append((k, chance, exponents))
        products = []
        for a, (k, chance, first) in enumerate(keys):
            for b, (other, _, second) in enumerate(keys[a:], start=a):
                if other == k:
                    exponents = tuple(x + y for x, y in zip(first, second, strict=True))
                    weight = chance * _moment(smooth, exponents)
                    if weight != 0:
                        products.append((a, b, weight))
        return Mixture(tuple(matrices), tuple(means), tuple(products))


def _is_affine(matrix: sp.Matrix, group: BatchGroup) -> bool:
    """Whether the moments of a minibatch's weights up to the second are enough."""
    slopes = Differentiator(group.symbols)
    symbols = {*group.symbols}
    return not any(x.free_symbols & symbols for entry in matrix for x in slopes.gradient(entry))


def _joint(groups: Sequence[FiniteGroup | BatchGroup]) -> Iterator[Outcome]:
    for k, choice in enumerate(itertools.product(*(group.outcomes() for group in groups))):
        if k == OUTCOMES:
            raise NotCoveredError(
                f"law: what is drawn in a step has more than {OUTCOMES} values; fewer, or an "
                "update that is linear in the weights of a batch, can be averaged over"
            )
        values = {s: x for _, part in choice for s, x in part.items()}
        yield sp.Mul(*(p for p, _ in choice)), values


def _moment(groups: Sequence[Smooth], exponents: Exponents) -> sp.Expr:
    total, start = sp.Integer(1), 0
    for group in groups:
        stop = start + len(group.symbols)
        total *= group.moment(exponents[start:stop])
        start = stop
    return total


def _monomials(
    matrix: sp.Matrix, gens: Sequence[sp.Symbol]
) -> Iterator[tuple[Exponents, sp.Matrix]]:
    """The coefficient matrix of each monomial in some symbols."""
    if not gens:
        yield (), matrix
        return
    found: dict[Exponents, dict[tuple[int, int], sp.Expr]] = {}
    for i, j in itertools.product(range(matrix.rows), range(matrix.cols)):
        if not matrix[i, j].is_polynomial(*gens):
            raise NotCoveredError(
                "update: not polynomial in noise that keeps its size, so that its moments are not "
                "known; use a discrete law, Choice"
            )
        for exponents, c in sp.Poly(matrix[i, j], *gens).terms():
            found.setdefault(exponents, {})[i, j] = c
    for exponents, entries in found.items():
        yield exponents, sp.Matrix(*matrix.shape, lambda i, j, e=entries: e.get((i, j), 0))
