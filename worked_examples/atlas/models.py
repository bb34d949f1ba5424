"""The models on which the atlas evaluates what is published: small, curved, and uneven."""

from __future__ import annotations

import sympy as sp

from .entry import Along

w1, w2, w3, w4 = sp.symbols("w1:5", real=True)
e1, e2 = sp.symbols("eta1:3", real=True)
HALF = sp.Rational(1, 2)

PLANE = (w1, w2)
CIRCLE = w1**2 + w2**2 - 1
RING = CIRCLE**2 * (2 + w1) / 4
"""A ring-shaped valley whose curvature λ = ΔL = 2(2 + w₁) varies along the circle."""

RING_CURVATURE = 2 * (2 + w1)
ON_RING = Along(PLANE, [CIRCLE])
RING_START = (0.6, 0.8)

SPACE = (w1, w2, w3)
INPUTS = ((1, 2, 1), (2, -1, 1))
TARGETS = (sp.Rational(9, 4), sp.Rational(5, 4))
DIAGONAL = [
    sum(x * w**2 for x, w in zip(row, SPACE, strict=True)) - y
    for row, y in zip(INPUTS, TARGETS, strict=True)
]
"""Residuals of a diagonal linear net h(x; w) = Σ x_j w_j² on two samples."""

ON_DIAGONAL = Along(SPACE, DIAGONAL)
DIAGONAL_START = (0.7, 0.62, 1.0)

SLOPES = [sum(r.diff(w) ** 2 for w in SPACE) for r in DIAGONAL]
"""|∇h(x_i; w)|²."""
