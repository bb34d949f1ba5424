"""From a noise model, stated in sympy, to the limiting equation of noisy gradient descent."""

from .errors import DeriveError, DeriveWarning, ManifoldError, ProblemError, UndecidedError
from .laws import Bernoulli, CustomLaw, Gaussian, Independent, Minibatch, Rademacher, Uniform
from .problem import Chart, NoisyGradientDescent
from .symbols import alpha, sigma

__all__ = [
    "Bernoulli",
    "Chart",
    "CustomLaw",
    "DeriveError",
    "DeriveWarning",
    "Gaussian",
    "Independent",
    "ManifoldError",
    "Minibatch",
    "NoisyGradientDescent",
    "ProblemError",
    "Rademacher",
    "UndecidedError",
    "Uniform",
    "alpha",
    "sigma",
]
