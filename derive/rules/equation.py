"""The limiting equation of an update rule: its scale, its drift and diffusion on Γ."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import mpmath
import sympy as sp
from mpmath import mp

from ..manifold.manifold import LocalGeometry
from ..symbolic.calculus import WithoutCaches, gradient, semidefinite_factor
from ..symbolic.effort import TooLong
from ..symbolic.ideals import Ideal
from ..symbolic.numbers.roots import WORKING_DIGITS, evaluator
from ..symbols import GENERIC, alpha, sigma
from ..theory.limit_map import SlowMotion
from ..theory.map_jets import MapJet
from .motion import RuleMotion
from .randomness import Mixture

STATE = 6
"""Size of the state up to which closed forms are tried."""

UNKNOWNS = 1
"""Unknowns of the Stein equation up to which closed forms are tried."""

OPERATIONS = 600
"""Operations up to which a closed form is worth reading."""

AGREEMENT = 25
"""Digits to which a closed form agrees with the numbers."""


@dataclass(frozen=True)
class RuleEquation:
    """Scale and step size of the limit of an update rule.

    Attributes
    ----------
    power : Expr or None
        k of the slow time t = j α^k σ² after j steps; None at rest.
    step : Expr
        α, or 0 for the limit α → 0.
    """

    power: sp.Expr | None
    step: sp.Expr = sp.S.Zero

    momentum: ClassVar[sp.Expr] = sp.S.Zero
    """None beside the rule, of which it is a part."""

    @property
    def name(self) -> str:
        """What the equation is called."""
        return "at rest" if self.power is None else f"order {self.power} in the step"

    @property
    def time_scale(self) -> sp.Expr | None:
        """Steps per unit of slow time; None at rest."""
        return None if self.power is None else 1 / (alpha**self.power * sigma**2)

    @property
    def effective_time_scale(self) -> sp.Expr | None:
        """The same: momentum is part of the rule."""
        return self.time_scale

    def subs(self, values: Mapping[sp.Symbol, Any]) -> RuleEquation:
        """Bind parameters to numbers."""
        return RuleEquation(self.power, self.step.subs(values))


@dataclass(frozen=True)
class RuleField:
    """Drift and diffusion of the limit of a rule at points of Γ, in mpmath's precision.

    Attributes
    ----------
    motion : RuleMotion
        The rule at points of Γ.
    equation : RuleEquation
        The scale; its step size is a number.
    """

    motion: RuleMotion
    equation: RuleEquation

    def drift(self, g: LocalGeometry) -> Any:
        """b, shape (N, 1), per unit of slow time."""
        return self._scaled(g, lambda at: at.drift, 1)

    def spread(self, g: LocalGeometry) -> Any:
        """S sᵀ, shape (N, N)."""
        return self._scaled(g, lambda at: at.spread, self._dimension)

    def projector(self, g: LocalGeometry) -> Any:
        """P on the tangent space of Γ, shape (N, N); oblique in general."""
        n = self._dimension
        with mpmath.workdps(self._digits):
            value = self.motion.at(g, self._step).projector[:n, :n]
        return +value

    @property
    def _dimension(self) -> int:
        return int(self.motion.manifold.problem.dimension)

    @property
    def _digits(self) -> int:
        """Working precision: what the limit α → 0 cancels comes on top of what is asked for."""
        if self.equation.step != 0:
            return 2 * mp.dps
        power = sp.ceiling(self.equation.power or 0)
        return (2 * int(power) + 5) * mp.dps

    @property
    def _step(self) -> Any:
        """α: for the limit so small that its square root is below the precision asked for."""
        if self.equation.step != 0:
            return mpmath.mpmathify(sp.N(self.equation.step, mp.dps))
        power = sp.ceiling(self.equation.power or 0)
        return mpmath.mpf(10) ** (-2 * mp.dps // (2 * int(power) + 5))

    def _scaled(self, g: LocalGeometry, part: Callable[[SlowMotion], Any], columns: int) -> Any:
        n, power = self._dimension, self.equation.power
        if power is None:
            return mpmath.zeros(n, columns)
        with mpmath.workdps(self._digits):
            step = self._step
            unit = step ** (mpmath.mpf(int(power.p)) / int(power.q))
            value = part(self.motion.at(g, step))[:n, :columns] / unit
        return +value


@dataclass(frozen=True)
class ClosedForm(WithoutCaches):
    """Drift and diffusion written out on Γ, where that is worth reading.

    Attributes
    ----------
    motion : RuleMotion
        The rule near its rest states.
    equation : RuleEquation
        The scale and the step size.
    """

    motion: RuleMotion
    equation: RuleEquation

    @cached_property
    def drift(self) -> sp.Matrix | None:
        """b, shape (N, 1)."""
        return _if_short(self._drift)

    @cached_property
    def diffusion(self) -> sp.Matrix | None:
        """s, with s sᵀ = Θ in slow time."""
        return _if_short(self._diffusion)

    @cached_property
    def projector(self) -> sp.Matrix | None:
        """P, shape (N, N)."""
        return _if_short(self._projector)

    def _drift(self) -> sp.Matrix | None:
        n, power = self._dimension, self.equation.power
        if power is None:
            return sp.zeros(n, 1)
        if self._symbolic is None:
            return None
        drift = self._leading(self._symbolic.drift[:n, 0], power)
        return self._checked(drift, RuleField.drift)

    def _diffusion(self) -> sp.Matrix | None:
        n, power = self._dimension, self.equation.power
        if power is None or not self.motion.closed.noise:
            return sp.zeros(n, 1)
        if self._symbolic is None:
            return None
        columns = self._columns()
        if columns is None:
            spread = self._leading(self._symbolic.spread[:n, :n], power)
            columns = None if spread is None else self._root(spread)
        if columns is None:
            return None
        squared = self._checked(columns * columns.T, RuleField.spread)
        return None if squared is None else columns if columns.cols else sp.zeros(n, 1)

    def _projector(self) -> sp.Matrix | None:
        if self._symbolic is None:
            return None
        n = self._dimension
        projector = self._leading(self._symbolic.projector[:n, :n], sp.S.Zero)
        return self._checked(projector, RuleField.projector)

    def _columns(self) -> sp.Matrix | None:
        """P times the kicks, where nothing but them makes Θ."""
        e, n = self.motion.closed, self._dimension
        if len(e.first.matrices) > 1 or any(len(m.matrices) > 1 for m in e.noise):
            return None
        kicks = sp.Matrix.hstack(*(sp.Matrix(m.matrices[0]) for m in e.noise))
        moved = (self._symbolic.projector * kicks)[:n, :]  # type: ignore[union-attr]
        return self._leading(moved, self.equation.power / 2)  # type: ignore[operator]

    def _root(self, spread: sp.Matrix) -> sp.Matrix | None:
        """A factor of Θ; of rank one, Θ over the root of its trace, which is smooth."""
        if self.motion.manifold.dimension == 1:
            return (spread / sp.sqrt(self._short(spread.trace()))).applyfunc(sp.factor_terms)
        return semidefinite_factor(spread)

    @property
    def _dimension(self) -> int:
        return int(self.motion.manifold.problem.dimension)

    @cached_property
    def _symbolic(self) -> SlowMotion | None:
        """The theorem in expressions; None where they would be long."""
        e, frame = self.motion.closed, self.motion.manifold.frame
        size, count = len(e.rule.state), len(e.rule.memory)
        if frame is None or size > STATE or self.motion.optimizer is not None:
            return None
        across = frame.jacobian.rows + count
        entries = [x for m in (e.first, *e.noise) for matrix in m.matrices for x in matrix]
        if (
            across * (across + 1) // 2 > UNKNOWNS
            or sum(map(sp.count_ops, entries)) > 5 * OPERATIONS
        ):
            return None
        slopes = [-x for r in e.rule.rest or () for x in gradient(r, e.rule.weights)]
        rest = sp.Matrix(count, size - count, slopes)
        below = sp.Matrix.hstack(rest, sp.eye(count)) if count else sp.zeros(0, size)
        normals = sp.Matrix.hstack(frame.jacobian, sp.zeros(frame.jacobian.rows, count))
        normals = sp.Matrix.vstack(normals, below)
        try:
            return SlowMotion(self._jet(), normals, lambda m: m.applyfunc(self._short))
        except ZeroDivisionError:
            return None

    def _jet(self) -> MapJet:
        e, short = self.motion.closed, self._at_step
        first = _map(e.first, short)
        bend = [(k, i, j, short(value)) for k, i, j, value in e.bend]
        size = len(e.rule.state)
        noise = sum((_square(_map(m, short), sp.eye(1)) for m in e.noise), sp.zeros(size))

        def second(x: sp.Matrix) -> sp.Matrix:
            out = [sp.S.Zero] * size
            for k, i, j, value in bend:
                out[k] += value * x[i, j] * (1 if i == j else 2)
            return sp.Matrix(out)

        return MapJet(
            first.mean,
            lambda x: _square(first, x),
            second,
            sp.Matrix(e.bias).applyfunc(short),
            noise.applyfunc(self._short),
            len(first.matrices) > 1,
        )

    def _at_step(self, expression: sp.Expr) -> sp.Expr:
        step = self.equation.step
        return self._short(expression if step == 0 else expression.xreplace({alpha: step}))

    def _short(self, expression: sp.Expr) -> sp.Expr:
        if not expression.free_symbols:
            return expression
        return min((ideal.shortest(expression) for ideal in self._ideals), key=sp.count_ops)

    @cached_property
    def _ideals(self) -> tuple[Ideal, ...]:
        """Γ's ideal, and with the weights in reverse order: other variables are eliminated."""
        ideal = self.motion.manifold.ideal
        return ideal, Ideal(ideal.constraints, ideal.weights[::-1])

    def _leading(self, matrix: sp.Matrix, power: sp.Expr) -> sp.Matrix | None:
        """The coefficient of α^k as α → 0, or the matrix over α^k at a step; None if too long."""
        if sum(map(sp.count_ops, matrix)) > 20 * OPERATIONS:
            return None
        if self.equation.step != 0:
            found = [x / self.equation.step**power for x in matrix]
        else:
            if not (2 * power).is_integer:
                return None
            found = [_coefficient(x, int(2 * power), self._vanishes) for x in matrix]
        if any(x is None or sp.count_ops(x) > 10 * OPERATIONS for x in found):
            return None
        short = [self._short(x) for x in found]
        if sum(map(sp.count_ops, short)) > OPERATIONS:
            return None
        return sp.Matrix(*matrix.shape, short)

    def _vanishes(self, expression: sp.Expr) -> bool:
        return bool(self.motion.manifold.vanishes([expression]))

    def _checked(
        self, form: sp.Matrix | None, truth: Callable[[RuleField, LocalGeometry], Any]
    ) -> sp.Matrix | None:
        """The form, if it has the values that the theorem has in numbers."""
        if form is None:
            return None
        step = self.equation.step.xreplace(GENERIC)
        field = RuleField(self.motion, RuleEquation(self.equation.power, step))
        manifold = self.motion.manifold
        values = evaluator(manifold.symbols, [x.xreplace(GENERIC) for x in form])
        with mpmath.workdps(WORKING_DIGITS):
            for g in itertools.islice(manifold.local(), 3):
                expected = truth(field, g)
                given = mpmath.matrix(form.rows, form.cols)
                for k, x in enumerate(values(g.point)):
                    given[k // form.cols, k % form.cols] = x
                gap = mpmath.mnorm(given - expected, "f")
                if gap > mpmath.mpf(10) ** -AGREEMENT * (1 + mpmath.mnorm(expected, "f")):
                    return None
        return form


def _map(mixture: Mixture, f: Callable[[sp.Expr], sp.Expr]) -> Mixture:
    """The mixture with its matrices rewritten entry by entry."""
    return replace(mixture, matrices=tuple(m.applyfunc(f) for m in mixture.matrices))


def _square(mixture: Mixture, x: sp.Matrix) -> sp.Matrix:
    """E M X Mᵀ."""
    total = sp.zeros(mixture.matrices[0].rows)
    for a, b, weight in mixture.products:
        term = weight * (sp.Matrix(mixture.matrices[a]) * x * mixture.matrices[b].T)
        total += term if a == b else term + term.T
    return total


def _coefficient(
    expression: sp.Expr, order: int, vanishes: Callable[[sp.Expr], bool]
) -> sp.Expr | None:
    """Coefficient of √α^n of an expression that is rational in √α, where lower ones vanish on Γ."""
    root = sp.Dummy(positive=True)
    top, bottom = sp.fraction(sp.together(expression.subs(alpha, root**2)))
    if not (top.is_polynomial(root) and bottom.is_polynomial(root)):
        return None
    numerator = sp.Poly(top, root).all_coeffs()[::-1]
    denominator = sp.Poly(bottom, root).all_coeffs()[::-1]
    shift = next((k for k, c in enumerate(denominator) if c != 0 and not vanishes(c)), None)
    if shift is None:
        return None
    series: list[sp.Expr] = []
    for k in range(order + shift + 1):
        value = numerator[k] if k < len(numerator) else sp.S.Zero
        for j, c in enumerate(denominator[shift + 1 :], start=1):
            if j <= k:
                value -= c * series[k - j]
        series.append(sp.together(value / denominator[shift]))
    return series[-1]


def _if_short(form: Callable[[], sp.Matrix | None]) -> sp.Matrix | None:
    """A closed form, or None where the way to it is too long."""
    try:
        return form()
    except TooLong:
        return None
