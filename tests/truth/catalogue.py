"""Noise models with known limits: the catalogue of the theory on small concrete losses.

Every answer here was worked out by hand from the theory's special cases; `test_catalogue` checks
each against brute force before anything of `derive` is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy as sp

from derive import Bernoulli, Gaussian, Independent, Minibatch, NoisyGradientDescent, Rademacher

w1, w2, w3, w4 = sp.symbols("w1:5", real=True)
PLANE, SPACE, FOUR = (w1, w2), (w1, w2, w3), (w1, w2, w3, w4)
eta = sp.Symbol("eta", real=True)
n1, n2, n3 = sp.symbols("eta1:4", real=True)
z1, z2 = sp.symbols("zeta1:3", real=True)
HALF = sp.Rational(1, 2)


@dataclass(frozen=True)
class Entry:
    """A noise model and what is known of its limit.

    Attributes
    ----------
    problem : NoisyGradientDescent
        The model.
    outcome : str
        Value of the outcome.
    guesses : tuple of points
        Three points near Γ, on its component of interest; retract them before use.
    regularizer : Expr or None
        Reg on Γ, up to terms that vanish there.
    sigma : ImmutableMatrix or None
        Σ on Γ.
    force : tuple of Expr or None
        The tangential drift on Γ is P times this; None where the theory has no formula.
    finite_step : tuple of Expr or None
        The same at step size `alpha` (degenerate limits only); None if no formula is known.
    alpha : float
        A stable step size at the three points, with αλ_max(H) of order one.
    """

    name: str
    problem: NoisyGradientDescent
    outcome: str
    guesses: tuple[tuple[float, ...], ...]
    regularizer: sp.Expr | None = None
    sigma: sp.ImmutableMatrix | None = None
    force: tuple[sp.Expr, ...] | None = None
    alpha: float = 0.1
    finite_step: tuple[sp.Expr, ...] | None = field(default=None)

    def __str__(self) -> str:
        return self.name


def descends(potential: sp.Expr, weights: Sequence[sp.Symbol]) -> tuple[sp.Expr, ...]:
    """−∇potential."""
    return tuple(-potential.diff(w) for w in weights)


def still(weights: Sequence[sp.Symbol]) -> tuple[sp.Expr, ...]:
    """No force at all."""
    return (sp.Integer(0),) * len(weights)


def hessian(loss: sp.Expr, weights: Sequence[sp.Symbol]) -> sp.ImmutableMatrix:
    """∇²L."""
    return sp.ImmutableMatrix(sp.hessian(loss, weights))


def laplacian(loss: sp.Expr, weights: Sequence[sp.Symbol]) -> sp.Expr:
    """ΔL."""
    return sp.Add(*(loss.diff(w, 2) for w in weights))


def zeros(size: int) -> sp.ImmutableMatrix:
    """No noise at this order."""
    return sp.ImmutableMatrix(sp.zeros(size))


# Rings. λ = 2(2 + w₁) is the one non-zero eigenvalue of the Hessian of the uneven ring.

RADIUS = w1**2 + w2**2
ROUND = (RADIUS - 1) ** 2 / 4
UNEVEN = (RADIUS - 1) ** 2 * (2 + w1) / 4
CURVATURE = 2 * (2 + w1)
RING_POINTS = ((0.6, 0.8), (-0.28, 0.96), (-0.8, -0.6))


def _moved(loss: sp.Expr) -> sp.Expr:
    return loss.xreplace({w1: w1 + n1, w2: w2 + n2})


def _scaled(loss: sp.Expr) -> sp.Expr:
    return loss.xreplace({w1: w1 * (1 + n1), w2: w2 * (1 + n2)})


ANISOTROPY = 1 - sp.Rational(7, 10) * sp.cos(2 * w1)

RINGS = (
    Entry(
        "parameter noise on the uneven ring",
        NoisyGradientDescent(UNEVEN, _moved(UNEVEN), PLANE, (n1, n2)),
        "non-degenerate",
        RING_POINTS,
        regularizer=2 + w1,
        force=descends(2 + w1, PLANE),
    ),
    Entry(
        "correlated parameter noise on the uneven ring",
        NoisyGradientDescent(UNEVEN, _moved(UNEVEN), PLANE, (n1, n2), law=Gaussian(sp.ones(2) / 2)),
        "non-degenerate",
        RING_POINTS,
        regularizer=(2 + w1) * (w1 + w2) ** 2 / 2,
        force=descends((2 + w1) * (w1 + w2) ** 2 / 2, PLANE),
    ),
    Entry(
        "parameter noise on the round ring",
        NoisyGradientDescent(ROUND, _moved(ROUND), PLANE, (n1, n2)),
        "trivial",
        RING_POINTS,
        regularizer=sp.Integer(1),
        sigma=sp.ImmutableMatrix(4 * sp.Matrix(PLANE) * sp.Matrix(PLANE).T),
        force=still(PLANE),
        alpha=0.3,
        finite_step=still(PLANE),
    ),
    Entry(
        "Gaussian DropConnect on the round ring",
        NoisyGradientDescent(ROUND, _scaled(ROUND), PLANE, (n1, n2)),
        "non-degenerate",
        RING_POINTS,
        regularizer=w1**4 + w2**4,
        force=descends(w1**4 + w2**4, PLANE),
    ),
    Entry(
        "Bernoulli DropConnect on the round ring",
        NoisyGradientDescent(ROUND, _scaled(ROUND), PLANE, (n1, n2), law=Bernoulli()),
        "non-degenerate",
        RING_POINTS,
        regularizer=(w1**4 + w2**4) / 4,
        force=descends((w1**4 + w2**4) / 4, PLANE),
    ),
    Entry(
        "scalar multiplicative noise",
        NoisyGradientDescent(UNEVEN, UNEVEN + ANISOTROPY * eta**2 / 2, PLANE, eta),
        "non-degenerate",
        RING_POINTS,
        regularizer=ANISOTROPY / 2,
        force=descends(ANISOTROPY / 2, PLANE),
    ),
    Entry(
        "linear scalar noise on the uneven ring",
        NoisyGradientDescent(UNEVEN, UNEVEN + RADIUS * eta / 2, PLANE, eta),
        "deterministic",
        RING_POINTS,
        regularizer=sp.Integer(0),
        sigma=sp.ImmutableMatrix(sp.Matrix(PLANE) * sp.Matrix(PLANE).T),
        force=descends(sp.log(CURVATURE) / 4, PLANE),
        finite_step=descends(sp.log(CURVATURE / (2 - CURVATURE / 10)) / 4, PLANE),
    ),
    Entry(
        "normal second moment on the round ring",
        NoisyGradientDescent(ROUND, ROUND + (RADIUS - 1) * eta**2 / 2, PLANE, eta),
        "trivial",
        RING_POINTS,
        regularizer=sp.Integer(0),
        sigma=zeros(2),
        force=still(PLANE),
        finite_step=still(PLANE),
    ),
    Entry(
        "uneven normal second moment on the round ring",
        NoisyGradientDescent(
            ROUND / 2,
            ROUND / 2 + (RADIUS - 1) * (1 + w1 / 2) * eta**2 / 2,
            PLANE,
            eta,
            law=Rademacher(),
        ),
        "trivial",
        RING_POINTS,
        regularizer=sp.Integer(0),
        sigma=zeros(2),
        force=still(PLANE),
        finite_step=still(PLANE),
    ),
    Entry(
        "noise through the second chaos only",
        NoisyGradientDescent(UNEVEN, UNEVEN + n1 * n2 * w1 * w2, PLANE, (n1, n2)),
        "trivial",
        RING_POINTS,
        regularizer=sp.Integer(0),
        sigma=zeros(2),
        force=still(PLANE),
        finite_step=still(PLANE),
    ),
)


# The hyperbola w₁w₂ = 1, which has two components.

HYPERBOLA = (w1 * w2 - 1) ** 2 / 2
BRANCH = ((1.0, 1.0), (2.0, 0.5), (0.6, 1.7))
OTHER_BRANCH = tuple((-x, -y) for x, y in BRANCH)

HYPERBOLAS = (
    Entry(
        "Gaussian DropConnect on the hyperbola",
        NoisyGradientDescent(HYPERBOLA, _scaled(HYPERBOLA), PLANE, (n1, n2), near=(-1, -1)),
        "deterministic",
        OTHER_BRANCH,
        regularizer=sp.Integer(1),
        sigma=2 * hessian(HYPERBOLA, PLANE),
        force=descends(RADIUS / 2, PLANE),
    ),
    Entry(
        "Bernoulli DropConnect on the hyperbola",
        NoisyGradientDescent(
            HYPERBOLA, _scaled(HYPERBOLA), PLANE, (n1, n2), law=Bernoulli(), near=(1, 1)
        ),
        "trivial",
        BRANCH,
        regularizer=sp.Integer(1),
        sigma=zeros(2),
        force=still(PLANE),
    ),
)


# A diagonal linear net x·(u² − v²) with weights (u₁, u₂, v₁, v₂), fitted through given samples.


def diagonal_net(x: Sequence[int]) -> sp.Expr:
    """Output of the net on one sample."""
    return x[0] * (w1**2 - w3**2) + x[1] * (w2**2 - w4**2)


SAMPLES = (((1, 2), 1), ((2, -1), 3))
MISFITS = tuple(diagonal_net(x) - y for x, y in SAMPLES)
NET_POINTS = ((1.3, 0.7, 0.5, 0.8), (-1.2, 0.3, 0.2, 0.6), (1.5, -1.0, 1.0, 1.1))
NET_LOSS = (MISFITS[0] ** 2 + MISFITS[1] ** 2) / 2
NET_NOISY = ((MISFITS[0] - n1) ** 2 + (MISFITS[1] - n2) ** 2) / 2
NET_BATCHED = ((1 + z1) * (MISFITS[0] - n1) ** 2 + (1 + z2) * (MISFITS[1] - n2) ** 2) / 2
MORE_MISFITS = (*MISFITS, diagonal_net((1, 1)) - sp.Rational(6, 5))
REDUNDANT_LOSS = sp.Add(*(r**2 for r in MORE_MISFITS)) / 3
REDUNDANT_NOISY = (
    sp.Add(*((r - n) ** 2 for r, n in zip(MORE_MISFITS, (n1, n2, n3), strict=True))) / 3
)


def _label_noise(batch: sp.Expr) -> dict[str, object]:
    """Σ = (2/B) H and drift −(1/2B) P∇ΔL for batches that see each label's noise afresh."""
    return {
        "outcome": "deterministic",
        "guesses": NET_POINTS,
        "regularizer": sp.Integer(1),
        "alpha": 0.02,
        "sigma": 2 / batch * hessian(NET_LOSS, FOUR),
        "force": descends(laplacian(NET_LOSS, FOUR) / (2 * batch), FOUR),
    }


NETS = (
    Entry(
        "label noise on a diagonal net",
        NoisyGradientDescent(NET_LOSS, NET_NOISY, FOUR, (n1, n2)),
        **_label_noise(sp.Integer(2)),
    ),
    Entry(
        "label noise on a diagonal net, a sample too many",
        NoisyGradientDescent(REDUNDANT_LOSS, REDUNDANT_NOISY, FOUR, (n1, n2, n3)),
        "deterministic",
        NET_POINTS,
        regularizer=sp.Integer(1),
        sigma=sp.Rational(2, 3) * hessian(REDUNDANT_LOSS, FOUR),
        force=descends(laplacian(REDUNDANT_LOSS, FOUR) / 6, FOUR),
        alpha=0.02,
    ),
    Entry(
        "batches of one with label noise on a diagonal net",
        NoisyGradientDescent(
            NET_LOSS,
            NET_BATCHED,
            FOUR,
            (z1, z2, n1, n2),
            law=Independent({(z1, z2): Minibatch(2, 1), (n1, n2): Gaussian()}),
        ),
        **_label_noise(sp.Integer(1)),
    ),
    Entry(
        "batches of two with replacement and label noise on a diagonal net",
        NoisyGradientDescent(
            NET_LOSS,
            NET_BATCHED,
            FOUR,
            (z1, n1, z2, n2),
            law=Independent({(z1, z2): Minibatch(2, 2, replacement=True), (n2, n1): Gaussian()}),
        ),
        **_label_noise(sp.Rational(4, 3)),
    ),
    Entry(
        "minibatches on a diagonal net",
        NoisyGradientDescent(
            NET_LOSS, NET_BATCHED.subs({n1: 0, n2: 0}), FOUR, (z1, z2), law=Minibatch(2, 1)
        ),
        "frozen",
        NET_POINTS,
        regularizer=sp.Integer(0),
        sigma=zeros(4),
        force=still(FOUR),
        alpha=0.02,
    ),
)


# Networks with tanh units.


def _neuron(output: sp.Expr, slope: sp.Expr, x: sp.Expr) -> sp.Expr:
    return output * sp.tanh(slope * x)


INPUTS = ((HALF, 0), (3, 1))
PAIR_MISFITS = tuple(_neuron(w1, w2, x) + _neuron(w3, w4, x) - y for x, y in INPUTS)
PAIR_LOSS = (PAIR_MISFITS[0] ** 2 + PAIR_MISFITS[1] ** 2) / 4
PAIR_NOISY = (
    sp.Add(
        *(
            (_neuron(w1, w2, x) * (1 + n1) + _neuron(w3, w4, x) * (1 + n2) - y) ** 2
            for x, y in INPUTS
        )
    )
    / 4
)
PAIR_REGULARIZER = (
    sp.Add(*(_neuron(w1, w2, x) ** 2 + _neuron(w3, w4, x) ** 2 for x, _ in INPUTS)) / 4
)
PAIR_POINTS = ((2.3, 1.0, -1.3, 2.4), (2.5, 0.6, -1.3, 1.2), (1.8, 0.8, -0.8, 2.5))
READ_AT = sp.Integer(1)
BIASED = w1 * sp.tanh(w2 * READ_AT + w3)
BIASED_LOSS = (BIASED - HALF) ** 2 / 2
SENSITIVITY = (w1 * w2 / sp.cosh(w2 * READ_AT + w3) ** 2) ** 2 / 2

NETWORKS = (
    Entry(
        "Gaussian dropout of two neurons",
        NoisyGradientDescent(PAIR_LOSS, PAIR_NOISY, FOUR, (n1, n2), near=PAIR_POINTS[0]),
        "non-degenerate",
        PAIR_POINTS,
        regularizer=PAIR_REGULARIZER,
        force=descends(PAIR_REGULARIZER, FOUR),
        alpha=0.4,
    ),
    Entry(
        "Bernoulli dropout of two neurons",
        NoisyGradientDescent(
            PAIR_LOSS, PAIR_NOISY, FOUR, (n1, n2), law=Bernoulli(), near=PAIR_POINTS[0]
        ),
        "non-degenerate",
        PAIR_POINTS,
        regularizer=PAIR_REGULARIZER,
        force=descends(PAIR_REGULARIZER, FOUR),
    ),
    Entry(
        "input noise on a neuron with bias",
        NoisyGradientDescent(
            BIASED_LOSS,
            (w1 * sp.tanh(w2 * (READ_AT + eta) + w3) - HALF) ** 2 / 2,
            SPACE,
            eta,
            near=(0.8, 0.7, 0.2),
        ),
        "non-degenerate",
        ((0.8, 0.7, 0.2), (1.1, -0.4, 0.9), (0.7, 1.2, -0.3)),
        regularizer=SENSITIVITY,
        force=descends(SENSITIVITY, SPACE),
        alpha=0.4,
    ),
)


# Additive noise on hypersurfaces and a curve: −¼ P∇log det₊H and Brownian motion on Γ.


def _additive(
    loss: sp.Expr, weights: Sequence[sp.Symbol], noise: Sequence[sp.Symbol]
) -> dict[str, object]:
    noisy = loss + sp.Add(*(n * w for n, w in zip(noise, weights, strict=True)))
    return {"loss": loss, "noisy_loss": noisy, "weights": tuple(weights), "noise": tuple(noise)}


def _sums_of_squares(residuals: Sequence[sp.Expr]) -> sp.Expr:
    return sp.Add(*(r**2 for r in residuals)) / 2


ELLIPSE = (w1**2 + 4 * w2**2 - 4,)
EGG = (w1**2 + 2 * w2**2 + 3 * w3**2 + w1 * w3 / 2 - 2,)
CUBIC = (w2 - w1**2, sp.sqrt(2) * (w3 - w1 * w2))
ELLIPSE_POINTS = ((1.2, 0.8), (-0.4, 1.0), (1.7, -0.5))
EGG_POINTS = ((0.6, 0.7, 0.3), (-0.5, -0.6, 0.5), (1.1, 0.2, -0.4))
CUBIC_POINTS = ((0.5, 0.25, 0.125), (-0.7, 0.5, -0.35), (0.2, 0.04, 0.01))
TILT = sp.ImmutableMatrix([[2, 1, 0], [1, 1, HALF], [0, HALF, 1]])
SKEW = sp.ImmutableMatrix([[w2, 1], [w3, 0], [1, w1 * w2]])
ROUGHNESS = 1 + w2 / 2 + w3**2


def _log_determinant(residuals: Sequence[sp.Expr], weights: Sequence[sp.Symbol]) -> sp.Expr:
    """log det₊H on Γ, where H = JᵀJ."""
    jacobian = sp.Matrix(residuals).jacobian(weights)
    return sp.log((jacobian * jacobian.T).det())


def _brownian(
    name: str,
    residuals: Sequence[sp.Expr],
    weights: Sequence[sp.Symbol],
    noise: Sequence[sp.Symbol],
    *,
    points: tuple[tuple[float, ...], ...],
    alpha: float,
) -> Entry:
    loss = _sums_of_squares(residuals)
    return Entry(
        name,
        NoisyGradientDescent(**_additive(loss, weights, noise)),
        "diffusive",
        points,
        regularizer=sp.Integer(0),
        sigma=sp.ImmutableMatrix(sp.eye(len(weights))),
        force=descends(_log_determinant(residuals, weights) / 4, weights),
        alpha=alpha,
    )


EGG_LOSS, CUBIC_LOSS = _sums_of_squares(EGG), _sums_of_squares(CUBIC)

DIFFUSIVE = (
    _brownian(
        "additive noise on an ellipse", ELLIPSE, PLANE, (n1, n2), points=ELLIPSE_POINTS, alpha=0.02
    ),
    _brownian(
        "additive noise on a surface", EGG, SPACE, (n1, n2, n3), points=EGG_POINTS, alpha=0.05
    ),
    _brownian(
        "additive noise on a twisted cubic",
        CUBIC,
        SPACE,
        (n1, n2, n3),
        points=CUBIC_POINTS,
        alpha=0.2,
    ),
    Entry(
        "correlated additive noise on a twisted cubic",
        NoisyGradientDescent(**_additive(CUBIC_LOSS, SPACE, (n1, n2, n3)), law=Gaussian(TILT)),
        "diffusive",
        CUBIC_POINTS,
        regularizer=sp.Integer(0),
        sigma=TILT,
        alpha=0.2,
    ),
    Entry(
        "gradient noise that depends on the weights, on a surface",
        NoisyGradientDescent.from_gradient_noise(EGG_LOSS, SKEW, SPACE, (n1, n2)),
        "diffusive",
        EGG_POINTS,
        sigma=sp.ImmutableMatrix(SKEW * SKEW.T),
        alpha=0.05,
    ),
    Entry(
        "gradient noise that depends on the weights, on a twisted cubic",
        NoisyGradientDescent.from_gradient_noise(CUBIC_LOSS, SKEW, SPACE, (n1, n2)),
        "diffusive",
        CUBIC_POINTS,
        sigma=sp.ImmutableMatrix(SKEW * SKEW.T),
        alpha=0.2,
    ),
    Entry(
        "label noise of uneven size on a surface",
        NoisyGradientDescent(
            EGG_LOSS, EGG_LOSS + EGG[0] * ROUGHNESS * eta, SPACE, eta, law=Rademacher()
        ),
        "deterministic",
        EGG_POINTS,
        regularizer=sp.Integer(0),
        sigma=sp.ImmutableMatrix(ROUGHNESS**2 * hessian(EGG_LOSS, SPACE)),
        force=tuple(ROUGHNESS**2 * f for f in descends(laplacian(EGG_LOSS, SPACE) / 4, SPACE)),
        alpha=0.05,
    ),
)


# A loss that is no sum of squares, so that its constraint has to be given.

PARABOLA = w2 - w1**2
VALLEY = (sp.exp(PARABOLA) - 1 - PARABOLA) * (2 + sp.sin(w1))
STEEPNESS = (2 + sp.sin(w1)) * (1 + 4 * w1**2)

GIVEN_CONSTRAINTS = (
    Entry(
        "additive noise in a valley that is no sum of squares",
        NoisyGradientDescent(
            **_additive(VALLEY, PLANE, (n1, n2)), constraints=(PARABOLA,), near=(0, 0)
        ),
        "diffusive",
        ((0.0, 0.0), (0.4, 0.16), (-0.6, 0.36)),
        regularizer=sp.Integer(0),
        sigma=sp.ImmutableMatrix(sp.eye(2)),
        force=descends(sp.log(STEEPNESS) / 4, PLANE),
        alpha=0.1,
    ),
)

CATALOGUE = (
    *RINGS,
    *HYPERBOLAS,
    *NETS,
    *NETWORKS,
    *DIFFUSIVE,
    *GIVEN_CONSTRAINTS,
)
