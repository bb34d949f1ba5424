"""Losses that are not quite flat along Γ: weight decay, and a river at the bottom of a valley."""

from __future__ import annotations

import sympy as sp

from derive import NoisyGradientDescent, UpdateRule, alpha, derive_limit, sigma

from .entry import PER_SQUARE, PER_STEP, Along, Course, Entry, Printed, Read, Source
from .gradient_noise import HYPERBOLA, ON_HYPERBOLA, label_noise_on_one_sample
from .models import ON_RING, PLANE, RING, RING_START, e1, w1, w2, w3, w4

OWN = Source("this project", "", Read.OWN)
LWA = Source("Li, Wang, Arora", "arXiv 2110.06914", Read.ABSTRACT)
RIVER = Source(
    "Wen et al., on warm-up, stable and decaying steps", "arXiv 2410.05192", Read.ABSTRACT
)

TILT = sp.exp(w2 / 2)
"""The slope along the river."""

HALF_SQUARE = (w1**2 + w2**2) / 2


def river() -> NoisyGradientDescent:
    """The ring, tilted by σ²·exp(w₂/2), with additive noise."""
    return NoisyGradientDescent(RING, RING + w1 * e1, PLANE, e1, penalty=sigma**2 * TILT)


def decayed() -> NoisyGradientDescent:
    """Parameter noise on the hyperbola, with weight decay of the size of the noise."""
    noisy = HYPERBOLA.subs({w1: w1 + e1}, simultaneous=True)
    return NoisyGradientDescent(
        HYPERBOLA, noisy, PLANE, e1, penalty=3 * sigma**2 * HALF_SQUARE, near=(1, 1)
    )


def decoupled() -> UpdateRule:
    """W' = w − αΩ∇L̂ − α·3σ²w with Ω = diag(1, 2): the decay is not preconditioned."""
    noisy = HYPERBOLA.subs({w1: w1 + e1}, simultaneous=True)
    moved = [
        w - alpha * s * noisy.diff(w) - 3 * alpha * sigma**2 * w
        for w, s in zip(PLANE, (1, 2), strict=True)
    ]
    return UpdateRule(moved, PLANE, (e1,), loss=HYPERBOLA, near=(1, 1))


def oblique() -> sp.Matrix:
    """P_Ω = I − ΩJᵀ(JΩJᵀ)⁻¹J on the hyperbola."""
    metric, j = sp.diag(1, 2), sp.Matrix([[w2, w1]])
    return sp.eye(2) - metric * j.T * (j * metric * j.T).inv() * j


def diagonal_net() -> tuple[NoisyGradientDescent, Along, sp.Expr]:
    """h(x; u, v) = Σ x_j(u_j² − v_j²) on one sample with the inputs 1 and 2."""
    residual = w1**2 - w3**2 + 2 * (w2**2 - w4**2) - 1
    weights = (w1, w2, w3, w4)
    problem = NoisyGradientDescent(residual**2 / 2, (residual - e1) ** 2 / 2, weights, e1)
    slope = 4 * (w1**2 + w3**2) + 16 * (w2**2 + w4**2)
    return problem, Along(weights, [residual]), slope


def decayed_labels() -> NoisyGradientDescent:
    """Label noise on the ring with a penalty of size ασ²."""
    problem = label_noise_on_one_sample()
    return NoisyGradientDescent(
        problem.loss,
        problem.noisy_loss,
        PLANE,
        e1,
        penalty=alpha * sigma**2 * TILT,
    )


ENTRIES = (
    Entry(
        "diagonal-net",
        "Label noise on a diagonal linear net",
        LWA,
        (
            r"$h(x) = x\cdot(u^2-v^2)$",
            "has",
            r"$\mathrm{tr}\,H = 4\sum_j\overline{x_j^2}(u_j^2+v_j^2)$",
            ", a weighted ℓ₁ norm of the predictor where it is least",
        ),
        lambda: derive_limit(diagonal_net()[0]),
        Printed(PER_SQUARE, diagonal_net()[1].descent(diagonal_net()[2] / 4)),
        course=Course((0.8, 0.5, 0.3, 0.27), (0.02, 0.01), (0.1, 0.07), distance=0.01),
    ),
    Entry(
        "river-valley",
        "A river at the bottom of a valley",
        RIVER,
        (
            "where the loss falls gently along Γ,",
            r"$L_0 + \varepsilon L_1$",
            ", the weights follow",
            r"$-\varepsilon P\nabla L_1$",
        ),
        lambda: derive_limit(river()),
        Printed(PER_STEP, ON_RING.descent(TILT)),
        remark="ε = σ²: the noise across and along Γ is of the next order in the step size.",
        course=Course(RING_START, (0.05, 0.025), (0.05, 0.035), distance=0.02),
    ),
    Entry(
        "weight-decay",
        "Weight decay of the size of the noise",
        OWN,
        ("decay of size", r"$c\sigma^2$", "adds", r"$\tfrac c2|w|^2$", "to Reg"),
        lambda: derive_limit(decayed()),
        Printed(PER_STEP, ON_HYPERBOLA.descent(w2**2 / 2 + 3 * HALF_SQUARE)),
        remark="c = 3, with noise on one of the weights: Reg = ½w₂² + (c/2)|w|².",
        course=Course((1.5, 2 / 3), (0.05, 0.025), (0.05, 0.035)),
    ),
    Entry(
        "decoupled-weight-decay",
        "Decoupled weight decay under a preconditioner",
        OWN,
        (
            r"$w' = w - \alpha\Omega g - \alpha\lambda w$",
            "drifts by",
            r"$-P_\Omega(\Omega\nabla\mathrm{Reg} + cw)$",
        ),
        lambda: derive_limit(decoupled()),
        Printed(
            PER_STEP,
            -oblique() * (sp.diag(1, 2) * sp.Matrix([0, w2]) + 3 * sp.Matrix(PLANE)),
        ),
        remark="λ = cσ² with c = 3, Ω = diag(1, 2), noise on the first weight: Reg = ½w₂².",
        is_short=False,
        course=Course((1.5, 2 / 3), (0.05, 0.025), (0.05, 0.035)),
    ),
    Entry(
        "label-noise-and-decay",
        "Label noise beside weight decay of its own size",
        OWN,
        (
            "decay of size",
            r"$c\alpha\sigma^2$",
            "adds",
            r"$\tfrac c2|w|^2$",
            "to the potential of label noise",
        ),
        lambda: derive_limit(decayed_labels()),
        Printed(PER_SQUARE, ON_RING.descent(TILT + (2 + w1) ** 2 / 4)),
        remark="With any penalty U of that size; here it is exp(w₂/2), for |w| is constant on Γ.",
        course=Course(RING_START, (0.1, 0.05), (0.1, 0.07), distance=0.01),
    ),
)
