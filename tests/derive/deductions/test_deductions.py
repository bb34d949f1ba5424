"""Steps of derivations: all agree with their checks, and wrong ones that are put in are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import mpmath
import pytest
import sympy as sp

from derive import (
    Limit,
    Mean,
    NoisyGradientDescent,
    Outcome,
    UpdateRule,
    alpha,
    derive_limit,
    sigma,
)
from derive.deductions.deductions import Deduction
from derive.manifold.charts import IntrinsicForm
from derive.symbolic.unknown_functions import at_instance
from tests.derive.display.test_display import (
    batches_with_noisy_labels,
    diagonal_net,
    ellipse,
    gradient_noise_with_momentum,
    jumps_and_a_penalty,
    linear_scalar_at_a_step,
    next_order,
    ring_in_a_chart,
    third_scale,
)

w1, w2, w3, e1, e2, x, y = sp.symbols("w1 w2 w3 e1 e2 x y", real=True)


def of_a_mean() -> Limit:
    """Label noise on samples that are not written out."""
    h = w1 * w2 * x + w3
    data = {x: [1.0, 2.0, 3.0], y: [1.0, 2.0, 3.0]}
    return derive_limit(
        NoisyGradientDescent(
            Mean((h - y) ** 2, data), Mean((h - y - e1) ** 2, data, e1), (w1, w2, w3), e1
        )
    )


def of_any_loss() -> Limit:
    """Perturbed weights of a loss of which nothing is said."""
    loss = sp.Function("L")
    return derive_limit(
        NoisyGradientDescent(loss(w1, w2), loss(w1 + e1, w2 + e2), (w1, w2), (e1, e2))
    )


def of_a_rule() -> Limit:
    """Descent with the step of one coordinate twice as long: P is oblique."""
    noisy = (w2 - w1**2 - e1) ** 2 / 2
    steps = [w1 - 2 * alpha * noisy.diff(w1), w2 - alpha * noisy.diff(w2)]
    return derive_limit(UpdateRule(steps, (w1, w2), (e1,), loss=(w2 - w1**2) ** 2 / 2))


QUICK: tuple[Callable[[], Limit], ...] = (
    ring_in_a_chart,
    ellipse,
    diagonal_net,
    of_a_mean,
    of_a_rule,
)
LONG: tuple[Callable[[], Limit], ...] = (
    linear_scalar_at_a_step,
    third_scale,
    jumps_and_a_penalty,
    gradient_noise_with_momentum,
    batches_with_noisy_labels,
    next_order,
    of_any_loss,
)
MODELS = [*QUICK, *(pytest.param(model, marks=pytest.mark.slow) for model in LONG)]


@cache
def limit_of(model: Callable[[], Limit]) -> Limit:
    return model()


@cache
def steps_of(model: Callable[[], Limit]) -> tuple[Deduction, ...]:
    return limit_of(model).explain().steps


@pytest.mark.parametrize("model", MODELS)
def test_each_step_agrees_with_its_check(model: Callable[[], Limit]) -> None:
    checked = [step for step in steps_of(model) if step.check is not None]
    assert len(checked) >= 5
    for step in checked:
        assert step.verdict is not None
        assert step.verdict.value is True, f"{step.statement.label}: {step.finding}"
        assert "agrees with" in step.finding


# Wrong steps -------------------------------------------------------------------------------------


def wrong_expressions(value: sp.Expr) -> Iterator[tuple[str, Any]]:
    """The value with a mistake such as one makes by hand."""
    yield "lost ½", 2 * value
    yield "½ too much", value / 2
    yield "sign", -value
    yield "constant added", value + sp.Rational(1, 7)
    terms = sp.Add.make_args(sp.expand(value))
    if len(terms) > 1:
        yield "first term dropped", sp.Add(*terms[1:])
        yield "last term dropped", sp.Add(*terms[:-1])
        yield "sign of a term", value - 2 * terms[0]
    if {w1, w2} & value.free_symbols:
        yield "weights exchanged", value.xreplace({w1: w2, w2: w1})
        yield "square for a weight", value.xreplace({w1: w1**2})
    if value.has(alpha):
        yield "power of α", value.xreplace({alpha: alpha**2})


def wrong_matrices(value: sp.Matrix) -> Iterator[tuple[str, Any]]:
    """A matrix with a mistake."""
    yield "lost ½", 2 * value
    yield "½ too much", value / 2
    yield "sign", -value
    yield "lost projection", value + sp.ones(*value.shape) / 9
    if value.cols > 1 and value.cols == value.rows:
        yield "rows exchanged", value[::-1, :]
        yield "lost off-diagonal", sp.diag(*value.diagonal())
    if value.cols == 1 and value.rows > 1:
        yield "entries exchanged", sp.Matrix(list(value)[::-1])
    for k, entry in enumerate(value):
        terms = sp.Add.make_args(sp.expand(entry))
        if len(terms) > 1:
            wrong = sp.Matrix(value)
            wrong[k] = sp.Add(*terms[1:])
            yield f"term dropped in entry {k + 1}", wrong


def wrong_values(step: Deduction) -> Iterator[tuple[str, Any]]:
    """Results that the step must not have."""
    value, label = step.result, step.statement.label
    if label == "time scale":
        yield from (("power of α", value * alpha), ("power of σ", value / sigma))
    elif isinstance(value, sp.MatrixBase):
        yield from wrong_matrices(sp.Matrix(value))
    elif isinstance(value, bool):
        yield "answer", not value
    elif isinstance(value, Outcome):
        yield from ((other.value, other) for other in Outcome if other is not value)
    elif isinstance(value, sp.Expr):
        yield from wrong_expressions(value)
    elif isinstance(value, IntrinsicForm):
        yield "lost ½", replace(value, drift=2 * value.drift)
        yield "sign", replace(value, drift=-value.drift)
    elif label == "Γ":
        dimension, constraints = value
        yield "dimension", (dimension + 1, constraints)
        yield "constraint", (dimension, tuple(c + 1 for c in constraints))
    elif label == "limit":
        yield "lost ½", tuple(2 * x for x in value)
        yield "noise for none", (value[0], 1 - value[1], value[2])
    elif label == "spectrum of H":
        yield "exchanged", value[::-1] if value[0] != value[1] else ("0", "0")


POTENTIALS = ("V₂", "potential")
"""Functions that are stated up to a constant."""


def is_another(wrong: Any, step: Deduction, limit: Limit) -> bool:
    """Whether a result differs on Γ from the right one, as twice zero does not.

    Told at the last point of Γ that the derivation knows, by sympy and without the checks.
    """
    right, label = step.result, step.statement.label
    if not isinstance(right, sp.Expr | sp.MatrixBase) or label == "time scale":
        return bool(wrong != right)
    if label == "diffusion":
        wrong, right = wrong * wrong.T, right * right.T
    gap = sp.Matrix([wrong]) - sp.Matrix([right])
    manifold = limit.manifold.few
    samples = getattr(limit.problem, "samples", None)
    if samples is not None:
        gap = gap.applyfunc(lambda e: samples.written(e, limit.manifold.rows)[0])
    gap = gap.applyfunc(at_instance)
    if label in POTENTIALS:
        gap = sp.Matrix([g.diff(w) for g in gap for w in manifold.problem.weights])
    symbols = list(gap.free_symbols)
    place = dict(zip(manifold.symbols, manifold.points[-1], strict=True))
    with mpmath.workdps(30):
        values = sp.lambdify(symbols, list(gap), modules="mpmath")(
            *(place.get(s, mpmath.mpf(7) / 11) for s in symbols)
        )
    return any(abs(v) > 1e-20 for v in values)


def found_among(models: Iterable[Callable[[], Limit]]) -> int:
    """How many wrong steps the checks find; they must find all."""
    found, missed = 0, []
    for model in models:
        limit = limit_of(model)
        for step in steps_of(model):
            for mistake, wrong in wrong_values(step) if step.check is not None else ():
                if not is_another(wrong, step, limit):
                    continue
                verdict = replace(step, result=wrong).verdict
                assert verdict is not None
                found += 1
                if verdict.value is not False:
                    missed.append(f"{model.__name__}, {step.statement.label}: {mistake}")
    assert missed == []
    return found


def test_a_hundred_wrong_steps_are_found() -> None:
    """Lost halves, signs, terms, powers, transpositions: each is found by the check of its step."""
    assert found_among(QUICK) >= 100


@pytest.mark.slow
def test_wrong_steps_of_further_models_are_found() -> None:
    assert found_among(LONG) >= 100
