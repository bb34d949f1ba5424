"""Each mechanism of the catalogue by Monte Carlo: the recursion moves as the catalogue says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from derive import Gaussian, Minibatch, alpha, sigma
from derive.laws.law import Law
from tests.truth.catalogue import CATALOGUE
from tests.truth.motion import (
    AT_STEP,
    ERRORS,
    NEXT_ORDER,
    THEOREM,
    THIRD_SCALE,
    Mean,
    Motion,
    Row,
    confirm_directly,
    confirm_extrapolated,
)

ENTRIES = {entry.name: entry for entry in CATALOGUE}

RING, NET, PAIR = (0.6, 0.8), (1.3, 0.7, 0.5, 0.8), (2.3, 1.0, -1.3, 2.4)
ROWS = {
    "parameter noise on the uneven ring": Row(RING, 0.02, 0.05, 0.2, 400),
    "correlated parameter noise on the uneven ring": Row(RING, 0.02, 0.03, 0.1, 400),
    "Gaussian DropConnect on the round ring": Row(RING, 0.05, 0.05, 0.2, 400),
    "Bernoulli DropConnect on the round ring": Row(RING, 0.02, 0.1, 0.6, 4000),
    "scalar multiplicative noise": Row(RING, 0.05, 0.05, 0.3, 400),
    "linear scalar noise on the uneven ring": Row(RING, 0.1, 0.1, 1.0, 400, AT_STEP),
    "uneven normal second moment on the round ring": Row(
        RING, 0.1, 0.1, 0.6, 32, THIRD_SCALE, Gaussian()
    ),
    "Gaussian DropConnect on the hyperbola": Row((-2.0, -0.5), 0.05, 0.01, 0.1, 96, AT_STEP),
    "label noise on a diagonal net": Row(NET, 0.02, 0.1, 0.02, 200, AT_STEP),
    "batches of one with label noise on a diagonal net": Row(NET, 0.0025, 0.2, 0.02, 100, THEOREM),
    "batches of two with replacement and label noise on a diagonal net": Row(
        NET, 0.0025, 0.2, 0.02, 100, THEOREM
    ),
    "Gaussian dropout of two neurons": Row(PAIR, 0.1, 0.05, 0.5, 100),
    "Bernoulli dropout of two neurons": Row(PAIR, 0.1, 0.05, 0.5, 400),
    "input noise on a neuron with bias": Row((0.8, 0.7, 0.2), 0.1, 0.05, 1.0, 400),
    "additive noise on an ellipse": Row((1.2, 0.8), 0.02, 0.2, 1.0, 2000, AT_STEP),
}


@cache
def motion(name: str, halvings: int = 0, more: int = 1, law: Law | None = None) -> Motion:
    """The run of a row, or one that `Row.smaller` makes of it."""
    row, problem = ROWS[name], ENTRIES[name].problem
    if law or row.law:
        problem = replace(problem, law=law or row.law)
    return Motion(problem, row.smaller(halvings, more), (3, list(ROWS).index(name), halvings))


DIRECT = [n for n, row in ROWS.items() if row.prediction in (NEXT_ORDER, AT_STEP)]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if k % 6 else ()) for k, n in enumerate(DIRECT)]
)
def test_projected_iterate_moves_as_predicted(name):
    confirm_directly(name, motion(name))


@pytest.mark.parametrize("name", [n for n in ROWS if n not in DIRECT])
def test_extrapolated_motion_is_as_predicted(name):
    confirm_extrapolated(name, motion(name), motion(name, halvings=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_extrapolated_motion_of_many_paths_is_as_predicted(name):
    # What is of second order in α shows in the theorem unless both runs have a smaller one.
    first, more = (1, 4) if ROWS[name].prediction is THEOREM else (0, 16)
    confirm_extrapolated(name, motion(name, first, more), motion(name, first + 1, more))


def test_additive_noise_spreads_as_predicted():
    found = motion("additive noise on an ellipse")
    half, end = ((found.predicted[:, i] ** 2).sum(axis=-1) for i in (0, 1))
    measured = Mean.of((found.measured**2).sum(axis=-1))
    assert abs((measured - Mean.of(end)).z) < ERRORS
    assert (measured - Mean.of(half)).z > 2 * ERRORS


def test_bernoulli_dropconnect_does_not_follow_the_taylor_formula():
    name = "Bernoulli DropConnect on the round ring"
    found, taylor = motion(name), motion(name, law=Gaussian())
    wrong = found.along(found.measured) - found.along(found.of_limit(taylor.fast)[:, 1])
    print(f"{name}: {found.gap.z:.2f} standard errors from it, {wrong.z:.0f} from Taylor's")
    assert wrong.z < -2 * ERRORS


def test_bernoulli_dropconnect_rests_on_the_hyperbola_where_normal_noise_moves():
    """Reg_B is constant and Σ_B = 0 on Γ; what is left is of relative order σ²."""
    normal = motion("Gaussian DropConnect on the hyperbola")
    problem = ENTRIES["Bernoulli DropConnect on the hyperbola"].problem
    here = -normal.start
    ends = Motion(problem, normal.row, (4,)).run(here, normal.steps)
    moved = normal.fast.descent_limit(-ends, normal.row.alpha) + here
    size = np.linalg.norm(normal.measured, axis=1).mean()
    assert np.linalg.norm(moved, axis=1).mean() < 10 * normal.row.sigma**2 * size


@pytest.mark.parametrize("replacement", [False, True])
def test_minibatches_never_move(replacement):
    """Residuals of the size of rounding move nothing by even one bit."""
    law = Minibatch(2, 2 if replacement else 1, replacement)
    problem = replace(ENTRIES["minibatches on a diagonal net"].problem, law=law)
    here = motion("label noise on a diagonal net").start
    ends = Motion(problem, Row(NET, 0.02, 1.0, 1.0, paths=64), (5,)).run(here, 100_000)
    assert (ends == here).all()


def test_normal_second_moment_moves_on_its_own_scale():
    """Twice the σ in a sixteenth of the iterations moves as far: 1/(ασ⁴), not 1/(ασ²) or slower."""
    name = "uneven normal second moment on the round ring"
    slow = motion(name)
    fast = Motion(slow.problem, replace(slow.row, sigma=2 * slow.row.sigma), (6,))
    assert slow.equation.time_scale == 1 / (alpha * sigma**4)
    assert slow.steps == pytest.approx(16 * fast.steps, rel=1e-3)
    first, second = (m.along(m.measured).value for m in (slow, fast))
    assert second == pytest.approx(first, rel=5 * fast.row.sigma**2)
