"""Limits of networks that are JAX programs, at up to a million weights; needs JAX.

Install with the extra `networks`. State a `Network` by its residuals, parameters and a mechanism;
`train` takes it to Γ, `derive.derive_limit` to its limit.

>>> from derive import derive_limit
>>> from numerics.networks import Network, label_noise, train
>>> limit = derive_limit(train(Network(residuals, params, label_noise())))  # doctest: +SKIP
"""

from .fitted import CrossEntropy, classified, fitted
from .limit import NetworkLimit
from .mechanisms import (
    additive_noise,
    dropconnect,
    dropout,
    input_noise,
    label_noise,
    noisy_loss,
    noisy_residuals,
    parameter_noise,
)
from .network import Network
from .normal_space.estimators import (
    estimated_label_noise_flow,
    estimated_regularizer,
    estimated_regularizer_flow,
    estimated_trace,
)
from .normal_space.manifold import train
from .optimizers import GradientDescent, HeavyBall, Nesterov, Preconditioned, SharpnessAware
from .runs.comparison import NetworkReport, validate_network_limit
from .runs.course import Course
from .runs.descent import simulate_network_descent
from .runs.flow import simulate_network_limit

__all__ = [
    "Course",
    "CrossEntropy",
    "GradientDescent",
    "HeavyBall",
    "Nesterov",
    "Network",
    "NetworkLimit",
    "NetworkReport",
    "Preconditioned",
    "SharpnessAware",
    "additive_noise",
    "classified",
    "dropconnect",
    "dropout",
    "estimated_label_noise_flow",
    "estimated_regularizer",
    "estimated_regularizer_flow",
    "estimated_trace",
    "fitted",
    "input_noise",
    "label_noise",
    "noisy_loss",
    "noisy_residuals",
    "parameter_noise",
    "simulate_network_descent",
    "simulate_network_limit",
    "train",
    "validate_network_limit",
]
