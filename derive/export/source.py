"""The languages that a limit can be written in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..equation.limiting_equation import LimitingEquation
from ..errors import DeriveError
from .arrays import JAX, NUMPY, in_arrays
from .c import in_c
from .program import Program, program_of

LANGUAGES: dict[str, Callable[[Program], str]] = {
    "numpy": partial(in_arrays, dialect=NUMPY),
    "jax": partial(in_arrays, dialect=JAX),
    "c": in_c,
}


def source(limit: LimitingEquation, language: str) -> str:
    """The text of a program for a limit, in one of `LANGUAGES`."""
    if language not in LANGUAGES:
        raise DeriveError(
            f"language: expected one of {', '.join(map(repr, LANGUAGES))}, got {language!r}"
        )
    return LANGUAGES[language](program_of(limit))
