"""Noise mechanisms of a model h(x; w) and its data, under a loss c(h, y) of one sample.

References
----------
[1] Shalova, Schlichting, Peletier, arXiv 2404.12293.
[2] Blanc, Gupta, Valiant, Valiant, COLT 2020.
[4] Li, Wang, Arora, arXiv 2110.06914.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import sympy as sp

from ..laws.choice import Choice
from ..laws.independent import Independent
from ..laws.law import Law
from ..laws.minibatch import Minibatch
from ..model.problem import NoisyGradientDescent
from ..reading import read_expression, read_symbols, sequence
from .losses import SampleLoss, cross_entropy, flipped, sample_loss_of, squared
from .samples import (
    mean,
    multiplied,
    noise_symbols,
    predictions,
    samples,
)
from .setting import NORMAL, Setting


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
    sample_loss: SampleLoss | str = squared,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Noise on the labels: L̂ = (1/n) Σ_i c(h(x_i; w), y_i + η_i), one noise symbol per sample.

    For squared errors Reg is constant and Σ = (2/n) H: degenerate and deterministic, with drift
    −(1/2n) P∇ΔL = −(1/n) P∇ reg, reg = (1/n) Σ_i |∇_w h(x_i; w)|² [2]; with `half`, Σ = (1/n) H and
    the drift is −(1/4n) P∇ΔL. As ∇_wL̂ is affine in η, σ need not shrink: α → 0 is enough [4].

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
    sample_loss : callable or str
        c(h, y), or the name of one in `SAMPLE_LOSSES`; (h − y)² if not given.
    **setting
        `constraints`, `chart`, `near`, `parameters`, as for `NoisyGradientDescent`.
    """
    pairs, weights = predictions(model, inputs, data, targets), read_symbols("weights", weights)
    c = sample_loss_of(sample_loss)
    noise = noise_symbols(noise, len(pairs), (*_used(pairs), *weights))
    shifted = [c(h, y + eta) for (h, y), eta in zip(pairs, noise, strict=True)]
    loss = mean([c(h, y) for h, y in pairs], half)
    return NoisyGradientDescent(loss, mean(shifted, half), weights, noise, law, **setting)


def label_flips(
    model: sp.Expr,
    inputs: Any,
    data: Any,
    targets: Any,
    weights: Any,
    *,
    probability: Any,
    noise: Any = None,
    half: bool = False,
    sample_loss: SampleLoss | str = cross_entropy,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Classes that are flipped with a probability p, each sample's anew in each step.

    L̂ = (1/n) Σ_i [(1 − p − η_i) c(h_i, y_i) + (p + η_i) c(h_i, ȳ_i)], with ȳ_i the other class and
    p + η_i 1 for a flip, else 0. Its mean L is the loss of smoothed labels, whose minimum is not
    zero: the noise keeps its size on Γ, the step size is the only small scale, and the limit is
    that of Theorem B in time kα² [4]. For the cross-entropy, on Γ, Σ = (1/n) H, as the covariance
    of a score is its information: drift −(1/4n) P∇ΔL, that of label noise under half the squared
    errors, with ΔL = (1/n) Σ_i p(1 − p) |∇_w h(x_i; w)|² (with `half`, half of Σ/H and of L).

    Parameters
    ----------
    model, inputs, data, weights, noise, half, **setting
        As for `label_noise`.
    targets : sequence
        Classes, 0 and 1, or −1 and 1.
    probability : number or Expr
        p.
    sample_loss : callable or str
        c(h, y), or the name of one in `SAMPLE_LOSSES`; the cross-entropy of a logit if not given.
    """
    pairs, weights = predictions(model, inputs, data, targets), read_symbols("weights", weights)
    c, p = sample_loss_of(sample_loss), read_expression("probability", probability)
    noise = noise_symbols(noise, len(pairs), (p, *_used(pairs), *weights))
    others = flipped([y for _, y in pairs])
    both = [(c(h, y), c(h, other)) for (h, y), other in zip(pairs, others, strict=True)]
    loss = mean([(1 - p) * kept + p * turned for kept, turned in both], half)
    noisy = mean(
        [
            (1 - p - eta) * kept + (p + eta) * turned
            for (kept, turned), eta in zip(both, noise, strict=True)
        ],
        half,
    )
    law = Choice((1 - p, -p), (p, 1 - p))
    each = Independent(tuple(((eta,), law) for eta in noise))
    return NoisyGradientDescent(loss, noisy, weights, noise, each, **setting)


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
    sample_loss: SampleLoss | str = squared,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Minibatches: L̂ = (1/n) Σ_i (1 + η_i) c(h(x_i; w), y_i), 1 + η_i the sampling weights.

    Cov η = (n/B)(I − 11ᵀ/n) with replacement, (n(n − B)/(B(n − 1)))(I − 11ᵀ/n) without; it does
    not shrink with σ. Where every sample's loss has its minimum on Γ, Reg = 0, Σ = 0 and
    ∇_wL̂ = 0 there: frozen, nothing moves on any time scale [1]. Where the samples cannot all be
    fitted, as those with other labels for the same input, Σ is the covariance of the gradient of a
    batch, and the limit that of Theorem B in time kα² [4].

    Parameters
    ----------
    model, inputs, data, targets, weights, noise, half, sample_loss, **setting
        As for `label_noise`.
    batch_size : int or Symbol
        B; a symbol is declared under `parameters`.
    replacement : bool
        Whether a sample may be drawn more than once into a batch.
    """
    pairs, weights = predictions(model, inputs, data, targets), read_symbols("weights", weights)
    c, law = sample_loss_of(sample_loss), Minibatch(len(pairs), batch_size, replacement)
    noise = noise_symbols(noise, len(pairs), (*_used(pairs), *weights))
    losses = [c(h, y) for h, y in pairs]
    weighted = [(1 + eta) * each for each, eta in zip(losses, noise, strict=True)]
    loss = mean(losses, half)
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
    sample_loss: SampleLoss | str = squared,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Minibatches whose labels are noisy: L̂ = (1/n) Σ_i (1 + ζ_i) c(h(x_i; w), y_i + η_i).

    The noise symbols are the n sampling weights ζ, which do not shrink with σ, then the n label
    noises η, drawn afresh each step. For squared errors they combine on Γ to Σ = (2/B) H without
    replacement, and Σ = (2(B + n − 1)/(nB)) H with it, where a sample drawn twice keeps its one
    label noise (with `half` half of each); with fresh label noise for each draw it would be (2/B) H
    again. Degenerate and deterministic: drift −(1/2B) P∇ΔL without replacement [2].
    Arguments as for `label_noise` and `minibatch`; `law` is that of η, `noise` names ζ, then η.
    """
    pairs, weights = predictions(model, inputs, data, targets), read_symbols("weights", weights)
    c, n = sample_loss_of(sample_loss), len(pairs)
    noise = noise_symbols(noise, 2 * n, (*_used(pairs), *weights))
    batch, label = noise[:n], noise[n:]
    weighted = [
        (1 + zeta) * c(h, y + eta) for (h, y), zeta, eta in zip(pairs, batch, label, strict=True)
    ]
    loss = mean([c(h, y) for h, y in pairs], half)
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
    sample_loss: SampleLoss | str = squared,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Multiplicative noise on chosen parts of the model: each unit u_j times 1 + η_j.

    Under squared loss, for h = Σ_j a_j φ(b_j·x) with the units a_j φ(b_j·x) dropped, both the
    Gaussian and the Bernoulli law give Reg = (1/n) Σ_i Σ_j a_j² φ(b_j·x_i)² (half of it with
    `half`), non-degenerate [1]. The same noise η_j meets all samples of a step.

    Parameters
    ----------
    model, inputs, data, targets, weights, law, noise, half, sample_loss, **setting
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
    c = sample_loss_of(sample_loss)
    loss = mean([c(h, y) for h, y in predictions(model, inputs, data, targets)], half)
    noise = noise_symbols(noise, len(units), (model, loss, *weights))
    noisy = multiplied(model, units, noise)
    noisy_loss = mean([c(h, y) for h, y in predictions(noisy, inputs, data, targets)], half)
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
    sample_loss: SampleLoss | str = squared,
    **setting: Unpack[Setting],
) -> NoisyGradientDescent:
    """Noise on the inputs: L̂ = (1/n) Σ_i c(h(x_i + η_i; w), y_i), D noise symbols per sample.

    For squared errors Reg = (1/n) Σ_i |∇_x h(x_i; w)|² on Γ (half of it with `half`):
    non-degenerate [1].
    Arguments as for `label_noise`; the noise symbols run through the inputs of sample 1, then
    those of sample 2, and so on.
    """
    rows, weights = samples(sequence(inputs, "inputs"), data), read_symbols("weights", weights)
    entries = [x for row in rows for x in row]
    c = sample_loss_of(sample_loss)
    loss = mean([c(h, y) for h, y in predictions(model, inputs, rows, targets)], half)
    noise = noise_symbols(noise, len(entries), (loss, *weights))
    left = iter(noise)
    moved = [[x + next(left) for x in row] for row in rows]
    noisy_loss = mean([c(h, y) for h, y in predictions(model, inputs, moved, targets)], half)
    return NoisyGradientDescent(loss, noisy_loss, weights, noise, law, **setting)


def _used(pairs: Iterable[tuple[sp.Expr, sp.Expr]]) -> list[sp.Expr]:
    """Expressions whose symbols are no names for noise."""
    return [e for pair in pairs for e in pair]
