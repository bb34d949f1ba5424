"""Losses whose minimum is not zero, and noise that keeps its size on Γ, against brute force.

Φ comes from the gradient flow and its differences, Σ from the definition of the law; neither knows
how Γ was found, or of what the loss is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    Choice,
    Independent,
    Limit,
    Mean,
    Minibatch,
    NoisyGradientDescent,
    ProblemError,
    Rademacher,
    alpha,
    derive_limit,
    mechanisms,
    sigma,
)
from derive.errors import NotCoveredError
from derive.laws.scaled import Scaled, keeps_its_size, scaled
from numerics import compile_limit
from tests.conftest import BruteForce, brute_force
from tests.derive.equation.test_catalogue import close
from tests.truth.fields import at_fifty_digits, derived

x, y, u, v, w, z = sp.symbols("x y u v w z", real=True)
n1, n2, n3 = sp.symbols("n1:4", real=True)
e = sp.Symbol("e", real=True)
HALF, THIRD = sp.Rational(1, 2), sp.Rational(1, 3)
FOUR = (x, y, u, v)


def softmax(logits: list[sp.Expr], labels: list[sp.Expr]) -> sp.Expr:
    """Cross-entropy of the classes' logits and the probabilities of the labels."""
    beside = sp.Add(*(q * h for q, h in zip(labels, logits, strict=True)))
    return sp.log(sp.Add(*map(sp.exp, logits))) - beside


def logistic(h: sp.Expr, q: sp.Expr) -> sp.Expr:
    return mechanisms.cross_entropy(h, q)


def bandit() -> sp.Expr:
    """−E r + entropy, for two arms of rewards 1 and 0 under softmax of xy and u."""
    p = 1 / (1 + sp.exp(u - x * y))
    return -p + p * sp.log(p) + (1 - p) * sp.log(1 - p)


def two_classes() -> NoisyGradientDescent:
    """Three classes, of which one is drawn in each step as the label."""
    logits, chances = [x * y, u * v, sp.Integer(0)], (HALF, THIRD, sp.Rational(1, 6))
    loss = softmax(logits, list(chances))
    drawn = tuple(
        tuple(int(k == c) - q for k, q in enumerate(chances[:2])) for c in range(len(chances))
    )
    noisy = softmax(logits, [HALF + n1, THIRD + n2, sp.Rational(1, 6) - n1 - n2])
    return NoisyGradientDescent(loss, noisy, FOUR, (n1, n2), Choice(drawn, chances))


FLAT = (x * y - 1) ** 2 / 2
SMOOTHED = logistic(x * y, sp.Rational(3, 4))
ELLIPSE = x**2 + 2 * y**2
TANH = u * sp.tanh(x * z) + v * sp.tanh(y * z)

MODELS: dict[str, tuple[Callable[[], NoisyGradientDescent], tuple[float, ...], str]] = {
    "a constant added": (
        lambda: mechanisms.additive_noise(FLAT + 2, (x, y)),
        (0.7, 1.4),
        "diffusive",
    ),
    "a constant added, and multiplied out": (
        lambda: mechanisms.parameter_noise(sp.expand(2 * FLAT) + 3, (x, y)),
        (0.7, 1.4),
        "non-degenerate",
    ),
    "a minimum that is no fraction, multiplied out": (
        lambda: mechanisms.additive_noise(sp.expand(2 * FLAT) + sp.sqrt(2), (x, y)),
        (0.7, 1.4),
        "diffusive",
    ),
    "smoothed labels": (
        lambda: mechanisms.additive_noise(SMOOTHED, (x, y)),
        (0.7, 1.4),
        "diffusive",
    ),
    "smoothed labels, with the constraint": (
        lambda: mechanisms.dropconnect(SMOOTHED, (x, y), constraints=[x * y - sp.log(3)]),
        (0.7, 1.4),
        "deterministic",
    ),
    "smoothed labels, dropped weights": (
        lambda: mechanisms.dropconnect(
            logistic(x * y + u, sp.Rational(3, 4)), (x, y, u), law=Bernoulli()
        ),
        (0.7, 0.8, 0.5),
        "non-degenerate",
    ),
    "softmax with smoothed labels": (
        lambda: mechanisms.parameter_noise(
            softmax([x * y, u, sp.Integer(0)], [HALF, THIRD, sp.Rational(1, 6)]), (x, y, u)
        ),
        (0.7, 1.4, 0.7),
        "non-degenerate",
    ),
    "a divergence without its constant": (
        lambda: mechanisms.additive_noise(
            -THIRD * sp.log(1 / (1 + sp.exp(-x * y - u)))
            - 2 * THIRD * sp.log(1 - 1 / (1 + sp.exp(-x * y - u))),
            (x, y, u),
        ),
        (0.5, 1.0, -1.2),
        "diffusive",
    ),
    "a bandit with entropy": (
        lambda: mechanisms.additive_noise(bandit(), (x, y, u)),
        (0.9, 1.3, 0.1),
        "diffusive",
    ),
    "batches that cannot be fitted": (
        lambda: mechanisms.minibatch(x * y * z, z, [1, 1], [1, 2], (x, y), batch_size=1, half=True),
        (0.9, 1.6),
        "deterministic",
    ),
    "batches of classes": (
        lambda: mechanisms.minibatch(
            x * y * z,
            z,
            [1, 1, 1],
            [0, 1, 1],
            (x, y),
            batch_size=1,
            sample_loss="cross_entropy",
        ),
        (0.7, 1.1),
        "deterministic",
    ),
    "batches with replacement on an ellipse": (
        lambda: NoisyGradientDescent(
            ((ELLIPSE - 1) ** 2 + 2 * (ELLIPSE - 2) ** 2) / 4,
            ((1 + n1) * (ELLIPSE - 1) ** 2 + 2 * (1 + n2) * (ELLIPSE - 2) ** 2) / 4,
            (x, y),
            (n1, n2),
            Minibatch(2, 3, replacement=True),
        ),
        (0.9, 0.7),
        "deterministic",
    ),
    "label flips": (
        lambda: mechanisms.label_flips(
            x * y * z, z, [1], [1], (x, y), probability=sp.Rational(1, 4)
        ),
        (0.7, 1.4),
        "deterministic",
    ),
    "label flips in a tanh network": (
        lambda: mechanisms.label_flips(
            TANH, z, [1, 2], [1, 1], FOUR, probability=sp.Rational(2, 5)
        ),
        (1.0, 0.3, 0.78, -0.64),
        "deterministic",
    ),
    "label flips under squared errors": (
        lambda: mechanisms.label_flips(
            x * y * z, z, [1], [1], (x, y), probability=sp.Rational(1, 5), sample_loss="squared"
        ),
        (0.7, 1.1),
        "deterministic",
    ),
    "a class drawn for three": (two_classes, (0.9, 1.2, 0.8, 0.9), "deterministic"),
    "noise on soft labels": (
        lambda: mechanisms.label_noise(
            x * y * z, z, [1], [sp.Rational(3, 5)], (x, y), sample_loss="cross_entropy"
        ),
        (0.5, 0.9),
        "deterministic",
    ),
    "counts": (
        lambda: mechanisms.label_noise(
            x * y * z,
            z,
            [1],
            [3],
            (x, y),
            sample_loss=lambda h, k: sp.exp(h) - k * h,
            law=Rademacher(),
        ),
        (0.9, 1.3),
        "deterministic",
    ),
    "a variance": (
        lambda: mechanisms.dropconnect(ELLIPSE - sp.log(ELLIPSE), (x, y)),
        (0.7, 0.5),
        "non-degenerate",
    ),
    "log cosh and a constant": (
        lambda: mechanisms.parameter_noise(sp.log(sp.cosh(x * y - 1)) + 3, (x, y)),
        (0.7, 1.4),
        "non-degenerate",
    ),
    "an unequal loss": (
        lambda: mechanisms.additive_noise(sp.exp(x * y + z) - 2 * (x * y + z), (x, y, z)),
        (0.5, 0.4, 0.5),
        "diffusive",
    ),
    "gradient noise with two values": (
        lambda: NoisyGradientDescent.from_gradient_noise(
            (ELLIPSE - 1) ** 2 + 1,
            [[1], [x]],
            (x, y),
            (e,),
            law=Choice((2, -1), (THIRD, 2 * THIRD)),
        ),
        (0.6, 0.6),
        "diffusive",
    ),
}


@dataclass(frozen=True)
class Case:
    """A model, its limit, and brute force at a point of Γ."""

    problem: NoisyGradientDescent
    guess: tuple[float, ...]
    outcome: str

    @cached_property
    def limit(self) -> Limit:
        return derived(self.problem)

    @cached_property
    def truth(self) -> BruteForce:
        """The law of σζ has the Σ of ζ, as a limit σ → 0."""
        law = self.problem.law
        small = replace(self.problem, law=scaled(law)) if keeps_its_size(law) else self.problem
        return brute_force(small, [self.guess])[0]


@pytest.fixture(scope="module", params=MODELS, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    make, guess, outcome = MODELS[request.param]
    return Case(make(), guess, outcome)


def test_the_limit_is_that_of_brute_force(case):
    assert case.limit.outcome.value == case.outcome
    assert case.limit.manifold.minimum != 0
    field, truth = at_fifty_digits(case.limit), case.truth
    expected = truth.flow if case.outcome == "non-degenerate" else truth.second_derivative / 2
    assert field.drift(truth.w) == close(expected)
    spread = truth.diffusion_covariance * (case.outcome == "diffusive")
    assert field.spread(truth.w) == close(spread)
    assert np.abs(expected).max() > 1e-3, "a limit that does not move shows nothing"


def test_the_time_scale_names_what_is_small(case):
    powers = case.limit.time_scale.as_powers_dict()
    assert powers[alpha] == (-1 if case.outcome == "non-degenerate" else -2)
    assert case.limit.time_scale.has(alpha) and keeps_its_size(case.problem.law) == (
        len(case.limit.time_scale.free_symbols) == 1
    )


def test_the_mean_step_on_the_manifold_is_zero_at_the_own_size_of_the_noise(case):
    law = case.problem.law
    if not keeps_its_size(law):
        return
    truth = brute_force(case.problem, [case.guess])[0]
    steps, chances = truth.noisy.sample(truth.w, 1.0)
    assert chances @ steps == close(np.zeros(len(truth.w)))
    covariance = np.einsum("k,ki,kj->ij", chances, steps, steps)
    assert covariance == close(case.truth.sigma)


# What is said of noise that keeps its size ------------------------------------------------------


def test_flips_of_a_class_make_the_covariance_the_information():
    chance = sp.Symbol("p", positive=True)
    limit = derive_limit(
        mechanisms.label_flips(
            x * y * z, z, [1], [1], (x, y), probability=chance, parameters=(chance,)
        )
    )
    assert limit.classification.hessian_multiple == 1
    assert sp.simplify(limit.special.potential - chance * (1 - chance) * (x**2 + y**2) / 4) == 0


def test_a_fixed_step_has_a_limit_for_scaled_noise_only():
    problem = mechanisms.label_flips(x * y * z, z, [1], [1], (x, y), probability=THIRD)
    with pytest.raises(NotCoveredError, match=r"step: the noise keeps its size .*law=Scaled"):
        derive_limit(problem).at_step(0.1)
    small = derive_limit(replace(problem, law=scaled(problem.law)))
    assert small.time_scale == 1 / (alpha**2 * sigma**2)
    assert small.drift == derive_limit(problem).drift
    assert small.at_step(sp.Rational(1, 10)).drift != small.drift


def test_noise_of_fixed_size_that_shifts_the_mean_is_refused():
    loss = SMOOTHED
    noisy = loss.xreplace({x: x * (1 + e)})
    law = Choice((-1, 1), (HALF, HALF))
    with pytest.raises(ProblemError, match=r"noisy_loss: noise that keeps its size .* linearly"):
        derive_limit(NoisyGradientDescent(loss, noisy, (x, y), (e,), law))
    assert derive_limit(NoisyGradientDescent(loss, noisy, (x, y), (e,), Scaled(law)))


def test_batches_of_classes_that_can_be_fitted_are_frozen():
    limit = derive_limit(
        mechanisms.minibatch(
            TANH,
            z,
            [1, 2],
            mechanisms.smoothed([1, 1], sp.Rational(2, 5)),
            FOUR,
            batch_size=1,
            sample_loss="cross_entropy",
        )
    )
    assert limit.outcome.value == "frozen"
    assert limit.manifold.minimum != 0


@pytest.mark.parametrize("wrong", [Rademacher(), Independent(()), "Choice"], ids=str)
def test_only_a_law_of_fixed_size_is_scaled(wrong):
    with pytest.raises(ProblemError, match="law: expected one that keeps its size"):
        Scaled(wrong)


def test_a_mean_of_cross_entropies_is_that_written_out():
    weights, data = (x, y, u, v), {z: [1, 2], w: [sp.Rational(3, 5), sp.Rational(13, 20)]}
    loss, noisy = logistic(TANH, w), logistic(TANH, w + e)
    start = {x: 1.0, y: 0.3, u: 0.5, v: 0.4}
    mean = NoisyGradientDescent(Mean(loss, data), Mean(noisy, data, e), weights, (e,), near=start)
    whole, written = derive_limit(mean), derive_limit(mean.written_out())
    assert whole.outcome is written.outcome
    point = compile_limit(written).retract(np.array(list(start.values())))
    expected = compile_limit(written).drift(point)
    np.testing.assert_allclose(compile_limit(whole).drift(point), expected, atol=1e-12)
    assert np.abs(expected).max() > 1e-2
