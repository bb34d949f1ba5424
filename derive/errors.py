"""What can go wrong in a derivation.

Every message says what was given, what was expected and how to mend it.
"""


class SingularLimitError(Exception):
    """Whatever this library refuses, in a derivation or in a simulation."""


class DeriveError(SingularLimitError, ValueError):
    """A problem that cannot be derived as stated."""


class ProblemError(DeriveError):
    """The noise model itself is malformed: symbols, shapes, or L̂(w, 0) ≠ L(w)."""


class ManifoldError(DeriveError):
    """The minimisers are not a manifold of the assumed kind at the point of interest."""


class UndecidedError(DeriveError):
    """A zero test on Γ could not be decided; the message lists what was tried."""


class NotCoveredError(DeriveError):
    """The question makes sense, but the theory that is implemented does not answer it."""


class SavedFileError(DeriveError):
    """A result that cannot be saved, or a file that holds none."""


class ModelFileError(DeriveError):
    """A model file that cannot be read.

    Attributes
    ----------
    reason : str
        What was given, what was expected, how to mend it.
    file, key : str or None
        Where it stands: the file's path, and the dotted key in it.
    position : (int, int) or None
        Line and column, from 1, inside the expression that the key holds.
    """

    def __init__(
        self,
        reason: str,
        file: str | None = None,
        key: str | None = None,
        position: tuple[int, int] | None = None,
    ) -> None:
        self.reason, self.file, self.key, self.position = reason, file, key, position
        place = [part for part in (file, key) if part is not None]
        if position is not None:
            place.append(f"line {position[0]}, column {position[1]}")
        super().__init__(": ".join([*place, reason]))


class DeriveWarning(UserWarning):
    """The answer holds, with a restriction that the user should know of."""
