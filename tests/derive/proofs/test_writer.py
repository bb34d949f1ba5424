"""Claims on the image of a chart: what is constant there though no cofactors on Γ show it."""

import copy
import json
from collections.abc import Callable
from decimal import Decimal, getcontext
from typing import Any

import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from derive.certify import checker
from derive.model.chart import Chart
from derive.proofs.findings import Certificate
from derive.proofs.writer import NO_NEIGHBOURHOOD, REFUSALS
from derive.symbolic.zero_tests import Basis

w1, w2, w3, eta, theta = sp.symbols("w1 w2 w3 eta theta", real=True)
u, v = sp.symbols("u v", positive=True)

SQUARED = w1**2 + w2**2
RINGS = (SQUARED**2 - 4 * SQUARED + 2) ** 2 / 4
"""Two rings, |w|² = 2 ± √2, whose equation has no factors with rational coefficients."""

OUTER, INNER = 2 + sp.sqrt(2), 2 - sp.sqrt(2)

Document = dict[str, Any]

getcontext().prec = 100


def on_rings(noisy: sp.Expr, squared: sp.Expr | None) -> Certificate:
    """For a start near the outer ring, with a ring by its angle as the chart."""
    chart = None
    if squared is not None:
        radius = sp.sqrt(squared)
        chart = Chart((theta,), (radius * sp.cos(theta), radius * sp.sin(theta)))
    problem = NoisyGradientDescent(
        RINGS, RINGS + noisy, (w1, w2), eta, near=(sp.Rational(3, 2), 1), chart=chart
    )
    return derive_limit(problem).certificate()


def on_two_sheets() -> Certificate:
    """(w₁w₂w₃)² = 2, of which the chart (u, v, √2/(uv)) is a part."""
    product = w1 * w2 * w3
    loss = (product**2 - 2) ** 2 / 2
    chart = Chart((u, v), (u, v, sp.sqrt(2) / (u * v)))
    problem = NoisyGradientDescent(
        loss, loss + product * eta**2 / 2, (w1, w2, w3), eta, near=(1, 1, 1), chart=chart
    )
    return derive_limit(problem).certificate()


FLAT, FROZEN = SQUARED * eta**2 / 2, (SQUARED - OUTER) ** 2 * eta

MADE: dict[str, Callable[[], Certificate]] = {
    "the angle on a ring": lambda: on_rings(FLAT, OUTER),
    "noise that vanishes on a ring": lambda: on_rings(FROZEN, OUTER),
    "two coordinates on a sheet": on_two_sheets,
}


@pytest.mark.parametrize("name", MADE)
def test_a_yes_is_proved_on_the_image_of_the_chart(name: str) -> None:
    certificate = MADE[name]()
    assert certificate.is_complete, str(certificate)
    assert all(
        s.verdict.basis in (Basis.PROOF, Basis.PROVED_NOT) for s in certificate.evidence.steps
    )
    shown = checker.check(json.loads(json.dumps(certificate.document)))
    assert "the chart maps into Γ: proved (zero)" in shown
    assert f"{NO_NEIGHBOURHOOD}: proved not (values)" in shown
    assert any("on the image of the chart: proved" in line for line in shown)
    assert "which is Γ near the base point" in str(certificate)


@pytest.mark.parametrize("noisy", [FLAT, FROZEN])
def test_it_is_not_proved_without_the_chart_or_with_that_of_another_piece(noisy: sp.Expr) -> None:
    without, other = on_rings(noisy, None), on_rings(noisy, INNER)
    assert not without.is_complete
    reasons = {f.reason for f in other.findings if not f.is_certified}
    assert reasons == {"the chart was not found to reach the base point of Γ"}
    assert "charts" not in other.document


def test_the_chart_is_shown_to_be_regular(document: Document) -> None:
    """|φ'|² |∇r|² = |w|² · 4|w|² (2|w|² − 4)² = 32 |w|⁴ on the outer ring, squared."""
    expected = (32 * float(OUTER) ** 2) ** 2
    assert float(claims(document)[0]["value"][0]) == pytest.approx(expected, rel=1e-14)


# -- what does not follow is rejected -------------------------------------------------------------


def chart(d: Document) -> Document:
    return d["charts"][0]


def appended(d: Document, *entry: str | int) -> int:
    d["expressions"].append(list(entry))
    return len(d["expressions"]) - 1


def turned(d: Document) -> None:
    """The chart with sin in the place of cos."""
    next(e for e in d["expressions"] if e[0] == "cos")[0] = "sin"


def moved(d: Document) -> None:
    """The chart one further along w₁, with a point of its graph that is one further, too."""
    place = chart(d)["constraints"][0]
    further = appended(d, "sum", place, appended(d, "rational", "-1", "1"))
    chart(d)["constraints"][0] = further
    for claim in (chart(d)["inside"], claims(d)[-1]):
        claim["tower"].append(further)
    for point in chart(d)["points"]:
        point["rows"][point["rows"].index(place)] = further
        box = point["box"][str(d["weights"][0])]
        box[0] = str(1 + Decimal(box[0]))


def other_constant(d: Document) -> None:
    three = appended(d, "rational", "3", "1")
    claims(d)[-1]["constants"][0] = three
    claims(d)[-1]["tower"].append(three)


def put(owner: Any, key: Any, value: Any) -> None:
    assert owner[key] != value
    owner[key] = value


def claims(d: Document) -> list[Document]:
    return chart(d)["claims"]


NO_POINT, NO_IDENTITY = "no point of Γ is shown", "an identity does not hold"

SPOILT: dict[str, tuple[str, Callable[[Document], Any]]] = {
    "another chart": (NO_POINT, turned),
    "a chart that leaves Γ": (NO_IDENTITY, moved),
    "another claim in the place of that": (
        "not zero",
        lambda d: put(d["charts"][0], "inside", claims(d)[-1]),
    ),
    "another constant": (NO_IDENTITY, other_constant),
    "a constant with θ": (
        "no constant",
        lambda d: put(claims(d)[-1]["constants"], 0, chart(d)["weights"][-1]),
    ),
    "a cofactor exchanged": (
        NO_IDENTITY,
        lambda d: put(claims(d)[-1]["cofactors"][0][0], 1, chart(d)["constraints"][0]),
    ),
    "a cofactor left out": (NO_IDENTITY, lambda d: claims(d)[-1]["cofactors"][0].pop()),
    "not shown to lie in Γ": ("inside", lambda d: chart(d).pop("inside")),
    "another place": (
        NO_POINT,
        lambda d: put(chart(d)["points"][0]["box"][str(chart(d)["weights"][-1])], 0, "0.1"),
    ),
    "a rank that may be lost": (
        "is not in",
        lambda d: put(claims(d)[0]["value"], 1, "1e9"),
    ),
}


@pytest.fixture(scope="module")
def document() -> Document:
    return MADE["the angle on a ring"]().document


@pytest.mark.parametrize("name", SPOILT)
def test_what_does_not_follow_is_rejected(name: str, document: Document) -> None:
    spoilt = copy.deepcopy(document)
    assert checker.check(spoilt)
    reason, spoil = SPOILT[name]
    spoil(spoilt)
    with pytest.raises(REFUSALS, match=reason):
        checker.check(spoilt)
