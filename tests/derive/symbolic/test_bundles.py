"""Bundles are taken apart and put together again; integers in them are places and stay."""

from dataclasses import dataclass

import mpmath
import sympy as sp

from derive.symbolic.bundles import flattened, mapped, restored
from derive.symbolic.numbers.roots import evaluator

x, y = sp.symbols("x y", real=True)


@dataclass(frozen=True)
class Some:
    size: int
    matrix: sp.Matrix
    entries: tuple[tuple[int, int, sp.Expr], ...]


SOME = Some(2, sp.Matrix([[x, y, 1], [x * y, 2, x]]), ((0, 1, x + y), (1, 1, y)))


def test_matrices_go_by_rows_and_places_stay():
    assert flattened(SOME) == [x, y, 1, x * y, 2, x, x + y, y]
    assert [flattened([]), flattened((3, [4])), flattened(x)] == [[], [], [x]]


def test_what_was_taken_apart_is_put_together():
    again = restored(SOME, [mpmath.mpf(k) for k in range(8)])
    assert again.size == 2
    assert again.matrix == mpmath.matrix([[0, 1, 2], [3, 4, 5]])
    assert again.entries == ((0, 1, 6), (1, 1, 7))
    assert mapped(SOME.entries, lambda e: e**2) == ((0, 1, (x + y) ** 2), (1, 1, y**2))


def test_values_are_bundles_like_the_expressions():
    at = (mpmath.mpf(3), mpmath.mpf(5))
    found = evaluator((x, y), SOME)(at)
    assert found.matrix == mpmath.matrix([[3, 5, 1], [15, 2, 3]])
    assert found.entries == ((0, 1, 8), (1, 1, 5))
    assert evaluator((x, y), (x, 0))(at) == [3, 0]
    assert evaluator((x, y), [[x], [y, 7]])(at) == [[3], [5, 7]]
