"""Momentum, preconditioners, local steps, zeroth-order steps: gradients that become other steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy as sp

from derive import Limit, NoisyGradientDescent, Rademacher, UpdateRule, alpha, derive_limit, sigma
from derive.optimizers import (
    HeavyBall,
    LocalRounds,
    LocalSteps,
    LookAhead,
    Nesterov,
    Optimizer,
    Preconditioned,
    RandomCoordinates,
    WeightAverage,
    ZerothOrder,
)

from .entry import PER_SQUARE, PER_STEP, Along, Course, Entry, Printed, Read, Source, laplacian
from .gradient_noise import ONE_SAMPLE_CURVATURE, label_noise_on_one_sample
from .models import CIRCLE, HALF, ON_RING, PLANE, RING, RING_START, e1, w1, w2, w3, w4

OWN = Source("this project", "", Read.OWN)
WANG = Source("Wang, Malladi, Wang, Lyu, Li", "arXiv 2307.15196", Read.ABSTRACT)
COWSIK = Source("Cowsik, Can, Glorioso", "arXiv 2210.16400", Read.ABSTRACT)
GU = Source("Gu, Lyu, Huang, Arora", "arXiv 2303.01215", Read.ABSTRACT)
ZHANG = Source("Zhang et al.", "arXiv 2506.05454", Read.TEXT)
ADAPTIVE = Source("Li, Wen, Lyu", "arXiv 2511.02773", Read.ABSTRACT)

STEPS, SCALES = (0.08, 0.04), (0.05, 0.03)
BETA = sp.Rational(7, 10)
FLAT_FLOW = ON_RING.descent(ONE_SAMPLE_CURVATURE / 4)
"""−¼P∇tr H, the flow of label noise under descent."""


def under(optimizer: Optimizer) -> Callable[[], Limit]:
    """Label noise on one sample under an optimizer."""
    return lambda: derive_limit(replace(label_noise_on_one_sample(), optimizer=optimizer))


def one_round(step: float) -> NoisyGradientDescent:
    """ηH = ½ at a step size: a round of 1/(2η) local steps on three workers."""
    return replace(label_noise_on_one_sample(), optimizer=LocalSteps(round(1 / (2 * step)), 3))


def averaged_momentum() -> UpdateRule:
    """M' = βm + (1 − β)g, w' = w − αm', with label noise."""
    memory = sp.symbols("m1 m2", real=True)
    slope = label_noise_on_one_sample().stochastic_gradient
    after = [BETA * m + (1 - BETA) * g for m, g in zip(memory, slope, strict=True)]
    moved = [w - alpha * m for w, m in zip(PLANE, after, strict=True)]
    loss = label_noise_on_one_sample().loss
    return UpdateRule((*moved, *after), PLANE, (e1,), memory=memory, loss=loss)


METRIC = sp.diag(1, 3)


def in_a_metric(potential: sp.Expr) -> sp.Matrix:
    """−(Ω − ΩJᵀ(JΩJᵀ)⁻¹JΩ)∇V on the circle."""
    j = sp.Matrix([CIRCLE]).jacobian(list(PLANE))
    across = METRIC * j.T
    reduced = METRIC - across * (j * across).inv() * across.T
    return -reduced * sp.Matrix([potential.diff(w) for w in PLANE])


def preconditioned_trace() -> sp.Expr:
    """Tr ΩH."""
    loss = label_noise_on_one_sample().loss
    return sum(METRIC[i, i] * loss.diff(w, 2) for i, w in enumerate(PLANE))


def zeroth_order(law: object = None) -> NoisyGradientDescent:
    """The ring by two values of the loss along a random direction."""
    steps = ZerothOrder() if law is None else ZerothOrder(law)
    return NoisyGradientDescent(RING, RING, PLANE, (), optimizer=steps)


PRODUCT = w1 * w3 + w2 * w4 - 1
"""yᵀz − 1."""


def product() -> Limit:
    """F = ½(yᵀz − 1)² under zeroth-order steps."""
    weights = (w1, w2, w3, w4)
    return derive_limit(
        NoisyGradientDescent(PRODUCT**2 / 2, PRODUCT**2 / 2, weights, (), optimizer=ZerothOrder())
    )


def masked() -> Limit:
    """The masked recursion as descent: half the slope, and the noise of one coordinate."""
    loss = label_noise_on_one_sample().loss
    hessian = sp.hessian(loss, PLANE)
    noise = sp.diag(hessian[0, 0], hessian[1, 1]) / 2
    return derive_limit(NoisyGradientDescent.from_gradient_noise(loss / 2, noise, PLANE))


ROUND = ONE_SAMPLE_CURVATURE
ROUND_SHARE = (sp.exp(-ROUND) - 1 + ROUND) / ROUND
"""ψ(x) at x = 2ηHλ with ηH = ½."""


ENTRIES = (
    Entry(
        "momentum-average",
        "Momentum that averages gradients",
        WANG,
        (r"$m' = \beta m + (1-\beta)g$", "has the slow limit of descent, whatever β"),
        lambda: derive_limit(averaged_momentum()),
        Printed(PER_SQUARE, FLAT_FLOW),
        course=Course(RING_START, STEPS, SCALES, distance=0.01),
    ),
    Entry(
        "heavy-ball",
        "Heavy ball",
        Source("folklore", "", Read.MEMORY),
        (r"$m' = \beta m + g$", "is descent with", r"$\alpha/(1-\beta)$"),
        under(HeavyBall(BETA)),
        Printed(PER_SQUARE, FLAT_FLOW / (1 - BETA) ** 2),
        course=Course(RING_START, (0.04, 0.02), SCALES, distance=0.01),
    ),
    Entry(
        "nesterov",
        "Nesterov momentum",
        OWN,
        (
            "has the limit of the heavy ball as",
            r"$\alpha\to0$",
            ", another at a fixed step",
        ),
        under(Nesterov(BETA)),
        Printed(PER_SQUARE, FLAT_FLOW / (1 - BETA) ** 2),
        course=Course(RING_START, (0.04, 0.02), SCALES, distance=0.01),
    ),
    Entry(
        "underdamped",
        "Momentum close to one",
        OWN,
        (r"$1-\beta = c\sqrt\alpha$", "moves label noise on", r"$1/(\alpha\sigma^2)$"),
        under(HeavyBall(1 - sp.sqrt(alpha))),
        Printed(PER_STEP, FLAT_FLOW),
        remark="c = 1; in codimension one H does not turn, and the law is that of descent.",
        course=Course(RING_START, (0.04, 0.02), SCALES, distance=0.01),
    ),
    Entry(
        "momentum-two-thirds",
        "The fastest momentum",
        COWSIK,
        (
            "drift along Γ and equilibration across it balance at",
            r"$1-\beta = C\eta^{2/3}$",
        ),
        under(HeavyBall(1 - alpha ** sp.Rational(2, 3))),
        Printed(alpha ** sp.Rational(-2, 3) * sigma**-2, FLAT_FLOW),
        remark=(
            "With that β the time scale is 1/(α^{2/3}σ²), and across Γ the relaxation takes "
            "2/(1 − β) = 2α^{-2/3} steps: the same power of α."
        ),
        course=Course(RING_START, (0.04, 0.02), SCALES, distance=0.01),
    ),
    Entry(
        "preconditioned-label-noise",
        "A fixed preconditioner with label noise",
        ADAPTIVE,
        (r"$-\tfrac c4S^{1/2}P'S^{1/2}\nabla\,\mathrm{tr}(SH)$",),
        under(Preconditioned(METRIC)),
        Printed(PER_SQUARE, in_a_metric(preconditioned_trace() / 4)),
        remark="S = diag(1, 3); S^{1/2}P'S^{1/2} = S − SJᵀ(JSJᵀ)⁻¹JS.",
        is_short=False,
        course=Course(RING_START, STEPS, SCALES, distance=0.01),
    ),
    Entry(
        "random-coordinates",
        "Masks of the update make label noise diffusive",
        OWN,
        (
            "one of two coordinates at random is descent on ½L with the noise covariance",
            r"$\tfrac12\mathrm{diag}\,\Sigma$",
        ),
        under(RandomCoordinates(1)),
        Printed(PER_SQUARE, masked().drift, masked().diffusion),
        is_short=False,
        course=Course(RING_START, (0.05, 0.025), (0.05, 0.035), distance=0.05, paths=20000),
    ),
    Entry(
        "look-ahead",
        "Look-ahead",
        OWN,
        ("a part c of k inner steps moves", r"$c^2k$", "times as far as one step"),
        under(LookAhead(3, sp.Rational(1, 2))),
        Printed(PER_SQUARE, FLAT_FLOW * sp.Rational(3, 4)),
        remark="k = 3, c = ½: descent with the step ckα and the noise covariance Σ/k.",
        course=Course(RING_START, STEPS, SCALES, distance=0.01),
    ),
    Entry(
        "weight-average",
        "Exponential average of the weights",
        OWN,
        ("moves along Γ as the weights do",),
        under(WeightAverage(sp.Rational(1, 10))),
        Printed(PER_SQUARE, FLAT_FLOW),
        course=Course(RING_START, STEPS, SCALES, distance=0.01),
    ),
    Entry(
        "local-steps",
        "A fixed number of local steps",
        GU,
        ("as", r"$\eta\to0$", "with H fixed, local SGD has the slow limit of SGD on all workers"),
        under(LocalSteps(3, 2)),
        Printed(PER_SQUARE, FLAT_FLOW * 3 / 2),
        remark="H = 3 steps on K = 2 workers: 3 steps with half the noise covariance.",
        course=Course(RING_START, STEPS, SCALES, distance=0.01),
    ),
    Entry(
        "local-rounds",
        "Local steps for a fixed time",
        GU,
        (
            r"$\eta H$",
            "fixed: the drift of SGD on all workers, and (K − 1)/K of that of one worker times",
            r"$\psi(x) = (e^{-x}-1+x)/x,\; x = \eta H(\lambda_i+\lambda_j)$",
        ),
        under(LocalRounds(HALF, 3)),
        Printed(PER_SQUARE, FLAT_FLOW * (1 + 2 * ROUND_SHARE) / 3),
        remark="ηH = ½ and K = 3; the time counts local steps.",
        course=Course(RING_START, (1 / 8, 1 / 16), SCALES, distance=0.01, recursion=one_round),
    ),
    Entry(
        "zeroth-order",
        "Zeroth-order steps along Gaussian directions",
        ZHANG,
        (
            r"$E\,\Delta w = -\eta\nabla f - \tfrac{\eta\lambda^2}2\nabla\,\mathrm{tr}\,\nabla^2f$",
            "to order λ²",
        ),
        lambda: derive_limit(zeroth_order()),
        Printed(PER_STEP, ON_RING.descent(laplacian(RING, PLANE) / 2)),
        remark="λ is the small scale σ.",
        course=Course(RING_START, (0.02, 0.01), (0.02, 0.014), distance=0.002, paths=4000),
    ),
    Entry(
        "zeroth-order-signs",
        "Zeroth-order steps along random signs",
        OWN,
        (r"$-\tfrac12P\nabla\Delta L + \tfrac13P(\partial_i^3L)_i$", ", not a gradient in general"),
        lambda: derive_limit(zeroth_order(Rademacher())),
        Printed(
            PER_STEP,
            ON_RING.descent(laplacian(RING, PLANE) / 2)
            + ON_RING.projector * sp.Matrix([RING.diff(w, 3) for w in PLANE]) / 3,
        ),
        course=Course(RING_START, (0.02, 0.01), (0.02, 0.014), distance=0.002, paths=4000),
    ),
    Entry(
        "zeroth-order-product",
        "Zeroth-order steps balance a product",
        ZHANG,
        (
            r"$f = \tfrac12(y^\top z-1)^2,\; B = \tfrac12(|y|^2-|z|^2)$",
            ":",
            r"$dE[B]/dt = -2\lambda^2E[B]$",
        ),
        product,
        Printed(
            PER_STEP,
            Along((w1, w2, w3, w4), [PRODUCT]).descent(sum(w**2 for w in (w1, w2, w3, w4)) / 2),
        ),
        remark="−½P∇tr H = −P w, along which B falls at the rate 2.",
        is_short=False,
        course=Course(
            (1.1, 0.5, 0.7, 0.46), (0.02, 0.01), (0.02, 0.014), distance=0.002, paths=4000
        ),
    ),
)
