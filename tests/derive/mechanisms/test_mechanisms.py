"""Noise mechanisms by name: what each builds, and the answer of the theory for it on Γ."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    Gaussian,
    Independent,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    ProblemError,
    derive_limit,
    mechanisms,
)
from derive.laws.law import Law
from derive.mechanisms import MECHANISMS
from derive.noise.moments import noise_moments
from derive.symbolic.numbers.programs import Program

HALF = sp.Rational(1, 2)
x, x1, x2 = sp.symbols("x x1 x2", real=True)
w1, w2, w3, w4 = FOUR = sp.symbols("w1:5", real=True)
PLANE = (w1, w2)
eta = sp.symbols("eta1:9", real=True)
B, rho = sp.symbols("B rho", positive=True)

RING = (w1**2 + w2**2 - 1) ** 2 / 4
UNEVEN = RING * (2 + w1)
HYPERBOLA = (w1 * w2 - 1) ** 2 / 2

DIAGONAL = x1 * (w1**2 - w3**2) + x2 * (w2**2 - w4**2)
LINE = {"model": DIAGONAL, "inputs": (x1, x2), "data": [(1, 2), (2, -1)], "targets": (1, 3)}
DIAGONAL_NET = {**LINE, "weights": FOUR}
UNITS = (w1 * sp.tanh(w2 * x), w3 * sp.tanh(w4 * x))
PAIR = {
    "model": sp.Add(*UNITS),
    "inputs": x,
    "data": (0.5, 3),
    "targets": (0, 1),
    "weights": FOUR,
    "near": (2.3, 1.0, -1.3, 2.4),
}


def laplacian(expression: sp.Expr, weights: tuple[sp.Symbol, ...]) -> sp.Expr:
    return sp.Add(*(expression.diff(w, 2) for w in weights))


def descends(potential: sp.Expr, weights: tuple[sp.Symbol, ...]) -> sp.Matrix:
    return -sp.Matrix([potential.diff(w) for w in weights])


def flows_down(limit: Limit, potential: sp.Expr) -> bool:
    """Whether the drift is −P∇potential on Γ."""
    slope = descends(potential, limit.problem.weights)
    frame = limit.manifold.frame
    along = slope - frame.inverse * (frame.jacobian * slope)
    return bool(limit.check(along))


def same_on_manifold(limit: Limit, first: object, second: object) -> bool:
    """Whether two matrices of expressions agree on Γ."""
    return bool(limit.manifold.vanishes(list(sp.Matrix(first) - sp.Matrix(second))))


# What each mechanism builds --------------------------------------------------------------------


def test_parameter_noise_moves_the_weights():
    problem = mechanisms.parameter_noise(HYPERBOLA, PLANE)
    assert problem.noise == eta[:2]
    assert problem.noisy_loss == ((w1 + eta[0]) * (w2 + eta[1]) - 1) ** 2 / 2
    assert problem.law == Gaussian()
    assert mechanisms.anti_correlated_descent(HYPERBOLA, PLANE) == problem


def test_anti_correlated_descent_is_parameter_noise_for_shifted_weights():
    """z_k = w_k − ξ_k, exactly, for every sequence ξ."""
    problem = mechanisms.anti_correlated_descent(HYPERBOLA, PLANE)
    gradient = sp.lambdify(PLANE, [HYPERBOLA.diff(w) for w in PLANE])
    noisy = sp.lambdify([*PLANE, *problem.noise], problem.stochastic_gradient)
    xi = np.random.default_rng(0).normal(size=(6, 2)) / 10
    w = np.array([0.9, 1.2])
    z = w - xi[0]
    for now, then in itertools.pairwise(xi):
        z = z - 0.05 * np.array(noisy(*z, *now))
        w = w - 0.05 * np.array(gradient(*w)) + then - now
    assert z == pytest.approx(w - xi[-1], rel=1e-13)


def test_dropconnect_scales_and_additive_noise_pushes_the_weights():
    scaled = mechanisms.dropconnect(HYPERBOLA, PLANE, law=Bernoulli())
    assert scaled.noisy_loss == (w1 * (1 + eta[0]) * w2 * (1 + eta[1]) - 1) ** 2 / 2
    assert scaled.law == Bernoulli()
    pushed = mechanisms.additive_noise(HYPERBOLA, PLANE)
    assert pushed.noisy_loss == HYPERBOLA + eta[0] * w1 + eta[1] * w2


def test_squared_loss_is_the_mean_of_squares_or_half_of_it():
    loss = mechanisms.squared_loss(**LINE)
    misfits = (w1**2 - w3**2 + 2 * (w2**2 - w4**2) - 1, 2 * (w1**2 - w3**2) - w2**2 + w4**2 - 3)
    assert loss == sp.Add(*(m**2 for m in misfits)) / 2
    assert mechanisms.squared_loss(**LINE, half=True) == loss / 2


def test_data_may_be_arrays_matrices_or_symbols():
    rows = LINE["data"]
    for data in (np.array(rows), sp.Matrix(rows), [list(row) for row in rows]):
        assert mechanisms.squared_loss(DIAGONAL, (x1, x2), data, np.array([1, 3])) == (
            mechanisms.squared_loss(**LINE)
        )
    assert mechanisms.squared_loss(w1 * x, x, [0.1, 2], [0.25, 1]) == (
        (w1 / 10 - sp.Rational(1, 4)) ** 2 / 2 + (2 * w1 - 1) ** 2 / 2
    )
    assert mechanisms.squared_loss(w1 * x, x, [rho], [B]) == (rho * w1 - B) ** 2


def test_noise_of_a_model_enters_as_stated():
    misfit = w1 * sp.tanh(2 * w2) - 3
    sample = {"model": w1 * sp.tanh(w2 * x), "inputs": x, "data": [2], "targets": [3]}
    given = {**sample, "weights": PLANE}
    assert mechanisms.label_noise(**given).noisy_loss == (misfit - eta[0]) ** 2
    assert mechanisms.minibatch(**given, batch_size=1).noisy_loss == (1 + eta[0]) * misfit**2
    assert mechanisms.minibatch_label_noise(**given, batch_size=1).noisy_loss == (
        (1 + eta[0]) * (misfit - eta[1]) ** 2
    )
    assert mechanisms.dropout(**given, units=w1 * sp.tanh(w2 * x)).noisy_loss == (
        (w1 * (1 + eta[0]) * sp.tanh(2 * w2) - 3) ** 2
    )
    assert mechanisms.input_noise(**given).noisy_loss == (w1 * sp.tanh(w2 * (2 + eta[0])) - 3) ** 2


def test_dropout_of_inputs_and_of_units_inside_units():
    inner, outer = w2 * x1 + w3 * x2, w1 * sp.tanh(w2 * x1 + w3 * x2)
    problem = mechanisms.dropout(
        outer, (x1, x2), [(2, 3)], [1], (w1, w2, w3), units=(x2, outer, inner)
    )
    dropped = w1 * (1 + eta[1]) * sp.tanh((1 + eta[2]) * (2 * w2 + 3 * w3 * (1 + eta[0]))) - 1
    assert sp.expand(problem.noisy_loss - dropped**2) == 0


def test_input_noise_is_drawn_for_each_entry_of_each_sample():
    problem = mechanisms.input_noise(**DIAGONAL_NET)
    assert problem.noise == eta[:4]
    moved = [(1 + eta[0], 2 + eta[1]), (2 + eta[2], eta[3] - 1)]
    assert problem.noisy_loss == mechanisms.squared_loss(DIAGONAL, (x1, x2), moved, (1, 3))


def test_noise_symbols_avoid_the_names_in_use_or_are_the_users():
    taken = sp.symbols("eta1 eta3", real=True)
    problem = mechanisms.parameter_noise((taken[0] * taken[1] - 1) ** 2, taken)
    assert [str(s) for s in problem.noise] == ["eta2", "eta4"]
    own = sp.symbols("xi1 xi2", real=True)
    assert mechanisms.additive_noise(HYPERBOLA, PLANE, noise=own).noise == own
    assert mechanisms.label_noise(**DIAGONAL_NET, noise=own).noise == own


def test_setting_is_passed_on():
    angle = sp.Symbol("theta", real=True)
    problem = mechanisms.parameter_noise(
        rho * RING,
        PLANE,
        law=Gaussian([[1, 0], [0, rho]]),
        constraints=(w1**2 + w2**2 - 1,),
        chart=(angle, (sp.cos(angle), sp.sin(angle))),
        near=(1, 0),
        parameters=rho,
    )
    assert problem.parameters == (rho,)
    assert problem.near == (1, 0)
    assert problem.chart.coordinates == (angle,)
    assert problem.constraints == (w1**2 + w2**2 - 1,)


def test_catalogue_by_name():
    assert MECHANISMS["label_noise"] is mechanisms.label_noise
    assert all(name == f.__name__ and f.__doc__ for name, f in MECHANISMS.items())


REFUSED = {
    "rows of another length": (
        lambda: mechanisms.squared_loss(DIAGONAL, (x1, x2), [(1, 2), (3,)], (1, 2)),
        "data: expected samples of 2 entries, as many as `inputs`; got one with 1",
    ),
    "no data": (
        lambda: mechanisms.squared_loss(w1 * x, x, [], []),
        "data: expected samples of 1 entries, .* got no sample",
    ),
    "text as data": (
        lambda: mechanisms.squared_loss(w1 * x, x, ["?"], [1]),
        r"data: expected a sympy expression, got '\?'",
    ),
    "targets for other samples": (
        lambda: mechanisms.squared_loss(w1 * x, x, [1, 2], [1]),
        "targets: expected 2, one per sample, got 1",
    ),
    "an input the model does not have": (
        lambda: mechanisms.squared_loss(w1 * sp.Symbol("x"), x, [1], [1]),
        "inputs: x does not occur in the model",
    ),
    "a unit the model does not have": (
        lambda: mechanisms.dropout(**PAIR, units=w1 * sp.tanh(x)),
        r"units: w1\*tanh\(x\) does not occur in the model",
    ),
    "too few noise symbols": (
        lambda: mechanisms.parameter_noise(RING, PLANE, noise=eta[:1]),
        "noise: expected 2 symbols, got 1",
    ),
    "a loss that is no expression": (
        lambda: mechanisms.dropconnect("no loss?", PLANE),
        "loss: expected a sympy expression",
    ),
    "a batch larger than the data": (
        lambda: mechanisms.minibatch(**DIAGONAL_NET, batch_size=3),
        "batch_size: expected an integer from 1 to samples = 2, got 3",
    ),
    "two losses": (
        lambda: mechanisms.combine(
            mechanisms.label_noise(**DIAGONAL_NET),
            mechanisms.label_noise(**DIAGONAL_NET, half=True),
        ),
        "combine: expected the same loss",
    ),
    "other weights": (
        lambda: mechanisms.combine(
            mechanisms.additive_noise(RING, PLANE), mechanisms.additive_noise(RING, PLANE[::-1])
        ),
        r"combine: expected the same weights, got \(w1, w2\) and \(w2, w1\)",
    ),
    "a model without noisy loss": (
        lambda: mechanisms.combine(
            mechanisms.additive_noise(RING, PLANE),
            NoisyGradientDescent.from_gradient_noise(RING, sp.eye(2), PLANE),
        ),
        r"combine: expected two models with L̂\(w, η\)",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_a_message_that_names_the_argument(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


# The answers on Γ ------------------------------------------------------------------------------


def test_parameter_noise_descends_half_the_laplacian():
    limit = derive_limit(mechanisms.parameter_noise(UNEVEN, PLANE))
    assert limit.outcome.value == "non-degenerate"
    assert sp.expand(limit.regularizer - laplacian(UNEVEN, PLANE) / 2) == 0
    assert same_on_manifold(limit, [limit.regularizer], [2 + w1])


def test_correlated_parameter_noise_descends_along_the_correlation():
    law = Gaussian(sp.ones(2) / 2)
    limit = derive_limit(mechanisms.parameter_noise(UNEVEN, PLANE, law=law))
    twice = UNEVEN.diff(w1) + UNEVEN.diff(w2)
    assert sp.expand(limit.regularizer - (twice.diff(w1) + twice.diff(w2)) / 4) == 0


def test_dropconnect_on_the_ring_depends_on_the_law():
    gaussian = derive_limit(mechanisms.dropconnect(RING, PLANE))
    bernoulli = derive_limit(mechanisms.dropconnect(RING, PLANE, law=Bernoulli()))
    for limit, factor in ((gaussian, 1), (bernoulli, sp.Rational(1, 4))):
        assert limit.outcome.value == "non-degenerate"
        assert same_on_manifold(limit, [limit.regularizer], [factor * (w1**4 + w2**4)])
        assert flows_down(limit, factor * (w1**4 + w2**4))


def test_dropconnect_on_the_hyperbola():
    gaussian = derive_limit(mechanisms.dropconnect(HYPERBOLA, PLANE))
    assert gaussian.outcome.value == "deterministic"
    assert same_on_manifold(gaussian, gaussian.moments.covariance, 2 * sp.hessian(HYPERBOLA, PLANE))
    assert flows_down(gaussian, (w1**2 + w2**2) / 2)
    bernoulli = derive_limit(mechanisms.dropconnect(HYPERBOLA, PLANE, law=Bernoulli()))
    assert bernoulli.outcome.value == "trivial"
    assert same_on_manifold(bernoulli, bernoulli.moments.covariance, sp.zeros(2))


def test_additive_noise_diffuses():
    limit = derive_limit(mechanisms.additive_noise(UNEVEN, PLANE))
    assert limit.outcome.value == "diffusive"
    assert limit.regularizer == 0
    assert limit.moments.covariance == sp.eye(2)
    tangent = sp.Matrix([-w2, w1])
    # Ito drift of P ∘ dB on the circle is −w/2; λ = 2(2 + w1).
    drift = -sp.Matrix(PLANE) / 2 - tangent * tangent.dot([1, 0]) / (4 * (2 + w1))
    assert limit.check(drift, tangent)


@pytest.mark.parametrize(("half", "c"), [(False, 1), (True, HALF)])
def test_label_noise_descends_the_laplacian(half, c):
    limit = derive_limit(mechanisms.label_noise(**DIAGONAL_NET, half=half))
    loss = limit.problem.loss
    assert limit.outcome.value == "deterministic"
    assert limit.regularizer == c
    assert limit.classification.hessian_multiple == c
    assert same_on_manifold(limit, limit.moments.covariance, c * sp.hessian(loss, FOUR))
    assert flows_down(limit, c * laplacian(loss, FOUR) / 4)
    # The same in the words of Blanc et al.: drift −(1/n) P∇ reg, reg = (1/n) Σ|∇h|².
    outputs = [DIAGONAL.subs({x1: a, x2: b}) for a, b in LINE["data"]]
    reg = sp.Add(*(h.diff(w) ** 2 for h in outputs for w in FOUR)) / 2
    assert flows_down(limit, c**2 * reg / 2)


@pytest.mark.parametrize("replacement", [False, True])
def test_minibatches_are_frozen(replacement):
    limit = derive_limit(
        mechanisms.minibatch(**DIAGONAL_NET, batch_size=B, replacement=replacement, parameters=(B,))
    )
    assert limit.outcome.value == "frozen"
    assert limit.regularizer == 0


def test_a_batch_of_all_samples_has_no_noise():
    limit = derive_limit(mechanisms.minibatch(**DIAGONAL_NET, batch_size=2))
    assert limit.outcome.value == "frozen"
    assert limit.moments.covariance == sp.zeros(4)


FOUR_SAMPLES = {
    **DIAGONAL_NET,
    "data": [(1, 2), (2, -1), (1, 1), (0, 1)],
    "targets": (1, 3, sp.Rational(6, 5), -sp.Rational(1, 5)),
}


@pytest.mark.parametrize(
    ("size", "replacement", "c"),
    [
        (1, False, sp.Integer(2)),
        (2, False, sp.Integer(1)),
        (4, False, HALF),
        (2, True, sp.Rational(5, 4)),
        (B, False, 2 / B),
        (B, True, (B + 3) / (2 * B)),
    ],
)
def test_minibatches_with_label_noise(size, replacement, c):
    limit = derive_limit(
        mechanisms.minibatch_label_noise(
            **FOUR_SAMPLES, batch_size=size, replacement=replacement, parameters=(B,)
        )
    )
    assert limit.outcome.value == "deterministic"
    assert sp.simplify(limit.classification.hessian_multiple - c) == 0
    hessian = sp.hessian(limit.problem.loss, FOUR)
    assert same_on_manifold(limit, limit.moments.covariance, c * hessian)


@pytest.mark.parametrize("law", [Gaussian(), Bernoulli()], ids=str)
def test_dropout_of_neurons(law):
    limit = derive_limit(mechanisms.dropout(**PAIR, units=UNITS, law=law, half=True))
    reg = sp.Add(*(u.subs(x, value) ** 2 for u in UNITS for value in (HALF, 3))) / 4
    assert limit.outcome.value == "non-degenerate"
    assert same_on_manifold(limit, [limit.regularizer], [reg])


def test_input_noise_penalises_the_slope_in_the_input():
    neuron = w1 * sp.tanh(w2 * x + w3)
    limit = derive_limit(
        mechanisms.input_noise(neuron, x, [1], [HALF], (w1, w2, w3), near=(0.8, 0.7, 0.2))
    )
    assert limit.outcome.value == "non-degenerate"
    assert same_on_manifold(limit, [limit.regularizer], [neuron.diff(x).subs(x, 1) ** 2])


def wide_net(samples: int) -> tuple[dict[str, object], tuple[sp.Expr, ...]]:
    """A two-layer tanh net with 16 inputs, 8 hidden units and 136 weights, and its units."""
    inputs = sp.symbols("x1:17", real=True)
    a = sp.symbols("a1:9", real=True)
    b = [sp.symbols(f"b{j}_1:17", real=True) for j in range(1, 9)]
    units = tuple(
        out * sp.tanh(sp.Add(*(w * v for w, v in zip(row, inputs, strict=True))))
        for out, row in zip(a, b, strict=True)
    )
    rng = np.random.default_rng(0)
    data = rng.normal(size=(samples, 16)).round(2)
    targets = (rng.normal(size=samples) / 4).round(2)
    arguments = {"model": sp.Add(*units), "inputs": inputs, "data": data, "targets": targets}
    return {**arguments, "weights": (*a, *itertools.chain(*b)), "half": True}, units


@pytest.mark.parametrize(
    ("law", "samples"),
    [pytest.param(Gaussian(), 64, marks=pytest.mark.slow), (Bernoulli(), 6)],
    ids=str,
)
def test_dropout_of_a_net_on_many_samples(law, samples):
    net, units = wide_net(samples)
    limit = derive_limit(mechanisms.dropout(**net, units=units, law=law))
    assert limit.outcome.value == "non-degenerate"
    reg = mechanisms.squared_loss(
        sp.sqrt(sp.Add(*(u**2 for u in units))),
        net["inputs"],
        net["data"],
        np.zeros(samples),
        half=True,
    )
    values = Program(net["weights"], [limit.regularizer, reg]).value(limit.manifold.base)
    assert abs(values[0] - values[1]) < 1e-12


@pytest.mark.parametrize(
    "law", [pytest.param(Gaussian(), marks=pytest.mark.slow), Bernoulli()], ids=str
)
def test_dropconnect_on_a_net_with_more_weights_than_are_written_out(law):
    net, _ = wide_net(samples=3)
    weights = net.pop("weights")
    loss = mechanisms.squared_loss(**net)
    limit = derive_limit(mechanisms.dropconnect(loss, weights, law=law))
    assert limit.outcome.value == "non-degenerate"
    program, base = Program(weights, [loss]), limit.manifold.base
    with mpmath.workdps(50):
        (reg,) = Program(weights, [limit.regularizer]).value(base)
        expected = mpmath.fsum(
            excess(
                lambda x, i=i: program.value([*base[:i], base[i] * (1 + x), *base[i + 1 :]])[0], law
            )
            for i in range(len(weights))
        )
        assert abs(reg - expected) < mpmath.mpf(10) ** -15


def excess(f: Callable[[mpmath.mpf], mpmath.mpf], law: Law) -> mpmath.mpf:
    """Mean excess of f(η), over σ²: of a drop to η = −1, or of small fluctuations."""
    h = mpmath.mpf(10) ** -10
    if law == Bernoulli():
        return f(-1) - f(0) + (f(h) - f(-h)) / (2 * h)
    return (f(h) - 2 * f(0) + f(-h)) / (2 * h**2)


# Two at once -----------------------------------------------------------------------------------


def test_combined_noise_adds_up():
    moved = mechanisms.parameter_noise(HYPERBOLA, PLANE)
    scaled = mechanisms.dropconnect(HYPERBOLA, PLANE, law=Bernoulli())
    both = mechanisms.combine(moved, scaled)
    assert [str(s) for s in both.noise] == ["eta1", "eta2", "eta3", "eta4"]
    total, *parts = map(noise_moments, (both, moved, scaled))
    assert sp.expand(total.regularizer - parts[0].regularizer - parts[1].regularizer) == 0
    assert (total.covariance - parts[0].covariance - parts[1].covariance).expand() == sp.zeros(2)


def test_combined_products_keep_their_groups():
    batched = mechanisms.minibatch_label_noise(**DIAGONAL_NET, batch_size=1)
    pushed = mechanisms.additive_noise(
        batched.loss, FOUR, law=Gaussian(rho * sp.eye(4)), parameters=rho, near=(1.3, 0.7, 0.5, 0.8)
    )
    both = mechanisms.combine(batched, pushed)
    assert both.law == Independent(
        {
            eta[:2]: Minibatch(2, 1),
            eta[2:4]: Gaussian(),
            both.noise[4:]: Gaussian(rho * sp.eye(4)),
        }
    )
    assert both.parameters == (rho,)
    assert both.near == pushed.near
    assert len(set(both.noise)) == 8


def test_combination_is_symmetric_in_its_limit():
    ring = mechanisms.parameter_noise(UNEVEN, PLANE), mechanisms.dropconnect(UNEVEN, PLANE)
    limits = [derive_limit(mechanisms.combine(*pair)) for pair in (ring, ring[::-1])]
    assert limits[0].check(limits[1].drift, limits[1].diffusion)
