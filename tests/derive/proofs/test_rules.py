"""Certificates of update rules: that they rest on Γ, and attract to it in mean square."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp

from derive import (
    Choice,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    NotCoveredError,
    UpdateRule,
    alpha,
    derive_limit,
)
from derive.certify import checker
from derive.deductions.deductions import Standing
from derive.documents.document import document
from derive.optimizers import HeavyBall, LookAhead, RandomCoordinates
from derive.proofs.rules import maps_at
from derive.proofs.writer import REFUSALS
from derive.rules.expansion import expand_rule
from tests.project.test_contract import PROBLEMS, limit_of
from tests.truth.catalogue import CATALOGUE

w1, w2, eta, xi = sp.symbols("w1 w2 eta xi", real=True)
z = sp.symbols("z1:4", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 / 4
NOISY = RING.subs(w1, w1 + eta)
MODEL = NoisyGradientDescent(RING, NOISY, (w1, w2), eta)
NET = {e.name: e.problem for e in CATALOGUE}["batches of one with label noise on a diagonal net"]


@cache
def random_steps() -> Limit:
    """Steps of α/2 or 3α/2 at random, where λ = 2."""
    update = [w - alpha * xi * NOISY.diff(w).subs(eta, 0) for w in (w1, w2)]
    law = Choice([(sp.Rational(1, 2),), (sp.Rational(3, 2),)], ["1/2", "1/2"])
    return derive_limit(UpdateRule(update, (w1, w2), (xi,), law=law, loss=RING))


def attracts(limit: Limit, step: str) -> bool:
    """What the certificate says of attraction at a step size, checked from text."""
    certificate = limit.certificate(step=sp.Rational(step))
    finding = certificate.findings[-1]
    claims = checker.check(json.loads(json.dumps(certificate.document)))
    assert finding.is_certified == (f"{finding.step.question}: proved (attraction)" in claims)
    assert finding.step.verdict.value is (True if finding.is_certified else None)
    return finding.is_certified


@pytest.mark.parametrize(("step", "expected"), [("0.79", True), ("0.81", False), ("0.99", False)])
def test_squares_decide_and_not_means(step: str, expected: bool) -> None:
    """E(1 − αξλ)² < 1 for αλ < 8/5; the mean 1 − αλ is in (−1, 1) for αλ < 2."""
    assert attracts(random_steps(), step) is expected


def test_the_memory_is_part_of_the_state() -> None:
    """Heavy ball: αλ < 2(1 + β), here with β = 9/10 and λ = 2."""
    limit = derive_limit(replace(MODEL, optimizer=HeavyBall(sp.Rational(9, 10))))
    assert attracts(limit, "1.89")
    assert not attracts(limit, "1.91")


def test_moments_of_batches_decide() -> None:
    """At steps on both sides of where the radius of E B⊗B, by enumeration of batches, is one."""
    limit = derive_limit(NET)
    base = zip(limit.manifold.symbols, limit.manifold.base, strict=True)
    place = {s: float(x) for s, x in base}
    z1, z2 = (s for s in NET.noise if s.name.startswith("z"))
    silent = {s: 0 for s in NET.noise if s not in (z1, z2)}
    hessian = sp.hessian(NET.noisy_loss.subs(silent), NET.weights)
    draws = [
        np.array(hessian.subs({z1: a, z2: b}).subs(place), dtype=float)
        for a, b in ((1, -1), (-1, 1))
    ]
    slopes = np.linalg.svd(np.hstack(draws))[0][:, :2]

    def radius(step: float) -> float:
        across = [slopes.T @ (np.eye(4) - step * h) @ slopes for h in draws]
        return max(abs(np.linalg.eigvals(sum(np.kron(b, b) for b in across) / 2)))

    low, high = 1e-3, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) < 1 else (low, middle)
    assert attracts(limit, f"{0.99 * low:.6f}")
    assert not attracts(limit, f"{1.01 * low:.6f}")


def test_the_maps_have_the_second_moments_of_the_step() -> None:
    """Σ p T Tᵀ = E T₀T₀ᵀ, for draws and for weights of which only moments are known."""
    update = [z[0] + xi * z[1] - alpha * z[0], z[1] - 3 * alpha * xi**2 * z[0]]
    draws = Choice([(-1,), (2,), (3,)], ["1/2", "1/3", "1/6"])
    rule = UpdateRule(update, z[:2], (xi,), law=draws, loss=z[0] ** 2)
    maps = maps_at(expand_rule(rule), sp.Rational(1, 7))
    at = sp.Rational(1, 7)
    expected = sum(
        (
            p * sp.Matrix([u.subs({xi: x, alpha: at}) for u in update])
            * sp.Matrix([u.subs({xi: x, alpha: at}) for u in update]).T
            for (x,), p in zip(draws.values, draws.probabilities, strict=True)
        ),
        sp.zeros(2),
    )  # fmt: skip
    found = sum((p * sp.Matrix(t) * sp.Matrix(t).T for p, t in maps), sp.zeros(2))
    assert (found - expected).expand() == sp.zeros(2)
    e = sp.symbols("e1:4", real=True)
    batched = [z[0] - alpha * sum((1 + x) * (k + 1) * z[0] for k, x in enumerate(e))]
    rule = UpdateRule(batched, z[:1], e, law=Minibatch(3, 2), loss=z[0] ** 2)
    maps = maps_at(expand_rule(rule), at)
    pairs = ((0, 1), (0, 2), (1, 2))
    exact = [z[0] * (1 - at * sum(sp.Rational(3, 2) * (k + 1) for k in b)) for b in pairs]
    assert sp.expand(sum(p * t[0] ** 2 for p, t in maps) - sum(x**2 for x in exact) / 3) == 0


def test_hypotheses_are_proved_and_powers_are_not() -> None:
    limit = derive_limit(replace(MODEL, optimizer=RandomCoordinates(1))).at_step(sp.Rational(1, 10))
    certificate = limit.certificate()
    proved = [f.step.question for f in certificate.findings if f.is_certified]
    assert proved == [
        "every T₀(·, ξ) fixes 𝓜", "𝓜 attracts as α → 0 (α = 1e-6)", "𝓜 attracts at α = 1/10",
    ]  # fmt: skip
    rest = {f.reason for f in certificate.findings if not f.is_certified}
    assert rest == {"the power of α is read off in numbers, at points of Γ"}


def test_what_is_not_covered_says_so() -> None:
    built = derive_limit(replace(MODEL, optimizer=LookAhead(3, sp.Rational(1, 2))))
    assert (
        built.certificate(step=1).findings[-1].reason == "the optimizer is built of several steps"
    )
    for asked, message in (({"rate": 1}, "rate"), ({"drift": [w1, w2]}, "limit of an update rule")):
        with pytest.raises(NotCoveredError, match=message):
            built.certificate(**asked)


Document = dict[str, Any]


def claim(d: Document) -> Document:
    return next(c for c in d["claims"] if c["asks"] == "attraction")


def number(d: Document, *parts: str) -> int:
    d["expressions"].append(["rational", *parts])
    return len(d["expressions"]) - 1


SPOILT: dict[str, Callable[[Document], Any]] = {
    "larger chances": lambda d: claim(d).update(chances=[number(d, "9", "1")] * 2),
    "a chance below zero": lambda d: claim(d)["chances"].__setitem__(0, number(d, "-1", "2")),
    "a chance that is zero": lambda d: claim(d)["chances"].__setitem__(0, number(d, "0", "1")),
    "fewer chances": lambda d: claim(d)["chances"].pop(),
    "a map that does not move": lambda d: claim(d).update(of=[d["weights"]] * 2),
    "no form": lambda d: claim(d).update(factor=[["0"]]),
    "a form of another size": lambda d: claim(d).update(factor=[["1", "0"], ["0", "1"]]),
    "no number": lambda d: claim(d).update(factor=[["nan"]]),
    "another question": lambda d: claim(d).update(asks="curvature"),
    "a map with fewer entries": lambda d: claim(d)["of"][0].pop(),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_does_not_follow_is_rejected(name: str) -> None:
    document = json.loads(json.dumps(random_steps().certificate().document))
    assert checker.check(document)
    spoilt = copy.deepcopy(document)
    SPOILT[name](spoilt)
    with pytest.raises(REFUSALS):
        checker.check(spoilt)


WORDS = r"\((proved|proved not|sampled|assumed|numerical certificate: \d+ points? of Γ, \d+ digits)"


QUICK = ("an expression", "a mean with noise of each sample", "a rule")


@pytest.mark.parametrize(
    "kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in PROBLEMS]
)
def test_each_line_of_evidence_says_what_it_rests_on(kind: str) -> None:
    """Answers and hypotheses, of every kind of problem."""
    limit = limit_of(kind)
    explanation = limit.explain()
    answers = [s.statement.text for s in explanation.steps if s.statement.label.startswith("verd")]
    assert answers
    for answer in answers:
        assert re.search(rf"\? (yes|no) {WORDS}[:,;)]? ?", answer), answer
    for hypothesis in explanation.hypotheses:
        first = str(hypothesis).partition("]")[0]
        assert first.strip("[").lower() in {standing.value for standing in Standing}
    appendix = document(limit).partition(r"\appendix")[2]
    assert appendix.count(r"\item \emph{") >= len(answers)
