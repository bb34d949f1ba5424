"""End states: equilibria with stability and rates, and what the flow conserves."""

from functools import cache

import pytest
import sympy as sp

from derive import DeriveError, Limit, NoisyGradientDescent, derive_limit
from derive.optimizers import HeavyBall, RootDescent
from derive.symbolic.zero_tests import Basis
from tests.truth.catalogue import CATALOGUE

W = w1, w2, w3 = sp.symbols("w1 w2 w3", real=True)
eta = sp.Symbol("eta", real=True)
RING = (w1**2 + w2**2 - 1) ** 2 * (2 + w1) / 4


@cache
def on_the_ring() -> Limit:
    """Linear scalar noise: θ' = −∂ ¼ log(2 + cos θ)."""
    return derive_limit(NoisyGradientDescent(RING, RING + (w1**2 + w2**2) * eta / 2, (w1, w2), eta))


@cache
def flat(regularizer: sp.Expr) -> Limit:
    """Γ is the plane w₃ = 0, and the limit the gradient flow of a function on it."""
    loss = w3**2 / 2
    return derive_limit(NoisyGradientDescent(loss, loss + regularizer * eta**2, W, eta))


def test_stable_before_repelling_with_their_rates() -> None:
    states = on_the_ring().end_states()
    assert [e.kind for e in states.equilibria] == ["stable", "repelling"]
    assert [float(e.point[w1]) for e in states.equilibria] == pytest.approx([-1, 1])
    assert [float(e.rate) for e in states.equilibria] == pytest.approx([-1 / 4, 1 / 12])
    text = str(states)
    assert "stable     w1 = -1.0, w2 = 0.0: the slowest direction returns at the rate 0.25" in text
    assert "repelling  w1 = 1.0, w2 = 0.0: the fastest direction leaves at the rate 0.083" in text
    assert r"w_{1} = -1.0" in states.latex()


def test_a_saddle_is_repelling() -> None:
    (state,) = flat(w1**2 - 3 * w2**2 + 1).end_states([(0.3, 0.1, 0)]).equilibria
    assert state.kind == "repelling"
    assert sorted(float(x) for x in state.eigenvalues) == pytest.approx([-2, 6])
    assert float(state.rate) == pytest.approx(6)


def test_undecided() -> None:
    states = flat(w1**4 + w2**2).end_states([(0, 0.1, 0)])
    assert [e.kind for e in states.equilibria] == ["undecided"]
    assert "an eigenvalue of the linearisation is zero" in str(states)


CONSERVED = {
    "linear": (w1**2 + w1**4, [w2]),
    "in a turned direction": ((w1 - 2 * w2) ** 2, [w1 + w2 / 2]),
    "quadratic": (w1 * w2, [w1**2 - w2**2]),
    "none": (w1**2 + 2 * w2**2 + w1 * w2**3, []),
}


def normalised(f: sp.Expr) -> sp.Expr:
    """A polynomial divided by its leading coefficient."""
    return sp.Poly(f, *W).monic().as_expr()


@pytest.mark.parametrize("case", CONSERVED)
def test_conserved_quantities(case: str) -> None:
    regularizer, expected = CONSERVED[case]
    found = flat(regularizer + 3).end_states([(0.1, 0.1, 0)]).conserved
    shown = [normalised(q.expression) for q in found]
    assert shown == [normalised(f) for f in expected]
    assert all(q.verdict.value and q.verdict.basis is Basis.NUMERICAL for q in found)


def test_what_is_constant_on_the_manifold_is_not_counted() -> None:
    """On a sphere with Reg = w₁² the flow runs along meridians, but |w|² is one everywhere."""
    loss = (w1**2 + w2**2 + w3**2 - 1) ** 2 / 8
    limit = derive_limit(NoisyGradientDescent(loss, loss + w1**2 * eta**2, W, eta))
    assert limit.end_states([(0.1, 0.6, 0.8)]).conserved == ()


def test_of_an_update_rule_and_of_a_cycling_optimizer() -> None:
    problem = NoisyGradientDescent(
        RING, RING + w2**2 * eta**2, (w1, w2), eta, optimizer=HeavyBall(0.5)
    )
    states = derive_limit(problem).end_states([(1, 0.1), (0.1, 1)])
    assert [e.kind for e in states.equilibria] == ["stable", "repelling"]
    root = NoisyGradientDescent(RING, RING, (w1, w2), (), optimizer=RootDescent())
    (stable, repelling) = derive_limit(root).end_states([(-1, 0.1), (1, 0.1)]).equilibria
    assert (stable.kind, round(float(stable.point[w1]))) == ("stable", -1)
    assert (repelling.kind, round(float(repelling.point[w1]))) == ("repelling", 1)


def test_refusals() -> None:
    additive = next(e.problem for e in CATALOGUE if e.outcome == "diffusive")
    with pytest.raises(DeriveError, match="has diffusion"):
        derive_limit(additive).end_states()
    loss = w3**2 / 2
    both = NoisyGradientDescent(loss, loss + w1**2 * eta**2 + w2 * eta, W, eta)
    with pytest.raises(DeriveError, match="has diffusion"):
        derive_limit(both).at_step(0.1).end_states()


def test_none_found() -> None:
    assert "none was found" in str(flat(w1).end_states([(0.1, 0, 0)]))
