"""The kinds of objectives that a problem can have, a module for each."""

from . import expressions, means, traces  # noqa: F401 (the general one first: see `kind_of`)
