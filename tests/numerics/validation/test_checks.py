"""One hypothesis each, and the verdict on all of them together."""

import numpy as np
import pytest

from numerics.validation.checks import Check, Finding, compared, judge
from numerics.validation.measurements.statistics import Estimate


def finding(p: float) -> Finding:
    return Finding("x", 0.0, 0.0, 1.0, 0.0, p)


def test_one_bad_check_fails_the_report():
    assert [c.passed for c in judge([finding(1e-6), finding(0.5)], 0.01)] == [False, True]


def test_many_checks_are_judged_together():
    """One p-value of 0.005 is rare at the level 0.01, one of ten is not."""
    assert not judge([finding(0.005)], 0.01)[0].passed
    assert all(c.passed for c in judge([finding(0.005)] + 9 * [finding(0.5)], 0.01))


def test_the_worst_place_is_shown_and_multiplicity_counted():
    measured = Estimate(np.array([0.0, 3.0, 0.1]), np.ones(3))
    found = compared("gap", ["a", "b", "c"], measured, Estimate(np.zeros(3), np.zeros(3)))
    assert found.name == "gap b"
    assert (found.measured, found.expected, found.parts) == (3, 0, 3)
    assert found.p_value == pytest.approx(3 * 0.0026998, rel=1e-4)


def test_both_errors_count():
    measured, expected = (Estimate(np.array([x]), np.array([e])) for x, e in ((5, 3), (0, 4)))
    found = compared("gap", [""], measured, expected)
    assert found.error == 5
    assert found.p_value == pytest.approx(0.3173105)


def test_an_allowance_is_taken_off_at_its_place():
    measured = Estimate(np.array([2.0, 2.0]), np.ones(2))
    exact = Estimate(np.zeros(2), np.zeros(2))
    found = compared("gap", ["a", "b"], measured, exact, [2.0, 0.0])
    assert found.name == "gap b"
    assert found.allowance == 0
    assert compared("gap", ["a", "b"], measured, exact, 2.0).p_value == 1


def test_a_value_that_is_not_a_number_is_a_contradiction():
    measured = Estimate(np.array([0.0, np.nan]), np.ones(2))
    found = compared("gap", ["a", "b"], measured, Estimate(np.zeros(2), np.zeros(2)))
    assert found.p_value == 0


@pytest.mark.parametrize(
    ("measured", "allowance", "error", "statistic"),
    [(3.0, 1.0, 0.5, 4.0), (0.5, 1.0, 0.5, 0.0), (3.0, 1.0, 0.0, np.inf), (0.5, 1.0, 0.0, 0.0)],
)
def test_the_statistic_is_what_exceeds_the_allowance(measured, allowance, error, statistic):
    assert Check("x", measured, 0.0, error, allowance, 0.5).statistic == statistic
