"""Checks: one hypothesis each, with the numbers, a p-value and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .measurements.statistics import Estimate, holm, p_value


@dataclass(frozen=True)
class Finding:
    """A hypothesis tested on its own, before multiplicity is accounted for.

    Attributes
    ----------
    name : str
        What is compared, with the place where the disagreement is largest.
    measured, expected : float
        Its value in the simulation, and as predicted.
    error : float
        Standard error of their difference.
    allowance : float
        Known bound on the bias that the measured value may still have.
    p_value : float
        Probability, if the limit is right, of a disagreement at least as large.
    parts : int
        Number of comparisons that the p-value accounts for (Bonferroni).
    """

    name: str
    measured: float
    expected: float
    error: float
    allowance: float
    p_value: float
    parts: int = 1


@dataclass(frozen=True)
class Check(Finding):
    """A finding with its verdict at the level of the whole report."""

    passed: bool = True

    @property
    def statistic(self) -> float:
        """Disagreement beyond the allowance, in standard errors."""
        excess = max(0.0, abs(self.measured - self.expected) - self.allowance)
        return excess / self.error if self.error else (np.inf if excess else 0.0)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        verb = "agrees with" if self.passed else "contradicts"
        allowed = f", allowance {self.allowance:.2g}" if self.allowance else ""
        return (
            f"{self.name}: measured {self.measured:.5g} {verb} {self.expected:.5g} "
            f"(standard error {self.error:.2g}{allowed}, p = {self.p_value:.2g})"
        )


def compared(
    name: str,
    places: Sequence[str],
    measured: Estimate,
    expected: Estimate,
    allowance: ArrayLike = 0.0,
) -> Finding:
    """Finding of many measured values against as many expected ones; the worst place is shown.

    Parameters
    ----------
    name : str
        What is compared.
    places : sequence of str
        Where, one per value.
    measured, expected : Estimate
        Flattened arrays of the same length.
    allowance : array_like
        Bounds on the bias of the measured values.
    """
    gap = Estimate(
        np.ravel(measured.value - expected.value),
        np.ravel(np.hypot(measured.error, expected.error)),
    )
    allowed = np.broadcast_to(np.ravel(allowance), gap.value.shape)
    p = p_value(gap, allowed)
    # Of equal p-values the one with the largest gap is shown.
    worst = int(np.lexsort((-np.abs(gap.value), p))[0])
    return Finding(
        f"{name} {places[worst]}".strip(),
        float(np.ravel(measured.value)[worst]),
        float(np.ravel(expected.value)[worst]),
        float(gap.error[worst]),
        float(allowed[worst]),
        float(min(1.0, len(p) * p[worst])),
        len(p),
    )


def judge(findings: Sequence[Finding], level: float) -> tuple[Check, ...]:
    """Verdicts such that a right limit fails any check with probability at most `level` (Holm)."""
    survives = holm([f.p_value for f in findings], level)
    return tuple(
        Check(**vars(finding), passed=passed)
        for finding, passed in zip(findings, survives, strict=True)
    )
