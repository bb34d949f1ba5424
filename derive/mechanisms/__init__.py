"""Noise mechanisms by name: from a loss, or from a model h(x; w) and its data, to L̂(w, η).

Mechanisms of a model use one convention for the loss, the mean of the losses of the samples,
L = (1/n) Σ_i c(h(x_i; w), y_i), with c(h, y) = (h − y)² if `sample_loss` gives no other; with
`half=True` it is half of that, and so are Reg and H. Noise symbols are made by the mechanism (real,
eta1, eta2, …, without the names in use) unless `noise` gives them. For squared errors Γ is
{h(x_i; w) = y_i for all i} in what follows. The samples are written out; a model of many is derived
faster with a `Mean`, which states one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..model.problem import NoisyGradientDescent
from .combined import combine
from .losses import SAMPLE_LOSSES, cross_entropy, smoothed, squared
from .of_losses import additive_noise, anti_correlated_descent, dropconnect, parameter_noise
from .of_models import (
    dropout,
    input_noise,
    label_flips,
    label_noise,
    minibatch,
    minibatch_label_noise,
)
from .samples import squared_loss
from .setting import NORMAL, Setting

__all__ = [
    "MECHANISMS",
    "NORMAL",
    "SAMPLE_LOSSES",
    "Setting",
    "additive_noise",
    "anti_correlated_descent",
    "combine",
    "cross_entropy",
    "dropconnect",
    "dropout",
    "input_noise",
    "label_flips",
    "label_noise",
    "minibatch",
    "minibatch_label_noise",
    "parameter_noise",
    "smoothed",
    "squared",
    "squared_loss",
]

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
            label_flips,
        )
    }
)
"""Mechanisms by their names: what a model file may ask for."""
