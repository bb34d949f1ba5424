"""The ReLU network from cell to cell: the drift and its walls, and training beside the path."""

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs .[networks]")

import relu_net_across_cells as example
from relu_net_on_twelve_points import reg

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path():
    found = example.Path()
    found.follow(example.start(), 2.5)
    return found


def jacobian(w, on):
    """∂f(x_i)/∂w, with a column of zeros for the weight that is not used."""
    a, b, c = example.shaped(w)[:, :-1]
    x, none = example.X[:, None], np.zeros((len(example.X), 1))
    z = on * (x * a + b)
    return np.hstack([on * c * x, x, on * c, none + 1, z, none])


def test_the_drift_is_that_of_the_papers_regularizer_along_the_walls():
    """−(1/n) P∇reg by differences of reg, and P without the directions of the walls."""
    w, n, step = example.start(), len(example.X), 1e-6
    on = example.heights(w) > 0
    slopes = [
        (reg(example.shaped(w + s), example.X) - reg(example.shaped(w - s), example.X)) / (2 * step)
        for s in step * np.eye(w.size)
    ]
    cell = example.Cell.derived(on, w, step=None)
    for walls in ((), ((1, 0),), ((1, 0), (4, 2))):
        rows = np.vstack([jacobian(w, on), *(example.slope(wall, w.size) for wall in walls)])
        away = np.linalg.lstsq(rows, rows @ slopes, rcond=1e-10)[0]
        found, _ = cell.velocity(w, walls)
        np.testing.assert_allclose(found, -(slopes - away) / n, atol=1e-6)


def test_walls_are_crossed_where_reg_falls_and_hold_what_would_rise(path):
    assert [event.what for event in path.events] == [
        *("crosses", "crosses", "crosses, is held", "crosses, is held", "crosses"),
    ]
    for event in path.events:
        w, stretch = path.at(event.time)
        assert example.heights(w)[event.wall] == pytest.approx(0, abs=1e-6)
        acting, idle = event.regs
        assert acting > idle
        assert event.speeds[0] < 0
        assert (event.speeds[1] > 0) == ("held" in event.what)
    for t in np.linspace(0, 2.5, 11):
        w, stretch = path.at(t)
        np.testing.assert_allclose(
            example.curve(example.shaped(w), example.X), example.Y, atol=1e-6
        )
        assert all(abs(example.heights(w)[wall]) < 1e-6 for wall in stretch.walls)


def test_training_follows_the_path_and_not_the_flow_of_the_first_cell(path):
    """Held units stay some √α σ away from their walls, so that reg is off by as much."""
    first, sigma, times = example.start(), 0.05, np.array([0.0, 1.0, 2.0])
    beside = example.trained(first, times, sigma, seed=1)
    for t, w in zip(times[1:], beside[1:], strict=True):
        there, stretch = path.at(t)
        np.testing.assert_array_equal(example.heights(w) > 0, stretch.cell.on)
        assert reg(example.shaped(w), example.X) == pytest.approx(stretch.cell.reg(there), rel=0.01)
    cell = path.stretches[0].cell
    flow = example.solve_ivp(lambda _, w: cell.velocity(w)[0], (0, 2), first, rtol=1e-6)
    assert abs(reg(example.shaped(flow.y[:, -1]), example.X) / cell.reg(path.at(2.0)[0]) - 1) > 0.01
