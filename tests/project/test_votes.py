"""The example of votes that disagree: its limit, its potential, and where that ends."""

from __future__ import annotations

import numpy as np
import pytest
import votes_that_disagree as example

from derive import Outcome
from numerics import compile_limit, simulate_limit
from numerics.models.compiled_limit import CompiledLimit

pytestmark = pytest.mark.slow  # a minimum above zero is tested in test_minimisers

BATCH = 2


@pytest.fixture(scope="module")
def limit() -> CompiledLimit:
    return compile_limit(example.votes_limit(BATCH))


def test_batches_of_votes_lower_the_weighted_sum(limit: CompiledLimit) -> None:
    derived = limit.limit
    assert derived.outcome is Outcome.DETERMINISTIC
    assert float(derived.manifold.minimum) == pytest.approx(np.log(4) - 0.75 * np.log(3))
    w = limit.retract(example.START)
    slope = 2 * np.tile(example.COSTS, 2) * w
    expected = -(1 / (4 * BATCH)) * 0.75 * limit.projector(w) @ slope
    np.testing.assert_allclose(limit.drift(w), expected, atol=1e-12)


def test_the_limit_ends_in_the_vertex_of_the_linear_program(limit: CompiledLimit) -> None:
    paths = simulate_limit(limit, limit.retract(example.START), time=40.0, paths=1, seed=0)
    end = paths.weights[0, -1]
    least, vertex = example.least_cost()
    assert example.cost(end) == pytest.approx(least, abs=1e-4)
    np.testing.assert_allclose(example.coefficients(end), vertex, atol=1e-4)
    assert np.sum(np.abs(vertex) > 1e-9) == len(example.INPUTS)
