"""The numeric geometry of Γ, against the 50-digit evaluation and brute force."""

import pickle

import numpy as np
import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, derive_limit
from numerics import CompiledLimit, compile_limit
from numerics.geometry.small_matrices import least_norm_solution
from tests.truth import fields
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived
from tests.truth.oracles import Landscape

w1, w2, w3 = sp.symbols("w1:4", real=True)
eta1, eta2, eta3 = sp.symbols("eta1:4", real=True)
kappa = sp.Symbol("kappa", positive=True)

AGREEMENT = 1e-12
"""A few hundred units of round-off, for derivatives of size one."""

CHOSEN = [
    entry
    for entry in CATALOGUE
    if entry.name
    in {
        "linear scalar noise on the uneven ring",
        "label noise on a diagonal net, a sample too many",
        "Bernoulli dropout of two neurons",
        "correlated additive noise on a twisted cubic",
        "gradient noise that depends on the weights, on a surface",
        "additive noise in a valley that is no sum of squares",
    }
]


@pytest.fixture(scope="module", params=CHOSEN, ids=str)
def chosen(request: pytest.FixtureRequest) -> Entry:
    return request.param


@pytest.fixture(scope="module")
def fast(chosen: Entry) -> CompiledLimit:
    return compile_limit(derived(chosen.problem))


def near(fast: CompiledLimit, entry: Entry, distance: float = 0.08) -> np.ndarray:
    on = fast.retract(np.array(entry.guesses))
    return on + distance * np.random.default_rng(0).normal(size=on.shape)


def variants(entry: Entry) -> list[Limit]:
    limit = derived(entry.problem)
    return [limit, limit.at_step(entry.alpha), limit.at_step(entry.alpha, sp.Rational(1, 2))]


def test_equation_agrees_with_fifty_digits(chosen: Entry) -> None:
    for limit in variants(chosen):
        fast, exact = compile_limit(limit), fields.at_fifty_digits(limit)
        points = fast.retract(np.array(chosen.guesses))
        drift, s, projector = fast.drift(points), fast.diffusion(points), fast.projector(points)
        for k, w in enumerate(points):
            assert drift[k] == pytest.approx(exact.drift(w), abs=AGREEMENT)
            assert s[k] @ s[k].T == pytest.approx(exact.spread(w), abs=AGREEMENT)
            assert projector[k] == pytest.approx(exact.projector(w), abs=AGREEMENT)


def test_next_order_equation_agrees_with_fifty_digits() -> None:
    loss = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    moved = loss.xreplace({w1: w1 + eta1, w2: w2 + eta2})
    limit = derive_limit(NoisyGradientDescent(loss, moved, (w1, w2), (eta1, eta2)))
    limit = limit.effective(sp.Rational(1, 20), sp.Rational(1, 10))
    fast, exact = compile_limit(limit), fields.at_fifty_digits(limit)
    for w in fast.retract([(0.6, 0.8), (-0.3, 0.9)]):
        assert fast.drift(w) == pytest.approx(exact.drift(w), abs=AGREEMENT)


def test_spectrum_is_that_of_the_hessian(chosen: Entry, fast: CompiledLimit) -> None:
    landscape = Landscape.of(chosen.problem.loss, chosen.problem.weights)
    points = fast.retract(np.array(chosen.guesses))
    expected = np.linalg.eigvalsh(landscape.hessian(points))[:, -fast.codimension :]
    assert fast.spectrum(points) == pytest.approx(expected, rel=1e-10)


def test_retraction_is_the_nearest_point(chosen: Entry, fast: CompiledLimit) -> None:
    off = near(fast, chosen)
    on = fast.retract(off)
    gap = np.einsum("pij,pj->pi", fast.projector(on), off - on)
    constraints = fast.model.constraints.reference(on)[:, : len(fast.limit.manifold.constraints)]
    assert np.abs(constraints).max() < 1e-14
    assert np.abs(gap).max() < 1e-14
    assert fast.retract(on) == pytest.approx(on, abs=1e-14)


def test_ends_of_flow_and_descent(chosen: Entry, fast: CompiledLimit) -> None:
    landscape = Landscape.of(chosen.problem.loss, chosen.problem.weights)
    off = near(fast, chosen)
    # The flow line is cut at 1e-6 from Γ, with an error of the square; the steps add 1e-12 each.
    assert fast.flow_limit(off) == pytest.approx(landscape.flow_end(off), abs=1e-10)
    expected = landscape.descent_end(off, chosen.alpha)
    assert fast.descent_limit(off, chosen.alpha) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("start", [(3.0, 4.0), (0.03, 0.04), (-0.6, 0.3)])
def test_nearest_point_of_a_circle(start: tuple[float, float]) -> None:
    loss = (w1**2 + w2**2 - 1) ** 2 / 4
    noisy = loss + eta1 * w1
    fast = compile_limit(derived(NoisyGradientDescent(loss, noisy, (w1, w2), eta1)))
    expected = np.array(start) / np.hypot(*start)
    assert fast.retract(start) == pytest.approx(expected, abs=4e-15)


def test_the_flow_does_not_end_at_the_nearest_point() -> None:
    """The example of the theory: angle 1.3306 against 1.3258."""
    loss = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    noisy = loss + eta1 * (w1**2 + w2**2) / 2
    fast = compile_limit(derived(NoisyGradientDescent(loss, noisy, (w1, w2), eta1)))
    angle = [np.arctan2(*point[::-1]) for point in (fast.flow_limit((0.3, 1.2)), (0.3, 1.2))]
    assert angle == pytest.approx([1.3306, 1.3258], abs=5e-5)


def test_leading_dimensions_are_kept() -> None:
    loss = (w1**2 + 4 * w2**2 - 4) ** 2 / 8
    noisy = loss + eta1 * w1 + eta2 * w2
    fast = compile_limit(derived(NoisyGradientDescent(loss, noisy, (w1, w2), (eta1, eta2))))
    w = fast.retract(np.random.default_rng(1).normal(size=(2, 3, 2)))
    shapes = {
        "drift": (2, 3, 2),
        "diffusion": (2, 3, 2, 2),
        "projector": (2, 3, 2, 2),
        "regularizer": (2, 3),
        "retract": (2, 3, 2),
        "flow_limit": (2, 3, 2),
        "spectrum": (2, 3, 1),
    }
    for name, shape in shapes.items():
        batch = getattr(fast, name)(w)
        assert batch.shape == shape
        assert (batch[1, 2] == getattr(fast, name)(w[1, 2])).all()
        assert getattr(fast, name)(w[:0]).shape == (0, *shape[1:])


def test_travels_between_processes() -> None:
    loss = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4
    noisy = loss + eta1 * (w1**2 + w2**2) / 2
    fast = compile_limit(derived(NoisyGradientDescent(loss, noisy, (w1, w2), eta1)))
    w = fast.retract((0.5, 0.9))
    assert (pickle.loads(pickle.dumps(fast)).drift(w) == fast.drift(w)).all()


def test_only_the_covariance_is_known() -> None:
    """A singular Σ(w) without a factor: s sᵀ = PΣP, and s varies smoothly."""
    loss = (w1**2 + w2**2 + w3**2 - 1) ** 2 / 4
    sigma = sp.Matrix([[1, w1, 0], [w1, w1**2, 0], [0, 0, 0]])
    problem = NoisyGradientDescent.from_gradient_noise(loss, sigma, (w1, w2, w3), ())
    fast = compile_limit(derived(problem))
    w = np.array([0.36, 0.48, 0.8])
    s, p = fast.diffusion(w), fast.projector(w)
    covariance = np.array([[1, 0.36, 0], [0.36, 0.36**2, 0], [0, 0, 0]])
    assert s @ s.T == pytest.approx(p @ covariance @ p, abs=1e-14)
    assert fast.diffusion(fast.retract(w + 1e-6)) == pytest.approx(s, abs=1e-5)


def test_what_does_not_end_on_the_manifold_is_nan() -> None:
    loss = (w1**2 + w2**2 - 1) ** 2 / 4
    fast = compile_limit(derived(NoisyGradientDescent(loss, loss + eta1 * w1, (w1, w2), eta1)))
    assert np.isnan(fast.descent_limit((2.0, 2.0), alpha=1.0)).all()
    ends = fast.flow_limit([(np.nan, 0.0), (0.6, 0.9)])
    assert np.isnan(ends[0]).all()
    assert np.isfinite(ends[1]).all()


def test_refusals() -> None:
    loss = kappa * (w1**2 + w2**2 - 1) ** 2 / 4
    problem = NoisyGradientDescent(loss, loss + eta1 * w1, (w1, w2), eta1, parameters=(kappa,))
    limit = derived(problem)
    with pytest.raises(ValueError, match=r"kappa.*limit\.subs"):
        compile_limit(limit)
    bound = limit.subs({kappa: 2})
    with pytest.raises(ValueError, match=r"alpha is a symbol.*at_step"):
        compile_limit(bound.at_step())
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 2\).*w1, w2.*got shape \(3,\)"):
        compile_limit(bound).drift([1.0, 2.0, 3.0])


@pytest.mark.parametrize("shape", [(2, 5), (5, 2)])
def test_the_solution_of_least_norm(shape: tuple[int, int]) -> None:
    """Few rows are only rotated; many are first reflected into a triangle, the right side too."""
    rng = np.random.default_rng(0)
    rows, right = rng.normal(size=shape), rng.normal(size=shape[0])
    found = least_norm_solution(rows.copy(), right, min(shape))
    np.testing.assert_allclose(found, np.linalg.pinv(rows) @ right, rtol=AGREEMENT)
