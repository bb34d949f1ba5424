"""Exported programs: without this project, with the values of the compiled limit."""

import ast
import ctypes
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derive import Limit, Mean, NoisyGradientDescent, NotCoveredError, derive_limit
from derive.optimizers import LookAhead, Optimizer, Preconditioned, RootDescent
from numerics import compile_limit, write_numpy
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived

NAMED = {entry.name: entry for entry in CATALOGUE}
w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
ROUND = w1**2 + w2**2 - 1
RELATIVE = 1e-12
"""Both sides are a few hundred operations on numbers of condition below 10²: 10⁻¹⁶ times that."""

VERBS = ("drift", "diffusion", "projector", "regularizer", "constraints")
PROGRAM = """
import sys
import numpy as np
{before}
import limit
w = np.load("w.npy")
names = ("drift", "diffusion", "projector", "regularizer", "constraints")
np.savez("values.npz", **{{name: getattr(limit, name)(w) for name in names}})
assert not {{"sympy", "numba", "scipy", "derive", "numerics"}} & set(sys.modules)
"""
JAX_SETTINGS = 'import jax\njax.config.update("jax_enable_x64", True)'
Values = Mapping[str, np.ndarray]


def in_python(limit: Limit, w: np.ndarray, folder: Path, language: str = "numpy") -> Values:
    """Values of the exported functions at w, computed in a process that lacks the project."""
    (folder / "limit.py").write_text(limit.to(language))
    np.save(folder / "w.npy", w)
    program = PROGRAM.format(before=JAX_SETTINGS if language == "jax" else "")
    if language == "jax":
        program = program.replace('"scipy", ', "")  # JAX itself imports it
    command = [sys.executable, "-W", "error", "-c", program]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return dict(np.load(folder / "values.npz"))


def in_c(limit: Limit, w: np.ndarray, folder: Path) -> Values:
    """The same of the C file, compiled without any allowance."""
    source, library = folder / "limit.c", folder / "limit.so"
    source.write_text(limit.to("c"))
    strict = ["-std=c99", "-Wall", "-Werror", "-Wno-unused-function", "-O1", "-fPIC", "-shared"]
    subprocess.run(["cc", *strict, str(source), "-o", str(library), "-lm"], check=True, timeout=60)
    code = ctypes.CDLL(str(library))
    code.regularizer.restype = ctypes.c_double
    n, columns = limit.problem.dimension, limit.moments.columns.cols
    shapes: dict[str, tuple[int, ...]] = {
        "drift": (n,),
        "projector": (n, n),
        "diffusion": (n, max(1, columns)),
        "constraints": (len(limit.manifold.constraints),),
    }

    def value(name: str, point: np.ndarray) -> np.ndarray:
        at = point.ctypes.data_as(ctypes.c_void_p)
        if name == "regularizer":
            return np.array(code.regularizer(at))
        out = np.full(shapes[name], np.nan)
        getattr(code, name)(at, out.ctypes.data_as(ctypes.c_void_p))
        return out

    points = np.ascontiguousarray(w.reshape(-1, n))
    return {
        name: np.array([value(name, p) for p in points]).reshape(
            w.shape[:-1] + shapes.get(name, ())
        )
        for name in VERBS
    }


def assert_agrees(
    limit: Limit,
    entry: Entry,
    folder: Path,
    values_of: Callable[[Limit, np.ndarray, Path], Values] = in_python,
) -> None:
    fast = compile_limit(limit)
    w = fast.retract(np.array(entry.guesses, float))[:, None].repeat(2, axis=1)
    values = values_of(limit, w, folder)
    for name in ("drift", "projector", "regularizer"):
        assert_close(name, values[name], getattr(fast, name)(w))
    s, expected = values["diffusion"], fast.diffusion(w)
    spread = [x @ np.swapaxes(x, -1, -2) for x in (s, expected)]
    assert_close("diffusion", *spread)
    assert np.abs(values["constraints"]).max() < RELATIVE


def assert_close(name: str, given: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding; a run with -s prints by how much they differ."""
    print(f"{name}: {np.max(np.abs(given - expected) / (1 + np.abs(expected))):.1e}")
    np.testing.assert_allclose(given, expected, RELATIVE, RELATIVE, err_msg=name)


CLOSED = "additive noise on an ellipse"


def test_closed_form(tmp_path: Path) -> None:
    assert_agrees(derived(NAMED[CLOSED].problem).at_step(0.05), NAMED[CLOSED], tmp_path)
    text = (tmp_path / "limit.py").read_text()
    assert "_hessian" not in text
    imported = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(n) for n in imported] == ["import numpy as np"]


def test_the_file_is_the_text(tmp_path: Path) -> None:
    limit = derived(NAMED[CLOSED].problem)
    write_numpy(limit, tmp_path / "limit.py")
    assert (tmp_path / "limit.py").read_text() == limit.to("numpy")


POINTWISE = {
    "squares": NAMED["additive noise on an ellipse"],
    "no squares": NAMED["additive noise in a valley that is no sum of squares"],
    "a drift by Reg": NAMED["Gaussian DropConnect on the round ring"],
    "codimension two": NAMED["gradient noise that depends on the weights, on a twisted cubic"],
}


def without_closed_form(limit: Limit) -> Limit:
    for name in ("drift", "diffusion"):
        vars(limit)[name] = None
    vars(limit.manifold)["projector"] = None
    return limit


@pytest.mark.parametrize("case", POINTWISE)
def test_without_closed_form(case: str, tmp_path: Path) -> None:
    entry = POINTWISE[case]
    limit = without_closed_form(derive_limit(entry.problem).at_step(0.05, momentum=0.3))
    assert_agrees(limit, entry, tmp_path)


needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@needs_compiler
def test_closed_form_in_c(tmp_path: Path) -> None:
    assert_agrees(derived(NAMED[CLOSED].problem).at_step(0.05), NAMED[CLOSED], tmp_path, in_c)
    assert "eigen" not in (tmp_path / "limit.c").read_text()


@needs_compiler
@pytest.mark.parametrize("case", POINTWISE)
def test_without_closed_form_in_c(case: str, tmp_path: Path) -> None:
    entry = POINTWISE[case]
    limit = without_closed_form(derive_limit(entry.problem).at_step(0.05, momentum=0.3))
    assert_agrees(limit, entry, tmp_path, in_c)


@pytest.mark.parametrize("closed", [True, False])
def test_jax(closed: bool, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    limit = derive_limit(NAMED[CLOSED].problem).at_step(0.05)
    limit = limit if closed else without_closed_form(limit)
    assert_agrees(limit, NAMED[CLOSED], tmp_path, lambda *given: in_python(*given, "jax"))


GIVEN = [[2 + w1**2, w1 * w2 / 2], [w1 * w2 / 2, 1 + w2**2]]
"""Not of variance one along Γ, where its root would be itself."""


@pytest.mark.parametrize("values_of", [in_python, pytest.param(in_c, marks=needs_compiler)])
def test_given_covariance(values_of: Callable[..., Values], tmp_path: Path) -> None:
    entry = NAMED["parameter noise on the round ring"]
    problem = NoisyGradientDescent.from_gradient_noise(ROUND**2 / 4, GIVEN, (w1, w2))
    assert_agrees(without_closed_form(derive_limit(problem)), entry, tmp_path, values_of)


@pytest.mark.parametrize("values_of", [in_python, pytest.param(in_c, marks=needs_compiler)])
def test_noise_along_the_manifold_beside_a_drift_by_reg(
    values_of: Callable[..., Values], tmp_path: Path
) -> None:
    """At a finite step it has the weight √α."""
    entry, loss = NAMED["parameter noise on the round ring"], ROUND**2 / 4
    problem = NoisyGradientDescent(loss, loss + w1 * eta + w2 * eta**2, (w1, w2), eta)
    limit = without_closed_form(derive_limit(problem).at_step(0.05))
    assert limit.noise_weight == sp.sqrt(sp.Rational(1, 20))
    assert_agrees(limit, entry, tmp_path, values_of)


@pytest.mark.slow
@pytest.mark.parametrize("values_of", [in_python, pytest.param(in_c, marks=needs_compiler)])
@pytest.mark.parametrize("entry", CATALOGUE, ids=str)
def test_every_limit(entry: Entry, values_of: Callable[..., Values], tmp_path: Path) -> None:
    assert_agrees(derived(entry.problem), entry, tmp_path, values_of)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["numpy", "jax"])
def test_a_mean_over_samples(language: str, tmp_path: Path) -> None:
    """Label noise on samples that are not written out, at a point that fits them."""
    pytest.importorskip("jax" if language == "jax" else "numpy")
    x, y = sp.symbols("x y", real=True)
    u = sp.symbols("u1:4", real=True)
    data = {x: [1.0, 2.0, 3.0, -1.0], y: [1.0, 2.0, 3.0, -1.0]}
    r = u[0] * u[1] * x + u[2] - y
    noisy = Mean((r - eta) ** 2, data, eta)
    limit = derive_limit(NoisyGradientDescent(Mean(r**2, data), noisy, u, eta))
    fast, w = compile_limit(limit), np.array([[2, 0.5, 0]])
    values = in_python(limit, w, tmp_path, language)
    for name in ("drift", "projector", "regularizer"):
        assert_close(name, values[name], getattr(fast, name)(w))


@pytest.mark.slow
def test_matrices() -> None:
    """Matrix sensing with label noise: −(2/n²) P Σ_s (A_s + A_sᵀ)² U, by hand."""
    unknown, sensor = sp.MatrixSymbol("U", 3, 2), sp.MatrixSymbol("A", 3, 3)
    t = sp.Symbol("t", real=True)
    rng = np.random.default_rng(0)
    true, sensors = rng.standard_normal((3, 2)), rng.standard_normal((3, 3, 3))
    data = {sensor: sensors, t: [float(np.trace(a @ true @ true.T)) for a in sensors]}
    r = sp.Trace(sensor * unknown * unknown.T) - t
    noisy = Mean((r - eta) ** 2, data, eta)
    space: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    limit = derive_limit(NoisyGradientDescent(Mean(r**2, data), noisy, unknown, eta))
    exec(limit.to("numpy"), space)
    symmetric = sensors + sensors.transpose(0, 2, 1)
    normals, _ = np.linalg.qr((symmetric @ true).reshape(3, -1).T)
    slope = 2 / 9 * (symmetric @ symmetric @ true).sum(0).ravel()
    along = slope - normals @ (normals.T @ slope)
    assert_close("drift", space["drift"](true.ravel()), -along)
    assert_close("projector", space["projector"](true.ravel()), np.eye(6) - normals @ normals.T)


def under(optimizer: Optimizer) -> Limit:
    """Additive noise in a curved valley."""
    loss = (w2 - w1**2) ** 2 / 2
    model = NoisyGradientDescent(loss, loss + eta * w1, (w1, w2), eta, optimizer=optimizer)
    return derive_limit(model)


def test_an_update_rule_in_closed_form() -> None:
    limit = under(Preconditioned([[2, 0], [0, 1]]))
    space: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    exec(limit.to("numpy"), space)
    for place in itertools.islice(limit.manifold.local(), 3):
        w = np.array(place.point, float)
        exact = np.array(limit.at_points.drift(place).tolist(), float)[:, 0]
        np.testing.assert_allclose(space["drift"](w), exact, RELATIVE, RELATIVE)
    assert "regularizer" not in space


def test_an_update_rule_without_closed_form() -> None:
    with pytest.raises(NotCoveredError, match="too long to read"):
        under(LookAhead(2, sp.Rational(1, 2))).to("c")


def test_a_cycling_optimizer() -> None:
    loss = (w2 - w1**2) ** 2 / 2
    problem = NoisyGradientDescent(loss, loss, (w1, w2), (), optimizer=RootDescent())
    limit = derive_limit(problem)
    space: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    exec(limit.to("numpy"), space)
    exact = sp.lambdify((w1, w2), list(limit.drift))(0.5, 0.25)
    np.testing.assert_allclose(space["drift"](np.array([0.5, 0.25])), exact, RELATIVE)
    with pytest.raises(NotCoveredError, match="cycle"):
        limit.fluctuations()


def test_the_larger_and_the_smaller_of_several(tmp_path: Path) -> None:
    loss = (w1 + w2) ** 2
    limit = derive_limit(NoisyGradientDescent(loss, loss + eta * w1, (w1, w2), eta))
    vars(limit)["drift"] = sp.Matrix([sp.Max(w1, w2, 1), sp.Min(w1, w2, 1)])
    points = np.array([[3.0, -3.0], [-2.0, 2.0], [0.5, -0.5], [2.0, 4.0]])
    values = in_python(limit, points, tmp_path)
    expected = [[3.0, -3.0], [2.0, -2.0], [1.0, -0.5], [4.0, 1.0]]
    np.testing.assert_array_equal(values["drift"], expected)


def test_pieces(tmp_path: Path) -> None:
    loss = (w1 + w2) ** 2
    limit = derive_limit(NoisyGradientDescent(loss, loss + eta * w1, (w1, w2), eta))
    vars(limit)["drift"] = sp.Matrix([sp.Heaviside(w1 - w2), sp.sign(w1)])
    points = np.array([[3.0, -3.0], [-2.0, 2.0], [0.0, 0.0]])
    expected = [[1.0, 1.0], [0.0, -1.0], [0.5, 0.0]]
    np.testing.assert_array_equal(in_python(limit, points, tmp_path)["drift"], expected)
    if shutil.which("cc"):
        np.testing.assert_array_equal(in_c(limit, points, tmp_path)["drift"], expected)


def test_names_that_python_cannot_take(tmp_path: Path) -> None:
    u, v = sp.Symbol(r"\theta_{1}", real=True), sp.Symbol("lambda", real=True)
    problem = NoisyGradientDescent((u + 2 * v) ** 2, (u + 2 * v) ** 2 + eta * u, (u, v), eta)
    values = in_python(derive_limit(problem), np.array([2.0, -1.0]), tmp_path)
    np.testing.assert_allclose(values["projector"], [[0.8, -0.4], [-0.4, 0.2]], RELATIVE)


def test_refusals() -> None:
    a = sp.Symbol("a", positive=True)
    loss = (w1 + w2) ** 2
    open_ = NoisyGradientDescent(loss, loss + a * eta * w1, (w1, w2), eta, parameters=(a,))
    with pytest.raises(ValueError, match="a still stands for any value"):
        derive_limit(open_).to("numpy")
    limit = derive_limit(NoisyGradientDescent(loss, loss + eta * w1, (w1, w2), eta))
    with pytest.raises(ValueError, match="'fortran'"):
        limit.to("fortran")
    vars(limit)["drift"] = sp.Matrix([sp.erf(w1), 0])
    with pytest.raises(NotCoveredError, match="erf"):
        limit.to("numpy")
    vars(limit)["drift"] = sp.Matrix([sp.besselj(0, w1), 0])
    with pytest.raises(NotCoveredError, match="besselj"):
        limit.to("c")
    with pytest.raises(ValueError, match="alpha"):
        without_closed_form(derive_limit(NAMED[CLOSED].problem).at_step()).to("numpy")
    effective = derived(NAMED[CLOSED].problem).effective(0.1, 0.1)
    vars(effective)["drift"] = None
    with pytest.raises(NotCoveredError, match="'next order' has no closed form"):
        effective.to("c")


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    effective = derived(NAMED[CLOSED].problem).effective(0.1, 0.1)
    vars(effective)["drift"] = None
    with pytest.raises(NotCoveredError):
        write_numpy(effective, tmp_path / "limit.py")
    assert list(tmp_path.iterdir()) == []
