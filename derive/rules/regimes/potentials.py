"""Whether the drift of an adaptive limit is a gradient along Γ, and of what.

With Ω the preconditioner at a point and M = Ω − ΩJᵀ(JΩJᵀ)⁻¹JΩ, the inverse of the metric Ω⁻¹ on Γ,
a drift b along Γ is −M∇V where the form −Ω⁻¹b is dV on tangent vectors. Such a V exists near a
point exactly where the form is closed; along a curve it always is.

Where Σ = cH on Γ and the second moments are constant while the weights relax, X = (αc/2)(Ω − M),
and with v the linear forms q of Σ the form is ¼⟨Ω(v), dΣ⟩: closed where Ω = Σ_a ψ_a(v) Q_a with the
matrices Q_a of q and ψ_a a function of v_a, and then V = ¼ Σ_a ∫ψ_a dv_a. For Adam that is
½Σ_i √Σ_ii, where gradient descent has ¼ tr Σ.

References
----------
Li, Wen, Lyu, "Adam Reduces a Unique Form of Sharpness" (2025), for tr √diag H.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath
import sympy as sp
from mpmath import mp

from ...manifold.manifold import LocalGeometry
from ...optimizers.adaptive import Adaptive
from ...symbolic.calculus import gradient
from ...symbolic.numbers.linear import orthonormal_basis, perpendicular
from ...symbolic.numbers.roots import evaluator
from ...symbolic.zero_tests import Verdict, decide_zero, proved
from ..equation import RuleField

DIGITS = 75
"""Working precision, a third of which is the length of a difference."""

POINTS = 6
"""Points of Γ that are looked at."""

Metric = Callable[[LocalGeometry], Any]
"""Ω at a point of Γ, shape (N, N)."""


@dataclass(frozen=True)
class Potential:
    """Whether a drift is a gradient along Γ, and of what.

    Attributes
    ----------
    verdict : Verdict
        Whether there is a V with b = −M∇V near each point of Γ.
    value : Expr or None
        V(w), where it has a name.
    """

    verdict: Verdict
    value: sp.Expr | None = None


def find_potential(
    field: RuleField, metric: Metric, candidate: sp.Expr | None, proof: str | None = None
) -> Potential:
    """The potential of a drift along Γ: a candidate for it, if that has the right slope.

    Parameters
    ----------
    field : RuleField
        The drift.
    metric : callable
        Ω.
    candidate : Expr, optional
        V.
    proof : str, optional
        Why the candidate is the potential, where more than numbers says so.
    """
    if candidate is not None:
        slope = _slope_of(field, candidate)

        def gap(g: LocalGeometry) -> Any:
            along = _tangents(field, g)
            expected, found = slope(g), _form(field, metric, g)
            pairs = [(_dot(t, expected), _dot(t, found)) for t in along]
            scale = mpmath.norm([mpmath.norm(expected), mpmath.norm(found)])
            return mpmath.norm([a - b for a, b in pairs]) / scale if scale else scale

        proofs = [(proof, lambda: True)] if proof else []
        verdict = _decided(field, gap, proofs)
        if verdict:
            return Potential(verdict, candidate)
    if field.motion.manifold.dimension == 1:
        return Potential(proved("every drift along a curve is a gradient"))
    return Potential(_decided(field, lambda g: _curl(field, metric, g), ()))


def potential_of_label_noise(
    optimizer: Adaptive, moments: tuple[sp.Symbol, ...], alone: tuple[sp.Expr, ...], size: int
) -> sp.Expr | None:
    """V = ¼ Σ_a ∫ψ_a dv_a at v = S(w); None where Ω is no such sum."""
    names = sp.symbols(f"g0:{size}", real=True)
    forms = [sp.hessian(q, names) / 2 for q in optimizer.squares(names)]
    matrix, total = optimizer.preconditioner(moments), sp.S.Zero
    for q, v, s in zip(forms, moments, alone, strict=True):
        weight = sp.simplify((matrix.T * q).trace() / (q.T * q).trace())
        if weight.free_symbols & ({*moments} - {v}):
            return None
        matrix = matrix - weight * q
        value = sp.integrate(weight, v)
        if value.has(sp.Integral):
            return None
        total += value.subs(v, s)
    if not matrix.applyfunc(sp.simplify).is_zero_matrix:
        return None
    return total / 4


def _decided(field: RuleField, size: Callable[[LocalGeometry], Any], proofs: Any) -> Verdict:
    manifold = field.motion.manifold
    points = itertools.islice(manifold.local(), POINTS)
    with mpmath.workdps(DIGITS):
        named = ((manifold.named(g.point), partial(size, g)) for g in points)
        return decide_zero(named, proofs)


def _curl(field: RuleField, metric: Metric, g: LocalGeometry) -> Any:
    """Largest |dω(t_a, t_b)| relative to the slopes of ω = −Ω⁻¹b along Γ."""
    along, h = _tangents(field, g), mpmath.mpf(10) ** (-mp.dps // 3)
    slopes = []
    for t in along:
        ahead, behind = (_form(field, metric, _moved(field, g, t, d)) for d in (h, -h))
        slopes.append([(a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True)])
    curls = [
        abs(_dot(slopes[a], along[b]) - _dot(slopes[b], along[a]))
        for a, b in itertools.combinations(range(len(along)), 2)
    ]
    scale = max(mpmath.norm(s) for s in slopes)
    return max(curls) / scale if scale else scale


def _form(field: RuleField, metric: Metric, g: LocalGeometry) -> list[Any]:
    """−Ω⁻¹ b."""
    return list(-mpmath.lu_solve(metric(g), field.drift(g)))


def _slope_of(field: RuleField, potential: sp.Expr) -> Callable[[LocalGeometry], list[Any]]:
    manifold = field.motion.manifold
    values = evaluator(manifold.symbols, gradient(potential, manifold.problem.weights))
    return lambda g: values(field.motion.sharpened(g)[0])


def _moved(field: RuleField, g: LocalGeometry, direction: list[Any], length: Any) -> LocalGeometry:
    """The point of Γ after a step along it."""
    probe, n = field.motion.manifold.probe, len(direction)
    here = field.motion.sharpened(g)[0]
    there = [x + length * t for x, t in zip(here[:n], direction, strict=True)]
    rows = probe.independent(g.point)
    return probe.geometry(probe.system.sharpened((*there, *here[n:]), rows))


def _tangents(field: RuleField, g: LocalGeometry) -> list[list[Any]]:
    """An orthonormal basis of the tangent space."""
    normals = orthonormal_basis(field.motion.sharpened(g)[1].tolist())
    n = len(normals[0])
    found: list[list[Any]] = []
    for i in range(n):
        unit = [mpmath.mpf(i == j) for j in range(n)]
        left = perpendicular([*normals, *found], unit)
        if mpmath.norm(left) > mpmath.mpf(1) / 4 / mpmath.sqrt(n):
            found.append([x / mpmath.norm(left) for x in left])
        if len(found) == n - len(normals):
            break
    return found


def _dot(a: Any, b: Any) -> Any:
    return mpmath.fdot(a, b)
