"""The drift by a potential that H alone makes, in words and as LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from ..equation.special_forms import CURVATURE, SpecialForm
from .notation import Formula

Pieces = tuple[str | sp.Expr, ...]
"""LaTeX, with expressions between."""


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
    """−P∇V, term by term."""
    v, single = form.spectral, form.codimension == 1
    terms: list[tuple[sp.Expr, str, Pieces]] = [(v.slope, "ΔL", (r"\Delta L",))]
    terms += [(c, *_logarithm(q, single)) for c, q in v.logarithms]
    text, pieces = "", Pieces()
    for c, name, tex in terms:
        if c == 0:
            continue
        rises = c.as_coeff_Mul()[0] < 0
        size = -c if rises else c
        sign = (" + " if rises else " − ") if text else ("" if rises else "−")
        words, factor = _factor(size)
        text += f"{sign}{words}P∇{name}"
        pieces = (*pieces, sign.replace("−", "-"), *factor, r"P\nabla", *tex)
    text += ", and Brownian motion P∘dB on Γ" if form.spreads else ""
    return DriftForm(text, Formula(pieces))


def _logarithm(q: sp.Expr, single: bool) -> tuple[str, Pieces]:
    """Log det₊ q(H); of a single eigenvalue, ΔL, log q(ΔL)."""
    if q == CURVATURE:
        words = (" log ΔL", r"\log \Delta L") if single else (" log det₊ H", _DETERMINANT)
        return words[0], (words[1],)
    half = -q.coeff(CURVATURE)
    name, mark, text, tex = ("", "", "ΔL", r"\Delta L") if single else ("det", r"\det", "H", "H")
    inside = (rf"\log{mark}\left(1 - ", half, rf"\,{tex}\right)")
    return f" log {name}(1 − {half} {text})", inside


_DETERMINANT = r"\log \det\nolimits_+ H"


def _factor(c: sp.Expr) -> tuple[str, Pieces]:
    """A factor in front of a formula."""
    if c == 1:
        return "", ()
    if c.is_Add:
        return f"({c}) ", (r"\left(", c, r"\right)")
    return f"{c} ", (c, r"\, ")
