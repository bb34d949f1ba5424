"""The sigmoid network on one point: which points are stable, and where the limit ends."""

import numpy as np
import pytest
import sigmoid_net_on_one_point as example

from numerics import compile_limit


@pytest.fixture(scope="module")
def limit():
    return compile_limit(example.sigmoid_limit(2))


def test_the_sign_test_tells_sparse_points_from_the_others(limit):
    sparse, full = (example.stability(limit, example.balanced(2, m)) for m in (1, 2))
    assert sparse.drift < 1e-9
    assert full.drift < 1e-9
    assert sparse.stable
    assert not full.stable
    # By hand: near the zero unit the reduced potential is a² + c² − λac with λ = f'(1), since
    # what the unit adds to h the other one saves; its rates are −(2 ∓ λ) along a = ±c.
    slope = 2 * np.sqrt(2) + np.sqrt(2) - 4
    zero_unit = np.array([0, 1, 0, 1]) / np.sqrt(2), np.array([0, 1, 0, -1]) / np.sqrt(2)
    for direction, rate in zip(zero_unit, (-(2 - slope), -(2 + slope)), strict=True):
        step = 1e-4
        moved = limit.retract(example.balanced(2, 1) + step * direction)
        assert limit.drift(moved) @ direction / step == pytest.approx(rate, rel=1e-3)


def test_the_limit_ends_in_one_unit(limit):
    paths = example.run(limit, 2, starts=4, time=14.0)
    shares = np.sort(example.contributions(paths.weights[:, -1]), axis=-1)
    np.testing.assert_allclose(shares, np.tile([0.0, 1.0], (4, 1)), atol=1e-3)
