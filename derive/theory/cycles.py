"""Rules that are not smooth across Γ: what their 2-cycles, and other fast chains, do along it.

Near a point ζ of Γ write w = ζ + s y, with y across Γ. A step of such a rule is

    ζ + s y  ↦  ζ + s τ(y, ξ) + s² κ(y, ξ) + …,  τ across Γ, but not linear in y,

so that ζ moves by s² E_π[P κ] per step, π the stationary law of the fast chain y' = τ(y, ξ) at
frozen ζ. Sharpness-aware steps on a batch b, at the distance s = ρ, have with H_b = ∇²ℓ_b

    x = y + H_b y / |H_b y|,  y' = y − α H_b x,  P κ = −½ α P D³ℓ_b[x xᵀ].                     (1)

With all samples in each batch the chain ends in a 2-cycle along the eigenvector v₁ of the largest
eigenvalue λ₁ of H, y = ± αλ₁/(2 − αλ₁) v₁ and x = ± 2/(2 − αλ₁) v₁. It attracts for all αλ₁ < 2 if
λ₁ is simple: the multiplier along v_a is 1 − αλ_a − (2 − αλ₁)(λ_a/λ₁)², along v₁ it is 1 − αλ₁. As
P D³ℓ[v₁v₁ᵀ] = P∇λ₁, the limit is a constrained flow of a function of λ₁. With random batches y/α
has a stationary law also as α → 0, where x = H_b y/|H_b y|. Only where each batch is one sample
with ∇²ℓ_i of rank one is x known, ± ∇h_i/|∇h_i|; elsewhere the law is simulated. Normalised
descent, w' = w − α∇L/|∇L|, and descent on √L have families of such cycles, with s = α itself.

References
----------
Wen, Ma, Li, arXiv 2211.05729, for sharpness-aware steps as α → 0 (here at any αλ₁ < 2); Arora, Li,
Panigrahi, arXiv 2205.09745, for normalised descent and descent on √L.
"""

from __future__ import annotations

import sympy as sp

from ..symbols import ScaleSymbol, alpha

sharpness = ScaleSymbol("lambda_1", positive=True)
"""λ₁, the largest eigenvalue of the Hessian of a loss on Γ."""

SHARPNESS_AWARE = sharpness / (2 - alpha * sharpness)
"""Reg in time kαρ²: its derivative is ½ (2/(2 − αλ₁))²."""

NORMALIZED = sp.log(sharpness) / 4
"""Reg in time kα²."""

ROOT = sharpness / 8
"""Reg in time kα²."""
