"""Fast simulation of noisy gradient descent and of its limit, and their comparison."""

import derive  # noqa: F401 (first, since it hears Ctrl-C during the rest)

from .errors import (  # noqa: F401 (`numerics.errors` has the kinds of errors in full)
    ArgumentError,
    CacheError,
    CodeGenerationError,
    EnsembleError,
    NoiseError,
)
from .formats.numpy_export import write_numpy
from .models import (  # noqa: F401 (compile_limit learns of them)
    adaptive_limit,
    cycle_limit,
    dense,
    finite_sum,
    matrix_free,
)
from .models.compiled_limit import CompiledLimit, compile_limit
from .reports.compare_mechanisms import compare_mechanisms
from .reports.report import ValidationReport
from .simulation.descent import (  # noqa: F401 (compile_descent learns of them)
    matrix_descent,
    rule_descent,
    sampled_descent,
)
from .simulation.descent.compiled_descent import CompiledDescent, compile_descent  # noqa: F401
from .simulation.descent.descent import StepSizeWarning, simulate_descent  # noqa: F401
from .simulation.descent.ensembles import Ensemble, simulate_grid
from .simulation.kinks import KinkWarning  # noqa: F401
from .simulation.limit import jumps, rule_flow  # noqa: F401 (simulate_limit learns of them)
from .simulation.limit.integrate import simulate_limit
from .simulation.limit.schedules import StepSchedule, follow_schedule
from .simulation.paths import Paths, Status
from .validation.measurements.comparison import compare_with_limit, survey
from .validator import validate

__all__ = [
    "CompiledLimit",
    "Ensemble",
    "Paths",
    "Status",
    "StepSchedule",
    "ValidationReport",
    "compare_mechanisms",
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
