"""In which window an adaptive run is, and what the others are wrong by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ...errors import NotCoveredError
from ...laws.law import Law
from ...manifold.manifold import LocalGeometry, Manifold
from ...manifold.points import show_point
from ...optimizers.adaptive import Window
from ...symbolic.calculus import INFINITE, jacobian
from ...symbolic.calculus import Substitution as Put
from ...symbolic.numbers.roots import WORKING_DIGITS, evaluator
from ...symbolic.zero_tests import CLEAR_DIGITS
from ...symbols import alpha, sigma
from ..expansion import groups
from .second_moments import SecondMomentRules

DIGITS = 15
"""Digits in which the sizes of errors are found."""

NEARLY = 0.01
"""Relative error that does not matter in the choice of a window."""


@dataclass(frozen=True)
class WindowPlan:
    """A run of an adaptive optimizer beside the windows, with the error of each window's limit.

    Attributes
    ----------
    alpha, sigma, delta : float
        α = α_Adam/σ, σ, and δ = 1 − β₂.
    slowest, fastest : float
        αμ, the relaxation across Γ per step, at its smallest and largest.
    lag : float
        Relative change of the second moments along Γ in a step.
    skewness : float
        Drift of order σ by noise with a third moment, relative to the one of order σ².
    """

    alpha: float
    sigma: float
    delta: float
    slowest: float
    fastest: float
    lag: float
    skewness: float

    @property
    def errors(self) -> dict[Window, float]:
        """Expected relative error of the drift that each window's limit has, at the run's α.

        The part δ/(δ + αμ) of the derivatives of Ω counts for the run. The limits with v constant
        leave it out, and are exact at any α; that with v as fast as its noise counts all of it.
        """
        kept = self.delta / (self.delta + self.slowest)
        lost = self.fastest / (self.delta + self.fastest)
        behind = self.lag / self.delta
        return {
            Window.CONSTANT: kept + self.delta + behind + self.skewness,
            Window.DRIFTING: kept + self.delta + self.skewness,
            Window.COMPARABLE: self.fastest / 2 + self.delta + behind + self.skewness,
            Window.FAST: lost + self.delta + behind + self.skewness,
        }

    @property
    def window(self) -> Window:
        """The one with the fewest variables among those with nearly the smallest error."""
        order = (Window.CONSTANT, Window.FAST, Window.COMPARABLE, Window.DRIFTING)
        least = min(self.errors.values())
        return next(w for w in order if self.errors[w] <= least + NEARLY)

    def __str__(self) -> str:
        errors = ", ".join(f"{w.value} {error:.2g}" for w, error in self.errors.items())
        return (
            f"δ = {self.delta:.3g} beside αμ = {self.slowest:.3g} to {self.fastest:.3g} and a "
            f"change of v along Γ of {self.lag:.2g} a step\n"
            f"expected relative errors: {errors}\n"
            f"the window is {self.window.value!r}: α_Adam = {self.alpha * self.sigma:.3g}"
        )


@dataclass(frozen=True)
class SecondMomentsOnGamma:
    """Second moments along Γ: their values, their hypotheses, and the rates beside them.

    Attributes
    ----------
    rules : SecondMomentRules
        The problem and its rules.
    manifold : Manifold
        Γ, in the weights.
    """

    rules: SecondMomentRules
    manifold: Manifold

    def preconditioner(self, g: LocalGeometry) -> Any:
        """Ω at S(W), shape (N, N), in mpmath's precision."""
        return self._matrix(g.point)

    def values(self, g: LocalGeometry) -> list[Any]:
        """S(W), in mpmath's precision."""
        return list(self._alone(g.point))

    def rates(self, g: LocalGeometry) -> tuple[float, float]:
        """The smallest and the largest μ, eigenvalues of ΩH across Γ."""
        with mpmath.workdps(DIGITS):
            product = self.preconditioner(g) * mpmath.matrix(g.jet.hessian())
            found = sorted(float(mpmath.re(x)) for x in mpmath.eig(product)[0])
        across = found[len(found) - self.manifold.codimension :]
        return across[0], across[-1]

    def change(self, g: LocalGeometry, drift: Any) -> float:
        """Largest |∇log S_i · b|."""
        with mpmath.workdps(DIGITS):
            values = self._alone(g.point)
            sizes = [
                abs(mpmath.fdot(slope, drift) / value) if value else 0
                for slope, value in zip(self._slopes(g.point), values, strict=True)
            ]
        return float(max(sizes))

    def check_positive(self, g: LocalGeometry) -> None:
        """Refuse a preconditioner without values where a second moment vanishes.

        Raises
        ------
        NotCoveredError
            With the moment and the point.
        """
        with mpmath.workdps(WORKING_DIGITS):
            values = self._alone(g.point)
            small = [abs(v) < mpmath.mpf(10) ** -CLEAR_DIGITS for v in values]
        put = Put({v: sp.S.Zero for v, tiny in zip(self.rules.moments, small, strict=True) if tiny})
        matrix = self.rules.optimizer.preconditioner(self.rules.moments)
        if any(x.has(*INFINITE) for x in matrix.applyfunc(put)):
            names = ", ".join(
                str(v) for v, tiny in zip(self.rules.moments, small, strict=True) if tiny
            )
            at = show_point(self.manifold.problem, g.point)
            raise NotCoveredError(
                f"optimizer: the second moment {names} vanishes on Γ, at {at}, where the "
                "preconditioner has no value; give epsilon > 0 (ε_Adam = εσ)"
            )

    def check_symmetry(self, window: Window) -> float:
        """Largest third moment of the noise; refused where it makes a drift of order σ.

        Raises
        ------
        NotCoveredError
            Where δ is not small beside αμ and the noise is skewed, or not known not to be.
        """
        skew = max((_skewness(law, len(s)) for s, law in groups(self.rules.recursion)), default=0.0)
        if skew and window in (Window.COMPARABLE, Window.FAST):
            raise NotCoveredError(
                "law: noise with a third moment and the second moment it makes are correlated, "
                "which drifts by about ½ασ δ²/(δ + αμ) times its skewness per step, at order σ and "
                "faster than the limit; take symmetric noise, or δ ≪ αμ (window 'constant')"
            )
        return skew

    def plan(
        self, drift: Any, power: Any, numbers: Mapping[str, float], skew: float, g: LocalGeometry
    ) -> WindowPlan:
        """The windows beside a run, at a point of Γ.

        Parameters
        ----------
        drift : matrix
            b there, per unit of the slow time 1/(α^kσ²).
        power : number
            k.
        numbers : mapping
            The run's alpha, sigma and delta.
        skew : float
            Third moment of the noise.
        g : LocalGeometry
            The point.
        """
        a, s, delta = numbers["alpha"], numbers["sigma"], numbers["delta"]
        slowest, fastest = (a * mu for mu in self.rates(g))
        speed = float(mpmath.norm(drift)) * a ** float(power) * s**2
        pushed = 0.5 * skew * a * s * delta**2 / (delta + slowest)
        return WindowPlan(
            a,
            s,
            delta,
            slowest,
            fastest,
            self.change(g, drift) * a ** float(power) * s**2,
            pushed / speed if speed else 0.0,
        )

    @cached_property
    def _alone(self) -> Any:
        return evaluator(self.manifold.symbols, self.rules.noise_alone)

    @cached_property
    def _slopes(self) -> Any:
        rows = jacobian(self.rules.noise_alone, self.rules.problem.weights)
        return evaluator(self.manifold.symbols, rows)

    @cached_property
    def _matrix(self) -> Any:
        matrix = self.rules.optimizer.preconditioner(self.rules.noise_alone)
        return evaluator(self.manifold.symbols, sp.Matrix(matrix))


def delta_of_run(delta: sp.Expr, step: float, scale: float) -> float:
    """δ in numbers."""
    return float(delta.subs({alpha: step, sigma: scale}))


def _skewness(law: Law, dimension: int) -> float:
    """Largest |E ζ_iζ_jζ_k| of a law that shrinks; one where it is not known."""
    if not law.shrinks:
        return 0.0
    found = law.largest_third_moment(dimension)
    return 1.0 if found is None else float(found)
