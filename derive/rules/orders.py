"""On which power of the step size an update rule moves, found at points of Γ in high precision.

Drift and Θ of a rule are rational on 𝓜 in a root of α, with leading powers that no formula for the
rule tells: a limit is decided by the smallest power with a coefficient that does not vanish on Γ.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import sympy as sp

from ..errors import NotCoveredError, UndecidedError
from ..manifold.manifold import LocalGeometry
from ..manifold.points import show_point
from ..noise.classification import Evidence, Outcome, Step
from ..symbolic.numbers.matrices import spectral_radius
from ..symbolic.zero_tests import Basis, Verdict
from ..theory.limit_map import SlowMotion
from .motion import RuleMotion

PRECISION = 220
"""Digits at which powers of the step size are told apart."""

SIZES = (20, 40)
"""Step sizes 10⁻²⁰ and 10⁻⁴⁰: a power of α is a slope between them."""

NOTHING = 160
"""Digits below the sizes it is made of at which a quantity counts as zero to every order."""

ROUND_OFF = 180
"""Digits at which expressions that vanish on Γ are left with what round-off makes of them."""

ROOTS = 4
"""Largest root of α that a power may hold."""

POINTS = {10: 20, 36: 8, 120: 3}
"""Unknowns of the Stein equation, and the points of Γ that are looked at up to that number."""

ATTRACTS = "𝓜 attracts"
EARLY_STEP = sp.Rational(1, 10**6)
ATTRACTS_EARLY = f"{ATTRACTS} as α → 0 (α = 1e-6)"
"""The hypothesis on the step size, and the small one at which the limit α → 0 is looked at."""

NOT_SMOOTH = (ZeroDivisionError, ValueError, OverflowError)


@dataclass(frozen=True)
class Powers:
    """Leading powers of α at a point; None for what vanishes to every order.

    Attributes
    ----------
    drift, mean, spread : Rational or None
        Of the drift along Γ, of its part P E T₂, and of Θ.
    """

    drift: sp.Rational | None
    mean: sp.Rational | None
    spread: sp.Rational | None


@dataclass(frozen=True)
class Ordering:
    """The scale of an update rule as α → 0.

    Attributes
    ----------
    outcome : Outcome
        Which kind of limit it is.
    power : Rational or None
        k of the time scale 1/(α^k σ²); None at rest.
    evidence : Evidence
        What it rests on.
    """

    outcome: Outcome
    power: sp.Rational | None
    evidence: Evidence


def find_orders(motion: RuleMotion, assume: Outcome | None = None) -> Ordering:
    """The outcome of a rule as α → 0, with its power of α.

    Raises
    ------
    UndecidedError
        If a power cannot be read off and nothing is assumed.
    NotCoveredError
        If the rule is not smooth across its rest states.
    """
    count = points_for(motion)
    found = [(g, _powers(motion, g)) for g in itertools.islice(motion.manifold.local(), count)]
    names = {"drift": "the drift along Γ", "spread": "Θ", "mean": "P E T₂"}
    least: dict[str, sp.Rational | None] = {}
    steps = []
    for name, words in names.items():
        powers = [(getattr(p, name), g) for g, p in found if getattr(p, name) is not None]
        least[name] = min((p for p, _ in powers), default=None)
        if least[name] is None:
            verdict = Verdict(True, Basis.NUMERICAL, f"{count} points of Γ, {NOTHING} digits")
            steps.append(Step(f"{words} = 0 on Γ to every order in α", verdict))
            continue
        witness = next(g for p, g in powers if p == least[name])
        between = f"between α = 1e-{SIZES[0]} and 1e-{SIZES[1]}"
        how = f"{count} points of Γ, {PRECISION} digits, {between}"
        at = motion.manifold.named(witness.point)
        steps.append(Step(f"{words} ~ α^{least[name]}", Verdict(True, Basis.NUMERICAL, how, at)))
    drift, spread, mean = least["drift"], least["spread"], least["mean"]
    if drift is None and spread is None:
        outcome, power = _at_rest(motion, steps), None
    elif spread is not None and (drift is None or spread <= drift):
        outcome, power = Outcome.DIFFUSIVE, spread
    else:
        outcome = Outcome.NON_DEGENERATE if mean == drift else Outcome.DETERMINISTIC
        power = drift
    if assume is not None and assume is not outcome:
        raise UndecidedError(
            f"assume: {assume.value!r} contradicts what was found: {outcome.value!r}"
        )
    return Ordering(outcome, power, Evidence(tuple(steps)))


def points_for(motion: RuleMotion) -> int:
    """How many points of Γ are looked at: the more, the smaller the model."""
    across = motion.manifold.codimension + len(motion.expansion.rule.memory)
    unknowns = across * (across + 1) // 2
    return next((n for size, n in POINTS.items() if unknowns <= size), 1)


def attraction(motion: SlowMotion, is_random: bool) -> tuple[Any, Any]:
    """Spectral radii of B and of Y ↦ E B_ξ Y B_ξᵀ, both below one where 𝓜 attracts."""
    radius = spectral_radius(motion.relaxation)
    if not is_random:
        return radius, radius**2
    size = motion.relaxation.rows
    places = [(i, j) for i in range(size) for j in range(i + 1)]
    columns = []
    for i, j in places:
        unit = mpmath.zeros(size)
        unit[i, j] = unit[j, i] = 1
        image = motion.across(unit)
        columns.append([image[a, b] for a, b in places])
    return radius, spectral_radius(mpmath.matrix(columns).T)


def check_attraction(motion: RuleMotion, step: sp.Expr, values: Mapping[sp.Symbol, Any]) -> Step:
    """That the rest states attract in mean square at a step size, 0 for α → 0.

    Raises
    ------
    NotCoveredError
        With the radius, where they attract at no point that was looked at.
    """
    number = mpmath.mpf(sp.N((EARLY_STEP if step == 0 else step).subs(values), 30))
    largest: tuple[Any, Any] = (mpmath.mpf(0), mpmath.mpf(0))
    question = ATTRACTS_EARLY if step == 0 else f"{ATTRACTS} at α = {sp.sstr(step)}"
    where = question.removeprefix(f"{ATTRACTS} ")
    with mpmath.workdps(30):
        for g in itertools.islice(motion.manifold.local(), min(5, points_for(motion))):
            try:
                radii = attraction(motion.at(g, number), motion.is_random)
            except NOT_SMOOTH as failure:
                raise not_smooth(motion, g, failure) from failure
            if max(radii) < 1 - mpmath.mpf(10) ** -20:
                radius, squares = map(_short, radii)
                how = f"1 point of Γ, 30 digits: spectral radius {radius}, in mean square {squares}"
                at = motion.manifold.named(g.point)
                return Step(question, Verdict(True, Basis.NUMERICAL, how, at))
            largest = max(largest, radii)
    raise NotCoveredError(
        f"update: the rest states do not attract {where}: the spectral radius of the mean map "
        f"across them is {_short(largest[0])}, in mean square {_short(largest[1])}, expected below "
        "1; take a smaller step, or memory that forgets"
    )


def not_smooth(motion: RuleMotion, g: LocalGeometry, failure: Exception) -> NotCoveredError:
    """What to say of a rule without derivatives on Γ."""
    at = show_point(motion.manifold.problem, g.point)
    return NotCoveredError(
        f"update: it has no two derivatives on Γ, at {at} ({failure}): signs, normalised gradients "
        "and roots of vanishing moments are not smooth across Γ, and neither the theorem nor its "
        "time scale holds for them"
    )


def _powers(motion: RuleMotion, g: LocalGeometry) -> Powers:
    with mpmath.workdps(PRECISION):
        sizes = []
        for digits in SIZES:
            try:
                sizes.append(_sizes(motion, g, mpmath.mpf(10) ** -digits))
            except NOT_SMOOTH as failure:
                raise not_smooth(motion, g, failure) from failure
        return Powers(*(_power(coarse, fine) for coarse, fine in zip(*sizes, strict=True)))


def _sizes(motion: RuleMotion, g: LocalGeometry, step: Any) -> tuple[Any, Any, Any]:
    """|P (b + ½ D²T₀[X])|, |P b| and |Θ| of the weights; 0 below what can be computed."""
    at, n = motion.at(g, step), motion.manifold.problem.dimension
    small, least = mpmath.mpf(10) ** -NOTHING, mpmath.mpf(10) ** -ROUND_OFF
    bias, bend = at.jet.bias, at.jet.second(at.covariance) / 2
    made_of = mpmath.norm(bias) + mpmath.mnorm(at.covariance, "f")
    drift = mpmath.norm((at.projector * (bias + bend))[:n, 0])
    mean = mpmath.norm((at.projector * bias)[:n, 0])
    spread, noise = mpmath.mnorm(at.spread[:n, :n], "f"), mpmath.mnorm(at.jet.noise, "f")
    return (
        drift if drift > max(small * made_of, least) else mpmath.mpf(0),
        mean if mean > max(small * mpmath.norm(bias), least) else mpmath.mpf(0),
        spread if spread > max(small * noise, least) else mpmath.mpf(0),
    )


def _power(coarse: Any, fine: Any) -> sp.Rational | None:
    if coarse == 0 or fine == 0:
        return None
    slope = mpmath.log10(coarse / fine) / (SIZES[1] - SIZES[0])
    nearest = Fraction(float(slope)).limit_denominator(ROOTS)
    if abs(slope - mpmath.mpf(nearest.numerator) / nearest.denominator) > mpmath.mpf(10) ** -6:
        raise UndecidedError(
            f"update: a size grows like α^{_short(slope)}, which is no power of a root of α up to "
            f"the {ROOTS}th; write other small quantities as powers of derive.alpha"
        )
    return sp.Rational(nearest.numerator, nearest.denominator)


def _at_rest(motion: RuleMotion, steps: list[Step]) -> Outcome:
    e = motion.expansion
    moved = [e.at_rest(t - z) for t, z in zip(e.rule.update, e.rule.state, strict=True)]
    free = tuple(set().union(*(x.free_symbols for x in moved)) - {*motion.manifold.symbols})
    verdict = motion.manifold.vanishes(moved, free=free)
    steps.append(Step("T(z, ξ) = z on 𝓜 for all ξ", verdict))
    return Outcome.FROZEN if verdict else Outcome.TRIVIAL


def _short(value: Any) -> str:
    return str(mpmath.nstr(value, 6))
