"""From a noise model, stated in sympy, to the limiting equation of noisy gradient descent."""

from . import latex, mechanisms, modelfile
from .classify import Outcome
from .errors import (
    DeriveError,
    DeriveWarning,
    ManifoldError,
    ModelFileError,
    NotCoveredError,
    ProblemError,
    SavedFileError,
    UndecidedError,
)
from .laws import (
    Bernoulli,
    CustomLaw,
    Gaussian,
    Independent,
    Minibatch,
    Rademacher,
    TwoPoint,
    Uniform,
)
from .limit import Limit, derive_limit
from .longtime import Equilibrium, equilibria, invariant_density
from .matrix_model import MatrixLimit, MatrixModel, derive_matrix_limit
from .noise_geometry import NoiseGeometry
from .problem import Chart, NoisyGradientDescent
from .sampled import SampledDescent, SampledLimit, derive_sampled_limit
from .symbols import alpha, sigma

__all__ = [
    "Bernoulli",
    "Chart",
    "CustomLaw",
    "DeriveError",
    "DeriveWarning",
    "Equilibrium",
    "Gaussian",
    "Independent",
    "Limit",
    "ManifoldError",
    "MatrixLimit",
    "MatrixModel",
    "Minibatch",
    "ModelFileError",
    "NoiseGeometry",
    "NoisyGradientDescent",
    "NotCoveredError",
    "Outcome",
    "ProblemError",
    "Rademacher",
    "SampledDescent",
    "SampledLimit",
    "SavedFileError",
    "TwoPoint",
    "UndecidedError",
    "Uniform",
    "alpha",
    "derive_limit",
    "derive_matrix_limit",
    "derive_sampled_limit",
    "equilibria",
    "invariant_density",
    "latex",
    "mechanisms",
    "modelfile",
    "sigma",
]
