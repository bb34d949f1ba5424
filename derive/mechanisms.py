"""Noise mechanisms by name: from a loss, or from a model h(x; w) and its data, to L̂(w, η).

Mechanisms of a model use one convention for the loss, the mean of the squared errors,
L = (1/n) Σ_i (h(x_i; w) − y_i)²; with `half=True` it is half of that, and so are Reg and H.
Noise symbols are made by the mechanism (real, eta1, eta2, …, without the names in use) unless
`noise` gives them. Γ = {h(x_i; w) = y_i for all i} in what follows. The samples are written out;
a model of many is derived faster with a `Mean`, which states one of them.

References
----------
[1] Shalova, Schlichting, Peletier, arXiv 2404.12293.
[2] Blanc, Gupta, Valiant, Valiant, COLT 2020.
[3] Orvieto et al., arXiv 2202.02831.
[4] Li, Wang, Arora, arXiv 2110.06914.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

import sympy as sp

from .errors import ProblemError
from .laws.independent import Independent
from .laws.law import Law
from .laws.minibatch import Minibatch
from .laws.shrinking import Gaussian
from .model.problem import NoisyGradientDescent
from .model.samples import (
    fresh_symbols,
    mean,
    multiplied,
    noise_symbols,
    residuals,
    samples,
    squared_loss,
)
from .reading import read_expression, read_symbols, sequence
from .symbolic.calculus import Substitution
from .symbolic.zero_tests import vanishes_identically

NORMAL = Gaussian()
"""The law of a mechanism where none is given: standard normal noise, scaled by σ."""


class Setting(TypedDict, total=False):
    """What every mechanism passes on to `NoisyGradientDescent`."""

    constraints: Any
    chart: Any
    near: Any
    parameters: Any


# From a loss L(w) ------------------------------------------------------------------------------


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


# From a model h(x; w) and its data -------------------------------------------------------------


def label_noise(
    model: sp.Expr,
    inputs: Any,
    data: Any,
    targets: Any,
    weights: Any,
    *,
    law: Law = NORMAL,
    noise: Any = None,
    half: bool = False,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Noise on the labels: L̂ = (1/n) Σ_i (h(x_i; w) − y_i − η_i)², one noise symbol per sample.

    Reg is constant and Σ = (2/n) H: degenerate and deterministic, with drift −(1/2n) P∇ΔL =
    −(1/n) P∇ reg, reg = (1/n) Σ_i |∇_w h(x_i; w)|² [2]; with `half`, Σ = (1/n) H and the drift is
    −(1/4n) P∇ΔL. As ∇_wL̂ is affine in η, σ need not shrink: α → 0 is enough [4].

    Parameters
    ----------
    model, inputs, data, targets, half
        As for `squared_loss`.
    weights : Symbol or sequence of Symbol
        w.
    law : Law
        Law of η; standard normal if not given.
    noise : sequence of Symbol, optional
        The noise symbols η.
    **setting
        `constraints`, `chart`, `near`, `parameters`, as for `NoisyGradientDescent`.
    """
    misfits, weights = residuals(model, inputs, data, targets), read_symbols("weights", weights)
    noise = noise_symbols(noise, len(misfits), (*misfits, *weights))
    shifted = [(r - eta) ** 2 for r, eta in zip(misfits, noise, strict=True)]
    loss = mean([r**2 for r in misfits], half)
    return NoisyGradientDescent(loss, mean(shifted, half), weights, noise, law, **setting)


def minibatch(
    model: sp.Expr,
    inputs: Any,
    data: Any,
    targets: Any,
    weights: Any,
    *,
    batch_size: Any,
    replacement: bool = False,
    noise: Any = None,
    half: bool = False,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Minibatches: L̂ = (1/n) Σ_i (1 + η_i) (h(x_i; w) − y_i)², 1 + η_i the sampling weights.

    Cov η = (n/B)(I − 11ᵀ/n) with replacement, (n(n − B)/(B(n − 1)))(I − 11ᵀ/n) without; it does
    not shrink with σ. Every sample's loss has its minimum on Γ, hence Reg = 0, Σ = 0 and
    ∇_wL̂ = 0 there: frozen, nothing moves on any time scale [1].

    Parameters
    ----------
    model, inputs, data, targets, weights, noise, half, **setting
        As for `label_noise`.
    batch_size : int or Symbol
        B; a symbol is declared under `parameters`.
    replacement : bool
        Whether a sample may be drawn more than once into a batch.
    """
    misfits, weights = residuals(model, inputs, data, targets), read_symbols("weights", weights)
    law = Minibatch(len(misfits), batch_size, replacement)
    noise = noise_symbols(noise, len(misfits), (*misfits, *weights))
    weighted = [(1 + eta) * r**2 for r, eta in zip(misfits, noise, strict=True)]
    loss = mean([r**2 for r in misfits], half)
    return NoisyGradientDescent(loss, mean(weighted, half), weights, noise, law, **setting)


def minibatch_label_noise(
    model: sp.Expr,
    inputs: Any,
    data: Any,
    targets: Any,
    weights: Any,
    *,
    batch_size: Any,
    replacement: bool = False,
    law: Law = NORMAL,
    noise: Any = None,
    half: bool = False,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Minibatches whose labels are noisy: L̂ = (1/n) Σ_i (1 + ζ_i) (h(x_i; w) − y_i − η_i)².

    The noise symbols are the n sampling weights ζ, which do not shrink with σ, then the n label
    noises η, drawn afresh each step. On Γ they combine to Σ = (2/B) H without replacement, and
    Σ = (2(B + n − 1)/(nB)) H with it, where a sample drawn twice keeps its one label noise (with
    `half` half of each); with fresh label noise for each draw it would be (2/B) H again.
    Degenerate and deterministic: drift −(1/2B) P∇ΔL without replacement [2].
    Arguments as for `label_noise` and `minibatch`; `law` is that of η, `noise` names ζ, then η.
    """
    misfits, weights = residuals(model, inputs, data, targets), read_symbols("weights", weights)
    n = len(misfits)
    noise = noise_symbols(noise, 2 * n, (*misfits, *weights))
    batch, label = noise[:n], noise[n:]
    weighted = [
        (1 + zeta) * (r - eta) ** 2 for r, zeta, eta in zip(misfits, batch, label, strict=True)
    ]
    loss = mean([r**2 for r in misfits], half)
    both = Independent(((batch, Minibatch(n, batch_size, replacement)), (label, law)))
    return NoisyGradientDescent(loss, mean(weighted, half), weights, noise, both, **setting)


def dropout(
    model: sp.Expr,
    inputs: Any,
    data: Any,
    targets: Any,
    weights: Any,
    *,
    units: Any,
    law: Law = NORMAL,
    noise: Any = None,
    half: bool = False,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Multiplicative noise on chosen parts of the model: each unit u_j times 1 + η_j.

    Under squared loss, for h = Σ_j a_j φ(b_j·x) with the units a_j φ(b_j·x) dropped, both the
    Gaussian and the Bernoulli law give Reg = (1/n) Σ_i Σ_j a_j² φ(b_j·x_i)² (half of it with
    `half`), non-degenerate [1]. The same noise η_j meets all samples of a step.

    Parameters
    ----------
    model, inputs, data, targets, weights, law, noise, half, **setting
        As for `label_noise`; `law=Bernoulli()` drops each unit with probability p.
    units : Expr or sequence of Expr
        Parts of `model`, as they stand in it: hidden neurons, terms, or inputs.

    Raises
    ------
    ProblemError
        If a unit does not occur in the model.
    """
    model, weights = read_expression("model", model), read_symbols("weights", weights)
    units = [read_expression("units", unit) for unit in sequence(units, "units")]
    loss = squared_loss(model, inputs, data, targets, half=half)
    noise = noise_symbols(noise, len(units), (model, loss, *weights))
    noisy = multiplied(model, units, noise)
    noisy_loss = squared_loss(noisy, inputs, data, targets, half=half)
    return NoisyGradientDescent(loss, noisy_loss, weights, noise, law, **setting)


def input_noise(
    model: sp.Expr,
    inputs: Any,
    data: Any,
    targets: Any,
    weights: Any,
    *,
    law: Law = NORMAL,
    noise: Any = None,
    half: bool = False,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Noise on the inputs: L̂ = (1/n) Σ_i (h(x_i + η_i; w) − y_i)², D noise symbols a sample.

    Reg = (1/n) Σ_i |∇_x h(x_i; w)|² on Γ (half of it with `half`): non-degenerate [1].
    Arguments as for `label_noise`; the noise symbols run through the inputs of sample 1, then
    those of sample 2, and so on.
    """
    rows, weights = samples(sequence(inputs, "inputs"), data), read_symbols("weights", weights)
    entries = [x for row in rows for x in row]
    loss = squared_loss(model, inputs, rows, targets, half=half)
    noise = noise_symbols(noise, len(entries), (loss, *weights))
    left = iter(noise)
    moved = [[x + next(left) for x in row] for row in rows]
    noisy_loss = squared_loss(model, inputs, moved, targets, half=half)
    return NoisyGradientDescent(loss, noisy_loss, weights, noise, law, **setting)


# Two at once -----------------------------------------------------------------------------------


def combine(first: NoisyGradientDescent, second: NoisyGradientDescent) -> NoisyGradientDescent:
    """Two independent mechanisms on the same loss: L̂ = L̂₁ + L̂₂ − L, Reg and Σ add up.

    Noise symbols of the second that the first uses too are renamed. What the first says of Γ
    (`constraints`, `chart`, `near`) is taken, and where it says nothing what the second says.

    Raises
    ------
    ProblemError
        If the two have different losses or weights, or one of them has no L̂.
    """
    for problem in (first, second):
        if not isinstance(problem, NoisyGradientDescent):
            raise ProblemError(f"combine: expected two NoisyGradientDescent, got {problem!r}")
    if first.weights != second.weights:
        raise ProblemError(
            f"combine: expected the same weights, got {first.weights} and {second.weights}"
        )
    if first.noisy_loss is None or second.noisy_loss is None:
        raise ProblemError(
            "combine: expected two models with L̂(w, η); one is given by its gradient noise only"
        )
    if not vanishes_identically(first.loss - second.loss):
        raise ProblemError(
            "combine: expected the same loss L(w) in both; check the data and `half`"
        )
    parameters = dict.fromkeys((*first.parameters, *second.parameters))
    taken = {s.name for s in (*first.weights, *first.noise, *second.noise, *parameters)}
    clash = [s for s in second.noise if s in set(first.noise)]
    renamed = dict(zip(clash, fresh_symbols(len(clash), taken), strict=True))
    noise = tuple(renamed.get(s, s) for s in second.noise)
    return NoisyGradientDescent(
        first.loss,
        first.noisy_loss + second.noisy_loss.xreplace(renamed) - first.loss,
        first.weights,
        (*first.noise, *noise),
        Independent((*_groups(first, {}), *_groups(second, renamed))),
        constraints=second.constraints if first.constraints is None else first.constraints,
        chart=second.chart if first.chart is None else first.chart,
        near=second.near if first.near is None else first.near,
        parameters=tuple(parameters),
    )


def _groups(
    problem: NoisyGradientDescent, renamed: Mapping[sp.Symbol, sp.Symbol]
) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
    law = problem.law
    groups = law.groups if isinstance(law, Independent) else ((problem.noise, law),)
    return tuple((tuple(renamed.get(s, s) for s in symbols), part) for symbols, part in groups)


MECHANISMS: Mapping[str, Callable[..., NoisyGradientDescent]] = MappingProxyType(
    {
        f.__name__: f
        for f in (
            parameter_noise,
            anti_correlated_descent,
            dropconnect,
            additive_noise,
            label_noise,
            minibatch,
            minibatch_label_noise,
            dropout,
            input_noise,
        )
    }
)
"""Mechanisms by their names: what a model file may ask for."""
