"""Sharpness-aware steps, and descent that cycles across Γ."""

from __future__ import annotations

from dataclasses import replace

import sympy as sp

from derive import Minibatch, NoisyGradientDescent, alpha, derive_limit
from derive.optimizers import (
    NormalizedDescent,
    NormalizedSharpnessAware,
    Optimizer,
    RootDescent,
    SharpnessAware,
)

from .entry import PER_STEP, Course, Entry, Printed, Read, Source
from .gradient_noise import ONE_SAMPLE_CURVATURE, label_noise_on_one_sample
from .models import ON_RING, PLANE, RING, RING_CURVATURE, RING_START, e1, e2, w1, w2, w3, w4

WEN = Source("Wen, Ma, Li", "arXiv 2211.05729, Theorems 4.5 and 5.4", Read.TEXT)
ARORA = Source("Arora, Li, Panigrahi", "arXiv 2205.09745", Read.MEMORY)
SAM = NormalizedSharpnessAware()

TOY_WEIGHTS = (w1, w2, w3, w4)
FIRST, SECOND = 2 + w1, 2 - w1 + w2**2
TOY = FIRST * w3**2 + SECOND * w4**2
"""Γ = {w₃ = w₄ = 0}, where the Hessian is diag(2F₁, 2F₂)."""

NEAR = (1, sp.Rational(1, 2), 0, 0)
"""F₁ > F₂."""


def quiet(optimizer: Optimizer) -> NoisyGradientDescent:
    """The ring under an optimizer that needs no noise."""
    return NoisyGradientDescent(RING, RING, PLANE, (), optimizer=optimizer)


def toy(samples: bool) -> NoisyGradientDescent:
    """F₁w₃² + F₂w₄² as a whole, or as the mean of two samples of which one is drawn."""
    if not samples:
        return NoisyGradientDescent(TOY, TOY, TOY_WEIGHTS, (), optimizer=SAM, near=NEAR)
    noisy = (1 + e1) * FIRST * w3**2 + (1 + e2) * SECOND * w4**2
    batch = Minibatch(2, 1)
    return NoisyGradientDescent(TOY, noisy, TOY_WEIGHTS, (e1, e2), batch, optimizer=SAM, near=NEAR)


ENTRIES = (
    Entry(
        "sam",
        "Sharpness-aware minimisation, all samples in a batch",
        WEN,
        (r"$\dot X = -\tfrac12P\nabla\lambda_1(\nabla^2L(X))$", "in time", r"$k\eta\rho^2$"),
        lambda: derive_limit(quiet(SAM)),
        Printed(PER_STEP, ON_RING.descent(RING_CURVATURE / 2)),
        remark="ρ is the small scale σ. At a step size that is not small see the next entry.",
        course=Course(RING_START, (0.02, 0.01), (0.004, 0.002), distance=0.0004, paths=1),
    ),
    Entry(
        "sam-at-a-step",
        "Sharpness-aware minimisation at a step size that is not small",
        Source("this project", "", Read.OWN),
        (
            r"$\dot X = -\tfrac12\bigl(\tfrac2{2-\alpha\lambda_1}\bigr)^2P\nabla\lambda_1$",
            "for all",
            r"$\alpha\lambda_1<2$",
        ),
        lambda: derive_limit(quiet(SAM)).at_step(),
        Printed(PER_STEP, ON_RING.descent(RING_CURVATURE / (2 - alpha * RING_CURVATURE))),
        remark=(
            "The 2-cycle ± αλ₁ρ/(2 − αλ₁) v₁ takes the gradient at the distance 2ρ/(2 − αλ₁). The "
            "published law is its limit α → 0, and 94 % off at αλ₁ = 1.5."
        ),
        course=Course(RING_START, (0.24, 0.12, 0.06), (0.002, 0.001), distance=0.002, paths=1),
    ),
    Entry(
        "sam-toy",
        "What sharpness-aware steps minimise: all samples in a batch",
        WEN,
        ("on", r"$L = F_1x_3^2 + F_2x_4^2$", "with", r"$F_1 > F_2$", "it is", r"$F_1$"),
        lambda: derive_limit(toy(samples=False)),
        Printed(PER_STEP, [-FIRST.diff(w1), -FIRST.diff(w2), 0, 0]),
        course=Course((1.0, 0.5, 0, 0), (0.04, 0.02), (0.002, 0.001), distance=0.0004, paths=1),
    ),
    Entry(
        "one-sam-toy",
        "What sharpness-aware steps minimise: one sample in a batch",
        WEN,
        (
            r"$\dot X = -\tfrac12P\nabla\,\mathrm{tr}\,\nabla^2L$",
            ": on the same loss it is",
            r"$F_1 + F_2$",
        ),
        lambda: derive_limit(toy(samples=True)),
        Printed(PER_STEP, [0, -2 * w2, 0, 0]),
        remark=(
            "Reg = ½ mean |∇h_i|², whatever the law of the signs; at a step size that is not small "
            "the signs are simulated."
        ),
        course=Course((1.0, 0.5, 0, 0), (0.004, 0.002), (0.02, 0.014), distance=0.002, paths=400),
    ),
    Entry(
        "normalised-descent",
        "Normalised gradient descent",
        ARORA,
        (
            r"$w' = w - \eta\nabla L/|\nabla L|$",
            "moves by",
            r"$-\tfrac14P\nabla\log\lambda_1$",
            "in time",
            r"$k\eta^2$",
        ),
        lambda: derive_limit(quiet(NormalizedDescent())),
        Printed(1 / alpha**2, ON_RING.descent(sp.log(RING_CURVATURE) / 4)),
        course=Course((0.6003, 0.8004), (0.004, 0.002, 0.001), (1.0,), distance=0.0005, paths=1),
    ),
    Entry(
        "root-descent",
        "Descent on the root of the loss",
        ARORA,
        (
            r"$w' = w - \eta\nabla\sqrt L$",
            "moves by",
            r"$-\tfrac18P\nabla\lambda_1$",
            "in time",
            r"$k\eta^2$",
        ),
        lambda: derive_limit(quiet(RootDescent())),
        Printed(1 / alpha**2, ON_RING.descent(RING_CURVATURE / 8)),
        course=Course((0.6003, 0.8004), (0.004, 0.002, 0.001), (1.0,), distance=0.0005, paths=1),
    ),
    Entry(
        "unnormalised-sam-label-noise",
        "Unnormalised sharpness-aware steps with label noise",
        Source("this project", "", Read.OWN),
        (
            "change the class: label noise, degenerate under descent, moves on",
            r"$1/(\alpha\sigma^2)$",
        ),
        lambda: derive_limit(
            replace(label_noise_on_one_sample(), optimizer=SharpnessAware(sp.Rational(1, 10)))
        ),
        Printed(
            PER_STEP,
            ON_RING.descent(
                sp.Rational(1, 10) * ONE_SAMPLE_CURVATURE / 2
                + sp.Rational(1, 100) * ONE_SAMPLE_CURVATURE**2 / 4
            ),
        ),
        remark=(
            "At w − ρη∇h the mean of (h − y − η)∇h is σ²∇(½ρ|∇h|² + ¼ρ²|∇h|⁴) to order σ²; "
            "ρ = 0.1 here."
        ),
        is_short=False,
        course=Course(RING_START, (0.08, 0.04), (0.05, 0.03), distance=0.01),
    ),
)
