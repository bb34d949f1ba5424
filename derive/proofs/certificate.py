"""The certificate of a limit: which verdicts are proved, and the data that prove them.

The document is plain JSON, to be checked by `derive.certify`, which evaluates it by itself:

    {"format": "singular-limit certificate", "version": 1, "statement": […], "hypotheses": […],
     "precision": 192, "expressions": […], "weights": […], "constraints": […], "squares": […],
     "points": […], "claims": […]}

`expressions` is a table (see `tables`), and what stands for an expression is its place in it.
`squares` are the (c, r) of L = ½ Σ c r²; a point is what `boxes` makes, a claim what `witnesses` or
`identities` make, about a quantity `of` expressions:

    "slope": P∇f    "field": P g    "values": (f_1, …)    "drift": ½ P D³L[T] + P∇U

each shown not to vanish at the point by the enclosure `value` of its product with `direction`; or

    "constant", "critical", "values"

shown by `cofactors` to be constant, to have no gradient, or to vanish on Γ. Nothing is in the
document that the checker has not accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import flint
import mpmath
import sympy as sp

from ..certify.checker import Claim
from ..equation.limiting_equation import LimitingEquation
from ..errors import NotCoveredError
from ..manifold.manifold import Manifold
from ..noise.classification import (
    AT_A_STEP,
    AT_STEP,
    DRIFT,
    FLAT,
    FROZEN,
    NO_DIFFUSION,
    Classification,
    Evidence,
    Step,
)
from ..noise.moments import NoiseMoments
from ..symbolic.zero_tests import Basis
from ..symbols import alpha, sigma
from .boxes import PRECISION, enclosure
from .identities import Identities, noise_potentials
from .tables import ExpressionTable, NotCertifiedError
from .witnesses import Witness

FORMAT = "singular-limit certificate"
VERSION = 1

FEWER_DIGITS = (10, 4)
"""Digits of a value that is enclosed less sharply, where Γ is nearly singular."""

REFUSALS = (ValueError, ArithmeticError, LookupError, TypeError)
"""What the checker, and the search for what it needs, raise where something cannot be shown."""

HYPOTHESES = (
    "the loss L(w) is a sum of the stated squares, or the stated constraints describe its zero set "
    "near the stated points",
    "weights and all other symbols are real, and in the domains of the functions that occur",
)


NOT_CERTIFIED = {
    Basis.PROOF: "shown by the derivation alone",
    Basis.WITNESS: "not proved, a witness",
    Basis.NUMERICAL: "not proved, a numerical certificate",
    Basis.ASSUMED: "assumed",
    Basis.UNDECIDED: "undecided",
}
"""What a verdict is without a proof that the checker accepts."""


@dataclass(frozen=True)
class Finding:
    """One question of the classification, and what became of its verdict.

    Attributes
    ----------
    step : Step
        The question, with the verdict as far as it is proved.
    reason : str
        Why there is no proof that the checker accepts; empty where there is one.
    """

    step: Step
    reason: str = ""

    @property
    def is_certified(self) -> bool:
        """Whether the independent checker accepts a proof of the verdict."""
        return not self.reason

    @property
    def standing(self) -> str:
        """What the verdict is, in a word or two."""
        verdict = self.step.verdict
        if self.is_certified:
            return "proved" if verdict.value else Basis.PROVED_NOT.value
        return NOT_CERTIFIED[verdict.basis]

    def __str__(self) -> str:
        why = f"; not certified: {self.reason}" if self.reason else ""
        return f"{self.step.question}: {self.step.verdict}{why}"


@dataclass(frozen=True)
class Certificate:
    """Proofs of verdicts on Γ, as data.

    Attributes
    ----------
    findings : tuple of Finding
        The questions of the classification, in order.
    document : dict
        What `derive.certify` checks.
    """

    findings: tuple[Finding, ...]
    document: dict[str, Any]

    @property
    def evidence(self) -> Evidence:
        """The classification's evidence with the verdicts that were proved."""
        return Evidence(tuple(finding.step for finding in self.findings))

    @property
    def is_complete(self) -> bool:
        """Whether each verdict is certified."""
        return all(finding.is_certified for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def certify_limit(
    manifold: Manifold, moments: NoiseMoments, classification: Classification
) -> Certificate:
    """Prove the verdicts of a classification, as far as proofs are found.

    Parameters
    ----------
    manifold : Manifold
        Γ.
    moments : NoiseMoments
        Reg and Σ.
    classification : Classification
        What is to be proved.

    Raises
    ------
    NotCoveredError
        For a mean over samples, of which only a few are written out.
    """
    if manifold.problem.samples is not None:
        raise NotCoveredError(
            "certificate: not derived for a mean over samples; certify the limit of "
            "problem.written_out()"
        )
    maker = _Maker(manifold, moments, classification)
    findings = tuple(map(maker.certified, classification.evidence.steps))
    return Certificate(findings, maker.document)


def attempted_certificate(limit: LimitingEquation) -> Certificate:
    """The certificate, or the verdicts as they are where none can be made, with the reason."""
    try:
        return certify_limit(limit.manifold, limit.moments, limit.classification)
    except NotCoveredError as refusal:
        findings = (Finding(step, str(refusal)) for step in limit.evidence.steps)
        return Certificate(tuple(findings), {"points": [], "claims": [], "hypotheses": []})


class _Maker:
    """Writes claims into a document, each once the checker has accepted it."""

    def __init__(
        self, manifold: Manifold, moments: NoiseMoments, classification: Classification
    ) -> None:
        self._manifold, self._moments = manifold, moments
        self._multiple = classification.hessian_multiple
        self._table = ExpressionTable()
        self._points: dict[tuple[Any, ...], int] = {}
        table, problem = self._table, manifold.problem
        self.document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "statement": [f"L = {problem.loss}", *(f"{r} = 0 on Γ" for r in manifold.constraints)],
            "hypotheses": list(HYPOTHESES),
            "precision": PRECISION,
            "expressions": table.entries,
            "weights": table.places(problem.weights),
            "constraints": [],
            "squares": [],
            "points": [],
            "claims": [],
        }

    def certified(self, step: Step) -> Finding:
        """The verdict with its proof, or why there is none."""
        verdict = step.verdict
        if verdict.value is None or verdict.basis is Basis.ASSUMED:
            return Finding(step, "the question was not decided")
        kept = len(self.document["claims"])
        try:
            self._write_model()
            said = self._vanishing(step) if verdict.value else self._witness(step)
        except REFUSALS as refusal:
            del self.document["claims"][kept:]
            return Finding(step, str(refusal) or type(refusal).__name__)
        basis = Basis.PROOF if verdict.value else Basis.PROVED_NOT
        return Finding(replace(step, verdict=replace(verdict, basis=basis, how=said)))

    def _write_model(self) -> None:
        """Constraints and squares; not before they are needed, for they may have no words."""
        probe, place = self._manifold.probe, self._table.places
        self.document["constraints"] = place(self._manifold.constraints)
        self.document["squares"] = [place(pair) for pair in probe.squares or ()]

    def _witness(self, step: Step) -> str:
        """Claim that the answer is no, with the value that shows it."""
        moments, problem, found = (
            self._moments,
            self._manifold.problem,
            dict(step.verdict.witness or {}),
        )
        if step.question == FROZEN:
            found |= {s: _generic(k) for k, s in enumerate((*problem.noise, alpha, sigma))}
        witness = Witness(self._table, self._manifold, found)
        if step.question == FLAT:
            claim = witness.slope(moments.regularizer)
        elif step.question == NO_DIFFUSION:
            claim = witness.field(moments.columns)
        elif step.question in DRIFT:
            claim = witness.drift(moments, multiple=self._multiple)
        elif step.question == AT_STEP:
            claim = witness.drift(moments, AT_A_STEP)
        elif step.question == FROZEN:
            claim = witness.values(
                problem.stochastic_gradient if problem.noise else list(moments.columns)
            )
        else:
            raise NotCertifiedError("no certificate is made for this question")
        self._accept(step.question, claim, found, witness.point)
        middle, radius = self.document["claims"][-1]["value"]
        return f"{middle} ± {radius} along a fixed vector, in a box that holds a point of Γ"

    def _vanishing(self, step: Step) -> str:
        """Claims that make the answer yes."""
        base = self._manifold.named(self._manifold.base)
        witness = Witness(self._table, self._manifold, base)
        claims = list(self._identities(step))
        symbols = {s for _, claim in claims for s in claim.pop("symbols")} - set(base)
        found = base | {s: _generic(k) for k, s in enumerate(sorted(symbols, key=str))}
        witness = Witness(self._table, self._manifold, found)
        for question, claim in claims:
            self._accept(question, claim, found, witness.point)
        return "cofactors of the constraints, multiplied out again"

    def _identities(self, step: Step) -> Iterator[tuple[str, dict[str, Any]]]:
        problem = self._manifold.problem
        if step.question == FLAT:
            yield step.question, self._sought([self._moments.regularizer]).constant()
        elif step.question == NO_DIFFUSION:
            yield step.question, self._sought(noise_potentials(problem)).constant()
        elif step.question == FROZEN and problem.noisy_loss is not None:
            yield step.question, self._sought([problem.noisy_loss + problem.penalty]).critical()
        elif step.question in (DRIFT[0], AT_STEP):
            yield from self._still(step.question)
        else:
            raise NotCertifiedError("no certificate is made for this question")

    def _still(self, question: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """No drift: Σ = 0 on Γ, or Σ = κH and tr H, at a fixed step all of tr Hᵏ, constant there.

        The drift of Σ = κH is −(κ/4) P∇ΔL in the limit α → 0; at a fixed step it is a sum of
        P∇λ_a with factors that depend on the eigenvalues λ_a of H alone.
        """
        if self._multiple is None:
            potentials = noise_potentials(self._manifold.problem)
            yield f"{question}, as Σ = 0 on Γ", self._sought(potentials).critical()
            return
        hessian = sp.Matrix(self._manifold.jet.hessian())
        gaps = list(self._moments.covariance - self._multiple * hessian)
        yield f"{question}: Σ = {self._multiple} H on Γ", self._sought(gaps).values()
        powers = [hessian]
        while question == AT_STEP and len(powers) < self._manifold.codimension:
            powers.append(powers[-1] * hessian)
        traces = [power.trace() for power in powers]
        named = "ΔL is" if len(traces) == 1 else "the eigenvalues of H are"
        yield f"{question}: {named} constant on Γ", self._sought(traces).constant()

    def _sought(self, functions: Sequence[sp.Expr]) -> Identities:
        return Identities(self._table, self._manifold, functions)

    def _accept(
        self,
        question: str,
        claim: dict[str, Any],
        found: Mapping[sp.Symbol, Any],
        point: Callable[[], dict[str, Any]],
    ) -> None:
        """Enter a claim that the checker accepts."""
        key = tuple(found.items())
        if key not in self._points:
            self._points[key] = len(self.document["points"])
            self.document["points"].append(point())
        claim |= {"says": question, "point": self._points[key]}
        self.document["claims"].append(self._accepted(claim))

    def _accepted(self, claim: dict[str, Any]) -> dict[str, Any]:
        """The claim as the checker accepts it, its value with as many digits as it sees."""
        for digits in FEWER_DIGITS if "value" in claim else ():
            with suppress(*REFUSALS):
                return self._checked(claim)
            claim = claim | {"value": enclosure(mpmath.mpf(claim["value"][0]), digits)}
        return self._checked(claim)

    def _checked(self, claim: dict[str, Any]) -> dict[str, Any]:
        with flint.ctx.workprec(PRECISION):
            Claim(self.document, claim)
        return claim


def _generic(k: int) -> Any:
    """A number that stands for "any value" of a symbol that is free."""
    return mpmath.mpf(round(float(mpmath.sqrt(sp.prime(k + 1))) * 2**20)) / 2**21
