"""`validate` judges the limits of optimizers that cycle across Γ, and rejects wrong ones."""

from unittest import mock

import pytest
import sympy as sp

from derive import Limit, Minibatch, NoisyGradientDescent, NotCoveredError, derive_limit
from derive.cycle_limit import CycleLimit
from derive.optimizers import NormalizedDescent, NormalizedSharpnessAware, Optimizer, RootDescent
from numerics import CompiledLimit, ValidationReport, compile_limit, validate, validator
from numerics.models.cycle_limit import CompiledCycleLimit
from numerics.validation.planner import plan

w1, w2, w3, w4, z1, z2 = sp.symbols("w1 w2 w3 w4 z1 z2", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
START = (0.6, 0.8)
RUNS = {
    "sharpness-aware": (NormalizedSharpnessAware(), 0.2, 0.01),
    "normalised": (NormalizedDescent(), 1.0, 0.005),
    "root": (RootDescent(), 0.5, 0.005),
}
"""Optimizer, α and σ; of the last two σ makes the steps short."""


def on_ring(optimizer: Optimizer) -> Limit:
    return derive_limit(NoisyGradientDescent(RING, RING, (w1, w2), (), optimizer=optimizer))


def judged(name: str, kind: type[CompiledCycleLimit]) -> ValidationReport:
    """The verdict on a limit that is compiled in another way."""

    def compiled(asked: Limit) -> CompiledLimit:
        return kind(asked) if isinstance(asked, CycleLimit) else compile_limit(asked)

    optimizer, alpha, sigma = RUNS[name]
    run = {"alpha": alpha, "sigma": sigma, "time": 0.3, "paths": 100, "seed": 0}
    with mock.patch.object(validator, "compile_limit", compiled):
        return validate(on_ring(optimizer), START, **run)


class WithoutFactor(CompiledCycleLimit):
    """−½P∇λ₁, the published law of α → 0, at any step: (2/(2 − αλ₁))² is lost."""

    def drift(self, w):
        largest = self.spectrum(w)[..., -1:]
        return super().drift(w) * (1 - float(self.limit.equation.step) * largest / 2) ** 2


class Doubled(CompiledCycleLimit):
    """A ½ is lost."""

    def drift(self, w):
        return 2 * super().drift(w)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_right_limits_agree(name) -> None:
    report = judged(name, CompiledCycleLimit)
    assert report.passed, str(report)
    assert {c.name.split(" ")[0] for c in report.checks} >= {"drift", "mean", "exponent"}
    assert report.gaps[-1].at_step < 0.005
    assert report.plot()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [("sharpness-aware", WithoutFactor), *((name, Doubled) for name in RUNS)],
)
def test_wrong_limits_are_rejected(name, kind) -> None:
    failed = {c.name.split(" ")[0] for c in judged(name, kind).checks if not c.passed}
    assert failed >= {"drift", "mean"}


@pytest.mark.slow
def test_codimension_two() -> None:
    residuals = (w1**2 + w2**2 - 1 + w3 * w4 / 5, w3 - w1 * w4 / 2 - w2**2 / 3)
    weights = (1 + w1 / 2, (1 + w4**2 / 4) / 2)
    loss = sum(c * r**2 for c, r in zip(weights, residuals, strict=True)) / 2
    sam = NormalizedSharpnessAware()
    limit = derive_limit(NoisyGradientDescent(loss, loss, (w1, w2, w3, w4), (), optimizer=sam))
    start = compile_limit(limit).retract([0.6, 0.8, 0.3, 0.3])
    run = {"alpha": 0.15, "sigma": 0.01, "time": 0.3, "paths": 100, "seed": 0}
    report = validate(limit, start, **run)
    assert report.passed, str(report)


@pytest.mark.slow
def test_what_is_asked_of_a_run() -> None:
    limit = on_ring(NormalizedSharpnessAware())
    run = {"alpha": 0.2, "sigma": 0.01, "time": 0.3, "paths": 100}
    with pytest.raises(ValueError, match="start on Γ, as at"):
        validate(limit, (0.7, 0.8), seed=0, **run)
    planned = plan(limit, START, **run)
    assert planned.bias == pytest.approx(0.2 * 5.2)
    assert planned.iterations == pytest.approx(0.3 / (0.2 * 0.01**2))
    short = plan(on_ring(NormalizedDescent()), START, **run)
    assert short.bias == 0
    assert short.iterations == pytest.approx(0.3 / (0.2 * 0.01) ** 2)


def test_a_drift_that_is_simulated_is_not_tested() -> None:
    noisy = ((1 + z1) * (2 + w1) * w3**2 + (1 + z2) * (2 - w1) * w4**2) / 2
    batches = NoisyGradientDescent(
        noisy.subs({z1: 0, z2: 0}),
        noisy,
        (w1, w3, w4),
        (z1, z2),
        Minibatch(2, 1),
        optimizer=NormalizedSharpnessAware(),
        near=(sp.Rational(1, 2), 0, 0),
    )
    run = {"alpha": 0.2, "sigma": 0.01, "time": 0.3, "paths": 100, "seed": 0}
    with pytest.raises(NotCoveredError, match="drift_error"):
        validate(derive_limit(batches), (0.5, 0, 0), **run)
