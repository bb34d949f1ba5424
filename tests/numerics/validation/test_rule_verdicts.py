"""`validate` judges the limits of update rules, and rejects wrong ones."""

from unittest import mock

import numpy as np
import pytest

from derive import Limit, derive_limit
from numerics import ValidationReport, validate, validator
from numerics.geometry.slow_motion import Mixture, SlowMotion
from numerics.models.rule_limit import CompiledRuleLimit
from tests.numerics.models.test_rules import heavy_ball, one_coordinate

RUN = {"alpha": 0.1, "sigma": 0.05, "time": 0.1, "paths": 400, "seed": 0}


@pytest.fixture(scope="module")
def limit() -> Limit:
    return derive_limit(heavy_ball())


def judged(limit: Limit, kind: type[CompiledRuleLimit], **run: float) -> ValidationReport:
    """The verdict on a limit that is compiled in another way."""
    with mock.patch.object(validator, "compile_limit", kind):
        return validate(limit, (0.6, 0.8), **(RUN | run))


class WithoutMemory(CompiledRuleLimit):
    """α in place of α/(1 − β)."""

    def drift(self, w):
        return super().drift(w) * 0.3


class MeanStep(CompiledRuleLimit):
    """The mean of DT₀ in place of E DT₀ ⊗ DT₀: the second part of Θ is lost."""

    def _motion(self, points, step):
        motion = super()._motion(points, step)
        ones = np.ones((len(points), 1))
        mean = Mixture(motion.first.mean[:, None], ones, np.zeros((1, 2), dtype=np.int64), ones)
        return SlowMotion(
            mean, motion.bend, motion.bends, motion.bias, motion.noise, motion.normals
        )


@pytest.mark.slow
def test_heavy_ball_agrees(limit) -> None:
    report = validate(limit, (0.6, 0.8), **RUN)
    assert report.passed
    assert {c.name.split(" ")[0] for c in report.checks} >= {"drift", "mean", "exponent"}


@pytest.mark.slow
def test_a_lost_momentum_is_rejected(limit) -> None:
    report = judged(limit, WithoutMemory)
    assert not report.passed
    assert any(not c.passed and c.name.startswith("drift") for c in report.checks)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "passes"), [(CompiledRuleLimit, True), (MeanStep, False)])
def test_random_coordinates(kind, passes) -> None:
    report = judged(derive_limit(one_coordinate()), kind, paths=1500, sigma=0.03)
    assert report.passed is passes
    if not passes:
        assert any(not c.passed and c.name.startswith("covariance") for c in report.checks)


def test_a_rule_goes_through_the_same_settings(limit) -> None:
    """What is asked is checked as for descent."""
    with pytest.raises(ValueError, match="paths: expected at least 100"):
        validate(limit, (0.6, 0.8), **(RUN | {"paths": 10}))
    assert limit.at_step(0).step == 0
