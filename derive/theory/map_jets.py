"""What the limit needs to know of one step of an update rule at a rest point, and its algebra.

A step is a random map T(z, ξ; s) = T₀(z, ξ) + s T₁(z, ξ) + s² T₂(z, ξ) + …, with ξ drawn anew each
time. At a point that every T₀(·, ξ) leaves where it is, five things matter:

    A = E DT₀,   X ↦ E[DT₀ X DT₀ᵀ],   X ↦ E D²T₀[X],   b = E T₂,   S = E T₁T₁ᵀ.

They compose, so that an optimizer that is made of others (several steps, the mean of several
workers, look-ahead, averages) is a composition of jets and never a nested expression.

All matrices may hold sympy expressions (`sympy.Matrix`) or numbers (`mpmath.matrix`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from ..symbolic.numbers.matrices import Matrix, Operator, blocks, identity, zeros


@dataclass(frozen=True)
class MapJet:
    """Jet of a random map at a point that all its noiseless versions fix.

    Attributes
    ----------
    mean : matrix, shape (D', D)
        A = E DT₀; D' = D for a map of the state into itself.
    pair : callable
        X ↦ E[DT₀ X DT₀ᵀ] for symmetric X, shape (D, D) to (D', D').
    second : callable
        X ↦ E D²T₀[X] = Σ_ij X_ij E ∂_i∂_jT₀, to shape (D', 1).
    bias : matrix, shape (D', 1)
        b = E T₂.
    noise : matrix, shape (D', D')
        S = E T₁T₁ᵀ.
    varies : bool
        Whether DT₀ is random; where it is not, `pair` is X ↦ A X Aᵀ.
    """

    mean: Matrix
    pair: Operator
    second: Operator
    bias: Matrix
    noise: Matrix
    varies: bool = True

    def after(self, first: MapJet) -> MapJet:
        """The jet of this map applied to the result of another, with noise of its own."""
        return MapJet(
            self.mean * first.mean,
            lambda x: self.pair(first.pair(x)),
            lambda x: self.second(first.pair(x)) + self.mean * first.second(x),
            self.mean * first.bias + self.bias + self.second(first.noise) / 2,
            self.pair(first.noise) + self.noise,
            self.varies or first.varies,
        )

    def repeated(self, times: int) -> MapJet:
        """The jet of several steps, one after the other."""
        if times == 1:
            return self
        half = self.repeated(times // 2)
        twice = half.after(half)
        return self.after(twice) if times % 2 else twice

    def mean_of_copies(self, copies: Any) -> MapJet:
        """The jet of the mean of independent copies that start at the same point."""

        def pair(x: Matrix) -> Matrix:
            together = self.mean * x * self.mean.T
            return together + (self.pair(x) - together) / copies

        return replace(self, pair=pair, noise=self.noise / copies)

    def beside(self, extra: int) -> MapJet:
        """The jet of (z, y) ↦ (T(z), y) with `extra` coordinates y that stay."""
        out, size = self.mean.rows, self.mean.cols
        nothing = zeros(self.mean, out, extra)
        fixed = identity(self.mean, extra)
        below = zeros(self.mean, extra, size)

        def pair(x: Matrix) -> Matrix:
            across = self.mean * x[:size, size:]
            return blocks(x, [[self.pair(x[:size, :size]), across], [across.T, x[size:, size:]]])

        def second(x: Matrix) -> Matrix:
            return blocks(x, [[self.second(x[:size, :size])], [zeros(x, extra, 1)]])

        return MapJet(
            blocks(self.mean, [[self.mean, nothing], [below, fixed]]),
            pair,
            second,
            blocks(self.mean, [[self.bias], [zeros(self.mean, extra, 1)]]),
            blocks(self.mean, [[self.noise, nothing], [nothing.T, zeros(self.mean, extra, extra)]]),
            self.varies,
        )


def linear_jet(matrix: Matrix) -> MapJet:
    """The jet of z ↦ M z."""
    rows = matrix.rows
    return MapJet(
        matrix,
        lambda x: matrix * x * matrix.T,
        lambda x: zeros(matrix, rows, 1),
        zeros(matrix, rows, 1),
        zeros(matrix, rows, rows),
        varies=False,
    )


def sequence(*jets: MapJet) -> MapJet:
    """The jet of several maps, one after the other, the first one first."""
    return reduce(lambda done, then: then.after(done), jets)
