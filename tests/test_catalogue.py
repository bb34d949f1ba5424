"""The catalogue's answers against brute force, then the derivation against both."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from derive import alpha, sigma
from derive.laws import ShrinkingLaw
from tests import oracles
from tests.catalogue import CATALOGUE, Entry
from tests.fields import ROUTES, at_fifty_digits, in_closed_form
from tests.oracles import NoisyGradient

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


# What is derived, against brute force.


def test_outcome(entry, limit):
    assert limit.outcome.value == entry.outcome
    assert str(limit.evidence)


def test_time_scale(entry, limit):
    expected = {"non-degenerate": 1 / (alpha * sigma**2), "trivial": None, "frozen": None}
    assert limit.time_scale == expected.get(entry.outcome, 1 / (alpha**2 * sigma**2))


def test_regularizer_is_the_mean_of_the_noisy_loss_off_the_manifold(entry, limit, truths):
    """Reg is defined on all of R^N as lim σ⁻²(E L̂ − L)."""
    problem = entry.problem
    if problem.noisy_loss is None:
        assert limit.regularizer == 0
        return
    weights = problem.weights
    excess = NoisyGradient.of(
        [problem.noisy_loss - problem.loss], weights, problem.noise, problem.law
    )
    derived = oracles.array_function([limit.regularizer], weights)
    for t in truths:
        aside = t.w + 0.1 * np.cos(np.arange(len(t.w)))
        assert derived(aside) == close(excess.mean(aside), 1e-8)


def test_regularizer_on_the_manifold_is_equal_to_it_there(entry, limit, truths):
    both = [limit.regularizer, limit.regularizer_on_manifold]
    if entry.regularizer is not None:
        both.append(entry.regularizer)
    for t in truths:
        values = evaluate(both, entry, t.w)
        assert values == close(np.full(len(both), values[0]), 1e-12)


@pytest.mark.parametrize("route", ROUTES)
def test_limit_is_that_of_brute_force(entry, limit, truths, route):
    field = ROUTES[route](limit)
    if field is None:
        pytest.skip("no closed form is worth writing")
    degenerate = entry.outcome != "non-degenerate"
    for t in truths:
        drift = t.second_derivative / 2 if degenerate else t.flow
        spread = t.diffusion_covariance if degenerate else np.zeros_like(t.projector)
        assert field.drift(t.w) == close(drift)
        assert field.spread(t.w) == close(spread)
        assert field.projector(t.w) == close(t.projector, 1e-12)


@pytest.mark.parametrize("route", ROUTES)
def test_limit_at_a_finite_step_is_that_of_the_iterated_map(entry, limit, truths, route):
    """Exact for laws that shrink with σ; a jump or a fixed batch is not small at a fixed step."""
    if not isinstance(entry.problem.law, ShrinkingLaw):
        pytest.skip("the limit at a fixed step is known for shrinking laws only")
    field = ROUTES[route](limit.at_step(entry.alpha))
    if field is None:
        pytest.skip("no closed form is worth writing")
    degenerate = entry.outcome != "non-degenerate"
    for t in truths:
        drift = t.finite_second_derivative / 2
        spread = t.diffusion_covariance
        if not degenerate:
            drift, spread = t.flow + t.alpha * drift, t.alpha * spread
        assert field.drift(t.w) == close(drift)
        assert field.spread(t.w) == close(spread)


def test_one_noisy_step_moves_as_the_finite_step_limit_says(entry, limit, truths):
    """Nothing but the recursion: E Φ_α(w − α∇L̂(w, η)) − w, as σ → 0, from a point of Γ."""
    if not isinstance(entry.problem.law, ShrinkingLaw):
        pytest.skip("the limit at a fixed step is known for shrinking laws only")
    field = at_fifty_digits(limit.at_step(entry.alpha))
    power = 1 if entry.outcome == "non-degenerate" else 2
    t = truths[0]
    moved = t.noisy.drift_after_step(t.landscape, t.w, t.alpha) / t.alpha**power
    assert field.drift(t.w) == close(moved)


@pytest.mark.parametrize("step", [0, "alpha"])
def test_closed_forms_at_a_symbolic_step(entry, limit, truths, step):
    """`at_step()` with the symbol α, bound afterwards, is `at_step` of the number."""
    bound = {alpha: sp.Rational(str(entry.alpha))} if step else {alpha: 0}
    symbolic, numeric = limit.at_step(), limit.at_step(bound[alpha])
    if symbolic.drift is None or numeric.drift is None:
        pytest.skip("no closed form is worth writing")
    for t in truths:
        there = evaluate(symbolic.drift.subs(bound), entry, t.w)
        assert there == close(evaluate(numeric.drift, entry, t.w), 1e-12)


SHORT = {name for name in map(str, CATALOGUE) if "net" not in name and "neuron" not in name}


def test_small_models_have_closed_forms(entry, limit):
    if entry.name in SHORT:
        assert in_closed_form(limit) is not None
