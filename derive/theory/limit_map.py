"""The theorem for any update rule: the slow motion along the points that a random map fixes.

Let every T₀(·, ξ) fix a manifold 𝓜 of states point by point, with the jet of `map_jets` on it, and
let J have full row rank and kernel T𝓜. J DT₀ = B_ξ J defines B_ξ on the space across 𝓜; with its
mean B, and where 𝓜 attracts in mean square, as s → 0 at a fixed map and in time t = k s²,

    R = (A − I) J⁺ (B − I)⁻¹,  P = I − R J          (J R = I; P projects on T𝓜, obliquely)
    Y − E B_ξ Y B_ξᵀ = J S Jᵀ                       (a Stein equation)
    Z (I − B)ᵀ = P S Jᵀ + E V_ξ Y B_ξᵀ,  V_ξ = P DT₀ R
    X = R Y Rᵀ + Z Rᵀ + R Zᵀ
    Θ = P S Pᵀ + E V_ξ Y V_ξᵀ
    dW = { P (b + ½ D²T₀[X]) + ½ R (I − B)⁻¹ J D²T₀[Θ] } dt + Θ^{1/2} dB.

It follows by differentiating Φ∘T = Φ twice; no step size is small in it. Gradient descent is the
case T = w − α∇_wL̂, where it becomes the formulas of `katzenberger`.

All matrices may hold sympy expressions (`sympy.Matrix`) or numbers (`mpmath.matrix`).

References
----------
Katzenberger, Ann. Probab. 19 (1991), 1587-1628, for the limit of processes drawn to a manifold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..symbolic.numbers.matrices import Matrix, Operator, identity, solve, solve_symmetric
from .map_jets import MapJet


def as_it_is(matrix: Matrix) -> Matrix:
    """The matrix itself."""
    return matrix


@dataclass(frozen=True)
class SlowMotion:
    """The limit of a random map at a point of 𝓜, per step and unit of s².

    Attributes
    ----------
    jet : MapJet
        The map at that point.
    normals : matrix, shape (K, D)
        J, of full row rank, whose kernel is the tangent space.
    tidy : callable
        Rewrites a matrix of expressions as a shorter one that is equal to it on 𝓜.
    """

    jet: MapJet
    normals: Matrix
    tidy: Operator = as_it_is

    @cached_property
    def relaxation(self) -> Matrix:
        """B = J A J⁺, shape (K, K): the mean map across 𝓜."""
        return self.tidy(self.normals * self.jet.mean * self._pseudo_inverse)

    @cached_property
    def lift(self) -> Matrix:
        """R, shape (D, K): the range of A − I, with J R = I."""
        moved = (self.jet.mean - identity(self.jet.mean, self.jet.mean.rows)) * self._pseudo_inverse
        return self.tidy(-solve(self._restoring.T, self.tidy(moved).T).T)

    @cached_property
    def projector(self) -> Matrix:
        """P = I − R J on the tangent space, along the range of A − I."""
        return self.tidy(identity(self.normals, self.normals.cols) - self.lift * self.normals)

    def across(self, matrix: Matrix) -> Matrix:
        """Y ↦ E B_ξ Y B_ξᵀ."""
        if not self.jet.varies:
            return self.tidy(self.relaxation * matrix * self.relaxation.T)
        return self.tidy(self.normals * self._moved(matrix) * self.normals.T)

    @cached_property
    def fluctuation(self) -> Matrix:
        """Y, shape (K, K): the stationary covariance of J x."""
        noise = self.tidy(self.normals * self.jet.noise * self.normals.T)
        return self.tidy(solve_symmetric(lambda y: y - self.across(y), noise))

    @cached_property
    def correlation(self) -> Matrix:
        """Z, shape (D, K): the correlation of the motion along and across 𝓜."""
        right = self._stirring * self.normals.T
        return self.tidy(solve(self._restoring, self.tidy(self.projector * right).T).T)

    @cached_property
    def covariance(self) -> Matrix:
        """X, shape (D, D), which D²T₀ turns into drift along 𝓜."""
        half = self.correlation * self.lift.T
        return self.tidy(self.lift * self.fluctuation * self.lift.T + half + half.T)

    @cached_property
    def spread(self) -> Matrix:
        """Θ, shape (D, D): the covariance of the motion along 𝓜."""
        return self.tidy(self.projector * self._stirring * self.projector.T)

    @cached_property
    def drift(self) -> Matrix:
        """The Itô drift, shape (D, 1); its part across 𝓜 keeps the limit there."""
        push = self.tidy(self.jet.bias + self.jet.second(self.covariance) / 2)
        bend = self.tidy(self.normals * self.jet.second(self.spread) / 2)
        return self.projector * push + self.lift * solve(self._restoring, bend)

    @cached_property
    def _pseudo_inverse(self) -> Matrix:
        gram = self.normals * self.normals.T
        return self.tidy(solve(self.tidy(gram), self.normals).T)

    @cached_property
    def _restoring(self) -> Matrix:
        """I − B."""
        return identity(self.normals, self.normals.rows) - self.relaxation

    def _moved(self, matrix: Matrix) -> Matrix:
        return self.jet.pair(self.tidy(self.lift * matrix * self.lift.T))

    @cached_property
    def _stirring(self) -> Matrix:
        """S, and E[DT₀ R Y Rᵀ DT₀ᵀ] where DT₀ is random: what stirs the motion along 𝓜."""
        if not self.jet.varies:  # A R Y Rᵀ Aᵀ has no part along 𝓜
            return self.jet.noise
        return self.tidy(self.jet.noise + self._moved(self.fluctuation))
