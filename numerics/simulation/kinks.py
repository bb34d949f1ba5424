"""Kinks of a model that paths cross: the derived limit is that of the piece on which they begin."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive.model.problem import NoisyGradientDescent

from ..codegen.functions import compile_function


class KinkWarning(UserWarning):
    """Paths cross a set on which the model is not smooth."""


def warn_of_kinks(problem: Any, weights: NDArray[np.float64]) -> None:
    """Warn if recorded weights, shape (paths, T, N), lie on both sides of a kink.

    What happens between two recorded times is not seen.
    """
    found = problem.kinks if isinstance(problem, NoisyGradientDescent) else ()
    kinks = [kink for kink in found if kink.free_symbols <= {*problem.weights}]
    if not kinks:
        return
    values = compile_function(problem.weights, kinks, "kinks")(weights)
    sides = np.where(np.isfinite(values), np.sign(values), 0.0)
    crossed = (sides.max(axis=1) > 0) & (sides.min(axis=1) < 0)
    if crossed.any():
        some = zip(kinks, crossed.any(axis=0), strict=True)
        places = ", ".join(f"{kink} = 0" for kink, any_of_it in some if any_of_it)
        warnings.warn(
            f"problem: {crossed.any(axis=1).sum()} of {len(weights)} paths cross a kink of the "
            f"model ({places}), where the limit does not hold; derive it anew on the other side",
            KinkWarning,
            stacklevel=3,
        )
