"""Fast simulation of noisy gradient descent and of its limit, and their comparison."""

from .kernels import CodeGenerationError, CompiledFunction, compile_function
from .paths import Paths, Status

__all__ = [
    "CodeGenerationError",
    "CompiledFunction",
    "Paths",
    "Status",
    "compile_function",
]
