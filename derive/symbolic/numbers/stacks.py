"""Matrices of floats at many points at once, with the operators of a matrix of expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Stack:
    """Matrices M_p, one for each of P points, that are calculated with together.

    Parameters
    ----------
    entries : ndarray, shape (P, R, C); or rows of entries
        An entry is a number, or an array of shape (P,).
    """

    def __init__(self, entries: Array | Sequence[Sequence[Any]]) -> None:
        if isinstance(entries, np.ndarray):
            self.values: Array = entries
            return
        rows = [[np.asarray(x, dtype=np.float64) for x in row] for row in entries]
        flat = np.broadcast_arrays(*(x for row in rows for x in row))
        self.values = np.stack(flat, axis=-1).reshape(-1, len(rows), len(rows[0]))

    @property
    def rows(self) -> int:
        """R."""
        return int(self.values.shape[1])

    @property
    def cols(self) -> int:
        """C."""
        return int(self.values.shape[2])

    @property
    def T(self) -> Stack:
        """The transposed matrices."""
        return Stack(np.swapaxes(self.values, 1, 2))

    def solved(self, right: Stack) -> Stack:
        """X with M X = B at every point."""
        try:
            found = np.linalg.solve(self.values, right.values)
        except np.linalg.LinAlgError as singular:
            raise ZeroDivisionError("the matrix of a linear system is singular") from singular
        return Stack(np.asarray(found, dtype=np.float64))

    def __getitem__(self, places: tuple[Any, Any]) -> Any:
        """An entry at every point, shape (P,), or a block."""
        found = self.values[:, places[0], places[1]]
        return found if found.ndim == 1 else Stack(found)

    def __mul__(self, other: Any) -> Stack:
        if isinstance(other, Stack):
            return Stack(self.values @ other.values)
        return Stack(self.values * float(other))

    def __rmul__(self, other: Any) -> Stack:
        return self * other

    def __truediv__(self, number: Any) -> Stack:
        return Stack(self.values / float(number))

    def __add__(self, other: Stack) -> Stack:
        return Stack(self.values + other.values)

    def __sub__(self, other: Stack) -> Stack:
        return Stack(self.values - other.values)

    def __neg__(self) -> Stack:
        return Stack(-self.values)
