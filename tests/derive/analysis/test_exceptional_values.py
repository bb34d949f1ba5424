"""Exceptional values of parameters: named where found, and the derivation there agrees."""

from __future__ import annotations

import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, Outcome, derive_limit
from derive.analysis.exceptional_values import exceptional_values

W = w1, w2 = sp.symbols("w1 w2", real=True)
E = e1, e2 = sp.symbols("eta1 eta2", real=True)
A, B = sp.symbols("a b", real=True)
SIZE = sp.Symbol("c", positive=True)
RING = w1**2 + w2**2 - 1


def limit_of(noise: sp.Expr) -> Limit:
    """The limit of a noise added to the loss of the ring."""
    noisy = RING**2 / 2 + noise
    parameters = tuple(sorted(noise.free_symbols - {*W, *E}, key=str))
    return derive_limit(
        NoisyGradientDescent(RING**2 / 2, noisy, W, E, parameters=parameters, near=(0, 1))
    )


@pytest.mark.parametrize(
    ("noise", "outcome", "expected"),
    [
        (A * e1**2 * w1**2 + B * e2**2 * w2**2, Outcome.NON_DEGENERATE, [{A: B}]),
        ((A**2 - 1) * e1**2 * w1, Outcome.NON_DEGENERATE, [{A: -1}, {A: 1}]),
        ((A**2 + 1) * e1**2 * w1, Outcome.NON_DEGENERATE, []),
        ((A**2 + SIZE**2) * e1**2 * w1, Outcome.NON_DEGENERATE, []),
        ((A**2 + B**2) * e1**2 * w1, Outcome.NON_DEGENERATE, []),
        ((A**2 + SIZE + 2) * e1**2 * w1, Outcome.NON_DEGENERATE, []),
        (SIZE * e1**2 * w1, Outcome.NON_DEGENERATE, []),
        ((A - B) * e1 * w1, Outcome.DIFFUSIVE, [{A: B}]),
        (A * RING * (e1 + e2 * w1), Outcome.TRIVIAL, []),
    ],
)
def test_values_at_which_the_motion_stops(
    noise: sp.Expr, outcome: Outcome, expected: list[dict[sp.Symbol, sp.Expr]]
) -> None:
    limit = limit_of(noise)
    assert limit.outcome is outcome
    found = exceptional_values(limit)
    assert list(found) == expected
    for values in found:
        assert limit_of(noise.subs(values)).outcome is not outcome


def test_they_are_listed_among_the_assumptions() -> None:
    explanation = limit_of((A - B) * e1 * w1).explain()
    (assumption,) = [h for h in explanation.assumptions if "generic" in h.claim]
    assert assumption.claim == "a, b take generic values"
    assert "the motion stops at a = b" in assumption.support
