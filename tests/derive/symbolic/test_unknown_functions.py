"""Limits of models that hold undefined functions: true of every function, and checked on many."""

import pickle
import time

import pytest
import sympy as sp

from derive import Limit, NoisyGradientDescent, NotCoveredError, Outcome, derive_limit, document
from derive.errors import ProblemError
from derive.symbolic.unknown_functions import Unknown, as_losses, with_unknowns
from numerics import compile_descent, compile_limit

w1, w2, w3, e1, e2, x, y, z = sp.symbols("w1 w2 w3 e1 e2 x y z", real=True)
L, r, h, a, f = map(sp.Function, "Lrhaf")
R = r(w1, w2)
PLANE, PAIR = (w1, w2), (e1, e2)


def fit(x: int, target: int, weights: tuple[sp.Symbol, ...] = PLANE, shift: sp.Expr = 0) -> sp.Expr:
    return h(x + shift, *weights) - target


SPACE = (w1, w2, w3)
LABELS = (fit(1, 2, SPACE), fit(3, 1, SPACE))
MODELS = {
    "perturbed weights": (L(*PLANE), L(w1 + e1, w2 + e2), PLANE, PAIR),
    "DropConnect": (L(*PLANE), L(w1 * (1 + e1), w2 * (1 + e2)), PLANE, PAIR),
    "label noise": (R**2 / 2, (R - e1) ** 2 / 2, PLANE, (e1,)),
    "additive noise": (R**2 / 2, R**2 / 2 + e1 * w1 + e2 * w2, PLANE, PAIR),
    "scalar": (L(*PLANE), L(*PLANE) + a(*PLANE) * e1**2 / 2, PLANE, (e1,)),
    "linear": (L(*PLANE), L(*PLANE) + a(*PLANE) * e1, PLANE, (e1,)),
    "a graph": ((w2 - f(w1)) ** 2 / 2, (w2 - f(w1)) ** 2 / 2 + e1 * w1 + e2 * w2, PLANE, PAIR),
    "noisy inputs": (fit(1, 2) ** 2 / 2, fit(1, 2, shift=e1) ** 2 / 2, PLANE, (e1,)),
    "an amplitude": (a(w1) ** 2 * w2**2 / 2, a(w1) ** 2 * w2**2 / 2 + e1 * w2, PLANE, (e1,)),
    "two samples": (
        sum(t**2 for t in LABELS) / 2,
        sum((t - e) ** 2 for t, e in zip(LABELS, PAIR, strict=True)) / 2,
        SPACE,
        PAIR,
    ),
}


def model(name: str) -> NoisyGradientDescent:
    return NoisyGradientDescent(*MODELS[name])


@pytest.fixture(scope="module")
def derived() -> dict[str, tuple[Limit, float]]:
    """Each limit, and the processor time that it took with all that it prints."""
    found = {}
    for name in MODELS:
        begin = time.process_time()
        limit = derive_limit(model(name))
        str(limit)  # what is not asked for is not derived
        found[name] = limit, time.process_time() - begin
    return found


@pytest.fixture(scope="module")
def limits(derived) -> dict[str, Limit]:
    return {name: limit for name, (limit, _) in derived.items()}


def test_each_is_derived_in_seconds(derived) -> None:
    """A run with -s prints them."""
    for name, (limit, seconds) in derived.items():
        print(f"\n{name}, {seconds:.2f} s\n{limit}")
        assert seconds < 5


def known(expression: sp.Expr) -> sp.Expr:
    return as_losses(with_unknowns(sp.sympify(expression)), {"L"})


REGULARIZERS = {
    "perturbed weights": (L(*PLANE).diff(w1, 2) + L(*PLANE).diff(w2, 2)) / 2,
    "DropConnect": (w1**2 * L(*PLANE).diff(w1, 2) + w2**2 * L(*PLANE).diff(w2, 2)) / 2,
    "scalar": a(*PLANE) / 2,
    "label noise": sp.Rational(1, 2),
    "linear": 0,
    "two samples": 1,
}


@pytest.mark.parametrize("name", REGULARIZERS)
def test_general_regularizers(limits, name) -> None:
    assert sp.expand(limits[name].regularizer - known(REGULARIZERS[name])) == 0


def test_noisy_inputs_descend_the_slope_in_the_input(limits) -> None:
    slope = with_unknowns(h(x, *PLANE)).diff(x).subs(x, 1)
    assert sp.expand(limits["noisy inputs"].regularizer_on_manifold - slope**2 / 2) == 0


OUTCOMES = {
    "perturbed weights": Outcome.NON_DEGENERATE,
    "DropConnect": Outcome.NON_DEGENERATE,
    "label noise": Outcome.DETERMINISTIC,
    "additive noise": Outcome.DIFFUSIVE,
    "scalar": Outcome.NON_DEGENERATE,
    "linear": Outcome.DIFFUSIVE,
    "a graph": Outcome.DIFFUSIVE,
    "noisy inputs": Outcome.NON_DEGENERATE,
    "an amplitude": Outcome.DETERMINISTIC,
    "two samples": Outcome.DETERMINISTIC,
}


@pytest.mark.parametrize("name", MODELS)
def test_generic_outcomes(limits, name) -> None:
    assert limits[name].outcome is OUTCOMES[name]
    assert "for all " in str(limits[name])


def test_a_drift_by_hand_in_derivatives_is_checked(limits) -> None:
    slope = sp.Matrix([R.diff(w1) ** 2 + R.diff(w2) ** 2]).jacobian(PLANE).T  # ∇ΔL
    normal = sp.Matrix([R.diff(w1), R.diff(w2)])
    along = slope - normal * (normal.dot(slope) / normal.dot(normal))
    assert limits["label noise"].check(-along / 4).value is True
    assert limits["label noise"].check(-along / 2).value is False


def test_potentials_of_the_papers(limits) -> None:
    squared = known(R.diff(w1) ** 2 + R.diff(w2) ** 2)  # ΔL = tr H on Γ
    assert sp.expand(limits["label noise"].special.potential - squared / 4) == 0
    assert sp.simplify(limits["additive noise"].special.potential - sp.log(squared) / 4) == 0


CONCRETE = {
    L: sp.Lambda((x, y), (x**2 + y**2 - 1) ** 2 * (2 + x) / 4),
    r: sp.Lambda((x, y), x**2 + 2 * y**2 + sp.sin(y) - 1),
    h: sp.Lambda((z, x, y), x * z + y * z**2 + x**3),
    a: sp.Lambda((x, y), 2 + x * y),
    f: sp.Lambda(x, sp.cos(x)),
}


@pytest.mark.parametrize("name", [n for n in MODELS if n not in ("two samples", "an amplitude")])
def test_a_concrete_function_gives_the_concrete_limit(limits, name) -> None:
    general, problem = limits[name], model(name)
    values = {key: body for key, body in CONCRETE.items() if str(key) in problem.unknowns}
    concrete = derive_limit(problem.subs(values))
    assert concrete.outcome is general.outcome
    drift = general.drift
    if drift is not None:
        # The general form divides by entries of ∇²L that are clear of zero at the witnesses.
        assert concrete.check(sp.Matrix(drift).subs(values)).value is True
        assert concrete.check(2 * sp.Matrix(drift).subs(values)).value is False
    assert sp.simplify(general.regularizer.subs(values) - concrete.regularizer) == 0


def test_unknown_functions_are_differentiated_by_the_chain_rule() -> None:
    composed = with_unknowns(L(w1 * w2, w1 + e1))
    body = sp.Lambda((x, y), sp.exp(x) * y**3)
    direct = (sp.exp(w1 * w2) * (w1 + e1) ** 3).diff(w1, e1)
    assert sp.simplify(composed.diff(w1, e1).subs(L, body) - direct) == 0


def test_generic_functions_are_consistent() -> None:
    """A derivative's instance is the instance's derivative; a loss is nowhere negative."""
    term = with_unknowns(L(w1, w2))
    assert sp.expand(term.diff(w1).instance() - term.instance().diff(w1)) == 0
    problem = model("perturbed weights")
    assert isinstance(problem.loss, Unknown) and problem.loss.is_nonnegative
    assert problem.loss.instance().is_nonnegative


def test_a_degenerate_function_is_an_exception(limits) -> None:
    """On the round ring ΔL is constant on Γ, which generic losses are not."""
    ring = sp.Lambda((x, y), (x**2 + y**2 - 1) ** 2 / 4)
    concrete = derive_limit(model("perturbed weights").subs({L: ring}))
    assert concrete.outcome is not limits["perturbed weights"].outcome


def test_documents_and_pickles(limits) -> None:
    text = document(limits["label noise"])
    assert r"\partial_{1}" in text and "Unknown" not in text
    assert pickle.loads(pickle.dumps(model("label noise"))) == model("label noise")


@pytest.mark.parametrize("compiler", [compile_limit, compile_descent])
def test_numbers_need_functions(limits, compiler) -> None:
    given = limits["label noise"]
    with pytest.raises(NotCoveredError, match=r"r is an unknown function; .*subs"):
        compiler(given if compiler is compile_limit else given.problem)


def test_a_function_is_given_as_a_lambda() -> None:
    with pytest.raises(ProblemError, match=r"expected sp\.Lambda"):
        model("label noise").subs({r: w1 + w2})
