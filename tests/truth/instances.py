"""General formulas at concrete dimensions and functions: what they are tested by."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from derive.general.tensors import DELTA, SCALED, Factor, Index, Tensor


@dataclass(frozen=True)
class Instance:
    """Values of everything that a general formula leaves open.

    Attributes
    ----------
    sizes : mapping of Symbol to int
        N, n, ….
    arrays : mapping of str to nested sequences
        Weights (as symbols), data, covariances.
    functions : mapping of str to callable
        Of their indices, from 0, and of their vectors, as sequences.
    """

    sizes: Mapping[sp.Symbol, int]
    arrays: Mapping[str, Any]
    functions: Mapping[str, Callable[..., sp.Expr]]

    def value(self, tensor: Tensor, free: Mapping[Index, int] | None = None) -> sp.Expr:
        """The tensor, or its component at given free indices, as an expression in the weights."""
        total = sp.Integer(0)
        for (summed, factors), c in tensor.terms.items():
            ranges = [range(int(i.size.subs(self.sizes))) for i in summed]
            for place in itertools.product(*ranges):
                at = {**(free or {}), **dict(zip(summed, place, strict=True))}
                product = sp.Mul(*(self._factor(f, at) for f in factors))
                total += c.subs(self.sizes) * product
        return total

    def _factor(self, f: Factor, at: Mapping[Index, int]) -> sp.Expr:
        places = [at[i] for i in f.indices]
        if f.name == DELTA:
            return sp.Integer(int(places[0] == places[1]))
        if not f.points:
            return sp.sympify(self._entry(f.name, places))
        vectors = [self._entry(p.name, [at[i] for i in p.indices]) for p in f.points]
        dummies = [[sp.Dummy(real=True) for _ in vector] for vector in vectors]
        displaced = (_displaced(d, p, at) for d, p in zip(dummies, f.points, strict=True))
        value = sp.sympify(self.functions[f.name](*places, *displaced))
        for slopes, names in zip(f.slopes, dummies, strict=True):
            for index in slopes:
                value = value.diff(names[at[index]])
        pairs = zip(itertools.chain(*dummies), itertools.chain(*vectors), strict=True)
        return value.xreplace({d: sp.sympify(v) for d, v in pairs})

    def _entry(self, name: str, places: list[int]) -> Any:
        entry = self.arrays[name]
        for place in places:
            entry = entry[place]
        return entry


def _displaced(vector: list[sp.Expr], point: Factor, at: Mapping[Index, int]) -> list[sp.Expr]:
    """The vector with its component multiplied, or moved."""
    moved = list(vector)
    for mark in point.points:
        place, number = at[mark.indices[0]], sp.Rational(mark.points[0].name)
        moved[place] = number * moved[place] if mark.name == SCALED else moved[place] + number
    return moved
