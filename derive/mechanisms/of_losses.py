"""Noise mechanisms of a loss L(w).

References
----------
[1] Shalova, Schlichting, Peletier, arXiv 2404.12293.
[3] Orvieto et al., arXiv 2202.02831.
[4] Li, Wang, Arora, arXiv 2110.06914.
"""

from __future__ import annotations

from typing import Any, Unpack

import sympy as sp

from ..laws.law import Law
from ..model.problem import NoisyGradientDescent
from ..reading import read_expression, read_symbols
from ..symbolic.calculus import Substitution
from .samples import noise_symbols
from .setting import NORMAL, Setting


def parameter_noise(
    loss: sp.Expr,
    weights: Any,
    *,
    law: Law = NORMAL,
    noise: Any = None,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Noise on the weights: L̂(w, η) = L(w + η), one noise symbol per weight.

    Reg = ½ ΔL, and ½ C:∇²L for a law of covariance σ²C: non-degenerate unless it is constant
    on Γ [1].

    Parameters
    ----------
    loss : Expr
        L(w).
    weights : Symbol or sequence of Symbol
        w.
    law : Law
        Law of η; standard normal if not given.
    noise : sequence of Symbol, optional
        The noise symbols η.
    **setting
        `constraints`, `chart`, `near`, `parameters`, as for `NoisyGradientDescent`.
    """
    loss, weights = read_expression("loss", loss), read_symbols("weights", weights)
    noise = noise_symbols(noise, len(weights), (loss, *weights))
    moved = {w: w + eta for w, eta in zip(weights, noise, strict=True)}
    return NoisyGradientDescent(loss, Substitution(moved)(loss), weights, noise, law, **setting)


def anti_correlated_descent(
    loss: sp.Expr,
    weights: Any,
    *,
    law: Law = NORMAL,
    noise: Any = None,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Anti-correlated perturbed gradient descent w_{k+1} = w_k − α∇L(w_k) + ξ_{k+1} − ξ_k [3].

    With z_k = w_k − ξ_k it reads z_{k+1} = z_k − α∇L(z_k + ξ_k): parameter noise η = ξ for z.
    The weights of the problem are z, and its limit is that of z; w_k differs by ξ_k = O(σ).
    Reg = ½ ΔL. Arguments as for `parameter_noise`.
    """
    return parameter_noise(loss, weights, law=law, noise=noise, **setting)


def dropconnect(
    loss: sp.Expr,
    weights: Any,
    *,
    law: Law = NORMAL,
    noise: Any = None,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Multiplicative noise on the weights: L̂(w, η) = L(w ⊙ (1 + η)), one noise symbol per weight.

    Gaussian (any shrinking law): Reg = ½ Σ_i w_i² ∂_i²L [1]. With `law=Bernoulli()`, weights
    dropped with probability p: Reg = Σ_i L(w with w_i = 0) on Γ, non-local, in general another
    flow. Non-degenerate unless Reg is constant on Γ. Arguments as for `parameter_noise`.
    """
    loss, weights = read_expression("loss", loss), read_symbols("weights", weights)
    noise = noise_symbols(noise, len(weights), (loss, *weights))
    scaled = {w: w * (1 + eta) for w, eta in zip(weights, noise, strict=True)}
    return NoisyGradientDescent(loss, Substitution(scaled)(loss), weights, noise, law, **setting)


def additive_noise(
    loss: sp.Expr,
    weights: Any,
    *,
    law: Law = NORMAL,
    noise: Any = None,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Additive gradient noise, stochastic gradient Langevin dynamics: L̂(w, η) = L(w) + η·w.

    Reg = 0 and Σ = I: degenerate and diffusive, dW = P ∘ dB − ¼ P∇ log det₊H dt, Brownian motion
    on Γ with invariant density (det₊H)^(−1/2) ([1]; [4] for linear noise in general).
    Arguments as for `parameter_noise`.
    """
    loss, weights = read_expression("loss", loss), read_symbols("weights", weights)
    noise = noise_symbols(noise, len(weights), (loss, *weights))
    push = sp.Add(*(eta * w for eta, w in zip(noise, weights, strict=True)))
    return NoisyGradientDescent(loss, loss + push, weights, noise, law, **setting)
