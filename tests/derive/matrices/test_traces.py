"""Matrices for weights: the derivation in words against entries, and its numerics."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from derive import (
    Bernoulli,
    Gaussian,
    Limit,
    Mean,
    NoisyGradientDescent,
    NotCoveredError,
    Outcome,
    ProblemError,
    Rademacher,
    derive_limit,
)
from numerics import (
    Status,
    compile_descent,
    compile_limit,
    simulate_descent,
    simulate_limit,
)
from numerics.codegen.matrices import MatrixFunctions, matrix_source
from numerics.models.matrix_free import GramSolver

d, p, q, r = sp.symbols("d p q r", positive=True, integer=True)
y, xi, zeta = sp.symbols("y xi zeta", real=True)
A, U, E = (sp.MatrixSymbol(name, d, d) for name in "AUE")
SENSING = sp.Trace(A * U * U.T)

B = sp.MatrixSymbol("A", q, 2)
W1, W2, W3 = sp.MatrixSymbol("W1", 3, q), sp.MatrixSymbol("W2", 2, 3), sp.MatrixSymbol("W3", 2, 2)
DEEP = sp.Trace(B * W3 * W2 * W1) / 2

x, v = sp.MatrixSymbol("x", q, 1), sp.MatrixSymbol("v", 2, 1)
V1, V2 = sp.MatrixSymbol("W1", 2, q), sp.MatrixSymbol("W2", 2, 2)
VECTORS = sp.Trace(v.T * V2 * V1 * x)

QUARTIC = 3 * sp.Trace(A * U * U.T * (U + U.T) * U) - sp.Trace(A.T * U**2)

MODELS = {
    "sensing at d = 2": (SENSING, (U,), A, (2, 2), lambda a, u: np.trace(a @ u @ u.T)),
    "sensing at d = 3": (SENSING, (U,), A, (3, 3), lambda a, u: np.trace(a @ u @ u.T)),
    "deep linear": (
        DEEP,
        (W1, W2, W3),
        B,
        (3, 2),
        lambda a, w1, w2, w3: np.trace(a @ w3 @ w2 @ w1) / 2,
    ),
    "vectors": (
        VECTORS,
        (v, V2, V1),
        x,
        (3, 1),
        lambda a, v, w2, w1: (v.T @ w2 @ w1 @ a)[0, 0],
    ),
    "quartic": (
        QUARTIC,
        (U,),
        A,
        (2, 2),
        lambda a, u: 3 * np.trace(a @ u @ u.T @ (u + u.T) @ u) - np.trace(a.T @ u @ u),
    ),
}
"""Model, weights, data, shape of the data, and the model once more in plain NumPy."""


def label_noise(value: Any, weights: Any, symbol: Any, data: Any, targets: Any) -> Any:
    given = {symbol: data, y: targets}
    noisy = Mean((value - y - xi) ** 2, given, xi)
    return NoisyGradientDescent(Mean((value - y) ** 2, given), noisy, weights, xi)


def compiled(name, n=3, seed=0):
    value, weights, symbol, shape, _ = MODELS[name]
    data = np.random.default_rng(seed).normal(size=(n, *shape))
    return MatrixFunctions(label_noise(value, weights, symbol, data, np.zeros(n)).objective)


def sensing_problem(size, n, seed=0):
    """Matrix sensing of a random point, so that Γ is known to be there."""
    rng = np.random.default_rng(seed)
    data, w = rng.normal(size=(n, size, size)), rng.normal(size=size**2)
    u = w.reshape(size, size)
    targets = np.einsum("iab,ab->i", data, u @ u.T)
    return label_noise(SENSING, U, A, data, targets), w


@cache
def sensing(size, n):
    problem, w = sensing_problem(size, n)
    return compile_limit(derive_limit(problem)), w


def complex_step_jacobian(model, name, w):
    """∂h_i/∂w_j entry by entry, exact to rounding: Im h(w + iεe_j)/ε."""
    h, rows = MODELS[name][-1], []
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
    values = [MODELS[name][-1](a, *model.matrices(w)) for a in model.data]
    np.testing.assert_allclose(model.residuals(w), values, rtol=1e-12)
    np.testing.assert_allclose(model.jacobian(w), j, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(model.jvp(w, direction), j @ direction, rtol=1e-11)
    np.testing.assert_allclose(model.vjp(w, coefficients), coefficients @ j, atol=1e-11)
    np.testing.assert_allclose(model.gram(w), j @ j.T, rtol=1e-11)
    assert model.squared_gradient(w) == pytest.approx(np.sum(j**2) / 3, rel=1e-12)

    def regularizer(u):
        return np.sum(complex_step_jacobian(model, name, u) ** 2) / 3

    step = 1e-5  # central differences: error of order step² against eps/step
    slopes = [
        (regularizer(w + step * e) - regularizer(w - step * e)) / (2 * step)
        for e in np.eye(model.dimension)
    ]
    scale = np.abs(slopes).max()
    np.testing.assert_allclose(model.squared_gradient_slope(w), slopes, atol=1e-8 * scale)


def problems(n: int = 2) -> dict[str, NoisyGradientDescent]:
    """Every kind of noise that is covered, on matrix sensing and a deep linear net."""
    rng = np.random.default_rng(2)
    a, u = rng.normal(size=(n, 2, 2)), rng.normal(size=(2, 2))
    given = {A: a, y: np.einsum("iab,ab->i", a, u @ u.T)}
    loss = Mean((SENSING - y) ** 2, given)
    b = rng.normal(size=(n, 3, 2))
    w1, w2, w3 = (rng.normal(size=shape) for shape in ((3, 3), (2, 3), (2, 2)))
    deep = {B: b, y: np.einsum("iab,ba->i", b, w3 @ w2 @ w1) / 2}
    noises = [sp.MatrixSymbol(f"E{k}", *m.shape) for k, m in enumerate((W1, W2, W3))]
    moved = DEEP.xreplace({m: m + e for m, e in zip((W1, W2, W3), noises, strict=True)})
    two = Mean((SENSING - y - xi) ** 2 + zeta * (SENSING - y), given, (xi, zeta))
    return {
        "labels": NoisyGradientDescent(loss, Mean((SENSING - y - xi) ** 2, given, xi), U, xi),
        "signs on two noises": NoisyGradientDescent(loss, two, U, (xi, zeta), Rademacher()),
        "weights": NoisyGradientDescent(
            loss, Mean((sp.Trace(A * (U + E) * (U + E).T) - y) ** 2, given), U, E
        ),
        "weights of a deep net": NoisyGradientDescent(
            Mean(3 * (DEEP - y) ** 2, deep), Mean(3 * (moved - y) ** 2, deep), (W1, W2, W3), noises
        ),
        "additive": NoisyGradientDescent(loss, loss - 2 * sp.Trace(E.T * U), U, E),
    }


@cache
def limits(name: str) -> tuple[Limit, Limit]:
    problem = problems()[name]
    return derive_limit(problem), derive_limit(problem.written_out())


KINDS = ("labels", "signs on two noises", "weights", "additive")
ALL = [*KINDS, pytest.param("weights of a deep net", marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    "name", [*KINDS, pytest.param("weights of a deep net", marks=pytest.mark.slow)]
)
def test_limit_is_that_of_the_entries(name):
    """Outcome, time scale, c of Σ = cH, and the numbers: α → 0, at a step, with momentum."""
    ours, theirs = limits(name)
    assert ours.outcome is theirs.outcome
    assert ours.time_scale == theirs.time_scale
    assert [s.verdict.value for s in ours.evidence.steps] == [
        s.verdict.value for s in theirs.evidence.steps
    ]
    if ours.classification.hessian_multiple is not None:
        gap = ours.classification.hessian_multiple - theirs.classification.hessian_multiple
        assert gap == 0
    start = np.random.default_rng(2).normal(size=ours.problem.dimension)
    for at_step in ((0,), (0.02,), (0.02, 0.5)):
        fast, oracle = (compile_limit(limit.at_step(*at_step)) for limit in (ours, theirs))
        here = oracle.retract(start)
        assert np.isfinite(here).all()
        for ask in ("drift", "projector", "spectrum"):
            expected = getattr(oracle, ask)(here)
            # Conjugate gradients stop at 10⁻⁶ of their right-hand side.
            np.testing.assert_allclose(
                getattr(fast, ask)(here), expected, rtol=0, atol=1e-6 * np.abs(expected).max()
            )
        reg = oracle.regularizer(here)
        np.testing.assert_allclose(fast.regularizer(here), reg, rtol=1e-9)
    assert np.linalg.norm(fast.drift(here)) > 1e-2


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if k else ())
        for k, name in enumerate([*KINDS, "weights of a deep net"])
    ],
)
def test_recursion_is_that_of_the_entries(name):
    """With the same random numbers, path by path."""
    problem = problems()[name]
    start = np.random.default_rng(2).normal(size=problem.dimension)
    run = {"alpha": 0.004, "sigma": 0.2, "steps": 300, "paths": 2, "seed": 7, "momentum": 0.5}
    ours, theirs = (
        simulate_descent(each, start, first_path=3, **run)
        for each in (problem, problem.written_out())
    )
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=0, atol=1e-12)
    assert (ours.times == theirs.times).all()
    assert np.ptp(ours.weights[:, -1], axis=0).max() > 1e-3


def test_noise_of_many_coordinates_is_the_same_noise(monkeypatch):
    problem, w = sensing_problem(3, 4)
    run = {"alpha": 0.01, "sigma": 0.1, "steps": 7, "paths": 1, "seed": 2}
    expected = simulate_descent(problem, w, **run).weights
    monkeypatch.setattr("numerics.simulation.descent.matrix_descent.COMPILED_COORDINATES", 0)
    np.testing.assert_allclose(simulate_descent(problem, w, **run).weights, expected, rtol=1e-14)


def test_runs_that_diverge_or_leave_are_marked():
    problem, w = sensing_problem(3, 4)
    run = {"alpha": 0.01, "sigma": 0.1, "steps": 900, "paths": 1, "seed": 2}
    with pytest.warns(UserWarning, match="alpha"):
        lost = simulate_descent(problem, w, **(run | {"alpha": 9.0}))
    assert lost.status[0] is Status.DIVERGED
    left = simulate_descent(problem, w, neighbourhood=1e-3, **run)
    assert left.status[0] is Status.LEFT_NEIGHBOURHOOD


def test_gradient_of_the_squared_gradient_with_mixed_samples():
    model = compiled("deep linear")
    rng = np.random.default_rng(3)
    (w, direction), step = rng.normal(size=(2, model.dimension)), 1e-6
    factor = rng.normal(size=(3, 3))
    mixing = factor @ factor.T

    def value(shift):
        return np.sum(mixing * model.gram(w + shift * direction)) / model.samples

    difference = (value(step) - value(-step)) / (2 * step)
    found = model.squared_gradient_slope(w, mixing) @ direction
    assert found == pytest.approx(difference, rel=1e-7)


def test_means_over_many_samples_are_those_of_all_at_once():
    """700 matrices of 20 × 20 are more than one block."""
    data = np.random.default_rng(5).normal(size=(700, 20, 20))
    model = MatrixFunctions(label_noise(SENSING, U, A, data, np.zeros(700)).objective)
    u = np.random.default_rng(6).normal(size=(20, 20))
    symmetric = data + data.mT
    expected = 2 * np.einsum("iab,ibc->ac", symmetric, symmetric) @ u / 700
    slope = model.squared_gradient_slope(u.ravel()).reshape(20, 20)
    np.testing.assert_allclose(slope, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_solves_agree_with_dense_ones_and_projection_is_orthogonal():
    fast, w = sensing(4, 5)
    model = fast.model.functions
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
    drift = fast.drift(w)
    j, slope = model.jacobian(w), model.squared_gradient_slope(w) / model.samples
    onto = np.eye(16) - np.linalg.pinv(j) @ j
    np.testing.assert_allclose(drift, -onto @ slope, atol=1e-6)


def test_redundant_samples_do_not_hinder_the_projection():
    fast, w = sensing(4, 5)
    data, targets = fast.model.functions.data, fast.model.functions.targets
    twice = label_noise(SENSING, U, A, np.concatenate([data] * 2), np.concatenate([targets] * 2))
    expected = fast.drift(w) / 2  # n is doubled, the rest is the same
    np.testing.assert_allclose(compile_limit(derive_limit(twice)).drift(w), expected, atol=1e-5)


def test_retraction_reaches_the_manifold():
    fast, w = sensing(4, 5)
    moved = fast.retract(w + 0.05 * np.random.default_rng(1).normal(size=16))
    model = fast.model.functions
    assert np.linalg.norm(model.residuals(moved)) < 1e-8 * np.linalg.norm(model.targets)


def test_flow_agrees_with_an_ordinary_solver_and_descends_on_the_manifold():
    fast, w = sensing(4, 5)
    model, times = fast.model.functions, np.array([0.0, 0.1, 0.5, 1.0])
    paths = simulate_limit(fast, w, time=1.0, paths=1, seed=0, record=times, tolerance=1e-4)
    assert paths.status[0] is Status.OK

    def drift(_, u):
        j = model.jacobian(u)
        return -(np.eye(16) - np.linalg.pinv(j) @ j) @ model.squared_gradient_slope(u) / 5

    exact = solve_ivp(drift, (0, 1), w, t_eval=times, rtol=1e-9, atol=1e-10).y.T
    np.testing.assert_allclose(paths.weights[0], exact, atol=2e-3)
    values = [model.squared_gradient(u) for u in paths.weights[0]]
    assert np.all(np.diff(values) < 0)
    residuals = [np.linalg.norm(model.residuals(u)) for u in paths.weights[0]]
    assert max(residuals) < 1e-7 * np.linalg.norm(model.targets)


def test_steps_along_the_manifold_do_not_depend_on_what_is_recorded():
    fast, w = sensing(4, 5)
    at_step = fast.limit.at_step(0.005)
    run = {"time": 1.0, "paths": 1, "seed": 0, "tolerance": 1e-2}
    few, many = (simulate_limit(at_step, w, record=count, **run) for count in (3, 101))
    np.testing.assert_allclose(many.weights[0, ::50], few.weights[0], atol=1e-6)
    model = fast.model.functions
    residuals = [np.linalg.norm(model.residuals(u)) for u in many.weights[0]]
    assert max(residuals) < 1e-7 * np.linalg.norm(model.targets)


def test_steps_that_leave_the_manifold_are_halved():
    """With no bound on its error a step is as long as it finds back to Γ."""
    fast, w = sensing(4, 5)
    run = simulate_limit(fast, w, time=5.0, paths=1, seed=0, record=2, tolerance=1e3)
    assert run.status[0] is Status.OK
    model = fast.model.functions
    assert np.linalg.norm(model.residuals(run.weights[0, -1])) < 1e-7 * np.linalg.norm(
        model.targets
    )


def test_limit_commutes_with_rotations_of_the_factor():
    """h(U Q) = h(U) for orthogonal Q, so that the flow from U₀Q is the flow from U₀, times Q."""
    fast, w = sensing(3, 4)
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    turned = (w.reshape(3, 3) @ turn).ravel()
    drift = fast.drift(w).reshape(3, 3)
    np.testing.assert_allclose(fast.drift(turned).reshape(3, 3), drift @ turn, atol=1e-6)


def test_limit_in_words():
    limit = limits("labels")[0]
    assert "xi drawn for each sample" in str(limit)
    assert "special form    −1/4 P∇ΔL" in str(limit)
    assert "V = Trace(⟨2*A**2 + A*A.T + A.T*A⟩*U*U.T)/2" in str(limit)
    assert r"\left\langle" in limit.latex()
    assert "∂h/∂U           A*U + A.T*U" in str(limit)
    assert "∇_U ⟨|∂h|²⟩     2*⟨A**2 + A.T**2 + A*A.T + A.T*A⟩*U" in str(limit)
    assert "proof: each column of G is a combination" in str(limit)
    assert "A @ U + A.mT @ U" in matrix_source(limit.problem.objective.words)
    slopes = limit.problem.objective.words.mean_squared_gradient_slopes
    assert [str(slope) for slope in slopes] == ["2*⟨A**2 + A.T**2 + A*A.T + A.T*A⟩*U"]
    assert str(limits("weights")[0].slope[0]) == str(slopes[0])
    assert "Brownian motion" in str(limits("additive")[0])


def test_dropconnect_of_entries_is_that_of_the_model_in_entries():
    """Noise that no word holds is written out: U + U∘E against entries multiplied by hand."""
    rng = np.random.default_rng(4)
    data, u = rng.integers(-2, 3, (2, 2, 2)) / 2, np.array([[1.0, 0.5], [-0.5, 1.0]])
    given = {A: data, y: np.einsum("iab,ab->i", data, u @ u.T)}
    dropped = U + sp.HadamardProduct(U, E)
    noisy = Mean((sp.Trace(A * dropped * dropped.T) - y) ** 2, given)
    problem = NoisyGradientDescent(Mean((SENSING - y) ** 2, given), noisy, U, E, Bernoulli())
    ours = derive_limit(problem)
    weights = sp.symbols("U1_1 U1_2 U2_1 U2_2", real=True)
    noise = sp.symbols("e1:5", real=True)

    def loss(entries: Any) -> sp.Expr:
        square = sp.Matrix(2, 2, entries)
        values = [(sp.Matrix(a) * square * square.T).trace() for a in data]
        return sum(sp.nsimplify(h - t) ** 2 for h, t in zip(values, given[y], strict=True)) / 2

    multiplied = [w * (1 + e) for w, e in zip(weights, noise, strict=True)]
    theirs = derive_limit(
        NoisyGradientDescent(loss(weights), loss(multiplied), weights, noise, Bernoulli())
    )
    assert ours.outcome is theirs.outcome is Outcome.NON_DEGENERATE
    assert sp.expand(ours.regularizer - theirs.regularizer) == 0
    gap = ours.moments.covariance - theirs.moments.covariance
    assert gap.applyfunc(sp.expand).is_zero_matrix
    assert sp.expand(ours.regularizer - 2 * theirs.regularizer) != 0
    assert compile_descent(problem).problem == problem.written_out()


ONES = {A: np.ones((3, 2, 2)), y: np.ones(3)}
MANY = {A: np.ones((300, 2, 2)), y: np.ones(300)}


def stated(value: Any, weights: Any = U, data: Any = ONES) -> NoisyGradientDescent:
    noisy = Mean((value - y - xi) ** 2, data, xi)
    return NoisyGradientDescent(Mean((value - y) ** 2, data), noisy, weights, xi)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: stated(sp.Trace(A * A * U)), ProblemError, "not linear in the data"),
        (lambda: stated(sp.Trace(A)), ProblemError, "beside a weight"),
        (lambda: stated(sp.Trace(A * U * E)), ProblemError, "E is neither among the weights"),
        (lambda: stated(sp.Trace(A * U) ** 2), ProblemError, "not a sum of traces"),
        (lambda: stated(sp.Trace(A * U.inv())), ProblemError, "no polynomial in matrix symbols"),
        (
            lambda: stated(DEEP, (W1, W2, W3), {B: np.ones((3, 2)), y: np.ones(3)}),
            ProblemError,
            r"shape \(n, p, q\) for A",
        ),
        (
            lambda: stated(DEEP, (W1, W2, W3), {B: np.ones((3, 3, 2)), y: np.ones(2)}),
            ProblemError,
            "as many numbers",
        ),
        (
            lambda: stated(DEEP, (W1, W2, W3), {B: np.ones((3, 3, 3)), y: np.ones(3)}).dimension,
            ProblemError,
            "does not fit arrays",
        ),
        (
            lambda: NoisyGradientDescent(
                Mean((SENSING - y) ** 2, ONES), Mean((SENSING - 2 * y - xi) ** 2, ONES, xi), U, xi
            ),
            ProblemError,
            "must equal L",
        ),
        (
            lambda: derive_limit(
                NoisyGradientDescent(
                    Mean((SENSING - y) ** 2, MANY),
                    Mean((SENSING - y) ** 2 + sp.Trace(E.T * U) ** 2, MANY),
                    U,
                    E,
                )
            ),
            NotCoveredError,
            "noise is covered that",
        ),
        (
            lambda: NoisyGradientDescent(
                Mean((SENSING - y) ** 2, ONES),
                Mean((SENSING - y - xi) ** 2, ONES, xi),
                U,
                xi,
                Gaussian([[2]]),
            ),
            NotCoveredError,
            "independent coordinates",
        ),
        (lambda: stated(sp.Trace(A * U), sp.MatrixSymbol("W", 2, 2)), ProblemError, "U is neither"),
    ],
)
def test_what_is_malformed_or_not_covered_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_number_without_a_value_is_refused():
    with pytest.raises(ProblemError, match="c is neither a weight"):
        stated(sp.Symbol("c", real=True) * SENSING)
