"""The limit of an optimizer that cycles across Γ: its derivation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import sympy as sp

from ..display.cycle_statements import cycle_equations
from ..display.notation import Formula
from ..display.statements import Statement, answered
from ..rules.regimes.cycles import without_noise
from ..symbolic.zero_tests import Verdict
from ..symbols import GENERIC, alpha
from ..theory.cycles import sharpness
from .checks import AGREEMENT, verdict_at
from .deductions import Check, Deduction, Explanation, Hypothesis, Standing
from .trial import DIGITS, POINTS, Trial

AVERAGING = (
    "w = ζ + s y: y' = τ(y) across Γ, and ζ moves by s² E_π[P κ] per step; a 2-cycle along the "
    "eigenvector v₁ of λ₁ gives P D³L[v₁v₁ᵀ] = P∇λ₁"
)


def explain_cycles(limit: Any) -> Explanation:
    """Derivation in steps, with the hypotheses of the averaging."""
    steps = {s.statement.label: s for s in _steps(limit)}

    def pick(*labels: str) -> tuple[Deduction, ...]:
        return tuple(steps[label] for label in labels if label in steps)

    theorem = Statement(
        "averaging",
        AVERAGING,
        (
            Formula((r"w = \zeta + s\,y,\; y' = \tau(y),\; \zeta' = \zeta + s^2 E_\pi[P\kappa]",)),
            Formula((r"P D^3L[v_1v_1^\top] = P\nabla\lambda_1",)),
        ),
    )
    sections = (
        ("The update rule", pick("loss", "optimizer", "noise")),
        ("The fast cycle", (Deduction(theorem), *_questions(limit))),
        (
            "The limit",
            pick("Γ", "not on Γ", "minimum", "projector on Γ", "limit", "Reg", "Reg on Γ", "drift"),
        ),
    )
    return Explanation(sections, tuple(_hypotheses(limit)))


def _steps(limit: Any) -> Iterator[Deduction]:
    checks = _Checks(limit)
    reg = None if limit.regularizer is None else limit.manifold.shortest(limit.regularizer)
    known: dict[str, tuple[Any, str, Callable[[], Check]]] = {
        "projector on Γ": (limit.projector, "P = I − J⁺J", checks.projector),
        "Reg on Γ": (reg, "λ₁ = ΔL where H has rank one", checks.regularizer),
        "drift": (limit.drift, _rule(limit), checks.drift),
    }
    for statement in cycle_equations(limit):
        result, rule, check = known.get(statement.label, (None, "", None))
        is_checked = check is not None and result is not None and limit.cycles.batch_size is None
        yield Deduction(statement, rule, result, check() if check and is_checked else None)


def _rule(limit: Any) -> str:
    return "b = −½ P E_π[D³ℓ_b[x xᵀ]]" if limit.is_simulated else "b = −P∇Reg"


def _questions(limit: Any) -> Iterator[Deduction]:
    for number, step in enumerate(limit.evidence.steps, start=1):
        yield Deduction(answered(number, step), "", step.verdict.value)


def _hypotheses(limit: Any) -> Iterator[Hypothesis]:
    for step in limit.evidence.steps:
        answer = "does not hold" if step.verdict.value is False else "holds"
        claim = f"{step.question} {answer} identically"
        yield Hypothesis(claim, step.verdict.how, Standing.of(step.verdict))
    m = limit.manifold
    count = len(list(itertools.islice(m.local(), POINTS)))
    yield Hypothesis(
        f"Γ is a manifold of dimension {m.dimension} and H has rank {m.codimension} on it",
        f"the rank holds at {count} points of Γ, to 50 digits",
        Standing.SAMPLED,
    )
    if limit.is_simulated:
        yield Hypothesis(
            "the chain across Γ has one stationary law, with a mean of P D³ℓ_b[x xᵀ] that is not 0",
            "simulated where the limit is compiled, with its standard error",
        )
    elif limit.cycles.batches is None and not limit.cycles.rank_one:
        gaps = [limit.cycles.gap(g) for g in itertools.islice(m.local(), POINTS)]
        yield Hypothesis(
            "λ₁ does not meet λ₂ on the way",
            f"(λ₁ − λ₂)/λ₁ is {mpmath.nstr(min(gaps), 3)} or more at {len(gaps)} points of Γ; runs "
            "of the limit end where it vanishes",
        )
    yield Hypothesis("the start lies in a neighbourhood that the rule attracts to Γ", "not checked")
    if limit.cycles.batch_size is None:
        yield Hypothesis("across Γ the recursion ends in the cycle along v₁", "not checked")
    if limit.step != 0:
        yield Hypothesis("αλ₁ < 2 on the way", "a condition on the step size")


class _Checks:
    """Checks of one limit, by differences of L."""

    def __init__(self, limit: Any) -> None:
        self._limit = limit
        problem = without_noise(limit.problem)
        self._trial = Trial(problem, limit.manifold.codimension)
        self._points = [g.point for g in itertools.islice(limit.manifold.local(), POINTS)]

    def projector(self) -> Check:
        """P."""
        way = "the projector on the null space of ∇²L"
        return self._made(way, lambda p: list(self._trial.projector(p)))

    def regularizer(self) -> Check:
        """Reg on Γ."""
        return self._made("the function of λ₁, from ∇²L by differences", self._reg)

    def drift(self) -> Check:
        """B."""

        def expected(p: Any) -> list[Any]:
            values, vectors = self._trial.spectrum(p)
            first = vectors[:, len(values) - 1]
            bend = self._trial.third(p, first * first.T)
            slope = self._of(self._function.diff(sharpness), values[-1])
            return list(-slope * (self._trial.projector(p) * bend))

        return self._made("D³L[v₁v₁ᵀ] by differences", expected)

    @property
    def _function(self) -> sp.Expr:
        limit = self._limit
        return limit.cycles.optimizer.regularizer.subs(alpha, limit.step)

    def _reg(self, p: Any) -> list[Any]:
        values, _ = self._trial.spectrum(p)
        return [self._of(self._function, values[-1])]

    @staticmethod
    def _of(function: sp.Expr, value: Any) -> Any:
        number = function.subs(GENERIC).subs(sharpness, sp.Float(value, DIGITS))
        return mpmath.mpmathify(number.evalf(DIGITS))

    def _made(self, way: str, expected: Callable[[Any], list[Any]]) -> Check:
        def compare(stated: Any) -> Verdict:
            entries = list(stated) if isinstance(stated, sp.MatrixBase) else [stated]
            written = [e.subs(GENERIC) for e in entries]
            for k, p in enumerate(self._points, start=1):
                with mpmath.workdps(DIGITS):
                    found, wanted = self._trial.values(p, written), expected(p)
                    gap = max(abs(x - y) for x, y in zip(found, wanted, strict=True))
                    if gap > mpmath.mpf(10) ** -AGREEMENT * max(1, *map(abs, wanted)):
                        return verdict_at(False, k, AGREEMENT)
            return verdict_at(True, len(self._points), AGREEMENT)

        return Check(way, compare)
