"""A derived limit as plain functions of a point of Γ, by each of the ways there are to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import mpmath
import numpy as np
import sympy as sp

from derive import Limit, derive_limit
from derive.analysis.agreement import PointwiseLimit
from derive.manifold.manifold import LocalGeometry
from derive.symbolic.numbers.roots import System
from numerics import compile_limit
from tests.truth.oracles import Array, array_function

derived = cache(derive_limit)
"""`derive_limit`, each problem derived once per run."""

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
            return np.array(evaluate(manifold.probe.geometry(polished)).tolist(), float)

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


def in_closed_form(limit: Limit, values: Mapping[sp.Symbol, float] | None = None) -> Field:
    """The sympy matrices of the limit, with further symbols bound to numbers."""
    weights = limit.problem.weights

    def matrix(expressions: sp.Matrix | None) -> Evaluator:
        assert expressions is not None, "no closed form is written"
        bound = expressions.subs(values or {})
        flat = array_function(list(bound), weights)
        return lambda w: flat(w).reshape(bound.shape)

    drift, s = matrix(limit.drift), matrix(limit.diffusion)
    return Field(lambda w: drift(w)[:, 0], lambda w: s(w) @ s(w).T, matrix(limit.projector))
