"""Every public verb on every kind of problem: it works, or says that it is not covered, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

from derive import (
    Limit,
    Mean,
    NoisyGradientDescent,
    NotCoveredError,
    UpdateRule,
    alpha,
    derive_limit,
    document,
)
from derive.analysis.exceptional_values import exceptional_values
from derive.analysis.longtime import equilibria, invariant_density
from derive.analysis.phases import terms
from derive.descent_limit import DescentLimit
from derive.optimizers import Nesterov, RMSProp
from numerics import (
    compile_limit,
    simulate_descent,
    simulate_grid,
    simulate_limit,
    validate,
    write_numpy,
)
from numerics.validation.planner import plan

w1, w2, w3, m1, m2, x, y, eta, xi = sp.symbols("w1 w2 w3 m1 m2 x y eta xi", real=True)
RESIDUAL = w1 * x + (1 + w2) * w3 * x**2 - y
DATA = {x: [1.0, 1.5], y: [0.5, 0.9375]}
LOSS = Mean(RESIDUAL**2, DATA)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4

A, U = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("U", 2, 2)
MATRICES = {A: [[[1.0, 2.0], [0.0, 1.0]], [[2.0, 1.0], [-1.0, 1.0]]], y: [1.0, 1.0]}
SENSING = sp.Trace(A * U * U.T) - y

DESCENT = NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta)


def heavy_ball() -> UpdateRule:
    """Descent with momentum ½, as a rule."""
    weights, memory, slope = (w1, w2), (m1, m2), DESCENT.stochastic_gradient
    after = [m / 2 + g for m, g in zip(memory, slope, strict=True)]
    moved = [w - alpha * m for w, m in zip(weights, after, strict=True)]
    return UpdateRule([*moved, *after], weights, eta, memory, loss=RING)


PROBLEMS: dict[str, Callable[[], NoisyGradientDescent | UpdateRule]] = {
    "an expression": lambda: DESCENT,
    "a mean with noise of each sample": lambda: NoisyGradientDescent(
        LOSS, Mean((RESIDUAL - xi) ** 2, DATA, xi), (w1, w2, w3), xi
    ),
    "a mean with noise that all share": lambda: NoisyGradientDescent(
        LOSS, Mean(RESIDUAL.subs(w2, w2 * (1 + eta)) ** 2, DATA), (w1, w2, w3), eta
    ),
    "matrices": lambda: NoisyGradientDescent(
        Mean(SENSING**2, MATRICES), Mean((SENSING - xi) ** 2, MATRICES, xi), U, xi
    ),
    "an optimizer": lambda: replace(DESCENT, optimizer=Nesterov(sp.Rational(1, 2))),
    "an adaptive optimizer": lambda: replace(
        DESCENT, near=(0.6, 0.8), optimizer=RMSProp(sp.Rational(1, 500), "constant")
    ),
    "a rule": heavy_ball,
}
RULES = ("an optimizer", "an adaptive optimizer", "a rule")
"""Kinds whose limit is that of an update rule, which has no Reg and no Σ."""


def _exported(language: str, limit: Limit, *_: Any) -> str:
    return limit.to(language)


STARTS = {2: [0.6, 0.8], 3: [0.25, 0.5, 0.2], 4: [0.4, 0.2, 0.1, 0.6]}
RUN = {"alpha": 0.05, "sigma": 0.1, "paths": 2, "seed": 0}
VERBS: dict[str, Callable[[Limit, list[float], Path], Any]] = {
    "outcome": lambda limit, *_: limit.outcome,
    "regularizer_on_manifold": lambda limit, *_: limit.regularizer_on_manifold,
    "at_step": lambda limit, *_: limit.at_step(0.05),
    "written_out": lambda limit, *_: limit.written_out(),
    "scales": lambda limit, *_: limit.scales(),
    "crossover": lambda limit, *_: limit.crossover(1),
    "effective": lambda limit, *_: limit.effective(0.05, 0.1),
    "check": lambda limit, *_: limit.check([0] * limit.problem.dimension),
    "explain": lambda limit, *_: str(limit.explain()),
    "text": lambda limit, *_: str(limit),
    "latex": lambda limit, *_: limit.latex(),
    "html": lambda limit, *_: limit._repr_html_(),
    "document": lambda limit, *_: document(limit),
    "save and load": lambda limit, _, folder: _again(limit, folder),
    "certificate": lambda limit, *_: limit.certificate(),
    "subs": lambda limit, *_: limit.subs({}),
    "terms of the phases": lambda limit, *_: terms(limit),
    "equilibria": lambda limit, *_: equilibria(limit),
    "end_states": lambda limit, start, _: str(limit.end_states([start])),
    "fluctuations": lambda limit, *_: str(limit.fluctuations()),
    "invariant_density": lambda limit, *_: invariant_density(limit),
    "exceptional_values": lambda limit, *_: exceptional_values(limit),
    **{f"to {language}": partial(_exported, language) for language in ("numpy", "jax", "c")},
    "compile_limit": lambda limit, start, _: _evaluated(limit, start),
    "simulate_descent": lambda limit, start, _: simulate_descent(
        limit.problem, start, steps=50, **RUN
    ),
    "simulate_limit": lambda limit, start, _: simulate_limit(
        limit, start, time=0.01, paths=1, seed=0
    ),
    "simulate_grid": lambda limit, start, folder: simulate_grid(
        limit.problem, start, folder, grid=[(0.05, 0.1)], steps=50, paths=2, seed=0
    ),
    "validate": lambda limit, start, _: validate(
        limit, start, time=0.3, **(RUN | {"paths": 100, "sigma": 0.2})
    ),
    "plan": lambda limit, start, _: plan(limit, start, alpha=0.05, sigma=0.1, time=0.5, paths=100),
    "write_numpy": lambda limit, _, folder: write_numpy(limit, folder / "limit.py"),
}
OF_REG = (
    *("regularizer_on_manifold", "crossover", "effective", "scales"),
    "terms of the phases",
)
"""Questions about Reg, Σ and the orders beyond them."""
REFUSED: dict[tuple[str, str], str] = {
    **{("invariant_density", kind): "no diffusion" for kind in PROBLEMS},
    ("crossover", "a mean with noise that all share"): "non-degenerate",
    **{(verb, kind): "update rule|gradient descent only" for verb in OF_REG for kind in RULES},
    **{("fluctuations", kind): "at a fixed step" for kind in RULES},
    **{
        (verb, kind): "no closed form|too long to read"
        for verb in ("to numpy", "to jax", "to c", "write_numpy")
        for kind in RULES
        if kind != "an optimizer"
    },
    ("validate", "an adaptive optimizer"): r"state δ = c\*derive.sigma",
}
"""What has no answer, and why."""


@cache
def limit_of(kind: str) -> Limit:
    return derive_limit(PROBLEMS[kind]())


def _again(limit: Limit, folder: Path) -> Limit:
    limit.save(folder / "limit.json")
    again = Limit.load(folder / "limit.json")
    assert str(again) == str(limit)
    assert again == limit
    return again


def _evaluated(limit: Limit, start: list[float]) -> Any:
    fast = compile_limit(limit)
    w = fast.flow_limit(start)
    found = [fast.drift(w), fast.diffusion(w), fast.projector(w), fast.spectrum(w)]
    assert all(np.isfinite(x).all() for x in found)
    return found


QUICK = ("outcome", "at_step", "text", "explain", "save and load")
LONG = {
    *(("validate", kind) for kind in PROBLEMS if kind != "an expression"),
    *(("equilibria", kind) for kind in PROBLEMS if kind != "an expression"),
    *((verb, "an adaptive optimizer") for verb in VERBS if verb not in QUICK),
}


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        pytest.param(verb, kind, marks=pytest.mark.slow if (verb, kind) in LONG else ())
        for verb in VERBS
        for kind in PROBLEMS
    ],
)
def test_a_verb_works_or_says_why_not(verb: str, kind: str, tmp_path: Path) -> None:
    limit = limit_of(kind)
    start = STARTS[limit.problem.dimension]
    if (verb, kind) in REFUSED:
        with pytest.raises(NotCoveredError, match=REFUSED[verb, kind]):
            VERBS[verb](limit, start, tmp_path)
    elif verb == "write_numpy":
        VERBS[verb](limit, start, tmp_path)
        assert (tmp_path / "limit.py").exists()
    else:
        assert VERBS[verb](limit, start, tmp_path) is not None


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_limit_has_the_same_attributes(kind: str) -> None:
    limit = limit_of(kind)
    assert isinstance(limit, Limit)
    assert isinstance(limit, DescentLimit) is (kind not in RULES)
    expected = {name for name in dir(limit_of("an expression")) if not name.startswith("_")}
    assert expected <= {*dir(limit)}
    for name in expected:
        try:
            getattr(limit, name)
        except NotCoveredError:
            assert kind in RULES or (name, kind) == ("second_order", "matrices")


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("bad", [{"step": -1}, {"step": 0.1, "momentum": 2}, {"step": "α"}])
def test_arguments_are_checked_for_every_kind(kind: str, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"step|momentum"):
        limit_of(kind).at_step(**bad)
