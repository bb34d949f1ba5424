"""Checks of the steps of a derivation, each against numbers that were found in another way."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..equation.special_forms import CURVATURE
from ..manifold.charts import IntrinsicForm
from ..noise.classification import AT_STEP, DRIFT, FLAT, FROZEN, NO_DIFFUSION, Outcome
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import ARITHMETIC_FAILURES, Point
from ..symbolic.zero_tests import Basis, Verdict
from ..symbols import GENERIC, alpha, sigma
from .deductions import Check
from .expected import Expected, Numbers
from .trial import DIGITS, POINTS, Trial

AGREEMENT = 30
"""Digits to which a result has to agree: differences give 50, points of Γ are known to 50."""

WEIGHTS = 8
"""Number of weights up to which steps are checked: eigenvectors to 120 digits take their time."""

NOISES = 24
"""Number of noise symbols up to which they are."""


class Checks:
    """Makes the checks of one limit of noisy gradient descent.

    Parameters
    ----------
    limit : LimitingEquation
        What was derived.
    """

    def __init__(self, limit: LimitingEquation) -> None:
        self._limit = limit
        self._expected = Expected(limit)
        self._problem = self._expected.problem

    @property
    def is_possible(self) -> bool:
        """Whether the model is small enough to be looked at in numbers."""
        return self._problem.dimension <= WEIGHTS and len(self._problem.noise) <= NOISES

    @property
    def has_own_covariance(self) -> bool:
        """Whether Σ is that of first differences in η: Σ₂ of the slower scales is not."""
        return self._expected.has_own_covariance

    @property
    def _trial(self) -> Trial:
        return self._expected.trial

    @property
    def _points(self) -> list[Point]:
        return self._expected.points

    # What is stated -------------------------------------------------------------------------

    def noiseless(self) -> Check:
        """L̂(w, 0) = L(w)."""
        given = self._limit.problem.noisy_loss
        still = dict.fromkeys(self._limit.problem.noise, sp.S.Zero)

        def compare(noisy: sp.Expr) -> Verdict:
            quiet = self._agree(noisy.xreplace(still), self._trial.loss, off=True)
            return quiet if noisy == given else replace(quiet, value=False)

        return Check("what is given, and with L(w) at η = 0", compare)

    def loss(self) -> Check:
        """L, where L̂ says what it is."""
        zero = [mpmath.mpf(0)] * len(self._problem.noise)

        def compare(loss: sp.Expr) -> Verdict:
            return self._agree(loss, lambda p: self._trial.noisy(p, zero), off=True)

        return Check("L̂(w, η) at η = 0", compare)

    def manifold(self) -> Check:
        """(M, constraints): ∇L = 0, L is the same everywhere, and H has rank N − M."""

        def compare(stated: tuple[int, Sequence[sp.Expr]]) -> Verdict:
            dimension, constraints = stated
            gap = self._limit.problem.dimension - self._limit.manifold.codimension - dimension

            def size(p: Point) -> Any:
                t = self._trial
                written = [w for c in constraints for w in self._expected.written(c)]
                base = t.loss(self._points[0][: t.size] + p[t.size :])
                sizes = [t.loss(p) - base, mpmath.norm(t.slope(p)), *t.values(p, written)]
                high, _ = t.spectrum(p)
                rank_is_less = min(high) < mpmath.mpf(10) ** -AGREEMENT * max(high)
                sizes += [abs(x) / max(high) for x in t.null_values(p)]
                return max(map(abs, sizes)) + abs(gap) + int(rank_is_less)

            return self._small(size)

        return Check("L, ∇L = 0 and the rank of ∇²L by differences", compare)

    def projector(self) -> Check:
        """P."""
        return self._matrix("the projector on the null space of ∇²L", self._trial.projector)

    def hessian(self) -> Check:
        """H on Γ."""
        return self._matrix("second differences of L", self._trial.hessian)

    def spectrum(self) -> Check:
        """The least and the largest eigenvalue of H that are not 0, to the digits shown."""

        def compare(shown: tuple[str, str]) -> Verdict:
            e = self._expected
            values = [float(x) for p in self._points for x in e.at(p, e.eigenvalues)]
            same = (f"{min(values):.4g}", f"{max(values):.4g}") == tuple(shown)
            return verdict_at(same, len(self._points), 4)

        return Check("second differences of L", compare)

    def regularizer(self, on_manifold: bool = False) -> Check:
        """Reg."""

        def compare(reg: sp.Expr) -> Verdict:
            return self._agree(reg, self._trial.regularizer, off=not on_manifold)

        is_given = self._problem.noisy_loss is None
        return Check("the penalty" if is_given else "second differences of L̂ in η", compare)

    def covariance(self) -> Check:
        """Σ on Γ."""
        is_given = self._problem.noisy_loss is None
        way = "the gradient noise in numbers" if is_given else "differences of ∇L̂ in η"
        return self._matrix(way, self._trial.covariance)

    # The theorem ----------------------------------------------------------------------------

    def answer(self, question: str) -> Check | None:
        """The answer to a question of the classification."""
        e = self._expected
        sizes = {
            FLAT: e.flatness,
            NO_DIFFUSION: e.size_of_diffusion,
            DRIFT[0]: e.degenerate_drift,
            DRIFT[1]: e.degenerate_drift,
            FROZEN: e.liveliness,
            AT_STEP: e.drift_at_a_step,
        }
        if question not in sizes:
            return None

        def compare(answer: bool) -> Verdict:
            small = self._small(sizes[question])
            return verdict_at(small.value is answer, len(self._points), AGREEMENT)

        return Check("its value by differences", compare)

    def outcome(self) -> Check:
        """The kind of limit."""

        def compare(outcome: Outcome) -> Verdict:
            return verdict_at(outcome is self._found_outcome, len(self._points), AGREEMENT)

        return Check("P∇Reg, PΣP and P D²Φ[Σ] by differences", compare)

    @cached_property
    def _found_outcome(self) -> Outcome:
        e = self._expected
        drift = e.degenerate_drift if self._limit.step == 0 else e.drift_at_its_step
        if not self._small(e.flatness):
            return Outcome.NON_DEGENERATE
        if not self._small(e.size_of_diffusion):
            return Outcome.DIFFUSIVE
        if not self._small(drift):
            return Outcome.DETERMINISTIC
        return Outcome.FROZEN if self._small(e.liveliness) else Outcome.TRIVIAL

    def time_scale(self) -> Check:
        """The powers of α and σ: L̂ → 2L̂ with α/2, and η → 2η with σ/2, change no iterate."""

        def compare(scale: sp.Expr) -> Verdict:
            step = alpha / (1 - self._limit.equation.momentum)
            k, m = self._expected.powers
            return verdict_at(sp.simplify(scale * step**k * sigma**m - 1) == 0, 1, AGREEMENT)

        return Check("the growth of the drift when L̂ and η are doubled", compare)

    def weights(self) -> Check:
        """(q, c, κ₂) of the equation, by the drift that they make."""
        e = self._expected

        def compare(weights: tuple[sp.Expr, sp.Expr, sp.Expr]) -> Verdict:
            ito, noise, second = (e.number(w) for w in weights)
            expected = tuple(e.number(w) for w in e.weights)
            return verdict_at((ito, noise, second) == expected, len(self._points), AGREEMENT)

        return Check("the weights of the theorem for this outcome", compare)

    def stationary(self) -> Check:
        """X."""
        return self._matrix("ℒ⁻¹(QΣQ) in the eigenbasis of ∇²L", self._expected.stationary)

    def mixed(self) -> Check:
        """H⁺ΣP and its transpose."""
        return self._matrix("the same from eigenvectors of ∇²L", self._expected.mixed)

    def term(self, name: str) -> Check:
        """A term of the drift."""
        e = self._expected
        terms: dict[str, Numbers] = {
            "slope": e.slope_drift,
            "normal": lambda p: e.ito_weight * self._trial.normal(p, e.spread(p)),
            "mixed": lambda p: e.ito_weight * e.bent(p, e.mixed(p)),
            "stationary": lambda p: e.ito_weight * e.bent(p, e.stationary(p)),
        }
        return self._matrix("the same by differences of L", terms[name])

    def drift(self) -> Check:
        """B."""
        return self._matrix("the sum of its terms by differences of L and L̂", self._expected.drift)

    def diffusion(self) -> Check:
        """S with s sᵀ = c² PΣP."""

        def compare(s: sp.Matrix) -> Verdict:
            def expected(p: Point) -> Any:
                t, e = self._trial, self._expected
                return e.noise_weight**2 * (t.projector(p) * e.spread(p) * t.projector(p))

            return self._agree(s * s.T, expected)

        return Check("PΣP by differences of ∇L̂ in η", compare)

    def second_potential(self) -> Check:
        """V₂, whose gradient along Γ is P r."""

        def compare(potential: sp.Expr) -> Verdict:
            def size(p: Point) -> Any:
                t = self._trial
                slope = t.projector(p) * t.field(p, self._expected.one(potential))
                r = -self._expected.second_drift(p)
                return mpmath.norm(slope - r) / (1 + mpmath.norm(r))

            return self._small(size)

        return Check("P r from Reg and Reg₂", compare)

    def potential(self) -> Check:
        """V, whose −P∇V is the part of ½D²Φ[Σ] along Γ."""
        e = self._expected

        def compare(potential: sp.Expr) -> Verdict:
            written = e.one(potential) * e.fewer

            def size(p: Point) -> Any:
                t = self._trial
                slope = -(t.projector(p) * t.field(p, written))
                along = e.bent(p, e.mixed(p) + e.stationary(p)) / 2
                return mpmath.norm(slope - along) / (1 + mpmath.norm(along))

            return self._small(size)

        return Check("½ P D²Φ[Σ] by differences of L", compare)

    def special(self) -> Check:
        """The function s with QΣQ = s(H), of first degree."""
        e = self._expected

        def compare(noise: sp.Expr) -> Verdict:
            parts = (noise.coeff(CURVATURE, 0), noise.coeff(CURVATURE, 1))

            def size(p: Point) -> Any:
                t = self._trial
                normal = mpmath.eye(t.size) - t.projector(p)
                a, b = t.values(p, [e.one(sp.sympify(c)) * e.fewer for c in parts])
                gap = normal * e.spread(p) * normal - a * normal - b * t.hessian(p)
                return mpmath.mnorm(gap, "f") / mpmath.mnorm(normal, "f")

            return self._small(size)

        return Check("Σ by differences of ∇L̂ in η", compare)

    def chart(self) -> Check:
        """The same motion in coordinates: Itô's formula leads back to b and s."""
        b, s, chart = self._limit.drift, self._limit.diffusion, self._limit.problem.chart
        assert b is not None
        assert s is not None
        assert chart is not None
        parameters = self._problem.parameters
        symbols = (*chart.coordinates, *parameters)
        place = dict(zip(self._problem.weights, chart.embedding, strict=True))

        def compare(form: IntrinsicForm) -> Verdict:
            tau = sp.Matrix(form.diffusion)
            a = sp.Matrix(form.drift)
            embedding = sp.Matrix(chart.embedding)
            slopes = embedding.jacobian(chart.coordinates)
            spread = tau * tau.T
            bend = sp.Matrix(
                [(spread * sp.hessian(x, chart.coordinates)).trace() for x in embedding]
            )
            gaps = [*(slopes * a + bend / 2 - b.xreplace(place))]
            moved = slopes * tau
            gaps += list(moved * moved.T - (s * s.T).xreplace(place))
            program = Program(symbols, [g.subs(GENERIC) for g in gaps])
            tried = 0
            for k in range(2 * POINTS):
                theta = [mpmath.mpf(3 * k + 2 * i + 1) / 7 for i in range(len(chart.coordinates))]
                given = self._points[0][self._problem.dimension :]
                with mpmath.workdps(DIGITS), contextlib.suppress(*ARITHMETIC_FAILURES):
                    if (
                        max(map(abs, program.value((*theta, *given))))
                        > mpmath.mpf(10) ** -AGREEMENT
                    ):
                        return verdict_at(False, tried + 1, AGREEMENT)
                    tried += 1
            return verdict_at(tried > 0, tried, AGREEMENT)

        return Check("Itô's formula for the chart", compare)

    # Comparison -----------------------------------------------------------------------------

    def _matrix(self, way: str, expected: Numbers) -> Check:
        return Check(way, lambda stated: self._agree(stated, expected))

    def _agree(self, stated: Any, expected: Numbers, off: bool = False) -> Verdict:
        """Whether an expression or a matrix has the expected values, off Γ too if so asked."""
        entries = list(stated) if isinstance(stated, sp.MatrixBase) else [stated]
        written = [self._expected.one(x) for x in entries]
        count, where = 0, "on and off Γ" if off else "of Γ"
        for p in self._expected.places(off):
            with mpmath.workdps(DIGITS):
                try:
                    theirs = expected(p)
                    found = self._trial.values(p, written)
                except ARITHMETIC_FAILURES:
                    continue
                wanted = list(theirs) if isinstance(theirs, mpmath.matrix) else [theirs]
                if len(wanted) != len(found):
                    return verdict_at(False, count + 1, AGREEMENT, where)
                gap = max(abs(x - y) for x, y in zip(found, wanted, strict=True))
                scale = max(1, *map(abs, wanted))
                count += 1
            if gap > scale * mpmath.mpf(10) ** -AGREEMENT:
                return verdict_at(False, count, AGREEMENT, where)
        return verdict_at(True if count else None, count, AGREEMENT, where)

    def _small(self, size: Numbers) -> Verdict:
        """Whether a size is 0 at all points."""
        largest = max(self._expected.at(p, size) for p in self._points)
        return verdict_at(largest < mpmath.mpf(10) ** -AGREEMENT, len(self._points), AGREEMENT)


def verdict_at(value: bool | None, points: int, digits: int, where: str = "of Γ") -> Verdict:
    """What was seen at some points."""
    count = "1 point" if points == 1 else f"{points} points"
    return Verdict(value, Basis.NUMERICAL, f"sampled at {count} {where}, {digits} digits")
