"""Cofactors: how a polynomial is a combination of given ones, by a Gröbner basis that remembers.

Each element of the basis carries its own combination of the generators, so that a remainder of zero
comes with a_i in f = Σ a_i g_i, which anybody can multiply out again.

References
----------
Cox, Little, O'Shea, Ideals, Varieties, and Algorithms, chapter 2, sections 3 and 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

Polynomial = Any
"""A `flint.fmpq_mpoly`."""

MOST_PAIRS = 300
"""Pairs of basis elements that are looked at before the search for a basis is given up."""

MOST_TERMS = 2000
"""Terms of a polynomial above which it is given up."""


@dataclass(frozen=True)
class Combination:
    """A polynomial with its cofactors: value = Σ factors[i] · generator i."""

    value: Polynomial
    factors: dict[int, Polynomial]

    def minus(self, multiple: Polynomial, other: Combination) -> Combination:
        """The difference with a multiple of another one."""
        factors = dict(self.factors)
        for i, a in other.factors.items():
            factors[i] = factors[i] - multiple * a if i in factors else -multiple * a
        return Combination(self.value - multiple * other.value, factors)


class Basis:
    """A Gröbner basis of some polynomials, or as much of one as the bounds allow.

    Parameters
    ----------
    generators : sequence of fmpq_mpoly
        Polynomials of one ring.
    """

    def __init__(self, generators: Sequence[Polynomial]) -> None:
        self._elements = [
            Combination(g, {i: g.context().constant(1)}) for i, g in enumerate(generators) if g != 0
        ]
        self._complete()

    def express(self, f: Polynomial) -> Combination:
        """The part of f that the generators make, subtracted: f − Σ a_i g_i with the −a_i.

        The value is the remainder, zero if f is in the ideal and the basis is whole.
        """
        return self._reduced(Combination(f, {}))

    def _reduced(self, f: Combination) -> Combination:
        """Division by the elements, over and over until none divides."""
        changed = True
        while changed and f.value != 0 and len(f.value) <= MOST_TERMS:
            changed = False
            for element in self._elements:
                quotient, _ = divmod(f.value, element.value)
                if quotient != 0:
                    f, changed = f.minus(quotient, element), True
        return f

    def _complete(self) -> None:
        """Buchberger's algorithm, the pairs of lowest degree first."""
        pairs = list(combinations(range(len(self._elements)), 2))
        for _ in range(MOST_PAIRS):
            if not pairs:
                return
            pair = min(pairs, key=self._degree)
            pairs.remove(pair)
            found = self._reduced(self._difference(*pair))
            if found.value != 0 and len(found.value) <= MOST_TERMS:
                pairs += [(i, len(self._elements)) for i in range(len(self._elements))]
                self._elements.append(found)

    def _degree(self, pair: tuple[int, int]) -> int:
        return sum(self._common(*pair))

    def _common(self, i: int, j: int) -> list[int]:
        """Exponents of the least common multiple of two leading monomials."""
        first, second = (_leading(self._elements[k].value)[0] for k in (i, j))
        return [max(a, b) for a, b in zip(first, second, strict=True)]

    def _difference(self, i: int, j: int) -> Combination:
        """The S-polynomial of two elements; 0 where their leading terms have no common factor."""
        common = self._common(i, j)
        ring = self._elements[i].value.context()
        leading = [_leading(self._elements[k].value) for k in (i, j)]
        if sum(common) == sum(map(sum, (monomial for monomial, _ in leading))):
            return Combination(ring.constant(0), {})
        shifts = [
            ring.from_dict(
                {tuple(c - m for c, m in zip(common, monomial, strict=True)): 1 / number}
            )
            for monomial, number in leading
        ]
        zero = Combination(ring.constant(0), {})
        return zero.minus(-shifts[0], self._elements[i]).minus(shifts[1], self._elements[j])


def _leading(f: Polynomial) -> tuple[tuple[int, ...], Any]:
    """Exponents and coefficient of the leading term."""
    return f.monoms()[0], f.coeffs()[0]
