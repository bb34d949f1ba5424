"""The code generator, and the elementary functions it compiles to."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import sympy as sp
from numba import njit

from derive import (
    CustomLaw,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    Rademacher,
    TwoPoint,
    sigma,
)
from derive.laws.law import Law
from derive.optimizers import HeavyBall
from numerics import CodeGenerationError
from numerics.codegen.cache import CACHE_VARIABLE, cache_directory
from numerics.codegen.functions import compile_function, content_of
from numerics.codegen.printing import assignments, in_numba, readable_names
from numerics.random import elementary_functions

x, y, z, a, eta = sp.symbols("x y z a eta", real=True)

EXPRESSIONS = (
    sp.sqrt(x) + x**3 + x**-2 + x ** sp.Rational(3, 2) + x ** sp.Rational(-1, 2),
    sp.pi + sp.E * x + sp.Rational(1, 3) * x * y - (x + y) ** 2 / (1 + y),
    sp.Piecewise((x, x > 1), (y**2, y > 1), (sp.tanh(y), True)),
    sp.Max(x, y, 1) + sp.Min(x, y, 1) + sp.Heaviside(x - y) + sp.sign(x - y) + sp.Abs(x - y),
    sp.exp(-x) + sp.log(x) + sp.sin(x) * sp.cos(y) + sp.tan(x / 3) + sp.sinh(x) + sp.cosh(y),
    sp.erf(x) + sp.atan(y) + sp.atan2(x, y) + sp.asin(x / 3) + sp.acosh(1 + y) + sp.loggamma(x),
    x**y + sp.log(1 + sp.exp(x)),
    sp.Integer(3),
)


def test_compiled_code_agrees_with_numpy() -> None:
    function = compile_function((x, y), EXPRESSIONS, "everything")
    points = np.random.default_rng(0).uniform(0.1, 2.0, (4, 5, 2))
    plain = sp.lambdify((x, y), EXPRESSIONS, modules=["scipy", "numpy"])
    expected = np.stack(np.broadcast_arrays(*plain(points[..., 0], points[..., 1])), axis=-1)
    for values in (function(points), function.reference(points)):
        assert values.shape == (4, 5, len(EXPRESSIONS))
        # A dozen operations of a few units in the last place each.
        np.testing.assert_allclose(values, expected, rtol=2e-14)


AT_KINKS = {  # at −2, 0 and 3
    sp.Heaviside(x): [0, 0.5, 1],
    sp.Heaviside(x, 0): [0, 0, 1],
    sp.Heaviside(x, 1): [0, 1, 1],
    sp.sign(x): [-1, 0, 1],
    sp.Abs(x): [2, 0, 3],
    sp.Max(x, 0): [0, 0, 3],
    sp.Min(x, 0): [-2, 0, 0],
    sp.Piecewise((x, x > 0), (5, True)): [5, 5, 3],
    sp.Piecewise((x, x > 0)): [np.nan, np.nan, 3],
}


def test_kinked_functions_at_their_kinks() -> None:
    function = compile_function((x,), list(AT_KINKS), "kinks")
    points = [[-2.0], [0.0], [3.0]]
    np.testing.assert_array_equal(function(points).T, list(AT_KINKS.values()))
    np.testing.assert_array_equal(function.reference(points).T, list(AT_KINKS.values()))


def test_shapes_of_scalars_sequences_and_matrices() -> None:
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    matrix = compile_function((x, y), sp.Matrix([[x, 1], [0, y], [x * y, 2]]), "matrix")
    expected = [[[1, 1], [0, 2], [2, 2]], [[3, 1], [0, 4], [12, 2]]]
    for evaluate in (matrix, matrix.reference):
        np.testing.assert_array_equal(evaluate(points), expected)
        assert evaluate(points[0]).shape == (3, 2)
        assert evaluate(np.empty((0, 2))).shape == (0, 3, 2)
    assert compile_function((x, y), x + y, "scalar")(points).tolist() == [3.0, 7.0]
    assert compile_function((x, y), sp.zeros(2, 0), "empty")(points).shape == (2, 2, 0)


def test_subexpressions_are_shared_and_factors_kept() -> None:
    factor = sum(x**k for k in range(5)) * (1 + y)
    lines = in_numba([assignments((x, y), ("x", "y"), (factor * x, factor * y), ("a", "b"))])
    assert sum(line.count("y + 1") for line in lines) == 1
    assert not any("**" in line for line in lines)


def test_generated_code_is_documented() -> None:
    function = compile_function((x, y), (x * y,), "product")
    text = function.batch.__doc__
    assert text is not None
    assert "shape (P, 2)" in text and "Columns x, y" in text and "shape (P, 1)" in text
    assert "x*y" in function.source


def test_names_fall_back_to_numbers() -> None:
    odd = sp.symbols(r"\lambda_1 lambda", real=True)
    assert readable_names(odd, "w") == ["w0", "w1"]
    assert readable_names((sp.Symbol("x0"), sp.Symbol("np")), "w") == ["w0", "w1"]
    a = sp.Symbol("x0", real=True)
    function = compile_function((a, x), ((a + x) ** 2 + sp.exp((a + x) ** 2),), "clash")
    assert function([1.0, 2.0])[0] == pytest.approx(9 + np.exp(9), rel=1e-15)


def test_what_has_no_code_is_named() -> None:
    with pytest.raises(CodeGenerationError, match="besselj"):
        compile_function((x,), sp.besselj(0, x), "bad")
    with pytest.raises(CodeGenerationError, match="y: a symbol without a value"):
        compile_function((x,), x * y, "bad")
    with pytest.raises(CodeGenerationError, match="not a finite real"):
        compile_function((x,), sp.I * x, "bad")
    with pytest.raises(ValueError, match=r"expected points of shape \(\.\.\., 2\)"):
        compile_function((x, y), x, "bad")(np.zeros(3))


def test_functions_travel_between_processes() -> None:
    function = compile_function((x, y), (x - y,), "difference")
    function([1.0, 2.0])
    assert pickle.loads(pickle.dumps(function))([3.0, 1.0]) == [2.0]


def test_modules_are_named_by_content_and_found_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_directory() == tmp_path
    program = (
        "import sympy as sp\nfrom numerics.codegen.functions import compile_function\n"
        "x = sp.Symbol('x', real=True)\n"
        "for constant in (1, 2):\n"
        "    f = compile_function((x,), (x**2 + constant,), 'square')\n"
        "    print(f([3.0])[0], sum(f.batch.stats.cache_hits.values()))"
    )

    def run() -> list[str]:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert run() == ["10.0", "0", "11.0", "0"]
    assert run() == ["10.0", "1", "11.0", "1"]
    assert len(list(tmp_path.glob("square_*.py"))) == 2
    assert not list(tmp_path.glob("*.part"))


def test_content_is_what_tells_models_apart() -> None:
    parts = [
        (x, (x * sp.exp(y) + 1,)),
        (x, (x * sp.exp(y) + 2,)),
        (x, (x * sp.exp(x) + 1,)),
        (x, (x * sp.sinh(y) + 1,)),
        (y, (x * sp.exp(y) + 1,)),
        (x, (x * sp.exp(y), 1)),
        (x, x * sp.exp(y) + 1),
        (x, (x * sp.exp(sp.Symbol("y", positive=True)) + 1,)),
        (x, sp.Matrix([[x * sp.exp(y), 1]])),
        (x, sp.Matrix([x * sp.exp(y), 1])),
    ]
    assert len({content_of(*p) for p in parts}) == len(parts)
    assert content_of(sp.Matrix([x])) == content_of(sp.ImmutableMatrix([x]))


def filled() -> NoisyGradientDescent:
    """A problem with something in each of its fields."""
    chart = ((z,), (sp.cos(z), sp.sin(z)))
    loss = (x**2 + y**2 - a) ** 2
    problem = NoisyGradientDescent(
        loss, loss + x * eta, (x, y), eta, Gaussian([[2]]), [x**2 + y**2 - a], chart, (1, 0), a
    )
    object.__setattr__(problem, "noise_matrix", sp.ImmutableMatrix([[1], [0]]))
    object.__setattr__(problem, "penalty", sigma**2 * x**2)
    object.__setattr__(problem, "optimizer", HeavyBall(sp.Rational(1, 2)))
    return problem


@pytest.mark.parametrize("field", [field.name for field in fields(NoisyGradientDescent)])
def test_every_field_of_a_problem_is_content(field: str) -> None:
    problem, other = filled(), filled()
    assert content_of(problem) == content_of(other)
    assert getattr(problem, field) not in {None, ()}
    object.__setattr__(other, field, sp.Symbol("other", real=True))
    assert content_of(problem) != content_of(other)


@pytest.mark.parametrize(
    ("law", "other"),
    [
        (Gaussian([[2]]), Gaussian([[3]])),
        (Gaussian(), Rademacher()),
        (TwoPoint(1), TwoPoint(2)),
        (CustomLaw([[1]], [((2,), 1)]), CustomLaw([[1]], [((2,), 2)])),
        (CustomLaw([[1]], [((2,), 1)]), CustomLaw([[1]], [((3,), 1)])),
        (CustomLaw([[1]], [((2,), 1)]), CustomLaw([[2]], [((2,), 1)])),
        (Minibatch(9, 3), Minibatch(9, 3, replacement=True)),
        (Minibatch(9, 3), Minibatch(9, 4)),
        (Independent({eta: Gaussian()}), Independent({eta: Rademacher()})),
    ],
    ids=repr,
)
def test_every_field_of_a_law_is_content(law: Law, other: Law) -> None:
    assert content_of(law) == content_of(replace(law))
    assert content_of(law) != content_of(other)


def test_what_has_no_content_is_refused() -> None:
    with pytest.raises(CodeGenerationError, match="no content to tell models apart by"):
        content_of(x, object())


def test_content_is_read_in_time_that_grows_with_distinct_subexpressions() -> None:
    tower = x
    for _ in range(40):
        tower = sp.sin(tower) * (1 + sp.cos(tower))  # written out, 2^40 terms
    assert len(content_of(tower)) < 100


def test_a_directory_that_cannot_be_written_is_reported(tmp_path, monkeypatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(blocked))
    with pytest.raises(OSError, match=CACHE_VARIABLE):
        compile_function((x,), (x + 12345,), "unwritable")([1.0])


RANGES = {
    "exp": (-700.0, 709.0, 1.5),
    "log": (1e-300, 1e300, 1.5),
    "sin": (-1e3, 1e3, 0.0),
    "cos": (-1e3, 1e3, 0.0),
    "tan": (-1.5, 1.5, 4.0),
    "sinh": (-700.0, 700.0, 3.0),
    "cosh": (-700.0, 700.0, 3.0),
    "tanh": (-25.0, 25.0, 3.0),
}


@pytest.mark.parametrize("name", RANGES)
def test_elementary_functions_against_extended_precision(name) -> None:
    """Errors in units in the last place, or, for sine and cosine, below 2.5e-16 absolutely."""
    low, high, ulps = RANGES[name]
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.uniform(low, high, 200_000), rng.uniform(-3, 3, 100_000)])
    small = 10.0 ** rng.uniform(-12, 0, 100_000)
    points = np.concatenate([points, small, 1 + small])
    points = points[(points >= low) & (points <= high)]
    function = getattr(elementary_functions, name)

    @njit(error_model="numpy")
    def loop(inputs, outputs):
        for i in range(len(inputs)):
            outputs[i] = function(inputs[i])

    values = np.empty_like(points)
    loop(points, values)
    exact = getattr(np, name)(points.astype(np.longdouble))
    error = np.abs(values - exact).astype(float)
    if ulps:
        assert np.max(error / np.spacing(np.abs(exact).astype(float))) < ulps
    else:
        assert np.max(error) < 2.5e-16


def test_elementary_functions_at_the_edges() -> None:
    inf, nan = np.inf, np.nan
    edges = {
        "exp": [(inf, inf), (-inf, 0.0), (800.0, inf), (-800.0, 0.0), (nan, nan), (0.0, 1.0)],
        "log": [(0.0, -inf), (-1.0, nan), (inf, inf), (nan, nan), (1.0, 0.0)],
        "tanh": [(inf, 1.0), (-inf, -1.0), (nan, nan), (1e-300, 1e-300), (-50.0, -1.0)],
        "sinh": [(inf, inf), (-inf, -inf), (nan, nan), (0.0, 0.0)],
        "cosh": [(inf, inf), (-inf, inf), (nan, nan), (0.0, 1.0)],
        "sin": [(inf, nan), (nan, nan), (0.0, 0.0)],
        "cos": [(inf, nan), (nan, nan), (0.0, 1.0)],
    }
    for name, pairs in edges.items():
        function = getattr(elementary_functions, name)
        np.testing.assert_array_equal([function(a) for a, _ in pairs], [b for _, b in pairs], name)
    assert elementary_functions.log(5e-324) == pytest.approx(np.log(5e-324), rel=1e-15)
