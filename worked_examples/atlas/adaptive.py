"""Adaptive methods with label noise: which trace of the Hessian they lower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy as sp

from derive import Limit, alpha, derive_limit
from derive.optimizers import Adam, Optimizer, RMSProp

from .entry import PER_SQUARE, Course, Entry, Printed, Read, Source
from .gradient_noise import label_noise_on_one_sample
from .models import CIRCLE, HALF, PLANE, RING_START, w1, w2

LI = Source("Li, Wen, Lyu", "arXiv 2511.02773", Read.ABSTRACT)
OWN = Source("this project", "", Read.OWN)

SLOWER = alpha ** sp.Rational(3, 2)
FASTER = sp.sqrt(alpha)
"""δ = 1 − β₂, far below and far above the relaxation αμ across Γ."""

MEASURED = sp.Rational(1, 500)
"""δ of the runs, beside αμ of 0.1 or more."""


def under(optimizer: Optimizer) -> Callable[[], Limit]:
    """Label noise on one sample under an optimizer."""
    return lambda: derive_limit(replace(label_noise_on_one_sample(), optimizer=optimizer))


def held(optimizer: Optimizer) -> Course:
    """Runs with a small δ at each step size, from when the second moments have settled."""
    problem = replace(label_noise_on_one_sample(), optimizer=optimizer)
    return Course(
        RING_START,
        (0.2, 0.1),
        (0.02, 0.014),
        distance=0.01,
        recursion=lambda _: problem,
        wait=4000,
    )


def root_trace_flow() -> sp.Matrix:
    """−½(Ω − ΩJᵀ(JΩJᵀ)⁻¹JΩ)∇Σ_i√H_ii with Ω = diag(1/√H_ii)."""
    residual = CIRCLE * (2 + w1) / 2
    roots = [sp.sqrt(residual.diff(w) ** 2) for w in PLANE]
    metric, j = sp.diag(*(1 / r for r in roots)), sp.Matrix([[w1, w2]])
    reduced = metric - metric * j.T * (j * metric * j.T).inv() * j * metric
    return -reduced * sp.Matrix([sum(roots).diff(w) for w in PLANE]) / 2


ENTRIES = (
    Entry(
        "rmsprop-label-noise",
        "RMSProp with label noise and a slow second moment",
        LI,
        ("lowers", r"$\mathrm{tr}\,(\mathrm{diag}\,H)^{1/2}$", ", where descent lowers tr H"),
        under(RMSProp(SLOWER)),
        Printed(PER_SQUARE, root_trace_flow()),
        remark=(
            "δ = α^{3/2}: the second moment is constant while the weights relax; ε = 0. It is "
            "measured with δ = 0.002, where δ/(δ + αμ) leaves about 1 %."
        ),
        course=held(RMSProp(MEASURED, "constant")),
        is_short=False,
    ),
    Entry(
        "adam-label-noise",
        "Adam with label noise and a slow second moment",
        LI,
        ("has the limit of RMSProp, whatever β₁",),
        under(Adam(SLOWER, beta=HALF)),
        Printed(PER_SQUARE, root_trace_flow()),
        course=held(Adam(MEASURED, "constant", beta=HALF)),
        is_short=False,
    ),
    Entry(
        "rmsprop-fast",
        "RMSProp with label noise and a fast second moment",
        OWN,
        (
            "where the second moment follows the weights as they relax, it is another limit: on one"
            " sample nothing moves",
        ),
        under(RMSProp(FASTER)),
        Printed(None, (0, 0)),
        remark="δ = √α; the derivatives of the preconditioner cancel the drift.",
        is_short=False,
    ),
)
