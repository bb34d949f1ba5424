"""Each question on synthetic samples: the right answer passes, and what is wrong is named."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, TwoPoint, derive_limit
from numerics.simulation.paths import Paths
from numerics.validation import hypothesis_tests
from numerics.validation.measurements.bursts import Burst, FastPhase, Scaling
from numerics.validation.measurements.comparison import Comparison
from numerics.validation.measurements.statistics import Estimate, PowerLaw

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
LIMIT = derive_limit(NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta))
TIMES = np.linspace(0, 1, 41)
CHECKED = (10, 20, 30, 40)
PATHS = 900
SURELY = 1e-9


def spread(paths: int, size: float) -> np.ndarray:
    """A sample of mean 0 and (unbiased) variance size², not symmetric."""
    raw = np.random.default_rng(0).exponential(size=paths)
    return size * (raw - raw.mean()) / raw.std(ddof=1)


def exact(moving: np.ndarray | float = 0.0) -> np.ndarray:
    """Paths (paths, T, 2) around the limit (t, 1), with standard deviation 0.01 in the first."""
    paths = np.ones((PATHS, len(TIMES), 2))
    paths[..., 0] = TIMES + moving + spread(PATHS, 0.01)[:, None]
    return paths


def comparison(coarse: np.ndarray, fine: np.ndarray, expected: np.ndarray | None = None, **changes):
    """Runs at σ = 0.1 and 0.1/√2 with projections `coarse` and `fine`, beside a limit."""
    path = np.stack([TIMES, np.ones(len(TIMES))], axis=1)[None]
    expected = path if expected is None else expected
    run = Paths(
        TIMES, coarse, "iterations", np.zeros(len(coarse), dtype=int), np.full(len(coarse), -1)
    )
    made = Comparison(
        LIMIT,
        0.05,
        (0.1, 0.1 / np.sqrt(2)),
        TIMES,
        (run, run),
        (coarse, fine),
        expected,
        expected,
        run,
        np.zeros(len(TIMES)),
    )
    return replace(made, **changes)


def first(w: np.ndarray) -> np.ndarray:
    return w[..., 0]


def second(w: np.ndarray) -> np.ndarray:
    return w[..., 1]


# Paths that are lost


def test_no_path_is_lost():
    found = hypothesis_tests.survival(comparison(exact(), exact()))
    assert (found.measured, found.p_value) == (0, 1)


def test_a_path_that_stopped_is_lost():
    right = comparison(exact(), exact())
    status = np.zeros(PATHS, dtype=int)
    status[3] = 1
    stopped = replace(right.descents[0], status=status)
    found = hypothesis_tests.survival(replace(right, descents=(stopped, right.descents[1])))
    assert (found.measured, found.p_value) == (1, 0)


@pytest.mark.parametrize("which", ["projected", "expected"])
def test_a_path_that_has_no_projection_or_left_its_limit_is_lost(which):
    right = comparison(exact(), exact())
    bad = exact()
    bad[5, -1, 1] = np.nan
    change = {"projected": (exact(), bad)} if which == "projected" else {"expected": bad}
    found = hypothesis_tests.survival(replace(right, **change))
    assert (found.measured, found.p_value) == (1, 0)


# Moments along the path


def test_the_mean_of_a_right_limit():
    found = hypothesis_tests.path_mean(comparison(exact(), exact()), "x", first)
    # 2 m(fine) − m(coarse), each with the error 0.01/√900.
    assert found.error == pytest.approx(np.sqrt(5) * 0.01 / 30)
    assert found.p_value == 1
    assert found.parts == len(CHECKED)


@pytest.mark.parametrize("time", CHECKED)
def test_the_mean_is_compared_at_each_of_four_times(time):
    moved = exact()
    moved[:, time, 0] += 0.05
    found = hypothesis_tests.path_mean(comparison(moved, moved), "x", first)
    assert found.p_value < SURELY
    assert found.name == f"mean of x at t = {TIMES[time]:.3g}, α = 0.05"
    assert found.measured - found.expected == pytest.approx(0.05)


def test_the_start_is_not_compared():
    moved = exact()
    moved[:, 0, 0] += 0.05
    assert hypothesis_tests.path_mean(comparison(moved, moved), "x", first).p_value == 1


def test_what_is_of_first_order_in_the_variance_of_the_noise_is_removed():
    coarse, fine = exact(0.04 * TIMES), exact(0.02 * TIMES)
    assert hypothesis_tests.path_mean(comparison(coarse, fine), "x", first).p_value == 1
    halved = exact(0.04 * TIMES / np.sqrt(2))
    assert hypothesis_tests.path_mean(comparison(coarse, halved), "x", first).p_value < 1e-3


def test_skew_noise_is_of_first_order_in_sigma():
    problem = replace(LIMIT.problem, law=TwoPoint(1))
    skew = replace(LIMIT, problem=problem)
    coarse, fine = exact(0.04 * TIMES), exact(0.04 * TIMES / np.sqrt(2))
    made = comparison(coarse, fine, limit=skew)
    assert made.ratio == pytest.approx(np.sqrt(2))
    assert hypothesis_tests.path_mean(made, "x", first).p_value == 1


def test_integration_and_round_off_are_allowed_for_and_no_more():
    """All paths are one: the error is zero, and only the resolution tells 10⁻⁷ from nothing."""
    path = np.stack([TIMES, np.ones(len(TIMES))], axis=1)
    off = np.repeat((path + 1e-7)[None], PATHS, axis=0)
    blunt = comparison(off, off, resolution=np.full(len(TIMES), 1e-7))
    sharp = comparison(off, off, resolution=np.full(len(TIMES), 1e-8))
    for observable in (first, second):
        assert hypothesis_tests.path_mean(blunt, "x", observable).p_value == 1
        assert hypothesis_tests.path_mean(sharp, "x", observable).p_value == 0


def test_the_allowance_of_an_observable_is_in_its_own_unit():
    path = np.stack([TIMES, np.ones(len(TIMES))], axis=1)
    off = np.repeat((path + 1e-7)[None], PATHS, axis=0)
    blunt = comparison(off, off, resolution=np.full(len(TIMES), 1e-7))
    for scale in (1e-3, 1e3):
        right = hypothesis_tests.path_mean(blunt, "x", lambda w, c=scale: c * w[..., 0])
        wrong = hypothesis_tests.path_mean(blunt, "x", lambda w, c=scale: c * (7 * first(w) - 6))
        assert right.p_value == wrong.p_value == 1
        assert wrong.allowance == pytest.approx(7 * right.allowance)


def test_a_variance():
    wide, wider = (TIMES + factor * spread(PATHS, 0.01)[:, None] for factor in (1, 2))
    wide, wider = (np.stack([x, np.ones(x.shape)], axis=2) for x in (wide, wider))
    found = hypothesis_tests.path_variance(comparison(wide, wide, expected=wide), "x", first)
    assert found.measured == pytest.approx(1e-4)
    assert found.expected == pytest.approx(1e-4)
    assert found.p_value == 1
    wrong = hypothesis_tests.path_variance(comparison(wider, wider, expected=wide), "x", first)
    assert wrong.measured == pytest.approx(4e-4)
    assert wrong.p_value < 1e-2


def test_a_distribution_at_the_end():
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(3, 1000, len(TIMES), 2))
    right = comparison(*samples[:2], expected=samples[2])
    found = hypothesis_tests.distribution(right, "x", first)
    assert found.p_value > 1e-3
    assert found.error == pytest.approx(np.sqrt((4 + 1 + 1) / 1000))
    shifted = samples[2] + 1
    wrong = hypothesis_tests.distribution(replace(right, expected=shifted), "x", first)
    assert wrong.p_value < SURELY
    early = np.array(samples)
    early[:, :, :-1] += 1
    for change in ({"expected": early[2]}, {"projected": (early[0], early[1])}):
        assert hypothesis_tests.distribution(replace(right, **change), "x", first) == found


# Bursts

SURFACE = NoisyGradientDescent(RING, RING + w1 * eta, (w1, w2), eta)
NORMAL = np.array([2.0, -1.0, 2.0]) / 3
DRIFT = np.array([0.3, -0.2, 0.5])
DIFFUSION = np.array([[1.0, 0.0], [0.2, 0.5], [-0.4, 0.9]])
PREDICTED = SimpleNamespace(
    limit=SimpleNamespace(problem=SURFACE),
    projector=lambda w: np.eye(3) - np.outer(NORMAL, NORMAL),
    drift=lambda w: DRIFT,
    diffusion=lambda w: DIFFUSION,
)


def bursts(drift: np.ndarray, diffusion: np.ndarray, resolution: float = 0.0) -> list:
    """A pair of bursts with exactly this mean and covariance per time."""
    raw = np.random.default_rng(2).normal(size=(20_000, 2))
    raw -= raw.mean(axis=0)
    raw = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    time = 1e-3
    moved = drift * time + np.sqrt(time) * raw @ diffusion.T
    return [
        tuple(
            Burst(np.ones(3), 0.05, sigma, 10, time, moved, resolution)
            for sigma in (0.1, 0.1 / np.sqrt(2))
        )
    ]


def test_local_drift_and_covariance_of_a_right_limit():
    drift = hypothesis_tests.local_drift(PREDICTED, bursts(DRIFT, DIFFUSION))
    covariance = hypothesis_tests.local_covariance(PREDICTED, bursts(DRIFT, DIFFUSION))
    assert (drift.p_value, drift.parts) == (1, 3)
    assert (covariance.p_value, covariance.parts) == (1, 6)
    assert "at (1, 1, 1), α = 0.05" in drift.name


@pytest.mark.parametrize("direction", np.eye(3))
def test_each_component_of_the_drift_is_compared(direction):
    found = hypothesis_tests.local_drift(PREDICTED, bursts(DRIFT + 30 * direction, DIFFUSION))
    assert found.p_value < SURELY


def with_diffusion(diffusion: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(PREDICTED), "diffusion": lambda w: diffusion})


@pytest.mark.parametrize("entry", [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)])
def test_each_entry_of_the_covariance_is_compared(entry):
    change = np.eye(3)
    change[entry] += 0.5
    wrong = with_diffusion(change @ DIFFUSION)
    assert hypothesis_tests.local_covariance(wrong, bursts(DRIFT, DIFFUSION)).p_value < SURELY


def test_only_the_product_of_the_diffusion_with_itself_counts():
    measured = bursts(DRIFT, DIFFUSION)
    other_factor, turned = with_diffusion(DIFFUSION[:, ::-1]), with_diffusion(DIFFUSION[::-1])
    assert hypothesis_tests.local_covariance(other_factor, measured).p_value == 1
    assert hypothesis_tests.local_covariance(turned, measured).p_value < SURELY


def test_a_small_motion_across_is_not_lost_in_the_noise_along():
    along = PREDICTED.projector(None) @ DIFFUSION
    right, across = (bursts(DRIFT + x * NORMAL, along, resolution=1e-12) for x in (0, 1e-3))
    assert hypothesis_tests.local_drift(with_diffusion(along), right).p_value == 1
    assert hypothesis_tests.local_drift(with_diffusion(along), across).p_value < SURELY


def test_what_a_burst_cannot_resolve_is_allowed_for():
    along = 1e-9 * PREDICTED.projector(None) @ DIFFUSION
    limit, off = with_diffusion(along), DRIFT + 1e-5 * NORMAL
    found = [hypothesis_tests.local_drift(limit, bursts(off, along, r)) for r in (1e-8, 1e-9)]
    assert found[0].p_value == 1
    assert found[1].p_value < SURELY
    # Two bursts, 2 m(fine) − m(coarse), per time 10⁻³.
    assert found[0].allowance == pytest.approx(3 * 1e-8 / 1e-3, rel=1e-6)


def test_the_remainder_of_a_burst_is_of_second_order():
    """A term c σ² of a tenth of the drift allows for about its square, a hundredth, and no more."""
    (pair,) = bursts(DRIFT, 1e-3 * DIFFUSION)
    small = with_diffusion(1e-3 * DIFFUSION)

    def moved(*factors: float) -> list:
        return [
            tuple(
                replace(b, displacements=b.displacements + x * DRIFT * b.time)
                for b, x in zip(pair, factors, strict=True)
            )
        ]

    right = hypothesis_tests.local_drift(small, moved(0.1, 0.05))
    assert right.p_value == 1
    # 1 + c + c²: the extrapolated value is off by c²/2, which is allowed for.
    assert hypothesis_tests.local_drift(small, moved(0.11, 0.0525)).p_value == 1
    assert hypothesis_tests.local_drift(small, moved(0.15, 0.1)).p_value < SURELY


# Exponents and the fast phase


@pytest.mark.parametrize("letter", [0, 1])
def test_each_exponent_is_compared(letter):
    value = np.array([2.0, 2.0])
    value[letter] += 0.1
    law = PowerLaw(
        Estimate(value, np.full(2, 0.01)), np.zeros(5), (0, 2), np.array([0.0, 0.0]), 1.0
    )
    scaling = Scaling(np.ones(2), np.ones(9), np.ones(9), Estimate(np.ones(9), np.ones(9)), law)
    found = hypothesis_tests.exponents(scaling, (2, 2))
    assert found[letter].p_value < SURELY
    assert found[1 - letter].p_value == 1
    assert found[letter].name == f"exponent of {'ασ'[letter]} in the speed"
    allowed = replace(scaling, law=replace(law, allowance=np.array([0.2, 0.2])))
    assert hypothesis_tests.exponents(allowed, (2, 2))[letter].p_value == 1


@pytest.mark.parametrize("off", [0.0, 0.01])
def test_the_rate_of_the_fast_phase(off):
    alpha, eigenvalue = 0.1, 3.0
    rate = Estimate(np.array(-np.log(1 - 0.3) + off), np.array(1e-3))
    phase = FastPhase(np.ones(2), np.ones(2), alpha, eigenvalue, 0.0, np.arange(11.0), rate, rate)
    found = hypothesis_tests.fast_phase(phase)
    assert found.expected == pytest.approx(-np.log(0.7))
    assert (found.p_value < SURELY) == bool(off)
