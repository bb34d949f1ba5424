"""The two alignments of minibatch noise with the landscape, in symbols, for small models.

For a model with values f_i(w) on n samples, targets y_i and losses ℓ_i = (f_i − y_i)²/2:

    L = (1/n) Σ ℓ_i,   𝒢 = (1/n) Σ ∇f_i ∇f_iᵀ,   Σ = (1/n) Σ ∇ℓ_i ∇ℓ_iᵀ − ∇L ∇Lᵀ.

References
----------
Wang, Wu, arXiv 2310.00692, Definitions 3.1 and 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from ..errors import ProblemError
from ..symbolic.calculus import jacobian


@dataclass(frozen=True)
class NoiseGeometry:
    """A model on data, and how its minibatch noise lies in the landscape.

    Attributes
    ----------
    predictions : sequence of Expr, n entries
        Model values f_i(w).
    targets : sequence of Expr or numbers, n entries
        y_i.
    weights : sequence of Symbol, N entries
        w.

    Raises
    ------
    ProblemError
        If there is no sample, the numbers of predictions and targets differ, or a target depends
        on a weight.
    """

    predictions: Sequence[sp.Expr]
    targets: Sequence[sp.Expr]
    weights: Sequence[sp.Symbol]

    def __post_init__(self) -> None:
        for name in ("predictions", "targets", "weights"):
            object.__setattr__(self, name, tuple(map(sp.sympify, getattr(self, name))))
        if not self.predictions or len(self.predictions) != len(self.targets):
            raise ProblemError(
                "predictions, targets: expected as many of each as there are samples, at least "
                f"one, got {len(self.predictions)} and {len(self.targets)}"
            )
        for target in self.targets:
            if target.free_symbols & set(self.weights):
                raise ProblemError(
                    f"targets: {target} depends on a weight; move that part to the prediction"
                )

    @property
    def residuals(self) -> sp.Matrix:
        """r_i = f_i − y_i, shape (n, 1)."""
        return sp.Matrix([f - y for f, y in zip(self.predictions, self.targets, strict=True)])

    @cached_property
    def jacobian(self) -> sp.Matrix:
        """Rows ∇f_i, shape (n, N)."""
        return sp.Matrix(jacobian(self.predictions, self.weights))

    @property
    def loss(self) -> sp.Expr:
        """L = (1/2n) Σ r_i²."""
        return self._mean(r**2 for r in self.residuals) / 2

    @property
    def fisher(self) -> sp.Matrix:
        """𝒢, shape (N, N); equal to ∇²L where the loss is zero."""
        return self.jacobian.T * self.jacobian / len(self.predictions)

    @cached_property
    def covariance(self) -> sp.Matrix:
        """Σ, the covariance of the gradient of one sample drawn at random, shape (N, N)."""
        n, r, j = len(self.predictions), self.residuals, self.jacobian
        slope = j.T * r / n
        return j.T * sp.diag(*(x**2 for x in r)) * j / n - slope * slope.T

    @cached_property
    def loss_alignment(self) -> sp.Expr:
        """μ(w) = tr(Σ𝒢) / (2L ‖𝒢‖_F²)."""
        fisher = self.fisher
        return (self.covariance * fisher).trace() / (2 * self.loss * (fisher * fisher).trace())

    def directional_alignment(self, direction: Sequence[sp.Expr]) -> sp.Expr:
        """Noise against curvature along a direction: g(w, v) = vᵀΣv / (2L vᵀ𝒢v).

        Parameters
        ----------
        direction : sequence of Expr, N entries
            v, of any length; symbols are allowed.

        Raises
        ------
        ProblemError
            If it does not have one entry per weight.
        """
        v = sp.Matrix(list(direction))
        if len(v) != len(self.weights):
            raise ProblemError(
                f"direction: expected {len(self.weights)} entries, one per weight, got {len(v)}"
            )
        along = self.jacobian * v
        pairs = list(zip(self.residuals, along, strict=True))
        noise = (
            self._mean((r * c) ** 2 for r, c in pairs) - self._mean(r * c for r, c in pairs) ** 2
        )
        return noise / (2 * self.loss * self._mean(c**2 for c in along))

    def _mean(self, terms: Iterable[sp.Expr]) -> sp.Expr:
        return sp.Add(*terms) / len(self.predictions)
