"""A derived limit as plain functions of a point of Γ, by each of the ways there are to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
import sympy as sp

from derive import Limit
from derive.manifold import LocalGeometry
from derive.points import System
from derive.pointwise import PointwiseLimit
compile_limit = None
from tests.oracles import Array, array_function

Evaluator = Callable[[Array], Array]


@dataclass(frozen=True)
class Field:
    """Drift (N,), s sᵀ (N, N) and projector (N, N) at a point (N,) of Γ."""

    drift: Evaluator
    spread: Evaluator
    projector: Evaluator


def at_fifty_digits(limit: Limit) -> Field:
    """The derivation's own pointwise evaluation."""
    pointwise, manifold = PointwiseLimit(limit), limit.manifold
    system = System(limit.problem.weights, (), manifold.constraints)

    def at(evaluate: Callable[[LocalGeometry], mpmath.matrix]) -> Evaluator:
        def value(w: Array) -> Array:
            polished = system.polish(tuple(mpmath.mpf(float(x)) for x in w))
            return np.array(evaluate(manifold.at(polished)).tolist(), float)

        return value

    drift = at(pointwise.drift)
    return Field(lambda w: drift(w)[:, 0], at(pointwise.spread), at(lambda g: g.frame.projector))


def compiled(limit: Limit) -> Field:
    """The compiled limit."""
    fast = compile_limit(limit)

    def spread(w: Array) -> Array:
        s = fast.diffusion(w)
        return s @ s.T

    return Field(fast.drift, spread, fast.projector)


def in_closed_form(limit: Limit) -> Field | None:
    """The sympy matrices of the limit; None where one of them is not written out."""
    drift, diffusion, projector = limit.drift, limit.diffusion, limit.projector
    if drift is None or diffusion is None or projector is None:
        return None
    weights, n = limit.problem.weights, limit.problem.dimension

    def matrix(expressions: sp.Matrix) -> Evaluator:
        flat = array_function(list(expressions), weights)
        return lambda w: flat(w).reshape(expressions.shape)

    s = matrix(diffusion)
    return Field(array_function(list(drift), weights), lambda w: s(w) @ s(w).T, matrix(projector))


ROUTES = {
    "50 digits": at_fifty_digits,
    "compiled": compiled,
    "closed form": in_closed_form,
}
