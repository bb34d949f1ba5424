"""The numbers that the results of a limit are to have at points of its Γ, found by differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..equation.limiting_equation import LimitingEquation
from ..manifold.manifold import LocalGeometry
from ..noise.classification import Outcome
from ..symbolic.bundles import flattened, restored
from ..symbolic.numbers.roots import Point
from ..symbols import GENERIC, alpha
from ..theory.katzenberger import Relaxation
from .trial import DIGITS, POINTS, Trial

OFF = (sp.Rational(1, 64), sp.Rational(-3, 128), sp.Rational(5, 256))
"""A displacement, in turn for each weight, for what holds off Γ too."""

SECOND_CHAOS = ("second chaos", "third scale")
"""Equations in which Σ₂, of second order in the noise, may stand in the place of Σ."""

Numbers = Callable[[Point], Any]


class Expected:
    """What the results of one limit are to be, in numbers.

    Parameters
    ----------
    limit : LimitingEquation
        What was derived.
    """

    def __init__(self, limit: LimitingEquation) -> None:
        self._limit = limit
        self._manifold = limit.manifold.few
        self.problem = self._manifold.problem

    @cached_property
    def trial(self) -> Trial:
        """The model in numbers."""
        return Trial(self.problem, self._manifold.codimension)

    @cached_property
    def _local(self) -> list[LocalGeometry]:
        return list(itertools.islice(self._manifold.local(), POINTS))

    @cached_property
    def points(self) -> list[Point]:
        """Points of Γ."""
        return [g.point for g in self._local]

    @cached_property
    def _relaxation(self) -> Relaxation:
        found = self._limit.equation.relaxation
        return Relaxation(self.number(found.damping), self.number(found.dephasing), found.order)

    @cached_property
    def ito_weight(self) -> Any:
        """Weight of the correction in the drift."""
        return self.number(self._limit.ito_weight)

    @cached_property
    def noise_weight(self) -> Any:
        """The factor c of P S dB."""
        return self.number(self._limit.noise_weight)

    @staticmethod
    def number(expression: Any) -> Any:
        """A constant of the limit, its symbols in place."""
        with mpmath.workdps(DIGITS):
            return mpmath.mpmathify(sp.sympify(expression).subs(GENERIC).evalf(DIGITS))

    @property
    def has_own_covariance(self) -> bool:
        """Whether Σ is that of first differences in η: Σ₂ of the slower scales is not."""
        return self._limit.equation.name not in SECOND_CHAOS

    def spread(self, p: Point) -> Any:
        """Σ, or the Σ₂ that stands in its place."""
        if self.has_own_covariance:
            return self.trial.covariance(p)
        covariance = self._limit.moments.covariance
        return restored(covariance, self.trial.values(p, list(covariance)))

    def stationary(self, p: Point) -> Any:
        """X."""
        t, order = self.trial, self._relaxation.order
        damping, dephasing = self._relaxation.damping, self._relaxation.dephasing
        if not order:
            return t.stationary(p, self.spread(p), damping, dephasing)
        values, v = t.spectrum(p)
        inner = v.T * self.spread(p) * v
        for a, first in enumerate(values):
            for b, second in enumerate(values):
                total = first + second
                slowed = damping * first * second - dephasing * (first - second) ** 2
                inner[a, b] *= (slowed / total) ** order / total
        return v * inner * v.T

    def mixed(self, p: Point) -> Any:
        """H⁺ΣP and its transpose."""
        return self.trial.mixed(p, self.spread(p), self._relaxation.dephasing)

    def bent(self, p: Point, matrix: Any) -> Any:
        """−P D³L[T]."""
        return -(self.trial.projector(p) * self.trial.third(p, matrix))

    def slope_drift(self, p: Point) -> Any:
        """−P∇ of the potential."""
        equation = self._limit.equation
        potential = self.one(equation.at(equation.potential))
        return -(self.trial.projector(p) * self.trial.field(p, potential))

    def second_drift(self, p: Point) -> Any:
        """−P r."""
        g = next(g for g in self._local if g.point == p)
        second = self._limit.second_order
        values = self.trial.values(p, [x.subs(GENERIC) for x in flattened(second)])
        return restored(second, values).drift(g.frame, g.jet.third)

    def drift(self, p: Point) -> Any:
        """B."""
        total = self.slope_drift(p)
        if self.ito_weight:
            t = self.trial
            across = self.bent(p, self.mixed(p) + self.stationary(p))
            total += self.ito_weight * (across + t.normal(p, self.spread(p)))
        second = self.number(self._limit.second_weight)
        return total + second * self.second_drift(p) if second else total

    def eigenvalues(self, p: Point) -> Any:
        """Eigenvalues of H that are not 0."""
        return self.trial.spectrum(p)[0]

    @property
    def weights(self) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        """(q, c, κ₂) by the theorem for the outcome."""
        limit, zero = self._limit, sp.S.Zero
        size = limit.step / (1 - limit.equation.momentum)
        if limit.outcome is Outcome.NON_DEGENERATE:
            return size / 2, sp.sqrt(size), zero
        if limit.outcome.is_degenerate:
            noise = sp.Integer(limit.outcome is Outcome.DIFFUSIVE)
            return sp.Rational(1, 2), noise, zero
        return zero, zero, zero

    @cached_property
    def powers(self) -> tuple[int, int]:
        """Degrees of the motion in L̂ and in the size of the noise."""
        by_reg = self._limit.outcome is Outcome.NON_DEGENERATE

        def motion(p: Point, unit: int, noise: int) -> Any:
            with mpmath.workdps(DIGITS):
                t = self.trial
                if by_reg:
                    reg = t.field(p, self.one(self._limit.regularizer))
                    return mpmath.norm(t.projector(p) * (unit * noise**2 * reg))
                s = unit**2 * noise**2 * self.spread(p)
                spread = mpmath.mnorm(t.projector(p) * s * t.projector(p), "f")
                third = t.third(p, t.stationary(p, s) / unit + t.mixed(p, s) / unit)
                return spread + mpmath.norm(t.projector(p) * (unit * third))

        p = max(self.points, key=lambda p: motion(p, 1, 1))
        once = motion(p, 1, 1)
        if once == 0:
            return 0, 0
        return tuple(  # type: ignore[return-value]
            int(mpmath.nint(mpmath.log(x / once, 2))) for x in (motion(p, 2, 1), motion(p, 1, 2))
        )

    # Sizes that the classification asks for ---------------------------------------------------

    def flatness(self, p: Point) -> Any:
        """|P∇Reg|, relative to |∇Reg|."""
        t = self.trial
        slope = t.field(p, self.one(self._limit.regularizer))
        scale = mpmath.norm(slope)
        return mpmath.norm(t.projector(p) * slope) / (1 + scale)

    def size_of_diffusion(self, p: Point) -> Any:
        """|PΣP|, relative to |Σ|."""
        t = self.trial
        s = self.spread(p)
        return mpmath.mnorm(t.projector(p) * s * t.projector(p), "f") / (1 + mpmath.mnorm(s, "f"))

    def degenerate_drift(self, p: Point) -> Any:
        """|½ P D²Φ[Σ] − P∇ of the penalty|."""
        t = self.trial
        s = self.spread(p)
        along = self.bent(p, t.stationary(p, s) + t.mixed(p, s)) / 2
        pull = t.projector(p) * t.field(p, self.problem.penalties.step)
        return mpmath.norm(along - pull)

    def drift_at_its_step(self, p: Point) -> Any:
        """|P D²Φ[Σ]| at the step of the limit."""
        return mpmath.norm(self.bent(p, self.stationary(p) + self.mixed(p)))

    def drift_at_a_step(self, p: Point) -> Any:
        """|P D²Φ[Σ]| at some step."""
        t, s = self.trial, self.spread(p)
        damping = self.number(alpha)
        return mpmath.norm(self.bent(p, t.stationary(p, s, damping) + t.mixed(p, s)))

    def liveliness(self, p: Point) -> Any:
        """|∇_wL̂(w, η)| at some η on Γ."""
        n = len(self.problem.noise)
        eta = mpmath.matrix([mpmath.sqrt(sp.prime(i + 1)) / 3 for i in range(n)])
        t = self.trial
        if not n:
            return mpmath.mnorm(self.spread(p), "f")
        pull = t.field(p, self.problem.penalties.step)
        return mpmath.norm(t.noisy_slope(p, eta)) + mpmath.norm(pull)

    # Where, and of what -------------------------------------------------------------------------

    def places(self, off: bool) -> Iterator[Point]:
        """The points, and such beside Γ if so asked."""
        yield from self.points
        if off:
            n = self.problem.dimension
            for p in self.points:
                moved = (x + OFF[i % 3] for i, x in enumerate(p[:n]))
                yield (*(mpmath.mpmathify(x) for x in moved), *p[n:])

    @staticmethod
    def at(p: Point, size: Numbers) -> Any:
        """A number at a point, in the working precision."""
        with mpmath.workdps(DIGITS):
            return size(p)

    def one(self, expression: sp.Expr) -> sp.Expr:
        """A scalar as it is evaluated, its symbols in place."""
        return self.written(expression)[0].subs(GENERIC)

    def written(self, expression: sp.Expr) -> list[sp.Expr]:
        """The expression on the few samples that are looked at."""
        samples = self._limit.problem.samples
        if samples is None or not isinstance(expression, sp.Basic):
            return [sp.sympify(expression)]
        return samples.written(expression, self._limit.manifold.rows)  # type: ignore[attr-defined]

    @property
    def fewer(self) -> sp.Expr:
        """Σ of noise of each sample's own over its size on the few samples."""
        samples = self._limit.problem.samples
        if samples is None or not samples.independent:
            return sp.S.One
        return sp.Rational(len(samples), len(self._limit.manifold.rows))  # type: ignore[attr-defined]
