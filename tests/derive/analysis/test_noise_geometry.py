"""The alignments of minibatch noise: array code against the definitions, and against symbols."""

import numpy as np
import pytest
import sympy as sp

from derive import ProblemError
from derive.analysis.noise_geometry import NoiseGeometry
from numerics.errors import ArgumentError
from numerics.noise_geometry import (
    directional_alignment,
    effective_dimension,
    extreme_directional_alignments,
    extreme_linear_alignments,
    extreme_loss_alignments,
    loss_alignment,
    principal_alignments,
)

ROUNDING = 1e-11


def brute_force(j, r):
    """L, 𝒢 and Σ as they are defined, sample by sample."""
    n = len(r)
    slopes = [residual * row for residual, row in zip(r, j, strict=True)]
    mean = sum(slopes) / n
    sigma = sum(np.outer(s, s) for s in slopes) / n - np.outer(mean, mean)
    return sum(x * x / 2 for x in r) / n, sum(np.outer(row, row) for row in j) / n, sigma


def samples(n, weights, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, weights)) * np.geomspace(1, 0.1, weights), rng.normal(size=n)


@pytest.mark.parametrize(("n", "weights"), [(3, 8), (8, 8), (20, 5), (1, 4)])
def test_loss_alignment_is_its_definition(n, weights):
    j, r = samples(n, weights)
    loss, fisher, sigma = brute_force(j, r)
    expected = np.trace(sigma @ fisher) / (2 * loss * np.linalg.norm(fisher) ** 2)
    assert loss_alignment(j, r) == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


def test_directional_alignment_is_its_definition():
    j, r = samples(7, 5)
    loss, fisher, sigma = brute_force(j, r)
    v = np.random.default_rng(1).normal(size=(2, 3, 5))
    expected = [[x @ sigma @ x / (2 * loss * (x @ fisher @ x)) for x in row] for row in v]
    np.testing.assert_allclose(directional_alignment(j, r, v), expected, rtol=ROUNDING)


def test_no_alignment_along_directions_without_curvature():
    j, r = np.array([[1.0, 2.0, 0.0], [0.3, 0.0, 0.0]]), np.array([1.0, -2.0])
    along = directional_alignment(j, r, np.eye(3))
    assert np.isfinite(along[:2]).all()
    assert np.isnan(along[2])


@pytest.mark.parametrize(("n", "weights"), [(4, 9), (12, 5)])
def test_principal_alignments_are_those_of_the_eigenvectors(n, weights):
    j, r = samples(n, weights)
    loss, fisher, sigma = brute_force(j, r)
    values, vectors = np.linalg.eigh(fisher)
    rank = min(n, weights)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    found = principal_alignments(j, r)
    np.testing.assert_allclose(found.curvatures, values, rtol=1e-9)
    energies = [u @ sigma @ u / (2 * loss) for u in vectors.T]
    np.testing.assert_allclose(found.energies, energies, rtol=1e-9)
    np.testing.assert_allclose(found.alignments, directional_alignment(j, r, vectors.T), rtol=1e-9)


def test_alignments_do_not_depend_on_the_scale_or_the_basis():
    j, r = samples(6, 4)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    assert loss_alignment(3 * j @ rotation, -5 * r) == pytest.approx(loss_alignment(j, r))


def test_independent_residuals_of_equal_size_are_aligned_but_for_the_mean():
    """On orthonormal rows with |r_i| = 1, by hand: μ = g(j_i) = 1 − 1/n."""
    n = 16
    r = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    j = np.eye(n, 40)
    assert loss_alignment(j, r) == pytest.approx(1 - 1 / n, rel=ROUNDING)
    np.testing.assert_allclose(directional_alignment(j, r, j), 1 - 1 / n, rtol=ROUNDING)


def quadratic_form(values, n):
    """The symmetric matrix of a quadratic form, by polarisation of its values."""
    e = np.eye(n)
    return np.array([[(values(a + b) - values(a - b)) / 4 for a in e] for b in e])


@pytest.mark.parametrize(("n", "weights"), [(4, 9), (7, 3)])
def test_extremes_of_the_loss_alignment_are_those_of_its_definition(n, weights):
    j, _ = samples(n, weights)

    def energy(r):
        return loss_alignment(j, r) * (r @ r) if r.any() else 0.0

    form = quadratic_form(energy, n)
    found = extreme_loss_alignments(j)
    expected = np.linalg.eigvalsh(form)[[0, -1]]
    np.testing.assert_allclose([found.least, found.greatest], expected, atol=1e-10)
    span = np.linalg.qr(np.random.default_rng(3).normal(size=(n, 2)))[0]
    within = extreme_loss_alignments(j, 3 * span)
    expected = np.linalg.eigvalsh(span.T @ form @ span)[[0, -1]]
    np.testing.assert_allclose([within.least, within.greatest], expected, atol=1e-10)


@pytest.mark.parametrize(("n", "weights"), [(4, 9), (7, 3)])
def test_extremes_of_the_directional_alignment_are_those_of_its_definition(n, weights):
    j, r = samples(n, weights)
    rows = np.linalg.qr(j.T)[0].T[: min(n, weights)]  # directions outside are in the kernel of 𝒢
    noise, curvature = (
        quadratic_form(lambda v, f=f: f(v @ rows), len(rows))
        for f in (
            lambda v: directional_alignment(j, r, v) * np.mean((j @ v) ** 2) if v.any() else 0.0,
            lambda v: np.mean((j @ v) ** 2),
        )
    )
    expected = np.sort(np.linalg.eigvals(np.linalg.solve(curvature, noise)).real)[[0, -1]]
    found = extreme_directional_alignments(j, r)
    np.testing.assert_allclose([found.least, found.greatest], expected, rtol=1e-8, atol=1e-10)


def test_extremes_over_weights_and_directions_are_those_of_a_grid():
    """Both angles of a linear model with two inputs, by the definition."""
    x = np.random.default_rng(4).normal(size=(9, 2)) @ np.array([[1.0, 0.4], [0.0, 0.2]])
    angles = np.linspace(0, np.pi, 361)
    grid = np.column_stack([np.cos(angles), np.sin(angles)]) @ np.linalg.inv(
        np.linalg.cholesky(x.T @ x / len(x))
    )
    values = np.array([directional_alignment(x, x @ u, grid) for u in grid])
    found = extreme_linear_alignments(x, seed=0)
    # A quarter of a degree away, where second derivatives are below 20.
    near = 20 * np.deg2rad(0.25) ** 2
    assert values.min() - near < found.least <= values.min() + ROUNDING
    assert values.max() - ROUNDING <= found.greatest < values.max() + near


@pytest.mark.parametrize("d", [2, 3])
def test_alignments_over_gaussian_inputs(d):
    """1 + (u·v)², on points that have the moments of a Gaussian up to the fifth order."""
    line = np.sqrt(3) * np.array([-1, 0, 0, 0, 0, 1])  # Gauss and Hermite's, 4 of 6 in the middle
    z = np.stack(np.meshgrid(*[line] * d), axis=-1).reshape(-1, d)
    found = extreme_linear_alignments(z @ np.diag(np.arange(1.0, d + 1)), seed=0)
    assert (found.least, found.greatest) == pytest.approx((1, 2), abs=1e-9)
    u, v = np.random.default_rng(5).normal(size=(2, d))
    expected = 1 + (u @ v) ** 2 / (u @ u) / (v @ v)
    assert directional_alignment(z, z @ u, v) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "d"), [(6, 4), (4, 4), (4, 3)])
def test_few_samples_bound_no_alignment_below(n, d):
    """For n ≤ 2(d − 1) some weights and direction have no noise, for n = d some have all of it."""
    found = extreme_linear_alignments(np.random.default_rng(6).normal(size=(n, d)), seed=0)
    assert abs(found.least) < 1e-8
    if n == d:
        assert found.greatest == pytest.approx(n - 1)


def test_extremes_refuse_what_has_none():
    with pytest.raises(ArgumentError, match="rank 3, one input per row, got rank 2"):
        extreme_linear_alignments(np.eye(4, 3) @ np.diag([1, 1, 0]), seed=0)
    with pytest.raises(ArgumentError, match="jacobian: 𝒢 is zero"):
        extreme_loss_alignments(np.zeros((3, 2)))
    with pytest.raises(ArgumentError, match="not all zero"):
        extreme_loss_alignments(np.eye(3), np.zeros((3, 1)))
    with pytest.raises(ArgumentError, match="a row per sample"):
        extreme_loss_alignments(np.eye(3), np.ones((2, 1)))
    with pytest.raises(ArgumentError, match=r"\(n, N\)"):
        extreme_directional_alignments(np.ones(3), np.ones(3))


def test_symbols_and_arrays_agree():
    w = sp.symbols("w1:5", real=True)
    x, y = [sp.Rational(1, 2), 1, sp.Rational(-3, 2)], [0, 1, 2]
    predictions = [w[0] * sp.tanh(w[1] * t) + w[2] * sp.tanh(w[3] * t) for t in x]
    geometry = NoiseGeometry(predictions, y, w)
    point = dict(zip(w, (0.3, -1.1, 0.7, 0.4), strict=True))
    j = np.array(geometry.jacobian.subs(point), dtype=float)
    r = np.array(geometry.residuals.subs(point), dtype=float).ravel()
    loss, fisher, sigma = brute_force(j, r)
    assert float(geometry.loss.subs(point)) == pytest.approx(loss)
    np.testing.assert_allclose(np.array(geometry.fisher.subs(point), float), fisher)
    np.testing.assert_allclose(
        np.array(geometry.covariance.subs(point), float), sigma, atol=ROUNDING
    )
    assert float(geometry.loss_alignment.subs(point)) == pytest.approx(loss_alignment(j, r))
    v = (1, -2, sp.Rational(1, 3), 0)
    assert float(geometry.directional_alignment(v).subs(point)) == pytest.approx(
        directional_alignment(j, r, [float(c) for c in v])
    )


def test_symbolic_alignment_of_two_samples_and_one_weight():
    """Equal gradients of the loss leave no noise; opposite ones leave all but the mean."""
    w, star = sp.symbols("w w_star", real=True)
    geometry = NoiseGeometry((w, -w), (star, -star), (w,))
    assert sp.simplify(geometry.loss_alignment) == 0
    noisy = NoiseGeometry((w, w), (star, -star), (w,))
    assert sp.simplify(noisy.loss_alignment - star**2 / (w**2 + star**2)) == 0


def test_effective_dimension():
    assert effective_dimension(np.ones(50)) == 50
    spectrum = 1 / np.sqrt(np.arange(1, 91))
    assert effective_dimension(spectrum[:60]) < 50 < effective_dimension(spectrum)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loss_alignment(np.ones((3, 2)), np.ones(2)), "got \\(3, 2\\) and \\(2,\\)"),
        (lambda: loss_alignment(np.ones((3, 2)), np.zeros(3)), "away from the minimum"),
        (lambda: loss_alignment(np.zeros((3, 2)), np.ones(3)), "undefined; use another point"),
        (
            lambda: directional_alignment(np.ones((3, 2)), np.ones(3), np.ones(3)),
            "expected shape \\(\\.\\.\\., 2\\)",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_malformed_models_are_refused():
    w = sp.Symbol("w", real=True)
    with pytest.raises(ProblemError, match="got 1 and 2"):
        NoiseGeometry((w,), (0, 1), (w,))
    with pytest.raises(ProblemError, match="depends on a weight"):
        NoiseGeometry((w,), (w,), (w,))
    with pytest.raises(ProblemError, match="expected 1 entries"):
        NoiseGeometry((w,), (0,), (w,)).directional_alignment((1, 2))
