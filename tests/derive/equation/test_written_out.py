"""A limit over samples, or in matrices, written out for the questions that need that form."""

from __future__ import annotations

from typing import Any

import pytest
import sympy as sp

from derive import Limit, Mean, NoisyGradientDescent, NotCoveredError, derive_limit
from derive.symbolic.effort import WRITTEN_OUT

w1, w2, w3, x, y, eta, xi = sp.symbols("w1 w2 w3 x y eta xi", real=True)
WEIGHTS = (w1, w2, w3)
RESIDUAL = w1 * x + (1 + w2) * w3 * x**2 - y
DATA = {x: [1.0, 1.5], y: [0.5, 0.9375]}
A, U = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("U", 2, 2)
SENSING = sp.Trace(A * U * U.T) - y
MATRICES = {A: [[[1.0, 2.0], [0.0, 1.0]], [[2.0, 1.0], [-1.0, 1.0]]], y: [1.0, 1.0]}


def over_samples(data: Any = DATA) -> dict[str, NoisyGradientDescent]:
    loss = Mean(RESIDUAL**2, data)
    return {
        "own": NoisyGradientDescent(loss, Mean((RESIDUAL - xi) ** 2, data, xi), WEIGHTS, xi),
        "shared": NoisyGradientDescent(
            loss, Mean(RESIDUAL.subs(w2, w2 * (1 + eta)) ** 2, data), WEIGHTS, eta
        ),
        "matrices": NoisyGradientDescent(
            Mean(SENSING**2, MATRICES), Mean((SENSING - xi) ** 2, MATRICES, xi), U, xi
        ),
    }


ASK = {
    "as it is": lambda limit: limit,
    "at a step": lambda limit: limit.at_step(sp.Rational(1, 20), sp.Rational(1, 2)),
    "the next order": lambda limit: limit.effective(sp.Rational(1, 20), sp.Rational(1, 10)),
}


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("kind", ["own", "shared", "matrices"])
def test_it_is_the_limit_of_the_problem_written_out(kind: str, ask: str) -> None:
    problem = over_samples()[kind]
    ours = ASK[ask](derive_limit(problem)).written_out()
    theirs = ASK[ask](derive_limit(problem.written_out()))
    assert ours.problem == theirs.problem
    assert ours.classification == theirs.classification
    assert ours.moments == theirs.moments
    for field, value in vars(theirs.equation).items():
        mine = getattr(ours.equation, field)
        assert mine == value or sp.expand(mine - value) == 0, field


def test_another_problem_is_told_apart() -> None:
    other = {x: [1.0, 1.5], y: [0.5, 0.875]}
    ours, theirs = (derive_limit(over_samples(data)["own"]).written_out() for data in (DATA, other))
    assert ours.problem != theirs.problem


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_a_limit_over_samples_is_compared_with_one_by_hand(kind: str) -> None:
    limit: Limit = derive_limit(over_samples()[kind])
    drift = derive_limit(limit.problem.written_out()).drift
    assert drift is not None
    assert limit.check(drift).value is True
    assert limit.check(2 * drift).value is False


def test_it_is_the_limit_itself_without_samples() -> None:
    limit = derive_limit(over_samples()["own"].written_out())
    assert limit.written_out() is limit


def test_too_many_samples_are_not_written_out() -> None:
    count = WRITTEN_OUT // len(WEIGHTS) + 1
    many = {x: [1.0, 1.5] * count, y: [0.5, 0.9375] * count}
    limit = derive_limit(over_samples(many)["own"])
    with pytest.raises(NotCoveredError, match=f"up to {WRITTEN_OUT} samples times weights"):
        limit.check([0, 0, 0])
