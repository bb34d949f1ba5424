"""What a noise model accepts, how it reads it, and everything that is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import sympy as sp

import derive
from derive import (
    Chart,
    DeriveError,
    DeriveWarning,
    Gaussian,
    Independent,
    ManifoldError,
    Minibatch,
    NoisyGradientDescent,
    ProblemError,
    derive_limit,
)
from derive.laws.rare_jumps import CustomLaw

w1, w2, w3, eta, theta, kappa, rho = sp.symbols("w1 w2 w3 eta theta kappa rho", real=True)
e1, e2 = sp.symbols("eta1 eta2", real=True)
PLANE = (w1, w2)
RADIUS = w1**2 + w2**2
RING = (RADIUS - 1) ** 2 / 4
NOISY = RING + RADIUS * eta / 2


def model(
    loss: sp.Expr = RING,
    noisy_loss: sp.Expr | None = NOISY,
    weights: object = PLANE,
    noise: object = eta,
    **options: object,
) -> NoisyGradientDescent:
    """The ring, with some arguments changed."""
    return NoisyGradientDescent(loss, noisy_loss, weights, noise, **options)


def additive(loss: sp.Expr, weights: object = PLANE, **options: object) -> NoisyGradientDescent:
    """Additive noise in the first weight on any loss."""
    return NoisyGradientDescent(loss, loss + w1 * eta, weights, eta, **options)


# What is accepted.


def test_input_is_normalised():
    given = model(weights=sp.Matrix([w1, w2]), near={w2: 0.8, w1: 0.6}, constraints=RADIUS - 1)
    assert given.weights == PLANE
    assert given.noise == (eta,)
    assert given.near == (sp.Rational(3, 5), sp.Rational(4, 5))
    assert given.constraints == (RADIUS - 1,)
    assert given.dimension == 2
    assert model(0.25 * (RADIUS - 1) ** 2, NOISY).loss == RING
    assert model() == model(RING, NOISY, list(PLANE), [eta])
    assert hash(model()) == hash(model(weights=list(PLANE)))


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        model().loss = RING


def test_a_users_sigma_and_alpha_are_not_the_scales():
    alpha = sp.Symbol("alpha", positive=True)
    assert alpha != derive.alpha
    problem = model(alpha * RING, alpha * NOISY, parameters=alpha)
    assert problem.subs({alpha: 2}).loss == 2 * RING


@pytest.mark.parametrize(
    "chart",
    [
        Chart((theta,), (sp.cos(theta), sp.sin(theta))),
        (theta, (sp.cos(theta), sp.sin(theta))),
        ((theta,), {w2: sp.sin(theta), w1: sp.cos(theta)}),
        {w1: sp.cos(theta), w2: sp.sin(theta)},
    ],
    ids=["Chart", "pair", "pair with mapping", "mapping"],
)
def test_a_chart_is_read_in_every_form(chart):
    assert model(chart=chart).chart == Chart((theta,), (sp.cos(theta), sp.sin(theta)))


def test_stochastic_gradient_is_the_step_of_the_recursion():
    stated = NoisyGradientDescent.from_gradient_noise(RING, [[w1], [w2]], PLANE, eta)
    for problem in (model(), stated):
        gap = sp.Matrix(problem.stochastic_gradient) - sp.Matrix([NOISY.diff(w) for w in PLANE])
        assert gap.expand() == sp.zeros(2, 1)


def test_groups_of_a_product_may_come_in_any_order():
    law = Independent({e2: CustomLaw([[5]], [((3,), 2)]), e1: Gaussian([[7]])})
    pair = model(noisy_loss=RING + e1 * w1 + e2 * w2, noise=(e1, e2), law=law).levy_pair
    assert pair.covariance == sp.diag(7, 5)
    assert [tuple(j.displacement) for j in pair.jumps] == [(0, 3)]


def test_parameters_are_bound_everywhere():
    problem = model(
        kappa * RING,
        kappa * RING + rho * w1 * eta,
        law=Gaussian([[rho**2]]),
        constraints=[kappa * (RADIUS - 1)],
        chart=(theta, (kappa * sp.cos(theta), kappa * sp.sin(theta))),
        near=(kappa, 0),
        parameters=(kappa, rho),
    )
    bound = problem.subs({kappa: 1, rho: 0.5})
    half = sp.Rational(1, 2)
    assert bound == model(
        RING,
        RING + half * w1 * eta,
        law=Gaussian([[half**2]]),
        constraints=[RADIUS - 1],
        chart=(theta, (sp.cos(theta), sp.sin(theta))),
        near=(1, 0),
    )
    assert problem.subs({kappa: 1}).parameters == (rho,)


def test_gradient_noise_keeps_its_parameters():
    problem = NoisyGradientDescent.from_gradient_noise(
        RING, [[kappa], [w1]], PLANE, eta, parameters=kappa
    )
    assert problem.subs({kappa: 3}).noise_matrix == sp.Matrix([3, w1])


# What is refused where it is typed.

complex_w = sp.Symbol("w1")
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "L̂(w, 0) is not L": (
        lambda: model(noisy_loss=NOISY + w1),
        r"noisy_loss: L̂\(w, 0\) must equal L\(w\); the difference .* is w1",
    ),
    "L̂(w, 0) is not known to be L": (
        lambda: model(noisy_loss=NOISY + sp.Piecewise((w1 - 5, w1 > 5), (0, True))),
        r"noisy_loss: .* is Piecewise\(.* and could not be shown to vanish",
    ),
    "a function without derivatives": (
        lambda: model(noisy_loss=NOISY + sp.UnevaluatedExpr(w1)),
        "noisy_loss: w1 has no derivatives and values",
    ),
    "an unknown function without noise": (
        lambda: model(noisy_loss=NOISY + sp.Function("f")(w1)),
        r"the difference L̂\(w, 0\) − L\(w\) is f\(w1\)$",
    ),
    "no L̂": (
        lambda: model(noisy_loss=None),
        r"noisy_loss: expected L̂\(w, η\); .*from_gradient_noise",
    ),
    "a stray symbol in L": (
        lambda: model(kappa * RING, kappa * NOISY),
        "loss: kappa is neither a weight, a noise symbol nor a parameter; declare it",
    ),
    "noise in L": (lambda: model(NOISY, NOISY), "loss: eta is neither"),
    "a stray symbol in L̂": (
        lambda: model(noisy_loss=NOISY + kappa),
        "noisy_loss: kappa is neither",
    ),
    "a twin of a weight": (
        lambda: model((complex_w**2 + w2**2 - 1) ** 2 / 4),
        r"loss: w1 is neither .* apart: use one object",
    ),
    "a stray symbol in a constraint": (
        lambda: model(constraints=[RADIUS - kappa]),
        "constraints: kappa is neither",
    ),
    "a stray symbol in a point": (lambda: model(near=(kappa, 0)), "near: kappa is neither"),
    "a stray symbol in the law": (
        lambda: model(law=Gaussian([[rho]])),
        "law: rho is neither",
    ),
    "a stray symbol in a jump": (
        lambda: model(law=CustomLaw([[1]], [((rho,), 1)])),
        "law: rho is neither",
    ),
    "a stray symbol in a rate": (
        lambda: model(law=CustomLaw([[1]], [((1,), rho)])),
        "law: rho is neither",
    ),
    "a stray symbol in a chart": (
        lambda: model(chart=(theta, (kappa * sp.cos(theta), sp.sin(theta)))),
        "chart: kappa is neither",
    ),
    "a stray symbol in the gradient noise": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, [[kappa], [1]], PLANE, eta),
        "noise_matrix: kappa is neither",
    ),
    "a symbol that is not real": (
        lambda: model(weights=(complex_w, w2)),
        r"weights: the symbol w1 is not declared real; write sp.symbols\('w1', real=True\)",
    ),
    "a parameter that is not real": (
        lambda: model(parameters=sp.Symbol("k")),
        "parameters: the symbol k is not declared real",
    ),
    "a weight twice": (lambda: model(weights=(w1, w2, w1)), "weights: w1 given more than once"),
    "a noise symbol twice": (lambda: model(noise=(eta, eta)), "noise: eta given more than once"),
    "no weights": (lambda: model(weights=()), "weights: expected at least one symbol, got none"),
    "no noise": (lambda: model(noise=()), "noise: expected at least one symbol, got none"),
    "a weight that is a name": (
        lambda: model(weights="w1"),
        "weights: expected a symbol or a sequence of symbols, got 'w1'",
    ),
    "a weight that is a number": (
        lambda: model(weights=(w1, 2)),
        "weights: expected symbols, got 2",
    ),
    "a scale as a weight": (
        lambda: model(weights=(w1, derive.alpha)),
        "weights: derive.alpha is reserved for the scales",
    ),
    "a symbol with two roles": (
        lambda: model(noise=(eta, w1)),
        "weights and noise share w1; a symbol has one role",
    ),
    "a chart in the weights": (
        lambda: model(chart=(w1, (w1, sp.sqrt(1 - w1**2)))),
        "weights and chart share w1",
    ),
    "a loss that is no expression": (
        lambda: model("w1**2"),
        "loss: expected a sympy expression, got 'w1",
    ),
    "a loss that is a matrix": (
        lambda: model(sp.Matrix([RING])),
        "loss: expected a scalar sympy expression",
    ),
    "a loss that is infinite": (lambda: model(RING + sp.oo), "loss: .* is not finite"),
    "a point with a weight missing": (
        lambda: model(near={w1: 1}),
        "near: expected a value for each weight; check w2",
    ),
    "a point of another size": (lambda: model(near=(1,)), "near: expected 2 coordinates, got 1"),
    "a point that is a number": (lambda: model(near=1), "near: expected 2 coordinates, got 1"),
    "a chart that is no chart": (
        lambda: model(chart=theta),
        r"chart: expected a pair \(coordinates, embedding\), got theta",
    ),
    "a chart of another size": (
        lambda: model(chart=(theta, (sp.cos(theta),))),
        "chart: expected 2 coordinates, got 1",
    ),
    "a law that is no law": (
        lambda: model(law="normal"),
        r"law: expected a Law such as Gaussian\(\), got 'normal'",
    ),
    "a product that misses a noise symbol": (
        lambda: model(
            noisy_loss=NOISY + e1 * w1, noise=(eta, e1), law=Independent({eta: Gaussian()})
        ),
        "law: the groups hold eta, the noise is eta, eta1",
    ),
    "a law of another size": (
        lambda: model(law=Minibatch(3, 1)),
        "law: Minibatch is a law of 3 noise coordinates, but `noise` names 1",
    ),
    "gradient noise of another shape": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, [[1, 2]], PLANE, eta),
        r"noise_matrix: expected shape \(2, 1\) .* got \(1, 2\)",
    ),
    "a covariance of another shape": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, [[1, 2]], PLANE),
        r"noise_matrix: expected shape \(2, 2\) .* got \(1, 2\)",
    ),
    "an asymmetric covariance": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, [[1, w1], [0, 1]], PLANE),
        r"noise_matrix: the covariance Σ\(w\) is not symmetric positive semi-definite",
    ),
    "an indefinite covariance": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, [[1, 0], [0, -1]], PLANE),
        r"noise_matrix: the covariance Σ\(w\) is not symmetric positive semi-definite",
    ),
    "drawing from a covariance": (
        lambda: (
            NoisyGradientDescent.from_gradient_noise(
                RING, [[1, 0], [0, 1]], PLANE
            ).stochastic_gradient
        ),
        r"noise_matrix: a covariance Σ\(w\) does not say how to draw the noise",
    ),
    "binding what is no parameter": (
        lambda: model().subs({kappa: 1}),
        r"subs: kappa not among the parameters \(there are none\)",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_a_message_that_names_the_argument(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


# What is refused once Γ is looked at; the message names the point.

AT = r"w1 = [-\d.e]+, w2 = [-\d.e]+"
NO_MANIFOLD: dict[str, tuple[Callable[[], NoisyGradientDescent], str]] = {
    "a quartic valley": (lambda: additive((RADIUS - 1) ** 4), f"loss: .*{AT}.*quartic valley"),
    "a quartic valley in one direction": (
        lambda: NoisyGradientDescent(
            w2**2 + w3**4, w2**2 + w3**4 + w1 * eta, (w1, w2, w3), eta, near=(0, 0, 0)
        ),
        "loss: .*w1 = 0.*w2 = 0.*w3 = 0",
    ),
    "a crossing": (
        lambda: additive((w1**2 - w2**2) ** 2, near=(0, 0)),
        "loss: .*w1 = 0.*, w2 = 0.*crossing",
    ),
    "an isolated zero": (
        lambda: additive(w1**2 + 3 * w2**2),
        r"loss: .*w1 = .*w2 = .* isolated minimiser \(M = 0\)",
    ),
    "a loss that vanishes everywhere": (lambda: additive(sp.Integer(0)), r"loss: .*M = N"),
    "an isolated minimum that is not zero": (
        lambda: additive(1 + RADIUS),
        r"w1 = 0.*w2 = 0.* isolated minimiser \(M = 0\)",
    ),
    "a minimum at infinity, near a point": (
        lambda: additive(sp.exp(w1) + w2**2, near=(0, 0)),
        r"loss: no minimisers were found near \(0, 0\).*separable classes.*smooth the labels",
    ),
    "a minimum at infinity": (
        lambda: additive(sp.log(1 + sp.exp(-w1 - w2)) + sp.log(1 + sp.exp(-2 * w1 + w2))),
        "loss: no minimisers were found .*separable classes.*smooth the labels",
    ),
    "a minimum at infinity beside a saddle": (
        lambda: additive(sp.log(1 + sp.exp(-w1 * w2))),
        "w1 = 0.*, w2 = 0.*, but H has the eigenvalue -0.5 .*saddle.*smooth the labels",
    ),
    "a loss without a lower bound": (lambda: additive(w1 - w2), "loss: no minimisers were found"),
    "a loss whose zero set is none of minimisers": (
        lambda: additive(RADIUS - 1, near=(1, 0)),
        "loss: w1 = 0.*, w2 = 0.* isolated minimiser",
    ),
    "a set of maxima": (
        lambda: additive(-((RADIUS - 1) ** 2)),
        f"loss: ∇L vanishes at {AT}, but H has the eigenvalue -8.0 there: a saddle or a maximum",
    ),
    "a set of saddles": (
        lambda: NoisyGradientDescent(
            w2**2 - w3**2, w2**2 - w3**2 + w1 * eta, (w1, w2, w3), eta, near=(1, 0, 0)
        ),
        "loss: ∇L vanishes at w1 = 1.*, w2 = 0.*, w3 = 0.*, but H has the eigenvalue -2.0",
    ),
    "constraints that do not vanish where ∇L does": (
        lambda: additive(RING, constraints=[RADIUS - 2]),
        rf"constraints: they vanish at {AT}, where \|∇L\| = .*minimisers of L, where ∇L = 0",
    ),
    "too many constraints": (
        lambda: additive(RING, constraints=[RADIUS - 1, w1 - w2]),
        f"{AT}",
    ),
    "too few constraints": (
        lambda: NoisyGradientDescent(
            w2**2 + w3**2,
            w2**2 + w3**2 + w1 * eta,
            (w1, w2, w3),
            eta,
            constraints=[w2],
            near=(0, 0, 0),
        ),
        "w1 = 0.*, w2 = 0.*, w3 = 0",
    ),
}


@pytest.mark.parametrize(("make", "message"), NO_MANIFOLD.values(), ids=NO_MANIFOLD)
def test_a_zero_loss_set_that_is_no_manifold_is_refused(make, message):
    with pytest.raises(ManifoldError, match=message):
        derive_limit(make())


ROUGH: dict[str, tuple[Callable[[], NoisyGradientDescent], str]] = {
    "an L̂ with a kink at η = 0": (
        lambda: model(noisy_loss=NOISY + w1 * sp.Abs(eta)),
        "noisy_loss: .*no second derivative in eta",
    ),
    "an L̂ with an infinite second derivative": (
        lambda: model(noisy_loss=NOISY + w1 * sp.Abs(eta) ** sp.Rational(3, 2)),
        "noisy_loss: .*no second derivative in eta",
    ),
    "an L̂ with the maximum of two": (
        lambda: model(noisy_loss=NOISY + w1 * sp.Max(eta, 0)),
        "noisy_loss: .*no second derivative in eta",
    ),
    "a chart that leaves Γ": (
        lambda: model(chart=(theta, (2 * sp.cos(theta), sp.sin(theta)))),
        "chart: .*L",
    ),
    "a covariance that is negative on part of Γ": (
        lambda: NoisyGradientDescent.from_gradient_noise(RING, [[w1, 0], [0, 1]], PLANE),
        "noise_matrix: .*positive semi-definite",
    ),
    "minibatch weights that do not freeze on Γ": (
        lambda: model(
            noisy_loss=RING + (e1 + eta) * w1 + e2 * w2,
            noise=(e1, e2, eta),
            law=Independent({(e1, e2): Minibatch(2, 1), eta: Gaussian()}),
        ),
        "law: .*eta1",
    ),
}


@pytest.mark.parametrize(("make", "message"), ROUGH.values(), ids=ROUGH)
def test_refused_by_the_derivation(make, message):
    with pytest.raises(DeriveError, match=message):
        derive_limit(make())


def test_a_sign_assumption_on_a_weight_is_warned_of():
    positive = sp.symbols("u v", positive=True)
    loss = (positive[0] * positive[1] - 1) ** 2 / 2
    with pytest.warns(DeriveWarning, match="weights: u, v carry a sign assumption"):
        derive_limit(NoisyGradientDescent(loss, loss + positive[0] * eta, positive, eta))
