"""Forms of the degenerate drift that have a name: noise that is a function of H across Γ.

Where QΣQ = s(H), X = ℒ⁻¹(QΣQ) is f(H), with f = s over the eigenvalue of ℒ, and as the derivative
of tr F(H) along Γ is D³L[F'(H)], the drift −½ P D³L[X] is −P∇V of

    V = Σ_a F(λ_a), F' = f/2, over the non-zero eigenvalues λ_a of H.

F is integrated for whatever s and ℒ there are: s = cλ gives V = (c/4) ΔL, s = c gives
V = (c/4) log det₊H, and at a step α the first is −(c/2α) log det(1 − αH/2).
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from ..manifold.discovery.finite_sums import SampledManifold
from ..manifold.manifold import Manifold
from ..noise.classification import Outcome
from ..noise.moments import NoiseMoments
from ..symbolic.calculus import determinant
from ..symbolic.effort import BUILT, READABLE, product_operations
from ..theory.katzenberger import FLOW, Relaxation

CURVATURE = sp.Symbol("lambda", positive=True)
"""An eigenvalue λ of H across Γ."""


@dataclass(frozen=True)
class SpectralSum:
    """V = a tr H + Σ_k c_k log det₊ q_k(H).

    Attributes
    ----------
    slope : Expr
        a.
    logarithms : tuple of (Expr, Expr)
        c_k, and q_k in `CURVATURE`, of first degree.
    """

    slope: sp.Expr
    logarithms: tuple[tuple[sp.Expr, sp.Expr], ...]

    @classmethod
    def of(cls, noise: sp.Expr, relaxation: Relaxation = FLOW) -> SpectralSum:
        """V of noise with QΣQ = s(H), for s in `CURVATURE` of first degree."""
        rest = sp.cancel(noise * relaxation.response(CURVATURE, CURVATURE) / 2)
        found = []
        for root in sorted(sp.roots(sp.denom(rest), CURVATURE), key=bool):
            c = sp.cancel(rest * (CURVATURE - root)).subs(CURVATURE, root)
            rest = sp.cancel(rest - c / (CURVATURE - root))
            found.append((c, CURVATURE if root == 0 else 1 - CURVATURE / root))
        return cls(rest, tuple(found))


@dataclass(frozen=True)
class SpecialForm:
    """A drift along Γ by a potential that H alone makes.

    Attributes
    ----------
    noise : Expr
        s, in `CURVATURE`.
    spectral : SpectralSum
        V in terms of H.
    codimension : int
        How many eigenvalues there are; a single one is ΔL.
    spreads : bool
        Whether Σ = sI, which is Brownian motion on Γ, too.
    potential : Expr or None
        V on Γ; None where it is too long to read.
    """

    noise: sp.Expr
    spectral: SpectralSum
    codimension: int
    spreads: bool
    potential: sp.Expr | None


def special_form(
    manifold: Manifold,
    moments: NoiseMoments,
    outcome: Outcome,
    multiple: sp.Expr | None,
    relaxation: Relaxation,
) -> SpecialForm | None:
    """The form of a degenerate drift; None where noise is not known to be a function of H."""
    noise = _noise(manifold, moments, outcome, multiple) if outcome.is_degenerate else None
    if noise is None:
        return None
    spectral = SpectralSum.of(noise, relaxation)
    return SpecialForm(
        noise,
        spectral,
        manifold.codimension,
        outcome is Outcome.DIFFUSIVE,
        _potential(manifold, spectral),
    )


def _noise(
    manifold: Manifold, moments: NoiseMoments, outcome: Outcome, multiple: sp.Expr | None
) -> sp.Expr | None:
    """The function s with QΣQ = s(H), where PΣP is zero or a multiple of P."""
    if moments.isotropic is not None:
        return moments.isotropic
    # Σ of noise of each sample's own is not written out, see AveragedMoments.
    if not isinstance(manifold, SampledManifold):
        constant = _constant_normal_variance(manifold, moments)
        if constant is not None and (
            _is_multiple_of_identity(moments.covariance) or outcome is Outcome.DETERMINISTIC
        ):
            return constant
    return None if multiple is None else multiple * CURVATURE


def _potential(manifold: Manifold, spectral: SpectralSum) -> sp.Expr | None:
    total = sp.Integer(0)
    if spectral.slope != 0:
        total += spectral.slope * manifold.shortest(manifold.laplacian)
    if spectral.logarithms:
        operator = _spectrum(manifold)
        if operator is None:
            return None
        rate = spectral.logarithms[0][0]
        ratio = sp.Mul(*(_determinant(q, operator) ** (c / rate) for c, q in spectral.logarithms))
        total += rate * sp.log(manifold.shortest(ratio))
    return total


def _determinant(q: sp.Expr, operator: sp.Matrix) -> sp.Expr:
    slope, constant = q.coeff(CURVATURE), q.subs(CURVATURE, 0)
    return determinant(constant * sp.eye(operator.rows) + slope * operator)


def _constant_normal_variance(manifold: Manifold, moments: NoiseMoments) -> sp.Expr | None:
    """The constant s with QΣQ = sQ on a hypersurface, or with Σ = sI."""
    covariance = moments.covariance
    if _is_multiple_of_identity(covariance):
        s = covariance[0, 0]
    elif manifold.codimension == 1 and manifold.frame is not None:
        j = manifold.frame.jacobian
        if product_operations(j, covariance, j.T) > BUILT:
            return None
        s = manifold.shortest(((j * covariance * j.T) / (j * j.T)[0])[0])
    else:
        return None
    weights = set(manifold.problem.weights)
    return None if s == 0 or s.free_symbols & weights else s


def _is_multiple_of_identity(matrix: sp.MatrixBase) -> bool:
    return bool(matrix == matrix[0, 0] * sp.eye(matrix.rows))


def _spectrum(manifold: Manifold) -> sp.Matrix | None:
    """A K × K matrix with the non-zero eigenvalues of H: E A, or ΔL."""
    frame = manifold.frame
    if frame is None or product_operations(frame.curvature, frame.gram) > READABLE:
        return None
    if manifold.codimension == 1:
        return sp.Matrix([[manifold.shortest(manifold.laplacian)]])
    return manifold.ideal.shortest_entries(frame.curvature * frame.gram)
