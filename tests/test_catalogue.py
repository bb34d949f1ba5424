"""The catalogue's answers against brute force, then the derivation against both."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from tests import oracles
from tests.catalogue import Entry

SIX_DIGITS = 1e-6
"""Relative accuracy asked of the derivation; the oracles have 7 or more (see `test_oracles`)."""


def close(expected: np.ndarray, digits: float = SIX_DIGITS, scale: float = 0.0) -> object:
    """Equal to `expected` within a fraction of its own largest entry, or of `scale`."""
    return pytest.approx(expected, rel=0, abs=digits * max(np.abs(expected).max(), scale, 1e-2))


def evaluate(expressions: object, entry: Entry, w: np.ndarray) -> np.ndarray:
    """Values of expressions in the weights at a point."""
    matrix = sp.Matrix(expressions)
    flat = oracles.array_function(list(matrix), entry.problem.weights)(w)
    return flat.reshape(matrix.shape) if matrix.cols > 1 else flat


# What the catalogue states, against brute force.


def test_stated_outcome_is_what_brute_force_shows(entry, truths):
    flow = max(np.abs(t.flow).max() for t in truths)
    diffusion = max(np.abs(t.diffusion_covariance).max() for t in truths)
    drift = max(np.abs(t.second_derivative).max() for t in truths)
    observed = (
        "non-degenerate"
        if flow > 1e-3
        else "diffusive"
        if diffusion > 1e-3
        else "deterministic"
        if drift > 1e-3
        else "trivial"
    )
    assert observed == {"frozen": "trivial"}.get(entry.outcome, entry.outcome)
    if observed != "non-degenerate":
        assert flow < 1e-8, "zero and not zero are well apart"


def test_stated_regularizer_has_the_gradient_of_the_mean_step(entry, truths):
    """P∇Reg is P of the mean step over σ²."""
    if entry.regularizer is None:
        pytest.skip("no noisy loss, so no regularizer")
    gradient = [entry.regularizer.diff(w) for w in entry.problem.weights]
    for t in truths:
        assert t.projector @ evaluate(gradient, entry, t.w) == close(-t.flow, 1e-7)


def test_stated_covariance_is_that_of_the_step(entry, truths):
    if entry.sigma is None:
        pytest.skip("the covariance does not matter in a non-degenerate limit")
    for t in truths:
        assert evaluate(entry.sigma, entry, t.w) == close(t.sigma, 1e-8)


def test_stated_force_is_the_tangential_drift(entry, truths):
    if entry.force is None:
        pytest.skip("no closed form known")
    for t in truths:
        drift = t.flow if entry.outcome == "non-degenerate" else t.second_derivative / 2
        assert t.projector @ evaluate(entry.force, entry, t.w) == close(t.projector @ drift, 1e-7)


def test_stated_finite_step_force_is_that_of_the_iterated_map(entry, truths):
    if entry.finite_step is None:
        pytest.skip("no closed form known")
    for t in truths:
        drift = t.projector @ t.finite_second_derivative / 2
        assert t.projector @ evaluate(entry.finite_step, entry, t.w) == close(drift, 1e-7)
