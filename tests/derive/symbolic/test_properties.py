"""Random and malformed models, laws, starts and settings: an answer, or one error that explains.

Every case is drawn by hypothesis, the same ones each time; the runs marked slow draw many more.
A refusal is a `ValueError` (of which `DeriveError` is one) raised by this project; whatever sympy,
NumPy or Python raise from inside is a defect, and so is an answer that brute force contradicts.
"""

from __future__ import annotations

import contextlib
import functools
import math
import traceback
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import derive
from derive import (
    Bernoulli,
    CustomLaw,
    DeriveError,
    DeriveWarning,
    Gaussian,
    Independent,
    Minibatch,
    NoisyGradientDescent,
    Rademacher,
    TwoPoint,
    Uniform,
    derive_limit,
    mechanisms,
)
from numerics import (
    CompiledDescent,
    CompiledLimit,
    compile_descent,
    compile_limit,
    simulate_descent,
    simulate_limit,
    validate,
)
from tests.conftest import brute_force
from tests.truth.fields import at_fifty_digits

ROOT = Path(__file__).parents[3]
w1, w2, eta, zeta, x = sp.symbols("w1 w2 eta zeta x", real=True)
WEIGHTS = (w1, w2)
RING = (w1**2 + w2**2 - 1) ** 2 / 4
DRIFTING = NoisyGradientDescent(RING * (2 + w1), RING * (2 + w1) + eta * w1, WEIGHTS, (eta,))


def drawn(few: int, many: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with few examples by default, and with many, as `..._at_length`, when slow."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        quiet = {"deadline": None, "derandomize": True, "database": None}
        checks = list(HealthCheck)

        @pytest.mark.parametrize(
            "examples", [few, pytest.param(many, marks=pytest.mark.slow)], ids=["few", "many"]
        )
        def run(examples: int) -> None:
            settings(max_examples=examples, suppress_health_check=checks, **quiet)(test)()

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Let pass the errors that this project raises, with a message, and its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for category in (DeriveWarning, derive.DeriveWarning):
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", message="alpha: ")
        try:
            yield
        except ValueError as error:
            raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            assert raised.is_relative_to(ROOT), "raised from inside"
            assert ":" in str(error) or isinstance(error, DeriveError), error


# -- what is typed ------------------------------------------------------------------------------

NOTHING_OF_THE_KIND = st.sampled_from(
    [
        None, True, 0, 1, -1, 10**400, 1.5, math.nan, math.inf, -math.inf, 1j,
        "", "w1", "import os", b"x", [], (), {}, set(), [1, 2], [w1], [[w1]], [[1, 0], [0, 1]],
        [[1, 2], [3]], {w1: 1}, {"w1": 1}, {w1: 1, w2: "a"},
        w1, w2, eta, sp.Symbol("w1"), sp.Symbol("other"), sp.Dummy("w1", real=True),
        derive.alpha, derive.sigma, sp.oo, -sp.oo, sp.nan, sp.zoo, sp.I, sp.I * w1, sp.pi,
        sp.Matrix(WEIGHTS), sp.eye(2), sp.eye(3), sp.Matrix(0, 0, []), sp.MatrixSymbol("A", 2, 2),
        w1 > 0, sp.Eq(w1, 1), sp.true, sp.Interval(0, 1), sp.FiniteSet(1), sp.Tuple(w1, w2),
        sp.Function("f"), sp.Function("f")(w1), sp.Derivative(sp.Function("f")(w1), w1),
        sp.Derivative(w1**2, w1), sp.Integral(sp.exp(w1**2), w1), sp.Sum(w1**x, (x, 0, 3)),
        sp.Lambda(w1, w1**2), sp.Poly(w1**2 + 1, w1), sp.Order(w1), sp.Wild("q"),
        sp.UnevaluatedExpr(w1), sp.Piecewise((w1, w1 > 0), (0, True)),
        sp.Abs(w1), sp.sign(w1), sp.Max(w1, 0), sp.floor(w1), sp.Heaviside(w1), sp.DiracDelta(w1),
        sp.Mod(w1, 2), sp.KroneckerDelta(w1, w2), sp.zeta(w1), sp.gamma(w1), sp.log(w1), 1 / w1,
        w1 ** sp.Rational(1, 3), sp.sqrt(-1 - w1**2), w1**w2, sp.exp(sp.exp(sp.exp(w1))),
        w1**1000, (w1 + w2) ** 200, sp.Rational(10**50, 3),
        object(), object, len, iter([1]), range(3), Fraction(1, 3), Path("x"),
        np.array([0.6, 0.8]), np.array(1.0), np.array([["a"]]), np.zeros((2, 2, 2)),
        np.float64(1.5), np.int64(3), Gaussian(), Gaussian, [Gaussian()], Bernoulli(),
    ]
)  # fmt: skip
"""What is wrong in most places, and right in some."""

LABELS = {"model": w1 * w2 * x, "inputs": x, "data": [1, 2], "targets": [1, 2], "weights": WEIGHTS}
RIGHT: dict[Callable[..., Any], dict[str, Any]] = {
    NoisyGradientDescent: {
        "loss": RING,
        "noisy_loss": RING + eta * w1,
        "weights": WEIGHTS,
        "noise": (eta,),
        "law": Gaussian(),
        "constraints": (w1**2 + w2**2 - 1,),
        "chart": ((x,), (sp.cos(x), sp.sin(x))),
        "near": (1, 0),
        "parameters": (),
        "penalty": 0,
    },
    NoisyGradientDescent.from_gradient_noise: {
        "loss": RING,
        "noise_matrix": sp.eye(2),
        "weights": WEIGHTS,
        "noise": (),
    },
    Gaussian: {"covariance": [[1]]},
    TwoPoint: {"skewness": 1},
    Minibatch: {"samples": 4, "batch_size": 2, "replacement": False},
    CustomLaw: {"covariance": [[1]], "jumps": [([1], 1)]},
    Independent: {"groups": {eta: Gaussian()}},
    mechanisms.parameter_noise: {"loss": RING, "weights": WEIGHTS, "law": Gaussian()},
    mechanisms.dropconnect: {"loss": RING, "weights": WEIGHTS, "noise": (eta, zeta)},
    mechanisms.additive_noise: {"loss": RING, "weights": WEIGHTS, "law": Gaussian()},
    mechanisms.label_noise: {**LABELS, "law": Gaussian(), "noise": (eta, zeta)},
    mechanisms.minibatch: {**LABELS, "batch_size": 1},
    mechanisms.minibatch_label_noise: {**LABELS, "batch_size": 1},
    mechanisms.dropout: {**LABELS, "units": [w1 * w2 * x]},
    mechanisms.input_noise: {**LABELS, "noise": (eta, zeta)},
}
"""A right call of each function that takes what the user types."""


@st.composite
def spoilt_calls(draw: st.DrawFn) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A right call with one or two arguments, or an entry of one, put in disorder."""
    call = draw(st.sampled_from(list(RIGHT)))
    arguments = dict(RIGHT[call])
    for name in draw(st.lists(st.sampled_from(list(arguments)), min_size=1, max_size=2)):
        wrong = draw(NOTHING_OF_THE_KIND)
        whole = arguments[name]
        if isinstance(whole, tuple | list) and draw(st.booleans()):
            arguments[name] = [wrong, *whole[1:]]
        else:
            arguments[name] = wrong
    return call, arguments


@drawn(few=300, many=10_000)
@given(spoilt_calls())
def test_models_laws_and_mechanisms_are_made_or_refused(
    spoilt: tuple[Callable[..., Any], dict[str, Any]],
) -> None:
    call, arguments = spoilt
    with explained():
        call(**arguments)


@drawn(few=60, many=2_000)
@given(
    st.sampled_from(["subs", "at_step", "crossover", "effective", "check", "assume", "limit"]),
    NOTHING_OF_THE_KIND,
)
def test_derivations_take_nothing_else(ask: str, wrong: Any) -> None:
    with explained():
        if ask == "limit":
            derive_limit(wrong)
        elif ask == "assume":
            derive_limit(DRIFTING, assume=wrong)
        elif ask == "subs":
            DRIFTING.subs(wrong)
        else:
            getattr(derive_limit(DRIFTING), ask)(wrong)


# -- models -------------------------------------------------------------------------------------

UNARY = (
    sp.sin, sp.cos, sp.exp, sp.tanh, sp.log, sp.sqrt, sp.Abs, sp.erf, sp.atan, sp.sign,
    lambda e: sp.Max(e, 0), lambda e: 1 / e, lambda e: e**2, lambda e: e**3, lambda e: e**20,
    lambda e: sp.Piecewise((e, w1 > 0), (-e, True)), lambda e: sp.log(1 + sp.exp(e)),
)  # fmt: skip
LAWS = st.sampled_from([Gaussian(), Rademacher(), Uniform(), Bernoulli(), TwoPoint(1)])


def expressions(*symbols: sp.Symbol) -> st.SearchStrategy[sp.Expr]:
    """Expressions in the symbols, three operations deep or so."""
    numbers = st.sampled_from([0, 1, -1, 2, sp.Rational(1, 2), sp.Rational(-3, 7), sp.pi, 10**6])
    leaf = st.one_of(st.sampled_from(symbols), numbers.map(sp.S))

    def operations(inner: st.SearchStrategy[sp.Expr]) -> st.SearchStrategy[sp.Expr]:
        pair = st.tuples(inner, inner)
        return st.one_of(
            pair.map(sum),
            pair.map(lambda p: p[0] - p[1]),
            pair.map(math.prod),
            st.builds(lambda f, e: f(e), st.sampled_from(UNARY), inner),
        )

    return st.recursive(leaf, operations, max_leaves=6)


@drawn(few=20, many=300)
@example(sp.Max(0, w2), w2, Gaussian(), True)
@given(expressions(*WEIGHTS), expressions(*WEIGHTS, eta), LAWS, st.booleans())
def test_any_model_is_derived_or_refused(
    residual: sp.Expr, noisy: sp.Expr, law: derive.laws.law.Law, square: bool
) -> None:
    """Whether or not the loss is one: complex, infinite, negative, without zeros, not smooth."""
    loss = residual**2 / 2 if square else residual
    with explained():
        limit = derive_limit(
            NoisyGradientDescent(loss, loss + eta * noisy, WEIGHTS, (eta,), law=law)
        )
        assert str(limit)
        assert limit.latex()
        with contextlib.suppress(DeriveError):
            assert str(limit.at_step(sp.Rational(1, 20)).drift)
        with contextlib.suppress(DeriveError):
            assert isinstance(limit.scales(), tuple)


SMALL = st.integers(-4, 4).map(lambda n: sp.Rational(n, 8))
LAWS_OF_TRUTH = st.sampled_from([Gaussian(), Rademacher(), Uniform()])


@st.composite
def tame_models(draw: st.DrawFn) -> tuple[NoisyGradientDescent, tuple[float, ...]]:
    """L = ½ c r² with c > 0 and ∇r ≠ 0 at a point of Γ near by, quadratic noise; and the point."""
    n = draw(st.integers(2, 3))
    weights = sp.symbols(f"w1:{n + 1}", real=True)

    def quadratic() -> sp.Expr:
        linear = sum(draw(SMALL) * w for w in weights)
        return linear + sum(draw(SMALL) * v * w for i, v in enumerate(weights) for w in weights[i:])

    base = tuple(draw(SMALL) for _ in weights)
    bend = quadratic()
    residual = sp.expand(
        weights[0] + bend - (weights[0] + bend).subs(dict(zip(weights, base, strict=True)))
    )
    stiffness = 1 + sum(draw(SMALL) * w for w in weights) ** 2
    loss = stiffness * residual**2 / 2
    noisy = loss + eta * quadratic() + eta**2 * quadratic() + eta * zeta * quadratic()
    problem = NoisyGradientDescent(
        loss, noisy, weights, (eta, zeta), law=draw(LAWS_OF_TRUTH), near=base
    )
    return problem, tuple(map(float, base))


@drawn(few=5, many=150)
@given(tame_models())
def test_a_random_model_has_the_limit_that_brute_force_finds(
    model: tuple[NoisyGradientDescent, tuple[float, ...]],
) -> None:
    problem, near = model
    try:
        limit = derive_limit(problem)
        (truth,) = brute_force(problem, [near], alpha=0.1)
    except (DeriveError, AssertionError):
        return  # a critical point of r at `near`, or a start that the flow carries far away
    field = at_fifty_digits(limit.at_step(0.1))
    degenerate = limit.outcome.is_degenerate or limit.time_scale is None
    half_step = 0.5 if degenerate else 0.05
    drift = half_step * truth.finite_second_derivative
    spread = truth.diffusion_covariance
    if degenerate:
        assert np.abs(truth.flow).max() < 1e-8
    else:
        drift, spread = drift + truth.flow, 0.1 * spread
    if limit.time_scale is None:
        assert np.abs(drift).max() < 1e-6
        assert np.abs(spread).max() < 1e-6
    else:
        assert field.drift(truth.w) == pytest.approx(drift, rel=0, abs=1e-6 + 1e-5 * norm(drift))
        assert field.spread(truth.w) == pytest.approx(spread, rel=0, abs=1e-8 * (1 + norm(spread)))


def norm(array: np.ndarray) -> float:
    return float(np.abs(array).max())


# -- runs ---------------------------------------------------------------------------------------

SETTINGS: dict[Callable[..., Any], dict[str, Any]] = {
    simulate_descent: {
        "alpha": 0.05, "sigma": 0.1, "steps": 20, "paths": 3, "seed": 0, "record": 5,
        "momentum": 0.0, "neighbourhood": None, "threads": 1,
    },
    simulate_limit: {
        "time": 0.1, "paths": 3, "seed": 0, "step": None, "alpha": None, "sigma": None,
        "record": 5, "threads": 1, "first_path": 0,
    },
    validate: {
        "alpha": 0.05, "sigma": 0.1, "time": 0.3, "paths": 99, "seed": 0, "level": 0.01,
        "observables": None,
    },
}  # fmt: skip
STARTS = st.one_of(
    NOTHING_OF_THE_KIND,
    st.sampled_from(
        [(0.6, 0.8), (0, 0), (5, -5), (1e200, 1e200), (math.nan, 1), (0.6,), [[0.6, 0.8]] * 3,
         {w1: 0.6, w2: 0.8}, {w1: 0.6}, "0.6,0.8", (w1, w2)]
    ),
)  # fmt: skip
BRIEF = st.one_of(
    NOTHING_OF_THE_KIND, st.sampled_from([0.0, -0.5, 0.02, [0.1], (0.1, 0.2), [0, 5, 3], "0.1"])
)


@drawn(few=12, many=1_500)
@example(simulate_descent, {"start": (0.6, 0.8)}, "threads", 1)
@example(simulate_descent, {"start": (1e200, 1e200)}, "\t", None)
@example(validate, {"start": None}, "", np.array(1.0))
@given(st.sampled_from(list(SETTINGS)), st.fixed_dictionaries({"start": STARTS}), st.text(), BRIEF)
def test_runs_end_or_are_refused(
    run: Callable[..., Any], place: dict[str, Any], which: str, wrong: Any
) -> None:
    arguments = dict(SETTINGS[run])
    names = [*arguments, "start"]
    name = names[sum(map(ord, which)) % len(names)]
    start = place["start"] if name == "start" else (0.6, 0.8)
    if name != "start":
        arguments[name] = wrong
    with explained():
        run(prepared(run is simulate_descent), start, **arguments)


@functools.cache
def prepared(recursion: bool) -> CompiledDescent | CompiledLimit:
    return compile_descent(DRIFTING) if recursion else compile_limit(derive_limit(DRIFTING))
