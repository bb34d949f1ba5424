"""Fast simulation of noisy gradient descent and of its limit, and their comparison."""

import derive  # noqa: F401 (first, since it hears Ctrl-C during the rest)

from .errors import (  # noqa: F401 (`numerics.errors` has the kinds of errors in full)
    ArgumentError,
    CacheError,
    CodeGenerationError,
    EnsembleError,
    NoiseError,
)
from .models import adaptive_limit, cycle_limit  # noqa: F401 (compile_limit learns of them)
from .models.compiled_limit import CompiledLimit, compile_limit
from .models.numpy_export import write_numpy
from .reports.report import ValidationReport
from .simulation import jumps, rule_descent, rule_flow  # noqa: F401 (the simulators learn of them)
from .simulation.compiled_descent import CompiledDescent, compile_descent
from .simulation.descent import StepSizeWarning, simulate_descent
from .simulation.ensembles import Ensemble, simulate_grid
from .simulation.integrate import simulate_limit
from .simulation.kinks import KinkWarning
from .simulation.paths import Paths, Status
from .simulation.schedules import StepSchedule, follow_schedule
from .validation.comparison import compare_with_limit, survey
from .validator import validate

__all__ = [
    "CompiledDescent",
    "CompiledLimit",
    "Ensemble",
    "KinkWarning",
    "Paths",
    "Status",
    "StepSchedule",
    "StepSizeWarning",
    "ValidationReport",
    "compare_with_limit",
    "compile_descent",
    "compile_limit",
    "follow_schedule",
    "simulate_descent",
    "simulate_grid",
    "simulate_limit",
    "survey",
    "validate",
    "write_numpy",
]
