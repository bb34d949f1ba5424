"""The table of noise mechanisms, generated: regularizer, class, time scale, limit, exponents.

Each mechanism is derived, and the exponents of α and σ in its speed along Γ are measured from
short bursts of the recursion, without using the derived equation, beside those predicted. A limit
at rest on both scales of the theorems is followed to the slower scale on which it moves.
"""

import time

import numpy as np
import sympy as sp
from pictures import OUTPUT

from derive import Bernoulli, Limit, NoisyGradientDescent, Outcome, derive_limit, mechanisms
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.display import equations
from numerics import compile_limit
from numerics.validation import LENGTHS, Experiment, measure_scaling

w1, w2, w3, w4, x, eta = sp.symbols("w1:5 x eta", real=True)
plane, four = (w1, w2), (w1, w2, w3, w4)
radius = w1**2 + w2**2
ring, round_ring = (radius - 1) ** 2 * (2 + w1) / 4, (radius - 1) ** 2 / 4
a, b = sp.symbols("x1 x2", real=True)
net = (a * (w1**2 - w3**2) + b * (w2**2 - w4**2), (a, b), [[1, 2], [2, -1]], [1, 3], four)
neuron = (w1 * sp.tanh(w2 * x + w3), x, [1], [sp.Rational(1, 2)], (w1, w2, w3))
pair = w1 * sp.tanh(w2 * x) + w3 * sp.tanh(w4 * x)
two_neurons = (pair, x, [sp.Rational(1, 2), 3], [0, 1], four)
units = (w1 * sp.tanh(w2 * x), w3 * sp.tanh(w4 * x))

ON_RING, ON_NET, ON_PAIR = (0.6, 0.8), (1.3, 0.7, 0.5, 0.8), (2.3, 1.0, -1.3, 2.4)
MECHANISMS = {
    "parameter noise": (mechanisms.parameter_noise(ring, plane), ON_RING, 0.05, 0.05),
    "Gaussian DropConnect": (mechanisms.dropconnect(round_ring, plane), ON_RING, 0.05, 0.1),
    "Bernoulli DropConnect": (
        mechanisms.dropconnect(round_ring, plane, law=Bernoulli()),
        ON_RING,
        0.05,
        0.1,
    ),
    "dropout of neurons": (
        mechanisms.dropout(*two_neurons, units=units, near=ON_PAIR),
        ON_PAIR,
        0.1,
        0.1,
    ),
    "input noise": (
        mechanisms.input_noise(*neuron, near=(0.8, 0.7, 0.2)),
        (0.8, 0.7, 0.2),
        0.1,
        0.1,
    ),
    "scalar multiplicative noise": (
        NoisyGradientDescent(ring, ring + (1 - 0.7 * sp.cos(2 * w1)) * eta**2 / 2, plane, eta),
        ON_RING,
        0.05,
        0.1,
    ),
    "linear scalar noise": (
        NoisyGradientDescent(ring, ring + radius * eta / 2, plane, eta),
        ON_RING,
        0.02,
        0.1,
    ),
    "label noise": (mechanisms.label_noise(*net), ON_NET, 0.002, 0.1),
    "minibatches with label noise": (
        mechanisms.minibatch_label_noise(*net, batch_size=1),
        ON_NET,
        0.001,
        0.1,
    ),
    "additive noise": (mechanisms.additive_noise(ring, plane), ON_RING, 0.02, 0.1),
    "normal second moment": (
        NoisyGradientDescent(
            round_ring, round_ring + (radius - 1) * (1 + w1 / 2) * eta**2 / 2, plane, eta
        ),
        ON_RING,
        0.02,
        0.12,
    ),
    "minibatches": (mechanisms.minibatch(*net, batch_size=1), ON_NET, 0.004, 0.1),
}


def first_motion(limit: Limit) -> Limit | None:
    """The limit itself if it moves, or the fastest of the slower scales that does."""
    if limit.time_scale is not None or limit.outcome is Outcome.FROZEN:
        return limit if limit.time_scale is not None else None
    return next((s for s in limit.scales() if s.time_scale is not None), None)


def predicted_exponents(limit: Limit) -> tuple[float, ...]:
    """Exponents of α and σ in the speed, read off the time scale."""
    scale = sp.log(1 / limit.time_scale)
    return tuple(float(sp.simplify(s * scale.diff(s))) for s in (ALPHA, SIGMA))


def measured_exponents(limit: Limit, moving: Limit, start, alpha: float, sigma: float) -> str:
    compiled = compile_limit(limit)
    scaling = measure_scaling(
        Experiment(compiled, paths=8000, seed=(0,)),
        compiled.flow_limit(start),
        alpha=alpha,
        sigma=sigma,
        diffusive=moving.outcome is Outcome.DIFFUSIVE,
        length=LENGTHS[moving.outcome],
    )
    pairs = zip(scaling.law.exponents.value, scaling.law.exponents.error, strict=True)
    z = (scaling.law.exponents.value - predicted_exponents(moving)) / scaling.law.exponents.error
    return ", ".join(f"{p:.4f} ± {e:.4f}" for p, e in pairs) + f" (z = {np.abs(z).max():.1f})"


def row(name: str, problem: NoisyGradientDescent, start, alpha: float, sigma: float) -> str:
    limit = derive_limit(problem)
    moving = first_motion(limit)
    statements = {s.label: s.text for s in equations(moving or limit)}
    reg = sp.sstr(limit.regularizer_on_manifold)
    cells = [name, f"`{reg}`" if len(reg) < 60 else "…", limit.outcome.value]
    if moving is None:
        return "| " + " | ".join([*cells, "none", "at rest", "–", "–"]) + " |"
    predicted = ", ".join(f"{p:g}" for p in predicted_exponents(moving))
    measured = measured_exponents(limit, moving, start, alpha, sigma)
    scale = f"`{sp.sstr(moving.time_scale)}`"
    return "| " + " | ".join([*cells, scale, statements["limit"], predicted, measured]) + " |"


HEAD = (
    "| mechanism | Reg on Γ | class | iterations per unit of time | limit "
    "| exponents of α, σ | measured |\n|---|---|---|---|---|---|---|"
)
lines = [HEAD]
print(HEAD)
began = time.perf_counter()
for mechanism, (problem, start, alpha, sigma) in MECHANISMS.items():
    lines.append(row(mechanism, problem, start, alpha, sigma))
    print(lines[-1], flush=True)
OUTPUT.mkdir(exist_ok=True)
(OUTPUT / "table_of_mechanisms.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
print(f"in {time.perf_counter() - began:.0f} s")
