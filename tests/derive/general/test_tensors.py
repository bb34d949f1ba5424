"""Normal forms of tensors: equal terms are equal, whatever their indices are called."""

import pytest
import sympy as sp

from derive.general.tensors import DELTA, Factor, Index, Tensor, derivative, fresh
from tests.truth.instances import Instance

N = sp.Symbol("N", integer=True, positive=True)
k = Index("k", N)
W = sp.symbols("w1:4", real=True)


def bend(*indices: Index) -> Factor:
    return Factor("L", (), (Factor("w"),), (tuple(sorted(indices)),))


def weight(index: Index) -> Factor:
    return Factor("w", (index,))


def test_names_of_summed_indices_do_not_matter() -> None:
    a, b, c = fresh(N), fresh(N), fresh(N)
    first = Tensor.of(bend(a, b), weight(a), weight(b), bend(c, c), summed=(a, b, c))
    second = Tensor.of(weight(c), bend(b, b), bend(c, a), weight(a), summed=(c, b, a))
    assert first == second
    assert (first + second.scaled(-1)).terms == {}


def test_deltas_are_contracted_and_free_sums_counted() -> None:
    a, b = fresh(N), fresh(N)
    delta = Factor(DELTA, tuple(sorted((a, b))))
    assert Tensor.of(delta, weight(a), bend(b, k), summed=(a, b)) == Tensor.of(
        weight(a), bend(a, k), summed=(a,)
    )
    assert Tensor.of(delta, summed=(a, b)) == Tensor.number(N)
    held = Tensor.of(Factor(DELTA, tuple(sorted((a, k)))), weight(k), summed=(a,))
    assert held == Tensor.of(weight(k))


def test_products_keep_their_sums_apart() -> None:
    a = fresh(N)
    square = Tensor.of(weight(a), weight(a), summed=(a,))
    values = Instance({N: 3}, {"w": W}, {})
    assert sp.expand(values.value(square * square) - sum(w**2 for w in W) ** 2) == 0


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("kinds", ["w", "L", "wL", "wwL", "LL"])
def test_derivatives_are_those_of_the_components(kinds: str, place: int) -> None:
    a, b = fresh(N), fresh(N)
    factors = [weight((a, b)[i % 2]) if kind == "w" else bend(a, b) for i, kind in enumerate(kinds)]
    tensor = Tensor.of(*factors, summed=(a, b))
    loss = W[0] ** 3 * W[1] + W[1] * W[2] ** 4
    values = Instance(
        {N: 3}, {"w": W}, {"L": lambda w: loss.xreplace(dict(zip(W, w, strict=True)))}
    )
    slope = values.value(derivative(tensor, "w", k), {k: place})
    assert sp.expand(slope - values.value(tensor).diff(W[place])) == 0
