"""Limits that are wrong, and the models on which the verdict has to say so, and by which check.

    python -m tests.truth.wrong_limits

prints the table wrong limit × model: the check that rejects it, or why it coincides with the right
limit. It takes about ten minutes on one core.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from unittest import mock

import numpy as np
import sympy as sp

from derive import Bernoulli, Gaussian, Limit, NoisyGradientDescent, derive_limit
from derive import alpha as ALPHA
from derive.descent_limit import DescentLimit
from numerics import CompiledLimit, ValidationReport, compile_limit, validate, validator
from numerics.codegen.functions import compile_function
from tests.truth.catalogue import CATALOGUE


@dataclass(frozen=True)
class Example:
    name: str
    start: tuple[float, ...]
    alpha: float
    sigma: float
    time: float
    paths: int = 150

    @property
    def problem(self) -> NoisyGradientDescent:
        return next(entry.problem for entry in CATALOGUE if entry.name == self.name)


EXAMPLES = (
    Example("parameter noise on the uneven ring", (0.6, 0.8), 0.1, 0.03, 0.3),
    Example("linear scalar noise on the uneven ring", (0.6, 0.8), 0.1, 0.1, 0.3),
    Example("Gaussian DropConnect on the round ring", (0.6, 0.8), 0.2, 0.05, 0.2),
    Example("label noise on a diagonal net", (1.3, 0.7, 0.5, 0.8), 0.02, 0.1, 0.05),
    Example("additive noise on an ellipse", (1.2, 0.8), 0.02, 0.2, 0.3, paths=4000),
    Example(
        "gradient noise that depends on the weights, on a surface",
        (0.6, 0.7, 0.3),
        0.05,
        0.1,
        0.3,
        paths=4000,
    ),
)


@cache
def right_limit(example: Example) -> Limit:
    return derive_limit(example.problem)


def verdict(limit: Limit, example: Example) -> ValidationReport:
    return validate(
        limit,
        example.start,
        alpha=example.alpha,
        sigma=example.sigma,
        time=example.time,
        paths=example.paths,
        seed=0,
    )


# The wrong limits.


def lost_half(limit: Limit) -> Limit:
    if limit.outcome.is_degenerate:
        return with_equation(limit, ito_weight=sp.Integer(1))
    return with_equation(limit, potential=2 * limit.equation.potential)


def wrong_law(limit: Limit) -> Limit:
    law = Gaussian() if isinstance(limit.problem.law, Bernoulli) else Bernoulli()
    other = derive_limit(replace(limit.problem, law=law))
    return replace(limit, moments=other.moments, equation=other.equation)


def dropped_lyapunov_term(limit: Limit) -> Limit:
    along = sp.ImmutableMatrix(limit.projector * limit.moments.factor)
    return replace(limit, moments=replace(limit.moments, find_factor=lambda: along))


def wrong_power_of_alpha(limit: Limit) -> Limit:
    power = ALPHA if limit.outcome.is_degenerate else 1 / ALPHA
    return with_equation(limit, time_scale=limit.equation.time_scale * power)


def wrong_sign(limit: Limit) -> Limit:
    if limit.outcome.is_degenerate:
        return with_equation(limit, ito_weight=-limit.equation.ito_weight)
    return with_equation(limit, potential=-limit.equation.potential)


class NoFiniteStep(DescentLimit):
    """The limit α → 0 where the limit at α is asked for."""

    def at_step(self, step=ALPHA, momentum=0):
        return self


def no_finite_step(limit: Limit) -> Limit:
    return NoFiniteStep(**{f.name: getattr(limit, f.name) for f in fields(limit)})


def with_equation(limit: Limit, **changes: sp.Expr) -> Limit:
    return replace(limit, equation=replace(limit.equation, **changes))


class Unprojected(CompiledLimit):
    """S in place of P S."""

    def diffusion(self, w):
        columns = sp.Matrix(self.limit.moments.columns)
        weight = 1 if self.limit.outcome.is_degenerate else np.sqrt(float(self.limit.step))
        return weight * compile_function(self.limit.problem.weights, columns, "columns")(w)


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


WRONG: dict[str, Callable[[Limit], Limit]] = {
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

RINGS, NET, ELLIPSE, SURFACE = EXAMPLES[:3], EXAMPLES[3], EXAMPLES[4], EXAMPLES[5]

COINCIDE = {
    ("Reg of the wrong law", RINGS[1]): "L̂ is affine in η: only the covariance of the law enters",
    ("Reg of the wrong law", NET): "L̂ is quadratic in η, and its square part constant on Γ",
    ("Reg of the wrong law", ELLIPSE): "L̂ is affine in η: only the covariance of the law enters",
    ("Reg of the wrong law", SURFACE): "L̂ is affine in η: only the covariance of the law enters",
    ("dropped Lyapunov term", RINGS[2]): "ΔL is constant on the round ring, so the term vanishes",
    ("α → 0 at a finite α", RINGS[2]): "ΔL is constant on the round ring, so nothing depends on α",
    **{("Itô for Stratonovich", e): "nothing diffuses" for e in (*RINGS, NET)},
}
"""Cells in which the wrong limit is the right one, and why."""

REJECTED_BY = {
    **{(wrong, example): {"mean", "drift"} for wrong in WRONG for example in EXAMPLES},
    **{("diffusion without P", example): {"covariance"} for example in EXAMPLES},
    **{("Itô for Stratonovich", example): {"drift"} for example in EXAMPLES},
    # Along the ellipse the term is small beside the noise of a burst, and adds up over the run.
    ("dropped Lyapunov term", ELLIPSE): {"mean", "distribution"},
}
"""The checks, by their first words, that have to reject a wrong limit; others may."""

SHARPER = {
    ("α → 0 at a finite α", ELLIPSE): replace(ELLIPSE, alpha=0.026, paths=20_000),
    ("α → 0 at a finite α", SURFACE): replace(SURFACE, alpha=0.07, paths=20_000),
}
"""Cells in which the two limits are so close that it takes more paths to tell them apart."""


def same_prediction(first: CompiledLimit, second: CompiledLimit, example: Example) -> bool:
    """Whether two limits have the same drift and s sᵀ on Γ around the start."""
    nearby = np.random.default_rng(0).normal(example.start, 0.05, (20, len(example.start)))
    points = first.retract(nearby)

    def spread(compiled: CompiledLimit) -> np.ndarray:
        s = compiled.diffusion(points)
        return s @ np.swapaxes(s, 1, 2)

    return np.allclose(first.drift(points), second.drift(points), atol=1e-6) and np.allclose(
        spread(first), spread(second), atol=1e-6
    )


@dataclass(frozen=True)
class Cell:
    """What becomes of a wrong limit: rejected by a report, or the same as the right one."""

    wrong: str
    example: Example
    report: ValidationReport | None = None
    coincides: bool = False

    @property
    def rejected_by(self) -> set[str]:
        """First words of the checks that reject it: mean, variance, drift, covariance, …"""
        if self.report is None:
            return set()
        return {check.name.split()[0] for check in self.report.checks if not check.passed}

    @property
    def as_it_should_be(self) -> bool:
        """Rejected by the checks that see it, except where it is known to coincide."""
        if (self.wrong, self.example) in COINCIDE:
            return self.coincides
        return self.rejected_by >= REJECTED_BY[self.wrong, self.example]

    def __str__(self) -> str:
        if self.report is None:
            reason = COINCIDE[self.wrong, self.example]
            return f"coincides: {reason}" if self.coincides else "DIFFERS from the right limit"
        failed = [check for check in self.report.checks if not check.passed]
        if not failed:
            return "NOT REJECTED"
        # Of several p-values that underflow to zero, the largest statistic.
        worst = min(failed, key=lambda check: (check.p_value, -check.statistic))
        return f"rejected, {worst.statistic:.0f} errors: {worst.name.split(' at ')[0]}"


def cell(wrong: str, example: Example) -> Cell:
    """Try a wrong limit on an example."""
    right = right_limit(example)
    if (wrong, example) in COINCIDE:
        first = compile_limit(right.at_step(example.alpha))
        if wrong in COMPILED:
            second = COMPILED[wrong](first.limit)
        else:
            second = compile_limit(WRONG[wrong](right).at_step(example.alpha))
        return Cell(wrong, example, coincides=same_prediction(first, second, example))
    sharper = SHARPER.get((wrong, example), example)
    if wrong in COMPILED:
        with wrongly_compiled(COMPILED[wrong]):
            return Cell(wrong, example, verdict(right, sharper))
    return Cell(wrong, example, verdict(WRONG[wrong](right), sharper))


@contextlib.contextmanager
def wrongly_compiled(kind: type[CompiledLimit]) -> Iterator[None]:
    """Validate with another compiled limit."""
    with mock.patch.object(validator, "compile_limit", kind):
        yield


def main() -> None:
    """Print the table, a row at a time."""
    wrongs = [*WRONG, *COMPILED]
    print("| model | right limit | " + " | ".join(wrongs) + " |")
    print("|---" * (2 + len(wrongs)) + "|")
    for example in EXAMPLES:
        right = "passes" if verdict(right_limit(example), example).passed else "FAILS"
        row = [example.name, right, *(str(cell(wrong, example)) for wrong in wrongs)]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
