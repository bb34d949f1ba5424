"""Geometry in lanes against geometry at one point, and no lane touched by its neighbours."""

import numpy as np
import pytest
import sympy as sp
from numba import njit

from derive import NoisyGradientDescent
from numerics import CompiledLimit, compile_limit
from numerics.geometry import at_points, blocks, projections
from numerics.geometry.small_matrices import bound, solve_by_gram
from numerics.random.lanes import LANES, multiply_add
from tests.numerics.geometry.test_geometry import AGREEMENT, CHOSEN
from tests.truth.catalogue import Entry
from tests.truth.fields import derived

SPAN = 1e-2
EVERY = np.ones(LANES, dtype=bool)


@njit
def add_product(out: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    multiply_add(out, 5, x, 2, y, 7)


def test_rows_are_multiplied_and_added() -> None:
    out, x, y = np.random.default_rng(0).normal(size=(3, 2, 4, LANES))
    expected = out.reshape(8, LANES).copy()
    expected[5] += x[0, 2] * y[1, 3]
    add_product(out, x, y)
    # One rounding or two: a unit in the last place of the product.
    np.testing.assert_allclose(
        out.reshape(8, LANES), expected, rtol=0, atol=4e-16 * np.abs(x).max()
    )


def lanes_of(points: np.ndarray) -> np.ndarray:
    """Some points again and again, a little apart from each other."""
    chosen = points[np.arange(LANES) % len(points)]
    return chosen + 0.02 * np.random.default_rng(1).normal(size=chosen.shape)


def on_the_manifold(fast: CompiledLimit, entry: Entry) -> np.ndarray:
    points = fast.retract(lanes_of(fast.retract(np.array(entry.guesses))))
    assert np.isfinite(points).all()
    return points


def one_increment(row: np.ndarray, lay: at_points.Layout, kick: np.ndarray) -> np.ndarray:
    """c P S ΔB + P b h as the formula says it."""
    frame, noise = at_points.eigenframe(row, lay), at_points.factor(row, lay)
    moved = at_points.tangential(frame[1], at_points.times(noise, lay, kick))
    return lay.noise * moved + SPAN * at_points.tangential_drift(row, lay, frame, noise)


def assert_same_increments(fast: CompiledLimit, points: np.ndarray) -> None:
    lay, rows = fast.model.layout, fast.model.values(points)
    kick = np.random.default_rng(2).normal(size=(lay.columns, LANES))
    moved, smallest = blocks.increments(rows, lay, kick, SPAN)
    scale = np.abs(moved).max()
    assert scale > 0
    for b in range(LANES):
        expected = one_increment(rows[b], lay, kick[:, b].copy())
        np.testing.assert_allclose(moved[:, b], expected, rtol=0, atol=AGREEMENT * scale)
    np.testing.assert_allclose(smallest, fast.spectrum(points)[:, 0], rtol=AGREEMENT)


@pytest.mark.parametrize("entry", CHOSEN, ids=str)
def test_increments_are_those_of_each_point(entry: Entry) -> None:
    limit = derived(entry.problem)
    for variant in (limit, limit.at_step(entry.alpha, sp.Rational(1, 2))):
        fast = compile_limit(variant)
        assert_same_increments(fast, on_the_manifold(fast, entry))


def test_increments_of_the_effective_equation_and_of_a_bare_covariance() -> None:
    x, y, e = sp.symbols("x y e", real=True)
    loss = (x**2 + y**2 - 1) ** 2 * (2 + x) / 4
    linear = NoisyGradientDescent(loss, loss + e * (x**2 + y**2) / 2, (x, y), e)
    covariance = sp.Matrix([[1 + x**2, x], [x, 1]])
    bare = NoisyGradientDescent.from_gradient_noise(loss, covariance, (x, y), ())
    points = lanes_of(np.array([[0.6, 0.8], [-0.6, 0.8]]))
    for limit in (derived(linear).effective(0.05, 0.1), derived(bare)):
        fast = compile_limit(limit)
        assert_same_increments(fast, fast.retract(points))


@pytest.mark.parametrize("entry", CHOSEN, ids=str)
def test_all_settle_where_each_does(entry: Entry) -> None:
    fast = compile_limit(derived(entry.problem))
    points = on_the_manifold(fast, entry)
    points += 0.05 * np.random.default_rng(3).normal(size=points.shape)
    expected = points.copy()
    one = bound(projections.settle, *fast.model.onto, expected[0])
    assert settled_by(fast, points, EVERY).all()
    assert all(one(*fast.model.onto, point) for point in expected)
    np.testing.assert_allclose(points, expected, rtol=0, atol=AGREEMENT * np.abs(points).max())


def settled_by(fast: CompiledLimit, points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    arguments = (*fast.model.onto, points, wanted)
    return bound(blocks.settle_all, *arguments)(*arguments)


@pytest.mark.parametrize("stranger", [np.nan, 0.0, 50.0])
def test_no_lane_sees_its_neighbours(stranger: float) -> None:
    """The centre of the ring, where its constraint has no slope, and what is far or nowhere."""
    entry = CHOSEN[0]
    fast = compile_limit(derived(entry.problem))
    points = on_the_manifold(fast, entry)
    changed, odd = points.copy(), np.arange(LANES) % 2 == 1
    changed[odd] = stranger
    kick = np.random.default_rng(2).normal(size=(fast.model.layout.columns, LANES))
    found = [
        blocks.increments(fast.model.values(p), fast.model.layout, kick, SPAN)[0]
        for p in (points, changed)
    ]
    np.testing.assert_array_equal(found[0][:, ~odd], found[1][:, ~odd])
    points += 0.05
    changed += 0.05
    whether = [settled_by(fast, p, EVERY) for p in (points, changed)]
    np.testing.assert_array_equal(points[~odd], changed[~odd])
    assert whether[0].all()
    assert whether[1][~odd].all()


def test_only_the_wanted_settle() -> None:
    entry = CHOSEN[0]
    fast = compile_limit(derived(entry.problem))
    points = on_the_manifold(fast, entry) + 0.05
    before, wanted = points.copy(), np.arange(LANES) < 5
    np.testing.assert_array_equal(settled_by(fast, points, wanted), wanted)
    np.testing.assert_array_equal(points[~wanted], before[~wanted])
    assert (points[wanted] != before[wanted]).any(axis=1).all()


@pytest.mark.parametrize("angle", [1.0, 1e-3, 1e-5, 0.0])
def test_gram_solves_where_rows_are_independent(angle: float) -> None:
    """Below an angle of 10⁻⁴ it says no; above, it errs by 10⁻⁸ at most."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(2, 5))
    rows[1] = np.cos(angle) * rows[0] + np.sin(angle) * rows[1]
    right, work, solution = rng.normal(size=2), np.empty((3, 2)), np.empty(5)
    solved = solve_by_gram(rows, right, work, solution)
    flags = np.empty(LANES, dtype=bool)
    in_lanes = np.repeat(rows[..., None], LANES, axis=-1)
    same = blocks.solve_by_gram(in_lanes, np.repeat(right[:, None], LANES, axis=1), flags)
    assert solved == (angle > 1e-4)
    assert (flags == solved).all()
    if solved:
        exact = np.linalg.lstsq(rows, right, rcond=None)[0]
        scale = 1e-8 * np.abs(exact).max()
        np.testing.assert_allclose(solution, exact, rtol=0, atol=scale)
        np.testing.assert_allclose(
            same, np.repeat(exact[:, None], LANES, axis=1), rtol=0, atol=scale
        )
