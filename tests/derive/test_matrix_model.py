"""Models with matrices for weights: the matrix derivation against entries, and its numerics."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from derive import NoisyGradientDescent, ProblemError, derive_limit
from derive.matrix_model import MatrixModel, derive_matrix_limit
from numerics import CodeGenerationError, Status, compile_limit
from numerics.codegen.matrices import compile_matrix_limit, matrix_source
from numerics.simulation.matrix_flow import (
    GramSolver,
    curvature,
    limit_drift,
    retract,
    simulate_matrix_descent,
    simulate_matrix_limit,
)

d, p, q, r = sp.symbols("d p q r", positive=True, integer=True)
A, U = sp.MatrixSymbol("A", d, d), sp.MatrixSymbol("U", d, d)
SENSING = MatrixModel(sp.Trace(A * U * U.T), U, A)

W1, W2, W3 = sp.MatrixSymbol("W1", p, q), sp.MatrixSymbol("W2", r, p), sp.MatrixSymbol("W3", 2, r)
B = sp.MatrixSymbol("A", q, 2)
DEEP = MatrixModel(sp.Trace(B * W3 * W2 * W1) / 2, (W1, W2, W3), B)

x, v = sp.MatrixSymbol("x", q, 1), sp.MatrixSymbol("v", r, 1)
VECTORS = MatrixModel(v.T * W2 * W1 * x, (v, W2, W1), x)

QUARTIC = MatrixModel(3 * sp.Trace(A * U * U.T * (U + U.T) * U) - sp.Trace(A.T * U**2), U, A)

MODELS = {
    "sensing at d = 2": (SENSING, (2, 2), {}, lambda a, u: np.trace(a @ u @ u.T)),
    "sensing at d = 3": (SENSING, (3, 3), {}, lambda a, u: np.trace(a @ u @ u.T)),
    "deep linear": (
        DEEP,
        (3, 2),
        {p: 3, r: 2},
        lambda a, w1, w2, w3: np.trace(a @ w3 @ w2 @ w1) / 2,
    ),
    "vectors": (VECTORS, (3, 1), {p: 2, r: 2}, lambda a, v, w2, w1: (v.T @ w2 @ w1 @ a)[0, 0]),
    "quartic": (
        QUARTIC,
        (2, 2),
        {},
        lambda a, u: 3 * np.trace(a @ u @ u.T @ (u + u.T) @ u) - np.trace(a.T @ u @ u),
    ),
}
"""Model, shape of its data, hidden dimensions, and the model once more in plain NumPy."""


def compiled(name, n=3, seed=0):
    model, shape, dimensions, _ = MODELS[name]
    data = np.random.default_rng(seed).normal(size=(n, *shape))
    return compile_matrix_limit(derive_matrix_limit(model), data, np.zeros(n), dimensions)


def sensing(size, n, seed=0):
    """Matrix sensing of a random point, so that Γ is known to be there."""
    rng = np.random.default_rng(seed)
    data, w = rng.normal(size=(n, size, size)), rng.normal(size=size**2)
    u = w.reshape(size, size)
    targets = np.einsum("iab,ab->i", data, u @ u.T)
    return compile_matrix_limit(derive_matrix_limit(SENSING), data, targets), w


def complex_step_jacobian(model, name, w):
    """∂h_i/∂w_j entry by entry, exact to rounding: Im h(w + iεe_j)/ε."""
    h, rows = MODELS[name][3], []
    for a in model.data:
        moved = (w + 1e-30j * unit for unit in np.eye(len(w)))
        rows.append([h(a, *model.matrices(point)).imag / 1e-30 for point in moved])
    return np.array(rows)


@pytest.mark.parametrize("name", MODELS)
def test_every_matrix_derivative_agrees_with_its_entries(name):
    model = compiled(name)
    w, direction = np.random.default_rng(1).normal(size=(2, model.dimension))
    coefficients = np.array([1.0, -2.0, 0.5])
    j = complex_step_jacobian(model, name, w)
    values = [MODELS[name][3](a, *model.matrices(w)) for a in model.data]
    np.testing.assert_allclose(model.residuals(w), values, rtol=1e-12)
    np.testing.assert_allclose(model.jacobian(w), j, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(model.jvp(w, direction), j @ direction, rtol=1e-11)
    np.testing.assert_allclose(model.vjp(w, coefficients), coefficients @ j, atol=1e-11)
    np.testing.assert_allclose(model.gram(w), j @ j.T, rtol=1e-11)
    assert model.regularizer(w) == pytest.approx(np.sum(j**2) / 3, rel=1e-12)

    def regularizer(u):
        return np.sum(complex_step_jacobian(model, name, u) ** 2) / 3

    step = 1e-5  # central differences: error of order step² against eps/step
    slopes = [
        (regularizer(w + step * e) - regularizer(w - step * e)) / (2 * step)
        for e in np.eye(model.dimension)
    ]
    scale = np.abs(slopes).max()
    np.testing.assert_allclose(model.regularizer_gradient(w), slopes, atol=1e-8 * scale)


def label_noise(model, size):
    """Matrix sensing for the element-wise derivation, with exact rational data."""
    weights = sp.symbols(f"w1:{size**2 + 1}", real=True)
    u = sp.Matrix(size, size, weights)
    noise = sp.symbols(f"eta1:{model.samples + 1}", real=True)
    rest = [
        sp.expand((sp.Matrix(a.tolist()).applyfunc(sp.Rational) * u * u.T).trace() - sp.Rational(y))
        for a, y in zip(model.data, model.targets, strict=True)
    ]
    loss = sum(e**2 for e in rest) / len(rest)
    noisy = sum((e - eta) ** 2 for e, eta in zip(rest, noise, strict=True)) / len(rest)
    return NoisyGradientDescent(loss, noisy, weights, noise)


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_limit_agrees_with_the_elementwise_derivation(size):
    """Both the limit α → 0 and the one at a finite step, at points of Γ."""
    n, rng = 2, np.random.default_rng(2)
    data = rng.integers(-3, 4, size=(n, size, size)) / 2
    u = rng.integers(-2, 3, size=(size, size)) / 2
    targets = np.einsum("iab,ab->i", data, u @ u.T)
    model = compile_matrix_limit(derive_matrix_limit(SENSING), data, targets)
    limit = derive_limit(label_noise(model, size))
    assert limit.outcome.value == "deterministic"
    solver = GramSolver(model)
    w = retract(solver, u.ravel() + 0.2 * rng.normal(size=size**2))
    step = 0.5 / curvature(model, w).largest
    for alpha, derived in ((0.0, limit), (step, limit.at_step(sp.Rational(step)))):
        drift, _ = limit_drift(solver, w, alpha=alpha)
        np.testing.assert_allclose(drift, compile_limit(derived).drift(w), rtol=1e-6, atol=1e-8)
    assert np.linalg.norm(drift) > 1e-2


def test_gradient_of_the_regularizer_with_mixed_samples():
    model = compiled("deep linear")
    rng = np.random.default_rng(3)
    (w, direction), step = rng.normal(size=(2, model.dimension)), 1e-6
    factor = rng.normal(size=(3, 3))
    mixing = factor @ factor.T

    def value(shift):
        return np.sum(mixing * model.gram(w + shift * direction)) / model.samples

    difference = (value(step) - value(-step)) / (2 * step)
    assert model.regularizer_gradient(w, mixing) @ direction == pytest.approx(difference, rel=1e-7)


def test_solves_agree_with_dense_ones_and_projection_is_orthogonal():
    model, w = sensing(4, 5)
    right = np.random.default_rng(1).normal(size=5)
    expected = np.linalg.solve(model.gram(w), right)
    solver = GramSolver(model)
    for guess in (None, expected + 1):
        np.testing.assert_allclose(solver.solve(w, right, guess), expected, rtol=1e-4)
    # The factor at w preconditions at other points, near and far.
    for distance in (0.01, 1.0):
        moved = w + distance * np.random.default_rng(2).normal(size=16)
        expected = np.linalg.solve(model.gram(moved), right)
        np.testing.assert_allclose(solver.solve(moved, right), expected, rtol=1e-4)
    drift, found = limit_drift(solver, w)
    j, slope = model.jacobian(w), model.regularizer_gradient(w) / model.samples
    onto = np.eye(16) - np.linalg.pinv(j) @ j
    np.testing.assert_allclose(drift, -onto @ slope, atol=1e-6)
    np.testing.assert_allclose(limit_drift(solver, w, found)[0], drift, atol=1e-6)


def test_redundant_samples_do_not_hinder_the_projection():
    model, w = sensing(4, 5)
    twice = compile_matrix_limit(
        model.limit, np.concatenate([model.data] * 2), np.concatenate([model.targets] * 2)
    )
    expected = limit_drift(GramSolver(model), w)[0] / 2  # n is doubled, the rest is the same
    np.testing.assert_allclose(limit_drift(GramSolver(twice), w)[0], expected, atol=1e-5)


def test_retraction_reaches_the_manifold():
    model, w = sensing(4, 5)
    moved = retract(GramSolver(model), w + 0.05 * np.random.default_rng(1).normal(size=16))
    assert np.linalg.norm(model.residuals(moved)) < 1e-8 * np.linalg.norm(model.targets)


def test_flow_agrees_with_an_ordinary_solver_and_descends_on_the_manifold():
    model, w = sensing(4, 5)
    times = np.array([0.0, 0.1, 0.5, 1.0])
    paths = simulate_matrix_limit(model, w, times, tolerance=1e-4)
    assert paths.status[0] is Status.OK

    def drift(_, u):
        j = model.jacobian(u)
        return -(np.eye(16) - np.linalg.pinv(j) @ j) @ model.regularizer_gradient(u) / 5

    exact = solve_ivp(drift, (0, 1), w, t_eval=times, rtol=1e-9, atol=1e-10).y.T
    np.testing.assert_allclose(paths.weights[0], exact, atol=2e-3)
    values = [model.regularizer(u) for u in paths.weights[0]]
    assert np.all(np.diff(values) < 0)
    residuals = [np.linalg.norm(model.residuals(u)) for u in paths.weights[0]]
    assert max(residuals) < 1e-7 * np.linalg.norm(model.targets)


def test_limit_commutes_with_rotations_of_the_factor():
    """h(U Q) = h(U) for orthogonal Q, so that the flow from U₀Q is the flow from U₀, times Q."""
    model, w = sensing(3, 4)
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    turned = (w.reshape(3, 3) @ turn).ravel()
    drift = limit_drift(GramSolver(model), w)[0].reshape(3, 3)
    np.testing.assert_allclose(
        limit_drift(GramSolver(model), turned)[0].reshape(3, 3), drift @ turn, atol=1e-6
    )


def test_descent_is_its_recursion():
    model, w = sensing(3, 4)
    paths = simulate_matrix_descent(model, w, [1, 3], alpha=0.01, sigma=0.1, seed=2)
    rng, u = np.random.default_rng(2), w
    for k in range(3):
        noise = 0.1 * rng.standard_normal(4)
        u = u - 0.01 * (2 / 4) * model.jacobian(u).T @ (model.residuals(u) - noise)
        if k + 1 in (1, 3):
            np.testing.assert_allclose(paths.weights[0, (k + 1) // 2], u, rtol=1e-10)
    assert (
        simulate_matrix_descent(model, w, [900], alpha=9.0, sigma=0.1).status[0] is Status.DIVERGED
    )


def test_curvature_is_that_of_the_hessian():
    model, w = sensing(3, 4)
    values = np.linalg.eigvalsh(2 / 4 * model.jacobian(w).T @ model.jacobian(w))
    found = curvature(model, w)
    assert found.largest == pytest.approx(values[-1])
    assert found.smallest == pytest.approx(values[-4])


def test_limit_in_matrix_notation():
    limit = derive_matrix_limit(SENSING)
    text = str(limit)
    assert "∂h/∂U = A*U + A.T*U" in text
    assert "∇_U reg = 2*⟨A**2 + A.T**2 + A*A.T + A.T*A⟩*U" in text
    assert "dW/dt = −(1/n) P∇reg(W)" in text
    assert r"\left\langle" in limit.latex()
    assert r"-\frac{1}{n} P \nabla" in limit.latex()
    assert "A @ U + A.mT @ U" in matrix_source(limit)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MatrixModel(sp.Trace(A * A * U), U, A), "not linear in the data"),
        (lambda: MatrixModel(sp.Trace(A), U, A), "beside a weight"),
        (lambda: MatrixModel(sp.Trace(A * U), (), A), "neither among the weights nor the data"),
        (lambda: MatrixModel(A * U, U, A), "take its Trace"),
        (lambda: MatrixModel(sp.Trace(A * U) ** 2, U, A), "no sum of traces"),
        (lambda: MatrixModel(sp.Trace(A * U.inv()), U, A), "no polynomial in matrix symbols"),
    ],
)
def test_malformed_models_are_refused(build, message):
    with pytest.raises(ProblemError, match=message):
        build()


def test_data_that_do_not_fit_are_refused():
    limit = derive_matrix_limit(DEEP)
    with pytest.raises(CodeGenerationError, match=r"got \(3, 2\) and \(3,\)"):
        compile_matrix_limit(limit, np.ones((3, 2)), np.ones(3))
    with pytest.raises(CodeGenerationError, match="does not fit arrays"):
        compile_matrix_limit(limit, np.ones((3, 3, 3)), np.ones(3))
    with pytest.raises(CodeGenerationError, match="p, r without a value"):
        compile_matrix_limit(limit, np.ones((3, 3, 2)), np.ones(3))
    scaled = derive_matrix_limit(MatrixModel(sp.Symbol("c") * sp.Trace(A * U * U.T), U, A))
    with pytest.raises(CodeGenerationError, match="a scalar without a value"):
        compile_matrix_limit(scaled, np.ones((3, 2, 2)), np.ones(3))
