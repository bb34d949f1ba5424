"""The outcome of a noise model, decided on Γ, with its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property, singledispatch
from typing import Any

import mpmath
import sympy as sp

from ..errors import DeriveError, UndecidedError
from ..manifold.manifold import LocalGeometry, Manifold
from ..model.problem import NoisyGradientDescent
from ..symbolic.bundles import mapped
from ..symbolic.calculus import Occurrence, gradient, is_zero
from ..symbolic.effort import cancelled
from ..symbolic.numbers.roots import evaluator
from ..symbolic.zero_tests import Basis, Verdict, proved
from ..symbols import alpha, sigma
from ..theory.jets import SquaresJet
from ..theory.katzenberger import FLOW, Relaxation, tangential_covariance
from .moments import NoiseMoments, noise_moments

AT_A_STEP = Relaxation(mpmath.mpf(37) / 1000)
"""A generic step size: D²Φ_α[Σ] is rational in α."""

FLAT = "P∇Reg = 0 on Γ"
NO_DIFFUSION = "PΣP = 0 on Γ"
DRIFT = ("½ P D²Φ[Σ] = 0 on Γ", "½ P D²Φ[Σ] − P∇U = 0 on Γ")
FROZEN = "∇_wL̂(w, η) = 0 on Γ for all η"
AT_STEP = "½ P D²Φ_α[Σ] = 0 on Γ at a fixed step α"
"""What the classification asks; the drift without and with a penalty U."""


class Outcome(Enum):
    """The kinds of limit (Theorems A and B)."""

    NON_DEGENERATE = "non-degenerate"
    DIFFUSIVE = "diffusive"
    DETERMINISTIC = "deterministic"
    TRIVIAL = "trivial"
    FROZEN = "frozen"

    @classmethod
    def read(cls, given: Outcome | str) -> Outcome:
        """The outcome of that name, or a `DeriveError` that lists them."""
        known = {outcome.value: outcome for outcome in cls}
        if isinstance(given, str) and given in known:
            return known[given]
        if not isinstance(given, cls):
            raise DeriveError(f"assume: expected one of {', '.join(known)}; got {given!r}")
        return given

    @property
    def is_degenerate(self) -> bool:
        """Whether the limit lives on the time scale 1/(α²σ²)."""
        return self in (Outcome.DIFFUSIVE, Outcome.DETERMINISTIC)


@dataclass(frozen=True)
class Step:
    """One question of the classification and its answer."""

    question: str
    verdict: Verdict


@dataclass(frozen=True)
class Evidence:
    """The questions that led to the outcome, in order."""

    steps: tuple[Step, ...]

    @property
    def is_assumed(self) -> bool:
        """Whether a verdict was assumed."""
        return any(step.verdict.basis is Basis.ASSUMED for step in self.steps)

    def __str__(self) -> str:
        return "\n".join(f"{step.question}: {step.verdict}" for step in self.steps)


@dataclass(frozen=True)
class Classification:
    """Outcome, evidence, and what else was found on the way.

    Attributes
    ----------
    outcome : Outcome
        Which kind of limit it is as α → 0.
    evidence : Evidence
        The questions that led there.
    hessian_multiple : Expr or None
        The constant c where Σ = cH on Γ.
    step_order : int or None
        Where the limit is trivial as α → 0: the smallest j such that αʲ has a coefficient in
        P D²Φ_α[Σ], so that it moves at a fixed step, on the scale 1/(α^(2+j) σ²).
    """

    outcome: Outcome
    evidence: Evidence
    hessian_multiple: sp.Expr | None = None
    step_order: int | None = None

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Classification:
        """Bind parameters to numbers (the outcome is kept)."""
        multiple = self.hessian_multiple
        return replace(self, hessian_multiple=None if multiple is None else multiple.subs(values))


@singledispatch
def classify(
    manifold: Manifold,
    moments: NoiseMoments,
    assume: Outcome | None = None,
    find: Callable[[NoisyGradientDescent], NoiseMoments] = noise_moments,
) -> Classification:
    """Decide which limit a noise model has.

    Parameters
    ----------
    manifold : Manifold
        Γ.
    moments : NoiseMoments
        Reg and Σ.
    assume : Outcome, optional
        Outcome to take where a verdict is undecided; it is recorded in the evidence.
    find : callable
        Makes such moments of another problem: where there are many samples, of a few of them.

    Raises
    ------
    UndecidedError
        If a zero test is undecided and nothing is assumed; the message lists what was tried.
    """
    questions = _Questions(manifold, moments)
    steps: list[Step] = []

    def holds(question: str, answer: Callable[[], Verdict], outcomes: set[Outcome]) -> bool:
        verdict = answer()
        steps.append(Step(question, verdict))
        if verdict.value is not None:
            return verdict.value
        if assume is None:
            raise UndecidedError(
                f"{question}: undecided; tried {verdict.how}. Give assume= one of "
                f"{', '.join(repr(o.value) for o in Outcome)} if you know the answer"
            )
        steps.append(Step(question, Verdict(assume in outcomes, Basis.ASSUMED, assume.value)))
        return assume in outcomes

    def result(outcome: Outcome, multiple: sp.Expr | None = None) -> Classification:
        return Classification(outcome, Evidence(tuple(steps)), multiple)

    degenerate = set(Outcome) - {Outcome.NON_DEGENERATE}
    if not holds(FLAT, questions.flat_regularizer, degenerate):
        return result(Outcome.NON_DEGENERATE)
    if not holds(NO_DIFFUSION, questions.no_diffusion, degenerate - {Outcome.DIFFUSIVE}):
        return result(Outcome.DIFFUSIVE)
    multiple = questions.hessian_multiple()
    at_rest = {Outcome.TRIVIAL, Outcome.FROZEN}
    drift = DRIFT[moments.penalty != 0]
    if not holds(drift, lambda: questions.no_drift(multiple), at_rest):
        return result(Outcome.DETERMINISTIC, multiple)
    if holds(FROZEN, questions.frozen, {Outcome.FROZEN}):
        return result(Outcome.FROZEN)
    still = questions.no_drift(None, AT_A_STEP)
    steps.append(Step(AT_STEP, still))
    order = None if still.value is not False else questions.step_order()
    return replace(result(Outcome.TRIVIAL, multiple), step_order=order)


@dataclass(frozen=True)
class _Questions:
    """The zero tests of the classification."""

    manifold: Manifold
    moments: NoiseMoments

    def flat_regularizer(self) -> Verdict:
        reg, ideal = self.moments.regularizer, self.manifold.ideal
        weights = self.manifold.problem.weights
        if not Occurrence(weights)(reg):
            return proved("Reg does not depend on w")
        verdict = self.manifold.constant_along(reg)
        if verdict.value and verdict.basis is not Basis.PROOF:
            constant = ideal.shortest(reg)
            if not constant.free_symbols & set(weights):
                return proved(f"Reg = {constant} modulo the constraints")
        return verdict

    def no_diffusion(self) -> Verdict:
        """P S = 0, which is PΣP = 0."""
        columns = self.moments.columns
        if self._along_constraints is not None:
            return proved("each column of G is a multiple of the gradient of a constraint")
        verdicts = [self.manifold.vanishes_along(list(columns[:, a])) for a in range(columns.cols)]
        return _all(verdicts) if verdicts else proved("there is no gradient noise: Σ = 0")

    @cached_property
    def _along_constraints(self) -> list[tuple[int, sp.Expr]] | None:
        """(i, ρ) for each column ρ∇r_i of S with constant ρ; None if one is not of this form.

        Structure seen in the expressions settles label noise on large models, where entries of
        Σ and H would be too many to compare.
        """
        jet, columns = self.manifold.jet, self.moments.columns
        if not isinstance(jet, SquaresJet) or self.moments.factor is None or not columns.cols:
            return None
        found = []
        for a in range(columns.cols):
            column = list(columns[:, a])
            for i, residual in enumerate(jet.residuals):
                ratio = _constant_ratio(column, residual.gradient, self.manifold.problem.weights)
                if ratio is not None:
                    found.append((i, ratio))
                    break
            else:
                return None
        return found

    def _common_ratio(self, multiples: list[tuple[int, sp.Expr]]) -> sp.Expr | None:
        """The c with Σ ρ² = c c_i for each residual i, if it is the same for all."""
        residuals = self.manifold.jet.residuals  # type: ignore[union-attr]
        variances = [sp.Integer(0)] * len(residuals)
        for i, ratio in multiples:
            variances[i] += ratio**2
        pairs = zip(variances, residuals, strict=True)
        ratios = {cancelled(variance / r.weight) for variance, r in pairs}
        c = ratios.pop()
        free = c.free_symbols & set(self.manifold.problem.weights)
        return None if ratios or free or c == 0 else c

    def hessian_multiple(self) -> sp.Expr | None:
        """The constant c with Σ = cH on Γ, when PΣP = 0 is known; None if there is none."""
        if self._along_constraints is not None:
            return self._common_ratio(self._along_constraints)
        candidate = self._candidate_multiple()
        if candidate is None:
            return None
        columns = evaluator(self.manifold.symbols, self.moments.columns)
        number = evaluator(self.manifold.symbols, [candidate])

        def size(g: LocalGeometry) -> Any:
            normal = self._normal_covariance(g, columns)
            expected = number(g.point)[0] * g.frame.curvature
            return mpmath.mnorm(normal - expected, "f") / mpmath.mnorm(expected, "f")

        return candidate if self.manifold.decide(size) else None

    def _normal_covariance(self, g: LocalGeometry, columns: Callable[..., Any]) -> Any:
        """Σ in the eigenbasis of H."""
        s = g.frame.jacobian * columns(g.point)
        return s * s.T if self.moments.factor is not None else s * g.frame.jacobian.T

    def _candidate_multiple(self) -> sp.Expr | None:
        """Ratio of one pair of entries of Σ and H."""
        if self.manifold.probe.squares is None or not self.moments.columns.cols:
            return None
        residuals = self.manifold.jet.residuals  # type: ignore[union-attr]
        for i in range(self.manifold.problem.dimension):
            curvature = sum(r.weight * r.gradient[i] ** 2 for r in residuals)
            if curvature == 0:
                continue
            row = self.moments.columns[i, :]
            variance = sum(x**2 for x in row) if self.moments.factor is not None else row[i]
            ratio = cancelled(variance / curvature)
            if ratio.free_symbols & set(self.manifold.problem.weights):
                ratio = self.manifold.shortest(ratio)
            free = ratio.free_symbols & set(self.manifold.problem.weights)
            return None if free or ratio == 0 else ratio
        return None

    def no_drift(self, multiple: sp.Expr | None, relaxation: Relaxation = FLOW) -> Verdict:
        """½ P D³L[T] + P∇U = 0 with T the tangential covariance and U the penalty."""
        penalty = self.moments.penalty if relaxation.order == 0 else sp.S.Zero
        slope = gradient(penalty, self.manifold.problem.weights)
        silent = self._silent()
        if silent:
            return silent if not any(slope) else self.manifold.vanishes_along(slope)
        if multiple is not None and not any(slope):
            return self._flat_laplacian()
        columns = evaluator(self.manifold.symbols, self.moments.columns)
        pull = evaluator(self.manifold.symbols, slope)

        def size(g: LocalGeometry) -> Any:
            matrix = self._contracted(g, columns, relaxation)
            pulled = mpmath.matrix(pull(g.point))
            drift = g.frame.tangential(mpmath.matrix(g.jet.third(matrix)) / 2 + pulled)
            scale = max(*mapped(g.jet, abs).third(matrix.apply(abs)), *pulled.apply(abs))
            return mpmath.norm(drift) / scale if scale else mpmath.mpf(0)

        return self.manifold.decide(size)

    def _silent(self) -> Verdict | None:
        """Σ = 0 on Γ, where that is so."""
        columns = self.moments.columns
        if not columns.cols:
            return proved("there is no gradient noise: Σ = 0")
        silent = self.manifold.vanishes(list(columns))
        return Verdict(True, silent.basis, f"Σ = 0 on Γ, {silent.how}") if silent else None

    def _flat_laplacian(self) -> Verdict:
        """P∇ΔL = 0, which decides the drift −(c/4) P∇ΔL of Σ = cH."""

        def size(g: LocalGeometry) -> Any:
            scale = max(mapped(g.jet, abs).third())
            drift = g.tangential(g.jet.third())
            return mpmath.norm(drift) / scale if scale else mpmath.mpf(0)

        def constant() -> bool:
            laplacian = self.manifold.shortest(self.manifold.laplacian)
            return not laplacian.free_symbols & set(self.manifold.problem.weights)

        return self.manifold.decide(size, [("ΔL is constant on Γ", constant)])

    def step_order(self) -> int | None:
        """The smallest j for which αʲ has a coefficient in P D²Φ_α[Σ]; None if none is clear."""
        size = self.manifold.codimension
        for order in range(1, size * (size + 1) // 2 + 1):  # as many as there are different rates
            if self.no_drift(None, Relaxation(1, 0, order)).value is False:
                return order
        return None

    def _contracted(
        self, g: LocalGeometry, columns: Callable[..., Any], relaxation: Relaxation
    ) -> Any:
        s = columns(g.point)
        covariance = s * s.T if self.moments.factor is not None else s
        return tangential_covariance(g.frame, covariance, relaxation)

    def frozen(self) -> Verdict:
        problem = self.manifold.problem
        if not problem.noise:
            return self.manifold.vanishes(list(self.moments.columns))
        free = (*problem.noise, alpha, sigma)  # the last two in the size of a penalty
        return self.manifold.vanishes(problem.stochastic_gradient, free=free)


def _all(verdicts: list[Verdict]) -> Verdict:
    """The weakest of several verdicts, all of which must hold."""
    for value in (False, None):
        for verdict in verdicts:
            if verdict.value is value:
                return verdict
    weak = [v for v in verdicts if v.basis is not Basis.PROOF]
    return weak[0] if weak else verdicts[0]


def _constant_ratio(
    column: Sequence[sp.Expr], direction: Sequence[sp.Expr], weights: Sequence[sp.Symbol]
) -> sp.Expr | None:
    """The constant ρ with column = ρ direction, entry by entry as expressions."""
    support = [k for k, x in enumerate(direction) if x != 0]
    if not support or [k for k, x in enumerate(column) if x != 0] != support:
        return None
    ratio = cancelled(column[support[0]] / direction[support[0]])
    if ratio.free_symbols & set(weights):
        return None
    same = all(is_zero(column[k] - ratio * direction[k]) for k in support)
    return ratio if same else None
