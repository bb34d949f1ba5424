"""Checks of the steps of a derivation, each against numbers that were found in another way."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..equation.special_forms import Kind
from ..manifold.charts import IntrinsicForm
from ..manifold.manifold import LocalGeometry
from ..noise.classification import AT_STEP, DRIFT, FLAT, FROZEN, NO_DIFFUSION, Outcome
from ..symbolic.programs import Program
from ..symbolic.roots import ARITHMETIC_FAILURES, Point
from ..symbolic.zero_tests import Basis, Verdict
from ..symbols import GENERIC, alpha, sigma
from ..theory.katzenberger import Relaxation
from .deductions import Check
from .trial import DIGITS, Trial

POINTS = 3
"""Points of Γ at which a step is checked."""

AGREEMENT = 30
"""Digits to which a result has to agree: differences give 50, points of Γ are known to 50."""

WEIGHTS = 8
"""Number of weights up to which steps are checked: eigenvectors to 120 digits take their time."""

NOISES = 24
"""Number of noise symbols up to which they are."""

OFF = (sp.Rational(1, 64), sp.Rational(-3, 128), sp.Rational(5, 256))
"""A displacement, in turn for each weight, for what holds off Γ too."""

SECOND_CHAOS = ("second chaos", "third scale")
"""Equations in which Σ₂, of second order in the noise, may stand in the place of Σ."""

Numbers = Callable[[Point], Any]


class Checks:
    """Makes the checks of one limit of noisy gradient descent.

    Parameters
    ----------
    limit : LimitingEquation
        What was derived.
    """

    def __init__(self, limit: LimitingEquation) -> None:
        self._limit = limit
        self._manifold = limit.manifold.few
        self._problem = self._manifold.problem
        self._is_written = limit.problem.traces is None

    @property
    def is_possible(self) -> bool:
        """Whether the model is small enough to be looked at in numbers."""
        return self._problem.dimension <= WEIGHTS and len(self._problem.noise) <= NOISES

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
                t, written = self._trial, [w for c in constraints for w in self._written(c)]
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
            values = [float(x) for p in self._points for x in self._numbers(p, self._eigenvalues)]
            same = (f"{min(values):.4g}", f"{max(values):.4g}") == tuple(shown)
            return verdict_at(same, len(self._points), 4)

        return Check("second differences of L", compare)

    def _eigenvalues(self, p: Point) -> Any:
        return self._trial.spectrum(p)[0]

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
        sizes = {
            FLAT: self._flatness,
            NO_DIFFUSION: self._diffusion,
            DRIFT[0]: self._degenerate_drift,
            DRIFT[1]: self._degenerate_drift,
            FROZEN: self._liveliness,
            AT_STEP: self._drift_at_a_step,
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
        drift = self._degenerate_drift if self._limit.step == 0 else self._drift_at_its_step
        if not self._small(self._flatness):
            return Outcome.NON_DEGENERATE
        if not self._small(self._diffusion):
            return Outcome.DIFFUSIVE
        if not self._small(drift):
            return Outcome.DETERMINISTIC
        return Outcome.FROZEN if self._small(self._liveliness) else Outcome.TRIVIAL

    def time_scale(self) -> Check:
        """The powers of α and σ: L̂ → 2L̂ with α/2, and η → 2η with σ/2, change no iterate."""

        def compare(scale: sp.Expr) -> Verdict:
            step = alpha / (1 - self._limit.equation.momentum)
            k, m = self._powers
            return verdict_at(sp.simplify(scale * step**k * sigma**m - 1) == 0, 1, AGREEMENT)

        return Check("the growth of the drift when L̂ and η are doubled", compare)

    @cached_property
    def _powers(self) -> tuple[int, int]:
        """Degrees of the motion in L̂ and in the size of the noise."""
        by_reg = self._limit.outcome is Outcome.NON_DEGENERATE

        def motion(p: Point, unit: int, noise: int) -> Any:
            with mpmath.workdps(DIGITS):
                t = self._trial
                if by_reg:
                    reg = t.field(p, self._one(self._limit.regularizer))
                    return mpmath.norm(t.projector(p) * (unit * noise**2 * reg))
                s = unit**2 * noise**2 * self._spread(p)
                spread = mpmath.mnorm(t.projector(p) * s * t.projector(p), "f")
                third = t.third(p, t.stationary(p, s) / unit + t.mixed(p, s) / unit)
                return spread + mpmath.norm(t.projector(p) * (unit * third))

        p = max(self._points, key=lambda p: motion(p, 1, 1))
        once = motion(p, 1, 1)
        if once == 0:
            return 0, 0
        return tuple(  # type: ignore[return-value]
            int(mpmath.nint(mpmath.log(x / once, 2))) for x in (motion(p, 2, 1), motion(p, 1, 2))
        )

    def weights(self) -> Check:
        """(q, c, κ₂) of the equation, by the drift that they make."""

        def compare(weights: tuple[sp.Expr, sp.Expr, sp.Expr]) -> Verdict:
            ito, noise, second = (self._number(w) for w in weights)
            expected = tuple(self._number(w) for w in self._expected_weights)
            return verdict_at((ito, noise, second) == expected, len(self._points), AGREEMENT)

        return Check("the weights of the theorem for this outcome", compare)

    @property
    def _expected_weights(self) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        limit, zero = self._limit, sp.S.Zero
        size = limit.step / (1 - limit.equation.momentum)
        if limit.outcome is Outcome.NON_DEGENERATE:
            return size / 2, sp.sqrt(size), zero
        if limit.outcome.is_degenerate:
            noise = sp.Integer(limit.outcome is Outcome.DIFFUSIVE)
            return sp.Rational(1, 2), noise, zero
        return zero, zero, zero

    def stationary(self) -> Check:
        """X."""
        return self._matrix("ℒ⁻¹(QΣQ) in the eigenbasis of ∇²L", self._stationary)

    def mixed(self) -> Check:
        """H⁺ΣP and its transpose."""
        return self._matrix("the same from eigenvectors of ∇²L", self._mixed)

    def term(self, name: str) -> Check:
        """A term of the drift."""
        terms: dict[str, Numbers] = {
            "slope": self._slope_drift,
            "normal": lambda p: self._ito * self._trial.normal(p, self._spread(p)),
            "mixed": lambda p: self._ito * self._bent(p, self._mixed(p)),
            "stationary": lambda p: self._ito * self._bent(p, self._stationary(p)),
        }
        return self._matrix("the same by differences of L", terms[name])

    def drift(self) -> Check:
        """B."""
        return self._matrix("the sum of its terms by differences of L and L̂", self._drift)

    def diffusion(self) -> Check:
        """S with s sᵀ = c² PΣP."""

        def compare(s: sp.Matrix) -> Verdict:
            def expected(p: Point) -> Any:
                t = self._trial
                return self._noise**2 * (t.projector(p) * self._spread(p) * t.projector(p))

            return self._agree(s * s.T, expected)

        return Check("PΣP by differences of ∇L̂ in η", compare)

    def second_potential(self) -> Check:
        """V₂, whose gradient along Γ is P r."""

        def compare(potential: sp.Expr) -> Verdict:
            def size(p: Point) -> Any:
                t = self._trial
                slope = t.projector(p) * t.field(p, self._one(potential))
                r = -self._second_drift(p)
                return mpmath.norm(slope - r) / (1 + mpmath.norm(r))

            return self._small(size)

        return Check("P r from Reg and Reg₂", compare)

    def potential(self) -> Check:
        """V, whose −P∇V is the part of ½D²Φ[Σ] along Γ."""

        def compare(potential: sp.Expr) -> Verdict:
            written = self._one(potential) * self._fewer

            def size(p: Point) -> Any:
                t = self._trial
                slope = -(t.projector(p) * t.field(p, written))
                along = self._bent(p, self._mixed(p) + self._stationary(p)) / 2
                return mpmath.norm(slope - along) / (1 + mpmath.norm(along))

            return self._small(size)

        return Check("½ P D²Φ[Σ] by differences of L", compare)

    def special(self, kind: Kind) -> Check:
        """The constant in Σ = cH, or in QΣQ = sQ."""

        def compare(constant: sp.Expr) -> Verdict:
            def size(p: Point) -> Any:
                t = self._trial
                normal = mpmath.eye(t.size) - t.projector(p)
                shape = t.hessian(p) if kind is Kind.HESSIAN else normal
                given = t.values(p, [self._one(sp.sympify(constant)) * self._fewer])[0]
                gap = normal * self._spread(p) * normal - given * shape
                return mpmath.mnorm(gap, "f") / mpmath.mnorm(shape, "f")

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

    # Numbers --------------------------------------------------------------------------------

    @cached_property
    def _trial(self) -> Trial:
        return Trial(self._problem, self._manifold.codimension)

    @cached_property
    def _local(self) -> list[LocalGeometry]:
        return list(itertools.islice(self._manifold.local(), POINTS))

    @cached_property
    def _points(self) -> list[Point]:
        return [g.point for g in self._local]

    @cached_property
    def _relaxation(self) -> Relaxation:
        found = self._limit.equation.relaxation
        return Relaxation(self._number(found.damping), self._number(found.dephasing), found.order)

    @cached_property
    def _ito(self) -> Any:
        return self._number(self._limit.ito_weight)

    @cached_property
    def _noise(self) -> Any:
        return self._number(self._limit.noise_weight)

    @staticmethod
    def _number(expression: Any) -> Any:
        with mpmath.workdps(DIGITS):
            return mpmath.mpmathify(sp.sympify(expression).subs(GENERIC).evalf(DIGITS))

    @property
    def has_own_covariance(self) -> bool:
        """Whether Σ is that of first differences in η: Σ₂ of the slower scales is not."""
        return self._limit.equation.name not in SECOND_CHAOS

    def _spread(self, p: Point) -> Any:
        """Σ, or the Σ₂ that stands in its place."""
        if self.has_own_covariance:
            return self._trial.covariance(p)
        n = self._trial.size
        flat = self._trial.values(p, list(self._limit.moments.covariance))
        return mpmath.matrix([flat[i * n :][:n] for i in range(n)])

    def _stationary(self, p: Point) -> Any:
        t, order = self._trial, self._relaxation.order
        damping, dephasing = self._relaxation.damping, self._relaxation.dephasing
        if not order:
            return t.stationary(p, self._spread(p), damping, dephasing)
        values, v = t.spectrum(p)
        inner = v.T * self._spread(p) * v
        for a, first in enumerate(values):
            for b, second in enumerate(values):
                total = first + second
                slowed = damping * first * second - dephasing * (first - second) ** 2
                inner[a, b] *= (slowed / total) ** order / total
        return v * inner * v.T

    def _mixed(self, p: Point) -> Any:
        return self._trial.mixed(p, self._spread(p), self._relaxation.dephasing)

    def _bent(self, p: Point, matrix: Any) -> Any:
        """−P D³L[T]."""
        return -(self._trial.projector(p) * self._trial.third(p, matrix))

    def _slope_drift(self, p: Point) -> Any:
        equation = self._limit.equation
        potential = self._one(equation.at(equation.potential))
        return -(self._trial.projector(p) * self._trial.field(p, potential))

    def _second_drift(self, p: Point) -> Any:
        """−P r."""
        g = next(g for g in self._local if g.point == p)
        second = self._limit.second_order
        flat = [x.subs(GENERIC) for x in second.scalars]
        values = iter(self._trial.values(p, flat))
        return second.map(lambda _: next(values)).drift(g.frame, g.jet.third)

    def _drift(self, p: Point) -> Any:
        total = self._slope_drift(p)
        if self._ito:
            t = self._trial
            across = self._bent(p, self._mixed(p) + self._stationary(p))
            total += self._ito * (across + t.normal(p, self._spread(p)))
        second = self._number(self._limit.second_weight)
        return total + second * self._second_drift(p) if second else total

    # Sizes that the classification asks for ---------------------------------------------------

    def _flatness(self, p: Point) -> Any:
        t = self._trial
        slope = t.field(p, self._one(self._limit.regularizer))
        scale = mpmath.norm(slope)
        return mpmath.norm(t.projector(p) * slope) / (1 + scale)

    def _diffusion(self, p: Point) -> Any:
        t = self._trial
        s = self._spread(p)
        return mpmath.mnorm(t.projector(p) * s * t.projector(p), "f") / (1 + mpmath.mnorm(s, "f"))

    def _degenerate_drift(self, p: Point) -> Any:
        t = self._trial
        s = self._spread(p)
        along = self._bent(p, t.stationary(p, s) + t.mixed(p, s)) / 2
        pull = t.projector(p) * t.field(p, self._problem.penalties.step)
        return mpmath.norm(along - pull)

    def _drift_at_its_step(self, p: Point) -> Any:
        return mpmath.norm(self._bent(p, self._stationary(p) + self._mixed(p)))

    def _drift_at_a_step(self, p: Point) -> Any:
        t, s = self._trial, self._spread(p)
        damping = self._number(alpha)
        return mpmath.norm(self._bent(p, t.stationary(p, s, damping) + t.mixed(p, s)))

    def _liveliness(self, p: Point) -> Any:
        """|∇_wL̂(w, η)| at some η on Γ."""
        n = len(self._problem.noise)
        eta = mpmath.matrix([mpmath.sqrt(sp.prime(i + 1)) / 3 for i in range(n)])
        t = self._trial
        if not n:
            return mpmath.mnorm(self._spread(p), "f")
        pull = t.field(p, self._problem.penalties.step)
        return mpmath.norm(t.noisy_slope(p, eta)) + mpmath.norm(pull)

    # Comparison -----------------------------------------------------------------------------

    def _matrix(self, way: str, expected: Numbers) -> Check:
        return Check(way, lambda stated: self._agree(stated, expected))

    def _agree(self, stated: Any, expected: Numbers, off: bool = False) -> Verdict:
        """Whether an expression or a matrix has the expected values, off Γ too if so asked."""
        entries = list(stated) if isinstance(stated, sp.MatrixBase) else [stated]
        written = [self._one(e) for e in entries]
        count, where = 0, "on and off Γ" if off else "of Γ"
        for p in self._places(off):
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

    def _places(self, off: bool) -> Iterator[Point]:
        yield from self._points
        if off:
            n = self._problem.dimension
            for p in self._points:
                moved = (x + OFF[i % 3] for i, x in enumerate(p[:n]))
                yield (*(mpmath.mpmathify(x) for x in moved), *p[n:])

    def _small(self, size: Numbers) -> Verdict:
        """Whether a size is 0 at all points."""
        largest = max(self._numbers(p, size) for p in self._points)
        return verdict_at(largest < mpmath.mpf(10) ** -AGREEMENT, len(self._points), AGREEMENT)

    @staticmethod
    def _numbers(p: Point, size: Numbers) -> Any:
        with mpmath.workdps(DIGITS):
            return size(p)

    def _one(self, expression: sp.Expr) -> sp.Expr:
        return self._written(expression)[0].subs(GENERIC)

    def _written(self, expression: sp.Expr) -> list[sp.Expr]:
        """The expression on the few samples that are looked at."""
        samples = self._limit.problem.samples
        if samples is None or not isinstance(expression, sp.Basic):
            return [sp.sympify(expression)]
        return samples.written(expression, self._limit.manifold.rows)  # type: ignore[attr-defined]

    @property
    def _fewer(self) -> sp.Expr:
        """Σ of noise of each sample's own over its size on the few samples."""
        samples = self._limit.problem.samples
        if samples is None or not samples.independent:
            return sp.S.One
        return sp.Rational(len(samples), len(self._limit.manifold.rows))  # type: ignore[attr-defined]


def verdict_at(value: bool | None, points: int, digits: int, where: str = "of Γ") -> Verdict:
    """What was seen at some points."""
    count = "1 point" if points == 1 else f"{points} points"
    return Verdict(value, Basis.NUMERICAL, f"sampled at {count} {where}, {digits} digits")
