"""Bundles: scalars in dataclasses, sequences and matrices, taken apart and put together again.

Python's integers in them are sizes and places, and stay. Whatever else holds nothing is a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import mpmath
import sympy as sp

Bundle = TypeVar("Bundle")


def is_sequence_of_scalars(bundle: Any) -> bool:
    """Whether a bundle is flat already."""
    return isinstance(bundle, tuple | list) and not any(map(_holds_more, bundle))


def flattened(bundle: Any) -> list[Any]:
    """All scalars of a bundle, in a fixed order; those of matrices by rows."""
    if isinstance(bundle, int):
        return []
    if isinstance(bundle, tuple | list | sp.MatrixBase | mpmath.matrix):
        return [x for part in bundle for x in flattened(part)]
    if is_dataclass(bundle):
        return [x for field in fields(bundle) for x in flattened(getattr(bundle, field.name))]
    return [bundle]


def restored(bundle: Bundle, scalars: Iterable[Any]) -> Bundle:
    """The bundle with other scalars, in the order of `flattened`; matrices are mpmath's."""
    return _restored(bundle, iter(scalars))


def mapped(bundle: Bundle, function: Callable[[Any], Any]) -> Bundle:
    """The bundle with a function applied to each scalar."""
    return restored(bundle, map(function, flattened(bundle)))


def _restored(bundle: Any, scalars: Iterator[Any]) -> Any:
    if isinstance(bundle, int):
        return bundle
    if isinstance(bundle, tuple | list):
        return type(bundle)(_restored(part, scalars) for part in bundle)
    if isinstance(bundle, sp.MatrixBase | mpmath.matrix):
        found = mpmath.matrix(bundle.rows, bundle.cols)
        for i in range(bundle.rows):
            for j in range(bundle.cols):
                found[i, j] = next(scalars)
        return found
    if is_dataclass(bundle):
        kind: Any = type(bundle)
        parts = (_restored(getattr(bundle, field.name), scalars) for field in fields(bundle))
        return kind(*parts)
    return next(scalars)


def _holds_more(bundle: Any) -> bool:
    return isinstance(bundle, tuple | list | sp.MatrixBase | mpmath.matrix) or is_dataclass(bundle)
