"""The planner: small numbers, cost and sharpness of a run before it is made."""

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from numerics import ArgumentError
from numerics.validation.planner import plan
from tests.truth.catalogue import CATALOGUE

x, y, eta = sp.symbols("x y eta", real=True)
RUN = {"alpha": 0.1, "sigma": 0.2, "time": 1.0}


@pytest.fixture(scope="module")
def limit():
    return derive_limit(next(e.problem for e in CATALOGUE if "linear scalar" in e.name))


def test_the_small_numbers(limit):
    foreseen = plan(limit, (0.6, 0.8), **RUN, paths=500)
    # λ = 2(2 + w₁).
    assert foreseen.stiffness == pytest.approx(0.1 * 5.2)
    assert foreseen.bias == pytest.approx(0.26)
    assert foreseen.crossover == pytest.approx(0.4)
    assert foreseen.iterations == pytest.approx(2500)
    assert foreseen.sharpness == pytest.approx(0.1)
    assert foreseen.seconds > 0
    assert "σ = 0.14" in foreseen.suggestion


def test_a_budget_chooses_the_paths(limit):
    small, large = (plan(limit, (0.6, 0.8), **RUN, budget=s) for s in (1e-9, 1e9))
    assert (small.paths, large.paths) == (100, 100_000)
    middle = plan(limit, (0.6, 0.8), **RUN, budget=0.05)
    assert 100 <= middle.paths <= 100_000
    assert middle.seconds <= 0.05 or middle.paths == 100
    assert "a budget of" in small.suggestion
    assert "a budget of" not in large.suggestion
    assert np.isclose(middle.sharpness, np.sqrt(5 / middle.paths))


@pytest.mark.parametrize("choice", [{}, {"paths": 100, "budget": 1.0}, {"budget": -1.0}])
def test_refusals(limit, choice):
    with pytest.raises(ValueError, match="budget"):
        plan(limit, (0.6, 0.8), **RUN, **choice)


@pytest.mark.parametrize("absurd", [{"time": 1e300}, {"sigma": 1e-200}, {"alpha": 1e-300}])
def test_a_run_without_end_is_refused(limit, absurd):
    with pytest.raises(ArgumentError, match=r"iterations at .*; give a shorter time or larger α"):
        plan(limit, (0.6, 0.8), **(RUN | absurd), paths=100)


def of_square(residual):
    """The limit of (r + η)² with r as given."""
    problem = NoisyGradientDescent(residual**2, residual**2 + residual * eta, (x, y), eta)
    return derive_limit(problem)


def test_a_start_that_leads_nowhere_is_refused():
    with pytest.raises(ArgumentError, match=r"start: the gradient flow from \(0.0, 0.0\) does not"):
        plan(of_square(x**2 + y**2 - 1), (0.0, 0.0), **RUN, paths=100)


def test_a_start_on_a_crossing_is_refused():
    crossing = of_square(x * y)
    with pytest.raises(ArgumentError, match=r"start: .* ends at \(0.0, 0.0\), where H has a rank"):
        plan(crossing, (0.0, 0.0), **RUN, paths=100)
    assert plan(crossing, (2.0, 0.0), **RUN, paths=100).stiffness == pytest.approx(0.1 * 8)


def test_a_ratio_that_meets_its_bound_is_left(limit):
    """0.1²/0.05 is 0.2 but for round-off, and no other σ is suggested."""
    met = plan(limit, (0.6, 0.8), alpha=0.05, sigma=0.1, time=1.0, paths=500)
    assert met.crossover == pytest.approx(0.2)
    assert met.suggestion == "nothing to change"
    above = plan(limit, (0.6, 0.8), alpha=0.05, sigma=0.101, time=1.0, paths=500)
    assert "σ = 0.1 " in above.suggestion
