"""Refusals that no other test makes: one error that says what is wrong and how to mend it."""

import re
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import sympy as sp

import derive
from derive import (
    Bernoulli,
    CustomLaw,
    DeriveError,
    Gaussian,
    Independent,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    TwoPoint,
    UndecidedError,
    derive_limit,
    mechanisms,
)
from derive.analysis.longtime import equilibria
from derive.analysis.phases import terms
from derive.laws.expansions import LevyPair
from derive.laws.law import Law
from derive.manifold.manifold import Manifold
from numerics import (
    Paths,
    compile_descent,
    compile_limit,
    simulate_descent,
    simulate_grid,
    simulate_limit,
    validate,
)
from numerics.validation.planner import plan

w1, w2, eta, a = sp.symbols("w1 w2 eta a", real=True)
WEIGHTS = (w1, w2)
RING = (w1**2 + w2**2 - 1) ** 2 / 4
DESCENT = {"alpha": 0.05, "sigma": 0.1, "steps": 10, "paths": 4, "seed": 0}
LIMIT = {"time": 1.0, "paths": 4, "seed": 0}
RUN = {"alpha": 0.05, "sigma": 0.1, "time": 1.0, "paths": 100, "seed": 0}


def model(noisy_part: sp.Expr = eta * w1, loss: sp.Expr = RING, **more: object):
    return NoisyGradientDescent(loss, loss + noisy_part, WEIGHTS, (eta,), **more)


def stated(loss: object) -> NoisyGradientDescent:
    return NoisyGradientDescent(loss, RING, WEIGHTS, (eta,))


@dataclass(frozen=True)
class Unheard(Law):
    """A law of one's own, of which only the Lévy pair is known."""

    def levy_pair(self, dimension: int) -> LevyPair:
        return LevyPair(sp.ImmutableMatrix(sp.eye(dimension)))


@pytest.fixture(scope="module")
def limit() -> Limit:
    """Diffusive, on the unit circle."""
    return derive_limit(model())


# -- what is typed ------------------------------------------------------------------------------

TYPED = {
    "a text for a loss": (lambda: stated("w1"), "loss: expected a sympy expression, got 'w1'"),
    "a matrix for a loss": (lambda: stated(sp.eye(2)), "loss: expected a scalar sympy"),
    "a condition for a loss": (lambda: stated(w1 > 0), "loss: expected a scalar sympy"),
    "a complex loss": (lambda: model(sp.I * w1), "noisy_loss: expected a real expression"),
    "an unevaluated part": (
        lambda: model(loss=sp.UnevaluatedExpr(w1) ** 2),
        "loss: w1 has no derivatives and values",
    ),
    "a derivative": (lambda: model(loss=sp.Derivative(w1**2, w1)), r"carry .* out with \.doit"),
    "an indefinite integral": (lambda: model(loss=sp.Integral(w1, w1)), r"out with \.doit\(\)"),
    "a function without derivative": (lambda: model(loss=sp.floor(w1) ** 2), "floor"),
    "a function of integers": (lambda: model(sp.KroneckerDelta(w1, w2) * eta), "KroneckerDelta"),
    "a delta": (lambda: model(loss=sp.DiracDelta(w1)), "DiracDelta"),
    "a zeta function": (lambda: model(loss=sp.zeta(w1) ** 2), "zeta"),
    "a number for weights": (
        lambda: NoisyGradientDescent(RING, RING, 3, (eta,)),
        "weights: expected symbols, got 3 of type int",
    ),
    "a number for noise": (
        lambda: mechanisms.parameter_noise(RING, WEIGHTS, noise=(1, 2)),
        "noise: expected symbols, got 1",
    ),
    "no point": (lambda: model(near=3), "near: expected 2 coordinates, got 3"),
    "constraints that are none": (lambda: model(constraints=[None]), "constraints: expected"),
    "no covariance": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, None, WEIGHTS),
        "noise_matrix: expected a matrix of expressions, got None",
    ),
    "ragged covariance": (
        lambda: Gaussian([[1, 2], [3]]),
        "covariance: expected rows of one length",
    ),
    "values that are no mapping": (lambda: model().subs(3), "subs: expected {parameter: number"),
    "a value that is none": (
        lambda: model(a * eta * w1, parameters=(a,)).subs({a: "x"}),
        "subs: a: expected a sympy expression, got 'x'",
    ),
    "replacement neither true nor false": (
        lambda: Minibatch(4, 2, replacement="yes"),
        "replacement: expected True or False, got 'yes'",
    ),
    "no jumps": (lambda: CustomLaw([[1]], 3), r"jumps: expected pairs \(z, rate\), got 3"),
    "a rate that is none": (lambda: CustomLaw([[1]], [([1], "x")]), "jumps: expected a sympy"),
    "no skewness": (lambda: TwoPoint(None), "skewness: expected a sympy expression, got None"),
    "groups of texts": (lambda: Independent({("eta",): Gaussian()}), "groups: expected symbols"),
    "inputs that are no symbols": (
        lambda: mechanisms.label_noise(w1 * w2, [[1]], [1], [1], WEIGHTS),
        r"inputs: \[1\] does not occur in the model",
    ),
    "combination with nothing": (
        lambda: mechanisms.combine(model(), None),
        "combine: expected two NoisyGradientDescent, got None",
    ),
    "penalty with too many terms": (
        lambda: model(penalty=derive.sigma**2 * (1 + w1 + w2 + w1 * w2) ** 64),
        "penalty: expected at most 2000 terms",
    ),
}


@pytest.mark.parametrize(("make", "message"), TYPED.values(), ids=TYPED)
def test_what_is_typed(make, message) -> None:
    with pytest.raises(DeriveError, match=message):
        make()


# -- derivations --------------------------------------------------------------------------------

DERIVED = {
    "no problem": (
        lambda: derive_limit(RING),
        "problem: expected a NoisyGradientDescent or a rule, got",
    ),
    "no outcome": (lambda: derive_limit(model(), assume="slow"), "assume: expected one of non-deg"),
    "no outcome of any kind": (lambda: derive_limit(model(), assume=1), "assume: .* got 1"),
    "a jump to where the loss is infinite": (
        lambda: derive_limit(model(-w2 / (1 + eta) + w2, law=Bernoulli())),
        r"noisy_loss: L̂ is not finite where the noise jumps, at {eta: -1}",
    ),
    "noise of fixed size that is squared": (
        lambda: derive_limit(
            NoisyGradientDescent(
                RING,
                RING + (1 + a) ** 3 * w1**2 * eta**2,
                WEIGHTS,
                (a, eta),
                Independent({a: Minibatch(1, 1), eta: Gaussian()}),
            )
        ),
        "the noise that does not shrink with σ must enter L̂ linearly",
    ),
}


@pytest.mark.parametrize(("make", "message"), DERIVED.values(), ids=DERIVED)
def test_derivations(make, message) -> None:
    with pytest.raises(DeriveError, match=message):
        make()


def test_an_undecided_question_stops_the_derivation_and_may_be_answered() -> None:
    # P∇Reg is 10⁻²⁵ of its summands: not zero to 40 digits, and too small for a witness.
    nearly = model(((w1**2 + w2**2) + w1 / sp.Integer(10) ** 25) * eta**2 / 2)
    with pytest.raises(UndecidedError, match=r"P∇Reg = 0 on Γ: undecided; tried .* Give assume="):
        derive_limit(nearly)
    assert derive_limit(nearly, assume="trivial").outcome.value == "trivial"


def test_a_law_of_ones_own_has_no_slower_scales() -> None:
    limit = derive_limit(model((w1**2 + w2**2) * eta**2, law=Unheard()))
    with pytest.raises(derive.NotCoveredError, match=r"law: .*Unheard"):
        limit.scales()


OF_A_LIMIT = {
    "negative step": (lambda x: x.at_step(-1), "step: expected a positive step size α, got -1"),
    "complex step": (lambda x: x.at_step(1j), "step: expected a real expression"),
    "no step": (lambda x: x.at_step("x"), "step: expected a sympy expression, got 'x'"),
    "heavy momentum": (lambda x: x.at_step(0.1, 1), "momentum: expected β with 0 ≤ β < 1, got 1"),
    "negative kappa": (lambda x: x.crossover(-1), "kappa: expected lim σ²/α ≥ 0, got -1"),
    "no sigma": (lambda x: x.effective(0.1, []), "sigma: expected a sympy expression"),
    "drift that is none": (lambda x: x.check(None), "drift: expected a matrix of expressions"),
    "point far from Γ": (
        lambda x: terms(x, (mpmath.mpf(10) ** 30, 0)),
        "point: no point of Γ was found close to",
    ),
}


@pytest.mark.parametrize(("call", "message"), OF_A_LIMIT.values(), ids=OF_A_LIMIT)
def test_of_a_limit(limit: Limit, call, message) -> None:
    with pytest.raises(DeriveError, match=message):
        call(limit)


def test_minibatches_have_no_limit_at_a_step() -> None:
    x = sp.Symbol("x", real=True)
    # One residual is twice the other: the equations of Γ are exactly redundant.
    problem = mechanisms.minibatch_label_noise(
        w1 * w2 * x, x, [1, 2], [1, 2], WEIGHTS, batch_size=1
    )
    limit = derive_limit(problem)
    assert limit.outcome.value == "deterministic"
    assert limit.at_step(0.01).outcome.value == "deterministic"
    with pytest.raises(derive.NotCoveredError, match="do not attract at α = 10"):
        limit.at_step(10)


def test_parameters_are_bound_first() -> None:
    limit = derive_limit(model(a * eta * w1, parameters=(a,)))
    for ask in (equilibria, terms):
        with pytest.raises(DeriveError, match=r"limit: bind the parameters \(a,\) with subs"):
            ask(limit)


def test_coordinates_need_a_chart(limit: Limit) -> None:
    with pytest.raises(ValueError, match="chart: the problem has no chart; give one"):
        derive.manifold.charts.intrinsic_form(limit.drift, limit.diffusion, limit.problem)
    assert limit.intrinsic is None
    assert isinstance(limit.manifold, Manifold)
    with pytest.raises(ValueError, match="chart: the problem has no chart; give one"):
        limit.manifold.in_chart(w1)


# -- runs ---------------------------------------------------------------------------------------

BAD_NUMBERS = (None, "0.1", [0.1], np.nan, np.inf, -1.0, 1j, sp.Symbol("x"), 10**400)


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_numbers_of_the_recursion(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a (positive|non-negative) number, got"):
        simulate_descent(model(), (1, 0), **{**DESCENT, name: value})


@pytest.mark.parametrize("value", BAD_NUMBERS[1:], ids=repr)
@pytest.mark.parametrize("name", ["time", "step", "alpha", "sigma"])
def test_numbers_of_the_limit(limit: Limit, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a positive number, got"):
        simulate_limit(limit, (1, 0), **{**LIMIT, name: value})


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["alpha", "sigma", "time", "level", "paths", "seed"])
def test_numbers_of_a_validation(limit: Limit, name: str, value: object) -> None:
    if name in ("alpha", "sigma") and value == [0.1]:
        pytest.skip("a ladder of one")
    with pytest.raises(ValueError, match=f"{name}: expected .*got"):
        validate(limit, (1, 0), **{**RUN, name: value})


@pytest.mark.parametrize("seed", [None, -1, 1.5, "x", [1, -2]], ids=repr)
def test_seeds(limit: Limit, seed: object) -> None:
    message = "seed: expected a non-negative integer"
    with pytest.raises(ValueError, match=message):
        simulate_descent(model(), (1, 0), **{**DESCENT, "seed": seed})
    with pytest.raises(ValueError, match=message):
        simulate_limit(limit, (1, 0), **{**LIMIT, "seed": seed})


RUNS = {
    "no problem": (lambda _: compile_descent(RING), "problem: expected a NoisyGradientDescent"),
    "no limit": (lambda _: compile_limit(model()), "limit: expected a Limit, as derive_limit"),
    "a start of texts": (
        lambda _: simulate_descent(model(), ("a", "b"), **DESCENT),
        r"start: expected numbers, got \('a', 'b'\)",
    ),
    "a start of symbols": (
        lambda _: simulate_descent(model(), {w1: w1, w2: 0}, **DESCENT),
        "start: expected numbers",
    ),
    "no times": (
        lambda _: simulate_descent(model(), (1, 0), **DESCENT, record=[]),
        r"record: expected a number of times, or an increasing sequence of them; got \[\]",
    ),
    "no times of the limit": (
        lambda x: simulate_limit(x, (1, 0), **LIMIT, record="all"),
        "record: expected numbers, got 'all'",
    ),
    "a path that is true": (
        lambda _: simulate_descent(model(), (1, 0), **{**DESCENT, "paths": True}),
        "paths: expected an integer, at least 1; got True",
    ),
    "more paths than doubles can count": (
        lambda _: simulate_descent(model(), (1, 0), **{**DESCENT, "paths": 10**20}),
        "paths: expected at most",
    ),
    "more paths than the memory holds": (
        lambda _: simulate_descent(model(), (1, 0), **{**DESCENT, "paths": 2**50}),
        "paths, record: .* GiB.*; take fewer paths or times",
    ),
    "too short a step": (
        lambda x: simulate_limit(x, (1, 0), **LIMIT, step=1e-300),
        "step: .* steps of 1e-300 lead to the time 1; give a longer step",
    ),
    "no threads": (
        lambda _: simulate_descent(model(), (1, 0), **DESCENT, threads=0),
        "threads: expected an integer, at least 1; got 0",
    ),
    "no pairs in a grid": (
        lambda _: simulate_grid(model(), (1, 0), "x", grid=[0.1], steps=10, paths=4, seed=0),
        r"grid: expected pairs \(alpha, sigma\), at least one",
    ),
    "steps that do not fit the grid": (
        lambda _: simulate_grid(
            model(), (1, 0), "x", grid=[(0.1, 0.1)], steps=[1, 2], paths=4, seed=0
        ),
        "steps: expected one number, or 1, one per grid point",
    ),
    "a law without sampler": (
        lambda _: compile_descent(model(law=Unheard())),
        "law: no sampler for Unheard",
    ),
    "a plan of neither": (
        lambda x: plan(x, (1, 0), alpha=0.1, sigma=0.1, time=1.0),
        "paths, budget: expected one of the two",
    ),
    "a scale that takes for ever": (
        lambda x: validate(x, (1, 0), **{**RUN, "sigma": 1e-300}),
        "time: 1 units of slow time are inf iterations .*; give a shorter time",
    ),
    "observables that are none": (
        lambda x: validate(x, (1, 0), **RUN, observables={"angle": 3}),
        "observables: expected {name: function of the weights}, got",
    ),
    "no step sizes": (lambda x: validate(x, (1, 0), **{**RUN, "alpha": []}), "alpha: expected"),
    "a start that does not reach Γ": (
        lambda _: validate(derive_limit(model()), (0, 0), **RUN),
        r"start: gradient descent with α = 0.05 from \(0.0, 0.0\) does not end on Γ",
    ),
}


@pytest.mark.parametrize(("call", "message"), RUNS.values(), ids=RUNS)
def test_runs(limit: Limit, call, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call(limit)
    assert not list(tmp_path.iterdir())


PARTS = {
    "times": np.arange(3.0),
    "weights": np.zeros((2, 3, 1)),
    "unit": "iterations",
    "status": np.zeros(2, dtype=object),
    "stopped": np.full(2, -1),
}
MISFITS = {
    "times": (np.arange(2.0), "times: shape (2,) does not fit weights of shape (2, 3, 1)"),
    "status": (np.zeros(1, dtype=object), "status: shape (1,) does not fit"),
    "unit": ("seconds", "unit: expected one of ('iterations', 'slow time'), got 'seconds'"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_parts_of_paths(name: str) -> None:
    part, message = MISFITS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        Paths(**{**PARTS, name: part})


def test_paths_at_other_times_are_not_joined() -> None:
    later = Paths(**{**PARTS, "times": np.arange(3.0) + 1})
    with pytest.raises(ValueError, match="parts: expected runs recorded at the same times"):
        Paths.joined([Paths(**PARTS), later])


def test_no_end_is_found_where_the_flow_rests_away_from_the_manifold(limit: Limit) -> None:
    fast = compile_limit(limit)
    for end in (fast.flow_limit((0, 0)), fast.descent_limit((0, 0), 0.05), fast.retract((0, 0))):
        assert np.isnan(end).all()
