"""The benchmark models and limits: once in sympy, once by hand for NumPy or JAX arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from derive import Limit, NoisyGradientDescent, derive_limit
from derive.optimizers import HeavyBall, Preconditioned


@dataclass(frozen=True)
class Model:
    """A model with its standard run.

    Attributes
    ----------
    name : str
        Also the name of the C kernel.
    problem : callable
        Makes the model in sympy.
    gradient : callable
        ∇_w L̂(w, η) by hand: (array module, weights (N, paths), noise (d, paths)) → (N, paths).
    start, alpha, sigma
        Where and how it runs.
    """

    name: str
    problem: Callable[[], NoisyGradientDescent]
    gradient: Callable[[Any, Any, Any], Any]
    start: np.ndarray
    alpha: float
    sigma: float = 0.1


def ring() -> NoisyGradientDescent:
    """A ring-shaped valley of varying curvature, with linear scalar noise."""
    w0, w1, e0 = sp.symbols("w0 w1 e0", real=True)
    loss = (w0**2 + w1**2 - 1) ** 2 * (2 + w0) / 4
    return NoisyGradientDescent(loss, loss + e0 * (w0**2 + w1**2) / 2, (w0, w1), e0)


def ring_gradient(xp: Any, w: Any, e: Any) -> Any:
    """By hand."""
    x, y = w
    r = x * x + y * y - 1.0
    s = r * (2.0 + x) + e[0]
    return xp.stack([s * x + 0.25 * r * r, s * y])


FEATURES_8 = np.array([[0.9, -0.4, 0.3, 0.7], [0.2, 0.8, -0.6, 0.5]])
LABELS_8 = np.array([1.0, 0.5])
FEATURES_32 = np.round(np.random.default_rng(0).normal(size=(2, 16)), 2)
LABELS_32 = np.array([1.0, 1.0])


def diagonal_net(features: np.ndarray, labels: np.ndarray) -> NoisyGradientDescent:
    """A diagonal linear net x·(u² − v²), with label noise."""
    width = features.shape[1]
    w = sp.symbols(f"w0:{2 * width}", real=True)
    noise = sp.symbols(f"e0:{len(labels)}", real=True)
    x = [[sp.Rational(str(entry)) for entry in row] for row in features]
    h = [sum(r[j] * (w[j] ** 2 - w[width + j] ** 2) for j in range(width)) for r in x]

    def loss(e: Sequence[Any]) -> sp.Expr:
        squares = [(h[i] - sp.Rational(str(y)) - e[i]) ** 2 for i, y in enumerate(labels)]
        return sum(squares) / (2 * len(labels))

    return NoisyGradientDescent(loss([0] * len(labels)), loss(noise), w, noise)


def random_diagonal_net(weights: int, samples: int) -> NoisyGradientDescent:
    """A diagonal net on random samples."""
    features = np.round(np.random.default_rng(0).normal(size=(samples, weights // 2)), 2)
    return diagonal_net(features, np.ones(samples))


def with_additive_noise(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    """The same loss with L̂ = L + w·η: a diffusion on Γ."""
    noise = sp.symbols(f"e0:{problem.dimension}", real=True)
    tilt = sum(w * e for w, e in zip(problem.weights, noise, strict=True))
    return NoisyGradientDescent(problem.loss, problem.loss + tilt, problem.weights, noise)


def diagonal_net_gradient(features: np.ndarray, labels: np.ndarray) -> Callable[..., Any]:
    """By hand."""

    def gradient(xp: Any, w: Any, e: Any) -> Any:
        u, v = xp.split(w, 2)
        residuals = features @ (u * u - v * v) - labels[:, None] - e
        slope = features.T @ residuals
        return xp.concatenate([u * slope, -v * slope])

    return gradient


POINTS, TARGETS = (0.3, -0.7), (0.5, -0.2)


def tanh_net(neurons: int = 4) -> NoisyGradientDescent:
    """A net of tanh neurons on two points, with label noise."""
    w = sp.symbols(f"w0:{3 * neurons}", real=True)
    noise = sp.symbols("e0:2", real=True)
    a, b, c = w[:neurons], w[neurons : 2 * neurons], w[2 * neurons :]

    def loss(e: Sequence[Any]) -> sp.Expr:
        h = [sum(a[k] * sp.tanh(b[k] * x + c[k]) for k in range(neurons)) for x in POINTS]
        return sum((h[i] - TARGETS[i] - e[i]) ** 2 for i in range(2)) / 4

    return NoisyGradientDescent(loss((0, 0)), loss(noise), w, noise)


def tanh_net_gradient(xp: Any, w: Any, e: Any) -> Any:
    """By hand."""
    a, b, c = xp.split(w, 3)
    total = 0.0
    for x, y, label_noise in zip(POINTS, TARGETS, e, strict=True):
        t = xp.tanh(b * x + c)
        residual = 0.5 * ((a * t).sum(axis=0) - y - label_noise)
        inner = residual * a * (1.0 - t * t)
        total = total + xp.concatenate([residual * t, x * inner, inner])
    return total


@dataclass(frozen=True)
class Rule:
    """A model under another optimizer than gradient descent; its peer is a C kernel alone.

    Attributes
    ----------
    name : str
        Also the name of the C kernel.
    problem : callable
        Makes the model in sympy.
    start, alpha, sigma
        Where and how it runs.
    """

    name: str
    problem: Callable[[], NoisyGradientDescent]
    start: np.ndarray
    alpha: float
    sigma: float = 0.1


def ring_with_memory() -> NoisyGradientDescent:
    """The ring under the heavy ball."""
    return replace(ring(), optimizer=HeavyBall(sp.Rational(9, 10)))


def ring_preconditioned() -> NoisyGradientDescent:
    """The ring with a diagonal preconditioner that depends on the weights."""
    problem = ring()
    scales = sp.diag(*(1 / (1 + w**2) for w in problem.weights))
    return replace(problem, optimizer=Preconditioned(scales))


RULES = (
    Rule("ring_heavy_ball", ring_with_memory, np.array([0.6, 0.8]), 0.01),
    Rule("ring_preconditioned", ring_preconditioned, np.array([0.6, 0.8]), 0.05),
)

MODELS = (
    Model("ring_linear_noise", ring, ring_gradient, np.array([0.6, 0.8]), 0.05),
    Model(
        "diagonal_net_labels_8",
        lambda: diagonal_net(FEATURES_8, LABELS_8),
        diagonal_net_gradient(FEATURES_8, LABELS_8),
        np.array([0.9, 0.5, 0.6, 0.8, 0.2, 0.3, 0.4, 0.1]),
        0.05,
    ),
    Model(
        "diagonal_net_labels_32",
        lambda: diagonal_net(FEATURES_32, LABELS_32),
        diagonal_net_gradient(FEATURES_32, LABELS_32),
        np.full(32, 0.4),
        0.0125,
    ),
    Model(
        "tanh_net_labels_12",
        tanh_net,
        tanh_net_gradient,
        np.random.default_rng(0).normal(size=12) * 0.5,
        0.05,
    ),
)


@dataclass(frozen=True)
class Equation:
    """A limiting equation dW = b(W) dt + s(W) dB with its standard run.

    Attributes
    ----------
    name : str
        Also the name of the C kernel.
    limit : callable
        Derives the equation.
    drift : callable
        b by hand: (array module, weights (N, paths)) → (N, paths).
    kick : callable
        s ΔB by hand: (array module, weights (N, paths), ΔB (d, paths)) → (N, paths).
    start, noise, span
        Where it starts (the coordinates used by hand), its number of normals and the length of a
        step in slow time.
    """

    name: str
    limit: Callable[[], Limit]
    drift: Callable[[Any, Any], Any]
    kick: Callable[[Any, Any, Any], Any]
    start: np.ndarray
    noise: int
    span: float = 1e-3


def diffusion_on_a_line() -> Limit:
    """The equation of the C kernel: rational drift and diffusion along the line w1 = 0."""
    w0, w1, e0, e1 = sp.symbols("w0 w1 e0 e1", real=True)
    loss = w1**2 * sp.exp(2 * w0**2) / (1 + w0**2) ** 3 / 2
    noise_matrix = sp.diag((sp.Rational(3, 10) + sp.Rational(3, 40) * w0**2) / (1 + w0**2), 1)
    model = NoisyGradientDescent.from_gradient_noise(loss, noise_matrix, (w0, w1), (e0, e1))
    return derive_limit(model)


def line_drift(_: Any, w: Any) -> Any:
    """By hand."""
    square = w * w
    return -w * (square - 0.5) / (1.0 + square)


def line_kick(_: Any, w: Any, kick: Any) -> Any:
    """By hand."""
    square = w * w
    return (0.3 + 0.075 * square) / (1.0 + square) * kick


def diffusion_on_the_ring() -> Limit:
    """Additive noise on the uneven ring: two weights and two normals, as in the C kernel."""
    w0, w1, e0, e1 = sp.symbols("w0 w1 e0 e1", real=True)
    loss = (w0**2 + w1**2 - 1) ** 2 * (2 + w0) / 4
    return derive_limit(NoisyGradientDescent(loss, loss + e0 * w0 + e1 * w1, (w0, w1), (e0, e1)))


def ring_drift(xp: Any, w: Any) -> Any:
    """By hand, with a pull that is zero on the ring and holds the steps there."""
    x, y = w
    turn = 0.25 * y / (2.0 + x)
    pull = -0.5 - 10.0 * (x * x + y * y - 1.0)
    return xp.stack([pull * x - y * turn, pull * y + x * turn])


def ring_kick(xp: Any, w: Any, kick: Any) -> Any:
    """By hand."""
    x, y = w
    turn = x * kick[1] - y * kick[0]
    return xp.stack([-y * turn, x * turn])


EQUATIONS = (
    Equation("sde_1d_euler", diffusion_on_a_line, line_drift, line_kick, np.array([0.5]), 1),
    Equation("sde_2d_heun", diffusion_on_the_ring, ring_drift, ring_kick, np.array([0.6, 0.8]), 2),
)
