"""Weights that fit all samples: zeros of r(w; x_i) for i = 1, …, n, found in floats.

All samples are evaluated at once by NumPy, so that thousands of them cost little; Γ is asked for
more digits where a few of the samples are written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from ..calculus import WithoutCaches, gradient
from ..means import Samples

Array = NDArray[np.float64]

STEPS = 200
"""Most steps of the search."""

REACHED = 1e-9
"""Largest residual, relative to that of the start, of weights that fit."""

GAP = 1e-7
"""Singular values of Dr below this part of the largest count as zero."""

SETTLED = 1e-14
"""Root mean square of the residuals, beside the size of the weights, at which the search ends."""

DAMPING = 1e-3
"""Damping of the first step, in units of |Dr|²; the search ends at its inverse fourth power."""

_SPECIAL = {
    "erf": np.vectorize(math.erf, otypes=[float]),
    "erfc": np.vectorize(math.erfc, otypes=[float]),
    "gamma": np.vectorize(math.gamma, otypes=[float]),
    "loggamma": np.vectorize(math.lgamma, otypes=[float]),
}


@dataclass(frozen=True)
class Fit(WithoutCaches):
    """The residual of one sample, to be made zero for all.

    Attributes
    ----------
    residual : Expr
        r(w; x), without other symbols.
    weights : tuple of Symbol
    samples : Samples
    """

    residual: sp.Expr
    weights: tuple[sp.Symbol, ...]
    samples: Samples

    @cached_property
    def _evaluate(self) -> Callable[..., Sequence[Any]]:
        outputs = [self.residual, *gradient(self.residual, self.weights)]
        inputs = [*self.weights, *self.samples.symbols]
        return sp.lambdify(inputs, outputs, modules=[_SPECIAL, "numpy"], cse=True)

    @cached_property
    def _columns(self) -> Array:
        return np.array(self.samples.table, dtype=float).T

    def at(self, w: Array) -> tuple[Array, Array]:
        """Residuals, shape (n,), and their derivatives, shape (n, N)."""
        with np.errstate(all="ignore"):
            values = self._evaluate(*w, *self._columns)
        rows = np.array([np.broadcast_to(x, len(self.samples)) for x in values], dtype=float)
        return rows[0], rows[1:].T

    def search(self, start: Sequence[float]) -> tuple[Array, float]:
        """Weights near `start`, by Levenberg-Marquardt, and the root mean square left there."""
        w = np.array(start, dtype=float)
        r, slopes = self.at(w)
        size, damping = float(np.linalg.norm(r)), DAMPING
        for _ in range(STEPS):
            least = SETTLED * math.sqrt(len(r)) * (1 + float(np.abs(w).max()))
            if not least < size < np.inf or damping > 1 / DAMPING**4:
                break
            # The damped step of least squares; as the residual vanishes, that of least norm.
            floor = math.sqrt(damping * min(size, 1.0)) * np.linalg.norm(slopes) * np.eye(len(w))
            right = np.append(r, np.zeros(len(w)))
            moved = w - np.linalg.lstsq(np.vstack([slopes, floor]), right, rcond=None)[0]
            r_moved, slopes_moved = self.at(moved)
            reached = float(np.linalg.norm(r_moved))
            if reached < size:
                w, r, slopes, size, damping = moved, r_moved, slopes_moved, reached, damping / 4
            else:
                damping *= 8
        return w, size / math.sqrt(len(r))

    def rank(self, w: Array) -> int:
        """Rank of Dr at weights that fit; the largest gap of its singular values decides."""
        sizes = np.linalg.svd(self.at(w)[1], compute_uv=False)
        return int((sizes > GAP * sizes[0]).sum())

    def fits(self, w: Array, start: Sequence[float]) -> bool:
        """Whether the residuals vanish at w, beside those at the start."""
        left, before = (np.abs(self.at(np.asarray(p, dtype=float))[0]).max() for p in (w, start))
        return bool(left <= REACHED * (before + np.abs(w).max()))


def starting_weights(count: int, size: int) -> list[list[float]]:
    """Points to start a search from where none is given, always the same."""
    found: list[list[float]] = np.random.default_rng(0).normal(size=(count, size)).tolist()
    return found
