"""Mechanisms side by side: one loss, one start, the same iterations."""

import numpy as np
import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from numerics.reports.compare_mechanisms import compare_mechanisms

weights = w1, w2 = sp.symbols("w1 w2", real=True)
eta = sp.Symbol("eta", real=True)
SQUARE = w1**2 + w2**2
RING = (SQUARE - 1) ** 2 * (2 + w1) / 4
RUN = {"alpha": 0.1, "sigma": 0.05, "iterations": 4000, "paths": 100, "seed": 0}


def limit_of(extra: sp.Expr, loss: sp.Expr = RING):
    return derive_limit(NoisyGradientDescent(loss, loss + extra, weights, eta))


@pytest.fixture(scope="module")
def found():
    limits = {"second": limit_of(w1 * eta**2 / 2), "linear": limit_of(SQUARE * eta / 2)}
    return compare_mechanisms(limits, (0.9, 0.8), **RUN)


def test_each_row_holds_its_own_limit(found):
    fast, slow = found.rows
    assert (fast.outcome, slow.outcome) == ("non-degenerate", "deterministic")
    assert (fast.regularizer, slow.regularizer) == ("w1/2", "0")
    # Reg = w₁/2 moves on a scale 1/α times as fast.
    assert fast.predicted > 5 * slow.predicted
    for row in found.rows:
        # Four standard errors, and the next order in σ².
        allowed = 4 * float(row.moved.error) + 0.05 * row.predicted
        assert float(row.moved.value) == pytest.approx(row.predicted, abs=allowed)


def test_all_run_for_the_same_iterations(found):
    ends = [comparison.iterations[-1] for comparison in found.comparisons.values()]
    np.testing.assert_allclose(ends, RUN["iterations"])


def test_table_and_picture_name_them_all(found):
    table = str(found).splitlines()
    assert len(table) == 4
    assert "1/(alpha*sigma**2)" in table[2]
    assert "1/(alpha**2*sigma**2)" in table[3]
    figure = found.plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["$w_{2}$", "$w_{1}$", "$w_{2}$"]
    shown = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert shown >= {"second", "linear", r"limits at $\alpha$"}


def test_different_losses_are_refused():
    limits = {"one": limit_of(SQUARE * eta), "other": limit_of(SQUARE * eta, 2 * RING)}
    with pytest.raises(ValueError, match="one loss"):
        compare_mechanisms(limits, (0.9, 0.8), **RUN)
    with pytest.raises(ValueError, match="at least one"):
        compare_mechanisms({}, (0.9, 0.8), **RUN)
