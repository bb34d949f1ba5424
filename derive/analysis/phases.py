"""Which term of the dynamics rules at given (α, σ): the data of a phase diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp

from ..equation.coefficients import Equation
from ..equation.descent import DescentEquation
from ..equation.limiting_equation import LimitingEquation
from ..errors import DeriveError, NotCoveredError
from ..noise.higher_moments import second_chaos, second_regularizer, third_regularizer
from ..noise.moments import NoiseMoments
from ..symbolic.numbers.roots import WORKING_DIGITS
from .agreement import PointwiseLimit

NOTHING = 1e-25
"""Size below which a coefficient, computed with 50 digits, is round-off."""


@dataclass(frozen=True)
class Term:
    """A term of the motion along Γ, whose speed per iteration is c·α^i·σ^j.

    Attributes
    ----------
    name : str
        What causes the motion.
    coefficient : float
        The larger of the drift's length and the variance along Γ, per unit of slow time, so that
        a diffusion counts by the time in which it spreads over a length of order one.
    alpha_power, sigma_power : int
        i and j.
    """

    name: str
    coefficient: float
    alpha_power: int
    sigma_power: int

    def speed(self, alpha: Any, sigma: Any) -> Any:
        """c·α^i·σ^j, for numbers or arrays."""
        return self.coefficient * alpha**self.alpha_power * sigma**self.sigma_power


def terms(limit: LimitingEquation, point: Sequence[Any] | None = None) -> tuple[Term, ...]:
    """Sizes at a point of Γ of all terms that are covered, those that vanish left out.

    Parameters
    ----------
    limit : LimitingEquation
        Any limit of the problem; only its Γ and its moments are used.
    point : sequence of N numbers, optional
        A point close to Γ; the base point of the derivation if not given.

    Returns
    -------
    tuple of Term
        ∇Reg (1, 2), Σ with penalties of its size (2, 2), ∇Reg₃ (1, 3), ∇V₂ (1, 4), and the second
        chaos (2, 4) where Σ = 0.
    """
    if limit.problem.parameters:
        raise DeriveError(f"limit: bind the parameters {limit.problem.parameters} with subs()")
    limit = limit.written_out()
    at = limit.manifold.points[0]
    if point is not None:
        found = limit.manifold.probe.system.solve(tuple(mpmath.mpmathify(x) for x in point))
        if found is None:
            raise DeriveError(f"point: no point of Γ was found close to {point}")
        at = found
    geometry = limit.manifold.probe.geometry(at)

    def size(name: str, part: LimitingEquation, i: int, j: int) -> Term:
        with mpmath.workdps(WORKING_DIGITS):
            field = PointwiseLimit(part)
            speed = mpmath.norm(geometry.frame.tangential(field.drift(geometry)))
            spread = field.spread(geometry)
            variance = sum(spread[k, k] for k in range(spread.rows))
            return Term(name, float(max(speed, variance)), i, j)

    found_terms = [size(*row) for row in _parts(limit)]
    return tuple(term for term in found_terms if term.coefficient > NOTHING)


def ruling(candidates: Sequence[Term], alpha: float, sigma: float) -> Term | None:
    """The fastest term at (α, σ); None where nothing moves."""
    return max(candidates, key=lambda term: term.speed(alpha, sigma), default=None)


def _parts(limit: LimitingEquation) -> list[tuple[str, DescentEquation, int, int]]:
    problem, moments = limit.problem, limit.moments

    def alone(of: NoiseMoments = moments, **fields: Any) -> DescentEquation:
        equation = Equation("one term", **fields)
        return DescentEquation(problem, limit.manifold, limit.classification, equation, of)

    noise = {"ito_weight": sp.Rational(1, 2), "noise_weight": sp.Integer(1)}
    second = {
        "second_weight": sp.Integer(1),
        "second_regularizer": second_regularizer(problem),
    }
    parts = [
        ("∇Reg", alone(potential=moments.regularizer), 1, 2),
        ("Σ", alone(potential=moments.penalty, **noise), 2, 2),
        ("∇Reg₃", alone(potential=third_regularizer(problem)), 1, 3),
        ("∇V₂", alone(**second), 1, 4),
    ]
    if limit.manifold.vanishes(list(moments.columns)):
        try:
            chaos = alone(second_chaos(problem), **noise)
        except NotCoveredError:
            return parts
        parts.append(("Σ₂", chaos, 2, 4))
    return parts
