"""Derivatives of the loss on Γ, the only ones that the limit needs.

A jet holds scalars of any kind: sympy expressions when it is derived, 50-digit numbers when it is
evaluated at a point. Its methods are the same for both, so that each formula is written once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ..symbolic.calculus import gradient, symmetric_derivatives

Entries = tuple[tuple[int, int, Any], ...]
"""Non-zero entries (i, j, value), i ≤ j, of a symmetric matrix."""


@dataclass(frozen=True)
class Residual:
    """One term ½ c r² of the loss: values of c, ∇c, ∇r and ∇²r on Γ, where r = 0."""

    weight: Any
    weight_gradient: tuple[Any, ...]
    gradient: tuple[Any, ...]
    hessian: Entries


@dataclass(frozen=True)
class SquaresJet:
    """Jet of L = ½ Σ c_i r_i² on Γ: first and second derivatives of the residuals suffice.

    Source: theory of the weighted least-squares form; H = Jᵀ diag(c) J on Γ.
    """

    dimension: int
    residuals: tuple[Residual, ...]

    def unit_weights(self) -> SquaresJet:
        """The same loss as ½ Σ ρ² with ρ = √c r, of which ∇ρ = √c ∇r and, on Γ,

        ∇²ρ = √c ∇²r + ∇√c ∇rᵀ + ∇r ∇√cᵀ.
        """
        return SquaresJet(self.dimension, tuple(map(_with_unit_weight, self.residuals)))

    def hessian(self) -> list[list[Any]]:
        """H = Σ c ∇r ∇rᵀ, as rows."""
        n = self.dimension
        rows = [[0] * n for _ in range(n)]
        for r in self.residuals:
            support = [k for k in range(n) if r.gradient[k] != 0]
            for i in support:
                for j in support:
                    rows[i][j] += r.weight * r.gradient[i] * r.gradient[j]
        return rows

    def trace(self) -> Any:
        """Tr H = ΔL."""
        return sum(r.weight * _dot(r.gradient, r.gradient) for r in self.residuals)

    def restricted(self, basis: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """V H Vᵀ for the rows V of a basis."""
        parts = [(r.weight, [_dot(v, r.gradient) for v in basis]) for r in self.residuals]
        size = range(len(basis))
        return [[sum(c * p[a] * p[b] for c, p in parts) for b in size] for a in size]

    def third(self, matrix: Any = None) -> list[Any]:
        """(D³L[S])_k for symmetric S; for S = I, that is ∇ΔL, when S is not given.

        D³L[S] = Σ c (2 ∇²r S ∇r + ∇r tr(∇²r S)) + Σ (∇c ∇rᵀS∇r + 2 (S∇r·∇c) ∇r).
        """
        out: list[Any] = [0] * self.dimension
        for r in self.residuals:
            image = _apply(matrix, r.gradient)
            trace: Any = 0
            for i, j, value in r.hessian:
                entry = (1 if i == j else 0) if matrix is None else matrix[i, j]
                trace += value * entry * (1 if i == j else 2)
                out[i] += 2 * r.weight * value * image[j]
                if i != j:
                    out[j] += 2 * r.weight * value * image[i]
            along = r.weight * trace + 2 * _dot(r.weight_gradient, image)
            across = _dot(r.gradient, image) if any(r.weight_gradient) else 0
            for k in range(self.dimension):
                out[k] += along * r.gradient[k] + across * r.weight_gradient[k]
        return out


@dataclass(frozen=True)
class PlainJet:
    """Jet of a loss of no special form: the non-zero second and third derivatives."""

    dimension: int
    second: Entries
    thirds: tuple[tuple[int, int, int, Any], ...]

    def hessian(self) -> list[list[Any]]:
        """H, as rows."""
        rows: list[list[Any]] = [[0] * self.dimension for _ in range(self.dimension)]
        for i, j, value in self.second:
            rows[i][j] = rows[j][i] = value
        return rows

    def trace(self) -> Any:
        """Tr H = ΔL."""
        return sum(value for i, j, value in self.second if i == j)

    def restricted(self, basis: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """V H Vᵀ for the rows V of a basis."""
        rows = self.hessian()
        images = [[_dot(row, v) for row in rows] for v in basis]
        return [[_dot(v, image) for image in images] for v in basis]

    def third(self, matrix: Any = None) -> list[Any]:
        """(D³L[S])_k for symmetric S; ∇ΔL when S is not given."""
        out: list[Any] = [0] * self.dimension
        for i, j, k, value in self.thirds:
            for a, b, c in {(i, j, k), (i, k, j), (j, k, i)}:
                entry = (1 if a == b else 0) if matrix is None else matrix[a, b]
                out[c] += value * entry * (1 if a == b else 2)
        return out


Jet = SquaresJet | PlainJet


def squares_jet(
    squares: Iterable[tuple[sp.Expr, sp.Expr]], weights: Sequence[sp.Symbol]
) -> SquaresJet:
    """Symbolic jet of ½ Σ c r² from the pairs (c, r)."""
    residuals = []
    for c, r in squares:
        first = gradient(r, weights)
        second = tuple(symmetric_derivatives(first, weights))
        residuals.append(Residual(c, tuple(gradient(c, weights)), tuple(first), second))
    return SquaresJet(len(weights), tuple(residuals))


def plain_jet(loss_gradient: Sequence[sp.Expr], weights: Sequence[sp.Symbol]) -> PlainJet:
    """Symbolic jet of any smooth loss from its gradient."""
    second = tuple(symmetric_derivatives(loss_gradient, weights))
    thirds = tuple(
        (i, j, k, value)
        for i, j, entry in second
        for k, value in enumerate(gradient(entry, weights[j:]), start=j)
        if value != 0
    )
    return PlainJet(len(weights), second, thirds)


def _with_unit_weight(residual: Residual) -> Residual:
    root = sp.sqrt(residual.weight)
    slope, first = [x / (2 * root) for x in residual.weight_gradient], residual.gradient
    second = {(i, j): root * value for i, j, value in residual.hessian}
    for i, j in itertools.combinations_with_replacement(range(len(first)), 2):
        extra = slope[i] * first[j] + first[i] * slope[j]
        if extra != 0:
            second[i, j] = second.get((i, j), 0) + extra
    return Residual(
        sp.Integer(1),
        (sp.Integer(0),) * len(first),
        tuple(root * x for x in first),
        tuple((i, j, value) for (i, j), value in second.items()),
    )


def _apply(matrix: Any, vector: Sequence[Any]) -> Sequence[Any]:
    if matrix is None:
        return vector
    support = [j for j, x in enumerate(vector) if x != 0]
    return [sum(matrix[k, j] * vector[j] for j in support) for k in range(len(vector))]


def _dot(first: Sequence[Any], second: Sequence[Any]) -> Any:
    return sum(x * y for x, y in zip(first, second, strict=True) if x != 0)
