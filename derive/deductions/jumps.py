"""The jump process that rare jumps make at a fixed step size: its derivation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import mpmath
import sympy as sp

from ..display.answers import jump_statements
from ..rules.regimes.jump_process import JumpProcess
from ..symbolic.zero_tests import Verdict
from ..symbols import GENERIC
from .checks import AGREEMENT, verdict_at
from .deductions import Check, Deduction, Explanation, Hypothesis
from .trial import DIGITS, POINTS, Trial

REPLACED = ("the limit stays", "α → 0", "αλ <")
"""Hypotheses of the limit α → 0 that the jump process does not have, or has in another form."""


def explain_jumps(process: Any) -> Explanation:
    """Derivation of the jump process in steps."""
    steps = tuple(_steps(process))
    gamma = [s for s in process.beside.explain().steps if s.statement.label == "Γ"]
    return Explanation(
        (("Where it rests", tuple(gamma)), ("The jump process", steps)),
        tuple(_hypotheses(process)),
    )


def _steps(process: JumpProcess) -> Iterator[Deduction]:
    trial = Trial(process.problem, process.manifold.codimension)
    points = [g.point for g in itertools.islice(process.manifold.local(), POINTS)]
    labels = {f"jump {m}": m - 1 for m in range(1, len(process.rates) + 1)}
    for statement in jump_statements(process):
        place = labels.get(statement.label)
        if place is not None:
            check = _landing(process, trial, points, place)
            landing = process.landings[place]
            yield Deduction(statement, "T(w, z) = w − α∇_wL̂(w, z)", landing, check)
        elif statement.label == "drift between jumps":
            check = _drift(process, trial, points)
            yield Deduction(statement, "−Σ_m ν_m P ∂_ηT(W, 0) z_m", process.drift, check)
        elif statement.label != "limit":
            yield Deduction(statement)


def _landing(process: JumpProcess, trial: Trial, points: list[Any], place: int) -> Check:
    jump = process.problem.levy_pair.jumps[place]

    def compare(stated: sp.Matrix) -> Verdict:
        def expected(p: Any) -> Any:
            z = mpmath.matrix(trial.values(p, list(jump.displacement)))
            moved = trial.noisy_slope(p, z)
            step = _number(process.step)
            return [x - step * g for x, g in zip(p, moved, strict=False)]

        return _agree(trial, points, stated, expected)

    return Check("one step with the slope of L̂(w, z)", compare)


def _drift(process: JumpProcess, trial: Trial, points: list[Any]) -> Check:
    def compare(stated: sp.Matrix) -> Verdict:
        def expected(p: Any) -> Any:
            total = mpmath.zeros(trial.size, 1)
            for jump in process.problem.levy_pair.jumps:
                rate, *z = trial.values(p, [jump.rate, *jump.displacement])
                small = mpmath.mpf(10) ** -25
                eta = small * mpmath.matrix(z)
                slope = (trial.noisy_slope(p, eta) - trial.noisy_slope(p, -eta)) / (2 * small)
                total += _number(process.step) * rate * slope
            return list(trial.projector(p) * total)

        return _agree(trial, points, stated, expected)

    return Check("differences of ∇L̂ in η", compare)


def _agree(trial: Trial, points: list[Any], stated: sp.Matrix, expected: Any) -> Verdict:
    entries = [e.subs(GENERIC) for e in stated]
    for k, p in enumerate(points, start=1):
        with mpmath.workdps(DIGITS):
            found, wanted = trial.values(p, entries), list(expected(p))
            same = len(found) == len(wanted) and all(
                abs(x - y) < mpmath.mpf(10) ** -AGREEMENT * max(1, abs(y))
                for x, y in zip(found, wanted, strict=True)
            )
        if not same:
            return verdict_at(False, k, AGREEMENT)
    return verdict_at(True, len(points), AGREEMENT)


def _number(step: sp.Expr) -> Any:
    return mpmath.mpmathify(step.subs(GENERIC).evalf(DIGITS))


def _hypotheses(process: Any) -> Iterator[Hypothesis]:
    for hypothesis in process.beside.explain().hypotheses:
        if not hypothesis.claim.startswith(REPLACED):
            yield hypothesis
    yield Hypothesis(
        "gradient descent without noise leads from every T(w, z_m), w ∈ Γ, back to Γ",
        "a condition on the step size and on the jumps",
    )
    yield Hypothesis("the limit stays in a compact part of the regular part of Γ", "up to its exit")
    yield Hypothesis("σ → 0 at the fixed step size α", "the scaling regime")
