"""Losses with symbolic dimensions, read into tensors: to second order in the noise, or at a jump.

What is understood: indexed quantities ``w[i]``, entries of matrices, sums over an index, undefined
functions ``h(s, w)`` of indices and vectors, sums, products, powers, and elementary functions of
what vanishes without noise. A vector is an ``IndexedBase``, a matrix expression of one column, or
``Lambda(i, component)``. At a jump, where one entry of the noise is z and the others are 0, a
component of a vector may be multiplied, or moved, by a number. Anything else is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, TypeAlias

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from ..errors import ProblemError
from .tensors import DELTA, MOVED, SCALED, Factor, Index, Tensor, fresh

ORDER = 2
"""Order in the noise up to which losses are expanded: that of σ²."""

UNKNOWN_SIZE = sp.Symbol("size")

Bound = Mapping[sp.Basic, Index]
Vector: TypeAlias = sp.IndexedBase | sp.MatrixExpr | sp.Lambda


@dataclass(frozen=True)
class Place:
    """Noise of which one entry is not 0.

    Attributes
    ----------
    noise : str
        Name of the array.
    indices : tuple of Index
        Which entry.
    value : Expr
        z, a number.
    """

    noise: str
    indices: tuple[Index, ...]
    value: sp.Expr

    def entry(self, indices: Iterable[Index]) -> Tensor:
        """An entry of the array."""
        pairs = zip(indices, self.indices, strict=True)
        return Tensor.of(*(Factor(DELTA, tuple(sorted(p))) for p in pairs)).scaled(self.value)

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all entries."""
        return reduce(Tensor.summed, self.indices, tensor)


@dataclass(frozen=True)
class Reader:
    """Reads expressions in given weights and noise.

    Attributes
    ----------
    weights : str
        Name of the vector of weights.
    noise : tuple of str
        Names of the arrays of noise.
    sizes : mapping of str to tuple of Expr
        Shapes, where they are known.
    jump : Place, optional
        Where the noise is, if it is not small.
    around : mapping of symbol to Index
        Indices of what the expression stands in.
    """

    weights: str
    noise: tuple[str, ...]
    sizes: Mapping[str, tuple[sp.Expr, ...]]
    jump: Place | None = None
    around: Bound = field(default_factory=dict)

    def degree(self, factors: Sequence[Factor]) -> int:
        """How many factors are noise."""
        return sum(f.name in self.noise for f in factors)

    def part(self, tensor: Tensor, degree: int) -> Tensor:
        """The terms of some degree in the noise."""
        return tensor.kept(lambda factors: self.degree(factors) == degree)

    def at(self, place: Place) -> Reader:
        """A reader of noise that is not small, in one place and nowhere else."""
        return replace(self, jump=place)

    def put(self, tensor: Tensor, place: Place) -> Tensor:
        """Terms of first order in the noise, at noise in one place."""

        def of_term(monomial: tuple[tuple[Index, ...], tuple[Factor, ...]]) -> Tensor:
            summed, factors = monomial
            (noise,) = (f for f in factors if f.name in self.noise)
            if noise.name != place.noise:
                return Tensor({})
            rest = Tensor.of(*(f for f in factors if f != noise))
            return reduce(Tensor.summed, summed, rest * place.entry(noise.indices))

        return tensor.map(of_term)

    def read(self, expression: sp.Expr, bound: Bound) -> Tensor:
        """A scalar expression, up to second order in the noise.

        Parameters
        ----------
        expression : Expr
            What is read.
        bound : mapping of symbol to Index
            Its indices.
        """
        e = sp.sympify(expression)
        if not e.has(*_STRUCTURED) and not e.free_symbols & bound.keys():
            return Tensor.number(e)
        handler = next((method for kinds, method in _HANDLERS if isinstance(e, kinds)), None)
        return (handler or Reader._refuse)(self, e, bound)

    def _refuse(self, e: sp.Expr, bound: Bound) -> Tensor:
        raise ProblemError(
            f"{sp.sstr(e)}: {type(e).__name__} is not understood with symbolic dimensions; write "
            "it by components, sums over an index and undefined functions"
        )

    def _add(self, e: sp.Add, bound: Bound) -> Tensor:
        return reduce(Tensor.__add__, (self.read(x, bound) for x in e.args))

    def _multiply(self, e: sp.Mul, bound: Bound) -> Tensor:
        factors = (self.read(x, bound) for x in e.args)
        return reduce(lambda a, b: self._truncated(a * b), factors)

    def _power(self, e: sp.Pow, bound: Bound) -> Tensor:
        if not (e.exp.is_Integer and e.exp > 0):
            return self._refuse(e, bound)
        base = self.read(e.base, bound)
        return reduce(lambda a, b: self._truncated(a * b), [base] * int(e.exp))

    def _delta(self, e: sp.KroneckerDelta, bound: Bound) -> Tensor:
        return Tensor.of(Factor(DELTA, tuple(sorted(self._index(i, bound) for i in e.args[:2]))))

    def _indexed(self, e: sp.Indexed, bound: Bound) -> Tensor:
        return self._of_array(str(e.base), e.indices, bound)

    def _of_array(self, name: str, places: Iterable[sp.Basic], bound: Bound) -> Tensor:
        indices = tuple(self._index(i, bound) for i in places)
        if self.jump is not None and name == self.jump.noise:
            return self.jump.entry(indices)
        return Tensor.of(Factor(name, indices))

    def vector(self, given: Vector, index: Index) -> Tensor:
        """A component of a vector."""
        if isinstance(given, sp.Lambda):
            return self.read(given.expr, {**self.around, given.variables[0]: index})
        place = sp.Dummy(integer=True)
        entry = given[place] if isinstance(given, sp.IndexedBase) else given[place, 0]
        return self.read(entry, {**self.around, place: index})

    def _truncated(self, tensor: Tensor) -> Tensor:
        return tensor.kept(lambda factors: self.degree(factors) <= ORDER)

    def _index(self, given: sp.Basic, bound: Bound) -> Index:
        if given not in bound:
            raise ProblemError(
                f"{given}: an index that no sum and no Lambda binds; write Sum(…, ({given}, 1, n))"
            )
        return bound[given]

    def _sum(self, e: sp.Sum, bound: Bound) -> Tensor:
        inner, indices = dict(bound), []
        for symbol, low, high in e.limits:
            index = fresh(sp.expand(high - low + 1))
            indices.append(index)
            inner[symbol] = index
        total = self.read(e.function, inner)
        for index in indices:
            total = total.summed(index)
        return total

    def _entry(self, e: MatrixElement, bound: Bound) -> Tensor:
        matrix, row, column = e.args
        if not isinstance(matrix, sp.MatrixSymbol):
            raise ProblemError(f"{sp.sstr(e)}: expected an entry of a matrix symbol")
        places = (row,) if matrix.shape[1] == 1 else (row, column)
        return self._of_array(matrix.name, places, bound)

    def _unknown(self, e: AppliedUndef, bound: Bound) -> Tensor:
        """Taylor's formula around the arguments without noise."""
        indices, points, shifts = [], [], []
        for argument in e.args:
            if argument in bound:
                indices.append(bound[argument])
                continue
            if not _is_vector(argument):
                raise ProblemError(
                    f"{sp.sstr(e)}: its argument {sp.sstr(argument)} is neither an index nor a "
                    "vector; give Lambda(i, component), an IndexedBase or a matrix of one column"
                )
            inner = replace(self, around=dict(bound))
            point, size = inner.point(argument, e)
            points.append(point)
            shifts.append((inner, argument, size))
        base = Factor(e.func.__name__, tuple(indices), tuple(points), ((),) * len(points))
        total = first = Tensor.of(base)
        for k in range(1, ORDER + 1 if self.jump is None else 1):
            turned = _turned(first, e.func.__name__, shifts)
            first = self._truncated(turned).scaled(sp.Rational(1, k))
            total = total + first
        return total

    def _elementary(self, e: sp.Function, bound: Bound) -> Tensor:
        if len(e.args) != 1:
            return self._refuse(e, bound)
        inside = self.read(e.args[0], bound)
        if self.jump is not None and (found := _of_a_jump(e, inside)) is not None:
            return found
        still, u = self.part(inside, 0), inside.kept(lambda f: self.degree(f) > 0)
        if any(factors for _, factors in still.terms):
            raise ProblemError(
                f"{sp.sstr(e)}: a function of what does not vanish without noise; give it a name "
                "as an undefined function of the weights"
            )
        x = sp.Dummy()
        at = sum(still.terms.values(), sp.Integer(0))
        slopes = [e.func(x).diff(x, k).subs(x, at) for k in range(ORDER + 1)]
        square = self._truncated(u * u)
        return Tensor.number(slopes[0]) + u.scaled(slopes[1]) + square.scaled(slopes[2] / 2)

    def shift(self, given: Vector, index: Index) -> Tensor:
        """What the noise adds to a component of a vector."""
        return self.vector(given, index).kept(lambda factors: self.degree(factors) > 0)

    def point(self, given: Vector, whole: sp.Expr) -> tuple[Factor, sp.Expr]:
        """The vector without noise, less its last index, and its number of components."""
        index = fresh(UNKNOWN_SIZE)
        still = self.part(self.vector(given, index), 0)
        base = next((fs[0] for (_, fs), c in still.terms.items() if len(fs) == 1 and c == 1), None)
        mark = None if base is None else self._mark(still, base, index)
        if base is None or mark is None:
            where = "without noise" if self.jump is None else "at a jump of the noise"
            raise ProblemError(
                f"{sp.sstr(whole)}: {where} its argument {sp.sstr(given)} is no vector as it "
                "stands; expected the weights, or data, plus what vanishes without noise"
                + ("" if self.jump is None else ", or one component multiplied or moved")
            )
        shape = self.sizes.get(base.name, ())
        if not shape:
            raise ProblemError(
                f"{base.name}: of unknown size; write IndexedBase('{base.name}', shape=(N,))"
            )
        return Factor(base.name, base.indices[:-1], mark), shape[-1]

    def _mark(self, vector: Tensor, base: Factor, index: Index) -> tuple[Factor, ...] | None:
        """What became of one component of a vector; None where that has no mark."""
        if base.points or base.indices[-1:] != (index,):
            return None
        rest = vector + Tensor.of(base).scaled(sp.Integer(-1))
        if not rest.terms:
            return ()
        if self.jump is None or len(self.jump.indices) != 1:
            return None
        one = Factor(DELTA, tuple(sorted((index, *self.jump.indices))))
        scaled, moved = rest.ratio(Tensor.of(one, base)), rest.ratio(Tensor.of(one))
        if scaled is not None and scaled.is_Rational:
            return (Factor(SCALED, self.jump.indices, (Factor(str(scaled + 1)),)),)
        if moved is not None and moved.is_Rational:
            return (Factor(MOVED, self.jump.indices, (Factor(str(moved)),)),)
        return None


_STRUCTURED = (
    *(sp.Indexed, sp.IndexedBase, sp.MatrixExpr, MatrixElement),
    *(AppliedUndef, sp.Sum, sp.KroneckerDelta),
)
_HANDLERS: tuple[tuple[Any, Callable[[Reader, Any, Bound], Tensor]], ...] = (
    (sp.Add, Reader._add),
    (sp.Mul, Reader._multiply),
    (sp.Pow, Reader._power),
    (sp.Sum, Reader._sum),
    (sp.KroneckerDelta, Reader._delta),
    (sp.Indexed, Reader._indexed),
    (MatrixElement, Reader._entry),
    (AppliedUndef, Reader._unknown),
    (sp.Function, Reader._elementary),
)
"""How each kind of expression is read; the first that fits."""


def _is_vector(given: sp.Basic) -> bool:
    if isinstance(given, sp.MatrixExpr):
        return bool(given.shape[1] == 1)
    return isinstance(given, sp.IndexedBase | sp.Lambda)


def _of_a_jump(e: sp.Function, inside: Tensor) -> Tensor | None:
    """f(a + bδ) = f(a) + (f(a + b) − f(a)) δ."""
    a = inside.terms.get(((), ()), sp.Integer(0))
    rest = [(m, c) for m, c in inside.terms.items() if m != ((), ())]
    if not rest:
        return Tensor.number(e.func(a))
    ((summed, factors), b), *more = rest
    if more or summed or any(f.name != DELTA for f in factors):
        return None
    return Tensor.number(e.func(a)) + Tensor.of(*factors).scaled(e.func(a + b) - e.func(a))


def _turned(tensor: Tensor, name: str, shifts: Sequence[tuple[Reader, Vector, sp.Expr]]) -> Tensor:
    """Σ_a u_a ∂_a of the function of some name in each term of Taylor's formula."""
    total = Tensor({})
    for (summed, factors), c in tensor.terms.items():
        place = max(range(len(factors)), key=lambda k: (factors[k].name == name, factors[k].order))
        base, others = factors[place], factors[:place] + factors[place + 1 :]
        for slot, (inner, given, size) in enumerate(shifts):
            index = fresh(size)
            shift = inner.shift(given, index)
            moved = Tensor.of(*others, base.differentiated(slot, index), summed=summed)
            total = total + (moved * shift).summed(index).scaled(c)
    return total
