"""Fluctuations across Γ: what the iterates do around the slow motion, once they have relaxed.

To first order in σ the distance x = w − Φ(w) from Γ follows x' = x − α(Hx + noise), with H and Σ
frozen at the slow point. It is stationary after a few times 1/(αλ) iterations, with the covariance

    E x xᵀ = α σ² ℒ⁻¹(QΣQ),    ℒ(X) = HX + XH − αHXH,

exactly as σ → 0 at a fixed α (a Stein equation), and with ℒ(X) = HX + XH as α → 0, the
Ornstein-Uhlenbeck process. Momentum has α/(1 − β) for α and the ℒ of `Relaxation`.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020: an Ornstein-Uhlenbeck like process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..equation import closed_form
from ..equation.limiting_equation import LimitingEquation
from ..errors import NotCoveredError
from ..manifold.manifold import LocalGeometry
from ..rules.motion import RuleMotion
from ..symbolic.numbers.roots import WORKING_DIGITS
from ..symbols import GENERIC, alpha, sigma
from ..theory.katzenberger import Relaxation, stationary_covariance
from .agreement import PointwiseLimit

EIGENVALUES = 2
"""Rank of H up to which its eigenvalues are written by a formula."""


@dataclass(frozen=True)
class StationaryFluctuations:
    """The stationary covariance of w − Φ(w) across Γ, to first order in σ²; the mean is O(σ²).

    As α → 0 the law is Gaussian; at a fixed step it is if the noise is.

    Attributes
    ----------
    limit : LimitingEquation
        The limit whose slow motion they surround; its step size and momentum are theirs.
    """

    limit: LimitingEquation

    @property
    def unit(self) -> sp.Expr:
        """α σ², or ασ²/(1 − β) with momentum: the size of the covariance."""
        return self._rate * sigma**2

    @property
    def _rate(self) -> sp.Expr:
        return self.step / (1 - self.limit.equation.momentum)

    @property
    def step(self) -> sp.Expr:
        """The step size α; `derive.alpha` for the limit α → 0."""
        step = self.limit.equation.step
        return alpha if step == 0 else step

    @cached_property
    def covariance(self) -> sp.Matrix | None:
        """ℒ⁻¹(QΣQ) on Γ in units of `unit`, shape (N, N); None where it is too long to read."""
        return closed_form.fluctuations(self.limit.terms)

    @cached_property
    def curvatures(self) -> tuple[sp.Expr, ...] | None:
        """The non-zero eigenvalues of H on Γ; None where no formula is worth writing."""
        frame, shortest = self.limit.manifold.frame, self.limit.manifold.shortest
        if frame is None or self.limit.manifold.codimension > EIGENVALUES:
            return None
        turned = frame.curvature * frame.gram
        if turned.rows == 1:
            return (shortest(turned[0, 0]),)
        half, product = shortest(turned.trace() / 2), shortest(turned.det())
        root = sp.sqrt(shortest(half**2 - product))
        return half - root, half + root

    @cached_property
    def rates(self) -> tuple[sp.Expr, ...] | None:
        """Decay of each mode per iteration: αλ as α → 0, else the exact −log of its factor."""
        if self.curvatures is None:
            return None
        equation = self.limit.equation
        if equation.step == 0:
            return tuple(self._rate * x for x in self.curvatures)
        return tuple(decay(equation.step * x, equation.momentum) for x in self.curvatures)

    def at(self, g: LocalGeometry) -> Any:
        """ℒ⁻¹(QΣQ) in units of `unit` at a point of Γ, shape (N, N), to 50 digits."""
        field = PointwiseLimit(self.limit)
        relaxation = self.limit.equation.relaxation
        with mpmath.workdps(WORKING_DIGITS):
            numbers = (
                mpmath.mpmathify(sp.sympify(x).subs(GENERIC).evalf(WORKING_DIGITS))
                for x in (relaxation.damping, relaxation.dephasing)
            )
            return stationary_covariance(g.frame, field.covariance(g), Relaxation(*numbers))


@dataclass(frozen=True)
class RuleFluctuations:
    """The stationary fluctuations of the weights under an update rule, at a fixed step.

    They are measured from the end of the noiseless recursion, which momentum leaves to one side of
    the nearest point of Γ: so they have a part along Γ, too.

    Attributes
    ----------
    motion : RuleMotion
        The rule at points of Γ.
    step : Expr
        α > 0.
    """

    motion: RuleMotion
    step: sp.Expr

    def at(self, g: LocalGeometry) -> Any:
        """R Y Rᵀ for the weights, in units of σ², at a point of Γ, shape (N, N), to 50 digits."""
        n = self.motion.manifold.problem.dimension
        with mpmath.workdps(WORKING_DIGITS):
            size = self.step.subs(GENERIC).evalf(WORKING_DIGITS)
            slow = self.motion.at(g, mpmath.mpmathify(size))
            return (slow.lift * slow.fluctuation * slow.lift.T)[:n, :n]


def fluctuations_of(limit: LimitingEquation) -> StationaryFluctuations:
    """The fluctuations around a limit, if they are covered.

    Raises
    ------
    NotCoveredError
        For too many samples or matrix entries, for the scales beyond the two theorems, and for rare
        jumps at a fixed step.
    """
    limit = limit.written_out()
    if not limit.equation.is_leading:
        raise NotCoveredError(
            f"fluctuations: they are those of the two theorems, not of {limit.equation.name!r}; "
            "ask the limit that derive_limit gave"
        )
    if limit.equation.step != 0 and limit.problem.levy_pair.jumps:
        raise NotCoveredError(
            "fluctuations: rare jumps of size one leave Γ further than a linear law holds at a "
            "fixed step; ask the limit α → 0"
        )
    return StationaryFluctuations(limit)


def decay(stiffness: sp.Expr, momentum: sp.Expr) -> sp.Expr:
    """−log of the factor by which a mode of αλ = `stiffness` shrinks per iteration.

    The larger of the roots of z² − (1 + β − αλ)z + β, in modulus.
    """
    if momentum == 0:
        return -sp.log(sp.Abs(1 - stiffness))
    middle = (1 + momentum - stiffness) / 2
    apart = middle**2 - momentum
    oscillating, steady = -sp.log(momentum) / 2, -sp.log(sp.Abs(middle) + sp.sqrt(apart))
    return sp.Piecewise((oscillating, apart < 0), (steady, True))
