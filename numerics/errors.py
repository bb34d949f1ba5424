"""What can go wrong in code generation, simulation and comparison.

Every message says what was given, what was expected and how to mend it.
"""

from __future__ import annotations

from derive.errors import SingularLimitError


class ArgumentError(SingularLimitError, ValueError):
    """An argument that is out of its range, or of the wrong shape or kind."""


class CodeGenerationError(SingularLimitError, ValueError):
    """An expression that cannot be turned into code as it stands."""


class NoiseError(SingularLimitError, ValueError):
    """A law that cannot be drawn from as it stands."""


class CacheError(SingularLimitError, OSError):
    """A folder for compiled code that cannot be used."""


class EnsembleError(SingularLimitError, RuntimeError):
    """An ensemble that cannot be started, continued or read as asked."""
