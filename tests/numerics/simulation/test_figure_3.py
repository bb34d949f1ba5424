"""Figure 3 of arXiv 2404.12293 at α = 0.1: the recursion follows the limit at that step size.

What remains at noise scale σ is of order σ²: the next order of the averaged recursion.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sympy as sp
from scipy import stats

from derive import NoisyGradientDescent, derive_limit
from numerics import compile_limit, simulate_descent, simulate_limit
from tests.truth.catalogue import PLANE, eta, w1, w2

ALPHA = 0.1
LADDER = np.sqrt(0.01 / np.array([1, 2, 4, 8]))
"""Each with a whole number of iterations up to the time of comparison."""
ENOUGH = 4.0
"""Standard errors within which the recursion has to agree."""
LOSS = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
NOISY = {
    "non-degenerate": LOSS + (1 - sp.Rational(7, 10) * sp.cos(2 * w1)) * eta**2 / 2,
    "degenerate": LOSS + (w1**2 + w2**2) * eta / 2,
}
ROWS = {"non-degenerate": (1, 0.5, 40_000), "degenerate": (2, 1.0, 4_000)}
"""Exponent of α in the speed, the slow time at which is compared, and the paths at σ = 0.1; below
they go with σ², so that all standard errors are about equal."""
MANY = 20
"""Times as many paths show what remains."""
STARTS = {"on Γ": (0.6, 0.8), "away from Γ": (0.8, 0.9)}
CHANCE = 1e-4
"""Probability with which a right limit fails a test of fit."""


@cache
def limits(row):
    limit = derive_limit(NoisyGradientDescent(LOSS, NOISY[row], PLANE, eta))
    return compile_limit(limit), compile_limit(limit.at_step(ALPHA))


def angle(w):
    return np.arctan2(w[..., 1], w[..., 0])


def limit_angle(limit, row, start):
    ends = simulate_limit(limit, start, time=ROWS[row][1], paths=1, seed=0, record=2)
    return angle(ends.weights[0, -1])


@cache
def differences(row, place, times=1):
    """Mean angle of Φ_α(w_k) less that of the limit at α, with standard errors, over the ladder."""
    (exponent, time, most), start = ROWS[row], STARTS[place]
    at_zero, at_step = limits(row)
    expected = limit_angle(at_step, row, start)
    means, errors = [], []
    for number, sigma in enumerate(LADDER):
        steps = round(time / (ALPHA**exponent * sigma**2))
        paths = simulate_descent(
            at_zero.limit.problem,
            start,
            alpha=ALPHA,
            sigma=sigma,
            steps=steps,
            paths=round(times * most * (sigma / LADDER[0]) ** 2),
            seed=(3, number, list(STARTS).index(place)),
            record=2,
        )
        angles = angle(at_step.descent_limit(paths.weights[:, -1], ALPHA))
        means.append(angles.mean() - expected)
        errors.append(angles.std(ddof=1) / np.sqrt(len(angles)))
    return np.array(means), np.array(errors)


def fit(means, errors, exponent):
    """Least squares for c σ^exponent: c in standard errors, and the probability of the misfit."""
    powers = LADDER**exponent
    weight = (powers**2 / errors**2).sum()
    factor = (means * powers / errors**2).sum() / weight
    misfit = (((means - factor * powers) / errors) ** 2).sum()
    return factor * np.sqrt(weight), stats.chi2.sf(misfit, len(LADDER) - 1)


@pytest.mark.parametrize("place", STARTS)
@pytest.mark.parametrize("row", ROWS)
def test_the_recursion_follows_the_limit_at_the_step(row, place):
    means, errors = differences(row, place)
    assert abs(means[-1]) < ENOUGH * errors[-1]


@pytest.mark.slow
@pytest.mark.parametrize("place", STARTS)
@pytest.mark.parametrize("row", ROWS)
def test_what_remains_vanishes_as_the_square_of_sigma(row, place):
    means, errors = differences(row, place, MANY)
    print(f"{row}, {place}: {means / errors} standard errors")
    seen, chance = fit(means, errors, 2)
    assert abs(seen) > ENOUGH
    assert chance > CHANCE
    assert fit(means, errors, 0)[1] < CHANCE


@pytest.mark.parametrize("place", STARTS)
def test_the_limit_at_zero_step_is_rejected(place):
    row = "degenerate"
    means, errors = differences(row, place)
    at_zero, at_step = limits(row)
    apart = limit_angle(at_zero, row, STARTS[place]) - limit_angle(at_step, row, STARTS[place])
    assert abs(means[-1] - apart) > 10 * ENOUGH * errors[-1]
