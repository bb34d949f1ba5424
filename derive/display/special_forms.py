"""The named forms of the degenerate drift, in words and as LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from ..equation.special_forms import Kind, SpecialForm
from .notation import Formula


@dataclass(frozen=True)
class DriftForm:
    """The tangential drift in terms of H and L.

    Attributes
    ----------
    text : str
        In one line.
    formula : Formula
        The same as LaTeX.
    """

    text: str
    formula: Formula


def drift_form(form: SpecialForm) -> DriftForm:
    """The drift that a special form stands for."""
    writers = {Kind.HYPERSURFACE: _hypersurface, Kind.HESSIAN: _hessian, Kind.ADDITIVE: _additive}
    return writers[form.kind](form.multiple, form.step)


def _hypersurface(s: sp.Expr, step: sp.Expr) -> DriftForm:
    text = "ΔL"
    tex: tuple[str | sp.Expr, ...] = (r"\Delta L",)
    if step != 0:
        text = f"(ΔL / (1 − {step} ΔL/2))"
        tex = (r"\bigl(\Delta L / (1 - \tfrac{1}{2} ", step, r"\,\Delta L)\bigr)")
    formula = _times(-s / 4, r"P\nabla \log ", *tex)
    return DriftForm(f"−{_factor(s / 4)}P∇ log {text}", formula)


def _hessian(c: sp.Expr, step: sp.Expr) -> DriftForm:
    if step == 0:
        return DriftForm(f"−{_factor(c / 4)}P∇ΔL", _times(-c / 4, r"P\nabla\Delta L"))
    scale = c / (2 * step)
    tex = (r"P\nabla \log\det\left(1 - \tfrac{1}{2} ", step, r" H\right)")
    return DriftForm(f"{_factor(scale)}P∇ log det(1 − {step} H/2)", _times(scale, *tex))


def _additive(c: sp.Expr, step: sp.Expr) -> DriftForm:
    text = "det₊ H"
    tex: tuple[str | sp.Expr, ...] = (r"\det\nolimits_+ H",)
    if step != 0:
        text = f"det₊(H (1 − {step} H/2)⁻¹)"
        inner = (r"\left(1 - \tfrac{1}{2} ", step, r" H\right)^{-1}")
        tex = (r"\det\nolimits_+\left(H ", *inner, r"\right)")
    return DriftForm(
        f"−{_factor(c / 4)}P∇ log {text}, and Brownian motion P∘dB on Γ",
        _times(-c / 4, r"P\nabla\log ", *tex),
    )


def _factor(c: sp.Expr) -> str:
    return "" if c == 1 else f"{c} "


def _times(c: sp.Expr, *pieces: str | sp.Expr) -> Formula:
    """A multiple of a formula."""
    if abs(c) == 1:
        return Formula(("-" if c == -1 else "", *pieces))
    factor = (r"\left(", c, r"\right)") if c.is_Add else (c, r"\, ")
    return Formula((*factor, *pieces))
