"""The exported file: plain NumPy, without this project, with the values of the compiled limit."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, derive_limit
from numerics import CodeGenerationError, compile_limit, write_numpy
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived

NAMED = {entry.name: entry for entry in CATALOGUE}
w1, w2, eta = sp.symbols("w1 w2 eta", real=True)
ROUND = w1**2 + w2**2 - 1
RELATIVE = 1e-9
"""Both sides solve with matrices whose condition numbers stay below 10⁴ at these points."""

PROGRAM = """
import sys
import numpy as np
import limit
w = np.load("w.npy")
names = ("drift", "diffusion", "projector", "regularizer", "constraints")
np.savez("values.npz", **{name: getattr(limit, name)(w) for name in names})
assert not {"sympy", "numba", "scipy", "derive", "numerics"} & set(sys.modules)
"""


def outside(limit: Limit, w: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Values of the exported functions at w, computed in a process that lacks the project."""
    write_numpy(limit, folder / "limit.py")
    np.save(folder / "w.npy", w)
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return dict(np.load(folder / "values.npz"))


def assert_agrees(limit: Limit, entry: Entry, folder: Path) -> None:
    fast = compile_limit(limit)
    w = fast.retract(np.array(entry.guesses, float))[:, None].repeat(2, axis=1)
    values = outside(limit, w, folder)
    for name in ("drift", "projector", "regularizer"):
        expected = getattr(fast, name)(w)
        np.testing.assert_allclose(values[name], expected, RELATIVE, RELATIVE, err_msg=name)
    s, expected = values["diffusion"], fast.diffusion(w)
    spread = [x @ np.swapaxes(x, -1, -2) for x in (s, expected)]
    np.testing.assert_allclose(*spread, RELATIVE, RELATIVE)
    assert np.abs(values["constraints"]).max() < RELATIVE


CLOSED = "additive noise on an ellipse"


def test_closed_form(tmp_path: Path) -> None:
    assert_agrees(derived(NAMED[CLOSED].problem).at_step(0.05), NAMED[CLOSED], tmp_path)
    text = (tmp_path / "limit.py").read_text()
    assert "_hessian" not in text
    imported = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(n) for n in imported] == ["import numpy as np"]


POINTWISE = {
    "squares": NAMED["additive noise on an ellipse"],
    "no squares": NAMED["additive noise in a valley that is no sum of squares"],
    "a drift by Reg": NAMED["Gaussian DropConnect on the round ring"],
}


@pytest.mark.parametrize("case", POINTWISE)
def test_without_closed_form(case: str, tmp_path: Path) -> None:
    entry = POINTWISE[case]
    limit = derive_limit(entry.problem).at_step(0.05, momentum=0.3)
    for name in ("drift", "diffusion"):
        vars(limit)[name] = None
    vars(limit.manifold)["projector"] = None
    assert_agrees(limit, entry, tmp_path)


def test_given_covariance(tmp_path: Path) -> None:
    entry = NAMED["parameter noise on the round ring"]
    covariance = [[1 + w1**2, w1 * w2], [w1 * w2, 1 + w2**2]]
    problem = NoisyGradientDescent.from_gradient_noise(ROUND**2 / 4, covariance, (w1, w2))
    assert_agrees(derive_limit(problem), entry, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("entry", CATALOGUE, ids=str)
def test_every_limit(entry: Entry, tmp_path: Path) -> None:
    assert_agrees(derived(entry.problem), entry, tmp_path)


def test_the_larger_and_the_smaller_of_several(tmp_path: Path) -> None:
    loss = (w1 + w2) ** 2
    limit = derive_limit(NoisyGradientDescent(loss, loss + eta * w1, (w1, w2), eta))
    vars(limit)["drift"] = sp.Matrix([sp.Max(w1, w2, 1), sp.Min(w1, w2, 1)])
    points = np.array([[3.0, -3.0], [-2.0, 2.0], [0.5, -0.5], [2.0, 4.0]])
    values = outside(limit, points, tmp_path)
    expected = [[3.0, -3.0], [2.0, -2.0], [1.0, -0.5], [4.0, 1.0]]
    np.testing.assert_array_equal(values["drift"], expected)


def test_names_that_python_cannot_take(tmp_path: Path) -> None:
    u, v = sp.Symbol(r"\theta_{1}", real=True), sp.Symbol("lambda", real=True)
    problem = NoisyGradientDescent((u + 2 * v) ** 2, (u + 2 * v) ** 2 + eta * u, (u, v), eta)
    values = outside(derive_limit(problem), np.array([2.0, -1.0]), tmp_path)
    np.testing.assert_allclose(values["projector"], [[0.8, -0.4], [-0.4, 0.2]], RELATIVE)


def test_refusals(tmp_path: Path) -> None:
    a = sp.Symbol("a", positive=True)
    loss = (w1 + w2) ** 2
    open_ = NoisyGradientDescent(loss, loss + a * eta * w1, (w1, w2), eta, parameters=(a,))
    with pytest.raises(ValueError, match="a still stands for any value"):
        write_numpy(derive_limit(open_), tmp_path / "limit.py")
    bent = NoisyGradientDescent(loss, loss + eta * sp.erf(w1), (w1, w2), eta)
    limit = derive_limit(bent)
    vars(limit)["drift"] = sp.Matrix([sp.erf(w1), 0])
    with pytest.raises(CodeGenerationError, match="erf"):
        write_numpy(limit, tmp_path / "limit.py")
    effective = derived(NAMED[CLOSED].problem).effective(0.1, 0.1)
    vars(effective)["drift"] = None
    with pytest.raises(CodeGenerationError, match="'next order' has no closed form"):
        write_numpy(effective, tmp_path / "limit.py")
    assert list(tmp_path.iterdir()) == []
