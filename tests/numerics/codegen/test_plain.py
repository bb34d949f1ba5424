"""The tree of statements as text for numba and for NumPy, and what both compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from derive import derive_limit
from derive.optimizers import HeavyBall, LookAhead
from numerics import compile_descent, compile_limit, simulate_descent
from numerics.codegen.finite_sums import SampledFunction
from numerics.codegen.plain import in_numpy, plain_function
from numerics.codegen.printing import assignments, in_numba
from numerics.random.lanes import LANES
from numerics.random.statements import For, If, Lanes
from tests.project.test_contract import DESCENT, PROBLEMS, RUN, STARTS

x, y = sp.symbols("x y", real=True)
TREE = [
    "total = 0.0",
    For(
        "i",
        "1, n",
        If(
            "i > 2",
            Lanes(
                "x = E[0, b]",
                assignments((x,), ("x",), (sp.sqrt(x), sp.Max(x, 1)), ("y", "E[i, b]")),
                "E[0, b] = 0.5 * math.sqrt(x) if y < 1.0 else y",
                "E[int(E[0, b]), b] += x",
            ),
            "total += 1.0",
        ),
    ),
]
NUMBA = f"""
total = 0.0
for i in range(1, n):
    if i > 2:
        for b in range({LANES}):
            x = E[0, b]
            y = math.sqrt(x)
            E[i, b] = max(1.0, x)
            E[0, b] = 0.5 * math.sqrt(x) if y < 1.0 else y
            E[int(E[0, b]), b] += x
        total += 1.0
"""
NUMPY = """
total = 0.0
for i in range(1, n):
    if i > 2:
        b = slice(None)
        x = np.array(E[0, b])
        y = np.sqrt(x)
        E[i, b] = np.maximum(1, x)
        E[0, b] = np.where(y < 1.0, 0.5 * np.sqrt(x), y)
        E[np.int64(E[0, b]), np.arange(E.shape[1])] += x
        total += 1.0
"""


@pytest.mark.parametrize(("language", "text"), [(in_numba, NUMBA), (in_numpy, NUMPY)])
def test_one_tree_in_two_languages(language, text) -> None:
    assert language(TREE) == text.strip().splitlines()
    assert language(TREE, depth=2) == ["        " + line for line in text.strip().splitlines()]


def test_both_languages_do_the_same() -> None:
    """The text for numba, lane by lane as it stands, against all lanes at once."""
    rows = np.random.default_rng(0).uniform(0.1, 9.0, (4, LANES))
    one_by_one = rows.copy()
    plain_function("both", ("E", "n"), TREE)(rows, 4)
    lines = ["import math", "def both(E, n):", *in_numba(TREE, depth=1)]
    defined: dict = {}
    exec("\n".join(lines), defined)
    defined["both"](one_by_one, 4)
    np.testing.assert_array_equal(rows, one_by_one)
    assert len(np.unique(np.trunc(rows[0]))) > 1


HALF = sp.Rational(1, 2)
RECURSIONS = {
    "an expression": DESCENT,
    "noise of each sample": PROBLEMS["a mean with noise of each sample"](),
    "noise that all share": PROBLEMS["a mean with noise that all share"](),
    "a rule": PROBLEMS["a rule"](),
    "joined steps": replace(DESCENT, optimizer=LookAhead(2, HALF, HeavyBall(HALF))),
}


@pytest.mark.parametrize("problem", RECURSIONS.values(), ids=RECURSIONS)
def test_every_recursion_does_the_same_in_numpy(problem) -> None:
    """One loop of the same statements and random numbers, up to rounding errors."""
    start, run = STARTS[problem.dimension], RUN | {"paths": 40, "steps": 20, "record": 21}
    compiled, plain = compile_descent(problem), compile_descent(problem)
    loop = plain.recursion.plain
    vars(plain.recursion).update(advance=loop, advance_watched=loop)
    fast = simulate_descent(compiled, start, **run).weights
    np.testing.assert_allclose(simulate_descent(plain, start, **run).weights, fast, atol=1e-13)
    assert np.std(fast[:, -1], axis=0).max() > 1e-3


def test_finite_sums_are_the_same_in_numpy() -> None:
    limit = derive_limit(PROBLEMS["a mean with noise of each sample"]())
    values = compile_limit(limit).model.values
    assert isinstance(values, SampledFunction)
    points = np.array([STARTS[3], [1.0, 2.0, -0.3]])
    out = np.full((2, values.width), np.nan)
    arguments = ("data", "points", "values")
    plain_function(values.name, arguments, values.statements)(values.values, points, out)
    np.testing.assert_allclose(values(points), out, rtol=1e-13)
