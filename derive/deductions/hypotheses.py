"""The hypotheses of the theorems, each with what it rests on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import sympy as sp

from ..analysis.exceptional_values import exceptional_values
from ..equation.coefficients import AT_REST
from ..equation.limiting_equation import LimitingEquation
from ..laws.scaled import keeps_its_size
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Outcome
from ..noise.moments import enters_linearly
from ..proofs.findings import Certificate
from ..symbolic.means import Mean
from ..symbolic.zero_tests import Basis, vanishes_identically
from .deductions import Hypothesis, Standing

UNKNOWN = "asked of the unknown functions"

FEW = 3
"""Points of Γ at which hypotheses are looked at."""


ENTIRE = (*(sp.exp, sp.sin, sp.cos, sp.sinh, sp.cosh, sp.tanh, sp.atan, sp.erf),)
"""Functions that are analytic on the whole real line."""


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
    claim = "L̂(w, 0) = L(w)"
    if problem.traces is not None:
        return Hypothesis(claim, "read off the noise model", Standing.PROVED)
    still = dict.fromkeys(problem.noise, sp.S.Zero)
    noisy = problem.noisy_loss
    assert noisy is not None
    found = vanishes_identically(noisy.xreplace(still) - problem.loss)
    return Hypothesis(claim, found.how, Standing.of(found))


def _nonnegative(limit: LimitingEquation) -> Hypothesis:
    claim, squares = "Γ is made of minimisers of L", limit.manifold.probe.squares
    if limit.problem.unknowns and squares is None:
        return Hypothesis(claim, UNKNOWN)
    if squares is not None and all(c.is_positive for c, _ in squares):
        return Hypothesis(claim, "a sum of squares with positive factors", Standing.PROVED)
    return Hypothesis(claim, f"H has no negative eigenvalue {_at(limit)}", Standing.SAMPLED)


def _rank(limit: LimitingEquation, certificate: Certificate) -> Hypothesis:
    m, problem = limit.manifold, limit.problem
    claim = f"Γ is a manifold of dimension {m.dimension} and H has rank {m.codimension} on it"
    if problem.traces is not None:
        why = "the samples are taken to be independent; tried out on a few of small matrices"
        return Hypothesis(claim, why)
    if problem.samples is not None:
        why = "the rank is that at weights, found in floats, that fit all samples"
        return Hypothesis(claim, why, Standing.SAMPLED)
    if problem.unknowns:
        return Hypothesis(claim, UNKNOWN)
    boxes = len(certificate.document["points"])
    proved = f"; proved at {boxes} of them" if boxes and m.probe.squares else ""
    return Hypothesis(claim, f"the rank holds {_at(limit)}{proved}", Standing.SAMPLED)


def _moments(limit: LimitingEquation) -> Hypothesis:
    problem = limit.problem
    noisy = problem.noisy_loss
    if noisy is None:
        claim = "the gradient noise has more than two finite moments"
        return Hypothesis(claim, "it is affine in η", Standing.PROVED)
    claim = "the noise has the moments that the expansion of L̂ in η asks for"
    if problem.traces is not None or _is_polynomial(noisy, problem.noise):
        why = "L̂ is a polynomial in η, whose law has all moments"
        return Hypothesis(claim, why, Standing.PROVED)
    return Hypothesis(claim, "L̂ is no polynomial in η; its growth was not looked at")


def _is_polynomial(noisy: sp.Expr, noise: tuple[sp.Symbol, ...]) -> bool:
    means = [m.args[0] for m in noisy.atoms(Mean)]
    return all(e.is_polynomial(*noise) for e in (means or [noisy]))


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
    is_plain = problem.traces is None and problem.penalty == 0
    return is_plain and enters_linearly(problem)


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
    losses = [e for e in (limit.problem.loss, limit.problem.noisy_loss) if e is not None]
    if limit.problem.traces is not None or all(map(_is_entire, losses)):
        return Hypothesis(claim, "made of functions analytic on the real line", Standing.PROVED)
    return Hypothesis(
        claim, f"made of functions smooth on their domain; finite {_at(limit)}", Standing.SAMPLED
    )


def _is_entire(expression: sp.Expr) -> bool:
    functions = expression.atoms(sp.Function)
    powers = expression.atoms(sp.Pow)
    return all(isinstance(f, ENTIRE) for f in functions) and all(
        not p.base.free_symbols or (p.exp.is_Integer and p.exp > 0) for p in powers
    )


def _exceptions(limit: LimitingEquation) -> str:
    found = [
        " and ".join(f"{symbol} = {value}" for symbol, value in values.items())
        for values in exceptional_values(limit)
    ]
    if not found:
        return "no exceptional value was found; there may be some"
    return f"the motion stops at {' and at '.join(found)}; there may be other exceptional values"
