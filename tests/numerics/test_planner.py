"""The planner: small numbers, cost and sharpness of a run before it is made."""

import numpy as np
import pytest

from derive import derive_limit
from numerics.validation.planner import plan
from tests.truth.catalogue import CATALOGUE

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
    assert np.isclose(middle.sharpness, np.sqrt(5 / middle.paths))


@pytest.mark.parametrize("choice", [{}, {"paths": 100, "budget": 1.0}, {"budget": -1.0}])
def test_refusals(limit, choice):
    with pytest.raises(ValueError, match="budget"):
        plan(limit, (0.6, 0.8), **RUN, **choice)
