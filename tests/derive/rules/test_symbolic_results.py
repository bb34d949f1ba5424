"""What the general theorem says in symbols, for any landscape and noise at a point of Γ."""

from __future__ import annotations

import itertools

import sympy as sp

from derive import NoisyGradientDescent, alpha
from derive.model.optimized import rule_of
from derive.optimizers import SharpnessAware
from derive.rules.expansion import RuleExpansion, expand_rule
from derive.theory.limit_map import SlowMotion
from derive.theory.map_jets import MapJet, linear_jet

W = sp.symbols("w1 w2 w3", real=True)
ETA = sp.Symbol("eta", real=True)
RHO = sp.Symbol("rho", positive=True)
CURVATURES = sp.symbols("lambda1 lambda2", positive=True)
ORIGIN = dict.fromkeys(W, sp.S.Zero)

THIRD = {
    places: sp.Symbol("a{}{}{}".format(*places), real=True)
    for places in itertools.combinations_with_replacement((1, 2, 3), 3)
    if places.count(3) < 2  # D³L[n, t, t] = 0 where Γ is flat
}
KICK = sp.symbols("g1 g2 g3", real=True)
TILT = sp.Matrix(3, 3, lambda i, j: sp.Symbol(f"k{min(i, j) + 1}{max(i, j) + 1}", real=True))
SLOPE = sp.symbols("q1 q2 q3", real=True)


def model() -> NoisyGradientDescent:
    """Γ is the third axis; at the origin H, D³L, G, DG and ∇Reg are arbitrary."""
    w = sp.Matrix(W)
    loss = sum(c * x**2 for c, x in zip(CURVATURES, W[:2], strict=True)) / 2
    for places, a in THIRD.items():
        repeats = sp.Mul(*(sp.factorial(places.count(i)) for i in set(places)))
        loss += a * sp.Mul(*(W[i - 1] for i in places)) / repeats
    linear = (sp.Matrix([KICK]) * w + w.T * TILT * w / 2)[0]
    noisy = loss + ETA * linear + ETA**2 * (sp.Matrix([SLOPE]) * w)[0]
    parameters = (*CURVATURES, *THIRD.values(), *KICK, *sorted(TILT.free_symbols, key=str), *SLOPE)
    return NoisyGradientDescent(
        loss, noisy, W, ETA, constraints=W[:2], near=(0, 0, 0), parameters=(*parameters, RHO)
    )


def jet_at_origin(expansion: RuleExpansion) -> MapJet:
    """Of a rule without randomness of fixed size."""

    def here(entries) -> sp.Matrix:
        return sp.Matrix([sp.sympify(x).xreplace(ORIGIN) for x in entries])

    size = len(W)
    mean = here(expansion.first.mean).reshape(size, size)
    bend = [(k, i, j, value.xreplace(ORIGIN)) for k, i, j, value in expansion.bend]

    def second(x: sp.Matrix) -> sp.Matrix:
        out = [sp.S.Zero] * size
        for k, i, j, value in bend:
            out[k] += value * x[i, j] * (1 if i == j else 2)
        return sp.Matrix(out)

    kicks = [here(mixture.mean) for mixture in expansion.noise]
    noise = sum((kick * kick.T for kick in kicks), sp.zeros(size))
    return MapJet(mean, linear_jet(mean).pair, second, here(expansion.bias), noise, varies=False)


def test_the_three_parts_of_sharpness_awareness():
    """−αP[∇Reg + ½ρ²D³L[Σ] + ρD(Gη)[Gη]] − (α/2)PD³L[(I+ρH)X(I+ρH)] along Γ, at any step."""
    problem = model()
    optimized = NoisyGradientDescent(
        problem.loss,
        problem.noisy_loss,
        W,
        ETA,
        constraints=W[:2],
        near=(0, 0, 0),
        parameters=problem.parameters,
        optimizer=SharpnessAware(RHO),
    )
    jet = jet_at_origin(expand_rule(rule_of(optimized)))
    motion = SlowMotion(jet, sp.Matrix([[1, 0, 0], [0, 1, 0]]))
    third = [sp.hessian(problem.loss.diff(x), W).xreplace(ORIGIN) for x in W]
    hessian, kick, tilt = sp.diag(*CURVATURES, 0), sp.Matrix(KICK), TILT
    covariance, lever = kick * kick.T, sp.eye(3) + RHO * hessian

    def along(x: sp.Matrix) -> sp.Expr:
        """The part of D³L[X] along Γ."""
        return (third[2] * x).trace()

    stiff = (*(c + RHO * c**2 for c in CURVATURES), 0)
    driven = lever * covariance * lever
    x = sp.Matrix(
        3,
        3,
        lambda i, j: (
            0
            if i == j == 2
            else alpha * driven[i, j] / (stiff[i] + stiff[j] - alpha * stiff[i] * stiff[j])
        ),
    )
    parts = (
        -alpha * SLOPE[2],
        -alpha * RHO**2 * along(covariance) / 2,
        -alpha * RHO * (tilt * kick)[2],
        -alpha * along(lever * x * lever) / 2,
    )
    assert sp.cancel(motion.drift[2] - sum(parts)) == 0
    assert all(sp.cancel(part) != 0 for part in parts)
    assert sp.expand(motion.spread[2, 2] - alpha**2 * covariance[2, 2]) == 0
