"""What can go wrong in a derivation.

Every message says what was given, what was expected and how to mend it.
"""


class DeriveError(ValueError):
    """A problem that cannot be derived as stated."""


class ProblemError(DeriveError):
    """The noise model itself is malformed: symbols, shapes, or L̂(w, 0) ≠ L(w)."""


class ManifoldError(DeriveError):
    """The zero-loss set is not a manifold of the assumed kind at the point of interest."""


class UndecidedError(DeriveError):
    """A zero test on Γ could not be decided; the message lists what was tried."""


class DeriveWarning(UserWarning):
    """The answer holds, with a restriction that the user should know of."""
