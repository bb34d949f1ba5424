"""Fast simulation of noisy gradient descent and of its limit, and their comparison."""

import derive  # noqa: F401 (first, since it hears Ctrl-C during the rest)

from .codegen.functions import CompiledFunction, compile_function
from .errors import ArgumentError, CacheError, CodeGenerationError, EnsembleError, NoiseError
from .models import adaptive_limit, cycle_limit  # noqa: F401 (compile_limit learns of them)
from .models.compiled_limit import CompiledLimit, compile_limit
from .models.numpy_export import write_numpy
from .reports.report import ValidationReport
from .simulation import jumps, rule_descent, rule_flow  # noqa: F401 (the simulators learn of them)
from .simulation.compiled_descent import CompiledDescent, compile_descent
from .simulation.descent import StepSizeWarning, simulate_descent
from .simulation.ensembles import Ensemble, simulate_grid
from .simulation.integrate import simulate_limit
from .simulation.paths import Paths, Status
from .simulation.schedules import Course, StepSchedule, follow_schedule
from .validation.noise_geometry import (
    directional_alignment,
    effective_dimension,
    loss_alignment,
    principal_alignments,
)
from .validator import validate

__all__ = [
    "ArgumentError",
    "CacheError",
    "CodeGenerationError",
    "CompiledDescent",
    "CompiledFunction",
    "CompiledLimit",
    "Course",
    "Ensemble",
    "EnsembleError",
    "NoiseError",
    "Paths",
    "Status",
    "StepSchedule",
    "StepSizeWarning",
    "ValidationReport",
    "compile_descent",
    "compile_function",
    "compile_limit",
    "directional_alignment",
    "effective_dimension",
    "follow_schedule",
    "loss_alignment",
    "principal_alignments",
    "simulate_descent",
    "simulate_grid",
    "simulate_limit",
    "validate",
    "write_numpy",
]
