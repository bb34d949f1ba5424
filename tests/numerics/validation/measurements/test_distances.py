"""Orders of convergence fitted to distances of known law."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.validation.measurements.distances import Gap, gap, orders


def ladder(power_of_sigma, power_of_alpha, noise):
    """Gaps that fall as powers, with 5 % errors of the given signs."""
    grid = [(a, s) for a in (0.1, 0.05) for s in (0.4, 0.2, 0.1)]
    return [
        Gap(a, s, factor * s**power_of_sigma, factor * a**power_of_alpha, 0.05 * s**power_of_sigma)
        for (a, s), factor in zip(grid, 1 + 0.05 * np.array(noise), strict=True)
    ]


@pytest.mark.parametrize("power", [1, 2])
def test_orders_are_those_of_the_law(power):
    in_sigma, _, in_alpha = orders(ladder(power, 1, [0] * 6))
    assert in_sigma.value == pytest.approx(power)
    assert in_alpha.value == pytest.approx(1)


def test_an_order_is_as_uncertain_as_the_distances():
    """Three rungs with 5 % errors, log σ spread by log 2: 0.05 / (√2 log 2)."""
    found = orders(ladder(2, 1, [1, 0, -1, 0, 0, 0]))[0]
    assert found.error == pytest.approx(0.05 / (np.sqrt(2) * np.log(2)), rel=0.2)
    assert found.value == pytest.approx(2 + np.log(1.05 / 0.95) / np.log(4), abs=0.02)


def test_distances_within_the_noise_have_no_order():
    gaps = [Gap(0.1, s, s**2, 0.3, 1.0) for s in (0.4, 0.2)]
    assert orders(gaps) == ()


@pytest.mark.parametrize(("motion", "unit"), [(4.0, 4.0), (0.0, 1.0)])
def test_distances_are_relative_to_the_motion_if_there_is_any(motion, unit):
    """Means 3 and 5 away, at the second of two times."""
    still = np.zeros((2, 2, 2))
    at_step, asymptotic = (still + np.array([[0, 0], end]) for end in ([3, 0], [3, 4]))
    comparison = SimpleNamespace(
        alpha=0.1, motion=motion, projected=[still], expected=at_step, asymptotic=asymptotic
    )
    found = gap(comparison, 0, 0.2)
    assert (found.at_step, found.asymptotic) == (3 / unit, 5 / unit)
    assert (found.alpha, found.sigma, found.error) == (0.1, 0.2, 0.0)
