"""Γ at a point, with J Jᵀ by its products alone: conjugate gradients, Lanczos, probes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from derive import ManifoldError

from ..network import Network
from ..programs import Doubles
from .geometry import CLEAR, Surface, rounding_of
from .probes import Solvers, probes_of

LANCZOS_ACCURACY = 1e-3
"""Relative accuracy of the ends of the spectrum."""


@dataclass(frozen=True)
class Krylov(Surface):
    """Γ at one point, J of full rank.

    Attributes
    ----------
    network : Network
        With probes.
    point : ndarray, shape (N,)
    """

    network: Network
    point: Doubles

    def of(self, network: Network) -> Krylov:
        """The same place, estimated anew."""
        return replace(self, network=network)

    @property
    def rank(self) -> int:
        """The number of residuals, none of which is redundant."""
        return self.network.count

    @cached_property
    def values(self) -> Doubles:  # type: ignore[override]
        """Smallest and largest eigenvalue of H, by Lanczos.

        Raises
        ------
        ManifoldError
            If the smallest is not clear of rounding, so that residuals may be redundant.
        """
        network, n = self.network, self.network.count
        root = np.sqrt(network.curvatures)
        operator = LinearOperator(
            (n, n), matvec=lambda u: root * self._gram(root * np.ravel(u)), dtype=np.float64
        )
        ways = {"k": 1, "v0": np.ones(n), "tol": LANCZOS_ACCURACY, "return_eigenvectors": False}
        largest = float(eigsh(operator, which="LA", **ways)[0])
        rounding = rounding_of(network) * (n + np.sqrt(network.dimension)) * largest
        try:
            smallest = float(eigsh(operator, which="SA", **ways)[0])
        except ArpackNoConvergence:
            smallest = 0.0
        if smallest <= CLEAR * rounding:
            raise ManifoldError(
                f"residuals: the rank of J is not clear, the smallest eigenvalue of H is "
                f"{smallest:.3g} beside {largest:.3g}; nearly redundant samples, or a point where "
                "Γ is singular: leave samples out, or derive_limit(network) without probes"
            )
        return np.array([smallest, largest])

    @cached_property
    def trace(self) -> float:
        """Tr H, an estimate."""
        return float(np.mean([self._square(u) for u in probes_of(self.network)]))

    @cached_property
    def norm(self) -> float:  # type: ignore[override]
        """Frobenius norm of J, an estimate."""
        probes = probes_of(self.network) / np.sqrt(self.network.curvatures)
        return float(np.sqrt(np.mean([self._square(u) for u in probes])))

    def solve(self, y: Doubles) -> Doubles:
        """(J Ω Jᵀ)⁻¹ y, shape (n,), by conjugate gradients."""
        return self.network.once(Solvers).gram(self.point, y)

    def _square(self, u: Doubles) -> float:
        pushed = self.network.jacobian.rmv(self.point, u)
        return float(pushed @ self.raised(pushed))

    def _gram(self, u: Doubles) -> Doubles:
        return self.network.jacobian.mv(self.point, self.normal(u))
