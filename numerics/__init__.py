"""Fast simulation of noisy gradient descent and of its limit, and their comparison."""

from .constrained import simulate_limit
from .descent import CompiledDescent, StepSizeWarning, compile_descent, simulate_descent
from .ensembles import Ensemble, EnsembleError, simulate_grid
from .export import write_numpy
from .kernels import CodeGenerationError, CompiledFunction, compile_function
from .limits import CompiledLimit, compile_limit
from .matrix_flow import simulate_matrix_descent, simulate_matrix_limit
from .matrix_kernels import CompiledMatrixLimit, compile_matrix_limit
from .noise_geometry import (
    directional_alignment,
    effective_dimension,
    loss_alignment,
    principal_alignments,
)
from .paths import Paths, Status
from .sampled import compile_sampled
from .validation import validate
from .verdict import ValidationReport

__all__ = [
    "CodeGenerationError",
    "CompiledDescent",
    "CompiledFunction",
    "CompiledLimit",
    "CompiledMatrixLimit",
    "Ensemble",
    "EnsembleError",
    "Paths",
    "Status",
    "StepSizeWarning",
    "ValidationReport",
    "compile_descent",
    "compile_function",
    "compile_limit",
    "compile_matrix_limit",
    "compile_sampled",
    "directional_alignment",
    "effective_dimension",
    "loss_alignment",
    "principal_alignments",
    "simulate_descent",
    "simulate_grid",
    "simulate_limit",
    "simulate_matrix_descent",
    "simulate_matrix_limit",
    "validate",
    "write_numpy",
]
