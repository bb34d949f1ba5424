"""The check of the fluctuations by the recursion itself: it sees a lost factor and a lost order."""

from itertools import islice

import numpy as np
import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, NotCoveredError
from numerics import compile_limit
from numerics.models.compiled_limit import CompiledLimit
from numerics.validation import hypothesis_tests
from numerics.validation.measurements.clouds import Cloud, cloud
from numerics.validation.measurements.experiment import Experiment
from tests.truth.catalogue import CATALOGUE
from tests.truth.fields import derived

w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
LINEAR = NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta)
CUBIC = next(e.problem for e in CATALOGUE if e.name == "additive noise on a twisted cubic")
STARTS = {"ring": (LINEAR, (0.6, 0.8)), "twisted cubic": (CUBIC, (0.5, 0.25, 0.125))}
STIFFNESS, SIGMA, PATHS = 0.5, 0.02, 16_000
REJECTED = 1e-6


def measured(
    limit: Limit, start: tuple[float, ...], momentum: float = 0.0
) -> tuple[CompiledLimit, tuple[Cloud, Cloud], float]:
    """The limit at αλ_max = ½, with two clouds around a point of Γ."""
    point = compile_limit(limit).retract(start)
    alpha = STIFFNESS / float(compile_limit(limit).spectrum(point)[-1])
    predicted = compile_limit(limit.at_step(alpha, momentum))
    runs = Experiment(predicted, PATHS, (0,))
    coarse, fine = (
        cloud(runs.keyed(i), point, alpha=alpha, sigma=SIGMA / np.sqrt(2) ** i) for i in (0, 1)
    )
    return predicted, (coarse, fine), alpha


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("name", STARTS)
def test_right_fluctuations_agree_and_wrong_ones_do_not(name: str, momentum: float) -> None:
    problem, start = STARTS[name]
    limit = derived(problem)
    predicted, clouds, _ = measured(limit, start, momentum)
    assert hypothesis_tests.fluctuations(predicted, clouds).p_value > 0.01
    asymptotic = compile_limit(limit)
    assert hypothesis_tests.fluctuations(asymptotic, clouds).p_value < REJECTED
    for factor in (0.5, 2.0):
        wrong = Scaled(predicted.limit, factor)
        assert hypothesis_tests.fluctuations(wrong, clouds).p_value < REJECTED


class Scaled(CompiledLimit):
    """Fluctuations with a wrong factor."""

    def __init__(self, limit: Limit, factor: float) -> None:
        super().__init__(limit)
        object.__setattr__(self, "factor", factor)

    def across(self, w):
        basis, found = super().across(w)
        return basis, self.factor * found


@pytest.mark.parametrize("momentum", [0, sp.Rational(1, 2)])
@pytest.mark.parametrize("name", STARTS)
def test_compiled_as_to_fifty_digits(name: str, momentum) -> None:
    limit = derived(STARTS[name][0]).at_step(0.05, momentum)
    exact = limit.fluctuations()
    places = list(islice(limit.manifold.local(), 3))
    points = np.array([place.point for place in places], float)
    expected = [np.array(exact.at(place).tolist(), float) for place in places]
    np.testing.assert_allclose(compile_limit(limit).fluctuations(points), expected, 1e-10, 1e-12)


def test_refusal() -> None:
    effective = derived(LINEAR).effective(0.1, 0.1)
    with pytest.raises(NotCoveredError, match="next order"):
        compile_limit(effective).fluctuations([0.6, 0.8])
