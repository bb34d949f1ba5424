"""Γ at a point, from J Jᵀ: tangent projector, curvatures, what the update rule does there.

Matrices are n × n, n the number of residuals; J (n × N) is used through its products. With
C = diag(c) and C^{1/2} J Jᵀ C^{1/2} = U Λ Uᵀ the Hessian H = JᵀCJ on Γ has the positive
eigenvalues Λ, with eigenvectors Jᵀ C^{1/2} U Λ^{-1/2}; redundant residuals are eigenvalues zero.
Under a preconditioner Ω all of it is that of ΩH: ΩJᵀ stands for Jᵀ, J Ω Jᵀ for J Jᵀ, and the
projector P = I − ΩJᵀ(JΩJᵀ)⁻¹J is along ΩJᵀ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derive import ManifoldError

from ..network import Network
from ..programs import Doubles

CLEAR = 30.0
"""An eigenvalue of J Jᵀ this many times above its rounding is positive; one below it is zero."""


class Surface(ABC):
    """Γ at one point, with J Jᵀ as a matrix (`Geometry`) or by its products alone (`Krylov`)."""

    network: Network
    point: Doubles
    values: Doubles
    """Positive eigenvalues of H (of ΩH), increasing; the ends at least."""
    norm: float
    """Frobenius norm of J."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Codimension of Γ."""

    @property
    @abstractmethod
    def trace(self) -> float:
        """Tr H (tr ΩH)."""

    @abstractmethod
    def of(self, network: Network) -> Surface:
        """The same place for the same network with other parameters or probes."""

    @abstractmethod
    def solve(self, y: Doubles) -> Doubles:
        """(J Ω Jᵀ)⁺ y for y in the range of J, shape (..., n)."""

    def project(self, v: Doubles) -> Doubles:
        """P v, shape (N,); done twice, which leaves the rounding of a well-conditioned J alone."""
        for _ in range(2):
            v = v - self.normal(self.solve(self.network.jacobian.mv(self.point, v)))
        return v

    def raised(self, gradient: Doubles) -> Doubles:
        """What the update rule makes of a gradient: Ω g, shape (N,)."""
        return self.network.metric.vector(self.point, gradient)

    def normal(self, y: Doubles) -> Doubles:
        """Ω Jᵀ y, shape (N,)."""
        return self.raised(self.network.jacobian.rmv(self.point, y))


@dataclass(frozen=True)
class Geometry(Surface):
    """Γ at one point.

    Attributes
    ----------
    network : Network
    point : ndarray, shape (N,)
    values : ndarray, shape (p,)
        Positive eigenvalues of H (of ΩH), increasing.
    vectors : ndarray, shape (n, p)
        The columns of U that belong to them.
    stored : sequence of (slice, array), or None
        Rows of J in blocks, where they have been kept.
    norm : float
        Frobenius norm of J.
    """

    network: Network
    point: Doubles
    values: Doubles
    vectors: Doubles
    stored: tuple[tuple[slice, Any], ...] | None
    norm: float

    def of(self, network: Network) -> Geometry:
        """The same for the network with other parameters."""
        return replace(self, network=network)

    @property
    def trace(self) -> float:
        """Tr H (tr ΩH)."""
        return float(self.values.sum())

    @property
    def rank(self) -> int:
        """Codimension of Γ."""
        return len(self.values)

    def blocks(self) -> Iterable[tuple[slice, Any]]:
        """Rows of J in blocks."""
        if self.stored is not None:
            return self.stored
        return self.network.jacobian.blocks(self.point)

    def gram(self) -> Doubles:
        """C J Ω Jᵀ C, shape (n, n)."""
        factor = self.vectors * np.sqrt(self.network.curvatures)[:, None]
        return np.asarray(factor * self.values @ factor.T)

    def solve(self, y: Doubles) -> Doubles:
        """(J Ω Jᵀ)⁺ y for y in the range of J, shape (..., n)."""
        root = np.sqrt(self.network.curvatures)
        inner = (y * root) @ self.vectors / self.values
        return np.asarray(inner @ self.vectors.T * root)


def exact_geometry(network: Network, w: Doubles, *, keep: bool = False) -> Geometry:
    """Γ at a point, with J Jᵀ as a matrix.

    Parameters
    ----------
    network : Network
    w : ndarray, shape (N,)
        The point.
    keep : bool
        Whether to keep the rows of J for what is asked next, where they fit in memory.

    Raises
    ------
    ManifoldError
        If the rank of J is not clear from the gap in the spectrum of J Jᵀ, or Γ is a point.
    """
    n, size = network.count, network.dimension
    product, stored, norm = gram(network, w)
    root = np.sqrt(network.curvatures)
    values, vectors = np.linalg.eigh(product * np.outer(root, root))
    rounding = rounding_of(network) * (n + np.sqrt(size)) * max(values[-1], 0.0)
    positive = values > CLEAR * rounding
    unclear = values[(np.abs(values) > rounding) & ~positive]
    if len(unclear) or not positive.any():
        shown = ", ".join(f"{x:.3g}" for x in unclear[:4]) or "none above rounding"
        raise ManifoldError(
            f"residuals: the rank of J is not clear, H has the eigenvalues {shown} beside "
            f"{values[-1]:.3g}, where rounding is {rounding:.2g}; nearly redundant samples, or a "
            "point where Γ is singular: leave samples out, start elsewhere, or take "
            "precision='float64'"
        )
    if positive.sum() >= size:
        raise ManifoldError(
            f"residuals: {positive.sum()} independent residuals leave no direction of the "
            f"{size} weights free, Γ is a point; expected more weights than residuals"
        )
    kept = stored if keep else None
    return Geometry(network, w, values[positive], vectors[:, positive], kept, norm)


def gram(
    network: Network, w: Doubles
) -> tuple[Doubles, tuple[tuple[slice, Any], ...] | None, float]:
    """J Ω Jᵀ, shape (n, n), the rows of J it was made of where they fit in memory, and |J|."""
    jacobian, n = network.jacobian, network.count
    fits = n * network.dimension * np.dtype(network.precision).itemsize <= network.memory
    stored = tuple(jacobian.blocks(w)) if fits else None
    if stored is not None and network.optimizer.preconditioner is None:
        product = jacobian.gram(stored)
        return product, stored, float(np.sqrt(np.trace(product)))
    product, squares = np.empty((n, n)), 0.0
    for rows, block in stored or jacobian.blocks(w):
        lifted = network.metric(w, block)
        product[rows] = jacobian.products(w, lifted)[: rows.stop - rows.start]
        squares += jacobian.squares(block)
    return 0.5 * (product + product.T), stored, float(np.sqrt(squares))


def rounding_of(network: Network) -> float:
    """Unit of rounding of the network's precision."""
    return float(np.finfo(network.precision).eps)
