"""The catalogue's models as networks: residuals with L = ½ Σ r², and L̂ as a function of JAX."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import sympy as sp

from derive import Gaussian, Limit
from derive.analysis.agreement import pointwise
from derive.rule_limit import RuleLimit
from derive.symbolic.numbers.roots import WORKING_DIGITS
from numerics.networks import Network, noisy_loss
from tests.truth import catalogue
from tests.truth.catalogue import Entry

RING = catalogue.RADIUS - 1
UNEVEN = RING * sp.sqrt((2 + catalogue.w1) / 2)
ROUND = RING / sp.sqrt(2)
RESIDUALS: dict[str, Sequence[sp.Expr]] = {
    "parameter noise on the uneven ring": [UNEVEN],
    "correlated parameter noise on the uneven ring": [UNEVEN],
    "parameter noise on the round ring": [ROUND],
    "Gaussian DropConnect on the round ring": [ROUND],
    "Bernoulli DropConnect on the round ring": [ROUND],
    "scalar multiplicative noise": [UNEVEN],
    "linear scalar noise on the uneven ring": [UNEVEN],
    "normal second moment on the round ring": [ROUND],
    "uneven normal second moment on the round ring": [ROUND / sp.sqrt(2)],
    "noise through the second chaos only": [UNEVEN],
    "Gaussian DropConnect on the hyperbola": [catalogue.w1 * catalogue.w2 - 1],
    "Bernoulli DropConnect on the hyperbola": [catalogue.w1 * catalogue.w2 - 1],
    "label noise on a diagonal net": catalogue.MISFITS,
    "label noise on a diagonal net, a sample too many": [
        r * sp.sqrt(sp.Rational(2, 3)) for r in catalogue.MORE_MISFITS
    ],
    "Gaussian dropout of two neurons": [r / sp.sqrt(2) for r in catalogue.PAIR_MISFITS],
    "Bernoulli dropout of two neurons": [r / sp.sqrt(2) for r in catalogue.PAIR_MISFITS],
    "input noise on a neuron with bias": [catalogue.BIASED - catalogue.HALF],
    "additive noise on an ellipse": catalogue.ELLIPSE,
    "additive noise on a surface": catalogue.EGG,
    "additive noise on a twisted cubic": catalogue.CUBIC,
    "correlated additive noise on a twisted cubic": catalogue.CUBIC,
}
"""Residuals with L = ½ Σ r² of the models of the catalogue that have them."""


def traced(expressions: Sequence[sp.Expr], *arguments: Sequence[sp.Symbol]) -> Callable[..., Any]:
    function = sp.lambdify([list(a) for a in arguments], list(expressions), modules="jax")
    return lambda *given: jnp.stack([jnp.asarray(x) for x in function(*given)])


def network_of(entry: Entry, point: Any) -> Network:
    """The catalogue's L̂ as a function, at a point near Γ."""
    problem = entry.problem
    law, noise = problem.law, problem.noise
    noisy = traced([problem.noisy_loss], problem.weights, noise)
    factor = np.eye(len(noise))
    if isinstance(law, Gaussian) and law.covariance is not None:
        values, vectors = np.linalg.eigh(np.array(law.covariance, dtype=float))
        law, factor = Gaussian(), vectors * np.sqrt(np.abs(values))
    return Network(
        traced(RESIDUALS[entry.name], problem.weights),
        np.asarray(point, dtype=float),
        noisy_loss(lambda w, eta: noisy(w, factor @ eta)[0], np.zeros(len(noise)), law),
        weights=1.0,
    )


@dataclass(frozen=True)
class Exact:
    """Tangential drift and diffusion matrix of a derived limit at its points of Γ, by 50 digits."""

    limit: Limit

    def points(self, count: int) -> list[Any]:
        return list(itertools.islice(self.limit.manifold.local(), count))

    def drift(self, g: Any) -> np.ndarray:
        with mpmath.workdps(WORKING_DIGITS):
            rule = isinstance(self.limit, RuleLimit)
            p = self.limit.at_points.projector(g) if rule else g.frame.projector
            return as_floats(p * pointwise(self.limit).drift(g))[:, 0]

    def spread(self, g: Any) -> np.ndarray:
        with mpmath.workdps(WORKING_DIGITS):
            return as_floats(pointwise(self.limit).spread(g))


def place(g: Any) -> np.ndarray:
    return np.array([float(x) for x in g.point])


def as_floats(matrix: Any) -> np.ndarray:
    return np.array(matrix.tolist(), dtype=float)
