"""Noise under plain gradient descent: perturbed weights, dropped units, labels, batches, SGLD."""

from __future__ import annotations

from dataclasses import replace

import sympy as sp

from derive import (
    Bernoulli,
    Gaussian,
    Minibatch,
    NoisyGradientDescent,
    Uniform,
    alpha,
    derive_limit,
    mechanisms,
    sigma,
)
from derive.optimizers import HeavyBall

from .entry import PER_SQUARE, PER_STEP, Along, Course, Entry, Printed, Read, Source, laplacian
from .models import (
    CIRCLE,
    DIAGONAL,
    DIAGONAL_START,
    HALF,
    INPUTS,
    ON_DIAGONAL,
    ON_RING,
    PLANE,
    RING,
    RING_CURVATURE,
    RING_START,
    SLOPES,
    SPACE,
    TARGETS,
    e1,
    e2,
    w1,
    w2,
    w3,
    w4,
)

SHALOVA = "Shalova, Schlichting, Peletier"
SINGULAR = Source(SHALOVA, "arXiv 2404.12293", Read.ABSTRACT)
BLANC = Source("Blanc, Gupta, Valiant, Valiant", "COLT 2020", Read.ABSTRACT)
ORVIETO = Source("Orvieto, Kersting, Proske, Bach, Lucchi", "arXiv 2202.02831", Read.ABSTRACT)
LWA = Source("Li, Wang, Arora", "arXiv 2110.06914", Read.ABSTRACT)
DAMIAN = Source("Damian, Ma, Lee", "arXiv 2106.06530", Read.MEMORY)
BISHOP = Source("Bishop", "Neural Computation 7 (1995), 108–116", Read.MEMORY)

STEPS = (0.05, 0.025, 0.0125)
SCALES = (0.05, 0.035, 0.025)

CORRELATED = sp.Matrix([[1, 1], [1, 1]]) / 2
HYPERBOLA = (w1 * w2 - 1) ** 2 / 2
ON_HYPERBOLA = Along(PLANE, [w1 * w2 - 1])


def label_noise_on_the_net() -> NoisyGradientDescent:
    """L̂ = (1/n)Σ(h_i − y_i − η_i)² on the diagonal net."""
    loss = sum(r**2 for r in DIAGONAL) / 2
    noisy = sum((r - e) ** 2 for r, e in zip(DIAGONAL, (e1, e2), strict=True)) / 2
    return NoisyGradientDescent(loss, noisy, SPACE, (e1, e2))


def label_noise_on_one_sample() -> NoisyGradientDescent:
    """L̂ = ½(h − y − η)² for h − y = (|w|² − 1)(1 + w₁/2), so that Σ = H."""
    residual = CIRCLE * (2 + w1) / 2
    return NoisyGradientDescent(residual**2 / 2, (residual - e1) ** 2 / 2, PLANE, e1)


def with_momentum(step: float) -> NoisyGradientDescent:
    """The same under the heavy ball with β = 0.7, at any step."""
    return replace(label_noise_on_one_sample(), optimizer=HeavyBall(sp.Rational(7, 10)))


ONE_SAMPLE_CURVATURE = (2 + w1) ** 2
"""|∇h|² = λ of `label_noise_on_one_sample` on Γ."""


def two_layers() -> tuple[sp.Expr, tuple[sp.Symbol, ...], sp.Expr]:
    """A linear net of two hidden units, h = w₁w₃ + w₂w₄, on one sample with the label 1."""
    residual = w1 * w3 + w2 * w4 - 1
    return residual, (w1, w2, w3, w4), residual**2 / 2


def dropout() -> NoisyGradientDescent:
    """Each unit multiplied by 1 + η_j."""
    _, weights, loss = two_layers()
    noisy = (w1 * w3 * (1 + e1) + w2 * w4 * (1 + e2) - 1) ** 2 / 2
    return NoisyGradientDescent(loss, noisy, weights, (e1, e2))


def batches(size: int, with_labels: bool) -> NoisyGradientDescent:
    """Batches of the two samples of the diagonal net, without return."""
    if with_labels:
        x = sp.symbols("x1:4", real=True)
        net = sum(a * w**2 for a, w in zip(x, SPACE, strict=True))
        return mechanisms.minibatch_label_noise(net, x, INPUTS, TARGETS, SPACE, batch_size=size)
    z = (e1, e2)
    loss = sum(r**2 for r in DIAGONAL) / 2
    noisy = sum((1 + a) * r**2 for a, r in zip(z, DIAGONAL, strict=True)) / 2
    return NoisyGradientDescent(loss, noisy, SPACE, z, law=Minibatch(2, size))


def input_noise() -> NoisyGradientDescent:
    """h(x; w) = w₁x + w₂x² on the sample x = 1, y = 1."""
    loss = (w1 + w2**3 - 1) ** 2 / 2
    moved = (w1 * (1 + e1) + w2**3 * (1 + e1) ** 2 - 1) ** 2 / 2
    return NoisyGradientDescent(loss, moved, PLANE, e1)


def scalar(noisy: sp.Expr) -> NoisyGradientDescent:
    """A noise of one coordinate on the ring."""
    return NoisyGradientDescent(RING, noisy, PLANE, e1)


FLUTTER = 1 - sp.Rational(7, 10) * sp.cos(2 * w1)
QUIET_ON_RING = (CIRCLE * (1 + w1 / 2) / 2, (CIRCLE**2) / 8)
"""a(w), zero on Γ, and L of a model whose motion is on the third scale."""

ENTRIES = (
    Entry(
        "anti-pgd",
        "Anti-correlated perturbations",
        ORVIETO,
        (
            r"$w_{k+1} = w_k - \alpha\nabla L(w_k) + \xi_{k+1} - \xi_k$",
            "moves along the minima by",
            r"$\mathrm{Reg} = \tfrac12\Delta L$",
        ),
        lambda: derive_limit(mechanisms.anti_correlated_descent(RING, PLANE)),
        Printed(PER_STEP, ON_RING.descent(laplacian(RING, PLANE) / 2)),
        remark="In the shifted weights w − ξ it is gradient descent with L̂ = L(w + η).",
        course=Course(RING_START, STEPS, (0.05, 0.035, 0.025)),
    ),
    Entry(
        "correlated-parameter-noise",
        "Correlated noise on the weights",
        SINGULAR,
        (
            r"$\hat L = L(w+\eta),\; \mathrm{Cov}\,\eta = \sigma^2 C$",
            "gives",
            r"$\mathrm{Reg} = \tfrac12 C:\nabla^2 L$",
        ),
        lambda: derive_limit(mechanisms.parameter_noise(RING, PLANE, law=Gaussian(CORRELATED))),
        Printed(
            PER_STEP,
            ON_RING.descent((RING.diff(w1, 2) + 2 * RING.diff(w1, w2) + RING.diff(w2, 2)) / 4),
        ),
        remark="C = ½(1 1; 1 1), as in Figure 4 of the paper.",
        course=Course(RING_START, STEPS[:2], SCALES[:2]),
    ),
    Entry(
        "quantisation",
        "Training with simulated quantisation",
        Source("folklore of quantisation-aware training", "", Read.MEMORY),
        (
            "uniform noise of width",
            r"$\Delta$",
            "on each weight gives",
            r"$\frac{\Delta^2}{24}\,\mathrm{tr}\,H$",
        ),
        lambda: derive_limit(mechanisms.parameter_noise(RING, PLANE, law=Uniform())),
        Printed(PER_STEP, ON_RING.descent(laplacian(RING, PLANE) / 2)),
        remark="σ² = Δ²/12, so that σ²·½ tr H is the formula.",
        course=Course(RING_START, STEPS[:2], SCALES[:2]),
    ),
    Entry(
        "gaussian-dropconnect",
        "Gaussian DropConnect",
        SINGULAR,
        (
            r"$\hat L = L(w\odot(1+\eta))$",
            "gives",
            r"$\mathrm{Reg} = \tfrac12\sum_i w_i^2\partial_i^2 L$",
        ),
        lambda: derive_limit(mechanisms.dropconnect(RING, PLANE)),
        Printed(PER_STEP, ON_RING.descent(sum(w**2 * RING.diff(w, 2) for w in PLANE) / 2)),
        course=Course(RING_START, STEPS[:2], SCALES[:2]),
    ),
    Entry(
        "bernoulli-dropconnect",
        "Bernoulli DropConnect",
        SINGULAR,
        (
            "dropping each weight with a small probability regularises non-locally, by",
            r"$\sum_i L(w\ \text{with}\ w_i = 0)$",
        ),
        lambda: derive_limit(mechanisms.dropconnect(RING, PLANE, law=Bernoulli())),
        Printed(PER_STEP, ON_RING.descent(RING.subs(w1, 0) + RING.subs(w2, 0))),
        remark=(
            "The Taylor formula ½Δ_ηL̂ is wrong for rare jumps: it gives the flow of Gaussian "
            "DropConnect."
        ),
        course=Course(RING_START, STEPS[:2], SCALES[:2], paths=10000),
    ),
    Entry(
        "gaussian-dropconnect-on-a-product",
        "Gaussian DropConnect where Reg is constant",
        Source("this project", "", Read.OWN),
        (
            r"$L = \tfrac12(w_1w_2-1)^2$",
            "has Reg constant and Σ = 2H, so it moves by",
            r"$-\tfrac12 P\nabla\Delta L$",
            "on the slower scale",
        ),
        lambda: derive_limit(mechanisms.dropconnect(HYPERBOLA, PLANE, near=(1, 1))),
        Printed(PER_SQUARE, ON_HYPERBOLA.descent(laplacian(HYPERBOLA, PLANE) / 2)),
        course=Course((1.5, 2 / 3), (0.05, 0.025), SCALES[:2], distance=0.01),
    ),
    Entry(
        "bernoulli-dropconnect-on-a-product",
        "Bernoulli DropConnect that does nothing",
        Source("this project", "", Read.OWN),
        (r"$L = \tfrac12(w_1w_2-1)^2$", "does not move at all on either scale"),
        lambda: derive_limit(
            mechanisms.dropconnect(HYPERBOLA, PLANE, law=Bernoulli(), near=(1, 1))
        ),
        Printed(None, (0, 0)),
    ),
    Entry(
        "dropout",
        "Dropout of units under squared loss",
        Source(
            "Mianjy, Arora, Vidal; Wei, Kakade, Ma", "arXiv 1806.09777; 2002.12915", Read.MEMORY
        ),
        (r"$\mathrm{Reg} = \frac1{2n}\sum_i\sum_j a_j^2\varphi(b_j\cdot x_i)^2$",),
        lambda: derive_limit(dropout()),
        Printed(
            PER_STEP,
            Along((w1, w2, w3, w4), [two_layers()[0]]).descent(
                ((w1 * w3) ** 2 + (w2 * w4) ** 2) / 2
            ),
        ),
        course=Course((1.1, 0.5, 0.7, 0.46), STEPS, (0.1, 0.07, 0.05)),
    ),
    Entry(
        "minibatch",
        "Minibatches alone",
        SINGULAR,
        ("once all samples are fitted the noise of minibatches vanishes, and nothing moves",),
        lambda: derive_limit(batches(1, with_labels=False)),
        Printed(None, (0, 0, 0)),
    ),
    Entry(
        "label-noise-blanc",
        "Label noise",
        BLANC,
        (
            r"$\theta$",
            "is stable iff",
            r"$\mathrm{reg} = \frac1n\sum_i|\nabla h(x_i;\theta)|^2$",
            "has no slope in the directions that keep the error zero",
        ),
        lambda: derive_limit(label_noise_on_the_net()),
        Printed(PER_SQUARE, ON_DIAGONAL.descent(sum(SLOPES) / 4)),
        remark="The drift is −(1/n)P∇reg.",
        course=Course(DIAGONAL_START, (0.04, 0.02, 0.01), (0.1, 0.07, 0.05), distance=0.01),
    ),
    Entry(
        "label-noise-lwa",
        "Label noise on a hypersurface",
        LWA,
        (r"$\Sigma = cH$", "gives the flow", r"$-\tfrac{c}{4}P\nabla\,\mathrm{tr}\,H$"),
        lambda: derive_limit(label_noise_on_one_sample()),
        Printed(PER_SQUARE, ON_RING.descent(ONE_SAMPLE_CURVATURE / 4)),
        course=Course(RING_START, (0.1, 0.05), (0.1, 0.07), distance=0.01),
    ),
    Entry(
        "label-noise-damian",
        "Label noise at a step size that is not small",
        DAMIAN,
        (r"$R(\theta) = -\frac1{2\eta}\,\mathrm{tr}\log\bigl(1-\tfrac{\eta}{2}\nabla^2L\bigr)$",),
        lambda: derive_limit(label_noise_on_one_sample()).at_step(),
        Printed(
            PER_SQUARE,
            ON_RING.descent(-sp.log(1 - alpha * ONE_SAMPLE_CURVATURE / 2) / (2 * alpha)),
        ),
        remark="Exact as σ → 0 at the fixed step; R tends to ¼ tr H.",
        course=Course(RING_START, (0.2, 0.1, 0.05), (0.03, 0.02), distance=0.01),
    ),
    Entry(
        "label-noise-damian-momentum",
        "Label noise with momentum at a step size that is not small",
        DAMIAN,
        (r"$R = -\frac{1+\beta}{2\eta}\,\mathrm{tr}\log\bigl(1-\frac{\eta H}{2(1+\beta)}\bigr)$",),
        lambda: derive_limit(label_noise_on_one_sample()).at_step(alpha, sp.Rational(7, 10)),
        Printed(
            1 / ((alpha / sp.Rational(3, 10)) ** 2 * sigma**2),
            ON_RING.descent(
                -sp.Rational(17, 10)
                * sp.log(1 - alpha * ONE_SAMPLE_CURVATURE / sp.Rational(34, 10))
                / (2 * alpha)
            ),
        ),
        remark="β = 0.7, in codimension one, where H does not turn.",
        course=Course(
            RING_START, (0.1, 0.05), (0.03, 0.02), distance=0.01, recursion=with_momentum
        ),
    ),
    Entry(
        "minibatch-label-noise",
        "Minibatches with fresh label noise",
        Source("this project", "", Read.OWN),
        ("Batches of B samples, each with fresh label noise, have", r"$\Sigma = \tfrac2B H$"),
        lambda: derive_limit(batches(1, with_labels=True)),
        Printed(PER_SQUARE, ON_DIAGONAL.descent(sum(SLOPES) / 2)),
        remark="B = 1 of n = 2: twice the speed of full batches.",
        course=Course(DIAGONAL_START, (0.02, 0.01), (0.1, 0.07), distance=0.01),
    ),
    Entry(
        "sgld",
        "Additive gradient noise",
        Source(
            "Katzenberger; Li, Wang, Arora",
            "Ann. Probab. 19 (1991); arXiv 2110.06914",
            Read.ABSTRACT,
        ),
        (r"$dW = P\circ dB - \tfrac14 P\nabla\log{\det}_+H\,dt$",),
        lambda: derive_limit(mechanisms.additive_noise(RING, PLANE)),
        Printed(
            PER_SQUARE,
            ON_RING.descent(sp.log(RING_CURVATURE) / 4) - sp.Matrix(PLANE) / 2,
            ON_RING.projector,
        ),
        remark="The Itô form has the drift −W/2 of Brownian motion on the circle.",
        course=Course(RING_START, (0.05, 0.025), (0.05, 0.035), distance=0.05, paths=20000),
    ),
    Entry(
        "input-noise",
        "Noise on the inputs",
        BISHOP,
        (r"$\mathrm{Reg} = \frac1{2n}\sum_i|\nabla_xh(x_i;w)|^2$",),
        lambda: derive_limit(input_noise()),
        Printed(
            PER_STEP,
            Along(PLANE, [w1 + w2**3 - 1]).descent((w1 + 2 * w2**3) ** 2 / 2),
        ),
        course=Course((0.488, 0.8), STEPS[:2], SCALES[:2]),
    ),
    Entry(
        "scalar-multiplicative",
        "Scalar multiplicative noise (Figure 3, top)",
        Source(SHALOVA, "arXiv 2404.12293, caption of Figure 3", Read.TEXT),
        (r"$\hat L = L + \tfrac12a(w)\eta^2$", "has", r"$\mathrm{Reg} = 2a$"),
        lambda: derive_limit(scalar(RING + FLUTTER * e1**2 / 2)),
        Printed(PER_STEP, ON_RING.descent(2 * FLUTTER)),
        corrected=Printed(PER_STEP, ON_RING.descent(FLUTTER / 2)),
        remark="By the paper's definition, Reg = ½Δ_ηL̂, it is ½a; the caption has 2a.",
        course=Course(RING_START, STEPS, SCALES),
    ),
    Entry(
        "linear-scalar",
        "Linear scalar noise (Figure 3, bottom)",
        Source(SHALOVA, "arXiv 2404.12293, Figure 3", Read.ABSTRACT),
        (r"$\hat L = L + \tfrac12|w|^2\eta$", "moves by", r"$-\tfrac14P\nabla\log\Delta L$"),
        lambda: derive_limit(scalar(RING + (w1**2 + w2**2) * e1 / 2)),
        Printed(PER_SQUARE, ON_RING.descent(sp.log(RING_CURVATURE) / 4)),
        course=Course(RING_START, (0.1, 0.05), (0.1, 0.07)),
    ),
    Entry(
        "third-scale",
        "The third time scale",
        Source("this project", "", Read.OWN),
        (
            "where Reg is constant and no noise acts on Γ,",
            r"$V_2 = \mathrm{Reg}_2 - \tfrac12\nabla\mathrm{Reg}^\top H^+\nabla\mathrm{Reg}$",
            "moves on",
            r"$1/(\alpha\sigma^4)$",
        ),
        lambda: next(
            s
            for s in derive_limit(
                NoisyGradientDescent(
                    QUIET_ON_RING[1], QUIET_ON_RING[1] + QUIET_ON_RING[0] * e1**2, PLANE, e1
                )
            ).scales()
            if s.time_scale == 1 / (alpha * sigma**4)
        ),
        Printed(1 / (alpha * sigma**4), ON_RING.descent(-((1 + w1 / 2) ** 2) * HALF)),
        remark="L̂ = L + ½(|w|² − 1)(1 + ½w₁)η²: θ' = −½ sin θ (1 + ½ cos θ).",
        course=Course(RING_START, (0.1, 0.05), (0.2, 0.14), paths=4000),
    ),
)
