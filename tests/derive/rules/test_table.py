"""Every update rule on every noise mechanism against brute force.

The loss is ½r² with an ellipse for Γ, on which the curvature varies. Rules that draw nothing of
fixed size: one noisy step, then steps without noise to the end, to 1e-6. Rules that do: pairs of
runs, within five standard errors. Rare jumps have no diffusion at a fixed step, so that Bernoulli
noise is compared as α → 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive import (
    Bernoulli,
    Choice,
    Gaussian,
    Independent,
    Limit,
    NoisyGradientDescent,
    UpdateRule,
    alpha,
    derive_limit,
    sigma,
)
from derive.analysis.agreement import pointwise
from derive.model.optimized import rule_of
from derive.noise.moments import persistent_noise
from derive.optimizers import (
    GradientDescent,
    HeavyBall,
    Nesterov,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    SharpnessAware,
)
from derive.rules.expansion import has_rare_jumps
from derive.symbolic.numbers.roots import WORKING_DIGITS
from tests.derive.rules.test_update_rules import at_point
from tests.truth.catalogue import CATALOGUE, Entry
from tests.truth.fields import derived
from tests.truth.rules import extrapolated, many_steps, one_jump, one_step

W = w1, w2 = sp.symbols("w1 w2", real=True)
M = m1, m2 = sp.symbols("m1 m2", real=True)
E = e1, e2 = sp.symbols("eta1 eta2", real=True)
ZETA = sp.Symbol("zeta", real=True)
HALF, BETA = sp.Rational(1, 2), sp.Rational(3, 5)

MISFIT = (w1**2 + 2 * w2**2 + w1 * w2 / 2 - 1) / 2
LOSS = MISFIT**2 / 2
POINT = np.array([0.5, (np.sqrt(6.0625) - 0.25) / 4])
STEP = 0.1

MECHANISMS = {
    "label noise": (MISFIT - e1) ** 2 / 2,
    "parameter noise": LOSS.subs({w1: w1 + e1, w2: w2 + e2}, simultaneous=True),
    "additive noise": LOSS + e1 * w1 + e2 * w2,
    "Bernoulli DropConnect": LOSS.subs({w1: w1 * (1 + e1), w2: w2 * (1 + e2)}, simultaneous=True),
}
JUMPS = "Bernoulli DropConnect"


def problem(mechanism: str, optimizer: Optimizer | None = None) -> NoisyGradientDescent:
    noisy = MECHANISMS[mechanism]
    law = Bernoulli() if mechanism == JUMPS else Gaussian()
    noise = tuple(e for e in E if noisy.has(e))
    return NoisyGradientDescent(
        LOSS, noisy, W, noise, law=law, near=(0.5, 0.55), optimizer=optimizer
    )


def by(optimizer: Optimizer) -> Callable[[str], UpdateRule]:
    return lambda mechanism: rule_of(problem(mechanism, optimizer))


def written(step: Callable[..., list[sp.Expr]], **options) -> Callable[[str], UpdateRule]:
    """A rule written out: `step` gets the noisy gradient and the gradient."""

    def make(mechanism: str) -> UpdateRule:
        asked = problem(mechanism)
        slope = [LOSS.diff(w) for w in W]
        given = {"law": asked.law, "noise": asked.noise} | {
            name: value(asked) if callable(value) else value for name, value in options.items()
        }
        return UpdateRule(
            step(list(asked.stochastic_gradient), slope),
            W,
            loss=LOSS,
            near=asked.near,
            **given,
        )

    return make


def averaged_momentum(g, _):
    moved = [BETA * m + (1 - BETA) * x for m, x in zip(M, g, strict=True)]
    return [w - alpha * m for w, m in zip(W, moved, strict=True)] + moved


def noise_after_momentum(g, slope):
    moved = [BETA * m + x for m, x in zip(M, slope, strict=True)]
    noise = [x - y for x, y in zip(g, slope, strict=True)]
    return [w - alpha * (m + e) for w, m, e in zip(W, moved, noise, strict=True)] + moved


def averaged_weights(g, _):
    moved = [w - alpha * x for w, x in zip(W, g, strict=True)]
    return moved + [m + (w - m) / 4 for m, w in zip(M, moved, strict=True)]


def decoupled_decay(g, _):
    return [w - alpha * x - alpha * sigma**2 * w1 * w / 3 for w, x in zip(W, g, strict=True)]


def batches(mechanism: str) -> UpdateRule:
    """Batches of one out of two samples, whose losses are (1 ± w₁/2) L̂."""
    asked = problem(mechanism)
    sampled = asked.noisy_loss * (1 + ZETA * w1 / 2)
    law = Independent({ZETA: Choice([-1, 1], [HALF, HALF]), asked.noise: asked.law})
    update = [w - alpha * sampled.diff(w) for w in W]
    return UpdateRule(update, W, (ZETA, *asked.noise), law=law, loss=LOSS, near=asked.near)


FIXED: dict[str, Callable[[str], UpdateRule]] = {
    "descent": by(GradientDescent()),
    "heavy ball": by(HeavyBall(BETA)),
    "averaged momentum": written(averaged_momentum, memory=M),
    "noise after momentum": written(noise_after_momentum, memory=M),
    "Nesterov": by(Nesterov(BETA)),
    "underdamped": by(HeavyBall(1 - sp.sqrt(alpha))),
    "preconditioned": by(Preconditioned([[2, HALF], [-HALF, 1]])),
    "preconditioned by place": by(Preconditioned([[2 + w2, HALF], [0, 1 + w1**2]])),
    "sharpness-aware": by(SharpnessAware(sp.Rational(1, 5))),
    "average of the weights": written(averaged_weights, memory=M, rest=W),
    "decoupled weight decay": written(decoupled_decay),
}
DRAWN: dict[str, Callable[[str], UpdateRule]] = {
    "random coordinates": by(RandomCoordinates(1)),
    "batches of one": batches,
}
QUICK = {("heavy ball", "label noise"), ("preconditioned by place", "additive noise")}


def table(rules, mechanisms):
    """All pairs, of which a few run every time."""
    return [
        pytest.param(rule, mechanism, marks=[] if (rule, mechanism) in QUICK else pytest.mark.slow)
        for rule in rules
        for mechanism in mechanisms
    ]


@cache
def limit_of(rule: str, mechanism: str) -> Limit:
    return derive_limit({**FIXED, **DRAWN}[rule](mechanism))


SHRINKING = [m for m in MECHANISMS if m != JUMPS]


@pytest.mark.parametrize(("rule", "mechanism"), table(FIXED, SHRINKING))
def test_agrees_with_one_step_and_its_end(rule: str, mechanism: str):
    limit = limit_of(rule, mechanism).at_step(sp.Rational(1, 10))
    unit = STEP ** float(limit.equation.power)
    found = [unit * x for x in at_point(limit, POINT)]
    true = one_step(FIXED[rule](mechanism), POINT, STEP)
    scale = max(np.abs(x).max() for x in true)
    gaps = [np.abs(x - y).max() / scale for x, y in zip(found, true, strict=True)]
    print(f"{rule}, {mechanism}: {max(gaps):.1e} of the motion")
    assert max(gaps) < 1e-6
    assert np.abs(found[0] / 2 - true[0]).max() > 1e-3 * scale, "a lost half would be seen"


@pytest.mark.parametrize(
    ("rule", "mechanism"),
    [pytest.param(r, m, marks=pytest.mark.slow) for r in DRAWN for m in SHRINKING],
)
def test_agrees_with_pairs_of_runs(rule: str, mechanism: str):
    limit = limit_of(rule, mechanism).at_step(sp.Rational(1, 10))
    unit = STEP ** float(limit.equation.power)
    drift, spread = (unit * x for x in at_point(limit, POINT))
    found = many_steps(
        DRAWN[rule](mechanism), POINT, STEP, pairs=60_000, settled=150, steps=150, seed=0
    )
    z = np.abs(found.drift - drift) / found.drift_error
    spread_z = np.abs(found.spread - spread) / (found.spread_error + 1e-14)
    share = np.abs(found.drift_error).max() / np.abs(drift).max()
    print(f"{rule}, {mechanism}: drift {z.max():.1f}, Θ {spread_z.max():.1f}, error {share:.1e}")
    assert max(z.max(), spread_z.max()) < 5
    assert (np.abs(found.drift - drift / 2) / found.drift_error).max() > 5, "a lost half"


@pytest.mark.parametrize(("rule", "mechanism"), table(FIXED, [JUMPS]))
def test_rare_jumps_agree_as_the_step_shrinks(rule: str, mechanism: str):
    limit, made = limit_of(rule, mechanism), FIXED[rule](mechanism)
    power = sp.Rational(limit.equation.power)
    steps = [0.02 / 2**k for k in range(5 * power.q)]  # smooth in a root of α
    ends = [one_jump(made, POINT, a) / a ** float(power) for a in steps]
    true, drift = extrapolated(ends, 1 / power.q), at_point(limit, POINT)[0]
    gap = np.abs(drift - true).max() / np.abs(true).max()
    print(f"{rule}, {mechanism}: {gap:.1e} of the motion")
    assert gap < 1e-6
    assert np.abs(ends[0] - true).max() > 1e-3 * np.abs(true).max(), "the step size would be seen"


@pytest.mark.slow
@pytest.mark.parametrize("rule", DRAWN)
def test_rare_jumps_move_by_the_mean_step_as_it_shrinks(rule: str):
    """What is drawn averages out: a batch is the whole on average, one of two coordinates half."""
    share = {"random coordinates": HALF, "batches of one": 1}[rule]
    drift, whole = (at_point(limit_of(name, JUMPS), POINT)[0] for name in (rule, "descent"))
    assert drift == pytest.approx(float(share) * whole, abs=1e-12)
    assert np.abs(whole).max() > 0.01


# The theorem for any rule against the formulas of descent -----------------------------------------


@pytest.mark.parametrize(
    "entry", [pytest.param(e, marks=pytest.mark.slow) for e in CATALOGUE], ids=str
)
def test_descent_as_a_rule_equals_the_two_theorems(entry: Entry):
    """Outcome, time scale, drift and Θ to twelve digits, as α → 0 and at a step size."""
    known, rule = derived(entry.problem), derive_limit(rule_of(entry.problem))
    assert (rule.outcome, rule.time_scale) == (known.outcome, known.time_scale)
    pairs = [(rule, known)]
    if not (has_rare_jumps(rule.problem) or persistent_noise(entry.problem)):
        step = sp.Rational(str(entry.alpha))
        pairs.append((rule.at_step(step), known.at_step(step)))
    for general, fast in pairs:
        with mpmath.workdps(WORKING_DIGITS):
            for g in itertools.islice(known.manifold.local(), 2):
                for part in ("drift", "spread"):
                    given, expected = (getattr(f, part)(g) for f in map(pointwise, (general, fast)))
                    size = 1 + mpmath.mnorm(expected, "f")
                    assert mpmath.mnorm(given - expected, "f") < 1e-12 * size
