"""Claims about a random recursion near its rest states, and the certificate of its limit.

That Γ attracts in mean square at a step size is what the theorem for random maps asks for. With the
maps T_a that noise of fixed size chooses among with probabilities p_a, and B_a = J DT_a J⁺ across
Γ, it holds where some X > 0 has

    X − Σ p_a B_a X B_aᵀ > 0,

for then the map Y ↦ Σ p_a B_a Y B_aᵀ of squares has a spectral radius below one. X = GGᵀ solves
that equation with I on the right, to some digits; the checker encloses the left side by balls. For
noise of which only moments are known, E φφᵀ = Σ d f fᵀ of the coefficients φ of the maps gives
maps Σ f_a T_a with weights d.

References
----------
Khasminskii, Stochastic Stability of Differential Equations, on quadratic Lyapunov functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import sympy as sp

from ..manifold.local_geometry import Probe
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Classification, Step
from ..rules.derivation import CENTRED, FIXED
from ..rules.equation import RuleEquation
from ..rules.expansion import RuleExpansion
from ..rules.motion import RuleMotion
from ..rules.orders import ATTRACTS, ATTRACTS_EARLY, EARLY_STEP
from ..symbolic.numbers.matrices import solve_symmetric
from ..symbolic.numbers.programs import Program
from ..symbolic.numbers.roots import WORKING_DIGITS, Point, System, evaluator
from ..symbolic.zero_tests import Basis, Verdict
from ..symbols import alpha
from .boxes import decimal
from .findings import Certificate, Finding
from .questions import Questions
from .tables import ExpressionTable, NotCertifiedError
from .writer import REAL, Writer

MOST_ACROSS = 16
"""Dimensions across Γ up to which the equation for X is solved."""

FACTOR_DIGITS = 30
"""Digits of G."""

Maps = list[tuple[sp.Expr, list[sp.Expr]]]
"""Weight p and entries of each map."""

SHRINKS = "a quadratic form that shrinks in the mean, in a box that holds a point of Γ"

NO_POWERS = "the power of α is read off in numbers, at points of Γ"


def maps_at(expansion: RuleExpansion, step: sp.Expr) -> Maps:
    """Weights and maps of one step without the small noise, with Σ p T⊗T = E T₀⊗T₀.

    Parameters
    ----------
    expansion : RuleExpansion
        The rule.
    step : Expr
        α, a number.
    """
    mixture = expansion.randomness.mixture(sp.Matrix(expansion.still))
    columns = [sp.Matrix(m).subs(alpha, step) for m in mixture.matrices]
    second = sp.zeros(len(columns))
    for a, b, weight in mixture.products:
        second[a, b] = second[b, a] = sp.nsimplify(sp.sympify(weight).subs(alpha, step))
    found: Maps = []
    for a in range(len(columns)):  # E φφᵀ = Σ d f fᵀ, by elimination
        d = sp.simplify(second[a, a])
        if d == 0:
            continue
        f = second[a:, a] / d
        second[a:, a:] -= d * f * f.T
        total = sum(
            (x * c for x, c in zip(f, columns[a:], strict=True)), sp.zeros(*columns[a].shape)
        )
        found.append((d, list(total)))
    return found


def attraction(
    table: ExpressionTable, manifold: Manifold, maps: Maps, point: Point
) -> dict[str, Any]:
    """The claim that Γ attracts in mean square at a point of it.

    Raises
    ------
    NotCertifiedError
        If Γ does not attract there, or has too many dimensions across it.
    """
    if manifold.codimension > MOST_ACROSS:
        raise NotCertifiedError(f"more than {MOST_ACROSS} dimensions across Γ")
    n = manifold.problem.dimension
    with mpmath.workdps(WORKING_DIGITS):
        slopes = manifold.probe.system.jacobian(point)
        j = mpmath.matrix([slopes[i] for i in manifold.probe.independent(point)])
        left = j.T * (j * j.T) ** -1
        across = [
            (mpmath.mpmathify(p.evalf(WORKING_DIGITS)), j * _slopes(manifold, of, point, n) * left)
            for p, of in maps
        ]

        def shrunk(x: Any) -> Any:
            return x - sum((p * b * x * b.T for p, b in across), mpmath.zeros(j.rows))

        x = solve_symmetric(shrunk, mpmath.eye(j.rows))
        try:
            factor = mpmath.cholesky((x + x.T) / 2)
        except ValueError:
            raise NotCertifiedError("Γ does not attract in mean square there") from None
        return {
            "asks": "attraction",
            "of": [table.places(of) for _, of in maps],
            "chances": table.places(p for p, _ in maps),
            "factor": [[decimal(v, FACTOR_DIGITS) for v in row] for row in factor.tolist()],
        }


def _slopes(manifold: Manifold, of: Sequence[sp.Expr], point: Point, n: int) -> Any:
    return mpmath.matrix(Program(manifold.symbols, of).jacobian(point, n))


def attraction_step(size: sp.Expr) -> Step:
    """The question whether Γ attracts at a step size, to be answered yes."""
    verdict = Verdict(True, Basis.WITNESS, "at the base point of Γ")
    return Step(f"Γ attracts in mean square at α = {sp.sstr(size)}", verdict)


def or_not_shown(finding: Finding) -> Finding:
    """A finding as it is, or without an answer where no proof was found."""
    if finding.is_certified:
        return finding
    verdict = Verdict(None, Basis.UNDECIDED, "not shown")
    return Finding(Step(finding.step.question, verdict), finding.reason)


def rest_states(motion: RuleMotion) -> Manifold:
    """𝓜, the weights on Γ with the memory at rest, as a zero set in all coordinates."""
    rule, gamma = motion.expansion.rule, motion.manifold
    memory = zip(rule.memory, rule.rest or (), strict=True)
    constraints = (*gamma.constraints, *(m - rest for m, rest in memory))
    problem = NoisyGradientDescent.from_gradient_noise(
        sp.Add(*(c**2 for c in constraints)) / 2,
        sp.zeros(len(rule.state)),
        rule.state,
        constraints=constraints,
        parameters=rule.parameters,
    )
    probe = Probe(problem, None, System(rule.state, rule.parameters, constraints))
    return Manifold(probe, _with_memory(motion, gamma.base), lambda _: iter(()))


def _with_memory(motion: RuleMotion, point: Point) -> Point:
    """A point of 𝓜 from one of Γ."""
    rule, gamma = motion.expansion.rule, motion.manifold
    with mpmath.workdps(WORKING_DIGITS):
        rest = evaluator(gamma.symbols, rule.rest or ())(point) if rule.memory else []
    n = len(rule.weights)
    return (*point[:n], *rest, *point[n:])


def certify_rule(
    motion: RuleMotion,
    classification: Classification,
    equation: RuleEquation,
    questions: Questions,
) -> Certificate:
    """Prove the verdicts on a recursion, as far as proofs are found.

    Parameters
    ----------
    motion : RuleMotion
        The recursion near its rest states.
    classification : Classification
        What is to be proved.
    equation : RuleEquation
        The step size.
    questions : Questions
        A further step size at which attraction is to be shown, and ranges of parameters.
    """
    writer = _RuleWriter(motion, equation, questions)
    findings = [*map(writer.certified, classification.evidence.steps)]
    if questions.step is not None:
        findings.append(writer.attracted(questions.step))
    return Certificate(tuple(findings), writer.document)


class _RuleWriter(Writer):
    """Proves verdicts on a recursion."""

    def __init__(self, motion: RuleMotion, equation: RuleEquation, questions: Questions) -> None:
        rule = motion.expansion.rule
        steps = zip(rule.state, motion.expansion.still, strict=True)
        statement = [f"T₀: {z} ↦ {t}" for z, t in steps]
        super().__init__(rest_states(motion), questions.ranges, statement, (REAL,))
        self.document["statement"] += [f"{r} = 0 on 𝓜" for r in self._manifold.constraints]
        self._motion, self._step = motion, equation.step

    def certified(self, step: Step) -> Finding:
        """The verdict with its proof, or why there is none."""
        if not step.verdict.value or step.verdict.basis is Basis.ASSUMED:
            return Finding(step, "the question was not decided")
        return self._finding(step, self._shown)

    def attracted(self, size: sp.Expr) -> Finding:
        """Whether the rule is drawn to Γ in mean square at a step size."""
        return or_not_shown(
            self._finding(attraction_step(size), lambda step: self._drawn(step, size))
        )

    def _shown(self, step: Step) -> str:
        expansion = self._motion.expansion
        if step.question == FIXED:
            moved = [t - z for t, z in zip(expansion.still, expansion.rule.state, strict=True)]
            return self._vanishing(step, moved)
        if step.question == CENTRED:
            kick = expansion.randomness.mean(sp.Matrix(expansion.mean_kick))
            return self._vanishing(step, list(kick))
        if step.question == ATTRACTS_EARLY:
            return self._drawn(step, EARLY_STEP)
        if step.question.startswith(ATTRACTS):
            return self._drawn(step, self._step)
        raise NotCertifiedError(NO_POWERS)

    def _vanishing(self, step: Step, entries: Sequence[sp.Expr]) -> str:
        self._accept_identity(step.question, self._sought(entries).zero())
        return "cofactors of the constraints, multiplied out again"

    def _drawn(self, step: Step, size: sp.Expr) -> str:
        if self._motion.optimizer is not None:
            raise NotCertifiedError("the optimizer is built of several steps")
        if not size.is_number:
            raise NotCertifiedError("the step size is no number")
        found = dict(step.verdict.witness or {})
        gamma = self._motion.manifold
        point = tuple(found.get(s, x) for s, x in zip(gamma.symbols, gamma.base, strict=True))
        place = _with_memory(self._motion, point)
        maps = maps_at(self._motion.expansion, size)
        claim = attraction(self._table, self._manifold, maps, place)
        at = self._manifold.named(place)
        self._accept(step.question, claim, at, self._at(at).point)
        return SHRINKS
