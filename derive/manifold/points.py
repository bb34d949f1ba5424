"""Points of Γ in words, and the signs that weights may have."""

from __future__ import annotations

from typing import Any

import mpmath

from ..model.problem import NoisyGradientDescent
from ..symbolic.numbers.roots import Point


def respects_signs(problem: NoisyGradientDescent, point: Point) -> bool:
    """Whether a point satisfies the sign assumptions of the weights."""
    return not any(
        (w.is_positive and x <= 0)
        or (w.is_negative and x >= 0)
        or (w.is_nonnegative and x < 0)
        or (w.is_nonpositive and x > 0)
        for w, x in zip(problem.weights, point, strict=False)
    )


def show_point(problem: NoisyGradientDescent, point: Point) -> str:
    """A point as "w1 = 0.6, w2 = 0.8"."""
    symbols = problem.weights + problem.parameters
    shown = [f"{s} = {short(v)}" for s, v in zip(symbols, point, strict=True)]
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")


def short(value: Any) -> str:
    """A number to six digits."""
    return mpmath.nstr(value, 6)
