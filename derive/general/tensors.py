"""Sums of products of tensors with indices, for a number of weights that stays symbolic.

A term is a coefficient, a set of summed indices and a product of factors: deltas, vectors and
matrices, and derivatives of unknown functions. An index may occur any number of times, so Σ_i w_i²
∂_i²L is as good as ½ ΔL. Equal terms have equal normal forms, whatever their indices were called.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import sympy as sp

DELTA = "δ"

SCALED, MOVED = "×", "+"
"""Marks of a vector with one component that is multiplied, or moved, by a number."""


class Index(NamedTuple):
    """An index with the number of its values; those that are summed have numbers for names."""

    name: str
    size: sp.Expr


class Factor(NamedTuple):
    """A tensor, or a derivative of an unknown function at a point.

    Attributes
    ----------
    name : str
        What it is called.
    indices : tuple of Index
        Its own indices.
    points : tuple of Factor
        Where a function is taken, one vector per slot, each without its last index; the points of
        a vector say which of its components is multiplied, or moved, and by which number. The
        function is one of the vector before that, by which it is differentiated, too.
    slopes : tuple of tuple of Index
        The indices of the derivatives in each slot, sorted.
    """

    name: str
    indices: tuple[Index, ...] = ()
    points: tuple[Factor, ...] = ()
    slopes: tuple[tuple[Index, ...], ...] = ()

    @property
    def order(self) -> int:
        """How often it is differentiated."""
        return sum(map(len, self.slopes))

    @property
    def is_displaced(self) -> bool:
        """Whether it is a function at vectors of which a component is not in its place."""
        return any(point.points for point in self.points)

    def renamed(self, names: Mapping[Index, Index]) -> Factor:
        """The factor with other indices."""
        indices = tuple(names.get(i, i) for i in self.indices)
        slopes = tuple(tuple(sorted(names.get(i, i) for i in slot)) for slot in self.slopes)
        points = tuple(p.renamed(names) for p in self.points)
        if self.name == DELTA:
            indices = tuple(sorted(indices))
        return Factor(self.name, indices, points, slopes)

    def all_indices(self) -> set[Index]:
        """Every index that it holds."""
        inside = {i for p in self.points for i in p.all_indices()}
        return {*self.indices, *inside, *(i for slot in self.slopes for i in slot)}

    def differentiated(self, slot: int, index: Index) -> Factor:
        """Its derivative in a component of a slot."""
        slopes = [*self.slopes]
        slopes[slot] = tuple(sorted((*slopes[slot], index)))
        return self._replace(slopes=tuple(slopes))


Monomial = tuple[tuple[Index, ...], tuple[Factor, ...]]
"""Summed indices and factors."""


@dataclass(frozen=True)
class Tensor:
    """A sum of terms, by their normal forms."""

    terms: Mapping[Monomial, sp.Expr]

    @classmethod
    def number(cls, value: sp.Expr) -> Tensor:
        """A coefficient without factors."""
        value = sp.sympify(value)
        return cls({((), ()): value} if value != 0 else {})

    @classmethod
    def of(cls, *factors: Factor, summed: Iterable[Index] = ()) -> Tensor:
        """One product."""
        return collected([((tuple(summed), factors), sp.Integer(1))])

    def __add__(self, other: Tensor) -> Tensor:
        total = dict(self.terms)
        for monomial, coefficient in other.terms.items():
            total[monomial] = total.get(monomial, sp.Integer(0)) + coefficient
        return _cleared(total)

    def __mul__(self, other: Tensor) -> Tensor:
        """The product; the summed indices of the two stay apart."""
        found = []
        for (first, left), a in self.terms.items():
            for (second, right), b in _apart(other):
                found.append((((*first, *second), (*left, *right)), a * b))
        return collected(found)

    def scaled(self, by: sp.Expr) -> Tensor:
        """Every coefficient times a number."""
        return _cleared({m: c * by for m, c in self.terms.items()})

    def summed(self, index: Index) -> Tensor:
        """The sum over a free index."""
        return collected((((*s, index), f), c) for (s, f), c in self.terms.items())

    def renamed(self, names: Mapping[Index, Index]) -> Tensor:
        """With other free indices."""
        return collected(((s, tuple(x.renamed(names) for x in f)), c) for (s, f), c in _apart(self))

    def map(self, f: Callable[[Monomial], Tensor]) -> Tensor:
        """The sum of what each term becomes, with its coefficient."""
        parts = (f(m).scaled(c) for m, c in self.terms.items())
        return collected(item for part in parts for item in part.terms.items())

    def kept(self, condition: Callable[[tuple[Factor, ...]], bool]) -> Tensor:
        """The terms whose factors satisfy a condition."""
        return Tensor({m: c for m, c in self.terms.items() if condition(m[1])})

    @cached_property
    def factors(self) -> set[Factor]:
        """Every factor that occurs."""
        return {x for _, factors in self.terms for x in factors}

    def ratio(self, other: Tensor) -> sp.Expr | None:
        """The number c with self = c · other, if there is one and neither is zero."""
        if not self.terms or self.terms.keys() != other.terms.keys():
            return None
        ratios = {sp.cancel(c / other.terms[m]) for m, c in self.terms.items()}
        return ratios.pop() if len(ratios) == 1 else None


def collected(items: Iterable[tuple[Monomial, sp.Expr]]) -> Tensor:
    """Terms in normal form, equal ones added."""
    total: dict[Monomial, sp.Expr] = {}
    for monomial, coefficient in items:
        normal, factor = normal_form(monomial)
        total[normal] = total.get(normal, sp.Integer(0)) + coefficient * factor
    return _cleared(total)


def _cleared(terms: Mapping[Monomial, sp.Expr]) -> Tensor:
    """Terms in normal form, those that cancel left out."""
    cancelled = {m: c if c.is_number else sp.cancel(c) for m, c in terms.items()}
    return Tensor({m: c for m, c in cancelled.items() if c != 0})


def normal_form(monomial: Monomial) -> tuple[Monomial, sp.Expr]:
    """Deltas contracted, unused sums counted, summed indices numbered; and a coefficient."""
    sums, factors = _contracted(*monomial)
    coefficient: sp.Expr = sp.Integer(1)
    used = set().union(*(f.all_indices() for f in factors)) if factors else set()
    for index in sums:
        if index not in used:
            coefficient *= index.size
    best = None
    for order in itertools.permutations([i for i in sums if i in used]):
        names = {i: Index(str(k), i.size) for k, i in enumerate(order)}
        shown = tuple(sorted((f.renamed(names) for f in factors), key=_key))
        key = tuple(map(_key, shown))
        if best is None or key < best[0]:
            best = key, tuple(names[i] for i in order), shown
    assert best is not None
    return (best[1], best[2]), coefficient


def _key(factor: Factor) -> tuple[Any, ...]:
    """What factors are ordered by: names only, without the sizes, whose order costs much."""
    slopes = tuple(tuple(i.name for i in slot) for slot in factor.slopes)
    own = tuple(i.name for i in factor.indices)
    return factor.name, own, tuple(map(_key, factor.points)), slopes


def _contracted(
    summed: Iterable[Index], factors: Iterable[Factor]
) -> tuple[list[Index], list[Factor]]:
    left, sums = list(factors), list(summed)
    for _ in range(len(left)):
        delta = next((f for f in left if f.name == DELTA and _may_go(f, sums)), None)
        if delta is None:
            break
        left.remove(delta)
        first, second = delta.indices
        if first == second:
            continue
        old, new = (first, second) if first in sums else (second, first)
        sums.remove(old)
        left = [f.renamed({old: new}) for f in left]
    return sums, left


def _may_go(delta: Factor, sums: list[Index]) -> bool:
    first, second = delta.indices
    return first == second or first in sums or second in sums


_FRESH = itertools.count()


def fresh(size: sp.Expr) -> Index:
    """An index that occurs nowhere else."""
    return Index(f"_{next(_FRESH)}", size)


def _apart(tensor: Tensor) -> Iterable[tuple[Monomial, sp.Expr]]:
    """Terms with summed indices that occur nowhere else."""
    for (summed, factors), c in tensor.terms.items():
        names = {i: fresh(i.size) for i in summed}
        yield (tuple(names.values()), tuple(f.renamed(names) for f in factors)), c


def derivative(tensor: Tensor, base: str, index: Index) -> Tensor:
    """∂/∂w_index of a tensor, for the vector called `base`."""

    def of_term(monomial: Monomial) -> Tensor:
        summed, factors = monomial
        found = []
        for k, factor in enumerate(factors):
            others = factors[:k] + factors[k + 1 :]
            if factor.name == base:
                delta = Factor(DELTA, tuple(sorted((factor.indices[-1], index))))
                found.append(((summed, (*others, delta)), sp.Integer(1)))
            for slot, point in enumerate(factor.points):
                if point.name == base:
                    moved = factor.differentiated(slot, index)
                    found.append(((summed, (*others, moved)), sp.Integer(1)))
        return collected(found)

    return tensor.map(of_term)
