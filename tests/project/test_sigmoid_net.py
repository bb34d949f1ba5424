"""The sigmoid network on one point: which points are stable, and where the limit ends."""

import numpy as np
import pytest
from sigmoid_net_on_one_point import TANH, Net

from numerics import compile_limit, simulate_limit

NET = Net(TANH, 2, 1, (1,))


def test_one_unit_is_stable_and_two_alike_repel_each_other() -> None:
    sparse, full = NET.limit.end_states([NET.sharing(1), NET.sharing(2)]).equilibria
    assert (sparse.kind, full.kind) == ("stable", "repelling")


def test_rates_beside_one_unit_are_those_by_hand() -> None:
    """Near the zero unit the potential is a² + c² − λac with λ = f'(1), as it saves the other one.

    Its rates are −(2 ∓ λ) along a = ±c.
    """
    limit = compile_limit(NET.limit)
    slope, step = 2 * np.sqrt(2) + np.sqrt(2) - 4, 1e-4
    for sign in (1, -1):
        direction = np.array([0, 1, 0, sign]) / np.sqrt(2)
        moved = limit.retract(NET.sharing(1) + step * direction)
        found = limit.drift(moved) @ direction / step
        assert found == pytest.approx(-(2 - sign * slope), rel=1e-3)


def test_the_limit_ends_in_one_unit() -> None:
    starts = np.abs(np.random.default_rng(0).normal(size=(4, 4)))
    paths = simulate_limit(compile_limit(NET.limit), starts, time=14.0, paths=4, seed=0)
    shares = NET.shares(paths.weights[:, -1])
    np.testing.assert_allclose(shares, np.tile([1.0, 0.0], (4, 1)), atol=1e-3)
