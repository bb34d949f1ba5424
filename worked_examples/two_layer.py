"""Two-layer networks f(x) = Σ_k a_k φ(b_k·x) and their gradients in the weights, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Activation:
    """φ and φ', both elementwise."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


LINEAR = Activation(lambda z: z, np.ones_like)
RELU = Activation(lambda z: np.maximum(z, 0.0), lambda z: np.heaviside(z, 0.0))
TANH = Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2)


@dataclass(frozen=True)
class TwoLayerNet:
    """Weights of a network of width m on inputs of dimension D: a (m,) and b (m, D)."""

    activation: Activation
    a: Array
    b: Array

    @classmethod
    def random(
        cls, activation: Activation, width: int, dimension: int, rng: np.random.Generator
    ) -> TwoLayerNet:
        """Independent Gaussian weights, a_k ~ N(0, 1/m) and b_k ~ N(0, I/D)."""
        a = rng.normal(size=width) / np.sqrt(width)
        return cls(activation, a, rng.normal(size=(width, dimension)) / np.sqrt(dimension))

    def values(self, x: Array) -> Array:
        """f(x_i), shape (n,), at inputs of shape (n, D)."""
        return self.activation.value(x @ self.b.T) @ self.a

    def jacobian(self, x: Array) -> Array:
        """Gradients of f(x_i) in (a, b), shape (n, m + mD)."""
        z = x @ self.b.T
        inner = (self.activation.slope(z) * self.a)[:, :, None] * x[:, None, :]
        return np.hstack([self.activation.value(z), inner.reshape(len(x), -1)])
