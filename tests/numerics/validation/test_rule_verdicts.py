"""`validate` judges the limits of update rules, and rejects wrong ones."""

from dataclasses import replace
from functools import cached_property
from unittest import mock

import numpy as np
import pytest
import sympy as sp
from numpy.typing import ArrayLike

from derive import Limit, NoisyGradientDescent, derive_limit
from derive.optimizers import HeavyBall, LocalSteps, LookAhead, Preconditioned, WeightAverage
from derive.rule_limit import RuleLimit
from derive.theory.map_jets import MapJet
from numerics import CompiledLimit, ValidationReport, compile_limit, validate, validator
from numerics.geometry.slow_motion import Mixture, SlowMotion
from numerics.models.rule_limit import CompiledRuleLimit
from tests.derive.rules.test_fixed_size import POINT, diagonal_net
from tests.numerics.models.test_rules import (
    HALF,
    LOSS,
    NOISY,
    WEIGHTS,
    e,
    heavy_ball,
    one_coordinate,
    w1,
    w2,
)

n1, n2 = sp.symbols("n1 n2", real=True)

RUN = {"alpha": 0.1, "sigma": 0.05, "time": 0.1, "paths": 400, "seed": 0}


@pytest.fixture(scope="module")
def limit() -> Limit:
    return derive_limit(heavy_ball())


def judged(
    limit: Limit, kind: type[CompiledRuleLimit], start: ArrayLike = (0.6, 0.8), **run: float
) -> ValidationReport:
    """The verdict on a limit whose theorem for rules is compiled in another way."""

    def compiled(asked: Limit) -> CompiledLimit:
        return kind(asked) if isinstance(asked, RuleLimit) else compile_limit(asked)

    with mock.patch.object(validator, "compile_limit", compiled):
        return validate(limit, start, **(RUN | run))


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


class OrthogonalProjection(SlowMotion):
    """I − J⁺J in place of the projection along the range of A − I."""

    @cached_property
    def projector(self):
        return np.eye(self.normals.shape[-1]) - np.linalg.pinv(self.normals) @ self.normals


class Orthogonal(CompiledRuleLimit):
    """An orthogonal P where it is oblique."""

    def _motion(self, points, step):
        return OrthogonalProjection(**vars(super()._motion(points, step)))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "passes"), [(CompiledRuleLimit, True), (Orthogonal, False)])
def test_a_preconditioner_projects_obliquely(kind, passes) -> None:
    """Parameter noise under Ω = diag(2, ½), whose P is along ΩJᵀ."""
    noisy = LOSS.subs({w1: w1 + n1, w2: w2 + n2}, simultaneous=True)
    scale = Preconditioned(sp.diag(2, sp.Rational(1, 2)))
    problem = NoisyGradientDescent(LOSS, noisy, WEIGHTS, (n1, n2), optimizer=scale)
    report = judged(derive_limit(problem), kind, sigma=0.03)
    assert report.passed is passes
    if not passes:
        assert any(not c.passed and c.name.startswith("drift") for c in report.checks)


def without_its_bend(self: MapJet, first: MapJet) -> MapJet:
    """T₂ after T₁ without ½D²T₂[S₁]."""
    whole = composed(self, first)
    return replace(whole, bias=whole.bias - self.second(first.noise) / 2)


composed = MapJet.after


@pytest.mark.slow
@pytest.mark.parametrize(("after", "passes"), [(composed, True), (without_its_bend, False)])
def test_local_steps_on_two_workers(after, passes) -> None:
    """Three steps of descent on each: their jets compose with ½D²T₂[S₁]."""
    problem = NoisyGradientDescent(LOSS, NOISY, WEIGHTS, (e,), optimizer=LocalSteps(3, 2))
    limit = derive_limit(problem)
    with mock.patch.object(MapJet, "after", after):
        report = judged(limit, CompiledRuleLimit)
    assert report.passed is passes
    if not passes:
        assert any(not c.passed and c.name.startswith("drift") for c in report.checks)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [LookAhead(2, HALF, HeavyBall(HALF)), WeightAverage(HALF)])
def test_optimizers_built_of_others_agree(optimizer) -> None:
    problem = NoisyGradientDescent(LOSS, NOISY, WEIGHTS, (e,), optimizer=optimizer)
    assert validate(derive_limit(problem), (0.6, 0.8), **RUN).passed


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "passes"), [(CompiledRuleLimit, True), (MeanStep, False)])
def test_batches_of_one_with_label_noise(kind, passes) -> None:
    """Batches keep their size beside noise that shrinks."""
    report = judged(
        derive_limit(diagonal_net()), kind, start=POINT, paths=200, sigma=0.03, time=0.02
    )
    assert report.passed is passes


def test_a_rule_goes_through_the_same_settings(limit) -> None:
    """What is asked is checked as for descent."""
    with pytest.raises(ValueError, match="paths: expected at least 100"):
        validate(limit, (0.6, 0.8), **(RUN | {"paths": 10}))
    assert limit.at_step(0).step == 0
