"""The hypotheses of the theorems, each with what it rests on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import singledispatch

import sympy as sp

from ..analysis.exceptional_values import exceptional_values
from ..equation.coefficients import AT_REST
from ..equation.limiting_equation import LimitingEquation
from ..laws.scaled import keeps_its_size
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Outcome
from ..noise.moments import enters_linearly
from ..proofs.findings import Certificate
from ..symbolic.zero_tests import Basis
from .deductions import Hypothesis, Standing

UNKNOWN = "asked of the unknown functions"

FEW = 3
"""Points of Γ at which hypotheses are looked at."""


def hypotheses(limit: LimitingEquation, certificate: Certificate) -> Iterator[Hypothesis]:
    """What the theorem asks of a noise model, in the order in which a paper states it."""
    problem = limit.problem
    if problem.noisy_loss is not None:
        yield _noiseless(problem)
    yield _smoothness(limit)
    yield _nonnegative(limit)
    yield _rank(limit, certificate)
    yield _moments(limit)
    if limit.step != 0:
        yield _stability(limit)
    yield Hypothesis(
        "the start lies in a neighbourhood that gradient descent attracts to Γ",
        "not checked",
    )
    yield Hypothesis(
        "the limit stays in a compact part of the regular part of Γ",
        "holds up to the exit time",
    )
    if any(step.verdict.basis is Basis.NUMERICAL for step in certificate.evidence.steps):
        yield Hypothesis(
            "a quantity that is zero to 40 digits at all sampled points vanishes on Γ",
            "numerical certificate, not a proof",
            Standing.NUMERICAL,
        )
    yield from _regime(limit)
    if problem.parameters:
        names = ", ".join(map(str, problem.parameters))
        verb = "take" if len(problem.parameters) > 1 else "takes"
        yield Hypothesis(f"{names} {verb} generic values", _exceptions(limit))


def _noiseless(problem: NoisyGradientDescent) -> Hypothesis:
    found = problem.objective.noiseless
    return Hypothesis("L̂(w, 0) = L(w)", found.how, Standing.of(found))


def _nonnegative(limit: LimitingEquation) -> Hypothesis:
    claim, squares = "Γ is made of minimisers of L", limit.manifold.probe.squares
    if limit.problem.unknowns and squares is None:
        return Hypothesis(claim, UNKNOWN)
    if squares is not None and all(c.is_positive for c, _ in squares):
        return Hypothesis(claim, "a sum of squares with positive factors", Standing.PROVED)
    return Hypothesis(claim, f"H has no negative eigenvalue {_at(limit)}", Standing.SAMPLED)


def _rank(limit: LimitingEquation, certificate: Certificate) -> Hypothesis:
    m = limit.manifold
    claim = f"Γ is a manifold of dimension {m.dimension} and H has rank {m.codimension} on it"
    return Hypothesis(claim, *rank_support(m, limit, certificate))


@singledispatch
def rank_support(
    manifold: Manifold, limit: LimitingEquation, certificate: Certificate
) -> tuple[str, Standing]:
    """What speaks for the rank of H on Γ."""
    if limit.problem.unknowns:
        return UNKNOWN, Standing.ASSUMED
    boxes = len(certificate.document["points"])
    proved = f"; proved at {boxes} of them" if boxes and manifold.probe.squares else ""
    return f"the rank holds {_at(limit)}{proved}", Standing.SAMPLED


def _moments(limit: LimitingEquation) -> Hypothesis:
    problem = limit.problem
    if problem.noisy_loss is None:
        claim = "the gradient noise has more than two finite moments"
        return Hypothesis(claim, "it is affine in η", Standing.PROVED)
    claim = "the noise has the moments that the expansion of L̂ in η asks for"
    if problem.objective.is_polynomial:
        why = "L̂ is a polynomial in η, whose law has all moments"
        return Hypothesis(claim, why, Standing.PROVED)
    return Hypothesis(claim, "L̂ is no polynomial in η; its growth was not looked at")


def _stability(limit: LimitingEquation) -> Hypothesis:
    step, beta = limit.step, limit.equation.momentum
    bound = "2" if beta == 0 else f"2(1 + {beta})"
    claim = f"αλ < {bound} for every eigenvalue λ of H on the compact part"
    if not step.is_number or limit.problem.samples is not None:
        return Hypothesis(claim, "a condition on the step size")
    probe = limit.manifold.probe
    few = list(itertools.islice(limit.manifold.local(), FEW))
    largest = max(x for g in few for x in probe.spectrum(g))
    return Hypothesis(
        claim, f"α = {step} and αλ ≤ {float(step) * largest:.4g} {_at(limit)}", Standing.SAMPLED
    )


def _regime(limit: LimitingEquation) -> Iterator[Hypothesis]:
    why = "the scaling regime"
    if limit.equation.name == "next order":
        yield Hypothesis("α and σ are small", why)
    elif limit.step != 0:
        yield Hypothesis("σ → 0 at the fixed step size α", why)
    elif limit.equation.name not in ("Theorem A", "Theorem B", AT_REST):
        yield Hypothesis("α → 0 and σ → 0 so that no faster scale acts", why)
    elif limit.outcome is Outcome.NON_DEGENERATE:
        yield Hypothesis("α → 0 and σ → 0 together", why)
    elif limit.outcome.is_degenerate:
        yield _scaling(limit.problem)


def size_is_of_no_account(problem: NoisyGradientDescent) -> bool:
    """Whether the noise need not shrink in Theorem B."""
    return problem.penalty == 0 and enters_linearly(problem)


def _scaling(problem: NoisyGradientDescent) -> Hypothesis:
    """How small the noise has to be in Theorem B."""
    if not size_is_of_no_account(problem):
        small = "α → 0 and σ²/α → 0 (σ/α → 0 with third moments)"
        return Hypothesis(small, "the scaling regime")
    kept = "keeps its size" if keeps_its_size(problem.law) else "need not shrink"
    return Hypothesis("α → 0", f"the noise {kept}: it enters ∇_wL̂ linearly, with mean zero")


def _at(limit: LimitingEquation) -> str:
    found = len(list(itertools.islice(limit.manifold.local(), FEW)))
    return f"at {found} points of Γ, to 50 digits"


def _smoothness(limit: LimitingEquation) -> Hypothesis:
    other = "L̂" if limit.problem.noisy_loss is not None else "the gradient noise"
    claim, kinks = f"L and {other} are of class C³ near Γ", limit.problem.kinks
    if kinks:
        where = ", ".join(f"{sp.sstr(place)} = 0" for place in kinks)
        return Hypothesis(
            claim,
            f"they have kinks where {where}: the limit holds on the pieces, away from them",
        )
    if limit.problem.unknowns:
        return Hypothesis(claim, "as the unknown functions are")
    if limit.problem.objective.is_entire:
        return Hypothesis(claim, "made of functions analytic on the real line", Standing.PROVED)
    return Hypothesis(
        claim, f"made of functions smooth on their domain; finite {_at(limit)}", Standing.SAMPLED
    )


def _exceptions(limit: LimitingEquation) -> str:
    found = [
        " and ".join(f"{symbol} = {value}" for symbol, value in values.items())
        for values in exceptional_values(limit)
    ]
    if not found:
        return "no exceptional value was found; there may be some"
    return f"the motion stops at {' and at '.join(found)}; there may be other exceptional values"
