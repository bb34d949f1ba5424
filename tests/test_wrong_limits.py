"""The verdict can say no: a table of wrong limits × worked examples, each cell rejected.

Where a wrong limit coincides with the right one the cell says why, and that is tested instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
import pytest
import sympy as sp

from derive import Bernoulli, Gaussian, Limit, NoisyGradientDescent, Outcome, derive_limit
from derive import alpha as ALPHA
from numerics import CompiledLimit, ValidationReport, compile_function, validate
from tests.catalogue import CATALOGUE

PATHS = 150


@dataclass(frozen=True)
class Example:
    name: str
    start: tuple[float, ...]
    alpha: float
    sigma: float
    time: float

    @property
    def problem(self) -> NoisyGradientDescent:
        return next(entry.problem for entry in CATALOGUE if entry.name == self.name)


EXAMPLES = (
    Example("parameter noise on the uneven ring", (0.6, 0.8), 0.1, 0.03, 0.3),
    Example("linear scalar noise on the uneven ring", (0.6, 0.8), 0.1, 0.1, 0.3),
    Example("Gaussian DropConnect on the round ring", (0.6, 0.8), 0.2, 0.05, 0.2),
    Example("label noise on a diagonal net", (1.3, 0.7, 0.5, 0.8), 0.02, 0.1, 0.05),
    Example("additive noise on an ellipse", (1.2, 0.8), 0.02, 0.2, 0.2),
    Example(
        "gradient noise that depends on the weights, on a surface", (0.6, 0.7, 0.3), 0.05, 0.1, 0.2
    ),
)


@cache
def right_limit(example: Example) -> Limit:
    return derive_limit(example.problem)


def verdict(limit: Limit, example: Example, paths: int = PATHS, seed: int = 0) -> ValidationReport:
    return validate(
        limit,
        example.start,
        alpha=example.alpha,
        sigma=example.sigma,
        time=example.time,
        paths=paths,
        seed=seed,
    )


# The wrong limits. Each returns a limit, or why there is nothing to get wrong.


def lost_half(limit: Limit) -> Limit | str:
    if limit.outcome.is_degenerate:
        return replace(limit, equation=replace(limit.equation, ito_weight=sp.Integer(1)))
    return replace(limit, equation=replace(limit.equation, potential=2 * limit.equation.potential))


def wrong_law(limit: Limit) -> Limit | str:
    law = Gaussian() if isinstance(limit.problem.law, Bernoulli) else Bernoulli()
    if not limit.problem.noisy_loss:
        return "L̂ is affine in η, so only the covariance of the law matters"
    other = derive_limit(replace(limit.problem, law=law))
    quadratic = all(
        limit.problem.noisy_loss.diff(a, b, c).expand() == 0
        for a in limit.problem.noise
        for b in limit.problem.noise
        for c in limit.problem.noise
    )
    if quadratic and limit.outcome.is_degenerate:
        assert other.outcome is limit.outcome
        return "L̂ is quadratic in η, so only the covariance of the law matters"
    return replace(limit, moments=other.moments, equation=other.equation)


def dropped_lyapunov_term(limit: Limit) -> Limit | str:
    factor = limit.moments.factor
    if not any(factor):
        return "Σ = 0"
    along = sp.ImmutableMatrix(limit.projector * factor)
    return replace(limit, moments=replace(limit.moments, factor=along))


def wrong_power_of_alpha(limit: Limit) -> Limit | str:
    power = ALPHA if limit.outcome.is_degenerate else 1 / ALPHA
    scale = limit.equation.time_scale * power
    return replace(limit, equation=replace(limit.equation, time_scale=scale))


def wrong_sign(limit: Limit) -> Limit | str:
    equation = limit.equation
    if limit.outcome.is_degenerate:
        return replace(limit, equation=replace(equation, ito_weight=-equation.ito_weight))
    return replace(limit, equation=replace(equation, potential=-equation.potential))


class NoFiniteStep(Limit):
    """The limit α → 0 where the limit at α is asked for."""

    def at_step(self, step=ALPHA, momentum=0):
        return self


def no_finite_step(limit: Limit) -> Limit | str:
    if not any(limit.moments.factor):
        return "Σ = 0"
    return NoFiniteStep(**{f.name: getattr(limit, f.name) for f in fields(limit)})


class Unprojected(CompiledLimit):
    """S in place of P S."""

    def diffusion(self, w):
        columns = self.limit.moments.columns
        outputs = sp.Matrix(columns)
        weight = 1 if self.limit.outcome.is_degenerate else np.sqrt(float(self.limit.step))
        return weight * compile_function(self.limit.problem.weights, outputs, "columns")(w)


class ItoForStratonovich(CompiledLimit):
    """The drift of the Stratonovich form read as an Itô drift."""

    def drift(self, w):
        s, h = self.diffusion(w), 1e-4
        correction = np.zeros_like(w)
        for a in range(s.shape[-1]):
            ahead, behind = (self.retract(w + d * s[..., a]) for d in (h, -h))
            slope = self.diffusion(ahead)[..., a] - self.diffusion(behind)[..., a]
            correction += slope / (2 * h)
        return super().drift(w) - correction / 2


WRONG: dict[str, Callable[[Limit], Limit | str]] = {
    "lost ½": lost_half,
    "Reg of the wrong law": wrong_law,
    "dropped Lyapunov term": dropped_lyapunov_term,
    "wrong power of α": wrong_power_of_alpha,
    "wrong sign": wrong_sign,
    "α → 0 at a finite α": no_finite_step,
}

COMPILED: dict[str, type[CompiledLimit]] = {
    "diffusion without P": Unprojected,
    "Itô for Stratonovich": ItoForStratonovich,
}

QUICK = EXAMPLES[:2]
cells = pytest.mark.parametrize(
    "example",
    [pytest.param(e, id=e.name, marks=[] if e in QUICK else pytest.mark.slow) for e in EXAMPLES],
)


@cells
def test_right_limit_passes(example):
    report = verdict(right_limit(example), example)
    assert report.passed, str(report)


@cells
@pytest.mark.parametrize("name", WRONG)
def test_wrong_limit_is_rejected(name, example):
    wrong = WRONG[name](right_limit(example))
    if isinstance(wrong, str):
        pytest.skip(f"coincides with the right limit: {wrong}")
    assert not verdict(wrong, example).passed


@cells
@pytest.mark.parametrize("name", COMPILED)
def test_wrong_equation_is_rejected(name, example, monkeypatch):
    limit = right_limit(example)
    diffusive = limit.outcome is Outcome.DIFFUSIVE
    if name == "Itô for Stratonovich" and not diffusive:
        pytest.skip("coincides with the right limit: nothing diffuses")
    monkeypatch.setattr(sys.modules["numerics.validate"], "compile_limit", COMPILED[name])
    assert not verdict(limit, example).passed
