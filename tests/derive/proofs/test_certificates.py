"""Certificates of limits: proofs by numbers that two programs agree on, and what is not proved."""

import mpmath
import pytest
import sympy as sp
from flint import Ordering, fmpq_mpoly_ctx

import derive
from derive import Limit, NoisyGradientDescent, derive_limit
from derive.certify import checker
from derive.documents.document import document
from derive.noise.classification import DRIFT
from derive.proofs import writer
from derive.proofs.cofactors import Basis, is_zero
from derive.symbolic.zero_tests import Basis as Rests
from tests.truth.catalogue import CATALOGUE, Entry

w1, w2, w3, eta, a = sp.symbols("w1 w2 w3 eta a", real=True)


@pytest.mark.parametrize("entry", CATALOGUE, ids=str)
def test_each_verdict_of_the_catalogue_is_certified(entry: Entry) -> None:
    certificate = derive_limit(entry.problem).certificate()
    assert certificate.is_complete, str(certificate)
    assert len(checker.check(certificate.document)) >= len(certificate.findings)
    for step in certificate.evidence.steps:
        assert step.verdict.basis is (Rests.PROOF if step.verdict.value else Rests.PROVED_NOT)


def tanh_net(neurons: int, samples: int) -> NoisyGradientDescent:
    """Dropout of tanh neurons with two weights each, on samples that some weights near by fit."""
    weights = sp.symbols(f"w1:{2 * neurons + 1}", real=True)
    noise = sp.symbols(f"eta1:{neurons + 1}", real=True)
    near = [sp.Rational(7 * k % 17 - 8, 6) + sp.Rational(1, 7) for k in range(2 * neurons)]

    def output(w: list[sp.Expr], x: sp.Expr, spread: list[sp.Expr]) -> sp.Expr:
        return sp.Add(
            *((1 + e) * w[2 * j] * sp.tanh(w[2 * j + 1] * x) for j, e in enumerate(spread))
        )

    silent = [sp.S.Zero] * neurons
    inputs = [sp.Rational(2 * i + 1, samples) for i in range(samples)]
    targets = [sp.Rational(round(100 * output(near, x, silent)), 100) for x in inputs]

    def loss(spread: list[sp.Expr]) -> sp.Expr:
        pairs = zip(inputs, targets, strict=True)
        return sp.Add(*((output(weights, x, spread) - y) ** 2 for x, y in pairs)) / (2 * samples)

    return NoisyGradientDescent(loss(silent), loss(list(noise)), weights, noise, near=near)


def test_a_net_of_twelve_weights_is_proved_to_move() -> None:
    """The stated |P∇Reg|² is that of an evaluation with other code, to 19 digits."""
    limit = derive_limit(tanh_net(6, 4))
    certificate = limit.certificate()
    assert certificate.is_complete
    (claim,) = certificate.document["claims"]
    witness = limit.evidence.steps[0].verdict.witness
    assert witness is not None
    with mpmath.workdps(60):
        point = tuple(witness[s] for s in limit.manifold.symbols)
        slope = [limit.regularizer.diff(w) for w in limit.problem.weights]
        numbers = [mpmath.mpmathify(s.subs(witness).evalf(55)) for s in slope]
        along = limit.manifold.probe.geometry(point).tangential(numbers)
        size = mpmath.fdot(zip(along, along, strict=True))
        assert mpmath.almosteq(mpmath.mpf(claim["value"][0]), size, rel_eps=mpmath.mpf("1e-19"))


def test_parameters_take_the_values_of_the_witness() -> None:
    ring = (w1**2 + w2**2 - 1) ** 2 / 4
    problem = NoisyGradientDescent(ring, ring + a * w1 * eta**2, (w1, w2), eta, parameters=(a,))
    assert derive_limit(problem).certificate().is_complete


def test_deriving_and_printing_check_no_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are made when they are asked for, so that deriving is as fast as without."""

    def refused(*_: object) -> None:
        raise AssertionError("a claim was checked")

    monkeypatch.setattr(writer, "Claim", refused)
    limit = derive_limit(CATALOGUE[1].problem)
    assert str(limit)
    assert limit.check(limit.drift)
    with pytest.raises(AssertionError, match="was checked"):
        limit.certificate()


def test_the_hypotheses_are_part_of_a_certificate() -> None:
    """That all is real, and within the domains of the functions, and what L is made of."""
    model, domain = derive_limit(CATALOGUE[0].problem).certificate().document["hypotheses"]
    assert "sum of the stated squares" in model
    assert "real, and in the domains" in domain


def test_a_loaded_limit_has_the_same_certificate(tmp_path) -> None:
    limit = derive_limit(CATALOGUE[0].problem)
    limit.save(tmp_path / "limit.json")
    loaded = Limit.load(tmp_path / "limit.json")
    assert loaded.certificate().document == limit.certificate().document


def test_a_kink_at_the_witness_is_a_reason_and_no_proof() -> None:
    """Reg has a kink on all of Γ: its gradient is not defined at any point of it."""
    ring = (w1**2 + w2**2 - 1) ** 2 / 4
    noisy = ring + (w1 + sp.Abs(w1**2 + w2**2 - 1)) * eta**2
    limit = derive_limit(NoisyGradientDescent(ring, noisy, (w1, w2), eta), assume="non-degenerate")
    certificate = limit.certificate()
    assert not certificate.is_complete
    assert certificate.document["claims"] == []


def test_cofactors_multiply_out_again() -> None:
    x, y, z = fmpq_mpoly_ctx.get(["x", "y", "z"], Ordering.degrevlex).gens()
    generators = [x**2 + y + z - 1, x + y**2 + z - 1, x + y + z**2 - 1]
    basis = Basis(generators)
    inside = sum((x * y + k) ** 2 * g for k, g in enumerate(generators))
    for f, remains in ((inside, False), (inside + x, True)):
        found = basis.express(f, is_zero)
        assert (found.value != 0) == remains
        assert f + sum(c * generators[i] for i, c in found.factors.items()) == found.value


def test_inverses_roots_and_functions_are_unknowns_with_relations() -> None:
    """1/(1 + w₁²) + 1/(1 + w₂²), and more of the kind, are constant on w₁w₂ = 1."""
    hyperbola = (w1 * w2 - 1) ** 2 / 2
    root = sp.sqrt(2 + w1)
    reg = (
        1 / (1 + w1**2) + 1 / (1 + w2**2) + root * (w2 + 2 * w2**2) * w1**2 / root**3
        + sp.sin(w1) ** 2 + sp.cos(w1) ** 2 * w1 * w2 + sp.exp(2 * w2) * w1 - sp.exp(w2) ** 2 / w2
        + sp.cosh(w1) ** 2 - sp.sinh(w1) ** 2 * w1 * w2
    )  # fmt: skip
    noisy = hyperbola + reg * eta**2
    limit = derive_limit(NoisyGradientDescent(hyperbola, noisy, (w1, w2), eta, near=(1, 1)))
    flat = limit.certificate().findings[0]
    assert flat.step.verdict.value is True
    assert flat.is_certified, flat


def test_a_drift_beside_a_penalty_is_proved() -> None:
    ring = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    decay = derive.alpha * derive.sigma**2 * (w1**2 + 3 * w2**2) / 2
    problem = NoisyGradientDescent(
        ring, ring + (w1**2 + w2**2) * eta / 2, (w1, w2), eta, penalty=decay
    )
    limit = derive_limit(problem)
    assert limit.evidence.steps[-1].question == DRIFT[1]
    assert limit.certificate().is_complete


def test_what_is_large_but_plain_is_proved_without_a_search() -> None:
    """Label noise on 4 samples and 16 weights: a Gröbner basis would take for ever."""
    net = tanh_net(8, 4)
    misfits = [term.as_coeff_Mul()[1].base for term in net.loss.args]
    noise = sp.symbols("xi1:5", real=True)
    noisy = sp.Add(*((m - e) ** 2 for m, e in zip(misfits, noise, strict=True))) / 8
    certificate = derive_limit(
        NoisyGradientDescent(net.loss, noisy, net.weights, noise, near=net.near)
    ).certificate()
    assert certificate.is_complete


def test_explanation_and_document_say_what_is_proved() -> None:
    limit = derive_limit(CATALOGUE[2].problem)
    shown = str(limit.explain())
    assert "on Γ? yes (proved: cofactors of the constraints" in shown
    assert "for all η? no (proved not: 4.86105130799977" in shown
    assert "[proved] Γ is made of minimisers of L" in shown
    assert "[sampled] Γ is a manifold of dimension 1" in shown
    assert "[ASSUMED] the start lies" in shown
    appendix = document(limit).partition(r"\appendix")[2]
    assert appendix.count(r"\emph{proved}") == 1 + 4
    assert appendix.count(r"\emph{proved not}") == 1 + 1


def test_what_is_not_proved_is_called_a_numerical_certificate() -> None:
    """Noise on one of two rings: nothing moves, but Σ is no multiple of H."""
    first, second = w1**2 + w2**2 - 1, w3**2 + a**2 - 1
    rings = (first**2 + 2 * second**2) / 2
    limit = derive_limit(NoisyGradientDescent(rings, rings + first * eta, (w1, w2, w3, a), eta))
    still = limit.certificate().findings[2]
    assert still.step.verdict.value is True
    assert not still.is_certified
    assert "numerical certificate: 20 points of Γ, 40 digits" in str(limit.explain())
    appendix = document(limit).partition(r"\appendix")[2]
    assert r"\item \emph{not proved, a numerical certificate}" in appendix


def test_a_weight_that_is_a_sum_does_not_hide_the_squares() -> None:
    """L = ½ (1 + q²)(r² + s²): the drift of noise on r and s is proved not to vanish."""
    r, s = w1 + w2**2 - w3 / 2, w2 - w3**2 + w1 * w3 / 4
    loss = (1 + (w1 - w2 / 3) ** 2) * (r**2 + s**2) / 2
    limit = derive_limit(
        NoisyGradientDescent(
            loss, loss + r * eta + 2 * s * a, (w1, w2, w3), (eta, a), near=(0,) * 3
        )
    )
    assert limit.outcome.value == "deterministic"
    assert limit.certificate().is_complete, str(limit.certificate())


@pytest.mark.parametrize(
    ("columns", "asked"),
    [
        ([[2 * w1 * (1 + w2)], [2 * w2 * (1 + w2)]], "zero"),
        ([[(w1**2 + w2**2 - 1) * w2], [(w1**2 + w2**2 - 1)]], "zero"),
        ([[1], [w2]], "field"),
    ],
)
def test_gradient_noise_that_is_given_as_a_matrix(columns: list[list[sp.Expr]], asked: str) -> None:
    """Across Γ, with no size on it, and along it: PΣP = 0 is proved, or proved not."""
    ring = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    given = NoisyGradientDescent.from_gradient_noise(ring, sp.Matrix(columns), (w1, w2), eta)
    certificate = derive_limit(given).certificate()
    assert certificate.is_complete, str(certificate)
    assert certificate.document["claims"][1]["asks"] == asked
    assert checker.check(certificate.document)


# -- further questions ----------------------------------------------------------------------------

ELLIPSE = (w1**2 + a * w2**2 - 1) ** 2 / 4


def ellipse() -> Limit:
    noisy = ELLIPSE.subs(w1, w1 + eta)
    return derive_limit(NoisyGradientDescent(ELLIPSE, noisy, (w1, w2), eta, parameters=(a,)))


def answers(limit: Limit, **asked: object) -> list[tuple[str, str]]:
    """What the checker says of the questions that were asked beside the classification's."""
    certificate = limit.certificate(**asked)
    shown = dict(line.rsplit(": ", 1) for line in checker.check(certificate.document))
    steps = certificate.findings[len(limit.evidence.steps) :]
    return [(f.standing, shown.get(f.step.question, "").rpartition(" (")[0]) for f in steps]


def test_rate_and_stability_are_proved_where_they_hold() -> None:
    problem = CATALOGUE[0].problem
    limit = derive_limit(problem)
    values = [x for g in limit.manifold.local() for x in g.curvatures]
    low, high = min(values), max(values)
    found = answers(limit, rate=sp.Float(0.9 * low), step=sp.Float(1.9 / high))
    assert found == [("proved", "proved"), ("proved", "proved")]
    found = answers(limit, rate=sp.Float(1.1 * high), step=sp.Float(2.1 / low))
    assert found == [("not proved, a witness", ""), ("not proved, a witness", "")]


@pytest.mark.parametrize("entry", CATALOGUE[::4], ids=str)
def test_a_wrong_drift_is_proved_wrong(entry: Entry) -> None:
    """Twice the drift; where there is none, a field along Γ; the right one is never refuted."""
    limit = derive_limit(entry.problem)
    if limit.drift is None or limit.manifold.projector is None:
        pytest.skip("nothing to compare with in closed form")
    ones = limit.manifold.projector * sp.ones(limit.problem.dimension, 1)
    wrong = limit.drift + ones
    if limit.outcome.is_degenerate and limit.manifold.probe.squares is None:
        (finding,) = limit.certificate(drift=wrong).findings[len(limit.evidence.steps) :]
        assert finding.reason == "the loss is not a sum of squares"
        return
    assert answers(limit, drift=wrong) == [("proved not", "proved not")]
    ((standing, claimed),) = answers(limit, drift=limit.drift)
    assert not claimed
    assert standing != "proved not"


def test_one_proof_serves_a_range_of_parameters() -> None:
    limit = ellipse()
    ranges = {a: (sp.Rational(9, 10), sp.Rational(11, 10))}
    certificate = limit.certificate(rate=1, drift=[w1, w2], ranges=ranges)
    assert certificate.is_complete, str(certificate)
    assert "for all a within 0.1 of 1.0" in str(certificate)
    (point,) = certificate.document["points"]
    assert max(float(radius) for _, radius in point["box"].values()) >= 0.1
    wider = limit.certificate(ranges={a: (sp.Rational(1, 100), 9)})
    assert not wider.is_complete


def test_at_an_exceptional_value_another_outcome_is_proved() -> None:
    ring = (w1**2 + w2**2 - 1) ** 2 / 4
    noisy = ring + ((1 + a) * w1**2 + w2**2) * eta**2
    problem = NoisyGradientDescent(ring, noisy, (w1, w2), eta, parameters=(a,))
    limit = derive_limit(problem)
    (value,) = derive.analysis.exceptional_values.exceptional_values(limit)
    assert value == {a: 0}
    assert limit.certificate().is_complete
    with pytest.warns(derive.DeriveWarning, match="outcome"):
        at_zero = limit.subs(value)
    assert at_zero.outcome is not limit.outcome
    assert at_zero.certificate().is_complete


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rate": -1}, "rate: expected a positive number"),
        ({"step": a}, "step: expected a positive number"),
        ({"ranges": {w1: (0, 1)}}, "w1 is no parameter"),
        ({"ranges": {a: (2, 1)}}, "low <= high"),
        ({"ranges": {a: 1}}, "low <= high"),
        ({"drift": [w1]}, "drift"),
    ],
)
def test_questions_that_make_no_sense(asked: dict[str, object], message: str) -> None:
    with pytest.raises(derive.SingularLimitError, match=message):
        ellipse().certificate(**asked)
