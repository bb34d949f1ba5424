"""Estimators and tests against exact answers and their promised rates."""

import numpy as np
import pytest

from numerics.validation.measurements.statistics import (
    Estimate,
    covariance,
    difference,
    extrapolated,
    first_order_squared,
    holm,
    kolmogorov_distance,
    mean,
    p_value,
    power_law,
    remainder,
    variance,
)

RNG_SEED = 7


def standardised(estimates: list[Estimate], truth: float) -> np.ndarray:
    return np.array([(float(e.value) - truth) / float(e.error) for e in estimates])


@pytest.mark.parametrize(
    ("estimator", "truth"), [(mean, 1.0), (variance, 4.0)], ids=["mean", "variance"]
)
def test_standard_errors_are_right(estimator, truth):
    rng = np.random.default_rng(RNG_SEED)
    z = standardised([estimator(1 + 2 * rng.normal(size=2000)) for _ in range(400)], truth)
    assert abs(z.mean()) < 4 / np.sqrt(400)
    # The standard deviation of 400 standard normals is 1 ± 0.035.
    assert abs(z.std() - 1) < 4 * 0.035


def test_covariance_of_correlated_samples():
    rng = np.random.default_rng(RNG_SEED)
    factor = np.array([[1.0, 0.0], [0.5, 2.0]])
    estimate = covariance(rng.normal(size=(20_000, 2)) @ factor.T)
    assert np.all(np.abs(estimate.value - factor @ factor.T) < 4 * estimate.error)


def test_three_samples_by_hand():
    """Unbiased moments, n − 1 in the denominator; fourth moments for the errors of second ones."""
    samples = np.array([0.0, 1.0, 5.0])
    # Mean 2, squares of the differences 4, 1, 9.
    assert mean(samples).value == 2
    assert mean(samples).error == pytest.approx(np.sqrt(7 / 3))
    assert variance(samples).value == pytest.approx(7)
    assert variance(samples).error == pytest.approx(1.5 * np.std([4, 1, 9], ddof=1) / np.sqrt(3))
    pairs = np.stack([samples, [1.0, 0.0, 2.0]], axis=1)
    # Products of the differences of the two: 0, 1, 3.
    assert covariance(pairs).value == pytest.approx(np.array([[7, 2], [2, 1]]))
    assert covariance(pairs).error[0, 1] == pytest.approx(
        1.5 * np.std([0, 1, 3], ddof=1) / np.sqrt(3)
    )


def test_a_single_sample_is_exact():
    estimate = mean(np.array([[3.0, 4.0]]))
    assert np.array_equal(estimate.error, np.zeros(2))
    assert np.array_equal(variance(np.ones((1, 2))).value, np.zeros(2))


def test_extrapolation_removes_the_first_order():
    coarse, fine = (Estimate(np.array(1 + 3 * x), np.array(0.1)) for x in (0.2, 0.1))
    result = extrapolated(coarse, fine, 2.0)
    assert float(result.value) == pytest.approx(1.0, abs=1e-14)
    assert float(result.error) == pytest.approx(np.hypot(0.2, 0.1))


@pytest.mark.parametrize("ratio", [2.0, 4.0])
@pytest.mark.parametrize("rate", [-0.1, 0.1])
def test_the_allowance_covers_a_geometric_series(ratio, rate):
    def series(e: float) -> Estimate:
        return Estimate(np.array(1 / (1 - rate * e)), np.zeros(()))

    coarse, fine = series(1.0), series(1 / ratio)
    left = extrapolated(coarse, fine, ratio).value - 1
    # The bound holds to leading order; the next is 2·0.1 relative to it.
    assert 0 < abs(left) < 1.2 * remainder(first_order_squared(coarse, fine, ratio), ratio, 1.0)


def test_an_error_that_does_not_fall_gets_no_allowance():
    same = Estimate(np.array(0.5), np.array(0.0))
    assert first_order_squared(same, same, 2.0) == 0


def test_noise_gets_no_allowance():
    coarse, fine = Estimate(np.array(1.0), np.array(0.5)), Estimate(np.array(0.0), np.array(0.5))
    assert first_order_squared(coarse, fine, 2.0) == 0


def test_p_values_are_uniform_when_nothing_is_wrong():
    rng = np.random.default_rng(RNG_SEED)
    p = p_value(Estimate(rng.normal(size=10_000), np.ones(10_000)))
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 10_000))


def test_exact_agreement_and_exact_disagreement():
    gap = difference(
        Estimate(np.array([1.0, 1.0]), np.zeros(2)), Estimate(np.array([1.0, 2.0]), np.zeros(2))
    )
    assert p_value(gap).tolist() == [1.0, 0.0]
    assert p_value(gap, allowance=1.5).tolist() == [1.0, 1.0]


def test_kolmogorov_distance_keeps_its_level_and_sees_a_shift():
    rng = np.random.default_rng(RNG_SEED)

    def p(shift: float) -> float:
        samples = [rng.normal(size=n) for n in (400, 500, 600)]
        return kolmogorov_distance(samples[0], samples[1], samples[2] + shift, 2.0)[2]

    right = np.array([p(0.0) for _ in range(400)])
    assert np.mean(right < 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)
    assert p(1.0) < 1e-6


def test_kolmogorov_distance_of_samples_of_unequal_size():
    coarse, fine, expected = np.arange(2.0), np.arange(5.0), np.arange(3.0) + 0.5
    distance, unit, _ = kolmogorov_distance(coarse, fine, expected, 3.0)
    gaps = [
        1.5 * np.mean(fine <= x) - 0.5 * np.mean(coarse <= x) - np.mean(expected <= x)
        for x in np.arange(0, 5, 0.25)
    ]
    assert distance == pytest.approx(np.abs(gaps).max())
    assert unit == pytest.approx(np.sqrt(1.5**2 / 5 + 0.5**2 / 2 + 1 / 3))


@pytest.mark.parametrize("sizes", [(4000, 4000, 100), (4000, 100, 4000), (100, 4000, 4000)])
def test_kolmogorov_distance_keeps_its_level_whichever_sample_is_small(sizes):
    rng = np.random.default_rng(RNG_SEED)
    p = [kolmogorov_distance(*(rng.normal(size=n) for n in sizes), 2.0)[2] for _ in range(400)]
    # The p-value of the supremum is conservative in small samples, by less than half.
    assert 0.025 < np.mean(np.array(p) < 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_kolmogorov_distance_extrapolates():
    rng = np.random.default_rng(RNG_SEED)
    n, bias = 40_000, 0.1
    coarse, fine, expected = (rng.normal(size=n) + b for b in (bias, bias / 2, 0.0))
    assert kolmogorov_distance(coarse, fine, expected, 2.0)[2] > 0.01
    assert kolmogorov_distance(fine, fine, expected, 2.0)[2] < 0.01


def test_holm():
    assert holm([0.001, 0.02, 0.5, 0.012], 0.05) == [False, False, True, False]
    assert holm([0.02, 0.02, 0.5], 0.05) == [True, True, True]
    assert holm([], 0.05) == []


def test_power_law_with_finite_step_corrections():
    rng = np.random.default_rng(RNG_SEED)
    a, s = (x.ravel() for x in np.meshgrid([0.04, 0.02, 0.01], [0.2, 0.14, 0.1]))
    exact = 3 * a**2 * s**1.5 * np.exp(2 * a + s**2)
    error = 0.001 * exact
    z = []
    for _ in range(200):
        law = power_law(a, s, Estimate(exact + error * rng.normal(size=9), error))
        z.append((law.exponents.value - [2, 1.5]) / law.exponents.error)
    assert np.all(np.abs(np.mean(z, axis=0)) < 4 / np.sqrt(200))
    # The standard deviation of 200 standard normals is 1 ± 0.05.
    assert np.all(np.abs(np.std(z, axis=0) - 1) < 4 * 0.05)
    assert np.allclose(law.rate(a, s), exact, rtol=0.01)


def test_the_misfit_of_a_right_power_law_is_uniform():
    """χ² of nine rates and five coefficients has four degrees of freedom."""
    rng = np.random.default_rng(RNG_SEED)
    a, s = (x.ravel() for x in np.meshgrid([0.04, 0.02, 0.01], [0.2, 0.14, 0.1]))
    exact = 3 * a**2 * s**2
    error = 1e-4 * exact
    misfits = [
        power_law(a, s, Estimate(exact + error * rng.normal(size=9), error)).misfit
        for _ in range(400)
    ]
    # The mean of 400 uniform numbers is 1/2 ± 0.0144.
    assert abs(np.mean(misfits) - 0.5) < 4 / np.sqrt(12 * 400)
    bent = exact * np.exp(a * s)  # neither power nor correction
    assert power_law(a, s, Estimate(bent, error)).misfit < 1e-6


def test_the_next_order_of_a_power_law_is_allowed_for():
    a, s = (x.ravel() for x in np.meshgrid([0.04, 0.02, 0.01], [0.2, 0.14, 0.1]))
    exact = a**2 * s**2 / (1 - 5 * a)
    law = power_law(a, s, Estimate(exact, 1e-6 * exact))
    bias = np.abs(law.exponents.value - 2)
    assert 1e-4 < bias[0] < law.allowance[0] < 0.05


def test_no_motion_has_no_exponent():
    with pytest.raises(ValueError, match="no motion"):
        power_law(np.ones(9), np.ones(9), Estimate(np.zeros(9), np.ones(9)))
