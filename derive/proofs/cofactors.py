"""Cofactors: how a polynomial is a combination of given ones, by a Gröbner basis that remembers.

Each element of the basis carries its own combination of the generators, so that a remainder of zero
comes with a_i in f = Σ a_i g_i, which anybody can multiply out again.

References
----------
Cox, Little, O'Shea, Ideals, Varieties, and Algorithms, chapter 2, sections 3 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

Polynomial = Any
"""A `flint.fmpq_mpoly`."""

MOST_WORK = 200_000
"""Products of terms that are formed before the search for a basis is given up."""


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
    """A Gröbner basis of some polynomials, or as much of one as the work allows.

    It is made when the polynomials themselves do not divide what is asked for, which they often do.

    Parameters
    ----------
    generators : sequence of fmpq_mpoly
        Polynomials of one ring.
    """

    def __init__(self, generators: Sequence[Polynomial]) -> None:
        self._elements = [
            Combination(g, {i: g.context().constant(1)}) for i, g in enumerate(generators) if g != 0
        ]
        self._pairs = list(combinations(range(len(self._elements)), 2))
        self._work = MOST_WORK

    def express(self, f: Polynomial, is_enough: Callable[[Polynomial], bool]) -> Combination:
        """The part of f that the generators make, subtracted: f − Σ a_i g_i with the −a_i.

        The value is the remainder, zero if f is in the ideal and the basis is whole; the search for
        a basis goes on until a remainder is enough.
        """
        found = self._reduced(Combination(f, {}))
        while not is_enough(found.value) and self._pairs and self._work > 0:
            if self._enlarge():
                found = self._reduced(found)
        return found

    def _reduced(self, f: Combination) -> Combination:
        """Division by the elements, over and over until none divides."""
        changed = True
        while changed and f.value != 0 and self._work > 0:
            changed = False
            for element in self._elements:
                quotient, _ = divmod(f.value, element.value)
                sizes = (len(element.value), *map(len, element.factors.values()))
                self._work -= len(quotient) * sum(sizes)
                if quotient != 0 and self._work > 0:
                    f, changed = f.minus(quotient, element), True
        return f

    def _enlarge(self) -> bool:
        """A step of Buchberger's algorithm, on the lowest pair: whether it adds anything."""
        pair = min(self._pairs, key=self._degree)
        self._pairs.remove(pair)
        found = self._reduced(self._difference(*pair))
        if found.value == 0:
            return False
        self._pairs += [(i, len(self._elements)) for i in range(len(self._elements))]
        self._elements.append(found)
        return True

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


def is_zero(f: Polynomial) -> bool:
    """Whether a remainder shows membership."""
    return bool(f == 0)


def _leading(f: Polynomial) -> tuple[tuple[int, ...], Any]:
    """Exponents and coefficient of the leading term."""
    return f.monoms()[0], f.coeffs()[0]
