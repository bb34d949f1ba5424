"""What the user states beyond the loss: charts, points, parameters; what is chosen is said."""

from __future__ import annotations

import random

import pytest
import sympy as sp

from derive import (
    DeriveError,
    DeriveWarning,
    Gaussian,
    ManifoldError,
    Minibatch,
    NoisyGradientDescent,
    ProblemError,
    UndecidedError,
    derive_limit,
)
from derive.display.notation import Notation, phrase
from derive.manifold.discovery.admissible import admissible_values
from derive.mechanisms import additive_noise, label_noise, minibatch, parameter_noise

x, y, z, e, e1, e2 = sp.symbols("x y z e e1 e2", real=True)
t, p1, p2 = sp.symbols("t p1 p2", real=True)
a, c = sp.symbols("a c", real=True)
rho, radius = sp.symbols("rho R", positive=True)
HYPERBOLA = (x * y - 1) ** 2 / 2
CIRCLE = (x**2 + y**2 - radius**2) ** 2 / 4
SPHERE = (x**2 + y**2 + z**2 - 1) ** 2 / 4


# Charts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "weights", "chart", "message"),
    [
        (SPHERE, (x, y, z), ((t,), (sp.cos(t), sp.sin(t), 0)), "expected 2 coordinates.*got 1"),
        (
            HYPERBOLA,
            (x, y),
            ((p1, p2), (sp.exp(p1 + p2), sp.exp(-p1 - p2))),
            "expected 1 coordinates.*got 2",
        ),
        (
            SPHERE,
            (x, y, z),
            ((p1, p2), (sp.cos(p1 + p2), sp.sin(p1 + p2), 0)),
            "rank 2, the dimension of Γ, got rank 1",
        ),
    ],
)
def test_a_chart_has_the_dimension_of_the_manifold(loss, weights, chart, message):
    with pytest.raises(ManifoldError, match=f"chart: .*{message}"):
        derive_limit(additive_noise(loss, weights, chart=chart))


def test_a_chart_that_is_singular_somewhere_is_a_chart():
    chart = ((p1, p2), (sp.cos(p1) * sp.cos(p2), sp.sin(p1) * sp.cos(p2), sp.sin(p2)))
    assert derive_limit(additive_noise(SPHERE, (x, y, z), chart=chart)).intrinsic is not None


# Components ------------------------------------------------------------------------------------

INNER, OUTER = x**2 + y**2 - 1, x**2 + y**2 - 4
CIRCLES = INNER**2 * OUTER**2 / 40


def on_two_circles(**setting):
    return derive_limit(
        NoisyGradientDescent(CIRCLES, CIRCLES + e * x * OUTER, (x, y), (e,), **setting)
    )


def test_other_components_are_named():
    inner, outer = on_two_circles(near=(1, 0)), on_two_circles(near=(2, 0))
    assert (inner.outcome.value, outer.outcome.value) == ("diffusive", "trivial")
    for limit, other in ((inner, OUTER), (outer, INNER), (on_two_circles(), OUTER)):
        said = f"{sp.sstr(other)} = 0: another limit may hold there"
        assert said in str(limit)
        assert said in str(limit.explain())
        assert "another limit may hold there" in limit.latex()


def test_a_single_component_is_left_alone():
    assert "another limit" not in str(derive_limit(additive_noise(HYPERBOLA, (x, y))))


def test_lines_that_cross():
    limit = derive_limit(NoisyGradientDescent(x**2 * y**2, x**2 * y**2 + e * x, (x, y), (e,)))
    names = {str(limit.manifold.constraints[0]), "y" if str(limit).find("y = 0: an") > 0 else "x"}
    assert names == {"x", "y"}


def test_a_point_far_from_the_manifold_is_remarked():
    with pytest.warns(DeriveWarning, match=r"near: .* x = 1.0, y = 1.0, at a distance 5.66"):
        derive_limit(additive_noise(HYPERBOLA, (x, y), near=(5, 5)))
    derive_limit(additive_noise(HYPERBOLA, (x, y), near=(2, 0.6)))  # no word


# Parameters ------------------------------------------------------------------------------------


def test_at_an_exceptional_value_the_outcome_is_decided_anew():
    problem = NoisyGradientDescent(
        HYPERBOLA, HYPERBOLA + a * x * e1**2 + e1 * (x * y - 1), (x, y), (e1,), parameters=(a,)
    )
    limit = derive_limit(problem)
    with pytest.warns(DeriveWarning, match="the outcome is deterministic, for generic ones"):
        bound = limit.subs({a: 0})
    again = derive_limit(problem.subs({a: 0}))
    assert bound.outcome is again.outcome
    assert bound.check(again.drift)
    assert bound.time_scale == again.time_scale
    with pytest.warns(DeriveWarning):
        at_step = limit.at_step(sp.Rational(1, 10)).subs({a: 0})
    assert at_step.check(again.at_step(sp.Rational(1, 10)).drift)
    assert limit.subs({a: 2}).outcome is limit.outcome


@pytest.mark.parametrize(
    "problem",
    [
        NoisyGradientDescent(
            HYPERBOLA, HYPERBOLA + e1 * x + e2 * sp.sqrt(1 - 4 * rho**2) * y, (x, y), (e1, e2),
            parameters=(rho,),
        ),
        NoisyGradientDescent(
            HYPERBOLA, HYPERBOLA + e1 * x + e2 * y, (x, y), (e1, e2),
            Gaussian([[1, 2 * rho], [2 * rho, 1]]), parameters=(rho,),
        ),
        NoisyGradientDescent(
            (x * y - c**2 - 1) ** 2 / 2, (x * y - c**2 - 1) ** 2 / 2 + e1 * x + e2 * y, (x, y),
            (e1, e2), Gaussian([[1, rho], [rho, 1]]), parameters=(rho, c),
        ),
        NoisyGradientDescent(
            CIRCLE, CIRCLE + e1 * x + e2 * y, (x, y), (e1, e2),
            Gaussian([[1, rho], [rho, 1]]), parameters=(radius, rho),
        ),
        NoisyGradientDescent(
            HYPERBOLA, HYPERBOLA + sp.log(rho - 3) * e1 * x, (x, y), (e1,), parameters=(rho,)
        ),
    ],
    ids=["a root", "a correlation", "a correlation and a level", "a radius too", "a logarithm"],
)  # fmt: skip
def test_parameters_are_tried_at_admissible_values(problem):
    limit = derive_limit(problem)
    assert limit.outcome.value == "diffusive"
    for seed in range(20):
        values = dict(
            zip(problem.parameters, admissible_values(problem, random.Random(seed)), strict=True)
        )
        assert all(v > 0 for s, v in values.items() if s.is_positive)
        exact = {s: sp.nsimplify(str(v)) for s, v in values.items()}
        problem.subs(exact)  # its law and its losses exist there


@pytest.mark.parametrize("kind", [{"real": True}, {"integer": True, "positive": True}])
def test_a_symbolic_batch_size(kind):
    size = sp.Symbol("B", **kind)
    problem = minibatch(
        x * z + y, (z,), [(1,), (2,)], (1, 3), (x, y, a), batch_size=size, parameters=(size,)
    )
    assert derive_limit(problem).outcome.value == "frozen"
    for seed in range(20):
        (value,) = admissible_values(problem, random.Random(seed))
        assert value == 1  # the batch of both samples has no noise
    assert isinstance(problem.law, Minibatch)


def test_parameters_without_admissible_values_are_named():
    with pytest.raises(ProblemError, match="parameters: no values of rho were found"):
        derive_limit(
            NoisyGradientDescent(
                HYPERBOLA,
                HYPERBOLA + e1 * x * sp.log(-rho),
                (x, y),
                (e1,),
                parameters=(rho,),
            )
        )


# Messages --------------------------------------------------------------------------------------


def test_a_saddle_is_no_isolated_minimiser():
    with pytest.raises(ManifoldError, match=r"x = 0\.0, y = 0\.0, but H has the eigenvalue -1"):
        derive_limit(additive_noise(x * y, (x, y)))
    with pytest.raises(ManifoldError, match="isolated minimiser"):
        derive_limit(additive_noise(x**2 + y**2 - x * y, (x, y)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({x, y}, "weights: a set has no order"),
        (frozenset((x, y)), "weights: a set has no order"),
        (
            sp.IndexedBase("w"),
            "weights: expected symbols or expressions, got w of type IndexedBase",
        ),
        (
            sp.IndexedBase("w")[1],
            "weights: expected symbols or expressions, got w.1. of type Indexed",
        ),
    ],
)
def test_weights_have_an_order_and_an_end(weights, message):
    with pytest.raises(ProblemError, match=message):
        NoisyGradientDescent(HYPERBOLA, HYPERBOLA + e * x, weights, (e,))


def test_rounded_thirds_are_explained():
    loss = x**2 * y**2 / 3
    with pytest.raises(ProblemError, match=r"write sp.Rational\(1, 3\) for 1/3"):
        NoisyGradientDescent(loss, 0.3333333333333333 * x**2 * y**2 + e * x, (x, y), (e,))
    with pytest.raises(ProblemError) as plain:
        NoisyGradientDescent(loss, x * y + e * x, (x, y), (e,))
    assert "floats" not in str(plain.value)


def test_a_limit_by_hand_is_read_as_it_is_written():
    limit = derive_limit(label_noise(x * y * z, (z,), [(1,)], (1,), (x, y)))
    drift = sp.Matrix(limit.drift)
    assert limit.check(drift.T)
    with pytest.raises(DeriveError, match="drift: expected a sympy expression, got '-x/2'"):
        limit.check(["-x/2", "-y/2"])


def test_a_model_without_a_value_on_the_manifold():
    slope = sp.Matrix([HYPERBOLA]).jacobian((x, y))
    norm = sp.sqrt(slope[0] ** 2 + slope[1] ** 2)
    ascended = HYPERBOLA.subs(
        {x: x + e * slope[0] / norm, y: y + e * slope[1] / norm}, simultaneous=True
    )
    with pytest.raises(UndecidedError, match="where the model has none"):
        derive_limit(NoisyGradientDescent(HYPERBOLA, ascended, (x, y), (e,)))


def test_a_limit_in_an_error_is_short():
    limit = derive_limit(additive_noise(HYPERBOLA, (x, y)))
    assert repr(limit) == "<Limit in R^2: diffusive, Theorem B>"
    with pytest.raises(ProblemError) as error:
        derive_limit(limit)
    assert len(str(error.value)) < 200


def test_step_and_momentum_are_printed():
    limit = derive_limit(additive_noise(HYPERBOLA, (x, y))).at_step(0.1, 0.9)
    assert "α = 1/10, β = 9/10" in str(limit)
    assert r"\beta = \frac{9}{10}" in limit.latex()


def test_not_identically_zero():
    explained = derive_limit(parameter_noise(HYPERBOLA, (x, y))).explain()
    assert "where P∇Reg ≢ 0 on Γ" in str(explained)
    assert r"\not\equiv" in explained.latex()
    assert "?" not in phrase("P∇Reg ≢ 0 on Γ")


def test_lowered_and_raised_digits_in_names():
    first, second = sp.symbols("θ₁ θ₂", real=True)
    assert Notation().tex(first) == r"\ensuremath{\theta}\ensuremath{{}_{1}}"
    assert Notation().tex(first) != Notation().tex(second)
    assert Notation().tex(sp.Symbol("x²")) == r"x\ensuremath{{}^{2}}"
    assert Notation().tex(sp.Symbol("Θ")) == r"\ensuremath{\Theta}"
