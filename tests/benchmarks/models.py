"""The benchmark models: once in sympy, once as a gradient by hand for NumPy or JAX arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from derive import NoisyGradientDescent


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
    """A diagonal linear net x·(u² − v²) on two samples, with label noise."""
    width = features.shape[1]
    w = sp.symbols(f"w0:{2 * width}", real=True)
    noise = sp.symbols("e0:2", real=True)
    x = [[sp.Rational(str(entry)) for entry in row] for row in features]
    h = [sum(r[j] * (w[j] ** 2 - w[width + j] ** 2) for j in range(width)) for r in x]

    def loss(e: Sequence[Any]) -> sp.Expr:
        return sum((h[i] - sp.Rational(str(labels[i])) - e[i]) ** 2 for i in range(2)) / 4

    return NoisyGradientDescent(loss((0, 0)), loss(noise), w, noise)


def diagonal_net_gradient(features: np.ndarray, labels: np.ndarray) -> Callable[..., Any]:
    """By hand."""

    def gradient(xp: Any, w: Any, e: Any) -> Any:
        u, v = xp.split(w, 2)
        residuals = features @ (u * u - v * v) - labels[:, None] - e
        slope = features.T @ residuals
        return xp.concatenate([u * slope, -v * slope])

    return gradient


POINTS, TARGETS, NEURONS = (0.3, -0.7), (0.5, -0.2), 4


def tanh_net() -> NoisyGradientDescent:
    """Four tanh neurons on two points, with label noise."""
    w = sp.symbols(f"w0:{3 * NEURONS}", real=True)
    noise = sp.symbols("e0:2", real=True)
    a, b, c = w[:NEURONS], w[NEURONS : 2 * NEURONS], w[2 * NEURONS :]

    def loss(e: Sequence[Any]) -> sp.Expr:
        h = [sum(a[k] * sp.tanh(b[k] * x + c[k]) for k in range(NEURONS)) for x in POINTS]
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
