"""The catalogue's answers against brute force, then the derivation against both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from derive import alpha, sigma
from derive.equation import closed_form
from derive.laws.shrinking import ShrinkingLaw
from numerics import compile_limit
from tests.conftest import BruteForce
from tests.truth import oracles
from tests.truth.catalogue import CATALOGUE, DIFFUSIVE, HYPERBOLAS, NETS, RINGS, Entry
from tests.truth.fields import Field, at_fifty_digits, compiled, in_closed_form
from tests.truth.oracles import NoisyGradient

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


def over(entries: Iterable[Entry], slow: Iterable[Entry] = ()) -> pytest.MarkDecorator:
    """Run over some entries of the catalogue only, and over others when slow tests are run."""
    both = [*entries, *(pytest.param(e, marks=pytest.mark.slow) for e in slow)]
    return pytest.mark.parametrize("entry", both, ids=str, indirect=True)


def stated(field: str) -> pytest.MarkDecorator:
    """Run over the entries that state something, so that nothing is skipped."""
    return over([e for e in CATALOGUE if getattr(e, field) is not None])


SHRINKING = [e for e in CATALOGUE if isinstance(e.problem.law, ShrinkingLaw)]
"""A jump, or a batch of fixed size, is not small at a fixed step; for these the theory is exact."""

ELLIPSE, *SURFACE_AND_CUBIC = DIFFUSIVE[:3]
WRITTEN = [*RINGS, *HYPERBOLAS, *NETS, ELLIPSE]
"""Models whose limit must be written in closed form."""


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


@stated("regularizer")
def test_stated_regularizer_has_the_gradient_of_the_mean_step(entry, truths):
    """P∇Reg is P of the mean step over σ²."""
    gradient = [entry.regularizer.diff(w) for w in entry.problem.weights]
    for t in truths:
        assert t.projector @ evaluate(gradient, entry, t.w) == close(-t.flow, 1e-7)


@stated("sigma")
def test_stated_covariance_is_that_of_the_step(entry, truths):
    for t in truths:
        assert evaluate(entry.sigma, entry, t.w) == close(t.sigma, 1e-8)


@stated("force")
def test_stated_force_is_the_tangential_drift(entry, truths):
    for t in truths:
        drift = t.flow if entry.outcome == "non-degenerate" else t.second_derivative / 2
        assert t.projector @ evaluate(entry.force, entry, t.w) == close(t.projector @ drift, 1e-7)


@stated("finite_step")
def test_stated_finite_step_force_is_that_of_the_iterated_map(entry, truths):
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


# Each way to the numbers: the derivation's own, the compiled one, and the closed forms.


def agrees_with_brute_force(field: Field, entry: Entry, truths: Sequence[BruteForce]) -> None:
    degenerate = entry.outcome != "non-degenerate"
    for t in truths:
        drift = t.second_derivative / 2 if degenerate else t.flow
        spread = t.diffusion_covariance if degenerate else np.zeros_like(t.projector)
        assert field.drift(t.w) == close(drift)
        assert field.spread(t.w) == close(spread)
        assert field.projector(t.w) == close(t.projector, 1e-12)


def agrees_with_the_iterated_map(field: Field, entry: Entry, truths: Sequence[BruteForce]) -> None:
    degenerate = entry.outcome != "non-degenerate"
    for t in truths:
        drift, spread = t.finite_second_derivative / 2, t.diffusion_covariance
        if not degenerate:
            drift, spread = t.flow + t.alpha * drift, t.alpha * spread
        assert field.drift(t.w) == close(drift)
        assert field.spread(t.w) == close(spread)


@pytest.mark.parametrize("route", [at_fifty_digits, compiled])
def test_limit_is_that_of_brute_force(entry, limit, truths, route):
    agrees_with_brute_force(route(limit), entry, truths)


@over(SHRINKING)
@pytest.mark.parametrize("route", [at_fifty_digits, compiled])
def test_limit_at_a_finite_step_is_that_of_the_iterated_map(entry, limit, truths, route):
    agrees_with_the_iterated_map(route(limit.at_step(entry.alpha)), entry, truths)


@over(SHRINKING)
def test_one_noisy_step_moves_as_the_finite_step_limit_says(entry, limit, truths):
    """Nothing but the recursion: E Φ_α(w − α∇L̂(w, η)) − w, as σ → 0, from a point of Γ."""
    field = at_fifty_digits(limit.at_step(entry.alpha))
    power = 1 if entry.outcome == "non-degenerate" else 2
    t = truths[0]
    moved = t.noisy.drift_after_step(t.landscape, t.w, t.alpha) / t.alpha**power
    assert field.drift(t.w) == close(moved)


def test_compiled_limit_takes_batches(entry, limit, truths):
    points = np.array([t.w for t in truths])
    fast = compile_limit(limit)
    together = fast.drift(points[None])
    assert together.shape == (1, *points.shape)
    assert together[0] == close(np.array([fast.drift(w) for w in points]), 1e-12)
    assert fast.regularizer(points) == close(
        evaluate([limit.regularizer], entry, points)[:, 0], 1e-12
    )


def test_spectrum_that_is_explained_is_that_of_the_hessian(entry, limit, truths):
    geometry = next(limit.manifold.local())
    point = np.array([float(x) for x in geometry.point])
    eigenvalues = np.linalg.eigvalsh(truths[0].landscape.hessian(point))
    rank = limit.manifold.codimension
    assert limit.manifold.probe.spectrum(geometry) == close(eigenvalues[-rank:], 1e-10)


LONG = ("correlated", "a sample too many")
"""Of these some closed forms are longer than what is worth reading (at a symbolic step)."""


@pytest.fixture
def written(entry, limit, monkeypatch):
    """The limit, its formulas written out even where they are too long to read."""
    if entry in WRITTEN and not any(word in entry.name for word in LONG):
        return limit
    monkeypatch.setattr(closed_form, "READABLE", 3000)
    return replace(limit)


@over(WRITTEN, slow=SURFACE_AND_CUBIC)
def test_closed_form_is_that_of_brute_force(written, entry, truths):
    agrees_with_brute_force(in_closed_form(written), entry, truths)


@over(
    [e for e in WRITTEN if e in SHRINKING and "correlated" not in e.name],
    slow=[e for e in WRITTEN if "correlated" in e.name],
)
def test_closed_form_at_a_symbolic_step(written, entry, truths):
    """`at_step()` with the symbol α, bound afterwards, is the limit of the iterated map."""
    field = in_closed_form(written.at_step(), {alpha: entry.alpha})
    agrees_with_the_iterated_map(field, entry, truths)
