"""The derivation of a limit of noisy gradient descent, step by step, each with its check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial, singledispatch
from typing import Any

import sympy as sp

from ..display.notation import Equality, Formula, Words
from ..display.statements import Statement, answered, equations, text_of
from ..equation.limiting_equation import LimitingEquation
from ..laws.scaled import keeps_its_size
from ..proofs.certificate import attempted_certificate
from ..proofs.findings import Certificate
from .checks import Checks
from .deductions import Check, Deduction, Explanation
from .hypotheses import hypotheses
from .trial import POINTS

WRITTEN = 4
"""Weights and constraints together up to which the terms of the drift are written one by one."""

MODEL = ("loss", "noisy loss", "gradient noise", "penalty", "noise", "samples")


@singledispatch
def explain(limit: LimitingEquation) -> Explanation:
    """Derivation of a limit in steps, with proofs of its verdicts and with its hypotheses."""
    certificate = attempted_certificate(limit)
    steps = {s.statement.label: s for s in _Derivation(limit).steps}

    def pick(*labels: str) -> tuple[Deduction, ...]:
        return tuple(steps[label] for label in labels if label in steps)

    sections = (
        ("The noise model", pick(*MODEL)),
        (
            "The manifold of minimisers",
            pick("Γ", "not on Γ", "minimum", "projector on Γ", "H on Γ", "spectrum of H"),
        ),
        (
            "Moments of the noise",
            (*_definitions(limit), *pick("Reg", "Reg on Γ", "Σ on Γ")),
        ),
        (
            "Which theorem applies",
            (
                *_questions(limit, certificate),
                *pick("outcome"),
                *_theorem(limit),
                *pick("time scale"),
            ),
        ),
        (
            "The limiting equation",
            (
                *pick("limit", "V₂", "Z", "X", "special form", "potential"),
                *pick("slope", "normal term", "mixed term", "relaxation term"),
                *pick("drift", "diffusion", "in the chart"),
            ),
        ),
    )
    return Explanation(sections, tuple(hypotheses(limit, certificate)))


class _Derivation:
    """The steps of one limit, by label: what is printed of it, and what lies on the way."""

    def __init__(self, limit: LimitingEquation) -> None:
        self._limit, self._checks = limit, Checks(limit)

    @property
    def steps(self) -> Iterator[Deduction]:
        """All steps, in the order in which the limit prints them, then those on the way."""
        known = self._known
        for statement in equations(self._limit):
            result, rule, check = known.get(statement.label, (None, "", None))
            yield self._step(statement, rule, result, check)
        if self._limit.problem.samples is None:
            yield from self._on_the_way()
            yield self._spectral_gap()

    def _step(
        self, statement: Statement, rule: str, result: Any, check: Callable[[], Check] | None
    ) -> Deduction:
        checked = check is not None and result is not None and self._checks.is_possible
        made = check() if check is not None and checked else None
        return Deduction(statement, rule, result, made)

    @property
    def _known(self) -> dict[str, tuple[Any, str, Callable[[], Check] | None]]:
        """Result, rule and check of what the limit prints."""
        limit, c = self._limit, self._checks
        problem, manifold = limit.problem, limit.manifold
        is_written = problem.objective.is_pointwise
        has_noise = problem.noisy_loss is not None
        covered = is_written and has_noise
        special = limit.special if is_written or limit.outcome.is_degenerate else None
        gamma = (manifold.dimension, tuple(manifold.constraints))
        weights = (limit.ito_weight, limit.noise_weight, limit.second_weight)
        leading = limit.equation.is_leading
        second = limit.second_potential if limit.second_weight != 0 else None
        return {
            "loss": (problem.loss, "", c.loss if covered else None),
            "noisy loss": (problem.noisy_loss, "", c.noiseless if covered else None),
            "Γ": (gamma, "∇L = 0", c.manifold if is_written else None),
            "projector on Γ": (limit.projector, "P = I − J⁺J", c.projector),
            "Reg": (
                limit.regularizer,
                "definition",
                c.regularizer if is_written and c.has_own_covariance else None,
            ),
            "Reg on Γ": (
                limit.regularizer_on_manifold if is_written else None,
                "reduction modulo the constraints",
                (lambda: c.regularizer(on_manifold=True)) if is_written else None,
            ),
            "outcome": (
                limit.outcome,
                "the answers above",
                c.outcome if leading else None,
            ),
            "time scale": (
                limit.time_scale,
                "the theorem",
                c.time_scale if leading else None,
            ),
            "limit": (weights, "the theorem", c.weights if leading else None),
            "V₂": (second, "V₂ = Reg₂ − ½ ∇Regᵀ H⁺ ∇Reg", c.second_potential),
            "special form": (
                special and special.noise,
                "QΣQ as a function of H",
                c.special if special else None,
            ),
            "potential": (
                special and special.potential,
                "−½ P D³L[X] = −P∇V where X is a function of H",
                c.potential if is_written and leading else None,
            ),
            "drift": (limit.drift, "the sum of the terms", c.drift),
            "diffusion": (limit.diffusion, "s = P S with S Sᵀ = Σ", c.diffusion),
            "in the chart": (limit.intrinsic, "Itô's formula", c.chart),
        }

    def _on_the_way(self) -> Iterator[Deduction]:
        """H, Σ, ℒ⁻¹(QΣQ) and each term of the drift, where they are short."""
        limit, c = self._limit, self._checks
        parts, phi = limit.parts, limit.equation.relaxation
        yield from self._found("H on Γ", "H", parts.hessian, "H = ∇²L", c.hessian)
        if limit.moments.is_silent:
            return
        sigma = r"\Sigma"
        if c.has_own_covariance:
            yield from self._found("Σ on Γ", sigma, parts.covariance, "definition", c.covariance)
        manifold = limit.manifold
        if limit.ito_weight == 0 or manifold.problem.dimension + manifold.codimension > WRITTEN:
            return
        mixed = "Z = 2 sym(H⁺QΣP)"
        mixed += " with the pseudo-inverse of H + γH² for H⁺" if phi.dephasing != 0 else ""
        yield from self._found("Z", "Z", parts.mixed, mixed, c.mixed)
        stationary = "ℒ(X) = QΣQ with X = QXQ"
        yield from self._found("X", "X", parts.stationary, stationary, c.stationary)
        by_potential = limit.special is not None and limit.special.potential is not None
        terms: tuple[tuple[str, str, Any, str, str], ...] = (
            ("slope", r"b^{(1)}", parts.slope_drift, "−P∇Reg", "slope"),
            ("normal term", r"b^{(2)}", parts.normal_drift, "−q H⁺D³L[PΣP]", "normal"),
            ("mixed term", r"b^{(3)}", parts.mixed_drift, "−q P D³L[Z]", "mixed"),
            ("relaxation term", r"b^{(4)}", parts.stationary_drift, "−q P D³L[X]", "stationary"),
        )
        shown = [t for t in terms if t[2] is not None and any(t[2])]
        if len(shown) < 2 and by_potential:
            return  # the term is the drift
        for label, letter, value, rule, name in shown:
            factor = rule.replace("q ", _factor(limit.ito_weight))
            yield from self._found(label, letter, value, factor, partial(c.term, name))

    def _found(
        self, label: str, letter: str, value: Any, rule: str, check: Callable[[], Check]
    ) -> Iterator[Deduction]:
        """A step whose result is a matrix; none where it is too long, or zero."""
        if value is None or not any(value):
            return
        name = "Σ" if letter == r"\Sigma" else letter.replace("^{(", "").replace(")}", "")
        statement = Statement(label, f"{name} = {text_of(value)}", (Equality(letter, value),))
        yield self._step(statement, rule, value, check)

    def _spectral_gap(self) -> Deduction:
        """Range of the non-zero eigenvalues of H over a few points of Γ."""
        manifold = self._limit.manifold
        few = list(itertools.islice(manifold.local(), POINTS))
        curvatures = [x for geometry in few for x in manifold.probe.spectrum(geometry)]
        low, high = f"{min(curvatures):.4g}", f"{max(curvatures):.4g}"
        count = len(few)
        text = (
            f"non-zero eigenvalues from {low} to {high} over {count} points of Γ; the smallest is "
            f"the rate of the fast phase, and gradient descent is stable for "
            f"α < {2 / max(curvatures):.4g}"
        )
        statement = Statement("spectrum of H", text, (Words(text),))
        return self._step(statement, "", (low, high), self._checks.spectrum)


def _factor(weight: sp.Expr) -> str:
    if weight == sp.Rational(1, 2):
        return "½ "
    return f"({weight}) ".replace("alpha", "α").replace("sigma", "σ")


def _definitions(limit: LimitingEquation) -> Iterator[Deduction]:
    pair = limit.problem.levy_pair
    tex = (
        r"\mathrm{Reg} = \tfrac{1}{2} C : \nabla_\eta^2 \hat L(w, 0)",
        r" + \int \bigl[\hat L(w, z) - L(w) - z\cdot\partial_\eta \hat L(w, 0)\bigr]\,\nu(dz)",
    )
    text = "Reg = ½ C:∇²_ηL̂(w, 0) + ∫ [L̂(w, z) − L(w) − z·∂_ηL̂(w, 0)] ν(dz)"
    yield Deduction(Statement("definition", text, (Formula(tex),)))
    if pair.jumps:
        text = f"ν has {len(pair.jumps)} atoms: the law does not shrink to its covariance"
        yield Deduction(Statement("jump measure", text, (Words(text),)))


def _questions(limit: LimitingEquation, certificate: Certificate) -> Iterator[Deduction]:
    checks = Checks(limit)
    for number, step in enumerate(certificate.evidence.steps, start=1):
        stated = answered(number, step)
        check = checks.answer(step.question) if checks.is_possible else None
        yield Deduction(stated, "", step.verdict.value, check)


def _theorem(limit: LimitingEquation) -> Iterator[Deduction]:
    """Theorem A or B as it reads, with the correction D²Φ of the second."""
    if limit.time_scale is None:
        return
    if not limit.outcome.is_degenerate:
        regime = "where P∇Reg ≢ 0 on Γ, as α, σ → 0 and in time t = kασ²:"
        tex = r"dW = -P\nabla\mathrm{Reg}(W)\,dt\text{ on }\Gamma"
        text = f"{regime} dW = −P∇Reg(W) dt on Γ"
        yield Deduction(Statement("Theorem A", text, (Words(regime), Formula((tex,)))))
        return
    regime = "where P∇Reg = 0 on Γ, as α → 0 and σ²/α → 0, in time t = kα²σ²:"
    if keeps_its_size(limit.problem.law):
        regime = "where ∇_wL̂ has the mean ∇L, as α → 0, in time t = kα²:"
    tex = r"dW = P S\,dB + \tfrac{1}{2} D^2\Phi[\Sigma]\,dt\text{ on }\Gamma"
    yield _recalled(
        "Theorem B",
        f"{regime} dW = P S dB + ½ D²Φ[Σ] dt on Γ, S Sᵀ = Σ",
        (Words(regime), Formula((tex,)), Formula((r"S S^\top = \Sigma",))),
    )
    at_step, tex = ("", "") if limit.step == 0 else (" − αHXH", r" - \alpha HXH")
    yield _recalled(
        "correction",
        f"D²Φ[Σ] = −H⁺D³L[PΣP] − 2P D³L[sym(H⁺QΣP)] − P D³L[X], HX + XH{at_step} = QΣQ, Q = I − P",
        (
            Formula(
                (
                    r"D^2\Phi[\Sigma] = -H^+ D^3L[P\Sigma P] - 2 P D^3L[\mathrm{sym}(H^+Q\Sigma"
                    r" P)] - P D^3L[X]",
                )
            ),
            Formula((rf"HX + XH{tex} = Q\Sigma Q",)),
            Formula(("Q = I - P",)),
        ),
    )


def _recalled(label: str, text: str, parts: tuple[Formula | Words, ...]) -> Deduction:
    """A formula of the theory, which has no result of its own."""
    return Deduction(Statement(label, text, parts))
