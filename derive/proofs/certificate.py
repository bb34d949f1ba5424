"""The certificate of a limit: which verdicts are proved, and the data that prove them.

The document is plain JSON, to be checked by `derive.certify`, which evaluates it by itself:

    {"format": "singular-limit certificate 1", "statement": […], "hypotheses": […],
     "precision": 192, "expressions": […], "weights": […], "constraints": […], "squares": […],
     "points": […], "claims": […], "charts": […]}

`expressions` is a table (see `tables`), and what stands for an expression is its place in it.
`squares` are the (c, r) of L = ½ Σ c r²; a point is what `boxes` makes, a claim what `witnesses` or
`identities` make, about a quantity `of` expressions:

    "slope": P∇f    "field": P g    "values": (f_1, …)    "drift": P u + ½ P D³L[T]

each shown not to vanish at the point by the enclosure `value` of its product with `direction`,
where T is the tangential covariance of SSᵀ at a `step`, and `columns` are the entries of S; or

    "constant", "critical", "zero"

shown by `cofactors` to be constant, to have no gradient, or to vanish on Γ; or "curvature", the
`bounds` of the non-zero eigenvalues of H at the point; or "attraction" of some maps `of` the
weights, taken with some `chances` (see `rules`). Where squares are stated, H is shown to have the
rank of Γ at each point, so that L is least on Γ near it. Where parameters have a width in the box
of the point, all this holds for each of their values.

Where the problem has a chart φ, `charts` has claims of its graph, with `weights` (w, θ) and the
`constraints` w − φ(θ): that the constraints of Γ vanish there (`inside`, formed by the checker),
that Dφ and Γ are regular at a place that φ takes to the base point, so that φ maps onto Γ near by,
and that quantities are constant or zero on the image of φ, and so on the piece of Γ around it.

What a claim `says` is for the reader; the checker prints what it `asks` beside it. Nothing is in
the document that it has not accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..errors import NotCoveredError
from ..manifold.manifold import Manifold
from ..model.optimized import rule_of
from ..noise.classification import (
    AT_A_STEP,
    AT_STEP,
    DRIFT,
    FLAT,
    FROZEN,
    NO_DIFFUSION,
    Classification,
    Outcome,
    Step,
)
from ..noise.moments import NoiseMoments, persistent_noise
from ..rules.expansion import expand_rule
from ..symbolic.calculus import gradient
from ..symbolic.zero_tests import Basis, Verdict
from ..symbols import alpha, sigma
from .findings import Certificate, Finding
from .identities import noise_potentials
from .questions import Questions
from .rules import SHRINKS, attraction, attraction_step, maps_at, or_not_shown
from .tables import NotCertifiedError
from .writer import MOST_NORMALS, REAL, REFUSALS, ChartWriter, Search, Writer, generic

HYPOTHESES = (
    "the loss L(w) is a constant and the sum of the stated squares, up to the third order in "
    "them, or the stated constraints describe its minimisers near the stated points",
    REAL,
)


NOTHING_ELSE = Questions()


def certify_limit(
    manifold: Manifold,
    moments: NoiseMoments,
    classification: Classification,
    questions: Questions = NOTHING_ELSE,
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
    questions : Questions
        What is to be proved beside it, and for which values of the parameters.

    Raises
    ------
    NotCoveredError
        For a mean over samples, of which only a few are written out.
    """
    if manifold.problem.samples is not None:
        raise NotCoveredError(
            "certificate: not derived for a mean over samples; ask it of limit.written_out()"
        )
    maker = _Maker(manifold, moments, classification, questions.ranges)
    findings = [*map(maker.certified, classification.evidence.steps)]
    if questions.stated is not None:
        findings.append(maker.refuted(*questions.stated))
    findings += maker.bounded(questions)
    if questions.step is not None and persistent_noise(manifold.problem):
        findings.append(maker.attracted(questions.step))
    return Certificate(tuple(findings), maker.document)


def attempted_certificate(limit: Any) -> Certificate:
    """The `certificate()` of a limit, or its verdicts as they are where none is made.

    A mean over samples is written out only for those who ask for its certificate.
    """
    reason = "a mean over samples is written out for its certificate alone"
    if limit.problem.samples is None:
        try:
            found: Certificate = limit.certificate()
        except NotCoveredError as refusal:
            reason = str(refusal)
        else:
            return found
    findings = (Finding(step, reason) for step in limit.evidence.steps)
    return Certificate(tuple(findings), {"points": [], "claims": [], "hypotheses": []})


class _Maker(Writer):
    """Proves verdicts on a noise model."""

    def __init__(
        self,
        manifold: Manifold,
        moments: NoiseMoments,
        classification: Classification,
        ranges: Mapping[sp.Symbol, tuple[Any, Any]],
    ) -> None:
        statement = (
            f"L = {manifold.problem.loss}",
            *(f"{r} = 0 on Γ" for r in manifold.constraints),
        )
        super().__init__(manifold, ranges, statement, HYPOTHESES)
        self._moments, self._classification = moments, classification
        self._multiple = classification.hessian_multiple

    def certified(self, step: Step) -> Finding:
        """The verdict with its proof, or why there is none."""
        if step.verdict.value is None or step.verdict.basis is Basis.ASSUMED:
            return Finding(step, "the question was not decided")
        return self._finding(step, self._vanishing if step.verdict.value else self._witness)

    def refuted(self, step: Step, drift: Sequence[sp.Expr]) -> Finding:
        """The verdict that a drift is not that of the limit, with its proof."""
        if step.verdict.value is not False:
            return Finding(step, "only a difference is certified")
        return self._finding(step, lambda _: self._difference(step, drift))

    def bounded(self, questions: Questions) -> Iterator[Finding]:
        """Bounds of the eigenvalues of H, at each point of the certificate or at the base point."""
        places = [*self._points] or [tuple(self._base.items())]
        found = [self._at(dict(place)) for place in places]
        spectra = [witness.curvatures for witness in found]
        values = [x for spectrum in spectra for x in spectrum]
        for question, low, high in questions.bounds(max(values)):
            holds = all(low < x < high for x in values)
            lowest, highest = (mpmath.nstr(x, 6) for x in (min(values), max(values)))
            numbers = f"{lowest} ≤ λ ≤ {highest} at {len(found)} points"
            witness = None if holds else dict(places[0])
            step = Step(question, Verdict(holds, Basis.WITNESS, numbers, witness))

            def claim(step: Step, low: Any = low, high: Any = high) -> str:
                for at, place in zip(found, places, strict=True):
                    self._accept(step.question, at.bounds(low, high), dict(place), at.point)
                return f"the eigenvalues enclosed at {len(found)} points of the certificate"

            yield self._finding(step, claim) if holds else Finding(step, numbers)

    def attracted(self, size: sp.Expr) -> Finding:
        """That Γ attracts in mean square at a step size, with noise that keeps its size."""
        step = attraction_step(size)
        return or_not_shown(self._finding(step, lambda _: self._drawn(step.question, size)))

    def _drawn(self, question: str, size: sp.Expr) -> str:
        maps = maps_at(expand_rule(rule_of(self._manifold.problem)), size)
        claim = attraction(self._table, self._manifold, maps, self._manifold.base)
        self._accept(question, claim, self._base, self._at(self._base).point)
        return SHRINKS

    def _witness(self, step: Step) -> str:
        """Claim that the answer is no, with the value that shows it."""
        moments, problem, found = (
            self._moments,
            self._manifold.problem,
            dict(step.verdict.witness or {}),
        )
        if step.question == FROZEN:
            found |= {s: generic(k) for k, s in enumerate((*problem.noise, alpha, sigma))}
        witness = self._at(found)
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
        return self._last_value()

    def _difference(self, step: Step, drift: Sequence[sp.Expr]) -> str:
        """Claim that P b, and −P∇Reg or −½ P D³L[T] − P∇U or 0, differ by what is not 0."""
        moments, found = self._moments, dict(step.verdict.witness or {})
        witness = self._at(found)
        if self._classification.outcome.is_degenerate:
            claim = witness.drift(moments, multiple=self._multiple, beside=drift)
        elif self._classification.outcome is Outcome.NON_DEGENERATE:
            slope = gradient(moments.regularizer, self._manifold.problem.weights)
            claim = witness.field(sp.Matrix(slope) + sp.Matrix(drift))
        else:
            claim = witness.field(sp.Matrix(drift))
        self._accept(step.question, claim, found, witness.point)
        return self._last_value()

    def _last_value(self) -> str:
        middle, radius = self.document["claims"][-1]["value"]
        return f"{middle} ± {radius} along a fixed vector, in a box that holds a point of Γ"

    def _vanishing(self, step: Step) -> str:
        """Claims that make the answer yes: of Γ, or else of the image of its chart."""
        try:
            found = list(self._identities(step, self._sought))
        except REFUSALS:
            if self._manifold.problem.chart is None:
                raise
            self._on_chart.enter(self._identities(step, self._on_chart.sought))
            self.document["charts"] = [self._on_chart.part]
            return "cofactors on the image of the chart, which is Γ near the base point"
        for question, claim in found:
            self._accept_identity(question, claim)
        return "cofactors of the constraints, multiplied out again"

    @cached_property
    def _on_chart(self) -> ChartWriter:
        return ChartWriter(self._manifold, self._ranges, self._table)

    def _identities(self, step: Step, sought: Search) -> Iterator[tuple[str, dict[str, Any]]]:
        problem = self._manifold.problem
        if step.question == FLAT:
            yield step.question, sought([self._moments.regularizer]).constant()
        elif step.question == NO_DIFFUSION and problem.noisy_loss is None:
            yield f"{step.question}: det(JJᵀ) P G = 0 on Γ", sought(self._along).zero()
        elif step.question == NO_DIFFUSION:
            yield step.question, sought(noise_potentials(problem)).constant()
        elif step.question == FROZEN and problem.noisy_loss is None:
            yield f"{step.question}: G = 0 on Γ", sought(list(self._moments.columns)).zero()
        elif step.question == FROZEN:
            yield step.question, sought([problem.noisy_loss + problem.penalty]).critical()
        elif step.question in (DRIFT[0], AT_STEP):
            yield from self._still(step.question, sought)
        else:
            raise NotCertifiedError("no certificate is made for this question")

    def _still(self, question: str, sought: Search) -> Iterator[tuple[str, dict[str, Any]]]:
        """No drift: Σ = 0 on Γ, or Σ = κH and tr H, at a fixed step all of tr Hᵏ, constant there.

        The drift of Σ = κH is −(κ/4) P∇ΔL in the limit α → 0; at a fixed step it is a sum of
        P∇λ_a with factors that depend on the eigenvalues λ_a of H alone.
        """
        problem = self._manifold.problem
        if self._multiple is None:
            claim = (
                sought(list(self._moments.columns)).zero()
                if problem.noisy_loss is None
                else sought(noise_potentials(problem)).critical()
            )
            yield f"{question}, as Σ = 0 on Γ", claim
            return
        hessian = sp.Matrix(self._manifold.jet.hessian())
        gaps = list(self._moments.covariance - self._multiple * hessian)
        yield f"{question}: Σ = {self._multiple} H on Γ", sought(gaps).zero()
        powers = [hessian]
        while question == AT_STEP and len(powers) < self._manifold.codimension:
            powers.append(powers[-1] * hessian)
        traces = [power.trace() for power in powers]
        named = "ΔL is" if len(traces) == 1 else "the eigenvalues of H are"
        yield f"{question}: {named} constant on Γ", sought(traces).constant()

    @property
    def _along(self) -> list[sp.Expr]:
        """Entries of det(JJᵀ) P G, polynomials in those of J and G: gradient noise without a L̂."""
        manifold, columns = self._manifold, sp.Matrix(self._moments.columns)
        if manifold.codimension > MOST_NORMALS:
            raise NotCertifiedError(
                f"the gradient noise is given as a matrix, across more than {MOST_NORMALS} normals"
            )
        j = sp.Matrix([manifold.probe.system.rows[i] for i in manifold.independent])
        gram = j * j.T
        return list(gram.det() * columns - j.T * gram.adjugate() * j * columns)
