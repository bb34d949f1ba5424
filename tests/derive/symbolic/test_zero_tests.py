"""Three answers: yes with a reason, no with a witness, and undecided."""

import mpmath
import pytest
import sympy as sp

from derive.symbolic.zero_tests import (
    Basis,
    Verdict,
    decide_zero,
    proved,
    relative_size,
    vanishes_identically,
)

w = sp.Symbol("w", real=True)


def points(*sizes):
    """Points w = 0, 1, … at which the quantity has these sizes."""
    return [
        ({w: i}, lambda s=s: s() if callable(s) else mpmath.mpf(s)) for i, s in enumerate(sizes)
    ]


def no_value():
    raise ZeroDivisionError


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workdps(60):
        yield


def test_only_yes_is_true():
    assert proved("so")
    assert not Verdict(None, Basis.UNDECIDED, "?")
    assert not Verdict(False, Basis.WITNESS, "here")


def test_a_value_that_is_clearly_not_zero_is_a_witness():
    found = decide_zero(points("1e-60", "1e-3", "1e-60"), [("never", lambda: True)])
    assert found.value is False
    assert found.basis is Basis.WITNESS
    assert found.witness == {w: 1}


def test_the_largest_value_is_the_witness():
    found = decide_zero(points("1e-15", "1e-9", "1e-12"), [])
    assert found.value is False
    assert found.witness == {w: 1}


def test_zero_at_all_points_is_a_certificate_and_a_proof_is_more():
    seen = points("1e-55", 0, "1e-52")
    certificate = decide_zero(seen, [("a failure", lambda: False)])
    assert (certificate.value, certificate.basis) == (True, Basis.NUMERICAL)
    proof = decide_zero(seen, [("a failure", lambda: False), ("this", lambda: True)])
    assert (proof.value, proof.basis, proof.how) == (True, Basis.PROOF, "this")


def test_between_zero_and_clear_is_undecided_whatever_a_proof_says():
    found = decide_zero(points("1e-55", "1e-28"), [("hasty", lambda: True)])
    assert (found.value, found.basis) == (None, Basis.UNDECIDED)


@pytest.mark.parametrize("others", [(), ("1e-55",)])
def test_without_a_value_at_a_point_it_is_undecided(others):
    found = decide_zero(points(*others, no_value, "1e-55"), [("hasty", lambda: True)])
    assert (found.value, found.basis) == (None, Basis.UNDECIDED)


def test_size_is_relative_to_the_summands():
    terms = [mpmath.mpf(10) ** 30, -(mpmath.mpf(10) ** 30), mpmath.mpf(1)]
    assert relative_size(mpmath.fsum(terms), terms) == mpmath.mpf(10) ** -30
    assert relative_size(mpmath.mpf(0), []) == 0


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (sp.expand((w + 1) ** 3) - (w + 1) ** 3, True),
        (sp.sin(w) ** 2 + sp.cos(w) ** 2 - 1, True),
        (sp.sin(w) ** 2 + sp.cos(w) ** 2 - sp.Rational(10**12 + 1, 10**12), False),
        (w * (w - 1), False),
    ],
)
def test_on_all_of_space(expression, value):
    assert vanishes_identically(expression).value is value
