"""From a noise model, stated in sympy, to the limiting equation of noisy gradient descent."""

from . import command, mechanisms, objectives  # noqa: F401 (first: it hears Ctrl-C meanwhile)
from .adaptive_limit import plan_window
from .documents.document import document
from .errors import (  # noqa: F401 (`derive.errors` has the kinds of errors in full)
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
from .files.models.model_file import load_model
from .general.statements import general_limit
from .laws.choice import Choice
from .laws.independent import Independent
from .laws.minibatch import Minibatch
from .laws.rare_jumps import Bernoulli, CustomLaw
from .laws.scaled import Scaled
from .laws.shrinking import Gaussian, Rademacher, Sphere, TwoPoint, Uniform
from .limit import Limit, derive_limit
from .model.chart import Chart
from .model.problem import NoisyGradientDescent
from .model.update_rule import UpdateRule
from .noise.classification import Outcome
from .symbolic.means import Mean
from .symbolic.zero_tests import Verdict
from .symbols import alpha, sigma

__all__ = [
    "Bernoulli",
    "Chart",
    "Choice",
    "CustomLaw",
    "Gaussian",
    "Independent",
    "Limit",
    "Mean",
    "Minibatch",
    "NoisyGradientDescent",
    "NotCoveredError",
    "Outcome",
    "Rademacher",
    "Scaled",
    "SingularLimitError",
    "Sphere",
    "TwoPoint",
    "Uniform",
    "UpdateRule",
    "Verdict",
    "alpha",
    "derive_limit",
    "document",
    "general_limit",
    "load_model",
    "mechanisms",
    "plan_window",
    "sigma",
]
