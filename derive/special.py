"""Forms of the degenerate drift that have a name: gradients along Γ of a spectral function of H.

With the stationary covariance X = ℒ⁻¹(QSQ) a function of H, X = f(H), the drift −½ P D³L[X] is the
gradient −P∇V of V = Σ_a F(λ_a), F' = f/2, over the non-zero eigenvalues λ_a of H. At step α:

    Σ = cH:        V = −(c/2α) log det₊(1 − αH/2),        as α → 0  (c/4) ΔL;
    Σ = c on Q:    V = (c/4) log det₊(H (1 − αH/2)⁻¹),    as α → 0  (c/4) log det₊H.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from .classify import Outcome
from .manifold import Manifold
from .regularizer import NoiseMoments

DETERMINANT_LIMIT = 3
"""Number of constraints up to which det₊H is written out."""


@dataclass(frozen=True)
class SpecialForm:
    """A named form of the drift.

    Attributes
    ----------
    name : str
        What Σ is on Γ.
    statement : str
        The drift in LaTeX, in terms of H and L.
    potential : Expr or None
        V with drift −P∇V (and Brownian motion on Γ where the noise is additive), on Γ; None where
        it is not worth writing.
    """

    name: str
    statement: str
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
    normal = _constant_normal_variance(manifold, moments)
    if normal is not None and outcome is Outcome.DETERMINISTIC and manifold.codimension == 1:
        return _unit_normal_form(manifold, normal, step)
    if multiple is not None:
        return _hessian_form(manifold, multiple, step)
    if normal is not None and _is_multiple_of_identity(moments.covariance):
        return _additive_form(manifold, normal, step)
    return None


def _unit_normal_form(manifold: Manifold, s: sp.Expr, step: sp.Expr) -> SpecialForm:
    laplacian = manifold.shortest(sp.sympify(manifold.jet.trace()))
    statement = rf"-{_latex_factor(s / 4)} P\nabla \log \Delta L"
    if step != 0:
        statement = (
            rf"-{_latex_factor(s / 4)} P\nabla \log \frac{{\Delta L}}"
            rf"{{1 - \tfrac{{1}}{{2}} {sp.latex(step)} \Delta L}}"
        )
    potential = s * sp.log(manifold.shortest(laplacian / (1 - step * laplacian / 2))) / 4
    return SpecialForm(f"hypersurface with Σ = {s} n nᵀ on Γ", statement, potential)


def _hessian_form(manifold: Manifold, c: sp.Expr, step: sp.Expr) -> SpecialForm:
    name = f"Σ = {c} H on Γ"
    if step == 0:
        statement = rf"-{_latex_factor(c / 4)} P\nabla\Delta L"
        trace = sp.sympify(manifold.jet.trace())
        return SpecialForm(name, statement, c * manifold.shortest(trace) / 4)
    a = sp.latex(step)
    statement = (
        rf"{_latex_factor(c / (2 * step))} P\nabla \log\det\left(1 - \tfrac{{1}}{{2}} {a} H\right)"
    )
    operator = _spectrum(manifold)
    if operator is None:
        return SpecialForm(name, statement, None)
    determinant = (sp.eye(operator.rows) - step * operator / 2).det(method="berkowitz")
    return SpecialForm(name, statement, -c * sp.log(manifold.shortest(determinant)) / (2 * step))


def _additive_form(manifold: Manifold, c: sp.Expr, step: sp.Expr) -> SpecialForm:
    name = f"additive noise, Σ = {c} I" if c != 1 else "additive noise, Σ = I"
    inside = (
        r"\det\nolimits_+ H"
        if step == 0
        else rf"\det\nolimits_+\left(H (1 - \tfrac{{1}}{{2}} {sp.latex(step)} H)^{{-1}}\right)"
    )
    statement = rf"-{_latex_factor(c / 4)} P\nabla\log {inside}"
    operator = _spectrum(manifold)
    if operator is None:
        return SpecialForm(name, statement, None)
    damping = (sp.eye(operator.rows) - step * operator / 2).det(method="berkowitz")
    ratio = manifold.shortest(operator.det(method="berkowitz") / damping)
    return SpecialForm(name, statement, c * sp.log(ratio) / 4)


def _constant_normal_variance(manifold: Manifold, moments: NoiseMoments) -> sp.Expr | None:
    """The constant s with QΣQ = sQ on a hypersurface, or with Σ = sI."""
    covariance = moments.covariance
    if _is_multiple_of_identity(covariance):
        s = covariance[0, 0]
    elif manifold.codimension == 1 and manifold.frame is not None:
        j = manifold.frame.jacobian
        s = manifold.shortest(((j * covariance * j.T) / (j * j.T)[0])[0])
    else:
        return None
    weights = set(manifold.problem.weights)
    return None if s == 0 or s.free_symbols & weights else s


def _is_multiple_of_identity(matrix: sp.MatrixBase) -> bool:
    return bool(matrix == matrix[0, 0] * sp.eye(matrix.rows))


def _latex_factor(c: sp.Expr) -> str:
    return "" if c == 1 else sp.latex(c) + r"\,"


def _spectrum(manifold: Manifold) -> sp.Matrix | None:
    """M = E A, a K × K matrix with the non-zero eigenvalues of H."""
    frame = manifold.frame
    if frame is None or manifold.codimension > DETERMINANT_LIMIT:
        return None
    return frame.curvature * frame.gram
