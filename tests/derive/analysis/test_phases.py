"""The phase diagram: the fastest term everywhere, borders where two are equal, speeds measured."""

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, TwoPoint, derive_limit
from derive.analysis.phases import Term, ruling, terms
from numerics import plots
from numerics.validation.phases import measure_cut, phase_diagram

w1, w2, eta, xi = sp.symbols("w1 w2 eta xi", real=True)
SQUARE = w1**2 + w2**2
RING = (SQUARE - 1) ** 2 * (2 + w1) / 4
THREEFOLD = SQUARE * eta / 2 + (SQUARE - 1) * (1 - w1) * eta**2 + w1 * eta**3 / 6
POINT = (0.6, 0.8)


@pytest.fixture(scope="module")
def limit():
    law = TwoPoint(sp.Rational(1, 4))
    return derive_limit(NoisyGradientDescent(RING, RING + THREEFOLD, (w1, w2), eta, law=law))


@pytest.fixture(scope="module")
def diagram(limit):
    return phase_diagram(terms(limit, POINT), (1e-3, 0.5), (3e-3, 1.0))


def test_the_fastest_term_rules(diagram):
    for row, column in np.random.default_rng(0).integers(0, len(diagram.alphas), (50, 2)):
        fastest = ruling(diagram.terms, diagram.alphas[column], diagram.sigmas[row])
        assert diagram.terms[diagram.ruling[row, column]] == fastest


def test_borders_are_the_ratios_of_the_hypotheses(diagram):
    """Theorem B ends where σ/α or σ²/α is no longer small; by hand from the speeds at (0.6, 0.8).

    The speeds are ½|D²Φ[Σ]| = w₂/(4(2 + w₁)), |P∇Reg₃| = w₂/24 and |P∇V₂|.
    """
    by_powers = {(b.alpha_power, b.sigma_power): b.value for b in diagram.borders}
    linear, skew, second = 0.8 / 4 / 2.6, 0.8 / 24, diagram.terms[2].coefficient
    expected = {(-1, 1): linear / skew, (-1, 2): linear / second, (0, 1): skew / second}
    assert by_powers == pytest.approx(expected)
    for border in diagram.borders:
        left = border.alphas**border.alpha_power * border.sigmas**border.sigma_power
        np.testing.assert_allclose(left, border.value)
        speeds = np.sort([t.speed(border.alphas, border.sigmas) for t in diagram.terms], axis=0)
        np.testing.assert_allclose(speeds[-1], speeds[-2])


def test_a_border_in_alpha_alone():
    """σ² cancels between the terms of Theorems A and B."""
    first, second = Term("∇Reg", 1.0, 1, 2), Term("Σ", 4.0, 2, 2)
    (border,) = phase_diagram((first, second), (0.01, 1.0), (0.01, 1.0)).borders
    assert (border.alpha_power, border.sigma_power, border.value) == (1, 0, 0.25)
    np.testing.assert_allclose(border.alphas, 0.25)


def test_no_border_between_equal_powers():
    pair = Term("a", 1.0, 1, 2), Term("b", 4.0, 1, 2)
    assert phase_diagram(pair, (0.01, 1.0), (0.01, 1.0)).borders == ()


@pytest.mark.slow
def test_measured_speeds_cross_three_regions(limit, diagram):
    cut = measure_cut(
        limit, POINT, alpha=0.01, sigmas=(0.006, 0.05, 0.2), steps=1000, paths=4000, seed=0
    )
    rulers = [ruling(diagram.terms, 0.01, sigma).name for sigma in cut.sigmas]
    assert rulers == ["Σ", "∇Reg₃", "∇V₂"]
    # Four standard errors, and the next order in σ², which the predicted equation leaves out.
    allowed = 4 * cut.measured.error + 1.5 * cut.sigmas**2 * cut.predicted
    assert (np.abs(cut.measured.value - cut.predicted) < allowed).all()
    assert (cut.measured.error < 0.2 * cut.measured.value).all()


@pytest.mark.slow
def test_picture_names_regions_and_borders(limit, diagram):
    cut = measure_cut(limit, POINT, alpha=0.01, sigmas=(0.05, 0.2), steps=100, paths=200, seed=0)
    figure = plots.phase_diagram(diagram, stable=2 / 5.2, cut=cut)
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    for part in (r"\nabla V_2", r"\mathrm{Reg}_3", r"\Sigma", r"\sigma/\alpha = 2.3", r"\lambda"):
        assert part in texts
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


@pytest.mark.parametrize(
    ("found", "alphas", "message"),
    [((), (0.1, 1.0), "at least one"), ((Term("Σ", 1.0, 2, 2),), (1.0, 0.1), "0 < low < high")],
)
def test_refusals(found, alphas, message):
    with pytest.raises(ValueError, match=message):
        phase_diagram(found, alphas, (0.1, 1.0))


def test_a_diffusion_is_as_large_as_its_variance():
    """Additive noise on the round circle: tr PΣP = 1, while the drift along Γ vanishes."""
    noisy = (SQUARE - 1) ** 2 / 4 + w1 * eta + w2 * xi
    limit = derive_limit(NoisyGradientDescent((SQUARE - 1) ** 2 / 4, noisy, (w1, w2), (eta, xi)))
    (term,) = terms(limit, POINT)
    assert (term.name, term.coefficient) == ("Σ", pytest.approx(1.0, rel=1e-12))
