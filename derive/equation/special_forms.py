"""Forms of the degenerate drift that have a name: gradients along Γ of a spectral function of H.

With the stationary covariance X = ℒ⁻¹(QSQ) a function of H, X = f(H), the drift −½ P D³L[X] is the
gradient −P∇V of V = Σ_a F(λ_a), F' = f/2, over the non-zero eigenvalues λ_a of H. At step α:

    Σ = cH:        V = −(c/2α) log det₊(1 − αH/2),        as α → 0  (c/4) ΔL;
    Σ = c on Q:    V = (c/4) log det₊(H (1 − αH/2)⁻¹),    as α → 0  (c/4) log det₊H.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import sympy as sp

from ..manifold.discovery.finite_sums import SampledManifold
from ..manifold.manifold import Manifold
from ..noise.classification import Outcome
from ..noise.moments import NoiseMoments
from ..noise.trace_moments import ADDED, TraceMoments
from ..symbolic.calculus import determinant
from ..symbolic.effort import BUILT, READABLE, product_operations


class Kind(Enum):
    """What Σ is on Γ."""

    HYPERSURFACE = "s n nᵀ"
    HESSIAN = "cH"
    ADDITIVE = "cI"


@dataclass(frozen=True)
class SpecialForm:
    """A named form of the drift.

    Attributes
    ----------
    kind : Kind
        What Σ is on Γ.
    multiple : Expr
        The constant s or c in it.
    step : Expr
        α, 0 in the limit α → 0.
    potential : Expr or None
        V with drift −P∇V (and Brownian motion on Γ where the noise is additive), on Γ; None where
        it is not worth writing.
    """

    kind: Kind
    multiple: sp.Expr
    step: sp.Expr
    potential: sp.Expr | None


def special_form(
    manifold: Manifold,
    moments: NoiseMoments,
    outcome: Outcome,
    multiple: sp.Expr | None,
    step: sp.Expr,
) -> SpecialForm | None:
    """Recognise the form of a degenerate drift; None when it has no name."""
    if not outcome.is_degenerate:
        return None
    is_mean = isinstance(manifold, SampledManifold)
    # Σ of noise of each sample's own is not written out, see AveragedMoments.
    normal = None if is_mean else _constant_normal_variance(manifold, moments)
    if normal is not None and outcome is Outcome.DETERMINISTIC and manifold.codimension == 1:
        return _unit_normal_form(manifold, normal, step)
    if isinstance(moments, TraceMoments) and moments.noise.power == ADDED:
        return _additive_form(manifold, moments.noise.multiple, step)
    if multiple is not None:
        return _hessian_form(manifold, multiple, step)
    if normal is not None and _is_multiple_of_identity(moments.covariance):
        return _additive_form(manifold, normal, step)
    return None


def _unit_normal_form(manifold: Manifold, s: sp.Expr, step: sp.Expr) -> SpecialForm:
    laplacian = manifold.shortest(manifold.laplacian)
    potential = s * sp.log(manifold.shortest(laplacian / (1 - step * laplacian / 2))) / 4
    return SpecialForm(Kind.HYPERSURFACE, s, step, potential)


def _hessian_form(manifold: Manifold, c: sp.Expr, step: sp.Expr) -> SpecialForm:
    if step == 0:
        trace = manifold.shortest(manifold.laplacian)
        return SpecialForm(Kind.HESSIAN, c, step, c * trace / 4)
    damping = _damping(manifold, step)
    potential = None if damping is None else -c / (2 * step) * sp.log(damping)
    return SpecialForm(Kind.HESSIAN, c, step, potential)


def _additive_form(manifold: Manifold, c: sp.Expr, step: sp.Expr) -> SpecialForm:
    operator, damping = _spectrum(manifold), _damping(manifold, step)
    potential = None
    if operator is not None and damping is not None:
        ratio = manifold.shortest(determinant(operator) / damping)
        potential = c * sp.log(ratio) / 4
    return SpecialForm(Kind.ADDITIVE, c, step, potential)


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
    """M = E A, a K × K matrix with the non-zero eigenvalues of H."""
    frame = manifold.frame
    if frame is None or product_operations(frame.curvature, frame.gram) > READABLE:
        return None
    return manifold.ideal.shortest_entries(frame.curvature * frame.gram)


def _damping(manifold: Manifold, step: sp.Expr) -> sp.Expr | None:
    """det(1 − αH/2)."""
    operator = _spectrum(manifold)
    if operator is None:
        return None
    return manifold.shortest(determinant(sp.eye(operator.rows) - step * operator / 2))
