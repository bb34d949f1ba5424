"""The derivation of the limit of an update rule, step by step, each with its check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import sympy as sp

from ..display.notation import Formula
from ..display.rule_statements import rule_equations
from ..display.statements import Statement, answered
from ..noise.classification import Evidence, Outcome
from ..proofs.certificate import attempted_certificate
from ..rules.orders import ATTRACTS
from ..symbolic.numbers.programs import Program
from ..symbolic.zero_tests import Verdict
from ..symbols import GENERIC, alpha
from .checks import AGREEMENT, verdict_at
from .deductions import Check, Deduction, Explanation, Hypothesis, Standing
from .trial import DIGITS, POINTS

SMALL = mpmath.mpf(10) ** -40
"""Step size at which powers of the step size are read off, and the oblique projector."""

THEOREM = (
    r"A_\xi = DT_0(\cdot, \xi),\; A = E A_\xi,\; \Sigma = E\,T_1T_1^\top,\; \bar b = E\,T_2",
    r"J A_\xi = B_\xi J,\; \bar B = E B_\xi,\; R = (A-I)J^+(\bar B-I)^{-1},\; P = I - R J",
    r"Y - E\,B_\xi Y B_\xi^\top = J \Sigma J^\top",
    r"V_\xi = P A_\xi R,\; Z(I-\bar B)^\top = P \Sigma J^\top + E\,V_\xi Y B_\xi^\top",
    r"X = R Y R^\top + Z R^\top + R Z^\top,\; \Theta = P \Sigma P^\top + E\,V_\xi Y V_\xi^\top",
    r"b = P(\bar b + \tfrac12 E\,D^2T_0[X]) + \tfrac12 R(I-\bar B)^{-1}J\, E\,D^2T_0[\Theta]",
)
"""The theorem for random maps, line by line."""

THEOREM_TEXT = (
    "J A_ξ = B_ξ J, R = (A − I)J⁺(B − I)⁻¹, P = I − R J; Y − E B_ξYB_ξᵀ = JΣJᵀ; "
    "V_ξ = P A_ξ R, Z(I − B)ᵀ = PΣJᵀ + E V_ξYB_ξᵀ; X = RYRᵀ + ZRᵀ + RZᵀ; "
    "Θ = PΣPᵀ + E V_ξYV_ξᵀ; drift P(E T₂ + ½D²T₀[X]) + ½R(I − B)⁻¹J D²T₀[Θ]"
)


def explain_rule(limit: Any) -> Explanation:
    """Derivation in steps, with the hypotheses of the theorem for random maps."""
    checks = RuleChecks(limit)
    steps = {s.statement.label: s for s in _steps(limit, checks)}

    def pick(*labels: str) -> tuple[Deduction, ...]:
        return tuple(steps[label] for label in labels if label in steps)

    theorem = Statement("theorem", THEOREM_TEXT, tuple(Formula((line,)) for line in THEOREM))
    proved = attempted_certificate(limit).evidence
    sections = (
        ("The update rule", pick("update", "one step", "memory at rest", "noise")),
        ("Where it rests", pick("Γ", "not on Γ")),
        ("The theorem", (Deduction(theorem), *_questions(proved))),
        (
            "The limit",
            pick("outcome", "time scale", "limit", "projector on Γ", "drift", "diffusion"),
        ),
    )
    return Explanation(sections, tuple(rule_hypotheses(limit, proved)))


def _steps(limit: Any, checks: RuleChecks) -> Iterator[Deduction]:
    gamma = (limit.manifold.dimension, tuple(limit.manifold.constraints))
    known: dict[str, tuple[Any, str, Callable[[], Check] | None]] = {
        "memory at rest": (limit.problem.rest, "", checks.rest),
        "Γ": (gamma, "∇L = 0", checks.manifold),
        "projector on Γ": (limit.projector, "P = I − R J", checks.projector),
        "outcome": (limit.outcome, "the smallest powers above", checks.outcome),
        "time scale": (limit.time_scale, "the theorem", checks.time_scale),
        "drift": (limit.drift, "the theorem", checks.drift),
        "diffusion": (limit.diffusion, "s sᵀ = Θ", checks.diffusion),
    }
    for statement in rule_equations(limit):
        result, rule, check = known.get(statement.label, (None, "", None))
        is_checked = result is not None and checks.knows(statement.label)
        made = check() if check is not None and is_checked else None
        yield Deduction(statement, rule, result, made)


def _questions(evidence: Evidence) -> Iterator[Deduction]:
    for number, step in enumerate(evidence.steps, start=1):
        yield Deduction(answered(number, step), "", step.verdict.value)


def rule_hypotheses(limit: Any, evidence: Evidence) -> Iterator[Hypothesis]:
    """What the theorem for random maps asks for, with the evidence as far as it is proved."""
    steps = evidence.steps
    for step, known in zip(steps, limit.evidence.steps, strict=True):
        standing, how = Standing.of(step.verdict), step.verdict.how
        if ATTRACTS in step.question:  # shown at one point, and asked for on all of 𝓜
            proved = "; proved there" if standing is Standing.PROVED else ""
            standing, how = Standing.SAMPLED, known.verdict.how + proved
        if "𝓜" in step.question and step.verdict.value:
            yield Hypothesis(step.question, how, standing)
    if not any("E T₁" in s.question for s in steps):
        how = "the noise that shrinks is centred, and no T₁ is beside it"
        yield Hypothesis("E T₁ = 0 on 𝓜", how, Standing.PROVED)
    count = len(list(itertools.islice(limit.manifold.local(), POINTS)))
    m = limit.manifold
    yield Hypothesis(
        f"Γ is a manifold of dimension {m.dimension}, with constraints of rank {m.codimension}",
        f"the rank holds at {count} points of Γ, to 50 digits",
        Standing.SAMPLED,
    )
    yield Hypothesis(
        "T₀ is of class C² and T₁ of class C¹ near 𝓜, for every ξ",
        "they have all derivatives on Γ at the points looked at",
        Standing.SAMPLED,
    )
    yield Hypothesis(
        "T₁ has a finite moment of an order above 2, and T₂ a finite mean",
        "as the law of the noise makes them",
    )
    yield Hypothesis("the start lies in a neighbourhood that the rule attracts to Γ", "not checked")
    yield Hypothesis(
        "the limit stays in a compact part of the regular part of Γ", "holds up to the exit time"
    )
    regime = "σ → 0 at the fixed step size α" if limit.step != 0 else "σ → 0 before α → 0"
    yield Hypothesis(regime, "the scaling regime")


class RuleChecks:
    """Makes the checks of the limit of one update rule.

    Parameters
    ----------
    limit : RuleLimit
        What was derived.
    """

    def __init__(self, limit: Any) -> None:
        self._limit = limit
        self._local = list(itertools.islice(limit.manifold.local(), POINTS))

    def knows(self, label: str) -> bool:
        """Whether the map at hand is that of the rule, and not with second moments held."""
        expansion = self._limit.motion.expansion
        is_whole = len(expansion.mean_map) == len(self._limit.problem.state)
        return is_whole or label not in ("memory at rest", "outcome", "time scale")

    def rest(self) -> Check:
        """The memory at rest: the mean step without small noise leaves it as it is."""
        rule = self._limit.problem
        expansion = self._limit.motion.expansion

        def compare(rest: tuple[sp.Expr, ...]) -> Verdict:
            place = dict(zip(rule.memory, rest, strict=True))
            moved = [t - z for t, z in zip(expansion.mean_map, rule.state, strict=True)]
            program = self._program([m.xreplace(place) for m in moved])

            def size(p: Any) -> Any:
                return max(map(abs, program.value((*p, self._number(alpha)))))

            return self._small(size)

        return Check("one step from there", compare)

    def manifold(self) -> Check:
        """(M, constraints): they vanish, and have rank N − M."""
        weights = self._limit.problem.weights

        def compare(stated: tuple[int, Any]) -> Verdict:
            dimension, constraints = stated
            program = self._program(list(constraints))

            def size(p: Any) -> Any:
                values = program.value((*p, self._number(alpha)))
                slopes = mpmath.matrix(program.jacobian((*p, self._number(alpha)), len(weights)))
                sizes = [float(x) for x in mpmath.svd_r(slopes, compute_uv=False)]
                rank = sum(x > 1e-20 for x in sizes)
                return max(map(abs, values)) + abs(len(weights) - rank - dimension)

            return self._small(size)

        return Check("the constraints and the rank of their slopes", compare)

    def projector(self) -> Check:
        """P = lim Aⁿ, by squaring A."""

        def compare(stated: sp.Matrix) -> Verdict:
            return self._agree(stated, self._iterated)

        return Check("lim Aⁿ, the mean step iterated", compare)

    def _iterated(self, g: Any) -> Any:
        """The block of the weights of lim Aⁿ at a small step size, or at the one given."""
        limit, n = self._limit, self._limit.problem.dimension
        step = self._number(limit.step) if limit.step != 0 else SMALL
        with mpmath.workdps(4 * DIGITS):
            at = limit.motion.at(g, step).jet.mean
            for _ in range(4 * DIGITS):  # 2^480 steps, far beyond 1/(αμ)
                at = at * at
            return at[:n, :n]

    def drift(self) -> Check:
        """B."""
        field = self._field
        return Check(
            "the theorem in numbers",
            lambda stated: self._agree(stated, field.drift),
        )

    def diffusion(self) -> Check:
        """S with s sᵀ = Θ."""
        field = self._field
        return Check(
            "Θ by the theorem in numbers",
            lambda stated: self._agree(stated * stated.T, field.spread),
        )

    def time_scale(self) -> Check:
        """The power of α, from the motion at two step sizes."""

        def compare(scale: sp.Expr) -> Verdict:
            found = self._power
            if found is None:
                return verdict_at(False, 1, AGREEMENT)
            expected = self._limit.equation.time_scale
            power = _power_of(scale)
            same = abs(found - mpmath.mpf(power.p) / power.q) < mpmath.mpf(10) ** -6
            sigma_part = sp.simplify(scale / expected).free_symbols - {alpha}
            return verdict_at(bool(same and not sigma_part), 1, 6)

        return Check("the motion at two step sizes", compare)

    def outcome(self) -> Check:
        """Which of drift and Θ is there."""

        def compare(outcome: Outcome) -> Verdict:
            field, tiny = self._field, mpmath.mpf(10) ** -AGREEMENT
            with mpmath.workdps(50):
                moves = any(mpmath.norm(field.drift(g)) > tiny for g in self._local)
                spreads = any(mpmath.mnorm(field.spread(g), "f") > tiny for g in self._local)
            at_a_step = self._limit.step != 0
            diffusive = outcome is Outcome.DIFFUSIVE
            still = outcome in (Outcome.TRIVIAL, Outcome.FROZEN)
            same = (at_a_step or diffusive == spreads) and still == (not moves and not spreads)
            if moves and not diffusive and not still:
                same = same and self._has_mean is (outcome is Outcome.NON_DEGENERATE)
            return verdict_at(same, len(self._local), AGREEMENT)

        return Check("drift and Θ in numbers", compare)

    @property
    def _power(self) -> Any:
        sizes = []
        n = self._limit.problem.dimension
        with mpmath.workdps(4 * DIGITS):
            for step in (SMALL, SMALL**2):
                at = self._limit.motion.at(self._local[0], step)
                spread = mpmath.mnorm(at.spread[:n, :n], "f")
                sizes.append(spread + mpmath.norm(at.drift[:n, 0]))
            if not all(sizes):
                return None
            return mpmath.log10(sizes[0] / sizes[1]) / -mpmath.log10(SMALL)

    @property
    def _has_mean(self) -> bool:
        """Whether the drift is that of P E T₂, and not of the fluctuations across Γ alone."""
        n = self._limit.problem.dimension
        with mpmath.workdps(4 * DIGITS):
            for g in self._local:
                at = self._limit.motion.at(g, SMALL)
                mean = mpmath.norm((at.projector * at.jet.bias)[:n, 0])
                if mean > mpmath.sqrt(SMALL) * mpmath.norm(at.drift[:n, 0]):
                    return True
        return False

    @property
    def _field(self) -> Any:
        limit = self._limit
        equation = limit.equation
        bound = type(equation)(equation.power, equation.step.subs(GENERIC))
        return type(limit.at_points)(limit.motion, bound)

    def _agree(self, stated: sp.Matrix, expected: Callable[[Any], Any]) -> Verdict:
        program = self._program([e.subs(GENERIC) for e in stated])
        for k, g in enumerate(self._local, start=1):
            with mpmath.workdps(50):
                found = program.value((*g.point, self._number(alpha)))
                wanted = list(expected(g))
                if len(found) != len(wanted):
                    return verdict_at(False, k, AGREEMENT)
                gap = max(abs(x - y) for x, y in zip(found, wanted, strict=True))
                scale = max(1, *map(abs, wanted))
            if gap > scale * mpmath.mpf(10) ** -AGREEMENT:
                return verdict_at(False, k, AGREEMENT)
        return verdict_at(True, len(self._local), AGREEMENT)

    def _small(self, size: Callable[[Any], Any]) -> Verdict:
        with mpmath.workdps(50):
            largest = max(size(g.point) for g in self._local)
        return verdict_at(bool(largest < mpmath.mpf(10) ** -AGREEMENT), len(self._local), AGREEMENT)

    def _program(self, expressions: list[sp.Expr]) -> Program:
        return Program((*self._limit.manifold.symbols, alpha), expressions)

    @staticmethod
    def _number(expression: sp.Expr) -> Any:
        return mpmath.mpmathify(sp.sympify(expression).subs(GENERIC).evalf(60))


def _power_of(scale: sp.Expr) -> sp.Rational:
    """K of 1/α^k."""
    return sp.Rational(-scale.as_powers_dict().get(alpha, sp.S.Zero))
