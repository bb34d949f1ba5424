"""From a noise model, stated in sympy, to the limiting equation of noisy gradient descent."""

from . import command, mechanisms  # noqa: F401 (first, since it hears Ctrl-C during the rest)
from .adaptive_limit import AdaptiveLimit, plan_window
from .analysis.longtime import Equilibrium, equilibria, invariant_density
from .analysis.noise_geometry import NoiseGeometry
from .documents.document import document
from .errors import (
    DeriveError,
    DeriveWarning,
    ManifoldError,
    ModelFileError,
    NotCoveredError,
    ProblemError,
    SavedFileError,
    SingularLimitError,
    UndecidedError,
)
from .files.model_file import load_model
from .general.statements import GeneralLimit, general_limit
from .laws.choice import Choice
from .laws.independent import Independent
from .laws.minibatch import Minibatch
from .laws.rare_jumps import Bernoulli, CustomLaw
from .laws.scaled import Scaled
from .laws.shrinking import Gaussian, Rademacher, TwoPoint, Uniform
from .limit import Limit, derive_limit
from .model.chart import Chart
from .model.problem import NoisyGradientDescent
from .model.update_rule import UpdateRule
from .noise.classification import Outcome
from .rule_limit import RuleLimit
from .symbolic.means import Mean
from .symbols import alpha, sigma

__all__ = [
    "AdaptiveLimit",
    "Bernoulli",
    "Chart",
    "Choice",
    "CustomLaw",
    "DeriveError",
    "DeriveWarning",
    "Equilibrium",
    "Gaussian",
    "GeneralLimit",
    "Independent",
    "Limit",
    "ManifoldError",
    "Mean",
    "Minibatch",
    "ModelFileError",
    "NoiseGeometry",
    "NoisyGradientDescent",
    "NotCoveredError",
    "Outcome",
    "ProblemError",
    "Rademacher",
    "RuleLimit",
    "SavedFileError",
    "Scaled",
    "SingularLimitError",
    "TwoPoint",
    "UndecidedError",
    "Uniform",
    "UpdateRule",
    "alpha",
    "derive_limit",
    "document",
    "equilibria",
    "general_limit",
    "invariant_density",
    "load_model",
    "mechanisms",
    "plan_window",
    "sigma",
]
