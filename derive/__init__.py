"""From a noise model, stated in sympy, to the limiting equation of noisy gradient descent."""

from . import mechanisms
from .classify import Outcome
from .errors import DeriveError, DeriveWarning, ManifoldError, ProblemError, UndecidedError
from .laws import Bernoulli, CustomLaw, Gaussian, Independent, Minibatch, Rademacher, Uniform
from .limit import Limit, derive_limit
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
    "Limit",
    "ManifoldError",
    "Minibatch",
    "NoisyGradientDescent",
    "Outcome",
    "ProblemError",
    "Rademacher",
    "UndecidedError",
    "Uniform",
    "alpha",
    "derive_limit",
    "mechanisms",
    "sigma",
]
