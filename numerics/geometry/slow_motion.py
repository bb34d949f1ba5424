"""The theorem for any update rule in floating point, at many points of Γ at once.

The formulas are those of `derive.theory.limit_map`, with the points along the first axis of every
array and the Stein equation solved as a linear system of K² unknowns at each point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive.optimizers.optimizer import Optimizer
from derive.symbolic.numbers.stacks import Stack
from derive.theory import limit_map as theorem
from derive.theory.map_jets import MapJet

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Mixture:
    """Random matrices Σ_a φ_a M_a, with moments of the random numbers φ_a.

    Attributes
    ----------
    matrices : ndarray, shape (P, A, R, C)
        The M_a at each point.
    means : ndarray, shape (P, A)
        E φ_a.
    pairs : ndarray of int, shape (B, 2)
        a ≤ b of the products that do not vanish.
    products : ndarray, shape (P, B)
        E φ_aφ_b.
    """

    matrices: Array
    means: Array
    pairs: Indices
    products: Array

    @property
    def mean(self) -> Array:
        """The expected matrix, shape (P, R, C)."""
        return np.einsum("pa,paij->pij", self.means, self.matrices)

    def square(self, x: Array) -> Array:
        """E M X Mᵀ for symmetric X, shape (P, R, R)."""
        left = self.matrices[:, self.pairs[:, 0]] @ x[:, None]
        terms = left @ _transposed(self.matrices[:, self.pairs[:, 1]])
        total = np.einsum("pb,pbij->pij", self._half_products, terms)
        return total + _transposed(total)

    def kronecker(self, left: Array, right: Array) -> Array:
        """The matrix of Y ↦ E[(L M R) Y (L M R)ᵀ] on Y by rows, shape (P, K², K²)."""
        turned = left[:, None] @ self.matrices @ right[:, None]
        first, second = turned[:, self.pairs[:, 0]], turned[:, self.pairs[:, 1]]
        square = turned.shape[-1] ** 2
        total = np.einsum("pb,pbik,pbjl->pijkl", self._half_products, first, second)
        total += np.swapaxes(np.swapaxes(total, 1, 2), 3, 4)
        return total.reshape(len(total), square, square)

    @property
    def _half_products(self) -> Array:
        """Weights with which a product and its transpose add up to the expectation."""
        return np.where(self.pairs[:, 0] == self.pairs[:, 1], 0.5, 1.0) * self.products


@dataclass(frozen=True)
class SlowMotion:
    """The limit of a random map at points of 𝓜, per step and unit of s².

    Attributes
    ----------
    first : Mixture
        DT₀, shape (P, ·, D, D).
    bend : ndarray of int, shape (E, 3)
        (k, i, j), i ≤ j, of the entries of E D²T₀ that do not vanish.
    bends : ndarray, shape (P, E)
        Their values.
    bias : ndarray, shape (P, D)
        b = E T₂.
    noise : ndarray, shape (P, D, D)
        S = E T₁T₁ᵀ.
    normals : ndarray, shape (P, K, D)
        J, of full row rank, whose kernel is the tangent space.

    References
    ----------
    See `derive.theory.limit_map`, whose names are used here.
    """

    first: Mixture
    bend: Indices
    bends: Array
    bias: Array
    noise: Array
    normals: Array

    @cached_property
    def lift(self) -> Array:
        """R, shape (P, D, K)."""
        moved = (self.first.mean - np.eye(self.normals.shape[-1])) @ self._pseudo_inverse
        return -_transposed(np.linalg.solve(_transposed(self._restoring), _transposed(moved)))

    @cached_property
    def projector(self) -> Array:
        """P = I − R J, shape (P, D, D)."""
        return np.eye(self.normals.shape[-1]) - self.lift @ self.normals

    @cached_property
    def fluctuation(self) -> Array:
        """Y, shape (P, K, K): the stationary covariance of J x."""
        kicks = self.normals @ self.noise @ _transposed(self.normals)
        across = self.first.kronecker(self.normals, self.lift)
        system = np.eye(across.shape[-1]) - across
        flat = np.linalg.solve(system, kicks.reshape(len(kicks), -1, 1))
        return np.asarray(flat.reshape(kicks.shape), dtype=np.float64)

    @cached_property
    def covariance(self) -> Array:
        """X, shape (P, D, D), which D²T₀ turns into drift along 𝓜."""
        right = self._driven @ _transposed(self.normals)
        along = np.linalg.solve(self._restoring, _transposed(self.projector @ right))
        half = _transposed(along) @ _transposed(self.lift)
        inner = self.lift @ self.fluctuation @ _transposed(self.lift)
        return inner + half + _transposed(half)

    @cached_property
    def spread(self) -> Array:
        """Θ, shape (P, D, D): the covariance of the motion along 𝓜."""
        return self.projector @ self._driven @ _transposed(self.projector)

    @cached_property
    def drift(self) -> Array:
        """The Itô drift, shape (P, D)."""
        along = self.bias + 0.5 * self._second(self.covariance)
        bend = np.einsum("pki,pi->pk", self.normals, self._second(self.spread))
        across = np.linalg.solve(self._restoring, 0.5 * bend[..., None])
        return (self.projector @ along[..., None] + self.lift @ across)[..., 0]

    @cached_property
    def _pseudo_inverse(self) -> Array:
        gram = self.normals @ _transposed(self.normals)
        return _transposed(np.linalg.solve(gram, self.normals))

    @cached_property
    def _restoring(self) -> Array:
        """I − B, shape (P, K, K)."""
        relaxation = self.normals @ self.first.mean @ self._pseudo_inverse
        return np.eye(self.normals.shape[1]) - relaxation

    @cached_property
    def _driven(self) -> Array:
        """S + E[DT₀ R Y Rᵀ DT₀ᵀ], shape (P, D, D)."""
        return self.noise + self.first.square(self.lift @ self.fluctuation @ _transposed(self.lift))

    @property
    def jet(self) -> MapJet:
        """The jet of the map at all points."""
        return MapJet(
            Stack(self.first.mean),
            lambda x: Stack(self.first.square(x.values)),
            lambda x: Stack(self._second(x.values)[..., None]),
            Stack(self.bias[..., None]),
            Stack(self.noise),
            self.first.matrices.shape[1] > 1,
        )

    def _second(self, x: Array) -> Array:
        """E D²T₀[X], shape (P, D)."""
        return second_derivative(self.bend, self.bends, x, self.bias.shape)


def second_derivative(bend: Indices, bends: Array, x: Array, shape: tuple[int, ...]) -> Array:
    """D²F[X] of given shape (P, ·), from entries (k, i, j), i ≤ j, of D²F and their values."""
    k, i, j = bend.T
    terms = np.where(i == j, 1.0, 2.0) * bends * x[:, i, j]
    out = np.zeros(shape)
    for entry, row in enumerate(k):
        out[:, row] += terms[:, entry]
    return out


@dataclass(frozen=True)
class TurnedMotion:
    """The limit of an optimizer that is built of steps of a random map, at points of 𝓜.

    Attributes
    ----------
    step : SlowMotion
        The map.
    optimizer : Optimizer
        What makes the jet of a whole step of that of the map.
    """

    step: SlowMotion
    optimizer: Optimizer

    @property
    def noise(self) -> Array:
        """S of a whole step, shape (P, D, D)."""
        return self._whole.jet.noise.values

    @property
    def projector(self) -> Array:
        """P, shape (P, D, D)."""
        return self._whole.projector.values

    @property
    def spread(self) -> Array:
        """Θ, shape (P, D, D)."""
        return self._whole.spread.values

    @property
    def drift(self) -> Array:
        """The Itô drift, shape (P, D)."""
        return self._whole.drift.values[..., 0]

    @cached_property
    def _whole(self) -> theorem.SlowMotion:
        jet = self.optimizer.turned(self.step.jet)
        return theorem.SlowMotion(jet, Stack(self.step.normals))


def _transposed(matrices: NDArray[Any]) -> Array:
    return np.asarray(np.swapaxes(matrices, -1, -2), dtype=np.float64)
