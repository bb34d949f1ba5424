"""Fast simulation of noisy gradient descent and of its limit, and their comparison."""

from .descent import CompiledDescent, StepSizeWarning, compile_descent, simulate_descent
from .kernels import CodeGenerationError, CompiledFunction, compile_function
from .paths import Paths, Status

__all__ = [
    "CodeGenerationError",
    "CompiledDescent",
    "CompiledFunction",
    "Paths",
    "Status",
    "StepSizeWarning",
    "compile_descent",
    "compile_function",
    "simulate_descent",
]
