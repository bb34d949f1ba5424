"""Paths that cross a kink of the model are told of."""

import warnings

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from numerics import simulate_descent, simulate_limit
from numerics.simulation.kinks import KinkWarning, warn_of_kinks

w1, w2, eta = W = sp.symbols("w1 w2 eta", real=True)
LOSS = (w2 - sp.Abs(w1)) ** 2 / 2
NOISY = LOSS + (w1 + 1) ** 2 * eta**2
"""Γ is the graph of |w₁|, along which Reg leads to w₁ = −1 (from w₁ > 0, through the kink)."""
RUN = {"paths": 2, "seed": 0}


def model(start: tuple[float, float]) -> NoisyGradientDescent:
    return NoisyGradientDescent(LOSS, NOISY, (w1, w2), eta, near=start)


def test_the_recursion_and_the_limit_tell_of_a_kink_that_they_cross() -> None:
    problem, start = model((0.5, 0.5)), (0.5, 0.5)
    with pytest.warns(KinkWarning, match=r"2 of 2 paths cross a kink .* \(w1 = 0\)"):
        simulate_descent(problem, start, alpha=0.1, sigma=0.3, steps=2000, **RUN)
    with pytest.warns(KinkWarning, match="w1 = 0"):
        simulate_limit(derive_limit(problem), start, time=2.0, **RUN)


def test_on_one_side_there_is_nothing_to_tell() -> None:
    problem, start = model((-0.5, 0.5)), (-0.5, 0.5)
    simulate_descent(problem, start, alpha=0.1, sigma=0.1, steps=200, **RUN)
    simulate_limit(derive_limit(problem), start, time=2.0, **RUN)


def test_what_is_on_the_kink_or_gone_is_on_no_side() -> None:
    problem = model((0.5, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_kinks(problem, np.array([[[0.5, 0.5], [0.0, 0.0], [np.nan, np.inf]]]))
    with pytest.warns(KinkWarning, match="1 of 2 paths"):
        warn_of_kinks(problem, np.array([[[0.5, 0.5], [-0.1, 0.1]], [[0.5, 0.5], [0.1, 0.1]]]))
